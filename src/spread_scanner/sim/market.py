"""How prices move: correlated walks, heavy-tailed update rates, planted spreads. Pure and seeded.

One price per coin, moved a little by every event of any of its listings; each listing stands off
it by a few tenths of a basis point of its own, pulled back to zero; some otherwise, for good
(characters.py). Everything is drawn from the
seed and the number of the event, in blocks, so the same seed and the same calls give the same
events whatever the subscribers do. The simulator's loop is the only caller.
"""

from collections.abc import Sequence

import numpy as np

from spread_scanner.sim._walk import walk
from spread_scanner.sim.reckoning import UNUSUAL
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing, Universe

BLOCK = 8_192
COMMON_BPS = 0.15  # step of a coin's price per price event of any of its listings
BASIS_BPS = 0.35  # step of a listing's own distance
KINDS = (0.5, 0.25, 0.25)  # a price, the bid's size, the ask's: real updates are mostly sizes
SIZE_LEAST = 0.05  # of a typical size, some 100 of quote: no common lot is worth as much
SOURCE_PACE = {  # relative update rates
    "binance-spot": 1.2,
    "binance-futures": 1.5,
    "bybit-spot": 0.9,
    "bybit-futures": 1.1,
    "okx-spot": 0.9,
    "okx-futures": 1.0,
    "mexc-spot": 0.8,
    "mexc-futures": 0.5,
}


DRAW = np.dtype(  # what moves one listing once; _walk.pyx's Draw
    [
        ("common", "<f8"),
        ("own", "<f8"),
        ("size_bid", "<f8"),
        ("size_ask", "<f8"),
        ("number", "<i8"),  # which of those that move
        ("width", "<i8"),
        ("step", "<i8"),  # of the update id
        ("kind", "<i8"),
    ]
)

Told = tuple[Listing, Tick]


class Market:
    """The state of all prices; `step` moves it by a number of events."""

    def __init__(self, universe: Universe) -> None:
        self.universe = universe
        self.events_made = 0
        self._seed = universe.seed
        self._moving = [
            listing for listing in universe.listings if listing.moves and not listing.driven
        ]
        self._cdf = np.zeros(0)
        self._weigh()
        self._draws = np.empty(0, DRAW)
        self._block_number = 0
        self._position = 0
        rng = np.random.default_rng([universe.seed, 2])
        for listing in universe.listings:
            listing.update_id = int(rng.integers(10**9, 10**10))
            listing.requote(SIZE_LEAST + float(rng.random()), 1)

    def _weigh(self) -> None:
        weights = np.array(
            [listing.coin.weight * SOURCE_PACE[listing.label] for listing in self._moving]
        )
        self._cdf = np.cumsum(weights) / weights.sum() if len(weights) else np.zeros(0)

    def retire(self, listing: Listing) -> None:
        """The listing is updated no more; the others share what it had."""
        if listing in self._moving:
            self._moving.remove(listing)
            self._begin_anew()

    def revive(self, listing: Listing) -> None:
        """A halted listing is updated again, if it is one that moves."""
        if listing.moves and not listing.driven and listing not in self._moving:
            self._moving.append(listing)
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._weigh()
        self._draws = np.empty(0, DRAW)
        self._position = 0

    def _draw(self) -> None:
        rng = np.random.default_rng([self._seed, 3, self._block_number])
        self._block_number += 1
        chosen = np.searchsorted(self._cdf, rng.random(BLOCK), side="right")
        draws = self._draws = np.empty(BLOCK, DRAW)
        draws["common"] = rng.standard_normal(BLOCK) * (COMMON_BPS * 1e-4)
        draws["own"] = rng.standard_normal(BLOCK) * (BASIS_BPS * 1e-4)
        for size in ("size_bid", "size_ask"):
            draws[size] = SIZE_LEAST + 3.0 * rng.random(BLOCK) ** 2
        draws["number"] = np.minimum(chosen, len(self._moving) - 1)
        draws["width"] = rng.geometric(0.5, BLOCK)
        draws["step"] = rng.integers(1, 17, BLOCK)
        draws["kind"] = rng.choice(3, BLOCK, p=KINDS)
        self._position = 0

    def step(self, count: int, now_ms: Sequence[int]) -> list[Told]:
        """The next `count` quotes, in order; `now_ms` is each source's clock, by source_id."""
        told: list[Told] = []
        while len(told) < count and self._moving:
            if self._position >= len(self._draws):
                self._draw()
            draws = self._draws[self._position : self._position + count - len(told)]
            self._position += len(draws)
            told += walk(self._moving, draws, now_ms, self.events_made, UNUSUAL * BASIS_BPS * 1e-4)
            self.events_made += len(draws)
        return told

    def force(self, listing: Listing, now_ms: Sequence[int]) -> Told:
        """A quote outside the walk: a planted leg moves, or goes back."""
        listing.requote(1.5, 1)
        self.events_made += 1
        return self.repeat(listing, now_ms)

    def repeat(self, listing: Listing, now_ms: Sequence[int]) -> Told:
        """The same quote once more, same update id; counts nothing, for who listens decides it."""
        return listing, listing.tick(now_ms[listing.source_id], self.events_made)
