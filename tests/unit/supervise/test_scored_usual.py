"""What the engine learns of leaving each pair, beside the same from what the simulator sent."""

from collections import defaultdict
from pathlib import Path

import pytest
from scored_bed import ScoredBed

from bed import seed
from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S, VirtualClock
from spread_scanner.schema.names import ENGINE
from spread_scanner.sim.learning import Learning
from spread_scanner.sim.options import Options
from spread_scanner.sim.planting import Planting
from spread_scanner.supervise.seen import CpuWait
from spread_scanner.supervise.truth import read_truth
from spread_scanner.symbology.usual import pair_keys

HALF_LIFE_S = 20
TRUST_S = 10
CLOSE_BPS = 0.5
LEARNS = {
    "SPREAD_SPREAD_ENGINE__BASIS_HALF_LIFE_S": str(HALF_LIFE_S),
    "SPREAD_SPREAD_ENGINE__BASIS_TRUST_S": str(TRUST_S),
}


class Recomputed:
    """One look a second at the quotes as they were sent, the older the lighter."""

    def __init__(self, bed: ScoredBed) -> None:
        self._pairs = bed.exchange.truth.pairs
        self._second = clock.mono_ns() // NS_PER_S
        self._sums: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def look(self) -> None:
        second = clock.mono_ns() // NS_PER_S
        passed_s, self._second = second - self._second, second
        for number, pair in enumerate(self._pairs if passed_s else ()):
            sums = self._sums[number]
            sums[:] = [one * 0.5 ** (passed_s / HALF_LIFE_S) for one in sums]
            if pair.spot.tick and pair.futures.tick:
                sums[0] += 1.0
                sums[1] += (pair.spot.bid - pair.futures.ask) / pair.spot.ask * 1e4

    def usual(self) -> dict[tuple[int, int], tuple[float, float]]:
        """The weight, and what leaving earned, by (direction, symbol) id."""
        return {
            (pair.direction.direction_id, pair.spot.listing.coin.number): (
                self._sums[number][0],
                self._sums[number][1] / (self._sums[number][0] or float("nan")),
            )
            for number, pair in enumerate(self._pairs)
        }


def check(bed: ScoredBed, recomputed: Recomputed) -> float:
    """Each pair that has been seen for long enough; returns the share of those."""
    adopted = bed.engine.adopt()
    assert adopted is not None
    places = {key: place for place, key in enumerate(adopted.keys)}
    right = recomputed.usual()
    judged = 0
    for pair, key in pair_keys(bed.tables).items():
        weight, exit_bps = right[pair]
        if weight > TRUST_S + 1:
            judged += 1
            assert abs(adopted.exit_bps[places[key]] - exit_bps) < CLOSE_BPS, (pair, exit_bps)
    trusted, count = bed.engine.learning
    assert abs(trusted - judged) <= sum(abs(w - TRUST_S) <= 1 for w, _ in right.values())
    return judged / count


def test_what_leaving_usually_earns_is_learned_to_half_a_basis_point(
    tmp_path: Path, namespace: str, virtual_clock: VirtualClock
) -> None:
    number = seed()
    options = Options(
        seed=number, symbols=14, rate=200, tick_ms=50, characters=0.8,
        planting=Planting(every_s=0.3), truth_path=tmp_path / "truth.jsonl",
    )  # fmt: skip
    with ScoredBed(tmp_path, namespace, virtual_clock, options, None, LEARNS) as bed:
        bed.load()
        recomputed = Recomputed(bed)
        for seconds, share_min, share_max in ((8, 0.0, 0.0), (12, 0.3, 1.0), (10, 0.7, 1.0)):
            for _ in range(seconds * 20):
                bed.run(0.05)
                recomputed.look()
            assert share_min <= check(bed, recomputed) <= share_max
        usual = [exit_bps for _, exit_bps in recomputed.usual().values()]
        assert max(usual) - min(usual) > 20 * CLOSE_BPS, "all alike: nothing was learned"


def test_the_score_finds_what_was_learned_between_its_bounds(
    tmp_path: Path, namespace: str, virtual_clock: VirtualClock
) -> None:
    """And a pair of which another mean is said than the quotes amount to is wrong."""
    options = Options(
        seed=11, symbols=4, rate=300, tick_ms=50, characters=0.8,
        planting=Planting(every_s=1.5), truth_path=tmp_path / "truth.jsonl",
    )  # fmt: skip
    with ScoredBed(tmp_path, namespace, virtual_clock, options, 0.0, LEARNS) as bed:
        bed.load()
        bed.run(20)
        bed.end()
        truth = read_truth(bed.truth_path)
        found = bed.usual(truth)
    assert len(found) > 20
    assert all(one.ok for one in found), [one for one in found if not one.ok]
    told = [truth.histories[one.symbol, one.direction].exit_bps for one in found]
    assert max(abs(one.usual_bps - was) for one, was in zip(found, told, strict=True)) > 5.0
    for off_bps, seen_least in ((1.0, 0.1), (1.5, 0.4), (3.0, 0.6)):
        for by_bps in (-off_bps, off_bps):
            right = [one._replace(usual_bps=one.usual_bps + by_bps).ok for one in found]
            assert right.count(False) >= seen_least * len(right), by_bps


