"""Holds what the engine signalled against what the simulator really sent.

The truth is a list of intervals: a pair's gross spread stood at or over its threshold from
`start` to `end`. The engine's side is a list of spans: from an ENTER of a pair to its EXIT.

    found     an interval that overlaps a span of its pair; an ENTER may come `tolerance` late
    missed    an interval that overlaps none
    untracked a found interval in which the tracker has no opportunity of its pair
    unended   an interval after which the pair had also left the exit threshold, for good, and no
              EXIT came within `tolerance` of that
    invented  an ENTER or RE-SIGNAL while no interval of its pair stood, give or take `tolerance`

An interval that was over before the run began, or began after it, is no part of it. Of the others
one is judged if it began within the run, lasted at least `lasting` before the end, none of its two
feeds, nor the engine, was down meanwhile, nobody had halted or paused what it needs, and both its
legs were being sent when it began: one that rests on the last word of a source that fell silent is
owed by nobody. The truth ends it when that word may no longer be believed, and a signal after that
is invented. A shorter one may rise and fall
between two reads of a socket: the store holds the latest quote and nobody owes a signal for it.
An engine that was down in between has forgotten that it was in: it owes no EXIT.
An interval may find the engine already in (hysteresis: the exit threshold lies lower); that is
found, without a second ENTER. All intervals, judged or not, excuse a signal.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, DIRECTIONS, SignalKind
from spread_scanner.schema.names import ENGINE

LASTING_MS = 50.0
TOLERANCE_MS = 250.0

# Why an interval of the run is not judged.
EARLY, SHORT, DOWN = "began before the run", "too short", "down, halted or paused"
UNSURE = "a leg had fallen silent"

UNTOLD = -1  # Interval.fell_ns: at its end, if the pair stood again later


class Interval(NamedTuple):
    """One line of the truth; monotonic ns."""

    symbol: str
    direction: str
    start_ns: int
    end_ns: int | None
    planted: bool
    peak_bps: float
    sure: bool = True  # both legs were being sent when it began
    # When it had left the exit threshold as well; None: it is not known to have.
    fell_ns: int | None = UNTOLD


class SeenSignal(NamedTuple):
    """One signal of the engine; monotonic ns."""

    symbol: str
    direction: str
    kind: SignalKind
    mono_ns: int
    net_bps: float


class TrackedLife(NamedTuple):
    """One opportunity of the tracker; monotonic ns, None: still open."""

    symbol: str
    direction: str
    opened_ns: int
    closed_ns: int | None


class DownTime(NamedTuple):
    """Who could not do his part: a process, or a direction or symbol that was paused; monotonic ns,
    None: never came back."""

    who: str
    start_ns: int
    end_ns: int | None


class Score(NamedTuple):
    """The verdict; `ok` when all that was owed came, and nothing else."""

    planted: int
    found: int
    missed: list[Interval]
    invented: list[SeenSignal]
    unjudged: dict[str, int]  # how many for which reason
    unended: list[Interval]
    untracked: list[Interval]

    @property
    def ok(self) -> bool:
        return not (self.missed or self.invented or self.unended or self.untracked)

    @property
    def excused(self) -> int:
        """Intervals of the run that were not judged."""
        return sum(self.unjudged.values())


def read_truth(path: Path) -> list[Interval]:
    """The intervals of a truth file, with when they fell; rows of other kinds are left out."""
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
    intervals: list[Interval] = []
    last: dict[tuple[str, str], int] = {}  # place of each pair's newest
    for row in rows:
        if "direction" not in row:
            continue
        pair = row["symbol"], row["direction"]
        if "start_mono_ns" in row:
            last[pair] = len(intervals)
            intervals.append(_interval_of(row))
        elif "fell_mono_ns" in row:
            place = last[pair]
            intervals[place] = intervals[place]._replace(fell_ns=int(row["fell_mono_ns"]))
    return intervals


def _interval_of(row: dict[str, Any]) -> Interval:
    return Interval(
        row["symbol"],
        row["direction"],
        int(row["start_mono_ns"]),
        None if row["end_mono_ns"] is None else int(row["end_mono_ns"]),
        bool(row["planted"]),
        float(row["peak_bps"]),
        bool(row["sure"]),
        fell_ns=None,
    )


def seen_of(records: np.ndarray, symbols: dict[int, str]) -> list[SeenSignal]:
    """The engine's records as SeenSignal, in order."""
    return [
        SeenSignal(
            symbols.get(int(record["symbol_id"]), f"#{int(record['symbol_id'])}"),
            DIRECTIONS[int(record["direction_id"])].label,
            SignalKind(int(record["kind"])),
            int(record["mono_ns"]),
            float(record["net_bps"]),
        )
        for record in records
    ]


