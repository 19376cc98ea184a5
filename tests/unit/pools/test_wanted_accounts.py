"""Which accounts a price needs: with those, and none besides, every pool can be quoted; and a pool
that is not what the settings say is refused.
"""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_accounts import (
    amm_v4,
    balance,
    clmm,
    clmm_config,
    clmm_extension,
    clmm_ticks,
    cpmm,
    cpmm_config,
    dlmm_bins,
    dlmm_extension,
    key,
    lb_pair,
    mint,
    whirlpool,
    whirlpool_oracle,
    whirlpool_ticks,
)

from spread_scanner.config.pools import PoolEntry
from spread_scanner.pools.rpc import CLOSED_ACCOUNT
from spread_scanner.pools.wanted import ARRAYS_AHEAD, WantedAccounts, derive_ahead, wanted
from spread_scanner.schema.pools import WHY_BYTES
from spread_scanner.solana import (
    Accounts,
    PoolReason,
    PoolRefusal,
    keys,
    meteora_dlmm,
    orca_whirlpool,
    quote,
    raydium_clmm,
)
from spread_scanner.solana.tokens import USDC, WSOL

POOL, VAULTS, MINTS = key("pool"), (key("vault 0"), key("vault 1")), (WSOL, USDC)
CONFIG, OTHER = key("config"), key("a mint that nobody knows")
NOW_TS, SLOT = 1_790_000_000, 453_868_631
Held = dict[str, tuple[str, bytes]]


def entry(program: str, mints: tuple[str, str] = MINTS) -> PoolEntry:
    return PoolEntry(program, list(mints))  # type: ignore[arg-type]


def found_from(chain: Accounts, of: PoolEntry, arrays: int = 2) -> tuple[WantedAccounts, Held]:
    """What is wanted in the end, asked for as a feed does: until nothing more is found."""
    held: Held = {}
    while True:
        now = wanted(POOL, of, held, arrays)
        if set(now.keys) <= set(held):
            return now, {name: held[name] for name in now.keys}
        held |= {name: chain.get(name, CLOSED_ACCOUNT) for name in now.keys}


def quoted(held: Held, mint_in: str = WSOL, amount: int = 1_000) -> int:
    return quote(POOL, held, mint_in, amount, unix_ts=NOW_TS, slot=SLOT).amount_out


def test_v4() -> None:
    chain = {
        POOL: amm_v4(vaults=VAULTS, mints=MINTS),
        VAULTS[0]: balance(WSOL, 10**12),
        VAULTS[1]: balance(USDC, 10**11),
    }
    assert wanted(POOL, entry("raydium-v4"), {}, 2).keys == (POOL,)
    found, held = found_from(chain, entry("raydium-v4", MINTS[::-1]))
    assert set(found.keys) == found.core == {POOL, *VAULTS}
    assert found.moving == set(VAULTS), "the pool's account need not change with a swap"
    assert quoted(held) > 0


def test_cpmm_with_a_mint_that_nobody_knows() -> None:
    mints, programs = (WSOL, OTHER), (keys.TOKEN, keys.TOKEN_2022)
    chain = {
        POOL: cpmm(config=CONFIG, vaults=VAULTS, mints=mints, programs=programs),
        CONFIG: cpmm_config(2_500),
        VAULTS[0]: balance(WSOL, 10**12),
        VAULTS[1]: balance(OTHER, 10**11),
        OTHER: mint(6, fees=((0, 10**9, 10), (1, 10**9, 20))),
    }
    found, held = found_from(chain, entry("raydium-cpmm", mints))
    assert set(found.keys) == found.core == {POOL, CONFIG, OTHER, *VAULTS}
    assert found.moving == {POOL, *VAULTS}
    assert quoted(held) > 0


def refused(held: Held, mint_in: str) -> PoolReason | None:
    """At odd prices ten units are nothing, or all there is."""
    try:
        quoted(held, mint_in, 10)
    except PoolRefusal as refusal:
        return refusal.reason
    return None


Q64 = 1 << 64


@settings(deadline=None, max_examples=25)
@given(
    spacing=st.sampled_from([1, 10, 60]),
    tick=st.integers(-300_000, 300_000),
    filled=st.sets(st.integers(-3, 3), min_size=1),
    data=st.data(),
)
def test_clmm(spacing: int, tick: int, filled: set[int], data: st.DataObject) -> None:
    """Near or far: the far ones are found by the extension."""
    width = 60 * spacing
    own = tick // width
    liquidity = 10**15
    numbers = sorted(own + by for by in {*filled, 0} if abs((own + by) * width) < 440_000)
    state = clmm(
        config=CONFIG,
        spacing=spacing,
        liquidity=liquidity,
        sqrt_price=raydium_clmm.PRICES.at(tick),
        tick=tick,
        mints=MINTS,
        arrays=numbers,
    )
    chain = {POOL: state, CONFIG: clmm_config(100)}
    chain[raydium_clmm.extension_key(POOL)] = clmm_extension(POOL, numbers)
    for number in numbers:
        start = number * width
        ticks = clmm_ticks(POOL, start, spacing, {start: 1, start + width - spacing: -1})
        chain[raydium_clmm.array_key(POOL, start)] = ticks
    arrays = data.draw(st.integers(1, 3))
    found, held = found_from(chain, entry("raydium-clmm"), arrays)
    near = [name for name in found.keys if name not in found.core]
    assert found.core == {POOL, CONFIG}
    assert found.moving == {POOL}
    below = [number for number in numbers if number < own][-arrays:]
    above = [number for number in numbers if number > own][:arrays]
    expected = {raydium_clmm.array_key(POOL, number * width) for number in (*below, own, *above)}
    assert set(near) == {raydium_clmm.extension_key(POOL), *expected}
    assert PoolReason.MISSING not in [refused(held, mint_in) for mint_in in MINTS]


