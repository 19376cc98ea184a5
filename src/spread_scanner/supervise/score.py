"""Holds what the engine signalled against what the simulator really sent.

The truth is a list of intervals: a pair's gross spread stood at or over its threshold from
`start` to `end`. The engine's side is a list of spans: from an ENTER of a pair to its EXIT.

    found     an interval that overlaps a span of its pair; an ENTER may come `tolerance` late
    missed    an interval that overlaps none
    invented  an ENTER or RE-SIGNAL while no interval of its pair stood, give or take `tolerance`

An interval that was over before the run began, or began after it, is no part of it. Of the others
one is judged if it began within the run, lasted at least `lasting` before the end, none of its two
feeds, nor the engine, was down meanwhile, and both its legs were being sent when it began: one that
rests on the last word of a source that fell silent is owed by nobody. The truth ends it when that
word may no longer be believed, and a signal after that is invented. A shorter one may rise and fall
between two reads of a socket: the store holds the latest quote and nobody owes a signal for it.
An interval may find the engine already in (hysteresis: the exit threshold lies lower); that is
found, without a second ENTER. All intervals, judged or not, excuse a signal.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson

from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, DIRECTIONS, SignalKind
from spread_scanner.schema.names import ENGINE

LASTING_MS = 50.0
TOLERANCE_MS = 250.0

# Why an interval of the run is not judged.
EARLY, SHORT, DOWN = "began before the run", "too short", "a process was down"
UNSURE = "a leg had fallen silent"


class Interval(NamedTuple):
    """One line of the truth; monotonic ns."""

    symbol: str
    direction: str
    start_ns: int
    end_ns: int | None
    planted: bool
    peak_bps: float
    sure: bool = True  # both legs were being sent when it began


class SeenSignal(NamedTuple):
    """One signal of the engine; monotonic ns."""

    symbol: str
    direction: str
    kind: SignalKind
    mono_ns: int
    net_bps: float


class DownTime(NamedTuple):
    """A process that could not do its part; monotonic ns, None: never came back."""

    process: str
    start_ns: int
    end_ns: int | None


class Score(NamedTuple):
    """The verdict; `ok` when nothing was missed or invented."""

    planted: int
    found: int
    missed: list[Interval]
    invented: list[SeenSignal]
    unjudged: dict[str, int]  # how many for which reason

    @property
    def ok(self) -> bool:
        return not self.missed and not self.invented

    @property
    def excused(self) -> int:
        """Intervals of the run that were not judged."""
        return sum(self.unjudged.values())


def read_truth(path: Path) -> list[Interval]:
    """The intervals of a truth file; rows of other kinds (faults) are left out."""
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines() if line.strip()]
    return [
        Interval(
            row["symbol"],
            row["direction"],
            int(row["start_mono_ns"]),
            None if row["end_mono_ns"] is None else int(row["end_mono_ns"]),
            bool(row["planted"]),
            float(row["peak_bps"]),
            bool(row["sure"]),
        )
        for row in rows
        if "start_mono_ns" in row and "direction" in row
    ]


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
    outages: Sequence[DownTime] = (),
    lasting_ms: float = LASTING_MS,
    tolerance_ms: float = TOLERANCE_MS,
) -> Score:
    """Judge all intervals and all signals; the rule stands at the head of this module."""
    lasting_ns, tolerance_ns = int(lasting_ms * NS_PER_MS), int(tolerance_ms * NS_PER_MS)
    spans = _spans(seen)
    found = 0
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
        elif _was_down(interval, end_ns, outages):
            unjudged[DOWN] += 1
        elif _overlaps(spans[interval.symbol, interval.direction], interval, end_ns, tolerance_ns):
            found += 1
        else:
            missed.append(interval)
    stood: defaultdict[tuple[str, str], list[Interval]] = defaultdict(list)
    for interval in truth:
        stood[interval.symbol, interval.direction].append(interval)
    invented = [
        one
        for one in seen
        if one.kind is not SignalKind.EXIT
        and not _excused(stood[one.symbol, one.direction], one.mono_ns, tolerance_ns)
    ]
    return Score(found + len(missed), found, missed, invented, dict(unjudged))


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


def _was_down(interval: Interval, end_ns: int, outages: Sequence[DownTime]) -> bool:
    direction = DIRECTION_BY_LABEL[interval.direction]
    needed = {direction.spot.process, direction.futures.process, ENGINE}
    return any(
        outage.process in needed
        and outage.start_ns <= end_ns
        and (outage.end_ns is None or outage.end_ns >= interval.start_ns)
        for outage in outages
    )
