"""Where something can be earned, by two sources of unequal speed: the gateway's cache at once,
Jupiter's quotes as they come.

A cycle is two quotes: so much of a mint into another one, and what that gives back again. A route
is its ordered pools; one that the cache has told already, or Jupiter before, is not told again. The
cache's pools are of a purchase and a sale, so that cycles are to begin with the quote's mint. One
source that is away or limits costs the other one nothing.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Literal, NamedTuple

from msgspec import Struct

from spread_scanner.client.asking import ODD, THRESHOLD_PCT, JsonObject, number_of
from spread_scanner.client.awaited import AsyncSpreadClient
from spread_scanner.client.jupiter import JupiterClient, JupiterQuote


class JupiterCycle(NamedTuple):
    """So much of a mint, in smallest units, through another one and back."""

    mint: str
    through: str
    amount: int


class MixedFind(Struct, frozen=True):
    """What one of the two has found. `profit_pct` is as the source reckons it: the cache's after
    fees and impact at its size, Jupiter's of the cycle's amount."""

    told_by: Literal["cache", "jupiter"]
    route: tuple[str, ...]
    profit_pct: float
    record: JsonObject | None = None  # the cache's own
    quotes: tuple[JupiterQuote, ...] = ()  # Jupiter's: there and back


async def mixed(
    gateway: AsyncSpreadClient,
    jupiter: JupiterClient,
    cycles: Iterable[JupiterCycle],
    threshold_pct: float = THRESHOLD_PCT,
) -> AsyncIterator[MixedFind]:
    """What the cache has, at once, the best first; then of each cycle what Jupiter says, where that
    reaches the threshold. Why one of them told nothing, or that a row of the cache's was left out
    for its shape, is in its `reason`."""
    told: set[tuple[str, ...]] = set()
    least_pct = number_of(threshold_pct)
    for record in await gateway.scan_arbitrage(threshold_pct) or ():
        cached = _cached(record)
        if cached is None:
            gateway.reason = ODD
        elif cached.route not in told:
            told.add(cached.route)
            yield cached
    for cycle in cycles:
        found = await cycle_of(jupiter, cycle)
        if found is not None and found.profit_pct >= least_pct and found.route not in told:
            told.add(found.route)
            yield found


def _cached(record: JsonObject) -> MixedFind | None:
    """A row of the cache's; None where it is of another shape."""
    try:
        route = str(record["pool_a_id"]), str(record["pool_b_id"])
        return MixedFind("cache", route, float(record["estimated_profit_pct"]), record)
    except (KeyError, TypeError, ValueError):
        return None


async def cycle_of(jupiter: JupiterClient, cycle: JupiterCycle) -> MixedFind | None:
    """A cycle by two quotes; None where one of them is not to be had."""
    there = await jupiter.quote(cycle.mint, cycle.through, cycle.amount)
    if there is None or not there.amount_out:
        return None
    back = await jupiter.quote(cycle.through, cycle.mint, there.amount_out)
    if back is None:
        return None
    profit_pct = 100 * (back.amount_out - cycle.amount) / cycle.amount
    return MixedFind("jupiter", (*there.route, *back.route), profit_pct, quotes=(there, back))
