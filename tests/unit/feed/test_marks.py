"""What a feed with several connections marks, and when it takes a mark back.

The feed, its lines and connections are whole; their listeners are given quotes by hand and no
socket stands behind them, so that every moment is the test's. Settings as shipped, but two copies
of each line.
"""

import asyncio
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import numpy as np
import pytest
from feed_bed import push
from picows import WSMsgType

from spread_scanner import config
from spread_scanner.clock import VirtualClock
from spread_scanner.config import SourceSettings
from spread_scanner.exchanges.adapter import Ack, RefusalKind, Refused
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.counting import Counts
from spread_scanner.feed.feed import Feed
from spread_scanner.feed.line import Line
from spread_scanner.feed.outage_log import CALM_NS, OutageLog
from spread_scanner.feed.subscription import Refusal
from spread_scanner.runtime import logs
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.life import End, Stood, rules_of
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import SOURCE_BY_LABEL, QuoteFlag
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.shm.connections import Connections
from spread_scanner.symbology import publish
from spread_scanner.symbology.tables import InstrumentRow, SymbolRow, Tables

SOURCE = SOURCE_BY_LABEL["binance-futures"]
SHIPPED = Path(__file__).parents[3] / "config"
NAMES = ("AAAUSDT", "BBBUSDT")
BUSY_MS = 10
QUIET_MS = 500
STEP_MS = 10
CHECK_MS = 100


def tables() -> Tables:
    return Tables(
        generation=1,
        created_wall_ns=1,
        symbols=tuple(
            SymbolRow(n, f"{name[:3]}-USDT", name[:3], "USDT") for n, name in enumerate(NAMES)
        ),
        instruments=tuple(
            InstrumentRow(SOURCE.source_id, n, name, 1.0, 1.0, None, None, None, None, False, False)
            for n, name in enumerate(NAMES)
        ),
        directions=(),
        funding=(),
        quarantine=(),
    )


class Bed:
    """A feed of two lines that carry the same, each with a connection that is open."""

    def __init__(
        self, namespace: str, folder: Path, machine: VirtualClock, stack: ExitStack
    ) -> None:
        made = config.load(SHIPPED, environ={"SPREAD_SYSTEM__NAMESPACE": namespace})
        sources: dict[str, SourceSettings] = {
            label: msgspec.structs.replace(source, notices=False)
            for label, source in made.exchanges.items()
        }
        redundant = msgspec.structs.replace(made.feed(SOURCE.label), redundant=2)
        settings = msgspec.structs.replace(
            made,
            folder=folder / "config",
            exchanges=sources,
            config=msgspec.structs.replace(made.config, feeds={SOURCE.label: redundant}),
        )
        publish.publish(settings.generated_dir, tables(), {})
        self.enter = enter = stack.enter_context
        self.namespace = namespace
        self.machine = machine
        self.store = enter(PriceStore.create(namespace, max_symbols=64))
        self.health = enter(Health.create(namespace))
        control = enter(Control.create(namespace))
        process = Process(
            SOURCE.process,
            settings,
            logs.set_up(SOURCE.process),
            enter(self.health.claim(SOURCE.process)),
            enter(control.claim(SOURCE.process)),
        )
        self.writer = enter(self.store.writer(SOURCE.source_id))
        rows = enter(enter(Connections.create(namespace)).claim(SOURCE.source_id))
        gates = enter(Gates(namespace))
        self.feed = Feed(process, SOURCE, self.store, self.writer, rows, gates)
        self.update_id = 0
        self.checked_ms = 0

    def open(self) -> tuple[Connection, Connection]:
        """Both lines, within a running loop."""
        lines = [Line(self.feed._share, NAMES, self.feed._lost) for _ in range(2)]
        self.feed._copies = [[line] for line in lines]
        one, other = (self.connect(line) for line in lines)
        return one, other

    def connect(self, line: Line, *, successor: bool = False) -> Connection:
        share = self.feed._share
        rules = rules_of(share.settings, share.adapter.limits.lifetime_s)
        made = Connection(share, Counts(share.row, None), rules, line._ended)
        made.listener.on_ws_connected(None)  # type: ignore[arg-type]
        made.life.opened_ns = made.listener.opened_ns
        made.subscription.join(NAMES)
        line._stood[made] = Stood()
        if successor:
            line.successor = made
        else:
            line.current = made
        return made

    def quote(self, *connections: Connection, symbols: tuple[int, ...] = (0, 1)) -> None:
        """The same quote on each of these."""
        for symbol in symbols:
            self.update_id += 1
            now_ns = self.store.clock.now_ns()
            for one in connections:
                one.listener.quote(symbol, 1.0, 1.0, 2.0, 1.0, now_ns, self.update_id)

    def run(
        self,
        ms: int,
        *connections: Connection,
        every_ms: int = BUSY_MS,
        symbols: tuple[int, ...] = (0, 1),
        answering: tuple[Connection, ...] = (),
    ) -> None:
        """Time passes: these quote, those answer what they were asked, the feed looks."""
        for passed_ms in range(0, ms, STEP_MS):
            self.machine.advance_ms(STEP_MS)
            if passed_ms % every_ms == 0:
                self.quote(*connections, symbols=symbols)
            for one in answering:
                self.pong(one)
            self.checked_ms += STEP_MS
            if self.checked_ms % CHECK_MS == 0:
                self.feed._check()

    def look(self) -> set[int]:
        """At every symbol, now; who is not heard."""
        return self.feed._marks.look(self.machine.mono_ns(), self.feed._tempo.shared)

    def pong(self, connection: Connection) -> None:
        if connection.pulse._sent:
            payload = struct.pack("<q", connection.pulse._sent[-1])
            push(connection.listener, WSMsgType.PONG, payload)

    def flags(self) -> tuple[QuoteFlag, ...]:
        """Of both symbols, but for what says nothing of whether they can be used."""
        found = [self.store.read(SOURCE.source_id, symbol) for symbol in (0, 1)]
        return tuple(
            QuoteFlag(quote.flags & ~QuoteFlag.OVERDUE) if quote is not None else QuoteFlag.NONE
            for quote in found
        )


