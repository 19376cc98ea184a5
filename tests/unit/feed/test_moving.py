"""Lines come to other settings: nothing is stale by a move, and what cannot move goes on as it is.

The feed, its lines and connections are whole, on a clock that moves when told to; their listeners
are given quotes by hand and no socket stands behind them. What a line dials is put in its place by
the test, as it is never reached. Settings as shipped.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from test_marks import GOOD, NAMES, Bed

from spread_scanner.clock import VirtualClock
from spread_scanner.exchanges.notices import Halted
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.line import Line
from spread_scanner.feed.moving import Moving
from spread_scanner.feed.share import Target
from spread_scanner.runtime.life import End


class Move:
    """A bed's feed and its copies, and what is told to come to other settings."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.share = bed.feed._share
        self.copies = bed.feed._copies
        self.moving = bed.feed._moving = Moving(self.share, self.new_lines)
        self.made: list[Line] = []

    def new_lines(self, cut: list[list[str]]) -> list[Line]:
        lines = [Line(self.share, symbols, self.bed.feed._lost) for symbols in cut]
        self.made += lines
        return lines

    def set(self, *, redundant: int | None = None, topics_max: int | None = None) -> None:
        share = self.share
        if redundant is not None:
            share.settings = msgspec.structs.replace(share.settings, redundant=redundant)
        if topics_max is not None:
            limits = share.adapter.limits._replace(topics_per_connection_max=topics_max)
            share.adapter.limits = limits
        self.moving.reshape(self.copies)

    def look(self) -> int:
        return self.moving.look(self.copies)


@pytest.fixture
def bed(namespace: str, tmp_path: Path, virtual_clock: VirtualClock) -> Iterator[Bed]:
    virtual_clock.advance_ms(10_000)  # a time of zero is none
    with ExitStack() as stack:
        yield Bed(namespace, tmp_path, virtual_clock, stack)


def played(bed: Bed, act: Callable[[Move, Connection, Connection], None]) -> None:
    """An act with the connections of two copies, within a loop that never runs."""

    async def play() -> None:
        one, other = bed.open()
        act(Move(bed), one, other)
        bed.feed._stop()
        for task in list(bed.feed._share.tasks):
            task.cancel()
        await asyncio.sleep(0)

    asyncio.run(play())


def test_a_copy_too_many_goes_when_the_other_one_stands_behind_all_of_it(bed: Bed) -> None:
    def act(move: Move, one: Connection, other: Connection) -> None:
        bed.quote(one, symbols=(0,))
        bed.quote(other)
        move.set(redundant=1)
        assert len(move.copies) == 1
        assert move.look() == 1, "of the second symbol nobody else has quoted"
        assert other.ended is None
        assert other.subscription.wanted == dict.fromkeys(NAMES[1:])
        assert bed.flags() == GOOD
        bed.quote(one, symbols=(1,))
        assert move.look() == 0
        assert other.ended is End.STOPPED
        assert move.moving.retired == []
        assert bed.flags() == GOOD

    played(bed, act)


def test_what_is_beyond_a_new_limit_leaves_when_its_new_line_quotes_it(bed: Bed) -> None:
    def act(move: Move, one: Connection, other: Connection) -> None:
        del move.copies[1:]
        bed.quote(one)
        move.set(redundant=1, topics_max=1)
        old, new = move.copies[0]
        assert (old.symbols, new.symbols) == (list(NAMES), [NAMES[1]])
        assert move.look() == 1
        successor = bed.connect(new)
        successor.leave(NAMES[:1])
        assert move.look() == 1, "it is connected, and has said nothing"
        bed.quote(successor, symbols=(1,))
        assert move.look() == 0
        assert (old.symbols, list(one.subscription.wanted)) == ([NAMES[0]], [NAMES[0]])
        assert bed.flags() == GOOD

    played(bed, act)


@pytest.mark.parametrize("on_its_way", [False, True])
def test_ids_may_begin_anew_where_a_symbol_has_moved_to(
    bed: Bed, virtual_clock: VirtualClock, on_its_way: bool
) -> None:
    """Who carried it before goes on with other symbols, and was the last to write it."""

    def told(connection: Connection, update_id: int) -> str:
        virtual_clock.advance_ms(1_500)
        now_ns = bed.store.clock.now_ns()
        return connection.listener.quote(0, 1.0, 1.0, 2.0, 1.0, now_ns, update_id)

    def act(move: Move, one: Connection, other: Connection) -> None:
        assert [told(one, 1_000), told(other, 1_000), told(other, 900)] == [
            "stored", "repeat", "out of order",
        ]  # fmt: skip
        one.leave(NAMES[:1])
        if on_its_way:
            assert told(one, 1_001) == "stored"
        assert not one.watch.quoted(NAMES[0])
        assert told(other, 33) == "reset"
        one.join(NAMES[:1])
        assert told(one, 34) == "stored"
        assert one.watch.quoted(NAMES[0])
        assert told(other, 5) == "out of order", "the other one carries it, and wrote it last"

    played(bed, act)


