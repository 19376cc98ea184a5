"""Pools of Solana as they were read last, from the pools' segment; and their prices, as bots ask.

Where there is no segment, or nobody watches a pool, there is nothing to show. Whether a pool can be
stood behind its writer says, for as long as it has said how long that holds.
"""

from typing import Any, NamedTuple

import msgspec

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.config.pools import symbol_of
from spread_scanner.errors import SegmentError
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.schema.pools import PoolFlag, heard_price
from spread_scanner.shm.pools import PoolTable
from spread_scanner.symbology.written import symbol_as
from spread_scanner.view.prices import raw
from spread_scanner.view.reading import Reading, known

MS_PER_S = 1_000


class PoolView(Reading, frozen=True):
    """One pool, in its own order of tokens; amounts in whole tokens. What is not known is null."""

    pool: str
    program: str
    symbol: str | None  # null: none of its coins is one that prices are in
    mints: list[str]  # empty until it was read
    decimals: list[int]
    price: float | None  # token 1 per token 0
    reserves: list[float | None]  # virtual ones where liquidity is concentrated
    liquidity: float | None  # at the price, in the program's own unit
    fee: float | None  # a fraction, without what volatility adds
    priority_micro_lamports: int | None  # offered for writing it; null: nothing was heard
    priority_age_s: float | None  # since that was heard
    slot: int | None  # at whose end it stood so
    published: int  # how often it was, since feed-solana began
    told_age_s: float | None  # since the frame that made it was read
    renewed_age_s: float | None  # since it was last found to be good still
    fresh: bool
    why: str  # why it is not fresh; empty: it is


class PoolPrice(Reading, frozen=True):
    """What a pool that can be stood behind says a coin is worth, beside what exchanges quote: of no
    size, and without its fee."""

    pool_id: str
    dex_name: str
    program: str
    pair: str  # "SOL/USDC"
    price: float
    base_reserve: int  # in smallest units; virtual ones where liquidity is concentrated
    quote_reserve: int
    base_decimals: int
    quote_decimals: int
    fee: float | None  # a fraction, without what volatility adds
    slot: int
    base_reserve_raw: str | msgspec.UnsetType = msgspec.UNSET  # beyond 2^53, as an exchange's price
    quote_reserve_raw: str | msgspec.UnsetType = msgspec.UNSET
    age_ms: int = 0  # last: since it was found to be good still


class PricedPool(NamedTuple):
    """A pool's price, and what it holds at that price, in coins."""

    price: PoolPrice
    base: float
    quote: float


def prices(settings: Settings, table: PoolTable, pair: str = "") -> list[PoolPrice]:
    """Of one pair or of all; nothing where no pools are read."""
    return [one.price for one in priced(settings, table) if pair in ("", one.price.pair)]


def price_of(settings: Settings, row: Any) -> PoolPrice | None:
    """Of one record that can be stood behind, as of its last renewal; None: it has none."""
    found = _priced(settings, _view(row, int(row["renewed_mono_ns"])))
    return None if found is None else found.price


def priced(settings: Settings, table: PoolTable) -> list[PricedPool]:
    """All that have a price that can be stood behind; nothing where no pools are read."""
    if not settings.pools.runs:
        return []
    found = (_priced(settings, one) for one in of_table(table) if one.fresh)
    return [one for one in found if one is not None]


def pairs(settings: Settings) -> frozenset[str]:
    """Of the pools that are to be read, those that prices are in: "SOL/USDC"."""
    if not settings.pools.runs:
        return frozenset()
    mints = settings.pools.mints
    coins = ([mints[mint].coin for mint in entry.mints] for _, entry in settings.pools.wanted())
    found = (symbol_of(one) for one in coins)
    return frozenset(one.replace("-", "/") for one in found if one is not None)


