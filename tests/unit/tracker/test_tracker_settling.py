"""Funding that is really crossed: when, at which rate, how often, and what is not known."""

import contextlib
import math
from pathlib import Path
from typing import Any

import pytest
from tracker_bed import RULES, Bed, make_look

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.schema.enums import DIRECTIONS, SignalKind
from spread_scanner.schema.funding import NS_PER_HOUR as HOUR_NS
from spread_scanner.schema.funding import FundingNow, listing_of
from spread_scanner.symbology.tables import FundingRow
from spread_scanner.tracker.report_rows import ReportRow
from spread_scanner.tracker.sampler import Look
from spread_scanner.tracker.settling import Rates, TableRates, ToldRates

FUTURES = DIRECTIONS[0].futures.source_id
MIDNIGHT_NS = 1_700_006_400 * 1_000_000_000  # 2023-11-15 00:00 UTC, a whole multiple of 8 h


def rates(rate: float = 0.001, hours: float | None = 8.0) -> TableRates:
    return TableRates([FundingRow(FUTURES, 0, rate, hours)])


def opened(path: Path, known: Rates, before_ms: int = 1_000) -> Bed:
    """An opportunity that was opened so long before midnight."""
    bed = Bed(path / "tracker.db", rates=known, start_ns=MIDNIGHT_NS - before_ms * NS_PER_MS)
    bed.push(0, SignalKind.ENTER)
    bed.pop()
    return bed


def row_of(bed: Bed) -> dict[str, Any]:
    bed.commit()
    cursor = bed.database._connection.execute("SELECT * FROM opportunities")
    (row,) = cursor.fetchall()
    return dict(zip((column[0] for column in cursor.description), row, strict=True))


def test_intervals_settle_on_their_own_grid() -> None:
    assert MIDNIGHT_NS % (8 * HOUR_NS) == 0
    four = rates(hours=4.0).upcoming(FUTURES, 0, MIDNIGHT_NS, 0)[:2]
    assert four == (MIDNIGHT_NS + 4 * HOUR_NS, 0.001)
    assert rates().upcoming(FUTURES, 0, MIDNIGHT_NS - 1, 0)[:2] == (MIDNIGHT_NS, 0.001)


@pytest.mark.parametrize("known", [rates(hours=None), rates(hours=7.0), TableRates()])
def test_what_is_not_told_is_the_usual_interval_at_no_known_rate(known: TableRates) -> None:
    assert known.upcoming(FUTURES, 0, MIDNIGHT_NS - 1, 0)[:2] == (MIDNIGHT_NS, None)


def test_a_rate_that_cannot_be_is_not_known() -> None:
    assert rates(0.06).upcoming(FUTURES, 0, MIDNIGHT_NS - 1, 0)[:2] == (MIDNIGHT_NS, None)


class Told:
    """A funding segment of one row."""

    def __init__(self, **changed: float) -> None:
        row = FundingNow(
            *(0.0002, math.nan, math.nan, 8.0, MIDNIGHT_NS, MIDNIGHT_NS - HOUR_NS, 0),
            *(listing_of("C0USDT"), 1),
        )
        self.row: FundingNow | None = row._replace(**changed)  # type: ignore[arg-type]

    def read(self, source_id: int, symbol_id: int) -> FundingNow | None:
        return self.row


def told(segment: Told, after_ns: int, name: str = "C0USDT") -> tuple[int, float | None]:
    listings = {(FUTURES, 0): listing_of(name)}
    now_ns = MIDNIGHT_NS + 1
    return ToldRates(segment, listings, rates()).upcoming(FUTURES, 0, after_ns, now_ns)[:2]


def test_what_was_told_comes_before_the_tables() -> None:
    before, after = MIDNIGHT_NS - 1, MIDNIGHT_NS
    assert told(Told(), before) == (MIDNIGHT_NS, 0.0002)
    assert told(Told(), after) == (MIDNIGHT_NS + 8 * HOUR_NS, 0.0002)
    assert told(Told(interval_h=4.0), after) == (MIDNIGHT_NS + 4 * HOUR_NS, 0.0002)
    assert told(Told(next_wall_ns=0), before) == (MIDNIGHT_NS, 0.0002)
    assert told(Told(), before, "OTHER") == (MIDNIGHT_NS, 0.001), "another coin's by now"
    nothing = Told()
    nothing.row = None
    assert told(nothing, before) == (MIDNIGHT_NS, 0.001)