GOOD = (QuoteFlag.NONE, QuoteFlag.NONE)
SILENT = (QuoteFlag.SILENT, QuoteFlag.SILENT)
STALE = (QuoteFlag.STALE, QuoteFlag.STALE)


@pytest.fixture
def bed(namespace: str, tmp_path: Path, virtual_clock: VirtualClock) -> Iterator[Bed]:
    virtual_clock.advance_ms(10_000)  # a time of zero is none
    with ExitStack() as stack:
        yield Bed(namespace, tmp_path, virtual_clock, stack)


def played(bed: Bed, act: Callable[[Connection, Connection], None]) -> None:
    """An act with both connections, within a loop that never runs: no timer fires."""

    async def play() -> None:
        act(*bed.open())
        bed.feed._stop()

    asyncio.run(play())


def test_of_two_connections_one_that_is_silent_costs_nothing(bed: Bed) -> None:
    def act(one: Connection, other: Connection) -> None:
        bed.run(3_000, one, other)
        bed.run(1_200, other)
        assert (one.silent, other.silent) == (True, False)
        assert bed.flags() == GOOD
        bed.run(8_000, other)
        assert bed.flags() == GOOD

    played(bed, act)


def test_ids_that_begin_anew_are_believed_though_who_wrote_last_is_silent(bed: Bed) -> None:
    def told(connection: Connection, update_id: int) -> str:
        now_ns = bed.store.clock.now_ns()
        return connection.listener.quote(0, 1.0, 1.0, 2.0, 1.0, now_ns, update_id)

    def act(one: Connection, other: Connection) -> None:
        bed.run(3_000, one, other)
        assert told(one, 10_000) == "stored"
        bed.run(1_200, other, symbols=(1,))
        assert one.silent
        assert told(other, 33) == "reset"
        assert told(other, 34) == "stored"

    played(bed, act)


def test_what_both_carry_is_silent_when_both_are_and_within_1200_ms(bed: Bed) -> None:
    def act(one: Connection, other: Connection) -> None:
        bed.run(3_000, one, other)
        bed.run(1_000)
        assert bed.flags() == GOOD
        bed.run(200)
        assert bed.flags() == SILENT

    played(bed, act)


