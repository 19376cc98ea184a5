"""The best size of a cycle: by closed form, by search, and what is refused."""

import pytest
from path_pools import Product
from pool_accounts import key, whirlpool, whirlpool_ticks

from spread_scanner import solana
from spread_scanner.paths.confirming import amounts_of, at_size, confirmed, legs_of
from spread_scanner.solana import PoolReason, PoolRefusal, orca_whirlpool
from spread_scanner.solana.pool import Pool
from spread_scanner.solana.tokens import USDC, WSOL

SLOT, UNIX_TS = 453_868_631, 1_790_000_000
POOL = key("pool")
NETS = dict.fromkeys(range(-110, 0, 5), 10**12) | dict.fromkeys(range(5, 115, 5), -(10**12))
DEEP = 10**14


def ticks() -> Pool:
    arrays: dict[int, dict[int, int]] = {}
    for at, net in NETS.items():
        arrays.setdefault(at // 88 * 88, {})[at] = net
    pool = whirlpool(
        spacing=1,
        fee_rate=2_500,
        liquidity=22 * 10**12,
        sqrt_price=orca_whirlpool.PRICES.at(0),
        tick=0,
        mints=(WSOL, USDC),
    )
    near = {
        orca_whirlpool.array_key(POOL, start): whirlpool_ticks(POOL, start, 1, nets)
        for start, nets in arrays.items()
    }
    return solana.assemble(POOL, {POOL: pool, **near})


def product(number: int, ratio: float, fee: int = 2_500) -> Pool:
    return Product(f"p{number}", (WSOL, USDC), (DEEP, int(DEEP * ratio)), fee, "v4").pool()


def pays(amounts: tuple[int, ...]) -> int:
    return amounts[-1] - amounts[0]


@pytest.mark.parametrize("ratio", [1.02, 1.006, 0.99])
def test_a_search_through_ticks_finds_what_no_grid_betters(ratio: float) -> None:
    pools = {"p0": product(0, ratio), "pool": ticks()}
    route = ("p0", "pool") if ratio > 1 else ("pool", "p0")
    legs = legs_of(route, pools, WSOL)
    best = confirmed(legs, UNIX_TS, SLOT)
    assert best.profit > 0
    assert best.amounts == amounts_of(legs, best.amounts[0], UNIX_TS, SLOT)
    for part in range(1, 400):
        size = best.amounts[0] * part // 200
        try:
            grid = pays(amounts_of(legs, size, UNIX_TS, SLOT))
        except PoolRefusal:
            continue
        assert grid <= best.profit * (1 + 1e-5) + 2


def test_products_have_a_closed_form() -> None:
    pools = {"p0": product(0, 1.0), "p1": product(1, 1.02)}
    legs = legs_of(("p1", "p0"), pools, WSOL)
    best = confirmed(legs, UNIX_TS, SLOT)
    by_hand = max(
        (pays(amounts_of(legs, best.amounts[0] * part // 1_000, UNIX_TS, SLOT)), part)
        for part in range(500, 1_500)
    )
    assert by_hand[0] <= best.profit + 4
    assert 900 < by_hand[1] < 1_100
    assert 0 < best.depth_used() < 0.01


def test_what_does_not_pay_is_told_as_a_loss() -> None:
    pools = {"p0": product(0, 1.0), "p1": product(1, 1.0)}
    assert confirmed(legs_of(("p0", "p1"), pools, WSOL), UNIX_TS, SLOT).profit <= 0


WRONG = {
    "a pool twice": (("p0", "p0"), WSOL, PoolReason.WRONG_MINT),
    "one that does not come back": (("p0",), WSOL, PoolReason.WRONG_MINT),
    "another mint": (("p0", "p1"), "x", PoolReason.WRONG_MINT),
    "a pool that is gone": (("p0", "p9"), WSOL, PoolReason.MISSING),
}


@pytest.mark.parametrize(("route", "mint", "reason"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_cycle_is_refused(route: tuple[str, ...], mint: str, reason: PoolReason) -> None:
    pools = {"p0": product(0, 1.0), "p1": product(1, 1.0)}
    with pytest.raises(PoolRefusal) as caught:
        legs_of(route, pools, mint)
    assert caught.value.reason is reason


def test_an_amount_that_is_too_small_is_refused() -> None:
    pools = {"p0": product(0, 1e-9), "p1": product(1, 1e-9)}
    with pytest.raises(PoolRefusal) as caught:
        at_size(legs_of(("p0", "p1"), pools, WSOL), 5, UNIX_TS, SLOT)
    assert caught.value.reason is PoolReason.TOO_SMALL
