"""What a reload acknowledges is true at once, for what stands and for what waits: each setting of a
feed, with what it changes.

The feed, its lines and connections are whole, on a clock that moves when told to; no socket stands
behind them. A reload goes the feed's own way, but for the files. Other settings than those shipped
are what is tested.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import certifi
import msgspec
import numpy as np
import pytest
from feed_bed import push
from picows import WSMsgType
from test_marks import NAMES, SOURCE, Bed, tables

from spread_scanner.clock import NS_PER_MS, NS_PER_S, VirtualClock
from spread_scanner.config import Feed, SourceSettings, restart
from spread_scanner.exchanges.adapter import Ack, RefusalKind, Refused
from spread_scanner.exchanges.notices import Halted, Maintenance, Resumed
from spread_scanner.feed._listener import Listener
from spread_scanner.feed.books import Shelf, SourceBooks
from spread_scanner.feed.line import Line
from spread_scanner.feed.listings import target_of
from spread_scanner.runtime import ws
from spread_scanner.runtime.life import End
from spread_scanner.schema.enums import SOURCE_BY_LABEL, QuoteFlag
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.wants import Wants
from spread_scanner.symbology import publish


class Reload:
    """A feed of two copies of one line; the first one is looked at."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.one, self.other = bed.open()
        self.line: Line = bed.feed._copies[0][0]
        self.share = bed.feed._share

    @property
    def now_ns(self) -> int:
        return self.bed.machine.mono_ns()

    def take(self, **changed: Any) -> None:
        """Reload with these settings of the feed or of the source."""
        process = self.bed.feed._process
        settings = process.settings
        feed, source = settings.feed(SOURCE.label), settings.exchanges[SOURCE.label]
        of_feed = {key: value for key, value in changed.items() if key in Feed.__struct_fields__}
        of_source = {key: value for key, value in changed.items() if key not in of_feed}
        feeds = {SOURCE.label: msgspec.structs.replace(feed, **of_feed)}
        sources = {SOURCE.label: msgspec.structs.replace(source, **of_source)}
        process.settings = made = msgspec.structs.replace(
            settings,
            config=msgspec.structs.replace(settings.config, feeds=feeds),
            exchanges={**settings.exchanges, **sources},
        )
        self.bed.feed._prepared(made)()

    def away(self) -> asyncio.TimerHandle:
        """The line has lost its connection after many others, and waits for its next dial."""
        self.line._backoff.failures = 30
        self.one.end(End.LOST)
        timer = self.line._timer
        assert timer is not None
        return timer

    def dialled_at_once(self) -> bool:
        timer = self.line._timer
        return timer is not None and timer.when() <= asyncio.get_running_loop().time()


def pauses(reload: Reload) -> None:
    waits = reload.away()
    assert waits.when() - asyncio.get_running_loop().time() > 10
    reload.take(backoff_s_max=1.0)
    assert waits.cancelled()
    assert reload.dialled_at_once()
    assert reload.line._backoff.next_s() <= 1.0


def least_pause(reload: Reload) -> None:
    reload.take(backoff_s_min=20.0)
    assert reload.line._backoff.next_s() >= 10.0


def successors_pause(reload: Reload) -> None:
    """That of what is refused, and of the successor, too."""
    reload.line._refusals = 3
    reload.line._successor_ns = reload.now_ns + 30 * NS_PER_S
    reload.one.life.notice = True
    reload.take(ask_again_s_max=600.0)
    assert reload.line._refusals == 0
    reload.line.check(reload.now_ns, 1.0)
    assert reload.line._opening is not None


def stood(reload: Reload) -> None:
    reload.line._backoff.failures = 4
    reload.bed.quote(reload.one)
    reload.bed.machine.advance_ms(2_000)
    reload.bed.quote(reload.one)
    reload.line.check(reload.now_ns, 1.0)
    assert reload.line._backoff.failures == 4
    reload.take(stood_s=1.0)
    reload.line.check(reload.now_ns, 1.0)
    assert reload.line._backoff.failures < 4


