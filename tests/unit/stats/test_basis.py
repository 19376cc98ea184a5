"""Statistics of pairs against their definitions, written down in plain numpy over all samples."""

import numpy as np
import numpy.typing as npt
import pytest

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.analysis import PAIR_ANALYSIS_DTYPE, QUANTILES, AnalysisFlag
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.stats import basis
from spread_scanner.stats.basis import SIDES, BasisStatistics, quantile, reversion_s

Array = npt.NDArray[np.float64]
HALF_LIVES = (20.0, 90.0, 400.0)
START = 1_700_000_003
WINDOW = 7  # minutes


@pytest.fixture
def short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven minutes in place of 240, so that a test need not live four hours."""
    monkeypatch.setattr(basis, "MINUTES", WINDOW)
    monkeypatch.setattr(basis, "REVERSION_PAIRS_MIN", 3)


class Lived:
    """Steps statistics through seconds, and keeps all of them for the definitions."""

    def __init__(self, pairs: int) -> None:
        self.records = np.zeros(pairs, PAIR_ANALYSIS_DTYPE)
        self.stats = BasisStatistics(self.records, HALF_LIVES)
        self.ticks: list[int] = []
        self.values: list[Array] = []  # (2, n), NaN where there was none
        self.first = START

    def second(self, tick: int, values: Array) -> None:
        usable = np.isfinite(values[0])
        self.stats.step(tick, tick * NS_PER_S, usable, np.where(usable, values, 1e9))
        self.ticks.append(tick)
        self.values.append(values)

    def of(self, pair: int, side: int) -> tuple[npt.NDArray[np.int64], Array]:
        """Ticks and values of all samples of a pair."""
        values = np.array([one[side, pair] for one in self.values])
        known = np.isfinite(values)
        return np.array(self.ticks)[known], values[known]

    def medians(self, pair: int, side: int) -> list[float]:
        """Of the minutes that ended, the oldest first; a minute ends at its pair's second."""
        ticks, values = self.of(pair, side)
        last = self.ticks[-1]
        ends = [t for t in range(self.first, last + 1) if t % 60 == pair % 60][-WINDOW:]
        minutes = [values[(ticks > end - 60) & (ticks <= end)] for end in ends]
        return [float(np.median(one)) if len(one) else np.nan for one in minutes]


