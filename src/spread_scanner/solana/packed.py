"""What a pool is quoted by, as bytes: its accounts, for who reads them from shared memory. Pure.

Written by who hears the accounts, read by who quotes. The accounts without which there is no price
come first, as they are; arrays of ticks and bins, mostly zeros, are deflated, and the nearest to
the middle go first: those that there is no room for are left out, and end what can be quoted as
any array does that is not known.
"""

import struct
import zlib
from collections.abc import Collection
from functools import lru_cache, partial

from spread_scanner.solana import keys
from spread_scanner.solana.pool import REMEMBERED_MAX, Accounts, LastSeen
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
_DEFLATED = LastSeen[bytes]()
_INFLATED = LastSeen[bytes]()
_deflate = partial(zlib.compress, level=1)


def pack(accounts: Accounts, needed: Collection[str], room: int) -> bytes:
    """All of `needed` and as many of the others as there is room for; empty where there is none
    for all of the former. An account of a program that no pool has is left out likewise."""
    parts, others, size = list[bytes](), list[str](), 0
    for key, (owner, data) in accounts.items():
        if key not in needed:
            others.append(key)
            continue
        head = _head(key, owner, False, len(data))
        parts += (head, data)
        size += len(head) + len(data)
        if not head:
            return b""
    if size > room:
        return b""
    for key in _from_the_middle(tuple(others)):
        owner, data = accounts[key]
        stored = _DEFLATED.of(key, data, _deflate)
        head = _head(key, owner, True, len(stored))
        if not head:
            continue
        size += len(head) + len(stored)
        if size > room:
            break
        parts += (head, stored)
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
            name = keys.text(key)
            whole = _INFLATED.of(name, data, zlib.decompress) if deflated else data
            found[name] = _OWNERS[owner], whole
    except (struct.error, zlib.error, IndexError, ValueError) as error:
        raise PoolRefusal(PoolReason.BAD_VALUE, wanted="accounts", said=str(error)) from None
    return found


def _head(key: str, owner: str, deflated: bool, length: int) -> bytes:
    """What stands before an account; empty where there is no place for such a one."""
    if owner not in _PLACE or length > _U16_MAX:
        return b""
    return _HEAD.pack(keys.raw(key), _PLACE[owner], deflated, length)


@lru_cache(maxsize=REMEMBERED_MAX)
def _from_the_middle(names: tuple[str, ...]) -> list[str]:
    """Outwards from the one that the price is in, as arrays stand in their order around it."""
    middle = len(names) // 2
    return sorted(names, key=lambda name: abs(names.index(name) - middle))
