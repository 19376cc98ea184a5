"""Group stats: what spread-analyst computes, without reading the store or publishing.

stats.bar      every indicator of 8 x 1,024 cells and every mean and deviation of 3,600 pairs, at a
               second in which bars of all three lengths close; without the medians
stats.second   the same at a second like most, in which only the shortest bar closes
stats.medians  what is spread over the minute: medians, quantiles and reversion of a sixtieth of the
               pairs, every second
stats.series   RSI, EMA and bands of one series of 500 points, from scratch
stats.at_rest  CPU time of a whole spread-analyst over quotes that stand, a look each second
               (at_rest.py)

All of it is CPU time of one thread. The results are compared with TA-Lib's in the run itself.
Floors are the same arithmetic in C without the grid (floor_stats.c; of the medians floor_medians.c,
by partition of the very numbers of the last second, which has to find the same); peers are what one
would call instead: of bars that close, a series of 500 points anew for each cell and bar (what one
such series takes, times how many there are); of the medians, numpy's over all the minutes of these
pairs.
"""

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
from at_rest import spend
from measure import Figure, figure, median_ns, per_call_ns, run_floor

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.analysis import (
    BAR_SECONDS,
    CELL_ANALYSIS_DTYPE,
    MINUTES,
    PAIR_ANALYSIS_DTYPE,
    QUANTILES,
)
from spread_scanner.stats._bars import BarIndicators, indicators
from spread_scanner.stats.basis import MINUTE_S, SIDES, BasisStatistics
from spread_scanner.stats.periods import Periods

Array = npt.NDArray[np.float64]

CELLS, PAIRS = 8 * 1_024, 3_600
POINTS = 500
HALF_LIVES_S = (300.0, 3_600.0, 14_400.0)
LONGEST_S = 300
PERIODS = Periods()
CPU = time.thread_time_ns
BAR_MS_MAX, SERIES_MS_MAX, AT_REST_PERCENT_MAX = 5.0, 0.1, 2.0  # what is demanded


