"""Group paths: finding cycles over pools, and confirming them with integers.

paths.scan     everything searched: 1,000 pools to 4 and to 5 hops, the best 100 by tokens kept, in
               a market full of cycles and in one that has none; floor: each edge is looked at once
               a hop, numpy; peer: networkx's simple_cycles over the same edges with their gains
               summed, cut off where it takes too long (`networkx_done`)
paths.update   one pool has changed: its edges, and the search through them; p99 is what counts;
               floor: the edges alone; peer: networkx, which begins anew
paths.confirm  eight cycles at their best size, in integers: constant products alone, and pools with
               ticks and bins beside one; floor: their swaps quoted once, at a size that is known

CPU of this process, as the machine has others. What is found is checked: each cycle's gain is
summed anew from the pools, none comes twice, and the confirmed amounts are quoted again.
"""

import importlib.util
import random
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import bench_pools
import numpy as np
from measure import Figure, figure
from path_pools import Product, random_products

from spread_scanner.paths.confirming import ConfirmedCycle, CycleLeg, amounts_of, confirmed, legs_of
from spread_scanner.paths.graph import PoolGraph, TokenCycle, gains_of
from spread_scanner.solana import assemble
from spread_scanner.solana.pool import Pool

SLOT, UNIX_TS = bench_pools.SLOT, bench_pools.UNIX_TS
SEED, TOKENS, KEPT, CONFIRMED = 16, 40, 100, 8
NETWORKX_S_MAX = 20.0
MARKETS = {"full of cycles": 0.006, "without a cycle": 0.0}
UPDATED_HOPS, UPDATED_MARKET = 4, "full of cycles"


def figures(small: bool) -> Iterator[Figure]:
    count, runs = (60, 3) if small else (1_000, 9)
    for market, noise in MARKETS.items():
        products = random_products(SEED, count, TOKENS, noise)
        graph = _graph(products)
        for hops in (4, 5):
            took = []
            for _ in range(runs):
                ms, found = _took_ms(partial(graph.scan, hops, KEPT))
                took.append(ms)
            _check(products, graph, found, hops)
            peers, done = _networkx_ms(graph, hops, 0.2 if small else NETWORKX_S_MAX)
            if hops == UPDATED_HOPS and market == UPDATED_MARKET:
                anew = peers
            floor = min(_took_ms(partial(_looked_at, graph, hops))[0] for _ in range(runs))
            params: dict[str, Any] = {"pools": count, "hops": hops, "market": market}
            params |= {"cycles": len(found), "networkx_done": done}
            demanded = 500.0 if hops == 4 else 5_000.0
            params["demanded_max"] = demanded
            yield figure("paths.scan", "ms", took, floor=floor, peers=peers, **params)
    yield _update(count, 10 if small else 500, anew)
    yield from _confirm(3 if small else 30)


def _looked_at(graph: PoolGraph, hops: int) -> Any:
    """The most that any walk of so many hops gains from each token."""
    starts, heads, gains = graph.arrays()
    most = np.zeros(len(starts) - 1)
    for _ in range(hops):
        most = np.maximum.reduceat(gains + most[heads], starts[:-1])
    return most


def _took_ms(what: Callable[[], Any]) -> tuple[float, Any]:
    begun_ns = time.process_time_ns()
    found = what()
    return (time.process_time_ns() - begun_ns) / 1e6, found


def _graph(products: list[Product]) -> PoolGraph:
    graph = PoolGraph()
    for one in products:
        gains = gains_of(one.pool(), SLOT)
        if gains is not None:
            graph.put(one.key, one.mints, gains)
    graph.arrays()
    return graph


def _check(
    products: list[Product], graph: PoolGraph, found: list[TokenCycle], hops_max: int
) -> None:
    """Each gains what its pools say, best first, none twice."""
    gains: dict[tuple[str, str], float] = {}
    for one in products:
        both = gains_of(one.pool(), SLOT)
        assert both is not None
        for ends, gain in zip((one.mints, one.mints[::-1]), both, strict=True):
            gains[ends] = max(gain, gains.get(ends, -np.inf))
    if len({cycle.tokens for cycle in found}) != len(found):
        raise RuntimeError("a cycle came twice")
    for cycle in found:
        mints = [graph.mints[token] for token in cycle.tokens]
        summed = sum(gains[ends] for ends in zip(mints, [*mints[1:], mints[0]], strict=True))
        if abs(summed - cycle.gain) > 1e-9 or summed <= 0 or not 2 <= len(mints) <= hops_max:
            raise RuntimeError(f"{mints} gains {summed}, not {cycle.gain}")
    if sorted(found, key=lambda cycle: -cycle.gain) != found:
        raise RuntimeError("not the best first")


