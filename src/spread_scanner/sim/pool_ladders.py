"""Ladders of pools as books, by the chain's own fractions: what PoolTruth tells of them.

A rung is what a size of the quote costs and brings, as a whole, in the pool that is best for it. As
a book they are the levels of which each rung, taken from the top, costs what it does: of all points
of coins and money those that a string drawn tight around them touches, as no level is better than
the one above it. Pure.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

from spread_scanner.sim.chain_pools import SimPool

LADDER_QUOTE = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)  # as shipped
Levels = list[tuple[str, str]]  # price and size, the best first


class Asked(NamedTuple):
    """What a size brings and costs in one pool, in its own quote; NaN: it cannot."""

    bid_px: float
    bid_sz: float
    ask_px: float
    ask_sz: float


class _Rung(NamedTuple):
    px: float
    size: float


Ladder = Sequence[Asked]  # of each size of LADDER_QUOTE


def asked(pool: SimPool, size_quote: int) -> Asked:
    """As it stands."""
    base, quote = (10**coin.decimals for coin in pool.coins)
    amount = size_quote * quote
    sold, bought = pool.costs(0, amount), pool.quote(1, amount)
    bid = (size_quote * base / sold, sold / base) if sold else (math.nan, math.nan)
    ask = (size_quote * base / bought, bought / base) if bought else (math.nan, math.nan)
    return Asked(*bid, *ask)


def by_rate(one: Asked, rate: tuple[float, float]) -> Asked:
    """What is in USDC, in USDT: what a sale brings is sold, what a purchase takes is bought."""
    bid, ask = rate
    return Asked(one.bid_px * bid, one.bid_sz, one.ask_px * ask, one.ask_sz)


def variants(states: Sequence[Sequence[Ladder]]) -> Iterator[Sequence[Ladder]]:
    """What a reader may go by of several pools: each as it is in one of these states of all; or all
    but one."""
    each = [
        [one for at, one in enumerate(of_pool) if one not in of_pool[:at]]
        for of_pool in zip(*states, strict=True)
    ]
    for told in product(*each):
        yield told
        for at in range(len(told)):
            yield [*told[:at], *told[at + 1 :]]


def book(ladders: Sequence[Ladder]) -> tuple[Levels, Levels]:
    """Bids and asks of the best of these pools; none where no pool fills the first size."""
    sizes = [*zip(*ladders, strict=True)]
    bids = [
        max((_Rung(one.bid_px, one.bid_sz) for one in size if one.bid_px > 0), default=None)
        for size in sizes
    ]
    asks = [
        min((_Rung(one.ask_px, one.ask_sz) for one in size if one.ask_px > 0), default=None)
        for size in sizes
    ]
    return _levels(bids, bids=True), _levels(asks, bids=False)


def _levels(rungs: Iterable[_Rung | None], *, bids: bool) -> Levels:
    points = [(0.0, 0.0)]
    for rung in rungs:
        if rung is None:
            break
        if rung.size > points[-1][0]:
            points.append((rung.size, rung.px * rung.size))
    found: Levels = []
    while len(points) > 1:
        (base, money), *beyond = points
        slopes = [(more - money) / (size - base) for size, more in beyond]
        px = max(slopes) if bids else min(slopes)
        reached = len(slopes) - slopes[::-1].index(px)
        if px > 0:
            found.append((repr(px), repr(points[reached][0] - base)))
        points = points[reached:]
    return found
