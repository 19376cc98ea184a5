"""What books carry: by hand, by brute force, and the same to the last bit in C."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spread_scanner.books import _ladder
from spread_scanner.books._ladder import ladders
from spread_scanner.schema import costs
from spread_scanner.schema.books import BOOK_DTYPE, LEVELS_SHOWN, BookFlag
from spread_scanner.schema.ladder import (
    RUNG_DTYPE,
    TERMS_DTYPE,
    PairBooks,
    Terms,
    carried,
    ladder,
    money,
    rung,
)

SIZES = (100.0, 1_000.0, 10_000.0, 100_000.0)
FREE = Terms(close_bps=0.0, fees_bps=0.0, carry_bps=0.0, enter_bps=0.0, lot_base=0.0)


def side(*rows: tuple[float, float]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 2)


# Buying takes three levels, selling two; leaving meets one level each.
BY_HAND = PairBooks(
    spot_bids=side((99.0, 100.0)),
    spot_asks=side((100.0, 1.0), (101.0, 1.0), (102.0, 8.0)),
    fut_bids=side((110.0, 2.0), (108.0, 8.0)),
    fut_asks=side((111.0, 100.0)),
)


def test_by_hand() -> None:
    assert money(BY_HAND.spot_asks, 3.0) == 303.0
    assert money(BY_HAND.fut_bids, 3.0) == 328.0
    assert math.isnan(money(BY_HAND.spot_asks, 10.5))
    found = rung(BY_HAND, FREE, 3.0)
    assert (found.buy_px, found.sell_px) == (101.0, 328.0 / 3)
    assert found.net_bps == pytest.approx((328.0 / 3 - 101.0) / 101.0 * 1e4)
    paid = rung(BY_HAND, FREE._replace(fees_bps=20.0, close_bps=-5.0, carry_bps=1.0), 3.0)
    assert paid.net_bps == pytest.approx(found.net_bps - 25.0 - 328.0 / 303.0)


def test_leaving_costs_what_the_size_moves_on_the_way_out() -> None:
    deep = BY_HAND._replace(spot_bids=side((99.0, 1.0), (98.0, 9.0)))
    found, before = rung(deep, FREE, 2.0), rung(BY_HAND, FREE, 2.0)
    assert found.net_bps == pytest.approx(before.net_bps - 0.5 / found.buy_px * 1e4)
    thin = BY_HAND._replace(fut_asks=side((111.0, 1.0)))
    assert math.isnan(rung(thin, FREE, 2.0).net_bps), "what cannot be left is not entered"


def test_the_largest_size_ends_where_the_spread_does() -> None:
    terms = FREE._replace(enter_bps=700.0)
    found = carried(BY_HAND, terms)
    assert not found.bounded
    assert rung(BY_HAND, terms, found.size_base).net_bps == pytest.approx(700.0, abs=1e-6)
    whole = carried(BY_HAND, terms._replace(lot_base=0.5))
    assert whole.size_base == math.floor(found.size_base / 0.5) * 0.5


def test_books_that_end_first_bound_it() -> None:
    found = carried(BY_HAND, FREE)
    assert (found.size_base, found.bounded) == (10.0, True)
    assert carried(BY_HAND, FREE._replace(enter_bps=1_000.5)).size_base == 0.0
    assert math.isnan(carried(BY_HAND, FREE._replace(close_bps=math.nan)).size_base)


def test_a_side_that_is_known_to_its_end_is_too_thin() -> None:
    """Selling ends with 10; so does buying, which may go on beyond what is shown."""
    for whole, thin in (
        ((True, False, False, True), False),  # they hold 100
        ((False, False, True, False), True),
        ((False, True, False, False), True),
        ((True, True, True, True), True),
    ):
        books = BY_HAND._replace(whole=whole)
        small, large = rung(books, FREE, 10.0), rung(books, FREE, 10.5)
        assert (math.isnan(small.net_bps), small.thin) == (False, 0.0)
        assert (math.isnan(large.net_bps), bool(large.thin)) == (True, thin)
        found = carried(books, FREE)
        assert (found.size_base, found.bounded) == (10.0, not thin)
    nothing = FREE._replace(close_bps=math.nan)
    assert rung(BY_HAND._replace(whole=(True,) * 4), nothing, 3.0).thin == 0.0


PRICES = st.floats(0.5, 2.0)
STEPS = st.lists(
    st.tuples(st.floats(1e-6, 0.01), st.floats(1e-3, 1e5)), min_size=1, max_size=LEVELS_SHOWN
)
BPS = st.floats(-300.0, 300.0)
LOTS = st.sampled_from([0.0, 0.1, 1.0, 7.0])
TERMS = st.builds(Terms, BPS, st.floats(0.0, 60.0), st.floats(-5.0, 5.0), BPS, LOTS)


def levels(top_px: float, steps: list[tuple[float, float]], sign: int) -> np.ndarray:
    px = top_px * (1 + sign * np.cumsum([0.0, *(step for step, _ in steps[1:])]))
    return np.column_stack([px, [size for _, size in steps]])


@st.composite
def books_of(draw: st.DrawFn) -> PairBooks:
    spot_px = draw(PRICES)
    fut_px = spot_px * draw(st.floats(0.97, 1.03))
    width = draw(st.floats(0.0, 0.002))
    return PairBooks(
        levels(spot_px * (1 - width), draw(STEPS), -1),
        levels(spot_px * (1 + width), draw(STEPS), 1),
        levels(fut_px * (1 - width), draw(STEPS), -1),
        levels(fut_px * (1 + width), draw(STEPS), 1),
        draw(st.tuples(*[st.booleans()] * 4)),
    )


def record(
    bids: np.ndarray, asks: np.ndarray, whole: Sequence[bool] = (False, False)
) -> np.ndarray:
    made = np.zeros(1, BOOK_DTYPE)
    made["flags"] = BookFlag.BIDS_WHOLE * whole[0] | BookFlag.ASKS_WHOLE * whole[1]
    made["bid_count"], made["ask_count"] = len(bids), len(asks)
    made["bids"] = made["asks"] = np.nan
    made["bids"][0, : len(bids)], made["asks"][0, : len(asks)] = bids, asks
    return made


@given(books_of(), TERMS, st.lists(st.floats(0.01, 1e6), min_size=1, max_size=5))
def test_c_says_the_same_to_the_last_bit(
    books: PairBooks, terms: Terms, sizes: list[float]
) -> None:
    rungs, size, bounded = ladders(
        record(books.spot_bids, books.spot_asks, books.whole[:2]),
        record(books.fut_bids, books.fut_asks, books.whole[2:]),
        np.array([terms], TERMS_DTYPE),
        np.array(sizes),
    )
    expected = np.array(ladder(books, terms, tuple(sizes)), RUNG_DTYPE)
    assert rungs.tobytes() == expected.reshape(1, -1).tobytes()
    found = carried(books, terms)
    assert (size[0], bool(bounded[0])) == found


@given(books_of(), TERMS)
def test_the_largest_size_is_that_of_a_search(books: PairBooks, terms: Terms) -> None:
    """Of a hundred sizes up to what all four sides hold, those below pay and those above do not."""
    terms = terms._replace(lot_base=0.0)
    found = carried(books, terms)
    held = min(float(one[:, 1].sum()) for one in books.sides)
    slack = 1e-6 * (1 + abs(terms.enter_bps))
    for size in np.linspace(held / 100, held * (1 - 1e-9), 100):
        net = rung(books, terms, float(size)).net_bps
        if size < found.size_base * (1 - 1e-6):
            assert net >= terms.enter_bps - slack
        elif size > found.size_base * (1 + 1e-6):
            assert net <= terms.enter_bps + slack
    if found.bounded:
        assert found.size_base == pytest.approx(held)


@given(books_of(), TERMS)
def test_a_larger_size_never_earns_more(books: PairBooks, terms: Terms) -> None:
    nets = [one.net_bps for one in ladder(books, terms, SIZES)]
    known = [net for net in nets if not math.isnan(net)]
    assert known == nets[: len(known)], "once a size is not carried, no larger one is"
    for smaller, larger in pairwise(known):
        assert larger <= smaller + 1e-6


def test_the_smallest_size_is_the_top() -> None:
    terms = Terms(-12.5, 20.0, 1.0, 10.0, 0.0)
    tops = [float(one[0, 0]) for one in BY_HAND.sides]
    entry = costs.entry_bps(tops[1], tops[2])
    carry = costs.carried_bps(1.0, tops[1], tops[2])
    assert ladder(BY_HAND, terms, (1e-3,))[0].net_bps == pytest.approx(
        costs.net_bps(entry, -12.5, 20.0, carry)
    )


def test_a_side_without_a_level_carries_nothing() -> None:
    empty = np.zeros((0, 2))
    terms = np.array([FREE], TERMS_DTYPE)
    full = record(BY_HAND.fut_bids, BY_HAND.fut_asks)
    for spot in (record(empty, BY_HAND.spot_asks), record(BY_HAND.spot_bids, empty)):
        rungs, size, bounded = ladders(spot, full, terms, np.array(SIZES))
        assert np.isnan(rungs["net_bps"]).all()
        assert np.isnan(size[0])
        assert not bounded[0]


def test_arrays_of_another_kind_are_refused() -> None:
    one, terms, sizes = np.zeros(1, BOOK_DTYPE), np.array([FREE], TERMS_DTYPE), np.array(SIZES)
    for arguments in (
        (np.zeros(1), one, terms, sizes),
        (one, np.zeros(2, BOOK_DTYPE), terms, sizes),
        (one, one, np.zeros(5), sizes),
        (one, one, terms, np.array(SIZES, np.float32)),
    ):
        with pytest.raises(ValueError, match="needed"):
            ladders(*arguments)
    assert dict(_ladder.SIZES) == {"terms": TERMS_DTYPE.itemsize, "rung": RUNG_DTYPE.itemsize}