def _priced(settings: Settings, one: PoolView) -> PricedPool | None:
    if one.symbol is None or not one.price or one.slot is None:
        return None
    if not any(one.reserves):  # where liquidity is concentrated, a price at which nobody trades
        return None
    base, _, quote = one.symbol.partition("-")
    mints = settings.pools.mints
    coins = [mints[mint].coin if mint in mints else "" for mint in one.mints]
    if set(coins) != {base, quote}:  # of settings that are not in force here yet
        return None
    at = coins.index(base)
    held = [amount or 0.0 for amount in one.reserves]
    units = [round(amount * 10**digits) for amount, digits in zip(held, one.decimals, strict=True)]
    in_base = one.price if at == 0 else 1 / one.price
    multiplier = mints[one.mints[at]].multiplier
    price = PoolPrice(
        pool_id=one.pool,
        dex_name=one.program.partition("-")[0],
        program=one.program,
        pair=f"{base}/{quote}",
        price=in_base / multiplier,
        base_reserve=units[at],
        quote_reserve=units[1 - at],
        base_decimals=one.decimals[at],
        quote_decimals=one.decimals[1 - at],
        fee=one.fee,
        slot=one.slot,
        base_reserve_raw=raw(units[at]),
        quote_reserve_raw=raw(units[1 - at]),
        age_ms=round((one.renewed_age_s or 0.0) * MS_PER_S),
    )
    return PricedPool(price, held[at] * multiplier, held[1 - at])


def of_all(settings: Settings, wanted: str = "") -> list[PoolView]:
    """As `of_table`, of the system that the settings name; nothing where there is none."""
    try:
        with PoolTable.attach(settings.config.system.namespace, timeout_s=0.0) as table:
            return of_table(table, wanted)
    except SegmentError:
        return []


def of_table(table: PoolTable, wanted: str = "") -> list[PoolView]:
    """Every pool that is watched whose key, program or symbol contains `wanted`."""
    rows = table.rows()
    now_ns = clock.mono_ns()
    found = [_view(row, now_ns) for row in rows]
    low, part = wanted.lower(), symbol_as(wanted)
    return [
        one
        for one in found
        if low in f"{one.pool} {one.program}".lower() or part in (one.symbol or "").upper()
    ]


def why_none(settings: Settings, wanted: str) -> str:
    """Why `of_all` has nothing to show, in a sentence."""
    if wanted and of_all(settings):
        return f'No pool whose key, program or symbol contains "{wanted}" is watched.'
    if not settings.pools.enabled:
        return "No pool is watched: pools.toml says `enabled = false`, or is not there."
    return (
        f"No pool is watched: {FEED_SOLANA} has told of none yet (spread-ctl status has its word)."
    )


def _view(row: Any, now_ns: int) -> PoolView:
    why = why_not(row, now_ns)
    read, heard = bool(row["slot"]), heard_price(row)
    return PoolView(
        pool=_text(row["key"]),
        program=_text(row["program"]),
        symbol=_text(row["symbol"]) or None,
        mints=[_text(row["mint0"]), _text(row["mint1"])] if read else [],
        decimals=[int(row["decimals0"]), int(row["decimals1"])] if read else [],
        price=known(row["price"]),
        reserves=[known(row["reserve0"]), known(row["reserve1"])],
        liquidity=known(row["liquidity"]),
        fee=known(row["fee"]),
        priority_micro_lamports=None if heard is None else heard.price,
        priority_age_s=None if heard is None else _age_s(heard.mono_ns, now_ns),
        slot=int(row["slot"]) if read else None,
        published=int(row["published"]),
        told_age_s=_age_s(row["told_mono_ns"], now_ns),
        renewed_age_s=_age_s(row["renewed_mono_ns"], now_ns),
        fresh=not why,
        why=why,
    )


def why_not(row: Any, now_ns: int) -> str:
    """Why a record of the pools' segment cannot be stood behind now; empty: it can."""
    flags = PoolFlag(int(row["flags"]))
    if PoolFlag.REFUSED in flags:
        return _text(row["why"]) or "refused"
    if PoolFlag.PAUSED in flags:
        return "paused"
    if PoolFlag.STALE in flags:
        return "no provider that is in time covers it" if row["slot"] else "nothing has come yet"
    if now_ns - int(row["renewed_mono_ns"]) > int(row["good_ns"]):
        return "nobody has renewed it for too long"
    return ""


def _age_s(mono_ns: int, now_ns: int) -> float | None:
    return (now_ns - int(mono_ns)) / NS_PER_S if mono_ns else None


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")