@pytest.mark.parametrize("after_ms", [0, 100, 200])
def test_a_symbol_is_silent_with_the_first_check_after_its_time(bed: Bed, after_ms: int) -> None:
    """Whenever the last look at everything was, of which every third check is one."""

    def act(one: Connection, other: Connection) -> None:
        bed.run(3_000 + after_ms, one, other, every_ms=CHECK_MS, answering=(one, other))
        bed.quote(one, other)
        for passed_ms in range(0, 30_400, CHECK_MS):
            expected = SILENT[0] if passed_ms > 30_000 else GOOD[0]
            assert bed.flags() == (expected, GOOD[1]), passed_ms
            bed.run(CHECK_MS, one, other, symbols=(1,), every_ms=CHECK_MS, answering=(one, other))

    played(bed, act)


def test_what_only_the_silent_one_has_quoted_is_silent(bed: Bed) -> None:
    """It was acknowledged on the other one too: but who says that it would have changed there?"""

    def act(one: Connection, other: Connection) -> None:
        other.subscription.acknowledged.update(NAMES)
        for _ in range(300):
            bed.run(10, one)
            bed.quote(other, symbols=(1,))
        bed.run(1_200, other, symbols=(1,))
        assert bed.flags() == (QuoteFlag.SILENT, QuoteFlag.NONE)

    played(bed, act)


def test_what_a_silent_connection_leaves_is_silent_until_whoever_has_it_now_quotes_it(
    bed: Bed,
) -> None:
    """Its last news may have been missed: that the other one is well says nothing of it yet."""

    def act(one: Connection, other: Connection) -> None:
        bed.quote(one)
        bed.quote(other, symbols=(0,))
        one.ping()
        bed.run(2_300, other, symbols=(0,))
        assert bed.flags() == (QuoteFlag.NONE, QuoteFlag.SILENT)
        one.leave([NAMES[1]])
        for _ in range(2):
            bed.look()
            assert bed.flags() == (QuoteFlag.NONE, QuoteFlag.SILENT)
        bed.quote(other, symbols=(1,))
        assert bed.flags() == GOOD

    played(bed, act)


def test_an_answer_lifts_the_mark_of_a_quiet_line_and_not_of_a_busy_one(bed: Bed) -> None:
    """A quiet line may have nothing to say. A busy one that only answers pings has stopped."""

    def act(one: Connection, other: Connection) -> None:
        for every_ms, lifted in ((QUIET_MS, True), (BUSY_MS, False)):
            bed.run(20_000, one, other, every_ms=every_ms, answering=(one, other))
            assert bed.flags() == GOOD
            bed.run(2_500)
            assert bed.flags() == SILENT
            bed.run(200, answering=(one,))
            assert one.silent is not lifted
            assert other.silent, "it has not answered"
            assert bed.flags() == (GOOD if lifted else SILENT)
            bed.run(500, one, other, answering=(one, other))
            assert bed.flags() == GOOD

    played(bed, act)


def test_the_first_frames_of_a_backlog_lift_no_mark(bed: Bed) -> None:
    """Who was pinged is believed when the answer is there: all that was under way has arrived."""

    def act(one: Connection, other: Connection) -> None:
        bed.run(3_000, one, other)
        one.ping()
        bed.run(100, one, other, answering=(one,))
        bed.run(2_500)
        assert bed.flags() == SILENT
        bed.run(50, one)
        bed.feed._check()
        bed.look()
        assert one.silent
        assert bed.flags() == SILENT
        bed.run(300, one, answering=(one,))
        assert bed.flags() == GOOD

    played(bed, act)


