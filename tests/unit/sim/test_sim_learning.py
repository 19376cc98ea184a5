"""What the truth takes to be usual while it is learned: between its bounds, whatever was missed."""

import itertools

import numpy as np
import pytest

from bed import seed
from spread_scanner.sim.learning import Bounds, Learned, Learning
from spread_scanner.sim.reckoning import Usual

HALF_LIFE_S, TRUST_S = 4.0, 2.0
SAID = Usual(-5.0, -2.0)
PARITY = Bounds(-2.5, -1.5)


def learning(*, watched: bool = True) -> Learning:
    made = Learning(HALF_LIFE_S, TRUST_S)
    made.watched = watched
    return made


def close_of(values: list[float | None]) -> tuple[float, float]:
    """Weight, and what closing counts for, of looks one a second; None: there was none."""
    weight = 1 / (1 - 2 ** (-1 / HALF_LIFE_S))
    total, parity = weight * SAID.exit_bps, weight * SAID.parity_bps
    for value in values:
        weight, total, parity = (one * 2 ** (-1 / HALF_LIFE_S) for one in (weight, total, parity))
        if value is not None:
            weight, total, parity = weight + 1, total + value, parity + PARITY.high
    return weight, min(total / weight, parity / weight)


def test_whatever_was_seen_or_missed_lies_within() -> None:
    number = seed()
    random = np.random.default_rng(number)
    for _ in range(20):
        seconds = [
            (float(random.normal(-5, 20)), float(random.uniform(0, 3)), bool(random.random() < 0.6))
            for _ in range(6)
        ]
        learned = Learned(learning(), SAID)
        for low, width, sure in seconds:
            learned.pass_second(Bounds(low, low + width), PARITY, sure=sure)
        choices = [[low, low + width, *([] if sure else [None])] for low, width, sure in seconds]
        for values in itertools.product(*choices):
            weight, close = close_of(list(values))
            assert learned.close.low - 1e-9 <= close <= learned.close.high + 1e-9
            assert not learned.trusted or weight >= TRUST_S


def test_what_is_known_for_sure_has_little_room_once_nobody_can_be_late() -> None:
    made = learning()
    learned = Learned(made, SAID)
    values = [-5.0 + second for second in range(8)]
    for value in values:
        learned.pass_second(Bounds(value, value), Bounds(-1.5, -1.5), sure=True)
    for _ in range(made.standing):
        learned.pass_second(Bounds(2.0, 2.0), Bounds(-1.5, -1.5), sure=True)
    _, close = close_of([*values, *[2.0] * made.standing])
    assert learned.close.low <= close <= learned.close.high
    assert learned.close.high - learned.close.low < 1.0


@pytest.mark.parametrize("watched", [True, False])
def test_before_the_run_begins_no_look_is_sure(watched: bool) -> None:
    learned = Learned(learning(watched=watched), SAID)
    for _ in range(20):
        learned.pass_second(Bounds(-50.0, -50.0), PARITY, sure=True)
    assert learned.close.low < -45
    assert (learned.close.high < -30) == watched
    assert learned.trusted == watched


def test_what_may_be_seen_in_this_second_lowers_what_closing_counts_for() -> None:
    learned = Learned(learning(), SAID)
    assert learned.close_after(1.0) == pytest.approx(-5.0)  # leaving -5: nothing new
    weight = 1 / (1 - 2 ** (-1 / HALF_LIFE_S))
    expected = (weight * -5.0 - 84.0) / (weight + 1)
    assert learned.close_after(80.0) == pytest.approx(expected)


def test_a_run_is_too_short_for_a_half_life_of_days() -> None:
    assert Learning(20.0, 10.0).moves
    assert not Learning(2_592_000.0, 291.0).moves
    with pytest.raises(ValueError, match="over 0"):
        Learning(0.0, 10.0)
