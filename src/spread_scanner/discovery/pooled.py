"""Pools of Solana among what exchanges list: by pools.toml, which is asked of nobody.

Which coin a pool trades its mints say, so that no price has to. What a swap costs besides, whatever
its size, is charged as a share of the size that the source's prices are for, by the price of SOL
when the tables are made. Pure functions.
"""

import math
import statistics
from collections.abc import Iterable, Sequence

from spread_scanner.config import Settings
from spread_scanner.discovery.answers import SPOT_TYPE, Listed
from spread_scanner.discovery.legs import LeftOut, Leg
from spread_scanner.exchanges.adapter import RawInstrument
from spread_scanner.schema.costs import network_fee_bps
from spread_scanner.schema.enums import POOL_SOURCES, Source

NATIVE = "SOL-USDT"  # by whose price what is paid in lamports is told


def pool_sources(settings: Settings) -> list[Source]:
    """Those that somebody is to write."""
    return [source for source in POOL_SOURCES if settings.runs(source)]


def listed_pools(settings: Settings) -> list[Listed]:
    """What the pools of each source quote, as if it had told."""
    return [
        Listed(source, [_instrument(symbol) for symbol in sorted(settings.pools.symbols(source))])
        for source in pool_sources(settings)
    ]


def _instrument(symbol: str) -> RawInstrument:
    """Any amount can be swapped: there are no steps and no least sizes to be told."""
    base, _, quote = symbol.partition("-")
    return RawInstrument(
        exchange_symbol=symbol,
        base=base,
        quote=quote,
        status="in pools.toml",
        trading=True,
        min_qty=None,
        tick_size=None,
        lot_step=None,
        min_notional=None,
        contract_size=1.0,
        settle=quote,
        contract_type=SPOT_TYPE,
    )


def charged(legs: Sequence[Leg], settings: Settings) -> tuple[list[Leg], list[LeftOut]]:
    """With what the network takes of each fill on those of pools; these are left out where no
    exchange tells what a SOL is worth."""
    pools, others = split(legs)
    told = [leg.mid for leg in others if leg.symbol == NATIVE and 0 < leg.mid < math.inf]
    if not told:
        reason = f"no exchange tells the price of {NATIVE}, in which the network's fee is paid"
        return others, [LeftOut(leg.source, leg.exchange_symbol, reason) for leg in pools]
    lamports = settings.pools.network_fee_lamports + settings.pools.priority_fee_lamports
    sol_px = statistics.median(told)
    fee_bps = network_fee_bps(lamports, sol_px, settings.pools.reference_quote)
    return [*others, *(leg._replace(network_fee_bps=fee_bps) for leg in pools)], []


def split(legs: Iterable[Leg]) -> tuple[list[Leg], list[Leg]]:
    """Those of pools, and the others."""
    found = [*legs]
    pools = [leg for leg in found if leg.source.exchange.by_pools]
    return pools, [leg for leg in found if not leg.source.exchange.by_pools]


def rates(legs: Iterable[Leg], settings: Settings) -> list[Leg]:
    """What has a place in the tables without a pair, as pools in USDC are told in USDT by it."""
    stable = settings.pools.stable
    return [
        leg
        for leg in legs
        if pool_sources(settings)
        and (leg.source.label, leg.symbol) == (stable.source, stable.symbol)
    ]
