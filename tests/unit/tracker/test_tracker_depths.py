"""What both order books carried, as the engine told it: written down once, and earned by size."""

import contextlib
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from tracker_bed import Bed, pair
from tracking import Tracking, tracking_of

from spread_scanner import clock
from spread_scanner.config import Books
from spread_scanner.schema.books import BOOK_DTYPE, BookLevels
from spread_scanner.schema.enums import SignalKind
from spread_scanner.schema.ladder import Least, PairBooks, Terms, carried
from spread_scanner.schema.names import DATABASE_FILE
from spread_scanner.schema.records import FOLLOW_UP_BOUNDED, RUNGS_MAX, SIGNAL_RUNG_DTYPE
from spread_scanner.shm.books import BookStore, BooksWriter
from spread_scanner.shm.wants import Wants
from spread_scanner.tracker.depths import BookWishes
from spread_scanner.tracker.earnings import SizeEarned, by_size
from spread_scanner.tracker.opportunity import FollowUp, Opportunity
from spread_scanner.tracker.report_rows import ReportRow

SPOT_ID, FUT_ID, SYMBOL_ID = 0, 3, 1
PairSides = tuple[BookLevels, BookLevels]


def rungs(*nets: float) -> np.ndarray:
    """At 0.1, 100, 1,000 ... in the quote coin; NaN: not carried."""
    made = np.full(RUNGS_MAX, np.nan, SIGNAL_RUNG_DTYPE)
    made["size_quote"][: len(nets)] = [0.1, 100.0, 1_000.0, 10_000.0][: len(nets)]
    made["net_bps"][: len(nets)] = nets
    return made


def row_of(tracking: Tracking) -> Opportunity:
    tracking.tracker.turn()
    (followed,) = tracking.tracker.book.watched()
    return followed.row


def test_the_depth_is_what_was_told_first_of_an_opportunity(up_bed: Any) -> None:
    with tracking_of(up_bed) as tracking:
        tracking.enter_signal()
        row = row_of(tracking)
        assert (row.depth_ns, row.depth_nets) == (None, None), "the tops alone"
        when_ns = tracking.follow_up(
            net_bps=20.0,
            size_quote=1_234.5,
            flags=FOLLOW_UP_BOUNDED,
            rungs=rungs(19.5, 18.0, np.nan),
        )
        row = row_of(tracking)
        assert (row.depth_ns, row.depth_size_quote, row.depth_bounded) == (when_ns, 1_234.5, 1)
        assert row.depth_nets == "[[0.0,20.0],[0.1,19.5],[100.0,18.0],[1000.0,null]]"
        tracking.follow_up(net_bps=7.0)
        assert row_of(tracking).depth_ns == when_ns
        assert (row.signals, row.exits) == (1, 0), "it is no signal"
        tally = tracking.tracker.tally.totals
        assert (tally["signals"], tally["follow_ups"], tally["opened"]) == (3, 2, 1)
        assert tally.get("refused_unknown", 0) == tally.get("signal_gaps", 0) == 0


def test_what_was_told_of_an_earlier_signal_is_not_of_this_opportunity(up_bed: Any) -> None:
    with tracking_of(up_bed) as tracking:
        tracking.follow_up(of_seq=0)  # of what is followed no more
        tracking.enter_signal()
        tracking.follow_up(of_seq=0, net_bps=7.0)
        assert row_of(tracking).depth_ns is None
        tracking.follow_up(of_seq=1, net_bps=7.0, size_quote=np.nan)
        row = row_of(tracking)
        assert (row.depth_nets, row.depth_size_quote) == ("[[0.0,7.0]]", None)


def test_it_is_kept_with_the_position_in_the_ring(tmp_path: Path) -> None:
    """Once the ring's slot is given back nobody can read it again."""
    bed = Bed(tmp_path / "tracker.db")
    bed.push(0, SignalKind.ENTER)
    bed.pop()
    bed.urgent()  # the opening is written
    told = FollowUp(1, bed.now_ns + 5, 0, 7.0, None, False, [], 0, 0, 1)
    bed.ring.append(told)
    bed.pop()
    bed.urgent()
    bed.kill()
    bed.pop()
    assert bed.rows("SELECT depth_ns, depth_nets FROM opportunities") == [
        (bed.now_ns + 5, "[[0.0,7.0]]")
    ]


@pytest.mark.parametrize("margin_bps", [-1.0, 5.0])
def test_books_of_what_is_open_are_wanted_where_the_settings_want_them(
    up_bed: Any, margin_bps: float
) -> None:
    given = up_bed.settings
    chosen = msgspec.structs.replace(given.config, books=Books(books_margin_bps=margin_bps))
    up_bed.settings = msgspec.structs.replace(given, config=chosen)
    with tracking_of(up_bed) as tracking, Wants.attach(up_bed.namespace) as wants:
        tracking.enter_signal()
        tracking.tracker.turn()
        tracking.tracker.wishes.ask(tracking.tracker.book.watched(), clock.wall_ns())
        for source_id in (SPOT_ID, FUT_ID):
            asked = np.flatnonzero(wants.asked(source_id, clock.mono_ns())).tolist()
            assert asked == ([SYMBOL_ID] if margin_bps >= 0 else [])


