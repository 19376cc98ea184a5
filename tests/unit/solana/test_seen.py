"""A pool that is looked at after each swap says what decoding all of it anew would say, whichever
byte of whichever account is another; and where its own account is said to name the same accounts,
it does.
"""

import random

import pytest
from bench_pools import HERE, MAKERS, POOL, PROGRAMS

from spread_scanner.config.pools import PoolEntry
from spread_scanner.pools.wanted import names_the_same, wanted
from spread_scanner.solana import PoolRefusal, assemble, keys, tokens
from spread_scanner.solana.pool import price_of
from spread_scanner.solana.seen import SeenPool

Accounts = dict[str, tuple[str, bytes]]
MINTS = (tokens.WSOL, tokens.USDC)


LOOKS = 1_000


def changed(accounts: Accounts, rng: random.Random) -> Accounts:
    """A byte of one account is another, mostly near its begin; or it is shorter, another program's
    or gone."""
    key = POOL if POOL in accounts and rng.random() < 0.5 else rng.choice([*accounts])
    owner, data = accounts[key]
    kind, at = rng.random(), rng.randrange(max(min(len(data), rng.choice((300, 11_000))), 1))
    if kind < 0.02:
        return {one: account for one, account in accounts.items() if one != key}
    if kind < 0.04:
        return accounts | {key: (owner, data[:-1])}
    if kind < 0.06:
        return accounts | {key: (keys.SYSTEM, data)}
    return accounts | {key: (owner, data[:at] + rng.randbytes(1) + data[at + 1 :])}


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
        now = changed(accounts, rng)
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


@pytest.mark.parametrize("program", MAKERS)
def test_an_account_that_names_the_same_wants_the_same(program: str) -> None:
    rng = random.Random(f"names {program}")
    entry = PoolEntry(PROGRAMS[program], [*MINTS])  # type: ignore[arg-type]
    accounts: Accounts = dict(MAKERS[program](HERE))
    before, same = accounts[POOL], wanted(POOL, entry, accounts, 2)
    ours: Accounts = {POOL: before}
    others = 0
    for _ in range(LOOKS):
        now = changed(ours, rng).get(POOL, before)
        try:
            names = wanted(POOL, entry, accounts | {POOL: now}, 2)
        except PoolRefusal:
            continue  # what is refused is so when it is published
        if names_the_same(before, now):
            assert names == same
        else:
            others += 1
    assert others
