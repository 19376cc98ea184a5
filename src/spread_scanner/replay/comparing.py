"""What was signalled beside what the replay says: each difference has a name, and is counted.

Two are the same when one pair's two quotes made one kind of signal. The live engine looks at what
has come when it comes to it, the replay at every quote: most differences are of that.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.replay.playing import Replayed
from spread_scanner.replay.recomputing import SignalVerdict
from spread_scanner.schema.enums import DIRECTIONS, SignalKind
from spread_scanner.schema.log import GapOf
from spread_scanner.schema.records import SIGNAL_AGED, TS_ABSENT

LATE_NS = NS_PER_S  # signals of one kind so near each other are one
CONFLATED_NS = 200 * NS_PER_MS  # two looks of the recorder: what stood for less is known no better
BESIDE_NS = NS_PER_S  # so near each other signals are made by an engine that is as busy
ENDS_NS = NS_PER_S  # processes that are ended together end within so long


class Difference(StrEnum):
    """Why a signal is not on both sides."""

    LATE = "late"  # both signalled, by other quotes or later: the engine looked in another order
    CONFLATED = "conflated"  # a newer quote came before the engine looked
    ENGINE_AWAY = "engine away"  # it did not run, or had not begun
    RING_FULL = "ring full"
    NOT_RECORDED = "not recorded"  # a Gap of signals
    UNSEEN = "unseen"  # no recorder ran: nobody wrote down that the feeds lived
    GAP = "gap"  # quotes are missing in the log
    END = "at the end"  # the engine may have ended before the recorder looked last
    BEFORE = "before the log"  # how the pair stood when the log begins nobody wrote down
    Z = "z"  # the analyst had a say, and what it said is in no log
    FOLLOWS = "follows"  # the pair stands otherwise since the difference before
    UNEXPLAINED = "unexplained"


class Compared(NamedTuple):
    same: int
    live: Counter[Difference]  # signalled, and not by the replay
    replayed: Counter[Difference]  # the other way round


class _Seen(NamedTuple):
    """One signal of a pair, on one side or on both."""

    at_ns: int
    live: int | None  # its place among those of the log
    replayed: int | None
    late: bool = False  # the other side has one of its kind, by other quotes


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
            (source_id, int(gap["ts_from"]), int(gap["ts_to"]))
            for gap in ticks
            for source_id in [int(gap["source_id"])]
        ]
        signals = found.gaps[found.gaps["what"] == GapOf.SIGNALS]
        self._unrecorded = [(int(gap["ts_from"]), int(gap["ts_to"])) for gap in signals]
        self._away, self._full = _spans(found)
        self._begun = [one.ts for one in found.adopted if not one.whole]
        fresh = found.live[found.live["flags"] & SIGNAL_AGED == 0]
        fresh = fresh[np.argsort(fresh["ts_engine"], kind="stable")]
        self._fresh_ns, self._late_ns = fresh["ts_engine"], fresh["ts_engine"] - fresh["ts_trigger"]

    def all(self) -> Compared:
        live, replayed = (_by_pair(one) for one in (self._found.live, self._found.signals))
        for pair in sorted(live.keys() | replayed.keys()):
            self._pair(self._seen(live[pair], replayed[pair]))
        return Compared(self._same, self._live, self._replayed)

    def _seen(self, live: list[int], replayed: list[int]) -> list[_Seen]:
        """One pair's, by time."""
        lives, says = self._found.live, self._found.signals
        there: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for place in reversed(live):  # what is entered again by the same quotes is there twice
            there[_key(lives[place])].append(place)
        both = {
            place: found.pop() if (found := there[_key(says[place])]) else None
            for place in replayed
        }
        left = sorted(place for places in there.values() for place in places)
        seen = [_Seen(_at(says, place), at, place) for place, at in both.items() if at is not None]
        for place in (place for place, at in both.items() if at is None):
            other = next((at for at in left if _one(lives[at], says[place])), None)
            if other is not None:
                left.remove(other)
                seen.append(_Seen(_at(lives, other), other, None, late=True))
            seen.append(_Seen(_at(says, place), None, place, late=other is not None))
        seen += [_Seen(_at(lives, at), at, None) for at in left]
        return sorted(seen, key=lambda one: one.at_ns)

    def _pair(self, seen: list[_Seen]) -> None:
        """What does not agree, until both sides agree again, follows from what did not before."""
        otherwise: Difference | None = None
        begun = self._begun[::-1]
        for one in seen:
            while begun and begun[-1] <= one.at_ns:
                begun.pop()
                otherwise = Difference.BEFORE
            within = self._since_ns <= one.at_ns < self._until_ns
            if one.live is not None and one.replayed is not None:
                otherwise = None
                self._same += within
                continue
            why = Difference.LATE if one.late else self._why(one) or otherwise
            side = self._replayed if one.live is None else self._live
            side[why or Difference.UNEXPLAINED] += within
            if otherwise is None:
                otherwise = Difference.FOLLOWS

    def _why(self, one: _Seen) -> Difference | None:
        """What of itself tells why; None: nothing."""
        if one.replayed is not None:
            return next(self._why_replayed(one.replayed, one.at_ns), None)
        assert one.live is not None
        if self._found.verdicts.of_signal[one.live] == SignalVerdict.NO_QUOTE:
            return Difference.GAP
        if _in(self._away, one.at_ns):
            return Difference.ENGINE_AWAY
        if _in(self._found.unseen, one.at_ns):
            return Difference.UNSEEN
        return Difference.GAP if self._in_gap(self._found.live[one.live]) else None

    def _why_replayed(self, place: int, at_ns: int) -> Iterator[Difference]:
        signal = self._found.signals[place]
        if _in(self._away, at_ns):
            yield Difference.ENGINE_AWAY
        if _in(self._unrecorded, at_ns):
            yield Difference.NOT_RECORDED
        if _in(self._found.unseen, at_ns):
            yield Difference.UNSEEN
        if _in(self._full, at_ns):
            yield Difference.RING_FULL
        if self._in_gap(signal):
            yield Difference.GAP
        if self._found.held_ns[place] < max(CONFLATED_NS, self._late_beside_ns(at_ns)):
            yield Difference.CONFLATED
        if signal["kind"] != SignalKind.EXIT and self._asks_z(at_ns):
            yield Difference.Z
        if any(end_ns - ENDS_NS <= at_ns <= end_ns + ENDS_NS for end_ns in self._found.ends):
            yield Difference.END

    def _late_beside_ns(self, at_ns: int) -> int:
        """How long a quote waited for the engine at most, of those that it signalled about then."""
        edges = np.searchsorted(self._fresh_ns, (at_ns - BESIDE_NS, at_ns + BESIDE_NS))
        return int(max(self._late_ns[slice(*edges)], default=0))

    def _asks_z(self, at_ns: int) -> bool:
        before = [one for one in self._found.adopted if one.ts <= at_ns]
        return bool(before) and before[-1].asks_z

    def _in_gap(self, signal: np.void) -> bool:
        """Whether one of its quotes is from before the end of a gap: a later one may be missing."""
        direction = DIRECTIONS[int(signal["direction_id"])]
        received = {
            direction.spot.source_id: int(signal["spot_ts_recv"]),
            direction.futures.source_id: int(signal["fut_ts_recv"]),
        }
        return any(
            source in received and begun < int(signal["ts_engine"]) and received[source] <= end
            for source, begun, end in self._gaps
        )


