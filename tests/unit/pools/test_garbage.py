"""Cycles go when there is time, the old ones a minute later at the latest."""

import gc
import weakref
from collections.abc import Iterator

import pytest
from bench_pools import HERE, MAKERS, MINTS, POOL, SLOT, UNIX_TS

from spread_scanner import solana
from spread_scanner.clock import NS_PER_S
from spread_scanner.pools.garbage import ALL_NS, GarbageTurns
from spread_scanner.solana.pool import quote_of


class Knot:
    """An object that only the collector frees."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def turns() -> Iterator[GarbageTurns]:
    made = GarbageTurns(NS_PER_S)
    yield made
    made.end()


def test_nothing_is_collected_in_between_and_all_of_it_in_the_end(turns: GarbageTurns) -> None:
    gone = weakref.ref(Knot())
    kept = [[number] for number in range(10 * gc.get_threshold()[0])]
    assert gone() is not None, "whoever makes objects waits for nobody"
    turns.rest(NS_PER_S)
    assert gone() is None
    knot = Knot()
    old = weakref.ref(knot)
    for generation in (0, 1):
        gc.collect(generation)
    del knot
    turns.rest(NS_PER_S)
    assert old() is not None
    turns.rest(NS_PER_S + ALL_NS)
    assert old() is None
    assert kept


def test_who_ends_leaves_it_to_the_interpreter() -> None:
    GarbageTurns(0).end()
    assert gc.isenabled()
    assert not gc.get_freeze_count()


@pytest.mark.parametrize("program", MAKERS)
def test_a_pool_that_was_quoted_and_has_moved_waits_for_no_collector(
    program: str, turns: GarbageTurns
) -> None:
    pool = solana.assemble(POOL, MAKERS[program](HERE))
    for mint_in in MINTS:
        for by_input in (True, False):
            quote_of(pool, mint_in, 10**9, by_input, UNIX_TS, SLOT)
    gone = weakref.ref(pool)
    del pool
    assert gone() is None
