"""Pools of Solana among what exchanges list: by pools.toml, which is asked of nobody.

Which coin a pool trades its mints say, so that no price has to. What a swap costs besides, whatever
its size, is charged as a share of the size that the source's prices are for, by the price of SOL
when the tables are made, and by what others paid for priority until then, as the pools' segment has
it. Pure functions but for that look.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from spread_scanner.config import Settings
from spread_scanner.config.pools import PoolSettings, in_usdc, symbol_of
from spread_scanner.discovery.answers import SPOT_TYPE, Listed
from spread_scanner.discovery.legs import LeftOut, Leg
from spread_scanner.errors import SegmentError
from spread_scanner.exchanges.adapter import RawInstrument
from spread_scanner.schema.costs import network_fee_bps
from spread_scanner.schema.enums import POOL_SOURCES, Source
from spread_scanner.schema.pools import HeardPrice, heard_price
from spread_scanner.shm.pools import PoolTable

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


def heard_prices(settings: Settings) -> dict[str, HeardPrice]:
    """What feed-solana has heard of priority fees, by pool; nothing where it does not run."""
    try:
        with PoolTable.attach(settings.config.system.namespace, timeout_s=0.0) as table:
            heard = ((row["key"].decode(), heard_price(row)) for row in table.rows())
            return {key: price for key, price in heard if price is not None}
    except SegmentError:
        return {}


def charged(
    legs: Sequence[Leg], settings: Settings, heard: Mapping[str, HeardPrice], now_ns: int
) -> tuple[list[Leg], list[LeftOut]]:
    """With what the network takes of each fill on those of pools, its own fee and the priority fee
    of the dearest of the pools that may fill it; these are left out where no exchange tells what a
    SOL is worth."""
    pools, others = split(legs)
    told = [leg.mid for leg in others if leg.symbol == NATIVE and 0 < leg.mid < math.inf]
    if not told:
        reason = f"no exchange tells the price of {NATIVE}, in which the network's fee is paid"
        return others, [LeftOut(leg.source, leg.exchange_symbol, reason) for leg in pools]
    sol_px = statistics.median(told)
    made = [
        leg._replace(
            network_fee_bps=network_fee_bps(
                _lamports(leg, settings.pools, heard, now_ns),
                sol_px,
                settings.pools.reference_quote,
            )
        )
        for leg in pools
    ]
    return [*others, *made], []


def _lamports(
    leg: Leg, settings: PoolSettings, heard: Mapping[str, HeardPrice], now_ns: int
) -> int:
    """Of one swap: what the dearest costs of all pools that the symbol may be filled in."""
    from spread_scanner.solana.priority_fees import offered, units_of  # which needs the extra

    own = leg.exchange_symbol
    symbols = (own, in_usdc(own) or own)
    offers = (
        offered([heard.get(key)], units_of([entry.program]), settings.fees, now_ns)
        for key, entry in settings.of_source(leg.source)
        if symbol_of([settings.mints[mint].coin for mint in entry.mints]) in symbols
    )
    return max(offer.lamports for offer in offers)


def floor_note(settings: Settings, heard: Mapping[str, HeardPrice], now_ns: int) -> list[str]:
    """What is to be said where of a pool no priority fee was heard that is believed."""
    pools = [key for one in pool_sources(settings) for key, _ in settings.pools.of_source(one)]
    if not pools:
        return []
    from spread_scanner.solana.priority_fees import believed  # which needs the extra

    fees = settings.pools.fees
    unheard = sum(not believed(heard.get(key), fees, now_ns) for key in pools)
    if not unheard:
        return []
    return [
        f"priority fees: of {unheard} of {len(pools)} pools none was heard, so that swaps in them "
        f"are charged the floor, {fees.micro_lamports_min} micro-lamports a compute unit"
    ]


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
