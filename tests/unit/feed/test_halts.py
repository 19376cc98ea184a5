"""Halts and maintenance: heard over a real socket, held until they are taken back."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import msgspec
import pytest
import structlog
import uvloop
import websockets
from answering import closing
from feed_bed import Handler
from structlog.testing import CapturingLogger

from spread_scanner import clock, config
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage, ExchangeError
from spread_scanner.exchanges.notices import (
    Announcement,
    Halted,
    Maintenance,
    NoticeRow,
    Resumed,
    Stream,
    Unread,
)
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.feed import announced
from spread_scanner.feed._listener import Listener
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.counting import COUNTER, Counts
from spread_scanner.feed.feed import Feed
from spread_scanner.feed.halts import MAINTENANCE_NS_MAX, UNLISTED_MAX
from spread_scanner.feed.notices import Notices
from spread_scanner.feed.notices import _Listener as Ear
from spread_scanner.feed.subscription import Refusal
from spread_scanner.runtime import addresses, logs, ws
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.life import End, LifeRules
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import SOURCE_BY_LABEL, Carries, ConnectionState, QuoteFlag
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.shm.connections import ConnectionHealth, Connections
from spread_scanner.symbology import publish
from spread_scanner.symbology.tables import InstrumentRow, SymbolRow, Tables

SOURCE = SOURCE_BY_LABEL["okx-spot"]
SHIPPED = Path(__file__).parents[3] / "config"
NAMES = ("AAA-USDT", "BBB-USDT")
HALT = Halted("AAA-USDT", "suspend")
LASTING = Maintenance("upgrade", "ongoing", 1, 2**62, False)
RULES = LifeRules(20, 1, 1, 1.0, 1, None)


def tables(generation: int) -> Tables:
    return Tables(
        generation=generation,
        created_wall_ns=clock.wall_ns(),
        symbols=tuple(SymbolRow(n, name, name[:3], "USDT") for n, name in enumerate(NAMES)),
        instruments=tuple(
            InstrumentRow(SOURCE.source_id, n, name, 1.0, 1.0, None, None, None, None, False, False)
            for n, name in enumerate(NAMES)
        ),
        directions=(),
        funding=(),
        quarantine=(),
    )


class Bed:
    """A whole feed whose exchange is not there."""

    def __init__(self, namespace: str, folder: Path, stack: ExitStack) -> None:
        made = config.load(SHIPPED, environ={"SPREAD_SYSTEM__NAMESPACE": namespace})
        sources = {
            label: msgspec.structs.replace(
                source, ws_url="ws://127.0.0.1:1/", rest_url="http://127.0.0.1:1", notices=False
            )
            for label, source in made.exchanges.items()
        }
        self.settings = msgspec.structs.replace(made, folder=folder / "config", exchanges=sources)
        publish.publish(self.settings.generated_dir, tables(1), {})
        enter = stack.enter_context
        self.store = enter(PriceStore.create(namespace, max_symbols=64))
        self.health = enter(Health.create(namespace))
        self.row = enter(self.health.claim(SOURCE.process))
        control = enter(Control.create(namespace))
        process = Process(
            SOURCE.process,
            self.settings,
            logs.set_up(SOURCE.process),
            self.row,
            enter(control.claim(SOURCE.process)),
        )
        self.writer = enter(self.store.writer(SOURCE.source_id))
        self.connections = enter(Connections.create(namespace))
        rows = enter(self.connections.claim(SOURCE.source_id))
        self.feed = Feed(process, SOURCE, self.store, self.writer, rows, enter(Gates(namespace)))

    def again(self) -> Feed:
        """The feed of a restarted process: what the one before knew is gone."""
        old = self.feed
        gates, rows = old._gates, old._share.rows
        self.feed = Feed(old._process, SOURCE, self.store, self.writer, rows, gates)
        return self.feed

    def quote(self, symbol_id: int) -> None:
        now_ns = self.store.clock.now_ns()
        self.writer.write(symbol_id, 1.0, 1.0, 2.0, 1.0, now_ns, now_ns, 1)

    def stale(self, symbol_id: int) -> bool:
        quote = self.store.read(SOURCE.source_id, symbol_id)
        return quote is not None and bool(quote.flags & QuoteFlag.STALE)

    def count(self, label: str) -> int:
        return self.health.read(SOURCE.process).counters[label]

    @property
    def carried(self) -> set[str]:
        return {symbol for line in self.feed._lines() for symbol in line.symbols}


@pytest.fixture
def bed(namespace: str, tmp_path: Path) -> Iterator[Bed]:
    with ExitStack() as stack:
        yield Bed(namespace, tmp_path, stack)


def test_a_halted_listing_is_stale_and_not_asked_for_until_it_is_traded_again(bed: Bed) -> None:
    async def act() -> None:
        bed.feed._start()
        bed.quote(0)
        bed.quote(1)
        bed.feed._announced([Halted("NOT-LISTED", "suspend"), HALT])
        assert (bed.stale(0), bed.stale(1)) == (True, False)
        assert bed.carried == {"BBB-USDT"}
        # What the exchange goes on repeating finds no listing: neither tier can store it.
        assert "AAA-USDT" not in bed.feed._share.instruments
        assert (bed.count("halted"), bed.count("halts")) == (1, 1)
        bed.feed._announced([HALT, Resumed("BBB-USDT")])
        assert (bed.count("halted"), bed.count("halts")) == (1, 1)
        bed.feed._announced([Resumed("AAA-USDT")])
        assert bed.carried == set(NAMES)
        assert bed.count("halted") == 0
        bed.feed._stop()

    uvloop.run(act())


def test_what_is_halted_together_is_one_line_of_the_log_for_each_state(bed: Bed) -> None:
    log = CapturingLogger()
    bed.feed._process.log = structlog.wrap_logger(log, processors=[lambda *event: event[-1]])

    async def act() -> None:
        bed.feed._start()
        bed.feed._announced([Halted(name, "suspend") for name in NAMES])
        bed.feed._announced([Resumed(name) for name in NAMES])
        bed.feed._stop()

    uvloop.run(act())

    said = {call.kwargs["event"]: call.kwargs for call in log.calls}
    assert [call.kwargs["event"] for call in log.calls].count("halted") == 1
    assert (said["halted"]["symbols"], said["halted"]["first"]) == (2, list(NAMES))
    assert (said["traded again"]["symbols"], said["traded again"]["first"]) == (2, list(NAMES))


def test_a_price_that_left_its_level_over_a_halt_is_not_believed_until_it_is_judged(
    bed: Bed,
) -> None:
    """A coin is halted, renamed one to a thousand and traded again: the tables are from before."""
    board = bed.feed._share.board
    listener = Listener(board, bed.feed._share.decoder, 1, Handler())

    def flags(px: float, update_id: int) -> int:
        now_ns = bed.store.clock.now_ns()
        assert listener.quote(0, px, 1.0, px * 1.01, 1.0, now_ns, update_id) == "stored"
        quote = bed.store.read(SOURCE.source_id, 0)
        assert quote is not None
        return quote.flags

    async def act() -> None:
        bed.feed._start()
        assert flags(1.0, 1) == 0
        bed.feed._announced([HALT])
        bed.feed._announced([Resumed("AAA-USDT")])
        assert flags(1000.0, 2) == QuoteFlag.JUMPED
        publish.publish(bed.settings.generated_dir, tables(2), {})
        bed.feed._prepared(bed.settings)()
        assert flags(1001.0, 3) == 0
        bed.feed._stop()

    uvloop.run(act())


def test_a_level_that_was_heard_since_a_run_asked_outlives_its_verdicts(bed: Bed) -> None:
    """Nobody has judged what comes after that: the first quote there is no other than the next."""
    board = bed.feed._share.board
    listener = Listener(board, bed.feed._share.decoder, 1, Handler())

    def jumped(symbol_id: int, px: float) -> bool:
        now_ns = bed.store.clock.now_ns()
        listener.quote(symbol_id, px, 1.0, px * 1.01, 1.0, now_ns, now_ns)
        quote = bed.store.read(SOURCE.source_id, symbol_id)
        assert quote is not None
        return bool(quote.flags & QuoteFlag.JUMPED)

    async def act() -> None:
        bed.feed._start()
        assert [jumped(0, 1.0), jumped(1, 1.0)] == [False, False]
        made = tables(2)
        assert not jumped(0, 1.1)
        publish.publish(bed.settings.generated_dir, made, {})
        bed.feed._prepared(bed.settings)()
        assert [jumped(0, 1000.0), jumped(1, 1000.0)] == [True, False]
        assert bed.again()._share.board.mid[1] != 0.0, "no newer run has judged it"
        bed.feed._stop()

    uvloop.run(act())


@pytest.mark.parametrize(("generation", "judged_in"), [(1, 0), (2, 0), (2, 1), (3, 2)])
def test_levels_outlive_a_restart_unless_new_tables_have_judged_them(
    bed: Bed, generation: int, judged_in: int
) -> None:
    """A feed that is started anew has no memory of its own of a price that left its level."""

    def flags(feed: Feed, symbol_id: int, px: float) -> int:
        listener = Listener(feed._share.board, feed._share.decoder, 1, Handler())
        now_ns = bed.store.clock.now_ns()
        listener.quote(symbol_id, px, 1.0, px * 1.01, 1.0, now_ns, now_ns)
        quote = bed.store.read(SOURCE.source_id, symbol_id)
        assert quote is not None
        return quote.flags & QuoteFlag.JUMPED

    old = bed.feed
    assert [flags(old, 0, 1.0), flags(old, 1, 1.0)] == [0, 0]
    assert flags(old, 0, 1000.0)
    bed.row.generation(1)
    if generation != 1:
        asked_ns = 1 if judged_in == 1 else 0  # before what is there; 0: when it was made
        made = msgspec.structs.replace(
            tables(generation), judged_in=judged_in, asked_wall_ns=asked_ns
        )
        publish.publish(bed.settings.generated_dir, made, {})
    new = Feed(old._process, SOURCE, bed.store, bed.writer, old._share.rows, old._gates)
    jumped = QuoteFlag.JUMPED if 1 in (generation, judged_in) else 0
    assert flags(new, 0, 1000.0) == jumped
    assert flags(new, 1, 1000.0) == jumped


@pytest.mark.parametrize("last_known", [True, False])
def test_who_was_not_reached_at_a_judgement_keeps_its_level_over_a_restart(
    bed: Bed, last_known: bool
) -> None:
    """Tables were judged while no feed was there; this exchange was away then."""
    old = bed.feed
    listener = Listener(old._share.board, old._share.decoder, 1, Handler())
    listener.quote(0, 1.0, 1.0, 1.01, 1.0, bed.store.clock.now_ns(), 1)
    bed.row.generation(1)
    new = tables(2)
    rows = [msgspec.structs.replace(row, last_known=last_known) for row in new.instruments]
    made = msgspec.structs.replace(new, instruments=tuple(rows))
    publish.publish(bed.settings.generated_dir, made, {})
    board = bed.again()._share.board
    assert board.mid[0] == (1.005 if last_known else 0.0)


def test_a_halt_of_what_no_tables_list_yet_is_kept_for_those_that_do(bed: Bed) -> None:
    """A new listing is halted before the quick look that brings it, whose run did not know."""

    def listing(generation: int, asked_wall_ns: int, judged_in: int = 1) -> Tables:
        row = InstrumentRow(
            SOURCE.source_id, 2, "NEW-USDT", 1.0, 1.0, None, None, None, None, False, False
        )
        made = tables(generation)
        return msgspec.structs.replace(
            made,
            judged_in=judged_in,
            asked_wall_ns=asked_wall_ns,
            symbols=(*made.symbols, SymbolRow(2, "NEW-USDT", "NEW", "USDT")),
            instruments=(*made.instruments, row),
        )

    def reload(made: Tables) -> set[str]:
        publish.publish(bed.settings.generated_dir, made, {})
        bed.feed._prepared(bed.settings)()
        return bed.carried

    async def act() -> None:
        bed.feed._start()
        begun_ns = clock.wall_ns()
        bed.feed._announced([Halted("NEW-USDT", "suspend")])
        assert (bed.count("halted"), bed.count("halts"), bed.carried) == (0, 0, set(NAMES))
        assert reload(listing(2, begun_ns)) == set(NAMES)
        assert (bed.count("halted"), bed.count("halts")) == (1, 1)
        assert "NEW-USDT" not in bed.again()._share.instruments
        bed.feed._start()
        bed.feed._announced([Resumed("NEW-USDT")])
        assert bed.carried == {*NAMES, "NEW-USDT"}
        bed.feed._announced([Halted("ELSE-USDT", "suspend")])
        assert reload(listing(3, clock.wall_ns() + 1, 0)) == {*NAMES, "NEW-USDT"}
        assert not bed.feed._halts._halted, "a judgement that asked later knows better"
        bed.feed._stop()

    uvloop.run(act())


def test_of_what_no_tables_list_only_so_many_are_kept(bed: Bed) -> None:
    many = [Halted(f"C{number}-USDT", "suspend") for number in range(UNLISTED_MAX + 10)]
    bed.feed._halts.take([HALT, *many])
    kept = bed.feed._halts._halted
    assert len(kept) == UNLISTED_MAX + 1
    assert {"AAA-USDT", "C10-USDT"} <= kept.keys()
    assert "C9-USDT" not in kept


def test_a_halt_does_not_hasten_what_is_refused(bed: Bed) -> None:
    """Nobody has named the others anew: an exchange may halt and resume all day."""

    async def act() -> None:
        bed.feed._start()
        line = next(iter(bed.feed._lines()))
        line.current = connection = Connection(
            bed.feed._share, line._counts, RULES, lambda *_: None
        )
        connection.subscription.join(["BBB-USDT"])
        connection.subscription.refused["BBB-USDT"] = Refusal(1, 10**18, 1)
        bed.feed._announced([HALT])
        assert connection.subscription.refused["BBB-USDT"].due_ns == 10**18
        bed.feed._prepared(bed.settings)()
        assert connection.subscription.refused["BBB-USDT"].due_ns < 10**18
        bed.feed._stop()

    uvloop.run(act())


def test_only_new_tables_lift_a_halt_at_a_reload(bed: Bed) -> None:
    async def act() -> None:
        bed.feed._start()
        bed.feed._announced([HALT])
        bed.feed._prepared(bed.settings)()
        assert bed.carried == {"BBB-USDT"}
        publish.publish(bed.settings.generated_dir, tables(2), {})
        bed.feed._prepared(bed.settings)()
        assert bed.carried == set(NAMES)
        assert bed.count("halted") == 0
        bed.feed._stop()

    uvloop.run(act())


@pytest.mark.parametrize("listed", [False, True], ids=["tables", "the exchange's list"])
def test_a_halt_that_was_heard_of_by_a_clock_that_was_ahead_is_lifted_like_any_other(
    virtual_clock: VirtualClock, bed: Bed, listed: bool
) -> None:
    """Set right since: by it whatever judges the halt for a day seems to be of before."""

    async def act() -> None:
        bed.feed._start()
        virtual_clock.step_wall_ms(86_400_000)
        bed.feed._announced([HALT])
        virtual_clock.step_wall_ms(-86_400_000)
        virtual_clock.advance_ms(60_000)
        if listed:
            assert bed.feed._halts.before(clock.wall_ns()) == {"AAA-USDT"}
        else:
            publish.publish(bed.settings.generated_dir, tables(2), {})
            bed.feed._prepared(bed.settings)()
            assert bed.carried == set(NAMES)
        bed.feed._stop()

    asyncio.run(act())


def test_a_quick_look_lifts_no_halt_and_believes_no_price(bed: Bed) -> None:
    """It only adds: what it carried over was judged by the run before."""
    board = bed.feed._share.board
    listener = Listener(board, bed.feed._share.decoder, 1, Handler())

    def jumped(px: float, update_id: int) -> int:
        now_ns = bed.store.clock.now_ns()
        listener.quote(1, px, 1.0, px * 1.01, 1.0, now_ns, update_id)
        quote = bed.store.read(SOURCE.source_id, 1)
        assert quote is not None
        return quote.flags & QuoteFlag.JUMPED

    def reload(generation: int, judged_in: int) -> None:
        asked_ns = 1 if judged_in == 1 else 0  # before what is there; 0: when it was made
        made = msgspec.structs.replace(
            tables(generation), judged_in=judged_in, asked_wall_ns=asked_ns
        )
        publish.publish(bed.settings.generated_dir, made, {})
        bed.feed._prepared(bed.settings)()

    async def act() -> None:
        bed.feed._start()
        assert [jumped(1.0, 1), jumped(1000.0, 2)] == [0, QuoteFlag.JUMPED]
        bed.feed._announced([HALT])
        reload(2, 1)
        assert bed.carried == {"BBB-USDT"}
        assert bed.count("halted") == 1
        assert jumped(1000.0, 3)
        reload(4, 3)  # set 3, a full run's, was never seen here
        assert bed.carried == set(NAMES)
        assert not jumped(1000.0, 4)
        bed.feed._stop()

    uvloop.run(act())


def test_the_gauges_are_true_from_the_start(bed: Bed) -> None:
    """A row keeps what the process's life before counted."""
    for label in ("halted", "maintenance"):
        bed.row.set(COUNTER[label], 1)
    bed.again()
    assert (bed.count("halted"), bed.count("maintenance")) == (0, 0)


