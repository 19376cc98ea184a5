"""What buying a coin in one place and selling it in another would bring: spot listings and pools as
/prices has them, both fees in it, and a pool's impact.

A listing is traded at its top. A pool is traded along its curve, as its cell tells it: reserves, or
virtual ones, or those of the bin at the price, and the fee without what volatility adds; for no
more than the reference size of pools.toml. Where liquidity is concentrated it counts as if it went
on: ticks are in no cell.
"""

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from spread_scanner.schema import costs, freshness
from spread_scanner.view.pools import PricedPool
from spread_scanner.view.prices import SPOT_LIKE, PriceBoard, Quoted
from spread_scanner.view.reading import Reading

BPS_A_PCT = 100
DEFAULT_THRESHOLD_PCT = 0.3
OF_BINS = ("meteora-dlmm",)  # programs whose reserves all trade at one price


class Arbitrage(Reading, frozen=True):
    """Buy in the first, sell in the second."""

    pool_a_id: str
    pool_a_dex: str
    pool_a_price: float  # what it is bought at: a listing's ask, a pool's price
    pool_b_id: str
    pool_b_dex: str
    pool_b_price: float  # likewise: a listing's bid, a pool's price
    pair: str
    price_diff_pct: float  # of these two, before any cost
    estimated_profit_pct: float  # at size_base, after both fees, with the impact on pools
    size_base: float  # the smaller of the two tops; a pool's is the reference size
    profit_quote: float  # at that size
    age_ms: int  # of the older one


class Arbitrages(Reading, frozen=True):
    """All that differ by the threshold and more, the most profitable first."""

    opportunities: list[Arbitrage]
    count: int


class ListingLeg(NamedTuple):
    """A listing that can be stood behind, at its top."""

    pool_id: str
    dex: str
    age_ms: int
    ask_px: float
    bid_px: float
    ask_sz: float
    bid_sz: float
    fee_bps: float

    def top(self, *, buys: bool) -> float:
        """How much, in base units, is had or sold on these terms."""
        return self.ask_sz if buys else self.bid_sz

    def paid(self, size: float) -> float:
        """What so much costs."""
        return costs.paid_px(self.ask_px, self.fee_bps) * size

    def got(self, size: float) -> float:
        """What so much brings."""
        return costs.got_px(self.bid_px, self.fee_bps) * size


class PoolLeg(NamedTuple):
    """A pool by its curve, in coins; its price is one for both sides."""

    pool_id: str
    dex: str
    age_ms: int
    ask_px: float
    bid_px: float
    base: float
    quote: float
    fee: float
    size_max: float
    of_bins: bool

    def top(self, *, buys: bool) -> float:
        """The reference size, or what the bin holds; 0 where the curve does not hold so much."""
        if not self.of_bins:
            return self.size_max if self.size_max < self.base else 0.0
        held = self.base if buys else self.quote / self.bid_px / (1 - self.fee)
        return min(self.size_max, held)

    def paid(self, size: float) -> float:
        """What so much costs, the fee and the way of the price in it."""
        px = self.ask_px if self.of_bins else self.quote / (self.base - size)
        return px * size / (1 - self.fee)

    def got(self, size: float) -> float:
        """What so much brings, likewise."""
        net = size * (1 - self.fee)
        return net * (self.bid_px if self.of_bins else self.quote / (self.base + net))


ArbitrageSide = ListingLeg | PoolLeg


def scan(
    board: PriceBoard, pools: Sequence[PricedPool], reference_quote: float, threshold_pct: float
) -> Arbitrages:
    """What buying in one place and selling in another would bring, of spot listings and pools."""
    found = [*_of_listings(board, threshold_pct)]
    found += _with_pools(board, pools, reference_quote, threshold_pct)
    found.sort(key=lambda one: -one.estimated_profit_pct)
    return Arbitrages(found, len(found))


