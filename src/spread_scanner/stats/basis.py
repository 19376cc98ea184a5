"""How the basis of many pairs usually stands: means, deviations, quantiles, speed of reversion.

Every second each pair has an entry and an exit basis, or none. Two horizons: exponentially weighted
means and deviations of the seconds, kept from one to the next; and the medians of whole minutes,
of which the last 240 give exact quantiles and the AR(1) half-life of reversion. Each pair has a
second at which its minutes end, so that a sixtieth of the pairs closes a minute each second, and no
second has all of them to sort. A minute without a sample takes its
place without a median: the window is four hours, not 240 medians of whatever age.

Rejected: running quantiles (t-digest, P2), which are no quantiles; AR(1) of the seconds, whose bid
and ask bounce looks like a reversion within seconds; sorted windows kept up to date, which cost a
second copy of the medians and save a tenth of a millisecond.

Memory: 5.1 KB a pair.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from spread_scanner.schema.analysis import MINUTES, PAIR_ANALYSIS_DTYPE, QUANTILES
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.stats._means import PairMeans

_Array = npt.NDArray[np.float64]
_Mask = npt.NDArray[np.bool_]

SIDES = ("entry", "exit")
MINUTE_S = 60
KNOWN_PART = 12  # a half-life is known once a twelfth of it was sampled: five minutes of an hour
REVERSION_PAIRS_MIN = 30  # consecutive minutes that a half-life of reversion is drawn from


class BasisStatistics:
    """Of n pairs. `step` takes the entry and exit basis of each for one second of the grid."""

    def __init__(self, records: np.ndarray, half_lives_s: Sequence[float]) -> None:
        """`records` is (n,) PAIR_ANALYSIS_DTYPE, into which every step writes its results."""
        count = len(records)
        self.records = records
        known = [(1 - 2 ** (-1 / KNOWN_PART)) / (1 - 2 ** (-1 / one)) for one in half_lives_s]
        self._means = PairMeans(records, half_lives_s, known)
        self._minute = np.empty((count, 2, MINUTE_S))  # the samples of the running minute
        self._medians = np.empty((count, 2, MINUTES))
        self._seen = np.zeros((count, MINUTES), np.uint8)  # seconds of each minute with a sample
        self._seen_before = np.zeros(count, np.int64)  # the sum of those
        self._seen_now = np.zeros(count, np.int64)
        self._closed = np.zeros(MINUTE_S, np.int64)  # minutes closed, by the second they end at
        self._phase = np.arange(count) % MINUTE_S  # the second at which a pair's minutes end
        self._begun = np.zeros(count, np.int64)
        self._last: int | None = None
        self._sort_phases()
        self.forget(slice(None))

    def _sort_phases(self) -> None:
        self._of_phase = [np.flatnonzero(self._phase == phase) for phase in range(MINUTE_S)]

    def take_over(self, old: "BasisStatistics", places: npt.NDArray[np.int64]) -> None:
        """Go on where `old` is, whose half-lives are the same: pair i with its pair places[i], or
        anew where that is -1."""
        mine, theirs = np.flatnonzero(places >= 0), places[places >= 0]
        self._last = old._last
        self.forget(slice(None))
        self._closed = old._closed.copy()
        self._means.take_over(old._means, mine, theirs)
        for name in (
            *("_minute", "_medians", "_seen", "_seen_before", "_seen_now", "_phase", "_begun"),
            "records",
        ):
            getattr(self, name)[mine] = getattr(old, name)[theirs]
        self._sort_phases()

    def forget(self, which: Any) -> None:
        """Begin anew with these pairs (an index or a mask): they are other coins now."""
        self._means.forget(which)
        self._minute[which] = self._medians[which] = np.nan
        self._seen[which] = self._seen_before[which] = self._seen_now[which] = 0
        self._begun[which] = -1 if self._last is None else self._last + 1
        empty = np.zeros((), PAIR_ANALYSIS_DTYPE)
        empty["ts_sample"] = TS_ABSENT
        for side in SIDES:
            for name in empty[side].dtype.names or ():
                empty[side][name] = np.nan
        self.records[which] = empty

    def looked_s(self, tick: int) -> int:
        """For how long the pair that was looked at longest has been."""
        return int(tick - self._begun.min() + 1) if len(self._begun) else 0

    def step(self, tick: int, ts_ns: int, usable: _Mask, basis: _Array) -> None:
        """One second: `sample`, then `close`."""
        self.sample(tick, ts_ns, usable, basis)
        self.close(tick)

    def sample(self, tick: int, ts_ns: int, usable: _Mask, basis: _Array) -> None:
        """Second `tick`, which is `ts_ns`: (n,) which pairs have a basis, (2, n) entry and exit.

        Ticks only go up; those that were left out had no basis. What is shown of the minutes is
        that of the last `close`.
        """
        if self._last is None:
            self._last = tick - 1
            self._begun[:] = tick
        if tick <= self._last:
            raise ValueError(f"tick {tick} after {self._last}")
        self._catch_up(self._last, tick)
        self._means.step(tick - self._last, ts_ns, usable, basis)
        self._minute[:, :, tick % MINUTE_S] = np.where(usable, basis, np.nan).T
        self._seen_now += usable
        self._last = tick
        now_s = (tick - self._phase - 1) % MINUTE_S + 1  # of the running minute
        since_s = tick - self._begun + 1
        self.records["looked"] = np.minimum(since_s // MINUTE_S, MINUTES)
        looked_s = np.minimum(since_s, MINUTES * MINUTE_S + now_s)
        seen_s = self._seen_before + self._seen_now
        self.records["usable_share"] = seen_s / np.maximum(looked_s, 1)

    # The minutes.

    def close(self, tick: int) -> None:
        """The minute of a sixtieth of the pairs ends with this second, which was sampled."""
        self._close(tick % MINUTE_S)

    def _catch_up(self, last: int, tick: int) -> None:
        """Close the minutes that ended in seconds that were left out."""
        missed = tick - last - 1
        for phase in range(min(missed, MINUTE_S)):
            times = 1 + (missed - phase - 1) // MINUTE_S
            self._close((last + 1 + phase) % MINUTE_S, empty=times - 1)

    def _close(self, phase: int, empty: int = 0) -> None:
        """The minute of a sixtieth of the pairs is over, and so many more that had no sample."""
        rows = self._of_phase[phase]
        samples = np.sort(self._minute[rows], axis=-1)  # NaN come last
        known = np.isfinite(samples).sum(-1)
        place = int(self._closed[phase] % MINUTES)
        self._medians[rows, :, place] = quantile(samples, known, 0.5)
        self._seen[rows, place] = self._seen_now[rows]
        nothing = (place + 1 + np.arange(min(empty, MINUTES))) % MINUTES
        self._medians[rows[:, None], :, nothing] = np.nan
        self._seen[rows[:, None], nothing] = 0
        self._seen_before[rows] = self._seen[rows].sum(1, dtype=np.int64)
        self._closed[phase] += 1 + empty
        self._minute[rows] = np.nan
        self._seen_now[rows] = 0
        self._show_minutes(rows, int(self._closed[phase] % MINUTES))

    def _show_minutes(self, rows: npt.NDArray[np.int64], oldest: int) -> None:
        medians = self._medians[rows]
        ranked = np.sort(medians, axis=-1)
        known = np.isfinite(ranked).sum(-1)
        half_life_s = reversion_s(np.roll(medians, -oldest, axis=-1), MINUTE_S)
        self.records["minutes"][rows] = known[:, 0]
        for number, side in enumerate(SIDES):
            part = self.records[side]
            for name, share in QUANTILES.items():
                part[name][rows] = quantile(ranked[:, number], known[:, number], share)
            part["half_life_s"][rows] = half_life_s[:, number]


def quantile(ranked: _Array, known: npt.NDArray[np.int64], share: float) -> _Array:
    """Of values in order along the last axis, of which the first `known` count: linear between
    the two nearest, as numpy.quantile has it; NaN where none is known."""
    at = share * (known - 1)
    below = np.clip(np.floor(at), 0, None).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(known - 1, 0))
    lower = np.take_along_axis(ranked, below[..., None], -1)[..., 0]
    upper = np.take_along_axis(ranked, above[..., None], -1)[..., 0]
    found = lower + (upper - lower) * (at - below)
    return np.where(known > 0, found, np.nan)


def reversion_s(series: _Array, step_s: float) -> _Array:
    """How long until half of what a series is off its mean has gone, by AR(1): the regression of
    each value on the one before, over the pairs of which both are known, along the last axis.

    NaN where phi is outside (0, 1), which is no reversion, and where there are too few pairs.
    """
    before, after = series[..., :-1], series[..., 1:]
    both = np.isfinite(before) & np.isfinite(after)
    pairs = both.sum(-1)
    with np.errstate(all="ignore"):
        before = np.where(both, before, 0.0)
        after = np.where(both, after, 0.0)
        before = np.where(both, before - (before.sum(-1) / pairs)[..., None], 0.0)
        after = np.where(both, after - (after.sum(-1) / pairs)[..., None], 0.0)
        phi = (before * after).sum(-1) / (before * before).sum(-1)
        found = step_s * math.log(0.5) / np.log(phi)
    reverts = (phi > 0) & (phi < 1) & (pairs >= REVERSION_PAIRS_MIN)
    return np.where(reverts, found, np.nan)
