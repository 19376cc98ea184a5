"""What the order books of a pair carry: its net at a size, and the size up to which it pays.

Buy the spot from its asks and sell the perpetual into its bids; later sell the spot into its bids
and buy the perpetual back from its asks. At a size, prices are averages over the levels that it
takes. What leaving is assumed to earn is less by what the size moves the books of today on the way
out: the average exit less that of the tops. A side whose levels end before the size does carries it
not: it is too thin where it is known to its end; else what is beyond nobody knows. schema/costs.py
has what a spread is; engine, screens and tracker use the same lines in C (native/ladder.h), which
test_ladder holds to these, to the last bit.

Levels are (n, 2), price and size, the best first. A book that cannot be stood behind is not asked:
schema.freshness.book_usable.
"""

import math
from typing import NamedTuple

import numpy as np

from spread_scanner.schema.books import BookLevels
from spread_scanner.schema.costs import (
    carried_bps,
    entry_bps,
    exit_bps,
    net_bps,
    over_money,
    size_base,
)


class PairBooks(NamedTuple):
    """The four sides of a pair."""

    spot_bids: BookLevels
    spot_asks: BookLevels
    fut_bids: BookLevels
    fut_asks: BookLevels
    whole: tuple[bool, bool, bool, bool] = (False, False, False, False)  # known to their ends

    @property
    def sides(self) -> tuple[BookLevels, BookLevels, BookLevels, BookLevels]:
        return self[:4]


class Terms(NamedTuple):
    """What a pair costs and asks, whatever the prices."""

    close_bps: float
    fees_bps: float
    carry_bps: float
    enter_bps: float
    lot_base: float


TERMS_DTYPE = np.dtype([(name, "<f8") for name in Terms._fields])


class Least(NamedTuple):
    """What both listings of a pair ask of an order; 0: not told, and none."""

    spot_qty_min: float = 0.0
    fut_qty_min: float = 0.0
    spot_notional_min: float = 0.0
    fut_notional_min: float = 0.0


LEAST_DTYPE = np.dtype([(name, "<f8") for name in Least._fields])


class Rung(NamedTuple):
    """One size: what entering would pay and get on average, and what is left of it. NaN: the books
    do not carry it. `thin`: a side that is known to its end holds less; 0 or 1."""

    buy_px: float
    sell_px: float
    net_bps: float
    thin: float


RUNG_DTYPE = np.dtype([(name, "<f8") for name in Rung._fields])


class Carried(NamedTuple):
    """The largest size with the net at or over the threshold, in whole lots."""

    size_base: float
    bounded: bool  # what is known ended before the spread did, and more may lie beyond


def money(levels: BookLevels, size: float) -> float:
    """What so many base units cost, or bring, level by level; NaN: there are not so many."""
    left, total = size, 0.0
    for px, sz in levels.tolist():
        taken = min(sz, left)
        total += px * taken
        left -= taken
        if left <= 0.0:
            return float(total)
    return math.nan


def rung(books: PairBooks, terms: Terms, size: float) -> Rung:
    """Of a size in base units. All four sides must have a level."""
    buy_px, sell_px = money(books.spot_asks, size) / size, money(books.fut_bids, size) / size
    spot_px, back_px = money(books.spot_bids, size) / size, money(books.fut_asks, size) / size
    top_bid_px, top_ask_px = float(books.spot_bids[0, 0]), float(books.fut_asks[0, 0])
    moved = exit_bps(spot_px, buy_px, back_px) - exit_bps(top_bid_px, buy_px, top_ask_px)
    entry = entry_bps(buy_px, sell_px)
    carried = carried_bps(terms.carry_bps, buy_px, sell_px)
    net = net_bps(entry, terms.close_bps + moved, terms.fees_bps, carried)
    if math.isnan(net):
        prices = (spot_px, buy_px, sell_px, back_px)
        thin = any(math.isnan(px) and whole for px, whole in zip(prices, books.whole, strict=True))
        return Rung(math.nan, math.nan, math.nan, float(thin))
    return Rung(buy_px, sell_px, net, 0.0)


def ladder(books: PairBooks, terms: Terms, sizes_quote: tuple[float, ...]) -> list[Rung]:
    """Of sizes in the quote coin, at the spot's best ask as sizes always are."""
    top_px = float(books.spot_asks[0, 0])
    return [rung(books, terms, size / top_px) for size in sizes_quote]


def carried(books: PairBooks, terms: Terms) -> Carried:
    """The largest size that pays. All four sides must have a level.

    Level by level the money over the threshold goes on in straight lines, which bend down: where it
    is used up is between two of their ends.
    """
    sides = [side.tolist() for side in books.sides]  # the spot's bids and asks, the perpetual's
    top = sides[0][0][0] - sides[3][0][0]
    at, left, spent = [0] * 4, [side[0][1] for side in sides], [0.0] * 4
    size, over = 0.0, 0.0
    while True:
        step = min(left)
        size_then = size + step
        spent_then = [spent[i] + sides[i][at[i]][0] * step for i in range(4)]
        moved = spent_then[0] - spent_then[3] - top * size_then
        allowed = terms.close_bps - terms.fees_bps - terms.enter_bps
        over_then = over_money(spent_then[1], spent_then[2], moved, allowed, terms.carry_bps)
        if not over_then >= 0.0:
            size += step * (over / (over - over_then))
            return Carried(float(size_base(size, size, terms.lot_base)), bounded=False)
        size, over, spent = size_then, over_then, spent_then
        ended = []
        for i in range(4):
            left[i] -= step
            if left[i] > 0.0:
                continue
            at[i] += 1
            if at[i] == len(sides[i]):
                ended.append(books.whole[i])
            else:
                left[i] = sides[i][at[i]][1]
        if ended:
            bounded = not any(ended)
            return Carried(float(size_base(size, size, terms.lot_base)), bounded)