@pytest.mark.parametrize(
    "changed",
    [
        {"rate": 0.06},  # beyond all caps
        {"rate": 0.0002, "cap": 0.0001},  # beyond its own
        {"asked_wall_ns": MIDNIGHT_NS - 9 * HOUR_NS},  # older than one interval
        {"interval_h": 7.0},
        {
            "next_wall_ns": MIDNIGHT_NS + 8 * HOUR_NS
        },  # told after it: what stood before is not known
    ],
)
def test_a_rate_that_may_not_be_used_is_not_known(changed: dict[str, float]) -> None:
    assert told(Told(**changed), MIDNIGHT_NS - 1) == (MIDNIGHT_NS, None)


def test_the_rate_that_counts_is_the_one_seen_last_before_the_settlement(tmp_path: Path) -> None:
    segment = Told()
    listings = {(FUTURES, 0): listing_of("C0USDT")}
    bed = opened(tmp_path, ToldRates(segment, listings, rates()), before_ms=15_000)
    with contextlib.closing(bed.database):
        bed.run(2_000)
        segment.row = Told(rate=0.0005).row  # looked up again ten seconds after the opening
        for _ in range(3):
            bed.push(0, SignalKind.RESIGNAL)
            bed.pop()
            bed.run(4_200)
        segment.row = Told(rate=-0.0009, next_wall_ns=MIDNIGHT_NS + 8 * HOUR_NS).row
        bed.run(2_000)
        assert row_of(bed)["settlements"] == 1
        assert bed.rows("SELECT rate FROM settlements") == [(0.0005,)]


def test_a_crossed_settlement_is_paid_once_at_the_last_price_before_it(tmp_path: Path) -> None:
    bed = opened(tmp_path, rates())
    bed.exits[0] = -50.0
    bed.run(990)
    before = row_of(bed)
    bed.exits[0] = -70.0
    bed.run(600)
    row = row_of(bed)
    with contextlib.closing(bed.database):
        bed.kill()  # what is stored is not paid again
        bed.run(1_000)
        again = row_of(bed)
        stored = bed.rows("SELECT * FROM settlements")
    assert (before["settlements"], before["funding_paid"]) == (0, 0.0)
    assert (row["settlements"], row["settled_ns"]) == (1, MIDNIGHT_NS)
    assert row["funding_paid"] == pytest.approx(-0.001 * 100.5)  # received: longs pay shorts
    moved = 100 * (0.2 + 0.001 * 100.5 * -1)  # the perpetual rose by 0.2, and 10 bps came in
    fees = 5.0 * 0.2 / 100
    assert row["mark_bps"] == pytest.approx(before["mark_bps"] - moved - fees, abs=1e-9)
    assert (again["settlements"], again["funding_paid"]) == (1, row["funding_paid"])
    assert stored == [(1, MIDNIGHT_NS, 0.001, 100.5)]


def test_it_is_charged_on_the_bid_that_was_sold_at(tmp_path: Path) -> None:
    class Wide(Bed):
        def look(self, symbol_id: int) -> Look:
            return make_look(exit_bps=-60.0, gross_bps=20.0)

    bed = Wide(tmp_path / "tracker.db", rates=rates(), start_ns=MIDNIGHT_NS - NS_PER_S)
    bed.push(0, SignalKind.ENTER)
    bed.pop()
    bed.run(1_400)
    row = row_of(bed)
    stored = bed.rows("SELECT fut_px FROM settlements")
    bed.database.close()
    assert stored == [(100.2,)]
    assert row["funding_paid"] == pytest.approx(-0.001 * 100.2)


