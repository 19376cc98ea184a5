"""credit_usual_basis: closing counts for the median of four hours, as spread-analyst has it."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from engine_analyst import Analyst
from engine_bed import MAX_SYMBOLS, START_NS, Bed, settings, tables
from test_engine_usual import LEARNS, kept, learn, market, pair

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.engine import crediting
from spread_scanner.schema.enums import SignalKind
from spread_scanner.shm.analysis import Analysis, Records
from spread_scanner.symbology import usual
from spread_scanner.symbology.usual import Usual

CREDITS: dict[str, Any] = LEARNS | {"credit_usual_basis": True}
PARITY_BPS = -4  # of a market with books of 4 bps


@pytest.fixture(autouse=True)
def virtual() -> Iterator[VirtualClock]:
    """Stands where the bed begins: what the analyst says of its time is of now."""
    with clock.use(VirtualClock(mono_ns=START_NS)) as standing:
        yield standing


@pytest.fixture
def bed(namespace: str, virtual: VirtualClock) -> Iterator[Bed]:
    """A standing discount of 80 bps, which is learned: leaving usually earns some 76."""
    with Bed(namespace, settings(**CREDITS), known=False) as made:
        learn(made, 10, basis_bps=-80)
        virtual.advance_ns(made.now_ns - START_NS)
        yield made


def attached(bed: Bed) -> Analyst:
    """Found with a reload: a test need not wait for the next look."""
    analyst = Analyst(bed)
    bed.engine.load(bed.settings, tables())
    return analyst


def adopt(bed: Bed) -> Usual:
    """The next generation, when all has been read that belongs to it."""
    while not bed.engine.look_ahead():
        pass
    return kept(bed)


def close_bps(bed: Bed) -> float:
    adopt(bed)
    return float(pair(bed)["close_bps"])


def test_the_median_counts_in_place_of_parity(bed: Bed) -> None:
    assert close_bps(bed) == pytest.approx(PARITY_BPS, abs=0.1), "nobody says what is usual"
    analyst = attached(bed)
    analyst.say(0.0, 1.0, exit_median_bps=71.5)
    assert close_bps(bed) == 71.5
    market(bed, -50)
    (signal,) = bed.step(1)
    assert signal["kind"] == SignalKind.ENTER
    assert signal["net_bps"] == pytest.approx(-54 + 71.5, abs=0.5)
    bed.engine.load(settings(**LEARNS), tables())
    assert close_bps(bed) == pytest.approx(PARITY_BPS, abs=0.1), "not asked for any more"
    bed.engine.load(bed.settings, tables())
    assert close_bps(bed) == 71.5, "asked for again"
    analyst.close()


def test_what_was_credited_stays_over_a_reload_and_what_is_new_waits(
    bed: Bed, virtual: VirtualClock
) -> None:
    """The analyst takes new tables when it comes to it, and its medians a minute later."""
    analyst = attached(bed)
    analyst.say(0.0, 1.0, exit_median_bps=71.5)
    assert close_bps(bed) == 71.5
    bed.engine.load(bed.settings, tables(2, generation=2))
    assert pair(bed)["close_bps"] == 71.5, "no adoption has been since"
    found = bed.engine.adopted
    assert found is not None
    assert found.credited_bps is not None
    assert [one for one in found.credited_bps if not math.isnan(one)] == [71.5]
    assert close_bps(bed) == 71.5, "the analyst has the tables before still"
    analyst.say(0.0, 1.0, exit_median_bps=30.0, generation=2)
    analyst.say(0.0, 1.0, exit_median_bps=20.0, generation=2, symbol_id=1)
    found = adopt(bed)
    assert found.credited_bps is not None
    assert [one for one in found.credited_bps if not math.isnan(one)] == [30.0, 20.0]
    bed.engine.load(bed.settings, tables(2, generation=3, names={0: "OTHER-USDT"}))
    found = adopt(bed)
    assert found.credited_bps is not None
    assert [one for one in found.credited_bps if not math.isnan(one)] == [20.0], "another coin"
    virtual.advance_ns(crediting.LATER_NS + 1)
    bed.now_ns += crediting.LATER_NS + 1
    analyst.say(0.0, 1.0, exit_median_bps=20.0, generation=2, symbol_id=1)
    found = adopt(bed)
    assert found.credited_bps is not None
    assert all(map(math.isnan, found.credited_bps)), "it will never have them, for all we know"
    analyst.close()


def test_what_is_adopted_while_tables_come_stays_credited_with_them(bed: Bed) -> None:
    analyst = attached(bed)
    ready = bed.engine.prepare(bed.settings, tables(generation=2))
    analyst.say(0.0, 1.0, exit_median_bps=71.5)
    while not bed.engine.bring(ready):
        bed.step()
    assert close_bps(bed) == 71.5
    bed.engine.take(ready)
    assert pair(bed)["close_bps"] == 71.5
    analyst.close()


def test_never_more_than_a_few_records_are_read_between_two_runs(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyst = attached(bed)
    read: list[int] = []
    real = Analysis.pairs

    def counted(analysis: Analysis, directions: npt.ArrayLike, symbols: npt.ArrayLike) -> Records:
        read[-1] += np.size(directions)
        return real(analysis, directions, symbols)

    monkeypatch.setattr(Analysis, "pairs", counted)
    read.append(0)
    bed.engine.load(bed.settings, tables(MAX_SYMBOLS, generation=2))
    read.append(0)
    bed.engine.adopt()
    for _ in range(2):
        ready = False
        while not ready:
            read.append(0)
            ready = bed.engine.look_ahead()
        read.append(0)
        bed.engine.adopt()
    pairs = len(bed.engine.loop.pairs)
    assert sum(read) >= 2 * pairs, "each is read for each adoption"
    assert max(read) <= crediting.PAIRS_PER_TURN < pairs / 10
    analyst.close()


def test_a_round_begins_shortly_before_the_adoption(bed: Bed) -> None:
    analyst = attached(bed)
    analyst.say(0.0, 1.0, exit_median_bps=1.0)
    assert not bed.engine.look_ahead(crediting.AHEAD_NS + 1)
    analyst.say(0.0, 1.0, exit_median_bps=71.5)
    while not bed.engine.look_ahead(crediting.AHEAD_NS):
        pass
    kept(bed)
    assert pair(bed)["close_bps"] == 71.5
    analyst.close()


@pytest.mark.parametrize(
    "how",
    [
        {"generation": 2},
        {"age_ns": 3_600 * NS_PER_S},
        {"looked": 239},
        {"minutes": 119},
        {"exit_median_bps": math.nan},
        {"symbol_id": 1},
    ],
)
def test_what_is_not_known_is_not_credited(bed: Bed, how: dict[str, Any]) -> None:
    analyst = attached(bed)
    analyst.say(0.0, 1.0, **({"exit_median_bps": 71.5} | how))
    assert close_bps(bed) == pytest.approx(PARITY_BPS, abs=0.1)
    analyst.say(0.0, 1.0, exit_median_bps=71.5, minutes=120)
    assert close_bps(bed) == 71.5
    analyst.close()


def test_it_makes_nothing_known_that_is_not_trusted_and_waits_with_those_who_wait(
    namespace: str, virtual: VirtualClock
) -> None:
    given = settings({"close_at": "parity"}, **CREDITS)
    with Bed(namespace, given, known=False) as bed:
        analyst = attached(bed)
        analyst.say(0.0, 1.0, exit_median_bps=71.5)
        assert math.isnan(close_bps(bed))
        learn(bed, 10, basis_bps=-80)
        virtual.advance_ns(bed.now_ns - START_NS)
        analyst.say(0.0, 1.0, exit_median_bps=71.5)
        assert close_bps(bed) == pytest.approx(PARITY_BPS, abs=0.1)
        analyst.close()


def test_what_was_credited_is_kept_with_its_generation(bed: Bed, tmp_path: Path) -> None:
    analyst = attached(bed)
    analyst.say(0.0, 1.0, exit_median_bps=71.5)
    path = tmp_path / "usual"
    usual.write(path, adopt(bed))
    found = usual.read(path)
    assert found is not None
    assert found.credited_bps is not None
    assert found.credited_bps[0] == 71.5
    assert [math.isnan(one) for one in found.credited_bps[1:]] == [True] * 11
    analyst.close()
