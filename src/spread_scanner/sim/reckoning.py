"""The truth's own arithmetic: what a pair pays and how much of it can be traded.

Written from docs/economics.md and the exchanges' lots, never from the product's code, which it is
there to judge. Spreads in basis points of the spot ask, sizes in base units.
"""

import math
from collections.abc import Iterable
from fractions import Fraction
from statistics import NormalDist
from typing import NamedTuple

from spread_scanner.sim.universe import Listing

BPS = 1e4
NEARLY = 1e-9  # relative: what the last bit of a division decides is nobody's fault
UNUSUAL = 2.0  # of its deviations: a step beyond this is a jump of a listing that jumps
WIDTH_TICKS = 2.0  # what the walk draws on average


class Usual(NamedTuple):
    """What leaving a pair earned on average, and what it would have earned had the mids met."""

    exit_bps: float
    parity_bps: float

    @property
    def close_bps(self) -> float:
        """What leaving is taken to earn: no premium that lasts, no discount that may end."""
        return min(self.exit_bps, self.parity_bps)


def gross_bps(spot_ask: float, futures_bid: float) -> float:
    """Of buying spot and selling the perpetual now; NaN where a side is missing."""
    return (futures_bid / spot_ask - 1.0) * BPS


def usual_of(spot: Listing, futures: Listing) -> Usual:
    """In the long run, by how the seed made the two listings."""
    parity = -(_width_bps(spot) + _width_bps(futures)) / 2
    return Usual(parity - (_apart_bps(futures) - _apart_bps(spot)), parity)


def _width_bps(listing: Listing) -> float:
    ticks = listing.coin.price_start * listing.scale
    return (WIDTH_TICKS + listing.width_least) / ticks * BPS


def _apart_bps(listing: Listing) -> float:
    """How far its mid stands off its coin on average: a jump remains as `keep` lets it."""
    jumps = (1.0 - NormalDist().cdf(UNUSUAL)) * listing.jump
    return (listing.stand + jumps / (1.0 - listing.keep)) * BPS


def lot_of(listing: Listing) -> Fraction:
    """The smallest amount that one listing trades, exactly, in base units."""
    return Fraction(repr(listing.contract_size)) * Fraction(listing.px_mul, listing.sz_pow)


def common_lot(spot: Listing, futures: Listing) -> float:
    """The smallest amount that both legs can trade: the least common multiple of their lots, of
    which pools have none."""
    other = lot_of(futures)
    one = other if spot.source.exchange.by_pools else lot_of(spot)
    numerator = math.lcm(one.numerator * other.denominator, other.numerator * one.denominator)
    return float(Fraction(numerator, one.denominator * other.denominator))


def suffices(top: float, lot: float, orders: Iterable[tuple[float, float]]) -> bool:
    """Whether of a top something can be ordered: whole lots of both legs, and on each leg no less
    than it takes; `orders` are their lower prices and leasts in quote currency."""
    size = math.floor(top / lot + NEARLY) * lot
    return size > 0 and all(size * px >= least * (1.0 + NEARLY) for px, least in orders)
