"""What was signalled beside what the replay says: each difference has a name, and is counted.

Two are the same when one pair's two quotes made one kind of signal. The live engine looks at what
has come when it comes to it, the replay at every quote: most differences are of that.
"""

from collections import Counter, defaultdict
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.replay.playing import Replayed
from spread_scanner.replay.recomputing import SignalVerdict
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.schema.log import GapOf
from spread_scanner.schema.records import TS_ABSENT

LATE_NS = NS_PER_S  # signals of one kind so near each other are one
CONFLATED_NS = 100 * NS_PER_MS  # what stood for less may be looked at by nobody
GAP_AFTER_NS = 60 * NS_PER_S  # a quiet symbol's quote that is missing may be missed for so long


class Difference(StrEnum):
    """Why a signal is not on both sides."""

    LATE = "late"  # both signalled, by other quotes: the engine looked later, or in another order
    CONFLATED = "conflated"  # a newer quote came before the engine looked
    ENGINE_AWAY = "engine away"  # it did not run, or had not begun
    RING_FULL = "ring full"
    NOT_RECORDED = "not recorded"  # a Gap of signals
    GAP = "gap"  # quotes are missing in the log
    FOLLOWS = "follows"  # the pair stood otherwise since an earlier difference
    UNEXPLAINED = "unexplained"


class Compared(NamedTuple):
    same: int
    live: Counter[Difference]  # signalled, and not by the replay
    replayed: Counter[Difference]  # the other way round


def compared(found: Replayed, since_ns: int, until_ns: int) -> Compared:
    """Of the signals between two times of the session clock."""
    return _Comparing(found, since_ns, until_ns).all()


class _Comparing:
    def __init__(self, found: Replayed, since_ns: int, until_ns: int) -> None:
        self._found, self._since_ns, self._until_ns = found, since_ns, until_ns
        self._live, self._replayed = Counter[Difference](), Counter[Difference]()
        self._same = 0
        ticks = found.gaps[found.gaps["what"] == GapOf.TICKS]
        self._gaps = [
            (source_id, int(gap["ts_from"]), int(gap["ts_to"]) + GAP_AFTER_NS)
            for gap in ticks
            for source_id in [int(gap["source_id"])]
        ]
        signals = found.gaps[found.gaps["what"] == GapOf.SIGNALS]
        self._unrecorded = [(int(gap["ts_from"]), int(gap["ts_to"])) for gap in signals]
        self._away, self._full = _spans(found)

    def all(self) -> Compared:
        live, replayed = (_by_pair(one) for one in (self._found.live, self._found.signals))
        for pair in sorted(live.keys() | replayed.keys()):
            self._pair(live[pair], replayed[pair])
        return Compared(self._same, self._live, self._replayed)

    def _pair(self, live: list[int], replayed: list[int]) -> None:
        """One pair's signals, by their places."""
        lives, says = self._found.live, self._found.signals
        there = {_key(lives[place]): place for place in live}
        both = [place for place in replayed if there.pop(_key(says[place]), None) is not None]
        self._same += sum(self._within(says[place]) for place in both)
        left = sorted(there.values())
        alone = [place for place in replayed if place not in set(both)]
        first_ns = min(
            (int(one["ts_engine"]) for one in [*lives[left], *says[alone]]), default=2**63 - 1
        )
        for place in alone:
            other = next((at for at in left if self._one(lives[at], says[place])), None)
            if other is not None:
                left.remove(other)
            why = Difference.LATE if other is not None else self._why_replayed(place, first_ns)
            self._replayed[why] += self._within(says[place])
        for at in left:
            self._live[self._why_live(at, first_ns)] += self._within(lives[at])

    def _one(self, live: np.void, says: np.void) -> bool:
        apart_ns = abs(int(live["ts_engine"]) - int(says["ts_engine"]))
        return bool(live["kind"] == says["kind"]) and apart_ns <= LATE_NS

    def _why_replayed(self, place: int, first_ns: int) -> Difference:
        signal, at_ns = self._found.signals[place], int(self._found.signals["ts_engine"][place])
        if _in(self._away, at_ns):
            return Difference.ENGINE_AWAY
        if _in(self._unrecorded, at_ns):
            return Difference.NOT_RECORDED
        if _in(self._full, at_ns):
            return Difference.RING_FULL
        if self._in_gap(signal):
            return Difference.GAP
        if self._found.held_ns[place] < CONFLATED_NS:
            return Difference.CONFLATED
        return Difference.FOLLOWS if first_ns < at_ns else Difference.UNEXPLAINED

    def _why_live(self, place: int, first_ns: int) -> Difference:
        signal, at_ns = self._found.live[place], int(self._found.live["ts_engine"][place])
        if self._found.verdicts.of_signal[place] == SignalVerdict.NO_QUOTE:
            return Difference.GAP
        if _in(self._away, at_ns):
            return Difference.ENGINE_AWAY
        if self._in_gap(signal):
            return Difference.GAP
        return Difference.FOLLOWS if first_ns < at_ns else Difference.UNEXPLAINED

    def _in_gap(self, signal: np.void) -> bool:
        direction = DIRECTIONS[int(signal["direction_id"])]
        legs = (direction.spot.source_id, direction.futures.source_id)
        at_ns = int(signal["ts_engine"])
        return any(source in legs and begun < at_ns < end for source, begun, end in self._gaps)

    def _within(self, signal: np.void) -> bool:
        return self._since_ns <= int(signal["ts_engine"]) < self._until_ns


def _by_pair(signals: np.ndarray) -> defaultdict[tuple[int, int], list[int]]:
    places: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    ids = zip(signals["direction_id"].tolist(), signals["symbol_id"].tolist(), strict=True)
    for place, pair in enumerate(ids):
        places[pair].append(place)
    return places


def _key(signal: np.void) -> tuple[int, ...]:
    names = ("kind", "spot_ts_recv", "spot_update_id", "fut_ts_recv", "fut_update_id")
    return tuple(int(signal[name]) for name in names)


def _spans(found: Replayed) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """When the engine was away, and when its ring had no room: as often as that was looked at."""
    away: list[tuple[int, int]] = []
    full: list[tuple[int, int]] = []
    before = None
    for one in found.engine:
        begun_ns = TS_ABSENT if before is None else before.ts
        if not one.alive or (before is not None and not before.alive):
            away.append((begun_ns, one.ts + NS_PER_S))
        if before is not None and one.dropped > before.dropped:
            full.append((begun_ns, one.ts))
        before = one
    if before is not None and not before.alive:
        away.append((before.ts, 2**63 - 1))
    return away, full


def _in(spans: list[tuple[int, int]], at_ns: int) -> bool:
    return any(begun_ns <= at_ns <= end_ns for begun_ns, end_ns in spans)