def _of_listings(board: PriceBoard, threshold_pct: float) -> Iterator[Arbitrage]:
    """Of all coins at once: there are thousands, and few differ."""
    seen = {source: board.look(source) for source in SPOT_LIKE}
    for here, there in permutations(SPOT_LIKE, 2):
        _, at, other = np.intersect1d(
            board.ids(here), board.ids(there), assume_unique=True, return_indices=True
        )
        bought, sold = seen[here].quotes[at], seen[there].quotes[other]
        with np.errstate(invalid="ignore", divide="ignore"):
            gross = costs.entry_bps(bought["ask_px"], sold["bid_px"])
            good = seen[here].usable[at] & seen[there].usable[other]
            good &= gross / BPS_A_PCT >= threshold_pct
            good &= freshness.plausible(gross, board.limits.implausible_bps)
            good &= ~freshness.skewed(bought, sold, board.limits.skew_ns_max)
            good &= (bought["ask_sz"] > 0) & (sold["bid_sz"] > 0)
        for row, match in zip(at[good].tolist(), other[good].tolist(), strict=True):
            legs = _listed(board, seen[here], row), _listed(board, seen[there], match)
            yield _arbitrage(seen[here].listings[row].pair, *legs)


def _with_pools(
    board: PriceBoard, pools: Sequence[PricedPool], reference_quote: float, threshold_pct: float
) -> Iterator[Arbitrage]:
    """Those of which one side is a pool, or both are."""
    by_pair: dict[str, list[PoolLeg]] = {}
    for one in pools:
        if one.price.fee is not None and 0 <= one.price.fee < 1:
            by_pair.setdefault(one.price.pair, []).append(_pooled(one, reference_quote))
    for pair, of_pools in by_pair.items():
        listed = [
            _listed(board, seen, at)
            for seen in board.quoted(SPOT_LIKE, pair)
            for at in np.flatnonzero(seen.usable).tolist()
        ]
        for bought, sold in _ways(of_pools, listed):
            gross = costs.entry_bps(bought.ask_px, sold.bid_px)
            differs = gross / BPS_A_PCT >= threshold_pct and _plausible(board, gross)
            if differs and bought.top(buys=True) > 0 and sold.top(buys=False) > 0:
                yield _arbitrage(pair, bought, sold)


def _ways(
    pools: list[PoolLeg], listed: list[ListingLeg]
) -> Iterator[tuple[ArbitrageSide, ArbitrageSide]]:
    """From each pool to each other place and back."""
    yield from permutations(pools, 2)
    for pool in pools:
        for listing in listed:
            yield pool, listing
            yield listing, pool


def _plausible(board: PriceBoard, gross: float) -> bool:
    return bool(freshness.plausible(np.array(gross), board.limits.implausible_bps))


def _listed(board: PriceBoard, seen: Quoted, at: int) -> ListingLeg:
    listing, quote = seen.listings[at], seen.quotes[at]
    return ListingLeg(
        listing.pool_id,
        listing.source.exchange.label,
        int(seen.ages_ms[at]),
        float(quote["ask_px"]),
        float(quote["bid_px"]),
        float(quote["ask_sz"]),
        float(quote["bid_sz"]),
        board.fee_bps(listing),
    )


def _pooled(one: PricedPool, reference_quote: float) -> PoolLeg:
    price = one.price
    return PoolLeg(
        price.pool_id,
        price.dex_name,
        price.age_ms,
        price.price,
        price.price,
        one.base,
        one.quote,
        price.fee or 0.0,
        reference_quote / price.price,
        price.program in OF_BINS,
    )


def _arbitrage(pair: str, bought: ArbitrageSide, sold: ArbitrageSide) -> Arbitrage:
    size = min(bought.top(buys=True), sold.top(buys=False))
    profit = sold.got(size) - bought.paid(size)
    ask_px, bid_px = bought.ask_px, sold.bid_px
    return Arbitrage(
        bought.pool_id,
        bought.dex,
        ask_px,
        sold.pool_id,
        sold.dex,
        bid_px,
        pair,
        (bid_px - ask_px) / ask_px * 100,
        profit / (ask_px * size) * 100,
        size,
        profit,
        max(bought.age_ms, sold.age_ms),
    )