@pytest.mark.parametrize(("generation", "judged_in"), [(1, 0), (2, 1), (2, 0)])
def test_halts_outlive_a_restart_unless_new_tables_have_judged_them(
    bed: Bed, generation: int, judged_in: int
) -> None:
    async def act() -> None:
        bed.feed._announced([HALT, LASTING])
        if generation != 1:
            made = msgspec.structs.replace(tables(generation), judged_in=judged_in)
            publish.publish(bed.settings.generated_dir, made, {})
        new = bed.again()
        holds = 1 in (generation, judged_in)
        assert (bed.count("halted"), bed.count("maintenance")) == (int(holds), 1)
        assert set(new._share.instruments) == (set(NAMES[1:]) if holds else set(NAMES))
        new._announced([Resumed("AAA-USDT"), LASTING._replace(over=True)])
        assert set(bed.again()._share.instruments) == set(NAMES)
        assert (bed.count("halted"), bed.count("maintenance")) == (0, 0)

    uvloop.run(act())


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize(
    ("begun_s", "last_known", "holds"), [(-60, False, True), (0, False, False), (0, True, True)]
)
def test_tables_lift_no_halt_that_their_run_could_not_know_of(
    bed: Bed, begun_s: int, last_known: bool, holds: bool, restarts: bool
) -> None:
    """It had asked before, and listened for a while; or it did not reach the exchange, whose
    listings are the last known ones, and which is then not judged to be at its old levels either.
    """
    board = bed.feed._share.board

    async def act() -> None:
        bed.feed._start()
        bed.feed._announced([HALT])
        board.mid[:] = 1.0
        new = tables(2)
        new = msgspec.structs.replace(
            new,
            asked_wall_ns=new.created_wall_ns + begun_s * NS_PER_S,
            instruments=tuple(
                msgspec.structs.replace(row, last_known=last_known) for row in new.instruments
            ),
        )
        publish.publish(bed.settings.generated_dir, new, {})
        if restarts:
            bed.feed._stop()
            assert set(bed.again()._share.instruments) == set(NAMES[holds:])
            return
        bed.feed._prepared(bed.settings)()
        assert bed.carried == set(NAMES[holds:])
        assert bed.count("halted") == int(holds)
        assert board.mid[1] == float(last_known)
        bed.feed._announced([Resumed("AAA-USDT")])
        assert bed.carried == set(NAMES)
        bed.feed._stop()

    uvloop.run(act())


