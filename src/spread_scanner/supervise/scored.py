"""A score as the document of a run tells it (summary.py): counts, and each fault by name and time.

Pure; up.py puts it into the document.
"""

from typing import Any

from spread_scanner.supervise.carried import CarriedJudged
from spread_scanner.supervise.learned import UsualJudged
from spread_scanner.supervise.score import Score, WrongOpportunity
from spread_scanner.supervise.seen import SeenSignal
from spread_scanner.supervise.sizes import SizeJudged
from spread_scanner.supervise.summary import (
    IntervalSummary,
    OpportunitySummary,
    SignalSummary,
    SizeSummary,
    UsualSummary,
)
from spread_scanner.supervise.truth import Interval


def scored(result: Score, seed: int, begin_ns: int) -> dict[str, Any]:
    """What a scored run says besides: a test holds it to RunSummary."""
    return {
        "ok": result.ok,
        "seed": seed,
        "planted": result.planted,
        "planted_by_pools": result.planted_by_pools,
        "found": result.found,
        "missed": len(result.missed),
        "invented": len(result.invented),
        "overlong": len(result.overlong),
        "opportunities_wrong": len(result.opportunities_wrong),
        "sizes_wrong": len(result.sizes_wrong),
        "sizes_judged": result.sizes_judged,
        "sizes_unjudged": result.sizes_unjudged,
        "carried_judged": result.carried_judged,
        "carried_unjudged": result.carried_unjudged,
        "carried_unjudged_why": result.carried_unjudged_why,
        "usual_wrong": len(result.usual_wrong),
        "usual_judged": result.usual_judged,
        "late_ms_max": result.late_ns_max / 1e6,
        "not_judged": result.excused,
        "not_judged_why": result.unjudged,
        "missed_intervals": [_interval(one, begin_ns) for one in result.missed],
        "overlong_intervals": [_interval(one, begin_ns) for one in result.overlong],
        "wrong_opportunities": [_opportunity(one, begin_ns) for one in result.opportunities_wrong],
        "wrong_sizes": [_size(one, begin_ns) for one in result.sizes_wrong],
        "wrong_usual": [_usual(one) for one in result.usual_wrong],
        "invented_signals": [_signal(one, begin_ns) for one in result.invented],
    }


def _interval(one: Interval, begin_ns: int) -> IntervalSummary:
    return {
        "symbol": one.symbol,
        "direction": one.direction,
        "at_s": (one.start_ns - begin_ns) / 1e9,
        "lasted_s": None if one.end_ns is None else (one.end_ns - one.start_ns) / 1e9,
        "peak_bps": one.peak_bps,
    }


def _signal(one: SeenSignal, begin_ns: int) -> SignalSummary:
    return {
        "symbol": one.symbol,
        "direction": one.direction,
        "kind": one.kind.name.lower(),
        "at_s": (one.mono_ns - begin_ns) / 1e9,
        "net_bps": one.net_bps,
    }


def _opportunity(one: WrongOpportunity, begin_ns: int) -> OpportunitySummary:
    return {
        "symbol": one.symbol,
        "direction": one.direction,
        "at_s": (one.at_ns - begin_ns) / 1e9,
        "why": one.why,
    }


def _size(one: SizeJudged | CarriedJudged, begin_ns: int) -> SizeSummary:
    return {
        "symbol": one.said.symbol,
        "direction": one.said.direction,
        "at_s": (one.said.mono_ns - begin_ns) / 1e9,
        "size_base": one.said.size_base,
        "right_base": one.right_base,
        "why": one.why,
    }


def _usual(one: UsualJudged) -> UsualSummary:
    return {
        "symbol": one.symbol,
        "direction": one.direction,
        "usual_bps": one.usual_bps if one.weight > 0 else None,
        "low_bps": one.low_bps,
        "high_bps": one.high_bps,
        "weight": one.weight,
        "weight_low": one.weight_low,
        "weight_high": one.weight_high,
    }
