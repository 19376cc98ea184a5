"""`spread-ctl pools quote`: what a swap in a pool would do now, asked of the providers of
pools.toml.

It listens to nobody and needs no feed-solana: what the pool's price needs is asked for, of one slot
(pools/asking.py). What is wrong with the words is said before anybody is dialled. Needs the extra
[solana].
"""

import asyncio
import re
from collections.abc import Sequence

from spread_scanner.cli.answers import PoolSwap
from spread_scanner.config import Settings
from spread_scanner.config.pools import PoolEntry
from spread_scanner.errors import ConfigError, Unusable
from spread_scanner.pools import asking
from spread_scanner.pools.asking import PoolRead
from spread_scanner.pools.endpoints import ProviderEndpoint, endpoints_of
from spread_scanner.schema.figures import plain
from spread_scanner.solana import assemble
from spread_scanner.solana.pool import U64_MAX, Pool, quote_of
from spread_scanner.symbology.nearby import nearby
from spread_scanner.web import trust

USAGE = "pools quote POOL MINT_IN AMOUNT"
_AMOUNT = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,255}))?", re.ASCII)


def quoted(settings: Settings, words: Sequence[str], *, by_input: bool) -> PoolSwap:
    """A swap as it would be now. Raises Unusable and ConfigError on what cannot be asked,
    NoProvider and PoolRefusal on what cannot be answered."""
    if len(words) != len(USAGE.split()) - 2:
        raise Unusable(f"wanted: {USAGE}", given=" ".join(words))
    pool, entry = _pool_of(settings, words[0])
    mint_in = _mint_of(settings, entry, words[1])
    whole, parts = _amount_of(words[2])
    coins = {mint: settings.pools.mints[mint].coin for mint in entry.mints}

    def swap(read: PoolRead) -> PoolSwap:
        made = assemble(pool, read.accounts)
        side = made.mints.index(mint_in)
        told = made.decimals[side if by_input else 1 - side]
        units = _units(whole, parts, told)
        return _swapped(pool, entry, read, made, side, units, by_input, coins)

    endpoints = _endpoints(settings)
    return asyncio.run(asking.of_pool(settings, endpoints, trust.context(), pool, entry, swap))


def _swapped(
    pool: str,
    entry: PoolEntry,
    read: PoolRead,
    made: Pool,
    side: int,
    units: int,
    by_input: bool,
    coins: dict[str, str],
) -> PoolSwap:
    mints, decimals = (made.mints[side], made.mints[1 - side]), made.decimals
    decimals_in, decimals_out = decimals[side], decimals[1 - side]
    found = quote_of(made, mints[0], units, by_input, read.unix_ts, read.slot)
    brought = found.amount_out * 10**decimals_in
    return PoolSwap(
        pool=pool,
        program=entry.program,
        provider=read.provider,
        slot=read.slot,
        unix_ts=read.unix_ts,
        exact="in" if by_input else "out",
        coin_in=coins[mints[0]],
        coin_out=coins[mints[1]],
        mint_in=mints[0],
        mint_out=mints[1],
        decimals_in=decimals_in,
        decimals_out=decimals_out,
        amount_in=found.amount_in,
        amount_out=found.amount_out,
        price=brought / (found.amount_in * 10**decimals_out),
        fee=found.fee,
        fee_coin=coins[mints[0 if found.fee_on_input else 1]],
        transfer_fee_in=found.transfer_fee_in,
        transfer_fee_out=found.transfer_fee_out,
        crossed=found.crossed,
    )


def _pool_of(settings: Settings, written: str) -> tuple[str, PoolEntry]:
    """A pool by its key, or by how that begins where no other one does so."""
    known = dict(settings.pools.wanted())
    found = [key for key in known if key.startswith(written)]
    if len(found) != 1:
        said = "several pools begin so" if found else "pools.toml has no such pool that is enabled"
        raise Unusable(said, pool=written, near=nearby(written, found or known))
    return found[0], known[found[0]]


def _mint_of(settings: Settings, entry: PoolEntry, written: str) -> str:
    """One of the pool's two mints, by its coin or its key."""
    coins = {settings.pools.mints[mint].coin: mint for mint in entry.mints}
    found = written if written in entry.mints else coins.get(written.upper())
    if found is None:
        raise Unusable("the pool has no such mint", mint=written, allowed=" or ".join(coins))
    return found


def _amount_of(written: str) -> tuple[str, str]:
    """The digits before the point, and those behind it that say anything."""
    match = _AMOUNT.fullmatch(written)
    whole, parts = match.groups(default="") if match else ("", "")
    if not (whole + parts).strip("0"):
        allowed = "whole tokens, more than none: 1 or 0.25"
        raise Unusable("no amount", amount=written, allowed=allowed)
    return whole, parts.rstrip("0")


def _units(whole: str, parts: str, decimals: int) -> int:
    """The same in smallest units."""
    units = int(whole + parts.ljust(decimals, "0"))
    if len(parts) > decimals or units > U64_MAX:
        amount = f"{whole}.{parts}" if parts else whole
        allowed = f"at most {decimals} decimals, {U64_MAX} smallest units"
        raise Unusable("no amount of this token", amount=amount, allowed=allowed)
    return units


def _endpoints(settings: Settings) -> list[ProviderEndpoint]:
    """Those who may be asked. Raises ConfigError."""
    found = endpoints_of(settings)
    if not found:
        path = settings.folder / "pools.toml"
        raise ConfigError("nobody can be asked", file=path, key="providers", allowed="one or more")
    return found


def lines(swap: PoolSwap) -> list[str]:
    """What a person sees."""
    paid = _whole(swap.amount_in, swap.decimals_in, swap.coin_in)
    got = _whole(swap.amount_out, swap.decimals_out, swap.coin_out)
    of_fee = swap.decimals_in if swap.fee_coin == swap.coin_in else swap.decimals_out
    kept = [f"fee {_whole(swap.fee, of_fee, swap.fee_coin)}"]
    if swap.transfer_fee_in:
        kept += [f"of the transfer {_whole(swap.transfer_fee_in, swap.decimals_in, swap.coin_in)}"]
    if swap.transfer_fee_out:
        fee = _whole(swap.transfer_fee_out, swap.decimals_out, swap.coin_out)
        kept += [f"of the transfer {fee}"]
    each = f"{plain(swap.price, 9)} {swap.coin_out} per {swap.coin_in}"
    return [
        f"{paid} for {got}: {each}, {', '.join(kept)}; {swap.crossed} ticks or bins crossed.",
        f"{swap.program} {swap.pool} at the end of slot {swap.slot}, as {swap.provider} has it.",
    ]


def _whole(units: int, decimals: int, coin: str) -> str:
    """To the last unit."""
    digits = str(units).rjust(decimals + 1, "0")
    at = len(digits) - decimals
    return f"{digits[:at]}.{digits[at:]}".rstrip("0").rstrip(".") + f" {coin}"
