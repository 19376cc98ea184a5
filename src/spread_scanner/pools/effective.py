"""What trading a size in a program's pools would cost: best effective bid and ask, and a ladder.
Pure.

A price here is what is paid and received for a whole swap, fees and impact in it, in the coin's own
unit. Selling is exact in what is received and buying in what is paid, so that both are of the same
size in quote. USDC and USDT are not one coin: in_usdt says what a rate makes of it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from spread_scanner.config.pools import MintSettings, symbol_of
from spread_scanner.pools.units import WholePool
from spread_scanner.solana import Pool, PoolReason, PoolRefusal, assemble
from spread_scanner.solana.pool import quote_of


class TradedPool(Struct, frozen=True):
    """A pool that is whole, decoded once, and which of its tokens is bought for which."""

    key: str
    slot: int
    pool: Pool
    base_mint: str
    quote_mint: str
    symbol: str
    multiplier: float  # coins in one whole token of the base


class PoolSide(Struct, frozen=True):
    """What a coin costs, or brings, where so many are traded; in which pool, as of which slot."""

    px: float
    size: float
    pool: str
    slot: int


class PoolSides(Struct, frozen=True):
    """The best of several pools for one size; None where none fills it. Why not, by pool."""

    bid: PoolSide | None
    ask: PoolSide | None
    refused: dict[str, PoolRefusal]


class PoolRung(Struct, frozen=True):
    """The same for one size of a ladder."""

    size_quote: float
    sides: PoolSides


class StableQuote(Struct, frozen=True):
    """What a USDC brings and costs in USDT, and whether that can be stood behind."""

    bid: float
    ask: float
    fresh: bool

    @property
    def usable(self) -> bool:
        return self.fresh and 0 < self.bid <= self.ask < math.inf


def traded(whole: WholePool, mints: Mapping[str, MintSettings]) -> TradedPool | None:
    """A whole pool as it is traded; None where neither of its coins is one that prices are in.
    Raises PoolRefusal."""
    return as_traded(whole.pool, whole.slot, assemble(whole.pool, whole.accounts), mints)


def as_traded(
    key: str, slot: int, pool: Pool, mints: Mapping[str, MintSettings]
) -> TradedPool | None:
    """The same of one that is decoded already."""
    coins = {mints[mint].coin: mint for mint in pool.mints}
    symbol = symbol_of(coins)
    if symbol is None:
        return None
    base, _, quote = symbol.partition("-")
    base_mint, quote_mint = coins[base], coins[quote]
    multiplier = mints[base_mint].multiplier
    return TradedPool(key, slot, pool, base_mint, quote_mint, symbol, multiplier)


def best_sides(
    pools: Iterable[TradedPool], size_quote: float, *, unix_ts: int, slot: int
) -> PoolSides:
    """The dearest bid and the cheapest ask for this size among pools of one symbol."""
    bid: PoolSide | None = None
    ask: PoolSide | None = None
    refused: dict[str, PoolRefusal] = {}  # what they came through would hold the pools for ever
    for one in pools:
        try:
            sold = _side(one, size_quote, False, unix_ts, slot)
            bid = sold if bid is None or sold.px > bid.px else bid
        except PoolRefusal as refusal:
            refused[one.key] = refusal.with_traceback(None)
        try:
            bought = _side(one, size_quote, True, unix_ts, slot)
            ask = bought if ask is None or bought.px < ask.px else ask
        except PoolRefusal as refusal:
            refused[one.key] = refusal.with_traceback(None)
    return PoolSides(bid, ask, refused)


def _side(one: TradedPool, size_quote: float, buys: bool, unix_ts: int, slot: int) -> PoolSide:
    pool = one.pool
    base_unit, quote_unit = (10**decimals for decimals in pool.decimals)
    if one.base_mint != pool.mints[0]:
        base_unit, quote_unit = quote_unit, base_unit
    amount = round(size_quote * quote_unit)
    mint_in = one.quote_mint if buys else one.base_mint
    filled = quote_of(pool, mint_in, amount, buys, unix_ts, slot)
    base, quote = filled.amount_in, filled.amount_out
    if buys:
        base, quote = quote, base
    if not base or not quote:
        raise PoolRefusal(PoolReason.TOO_SMALL, amount_in=filled.amount_in)
    px = quote * base_unit / (base * quote_unit) / one.multiplier
    return PoolSide(px, base / base_unit * one.multiplier, one.key, one.slot)


def ladder(
    pools: Sequence[TradedPool], sizes_quote: Iterable[float], *, unix_ts: int, slot: int
) -> list[PoolRung]:
    """What each size would cost as a whole, in the pool that is best for it; none is split."""
    return [
        PoolRung(size, best_sides(pools, size, unix_ts=unix_ts, slot=slot)) for size in sizes_quote
    ]


def in_usdt(sides: PoolSides, rate: StableQuote) -> PoolSides:
    """Sides in USDC as they are in USDT: what a sale brings is sold, what a purchase takes is
    bought. Nothing where the rate cannot be stood behind."""
    if not rate.usable:
        return PoolSides(None, None, sides.refused)
    bid = sides.bid and replace(sides.bid, px=sides.bid.px * rate.bid)
    ask = sides.ask and replace(sides.ask, px=sides.ask.px * rate.ask)
    return PoolSides(bid, ask, sides.refused)


def best_of(several: Sequence[PoolSides]) -> PoolSides:
    """The best of each side: of pools against USDT, and of others through the rate."""
    bid: PoolSide | None = None
    ask: PoolSide | None = None
    refused: dict[str, PoolRefusal] = {}
    for sides in several:
        if sides.bid is not None and (bid is None or sides.bid.px > bid.px):
            bid = sides.bid
        if sides.ask is not None and (ask is None or sides.ask.px < ask.px):
            ask = sides.ask
        if sides.refused:
            refused.update(sides.refused)
    return PoolSides(bid, ask, refused)