def check(lived: Lived, pair: int) -> None:
    record = lived.records[pair]
    last = lived.ticks[-1]
    for number, side in enumerate(SIDES):
        ticks, values = lived.of(pair, number)
        found = record[side]
        for k, half_life_s in enumerate(HALF_LIVES):
            weights = 2.0 ** (-(last - ticks) / half_life_s)
            mean = float((weights * values).sum() / weights.sum()) if len(values) else np.nan
            square = (
                (weights * (values - mean) ** 2).sum() / weights.sum() if len(values) else np.nan
            )
            assert record["weight"][k] == pytest.approx(weights.sum(), rel=1e-9)
            assert found["mean"][k] == pytest.approx(mean, rel=1e-9, nan_ok=True)
            assert found["deviation"][k] == pytest.approx(np.sqrt(square), rel=1e-9, nan_ok=True)
            now = lived.values[-1][number, pair]
            full = 1 / (1 - 2 ** (-1 / half_life_s))
            known = weights.sum() >= full * (1 - 2 ** (-1 / 12))
            expected = (now - mean) / np.sqrt(square) if known and square > 0 else np.nan
            assert found["z"][k] == pytest.approx(expected, rel=1e-9, nan_ok=True)
            assert bool(record["flags"] & (AnalysisFlag.KNOWN_0 << k)) == known
        check_minutes(found, np.array(lived.medians(pair, number)))
    since = [t for t in range(lived.first, last + 1) if t % 60 == pair % 60]
    begin = max(lived.first, since[-WINDOW] - 59 if len(since) >= WINDOW else lived.first)
    ticks, _ = lived.of(pair, 0)
    assert record["looked"] == min((last - lived.first + 1) // 60, WINDOW)
    share = (ticks >= begin).sum() / (last - begin + 1)
    assert record["usable_share"] == pytest.approx(share)


def check_minutes(found: np.void, medians: Array) -> None:
    known = medians[np.isfinite(medians)]
    for name, share in QUANTILES.items():
        expected = np.quantile(known, share) if len(known) else np.nan
        assert found[name] == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert found["half_life_s"] == pytest.approx(by_least_squares(medians, 3), nan_ok=True)


def by_least_squares(series: Array, pairs_min: int) -> float:
    before, after = series[:-1], series[1:]
    both = np.isfinite(before) & np.isfinite(after)
    if both.sum() < pairs_min:
        return float("nan")
    matrix = np.stack([before[both], np.ones(both.sum())], axis=1)
    phi = np.linalg.lstsq(matrix, after[both], rcond=None)[0][0]
    return float(60 * np.log(0.5) / np.log(phi)) if 0 < phi < 1 else float("nan")


@pytest.mark.parametrize("seed", [11])
@pytest.mark.usefixtures("short_window")
def test_statistics_are_what_their_definitions_say(seed: int) -> None:
    """Of 64 pairs, so that two share a second: always, seldom and never usable, in spells; seconds
    are left out, once more than a minute of them."""
    print(f"seed {seed}")
    chance = np.random.default_rng(seed)
    lived = Lived(64)
    level = chance.normal(0, 20, (2, 64))
    share = chance.choice([0.0, 0.02, 0.5, 1.0], 64)
    share[[0, 1, 2, 60]] = 1.0, 0.5, 0.0, 1.0
    left_out = set(chance.choice(np.arange(1, 700), 40).tolist()) | set(range(300, 390))
    for second in range(700):
        level += -0.02 * level + chance.normal(0, 1, level.shape)
        if second not in left_out:
            usable = (chance.random(64) < share) & ((second // 50) % 5 != 3)
            lived.second(START + second, np.where(usable, level, np.nan))
    for pair in (0, 1, 2, 3, 59, 60, 63):
        check(lived, pair)
    assert np.isnan(lived.records["entry"]["z"][2]).all()
    assert lived.records["ts_sample"][2] == TS_ABSENT


@pytest.mark.usefixtures("short_window")
def test_a_basis_that_never_moves_has_a_deviation_of_none_and_no_z() -> None:
    lived = Lived(1)
    for second in range(150):
        lived.second(START + second, np.array([[-3.2], [-11.7]]))
    record = lived.records[0]
    assert record["entry"]["deviation"].tolist() == [0, 0, 0]
    assert np.isnan(record["entry"]["z"]).all()
    assert record["exit"]["median"] == -11.7
    assert np.isnan(record["exit"]["half_life_s"])


@pytest.mark.usefixtures("short_window")
def test_after_a_long_absence_the_old_is_forgotten() -> None:
    lived = Lived(2)
    for second in range(120):
        lived.second(START + second, np.full((2, 2), 50.0 + second))
    late = START + 120 + 60 * 60 * 24 * 30
    lived.second(late, np.full((2, 2), np.nan))
    assert np.isnan(lived.records["entry"]["median"]).all()
    for second in range(1, 70):
        lived.second(late + second, np.full((2, 2), 3.0 + second))
    lived.first = START
    check(lived, 1)


@pytest.mark.usefixtures("short_window")
def test_another_coin_begins_anew_and_its_neighbour_goes_on() -> None:
    lived = Lived(2)
    for second in range(150):
        lived.second(START + second, np.array([[1.0, 1.0], [2.0, 2.0]]) * second)
    lived.stats.forget(np.array([True, False]))
    assert np.isnan(lived.records["entry"]["mean"][0]).all()
    lived.second(START + 150, np.full((2, 2), 9.0))
    assert lived.records["weight"][0].tolist() == [1, 1, 1]
    assert lived.records["usable_share"][0] == 1
    assert lived.records["minutes"].tolist()[0] == 0
    check(lived, 1)


def test_reversion_is_what_made_the_series() -> None:
    chance = np.random.default_rng(3)
    series = np.zeros((3, 20_000))
    for number in range(1, series.shape[1]):
        phi = np.array([0.9, 1.0, -0.5])
        series[:, number] = phi * series[:, number - 1] + chance.normal(0, 1, 3)
    series[1] = np.arange(series.shape[1]) ** 1.5  # runs away
    found = reversion_s(series, 60.0)
    assert found[0] == pytest.approx(60 * np.log(0.5) / np.log(0.9), rel=0.1)
    assert np.isnan(found[1:]).all()
    assert np.isnan(reversion_s(series[0, :20], 60.0))


def test_quantiles_are_numpys() -> None:
    chance = np.random.default_rng(4)
    values = np.sort(chance.normal(0, 1, (5, 240)))
    for share in (0.0, 0.05, 0.5, 0.95, 1.0):
        expected = np.quantile(values, share, axis=1)
        found = quantile(values, np.full(5, 240), share)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_time_goes_on() -> None:
    lived = Lived(1)
    lived.second(START, np.zeros((2, 1)))
    with pytest.raises(ValueError, match="after"):
        lived.second(START, np.zeros((2, 1)))
    with pytest.raises(ValueError, match="half-lives"):
        BasisStatistics(lived.records, (1.0,))
