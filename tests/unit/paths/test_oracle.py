"""Every cycle that pays is found, and none is invented: against a brute force of its own."""

import math
import random

import pytest
from path_pools import WORTH_LOG, Product, best_paid, every_cycle, paid, random_products

from spread_scanner.paths.confirming import confirmed, legs_of
from spread_scanner.paths.graph import PoolGraph, gains_of

SLOT, UNIX_TS = 350_000_000, 1_800_000_000
ALL = 1_000_000
# What rounding takes at four hops, a unit of any token each: by so much the best size is chance.
ROUNDING = 4 * math.exp(2 * WORTH_LOG)


def graph_of(products: list[Product]) -> PoolGraph:
    graph = PoolGraph()
    for one in products:
        pool = one.pool()
        gains = gains_of(pool, SLOT)
        assert gains is not None
        graph.put(one.key, pool.mints, gains)
    return graph


def found_by_us(products: list[Product], hops_max: int) -> dict[frozenset[str], tuple[int, int]]:
    """What each cycle pays, of how much, by its directed edges."""
    graph = graph_of(products)
    pools = {one.key: one.pool() for one in products}
    found = {}
    for cycle in graph.scan(hops_max, ALL):
        mint = min(graph.mints[token] for token in cycle.tokens)
        at = cycle.tokens.index(graph.mints.index(mint))
        for route in graph.routes(cycle):
            keys = (*route.pools[at:], *route.pools[:at])
            best = confirmed(legs_of(keys, pools, mint), UNIX_TS, SLOT)
            if best.profit > 0:
                legs = frozenset(f"{leg.key} {leg.mint_in}" for leg in best.legs)
                found[legs] = best.profit, best.amounts[0]
    return found


@pytest.mark.parametrize("seed", [*range(3), pytest.param(None, id="fresh")])
def test_every_cycle_of_forty_pools_that_pays_is_found_and_none_is_invented(
    seed: int | None,
) -> None:
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    print(f"seed {seed}")
    products = random_products(seed, 40, 24, 0.006)
    ours = found_by_us(products, 4)
    every = {}
    for mint, route in every_cycle(products, 4):
        at, edges = mint, list[str]()
        for pool in route:
            edges.append(f"{pool.key} {at}")
            at = pool.mints[1 - pool.mints.index(at)]
        best, amount = best_paid(route, mint)
        every[frozenset(edges)] = best, amount, route, mint
    pays = {legs for legs, (best, *_) in every.items() if best > ROUNDING}
    assert pays, "a market without a cycle shows nothing"
    assert ours.keys() - every.keys() == set(), "no cycles"
    assert pays - ours.keys() == set(), "missed"
    for legs, (profit, amount) in ours.items():
        best, _, route, mint = every[legs]
        assert paid(route, mint, amount) == profit > 0, "invented: not the pools' own integers"
        assert profit >= best - max(ROUNDING, best // 10_000), "not the best size"