def test_settlements_are_where_the_stepped_wall_clock_has_them(tmp_path: Path) -> None:
    """Two hours ahead of the session's, as NTP sets a machine that began with a wrong time."""
    ahead_ns = [2 * HOUR_NS]
    hourly = Told(interval_h=1.0, asked_wall_ns=MIDNIGHT_NS - HOUR_NS // 2)
    listings = {(FUTURES, 0): listing_of("C0USDT")}
    known = ToldRates(hourly, listings, TableRates(), lambda: ahead_ns[0])
    bed = opened(tmp_path, known, before_ms=2 * 3_600_000 + 1_000)
    with contextlib.closing(bed.database):
        bed.run(1_400)
        stored = (1, MIDNIGHT_NS - 2 * HOUR_NS, 0.0002, 100.6)
        row = row_of(bed)
        assert bed.rows("SELECT * FROM settlements") == [stored]
        ahead_ns[0] -= 3 * NS_PER_S  # and a little back: it is the same settlement still
        bed.kill()
        bed.run(3_000)
        assert bed.rows("SELECT * FROM settlements") == [stored]
        assert row_of(bed)["funding_paid"] == row["funding_paid"] == pytest.approx(-0.0002 * 100.6)


@pytest.mark.parametrize("sign", [-1, 1])
def test_clocks_that_lie_a_minute_apart_were_stepped(sign: int) -> None:
    """What lies nearer together is one clock that drifts: its settlements are where they are."""
    known = Told(asked_wall_ns=MIDNIGHT_NS - HOUR_NS)
    listings = {(FUTURES, 0): listing_of("C0USDT")}
    for ahead_ns, shown_ns in ((60 * NS_PER_S - 1, 0), (60 * NS_PER_S, 60 * NS_PER_S)):
        found = ToldRates(known, listings, TableRates(), lambda: sign * ahead_ns)  # noqa: B023
        at_ns = MIDNIGHT_NS - HOUR_NS
        assert found.upcoming(FUTURES, 0, at_ns, at_ns).settles_ns == MIDNIGHT_NS - sign * shown_ns


def test_a_settlement_while_nobody_looked_is_counted_at_the_next_look(tmp_path: Path) -> None:
    bed = opened(tmp_path, rates())
    bed.run(400)
    bed.commit()
    bed.advance(1_000)
    with contextlib.closing(bed.database):
        bed.kill()
        bed.run(400)
        assert row_of(bed)["settlements"] == 1


def test_new_tables_are_asked_at_once(tmp_path: Path) -> None:
    bed = opened(tmp_path, rates(), before_ms=4_500)
    with contextlib.closing(bed.database):
        bed.run(1_000)
        bed.book.rates = rates(0.002)
        bed.book.reload(bed.pairs, bed.rules, bed.now_ns)
        bed.run(3_800)
        bed.commit()
        assert bed.rows("SELECT rate FROM settlements") == [(0.002,)]


def test_a_row_that_knows_of_no_settlement_has_crossed_those_since_it_was_opened(
    tmp_path: Path,
) -> None:
    """As of a database of before: none of all since 1970."""
    bed = opened(tmp_path, rates(), before_ms=2_000)
    with contextlib.closing(bed.database):
        bed.commit()
        bed.database._connection.execute("UPDATE opportunities SET settled_ns = 0")
        bed.kill()
        bed.run(1_500)
        assert row_of(bed)["settlements"] == 0
        bed.run(1_000)
        assert row_of(bed)["settlements"] == 1


def test_after_a_restart_it_is_charged_at_the_last_price_that_is_known(tmp_path: Path) -> None:
    """The perpetual's ask of the last mark: its bid is kept nowhere, and what stood at the entry
    may be hours old."""
    bed = opened(tmp_path, rates())
    bed.exits[0] = -300.0
    bed.run(800)
    bed.commit()
    with contextlib.closing(bed.database):
        bed.kill()
        bed.advance(300)  # over midnight without a look
        bed.exits[0] = -900.0  # where it stands after it is no matter
        bed.run(500)
        assert bed.rows("SELECT fut_px FROM settlements") == []  # not written yet
        bed.commit()
        assert bed.rows("SELECT fut_px FROM settlements") == [(pytest.approx(103.0),)]


def test_every_settlement_that_is_crossed_adds_up(tmp_path: Path) -> None:
    minutely = RULES._replace(
        step_ns=60 * NS_PER_S,
        life_ns_max=4 * HOUR_NS,
        converge_ns=HOUR_NS,
        resume_gap_ns_max=HOUR_NS,
    )
    bed = Bed(tmp_path / "tracker.db", rules=minutely, rates=rates(hours=1.0),
              start_ns=MIDNIGHT_NS - NS_PER_S)  # fmt: skip
    with contextlib.closing(bed.database):
        bed.push(0, SignalKind.ENTER)
        bed.pop()
        bed.exits[0] = -300.0
        bed.run(2.5 * 3_600_000)
        assert row_of(bed)["settlements"] == 3
        assert row_of(bed)["funding_paid"] == pytest.approx(-0.001 * (100.4 + 103.0 + 103.0))


@pytest.mark.parametrize(
    ("first", "then", "stored"),
    [
        # Every four hours from midnight on: what would have settled at 20:00 never did.
        ({}, {"interval_h": 4.0}, []),
        # Nobody knew when it settles: what the new interval says has been crossed, at what rate?
        ({"interval_h": math.nan}, {"interval_h": 4.0}, [(MIDNIGHT_NS - 4 * HOUR_NS, None)]),
        ({}, {"interval_h": 1.0, "next_wall_ns": MIDNIGHT_NS - 2 * HOUR_NS}, [
            (MIDNIGHT_NS - 2 * HOUR_NS, 0.0002)
        ]),
    ],
)  # fmt: skip
def test_an_interval_that_becomes_another_makes_no_settlement_of_before(
    tmp_path: Path, first: dict[str, float], then: dict[str, float], stored: list[Any]
) -> None:
    """Opened at 19:00, when the next was at midnight; it changes at 21:00, and 22:30 is seen."""
    minutely = RULES._replace(
        step_ns=60 * NS_PER_S,
        life_ns_max=8 * HOUR_NS,
        converge_ns=HOUR_NS,
        resume_gap_ns_max=HOUR_NS,
    )
    at_first = {"asked_wall_ns": MIDNIGHT_NS - 5 * HOUR_NS, **first}
    segment = Told(**at_first)
    known = ToldRates(segment, {(FUTURES, 0): listing_of("C0USDT")}, TableRates())
    bed = Bed(tmp_path / "tracker.db", rules=minutely, rates=known,
              start_ns=MIDNIGHT_NS - 5 * HOUR_NS)  # fmt: skip
    with contextlib.closing(bed.database):
        bed.push(0, SignalKind.ENTER)
        bed.pop()
        bed.exits[0] = -300.0
        bed.run(2 * 3_600_000)
        segment.row = Told(asked_wall_ns=MIDNIGHT_NS - 3 * HOUR_NS, **then).row
        bed.run(1.5 * 3_600_000)
        row = row_of(bed)
        assert bed.rows("SELECT settled_ns, rate FROM settlements") == stored
        assert (row["funding_paid"] is None) is (None in [rate for _, rate in stored])


def test_what_was_crossed_after_the_mark_is_not_in_what_later_entries_had_left(
    tmp_path: Path,
) -> None:
    """The leg is lost before the settlement. A look with the prices of the entry leaves what the
    opportunity did, to the last bit but rounding."""
    bed = opened(tmp_path, rates(), before_ms=700)
    bed.run(300)
    bed.exits[0] = math.nan
    bed.run(3_000)
    bed.commit()
    with contextlib.closing(bed.database):
        row = row_of(bed)
        assert (row["reason"], row["settlements"]) == ("stale", 1)
        assert row["funding_paid"] == pytest.approx(-0.001 * 100.6)
        found = ReportRow(*(row[name] for name in ReportRow._fields))
    entry = found.entry_spot_ask_px, found.entry_fut_bid_px
    result_bps, worse_bps = found.result_bps, found.left_bps(entry[0], entry[1] - 0.1)
    assert result_bps is not None
    assert found.left_bps(*entry) == pytest.approx(result_bps, abs=1e-9)
    assert worse_bps == pytest.approx(result_bps - 10.0 + 0.1 * 5.0 / 100, abs=1e-9)


def test_after_an_unknown_rate_no_known_one_makes_the_sum_known(tmp_path: Path) -> None:
    hourly = rates(0.06, hours=1.0)  # beyond all caps
    minutely = RULES._replace(
        step_ns=60 * NS_PER_S, life_ns_max=8 * HOUR_NS, resume_gap_ns_max=HOUR_NS
    )
    bed = Bed(tmp_path / "tracker.db", rules=minutely, rates=hourly,
              start_ns=MIDNIGHT_NS - NS_PER_S)  # fmt: skip
    with contextlib.closing(bed.database):
        bed.push(0, SignalKind.ENTER)
        bed.pop()
        bed.exits[0] = -300.0
        bed.run(1_800_000)
        bed.book.rates = rates(hours=1.0)
        bed.run(3_600_000)
        row = row_of(bed)
        assert bed.rows("SELECT rate FROM settlements ORDER BY settled_ns") == [(None,), (0.001,)]
        assert (row["settlements"], row["funding_paid"], row["mark_bps"]) == (2, None, None)


def test_beyond_an_unknown_rate_nothing_is_realised(tmp_path: Path) -> None:
    bed = opened(tmp_path, TableRates(), before_ms=500)
    bed.exits[0] = -60.0
    bed.run(400)
    with contextlib.closing(bed.database):
        assert row_of(bed)["mark_bps"] is not None
        bed.exits[0] = -1.0  # all that was promised, had nothing been crossed
        bed.run(7_000)
        row = row_of(bed)
        assert bed.rows("SELECT rate FROM settlements") == [(None,)]
    assert (row["reason"], row["mark_bps"], row["realised_bps"]) == ("expired", None, None)
    assert (row["settlements"], row["funding_paid"]) == (1, None)
