"""Pauses between tries, and allowances."""

import random

from hypothesis import given
from hypothesis import strategies as st

from spread_scanner.clock import NS_PER_S
from spread_scanner.runtime.backoff import Allowance, Backoff


def test_pauses_double_up_to_the_cap_and_fall_by_half_with_each_standing_connection() -> None:
    backoff = Backoff(0.25, 3.0, rand=lambda: 1.0)

    assert [backoff.next_s() for _ in range(60)][:6] == [0.25, 0.5, 1.0, 2.0, 3.0, 3.0]
    pauses = []
    for _ in range(4):
        backoff.stood()
        pauses.append(backoff.next_s())
        backoff.failures -= 1
    assert pauses == [1.0, 0.5, 0.25, 0.25]


@given(failures=st.integers(0, 5_000), seed=st.integers())
def test_a_pause_lies_between_half_and_all_of_its_span_for_ever(failures: int, seed: int) -> None:
    backoff = Backoff(0.1, 30.0, rand=random.Random(seed).random)
    backoff.failures = failures

    pause_s = backoff.next_s()

    span_s = min(30.0, 0.1 * 2.0 ** min(failures, 32))
    assert span_s / 2 <= pause_s <= span_s


def test_a_cap_below_the_first_pause_does_not_shorten_it() -> None:
    assert Backoff(5.0, 1.0, rand=lambda: 1.0).next_s() == 5.0


def test_an_allowance_comes_back_as_its_uses_grow_old() -> None:
    allowance = Allowance(2, 10.0)
    for used_s in (100, 104):
        assert allowance.wait_s(used_s * NS_PER_S) == 0.0
        allowance.use(used_s * NS_PER_S)

    assert allowance.wait_s(104 * NS_PER_S) == 6.0
    assert allowance.wait_s(110 * NS_PER_S) == 0.0
    allowance.use(110 * NS_PER_S)
    assert allowance.wait_s(111 * NS_PER_S) == 3.0


def test_no_allowance_means_no_limit() -> None:
    allowance = Allowance(None, 10.0)
    for _ in range(1_000):
        assert allowance.wait_s(0) == 0.0
        allowance.use(0)
