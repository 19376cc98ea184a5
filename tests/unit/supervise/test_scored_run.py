"""Each key of the score, made non-zero by breaking what it is there for, in a run of real parts."""

import dataclasses
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from scored_bed import ScoredBed

from spread_scanner.clock import VirtualClock
from spread_scanner.sim.characters import KINDS
from spread_scanner.sim.options import Options
from spread_scanner.sim.planting import Planting
from spread_scanner.supervise.score import Score

SEED = 11
SECONDS = 4.0
PLANTING = Planting(every_s=0.15, hold_s_min=0.1, hold_s_max=0.4)
COUNTS = (*("missed", "invented", "overlong", "opportunities_wrong", "sizes_wrong", "usual_wrong"),)

MakeBed = Callable[..., ScoredBed]


@pytest.fixture
def make_bed(tmp_path: Path, namespace: str, virtual_clock: VirtualClock) -> Iterator[MakeBed]:
    made = []

    def make(
        planting: Planting = PLANTING, symbols: int = 6, usual_off_bps: float = 0.0
    ) -> ScoredBed:
        options = Options(
            seed=SEED, symbols=symbols, rate=500, planting=planting, characters=0.8,
            truth_path=tmp_path / "truth.jsonl",
        )  # fmt: skip
        made.append(ScoredBed(tmp_path, namespace, virtual_clock, options, usual_off_bps))
        return made[-1]

    yield make
    for bed in made:
        bed.__exit__()


def counts(judged: Score) -> dict[str, int]:
    """The keys that are not zero."""
    found = {name: len(getattr(judged, name)) for name in COUNTS}
    return {name: count for name, count in found.items() if count}


def ended(bed: ScoredBed, seconds: float = SECONDS) -> Score:
    bed.run(seconds)
    bed.end()
    return bed.score()


def test_a_run_of_whole_parts_scores_nothing(make_bed: MakeBed) -> None:
    # Little over what each pair asks for; beyond the first eight coins they have characters.
    little = dataclasses.replace(PLANTING, over_bps_min=2.0, over_bps_max=8.0)
    bed = make_bed(little, symbols=24)
    assert set(bed.exchange.characters.values()) == set(KINDS)
    bed.load()
    judged = ended(bed)
    print(f"seed {SEED}: {judged.found} found, {judged.unjudged}")
    assert counts(judged) == {}
    assert judged.found > 10
    assert judged.sizes_judged > 10
    assert judged.usual_judged > 100


def test_what_books_carried_is_held_to_the_books_that_were_told(make_bed: MakeBed) -> None:
    bed = make_bed(symbols=24)
    bed.follow_books()
    bed.load()
    judged = ended(bed)
    print(f"seed {SEED}: {judged.carried_judged} of {judged.sizes_judged} sizes are of books")
    assert counts(judged) == {}
    assert judged.carried_judged > 10
    assert judged.carried_unjudged <= judged.carried_judged / 10


def test_books_by_ids_that_nobody_was_told_are_counted_and_not_right(make_bed: MakeBed) -> None:
    bed = make_bed()
    bed.books_id_off = 1_000_000_000
    bed.follow_books()
    bed.load()
    judged = ended(bed, 1.0)
    assert judged.carried_judged == 0
    assert judged.carried_unjudged > 1


def test_books_of_twice_the_sizes_carry_wrong_ones(make_bed: MakeBed) -> None:
    bed = make_bed()
    bed.books_factor = 2.0
    bed.follow_books()
    bed.load()
    judged = ended(bed, 1.0)
    assert set(counts(judged)) == {"sizes_wrong"}
    assert {one.why for one in judged.sizes_wrong} >= {"the largest size"}
    assert len(judged.sizes_wrong) == judged.carried_judged > 1


def test_an_engine_that_never_exits_is_overlong(make_bed: MakeBed) -> None:
    bed = make_bed()
    bed.load(exit_bps=-1e9)
    # What stands later is in the same span, and the tracker hears nothing of it.
    assert set(counts(ended(bed))) == {"overlong", "opportunities_wrong"}


def test_an_engine_that_takes_leaving_for_too_dear_misses(make_bed: MakeBed) -> None:
    bed = make_bed(usual_off_bps=-1e3)
    bed.load()
    assert set(counts(ended(bed, 1.0))) == {"missed", "usual_wrong"}


def test_an_engine_that_knows_no_least_of_an_order_makes_wrong_sizes(make_bed: MakeBed) -> None:
    bed = make_bed(symbols=24)
    assert "thin" in bed.exchange.characters.values()
    rows = [msgspec.structs.replace(row, min_notional=None) for row in bed.tables.instruments]
    bed.tables = msgspec.structs.replace(bed.tables, instruments=tuple(rows))
    bed.load()
    assert set(counts(ended(bed))) == {"sizes_wrong"}


def test_an_engine_that_asks_for_more_misses(make_bed: MakeBed) -> None:
    bed = make_bed()
    bed.load(enter_bps=1e3)
    assert set(counts(ended(bed))) == {"missed"}


def test_an_engine_that_asks_for_less_invents_and_the_tracker_follows(make_bed: MakeBed) -> None:
    bed = make_bed(Planting(every_s=0.15, over_bps_min=-15, over_bps_max=-5))
    bed.load(enter_bps=-10.0, exit_bps=-15.0)
    found = counts(ended(bed))
    assert found.keys() >= {"invented", "opportunities_wrong"}
    assert "missed" not in found


def test_a_store_of_twice_the_sizes_makes_wrong_ones(make_bed: MakeBed) -> None:
    bed = make_bed()
    bed.size_factor = 2.0
    bed.load()
    assert set(counts(ended(bed))) == {"sizes_wrong"}


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM opportunities WHERE id = (SELECT min(id) FROM opportunities)",
        "UPDATE opportunities SET closed_ns = opened_ns + 1 WHERE signals > 0",
        "UPDATE opportunities SET symbol = 'NONE-USDT' WHERE id = 1",
    ],
)
def test_a_tracker_whose_rows_are_not_right_is_found_out(make_bed: MakeBed, change: str) -> None:
    bed = make_bed()
    bed.load()
    bed.run(SECONDS)
    bed.end()
    with sqlite3.connect(bed.database_path) as other:
        other.execute(change)
    other.close()
    assert set(counts(bed.score())) == {"opportunities_wrong"}


def test_what_is_halted_is_not_judged_and_the_rest_is(make_bed: MakeBed) -> None:
    bed = make_bed()
    bed.load()
    bed.run(1.0)
    bed.operator.kill()
    bed.run(1.0)
    bed.operator.kill(killed=False)
    judged = ended(bed, 2.0)
    assert counts(judged) == {}
    assert judged.unjudged["down, halted or paused"] > 2
    assert judged.found > 4
    without = bed.score(outages=())
    assert "missed" in counts(without)
