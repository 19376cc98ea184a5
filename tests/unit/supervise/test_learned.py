"""Between which bounds a mean lies of which each look is known, or may have been missed."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pytest

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.supervise.lateness import Lateness
from spread_scanner.supervise.learned import Adopted, UsualJudged, judged
from spread_scanner.supervise.score import TOLERANCE_MS
from spread_scanner.supervise.seen import CpuWait, DownTime
from spread_scanner.supervise.truth import History, SentLook, SentRange, TruthFile

PAIR = ("AAA-USDT", "okx-bybit")
HALF_LIFE_S = 20.0
SAID_BPS, LOOKS = -5.0, 30
NEVER: Mapping[int, SentRange] = MappingProxyType({})


def judge(
    looks: list[SentLook],
    *outages: DownTime,
    adopted_s: int = LOOKS,
    usual_bps: float = 0.0,
    implausible_bps: float = math.inf,
    before: Mapping[int, SentRange] = NEVER,
    waits: Sequence[CpuWait] = (),
) -> UsualJudged:
    at_ns = adopted_s * NS_PER_S + NS_PER_S // 2
    adopted = Adopted(at_ns, HALF_LIFE_S, {PAIR: usual_bps}, {PAIR: 0.0})
    sent = TruthFile([], {}, {}, {PAIR: History(SAID_BPS, looks, dict(before))})
    late = Lateness(TOLERANCE_MS, waits)
    (found,) = judged(
        adopted, sent, 0, -5 * NS_PER_S, late, outages, implausible_bps=implausible_bps
    )
    return found._replace(weight=found.weight_low)  # another matter


def look(second: int, low: float, high: float, *, sure: bool = True) -> SentLook:
    return SentLook(second * NS_PER_S, low, high, sure)


def test_a_pair_whose_every_look_is_known_has_its_mean_and_no_room() -> None:
    looks = [look(second, float(second), float(second)) for second in range(1, LOOKS + 1)]
    at_s = LOOKS + 0.5
    weights = [2 ** (-(at_s - second) / HALF_LIFE_S) for second in range(1, LOOKS + 1)]
    full = 2 ** (-at_s / HALF_LIFE_S) / (1 - 2 ** (-1 / HALF_LIFE_S))
    total = full * SAID_BPS + sum(second * weight for second, weight in enumerate(weights, 1))
    mean = total / (full + sum(weights))
    found = judge(looks)
    assert found.low_bps == pytest.approx(mean, rel=1e-9)
    assert found.high_bps == pytest.approx(mean, rel=1e-9)
    for off_bps, right in ((0.49, True), (0.51, False)):
        assert found._replace(usual_bps=mean + off_bps).ok == right
        assert found._replace(usual_bps=mean - off_bps).ok == right
    assert not found._replace(usual_bps=float("nan")).ok


@pytest.mark.parametrize("away", ["", "spread-engine", "feed-okx-spot", "feed-mexc-spot"])
def test_a_look_that_may_have_been_missed_is_in_the_mean_or_not(away: str) -> None:
    """As it is unsure, or somebody that the pair needs was away."""
    calm = [look(second, SAID_BPS, SAID_BPS) for second in range(1, LOOKS + 1)]
    calm[19] = look(20, -60.0, -60.0, sure=bool(away))
    outages = [DownTime(away, 20 * NS_PER_S, 20 * NS_PER_S + 1)] if away else []
    found = judge(calm, *outages)
    concerned = away != "feed-mexc-spot"
    assert found.high_bps == pytest.approx(SAID_BPS) or not concerned
    assert found.low_bps < SAID_BPS - 1
    assert found._replace(usual_bps=SAID_BPS).ok == concerned
    assert found._replace(usual_bps=found.low_bps).ok


def test_a_look_at_what_is_implausible_is_in_the_mean_or_not() -> None:
    """As it is no look to the engine, for whom the mids must not be so far apart."""
    looks = [look(second, SAID_BPS, SAID_BPS) for second in range(1, LOOKS + 1)]
    looks[19] = look(20, -1_005.0, -1_005.0)
    assert not judge(looks, usual_bps=SAID_BPS).ok
    assert not judge(looks, usual_bps=SAID_BPS, implausible_bps=5_000).ok
    found = judge(looks, usual_bps=SAID_BPS, implausible_bps=1_000)
    assert found.ok
    assert found._replace(usual_bps=found.low_bps).ok
    assert not found._replace(usual_bps=SAID_BPS + 1).ok


WAITED_MS = 150  # more than a look has room for


@pytest.mark.parametrize(
    ("who", "waited_ms", "at_ms", "allowed"),
    [
        ("spread-engine", WAITED_MS, 20_000, True),
        ("feed-okx-spot", WAITED_MS, 20_000, True),
        ("the machine", WAITED_MS, 20_000, True),
        ("feed-mexc-spot", WAITED_MS, 20_000, False),  # not of this pair
        ("spread-engine", 120, 20_000, False),  # a look has room for that
        ("spread-engine", WAITED_MS, 20_400, False),  # once the look was over
    ],
)
def test_a_look_of_who_waited_for_a_cpu_may_have_seen_what_was_sent_meanwhile(
    who: str, waited_ms: int, at_ms: int, allowed: bool
) -> None:
    """A spread of 60 bps stood from 300 to 700 ms after the second 20: whoever looked in time has
    not seen it, whoever waited may have."""
    looks = [look(second, SAID_BPS, SAID_BPS) for second in range(1, LOOKS + 1)]
    before = {one.mono_ns: SentRange(SAID_BPS, SAID_BPS) for one in looks}
    before[21 * NS_PER_S] = SentRange(-65.0, SAID_BPS)
    wait = CpuWait(who, at_ms * NS_PER_MS, (at_ms + 90) * NS_PER_MS, waited_ms * NS_PER_MS)
    found = judge(looks, before=before, waits=[wait])
    low_bps = found.low_bps
    assert found._replace(usual_bps=SAID_BPS).ok, "whoever waited may have looked in time"
    assert (low_bps < SAID_BPS - 1.0) == allowed
    assert found.high_bps == pytest.approx(SAID_BPS), "nothing higher was sent"
    for wrong_bps in (SAID_BPS + 0.6, low_bps - 0.6):
        assert not found._replace(usual_bps=wrong_bps).ok, "a mean that no look explains is wrong"
    assert (found.weight_high - found.weight_low > 1.5) == allowed, "nor what a look explains"


def test_what_was_sent_after_the_adoption_is_no_part_of_it() -> None:
    calm = [look(second, SAID_BPS, SAID_BPS) for second in range(1, 11)]
    late = [look(second, 90.0, 90.0) for second in range(12, 20)]
    found = judge(calm + late, adopted_s=10)
    assert found.low_bps == pytest.approx(SAID_BPS)
    assert found.high_bps == pytest.approx(SAID_BPS)


@pytest.mark.parametrize(("weight", "right"), [(1.0, True), (0.9, False), (1.1, False)])
def test_a_mean_that_is_right_by_chance_shows_by_its_weight(weight: float, right: bool) -> None:
    """As of an engine that has lost its history, or has looked twice, where nothing ever moves."""
    calm = [look(second, SAID_BPS, SAID_BPS) for second in range(1, LOOKS + 1)]
    found = judge(calm, usual_bps=SAID_BPS)
    full = 1 / (1 - 2 ** (-1 / HALF_LIFE_S))
    assert found.weight_low <= full <= found.weight_high < found.weight_low + 2
    assert found._replace(weight=full * weight).ok == right
    assert not found._replace(usual_bps=float("nan"), weight=0.0).ok


def test_a_pair_that_came_into_the_tables_later_is_not_held_to_the_history() -> None:
    adopted = Adopted(NS_PER_S, HALF_LIFE_S, {PAIR: 7.0}, {PAIR: 1.0})
    sent = TruthFile([], {}, {}, {PAIR: History(SAID_BPS, [], {})})
    assert judged(adopted, sent, 0, 0, Lateness(TOLERANCE_MS), seeded=frozenset()) == []
    (found,) = judged(adopted, sent, 0, 0, Lateness(TOLERANCE_MS), seeded={PAIR})
    assert not found.ok


def test_a_history_that_stands_as_it_was_written_down_is_nothing_that_was_adopted() -> None:
    """The engine takes it up at its start, and keeps that: nobody else's word is judged as its."""
    full = 1 / (1 - 2 ** (-1 / HALF_LIFE_S))
    sent = TruthFile([], {}, {}, {PAIR: History(SAID_BPS, [], {})})
    for adopted_ns, right in ((NS_PER_S - 1, False), (NS_PER_S + 1, True)):
        adopted = Adopted(adopted_ns, HALF_LIFE_S, {PAIR: SAID_BPS}, {PAIR: full})
        (found,) = judged(adopted, sent, NS_PER_S, 2 * NS_PER_S, Lateness(TOLERANCE_MS))
        assert found.ok == right
