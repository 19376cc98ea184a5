"""The native search: what it is given, what it keeps, and that a bound hides nothing; and the graph
that it searches, as pools come, move and go.
"""

import itertools
import math
import random
from collections.abc import Mapping

import numpy as np
import pytest

from spread_scanner.paths._search import HOPS_MAX, best_cycles
from spread_scanner.paths.graph import PoolGraph, TokenCycle

Edges = dict[tuple[int, int], float]


def rows(tokens: int, edges: Edges) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ordered = sorted(edges)
    counts = np.bincount([tail for tail, _ in ordered], minlength=tokens)
    starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
    heads = np.array([head for _, head in ordered], np.int32)
    return starts, heads, np.array([edges[ends] for ends in ordered])


def by_hand(tokens: int, edges: Edges, hops_max: int) -> list[tuple[float, tuple[int, ...]]]:
    found = []
    for hops in range(2, hops_max + 1):
        for path in itertools.permutations(range(tokens), hops):
            ends = [*zip(path, (*path[1:], path[0]), strict=True)]
            if path[0] == min(path) and all(one in edges for one in ends):
                found.append((sum(edges[one] for one in ends), path))
    return sorted((one for one in found if one[0] > 0), reverse=True)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("hops_max", range(2, HOPS_MAX + 1))
def test_all_that_gain_are_found_and_the_best_are_kept(seed: int, hops_max: int) -> None:
    rng = np.random.default_rng(seed)
    edges = {
        (tail, head): float(rng.normal(-0.05, 0.2))
        for tail, head in itertools.permutations(range(8), 2)
        if rng.random() < 0.6
    }
    graph, expected = rows(8, edges), by_hand(8, edges, hops_max)
    gains, paths = best_cycles(*graph, hops_max, 0.0, 10**5)
    assert gains == pytest.approx([gain for gain, _ in expected])
    named = {tuple(token for token in path if token >= 0) for path in paths.tolist()}
    assert named == {path for _, path in expected}
    few, _ = best_cycles(*graph, hops_max, 0.0, 5)
    assert few == pytest.approx([gain for gain, _ in expected[:5]])

    for number, (tail, head) in enumerate(sorted(edges)):
        gains, paths = best_cycles(*graph, hops_max, 0.0, 10**5, [(tail, number)])
        over = [
            gain
            for gain, path in expected
            if (tail, head) in zip(path, (*path[1:], path[0]), strict=True)
        ]
        assert gains == pytest.approx(over)
        assert all(path[:2] == [tail, head] for path in paths.tolist())


def test_an_edge_that_is_gone_is_no_edge() -> None:
    graph = rows(2, {(0, 1): 1.0, (1, 0): -math.inf})
    assert len(best_cycles(*graph, 2, -1e-12, 5)[0]) == 0


GRAPH = rows(2, {(0, 1): 1.0, (1, 0): 1.0})
WRONG = {
    "one hop": (*GRAPH, 1, 0.0, 5),
    "six hops": (*GRAPH, HOPS_MAX + 1, 0.0, 5),
    "room for none": (*GRAPH, 2, 0.0, 0),
    "heads beyond": (GRAPH[0], np.array([1, 2], np.int32), GRAPH[2], 2, 0.0, 5),
    "heads below": (GRAPH[0], np.array([1, -1], np.int32), GRAPH[2], 2, 0.0, 5),
    "falling starts": (np.array([0, 3, 2], np.int32), *GRAPH[1:], 2, 0.0, 5),
    "starts that end early": (np.array([0, 1, 1], np.int32), *GRAPH[1:], 2, 0.0, 5),
    "other numbers": (GRAPH[0].astype(np.int64), *GRAPH[1:], 2, 0.0, 5),
    "too few gains": (*GRAPH[:2], GRAPH[2][:1], 2, 0.0, 5),
    "an edge of another token": (*GRAPH, 2, 0.0, 5, [(1, 0)]),
    "a token beyond": (*GRAPH, 2, 0.0, 5, [(2, 0)]),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_graph_is_refused(wrong: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        best_cycles(*wrong)  # type: ignore[arg-type]


def cycles_of(graph: PoolGraph, found: list[TokenCycle]) -> dict[frozenset[tuple[str, str]], float]:
    """Their gains, by the swaps of their tokens."""
    named = {}
    for cycle in found:
        mints = [graph.mints[token] for token in cycle.tokens]
        named[frozenset(zip(mints, [*mints[1:], mints[0]], strict=True))] = cycle.gain
    assert len(named) == len(found), "none twice"
    return named


def built(pools: Mapping[str, tuple[tuple[str, str], tuple[float, float]]]) -> PoolGraph:
    graph = PoolGraph()
    for key, (mints, gains) in pools.items():
        graph.put(key, mints, gains)
    return graph


@pytest.mark.parametrize("seed", [*range(3), pytest.param(None, id="fresh")])
def test_a_graph_that_changed_is_as_one_built_anew_and_what_moved_is_found_through_it(
    seed: int | None,
) -> None:
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    print(f"seed {seed}")
    rng = random.Random(f"{seed} graph")
    pools: dict[str, tuple[tuple[str, str], tuple[float, float]]] = {}
    graph, hops_max = PoolGraph(), rng.randint(2, HOPS_MAX)
    for _ in range(60):
        changed = rng.sample([f"pool{number}" for number in range(25)], rng.randint(1, 3))
        for key in changed:
            if key in pools and rng.random() < 0.3:
                del pools[key]
                graph.drop(key)
                continue
            one, other = rng.sample(range(8), 2)
            mints = pools[key][0] if key in pools else (f"mint{one}", f"mint{other}")
            fee, price = rng.uniform(0.0, 0.004), rng.gauss(0.0, 0.006)
            pools[key] = mints, (price - fee, -price - fee)
            graph.put(key, *pools[key])
        anew = built(pools)
        every = cycles_of(anew, anew.scan(hops_max, 10**5))
        assert cycles_of(graph, graph.scan(hops_max, 10**5)) == pytest.approx(every)
        assert graph.any_gain() == anew.any_gain()
        assert not every or graph.any_gain(), "Bellman-Ford knows of each"
        moved = {pools[key][0] for key in changed if key in pools}
        moved |= {mints[::-1] for mints in moved}
        through = {swaps: gain for swaps, gain in every.items() if swaps & moved}
        assert cycles_of(graph, graph.through(changed, hops_max, 10**5)) == pytest.approx(through)
