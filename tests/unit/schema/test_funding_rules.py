"""When a rate may be used, and how many settlements a holding time crosses: the one definition."""

import math
import random
from typing import Any

import pytest

import bed
from spread_scanner.schema.funding import (
    CAP_MAX,
    NS_PER_HOUR,
    RATE_MAX,
    FundingAhead,
    FundingNow,
    carry_inputs,
    crossings,
    listing_of,
    unknown,
)

NOW = 1_787_848_767_000_000_000
HERE = listing_of("BTCUSDT")


def told(**changes: Any) -> FundingNow:
    """A rate of now that may be used, unless `changes` say otherwise."""
    plain = FundingNow(
        rate=1e-4,
        cap=0.02,
        floor=-0.02,
        interval_h=8.0,
        next_wall_ns=NOW + 2 * NS_PER_HOUR,
        asked_wall_ns=NOW - NS_PER_HOUR // 12,
        flags=0,
        listing=HERE,
        generation=1,
    )
    return plain._replace(**changes)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, ""),
        ({"rate": 0.0}, ""),
        ({"rate": 0.02}, ""),
        ({"rate": -0.02}, ""),
        ({"rate": 0.0200001}, "beyond the contract's own cap"),
        ({"rate": -0.0200001}, "beyond the contract's own cap"),
        ({"rate": 0.08, "cap": 0.1}, ""),  # its own cap is wider than what others have
        ({"rate": 0.049, "cap": math.nan, "floor": math.nan}, ""),
        ({"rate": 0.051, "cap": math.nan}, "beyond 5% per interval"),
        ({"rate": -0.051, "floor": math.nan}, "beyond 5% per interval"),
        ({"rate": -0.03, "floor": -0.02}, "beyond the contract's own cap"),
        ({"rate": 3.0, "cap": 5.0}, "beyond 5% per interval"),  # such a cap is none
        ({"rate": 0.051, "cap": 0.0}, "beyond 5% per interval"),
        ({"rate": 0.051, "cap": -0.02}, "beyond 5% per interval"),
        ({"rate": CAP_MAX + 0.01, "cap": CAP_MAX}, "beyond the contract's own cap"),
        ({"rate": math.nan}, "no number"),
        ({"rate": math.inf}, "no number"),
        ({"interval_h": math.nan}, "its interval is not known"),
        ({"interval_h": 0.0}, "its interval is not known"),
        ({"interval_h": 7.3}, "its interval is not known"),
        ({"asked_wall_ns": NOW - 8 * NS_PER_HOUR}, ""),
        ({"asked_wall_ns": NOW - 8 * NS_PER_HOUR - 1}, "older than one interval"),
        ({"asked_wall_ns": NOW - 2 * NS_PER_HOUR, "interval_h": 1.0}, "older than one interval"),
        ({"asked_wall_ns": NOW + 9 * NS_PER_HOUR}, "older than one interval"),  # a clock set back
        ({"listing": HERE + 1}, "not yet told of this listing"),
    ],
)
def test_a_rate_may_be_used_or_the_reason_is_named(changes: dict[str, float], why: str) -> None:
    row = told(**changes)
    assert unknown(row, NOW, HERE) == why
    inputs = carry_inputs(row, NOW, 24.0, HERE)
    assert inputs.rate == (None if why else row.rate)
    assert 0 < inputs.pay_max <= CAP_MAX
    assert inputs.crossings >= 1


def test_what_was_never_told_is_unknown_and_costs_the_most_at_the_usual_settlements() -> None:
    assert unknown(None, NOW, HERE) == "never told"
    assert carry_inputs(None, NOW, 24.0) == FundingAhead(None, RATE_MAX, 3)
    assert carry_inputs(None, NOW, 0.0) == FundingAhead(None, RATE_MAX, 0)
    # Another coin's row tells nothing of this one, its floor and its settlements neither.
    assert carry_inputs(told(listing=1, floor=-0.001), NOW, 24.0, HERE) == FundingAhead(
        None, RATE_MAX, 3
    )


def test_the_most_that_is_charged_is_the_contracts_own_floor() -> None:
    row = told(rate=math.nan, floor=-0.003)
    assert carry_inputs(row, NOW, 8.0, HERE) == FundingAhead(None, 0.003, 1)
    assert carry_inputs(row._replace(floor=math.nan), NOW, 8.0).pay_max == RATE_MAX


@pytest.mark.parametrize(
    ("due_h", "interval_h", "hold_h", "count"),
    [
        (2.0, 8.0, 0.0, 0),
        (2.0, 8.0, 1.99, 0),
        (2.0, 8.0, 2.0, 1),  # at the end of it still counts
        (2.0, 8.0, 9.99, 1),
        (2.0, 8.0, 10.0, 2),
        (0.5, 1.0, 24.0, 24),
        (8.0, 8.0, 8.0, 1),
        (-1.0, 8.0, 6.99, 0),  # one that has passed: the next is 7 h away
        (-1.0, 8.0, 7.0, 1),
        (-17.0, 8.0, 7.0, 1),
        (0.0, 8.0, 7.99, 0),  # at this very moment: crossed already
        (30.0, 8.0, 5.99, 0),  # too far ahead: its time of day stands
        (30.0, 8.0, 6.0, 1),
        (None, 8.0, 0.1, 1),  # not told: as many as can be
        (None, 8.0, 16.0, 2),
        (2.0, 8.0, math.nan, 0),
    ],
)
def test_crossings(due_h: float | None, interval_h: float, hold_h: float, count: int) -> None:
    due_ns = 0 if due_h is None else NOW + round(due_h * NS_PER_HOUR)
    assert crossings(due_ns, interval_h, NOW, hold_h) == count


def test_crossings_of_two_holdings_in_a_row_add_up() -> None:
    seed = bed.seed()
    chance = random.Random(seed)
    for _ in range(500):
        interval_h = chance.choice([1.0, 2.0, 4.0, 8.0])
        due_ns = NOW + chance.randint(-(10**15), 10**15)
        # Whole milliseconds, so that both ways meet the same instants.
        first_ms, second_ms = chance.randint(0, 10**8), chance.randint(0, 10**8)
        then_ns = NOW + first_ms * 1_000_000
        halves = crossings(due_ns, interval_h, NOW, first_ms / 3.6e6)
        halves += crossings(due_ns, interval_h, then_ns, second_ms / 3.6e6)
        assert crossings(due_ns, interval_h, NOW, (first_ms + second_ms) / 3.6e6) == halves
