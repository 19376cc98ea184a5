"""The life of an opportunity, one rule at a time, and over random lives with kills in between."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracker_bed import INSTANCE, RULES, Bed, make_look, make_signal, pair, pairs

from spread_scanner import config
from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema.enums import SignalKind
from spread_scanner.schema.records import (
    SIGNAL_DTYPE,
    SIGNAL_FUNDING_UNKNOWN,
    SIGNAL_LEG_LOST,
)
from spread_scanner.tracker.book import Book, Rules
from spread_scanner.tracker.opportunity import LOST, UNREAD, SampleFlag, Signal
from spread_scanner.tracker.pairs import Pair, PairKey
from spread_scanner.tracker.sampler import Look

ENTER, RESIGNAL, EXIT = SignalKind.ENTER, SignalKind.RESIGNAL, SignalKind.EXIT
NAN = float("nan")


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    made = Bed(tmp_path / "tracker.db")
    yield made
    made.database.close()


def only_row(bed: Bed) -> dict[str, Any]:
    bed.commit()
    cursor = bed.database._connection.execute("SELECT * FROM opportunities")
    rows = cursor.fetchall()
    assert len(rows) == 1
    return dict(zip((column[0] for column in cursor.description), rows[0], strict=True))


def test_the_signal_row_has_the_fields_of_the_record() -> None:
    assert Signal._fields == SIGNAL_DTYPE.names


def test_the_first_signal_opens_and_later_ones_extend(bed: Bed) -> None:
    bed.push(0, ENTER, net_bps=12.0)
    bed.push(0, RESIGNAL, net_bps=17.0)
    bed.push(0, ENTER, net_bps=15.0)
    bed.pop()

    row = only_row(bed)
    assert (row["signals"], row["closed_ns"], row["entry_net_bps"]) == (3, None, 12.0)
    assert (row["peak_net_bps"], row["peak_ns"]) == (17.0, bed.now_ns)
    assert (row["entry_spot_age_ns"], row["entry_fut_age_ns"]) == (2_000, 1_000)
    assert (bed.counts["opened"], bed.counts["extended"]) == (1, 2)


def test_a_resignal_without_an_enter_opens_too(bed: Bed) -> None:
    bed.push(2, RESIGNAL)
    bed.pop()

    assert only_row(bed)["symbol"] == "C2-USDT"


def test_convergence_must_hold_and_its_hold_is_not_part_of_the_life(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.run(1_000)
    bed.exits[0] = -5.2  # 9.7 of the 12 that were promised: more than 80 %
    bed.run(300)
    bed.exits[0] = -5.4
    bed.run(200)
    assert bed.book.open_count == 1, "it did not hold"
    bed.exits[0] = -5.2
    began_ns = bed.grid.next_ns
    bed.run(1_000)

    row = only_row(bed)
    assert row["reason"] == "converged"
    assert (row["ended_ns"], row["closed_ns"]) == (began_ns, began_ns + RULES.converge_ns)
    assert row["exit_bps"] == -5.2
    assert row["exit_spot_ask_px"] == 100.0
    assert bed.counts["closed_converged"] == 1


def test_a_hold_is_not_claimed_over_time_that_nobody_saw(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.exits[0] = -1.0
    bed.run(200)
    bed.advance(1_000)
    bed.sample()
    assert bed.book.open_count == 1
    bed.run(600)

    assert only_row(bed)["reason"] == "converged"


def test_a_leg_lost_in_between_interrupts_the_hold(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    for exit_bps in (-1.0, -1.0, NAN, -1.0, -1.0):
        bed.exits[0] = exit_bps
        bed.run(200)
    assert bed.book.open_count == 1
    bed.run(200)

    row = only_row(bed)
    assert (row["reason"], row["samples"]) == ("converged", 6)


def test_a_look_without_spreads_interrupts_the_hold_whatever_was_seen_before(
    tmp_path: Path,
) -> None:
    """Skewed legs are not stale, and leaving cannot be read off them."""

    class Skewed(Bed):
        skewed = False

        def look(self, symbol_id: int) -> Look:
            if self.skewed:
                return make_look(lost=True)._replace(flags=int(SampleFlag.SKEWED))
            return make_look(exit_bps=-1.0)

    bed = Skewed(tmp_path / "tracker.db", symbols=1)
    bed.push(0, ENTER)
    bed.pop()
    bed.run(200)
    bed.skewed = True
    bed.run(1_000)
    assert bed.book.open_count == 1
    (followed,) = bed.book.watched()
    assert (followed.row.samples, followed.row.lost) == (6, 5)
    bed.skewed = False
    bed.run(400)
    assert bed.book.open_count == 1, "it holds from here on"
    bed.run(200)
    row = only_row(bed)
    bed.database.close()
    assert row["reason"] == "converged"


@pytest.mark.parametrize(("exit_bps", "open_count"), [(20.0, 1), (28.0, 0)])
def test_of_what_promised_nothing_something_is_to_be_left(
    bed: Bed, exit_bps: float, open_count: int
) -> None:
    """Where signals without a net over zero are wanted: a loss of less is no convergence."""
    bed.push(0, ENTER, net_bps=-50.0, gross_bps=40.0)
    bed.pop()
    bed.exits[0] = exit_bps - 40.0  # less 25 of fees
    bed.run(1_000)
    assert bed.book.open_count == open_count


def test_a_point_from_before_the_opening_does_not_count(bed: Bed) -> None:
    bed.run(1_000)
    bed.now_ns = bed.grid.next_ns + 5 * NS_PER_MS
    bed.push(0, ENTER)
    bed.pop()
    bed.advance(5)
    bed.sample()
    assert bed.counts["samples"] == 0
    bed.run(190)

    row = only_row(bed)
    assert (row["samples"], row["missed"]) == (1, 0)


def test_a_leg_that_stays_lost_closes_it_and_leaves_no_spreads(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.run(400)
    bed.exits[0] = NAN
    bed.run(300)
    bed.exits[0] = -50.0
    bed.run(600)
    assert bed.book.open_count == 1, "it came back in time"
    bed.exits[0] = NAN
    bed.run(2_000)

    row = only_row(bed)
    assert (row["reason"], row["exit_bps"], row["exit_flags"] & LOST) == ("stale", None, LOST & 2)
    assert row["closed_ns"] - row["ended_ns"] == RULES.stale_hold_ns
    [(lost, spreads)] = bed.rows("SELECT sum(flags & 6 != 0), count(net_bps) FROM samples")
    assert (lost, spreads) == (row["lost"], row["samples"] - row["lost"])


def test_it_expires_after_its_last_signal_not_its_first(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.run(4_000)
    bed.push(0, RESIGNAL)
    bed.pop()
    again_ns = bed.now_ns
    bed.run(4_900)
    assert bed.book.open_count == 1
    bed.run(400)

    row = only_row(bed)
    assert row["reason"] == "expired"
    assert 0 <= row["closed_ns"] - again_ns - RULES.life_ns_max < RULES.step_ns


def test_a_wide_book_expires_and_is_marked_at_a_loss(tmp_path: Path) -> None:
    """Two books of 14 bps at no basis: closing costs 14, and takes more than was promised."""

    class Wide(Bed):
        def look(self, symbol_id: int) -> Look:
            return make_look(exit_bps=-14.0, gross_bps=-14.0)

    bed = Wide(tmp_path / "tracker.db", symbols=1)
    bed.push(0, ENTER)
    bed.pop()
    bed.run(200)
    bed.push(0, EXIT)
    bed.pop()
    bed.run(6_000)
    row = only_row(bed)
    bed.database.close()
    assert (row["reason"], row["realised_bps"]) == ("expired", None)
    assert row["mark_bps"] == pytest.approx(40 - 14 - 25, abs=0.1)
    assert row["samples"] <= 1 + RULES.life_ns_max // RULES.sparse_ns + 1


def test_after_an_exit_it_is_seen_sparsely_unless_it_comes_back(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.run(1_000)
    bed.push(0, EXIT)
    bed.pop()
    bed.run(1_800)
    assert bed.counts["samples"] == 5 + 3
    bed.push(0, ENTER)  # it pays again: seen on every point, and its time counts anew
    bed.pop()
    again_ns = bed.now_ns
    bed.run(1_000)
    assert bed.counts["samples"] == 8 + 5
    assert bed.book.open_count == 1
    bed.push(0, EXIT)
    bed.pop()
    bed.run(5_000)

    row = only_row(bed)
    assert row["reason"] == "expired"
    assert 0 <= row["closed_ns"] - again_ns - RULES.life_ns_max <= RULES.sparse_ns
    assert row["samples"] <= 13 + 2 + 4_000 * NS_PER_MS // RULES.sparse_ns
    assert row["missed"] == 0


def samples(bed: Bed) -> list[int]:
    return [one.row.samples for one in bed.book.watched()]


@pytest.mark.parametrize(
    ("sample_ms", "exited_ms", "sparse_ms"),
    [(200, 5_000, 5_000), (300, 1_000, 900), (500, 200, 500)],
)
def test_sparse_looks_lie_whole_steps_apart_and_one_at_least(
    sample_ms: int, exited_ms: int, sparse_ms: int
) -> None:
    rules = Rules.of(config.Tracker(sample_ms=sample_ms, sample_exited_ms=exited_ms))
    assert rules.sparse_ns == sparse_ms * NS_PER_MS


def test_what_the_engine_may_not_speak_of_is_seen_sparsely(bed: Bed) -> None:
    for number in (0, 1):
        bed.push(number, SignalKind.ENTER)
    bed.pop()
    bed.run(1_000)
    bed.book.mind_blocked(lambda pair: pair.symbol_id == 0, bed.now_ns)
    before = samples(bed)
    bed.run(1_800)  # the sparse grid's three steps, nine of the other
    assert [now - then for now, then in zip(samples(bed), before, strict=True)] == [3, 9]
    bed.push(0, SignalKind.ENTER)  # allowed again, and it still stands
    bed.pop()
    bed.book.mind_blocked(lambda pair: False, bed.now_ns)
    before = samples(bed)
    bed.run(1_000)
    assert [now - then for now, then in zip(samples(bed), before, strict=True)] == [5, 5]
    bed.book.mind_blocked(lambda pair: pair.symbol_id == 0, bed.now_ns)
    bed.push(1, SignalKind.RESIGNAL)
    bed.pop()
    before = samples(bed)
    bed.run(1_800)
    assert [now - then for now, then in zip(samples(bed), before, strict=True)] == [3, 9]


def test_an_exit_that_was_stored_is_known_after_a_restart(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.advance(10)
    bed.push(0, EXIT)
    bed.pop()
    bed.commit()
    bed.kill()
    bed.run(3_400)

    assert only_row(bed)["samples"] <= 1 + 3_400 * NS_PER_MS // RULES.sparse_ns


def test_that_the_engine_left_again_or_came_back_is_known_after_a_restart(bed: Bed) -> None:
    for kind in (ENTER, EXIT, ENTER, EXIT):
        bed.push(0, kind)
        bed.pop()
        bed.advance(10)
    for kind in (ENTER, EXIT, RESIGNAL):  # in one cycle of the engine
        bed.push(1, kind)
    bed.pop()
    bed.commit()
    bed.kill()
    before = samples(bed)
    bed.run(1_800)  # the sparse grid's three steps, nine of the other
    assert [now - then for now, then in zip(samples(bed), before, strict=True)] == [3, 9]


def test_one_that_the_engine_may_not_speak_of_is_seen_sparsely_after_a_restart(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.commit()
    bed.book.mind_blocked(lambda pair: True, bed.now_ns)
    bed.urgent()
    bed.kill()
    bed.run(1_800)
    assert samples(bed) == [3]


def test_a_kill_costs_samples_and_never_an_opening_or_a_closing(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.push(1, ENTER)
    bed.pop()
    bed.run(200)
    bed.urgent()
    assert bed.rows("SELECT count(*), sum(samples) FROM opportunities") == [(2, 0)]
    bed.run(400)
    bed.push(0, RESIGNAL, net_bps=90.0)
    bed.pop()
    bed.urgent()
    assert bed.rows("SELECT signals, samples FROM opportunities") == [(2, 0), (1, 0)]
    assert bed.rows("SELECT count(*) FROM samples") == [(0,)]
    bed.kill()
    assert bed.book.open_count == 2
    bed.exits[1] = -1.0
    bed.run(1_000)
    assert bed.book.open_count == 1
    bed.urgent()  # a closing takes the samples along
    bed.kill()

    bed.commit()
    rows = bed.rows("SELECT reason, signals, samples, peak_net_bps FROM opportunities ORDER BY id")
    assert [row[:2] for row in rows] == [(None, 2), ("converged", 1)]
    assert rows[0][3] == 90.0
    counted = bed.rows("SELECT count(*) FROM samples GROUP BY opportunity_id ORDER BY 1 DESC")
    assert sorted(row[2] for row in rows) == sorted(count for (count,) in counted)


def test_a_resumed_row_keeps_its_samples_when_a_signal_is_written_at_once(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.run(1_000)
    bed.commit()
    bed.kill()
    bed.urgent()
    bed.push(0, RESIGNAL)
    bed.pop()
    bed.urgent()
    bed.kill()
    bed.commit()

    assert bed.rows("SELECT samples, gaps FROM opportunities") == [(5, 2)]
    assert bed.rows("SELECT count(*) FROM samples") == [(5,)]


def test_an_exit_signal_is_noted_and_closes_nothing(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.advance(70)
    bed.push(0, EXIT, flags=SIGNAL_LEG_LOST)
    first_ns = bed.now_ns
    bed.advance(70)
    bed.push(0, ENTER)
    bed.push(0, EXIT)
    bed.push(1, EXIT)
    bed.pop()

    row = only_row(bed)
    assert (row["exits"], row["first_exit_ns"], row["closed_ns"]) == (2, first_ns, None)
    assert row["flags"] == SIGNAL_LEG_LOST
    assert bed.counts["exits"] == 3


def test_net_of_a_look_counts_the_close_and_the_carry_of_the_first_signal(bed: Bed) -> None:
    signal = make_signal(0, bed.now_ns, flags=SIGNAL_FUNDING_UNKNOWN)
    bed.book.apply([signal._replace(carry_bps=7.0, close_bps=-9.0, usual_bps=NAN)])
    bed.run(200)

    row = only_row(bed)
    assert (row["carry_bps"], row["close_bps"], row["usual_bps"]) == (7.0, -9.0, None)
    assert (row["spot_fee_bps"], row["fut_fee_bps"]) == (7.5, 5.0)
    assert row["flags"] == SIGNAL_FUNDING_UNKNOWN
    assert bed.rows("SELECT net_bps FROM samples") == [(60.0 - 9.0 - 25.0 - 7.0,)]


def test_a_later_signal_is_a_peak_by_the_close_and_the_carry_of_the_first_one(bed: Bed) -> None:
    bed.push(0, ENTER, net_bps=12.0, gross_bps=40.0)
    bed.push(0, RESIGNAL, net_bps=22.0, gross_bps=38.0)  # what leaving usually earns is more now
    bed.pop()
    assert only_row(bed)["peak_net_bps"] == 12.0
    bed.push(0, RESIGNAL, net_bps=17.0, gross_bps=50.0)  # and now it is less
    bed.pop()
    assert only_row(bed)["peak_net_bps"] == 22.0


def test_more_than_open_max_are_counted_and_not_followed(bed: Bed) -> None:
    bed.pairs.update({(0, number): pair(number) for number in range(4, 9)})
    for number in range(7):
        bed.push(number, ENTER)
    bed.pop()

    assert bed.book.open_count == RULES.open_max
    assert (bed.counts["opened"], bed.counts["refused_full"]) == (4, 3)


def test_a_signal_of_an_unknown_pair_or_kind_is_counted(bed: Bed) -> None:
    bed.book.apply([make_signal(0, bed.now_ns, symbol_id=99), make_signal(1, bed.now_ns, kind=9)])

    assert bed.book.open_count == 0
    assert bed.counts["refused_unknown"] == 2


def test_duplicates_are_dropped_and_gaps_are_counted(bed: Bed) -> None:
    seqs = [5, 6, 6, 5, 8, 11]
    bed.book.apply(make_signal(seq, bed.now_ns, kind=RESIGNAL) for seq in seqs)

    assert only_row(bed)["signals"] == 4
    assert (bed.counts["duplicates"], bed.counts["signal_gaps"]) == (2, 1 + 2)
    assert bed.rows("SELECT last_seq FROM positions") == [(11,)]


def test_a_signal_of_an_earlier_time_makes_nothing_older(bed: Bed) -> None:
    """As of an engine that a restart gave another clock: nothing was seen or signalled less."""
    bed.push(0, ENTER)
    bed.pop()
    opened_ns = bed.now_ns
    bed.advance(-900)
    bed.push(0, RESIGNAL)
    bed.pop()
    row = only_row(bed)
    assert (row["signals"], row["last_signal_ns"], row["last_seen_ns"]) == (2, opened_ns, opened_ns)


def test_what_was_signalled_was_seen(bed: Bed) -> None:
    """Two stretches without a look are no gap where a signal came between them."""
    bed.push(0, ENTER)
    bed.pop()
    bed.advance(2_000)
    bed.push(0, RESIGNAL)
    bed.pop()
    bed.advance(2_000)
    bed.sample()
    assert only_row(bed)["closed_ns"] is None


@pytest.mark.parametrize(("over_ns", "late"), [(0, 0), (1, 1)])
def test_a_look_is_late_beyond_what_is_allowed(bed: Bed, over_ns: int, late: int) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.now_ns = bed.grid.next_ns + RULES.late_ns_max + over_ns
    bed.sample()
    assert (only_row(bed)["samples"], only_row(bed)["late"]) == (1, late)


@pytest.mark.parametrize(("over_ns", "reason"), [(0, None), (1, "gap")])
def test_a_gap_is_longer_than_what_is_allowed(bed: Bed, over_ns: int, reason: str | None) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.now_ns += RULES.resume_gap_ns_max + over_ns
    bed.sample()
    assert only_row(bed)["reason"] == reason


@pytest.mark.parametrize(("over_ns", "reason"), [(-1, None), (0, "expired")])
def test_its_life_is_over_when_it_is_as_long_as_is_allowed(
    bed: Bed, over_ns: int, reason: str | None
) -> None:
    bed.push(0, ENTER)
    bed.pop()
    over_at_ns = bed.now_ns + RULES.life_ns_max + over_ns
    bed.run(4_700)
    bed.now_ns = over_at_ns
    bed.sample()
    assert only_row(bed)["reason"] == reason


@pytest.mark.parametrize(("unseen_ms", "reason"), [(400, "converged"), (401, None)])
def test_a_hold_is_claimed_over_two_steps_without_a_look_and_no_more(
    bed: Bed, unseen_ms: int, reason: str | None
) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.exits[0] = -1.0
    bed.now_ns = bed.grid.next_ns
    bed.sample()
    bed.advance(unseen_ms)
    bed.sample()
    assert only_row(bed)["reason"] == reason


def test_when_the_engine_left_stays_whatever_is_blocked_after_it(bed: Bed) -> None:
    for number in range(2):
        bed.push(number, ENTER)
    bed.push(0, EXIT)
    bed.pop()
    left_ns = bed.now_ns
    for _ in range(2):
        bed.advance(50)
        bed.book.mind_blocked(lambda _: True, bed.now_ns)
    bed.commit()
    found = bed.rows("SELECT left_ns FROM opportunities ORDER BY symbol_id")
    assert found == [(left_ns,), (left_ns + 50 * NS_PER_MS,)]


def test_late_samples_are_marked_and_missed_points_counted_never_filled_in(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.run(400)
    bed.advance(1_000)
    bed.now_ns = bed.now_ns // RULES.step_ns * RULES.step_ns + 50 * NS_PER_MS
    bed.sample()
    bed.run(150)

    row = only_row(bed)
    points = bed.now_ns // RULES.step_ns - row["opened_ns"] // RULES.step_ns
    assert (row["samples"], row["late"]) == (4, 1)
    assert row["samples"] + row["missed"] == points
    stored = bed.rows("SELECT ts_ns - late_ns, late_ns, flags FROM samples ORDER BY ts_ns")
    assert [late_ns for _, late_ns, _ in stored] == [0, 0, 50 * NS_PER_MS, 0]
    assert [flags for _, _, flags in stored] == [0, 0, 1, 0]
    assert all(int(str(point)) % RULES.step_ns == 0 for point, _, _ in stored)


def test_probes_are_taken_in_time_or_recorded_as_missed(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.advance(60)
    bed.sample()  # 50 ms: 10 late
    bed.advance(70)
    bed.sample()  # 100 ms: 30 late, too late
    bed.exits[0] = NAN
    bed.advance(120)
    bed.sample()  # 250 ms: on time, a leg lost
    bed.exits[0] = -1.0
    bed.run(2_000)  # converges; the last one is taken whatever

    bed.commit()
    assert bed.rows("SELECT after_ms, late_ns, net_bps FROM probes ORDER BY after_ms") == [
        (50, 10 * NS_PER_MS, 32.0),
        (100, None, None),
        (250, 0, None),
        (500, 0, 1.0 - 28.0),
    ]
    assert (bed.counts["probes"], bed.counts["probes_missed"]) == (3, 1)


def test_a_signal_of_other_tables_means_the_coin_that_it_meant_then(bed: Bed) -> None:
    """It has waited in the ring: id 0 is C1's by now, which was 1, and 2 another coin's."""
    then: dict[int, dict[PairKey, Pair]]
    then = {1: pairs(4), 2: {(0, 3): pair(3)._replace(legs="C3USDT/1 1000C3/1000")}}
    now = {
        (0, 0): pair(1)._replace(symbol_id=0),
        (0, 2): pair(7)._replace(symbol_id=2),
        (0, 3): pair(3),
    }
    bed.book = Book(
        *(RULES, now, bed.journal, bed.counts, lambda *_: 10.0),
        generation=3,
        then=lambda generation: then.get(generation, {}),
    )
    signals = [
        (1, 0, ENTER),  # C0 is listed no more
        (1, 1, ENTER),
        (1, 2, ENTER),  # C2 neither: its id is C7's
        (2, 3, ENTER),  # C3 then had another contract
        (9, 0, ENTER),  # nobody knows those tables any more
        (3, 2, ENTER),
        (1, 2, SignalKind.EXIT),  # of C2, not of C7
        (1, 1, SignalKind.EXIT),
    ]
    bed.book.apply(
        make_signal(seq, bed.now_ns, symbol_id, kind)._replace(generation=generation)
        for seq, (generation, symbol_id, kind) in enumerate(signals)
    )
    bed.commit()
    query = "SELECT symbol, symbol_id, exits FROM opportunities ORDER BY id"
    assert bed.rows(query) == [("C1-USDT", 0, 1), ("C7-USDT", 2, 0)]
    assert bed.counts["refused_unknown"] == 4


def test_what_left_the_tables_is_closed_and_what_stays_goes_on_under_its_new_id(bed: Bed) -> None:
    for number in range(3):
        bed.push(number, ENTER)
    bed.pop()
    moved = {(0, 11): pair(0)._replace(symbol_id=11), (0, 0): pair(1)._replace(symbol_id=0)}
    bed.book.reload(moved, RULES, bed.now_ns)
    bed.commit()
    bed.run(400)
    bed.ring.clear()
    bed.book.apply([make_signal(3, bed.now_ns, 11), make_signal(4, bed.now_ns, 0)])
    bed.commit()

    assert bed.rows("SELECT symbol, reason, signals FROM opportunities ORDER BY id") == [
        ("C0-USDT", None, 2),
        ("C1-USDT", None, 2),
        ("C2-USDT", "retired", 1),
    ]


def test_a_lot_that_changes_with_new_tables_is_that_of_the_next_look(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.book.reload({(0, 0): pair(0)._replace(lot=0.5)}, RULES, bed.now_ns)
    (followed,) = bed.book.watched()
    assert (followed.pair.lot, followed.row.closed_ns) == (0.5, None)


def test_a_restart_goes_on_and_names_the_gap(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.run(600)
    seen_ns = bed.now_ns // RULES.step_ns * RULES.step_ns
    bed.commit()
    bed.run(400)  # seen, not committed
    bed.kill()
    gap_ms = (bed.now_ns - seen_ns) / NS_PER_MS
    bed.run(600)

    row = only_row(bed)
    assert (row["gaps"], row["gap_ms"], row["closed_ns"]) == (1, gap_ms, None)
    assert (row["samples"], row["missed"], bed.counts["resumed"]) == (6, 0, 1)
    assert bed.rows("SELECT count(*) FROM samples") == [(6,)]


def test_probes_that_were_recorded_are_not_taken_again_after_a_restart(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.run(120)
    bed.commit()
    bed.kill()
    bed.run(60)  # nothing is due
    bed.advance(150)  # 250 ms has passed
    bed.run(300)
    bed.commit()

    assert bed.rows("SELECT after_ms, late_ns FROM probes ORDER BY after_ms") == [
        (50, 0),
        (100, 0),
        (250, None),
        (500, 0),
    ]


def test_after_too_long_a_gap_it_is_closed_where_it_was_last_seen(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.run(500)
    bed.commit()
    bed.advance(3_100)
    bed.kill()

    row = only_row(bed)
    assert (row["reason"], row["closed_ns"], row["ended_ns"]) == (
        "gap",
        bed.now_ns,
        row["last_seen_ns"],
    )
    assert row["gap_ms"] > 3_000
    assert bed.counts["closed_gap"] == 1


@pytest.mark.parametrize("instance", [INSTANCE, INSTANCE + 1])
@pytest.mark.parametrize(
    ("legs", "reason"), [("C0USDT/1 C0USDT/1", None), ("C0USDT/1 1000C0/1000", "gap")]
)
def test_a_new_life_is_comparable_while_the_listings_are_the_same(
    bed: Bed, legs: str, reason: str | None, instance: int
) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.commit()
    bed.instance = instance
    bed.pairs = {(0, 9): pair(0)._replace(symbol_id=9, legs=legs)}
    bed.kill()

    row = only_row(bed)
    assert row["reason"] == reason
    assert row["symbol_id"] == (0 if reason else 9)


def test_other_listings_of_the_same_name_are_not_compared(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.run(300)
    bed.book.reload({(0, 0): pair(0)._replace(legs="C0USDT/1 1000C0/1000")}, RULES, bed.now_ns)
    bed.exits[0] = 1e6  # a price of a thousand coins beside that of one
    bed.run(1_000)

    row = only_row(bed)
    assert (row["reason"], row["closed_ns"]) == ("gap", row["ended_ns"])
    assert row["mark_bps"] == pytest.approx(realised(row, -60.0))
    assert bed.rows("SELECT after_ms FROM probes WHERE late_ns IS NULL") == [(500,)]


def test_a_clock_that_was_set_back_over_a_restart_makes_no_negative_time(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.run(1_000)
    bed.commit()
    bed.advance(-7_200_000)
    bed.instance += 1
    bed.kill()
    row = only_row(bed)
    assert (row["reason"], row["gap_ms"]) == ("gap", 0.0)
    assert row["opened_ns"] <= row["ended_ns"] <= row["closed_ns"]

    bed.push(1, ENTER)
    bed.pop()
    bed.run(1_000)
    bed.commit()
    bed.kill()  # what is open goes on, and no sample counts twice
    bed.commit()
    reason, gaps, samples = bed.rows(
        "SELECT reason, gaps, samples FROM opportunities WHERE id = 2"
    )[0]
    assert (reason, gaps) == (None, 1)
    stored = bed.rows("SELECT ts_ns, late_ns FROM samples WHERE opportunity_id = 2")
    assert len(stored) == samples
    assert all(ts_ns <= bed.now_ns and late_ns == 0 for ts_ns, late_ns in stored)


def test_a_pair_that_left_while_the_tracker_was_away_is_retired(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.commit()
    bed.pairs = {}
    bed.kill()

    assert only_row(bed)["reason"] == "retired"


def test_a_stop_of_the_whole_process_beyond_the_gap_closes_it_too(bed: Bed) -> None:
    bed.push(0, ENTER)
    bed.pop()
    bed.run(400)
    bed.exits[0] = 500.0  # what is seen after it is no part of it
    bed.advance(5_000)
    bed.sample()

    row = only_row(bed)
    assert (row["reason"], row["gaps"], row["missed"]) == ("gap", 1, 0)
    assert row["mark_ns"] <= row["ended_ns"] == row["last_seen_ns"]
    assert row["mark_bps"] == pytest.approx(realised(row, -60.0))
    assert bed.rows("SELECT count(*) FROM samples") == [(row["samples"],)]


STEPS = st.one_of(
    st.tuples(st.just("push"), st.integers(0, 2), st.sampled_from([ENTER, RESIGNAL, EXIT])),
    st.tuples(st.just("quote"), st.integers(0, 2), st.sampled_from([-60.0, -10.0, -3.0, NAN])),
    st.tuples(st.just("run"), st.integers(0, 1_500), st.none()),
    st.tuples(st.just("late"), st.integers(0, 1_500), st.none()),
    st.tuples(st.just("advance"), st.integers(0, 300), st.none()),
    st.tuples(st.sampled_from(["pop", "commit", "urgent", "half", "kill"]), st.none(), st.none()),
)


@settings(max_examples=150, deadline=None)
@given(steps=st.lists(STEPS, max_size=60))
def test_random_lives_with_kills_keep_every_promise(steps: list[tuple[str, Any, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bed = Bed(Path(folder) / "tracker.db", symbols=3, rules=RULES._replace(open_max=2))
        for step in steps:
            _take(bed, *step)
        bed.pop()
        bed.sample()
        bed.commit()
        with contextlib.closing(bed.database):
            _check(bed)


def _take(bed: Bed, action: str, first: Any, second: Any) -> None:
    match action:
        case "push":
            bed.push(first, second)
        case "quote":
            bed.exits[first] = second
        case "run":
            bed.pop()
            bed.run(first)
        case "late":
            bed.advance(first)
            bed.sample()
        case "advance":
            bed.advance(first)
        case "half":  # killed between commit and release
            bed.commit(release=False)
            bed.kill()
        case _:
            getattr(bed, action)()


def _check(bed: Bed) -> None:
    cursor = bed.database._connection.execute("SELECT * FROM opportunities")
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    followed = sum(row["signals"] for row in rows)
    pushed = sum(isinstance(one, Signal) and one.kind != EXIT for one in bed.ring)
    # Without a kill the refused ones are counted exactly; a repeated life may count one twice.
    assert followed <= pushed <= followed + bed.counts["refused_full"]
    assert bed.rows("SELECT max(last_seq) FROM positions") == [(len(bed.ring) - 1,)] or not bed.ring
    still_open = [row["symbol_id"] for row in rows if row["closed_ns"] is None]
    assert sorted(still_open) == sorted(f.row.symbol_id for f in bed.book.watched())
    assert len(set(still_open)) == len(still_open)
    for row in rows:
        _check_row(bed, row)


def realised(row: dict[str, Any], exit_bps: float) -> float:
    """The money of one base unit, bought at 100 and sold there, in its parts; the beds' spot
    stands still."""
    fut_ask = 100.0 - exit_bps / 100
    bought = row["entry_fut_bid_px"] - row["entry_spot_ask_px"]
    fees = (100 + 100) * row["spot_fee_bps"] + (row["entry_fut_bid_px"] + fut_ask) * 5.0
    return float((bought + 100.0 - fut_ask) * 100 - fees / 100)


def _check_row(bed: Bed, row: dict[str, Any]) -> None:
    samples = bed.rows(
        "SELECT ts_ns, late_ns, flags, exit_bps, gross_bps FROM samples "
        f"WHERE opportunity_id = {row['id']} ORDER BY ts_ns"
    )
    points = [ts - late for ts, late, *_ in samples]
    assert len(samples) == row["samples"]
    assert len(set(points)) == len(points)
    assert all(point % RULES.step_ns == 0 and point > row["opened_ns"] for point in points)
    assert row["late"] == sum(late > RULES.late_ns_max for _, late, *_ in samples)
    assert row["lost"] == sum(flags & UNREAD != 0 for _, _, flags, *_ in samples)
    if row["gaps"] == 0 and row["exits"] == 0 and points:
        first = row["opened_ns"] // RULES.step_ns
        assert row["samples"] + row["missed"] == points[-1] // RULES.step_ns - first
    usable = [sample for sample in samples if sample[3] is not None]
    assert (row["mark_bps"] is None) == (not usable)
    if usable:
        ts_ns, late_ns, _, out, _ = usable[-1]
        assert 0 <= ts_ns - row["mark_ns"] <= late_ns  # a sample may be noted a hair later
        assert row["mark_bps"] == pytest.approx(realised(row, out))
    if row["closed_ns"] is None:
        return
    assert row["opened_ns"] <= row["ended_ns"] <= row["closed_ns"]
    assert (row["realised_bps"] is None) == (row["reason"] != "converged")
    held = [sample for sample in samples if sample[0] >= row["ended_ns"]]
    if row["reason"] == "converged":
        assert row["closed_ns"] - row["ended_ns"] >= RULES.converge_ns
        assert all(out >= -5.3 for _, _, _, out, _ in held)
        assert row["realised_bps"] == row["mark_bps"] >= RULES.take_share * row["entry_net_bps"]
    elif row["reason"] == "stale":
        assert row["closed_ns"] - row["ended_ns"] >= RULES.stale_hold_ns
        assert all(flags & LOST for _, _, flags, *_ in held)
    elif row["reason"] == "expired":
        assert row["closed_ns"] - row["last_signal_ns"] >= RULES.life_ns_max
    else:
        assert row["reason"] == "gap"
        assert row["gap_ms"] * NS_PER_MS > RULES.resume_gap_ns_max


@pytest.mark.parametrize(
    "field",
    ["gross_bps", "net_bps", "fees_bps", "exit_bps", "size_quote", "close_bps", "carry_bps"],
)
def test_a_signal_that_makes_no_sense_is_refused_and_not_stored(bed: Bed, field: str) -> None:
    signal: Any = make_signal(0, bed.now_ns)
    bed.book.apply([signal._replace(**{field: NAN}), signal._replace(seq=1, **{field: 1e999})])

    assert bed.counts["refused_unknown"] == 2
    assert bed.book.open_count == 0
