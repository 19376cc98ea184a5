"""What is kept of a book is the beginning of the whole one, without a hole, whatever is said."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spread_scanner.books import _order_book
from spread_scanner.books._order_book import FollowedBook
from spread_scanner.schema.books import (
    BOOK_DTYPE,
    BOOK_UNUSABLE,
    LEVELS_KEPT,
    LEVELS_LEAST,
    LEVELS_SHOWN,
    BookFlag,
)
from spread_scanner.schema.records import TS_ABSENT

Side = dict[float, float]
Puts = list[tuple[float, float]]
# Few prices, so that levels meet; more than are kept, so that some go.
PUTS = st.lists(
    st.tuples(st.integers(1, 160).map(float), st.sampled_from([0.0, 0.0, 1.0, 2.5])), max_size=60
)
FULL = st.dictionaries(st.integers(1, 160).map(float), st.floats(0.5, 9.0), max_size=160)


def levels(rows: Iterable[tuple[float, float]]) -> np.ndarray:
    return np.array(list(rows), np.float64).reshape(-1, 2)


def put(side: Side, puts: Iterable[tuple[float, float]]) -> None:
    for px, sz in puts:
        if sz == 0:
            side.pop(px, None)
        else:
            side[px] = sz


def ordered(side: Side, *, bids: bool) -> list[tuple[float, float]]:
    return sorted(side.items(), reverse=bids)


@given(FULL, FULL, st.integers(1, 160), st.lists(st.tuples(PUTS, PUTS), max_size=6))
def test_what_is_kept_is_the_beginning_of_the_whole_book(
    bids: Side, asks: Side, shown: int, deltas: list[tuple[Puts, Puts]]
) -> None:
    book = FollowedBook()
    whole = (dict(bids), dict(asks))
    first = [ordered(side, bids=number == 0)[:shown] for number, side in enumerate(whole)]
    book.snapshot(levels(first[0]), levels(first[1]), levels=shown)
    for puts in [([], []), *deltas]:
        book.delta(levels(puts[0]), levels(puts[1]))
        for number, side in enumerate(whole):
            put(side, puts[number])
            kept = (book.bids, book.asks)[number].tolist()
            true = [list(row) for row in ordered(side, bids=number == 0)]
            assert kept == true[: len(kept)], "a hole, or another size"
            if not book.flags & BookFlag.PARTIAL:
                assert len(kept) == len(true)
            assert len(kept) <= LEVELS_KEPT


@given(FULL, st.integers(0, 160), PUTS)
def test_a_side_of_which_too_little_is_left_is_depleted(asks: Side, shown: int, puts: Puts) -> None:
    book = FollowedBook()
    first = ordered(asks, bids=False)[:shown]
    book.snapshot(levels([(0.5, 1.0)]), levels(first))
    if first and len(first) < len(asks):
        book.snapshot(levels([(0.5, 1.0)]), levels(first), levels=shown)
        book.delta(levels([]), levels(puts))
        kept = book.asks
        last_px = first[-1][0]
        known = dict(first)
        put(known, [(px, sz) for px, sz in puts if px <= last_px])
        if len(known) <= LEVELS_KEPT:
            assert kept.tolist() == [list(row) for row in ordered(known, bids=False)]
        # The bid's side is one level of an incomplete snapshot, so that it is depleted always.
        assert book.flags & BookFlag.DEPLETED
        assert bool(book.flags & BookFlag.ASK_EMPTY) == (len(kept) == 0)


def test_depleted_is_fewer_than_the_least_of_a_cut_side() -> None:
    rows = [(100.0 + number, 1.0) for number in range(LEVELS_LEAST)]
    bids = levels((90.0 - number, 1.0) for number in range(LEVELS_LEAST))
    book = FollowedBook()
    book.snapshot(bids, levels(rows), levels=LEVELS_LEAST)
    assert book.flags == BookFlag.PARTIAL
    book.delta(levels([]), levels([(rows[-1][0] + 5.0, 1.0)]))
    assert len(book.asks) == LEVELS_LEAST, "beyond what is known nothing is taken"
    book.delta(levels([]), levels([(100.0, 0.0)]))
    assert book.flags == BookFlag.PARTIAL | BookFlag.DEPLETED
    book.delta(levels([]), levels([(100.5, 2.0)]))
    assert book.flags == BookFlag.PARTIAL


def test_a_side_is_whole_where_no_level_lies_beyond_those_shown() -> None:
    def whole(bids: int, asks: int, shown: int) -> BookFlag:
        book = FollowedBook()
        sides = [levels((px + sign * n, 1.0) for n in range(count)) for px, sign, count in (
            (500.0, -1, bids), (501.0, 1, asks)
        )]  # fmt: skip
        book.snapshot(*sides, levels=shown)
        record = book.record(symbol_id=1, source_id=0, update_id=1, ts_recv=1, ts_event=1)
        return BookFlag(int(record["flags"][0])) & (BookFlag.BIDS_WHOLE | BookFlag.ASKS_WHOLE)

    assert whole(3, 20, 0) == BookFlag.BIDS_WHOLE | BookFlag.ASKS_WHOLE
    assert whole(3, 21, 0) == BookFlag.BIDS_WHOLE, "one is kept and not shown"
    assert whole(3, 12, 12) == BookFlag.BIDS_WHOLE, "as many as the snapshot shows at most"
    assert whole(3, 11, 12) == BookFlag.BIDS_WHOLE | BookFlag.ASKS_WHOLE
    assert whole(0, 120, 0) == BookFlag.BIDS_WHOLE


def test_a_book_that_knows_nothing_takes_no_delta() -> None:
    book = FollowedBook()
    book.delta(levels([(1.0, 1.0)]), levels([(2.0, 1.0)]))
    assert (len(book.bids), len(book.asks)) == (0, 0)
    assert book.flags & int(BOOK_UNUSABLE)
    book.snapshot(levels([(1.0, 1.0)]), levels([(2.0, 1.0)]))
    assert book.flags == 0
    book.clear()
    assert book.flags & BookFlag.DEPLETED


@pytest.mark.parametrize(
    ("bid_px", "crossed"),
    [(1.9, False), (2.0, True), (math.nextafter(2.0, 1.0), False), (3.0, True)],
)
def test_crossed_is_told(bid_px: float, crossed: bool) -> None:
    book = FollowedBook()
    book.snapshot(levels([(bid_px, 1.0)]), levels([(2.0, 1.0)]))
    assert bool(book.flags & BookFlag.CROSSED) is crossed


@pytest.mark.parametrize(
    ("px", "sz"),
    [(math.nan, 1.0), (0.0, 1.0), (-1.0, 1.0), (math.inf, 1.0), (5.0, math.nan), (5.0, -1.0)],
)
def test_what_cannot_be_is_refused_and_counted(px: float, sz: float) -> None:
    book = FollowedBook()
    book.snapshot(levels([(1.0, 1.0)]), levels([(2.0, 1.0), (px, sz)]))
    assert book.asks.tolist() == [[2.0, 1.0]]
    assert book.refused == 1


def test_the_record_shows_the_first_levels_and_says_what_is_known() -> None:
    bids = levels((1_000.0 - number, number + 1.0) for number in range(30))
    asks = levels([(2_000.0, 7.0)])
    book = FollowedBook()
    book.snapshot(bids, asks)
    record = book.record(symbol_id=7, source_id=3, update_id=9, ts_recv=5, epoch=2, levels=10)
    assert record.dtype == BOOK_DTYPE
    row = record[0]
    assert (row["bid_count"], row["ask_count"], row["bid_kept"], row["ask_kept"]) == (10, 1, 30, 1)
    assert row["bids"][:10].tolist() == bids[:10].tolist()
    assert np.isnan(row["bids"][10:]).all()
    assert np.isnan(row["asks"][1:]).all()
    assert (row["symbol_id"], row["source_id"], row["update_id"], row["epoch"]) == (7, 3, 9, 2)
    assert row["ts_event"] == TS_ABSENT
    assert row["flags"] == BookFlag.NO_TS_EVENT | BookFlag.ASKS_WHOLE
    with pytest.raises(ValueError, match="levels"):
        book.record(symbol_id=7, source_id=3, update_id=9, ts_recv=5, levels=LEVELS_SHOWN + 1)


@pytest.mark.parametrize("bad", [np.zeros(2), np.zeros((2, 3)), np.zeros((2, 2), np.float32)])
def test_levels_of_another_shape_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="levels"):
        FollowedBook().delta(bad, levels([]))


def test_the_twin_has_the_same_numbers() -> None:
    flags = {flag.name: int(flag) for flag in BookFlag if flag}
    assert dict(_order_book.FLAGS) == {**flags, "UNUSABLE": int(BOOK_UNUSABLE)}
    assert dict(_order_book.SIZES) == {
        "record": BOOK_DTYPE.itemsize,
        "levels_shown": LEVELS_SHOWN,
        "levels_kept": LEVELS_KEPT,
        "levels_least": LEVELS_LEAST,
    }
