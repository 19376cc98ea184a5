"""Which accounts a pool's price needs, as far as those that are known tell; and whether a pool is
what the settings say. Pure.

The pool's own account names the rest, and where the price stands which arrays are near: so asking
again when accounts have come finds more, until nothing more is found.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from spread_scanner.config.pools import PoolEntry
from spread_scanner.pools.held import Account
from spread_scanner.pools.rpc import CLOSED_ACCOUNT
from spread_scanner.solana import (
    Accounts,
    PoolReason,
    PoolRefusal,
    decode,
    keys,
    meteora_dlmm,
    orca_whirlpool,
    raydium_clmm,
    raydium_cpmm,
    raydium_v4,
    remembered,
    tokens,
)
from spread_scanner.solana._kept import KeptBytes
from spread_scanner.solana.pool import not_of_program

ARRAYS_AHEAD = 32  # to either side of a price, whose addresses are known before it comes there


class WantedAccounts(NamedTuple):
    """All accounts of a pool that are heard; those without which there is no price (arrays that are
    not known only end what can be quoted); and of these, those that every swap writes: none while
    the pool's own account has not told what else there is."""

    keys: tuple[str, ...]
    core: frozenset[str]
    moving: frozenset[str]

    def whole_with(self, accounts: Accounts) -> bool:
        """Whether these are enough for a price."""
        return bool(self.moving) and self.core <= accounts.keys()


_State = (
    raydium_v4.AmmInfo
    | raydium_cpmm.CpmmState
    | raydium_clmm.ClmmState
    | orca_whirlpool.Whirlpool
    | meteora_dlmm.LbPair
)


def wanted(pool: str, entry: PoolEntry, accounts: Accounts, arrays: int) -> WantedAccounts:
    """What a pool's price needs, with so many arrays to either side; the pool's account alone where
    that is not known. Raises PoolRefusal for one that is not what the settings say."""
    if pool not in accounts:
        return _of((pool,), (), ())
    state = checked_state(pool, entry, accounts)
    return _OF_STATE[type(state)](pool, state, accounts, arrays)


def heads(pool: str, entry: PoolEntry) -> tuple[str, ...]:
    """The accounts that name others: where one of these is told, others may be wanted."""
    if entry.program == "raydium-clmm":
        return pool, raydium_clmm.extension_key(pool)
    if entry.program == "meteora-dlmm":
        return pool, meteora_dlmm.extension_key(pool)
    return (pool,)


def _nowhere(data: bytes) -> int:
    return 0


# What no swap writes, where the price's place is, and which array that is in.
_NAMES: dict[str, tuple[KeptBytes, slice, Callable[[bytes], int]]] = {
    keys.RAYDIUM_V4: (raydium_v4.KEPT, slice(0), _nowhere),
    keys.RAYDIUM_CPMM: (raydium_cpmm.KEPT, slice(0), _nowhere),
    keys.RAYDIUM_CLMM: (raydium_clmm.KEPT, raydium_clmm.PLACE, raydium_clmm.place_of),
    keys.ORCA_WHIRLPOOL: (orca_whirlpool.KEPT, orca_whirlpool.PLACE, orca_whirlpool.place_of),
    keys.METEORA_DLMM: (meteora_dlmm.KEPT, meteora_dlmm.PLACE, meteora_dlmm.place_of),
}


def names_the_same(before: Account, now: Account) -> bool:
    """Whether a pool's own account, of which others were found before, names the same: no swap
    writes anything else, but moves its price from one array into the next."""
    (owner, data), (owner_now, data_now) = before, now
    kept, at, place_of = _NAMES[owner]
    if owner != owner_now or not kept.same(data, data_now):
        return False
    return data[at] == data_now[at] or place_of(data) == place_of(data_now)