def test_what_was_traded_again_while_no_feed_was_there_is_asked_of_the_exchanges_list(
    bed: Bed,
) -> None:
    """Nobody will say it again. A halt that is announced meanwhile is newer than the list."""

    async def act() -> None:
        bed.feed._announced([HALT, Halted("BBB-USDT", "suspend")])
        new = bed.again()
        answers = iter((ExchangeError("away"), {"BBB-USDT"}, {"AAA-USDT", "BBB-USDT"}))

        async def ask() -> set[str]:
            answer = next(answers)
            if isinstance(answer, ExchangeError):
                raise answer
            if "AAA-USDT" in answer:
                new._announced([Halted("BBB-USDT", "suspend")])
            return answer

        new._missed.ask = ask
        settings = new._share.settings
        # As shipped it would take a minute.
        new._share.settings = msgspec.structs.replace(settings, ask_again_s_min=0.01)
        new._start()
        await until(lambda: bed.carried == {"BBB-USDT"})
        new._announced([Halted("BBB-USDT", "suspend")])
        new._missed.look()  # as when announcements are heard anew
        await until(lambda: bed.carried == {"AAA-USDT"})
        assert next(answers, None) is None
        new._missed.look()
        new._stop()
        assert new._missed._task is None

    uvloop.run(act())


