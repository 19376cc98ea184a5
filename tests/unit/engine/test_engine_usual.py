"""What leaving usually earns: learned look by look, adopted as a generation, kept, taken up."""

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import structlog
from engine_bed import START_NS, Bed, only, settings, tables

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S, SystemClock, VirtualClock
from spread_scanner.engine import basis
from spread_scanner.engine._loop import BARRED
from spread_scanner.engine.keeping import usual_keeper
from spread_scanner.engine.main import Adoption, recalled
from spread_scanner.engine.plan import Plan, empty_pairs
from spread_scanner.schema.enums import EXCHANGE_SOURCES, QuoteFlag, SignalKind, Verdict
from spread_scanner.schema.records import SIGNAL_AGED, SIGNAL_BASIS_UNKNOWN
from spread_scanner.symbology import sealed, usual
from spread_scanner.symbology.tables import FundingRow, QuarantineRow, Tables
from spread_scanner.symbology.usual import Usual, UsualCause

ENTER, RESIGNAL, EXIT, _ = map(int, SignalKind)
LEARNS: dict[str, Any] = {"basis_half_life_s": 60.0, "basis_trust_s": 5.0}


def market(bed: Bed, basis_bps: float = 0.0, symbol_id: int = 0, **how: Any) -> None:
    """Both books 4 bps wide; the perpetual's mid so far above the spot's. At 0 leaving earns -4."""
    mid = 100 * (1 + basis_bps / 1e4)
    bed.quote(0, 99.98, 100.02, symbol_id=symbol_id, **how)
    bed.quote(3, mid - 0.02, mid + 0.02, symbol_id=symbol_id, **how)


def learn(bed: Bed, seconds: int, basis_bps: float = 0.0) -> np.ndarray:
    """A look each second; the signals of that time."""
    found = []
    for _ in range(seconds):
        market(bed, basis_bps)
        found.append(bed.step(1_000))
    return np.concatenate(found)


def pair(bed: Bed, direction_id: int = 0) -> Any:
    pairs = bed.engine.loop.pairs
    return pairs[int(np.flatnonzero(pairs["direction_id"] == direction_id)[0])]


def kept(bed: Bed) -> Usual:
    made = bed.engine.adopt()
    assert made is not None
    return made


def test_before_it_is_learned_there_is_no_signal_and_it_is_said(namespace: str) -> None:
    with Bed(namespace, settings(**LEARNS), known=False) as bed:
        assert math.isnan(pair(bed)["usual_bps"])
        assert len(learn(bed, 4)) == 0
        market(bed, 60)
        assert bed.kinds(1) == []
        assert bed.count("no_basis") == 1
        row = bed.evaluations.recent(limit=1)[0]
        assert row["verdict"] == Verdict.NO_BASIS
        assert row["flags"] & SIGNAL_BASIS_UNKNOWN
        assert row["close_bps"] == pytest.approx(-4, abs=0.1)  # by the present widths
        learn(bed, 3)
        kept(bed)
        assert pair(bed)["usual_bps"] == pytest.approx(-4, abs=0.1)
        market(bed, 60)
        (signal,) = bed.step(1)
        assert signal["net_bps"] == pytest.approx(60 - 4 - 4, abs=0.5)
        assert not signal["flags"] & SIGNAL_BASIS_UNKNOWN


def test_whoever_wants_signals_before_has_them_marked(namespace: str) -> None:
    with Bed(namespace, settings(signal_basis_unknown=True), known=False) as bed:
        market(bed, 60)
        (signal,) = bed.step(1)
        assert signal["flags"] & SIGNAL_BASIS_UNKNOWN
        assert math.isnan(signal["usual_bps"])
        assert signal["close_bps"] == signal["parity_bps"] == pytest.approx(-4, abs=0.1)


def test_a_standing_premium_is_no_signal_and_what_stands_above_it_is(namespace: str) -> None:
    with Bed(namespace, settings(**LEARNS), known=False) as bed:
        assert len(learn(bed, 30, basis_bps=80)) == 0
        kept(bed)
        assert len(learn(bed, 5, basis_bps=80)) == 0
        assert bed.count("no_fee") > 0  # gross stands over the threshold, net never did
        market(bed, 140)
        (signal,) = bed.step(1)
        assert signal["net_bps"] == pytest.approx(140 - 80 - 8, abs=1.5)