def _networkx_ms(graph: PoolGraph, hops: int, s_max: float) -> tuple[dict[str, float], bool]:
    """The same question of networkx, where it is installed."""
    if importlib.util.find_spec("networkx") is None:
        return {}, False
    import networkx

    starts, heads, gains = graph.arrays()
    digraph = networkx.DiGraph()
    for tail in range(len(starts) - 1):
        for edge in range(starts[tail], starts[tail + 1]):
            digraph.add_edge(tail, int(heads[edge]), gain=float(gains[edge]))
    begun = time.process_time()
    best: list[tuple[float, list[int]]] = []
    for cycle in networkx.simple_cycles(digraph, length_bound=hops):
        pairs = zip(cycle, [*cycle[1:], cycle[0]], strict=True)
        gain = sum(digraph.edges[ends]["gain"] for ends in pairs)
        if gain > 0:
            best.append((gain, cycle))
        if time.process_time() - begun > s_max:
            return {"networkx": 1e3 * s_max}, False
    best = sorted(best, reverse=True)[:KEPT]
    return {"networkx": 1e3 * (time.process_time() - begun)}, True


def _update(count: int, changes: int, peers: dict[str, float]) -> Figure:
    """Pools change one after the other, as swaps have them."""
    rng = random.Random(SEED)
    products = random_products(SEED, count, TOKENS, MARKETS[UPDATED_MARKET])
    graph = _graph(products)
    took, put = [], []
    for _ in range(changes):
        one = rng.choice(products)
        pool = one._replace(
            reserves=(int(one.reserves[0] * rng.uniform(0.97, 1.03)), one.reserves[1])
        )
        gains = gains_of(pool.pool(), SLOT)
        assert gains is not None

        def update(key: str = one.key, mints: Any = one.mints, gains: Any = gains) -> Any:
            graph.put(key, mints, gains)
            return graph.through([key], UPDATED_HOPS, KEPT)

        put.append(_took_ms(partial(graph.put, one.key, one.mints, gains))[0])
        took.append(_took_ms(update)[0])
    params: dict[str, Any] = {"pools": count, "hops": UPDATED_HOPS, "demanded_p99_max": 5.0}
    return figure("paths.update", "ms", took, floor=float(np.median(put)), peers=peers, **params)


def _confirm(runs: int) -> Iterator[Figure]:
    products = random_products(SEED, 200, 20, MARKETS["full of cycles"])
    graph, pools = _graph(products), {one.key: one.pool() for one in products}
    routes = []
    for cycle in graph.scan(4, CONFIRMED):
        route = next(graph.routes(cycle))
        routes.append((route.pools, pools, graph.mints[cycle.tokens[0]]))
    yield _confirmed_figure("constant products", routes, runs)
    yield _confirmed_figure("ticks and bins", [_beside(program) for program in _CONCENTRATED], runs)


_CONCENTRATED = ("raydium_clmm", "orca_whirlpool", "meteora_dlmm") * 3


def _beside(program: str) -> tuple[tuple[str, ...], dict[str, Pool], str]:
    """A pool with ticks or bins, and a constant product whose price is 2 % off it: the best size
    goes through many of them."""
    accounts = bench_pools.MAKERS[program](bench_pools.HERE)
    pool = assemble(bench_pools.POOL, accounts)
    deep = 10**14
    beside = Product("beside", pool.mints, (deep, int(deep * 1.02)), 2_500, "v4").pool()
    return ("beside", "pool"), {"beside": beside, "pool": pool}, pool.mints[0]


def _confirm_all(all_legs: Sequence[Sequence[CycleLeg]]) -> list[ConfirmedCycle]:
    return [confirmed(legs, UNIX_TS, SLOT) for legs in all_legs]


def _confirmed_figure(kind: str, routes: list[Any], runs: int) -> Figure:
    routes = routes[:CONFIRMED]
    took = []
    for _ in range(runs):
        all_legs = [legs_of(*route) for route in routes]
        ms, found = _took_ms(partial(_confirm_all, all_legs))
        took.append(ms)
    for one in found:
        if one.profit <= 0 or amounts_of(one.legs, one.amounts[0], UNIX_TS, SLOT) != one.amounts:
            raise RuntimeError(f"{kind}: {one.amounts}")
    floor = min(_took_ms(partial(_quoted_once, found))[0] for _ in range(runs))
    params: dict[str, Any] = {"kind": kind, "cycles": len(routes), "demanded_max": 50.0}
    return figure("paths.confirm", "ms", took, floor=floor, **params)


def _quoted_once(found: Sequence[ConfirmedCycle]) -> Any:
    return [amounts_of(one.legs, one.amounts[0], UNIX_TS, SLOT) for one in found]
