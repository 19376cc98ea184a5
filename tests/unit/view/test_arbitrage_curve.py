"""A pool's curve, as a scan has it of its cell, against the simulator's exact maths."""

from fractions import Fraction

import pytest

from spread_scanner.sim.chain_kinds import made
from spread_scanner.sim.chain_pools import SimPool
from spread_scanner.view.arbitrage import PoolLeg

SIZE_QUOTE = 1_000.0
FEES = {"raydium-v4": 0.0025, "raydium-cpmm": 0.0025, "orca-whirlpool": 0.0004}


def leg_of(pool: SimPool) -> PoolLeg:
    base, quote = (
        float(amount / 10**coin.decimals)
        for amount, coin in zip(pool.reserves(), pool.coins, strict=True)
    )
    price = float(pool.price())
    return PoolLeg("", "", 0, price, price, base, quote, FEES[pool.kind], SIZE_QUOTE / price, False)


POOLS = [pool for pool in made(2, 10) if pool.kind in FEES]


@pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool.kind)
def test_what_a_size_costs_and_brings_is_what_the_pool_does(pool: SimPool) -> None:
    leg = leg_of(pool)
    size = leg.top(buys=True)
    unit, quote_unit = (10**coin.decimals for coin in pool.coins)
    got = Fraction(pool.quote(0, round(size * unit)), quote_unit)
    assert leg.got(size) == pytest.approx(float(got), rel=1e-6)
    bought = Fraction(pool.quote(1, round(leg.paid(size) * quote_unit)), unit)
    assert float(bought) == pytest.approx(size, rel=1e-6)