def test_what_is_read_after_a_stop_of_ours_is_silent_from_its_first_frame(bed: Bed) -> None:
    """Binance spot's quotes carry no time: nothing else tells that they are a minute old."""

    def act(one: Connection, other: Connection) -> None:
        def backlog() -> None:
            for symbol in (0, 1):
                bed.update_id += 1
                one.listener.quote(symbol, 1.0, 1.0, 2.0, 1.0, TS_ABSENT, bed.update_id)
            unusable = [flags & ~QuoteFlag.NO_TS_EVENT for flags in bed.flags()]
            assert unusable == list(SILENT)

        one.ping()
        bed.run(3_000, one, other, answering=(one, other))
        bed.machine.advance_ms(60_000)
        backlog()  # the sockets come before the timers
        bed.feed._check()
        for _ in range(20):
            bed.machine.advance_ms(10)
            backlog()
        bed.run(300, one, answering=(one,))
        assert bed.flags() == GOOD

    played(bed, act)


def test_what_a_connection_that_is_behind_brings_is_good_once_the_other_one_has_said_it(
    bed: Bed,
) -> None:
    def act(one: Connection, other: Connection) -> None:
        def brought_by(connection: Connection, update_id: int) -> list[QuoteFlag]:
            for symbol in (0, 1):
                connection.listener.quote(symbol, 1.0, 1.0, 2.0, 1.0, TS_ABSENT, update_id)
            return [flags & ~QuoteFlag.NO_TS_EVENT for flags in bed.flags()]

        one.ping()
        bed.run(3_000, one, other, answering=(one, other))
        bed.run(2_300, other)
        assert (one.listener.behind, other.listener.behind) == (True, False)
        assert brought_by(one, 10_000) == list(SILENT), "the other one may be about to say more"
        assert brought_by(other, 10_000) == list(GOOD)
        assert brought_by(one, 10_001) == list(SILENT)
        bed.look()
        assert brought_by(one, 10_001) == list(GOOD)
        bed.update_id = 20_000
        bed.quote(one)
        assert bed.flags() == GOOD, "it has a time, which tells how old it is"
        assert brought_by(one, 30_000) == list(SILENT)
        one.listener.behind = False
        bed.look()
        assert brought_by(one, 30_000) == list(GOOD)

    played(bed, act)


@pytest.mark.parametrize(
    ("why", "expected"),
    [(End.SWAPPED, GOOD), (End.LOST, STALE), (End.FROZEN, STALE), (End.UNHEARD, STALE)],
)
def test_at_a_planned_swap_what_the_successor_has_not_quoted_yet_stays_good(
    bed: Bed, why: End, expected: tuple[QuoteFlag, ...]
) -> None:
    """The old one was well until the end, so nothing has changed since; of a lost one nobody knows.

    One line alone: the other one's connection is gone before.
    """

    def act(one: Connection, other: Connection) -> None:
        bed.run(3_000, one, other)
        other.end(End.LOST)
        assert bed.flags() == GOOD
        successor = bed.connect(bed.feed._copies[0][0], successor=True)
        successor.subscription.acknowledged.update(NAMES)
        one.end(why)
        assert bed.flags() == expected
        bed.quote(successor)
        assert bed.flags() == GOOD

    played(bed, act)


def test_what_a_successor_has_no_room_for_is_carried_on_by_the_old_connection(bed: Bed) -> None:
    """Another line asks for it; until the swap the old one says what changes, and then nobody."""

    def act(one: Connection, other: Connection) -> None:
        line = bed.feed._copies[0][0]
        other.end(End.LOST)
        bed.quote(one)
        successor = bed.connect(line, successor=True)
        bed.quote(successor, symbols=(0,))
        successor.subscription.overflow = [NAMES[1]]
        assert line.take_overflow() == [NAMES[1]]
        assert line.symbols == [NAMES[0]]
        assert list(one.subscription.wanted) == list(NAMES)
        assert list(successor.subscription.wanted) == [NAMES[0]]
        assert bed.flags() == GOOD
        one.end(End.SWAPPED)
        assert bed.flags() == (QuoteFlag.NONE, QuoteFlag.STALE)

    played(bed, act)


def succeeding(bed: Bed, one: Connection, other: Connection) -> tuple[Line, Connection]:
    """The first line, on which `one` is to be followed by a connection that quotes one symbol."""
    line = bed.feed._copies[0][0]
    bed.run(1_000, one, answering=(one,))
    other.end(End.LOST)
    successor = bed.connect(line, successor=True)
    bed.quote(successor, symbols=(0,))
    return line, successor