def test_whirlpool_whose_fee_adapts() -> None:
    tick, spacing = 100, 64
    state = whirlpool(
        spacing=spacing,
        tier=1_024,
        fee_rate=400,
        liquidity=10**15,
        sqrt_price=orca_whirlpool.PRICES.at(tick),
        tick=tick,
        mints=MINTS,
    )
    oracle = whirlpool_oracle(POOL, group_size=64, control=1_000)
    chain = {POOL: state, orca_whirlpool.oracle_key(POOL): oracle}
    starts = [by * 88 * spacing for by in (-1, 0, 1)]
    chain |= {
        orca_whirlpool.array_key(POOL, start): whirlpool_ticks(POOL, start, spacing, {})
        for start in starts[:2]
    }
    found, held = found_from(chain, entry("orca-whirlpool"), arrays=1)
    assert found.core == found.moving == {POOL, orca_whirlpool.oracle_key(POOL)}
    assert set(found.keys) - found.core == {orca_whirlpool.array_key(POOL, at) for at in starts}
    assert held[orca_whirlpool.array_key(POOL, starts[2])] == CLOSED_ACCOUNT
    assert quoted(held) > 0
    assert quoted(held, USDC) > 0


def test_dlmm_whose_active_bin_stands_in_an_empty_array() -> None:
    pair = lb_pair(mints=MINTS, vaults=VAULTS, active_id=5, bin_step=1, arrays=(-1, 2))
    found = wanted(POOL, entry("meteora-dlmm"), {POOL: pair}, arrays=1)
    assert found.core == found.moving == {POOL}
    assert {meteora_dlmm.array_key(POOL, number) for number in (-1, 2)} < set(found.keys)


@pytest.mark.parametrize("active", [5, -40_000, 50_000])
@pytest.mark.parametrize("has_orders", [False, True])
def test_dlmm(active: int, has_orders: bool) -> None:
    own = active // 70
    numbers = [own - 4, own - 1, own, own + 1, own + 2]
    pair = lb_pair(
        mints=MINTS,
        vaults=VAULTS,
        active_id=active,
        bin_step=1,
        arrays=numbers,
        function_type=2 if has_orders else 1,
    )
    chain = {POOL: pair, VAULTS[0]: balance(WSOL, 10**9), VAULTS[1]: balance(USDC, 10**9)}
    chain[meteora_dlmm.extension_key(POOL)] = dlmm_extension(POOL, numbers)
    for number in numbers:
        bins = {number * 70 + 7: (10**6, 0) if number * 70 + 7 > active else (0, 10**6)}
        chain[meteora_dlmm.array_key(POOL, number)] = dlmm_bins(POOL, number, bins)
    found, held = found_from(chain, entry("meteora-dlmm"), arrays=1)
    active_at = meteora_dlmm.array_key(POOL, own)
    assert found.core == found.moving == {POOL, active_at, *(VAULTS if has_orders else ())}
    near = {meteora_dlmm.array_key(POOL, own + by) for by in (-1, 1)}
    assert set(found.keys) - found.core == {meteora_dlmm.extension_key(POOL), *near}
    for mint_in in MINTS:
        filled = quote(POOL, held, mint_in, 10**5, exact="out", unix_ts=NOW_TS, slot=SLOT)
        assert filled.amount_out == 10**5