def dial_under_way(reload: Reload) -> None:
    reload.away().cancel()
    reload.line._dial()
    under_way = reload.line._opening
    assert under_way is not None
    reload.take(stood_s=20.0)
    assert reload.line._opening is under_way
    reload.take(connect_timeout_s=3.0)
    assert under_way.cancelling()
    assert reload.dialled_at_once()


def life(setting: str, value: float, of: str) -> Callable[[Reload], None]:
    """A rule that decides when the connection has to go."""

    def act(reload: Reload) -> None:
        before = getattr(reload.one.life.rules, of)
        reload.take(**{setting: value})
        assert getattr(reload.one.life.rules, of) != before

    return act


def silence(setting: str, value: float, of: str) -> Callable[[Reload], None]:
    """A rule that decides when its silence counts."""

    def act(reload: Reload) -> None:
        before = getattr(reload.one._silence, of)
        reload.take(**{setting: value})
        assert getattr(reload.one._silence, of) != before

    return act


def silent_symbols(reload: Reload) -> None:
    reload.bed.run(2_000, reload.one, every_ms=10)
    reload.bed.run(5_000, reload.one, every_ms=10, symbols=(1,))
    assert reload.bed.look() == set()
    reload.take(silent_ms_min=2_000)
    assert reload.bed.look() == {0}
    reload.take(silent_ms_min=30_000)
    assert reload.bed.look() == set()
    assert not reload.bed.flags()[0] & QuoteFlag.SILENT


def pauses_that_teach(reload: Reload) -> None:
    """A symbol's rate takes a pause for no longer than what is out of line."""
    reload.take(silent_ms_min=7_000, silent_intervals_max=7.0)
    assert reload.share.board.silence == (7 * NS_PER_S, 7.0)


def own_intervals(reload: Reload) -> None:
    reload.bed.run(2_000, reload.one, every_ms=10)
    reload.bed.run(5_000, reload.one, every_ms=10, symbols=(1,))
    reload.take(silent_ms_min=2_000, silent_intervals_max=50_000.0)
    assert reload.bed.look() == set()
    reload.take(silent_intervals_max=50.0)
    assert reload.bed.look() == {0}


def lag(reload: Reload) -> None:
    reload.take(lag_ms_max=77)
    assert reload.share.board.lag_ns_max == 77 * NS_PER_MS
    assert reload.one._silence.lag_ns_max == 77 * NS_PER_MS


def clock_off(reload: Reload) -> None:
    reload.take(clock_off_ms_max=7_000)
    assert reload.share.board.clock_off_ns_max == 7 * NS_PER_S


def drift(reload: Reload) -> None:
    told: list[float] = []
    board = reload.share.board

    class Best:
        def drifts(self, ppm: float) -> None:
            told.append(ppm)

        def ended(self) -> None:
            """The bed's end takes its connections away."""

        lost = ended

    reload.share.board = type("Seen", (), {"__getattr__": lambda _, name: getattr(board, name)})()
    reload.share.board.best = Best()  # type: ignore[assignment]
    reload.take(lag_drift_ppm=7.0)
    assert told == [7.0]


def copies(reload: Reload) -> None:
    reload.take(redundant=3)
    assert len(reload.bed.feed._copies) == 3
    reload.take(redundant=1)
    assert len(reload.bed.feed._copies) == 1
    assert len(reload.bed.feed._moving.retired) == 2


def acknowledged(reload: Reload) -> None:
    reload.one.subscription.next_request(reload.now_ns)
    reload.one.subscription.answered(Ack("1", NAMES), reload.now_ns)


def first_quotes(reload: Reload) -> None:
    acknowledged(reload)
    reload.bed.machine.advance_ms(20_000)
    assert reload.one.watch.unheard(reload.now_ns, ()) == []
    reload.take(first_quote_s_max=10.0)
    assert set(reload.one.watch.unheard(reload.now_ns, ())) == set(NAMES)


