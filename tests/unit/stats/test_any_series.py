"""Whatever the series: indicators are TA-Lib's and plain numpy's, statistics their definitions'.

Prices move by whole ticks and stand still for stretches, a basis by quarters of a basis point;
samples are missing one by one and in stretches of minutes.
"""

import itertools
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.analysis import (
    BAR_SECONDS,
    CELL_ANALYSIS_DTYPE,
    PAIR_ANALYSIS_DTYPE,
    QUANTILES,
)
from spread_scanner.stats import basis
from spread_scanner.stats._bars import BarIndicators, indicators
from spread_scanner.stats.basis import SIDES, BasisStatistics
from spread_scanner.stats.periods import Periods

Array = npt.NDArray[np.float64]
START = 1_700_000_003
HALF_LIVES = (5.0, 60.0, 900.0)
WINDOW, PAIRS_MIN = 4, 2  # minutes in place of 240, and consecutive ones in place of 30

# Stretches: so many ticks a step, for so many steps.
STRETCHES = st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 30)), min_size=1, max_size=12)
PERIODS = st.builds(
    Periods,
    st.integers(2, 20),
    st.integers(2, 30),
    st.integers(1, 25),
    st.sampled_from([0.5, 2.0, 3.0]),
)


def prices(stretches: list[tuple[int, int]], start: int, tick: float) -> Array:
    steps = np.repeat([one for one, _ in stretches], [count for _, count in stretches])
    closes: Array = np.maximum(start + np.cumsum(steps), 1) * tick
    return closes


@settings(max_examples=40)
@given(STRETCHES, st.integers(1, 100_000), st.sampled_from([1e-8, 1e-4, 0.1, 100.0]), PERIODS)
def test_indicators_are_talibs_and_bands_are_numpys(
    stretches: list[tuple[int, int]], start: int, tick: float, periods: Periods
) -> None:
    closes = prices(stretches, start, tick)
    found = indicators(closes, periods)
    # TA-Lib takes what has moved by less than 1e-14 for nothing: it is asked in whole ticks.
    same("rsi", found, talib.RSI(closes / tick, periods.rsi))
    same("ema", found, talib.EMA(closes, periods.ema))
    rounding = 1e-14 * closes.max()  # a lower band may be nothing
    for name, expected in bands(closes, periods).items():
        np.testing.assert_allclose(found[name], expected, 1e-9, rounding, err_msg=name)


def bands(closes: Array, periods: Periods) -> dict[str, Array]:
    if len(closes) < periods.bollinger:
        return dict.fromkeys(("middle", "upper", "lower"), np.full(len(closes), math.nan))
    windows = np.lib.stride_tricks.sliding_window_view(closes, periods.bollinger)
    middle, reach = windows.mean(1), periods.deviations * windows.std(1)
    unknown = np.full(periods.bollinger - 1, math.nan)
    found = {"middle": middle, "upper": middle + reach, "lower": middle - reach}
    return {name: np.concatenate([unknown, values]) for name, values in found.items()}


def same(name: str, found: np.ndarray, expected: Array) -> None:
    np.testing.assert_allclose(found[name], expected, rtol=1e-9, err_msg=name)


class Second(NamedTuple):
    """A look: so many seconds after the one before, at so many ticks, or at nothing."""

    after_s: int
    level: int | None


SECONDS = st.lists(
    st.builds(
        Second,
        st.sampled_from([1, 1, 1, 1, 2, 7, 61, 200]),
        st.one_of(st.none(), st.integers(-40, 40), st.just(0), st.just(0)),
    ),
    min_size=1,
    max_size=90,
)


