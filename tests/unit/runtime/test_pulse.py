"""Whether somebody is there, by the settings as shipped and times that are passed in."""

import struct

import pytest

from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import Feed
from spread_scanner.runtime.pulse import Pulse, Seen
from spread_scanner.schema.silence import silence_rules

RULES = silence_rules(Feed())
START_MS = 1_000_000


def ns(ms: float) -> int:
    return int((START_MS + ms) * NS_PER_MS)


def seen(
    frame_ms: float, data_ms: float | None = None, every_ms: float = 0.0, quotes: float = 1.0
) -> Seen:
    data_ns = ns(frame_ms if data_ms is None else data_ms)
    return Seen(ns(frame_ms), data_ns, every_ms * NS_PER_MS, quotes, 0)


def test_a_connection_silent_for_more_than_a_second_is_pinged_once() -> None:
    pulse = Pulse()
    assert not pulse.wants_ping(ns(1_000), seen(0), RULES)
    assert pulse.wants_ping(ns(1_001), seen(0), RULES)
    pulse.sent(ns(1_001))
    assert not pulse.wants_ping(ns(1_100), seen(0), RULES)
    assert not pulse.wants_ping(ns(9_000), seen(0), RULES)


def test_an_old_ping_that_was_lost_does_not_make_it_ask_at_every_look() -> None:
    pulse = Pulse()
    pulse.sent(ns(0))
    assert pulse.wants_ping(ns(6_000), seen(4_000), RULES)
    pulse.sent(ns(6_000))
    assert not pulse.wants_ping(ns(6_100), seen(4_000), RULES)


def test_neither_data_nor_pong_for_another_second_is_silence() -> None:
    pulse = Pulse()
    pulse.sent(ns(1_001))
    assert not pulse.silent(ns(2_001), seen(0, every_ms=400), RULES, 1.0)
    assert pulse.silent(ns(2_002), seen(0, every_ms=400), RULES, 1.0)


def test_only_who_does_not_answer_is_deaf() -> None:
    """One that answers and says nothing else may be silent: its own pace says so."""
    pulse = Pulse()
    payload = pulse.sent(ns(1_001))
    for at_ms, deaf in ((2_001, False), (2_002, True)):
        pulse.silent(ns(at_ms), seen(0, every_ms=10), RULES, 1.0)
        assert pulse.deaf(ns(at_ms), seen(0, every_ms=10), RULES) is deaf
    pulse.answered(ns(2_100), payload)
    assert pulse.silent(ns(2_200), seen(2_100, 0, every_ms=10), RULES, 1.0)
    assert not pulse.deaf(ns(2_200), seen(2_100, 0, every_ms=10), RULES)
    pulse.doubt(ns(2_300))
    assert pulse.deaf(ns(2_300), seen(2_300), RULES)


def test_a_pong_keeps_a_quiet_connection() -> None:
    pulse = Pulse()
    payload = pulse.sent(ns(1_001))
    pulse.answered(ns(1_060), payload)
    assert pulse.round_trip_ns == 59 * NS_PER_MS
    assert not pulse.silent(ns(2_002), seen(1_060, 0, every_ms=400), RULES, 1.0)
    assert pulse.wants_ping(ns(2_061), seen(1_060, 0), RULES)


@pytest.mark.parametrize(
    ("every_ms", "quotes", "at_ms", "expected"),
    [
        (2.0, 1.0, 1_000, False),  # 500 a second
        (2.0, 1.0, 1_001, True),
        (19.0, 1.0, 1_001, True),  # 52 a second
        (21.0, 1.0, 1_001, False),  # 47: two seconds, as for anybody
        (21.0, 1.0, 2_001, True),
        (100.0, 10.0, 1_001, True),  # a hundred a second in ten reads
        (500.0, 100.0, 1_001, False),  # a burst each half second: no second is long for it
        (100.0, 1.0, 2_001, False),  # fifty of its own intervals
        (100.0, 1.0, 5_001, True),
    ],
)
def test_silence_of_data_counts_though_pongs_come(
    every_ms: float, quotes: float, at_ms: float, expected: bool
) -> None:
    found = Pulse().silent(ns(at_ms), seen(at_ms, 0, every_ms, quotes), RULES, 1.0)
    assert found is expected


def test_a_connection_that_never_quoted_is_not_silent_while_it_answers() -> None:
    never = Seen(ns(60_000), 0, 0.0, 0.0, 0)
    assert not Pulse().silent(ns(60_900), never, RULES, 1.0)


def test_a_connection_that_has_said_too_little_to_have_a_rate_is_judged_by_its_pings() -> None:
    pulse = Pulse()
    pulse.answered(ns(59_900), pulse.sent(ns(59_860)))
    assert not pulse.silent(ns(60_000), seen(59_900, 100, 0.0), RULES, 1.0)
    pulse.sent(ns(60_901))
    assert pulse.silent(ns(61_902), seen(59_900, 100, 0.0), RULES, 1.0)


