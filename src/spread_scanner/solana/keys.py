"""Keys of accounts, as base58 text everywhere, and addresses derived from seeds, which are
remembered.

The programs and mints that the reference names stand here, once.
"""

from collections.abc import Sequence
from functools import lru_cache

from solders.pubkey import Pubkey

from spread_scanner.solana.refusal import PoolReason, PoolRefusal

KEY_BYTES = 32
# As many as all known pools need at once, many times over; each takes some 300 bytes.
REMEMBERED_MAX = 65_536
SEEDS_MAX = 15  # and the bump
SEED_BYTES_MAX = 32

SYSTEM = "11111111111111111111111111111111"
SYSVAR = "Sysvar1111111111111111111111111111111111111"
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
RAYDIUM_V4 = "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"
RAYDIUM_CLMM = "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK"
RAYDIUM_CPMM = "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C"
ORCA_WHIRLPOOL = "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc"
METEORA_DLMM = "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo"
PHOENIX = "PhoeNiXZ8ByJGLkxNfZRnkUfjvmuYqLR89jjFHGqdXY"
SERUM_V3 = "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin"
OPENBOOK_V1 = "srmqPvymJeFKQ4zGQed1GFppgkRHL9kaELCbyksJtPX"
# Of the pools that are read, by what pools.toml calls them.
POOL_PROGRAMS = {
    "raydium-v4": RAYDIUM_V4,
    "raydium-clmm": RAYDIUM_CLMM,
    "raydium-cpmm": RAYDIUM_CPMM,
    "orca-whirlpool": ORCA_WHIRLPOOL,
    "meteora-dlmm": METEORA_DLMM,
}


@lru_cache(maxsize=REMEMBERED_MAX)
def text(raw: bytes) -> str:
    """Base58 of the 32 bytes of a key."""
    if len(raw) != KEY_BYTES:
        raise PoolRefusal(PoolReason.WRONG_LENGTH, key=raw, length=len(raw), wanted=KEY_BYTES)
    return str(Pubkey.from_bytes(raw))


@lru_cache(maxsize=REMEMBERED_MAX)
def raw(key: str) -> bytes:
    """The 32 bytes of a key written in base58."""
    try:
        return bytes(Pubkey.from_string(key))
    except ValueError as error:
        raise PoolRefusal(PoolReason.BAD_VALUE, key=key, said=str(error)) from error


def find(seeds: Sequence[bytes], program: str) -> tuple[str, int]:
    """The address that a program derives from seeds, and the bump that made it one."""
    if len(seeds) > SEEDS_MAX or any(len(seed) > SEED_BYTES_MAX for seed in seeds):
        raise PoolRefusal(PoolReason.BAD_VALUE, seeds=list(seeds), seeds_max=SEEDS_MAX)
    key, bump = Pubkey.find_program_address(seeds, Pubkey.from_bytes(raw(program)))
    return str(key), bump


@lru_cache(maxsize=REMEMBERED_MAX)
def _derived(seeds: tuple[bytes, ...], program: str) -> str:
    return find(seeds, program)[0]


def pda(seeds: Sequence[bytes], program: str) -> str:
    """The address that a program derives from seeds, remembered."""
    return _derived(tuple(seeds), program)
