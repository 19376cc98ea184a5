"""A pool that is looked at after each swap says what decoding all of it anew would say, whichever
byte of whichever account is another; and where its own account is said to name the same accounts,
it does.
"""

import random

import pytest
from bench_pools import HERE, MAKERS, POOL, PROGRAMS, SLOT, UNIX_TS

from spread_scanner.config.pools import PoolEntry
from spread_scanner.pools.wanted import names_the_same, wanted
from spread_scanner.solana import (
    Pool,
    PoolReason,
    PoolRefusal,
    assemble,
    keys,
    orca_whirlpool,
    raydium_clmm,
    tokens,
)
from spread_scanner.solana._seen import SeenPool
from spread_scanner.solana.concentrated import TICK_MIN
from spread_scanner.solana.pool import price_of, quote_of

Accounts = dict[str, tuple[str, bytes]]
MINTS = (tokens.WSOL, tokens.USDC)


LOOKS = 1_000
# Where a swap writes the pool's own account, and how many bytes move the price no further than to
# what else is known.
SWAPPED_AT = {
    "raydium_v4": (192, 4),
    "raydium_cpmm": (341, 4),
    "raydium_clmm": (253, 7),
    "orca_whirlpool": (65, 7),
    "meteora_dlmm": (76, 1),
}


# Of CLMM's arrays one tick's alone: which it is, before it, cannot be another.
ARRAY_AT = {"raydium_clmm": (48 + 5 * 168, 160)}


# Where the tick stands, behind the price that it has to fit.
TICK_AT = {
    "raydium_clmm": (269, raydium_clmm.PRICES),
    "orca_whirlpool": (81, orca_whirlpool.PRICES),
}


def fitting(program: str, data: bytes) -> bytes:
    """The pool's own account, its tick where its price is, if any has such a one."""
    at, prices = TICK_AT.get(program, (0, None))
    price = int.from_bytes(data[at - 16 : at], "little")
    if prices is None or len(data) < at + 4 or not prices.at(TICK_MIN) <= price < 2**100:
        return data
    return data[:at] + prices.tick_of(price).to_bytes(4, "little", signed=True) + data[at + 4 :]


def changed(accounts: Accounts, rng: random.Random, program: str) -> Accounts:
    """A byte of one account is another, mostly near its begin; or it is shorter, another program's
    or gone. A tick fits its price mostly."""
    key = POOL if POOL in accounts and rng.random() < 0.5 else rng.choice([*accounts])
    owner, data = accounts[key]
    kind, at = rng.random(), rng.randrange(max(min(len(data), rng.choice((300, 11_000))), 1))
    if kind < 0.02:
        return {one: account for one, account in accounts.items() if one != key}
    if kind < 0.04:
        return accounts | {key: (owner, data[:-1])}
    if kind < 0.06:
        return accounts | {key: (keys.SYSTEM, data)}
    other = data[:at] + rng.randbytes(1) + data[at + 1 :]
    fits = program in TICK_AT and key == POOL and rng.random() < 0.8
    return accounts | {key: (owner, fitting(program, other) if fits else other)}


def said(accounts: Accounts) -> tuple[object, ...]:
    try:
        pool = assemble(POOL, accounts)
        return price_of(pool), pool.reserves(), pool.liquidity()
    except PoolRefusal as refusal:
        return (refusal.reason,)


@pytest.mark.parametrize("program", MAKERS)
def test_a_pool_that_is_looked_at_again_is_what_decoding_says(program: str) -> None:
    rng, seen = random.Random(f"seen {program}"), SeenPool(POOL)
    accounts: Accounts = dict(MAKERS[program](HERE))
    told = {said(accounts)}
    for _ in range(LOOKS):
        now = changed(accounts, rng, program)
        expected = said(now)
        try:
            found: tuple[object, ...] = tuple(seen.see(now))
        except PoolRefusal as refusal:
            found = (refusal.reason,)
        assert found == expected
        if len(found) > 1:
            assert (seen.pool.reserves(), seen.pool.liquidity()) == found[1:]
            accounts = now if rng.random() < 0.9 else dict(MAKERS[program](HERE))
        told.add(expected)
    assert len(told) > 10  # prices, and refusals


def quoted(pool: Pool, mint: str, amount: int, by_input: bool) -> object:
    try:
        return quote_of(pool, mint, amount, by_input, UNIX_TS, SLOT)
    except PoolRefusal as refusal:
        return refusal.reason


@pytest.mark.parametrize("program", MAKERS)
def test_a_pool_that_is_quoted_after_each_swap_is_quoted_as_one_that_is_decoded(
    program: str,
) -> None:
    """Whatever it takes over from before: prices move, and now and then an array is another."""
    rng, seen = random.Random(f"quoted {program}"), SeenPool(POOL)
    accounts: Accounts = dict(MAKERS[program](HERE))
    told, refused = set(), 0
    for _ in range(60):
        array = [key for key, (_, data) in accounts.items() if len(data) > 9_000]
        key = rng.choice(array) if array and rng.random() < 0.1 else POOL
        owner, data = accounts[key]
        begin, size = SWAPPED_AT[program] if key == POOL else ARRAY_AT.get(program, (56, 8_944))
        at = begin + rng.randrange(size)
        swapped = data[:at] + rng.randbytes(1) + data[at + 1 :]
        if key == POOL:
            swapped = fitting(program, swapped)
        try:
            seen.see(accounts | {key: (owner, swapped)})
        except PoolRefusal:
            continue
        accounts |= {key: (owner, swapped)}
        decoded = assemble(POOL, accounts)
        for _ in range(8):
            mint, by_input = rng.choice(MINTS), rng.random() < 0.5
            amount = int(10 ** rng.uniform(3, 13))
            found = quoted(seen.pool, mint, amount, by_input)
            assert found == quoted(decoded, mint, amount, by_input)
            refused += isinstance(found, PoolReason)
            told.add(found)
    assert len(told) > 100
    assert refused < 400


@pytest.mark.parametrize("program", MAKERS)
def test_an_account_that_names_the_same_wants_the_same(program: str) -> None:
    rng = random.Random(f"names {program}")
    entry = PoolEntry(PROGRAMS[program], [*MINTS])  # type: ignore[arg-type]
    accounts: Accounts = dict(MAKERS[program](HERE))
    before, same = accounts[POOL], wanted(POOL, entry, accounts, 2)
    ours: Accounts = {POOL: before}
    others = 0
    for _ in range(LOOKS):
        now = changed(ours, rng, program).get(POOL, before)
        try:
            names = wanted(POOL, entry, accounts | {POOL: now}, 2)
        except PoolRefusal:
            continue  # what is refused is so when it is published
        if names_the_same(before, now):
            assert names == same
        else:
            others += 1
    assert others
