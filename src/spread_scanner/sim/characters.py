"""Coins whose pairs are not like the others: given by the seed to a share of all, for good.

    reverting  a perpetual that strays from its coin's price, both ways, and comes back
    premium    a perpetual that stands above it and stays there
    wide       all its books are wide
    jumping    a perpetual that leaps up now and then and comes back within some quotes: an
               opportunity that nobody planted
    thin       all its tops are small, and some of them less than may be ordered

The first coins of the catalog are ordinary, so that what is scripted by name stays as it is. Put on
before the first quote; what moves them is the walk.
"""

from collections.abc import Callable, Mapping

import numpy as np

from spread_scanner.sim._walk import Coin
from spread_scanner.sim.universe import Listing, Universe

BPS = 1e-4
ORDINARY_COINS = 8
WIDE_BPS = (6.0, 14.0)
PREMIUM_BPS = (10.0, 25.0)
JUMP_BPS = (60.0, 120.0)
THIN_SHARE = 0.01  # of a usual book's sizes: some 20 of quote, where the least of an order is 5


def _reverting(listing: Listing, rng: np.random.Generator) -> None:
    listing.sway, listing.keep = float(rng.uniform(4.0, 8.0)), 0.95
    listing.limit = 25.0 * BPS


def _premium(listing: Listing, rng: np.random.Generator) -> None:
    listing.stand = float(rng.uniform(*PREMIUM_BPS)) * BPS


def _jumping(listing: Listing, rng: np.random.Generator) -> None:
    listing.jump = float(rng.uniform(*JUMP_BPS)) * BPS
    listing.keep, listing.limit = 0.8, 200.0 * BPS


def _wide(listing: Listing, rng: np.random.Generator) -> None:
    ticks = listing.coin.price_start * listing.scale
    listing.width_least = round(float(rng.uniform(*WIDE_BPS)) * BPS * ticks)


def _thin(listing: Listing, rng: np.random.Generator) -> None:
    listing.lots_typical *= THIN_SHARE


KINDS: Mapping[str, Callable[[Listing, np.random.Generator], None]] = {
    "reverting": _reverting,
    "premium": _premium,
    "wide": _wide,
    "jumping": _jumping,
    "thin": _thin,
}


def give(universe: Universe, share: float) -> dict[str, str]:
    """Give a character to this share of the coins; which coin has which, by its name."""
    rng = np.random.default_rng([universe.seed, 5])
    given = {}
    for coin in universe.coins[ORDINARY_COINS:]:
        kind = list(KINDS)[int(rng.integers(len(KINDS)))]
        if rng.random() < share and (chosen := _chosen(coin, kind, rng)):
            given[coin.name] = kind
            for listing in chosen:
                KINDS[kind](listing, rng)
    return given


def _chosen(coin: Coin, kind: str, rng: np.random.Generator) -> list[Listing]:
    """The listings that a character shows in: all of a wide or thin coin, else one perpetual."""
    moving = [row for row in coin.listings if row.moves]
    if kind in ("wide", "thin"):
        return moving
    perpetuals = [row for row in moving if row.kind == "perpetual"]
    return [perpetuals[int(rng.integers(len(perpetuals)))]] if perpetuals else []
