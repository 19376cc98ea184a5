"""The best size of a cycle: by closed form, by search, and what is refused."""

import pytest
from msgspec.structs import replace
from path_pools import Product
from pool_accounts import key, whirlpool, whirlpool_ticks

from spread_scanner import solana
from spread_scanner.paths.confirming import amounts_of, at_size, confirmed, legs_of
from spread_scanner.schema.pools import CLOCK_OFF_S
from spread_scanner.solana import PoolReason, PoolRefusal, orca_whirlpool
from spread_scanner.solana.pool import Filled, Pool
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


class Clocked(Pool):
    """A product whose fee, in millionths, is by the chain's second; closed before one and after
    another."""

    def __init__(self, inner: Pool, per_s: int, opens_s: int = -99, closes_s: int = 99) -> None:
        super().__init__(inner.mints, inner.token_mints())
        self._inner, self._per_s, self._open_s = inner, per_s, range(opens_s, closes_s)

    def reserves(self) -> tuple[int, int]:
        return self._inner.reserves()

    def price_ratio(self, unix_ts: int = 0, slot: int = 0) -> tuple[int, int]:
        return self._inner.price_ratio(unix_ts, slot)

    def check_open(self, unix_ts: int, slot: int) -> None:
        if unix_ts - UNIX_TS not in self._open_s:
            raise PoolRefusal(PoolReason.CLOSED, unix_ts=unix_ts)

    def swap(self, down: bool, amount: int, by_input: bool, unix_ts: int, slot: int = 0) -> Filled:
        fee = amount * (1_000 + self._per_s * (unix_ts - UNIX_TS)) // 1_000_000
        filled = self._inner.swap(down, amount - fee, by_input, unix_ts, slot)
        return replace(filled, amount_in=amount, fee=filled.fee + fee)


@pytest.mark.parametrize(("per_s", "worse_s"), [(100, CLOCK_OFF_S), (-100, -CLOCK_OFF_S)])
def test_what_changes_with_the_clock_pays_by_the_worse_of_two_seconds(
    per_s: int, worse_s: int
) -> None:
    pools = {"p0": product(0, 1.02), "p1": Clocked(product(1, 1.0), per_s)}
    legs = legs_of(("p0", "p1"), pools, WSOL)
    found = confirmed(legs, UNIX_TS, SLOT)
    size = found.amounts[0]
    worse, better = (amounts_of(legs, size, UNIX_TS + at_s, SLOT) for at_s in (worse_s, -worse_s))
    assert pays(worse) < pays(amounts_of(legs, size, UNIX_TS, SLOT)) < pays(better)
    assert found.amounts == worse
    assert at_size(legs, size, UNIX_TS, SLOT).amounts == worse


@pytest.mark.parametrize("open_s", [(-CLOCK_OFF_S + 1, 99), (-99, CLOCK_OFF_S)])
def test_a_pool_that_may_be_closed_by_the_clock_is_refused(open_s: tuple[int, int]) -> None:
    pools = {"p0": product(0, 1.02), "p1": Clocked(product(1, 1.0), 0, *open_s)}
    with pytest.raises(PoolRefusal) as caught:
        confirmed(legs_of(("p0", "p1"), pools, WSOL), UNIX_TS, SLOT)
    assert caught.value.reason is PoolReason.CLOSED
