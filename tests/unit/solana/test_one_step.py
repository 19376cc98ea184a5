"""A swap by what is remembered of the way to each tick says what a walk through the ticks says, to
the last unit.
"""

import contextlib
import itertools
import random
from typing import Any

import pytest
from pool_accounts import key, whirlpool, whirlpool_ticks

from spread_scanner import solana
from spread_scanner.solana.concentrated import (
    TICK_MAX,
    TICK_MIN,
    ConcentratedPool,
    FeeRules,
    RangeEnd,
    Start,
    TickAt,
    TickRange,
    _way,
    walk,
)
from spread_scanner.solana.orca_whirlpool import PRICES, array_key
from spread_scanner.solana.tokens import USDC, WSOL

POOL = key("pool")
NETS = {-7: 10**12, -3: 5 * 10**11, 4: -(5 * 10**11), 9: -(10**12)}


def pool_at(tick: int, beyond: int, deep: int) -> ConcentratedPool:
    nets = {at: net * deep for at, net in NETS.items()}
    below = {at: net for at, net in nets.items() if at < 0}
    above = {at: net for at, net in nets.items() if at >= 0}
    liquidity = sum(net for at, net in nets.items() if at <= tick)
    accounts = {
        POOL: whirlpool(
            spacing=1,
            fee_rate=2_500,
            liquidity=liquidity,
            sqrt_price=PRICES.at(tick) + beyond,
            tick=tick,
            mints=(WSOL, USDC),
        ),
        array_key(POOL, -88): whirlpool_ticks(POOL, -88, 1, below),
        array_key(POOL, 0): whirlpool_ticks(POOL, 0, 1, above),
    }
    found = solana.assemble(POOL, accounts)
    assert isinstance(found, ConcentratedPool)
    return found


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("by_input", [False, True])
@pytest.mark.parametrize(
    ("tick", "beyond", "deep"),
    [
        (0, 0, 1),
        (1, 12_345_678, 1),
        (4, 0, 1),
        (-3, 0, 1),
        (-4, 99, 1),
        (0, 0, 10**7),
        (-4, 99, 10**7),
        # So deep that the least step of the price is worth more than was asked for: no way has it.
        (0, 0, 10**8 + 1),
        (-4, 99, 10**8 + 1),
    ],
)
def test_the_way_and_a_walk_agree(
    tick: int, beyond: int, deep: int, by_input: bool, down: bool
) -> None:
    pool, rng = pool_at(tick, beyond, deep), random.Random(f"{tick} {beyond} {by_input} {down}")
    crossed, rules = set(), pool.rules(down, 0)
    with contextlib.suppress(solana.PoolRefusal):
        pool.swap(down, 10**11 * deep, by_input, 0)
    ticks = [used + by for used in pool._way(down, by_input, rules).used[1:] for by in (-1, 0, 1)]
    assert ticks or deep > 10**7
    large = [int(10 ** rng.uniform(0, 10) * deep) for _ in range(150)]
    small = [int(10 ** rng.uniform(0, 5)) for _ in range(150)]
    for amount in (*filter(None, ticks), *large, *small):
        try:
            path = walk(pool._start, pool.ticks, amount, down=down, by_input=by_input, rules=rules)
        except solana.PoolRefusal as refusal:
            with pytest.raises(solana.PoolRefusal, match=str(refusal.reason.value)):
                pool.swap(down, amount, by_input, 0)
            continue
        found = pool.swap(down, amount, by_input, 0)
        fee = sum(one for one, _ in path.fees)
        assert (found.amount_in, found.amount_out) == (path.amount_in, path.amount_out)
        assert (found.fee, found.crossed) == (fee, path.crossed)
        crossed.add(found.crossed)
    assert crossed


def any_pool(rng: random.Random) -> tuple[Start, TickRange]:
    """At any price there is, however deep, with steps of any length."""
    wide = rng.choice((20, 3_000, 400_000))
    middle = rng.randrange(TICK_MIN + wide, TICK_MAX - wide)
    tick = rng.randrange(middle - wide, middle + wide)
    price = rng.randrange(PRICES.at(tick), PRICES.at(tick + 1))
    liquidity = int(2 ** rng.uniform(0, 64))
    indexes = tuple(sorted(rng.sample(range(middle - wide, middle + wide), rng.randrange(2, 30))))
    nets = [rng.choice((-1, 1)) * int(liquidity * rng.random() ** 4) for _ in indexes]
    met = tuple(
        TickAt(at, PRICES.at(at), net, int(rng.random() < 0.05))
        for at, net in zip(indexes, nets, strict=True)
    )
    low, high = min(indexes[0], tick) - 1, max(indexes[-1], tick) + 1
    ends = (RangeEnd(at, PRICES.within(at), None) for at in (low, high))
    return Start(price, tick, liquidity), TickRange(met, indexes, *ends)


def test_in_any_pool_what_the_way_says_a_walk_says() -> None:
    """To the last unit; where it says nothing but that it is too much, that is refused."""
    told = refused = 0
    for seed in range(80):
        rng = random.Random(f"any pool {seed}")
        start, ticks = any_pool(rng)
        rules = FeeRules(rng.choice((0, 100, 2_500, 999_999)))
        for down, by_input in itertools.product((False, True), repeat=2):
            way = _way(start, ticks, rules, down, by_input)
            amounts = {int(2 ** rng.uniform(0, 64)) for _ in range(30)}
            edges = {used + by for used in way.used for by in (-1, 0, 1)}
            for amount in (*amounts, *edges, 2**64 - 1):
                if not 0 < amount < 2**64:
                    continue
                print(f"{seed=} {down=} {by_input=} {amount=}")
                asked: dict[str, Any] = {"down": down, "by_input": by_input, "rules": rules}
                if (found := way.swap(amount)) is not None:
                    path = walk(start, ticks, amount, **asked)
                    assert (found.amount_in, found.amount_out) == (path.amount_in, path.amount_out)
                    fee = sum(one for one, _ in path.fees)
                    assert (found.fee, found.crossed) == (fee, path.crossed)
                    told += 1
                elif way.all_used is not None and amount > way.all_used:
                    with pytest.raises(solana.PoolRefusal):
                        walk(start, ticks, amount, **asked)
                    refused += 1
    print(f"{told=} {refused=}")
    assert told > 1_000
    assert refused > 100


@pytest.mark.parametrize("by_input", [False, True])
@pytest.mark.parametrize("down", [False, True])
def test_a_tick_that_takes_more_than_there_is_ends_in_a_refusal(down: bool, by_input: bool) -> None:
    """As a provider may tell it: what was swapped beyond it would cost less than nothing."""
    more, sign = 2 * 10**12, 1 if down else -1
    nets = {-7: more, -20: -more} if down else {7: -more, 20: more}
    pool = solana.assemble(
        POOL,
        {
            POOL: whirlpool(
                spacing=1,
                fee_rate=2_500,
                liquidity=10**12,
                sqrt_price=PRICES.at(0),
                tick=0,
                mints=(WSOL, USDC),
            ),
            array_key(POOL, -88): whirlpool_ticks(POOL, -88, 1, {-80: sign} | nets if down else {}),
            array_key(POOL, 0): whirlpool_ticks(POOL, 0, 1, {} if down else {80: sign} | nets),
        },
    )
    for amount in (4 * 10**8, 10**9):
        with pytest.raises(solana.PoolRefusal) as caught:
            pool.swap(down, amount, by_input, 0)
        assert caught.value.reason is solana.PoolReason.BAD_VALUE
    assert pool.swap(down, 10**8, by_input, 0).amount_in > 0