@pytest.mark.parametrize("why", ["refused", "no room"])
def test_the_old_connection_goes_on_while_good_quotes_rest_on_it_alone(bed: Bed, why: str) -> None:
    """Its successor is refused a symbol, or has no room for it: it takes over when somebody has it,
    or when the old one says nothing of it that is good.
    """

    def act(one: Connection, other: Connection) -> None:
        beside = bed.feed._copies[1][0]
        line, successor = succeeding(bed, one, other)
        successor.subscription.acknowledged.add(NAMES[0])
        if why == "refused":
            far_ns = bed.machine.mono_ns() + 3_600 * 10**9
            successor.subscription.refused[NAMES[1]] = Refusal(1, far_ns, bed.machine.mono_ns())
        else:
            successor.subscription.overflow = [NAMES[1]]
            line.take_overflow()
        assert successor.ready

        bed.run(3_000, one, answering=(one, successor))

        assert line.current is one
        assert bed.flags() == GOOD

        again = bed.connect(beside)
        bed.quote(again, symbols=(1,))
        bed.run(1_000, one, answering=(one, successor, again))
        assert line.current is successor
        assert bed.flags() == GOOD

    played(bed, act)


def test_the_old_connection_goes_on_while_it_quotes_what_its_successor_does_not(bed: Bed) -> None:
    """Whatever the successor was answered: it may have been the answer to another request."""

    def act(one: Connection, other: Connection) -> None:
        line, successor = succeeding(bed, one, other)
        successor.subscription.acknowledged.update(NAMES)
        successor.subscription.unproven[NAMES[1]] = bed.machine.mono_ns()
        bed.machine.advance_ms(1_100)
        bed.quote(one)
        assert not successor.ready

        bed.quote(successor, symbols=(1,))
        assert successor.ready
        bed.run(1_000, one, successor, answering=(one, successor))
        assert line.current is successor
        assert bed.flags() == GOOD

    played(bed, act)


def test_a_quote_that_is_not_good_keeps_no_connection(bed: Bed) -> None:
    """Whoever is refused by the successor and stale on the old one loses nothing by the swap."""

    def act(one: Connection, other: Connection) -> None:
        line, successor = succeeding(bed, one, other)
        far_ns = bed.machine.mono_ns() + 3_600 * 10**9
        successor.subscription.refused[NAMES[1]] = Refusal(1, far_ns, bed.machine.mono_ns())
        bed.writer.mark_stale(np.array([1], np.uint16))
        bed.run(1_000, one, symbols=(0,), answering=(one, successor))
        assert line.current is successor

    played(bed, act)


def test_what_a_connection_has_no_room_for_any_more_is_stale_unless_another_one_quotes_it(
    bed: Bed,
) -> None:
    """Asked for again because it was quiet, and others have taken the room meanwhile."""

    def act(one: Connection, other: Connection) -> None:
        for also in (True, False):
            if not also:
                other.end(End.LOST)
            bed.quote(one)
            if also:
                bed.quote(other)
            one.subscription.overflow = [NAMES[1]]
            assert bed.feed._copies[0][0].take_overflow() == [NAMES[1]]
            assert bed.flags() == (GOOD if also else (QuoteFlag.NONE, QuoteFlag.STALE))
            bed.feed._copies[0][0].join([NAMES[1]])

    played(bed, act)


def test_a_symbol_is_carried_once_by_a_line_however_often_it_joins(bed: Bed) -> None:
    """One on its way to another line may be sent there again, as it does not quote."""

    def act(one: Connection, other: Connection) -> None:
        line = bed.feed._copies[0][0]
        line.join(NAMES)
        assert line.symbols == list(NAMES)

    played(bed, act)


def test_a_successor_that_is_silent_covers_nothing(bed: Bed) -> None:
    def act(one: Connection, other: Connection) -> None:
        bed.run(3_000, one, other)
        other.end(End.LOST)
        successor = bed.connect(bed.feed._copies[0][0], successor=True)
        bed.quote(successor)
        successor.silent = True
        one.end(End.SWAPPED)
        assert bed.flags() == STALE

    played(bed, act)