def score(
    truth: Sequence[Interval],
    seen: Sequence[SeenSignal],
    window_ns: tuple[int, int],
    *,
    lives: Iterable[TrackedLife] | None = None,
    outages: Sequence[DownTime] = (),
    lasting_ms: float = LASTING_MS,
    tolerance_ms: float = TOLERANCE_MS,
) -> Score:
    """Judge all intervals and all signals; the rule stands at the head of this module. Without
    `lives` the tracker is not judged."""
    lasting_ns, tolerance_ns = int(lasting_ms * NS_PER_MS), int(tolerance_ms * NS_PER_MS)
    spans = _spans(seen)
    found: list[Interval] = []
    unjudged: Counter[str] = Counter()
    missed: list[Interval] = []
    for interval in truth:
        end_ns = _end(interval, window_ns)
        if end_ns <= window_ns[0] or interval.start_ns >= window_ns[1]:
            continue
        if interval.start_ns < window_ns[0]:
            unjudged[EARLY] += 1
        elif not interval.sure:
            unjudged[UNSURE] += 1
        elif end_ns - interval.start_ns < lasting_ns:
            unjudged[SHORT] += 1
        elif _was_down(interval, interval.start_ns, end_ns, outages):
            unjudged[DOWN] += 1
        elif _overlaps(spans[interval.symbol, interval.direction], interval, end_ns, tolerance_ns):
            found.append(interval)
        else:
            missed.append(interval)
    return Score(
        planted=len(found) + len(missed),
        found=len(found),
        missed=missed,
        invented=_invented(truth, seen, tolerance_ns),
        unjudged=dict(unjudged),
        unended=_unended(truth, spans, window_ns, outages, tolerance_ns),
        untracked=[] if lives is None else _untracked(found, lives, window_ns, tolerance_ns),
    )


def _invented(
    truth: Iterable[Interval], seen: Iterable[SeenSignal], tolerance_ns: int
) -> list[SeenSignal]:
    stood: defaultdict[tuple[str, str], list[Interval]] = defaultdict(list)
    for interval in truth:
        stood[interval.symbol, interval.direction].append(interval)
    return [
        one
        for one in seen
        if one.kind is not SignalKind.EXIT
        and not _excused(stood[one.symbol, one.direction], one.mono_ns, tolerance_ns)
    ]


def _unended(
    truth: Iterable[Interval],
    spans: Mapping[tuple[str, str], list[tuple[int, float]]],
    window_ns: tuple[int, int],
    outages: Sequence[DownTime],
    tolerance_ns: int,
) -> list[Interval]:
    """Intervals whose fall the engine did not say; the falls of one span are one."""
    starts: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for interval in truth:
        starts[interval.symbol, interval.direction].append(interval.start_ns)
    unended: dict[tuple[str, str, int], Interval] = {}
    for interval in truth:
        pair = interval.symbol, interval.direction
        fell_ns = interval.fell_ns
        if fell_ns == UNTOLD:
            fell_ns = interval.end_ns if interval.start_ns < max(starts[pair]) else None
        if fell_ns is None or not window_ns[0] <= fell_ns <= window_ns[1] - tolerance_ns:
            continue
        owed_ns = fell_ns + tolerance_ns
        if any(fell_ns < start_ns <= owed_ns for start_ns in starts[pair]):
            continue  # it stood again
        for enter_ns, exit_ns in spans.get(pair, ()):
            lasts = enter_ns <= fell_ns and exit_ns > owed_ns
            if lasts and not _was_down(interval, enter_ns, owed_ns, outages):
                unended.setdefault((*pair, enter_ns), interval)
    return list(unended.values())


def _untracked(
    found: Iterable[Interval],
    lives: Iterable[TrackedLife],
    window_ns: tuple[int, int],
    tolerance_ns: int,
) -> list[Interval]:
    followed: defaultdict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for life in lives:
        closed_ns = float("inf") if life.closed_ns is None else life.closed_ns
        followed[life.symbol, life.direction].append((life.opened_ns, closed_ns))
    return [
        one
        for one in found
        if not _overlaps(
            followed[one.symbol, one.direction], one, _end(one, window_ns), tolerance_ns
        )
    ]


def _end(interval: Interval, window_ns: tuple[int, int]) -> int:
    return window_ns[1] if interval.end_ns is None else min(interval.end_ns, window_ns[1])


def _spans(seen: Iterable[SeenSignal]) -> defaultdict[tuple[str, str], list[tuple[int, float]]]:
    """From ENTER to EXIT, per pair. A RE-SIGNAL says as well that the engine is in."""
    spans: defaultdict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    for one in seen:
        of_pair = spans[one.symbol, one.direction]
        is_in = bool(of_pair) and of_pair[-1][1] == float("inf")
        if one.kind is SignalKind.EXIT:
            if is_in:
                of_pair[-1] = (of_pair[-1][0], one.mono_ns)
        elif not is_in:
            of_pair.append((one.mono_ns, float("inf")))
    return spans


def _overlaps(
    spans: Iterable[tuple[int, float]], interval: Interval, end_ns: int, tolerance_ns: int
) -> bool:
    return any(
        enter_ns <= end_ns + tolerance_ns and exit_ns >= interval.start_ns
        for enter_ns, exit_ns in spans
    )


def _excused(intervals: Iterable[Interval], at_ns: int, tolerance_ns: int) -> bool:
    return any(
        interval.start_ns - tolerance_ns
        <= at_ns
        <= (at_ns if interval.end_ns is None else interval.end_ns + tolerance_ns)
        for interval in intervals
    )


def _was_down(interval: Interval, start_ns: int, end_ns: int, outages: Sequence[DownTime]) -> bool:
    direction = DIRECTION_BY_LABEL[interval.direction]
    needed = {direction.spot.process, direction.futures.process, ENGINE}
    needed |= {interval.direction, interval.symbol}
    return any(
        outage.who in needed
        and outage.start_ns <= end_ns
        and (outage.end_ns is None or outage.end_ns >= start_ns)
        for outage in outages
    )