def test_a_standing_discount_is_no_income(namespace: str) -> None:
    """What leaving usually earns is never more than the widths leave at parity."""
    with Bed(namespace, settings(**LEARNS), known=False) as bed:
        learn(bed, 10, basis_bps=-80)
        kept(bed)
        assert pair(bed)["usual_bps"] == pytest.approx(76, abs=1)
        assert pair(bed)["close_bps"] == pytest.approx(-4, abs=0.1)


def test_those_who_wait_for_parity_count_on_it(namespace: str) -> None:
    given = settings({"close_at": "parity"}, **LEARNS)
    with Bed(namespace, given, known=False) as bed:
        learn(bed, 10, basis_bps=80)
        kept(bed)
        assert pair(bed)["close_bps"] == pytest.approx(-4, abs=0.1)
        assert bed.kinds(1_000) == []
        market(bed, 81)
        assert bed.kinds(1) == [ENTER]


def test_looks_lose_half_their_weight_in_a_half_life(namespace: str) -> None:
    given = settings(basis_half_life_s=10.0, basis_trust_s=2.0)
    with Bed(namespace, given, known=False) as bed:
        learn(bed, 1, basis_bps=0)
        for _ in range(9):
            bed.step(1_000)  # the quotes stand: each look counts
        assert pair(bed)["weight"] == pytest.approx(sum(2 ** (-n / 10) for n in range(10)))
        market(bed, 0, flags=int(QuoteFlag.JUMPED))
        before = float(pair(bed)["weight"])
        for _ in range(5):
            bed.step(2_000)  # nothing that can be stood behind
        assert pair(bed)["weight"] == pytest.approx(before / 2)
        assert kept(bed).exit_bps[0] == pytest.approx(-4, abs=0.1)