def test_half_of_a_source_s_room_for_books_is_left_to_people(up_bed: Any) -> None:
    given = up_bed.settings
    chosen = msgspec.structs.replace(given.config, books=Books(books_max=8))
    wishes = BookWishes(msgspec.structs.replace(given, config=chosen))
    watched: list[Any] = [SimpleNamespace(pair=pair(symbol_id)) for symbol_id in range(20)]
    with Wants.attach(up_bed.namespace) as wants:
        wishes.ask(watched, clock.wall_ns())
        for source_id in (pair(0).spot_source, pair(0).futures_source):
            asked = np.flatnonzero(wants.asked(source_id, clock.mono_ns())).tolist()
            assert asked == [16, 17, 18, 19], "the newest"
    wishes.close()


def put(writer: BooksWriter, source_id: int, bid_px: float, ask_px: float) -> PairSides:
    """Three levels a side, half a unit apart, the deeper the larger; of now."""
    steps, sizes = np.arange(3) * 0.5, 8.0 * (1 + np.arange(3))
    bids = np.column_stack([bid_px - steps, sizes])
    asks = np.column_stack([ask_px + steps, sizes])
    record = np.zeros(1, BOOK_DTYPE)
    record["source_id"], record["symbol_id"] = source_id, SYMBOL_ID
    record["ts_recv"], record["bids"], record["asks"] = clock.wall_ns(), np.nan, np.nan
    record["bid_count"] = record["ask_count"] = 3
    record["bids"][0, :3], record["asks"][0, :3] = bids, asks
    writer.take(SYMBOL_ID)
    writer.publish(record)
    return bids, asks


@pytest.mark.parametrize("books_max", [8, 0])
def test_each_look_has_what_both_books_carry_then(up_bed: Any, books_max: int) -> None:
    with BookStore.attach(up_bed.namespace) as books:  # which the segments were made with
        given = up_bed.settings
        chosen = msgspec.structs.replace(given.config, books=Books(books_max=books_max))
        up_bed.settings = msgspec.structs.replace(given, config=chosen)
        with tracking_of(up_bed) as tracking, books.writer(SPOT_ID) as spot:
            tracking.enter_signal(
                spot_ask_px=100.0, fut_bid_px=103.0, carry_bps=103.0, net_bps=197.0
            )
            row = row_of(tracking)
            (followed,) = tracking.tracker.book.watched()
            followed.pair = followed.pair._replace(least=Least(1.0, 1.0, 5.0, 5.0))
            look_until(up_bed, tracking, samples=2)
            bids, asks = put(spot, SPOT_ID, 99.0, 100.0)
            with books.writer(FUT_ID) as futures:
                sides = bids, asks, *put(futures, FUT_ID, 103.0, 104.0)
                look_until(up_bed, tracking, samples=row.samples + 2)
                look_until(up_bed, tracking, samples=row.samples + 2, ask_px=100.5)
    with contextlib.closing(sqlite3.connect(up_bed.settings.data_dir / DATABASE_FILE)) as database:
        asked = "SELECT depth_size_quote FROM samples ORDER BY ts_ns"
        first, *sizes, last = (size for (size,) in database.execute(asked))
    terms = Terms(0.0, row.fees_bps, 100.0, row.enter_bps, 0.0)  # at the price of the spot
    assert first is None, "there was no book"
    assert last is None, "the quotes are further"
    known = {size for size in sizes if size is not None}
    assert known == ({carried(PairBooks(*sides), terms).size_base * 100.0} if books_max else set())


def look_until(bed: Any, tracking: Tracking, samples: int, ask_px: float = 100.0) -> None:
    """Turn the tracker until it has taken so many."""
    deadline_s = clock.awake_s() + 20.0
    (followed,) = tracking.tracker.book.watched()
    while followed.row.samples < samples:
        assert clock.awake_s() < deadline_s
        bed.quote(SPOT_ID, SYMBOL_ID, 99.0, ask_px)
        bed.quote(FUT_ID, SYMBOL_ID, 103.0, 104.0)
        tracking.tracker.turn()


def report_row(number: int, result_bps: float | None, nets: Any) -> ReportRow:
    empty = ReportRow(*[None] * len(ReportRow._fields))  # type: ignore[arg-type]
    text = None if nets is None else msgspec.json.encode(nets).decode()
    return empty._replace(id=number, mark_bps=result_bps, depth_nets=text)


def test_what_a_size_earns_is_the_result_less_what_it_takes_off_the_tops() -> None:
    rows = [
        report_row(1, 20.0, [[0.0, 15.0], [100.0, 14.0], [1_000.0, 9.0]]),
        report_row(2, 99.0, [[0.0, 15.0], [100.0, 15.0], [1_000.0, 15.0]]),  # the event of 1
        report_row(3, -4.0, [[0.0, 10.0], [100.0, 8.0], [1_000.0, None]]),
        report_row(4, 7.0, None),  # the tops alone
        report_row(5, None, [[0.0, 10.0], [100.0, 8.0], [1_000.0, None]]),
    ]
    event_of = {1: 1, 2: 1, 3: 3, 4: 4, 5: 5}
    small, large = by_size(rows, event_of, 86_400.0)
    assert small == SizeEarned(100.0, 2, 2, 6.5, 6.5, 0.5, 0.13, 0.13)
    assert large == SizeEarned(1_000.0, 2, 1, 14.0, 14.0, 1.0, 1.4, 1.4)
    assert by_size(rows, event_of, 60.0)[0].per_day_quote is None
    assert by_size(rows[3:4], event_of, 86_400.0) == []
