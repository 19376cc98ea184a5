"""The truth's own arithmetic: what a pair pays and how much of it can be traded.

Written from docs/economics.md and the exchanges' lots, never from the product's code, which it is
there to judge. Spreads in basis points of the spot ask, sizes in base units.
"""

import math
from fractions import Fraction

from spread_scanner.sim.universe import Listing

BPS = 1e4


def gross_bps(spot_ask: float, futures_bid: float) -> float:
    """Of buying spot and selling the perpetual now; NaN where a side is missing."""
    return (futures_bid / spot_ask - 1.0) * BPS


def lot_of(listing: Listing) -> Fraction:
    """The smallest amount that one listing trades, exactly, in base units."""
    return Fraction(repr(listing.contract_size)) * Fraction(listing.px_mul, listing.sz_pow)


def common_lot(spot: Listing, futures: Listing) -> float:
    """The smallest amount that both legs can trade: the least common multiple of their lots."""
    one, other = lot_of(spot), lot_of(futures)
    numerator = math.lcm(one.numerator * other.denominator, other.numerator * one.denominator)
    return float(Fraction(numerator, one.denominator * other.denominator))
