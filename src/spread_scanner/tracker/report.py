"""What became of the opportunities, in numbers that do not flatter.

Reads the database in one read transaction; writes nothing. Only opportunities opened in the period
count, and of those the newest ROWS_MAX: what they need in memory has a bound, and the report says
how many were left out. Definitions, also printed on the page (DEFINITIONS):

A life ends where convergence began to hold. One that was not followed to that end (left open,
gone stale, expired, retired, lost in a gap) lived at least as long as it was followed; leaving
those out would make lives look shorter. So the half-life is Kaplan and Meier's median: the time by
which half have ended, with such lives counted as long as they were seen. It is None when fewer
than half ended.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.schema.records import SIGNAL_LEG_LOST
from spread_scanner.tracker.book import PROBES_MS
from spread_scanner.tracker.opportunity import Reason

DEFINITIONS = {
    "entry gross / net": "Spread at the opening signal, before and after taker fees of two entries "
    "and two exits and expected funding where known; basis points of the spot ask.",
    "peak net": "The largest net spread seen in a signal, sample or probe.",
    "half-life": "Time from the opening signal by which half had converged; those not followed to "
    "their end count as long as they were seen (Kaplan-Meier).",
    "median life": "Half of those that did converge lived no longer, from the opening signal to "
    "where the convergence began to hold.",
    "signal half-life": "Time by which the engine had withdrawn half of the signals, because the "
    "net spread fell below its exit threshold; counted in the same way.",
    "standing": "Net spread looked up anew a fixed time after the opening signal: at least 0, or "
    "at least the threshold that made the signal. Of the looks taken; a look at a leg "
    "that could not be stood behind counts as not standing; looks that came too late are "
    "missing, not guessed.",
    "late / missed": "Samples taken after their tolerance, and grid points without a sample.",
}

_COLUMNS = (
    "id, symbol, direction, opened_ns, last_seen_ns, ended_ns, reason, first_exit_ns, flags, "
    "enter_bps, funding_bps IS NULL, entry_gross_bps, entry_net_bps, peak_net_bps, "
    "entry_size_quote, signals, samples, late, missed, lost, gaps, gap_ms"
)


ROWS_MAX = 100_000  # some 190 MB
CURVE_POINTS_MAX = 300
BINS = 40


class _Row(NamedTuple):
    id: int
    symbol: str
    direction: str
    opened_ns: int
    last_seen_ns: int
    ended_ns: int | None
    reason: str | None
    first_exit_ns: int | None
    flags: int
    enter_bps: float
    funding_unknown: int
    entry_gross_bps: float
    entry_net_bps: float
    peak_net_bps: float
    entry_size_quote: float
    signals: int
    samples: int
    late: int
    missed: int
    lost: int
    gaps: int
    gap_ms: float


_Probes = dict[tuple[int, int], float | None]  # (id, after_ms) -> net of a look that was taken


class StoodAfter(msgspec.Struct, frozen=True):
    """What a fixed time after the opening signal showed. Shares are of the looks taken."""

    after_ms: int
    taken: int
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
    life_ms_median: float | None
    half_life_ms: float | None
    signal_half_life_ms: float | None
    entry_gross_bps_median: float | None
    entry_net_bps_median: float | None
    entry_net_bps_p90: float | None
    peak_net_bps_median: float | None
    size_quote_median: float | None
    standing: list[StoodAfter]


class Quality(msgspec.Struct, frozen=True):
    """How far the numbers can be trusted."""

    samples: int
    late: int
    missed: int
    lost: int
    gaps: int
    gap_ms: float
    funding_unknown: int
    left_open: int
    left_out: int  # older ones of the period, beyond ROWS_MAX
    runs: int
    run_totals: dict[str, int]  # of all runs that wrote in the period


class Bins(msgspec.Struct, frozen=True):
    """A histogram: counts between edges, one edge more than counts; both empty without values."""

    counts: list[int]
    edges: list[float]


class Report(msgspec.Struct, frozen=True):
    """Everything; `total.standing`, `curve` and the bins are what the plots show. Its size does not
    grow with the number of opportunities, only with that of pairs."""

    since_ns: int
    until_ns: int
    total: Group
    directions: list[Group]
    pairs: list[Group]
    quality: Quality
    curve: list[tuple[float, float]]  # ms after the opening signal, share still alive
    entry_net_bps: Bins  # tails beyond the 1st and 99th percentile are in the outermost bins
    opened_s: Bins  # since 1970 UTC


def make(connection: sqlite3.Connection, since_ns: int, until_ns: int) -> Report:
    """The report over what was opened from `since_ns` to before `until_ns`."""
    connection.execute("BEGIN")
    try:
        since_ns, left_out = _bounded(connection, since_ns, until_ns)
        period = (since_ns, until_ns)
        rows = [
            _Row(*row)
            for row in connection.execute(
                f"SELECT {_COLUMNS} FROM opportunities WHERE opened_ns >= ? AND opened_ns < ? "
                "ORDER BY opened_ns, id",
                period,
            )
        ]
        probes: _Probes = {
            (number, after_ms): net
            for number, after_ms, net in connection.execute(
                "SELECT p.opportunity_id, p.after_ms, p.net_bps FROM probes p JOIN opportunities o "
                "ON o.id = p.opportunity_id WHERE o.opened_ns >= ? AND o.opened_ns < ? "
                "AND p.late_ns IS NOT NULL",
                period,
            )
        }
        runs = _runs(connection, since_ns, until_ns)
    finally:
        connection.execute("ROLLBACK")
    return Report(
        since_ns=since_ns,
        until_ns=until_ns,
        total=_group(rows, probes, None, None),
        directions=_groups(rows, probes, by_symbol=False),
        pairs=_groups(rows, probes, by_symbol=True),
        quality=_quality(rows, runs, left_out),
        curve=thinned(survival([_life(row) for row in rows])),
        entry_net_bps=_bins([row.entry_net_bps for row in rows], 0.01),
        opened_s=_bins([row.opened_ns / NS_PER_S for row in rows]),
    )


def _bounded(connection: sqlite3.Connection, since_ns: int, until_ns: int) -> tuple[int, int]:
    """Where the period has to begin to hold no more than ROWS_MAX, and how many that leaves out."""
    period = (since_ns, until_ns)
    where = "FROM opportunities WHERE opened_ns >= ? AND opened_ns < ?"
    first = connection.execute(
        f"SELECT opened_ns {where} ORDER BY opened_ns DESC LIMIT 1 OFFSET ?", (*period, ROWS_MAX)
    ).fetchone()
    if first is None:
        return period[0], 0
    left_out = connection.execute(f"SELECT count(*) {where}", (since_ns, first[0] + 1)).fetchone()
    return int(first[0]) + 1, int(left_out[0])


def thinned(curve: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """A curve of no more than CURVE_POINTS_MAX of its points, its ends among them."""
    if len(curve) <= CURVE_POINTS_MAX:
        return list(curve)
    places = np.linspace(0, len(curve) - 1, CURVE_POINTS_MAX).round().astype(int)
    return [curve[place] for place in np.unique(places).tolist()]


def _bins(values: Sequence[float], tail: float = 0.0) -> Bins:
    """Values beyond the quantiles `tail` and 1 - `tail` join the outermost bins."""
    if not values:
        return Bins([], [])
    low, high = np.quantile(values, [tail, 1 - tail])
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(values, low, high), BINS, (low, high))
    return Bins(counts.tolist(), edges.tolist())


def _runs(connection: sqlite3.Connection, since_ns: int, until_ns: int) -> list[dict[str, int]]:
    found = connection.execute(
        "SELECT totals FROM runs WHERE written_ns >= ? AND started_ns < ?", (since_ns, until_ns)
    )
    return [msgspec.json.decode(text, type=dict[str, int]) for (text,) in found]


def _groups(rows: Iterable[_Row], probes: _Probes, *, by_symbol: bool) -> list[Group]:
    parts: dict[tuple[str, str | None], list[_Row]] = {}
    for row in rows:
        parts.setdefault((row.direction, row.symbol if by_symbol else None), []).append(row)
    groups = [_group(part, probes, *key) for key, part in parts.items()]
    return sorted(groups, key=lambda group: (-group.opportunities, group.direction, group.symbol))


def _group(
    rows: Sequence[_Row], probes: _Probes, direction: str | None, symbol: str | None
) -> Group:
    lives = [_life(row) for row in rows]
    return Group(
        direction=direction,
        symbol=symbol,
        opportunities=len(rows),
        left_open=sum(row.reason is None for row in rows),
        closed={reason.value: sum(row.reason == reason.value for row in rows) for reason in Reason},
        signals=sum(row.signals for row in rows),
        life_ms_median=_median([life.ms for life in lives if life.ended]),
        half_life_ms=half_life(lives),
        signal_half_life_ms=half_life([_signal_life(row) for row in rows]),
        entry_gross_bps_median=_median([row.entry_gross_bps for row in rows]),
        entry_net_bps_median=_median([row.entry_net_bps for row in rows]),
        entry_net_bps_p90=_quantile([row.entry_net_bps for row in rows], 0.9),
        peak_net_bps_median=_median([row.peak_net_bps for row in rows]),
        size_quote_median=_median([row.entry_size_quote for row in rows]),
        standing=[_standing(rows, probes, after_ms) for after_ms in PROBES_MS],
    )


def _standing(rows: Sequence[_Row], probes: _Probes, after_ms: int) -> StoodAfter:
    taken = not_negative = over_enter = 0
    for row in rows:
        key = (row.id, after_ms)
        if key not in probes:
            continue
        taken += 1
        net = probes[key]
        if net is not None:
            not_negative += net >= 0
            over_enter += net >= row.enter_bps
    return StoodAfter(
        after_ms=after_ms,
        taken=taken,
        missing=len(rows) - taken,
        not_negative=not_negative,
        over_enter=over_enter,
        share_not_negative=not_negative / taken if taken else None,
        share_over_enter=over_enter / taken if taken else None,
    )


class Lifetime(NamedTuple):
    """How long something was seen to live, and whether it was seen to end."""

    ms: float
    ended: bool


def _life(row: _Row) -> Lifetime:
    end_ns = row.last_seen_ns if row.ended_ns is None else row.ended_ns
    return Lifetime((end_ns - row.opened_ns) / NS_PER_MS, row.reason == Reason.CONVERGED)


def _signal_life(row: _Row) -> Lifetime:
    """Until the engine withdrew the signal; a leg that was lost is no such end."""
    if row.first_exit_ns is None:
        return Lifetime(_life(row).ms, ended=False)
    lost = bool(row.flags & SIGNAL_LEG_LOST)
    return Lifetime((row.first_exit_ns - row.opened_ns) / NS_PER_MS, not lost)


def survival(lives: Sequence[Lifetime]) -> list[tuple[float, float]]:
    """Kaplan and Meier's estimate: (ms, share alive after it), a point per time of an ending."""
    if not lives:
        return []
    times = np.array([life.ms for life in lives])
    ended = np.array([life.ended for life in lives])
    order = np.argsort(times, kind="stable")
    times, ended = times[order], ended[order]
    moments, first = np.unique(times, return_index=True)
    endings = np.add.reduceat(ended.astype(np.int64), first)
    at_risk = len(times) - first
    alive = np.cumprod(1.0 - endings / at_risk)
    return [
        (moment, share)
        for moment, share, count in zip(
            moments.tolist(), alive.tolist(), endings.tolist(), strict=True
        )
        if count
    ]


def half_life(lives: Sequence[Lifetime]) -> float | None:
    """When half had ended, or None when fewer were seen to."""
    # Products of shares such as 2/3 * 3/4 may come out a hair above the half that they are.
    return next((ms for ms, share in survival(lives) if share <= 0.5 + 1e-12), None)


def _quality(rows: Sequence[_Row], runs: Sequence[dict[str, int]], left_out: int) -> Quality:
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
        funding_unknown=sum(row.funding_unknown for row in rows),
        left_open=sum(row.reason is None for row in rows),
        left_out=left_out,
        runs=len(runs),
        run_totals=dict(sorted(totals.items())),
    )


def _quantile(values: Sequence[Any], share: float) -> float | None:
    return float(np.quantile(values, share)) if values else None


def _median(values: Sequence[Any]) -> float | None:
    return _quantile(values, 0.5)
