"""While what Pool.moment tells is the same, a pool quotes the same in any second and slot."""

import random
from collections.abc import Callable, Hashable, Iterator

import pytest
from pool_accounts import (
    amm_v4,
    balance,
    cpmm,
    cpmm_config,
    key,
    mint,
    whirlpool,
    whirlpool_oracle,
    whirlpool_ticks,
)

from spread_scanner import solana
from spread_scanner.sim.chain_curves import SimDlmm
from spread_scanner.sim.chain_pools import BASES
from spread_scanner.sim.chain_pools import USDC as USDC_COIN
from spread_scanner.solana import PoolRefusal, keys
from spread_scanner.solana.orca_whirlpool import PRICES, array_key, oracle_key
from spread_scanner.solana.pool import Pool, moment_of, quote_of
from spread_scanner.solana.tokens import SLOTS_PER_EPOCH, USDC, WSOL

POOL, CONFIG, VAULTS = key("pool"), key("config"), (key("vault 0"), key("vault 1"))
T, EPOCH = 1_700_000_000, 900
HELD = {VAULTS[0]: balance(WSOL, 10**15), VAULTS[1]: balance(USDC, 10**14)}
MINT = key("fee mint")


def v4() -> Pool:
    own = amm_v4(vaults=VAULTS, mints=(WSOL, USDC), status=7, open_time_s=T)
    return solana.assemble(POOL, {POOL: own, **HELD})


def cpmm_with_transfer_fees() -> Pool:
    mints, programs = (WSOL, MINT), (keys.TOKEN, keys.TOKEN_2022)
    own = cpmm(config=CONFIG, vaults=VAULTS, mints=mints, programs=programs, open_time_s=T)
    fees = ((0, 10**9, 10), (EPOCH, 10**9, 200))
    held = {VAULTS[0]: HELD[VAULTS[0]], VAULTS[1]: balance(MINT, 10**14, program=keys.TOKEN_2022)}
    config = cpmm_config(2_500)
    return solana.assemble(POOL, {POOL: own, CONFIG: config, MINT: mint(6, fees=fees), **held})


def adaptive() -> Pool:
    price = PRICES.at(0)
    own = whirlpool(
        spacing=1, fee_rate=2_500, liquidity=10**13, sqrt_price=price, tick=0,
        mints=(WSOL, USDC), tier=1_024,
    )  # fmt: skip
    oracle = whirlpool_oracle(
        POOL, group_size=1, control=4_000, reference_ts=T - 60, major_swap_ts=T - 60,
        accumulator=90_000,
    )  # fmt: skip
    arrays = {at: whirlpool_ticks(POOL, at, 1, {}) for at in (-88, 0)}
    accounts = {array_key(POOL, at): array for at, array in arrays.items()}
    return solana.assemble(POOL, {POOL: own, oracle_key(POOL): oracle, **accounts})


def dlmm() -> Pool:
    pool = SimDlmm(1, 0, (BASES[0], USDC_COIN), 1_000_000)
    pool.unix_s = T - 5
    pool.swap(1, pool.amounts[1] // 40)
    return solana.assemble(pool.key, pool.everything(2))


def asked(pool: Pool, unix_ts: int, slot: int) -> Iterator[object]:
    for mint_in in pool.mints:
        for by_input in (True, False):
            try:
                yield quote_of(pool, mint_in, 10**6, by_input, unix_ts, slot)
            except PoolRefusal as refusal:
                yield refusal.reason


@pytest.mark.parametrize("make", [v4, cpmm_with_transfer_fees, adaptive, dlmm])
def test_a_quote_goes_by_its_moment(make: Callable[[], Pool]) -> None:
    pool, rng = make(), random.Random(make.__name__)
    known: dict[Hashable, list[object]] = {}
    for _ in range(300):
        unix_ts = T + rng.choice([-1, 0, 1, *range(-80, 80, 3), 300, 900, 5_000])
        slot = EPOCH * SLOTS_PER_EPOCH + rng.randrange(-3, 3)
        quotes = [*asked(pool, unix_ts, slot)]
        assert known.setdefault(moment_of(pool, unix_ts, slot), quotes) == quotes
    assert len({str(quotes) for quotes in known.values()}) > 1, "time makes none dearer"