def test_the_first_look_is_at_a_whole_second_too(namespace: str) -> None:
    """Who holds what was learned against what was sent knows of every look when it was."""
    given = settings(park_ms_max=1, **LEARNS)
    with (
        clock.use(VirtualClock(mono_ns=START_NS + NS_PER_S // 2)) as machine,
        Bed(namespace, given, known=False) as bed,
    ):
        market(bed)
        bed.engine.loop.run(0)
        assert pair(bed)["weight"] == 0
        machine.advance_ms(499)
        bed.engine.loop.run(0)
        assert pair(bed)["weight"] == 0
        machine.advance_ms(1)
        bed.engine.loop.run(0)
        assert pair(bed)["weight"] == 1


def test_a_look_at_many_pairs_parks_at_none(namespace: str) -> None:
    """Within one park the market may be another."""
    given = settings(idle="park", park_ms_max=1_000, **LEARNS)
    with Bed(namespace, given, tables(64), known=False) as bed:
        weight = bed.engine.loop.pairs["weight"]
        budget_ns = NS_PER_S // 5
        while not weight.any():  # once more where the machine stood still until the feeds were dead
            bed.now_ns = clock.mono_ns()
            bed.beat()
            for symbol_id in range(64):
                for source_id in range(len(EXCHANGE_SOURCES)):
                    bed.quote(source_id, 99.98, 100.02, symbol_id=symbol_id)
            bed.engine.loop.run(budget_ns)
        bed.engine.loop.run(budget_ns)
        assert weight.all()


@pytest.mark.parametrize("gap_s", [9, 11])
def test_what_was_seen_before_a_gap_of_a_half_life_says_nothing(namespace: str, gap_s: int) -> None:
    """The machine slept: the clock of the loop counts that."""
    given = settings(basis_half_life_s=10.0, basis_trust_s=2.0)
    with Bed(namespace, given, known=False) as bed:
        learn(bed, 8)
        market(bed, 0, flags=int(QuoteFlag.STALE))
        bed.step(gap_s * 1_000)
        assert (pair(bed)["weight"] > 0) == (gap_s < 10)
        kept(bed)
        assert bool(pair(bed)["trusted"]) == (gap_s < 10)


def test_of_no_pair_is_more_adopted_after_such_a_gap_than_of_those_looked_at_since(
    namespace: str,
) -> None:
    """A cycle looks at a few of many pairs, and what is due by then is adopted after the first."""
    given = settings(basis_half_life_s=10.0, basis_trust_s=2.0)
    with Bed(namespace, given, tables(20), known=False) as bed:
        pairs = bed.engine.loop.pairs
        assert len(pairs) > 2 * 64
        for _ in range(8):
            for symbol_id in range(20):
                market(bed, symbol_id=symbol_id)
            for _ in range(4):
                bed.step(250)
        kept(bed)
        ours = pairs["direction_id"] == 0
        assert pairs["trusted"][ours].all()
        bed.step(11_000)
        kept(bed)
        assert not pairs["trusted"].any()
        market(bed, 60, symbol_id=19)
        assert bed.kinds(1) == []


def test_absurd_and_quarantined_prices_are_not_usual(namespace: str) -> None:
    kept_out = (QuarantineRow(0, "C0-USDT", "prices"),)
    given = settings(implausible_bps=1_000, **LEARNS)
    with Bed(namespace, given, tables(1, quarantine=kept_out), known=False) as bed:
        learn(bed, 8)
        assert pair(bed)["weight"] == 0
        bed.engine.load(bed.settings, tables(1, generation=2))
        learn(bed, 3, basis_bps=5_000)
        assert pair(bed)["weight"] == 0
        learn(bed, 8)
        assert pair(bed)["weight"] > 7
        bed.engine.load(bed.settings, tables(1, generation=3))
        assert pair(bed)["weight"] > 7  # another generation of the same
        listed = tables(1, generation=4)
        moved = tuple(
            msgspec.structs.replace(row, px_div=1_000.0) if row.source_id == 3 else row
            for row in listed.instruments
        )
        bed.engine.load(bed.settings, msgspec.structs.replace(listed, instruments=moved))
        assert pair(bed)["weight"] == 0  # it is another contract now
        assert math.isnan(pair(bed)["usual_bps"])


def test_a_book_that_is_only_wide_and_a_leg_that_is_merely_behind_are_learned(
    namespace: str,
) -> None:
    """Neither is another coin; tracker and analyst, who need a spread of now, leave them out."""
    given = settings(implausible_bps=1_000, skew_ms_max=100, **LEARNS)
    with Bed(namespace, given, known=False) as bed:
        bed.quote(0, 99.98, 100.02)
        bed.quote(3, 80, 120)
        bed.step(1_000)
        assert pair(bed)["exit_sum"] == pytest.approx(-2_000, rel=1e-2)
        bed.quote(0, 99.98, 100.02, flags=int(QuoteFlag.OVERDUE))
        bed.step(500)
        bed.quote(3, 99.98, 100.02)
        bed.step(500)
        assert pair(bed)["weight"] == pytest.approx(2, rel=2e-2)


def test_a_new_generation_evaluates_nothing_and_what_it_makes_has_no_latency(
    namespace: str,
) -> None:
    with Bed(namespace, settings(**LEARNS), known=False) as bed:
        learn(bed, 10, basis_bps=60)
        kept(bed)
        learn(bed, 1, basis_bps=60)
        before = bed.count("evaluations")
        pair(bed)["exit_sum"] = pair(bed)["parity_sum"]  # as if it had been at parity
        kept(bed)
        assert len(bed.step(1)) == 0
        assert bed.count("evaluations") == before
        market(bed, 60)
        (signal,) = bed.step(1)
        assert signal["flags"] & SIGNAL_AGED
        kept(bed)  # what is the same as before makes nothing
        market(bed, 75)
        (signal,) = bed.step(1)
        assert (signal["kind"], signal["flags"] & SIGNAL_AGED) == (RESIGNAL, 0)


def test_what_is_kept_is_taken_up_by_the_next_start(namespace: str, tmp_path: Path) -> None:
    path = tmp_path / "usual"
    with Bed(namespace, settings(**LEARNS), known=False) as bed:
        learn(bed, 20)
        usual.write(path, kept(bed))
        found = usual.read(path)
        assert found is not None
        bed.end()
        bed.start_with(tables(), found)
        assert bed.engine.loop.usual_generation == found.generation + 1
        assert pair(bed)["trusted"]
        assert pair(bed)["usual_bps"] == pytest.approx(-4, abs=0.1)
        market(bed, 60)
        assert bed.kinds(1) == [ENTER]


def test_a_generation_says_with_what_it_was_in_force(namespace: str, tmp_path: Path) -> None:
    path = tmp_path / "usual"
    funding = (FundingRow(3, 0, -0.0002, 8.0),)
    with Bed(namespace, settings(**LEARNS, hold_h=9.0), tables(funding=funding)) as bed:
        pairs = bed.engine.loop.pairs
        pairs["barred"][1] = 1
        more, causes = tables(2, generation=2), []
        for adopt in (lambda: None, bed.engine.adopt, lambda: bed.engine.load(bed.settings, more)):
            adopt()
            assert bed.engine.adopted is not None
            usual.write(path, bed.engine.adopted)
            found = usual.read(path)
            assert found is not None
            causes.append((found.origin.tables, found.origin.cause))
            assert found.origin.settings == bed.settings.digest
            assert 0 < found.origin.ts <= bed.store.clock.now_ns()
            if len(causes) == 2:
                assert found.carry_bps is not None
                assert found.flags is not None
                np.testing.assert_array_equal(found.carry_bps, pairs["carry_bps"])
                assert set(found.carry_bps) > {4.0}
                assert found.flags[1] == pairs["signal_flags"][1] | usual.BARRED
                np.testing.assert_array_equal(found.flags[2:], pairs["signal_flags"][2:])
            assert usual.read_whole(path.read_bytes()).origin == found.origin
    assert causes == [(1, UsualCause.START), (1, UsualCause.MINUTE), (2, UsualCause.RELOAD)]
    assert usual.BARRED == BARRED


def test_what_the_version_before_has_kept_counts(tmp_path: Path) -> None:
    path = tmp_path / "usual"
    numbers = np.array([300.0, -9.0, -3.0, np.nan])
    was = [3, 7, 5, 3_600.0, ["a b"], numbers.tobytes()]
    sealed.write(path, msgspec.msgpack.encode(was))
    found = usual.read(path)
    assert found is not None
    assert (found.generation, found.keys, *found.weight, *found.exit_bps) == (7, ("a b",), 300, -9)
    assert (found.carry_bps, found.flags, found.origin) == (None, None, usual.UsualOrigin())


def test_a_symbol_that_was_renamed_while_nobody_ran_begins_anew(namespace: str) -> None:
    """The listings are the same; discovery has found that they are of another coin."""
    with Bed(namespace, settings(**LEARNS), known=False) as bed:
        learn(bed, 20)
        found = kept(bed)
        bed.end()
        bed.start_with(tables(names={0: "OTHER-USDT"}, generation=2), found)
        assert pair(bed)["weight"] == 0
        bed.end()
        bed.start_with(tables(generation=3), found)
        assert pair(bed)["trusted"], "a new generation of the same"


def without(symbols: Tables) -> Tables:
    """The same with the first direction empty."""
    first, *others = symbols.directions
    emptied = msgspec.structs.replace(first, symbol_ids=())
    return msgspec.structs.replace(
        symbols, generation=symbols.generation + 1, directions=(emptied, *others)
    )


def test_a_pair_that_comes_at_a_reload_takes_up_what_was_kept_of_it(namespace: str) -> None:
    with Bed(namespace, settings(**LEARNS), known=False) as bed:
        learn(bed, 20)
        found = kept(bed)
        bed.end()
        bed.start_with(without(tables()), found)  # an earlier life knew it
        kept(bed)
        bed.engine.load(bed.settings, tables(generation=3))
        assert pair(bed)["trusted"]
        assert pair(bed)["usual_bps"] == pytest.approx(-4, abs=0.1)
        before = pair(bed)["weight"]
        kept(bed)
        for generation in (4, 6):  # and a generation that is not the newest any more
            bed.engine.load(bed.settings, without(tables(generation=generation - 1)))
            kept(bed)
        bed.engine.load(bed.settings, tables(generation=7))
        assert pair(bed)["trusted"]
        assert before * 0.9 < pair(bed)["weight"] <= before, "aged by the time it was away"
        market(bed, 60)
        assert bed.kinds(1) == [ENTER]


class SetClock(SystemClock):
    """The machine's, whose wall clock somebody sets."""

    set_ns = 0

    def wall_ns(self) -> int:
        return super().wall_ns() + self.set_ns


def test_a_wall_clock_that_is_set_makes_nothing_older_that_an_engine_knows(namespace: str) -> None:
    """Of a pair that leaves the tables and comes back: before it left, and while it was away."""
    with clock.use(SetClock()) as by, Bed(namespace, settings(**LEARNS), known=False) as bed:
        learn(bed, 20)
        kept(bed)
        by.set_ns += 3_600 * NS_PER_S
        bed.engine.load(bed.settings, without(tables()))
        kept(bed)
        by.set_ns -= 2 * 3_600 * NS_PER_S
        bed.engine.load(bed.settings, tables(generation=3))
        assert pair(bed)["trusted"]


def test_what_was_known_of_a_pair_that_was_kept_out_meanwhile_is_not_taken_up(
    namespace: str,
) -> None:
    kept_out = (QuarantineRow(0, "C0-USDT", "prices"),)
    with Bed(namespace, settings(**LEARNS), known=False) as bed:
        learn(bed, 20)
        kept(bed)
        bed.engine.load(bed.settings, without(tables()))
        bed.engine.load(bed.settings, tables(quarantine=kept_out, generation=3))
        bed.engine.load(bed.settings, tables(generation=4))
        assert pair(bed)["weight"] == 0
        assert not pair(bed)["trusted"]


@pytest.mark.parametrize("listed", [True, False])
def test_what_is_kept_out_at_a_start_is_not_kept_on_of_a_file(
    namespace: str, *, listed: bool
) -> None:
    """Else the start after the next, at which it is listed again, would take it up."""
    kept_out = () if listed else (QuarantineRow(0, "C0-USDT", "prices"),)
    with Bed(namespace, settings(**LEARNS), known=False) as bed:
        learn(bed, 20)
        found = kept(bed)
        bed.end()
        bed.start_with(tables(quarantine=kept_out, generation=2), found)
        assert (pair(bed)["weight"] > 0) == listed
        assert (kept(bed).weight.max() > 0) == listed


def test_what_was_kept_out_with_all_its_listings_is_not_taken_up_either(namespace: str) -> None:
    """A symbol without a pair is in no table but the quarantine's: it looks like one that left."""
    rows = tuple(QuarantineRow(direction_id, "C0-USDT", "prices") for direction_id in range(12))
    with Bed(namespace, settings(**LEARNS), tables(2), known=False) as bed:
        learn(bed, 20)
        found = kept(bed)
        bed.engine.load(bed.settings, only(1, tables(2, quarantine=rows, generation=2)))
        bed.engine.load(bed.settings, tables(2, generation=3))
        assert pair(bed)["weight"] == 0, "it was in the tables before"
        learn(bed, 20)
        kept(bed)
        bed.engine.load(bed.settings, only(1, tables(2, generation=4)))
        bed.engine.load(bed.settings, only(1, tables(2, quarantine=rows, generation=5)))
        bed.engine.load(bed.settings, tables(2, generation=6))
        assert pair(bed)["weight"] == 0, "it had left them already"
        bed.end()
        bed.start_with(only(1, tables(2, quarantine=rows, generation=7)), found)
        bed.engine.load(bed.settings, tables(2, generation=8))
        assert pair(bed)["weight"] == 0, "a file knew it"


def test_what_left_more_than_a_half_life_ago_says_nothing_however_often_it_was_kept() -> None:
    found = np.ones(2)
    one = Usual(1, 0, 60.0, ("a b", "c d"), found, -found, -found)
    at_ns = 50 * NS_PER_S
    (left,) = basis.left_behind([one], {"a b"}, at_ns)
    assert (left.keys, left.exit_bps.tolist()) == (("c d",), [-1.0])
    assert left.aged(at_ns) == pytest.approx(2 ** (-50 / 60))
    assert basis.left_behind([left], {"a b"}, 2 * at_ns) == ()
    assert basis.left_behind([one], {"a b", "c d"}, at_ns) == ()


def test_a_history_ages_by_wall_time_and_is_none_after_a_half_life() -> None:
    plan = Plan(basis_pairs(), {0: "C0-USDT"}, 1, ("a b",))
    one = np.array([8.0])
    history = Usual(7, clock.wall_ns(), 10.0, ("a b",), one, -one, -one)
    assert basis.take_up(plan, history, history.wall_ns + 10 * NS_PER_S)
    assert plan.pairs[0]["weight"] == pytest.approx(4.0)
    assert plan.pairs[0]["exit_sum"] == pytest.approx(-32.0)
    plan.pairs["weight"] = 0
    assert not basis.take_up(plan, history, history.wall_ns + 11 * NS_PER_S)
    assert plan.pairs[0]["weight"] == 0
    assert basis.take_up(plan, history, history.wall_ns - NS_PER_S)  # a clock that was set back
    assert plan.pairs[0]["weight"] == 8.0
    plan.pairs["weight"] = 0
    assert not basis.take_up(plan, history, history.wall_ns - 11 * NS_PER_S), "of unknown age"
    assert plan.pairs[0]["weight"] == 0


def basis_pairs() -> np.ndarray:
    return empty_pairs(1)


def test_a_damaged_history_is_named_and_not_used(bed_settings: Any) -> None:
    path = usual.path_of(bed_settings)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nonsense that is no table")
    with structlog.testing.capture_logs() as said:
        assert usual_keeper(bed_settings, structlog.get_logger()).recall() is None
    assert "usual" in said[0]["event"]
    assert str(path) in said[0]["error"]


def test_a_history_that_is_too_old_is_said(bed_settings: Any) -> None:
    one, log = np.array([8.0]), structlog.get_logger()
    history = Usual(7, clock.wall_ns(), 1e4, ("a b",), one, one, one)
    usual.write(usual.path_of(bed_settings), history)
    keeper = usual_keeper(bed_settings, log)
    with structlog.testing.capture_logs() as said:
        assert recalled(keeper, log) is not None
        assert said == []
        with clock.use(VirtualClock(clock.wall_ns() + 20_000 * NS_PER_S)):
            recalled(keeper, log)
    assert [row["hours"] for row in said] == [5.6]


def test_how_far_the_learning_is_is_said_when_it_is_further(
    namespace: str, bed_settings: Any
) -> None:
    """Of a pair in quarantine nothing is learned, and of most others here nobody quotes a leg."""
    made = tables(2, quarantine=(QuarantineRow(0, "C0-USDT", "another coin"),))
    with (
        Bed(namespace, settings(**LEARNS), made, known=False) as bed,
        clock.use(VirtualClock(clock.wall_ns())) as time,
        structlog.testing.capture_logs() as said,
    ):
        log = structlog.get_logger()
        adoption = Adoption(bed.engine, usual_keeper(bed_settings, log), log)
        for _ in range(24):
            market(bed, symbol_id=1)
            bed.step(1_000)
            time.advance_ms(1_000)
            adoption.poll()
        assert bed.engine.adopted is not None
        assert bed.engine.adopted.generation > 4
    assert [(row["of_pairs"], row["pairs"]) for row in said] == [(0, 23), (1, 23)]


def test_a_disk_that_refuses_is_said_once_until_it_works_again(bed_settings: Any) -> None:
    path = usual.path_of(bed_settings)
    path.parent.write_text("a file where the folder should be")
    one = np.array([8.0])
    history = Usual(7, clock.wall_ns(), 10.0, ("a b",), one, one, one)
    with structlog.testing.capture_logs() as said:
        keeper = usual_keeper(bed_settings, structlog.get_logger())
        keeper.write(history)
        keeper.write(history)
        assert len(said) == 1
        path.parent.unlink()
        keeper.write(history)
    found = usual.read(path)
    assert found is not None
    assert found.generation == 7
    assert found.keys == ("a b",)


@pytest.fixture
def bed_settings(tmp_path: Path) -> Any:
    return msgspec.structs.replace(settings(), folder=tmp_path / "config")