@pytest.mark.parametrize("wrong", ["nothing", "the truth", "the engine", "the history"])
def test_a_run_in_which_what_is_usual_moves_is_scored_by_what_it_moves_to(
    tmp_path: Path, namespace: str, virtual_clock: VirtualClock, wrong: str
) -> None:
    """A spread that stands for seconds raises its pair's threshold by some 15 bps: for the truth,
    too. An engine that learns nothing then signals too early, and a truth that does not is owed
    too much; an engine that has lost its history has learned as much again, from less."""
    options = Options(
        seed=seed(), symbols=2, rate=150, tick_ms=50, truth_path=tmp_path / "truth.jsonl",
    )  # fmt: skip
    off_bps = None if wrong == "the history" else 0.0
    with ScoredBed(tmp_path, namespace, virtual_clock, options, off_bps, LEARNS) as bed:
        if wrong != "the truth":
            bed.exchange.truth.learn(Learning(HALF_LIFE_S, TRUST_S))
        bed.adopts = wrong != "the engine"
        bed.load()
        bed.exchange.truth.begin()
        # An adoption may be late: the -12 come when that excuses nobody any more.
        for over_bps, hold_s, then_s in ((70.0, 6.0, 6.0), (-12.0, 2.0, 1.0), (70.0, 6.0, 1.0),
                                         (5.0, 2.0, 1.0)):  # fmt: skip
            bed.exchange.planter.ask("BTC-USDT", "binance-bybit", over_bps, hold_s, "futures")
            bed.run(hold_s + then_s)
        bed.end()
        found = bed.score()
    assert found.planted > 5
    assert found.ok == (wrong == "nothing"), found
    assert bool(found.missed) == (wrong in ("the truth", "the history"))
    assert bool(found.invented) == (wrong == "the engine")
    assert (len(found.usual_wrong) == found.usual_judged) == (wrong == "the history")


@pytest.mark.parametrize("waited_ms", [0, 120, 500])
def test_an_engine_that_was_given_no_cpu_has_seen_what_was_sent_meanwhile(
    tmp_path: Path, namespace: str, virtual_clock: VirtualClock, waited_ms: int
) -> None:
    """Its look was due while nothing stood, and was made while a spread did. What the kernel says
    that it waited explains that; nothing else does, nor does it explain another mean."""
    options = Options(
        seed=seed(), symbols=2, rate=150, tick_ms=50, planting=Planting(every_s=0),
        truth_path=tmp_path / "truth.jsonl",
    )  # fmt: skip
    with ScoredBed(tmp_path, namespace, virtual_clock, options, 0.0, LEARNS) as bed:
        bed.exchange.truth.learn(Learning(HALF_LIFE_S, TRUST_S))
        bed.load()
        bed.exchange.truth.begin()
        bed.run(2.9 - clock.mono_ns() % NS_PER_S / NS_PER_S)
        bed.engine_runs, start_ns = False, clock.mono_ns()
        bed.run(0.4)
        bed.exchange.planter.ask("BTC-USDT", "binance-bybit", 90.0, 0.3, "futures")
        bed.run(0.1)
        bed.engine_runs, end_ns = True, clock.mono_ns()
        if waited_ms:
            bed.waits.append(CpuWait(ENGINE, start_ns, end_ns, waited_ms * NS_PER_MS))
        bed.run(3.0)
        bed.end()
        found = bed.usual(read_truth(bed.truth_path))
    wrong = [(one.symbol, one.direction) for one in found if not one.ok]
    assert bool(wrong) == (waited_ms < 500), wrong
    assert ("BTC-USDT", "binance-bybit") in wrong or not wrong
    assert not any(
        one._replace(usual_bps=one.high_bps + 0.6).ok
        or one._replace(usual_bps=one.low_bps - 0.6).ok
        for one in found
    )


def test_learning_may_begin_in_the_midst_of_a_second(
    tmp_path: Path, namespace: str, virtual_clock: VirtualClock
) -> None:
    """What it does not know of that second makes no threshold of it that is no number."""
    options = Options(
        seed=3, symbols=2, rate=100, tick_ms=50, truth_path=tmp_path / "truth.jsonl"
    )  # fmt: skip
    with ScoredBed(tmp_path, namespace, virtual_clock, options, 0.0, LEARNS) as bed:
        bed.load()
        bed.run(1)
        bed.run(1 - clock.mono_ns() % NS_PER_S / NS_PER_S)
        truth = bed.exchange.truth
        truth.learn(Learning(HALF_LIFE_S, TRUST_S))
        bed.run(0.5)
        learned = [pair.learned for pair in truth.pairs if pair.learned is not None]
        assert len(learned) == len(truth.pairs)
        assert all(one.parity.low <= one.parity.high <= 0 for one in learned)