def test_of_a_lost_connection_only_what_nobody_else_has_quoted_is_stale(bed: Bed) -> None:
    def act(one: Connection, other: Connection) -> None:
        bed.quote(one)
        bed.quote(other, symbols=(1,))
        one.end(End.LOST)
        assert bed.flags() == (QuoteFlag.STALE, QuoteFlag.NONE)

    played(bed, act)


@pytest.mark.parametrize("also", [False, True])
def test_what_is_refused_after_it_has_quoted_is_stale_unless_another_one_quotes_it(
    bed: Bed, also: bool
) -> None:
    """Asked for again because it was quiet, and refused: nobody says any more when it changes."""

    def act(one: Connection, other: Connection) -> None:
        bed.quote(one)
        bed.quote(other, symbols=(0, 1) if also else (1,))
        one._take(Refused("", NAMES[:1], "", "no such thing", RefusalKind.SYMBOL))
        assert bed.flags() == (GOOD if also else (QuoteFlag.STALE, QuoteFlag.NONE))
        assert bed.feed._marks.good() == (2 if also else 1)
        other.end(End.LOST)
        assert bed.flags() == (QuoteFlag.STALE, QuoteFlag.NONE)
        bed.quote(one)
        assert bed.flags() == GOOD

    played(bed, act)


def test_a_symbol_is_good_that_is_quoted_wanted_heard_and_can_be_used(bed: Bed) -> None:
    def good() -> int:
        return bed.health.read(SOURCE.process).counters["good_symbols"]

    def act(one: Connection, other: Connection) -> None:
        bed.run(1_500)
        assert good() == 0
        bed.run(1_500, one, symbols=(0,))
        assert good() == 1
        bed.run(1_500, one, other)
        assert good() == 2
        one.leave(NAMES[:1])
        other.leave(NAMES[:1])
        bed.run(1_500, one, other, symbols=(1,))
        assert good() == 1
        bed.run(3_000)
        assert bed.flags()[1] is QuoteFlag.SILENT
        assert good() == 0

    played(bed, act)


def test_a_symbol_that_falls_silent_alone_is_marked_and_unmarked_alone(bed: Bed) -> None:
    def act(one: Connection, other: Connection) -> None:
        bed.run(5_000, one, other)
        bed.run(31_000, one, other, every_ms=100, symbols=(1,))
        assert bed.flags() == (QuoteFlag.SILENT, QuoteFlag.NONE)
        assert bed.look() == {0}, "asking again may help"
        bed.run(300, one, other)
        assert bed.flags() == GOOD

    played(bed, act)


def test_a_second_silence_is_noticed_as_soon_as_the_first(bed: Bed) -> None:
    """The feed asks for it anew by itself; what it was silent for until then taught it nothing."""

    def act(one: Connection, other: Connection) -> None:
        both = (one, other)
        bed.run(5_000, *both, every_ms=100, answering=both)
        board = bed.feed._share.board
        usual_ns = float(board.mean_ns[0])
        bed.run(33_000, *both, every_ms=100, symbols=(1,), answering=both)
        assert bed.flags() == (QuoteFlag.SILENT, QuoteFlag.NONE)
        for subscribes in (False, True):  # it is unsubscribed, and asked for anew
            one._take(Ack("", NAMES[:1], subscribes))
            bed.run(300, *both, every_ms=100, symbols=(1,), answering=both)
        assert bed.flags() == (QuoteFlag.SILENT, QuoteFlag.NONE), "asking lifts no mark"
        bed.run(300, *both, every_ms=100, answering=both)
        assert bed.flags() == GOOD
        assert float(board.mean_ns[0]) < 2 * usual_ns
        assert float(board.news_mean_ns[0]) < 2 * usual_ns
        bed.run(31_000, *both, every_ms=100, symbols=(1,), answering=both)
        assert bed.flags() == (QuoteFlag.SILENT, QuoteFlag.NONE)

    played(bed, act)


