"""Cycles go when there is time, the old ones a minute later at the latest."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from spread_scanner.clock import NS_PER_S
from spread_scanner.pools.garbage import ALL_NS, GarbageTurns


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
