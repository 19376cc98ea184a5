"""What a pool is quoted by, as bytes: its accounts, for who reads them from shared memory. Pure.

Written by who hears the accounts, read by who quotes. The accounts without which there is no price
come first, as they are; arrays of ticks and bins, mostly zeros, are deflated, and the nearest to
the middle go first: those that there is no room for are left out, and end what can be quoted as
any array does that is not known.
"""

import struct
import zlib
from collections.abc import Collection, Iterator
from functools import lru_cache

from spread_scanner.solana import keys
from spread_scanner.solana.pool import REMEMBERED_MAX, Accounts
from spread_scanner.solana.refusal import PoolReason, PoolRefusal

_OWNERS = (
    keys.SYSTEM,
    keys.TOKEN,
    keys.TOKEN_2022,
    keys.RAYDIUM_V4,
    keys.RAYDIUM_CLMM,
    keys.RAYDIUM_CPMM,
    keys.ORCA_WHIRLPOOL,
    keys.METEORA_DLMM,
)
_PLACE = {owner: place for place, owner in enumerate(_OWNERS)}
_HEAD = struct.Struct("<32sBBH")  # key, owner, whether deflated, bytes that follow
_U16_MAX = 2**16 - 1


def pack(accounts: Accounts, needed: Collection[str], room: int) -> bytes:
    """All of `needed` and as many of the others as there is room for; empty where there is none
    for all of the former. An account of a program that no pool has is left out likewise."""
    parts = [_one(key, accounts[key], plain=True) for key in accounts if key in needed]
    size = sum(map(len, parts))
    if size > room or not all(parts):
        return b""
    for key in _from_the_middle([key for key in accounts if key not in needed]):
        part = _one(key, accounts[key], plain=False)
        if size + len(part) > room:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)


def unpack(packed: bytes) -> dict[str, tuple[str, bytes]]:
    """The accounts by their keys. Raises PoolRefusal where the bytes are none of ours."""
    found: dict[str, tuple[str, bytes]] = {}
    at = 0
    try:
        while at < len(packed):
            key, owner, deflated, length = _HEAD.unpack_from(packed, at)
            at += _HEAD.size + length
            data = packed[at - length : at]
            if len(data) != length:
                raise ValueError("it ends within an account")
            found[keys.text(key)] = _OWNERS[owner], _inflated(data) if deflated else data
    except (struct.error, zlib.error, IndexError, ValueError) as error:
        raise PoolRefusal(PoolReason.BAD_VALUE, wanted="accounts", said=str(error)) from None
    return found


def _one(key: str, account: tuple[str, bytes], *, plain: bool) -> bytes:
    owner, data = account
    stored = data if plain else _deflated(data)
    if owner not in _PLACE or len(stored) > _U16_MAX:
        return b""
    return _HEAD.pack(keys.raw(key), _PLACE[owner], not plain, len(stored)) + stored


def _from_the_middle(names: list[str]) -> Iterator[str]:
    """Outwards from the one that the price is in, as arrays stand in their order around it."""
    middle = len(names) // 2
    yield from sorted(names, key=lambda name: abs(names.index(name) - middle))


@lru_cache(maxsize=REMEMBERED_MAX)
def _deflated(data: bytes) -> bytes:
    return zlib.compress(data, 1)


@lru_cache(maxsize=REMEMBERED_MAX)
def _inflated(data: bytes) -> bytes:
    return zlib.decompress(data)
