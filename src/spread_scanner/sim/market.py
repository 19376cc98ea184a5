"""How prices move: correlated walks, heavy-tailed update rates, planted spreads. Pure and seeded.

One price per coin, moved a little by every event of any of its listings; each listing stands off
it by a few tenths of a basis point of its own, pulled back to zero. Everything is drawn from the
seed and the number of the event, in blocks, so the same seed and the same calls give the same
events whatever the subscribers do. The simulator's loop is the only caller.
"""

from typing import NamedTuple

import numpy as np

from spread_scanner.sim.universe import Listing, Universe

BLOCK = 8_192
COMMON_BPS = 0.15  # step of a coin's price per price event of any of its listings
BASIS_BPS = 0.35  # step of a listing's own distance
BASIS_KEEP = 0.9  # how much of it remains at the next event
BASIS_BPS_MAX = 3.0
KINDS = (0.5, 0.25, 0.25)  # most updates of a real top of book change one size and no price
PRICE, BID_SIZE, ASK_SIZE = range(3)
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


class Event(NamedTuple):
    """One new quote of one listing, in ticks and lots."""

    listing: Listing
    update_id: int
    bid_ticks: int
    bid_lots: int
    ask_ticks: int
    ask_lots: int
    seq: int


_new = tuple.__new__  # Event(...) costs three times as much, and this is the hot path


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
        self._block: list[tuple[int, float, float, float, float, int, int, int]] = []
        self._block_number = 0
        self._position = 0
        rng = np.random.default_rng([universe.seed, 2])
        for listing in universe.listings:
            listing.update_id = int(rng.integers(10**9, 10**10))
            self._requote(listing, float(rng.random()), 1)

    def _weigh(self) -> None:
        weights = np.array(
            [listing.coin.weight * SOURCE_PACE[listing.label] for listing in self._moving]
        )
        self._cdf = np.cumsum(weights) / weights.sum() if len(weights) else np.zeros(0)

    def retire(self, listing: Listing) -> None:
        """The listing is updated no more; the others share what it had."""
        if listing in self._moving:
            self._moving.remove(listing)
            self._weigh()
            self._block = []
            self._position = 0

    def _draw(self) -> None:
        rng = np.random.default_rng([self._seed, 3, self._block_number])
        self._block_number += 1
        chosen = np.searchsorted(self._cdf, rng.random(BLOCK), side="right")
        common = rng.standard_normal(BLOCK) * (COMMON_BPS * 1e-4)
        own = rng.standard_normal(BLOCK) * (BASIS_BPS * 1e-4)
        size_a, size_b = rng.random(BLOCK), rng.random(BLOCK)
        self._block = list(
            zip(
                np.minimum(chosen, len(self._moving) - 1).tolist(),
                common.tolist(),
                own.tolist(),
                (0.05 + 3.0 * size_a * size_a).tolist(),
                (0.05 + 3.0 * size_b * size_b).tolist(),
                rng.geometric(0.5, BLOCK).tolist(),
                rng.integers(1, 17, BLOCK).tolist(),
                rng.choice(3, BLOCK, p=KINDS).tolist(),
                strict=True,
            )
        )
        self._position = 0

    def step(self, count: int) -> list[Event]:
        """The next `count` events, in order."""
        events: list[Event] = []
        moving = self._moving
        append = events.append
        made = self.events_made
        limit = BASIS_BPS_MAX * 1e-4
        while count > 0 and moving:
            if self._position >= len(self._block):
                self._draw()
            part = self._block[self._position : self._position + count]
            self._position += len(part)
            count -= len(part)
            for number, common, own, size_a, size_b, width, step, kind in part:
                row = moving[number]
                update_id = row.update_id + step
                row.update_id = update_id
                made += 1
                if kind == BID_SIZE:
                    row.bid_lots = int(row.lots_typical * size_a) + 1
                elif kind == ASK_SIZE:
                    row.ask_lots = int(row.lots_typical * size_b) + 1
                else:
                    coin = row.coin
                    coin.price *= 1.0 + common
                    basis = row.basis * BASIS_KEEP + own
                    if not -limit < basis < limit:
                        basis = limit if basis > 0 else -limit
                    row.basis = basis
                    middle = coin.price * row.scale * (1.0 + basis + row.offset)
                    row.bid_ticks = bid = int(middle - 0.5 * width) or 1
                    row.ask_ticks = bid + width
                    row.bid_lots = int(row.lots_typical * size_a) + 1
                    row.ask_lots = int(row.lots_typical * size_b) + 1
                append(
                    _new(
                        Event,
                        (
                            row, update_id, row.bid_ticks, row.bid_lots, row.ask_ticks,
                            row.ask_lots, made,
                        ),
                    )
                )  # fmt: skip
        self.events_made = made
        return events

    def _requote(self, listing: Listing, share: float, width: int) -> None:
        """Quote around the price as it stands now, outside the walk."""
        middle = listing.coin.price * listing.scale * (1.0 + listing.basis + listing.offset)
        bid = int(middle - 0.5 * width) or 1
        listing.bid_ticks = bid
        listing.ask_ticks = bid + width
        listing.bid_lots = listing.ask_lots = int(listing.lots_typical * share) + 1
        listing.update_id += 1

    def force(self, listing: Listing) -> Event:
        """An event outside the walk: a planted leg moves, or goes back."""
        self._requote(listing, 1.5, 1)
        self.events_made += 1
        return self.repeat(listing)

    def repeat(self, listing: Listing) -> Event:
        """The same quote once more, same update id; counts nothing, for who listens decides it."""
        return Event(
            listing,
            listing.update_id,
            listing.bid_ticks,
            listing.bid_lots,
            listing.ask_ticks,
            listing.ask_lots,
            self.events_made,
        )