@pytest.mark.parametrize("answered", [True, False], ids=["it failed", "no answer yet"])
@pytest.mark.parametrize("reloaded", [True, False], ids=["a reload", "a suspend"])
def test_the_exchanges_list_is_asked_for_at_once_after(
    bed: Bed, reloaded: bool, answered: bool
) -> None:
    """A pause of minutes would go on where a suspend began, an answer would never come; a reload
    may have brought the proxy that it takes.
    """

    async def act() -> None:
        bed.feed._announced([HALT])
        new = bed.again()
        asked: list[None] = []

        async def ask() -> set[str]:
            asked.append(None)
            if len(asked) > 1:
                return set(NAMES)
            if not answered:
                await asyncio.get_running_loop().create_future()
            raise ExchangeError("away")

        new._missed.ask = ask
        settings = new._share.settings
        # As shipped it could be over while this test still waits.
        new._share.settings = msgspec.structs.replace(settings, ask_again_s_min=3_600.0)
        new._start()
        await until(lambda: len(asked) == 1)
        if reloaded:
            new._prepared(new._process.settings)()
        else:
            new._woke()
        await until(lambda: bed.carried == set(NAMES))
        assert len(asked) == 2
        new._stop()

    uvloop.run(act())


def test_the_list_is_asked_for_by_rest(bed: Bed) -> None:
    asked: list[bytes] = []
    rows = [
        {"instType": "SPOT", "instId": name, "baseCcy": name[:3], "quoteCcy": "USDT",
         "tickSz": "0.1", "lotSz": "0.1", "minSz": "0.1", "state": state}
        for name, state in zip(NAMES, ("live", "suspend"), strict=True)
    ]  # fmt: skip
    body = msgspec.json.encode({"code": "0", "msg": "", "data": rows})

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        writer.close()

    async def act() -> None:
        async with await asyncio.start_server(closing(serve), "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            mine = msgspec.structs.replace(bed.settings.exchanges[SOURCE.label], rest_url=url)
            bed.feed._share.adapter = adapter_of(SOURCE, mine)
            assert await bed.feed._missed.ask() == {"AAA-USDT"}
        assert asked[0].startswith(b"GET /api/v5/public/instruments?instType=SPOT ")

    uvloop.run(act())


@pytest.mark.parametrize("bytes_", [b"", b"{", b'{"halted":[]}', b'{"x":' + b"[" * 100_000])
def test_halts_that_cannot_be_read_or_kept_stop_no_feed(bed: Bed, bytes_: bytes) -> None:
    async def act() -> None:
        path = announced.path_of(bed.settings, SOURCE)
        bed.feed._announced([HALT])
        path.write_bytes(bytes_)
        assert set(bed.again()._share.instruments) == set(NAMES)
        path.with_name(f"{path.name}.new").mkdir()
        bed.feed._announced([HALT])
        assert bed.count("halted") == 1

    uvloop.run(act())


def test_maintenance_shows_until_it_is_over(bed: Bed) -> None:
    async def act() -> None:
        bed.feed._announced([LASTING])
        assert bed.count("maintenance") == 1
        bed.feed._announced([LASTING._replace(state="completed", over=True)])
        assert bed.count("maintenance") == 0
        # One title, two of them: what the exchange calls each keeps them apart.
        bed.feed._announced([LASTING._replace(key=key) for key in "ab"])
        bed.feed._announced([LASTING._replace(over=True, key="a")])
        assert bed.count("maintenance") == 1

    uvloop.run(act())


def test_maintenance_is_over_at_its_announced_end(virtual_clock: VirtualClock, bed: Bed) -> None:
    """The word that it is over may come while nobody listens, or never."""

    async def act() -> None:
        now_ns = clock.wall_ns()
        soon = LASTING._replace(end_ns=now_ns + 60 * NS_PER_S)
        bed.feed._announced([LASTING._replace(end_ns=now_ns)])
        assert bed.count("maintenance") == 0, "it had ended when it was told of"
        bed.feed._announced([soon, soon._replace(key="unknown", end_ns=TS_ABSENT)])
        bed.feed._announced([soon._replace(key="unknown", over=True)])
        virtual_clock.advance_ms(59_999)
        bed.feed._look([], clock.mono_ns())
        assert bed.count("maintenance") == 1
        virtual_clock.advance_ms(1)
        bed.feed._look([], clock.mono_ns())
        assert bed.count("maintenance") == 0
        virtual_clock.step_wall_ms(-3_600_000)  # a clock that was ahead when the store was made
        bed.feed._announced([soon._replace(end_ns=clock.wall_ns() + NS_PER_S)])
        assert bed.count("maintenance") == 1
        virtual_clock.advance_ms(1_000)
        bed.again()
        assert bed.count("maintenance") == 0, "it ended while no feed was there"

    uvloop.run(act())


def test_maintenance_without_an_end_is_not_believed_for_ever(
    virtual_clock: VirtualClock, bed: Bed
) -> None:
    """The word that it is over was missed; nothing else would ever say so."""

    async def act() -> None:
        begin_ns = clock.wall_ns() + 3_600 * NS_PER_S
        endless = LASTING._replace(begin_ns=begin_ns, end_ns=TS_ABSENT)
        bed.feed._announced([endless])
        left_ns = 3_600 * NS_PER_S + MAINTENANCE_NS_MAX
        for step_ns, shown in ((left_ns - NS_PER_S, 1), (NS_PER_S, 0)):
            virtual_clock.advance_ms(step_ns / 1e6)
            bed.feed._look([], clock.mono_ns())
            assert bed.count("maintenance") == shown
        bed.feed._announced([endless])
        virtual_clock.advance_ms(MAINTENANCE_NS_MAX / 2e6)
        bed.feed._announced([endless._replace(state="still ongoing")])
        virtual_clock.advance_ms(MAINTENANCE_NS_MAX / 2e6)
        bed.feed._look([], clock.mono_ns())
        assert bed.count("maintenance") == 1, "what is said again counts from then"
        # An older version kept one without any end.
        announced.write(
            announced.path_of(bed.settings, SOURCE),
            announced.Announced(1, maintenance={"": endless}),
        )
        bed.again()
        virtual_clock.advance_ms(MAINTENANCE_NS_MAX / 1e6)
        bed.feed._look([], clock.mono_ns())
        assert bed.count("maintenance") == 0

    uvloop.run(act())


async def until(holds: Callable[[], bool]) -> None:
    deadline_s = asyncio.get_running_loop().time() + 60.0
    while not holds():
        assert asyncio.get_running_loop().time() < deadline_s
        await asyncio.sleep(0.005)


def parse(frame: bytes) -> list[Announcement]:
    return [] if frame == b"pong" else [Halted(frame.decode(), "suspend")]


def test_notices_are_heard_on_a_connection_that_comes_back(bed: Bed) -> None:
    asked: list[str] = []
    heard: list[str] = []
    given: list[int] = []

    async def serve(socket: websockets.ServerConnection) -> None:
        asked.append(str(await socket.recv()))
        await socket.send(f"X{len(asked)}")
        await socket.close()

    async def act() -> None:
        async with websockets.serve(serve, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            share = bed.feed._share
            # Shorter than shipped, as several dials are waited for.
            share.settings = msgspec.structs.replace(share.settings, backoff_s_min=0.01)
            notices = Notices(
                share,
                lambda found: heard.extend(one[0] for one in found),
                lambda: given.append(len(asked)),
            )
            notices.listen_to(Stream(f"ws://127.0.0.1:{port}/", ("please",), None, 20.0, parse))
            deadline_ns = clock.mono_ns() + 20 * 10**9
            while len(heard) < 2:
                assert clock.mono_ns() < deadline_ns
                await asyncio.sleep(0.01)
            notices.stop()

    uvloop.run(act())
    assert asked[:2] == ["please", "please"]
    assert len(given) >= 2, "each time what was said before was heard by nobody"
    assert heard[:2] == ["X1", "X2"]


@pytest.mark.parametrize(("why", "blamed"), [(End.NO_DATA, True), (End.LOST, False)])
def test_a_connection_that_was_of_no_use_blames_its_address(
    bed: Bed, why: End, blamed: bool
) -> None:
    async def act() -> None:
        share = bed.feed._share
        connection = Connection(share, Counts(share.row), RULES, lambda *_: None)
        async with websockets.serve(lambda socket: socket.wait_closed(), "127.0.0.1", 0) as server:
            peer = next(iter(server.sockets)).getsockname()
            url = f"ws://127.0.0.1:{peer[1]}/"
            await ws.dial(url, lambda: connection.listener, timeout_s=60.0)
            addresses._losers.pop(("127.0.0.1", 1), None)
            connection.end(why)
            assert addresses._losers.pop(("127.0.0.1", 1), []) == [peer] * blamed
            connection.listener.cut()

    uvloop.run(act())


def test_notices_are_asked_for_until_they_are_given(bed: Bed) -> None:
    """Neither an answer that is lost nor a refusal leaves a connection that hears nothing."""
    asked: list[str] = []
    heard: list[str] = []
    answers = ["", "no", "yes"]  # the first is lost

    async def serve(socket: websockets.ServerConnection) -> None:
        async for text in socket:
            asked.append(str(text))
            answer = answers[min(len(asked), 3) - 1]
            if answer:
                await socket.send(answer)
            if answer == "yes":
                await socket.send(["AAA", "-USDT"])  # in two frames

    def answer(frame: bytes) -> str | None:
        return {b"no": "too many", b"yes": ""}.get(frame)

    def read(frame: bytes) -> list[Announcement]:
        return [] if answer(frame) is not None else parse(frame)

    async def act() -> None:
        async with websockets.serve(serve, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            share = bed.feed._share
            # As shipped it would take a minute.
            share.settings = msgspec.structs.replace(
                share.settings, answer_s_max=0.05, ask_again_s_min=0.05
            )
            notices = Notices(share, lambda found: heard.extend(one[0] for one in found))
            stream = Stream(f"ws://127.0.0.1:{port}/", ("please",), None, 20.0, read, answer)
            notices.listen_to(stream)
            await until(lambda: bool(heard))
            (row,) = bed.connections.read(SOURCE.source_id)
            notices.stop()
        assert (row.last_end, row.counters["refusals"]) == ("refused: too many", 1)
        assert notices._ask_ns is None

    uvloop.run(act())
    assert asked[:3] == ["please"] * 3
    assert heard == ["AAA-USDT"]


def test_the_connection_of_the_notices_has_a_row_of_its_own(bed: Bed) -> None:
    served: list[websockets.ServerConnection] = []
    seen: list[ConnectionHealth] = []

    def read(frame: bytes) -> list[Announcement]:
        if frame == b"{oops":
            raise BadMessage("cannot be read")
        return []

    async def serve(socket: websockets.ServerConnection) -> None:
        await socket.recv()
        await socket.send("{oops")
        await socket.send("pong")
        served.append(socket)
        if len(served) == 1:
            await socket.close()
        await socket.wait_closed()

    async def act() -> None:
        async with websockets.serve(serve, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            share = bed.feed._share
            # Shorter than shipped, as several dials are waited for.
            share.settings = msgspec.structs.replace(share.settings, backoff_s_min=0.01)
            notices = Notices(share, lambda _: None)
            notices.listen_to(Stream(f"ws://127.0.0.1:{port}/", ("please",), None, 20.0, read))
            deadline_ns = clock.mono_ns() + 20 * 10**9
            while not seen or seen[0].counters["control"] < 4:
                assert clock.mono_ns() < deadline_ns
                await asyncio.sleep(0.01)
                seen[:] = bed.connections.read(SOURCE.source_id)
            assert bed.count("skip_bad_message") == seen[0].counters["skip_bad_message"]
            notices.stop()
            assert bed.connections.read(SOURCE.source_id) == []

    uvloop.run(act())
    (row,) = seen
    assert (row.carries, row.state) == (Carries.NOTICES, ConnectionState.OPEN)
    assert (row.symbols, row.last_end) == (0, End.LOST.value)
    assert (row.counters["control"], row.counters["skip_bad_message"]) == (4, 2)


def test_what_can_be_read_of_a_message_is_heard_and_the_rest_counted(bed: Bed) -> None:
    heard: list[Announcement] = []
    notices = Notices(bed.feed._share, heard.extend)
    rows: list[NoticeRow] = [Unread(BadMessage("odd")), HALT]
    notices._take(Stream("ws://x", (), None, 20.0, lambda _: rows), b"{}")
    assert heard == [HALT]
    assert bed.count("skip_bad_message") == 1


def test_a_fault_of_ours_in_what_is_announced_is_said_and_costs_that_alone(bed: Bed) -> None:
    """Over a real socket: picows would take the exception, and the connection with it."""
    heard: list[Announcement] = []
    served: list[str] = []

    async def serve(socket: websockets.ServerConnection) -> None:
        served.append("")
        await socket.send("BAD")
        await socket.send("AAA-USDT")
        await socket.wait_closed()

    def take(announced: list[Announcement]) -> None:
        if announced == [Halted("BAD", "suspend")]:
            raise KeyError("a fault of ours")
        heard.extend(announced)

    async def act() -> None:
        async with websockets.serve(serve, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            notices = Notices(bed.feed._share, take)
            notices.listen_to(Stream(f"ws://127.0.0.1:{port}/", (), None, 20.0, parse))
            await until(lambda: bool(heard))
            notices.stop()

    uvloop.run(act())
    assert heard == [HALT]
    assert len(served) == 1
    assert bed.count("notice_faults") == 1
    (kind,) = bed.feed._share.evidence.kept
    assert kind.startswith("NoticeFault: KeyError at take")
    assert bed.feed._failure is None


def test_one_that_answers_no_ping_is_given_up_as_soon_as_one_of_quotes(bed: Bed) -> None:
    """A connection that died without a word; `unanswered_ms_max` as shipped is ten seconds, and a
    ping comes each five.
    """
    asked: list[str] = []

    async def serve(socket: websockets.ServerConnection) -> None:
        asked.append(str(await socket.recv()))
        await socket.wait_closed()

    async def act() -> None:
        async with websockets.serve(serve, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            share = bed.feed._share
            # As shipped it would take ten seconds.
            share.settings = msgspec.structs.replace(share.settings, unanswered_ms_max=50)
            notices = Notices(share, lambda _: None)
            notices.listen_to(Stream(f"ws://127.0.0.1:{port}/", (), "ping", 0.01, parse))
            await until(lambda: bool(ended(bed)))
            notices.stop()

    def ended(bed: Bed) -> str:
        rows = bed.connections.read(SOURCE.source_id)
        return rows[0].last_end if rows else ""

    uvloop.run(act())
    assert asked[0] == "ping"


def test_an_answer_that_is_still_to_be_read_is_waited_for(virtual_clock: VirtualClock) -> None:
    virtual_clock.advance_ms(1_000)  # a time of zero is none
    listener = Ear(lambda _: None)
    listener.doubt()
    assert listener.waits_ns == 0
    listener.ping(None, clock.mono_ns())
    asked_ns = listener.waits_ns
    listener.ping(None, clock.mono_ns() + 1)
    assert listener.waits_ns == asked_ns == clock.mono_ns()
    virtual_clock.advance_ms(60_000)  # stopped
    listener.doubt()
    assert listener.waits_ns == clock.mono_ns()


def test_a_dial_that_fails_is_counted_apart_from_those_of_quotes(bed: Bed) -> None:
    async def act() -> None:
        notices = Notices(bed.feed._share, lambda _: None)
        notices.listen_to(Stream("ws://127.0.0.1:1/", (), None, 20.0, parse))
        deadline_ns = clock.mono_ns() + 20 * 10**9
        while not bed.count("notice_failures"):
            assert clock.mono_ns() < deadline_ns
            await asyncio.sleep(0.01)
        notices.stop()

    uvloop.run(act())
    assert bed.count("connect_failures") == 0


def failed(bed: Bed, count: int) -> bool:
    return bed.count("notice_failures") == count


def refusing(status: str) -> Callable[..., Awaitable[None]]:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    return refuse


@pytest.mark.parametrize(
    ("status", "opened", "pauses"),
    [
        ("403 No", False, [True, True]),
        ("451 No", False, [True, True]),
        ("503 No\r\nRetry-After: 200", False, [True, True]),
        ("429 No", True, [False, True]),
        ("418 No", True, [False, True]),
        ("429 No", False, [False, False]),
    ],
)
def test_what_one_path_is_refused_bans_no_dial_for_quotes(
    virtual_clock: VirtualClock, bed: Bed, status: str, opened: bool, pauses: list[bool]
) -> None:
    """`pauses`: after each refusal, whether quotes may be dialled all the same."""

    async def act() -> None:
        server = await asyncio.start_server(closing(refusing(status)), "127.0.0.1", 0)
        share = bed.feed._share
        notices = Notices(share, lambda _: None)
        port = server.sockets[0].getsockname()[1]
        stream = Stream(f"ws://127.0.0.1:{port}/", (), None, 20.0, parse)
        found: list[bool] = []
        virtual_clock.advance_ms(1)  # a time of zero is none
        for count in range(1, len(pauses) + 1):
            notices.listen_to(stream)
            await until(functools.partial(failed, bed, count))
            found.append(share.connects.ban() is None)
            virtual_clock.advance_ms(1_000_000)
            if opened:
                share.opened_ns = clock.mono_ns()
        (row,) = bed.connections.read(SOURCE.source_id)
        notices.stop()
        server.close()
        assert found == pauses
        assert row.last_end.startswith(status[:3])

    uvloop.run(act())


def test_a_path_that_has_opened_again_may_tell_of_the_next_ban(
    virtual_clock: VirtualClock, bed: Bed
) -> None:
    """Quotes that open beside a refused path say that the refusal is the path's: till it opens."""
    answers = [429, 0, 429]

    def refuse(connection: websockets.ServerConnection, _: object) -> websockets.Response | None:
        status = answers.pop(0)
        return connection.respond(status, "no") if status else None

    async def serve(socket: websockets.ServerConnection) -> None:
        await socket.wait_closed()

    async def act() -> None:
        async with websockets.serve(serve, "127.0.0.1", 0, process_request=refuse) as server:
            share = bed.feed._share
            notices = Notices(share, lambda _: None)
            port = next(iter(server.sockets)).getsockname()[1]
            stream = Stream(f"ws://127.0.0.1:{port}/", (), None, 20.0, parse)
            virtual_clock.advance_ms(1)  # a time of zero is none
            notices.listen_to(stream)
            await until(functools.partial(failed, bed, 1))
            assert share.connects.ban() is not None
            virtual_clock.advance_ms(1_000_000)
            share.opened_ns = clock.mono_ns()
            notices.listen_to(stream)
            await until(lambda: notices._open)
            for connection in server.connections:
                await connection.close()
            await until(lambda: not notices._open)
            virtual_clock.advance_ms(1_000_000)  # its turn
            notices.listen_to(stream)
            await until(functools.partial(failed, bed, 2))
            assert share.connects.ban() is not None
            notices.stop()

    uvloop.run(act())


def test_a_refused_path_is_asked_slowly_and_at_once_with_a_reload(bed: Bed) -> None:
    """`backoff_s_max` as shipped is half a minute; this pause is as for what else is refused."""

    async def act() -> None:
        server = await asyncio.start_server(closing(refusing("403 No")), "127.0.0.1", 0)
        share = bed.feed._share
        # Shorter than shipped, as several dials are waited for.
        share.settings = msgspec.structs.replace(share.settings, backoff_s_min=0.01)
        notices = Notices(share, lambda _: None)
        port = server.sockets[0].getsockname()[1]
        stream = Stream(f"ws://127.0.0.1:{port}/", (), None, 20.0, parse)
        for count in (1, 2):
            notices.listen_to(stream)
            await until(functools.partial(failed, bed, count))
            await asyncio.sleep(0.1)
            assert bed.count("notice_failures") == count
        notices.stop()
        server.close()

    uvloop.run(act())


def test_a_reload_places_the_notices_anew_where_their_way_is_another(bed: Bed) -> None:
    served: list[websockets.ServerConnection] = []

    async def serve(socket: websockets.ServerConnection) -> None:
        served.append(socket)
        await socket.wait_closed()

    async def act() -> None:
        async with websockets.serve(serve, "127.0.0.1", 0) as server:
            share = bed.feed._share
            port = next(iter(server.sockets)).getsockname()[1]
            notices = Notices(share, lambda _: None)
            stream = Stream(f"ws://127.0.0.1:{port}/", (), None, 20.0, parse)
            notices.listen_to(stream)
            await until(lambda: notices._open)
            notices.listen_to(stream)
            await asyncio.sleep(0)
            assert notices._open, "nothing has changed"
            share.target = share.target._replace(ca_file="another")
            notices.listen_to(stream)
            await until(lambda: len(served) == 2 and notices._open)
            await served[0].wait_closed()
            notices.stop()

    uvloop.run(act())


def test_a_refused_dial_for_notices_keeps_the_lines_from_dialling_too(bed: Bed) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 429 No\r\nRetry-After: 40\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def act() -> None:
        server = await asyncio.start_server(closing(refuse), "127.0.0.1", 0)
        notices = Notices(bed.feed._share, lambda _: None)
        port = server.sockets[0].getsockname()[1]
        notices.listen_to(Stream(f"ws://127.0.0.1:{port}/", (), None, 20.0, parse))
        deadline_ns = clock.mono_ns() + 20 * 10**9
        while (ban := bed.feed._share.connects.ban()) is None:
            assert clock.mono_ns() < deadline_ns
            await asyncio.sleep(0.01)
        assert ban.status == 429
        bed.feed._start()
        await asyncio.sleep(0.2)
        assert bed.count("connect_failures") == 0, "nobody is there: a dial would fail at once"
        bed.feed._stop()
        notices.stop()
        server.close()

    uvloop.run(act())


def test_the_pauses_of_the_notices_are_by_the_feeds_own_chance_and_grow(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`backoff_s_min` as shipped is a quarter of a second. No connection stands for `stood_s`."""
    pauses = [0.013, 0.026, 0.052, 0.104]
    paused: list[float] = []
    sleep = asyncio.sleep

    class Dice(Random):
        def random(self) -> float:
            return 1.0

    async def noted(seconds: float) -> None:
        paused.append(round(seconds, 6))
        await sleep(seconds)

    async def serve(socket: websockets.ServerConnection) -> None:
        await socket.close()

    async def act() -> None:
        share = bed.feed._share
        share.settings = msgspec.structs.replace(share.settings, backoff_s_min=pauses[0])
        share.random = Dice()
        async with websockets.serve(serve, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            notices = Notices(share, lambda _: None)
            notices.listen_to(Stream(f"ws://127.0.0.1:{port}/", (), None, 20.0, parse))
            monkeypatch.setattr(asyncio, "sleep", noted)
            deadline_ns = clock.mono_ns() + 20 * 10**9
            while pauses[-1] not in paused:
                assert clock.mono_ns() < deadline_ns, paused
                await sleep(0.01)
            notices.stop()
            monkeypatch.undo()

    uvloop.run(act())
    assert [one for one in paused if one in pauses] == pauses


def test_the_setting_turns_the_connection_off(bed: Bed) -> None:
    assert SourceSettings(rest_url="http://x", ws_url="ws://x").notices is True
    assert "notice_failures" in COUNTER

    async def act() -> None:
        bed.feed._start()
        assert bed.feed._notices._task is None
        bed.feed._stop()

    uvloop.run(act())