def derive_ahead(pool: str, account: Account) -> None:
    """The addresses of the arrays around a pool's price, which are remembered: a swap that moves it
    there waits for none. Nothing for a pool without arrays."""
    state = remembered(*account)
    if isinstance(state, raydium_clmm.ClmmState):
        width = raydium_clmm.TICKS_IN_ARRAY * state.tick_spacing
        for number in _around(state.tick // width):
            raydium_clmm.array_key(pool, number * width)
    elif isinstance(state, orca_whirlpool.Whirlpool):
        for start in orca_whirlpool.array_starts(state, ARRAYS_AHEAD):
            orca_whirlpool.array_key(pool, start)
    elif isinstance(state, meteora_dlmm.LbPair):
        for number in _around(state.active_id // meteora_dlmm.BINS_IN_ARRAY):
            meteora_dlmm.array_key(pool, number)


def _around(own: int) -> range:
    return range(own - ARRAYS_AHEAD, own + ARRAYS_AHEAD + 1)


def checked_state(pool: str, entry: PoolEntry, accounts: Accounts) -> _State:
    """The pool's own account, of the program and with the mints that the settings say."""
    owner, data = accounts[pool]
    if owner != keys.POOL_PROGRAMS[entry.program]:
        allowed = keys.POOL_PROGRAMS[entry.program]
        raise not_of_program((owner, data), key=pool, owner=owner, allowed=allowed)
    state = remembered(owner, data)
    if not isinstance(state, _State):
        raise PoolRefusal(PoolReason.WRONG_KIND, wanted=entry.program, key=pool)
    for mint in entry.mints:  # two that differ, as are the pool's own
        if mint not in state.mints:
            raise PoolRefusal(PoolReason.WRONG_MINT, mint=mint, allowed=" or ".join(state.mints))
    return state


def _of(core: Iterable[str], arrays: Iterable[str], moving: Iterable[str]) -> WantedAccounts:
    core = frozenset(core)
    return WantedAccounts((*sorted(core), *arrays), core, frozenset(moving))


def _mints(mints: Iterable[str]) -> tuple[str, ...]:
    """Those whose decimals and fees are not known beforehand."""
    return tuple(mint for mint in mints if mint not in tokens.KNOWN_DECIMALS)


def _amm(pool: str, state: raydium_v4.AmmInfo, accounts: Accounts, arrays: int) -> WantedAccounts:
    """A swap writes both vaults, and need not write the pool."""
    return _of((pool, *state.vaults), (), state.vaults)


def _cpmm(
    pool: str, state: raydium_cpmm.CpmmState, accounts: Accounts, arrays: int
) -> WantedAccounts:
    moving = (pool, *state.vaults)
    return _of((*moving, state.amm_config, *_mints(state.mints)), (), moving)


def _clmm(
    pool: str, state: raydium_clmm.ClmmState, accounts: Accounts, arrays: int
) -> WantedAccounts:
    at = raydium_clmm.extension_key(pool)
    extension = _there(accounts, at)
    if not isinstance(extension, raydium_clmm.ClmmBitmap | None):
        raise PoolRefusal(PoolReason.WRONG_KIND, wanted="bitmap extension", key=at)
    width = raydium_clmm.TICKS_IN_ARRAY * state.tick_spacing
    numbers = _nearest(raydium_clmm.filled_arrays(state, extension), state.tick // width, arrays)
    near = [raydium_clmm.array_key(pool, number * width) for number in numbers]
    return _of((pool, state.amm_config, *_mints(state.mints)), (at, *near), (pool,))


def _whirlpool(
    pool: str, state: orca_whirlpool.Whirlpool, accounts: Accounts, arrays: int
) -> WantedAccounts:
    """A swap writes the oracle, too, where there is one."""
    starts = orca_whirlpool.array_starts(state, arrays)
    near = [orca_whirlpool.array_key(pool, start) for start in starts]
    oracle = (orca_whirlpool.oracle_key(pool),) if state.adaptive else ()
    return _of((pool, *oracle, *_mints(state.mints)), near, (pool, *oracle))


def _dlmm(pool: str, state: meteora_dlmm.LbPair, accounts: Accounts, arrays: int) -> WantedAccounts:
    """A swap writes the array of the active bin, too, and the vaults, which are needed where orders
    may fill it: they are held to them."""
    at = meteora_dlmm.extension_key(pool)
    extension = _there(accounts, at)
    if not isinstance(extension, meteora_dlmm.DlmmBitmap | None):
        raise PoolRefusal(PoolReason.WRONG_KIND, wanted="bitmap extension", key=at)
    own = state.active_id // meteora_dlmm.BINS_IN_ARRAY
    numbers = _nearest(meteora_dlmm.filled_arrays(state, extension), own, arrays)
    near = {number: meteora_dlmm.array_key(pool, number) for number in numbers}
    active = [near.pop(own)] if own in near else []
    vaults = state.reserves if state.has_orders else ()
    moving = (pool, *vaults, *active)
    return _of((*moving, *_mints(state.mints)), (at, *near.values()), moving)


def _there(accounts: Accounts, key: str) -> object | None:
    """An account's state; None where it is not known, or does not exist."""
    found = accounts.get(key, CLOSED_ACCOUNT)
    return None if found == CLOSED_ACCOUNT else decode(*found)


def _nearest(filled: list[int], own: int, arrays: int) -> list[int]:
    """The array that the price is in, where it has anything, and so many that have to each side."""
    below = [number for number in filled if number < own][-arrays:]
    above = [number for number in filled if number > own][:arrays]
    return [*below, *([own] if own in filled else []), *above]


_OF_STATE: dict[type, Callable[[str, Any, Accounts, int], WantedAccounts]] = {
    raydium_v4.AmmInfo: _amm,
    raydium_cpmm.CpmmState: _cpmm,
    raydium_clmm.ClmmState: _clmm,
    orca_whirlpool.Whirlpool: _whirlpool,
    meteora_dlmm.LbPair: _dlmm,
}