def seldom(reload: Reload) -> None:
    """Who has quoted too seldom to have a rate is waited for as long as is asked in vain; who was
    found quiet for longer, see `quiet_first_quotes`.
    """
    acknowledged(reload)
    reload.bed.quote(reload.one)
    reload.one.watch.look(reload.now_ns)
    reload.bed.machine.advance_ms(500_000)
    reload.bed.quote(reload.one)
    heard = np.flatnonzero(reload.share.board.heard_ns == reload.now_ns)[0]
    name = next(one for one, row in reload.share.instruments.items() if row.symbol_id == heard)
    reload.bed.machine.advance_ms(500_000)
    assert name not in reload.one.watch.unheard(reload.now_ns, ())
    reload.take(ask_again_s_max=400.0)
    assert name in reload.one.watch.unheard(reload.now_ns, ())
    reload.share.instruments[name] = msgspec.structs.replace(
        reload.share.instruments[name], quiet=True
    )
    assert name not in reload.one.watch.unheard(reload.now_ns, ())


def quiet_first_quotes(reload: Reload) -> None:
    acknowledged(reload)
    reload.bed.machine.advance_ms(100_000)
    reload.take(first_quote_quiet_s_max=90.0)
    for name, row in reload.share.instruments.items():
        reload.share.instruments[name] = msgspec.structs.replace(row, quiet=True)
    assert set(reload.one.watch.unheard(reload.now_ns, ())) == set(NAMES)
    reload.take(first_quote_quiet_s_max=110.0)
    for name, row in reload.share.instruments.items():
        reload.share.instruments[name] = msgspec.structs.replace(row, quiet=True)
    assert reload.one.watch.unheard(reload.now_ns, ()) == []


def unanswered(reload: Reload) -> None:
    subscription = reload.one.subscription
    assert subscription.next_request(reload.now_ns) is not None
    reload.bed.machine.advance_ms(2_000)
    assert subscription.next_request(reload.now_ns) is None
    reload.take(answer_s_max=1.0)
    assert [one.tries for one in subscription._underway.asked.values()] == [1]


def what_waits_to_be_asked(reload: Reload) -> None:
    """Refused, unanswered again and again, or asked slowly as nobody is to blame."""
    subscription = reload.one.subscription
    subscription.next_request(reload.now_ns)
    subscription.answered(Refused("1", NAMES[:1], "", "no", RefusalKind.SYMBOL), reload.now_ns)
    (request,) = subscription._underway.expire()
    subscription._repeat(request._replace(tries=99), reload.now_ns)
    reload.bed.machine.advance_ms(2_000)
    assert subscription.next_request(reload.now_ns) is None
    reload.take(ask_again_s_min=50.0)
    found = []
    for _ in range(4):
        found.append(subscription.next_request(reload.now_ns) or "")
        reload.bed.machine.advance_ms(2_000)
    asked = "".join(found).upper()
    assert all(name in asked for name in NAMES)


def what_is_too_busy(reload: Reload) -> None:
    """The pause is the exchange's, but no longer than is set now."""
    subscription = reload.one.subscription
    subscription.next_request(reload.now_ns)
    for _ in range(8):
        subscription._budget.busy(reload.now_ns, reload.now_ns)
        reload.bed.machine.advance_ms(100)
    assert subscription._budget.wait_ns(reload.now_ns, again=False) > 20 * NS_PER_S
    reload.take(ask_again_s_min=4.0)
    assert subscription._budget.wait_ns(reload.now_ns, again=False) <= 6 * NS_PER_S
    subscription._budget.busy(reload.now_ns, reload.now_ns)
    assert subscription._budget.wait_ns(reload.now_ns, again=False) <= 6 * NS_PER_S


def what_was_full(reload: Reload) -> None:
    subscription = reload.one.subscription
    subscription.capacity, subscription._fulls = 1, 3
    subscription._capacity_ns = reload.now_ns + 900 * NS_PER_S
    reload.take(ask_again_s_max=70.0)
    reload.bed.machine.advance_ms(70_000)
    subscription.next_request(reload.now_ns)
    assert subscription.capacity is None


def another_place(setting: str, value: str) -> Callable[[Reload], None]:
    """What stands calls for a successor, and what is being dialled is dialled anew."""

    def act(reload: Reload) -> None:
        reload.one.end(End.LOST)
        assert reload.line._timer is not None
        reload.line._timer.cancel()
        reload.line._dial()
        under_way = reload.line._opening
        assert under_way is not None
        reload.take(**{setting: value})
        assert under_way.cancelling()
        assert reload.other.life.notice

    return act