@pytest.mark.parametrize(
    ("account", "program", "mints", "reason"),
    [
        (amm_v4(vaults=VAULTS, mints=MINTS), "raydium-cpmm", MINTS, PoolReason.WRONG_OWNER),
        (balance(WSOL, 5), "raydium-v4", MINTS, PoolReason.WRONG_OWNER),
        (CLOSED_ACCOUNT, "raydium-v4", MINTS, PoolReason.ABSENT),
        (amm_v4(vaults=VAULTS, mints=(WSOL, OTHER)), "raydium-v4", MINTS, PoolReason.WRONG_MINT),
        (clmm_config(100), "raydium-clmm", MINTS, PoolReason.WRONG_KIND),
        ((keys.RAYDIUM_V4, b"\1" * 751), "raydium-v4", MINTS, PoolReason.WRONG_LENGTH),
        ((keys.ORCA_WHIRLPOOL, b"\1" * 653), "orca-whirlpool", MINTS, PoolReason.WRONG_KIND),
    ],
)
def test_what_is_not_what_the_settings_say_is_refused(
    account: tuple[str, bytes], program: str, mints: tuple[str, str], reason: PoolReason
) -> None:
    with pytest.raises(PoolRefusal) as caught:
        wanted(POOL, entry(program, mints), {POOL: account}, 2)
    assert caught.value.reason is reason
    assert len(str(caught.value)) <= WHY_BYTES, "a pool's cell has room for all that is wrong"


def test_a_mint_that_the_pool_does_not_trade_is_named_beside_those_that_it_does() -> None:
    account = amm_v4(vaults=VAULTS, mints=MINTS)
    with pytest.raises(PoolRefusal) as caught:
        wanted(POOL, entry("raydium-v4", (WSOL, OTHER)), {POOL: account}, 2)
    assert caught.value.evidence == {"mint": OTHER, "allowed": f"{WSOL} or {USDC}"}


def test_what_is_no_extension_is_refused() -> None:
    states = {
        "raydium-clmm": (
            clmm(config=CONFIG, spacing=1, liquidity=1, sqrt_price=Q64, tick=0, mints=MINTS),
            raydium_clmm.extension_key(POOL),
            clmm_config(100),
        ),
        "meteora-dlmm": (
            lb_pair(mints=MINTS, vaults=VAULTS, active_id=0, bin_step=1, arrays=()),
            meteora_dlmm.extension_key(POOL),
            dlmm_bins(POOL, 0, {}),
        ),
    }
    for program, (state, at, other) in states.items():
        with pytest.raises(PoolRefusal) as caught:
            wanted(POOL, entry(program), {POOL: state, at: other}, 2)
        assert caught.value.reason is PoolReason.WRONG_KIND


@pytest.mark.parametrize("number", [7_000, -7_000])
def test_an_array_beyond_all_ticks_is_refused(number: int) -> None:
    """As an extension may say of a pool whose ticks are far apart."""
    pool = clmm(config=CONFIG, spacing=2**15, liquidity=1, sqrt_price=Q64, tick=0, mints=MINTS)
    extension = raydium_clmm.extension_key(POOL), clmm_extension(POOL, [number])
    with pytest.raises(PoolRefusal) as caught:
        wanted(POOL, entry("raydium-clmm"), dict([(POOL, pool), extension]), 2)
    assert caught.value.reason is PoolReason.BAD_VALUE


@pytest.mark.parametrize("tick", [2**31 - 1, -(2**31)])
def test_nothing_is_derived_around_a_tick_that_no_pool_is_at(tick: int) -> None:
    sqrt_price = raydium_clmm.PRICES.within(tick)
    pool = clmm(
        config=CONFIG, spacing=1, liquidity=1, sqrt_price=sqrt_price, tick=tick, mints=MINTS
    )
    with pytest.raises(PoolRefusal) as caught:
        derive_ahead(POOL, pool)
    assert caught.value.reason is PoolReason.BAD_VALUE


CURVED = {
    "raydium-clmm": clmm(
        config=CONFIG, spacing=10, liquidity=1, sqrt_price=2**64, tick=0, mints=MINTS
    ),
    "orca-whirlpool": whirlpool(
        spacing=8, fee_rate=1, liquidity=1, sqrt_price=2**64, tick=0, mints=MINTS
    ),
    "meteora-dlmm": lb_pair(mints=MINTS, vaults=VAULTS, active_id=0, bin_step=10, arrays=()),
}
ARRAY_AT: dict[str, Callable[[str, int], str]] = {
    "raydium-clmm": lambda pool, number: raydium_clmm.array_key(pool, 600 * number),
    "orca-whirlpool": lambda pool, number: orca_whirlpool.array_key(pool, 704 * number),
    "meteora-dlmm": meteora_dlmm.array_key,
}


@pytest.mark.parametrize("program", CURVED)
def test_addresses_around_a_price_are_known_before_it_comes_there(program: str) -> None:
    pool = key(f"ahead of {program}")
    derive_ahead(pool, CURVED[program])
    missed = keys._derived.cache_info().misses
    for number in (-ARRAYS_AHEAD, -1, 0, 1, ARRAYS_AHEAD):
        ARRAY_AT[program](pool, number)
    assert keys._derived.cache_info().misses == missed
    ARRAY_AT[program](pool, ARRAYS_AHEAD + 1)
    assert keys._derived.cache_info().misses == missed + 1


def test_a_pool_without_arrays_has_none_to_be_known() -> None:
    missed = keys._derived.cache_info().misses
    derive_ahead(POOL, amm_v4(vaults=VAULTS, mints=MINTS))
    assert keys._derived.cache_info().misses == missed