def lines_are_merged(bed: Bed, move: Move, one: Connection, other: Connection) -> None:
    """Two lines of one copy, a symbol each, for which one is enough."""
    (kept,), (merged,) = move.copies
    del move.copies[1:]
    move.copies[0].append(merged)
    kept.leave(NAMES[1:])
    merged.leave(NAMES[:1])
    bed.quote(one, symbols=(0,))
    bed.quote(other, symbols=(1,))
    move.set(redundant=1, topics_max=50)


def test_lines_that_fit_into_one_become_one(bed: Bed) -> None:
    def act(move: Move, one: Connection, other: Connection) -> None:
        lines_are_merged(bed, move, one, other)
        assert sorted(len(line.symbols) for line in move.copies[0]) == [1, 2]
        assert move.look() == 1
        gone, stays = sorted((one, other), key=lambda each: len(each.subscription.wanted))
        bed.quote(stays)
        assert move.look() == 0
        assert [line.symbols for line in move.copies[0]] == [list(stays.subscription.wanted)]
        assert gone.ended is End.STOPPED
        assert bed.flags() == GOOD

    played(bed, act)


@pytest.mark.parametrize("unmoved", [True, False])
def test_what_could_not_move_and_is_to_come_back_stays_where_it_is(bed: Bed, unmoved: bool) -> None:
    """Lines are merged, one symbol is refused where it is to go, and lines are cut again."""

    def act(move: Move, one: Connection, other: Connection) -> None:
        lines_are_merged(bed, move, one, other)
        assert move.look() == 1
        to, away = sorted(move.copies[0], key=lambda line: -len(line.symbols))
        (late,) = away.symbols
        if unmoved:
            to.leave([late])  # it had no room there, or was asked for where it was
        else:
            to.symbols.sort(key=lambda symbol: symbol == late)
            move.set(topics_max=1)
        assert move.look() == 0, "the line on which it quotes keeps it"
        assert sorted(line.symbols for line in move.copies[0]) == [[name] for name in sorted(NAMES)]
        assert bed.flags() == GOOD

    played(bed, act)


def test_another_address_calls_for_successors_and_counts_what_has_none_yet(bed: Bed) -> None:
    def act(move: Move, one: Connection, other: Connection) -> None:
        bed.quote(one, other)
        late = bed.connect(move.copies[0][0], successor=True)
        move.share.target = Target("wss://elsewhere.test/", "", move.share.target.channel)
        assert move.look() == 2
        assert late.ended is End.STOPPED, "it was opened for the old address"
        assert (one.life.notice, other.life.notice) == (True, True)
        assert (one.ended, bed.flags()) == (None, GOOD)
        for line, old in ((move.copies[0][0], one), (move.copies[1][0], other)):
            bed.quote(bed.connect(line, successor=True))
            old.end(End.SWAPPED)
        assert move.look() == 0
        assert bed.flags() == GOOD

    played(bed, act)


def test_symbols_that_left_the_tables_keep_no_line_waiting(bed: Bed) -> None:
    def act(move: Move, one: Connection, other: Connection) -> None:
        bed.quote(one, other)
        move.set(redundant=1)
        one.silent = True  # so nobody takes over from the other one
        del move.share.instruments[NAMES[0]]
        move.copies[0][0].leave(NAMES[:1])
        move.moving.forget_what_left()
        (retired,) = move.moving.retired
        assert retired.symbols == [NAMES[1]]

    played(bed, act)


def test_a_coin_that_is_halted_keeps_no_line_of_a_copy_too_many(bed: Bed) -> None:
    """A halt is no reload: nobody comes to other settings by it."""

    def act(move: Move, one: Connection, other: Connection) -> None:
        bed.quote(other)
        move.set(redundant=1)
        one.silent = True  # so nobody takes over from the other one
        bed.feed._announced([Halted(name, "SETTLING") for name in NAMES])
        assert move.look() == 0
        assert move.moving.retired == []
        assert other.ended is End.STOPPED

    played(bed, act)