def _by_pair(signals: np.ndarray) -> defaultdict[tuple[int, int], list[int]]:
    places: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    ids = zip(signals["direction_id"].tolist(), signals["symbol_id"].tolist(), strict=True)
    for place, pair in enumerate(ids):
        places[pair].append(place)
    return places


def _at(signals: np.ndarray, place: int) -> int:
    return int(signals["ts_engine"][place])


def _one(live: np.void, says: np.void) -> bool:
    """Whether they are the same said at two times."""
    apart_ns = abs(int(live["ts_engine"]) - int(says["ts_engine"]))
    return bool(live["kind"] == says["kind"]) and apart_ns <= LATE_NS


def _key(signal: np.void) -> tuple[int, ...]:
    names = ("kind", "spot_ts_recv", "spot_update_id", "fut_ts_recv", "fut_update_id")
    return tuple(int(signal[name]) for name in names)


def _spans(found: Replayed) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """When the engine was away, and when its ring had no room: as often as that was looked at."""
    away: list[tuple[int, int]] = []
    full: list[tuple[int, int]] = []
    gone_ns: int | None = None
    dropped = 0
    for one in found.engine:
        if not one.alive and gone_ns is None:  # what came last nobody looked at any more
            gone_ns = max(one.before_ns, TS_ABSENT + ENDS_NS) - ENDS_NS
        elif one.alive and gone_ns is not None:
            away.append((gone_ns, one.ts + NS_PER_S))
            gone_ns = None
        if one.dropped > dropped:
            full.append((one.before_ns, one.ts))
        dropped = one.dropped
    if gone_ns is not None:
        away.append((gone_ns, 2**63 - 1))
    return away, full


def _in(spans: Iterable[tuple[int, int]], at_ns: int) -> bool:
    return any(begun_ns <= at_ns <= end_ns for begun_ns, end_ns in spans)