def figures(small: bool) -> Iterator[Figure]:
    cells, pairs = (64, 60) if small else (CELLS, PAIRS)
    floor = run_floor("floor_stats.c", 2 if small else 40, cells, pairs, POINTS)
    live = _Live(cells, pairs)
    live.warm_up(30 if small else 25 * LONGEST_S)
    closing = [live.closing_ms() for _ in range(2 if small else 40)]
    series = _peers_of_a_series(5, 2 if small else 20)
    peers = {name: ms * cells * len(BAR_SECONDS) for name, ms in series.items()}
    yield figure(
        *("stats.bar", "ms", closing),
        floor=floor["stats.bar"],
        peers=peers,
        cells=cells,
        pairs=pairs,
        demanded_max=BAR_MS_MAX,
    )
    seconds = [live.second_ms() for _ in range(2 if small else 200)]
    peers = {name: ms * cells for name, ms in series.items()}
    yield figure(
        *("stats.second", "ms", seconds),
        floor=floor["stats.second"],
        peers=peers,
        cells=cells,
        pairs=pairs,
    )
    medians = [live.medians_ms() for _ in range(2 if small else 120)]
    peers = {"numpy": _numpy_medians_ms(pairs // 60, 2 if small else 20)}
    yield figure(
        *("stats.medians", "ms", medians),
        floor=live.medians_floor_ms(2 if small else 200),
        peers=peers,
        pairs=pairs,
        at_once=pairs // 60,
    )
    yield _series(small, floor["stats.series"])
    yield _at_rest(small)


class _Live:
    """Cells and pairs that walk; every mid and basis is usable, which costs most."""

    def __init__(self, cells: int, pairs: int) -> None:
        self._chance = np.random.default_rng(7)
        self._mids = np.exp(self._chance.normal(0, 3, cells))
        self._basis = self._chance.normal(-10, 20, (2, pairs))
        self._usable = np.ones(pairs, bool)
        self._bars = BarIndicators(np.zeros(cells, CELL_ANALYSIS_DTYPE), PERIODS)
        self._pairs = BasisStatistics(np.zeros(pairs, PAIR_ANALYSIS_DTYPE), HALF_LIVES_S)
        self._tick = self._seconds = 1_700_000_100
        self._first: list[float] = []  # mids of the first cell, for the check

    def warm_up(self, seconds: int) -> None:
        for _ in range(seconds):
            self._move()
            self._step()
            self._pairs.close(self._seconds)
        self._verify()

    def closing_ms(self) -> float:
        """One second that ends bars of all lengths; the seconds before it go by unmeasured."""
        self._move()
        while (self._tick + 1) % LONGEST_S:
            self._tick += 1
        return self._timed_ms(self._step)

    def second_ms(self) -> float:
        self._move()
        if (self._tick + 1) % 60 == 0:
            self._tick += 1
        return self._timed_ms(self._step)

    def medians_ms(self) -> float:
        self._move()
        self._step()
        return self._timed_ms(lambda: self._pairs.close(self._seconds))

    def medians_floor_ms(self, rounds: int) -> float:
        """The same in C, of the numbers of one more second; it has to find what we do."""
        self._move()
        self._step()
        kept, phase = self._pairs, self._seconds % MINUTE_S
        rows, oldest = kept._of_phase[phase], (kept._closed[phase] + 1) % MINUTES
        samples = kept._minute[rows]  # a copy: they go with the minute
        kept.close(self._seconds)
        minutes = np.roll(kept._medians[rows], -oldest, axis=-1)
        with tempfile.NamedTemporaryFile() as numbers:
            np.concatenate([samples, minutes], axis=-1).tofile(numbers)
            numbers.flush()
            floor = run_floor("floor_medians.c", rounds, numbers.name)
        ours = {"minute": minutes[:, :, -1].sum()}
        for name in ("half_life_s", *QUANTILES):
            ours[name] = sum(np.nansum(kept.records[side][name][rows]) for side in SIDES)
        for name, found in ours.items():
            np.testing.assert_allclose(floor[name], found, rtol=1e-9, err_msg=name)
        return floor["stats.medians"]

    def _move(self) -> None:
        self._tick += 1
        self._mids *= 1 + 1e-5 * self._chance.standard_normal(len(self._mids))
        self._basis += self._chance.standard_normal(self._basis.shape)
        self._first.append(float(self._mids[0]))

    def _timed_ms(self, work: Callable[[], None]) -> float:
        names: dict[str, object] = {"work": work}
        return per_call_ns("work()", names, batches=1, calls=1, timer=CPU)[0] / 1e6

    def _step(self) -> None:
        self._bars.step(self._tick, self._tick * NS_PER_S, self._mids)
        self._seconds += 1  # of the pairs, whose seconds are all alike: none is left out
        self._pairs.sample(self._seconds, self._seconds * NS_PER_S, self._usable, self._basis)

    def _verify(self) -> None:
        """Bars of a second are the seconds themselves."""
        expected = indicators(np.array(self._first), PERIODS)[-1]
        found = self._bars.records[0]["frames"][0]["closed"]
        np.testing.assert_allclose(list(found), list(expected), rtol=1e-9)


def _series(small: bool, floor: float) -> Figure:
    batches, calls = (3, 2) if small else (200, 20)
    closes = _closes()
    names: dict[str, object] = {"closes": closes, "periods": PERIODS, "indicators": indicators}
    statement = "indicators(closes, periods)"
    samples = per_call_ns(statement, names, batches=batches, calls=calls, timer=CPU)
    return figure(
        *("stats.series", "ms", [ns / 1e6 for ns in samples]),
        floor=floor,
        peers=_peers_of_a_series(5, calls),
        points=POINTS,
        demanded_max=SERIES_MS_MAX,
    )


def _closes() -> Array:
    walk: Array = np.cumsum(np.random.default_rng(1).normal(0, 1e-4, POINTS))
    return 60_000 * np.exp(walk)


def _peers_of_a_series(batches: int, calls: int) -> dict[str, float]:
    """Milliseconds, by who computes it; what they find is what we do."""
    closes = _closes()
    found = indicators(closes, PERIODS)
    peers: dict[str, float] = {}
    for name, peer in _peers().items():
        rsi, ema, middle = peer(closes)
        for label, values in (("rsi", rsi), ("ema", ema), ("middle", middle)):
            np.testing.assert_allclose(found[label], values, rtol=1e-9, err_msg=f"{name} {label}")
        names: dict[str, object] = {"peer": peer, "closes": closes}
        took_ns = median_ns("peer(closes)", names, batches=batches, calls=calls, timer=CPU)
        peers[name] = took_ns / 1e6
    return peers


def _numpy_medians_ms(pairs: int, calls: int) -> float:
    """Median, quantiles and the half-life of AR(1) of entering and leaving so many pairs."""
    minutes = np.random.default_rng(3).normal(-10, 20, (2, pairs, MINUTES))
    names: dict[str, object] = {"by_numpy": _medians_by_numpy, "minutes": minutes}
    return median_ns("by_numpy(minutes)", names, batches=5, calls=calls, timer=CPU) / 1e6


def _medians_by_numpy(minutes: Array) -> tuple[Array, Array]:
    before, after = minutes[..., :-1], minutes[..., 1:]
    off = before - before.mean(-1, keepdims=True)
    phi = (off * (after - after.mean(-1, keepdims=True))).sum(-1) / (off * off).sum(-1)
    with np.errstate(invalid="ignore"):
        reverts_s = 60 * np.log(0.5) / np.log(phi)
    return np.quantile(minutes, [*QUANTILES.values()], axis=-1), reverts_s


def _at_rest(small: bool) -> Figure:
    cells, pairs, seconds = (512, 12, 0.5) if small else (CELLS, PAIRS, 30.0)
    spent = spend(cells=cells, pairs=pairs, seconds=seconds)
    return figure(
        *("stats.at_rest", "% of a core", [spent.percent]),
        cells=cells,
        pairs=pairs,
        looks=spent.looks,
        missed=spent.missed,
        resident_mb=round(spent.resident_mb),
        demanded_max=AT_REST_PERCENT_MAX,
    )


Peer = Callable[[Array], tuple[Array, Array, Array]]


def _peers() -> dict[str, Peer]:
    """RSI, EMA and the middle band; the other bands are computed, too."""
    found: dict[str, Peer] = {"numpy": _by_numpy}
    if importlib.util.find_spec("talib") is not None:
        found["talib"] = _by_talib
    if importlib.util.find_spec("pandas") is not None:
        found["pandas"] = _by_pandas
    return found


def _by_talib(closes: Array) -> tuple[Array, Array, Array]:
    import talib

    reach = PERIODS.deviations
    _, middle, _ = talib.BBANDS(closes, PERIODS.bollinger, reach, reach)
    return talib.RSI(closes, PERIODS.rsi), talib.EMA(closes, PERIODS.ema), middle


def _by_numpy(closes: Array) -> tuple[Array, Array, Array]:
    """Recursions as loops, windows as views."""
    changes = np.diff(closes)
    gain = _smoothed(np.maximum(changes, 0), PERIODS.rsi, 1 / PERIODS.rsi)
    loss = _smoothed(np.maximum(-changes, 0), PERIODS.rsi, 1 / PERIODS.rsi)
    rsi = np.concatenate([[np.nan], 100 * gain / (gain + loss)])
    ema = _smoothed(closes, PERIODS.ema, 2 / (PERIODS.ema + 1))
    windows = np.lib.stride_tricks.sliding_window_view(closes, PERIODS.bollinger)
    middle = np.full(len(closes), np.nan)
    middle[PERIODS.bollinger - 1 :] = windows.mean(1)
    reach = PERIODS.deviations * windows.std(1)
    _ = middle[PERIODS.bollinger - 1 :] + reach, middle[PERIODS.bollinger - 1 :] - reach
    return rsi, ema, middle


def _smoothed(values: Array, period: int, part: float) -> Array:
    found = np.full(len(values), np.nan)
    level = float(values[:period].mean())
    found[period - 1] = level
    for number, value in enumerate(values[period:].tolist(), period):
        level += (value - level) * part
        found[number] = level
    return found


def _by_pandas(closes: Array) -> tuple[Array, Array, Array]:
    import pandas

    series = pandas.Series(closes)
    changes = series.diff()
    gain = _seeded(changes.clip(lower=0), PERIODS.rsi, 1, 1 / PERIODS.rsi)
    loss = _seeded(-changes.clip(upper=0), PERIODS.rsi, 1, 1 / PERIODS.rsi)
    ema = _seeded(series, PERIODS.ema, 0, 2 / (PERIODS.ema + 1))
    rolling = series.rolling(PERIODS.bollinger)
    middle, reach = rolling.mean(), PERIODS.deviations * rolling.std(ddof=0)
    _ = middle + reach, middle - reach
    return (100 * gain / (gain + loss)).to_numpy(), ema.to_numpy(), middle.to_numpy()


def _seeded(series, period: int, skipped: int, part: float):  # type: ignore[no-untyped-def]
    """An exponential mean that begins as the mean of the first values, as Wilder's does."""
    begun = series.copy()
    begun.iloc[: period + skipped - 1] = np.nan
    begun.iloc[period + skipped - 1] = series.iloc[skipped : period + skipped].mean()
    return begun.ewm(alpha=part, adjust=False).mean()
