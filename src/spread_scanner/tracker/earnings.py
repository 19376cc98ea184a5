"""What trades at the signals would have earned, in numbers that do not flatter. Pure.

What converged is chosen by having paid: its median alone would say that every rule of stopping at a
profit pays. So those that went another way, and those that are still open, stand beside it at what
closing at their last usable look would have left, and `all` is all of them.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema import costs
from spread_scanner.schema.enums import DIRECTION_BY_LABEL
from spread_scanner.tracker.opportunity import Reason
from spread_scanner.tracker.report_rows import OPEN, Looks, ReportRow, known

ALL = "all"
OUTCOMES = (*(reason.value for reason in Reason), OPEN, ALL)
LEFT_AFTER_MS = (50, 100, 250)
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
DAY_S = 86_400.0
TRACKED_S_MIN = 3_600.0  # of less nothing is said of a day
HOURS = 24
SLICES = 48
BINS = 40


class Realised(msgspec.Struct, frozen=True):
    """What closing left, in bps of the spot ask paid: of what converged realised, of all others at
    their last usable look."""

    opportunities: int
    known: int  # with a result: rows of before, or without a usable look, have none
    mean_bps: float | None
    p10_bps: float | None
    p25_bps: float | None
    median_bps: float | None
    p75_bps: float | None
    p90_bps: float | None
    share_positive: float | None


class Money(msgspec.Struct, frozen=True):
    """Of each event its first opportunity, at the smaller of entry size, exit size and cap."""

    events: int
    known: int  # events whose first opportunity has a result and both sizes
    size_quote_median: float | None
    earned_quote: float
    per_day_quote: float | None  # null: less than an hour was tracked


class SizeEarned(msgspec.Struct, frozen=True):
    """What one size would have left: of each event's first opportunity with two books, its result
    less what the size took off the net of the tops, way out included. One that the books did not
    carry was not done."""

    size_quote: float
    events: int  # with a result and two books
    carried: int  # of which the books held the size
    mean_bps: float | None
    median_bps: float | None
    share_positive: float | None
    earned_quote: float
    per_day_quote: float | None  # null: less than an hour was tracked


class LeftAfter(msgspec.Struct, frozen=True):
    """What would have been left, had acting taken so long. Of the looks that count (StoodAfter) at
    which both legs stood, and whose opportunity has a result."""

    after_ms: int
    counted: int
    mean_bps: float | None
    median_bps: float | None
    share_positive: float | None
    cost_bps_mean: float | None  # what the waiting took away, of the same ones


class TimeSlice(msgspec.Struct, frozen=True):
    """Results of what was opened in a span of time."""

    start_s: float  # since 1970 UTC, or since midnight UTC
    opportunities: int
    known: int
    mean_bps: float | None
    median_bps: float | None


class Stacks(msgspec.Struct, frozen=True):
    """Two histograms over the same edges, one edge more than counts; empty without values. Tails
    beyond the 1st and 99th percentile are in the outermost bins."""

    edges: list[float]
    converged: list[int]
    others: list[int]


def realised(rows: Sequence[ReportRow]) -> Realised:
    """Of some opportunities."""
    values = known([row.result_bps for row in rows])
    if not len(values):
        return Realised(len(rows), 0, *([None] * 7))
    p10, p25, p50, p75, p90 = np.quantile(values, QUANTILES).tolist()
    positive = float((values > 0).mean())
    return Realised(len(rows), len(values), float(values.mean()), p10, p25, p50, p75, p90, positive)


def by_outcome(rows: Sequence[ReportRow]) -> dict[str, Realised]:
    """By why they were closed; those that there are, and all of them."""
    parts: dict[str, list[ReportRow]] = {outcome: [] for outcome in OUTCOMES}
    for row in rows:
        parts[row.outcome].append(row)
    parts[ALL] = list(rows)
    return {outcome: realised(part) for outcome, part in parts.items() if part}


class _Lasting(NamedTuple):
    """An opportunity that may still be met by others."""

    end_ns: int
    legs: tuple[int, int]
    event: int


def events(rows: Sequence[ReportRow]) -> dict[int, int]:
    """The event of each opportunity, both by id; an event is named by its first one.

    Opportunities of one symbol that share a leg and overlap in time are one dislocation: whoever
    takes one of them has taken the others' quote. `rows` in the order of their opening.
    """
    event_of: dict[int, int] = {}
    merged: dict[int, int] = {}  # event -> the older one that it turned out to be
    lasting: dict[str, list[_Lasting]] = {}

    def root(event: int) -> int:
        while event in merged:
            event = merged[event]
        return event

    for row in rows:
        direction = DIRECTION_BY_LABEL[row.direction]
        legs = direction.spot.source_id, direction.futures.source_id
        met = [one for one in lasting.get(row.symbol, ()) if one.end_ns >= row.opened_ns]
        touched = sorted({root(one.event) for one in met if _share(one.legs, legs)})
        event = touched[0] if touched else row.id
        merged.update(dict.fromkeys(touched[1:], event))
        event_of[row.id] = event
        lasting[row.symbol] = [*met, _Lasting(row.end_ns, legs, event)]
    return {number: root(event) for number, event in event_of.items()}


def _share(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] == other[0] or one[1] == other[1]


def money(
    rows: Sequence[ReportRow], event_of: Mapping[int, int], cap_quote: float, tracked_s: float
) -> Money:
    """What one who takes the first opportunity of each event would have earned."""
    first: dict[int, ReportRow] = {}
    for row in rows:
        first.setdefault(event_of[row.id], row)
    sized = [
        (row.result_bps, min(row.entry_size_quote, row.mark_size_quote, cap_quote))
        for row in first.values()
        if row.result_bps is not None and row.mark_size_quote is not None
    ]
    earned = sum(costs.earned_quote(result, size) for result, size in sized)
    return Money(
        events=len(first),
        known=len(sized),
        size_quote_median=float(np.median([size for _, size in sized])) if sized else None,
        earned_quote=earned,
        per_day_quote=earned * DAY_S / tracked_s if tracked_s >= TRACKED_S_MIN else None,
    )


def by_size(
    rows: Sequence[ReportRow], event_of: Mapping[int, int], tracked_s: float
) -> list[SizeEarned]:
    """The curve of capacity: more size, less for each unit of it."""
    first: dict[int, ReportRow] = {}
    for row in rows:
        first.setdefault(event_of[row.id], row)
    found = [
        (row.result_bps, row.size_costs_bps)
        for row in first.values()
        if row.result_bps is not None and row.size_costs_bps
    ]
    sizes = sorted({size for _, costs in found for size in costs})
    return [_of_size(size, found, tracked_s) for size in sizes]


def _of_size(
    size: float, found: Sequence[tuple[float, dict[float, float | None]]], tracked_s: float
) -> SizeEarned:
    asked = [(result, by_size[size]) for result, by_size in found if size in by_size]
    left = np.array([result - cost for result, cost in asked if cost is not None])
    earned = float(costs.earned_quote(left.sum(), size))
    return SizeEarned(
        size_quote=size,
        events=len(asked),
        carried=len(left),
        mean_bps=float(left.mean()) if len(left) else None,
        median_bps=float(np.median(left)) if len(left) else None,
        share_positive=float((left > 0).mean()) if len(left) else None,
        earned_quote=earned,
        per_day_quote=earned * DAY_S / tracked_s if tracked_s >= TRACKED_S_MIN else None,
    )


def left_after(rows: Sequence[ReportRow], looks: Looks, after_ms: int) -> LeftAfter:
    """What later entries would have left."""
    left: list[float] = []
    cost: list[float] = []
    taken = looks.get(after_ms, {})
    for row in rows:
        look = taken.get(row.id)
        if look is None or not look.counts or look.spot_ask_px is None or look.fut_bid_px is None:
            continue
        then = row.left_bps(look.spot_ask_px, look.fut_bid_px)
        if then is not None and row.result_bps is not None:
            left.append(then)
            cost.append(row.result_bps - then)
    values = np.array(left)
    return LeftAfter(
        after_ms=after_ms,
        counted=len(left),
        mean_bps=float(values.mean()) if left else None,
        median_bps=float(np.median(values)) if left else None,
        share_positive=float((values > 0).mean()) if left else None,
        cost_bps_mean=float(np.mean(cost)) if left else None,
    )


def by_hour(rows: Sequence[ReportRow]) -> list[TimeSlice]:
    """By the hour of the day, UTC, that they were opened in."""
    parts: list[list[ReportRow]] = [[] for _ in range(HOURS)]
    for row in rows:
        parts[row.opened_ns // (3_600 * NS_PER_S) % HOURS].append(row)
    return [_slice(hour * 3_600.0, part) for hour, part in enumerate(parts)]


def over_time(rows: Sequence[ReportRow]) -> list[TimeSlice]:
    """In as many equal spans between the first and the last as a plot can show."""
    if not rows:
        return []
    first_s, last_s = rows[0].opened_ns / NS_PER_S, rows[-1].opened_ns / NS_PER_S
    step_s = max((last_s - first_s) / SLICES, 1.0)
    parts: list[list[ReportRow]] = [[] for _ in range(int((last_s - first_s) / step_s) + 1)]
    for row in rows:
        parts[int((row.opened_ns / NS_PER_S - first_s) / step_s)].append(row)
    return [_slice(first_s + number * step_s, part) for number, part in enumerate(parts)]


def _slice(start_s: float, rows: Sequence[ReportRow]) -> TimeSlice:
    found = realised(rows)
    return TimeSlice(start_s, len(rows), found.known, found.mean_bps, found.median_bps)


def distribution(rows: Sequence[ReportRow]) -> Stacks:
    """How results are spread, those that converged apart."""
    values = known([row.result_bps for row in rows])
    if not len(values):
        return Stacks([], [], [])
    low, high = np.quantile(values, [0.01, 0.99]).tolist()
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    counts = [
        np.histogram(np.clip(part, low, high), edges)[0].tolist()
        for part in (
            known([row.result_bps for row in rows if row.converged]),
            known([row.result_bps for row in rows if not row.converged]),
        )
    ]
    return Stacks(edges.tolist(), *counts)
