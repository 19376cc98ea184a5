"""Effective prices at a size: by hand on pools of a constant product, and against exact quotes of
their own on any.
"""

import gc
import weakref
from fractions import Fraction

import pytest
from bench_pools import HERE, MAKERS, POOL, SLOT, UNIX_TS
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_accounts import key, whirlpool, whirlpool_ticks
from traded_pools import BONK, MINTS, sol, v4

from spread_scanner.config.pools import MintSettings
from spread_scanner.pools.effective import (
    PoolSides,
    StableQuote,
    as_traded,
    best_of,
    best_sides,
    in_usdt,
    ladder,
    traded,
)
from spread_scanner.pools.units import WholeBecause, WholePool
from spread_scanner.solana import PoolReason, assemble, orca_whirlpool
from spread_scanner.solana.tokens import USDC, USDT, WSOL

COINS = {WSOL: MintSettings("SOL"), USDC: MintSettings("USDC")}
NOW = {"unix_ts": 1_790_000_000, "slot": 453_868_631}


def by_hand(base: int, quote: int, size: int) -> tuple[Fraction, Fraction]:
    """Bid and ask for a size in quote, of a constant product with a fee of 25 bps on the input."""
    keeps = 1 - Fraction(25, 10_000)
    bought = base * (size * keeps) / (quote + size * keeps)
    sold = Fraction(base * size, quote - size) / keeps
    return size / sold, size / bought


def test_bid_and_ask_are_what_is_paid_and_received_for_the_size() -> None:
    one = sol("one", (10_000, 1_500_000))
    found = best_sides([one], 1_000, **NOW)
    bid, ask = by_hand(10_000, 1_500_000, 1_000)
    assert found.bid is not None
    assert found.ask is not None
    assert found.bid.px == pytest.approx(float(bid), rel=1e-8)
    assert found.ask.px == pytest.approx(float(ask), rel=1e-8)
    assert found.bid.px < 150 < found.ask.px
    assert found.bid.size * found.bid.px == pytest.approx(1_000, rel=1e-12)
    assert found.ask.size * found.ask.px == pytest.approx(1_000, rel=1e-12)
    assert (found.bid.pool, found.bid.slot) == (key("one"), 7)
    assert found.refused == {}


def test_the_order_of_the_mints_changes_nothing() -> None:
    one = best_sides([sol("one", (10_000, 1_500_000))], 1_000, **NOW)
    other = best_sides([sol("one", (1_500_000, 10_000), (USDC, WSOL))], 1_000, **NOW)
    assert one == other


def test_the_best_pool_of_each_side_is_taken() -> None:
    cheap, dear = sol("cheap", (10_000, 1_500_000)), sol("dear", (10_000, 1_520_000))
    found = best_sides([cheap, dear], 1_000, **NOW)
    assert found.bid is not None
    assert found.ask is not None
    assert (found.bid.pool, found.ask.pool) == (key("dear"), key("cheap"))


def test_a_deep_pool_is_better_for_much_and_another_for_little() -> None:
    deep, near = sol("deep", (1_000_000, 150_000_000)), sol("near", (1_000, 151_000))
    rungs = ladder([deep, near], [100, 100_000], **NOW)
    assert [rung.size_quote for rung in rungs] == [100, 100_000]
    pools = [rung.sides.bid.pool for rung in rungs if rung.sides.bid is not None]
    assert pools == [key("near"), key("deep")]


def test_what_cannot_be_filled_is_left_out_with_its_reason() -> None:
    small = sol("small", (1, 150))
    found = best_sides([small], 1_000, **NOW)
    assert found.bid is None
    assert found.ask is not None, "it can be bought from for any amount, at what price ever"
    assert found.refused[key("small")].reason is PoolReason.TOO_MUCH
    both = best_sides([small, sol("one", (10_000, 1_500_000))], 1_000, **NOW)
    assert both.bid is not None
    assert both.bid.pool == key("one")


@pytest.mark.parametrize("program", MAKERS)
@pytest.mark.parametrize(("size_quote", "filled"), [(1e-3, True), (1e13, False)])
def test_a_pool_is_gone_with_who_held_it(program: str, size_quote: float, filled: bool) -> None:
    """Each slot makes a hundred anew: what waited for the collector was 15 MB of a process."""
    accounts = MAKERS[program](HERE)
    one = as_traded(POOL, SLOT, assemble(POOL, accounts), COINS)
    assert one is not None
    gone = weakref.ref(one.pool)
    gc.disable()
    try:
        found = best_sides([one], size_quote, unix_ts=UNIX_TS, slot=SLOT)
        assert bool(found.refused) is not filled
        del one
        assert gone() is None
    finally:
        gc.enable()


