"""Indicators against TA-Lib, over the bars that are left when those without a sample are none."""

import numpy as np
import numpy.typing as npt
import pytest
import talib

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.analysis import BAR_SECONDS, CELL_ANALYSIS_DTYPE, INDICATORS_DTYPE
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.stats._bars import BarIndicators, indicators
from spread_scanner.stats.periods import Periods

Array = npt.NDArray[np.float64]
PERIODS = [Periods(), Periods(2, 1, 3, 1.5), Periods(21, 50, 7, 3.0)]
START = 1_700_000_000  # no multiple of any bar
SMALL = Periods(rsi=3, ema=4, bollinger=5)


def walk(seed: int, count: int = 500, px: float = 60_000.0, step: float = 1e-4) -> Array:
    chance = np.random.default_rng(seed)
    return px * np.exp(np.cumsum(chance.normal(0, step, count)))


def by_talib(closes: Array, periods: Periods) -> np.ndarray:
    found = np.empty(len(closes), INDICATORS_DTYPE)
    upper, middle, lower = talib.BBANDS(
        closes, periods.bollinger, periods.deviations, periods.deviations
    )
    found["rsi"] = talib.RSI(closes, periods.rsi)
    found["ema"] = closes if periods.ema == 1 else talib.EMA(closes, periods.ema)
    found["upper"], found["middle"], found["lower"] = upper, middle, lower
    return found


def assert_alike(found: np.ndarray, expected: np.ndarray) -> None:
    for name in INDICATORS_DTYPE.names or ():
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, err_msg=name)


SERIES = {
    "walk": walk(1),
    "a coin of a tenth of a cent": walk(2, px=1e-3, step=1e-3),
    "flat": np.full(500, 123.45),
    "flat after a walk": np.concatenate([walk(3), np.full(600, 59_123.4)]),
    "up and down": 100.0 + np.arange(500) % 2,
    "only up": np.linspace(1.0, 2.0, 300),
    "two levels": np.where(np.arange(400) < 200, 5.0, 7.5),
    "too short": walk(4, count=2),
    "none": np.empty(0),
}


@pytest.mark.parametrize("periods", PERIODS)
@pytest.mark.parametrize("name", SERIES)
def test_a_series_from_scratch_is_talibs(name: str, periods: Periods) -> None:
    assert_alike(indicators(SERIES[name], periods), by_talib(SERIES[name], periods))


def test_the_classic_example_of_wilders_index() -> None:
    closes = [
        44.34, 44.09, 44.15, 43.61, 44.33, 44.83, 45.10, 45.42, 45.84, 46.08, 45.89, 46.03, 45.61,
        46.28, 46.28, 46.00,
    ]  # fmt: skip
    rsi = indicators(np.array(closes), Periods())["rsi"]
    assert np.isnan(rsi[:14]).all()
    assert rsi[14] == pytest.approx(70.46413502, abs=1e-8)


def bars_of(seconds: list[tuple[int, float]], length: int) -> tuple[list[float], float | None]:
    """Closes of whole bars, and the last mid of the one that runs after the last second."""
    closes: dict[int, float] = {}
    for tick, mid in seconds:
        if not np.isnan(mid):
            closes[tick // length] = mid
    last = seconds[-1][0]
    runs = (last + 1) // length  # the bar of the next second
    running = closes.pop(runs, None)
    return [closes[number] for number in sorted(closes)], running


@pytest.mark.parametrize("seed", [5])
def test_live_bars_are_talibs_of_the_bars_that_are_left(seed: int) -> None:
    """Three cells: always quoted, seldom, in spells. Seconds are left out, too."""
    print(f"seed {seed}")
    chance = np.random.default_rng(seed)
    count = 1_000
    ticks = START + np.flatnonzero(chance.random(count) < 0.95)
    mids = np.stack([walk(seed, count), walk(seed + 1, count, 3e-5), walk(seed + 2, count)])
    mids[1, chance.random(count) < 0.98] = np.nan
    mids[2, (np.arange(count) // 137) % 2 == 1] = np.nan
    records = np.zeros(3, CELL_ANALYSIS_DTYPE)
    live = BarIndicators(records, SMALL)
    looks = set(chance.choice(ticks, 15).tolist()) | {int(ticks[-1])}
    seen: list[list[tuple[int, float]]] = [[], [], []]
    for tick in ticks.tolist():
        now = mids[:, tick - START].copy()
        live.step(tick, tick * NS_PER_S, now)
        for cell in range(3):
            seen[cell].append((tick, now[cell]))
            if tick in looks:
                for frame, length in enumerate(BAR_SECONDS):
                    check(records[cell]["frames"][frame], *bars_of(seen[cell], length))


def check(frame: np.void, closes: list[float], running: float | None) -> None:
    assert frame["bars"] == len(closes)
    for part, values in (
        ("closed", closes),
        ("running", closes + [running] * (running is not None)),
    ):
        if values:
            expected = by_talib(np.array(values), SMALL)[-1:]
            assert_alike(np.array([frame[part]], INDICATORS_DTYPE), expected)
        else:
            assert np.isnan(list(frame[part])).all()


def test_a_record_says_when_it_was_looked_at_and_when_there_was_a_mid() -> None:
    records = np.zeros(2, CELL_ANALYSIS_DTYPE)
    live = BarIndicators(records, SMALL)
    live.step(START, START * NS_PER_S, np.array([1.0, np.nan]))
    live.step(START + 7, (START + 7) * NS_PER_S, np.array([np.nan, np.nan]))
    assert records["ts"].tolist() == [(START + 7) * NS_PER_S] * 2
    assert records["ts_sample"].tolist() == [START * NS_PER_S, TS_ABSENT]
    assert records["flags"].tolist() == [0, 0]
    assert np.isnan(records["mid"]).all()


def test_another_coin_begins_anew_and_its_neighbour_goes_on() -> None:
    records = np.zeros(2, CELL_ANALYSIS_DTYPE)
    live = BarIndicators(records, SMALL)
    for second in range(20):
        live.step(START + second, 0, np.array([100.0, 7.0]) + second)
    live.forget(np.array([True, False]))
    assert np.isnan(records[0]["frames"]["closed"]["ema"]).all()
    live.step(START + 20, 0, np.array([3.0, 27.0]))
    assert records["frames"]["bars"][:, 0].tolist() == [1, 21]
    assert np.isnan(records[0]["frames"][0]["closed"]["ema"])
    assert records[1]["frames"][0]["closed"]["middle"] == pytest.approx(25.0)


def test_what_cannot_be_is_refused() -> None:
    records = np.zeros(2, CELL_ANALYSIS_DTYPE)
    with pytest.raises(ValueError, match="period"):
        BarIndicators(records, Periods(rsi=1))
    live = BarIndicators(records, SMALL)
    with pytest.raises(ValueError, match="as many mids"):
        live.step(1, 0, np.zeros(3))
    live.step(1, 0, np.zeros(2))
    with pytest.raises(ValueError, match="tick 1 after 1"):
        live.step(1, 0, np.zeros(2))
