"""The native search: what it is given, what it keeps, and that a bound hides nothing."""

import itertools
import math

import numpy as np
import pytest

from spread_scanner.paths._search import HOPS_MAX, best_cycles

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
