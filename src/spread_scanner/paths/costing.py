"""What sending a cycle costs, what it might take to land it, what a token is worth in SOL. Pure.

Costs are the network's fee for each signature, the priority fee for the compute units that are
asked for, and a tip, all as the settings have them, in lamports. The chance of landing is a model
of our own with one number in it, for people to look at; no score has it in it.
"""

import heapq
import math
from collections.abc import Mapping

from spread_scanner.config.settings import Paths
from spread_scanner.solana.network_fees import MICRO, SIGNATURE_LAMPORTS, priority_lamports
from spread_scanner.solana.pool import Pool


def compute_units(settings: Paths, hops: int) -> int:
    return settings.compute_units_base + settings.compute_units_hop * hops


def lamports(settings: Paths, hops: int) -> int:
    """All that sending a cycle of so many hops costs, whether it lands or fails."""
    units = compute_units(settings, hops)
    priority = priority_lamports(settings.priority_micro_lamports, units)
    return SIGNATURE_LAMPORTS + priority + settings.tip_lamports


def landing_model(settings: Paths, hops: int) -> float:
    """A model, no measurement: half the cycles land at a price of `landing_half_micro_lamports` a
    compute unit, tip included, three of four at three times that."""
    tip_micro = settings.tip_lamports * MICRO / compute_units(settings, hops)
    paid = settings.priority_micro_lamports + tip_micro
    return paid / (paid + settings.landing_half_micro_lamports)


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
