"""Cycles while they stand, and the looks after them."""

from spread_scanner.paths.standing import CycleKey, StandingCycles

KEY, OTHER = CycleKey("SOL", ("a", "b")), CycleKey("SOL", ("b", "c"))


def test_a_look_comes_once_when_its_slot_is_over_whatever_became_of_the_cycle() -> None:
    cycles = StandingCycles(5)
    one = cycles.found(KEY, 100, 50, 0.5, 1)
    assert one.id == 5
    assert cycles.due(50) == cycles.due(51) == []
    assert cycles.due(52) == [(one, 1)]
    assert cycles.due(52) == []
    cycles.ended(one)
    assert cycles.get(KEY) is None
    assert cycles.due(60) == [(one, 2), (one, 5)]
    assert cycles.due(99) == []


def test_what_is_found_again_is_another_one() -> None:
    cycles = StandingCycles(1)
    first = cycles.found(KEY, 100, 50, 0.5, 1)
    cycles.seen(first, 53, 0.75, 2)
    cycles.seen(first, 54, 0.25, 3)
    assert (first.best_net_sol, first.last_slot) == (0.75, 54)
    cycles.found(OTHER, 100, 50, 0.5, 1)
    assert [one.key for one in cycles.over(["a"])] == [KEY]
    assert len(cycles.over(["b"])) == len(cycles) == 2
    cycles.ended(first)
    assert cycles.found(KEY, 90, 55, 0.1, 4).id == 3