def test_a_time_in_which_nothing_could_be_heard_teaches_no_rate(bed: Bed) -> None:
    """A line that stands still for eight seconds and goes on: neither its symbols nor itself have
    become slower, nor is the market.
    """

    def act(one: Connection, other: Connection) -> None:
        both = (one, other)
        bed.run(40_000, *both, every_ms=100, answering=both)
        board = bed.feed._share.board
        bed.run(8_000)
        assert (one.deaf, other.deaf, bed.flags()) == (True, True, SILENT)
        assert bed.feed._tempo.shared < 2.0
        bed.run(200, *both, every_ms=100, answering=both)
        assert bed.flags() == GOOD
        for mean_ns in (*board.mean_ns[:2], *board.news_mean_ns[:2], one.listener.mean_read_ns):
            assert float(mean_ns) < 150_000_000
        assert not one.deaf

    played(bed, act)


def test_other_limits_hold_for_what_stands_too(bed: Bed) -> None:
    """A reload brings them: no quote has to come for that. One that was judged otherwise than by
    its time, as a first quote is, keeps its flags."""

    def flags(symbol: int) -> QuoteFlag:
        quote = bed.store.read(SOURCE.source_id, symbol)
        assert quote is not None
        return QuoteFlag(quote.flags)

    def reload(**limits: object) -> None:
        settings = bed.feed._process.settings
        feed = msgspec.structs.replace(settings.feed(SOURCE.label), **limits)
        made = msgspec.structs.replace(settings.config, feeds={SOURCE.label: feed})
        bed.feed._prepared(msgspec.structs.replace(settings, config=made))()

    def quote(connection: Connection, symbol: int, lag_ms: int, engine_ms: int) -> None:
        bed.update_id += 1
        told_ns = bed.store.clock.now_ns() - lag_ms * 10**6
        connection.listener.quote(
            symbol, 1.0, 1.0, 2.0, 1.0, told_ns, bed.update_id, told_ns - engine_ms * 10**6
        )

    def act(one: Connection, other: Connection) -> None:
        bed.run(20_000, one, other, every_ms=100, answering=(one, other))
        quote(one, 0, 1_500, 0)
        bed.feed._marks.stale(np.array([1], np.uint16))
        quote(one, 1, 0, 10_000)
        assert (flags(0), flags(1)) == GOOD
        for lag_ms_max, found in ((1_000, QuoteFlag.LAGGING), (2_000, QuoteFlag.NONE)):
            reload(lag_ms_max=lag_ms_max)
            assert (flags(0), flags(1)) == (found, QuoteFlag.NONE)
        bed.run(9_000, one, other, symbols=(1,), every_ms=100, answering=(one, other))
        assert flags(0) == QuoteFlag.OVERDUE
        reload(silent_intervals_max=500.0)
        assert flags(0) == QuoteFlag.NONE
        reload(silent_intervals_max=20.0)
        assert flags(0) == QuoteFlag.OVERDUE

    played(bed, act)


def test_after_a_stop_of_ours_everything_is_silent_until_somebody_has_answered(bed: Bed) -> None:
    """What stands in the sockets' buffers is of before; one answer of two is enough."""

    def act(one: Connection, other: Connection) -> None:
        one.ping()
        bed.run(3_000, one, other, answering=(one, other))
        bed.machine.advance_ms(1_500)
        bed.feed._check()
        assert (one.silent, other.silent, bed.flags()) == (True, True, SILENT)
        bed.run(200, one, other)
        bed.look()
        assert one.silent
        bed.run(300, one, other, answering=(one,))
        assert (one.silent, bed.flags()) == (False, GOOD)

    played(bed, act)


# --- looking