def books_of_another_channel(reload: Reload) -> None:
    """Their lines end, and the next look begins anew on the other one."""
    bed, feed = reload.bed, reload.bed.feed
    slots = bed.enter(bed.enter(BookStore.create(bed.namespace, max_symbols=64)).writer(0))
    wants = bed.enter(Wants.create(bed.namespace, max_symbols=64))
    shelf, settings = Shelf(slots, wants), feed._process.settings
    feed._books = books = SourceBooks(reload.share, SOURCE, shelf, settings, feed._gates)
    feed._follow_books(settings)
    wants.ask(SOURCE.source_id, 0, 600.0)
    books.look(reload.now_ns)
    (before,) = books._lines
    assert before._share.target.channel == "depth20@100ms"
    reload.take(depth_channel="depth@100ms")
    assert before._stopped
    books.look(reload.now_ns)
    (after,) = books._lines
    assert "x@depth@100ms" in after._share.adapter.subscribe(["X"], 1)
    assert after._share.target.channel == "depth@100ms"
    books.stop()
    assert not slots.taken


def another_channel(reload: Reload) -> None:
    """MEXC alone has two."""
    mexc = SOURCE_BY_LABEL["mexc-spot"]
    settings = SourceSettings(rest_url="http://x", ws_url="ws://x")
    slower = msgspec.structs.replace(settings, channel="100ms")
    assert target_of(settings, mexc) != target_of(slower, mexc)
    reload.share.target = reload.share.target._replace(channel="another")
    assert reload.bed.feed._moving.look(reload.bed.feed._copies) == 2
    assert reload.one.life.notice


def room(reload: Reload) -> None:
    reload.take(topics_per_connection_max=1)
    assert [len(copy) for copy in reload.bed.feed._copies] == [2, 2]


def notices(reload: Reload) -> None:
    reload.take(notices=True)
    heard = reload.bed.feed._notices._task
    assert heard is not None
    reload.take(proxy="http://127.0.0.1:1")
    assert heard.cancelling()
    reload.take(notices=False)
    assert reload.bed.feed._notices._task is None


def enabled(reload: Reload) -> None:
    reload.take(enabled=False)
    assert reload.bed.feed._over.is_set()


def pinned(reload: Reload) -> None:
    """Not at a reload: it is refused by name."""
    settings = reload.bed.feed._process.settings
    assert f"{SOURCE.process}.cpus" in restart.kept(settings, SOURCE.process)


AT_ONCE: dict[str, list[Callable[[Reload], None]]] = {
    "backoff_s_min": [least_pause],
    "backoff_s_max": [pauses],
    "stood_s": [stood],
    "bad_messages_in_row_max": [life("bad_messages_in_row_max", 7, "bad_in_row_max")],
    "swap_before_s": [life("swap_before_s", 7.0, "life_ns")],
    "redundant": [copies],
    "idle_ms_max": [silence("idle_ms_max", 777, "idle_ns_max")],
    "pong_ms_max": [silence("pong_ms_max", 777, "pong_ns_max")],
    "busy_per_s_min": [silence("busy_per_s_min", 7.0, "busy_per_s_min")],
    "unanswered_ms_max": [life("unanswered_ms_max", 777, "unanswered_ns_max")],
    "silent_ms_min": [silent_symbols, pauses_that_teach],
    "silent_intervals_max": [
        own_intervals,
        pauses_that_teach,
        silence("silent_intervals_max", 7.0, "intervals_max"),
        life("silent_intervals_max", 7.0, "frozen_intervals_max"),
    ],
    "frozen_ms_min": [life("frozen_ms_min", 777, "frozen_ns_min")],
    "lag_ms_max": [lag],
    "lag_drift_ppm": [drift],
    "clock_off_ms_max": [clock_off],
    "connect_timeout_s": [dial_under_way],
    "first_quote_s_max": [first_quotes, life("first_quote_s_max", 7.0, "first_quote_ns_max")],
    "first_quote_quiet_s_max": [quiet_first_quotes],
    "answer_s_max": [unanswered],
    "ask_again_s_min": [what_waits_to_be_asked, what_is_too_busy],
    "ask_again_s_max": [successors_pause, what_was_full, seldom],
    "cpus": [pinned],
    "ws_url": [another_place("ws_url", "wss://elsewhere.test/")],
    "proxy": [another_place("proxy", "http://127.0.0.1:1")],
    "ca_file": [another_place("ca_file", certifi.where())],
    "depth_channel": [books_of_another_channel],
    "channel": [another_channel],
    "topics_per_connection_max": [room],
    "notices": [notices],
    "enabled": [enabled],
}
# What discovery and the engine read, and no feed.
OF_OTHERS = {
    "rest_url",
    "funding_bulk",
    "taker_fee_bps",
    "fee_tier",
    "fee_tiers_bps",
    "symbol_fees_bps",
}


