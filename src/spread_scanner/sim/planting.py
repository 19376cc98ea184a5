"""Opportunities made on purpose: one leg is moved until the spread pays, held, and moved back.

By script (`plant` below) or at random from the seed. The truth does not take this module's word:
it looks at what was sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spread_scanner.sim.legs import Pair
from spread_scanner.sim.market import Market, Told
from spread_scanner.sim.reckoning import gross_bps
from spread_scanner.sim.truth import Truth
from spread_scanner.sim.universe import Listing


@dataclass(frozen=True)
class Planting:
    """At random: how often, how far over the threshold, for how long. `every_s` 0: never."""

    every_s: float = 0.0
    over_bps_min: float = 15.0
    over_bps_max: float = 80.0
    hold_s_min: float = 0.5
    hold_s_max: float = 3.0


class Planter:
    """Keeps the planted legs and gives the events that move them."""

    def __init__(self, market: Market, truth: Truth, planting: Planting) -> None:
        self._market = market
        self._pairs = [
            pair
            for pair in truth.pairs
            if all(
                leg.listing.moves and not leg.listing.driven for leg in (pair.spot, pair.futures)
            )
        ]
        # Pools go their own way: of these the perpetual is moved, as often as one of all others.
        self._pools = [
            pair
            for pair in truth.pairs
            if pair.direction.spot.exchange.by_pools and pair.futures.listing.moves
        ]
        self._planting = planting
        self._rng = np.random.default_rng([market.universe.seed, 4])
        self._next_s = planting.every_s
        self._ends: list[tuple[float, Listing]] = []
        self._asked: list[tuple[Pair, float, float, bool]] = []
        self.planted = 0

    def ask(self, symbol: str, direction: str, over_bps: float, hold_s: float, leg: str) -> None:
        """A planted spread, from the script or the control path; begins with the next tick."""
        for pair in self._pairs:
            if pair.symbol == symbol and pair.direction.label == direction:
                self._asked.append((pair, over_bps, hold_s, leg == "spot"))
                return
        raise ValueError(f"no such pair to plant: {direction}:{symbol}")

    def advance(self, elapsed_s: float, now_ms: Sequence[int]) -> list[Told]:
        """The forced quotes of this tick; `now_ms` as for `Market.step`."""
        told: list[Told] = []
        for end in [end for end in self._ends if end[0] <= elapsed_s]:
            self._ends.remove(end)
            end[1].offset = 0.0
            told.append(self._market.force(end[1], now_ms))
        if self._planting.every_s > 0 and elapsed_s >= self._next_s and self._pairs:
            self._next_s = elapsed_s + self._planting.every_s * self._rng.uniform(0.5, 1.5)
            self._asked.append(self._draw(self._pairs))
            if self._pools:
                self._asked.append((*self._draw(self._pools)[:3], False))
        for pair, over_bps, hold_s, by_spot in self._asked:
            if (leg := self._begin(pair, over_bps, elapsed_s + hold_s, by_spot)) is not None:
                told.append(self._market.force(leg, now_ms))
        self._asked.clear()
        return told

    def _draw(self, pairs: Sequence[Pair]) -> tuple[Pair, float, float, bool]:
        rng, planting = self._rng, self._planting
        pair = pairs[int(rng.integers(len(pairs)))]
        over = float(rng.uniform(planting.over_bps_min, planting.over_bps_max))
        hold = float(rng.uniform(planting.hold_s_min, planting.hold_s_max))
        return pair, over, hold, bool(rng.integers(2))

    def _begin(self, pair: Pair, over_bps: float, end_s: float, by_spot: bool) -> Listing | None:
        spot, futures = pair.spot.listing, pair.futures.listing
        leg = spot if by_spot else futures
        pools = pair.direction.spot.exchange.by_pools
        if spot.offset or futures.offset or (pools and not pair.spot.heard):
            return None
        now = gross_bps(
            pair.spot.ask if pools else spot.ask_ticks / spot.px_pow / spot.px_mul,
            futures.bid_ticks / futures.px_pow / futures.px_mul,
        )
        wanted = pair.threshold + over_bps - now
        leg.offset = -wanted * 1e-4 if by_spot else wanted * 1e-4
        self._ends.append((end_s, leg))
        self.planted += 1
        return leg
