"""Silence out of line, and the pace that it is judged by."""

from collections.abc import Iterator

import numpy as np
import pytest

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Feed
from spread_scanner.feed.freshness import (
    SLOWDOWN_MAX,
    Lasting,
    NextDue,
    QuotePace,
    SilenceRule,
    SilenceSpan,
    ids_of,
    out_of_line,
    silence_rule,
)

S = NS_PER_S
RULE = SilenceRule(30 * S, 50.0)


def found(now_s: float, heard_s: float, mean_s: float, slowdown: float = 1.0) -> bool:
    mask = out_of_line(
        int(now_s * S), np.array([int(heard_s * S)]), np.array([mean_s * S]), RULE, slowdown
    )
    return list(ids_of(mask)) == [0]


@pytest.mark.parametrize(
    ("now_s", "mean_s", "slowdown", "expected"),
    [
        (1_030.0, 0.01, 1.0, False),  # never before the floor
        (1_030.1, 0.01, 1.0, True),
        (1_040.0, 1.0, 1.0, False),  # fifty of its own intervals
        (1_050.1, 1.0, 1.0, True),
        (1_050.1, 1.0, 3.0, False),  # everybody is slower
        (1_150.1, 1.0, 3.0, True),
    ],
)
def test_silence_counts_in_its_own_intervals(
    now_s: float, mean_s: float, slowdown: float, expected: bool
) -> None:
    assert found(now_s, 1_000.0, mean_s, slowdown) is expected


def test_a_symbol_heard_never_or_once_has_no_rate_to_be_out_of_line_with() -> None:
    assert not found(100_000.0, 0.0, 0.0)
    assert not found(100_000.0, 1.0, 0.0)


def test_the_settings_are_taken_in_their_units() -> None:
    assert silence_rule(Feed(silent_ms_min=1_500, silent_intervals_max=7.0)) == (1_500_000_000, 7.0)


def run(pace: QuotePace, per_s: float, start_s: float, end_s: float, messages: float) -> float:
    at = start_s
    while at < end_s:
        at += 0.25
        messages += per_s * 0.25
        pace.update(int(messages), int(at * S))
    return messages


def test_the_pace_knows_no_slowdown_until_it_has_a_history() -> None:
    pace = QuotePace()
    messages = run(pace, 1_000.0, 1.0, 20.0, 0.0)
    run(pace, 0.0, 20.0, 25.0, messages)
    assert pace.slowdown() == 1.0


def test_a_market_that_slows_down_is_seen_within_seconds_and_forgotten_when_it_is_back() -> None:
    pace = QuotePace()
    messages = run(pace, 1_000.0, 1.0, 120.0, 0.0)
    assert pace.slowdown() == pytest.approx(1.0, abs=0.01)

    messages = run(pace, 250.0, 120.0, 140.0, messages)
    assert 2.5 < pace.slowdown() < 4.5

    run(pace, 4_000.0, 140.0, 160.0, messages)
    assert pace.slowdown() == 1.0


def test_what_nobody_could_hear_is_no_slowdown() -> None:
    pace = QuotePace()
    messages = run(pace, 1_000.0, 1.0, 120.0, 0.0)
    for at_s in range(120, 200):
        pace.pass_over(int(messages), at_s * S)
    assert pace.slowdown() == pytest.approx(1.0, abs=0.01)
    run(pace, 1_000.0, 199.0, 201.0, messages)
    assert pace.slowdown() == pytest.approx(1.0, abs=0.01)


def test_a_slowdown_is_bounded() -> None:
    pace = QuotePace()
    messages = run(pace, 1_000.0, 1.0, 120.0, 0.0)
    run(pace, 4.0, 120.0, 200.0, messages)
    assert pace.slowdown() == SLOWDOWN_MAX


def test_who_says_nothing_shows_no_slow_market() -> None:
    """It may be frozen. What it said last holds; a market that has become slow says something."""
    pace = QuotePace()
    messages = run(pace, 1_000.0, 1.0, 120.0, 0.0)
    run(pace, 0.0, 120.0, 200.0, messages)
    assert pace.slowdown() == pytest.approx(1.0, abs=0.01)
    messages = run(pace, 250.0, 200.0, 220.0, messages)
    slow = pace.slowdown()
    assert slow > 1.5
    run(pace, 0.0, 220.0, 300.0, messages)
    assert pace.slowdown() == slow


def test_who_is_out_of_line_stays_so_until_heard_of_however_slow_the_source_becomes() -> None:
    heard, mean, lasting = np.array([1_000 * S, 1_040 * S]), np.array([1.0 * S] * 2), Lasting(2)

    def silent(now_s: int, slowdown: float) -> list[int]:
        return [*map(int, ids_of(lasting.look(now_s * S, heard, mean, RULE, slowdown)))]

    assert silent(1_049, 1.0) == []
    assert silent(1_051, 1.0) == [0]
    assert silent(1_095, 5.0) == [0]  # the second one is excused
    heard[0] = 1_096 * S
    assert silent(1_097, 5.0) == []
    heard[0] = 0  # marked stale for another reason: it is waited for anew
    assert silent(1_300, 1.0) == [1]


def test_whoever_gets_out_of_line_after_a_look_is_told_of_once() -> None:
    heard, mean, next_due = np.array([1_000 * S, 1_010 * S]), np.array([1.0 * S] * 2), NextDue()

    def passed(
        now_s: float, looked_s: float, slowdown: float = 1.0, rule: SilenceRule = RULE
    ) -> bool:
        return next_due.passed(int(now_s * S), int(looked_s * S), [(heard, mean, rule)], slowdown)

    assert not passed(1_049.9, 1_049.8)
    assert not passed(1_050.0, 1_049.8), "not before its time is over"
    assert passed(1_050.1, 1_049.8)
    assert not passed(1_050.2, 1_049.8), "the look that was made by it has seen it"
    heard[0] = 1_050.2 * S
    assert not passed(1_059.9, 1_059.7)
    assert passed(1_060.1, 1_059.9)
    assert not passed(1_099.9, 1_099.8, 5.0), "all is slower"
    assert passed(1_100.3, 1_100.2, 1.0), "and no longer is"
    heard[0] = 1_100.3 * S
    mean[1] = 0.0  # no rate is known
    assert not passed(1_110.0, 1_109.9)
    next_due.forget()
    assert passed(1_110.1, 1_109.9, rule=SilenceRule(5 * S, 9.7)), "by other settings"


def test_who_is_next_is_not_looked_for_again_before_anybody_can_be() -> None:
    heard, mean, next_due = np.array([1_000 * S]), np.array([1.0 * S]), NextDue()

    class Looks:
        made = 0

        def __iter__(self) -> Iterator[SilenceSpan]:
            self.made += 1
            return iter([(heard, mean, RULE)])

    looks = Looks()
    for tenths in range(10_001, 10_505):
        heard[0] = min(tenths - 1, 10_004) * S // 10
        assert next_due.passed(tenths * S // 10, (tenths - 1) * S // 10, looks, 1.0) is (
            tenths == 10_505
        )
    assert looks.made == 2
