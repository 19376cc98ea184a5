"""What both order books carried soon after a signal: written down once, and earned by size."""

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from tracking import Tracking, tracking_of

from spread_scanner import clock
from spread_scanner.books._order_book import FollowedBook
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Books
from spread_scanner.schema.ladder import Least
from spread_scanner.shm.books import BookStore, BooksWriter
from spread_scanner.shm.wants import Wants
from spread_scanner.tracker.depths import SEEN_NS
from spread_scanner.tracker.earnings import SizeEarned, by_size
from spread_scanner.tracker.opportunity import Opportunity
from spread_scanner.tracker.report_rows import ReportRow

SPOT_ID, FUT_ID, SYMBOL_ID = 0, 3, 1


def publish(writer: BooksWriter, ts_recv: int, px: float) -> None:
    """Ten units a level, a tenth of a percent apart."""
    ranks = np.arange(5) + 1
    followed = FollowedBook()
    bids = np.column_stack([px * (1 - ranks / 1_000), np.full(5, 10.0)])
    asks = np.column_stack([px * (1 + ranks / 1_000), np.full(5, 10.0)])
    followed.snapshot(bids, asks)
    writer.take(SYMBOL_ID)
    writer.publish(
        followed.record(
            symbol_id=SYMBOL_ID, source_id=writer.source_id, update_id=1, ts_recv=ts_recv
        )
    )


@pytest.fixture
def books(up_bed: Any) -> Iterator[dict[int, BooksWriter]]:
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(BookStore.attach(up_bed.namespace))
        yield {one: stack.enter_context(store.writer(one)) for one in (SPOT_ID, FUT_ID)}


def looked(tracking: Tracking) -> Opportunity:
    """The row after the depths of what is open were looked at, for as long as that takes."""
    tracker = tracking.tracker
    with contextlib.ExitStack() as stack:
        for source_id in (SPOT_ID, FUT_ID):
            writer = stack.enter_context(tracking.prices.writer(source_id))
            writer.heartbeat(clock.mono_ns() + 60 * NS_PER_S)
        tracker.turn()
        tracker.depths.take(tracker.book.watched(), tracker.clock.now_ns())
    (followed,) = tracker.book.watched()
    return followed.row


def test_the_depth_is_that_of_the_first_look_with_two_books(
    up_bed: Any, books: dict[int, BooksWriter]
) -> None:
    with tracking_of(up_bed) as tracking:
        now_ns = tracking.prices.clock.now_ns()
        tracking.enter_signal()
        row = looked(tracking)
        assert (row.depth_ns, row.depth_nets) == (None, None), "the tops alone"
        publish(books[SPOT_ID], now_ns, 100.0)
        assert looked(tracking).depth_ns is None, "one book is none"
        publish(books[FUT_ID], now_ns, 105.0)
        row = looked(tracking)
        assert row.depth_ns is not None
        assert row.depth_nets is not None
        nets = msgspec.json.decode(row.depth_nets)
        assert [size for size, _ in nets] == [0.0, 100.0, 1_000.0, 10_000.0, 100_000.0]
        entry = (105.0 * 0.999 - 100.1) / 100.1 * 1e4
        assert nets[0][1] == pytest.approx(entry)
        assert nets[1][1] == pytest.approx(entry)  # within the first level
        assert nets[3][1] is None  # 100 units: the books hold 50
        assert row.depth_size_quote == pytest.approx(50.0 * 100.1)
        assert row.depth_bounded == 1
        first = row.depth_ns
        publish(books[FUT_ID], now_ns, 107.0)
        assert looked(tracking).depth_ns == first


@pytest.mark.parametrize(
    ("least", "carried", "orders"),
    [
        (Least(spot_notional_min=150.0), 50.0, [0.0, 1_000.0]),
        (Least(fut_qty_min=9.0), 50.0, [0.0, 1_000.0]),
        (Least(fut_notional_min=6_000.0), 0.0, [0.0]),
        (Least(spot_qty_min=60.0), 0.0, [0.0]),
    ],
)
def test_what_is_less_than_a_listings_least_is_no_order(
    up_bed: Any, books: dict[int, BooksWriter], least: Least, carried: float, orders: list[float]
) -> None:
    """The books carry more of it, or as much; nobody takes the order. The top is of no size."""
    with tracking_of(up_bed) as tracking:
        now_ns = tracking.prices.clock.now_ns()
        tracking.enter_signal()
        tracking.tracker.turn()
        (followed,) = tracking.tracker.book.watched()
        followed.pair = followed.pair._replace(least=least)
        publish(books[SPOT_ID], now_ns, 100.0)
        publish(books[FUT_ID], now_ns, 105.0)
        row = looked(tracking)
    assert row.depth_nets is not None
    nets = msgspec.json.decode(row.depth_nets)
    assert [size for size, net in nets if net is not None] == orders
    assert row.depth_size_quote == pytest.approx(carried * 100.1)


def test_books_that_come_too_late_say_nothing_of_the_signal(
    up_bed: Any, books: dict[int, BooksWriter]
) -> None:
    with tracking_of(up_bed) as tracking:
        tracking.enter_signal(age_ns=SEEN_NS + NS_PER_S)
        for writer in books.values():
            publish(writer, tracking.prices.clock.now_ns(), 100.0)
        assert looked(tracking).depth_ns is None


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
        tracking.tracker.depths.ask(tracking.tracker.book.watched(), clock.wall_ns())
        for source_id in (SPOT_ID, FUT_ID):
            asked = np.flatnonzero(wants.asked(source_id, clock.mono_ns())).tolist()
            assert asked == ([SYMBOL_ID] if margin_bps >= 0 else [])


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