def test_a_feed_checks_its_connections_each_100_ms(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As shipped: how long a dead connection is believed is counted in these."""

    async def live() -> list[float]:
        bed.open()
        asked: list[float] = []
        loop = asyncio.get_running_loop()

        def later(delay_s: float, call: Callable[[], None]) -> None:
            if call == bed.feed._check:
                asked.append(delay_s)

        monkeypatch.setattr(loop, "call_later", later)
        for _ in range(3):
            bed.machine.advance_ms(CHECK_MS)
            bed.feed._check()
        return asked

    assert asyncio.run(live()) == [CHECK_MS / 1_000] * 3


@pytest.mark.parametrize(
    ("found_quiet", "heard", "wait_s"),
    [(False, False, 60), (True, False, 1_800), (False, True, 900), (True, True, 1_800)],
    ids=["no quote yet", "no quote yet, found quiet", "one quote", "one quote, found quiet"],
)
def test_as_shipped_who_does_not_quote_is_waited_for_so_long(
    bed: Bed, found_quiet: bool, heard: bool, wait_s: int
) -> None:
    instruments = bed.feed._share.instruments
    for name, row in instruments.items():
        instruments[name] = msgspec.structs.replace(row, quiet=found_quiet)

    def act(one: Connection, other: Connection) -> None:
        now_ns = bed.machine.mono_ns
        one.subscription.next_request(now_ns())
        one.subscription.answered(Ack("1", NAMES), now_ns())
        if heard:
            bed.quote(one)
            one.watch.look(now_ns())
        bed.machine.advance_ms(1_000 * wait_s - 1)
        assert one.watch.unheard(now_ns(), ()) == []
        bed.machine.advance_ms(1)
        assert set(one.watch.unheard(now_ns(), ())) == set(NAMES)

    played(bed, act)


def test_an_outage_of_all_connections_is_said_in_few_lines(bed: Bed) -> None:
    """What was lost first, how many more, and that it is over."""
    lines: list[dict[str, object]] = []
    bed.feed._share.outages = OutageLog(
        lambda _level, event, **what: lines.append({"event": event, **what})
    )

    def act(one: Connection, other: Connection) -> None:
        bed.run(1_000, one, other)
        one.end(End.LOST)
        other.end(End.LOST)
        assert [line["event"] for line in lines] == ["connection ended", "dialling again"]
        lines.clear()
        bed.run(70_000)
        assert [(line["event"], line["more"]) for line in lines] == [
            ("connection ended", 1), ("dialling again", 1),
        ]  # fmt: skip
        assert lines[0]["symbols"] == len(NAMES)
        lines.clear()
        back = [bed.connect(copy[0]) for copy in bed.feed._copies]
        bed.run(1_000, *back)
        assert lines == [], "they have to have stood for a while"
        bed.run(CALM_NS // 10**6, *back)
        assert [line["event"] for line in lines] == ["all connections stand again"]

    played(bed, act)


@pytest.mark.parametrize("slow_s", [0, 60], ids=["usual market", "slow market"])
@pytest.mark.parametrize(
    ("every_ms", "answers", "bound_ms"),
    [(QUIET_MS, False, 2_000), (BUSY_MS, False, 1_000), (BUSY_MS, True, 1_000)],
    ids=["slow and gone", "busy and gone", "busy, only the streams stand still"],
)
def test_lines_that_freeze_together_excuse_nobody_beyond_the_bound(
    bed: Bed, slow_s: int, every_ms: int, answers: bool, bound_ms: int
) -> None:
    """Each is the other's sibling, by whose pace the market counts as slow; that makes longer how
    long a quiet stream is believed, and not how long who answers nothing is, nor a busy one."""

    def act(one: Connection, other: Connection) -> None:
        both = (one, other)
        bed.run(40_000, *both, every_ms=every_ms, answering=both)
        bed.run(slow_s * 1_000, *both, every_ms=3 * every_ms, answering=both)
        assert bed.flags() == GOOD
        passed_ms = 0
        while bed.flags() != SILENT:
            bed.run(CHECK_MS, answering=both if answers else ())
            passed_ms += CHECK_MS
            assert passed_ms <= bound_ms + 3 * every_ms + 2 * CHECK_MS

    played(bed, act)


def test_streams_that_stand_still_together_are_no_slow_market(bed: Bed) -> None:
    """Both answer their pings: each is believed for fifty of its own intervals, as if it were the
    only one."""

    def act(one: Connection, other: Connection) -> None:
        both = (one, other)
        bed.run(40_000, *both, every_ms=100, answering=both)
        bed.run(2_000, answering=both)
        assert bed.flags() == GOOD
        bed.run(4_000, answering=both)
        assert bed.flags() == SILENT

    played(bed, act)