def test_every_setting_of_a_feed_is_in_the_table() -> None:
    there = {*Feed.__struct_fields__, *SourceSettings.__struct_fields__}
    assert there == AT_ONCE.keys() | OF_OTHERS


CASES = [(setting, act) for setting, acts in AT_ONCE.items() for act in acts]


@pytest.fixture
def bed(namespace: str, tmp_path: Path, virtual_clock: VirtualClock) -> Iterator[Bed]:
    virtual_clock.advance_ms(10_000)  # a time of zero is none
    with ExitStack() as stack:
        yield Bed(namespace, tmp_path, virtual_clock, stack)


def played(bed: Bed, act: Callable[[Reload], None]) -> None:
    async def play() -> None:
        act(Reload(bed))
        bed.feed._stop()
        for task in list(bed.feed._share.tasks):
            task.cancel()
        await asyncio.sleep(0)

    asyncio.run(play())


@pytest.mark.parametrize(
    ("setting", "act"), CASES, ids=[f"{one}-{number}" for number, (one, _) in enumerate(CASES)]
)
def test_a_reload_does_at_once_what_it_acknowledges(
    bed: Bed, setting: str, act: Callable[[Reload], None]
) -> None:
    played(bed, act)


# --- where two things meet


def test_a_connection_that_is_dialled_meanwhile_goes_by_what_a_reload_brought(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dial may wait for hours, for the end of a ban: a price in other units is read by these, and
    never as one of before."""
    opens = asyncio.Event()
    now_ns = 0

    async def dial(url: str, listener: Callable[[], Listener], **_: object) -> None:
        await opens.wait()
        listener().on_ws_connected(None)  # type: ignore[arg-type]

    def quote(bid: float) -> bytes:
        return (
            f'{{"e":"bookTicker","u":1,"s":"{NAMES[0]}","ps":"{NAMES[0]}","b":"{bid}","B":"1",'
            f'"a":"{bid + 1}","A":"1","T":{now_ns // NS_PER_MS},"E":{now_ns // NS_PER_MS},"st":1}}'
        ).encode()

    async def play() -> None:
        nonlocal now_ns
        monkeypatch.setattr(ws, "dial", dial)
        reload = Reload(bed)
        reload.away().cancel()
        reload.line._dial()
        assert reload.line._opening is not None
        await asyncio.sleep(0)
        made = tables()
        rows = [msgspec.structs.replace(row, px_div=1_000.0) for row in made.instruments]
        redenominated = msgspec.structs.replace(made, generation=2, instruments=tuple(rows))
        publish.publish(bed.feed._process.settings.generated_dir, redenominated, {})
        reload.take(bad_messages_in_row_max=7, answer_s_max=3.0)
        opens.set()
        await reload.line._opening
        now_ns = bed.store.clock.now_ns()
        dialled = reload.line.current
        assert dialled is not None
        push(dialled.listener, WSMsgType.TEXT, quote(2_000.0))
        stored = bed.store.read(SOURCE.source_id, 0)
        assert stored is not None
        assert stored.bid_px == 2.0
        assert dialled.life.rules.bad_in_row_max == 7
        assert dialled.subscription.pauses.answer_ns == 3 * NS_PER_S
        bed.feed._stop()

    asyncio.run(play())


def test_a_reload_ends_no_ban(bed: Bed) -> None:
    def act(reload: Reload) -> None:
        reload.away()
        reload.share.connects.refused(418, 3_600.0)
        reload.take(backoff_s_max=1.0)
        assert reload.dialled_at_once(), "it waits at the gate"
        ban = reload.share.connects.ban()
        assert ban is not None
        assert ban.left_s > 3_500
        bed.feed._show_state(reload.now_ns)
        with Connections.attach(bed.namespace) as shown:
            told = {(one.ban_status, one.ban_left_ns > 0) for one in shown.read(SOURCE.source_id)}
        assert told == {(418, True)}, "in every row, whoever was told of it"
        reload.take(proxy="http://127.0.0.1:1")
        assert reload.share.connects.ban() is None, "another address is not banned"
        reload.take(proxy="")
        assert reload.share.connects.ban() is not None

    played(bed, act)


def test_a_ban_of_the_rest_interface_is_told_while_something_waits_for_it(bed: Bed) -> None:
    """It is another host's, and a feed's quotes need nothing of it."""

    def act(reload: Reload) -> None:
        feed = bed.feed

        def message() -> str:
            feed._show_state(reload.now_ns)
            return bed.health.read(SOURCE.process).message

        gate = feed._gates.by_rest(reload.share.adapter, reload.share.target.proxy)
        gate.refused(429, 90.0)
        assert message() == ""
        feed._announced([Halted(NAMES[0], "SETTLING")])
        bed.machine.advance_ms(1)
        feed._missed.look()
        assert message().startswith("by REST: 429 too many requests")
        feed._missed.stop()
        assert message() == ""

    played(bed, act)


def test_a_coin_that_is_halted_and_traded_again_on_its_way_to_another_line_arrives(
    bed: Bed,
) -> None:
    """Between two looks at the clock."""

    def act(reload: Reload) -> None:
        feed = reload.bed.feed
        reload.bed.quote(reload.one, reload.other)
        reload.take(topics_per_connection_max=1)
        moving = [line for line in feed._copies[0] if len(line.symbols) == 2]
        assert len(moving) == 1
        feed._announced([Halted(NAMES[1], "SETTLING")])
        assert all(NAMES[1] not in line.symbols for line in feed._lines())
        feed._announced([Resumed(NAMES[1])])
        carrying = [line for line in feed._copies[0] if NAMES[1] in line.symbols]
        assert len(carrying) == 1
        feed._move()
        assert all(NAMES[1] not in symbols for symbols in feed._moving._leaving.values())

    played(bed, act)


def test_a_halt_outlives_a_retired_copy_and_every_reload(bed: Bed) -> None:
    def act(reload: Reload) -> None:
        feed = reload.bed.feed
        feed._announced([Halted(NAMES[0], "SETTLING")])
        for redundant in (1, 3, 2):
            reload.take(redundant=redundant)
            assert all(line.symbols == [NAMES[1]] for line in feed._lines())
        feed._announced([Resumed(NAMES[0])])
        assert all(set(line.symbols) == set(NAMES) for copy in feed._copies for line in copy)

    played(bed, act)


def test_who_wakes_from_a_suspend_waits_for_the_rest_of_a_ban(bed: Bed) -> None:
    def act(reload: Reload) -> None:
        reload.share.connects.refused(418, 3_600.0)
        reload.bed.machine.suspend_ms(1_800_000)
        reload.bed.feed._process.feel_suspend()
        assert reload.one.ended is not None
        ban = reload.share.connects.ban()
        assert ban is not None
        assert 1_700 < ban.left_s < 1_801

    played(bed, act)


def test_maintenance_outlives_a_reload_but_not_that_nobody_listens(bed: Bed) -> None:
    def act(reload: Reload) -> None:
        feed = reload.bed.feed
        reload.take(notices=True)
        feed._announced([Maintenance("upgrade", "ongoing", 1, TS_ABSENT, False)])
        reload.take(backoff_s_max=20.0)
        assert reload.bed.health.read(SOURCE.process).counters["maintenance"] == 1
        reload.take(notices=False)
        assert reload.bed.health.read(SOURCE.process).counters["maintenance"] == 0

    played(bed, act)