def test_a_coin_of_several_to_the_token_has_its_own_price_and_size() -> None:
    pool = v4("bonk", (10**9, 20_000), (BONK, USDC))
    assert pool is not None
    assert (pool.symbol, pool.multiplier) == ("BONK-USDC", 2.0)
    found = best_sides([pool], 10, **NOW)
    assert found.ask is not None
    _, ask = by_hand(2 * 10**9, 20_000, 10)
    assert found.ask.px == pytest.approx(float(ask), rel=1e-8)
    assert found.ask.size == pytest.approx(10 / float(ask), rel=1e-8)


def test_what_prices_are_in() -> None:
    assert sol("a", (10, 1_500), (WSOL, USDT)).symbol == "SOL-USDT"
    stable = v4("b", (10_000, 10_000), (USDT, USDC))
    assert stable is not None
    assert (stable.symbol, stable.base_mint) == ("USDC-USDT", USDC)
    assert v4("c", (10, 10**7), (WSOL, BONK)) is None


@settings(deadline=None, max_examples=50)
@given(
    base=st.integers(100, 10**7),
    px=st.integers(1, 1_000),
    sizes=st.lists(st.integers(10, 100_000), min_size=2, max_size=6, unique=True).map(sorted),
)
def test_a_ladder_is_dearer_with_each_rung_and_as_by_hand(
    base: int, px: int, sizes: list[int]
) -> None:
    one = sol("one", (base, base * px))
    rungs = ladder([one], sizes, **NOW)
    for rung in rungs:
        if base * px <= rung.size_quote:
            assert rung.sides.bid is None
            continue
        bid, ask = by_hand(base, base * px, int(rung.size_quote))
        assert rung.sides.bid is not None
        assert rung.sides.ask is not None
        assert rung.sides.bid.px == pytest.approx(float(bid), rel=1e-6)
        assert rung.sides.ask.px == pytest.approx(float(ask), rel=1e-6)
    asks = [rung.sides.ask.px for rung in rungs if rung.sides.ask is not None]
    assert asks == sorted(asks)
    bids = [rung.sides.bid.px for rung in rungs if rung.sides.bid is not None]
    assert bids == sorted(bids, reverse=True)


def test_a_concentrated_pool_ends_where_its_arrays_do() -> None:
    pool, spacing, tick = key("pool"), 4, -18_973  # some 150 USDC a SOL
    state = whirlpool(
        spacing=spacing,
        fee_rate=400,
        liquidity=10**12,
        sqrt_price=orca_whirlpool.PRICES.at(tick),
        tick=tick,
        mints=(WSOL, USDC),
    )
    start = tick // (88 * spacing) * 88 * spacing
    ticks = whirlpool_ticks(pool, start, spacing, {})
    accounts = {pool: state, orca_whirlpool.array_key(pool, start): ticks}
    one = traded(WholePool(pool, 7, accounts, WholeBecause.TOGETHER), MINTS)
    assert one is not None
    small, large = ladder([one], [100, 1_000_000], **NOW)
    assert small.sides.bid is not None
    assert small.sides.ask is not None
    assert 148 < small.sides.bid.px < small.sides.ask.px < 152
    assert (large.sides.bid, large.sides.ask) == (None, None)
    assert large.sides.refused[pool].reason is PoolReason.MISSING


def test_usdc_is_not_usdt() -> None:
    sides = best_sides([sol("one", (10_000, 1_500_000))], 1_000, **NOW)
    assert sides.bid is not None
    assert sides.ask is not None
    found = in_usdt(sides, StableQuote(0.999, 1.001, fresh=True))
    assert found.bid is not None
    assert found.ask is not None
    assert found.bid.px == pytest.approx(sides.bid.px * 0.999, rel=1e-15)
    assert found.ask.px == pytest.approx(sides.ask.px * 1.001, rel=1e-15)
    assert (found.bid.size, found.bid.slot) == (sides.bid.size, 7)


@pytest.mark.parametrize(
    "rate",
    [
        StableQuote(0.999, 1.001, fresh=False),
        StableQuote(0.0, 1.0, fresh=True),
        StableQuote(1.001, 0.999, fresh=True),
        StableQuote(1.0, float("inf"), fresh=True),
        StableQuote(float("nan"), 1.0, fresh=True),
    ],
)
def test_without_a_rate_there_is_no_price_in_usdt(rate: StableQuote) -> None:
    sides = best_sides([sol("one", (10_000, 1_500_000))], 1_000, **NOW)
    found = in_usdt(sides, rate)
    assert (found.bid, found.ask) == (None, None)


def test_pools_against_usdt_and_others_through_the_rate_are_one_price() -> None:
    through = in_usdt(
        best_sides([sol("one", (10_000, 1_500_000))], 1_000, **NOW),
        StableQuote(0.999, 1.001, fresh=True),
    )
    direct = best_sides([sol("two", (10_000, 1_500_000), (WSOL, USDT))], 1_000, **NOW)
    found = best_of([through, direct])
    assert found.bid is not None
    assert found.bid.pool == key("two")
    assert best_of([through, PoolSides(None, None, {})]).bid == through.bid
    assert best_of([]) == PoolSides(None, None, {})
