"""What sending a cycle costs, what it might take to land it, what a token is worth in SOL. Pure.

Costs are the network's fee for each signature, the priority fee for the compute units that are
asked for, by what others have paid of late to write these pools, and a tip ([fees] of pools.toml),
in lamports. The chance of landing is a model of our own with one number in it, for people to look
at; no score has it in it.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from spread_scanner.config.pools import FeeSettings
from spread_scanner.schema.pools import HeardPrice
from spread_scanner.solana import priority_fees
from spread_scanner.solana.network_fees import MICRO
from spread_scanner.solana.pool import Pool
from spread_scanner.solana.priority_fees import FeeOffer


class WrittenPool(Protocol):
    """A pool that a transaction writes: whose program, and what was heard of fees for it."""

    program: str
    heard: HeardPrice | None


def offer_for(pools: Sequence[WrittenPool], fees: FeeSettings, now_ns: int) -> FeeOffer:
    """All that sending a cycle through these pools costs, whether it lands or fails."""
    units = priority_fees.units_of(pool.program for pool in pools)
    return priority_fees.offered((pool.heard for pool in pools), units, fees, now_ns)


def landing_model(offer: FeeOffer, half_micro_lamports: float) -> float:
    """A model, no measurement: half the cycles land at a price of so much a compute unit, tip
    included, three of four at three times that."""
    paid = offer.price + offer.tip_lamports * MICRO / offer.units
    return paid / (paid + half_micro_lamports)


def worths(pools: Mapping[str, Pool], sol_mint: str, lamports_min: float) -> dict[str, float]:
    """Lamports that one smallest unit of each token is worth, by the deepest pool from SOL on;
    pools that hold less than `lamports_min` on either side say nothing of worth."""
    beside: dict[str, list[Pool]] = {}
    for pool in pools.values():
        for mint in pool.mints:
            beside.setdefault(mint, []).append(pool)
    found: dict[str, float] = {}
    # The deepest first: a pool is no more to be believed than the least deep one on the way.
    waiting = [(-math.inf, sol_mint, 1.0)]
    while waiting:
        depth, mint, worth = heapq.heappop(waiting)
        if mint in found:
            continue
        found[mint] = worth
        for pool in beside.get(mint, ()):
            side = mint == pool.mints[1]
            other = pool.mints[not side]
            holds = pool.depth()[side] * worth
            if other not in found and holds >= lamports_min and (ratio := _ratio(pool, side)) > 0:
                heapq.heappush(waiting, (max(depth, -holds), other, worth * ratio))
    return found


def _ratio(pool: Pool, side: bool) -> float:
    """Of token `side`, what one unit of the other costs; 0: there is no price."""
    numerator, denominator = pool.price_ratio()
    if not numerator or not denominator:
        return 0.0
    return numerator / denominator if side else denominator / numerator
