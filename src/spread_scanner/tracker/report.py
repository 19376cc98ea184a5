"""What became of the opportunities, in numbers that do not flatter.

Reads the database in one read transaction; writes nothing. Only opportunities opened in the period
count, and of those the newest ROWS_MAX (report_rows.py). What a trade would have earned stands in
earnings.py, how long lives are measured in lifetimes.py. Definitions, also printed on the page:
DEFINITIONS; docs/economics.md has them at length.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from spread_scanner import config
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.schema.records import SIGNAL_FUNDING_UNKNOWN, SIGNAL_LEG_LOST
from spread_scanner.tracker import earnings, report_rows
from spread_scanner.tracker.book import PROBES_MS
from spread_scanner.tracker.earnings import (
    LEFT_AFTER_MS,
    LeftAfter,
    Money,
    Realised,
    SizeEarned,
    Stacks,
    TimeSlice,
)
from spread_scanner.tracker.lifetimes import Lifetime, half_life, survival, thinned
from spread_scanner.tracker.opportunity import Reason
from spread_scanner.tracker.report_rows import Looks, ReportRow

DEFINITIONS = {
    "entry gross": "What entering earned at the opening signal: the perpetual's bid over the "
    "spot's ask, in basis points of that ask.",
    "net": "Gross, and what closing is assumed to earn, less the taker fees of two entries and "
    "two exits, less expected funding.",
    "peak net": "The largest net seen in a signal, sample or probe.",
    "realised": "The money of one base unit, in basis points of the spot ask that was paid: "
    "entered at the opening signal's prices, left at the look that completed the convergence, "
    "less each fee on its own notional, less the funding that was really crossed. Spot fees are "
    "often taken in the coin bought: here they count as money, but the hedge is then short by "
    "that fee.",
    "converged": "Leaving would have realised take_share of the net at the opening signal, or of "
    "0 if that was negative, in every look for converge_ms. It is a rule for stopping at a "
    "profit: read it only beside the others.",
    "stale, expired, gap, retired, open": "Ended otherwise, or not yet: marked at what leaving at "
    "the last usable look would have left.",
    "events": "Opportunities of one symbol that share a leg and overlap in time are one event: "
    "counted once, and sized once, as its first opportunity.",
    "a day": "Of each event the result, times the smallest of the size at entry, the size at the "
    "exit and the cap (size_cap_quote); the sum for a day of the time that was tracked.",
    "by size": "Of each event's first opportunity whose two order books stood within ten seconds "
    "of the signal: its result, less what the size took off the net of the tops by these books, "
    "the way out included. A size that they did not carry, or that could not be left again, was "
    "not done. Its sum, times the size, is the capacity.",
    "half-life": "Time from the opening signal by which half had converged; those not followed to "
    "their end count as long as they were seen (Kaplan-Meier).",
    "signal half-life": "Time by which the engine had withdrawn half of the signals, because the "
    "net spread fell below its exit threshold; counted in the same way.",
    "standing": "Net spread looked up anew a fixed time after the opening signal: at least 0, or "
    "at least the threshold that made the signal. Of the looks that count: those at which both "
    "legs had been quoted anew, or would have been, had they changed (the channel tells every "
    "change, and all connections of the source had brought something). A leg that could not be "
    "stood behind did not stand. Looks that came too late are missing, not guessed.",
    "not renewed": "Looks at which a leg may only have looked as it did because nobody had told "
    "of a change yet.",
    "left after": "What would have been realised, had acting taken so long: entered at the prices "
    "of that look, left as above.",
    "late / missed": "Samples taken after their tolerance, and grid points without a sample.",
}

BINS = 40
SIZE_CAP_QUOTE = config.Tracker().size_cap_quote


class StoodAfter(msgspec.Struct, frozen=True):
    """What a fixed time after the opening signal showed. Shares are of the looks that count."""

    after_ms: int
    taken: int  # and known to show what stood then
    not_renewed: int
    missing: int
    not_negative: int
    over_enter: int
    share_not_negative: float | None
    share_over_enter: float | None


class Group(msgspec.Struct, frozen=True):
    """All opportunities, or those of a direction, or of a pair."""

    direction: str | None
    symbol: str | None
    opportunities: int
    left_open: int
    closed: dict[str, int]
    signals: int
    outcomes: dict[str, Realised]  # by why they were closed, "open" and "all"
    others: Realised  # all that did not converge
    money: Money
    by_size: list[SizeEarned]  # of what had two order books; empty: the tops alone are known
    life_ms_median: float | None  # of what converged
    half_life_ms: float | None
    signal_half_life_ms: float | None
    entry_gross_bps_median: float | None
    entry_net_bps_median: float | None
    entry_net_bps_p90: float | None
    peak_net_bps_median: float | None
    size_quote_median: float | None
    standing: list[StoodAfter]
    left_after: list[LeftAfter]


class Quality(msgspec.Struct, frozen=True):
    """How far the numbers can be trusted."""

    samples: int
    late: int
    missed: int
    lost: int
    gaps: int
    gap_ms: float
    funding_unknown: int
    result_unknown: int  # of what was closed: rows of an older version, or nothing usable was seen
    settlements: int  # of funding, crossed by them
    left_open: int
    left_out: int  # older ones of the period, beyond ROWS_MAX
    tracked_s: float  # how long a tracker ran in the period
    runs: int
    run_totals: dict[str, int]  # of all runs that wrote in the period


class Bins(msgspec.Struct, frozen=True):
    """A histogram: counts between edges, one edge more than counts; both empty without values."""

    counts: list[int]
    edges: list[float]


class Report(msgspec.Struct, frozen=True):
    """Everything; `total.standing`, the curve, the bins and slices are what the plots show. Its
    size does not grow with the number of opportunities, only with that of pairs."""

    since_ns: int
    until_ns: int
    quotes: list[str]  # the coins that all money here is in; of several it is added up as of one
    size_cap_quote: float
    total: Group
    directions: list[Group]
    pairs: list[Group]
    quality: Quality
    curve: list[tuple[float, float]]  # ms after the opening signal, share still alive
    entry_net_bps: Bins  # tails beyond the 1st and 99th percentile are in the outermost bins
    opened_s: Bins  # since 1970 UTC
    realised_bps: Stacks
    over_time: list[TimeSlice]
    by_hour: list[TimeSlice]


class _Seen:
    """What a report is made of; `group` does the same sums for any part of it."""

    def __init__(
        self, rows: list[ReportRow], looks: Looks, cap_quote: float, tracked_s: float
    ) -> None:
        self.rows = rows
        self._looks = looks
        self._cap_quote = cap_quote
        self._tracked_s = tracked_s
        self._event_of = earnings.events(rows)

    def groups(self, *, by_symbol: bool) -> list[Group]:
        parts: dict[tuple[str, str | None], list[ReportRow]] = {}
        for row in self.rows:
            parts.setdefault((row.direction, row.symbol if by_symbol else None), []).append(row)
        groups = [self.group(part, *key) for key, part in parts.items()]
        return sorted(
            groups, key=lambda group: (-group.opportunities, group.direction, group.symbol)
        )

    def group(
        self, rows: Sequence[ReportRow], direction: str | None = None, symbol: str | None = None
    ) -> Group:
        lives = [_life(row) for row in rows]
        return Group(
            direction=direction,
            symbol=symbol,
            opportunities=len(rows),
            left_open=sum(row.reason is None for row in rows),
            closed={reason: sum(row.reason == reason for row in rows) for reason in _REASONS},
            signals=sum(row.signals for row in rows),
            outcomes=earnings.by_outcome(rows),
            others=earnings.realised([row for row in rows if not row.converged]),
            money=earnings.money(rows, self._event_of, self._cap_quote, self._tracked_s),
            by_size=earnings.by_size(rows, self._event_of, self._tracked_s),
            life_ms_median=_median([life.ms for life in lives if life.ended]),
            half_life_ms=half_life(lives),
            signal_half_life_ms=half_life([_signal_life(row) for row in rows]),
            entry_gross_bps_median=_median([row.entry_gross_bps for row in rows]),
            entry_net_bps_median=_median([row.entry_net_bps for row in rows]),
            entry_net_bps_p90=_quantile([row.entry_net_bps for row in rows], 0.9),
            peak_net_bps_median=_median([row.peak_net_bps for row in rows]),
            size_quote_median=_median([row.entry_size_quote for row in rows]),
            standing=[_standing(rows, self._looks, after_ms) for after_ms in PROBES_MS],
            left_after=[
                earnings.left_after(rows, self._looks, after_ms) for after_ms in LEFT_AFTER_MS
            ],
        )


_REASONS = [reason.value for reason in Reason]


def make(
    connection: sqlite3.Connection,
    since_ns: int,
    until_ns: int,
    cap_quote: float = SIZE_CAP_QUOTE,
) -> Report:
    """The report over what was opened from `since_ns` to before `until_ns`."""
    connection.execute("BEGIN")
    try:
        since_ns, left_out = report_rows.bounded(connection, since_ns, until_ns)
        rows = report_rows.read(connection, since_ns, until_ns)
        looks = report_rows.read_looks(connection, since_ns, until_ns)
        runs, tracked_s = _runs(connection, since_ns, until_ns)
    finally:
        connection.execute("ROLLBACK")
    seen = _Seen(rows, looks, cap_quote, tracked_s)
    return Report(
        since_ns=since_ns,
        until_ns=until_ns,
        quotes=sorted({row.symbol.rpartition("-")[2] for row in rows}),
        size_cap_quote=cap_quote,
        total=seen.group(rows),
        directions=seen.groups(by_symbol=False),
        pairs=seen.groups(by_symbol=True),
        quality=_quality(rows, runs, left_out, tracked_s),
        curve=thinned(survival([_life(row) for row in rows])),
        entry_net_bps=_bins([row.entry_net_bps for row in rows], 0.01),
        opened_s=_bins([row.opened_ns / NS_PER_S for row in rows]),
        realised_bps=earnings.distribution(rows),
        over_time=earnings.over_time(rows),
        by_hour=earnings.by_hour(rows),
    )


def _bins(values: Sequence[float], tail: float = 0.0) -> Bins:
    """Values beyond the quantiles `tail` and 1 - `tail` join the outermost bins."""
    if not values:
        return Bins([], [])
    low, high = np.quantile(values, [tail, 1 - tail])
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(values, low, high), BINS, (low, high))
    return Bins(counts.tolist(), edges.tolist())


def _runs(
    connection: sqlite3.Connection, since_ns: int, until_ns: int
) -> tuple[list[dict[str, int]], float]:
    """The totals of the runs that wrote in the period, and how long they were in it, s."""
    found = connection.execute(
        "SELECT totals, started_ns, written_ns FROM runs WHERE written_ns >= ? AND started_ns < ?",
        (since_ns, until_ns),
    ).fetchall()
    totals = [msgspec.json.decode(text, type=dict[str, int]) for text, _, _ in found]
    spans = [min(until, until_ns) - max(since, since_ns) for _, since, until in found]
    return totals, sum(max(0, span) for span in spans) / NS_PER_S


def _standing(rows: Sequence[ReportRow], looks: Looks, after_ms: int) -> StoodAfter:
    taken = missing = not_negative = over_enter = 0
    found = looks.get(after_ms, {})
    for row in rows:
        look = found.get(row.id)
        if look is None:
            missing += 1
        elif look.counts:
            taken += 1
            if look.net_bps is not None:
                not_negative += look.net_bps >= 0
                over_enter += look.net_bps >= row.enter_bps
    return StoodAfter(
        after_ms=after_ms,
        taken=taken,
        not_renewed=len(rows) - missing - taken,
        missing=missing,
        not_negative=not_negative,
        over_enter=over_enter,
        share_not_negative=not_negative / taken if taken else None,
        share_over_enter=over_enter / taken if taken else None,
    )


def _life(row: ReportRow) -> Lifetime:
    return Lifetime((row.end_ns - row.opened_ns) / NS_PER_MS, row.converged)


def _signal_life(row: ReportRow) -> Lifetime:
    """Until the engine withdrew the signal; a leg that was lost is no such end."""
    if row.first_exit_ns is None:
        return Lifetime(_life(row).ms, ended=False)
    lost = bool(row.flags & SIGNAL_LEG_LOST)
    return Lifetime((row.first_exit_ns - row.opened_ns) / NS_PER_MS, not lost)


def _quality(
    rows: Sequence[ReportRow], runs: Sequence[Mapping[str, int]], left_out: int, tracked_s: float
) -> Quality:
    totals: dict[str, int] = {}
    for run in runs:
        for label, count in run.items():
            totals[label] = totals.get(label, 0) + count
    return Quality(
        samples=sum(row.samples for row in rows),
        late=sum(row.late for row in rows),
        missed=sum(row.missed for row in rows),
        lost=sum(row.lost for row in rows),
        gaps=sum(row.gaps for row in rows),
        gap_ms=sum(row.gap_ms for row in rows),
        funding_unknown=sum(row.flags & SIGNAL_FUNDING_UNKNOWN != 0 for row in rows),
        result_unknown=sum(row.reason is not None and row.result_bps is None for row in rows),
        settlements=sum(row.settlements for row in rows),
        left_open=sum(row.reason is None for row in rows),
        left_out=left_out,
        tracked_s=tracked_s,
        runs=len(runs),
        run_totals=dict(sorted(totals.items())),
    )


def _quantile(values: Sequence[Any], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None


def _median(values: Sequence[Any]) -> float | None:
    return _quantile(values, 0.5)
