"""Pools of Solana's exchanges: what their accounts' bytes say, and what a swap would do, to the
last unit. Pure.

No sockets, no clocks: whoever has accounts (by key: owner and bytes) asks here. What cannot be read
or quoted is a PoolRefusal with its reason. Needs the extra `solana` (solders). docs/pools.md says
what was checked against what.

decode    the typed state of one account
assemble  a pool with all that its price needs, decoded once, to be quoted often
price     token 1 per token 0, to show
quote     what a swap of exactly so much in, or out, would do
pda       the address that a program derives from seeds, remembered

parse_transaction  what a transaction swapped, moved and cost
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Literal

from spread_scanner.solana import (
    chain_clock,
    keys,
    meteora_dlmm,
    openbook,
    orca_whirlpool,
    phoenix,
    raydium_clmm,
    raydium_cpmm,
    raydium_v4,
    tokens,
)
from spread_scanner.solana.keys import pda
from spread_scanner.solana.pool import (
    Accounts,
    Pool,
    PoolQuote,
    not_of_program,
    price_of,
    quote_of,
)
from spread_scanner.solana.refusal import PoolReason, PoolRefusal
from spread_scanner.solana.transaction import Transaction, is_signature, parse_transaction

__all__ = [
    "Accounts",
    "Pool",
    "PoolQuote",
    "PoolReason",
    "PoolRefusal",
    "Transaction",
    "assemble",
    "decode",
    "is_signature",
    "parse_transaction",
    "pda",
    "price",
    "quote",
    "remembered",
]

_Decoder = Callable[[bytes], object]
_Assembler = Callable[[str, Accounts], Pool]

_DECODERS: MappingProxyType[str, _Decoder] = MappingProxyType(
    {
        keys.RAYDIUM_V4: raydium_v4.decode,
        keys.RAYDIUM_CPMM: raydium_cpmm.decode,
        keys.RAYDIUM_CLMM: raydium_clmm.decode,
        keys.ORCA_WHIRLPOOL: orca_whirlpool.decode,
        keys.METEORA_DLMM: meteora_dlmm.decode,
        keys.PHOENIX: phoenix.decode,
        keys.SERUM_V3: openbook.decode,
        keys.OPENBOOK_V1: openbook.decode,
        keys.SYSVAR: chain_clock.decode,
        keys.TOKEN: lambda data: tokens.decode(keys.TOKEN, data),
        keys.TOKEN_2022: lambda data: tokens.decode(keys.TOKEN_2022, data),
    }
)
_ASSEMBLERS: MappingProxyType[str, _Assembler] = MappingProxyType(
    {
        keys.RAYDIUM_V4: raydium_v4.assemble,
        keys.RAYDIUM_CPMM: raydium_cpmm.assemble,
        keys.RAYDIUM_CLMM: raydium_clmm.assemble,
        keys.ORCA_WHIRLPOOL: orca_whirlpool.assemble,
        keys.METEORA_DLMM: meteora_dlmm.assemble,
        keys.PHOENIX: phoenix.assemble,
        keys.SERUM_V3: openbook.assemble,
        keys.OPENBOOK_V1: openbook.assemble,
    }
)


_REMEMBERED: MappingProxyType[str, _Decoder] = MappingProxyType(
    {
        keys.RAYDIUM_V4: raydium_v4.decoded,
        keys.RAYDIUM_CPMM: raydium_cpmm.decoded,
        keys.RAYDIUM_CLMM: raydium_clmm.decoded,
        keys.ORCA_WHIRLPOOL: orca_whirlpool.decoded,
        keys.METEORA_DLMM: meteora_dlmm.decoded,
    }
)


def remembered(owner: str, data: bytes) -> object:
    """The same as `decode`, which a pool's accounts may be asked of again and again."""
    return _REMEMBERED[owner](data) if owner in _REMEMBERED else decode(owner, data)


def decode(owner: str, data: bytes) -> object:
    """The typed state of an account: dispatched by its owner, as other programs' accounts begin
    alike.
    """
    decoder = _DECODERS.get(owner)
    if decoder is None:
        raise not_of_program((owner, data), owner=owner, allowed=[*_DECODERS])
    return decoder(data)


def assemble(pool: str, accounts: Accounts) -> Pool:
    """A pool by its key, from all the accounts that its price needs."""
    if pool not in accounts:
        raise PoolRefusal(PoolReason.MISSING, wanted="pool", key=pool)
    owner = accounts[pool][0]
    assembler = _ASSEMBLERS.get(owner)
    if assembler is None:
        raise not_of_program(accounts[pool], key=pool, owner=owner, allowed=[*_ASSEMBLERS])
    return assembler(pool, accounts)


def price(pool: str, accounts: Accounts, *, unix_ts: int = 0, slot: int = 0) -> float:
    """Token 1 per token 0 in whole tokens, in the pool's own order. An order book's without the
    orders that had expired then; told no time, with all of them.
    """
    return price_of(assemble(pool, accounts), unix_ts, slot)


def quote(
    pool: str,
    accounts: Accounts,
    mint_in: str,
    amount: int,
    *,
    exact: Literal["in", "out"] = "in",
    unix_ts: int,
    slot: int,
) -> PoolQuote:
    """What a swap of exactly `amount` in, or out, of `mint_in` into the other token would do."""
    if exact not in ("in", "out"):
        raise PoolRefusal(PoolReason.BAD_AMOUNT, exact=exact, allowed=("in", "out"))
    return quote_of(assemble(pool, accounts), mint_in, amount, exact == "in", unix_ts, slot)