@settings(max_examples=25)
@given(SECONDS, PERIODS)
def test_bars_that_are_left_make_the_indicators(looks: list[Second], periods: Periods) -> None:
    """Live, second by second, over bars of each length; one without a sample is none."""
    records = np.zeros(1, CELL_ANALYSIS_DTYPE)
    live = BarIndicators(records, periods)
    tick, closes = START, [dict[int, float]() for _ in BAR_SECONDS]
    for look in looks:
        tick += look.after_s
        mid = math.nan if look.level is None else 100.0 + look.level / 8
        live.step(tick, tick * NS_PER_S, np.array([mid]))
        if look.level is not None:
            for length, of_length in zip(BAR_SECONDS, closes, strict=True):
                of_length[tick // length] = mid
    for frame, length in enumerate(BAR_SECONDS):
        shown, bars = records[0]["frames"][frame], closes[frame]
        whole = [close for number, close in bars.items() if number != (tick + 1) // length]
        assert shown["bars"] == len(whole)
        for part, values in (("closed", whole), ("running", [*bars.values()])):
            if values:
                expected = indicators(np.array(values), periods)[-1]
                assert shown[part].tolist() == pytest.approx(expected.tolist(), nan_ok=True)
            else:
                assert np.isnan(list(shown[part])).all()


@settings(max_examples=25)
@given(SECONDS)
def test_statistics_of_a_basis_are_what_their_definitions_say(looks: list[Second]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(basis, "MINUTES", WINDOW)
        patched.setattr(basis, "REVERSION_PAIRS_MIN", PAIRS_MIN)
        records = np.zeros(1, PAIR_ANALYSIS_DTYPE)
        stats = BasisStatistics(records, HALF_LIVES)
        tick, ticks, levels = START, list[int](), list[int]()
        for look in looks:
            tick += look.after_s
            level = 0 if look.level is None else look.level
            values = np.array([[level / 4 + 50], [-level / 4 - 60]])
            stats.step(tick, tick * NS_PER_S, np.array([look.level is not None]), values)
            if look.level is not None:
                ticks.append(tick)
                levels.append(level)
    first = START + looks[0].after_s
    for side, sign, middle in zip(SIDES, (1, -1), (50, -60), strict=True):
        series = sign * np.array(levels, float) / 4 + middle
        check_weighted(records[0], side, ticks, tick, series)
        check_minutes(records[0][side], medians(first, tick, np.array(ticks, np.int64), series))


def check_weighted(record: np.void, side: str, ticks: list[int], last: int, series: Array) -> None:
    for number, half_life_s in enumerate(HALF_LIVES):
        known = remembered(ticks, last, half_life_s)
        weights = 2.0 ** ((np.array(ticks[known:], float) - last) / half_life_s)
        values = series[known:]
        mean = deviation = math.nan
        if len(values):
            mean = float(np.average(values, weights=weights))
            deviation = float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
        assert record["weight"][number] == pytest.approx(weights.sum(), rel=1e-9)
        assert record[side]["mean"][number] == pytest.approx(mean, rel=1e-9, nan_ok=True)
        assert record[side]["deviation"][number] == pytest.approx(
            deviation, rel=1e-6, abs=1e-6, nan_ok=True
        )
        if len(set(values.tolist())) == 1:
            assert record[side]["deviation"][number] == 0, "a flat series has no deviation"


def remembered(ticks: list[int], last: int, half_life_s: float) -> int:
    """From which sample on: of those before a billionth of one was left."""
    since, weight = 0, 0.0
    for place, (tick, after) in enumerate(itertools.pairwise([*ticks, last])):
        weight = (weight + 1) * 2.0 ** (-(after - tick) / half_life_s)
        if weight < 1e-9:
            since, weight = place + 1, 0.0
    return since


def medians(first: int, last: int, ticks: npt.NDArray[np.int64], series: Array) -> list[float]:
    """Of the minutes that have ended; the only pair's do at whole ones."""
    ends = [end for end in range(first, last + 1) if end % 60 == 0][-WINDOW:]
    found = []
    for end in ends:
        minute = series[(ticks > end - 60) & (ticks <= end)]
        found.append(float(np.median(minute)) if len(minute) else math.nan)
    return found


def check_minutes(found: np.void, of_minutes: list[float]) -> None:
    known = [one for one in of_minutes if not math.isnan(one)]
    for name, share in QUANTILES.items():
        expected = np.quantile(known, share) if known else math.nan
        assert found[name] == pytest.approx(expected, rel=1e-12, nan_ok=True)
    phi = reversion(of_minutes)
    if phi is None or not 0 < phi < 1:
        assert math.isnan(found["half_life_s"])
    else:
        assert found["half_life_s"] == pytest.approx(60 * math.log(0.5) / math.log(phi), rel=1e-9)


def reversion(series: list[float]) -> Fraction | None:
    """The slope of each on the one before, exactly: they are eighths; None: there is none."""
    both = [
        (Fraction(before), Fraction(after))
        for before, after in itertools.pairwise(series)
        if not math.isnan(before + after)
    ]
    if len(both) < PAIRS_MIN:
        return None
    befores, afters = zip(*both, strict=True)
    mean, later = Fraction(sum(befores), len(both)), Fraction(sum(afters), len(both))
    square = sum((one - mean) ** 2 for one in befores)
    if not square:
        return None
    return Fraction(sum((b - mean) * (a - later) for b, a in both), square)