def test_silence_ends_with_an_answer_and_not_with_the_first_frame_of_a_backlog() -> None:
    pulse = Pulse()
    pulse.answered(ns(10), pulse.sent(ns(0)))
    payload = pulse.sent(ns(1_001))
    assert pulse.silent(ns(2_100), seen(10, 0, 2.0), RULES, 1.0)
    assert pulse.silent(ns(2_200), seen(2_190, every_ms=2.0), RULES, 1.0)
    pulse.answered(ns(2_250), payload)
    assert not pulse.silent(ns(2_300), seen(2_290, every_ms=2.0), RULES, 1.0)


def test_who_never_answers_a_ping_is_believed_by_its_data() -> None:
    pulse = Pulse()
    pulse.sent(ns(1_001))
    assert pulse.silent(ns(2_100), seen(0, every_ms=400), RULES, 1.0)
    assert not pulse.silent(ns(2_200), seen(2_150, every_ms=400), RULES, 1.0)
    assert pulse.waits_since(seen(2_150)) == 0
    assert pulse.waits_since(seen(0)) == ns(1_001)


def test_who_has_answered_before_is_waited_for_though_data_come() -> None:
    pulse = Pulse()
    pulse.answered(ns(10), pulse.sent(ns(0)))
    pulse.sent(ns(5_000))
    assert pulse.waits_since(seen(14_000)) == ns(5_000)


def test_a_slow_answer_says_that_the_path_lags_and_a_quick_one_that_it_is_well() -> None:
    pulse = Pulse()
    pulse.answered(ns(2_001), pulse.sent(ns(0)))
    assert pulse.lags(ns(2_001), RULES)
    payload = pulse.sent(ns(5_000))
    pulse.answered(ns(5_050), payload)
    assert not pulse.lags(ns(5_051), RULES)
    pulse.sent(ns(10_000))
    assert not pulse.lags(ns(12_000), RULES)
    assert pulse.lags(ns(12_001), RULES)


def test_texts_are_answered_in_order_and_strange_pongs_by_nobody() -> None:
    pulse = Pulse()
    pulse.sent(ns(0))
    pulse.sent(ns(100))
    for strange in (b"", b"x", struct.pack("<q", 7)):
        pulse.answered(ns(110), strange)
    assert not pulse.answers
    pulse.answered(ns(120))
    assert (pulse.round_trip_ns, pulse.unanswered_ns) == (120 * NS_PER_MS, ns(100))
    pulse.answered(ns(130))
    assert (pulse.round_trip_ns, pulse.unanswered_ns) == (30 * NS_PER_MS, 0)


def test_after_a_stop_it_is_doubted_until_it_answers() -> None:
    pulse = Pulse()
    pulse.answered(ns(10), pulse.sent(ns(0)))
    pulse.doubt(ns(90))
    payload = pulse.sent(ns(100))
    assert pulse.silent(ns(110), seen(105, every_ms=2.0), RULES, 1.0)
    pulse.answered(ns(120), payload)
    assert not pulse.silent(ns(130), seen(125, every_ms=2.0), RULES, 1.0)


def test_after_a_stop_data_alone_prove_nothing_of_who_has_never_answered() -> None:
    """What is read first was sent while nobody looked."""
    pulse = Pulse()
    pulse.doubt(ns(0))
    payload = pulse.sent(ns(1))
    assert pulse.silent(ns(100), seen(99, every_ms=2.0), RULES, 1.0)
    pulse.wants_ping(ns(100), seen(99, every_ms=2.0), RULES)
    assert pulse.silent(ns(1_000), seen(1_000, every_ms=2.0), RULES, 1.0)
    assert not pulse.silent(ns(1_002), seen(1_002, every_ms=2.0), RULES, 1.0)
    pulse.doubt(ns(2_000))
    pulse.answered(ns(2_001), payload)
    assert pulse.silent(ns(2_002), seen(2_002, every_ms=2.0), RULES, 1.0), "to an earlier ping"
    pulse.answered(ns(2_020), pulse.sent(ns(2_003)))
    assert not pulse.silent(ns(2_021), seen(2_020, every_ms=2.0), RULES, 1.0)


@pytest.mark.parametrize("text", [False, True])
def test_an_answer_is_heard_though_data_came_before_it(text: bool) -> None:
    """The feed looks each 100 ms, and an exchange may be 250 ms away."""
    pulse = Pulse()
    payload = pulse.sent(ns(0))
    assert not pulse.wants_ping(ns(100), seen(95, every_ms=2.0), RULES)
    assert pulse.unanswered_ns == 0
    pulse.answered(ns(250), None if text else payload)
    assert (pulse.answers, pulse.round_trip_ns) == (True, 250 * NS_PER_MS)
    pulse.answered(ns(260), None if text else payload)
    assert pulse.round_trip_ns == 250 * NS_PER_MS
