"""Which cycles of swaps gain, before anybody has asked for a size. Pure.

Nodes are tokens, and every pool is an edge each way, whose gain is the logarithm of what a swap of
next to nothing gives for one, its fees off. No larger swap gives more, so that a cycle whose gains
do not sum to more than nothing pays at no size: nothing is missed here, and what is found has to be
confirmed with integers. Between two tokens only the best pool counts for the search; which pools a
cycle is to go through is asked for afterwards, best first (`routes`).

Bellman-Ford (rustworkx) says whether there is a cycle of any length at all (`any_gain`).
"""

import heapq
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import rustworkx

from spread_scanner.paths._search import HOPS_MAX, best_cycles
from spread_scanner.solana.pool import Pool
from spread_scanner.solana.tokens import BPS_ALL, epoch_of

__all__ = ["HOPS_MAX", "PoolGraph", "Route", "TokenCycle", "gains_of"]

GAIN_SLACK = 1e-12  # sums of five logarithms are this exact: on this side nothing is missed


class TokenCycle(NamedTuple):
    """A cycle by its tokens, from the lowest on, and what its best pools gain at size nothing."""

    tokens: tuple[int, ...]
    gain: float


class Route(NamedTuple):
    """The pools that a cycle goes through, one from each of its tokens to the next."""

    pools: tuple[str, ...]
    gain: float


def gains_of(pool: Pool, slot: int) -> tuple[float, float] | None:
    """What the next to nothing of token 0, and of token 1, gains there; None where there is no
    price. A fee that grows with volatility counts as it is at least."""
    numerator, denominator = pool.price_ratio(0, slot)
    if numerator <= 0 or denominator <= 0:
        return None
    epoch = epoch_of(slot)
    kept = 1 - (pool.fee_rate() or 0.0)
    for mint in pool.token_mints():
        kept *= 1 - mint.fee(epoch).bps / BPS_ALL
    if kept <= 0:
        return None
    ratio, fees = math.log(numerator) - math.log(denominator), math.log(kept)
    return fees + ratio, fees - ratio


class _Held(NamedTuple):
    """A pool as an edge each way: the gain from `tokens[0]`, and from `tokens[1]`."""

    tokens: tuple[int, int]
    gains: tuple[float, float]


class PoolGraph:
    """The pools that may be traded now."""

    def __init__(self) -> None:
        self.mints: list[str] = []
        self._numbers: dict[str, int] = {}
        self._pools: dict[str, _Held] = {}
        self._between: dict[tuple[int, int], dict[str, float]] = {}  # by pool, each way
        self._edges: dict[tuple[int, int], int] = {}
        self._starts = np.zeros(1, np.int32)
        self._heads = np.zeros(0, np.int32)
        self._gains = np.zeros(0, np.float64)
        self._built = False

    def __len__(self) -> int:
        return len(self._pools)

    def put(self, key: str, mints: tuple[str, str], gains: tuple[float, float]) -> None:
        """A pool, new or with other gains. Its mints stay."""
        one, other = (self._number(mint) for mint in mints)
        self._pools[key] = _Held((one, other), gains)
        for ends, gain in (((one, other), gains[0]), ((other, one), gains[1])):
            if ends not in self._between:
                self._between[ends] = {}
                self._built = False
            self._between[ends][key] = gain
            self._refresh(ends)

    def drop(self, key: str) -> None:
        """It may be traded no more."""
        held = self._pools.pop(key, None)
        if held is not None:
            for ends in (held.tokens, held.tokens[::-1]):
                del self._between[ends][key]
                self._refresh(ends)

    def keys(self) -> Iterable[str]:
        return self._pools.keys()

    def _number(self, mint: str) -> int:
        if mint not in self._numbers:
            self._numbers[mint] = len(self.mints)
            self.mints.append(mint)
            self._built = False
        return self._numbers[mint]

    def _refresh(self, ends: tuple[int, int]) -> None:
        if self._built:
            self._gains[self._edges[ends]] = self._best(ends)

    def _best(self, ends: tuple[int, int]) -> float:
        return max(self._between[ends].values(), default=-math.inf)

    def _build(self) -> None:
        """Rows of edges by their tails, as the native search reads them."""
        if self._built:
            return
        ordered = sorted(self._between)
        self._edges = {ends: place for place, ends in enumerate(ordered)}
        tails = np.array([tail for tail, _ in ordered], np.int64)
        counts = np.bincount(tails, minlength=len(self.mints))
        self._starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        self._heads = np.array([head for _, head in ordered], np.int32)
        self._gains = np.array([self._best(ends) for ends in ordered], np.float64)
        self._built = True

    def arrays(
        self,
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float64]]:
        """The best edge of each ordered pair of tokens: starts (tokens + 1,), heads, gains."""
        self._build()
        return self._starts, self._heads, self._gains

    # --- what is found

    def scan(self, hops_max: int, limit: int) -> list[TokenCycle]:
        """The best cycles of all, by their tokens, best first."""
        if not self._pools:
            return []
        return self._named(best_cycles(*self.arrays(), hops_max, -GAIN_SLACK, limit))

    def through(self, keys: Iterable[str], hops_max: int, limit: int) -> list[TokenCycle]:
        """The best cycles that these pools' tokens are swapped in, whichever pool swaps them."""
        held = (self._pools[key].tokens for key in keys if key in self._pools)
        ends = {way for tokens in held for way in (tokens, tokens[::-1])}
        if not ends:
            return []
        arrays = self.arrays()
        through = [(tail, self._edges[tail, head]) for tail, head in sorted(ends)]
        return self._named(best_cycles(*arrays, hops_max, -GAIN_SLACK, limit, through))

    def _named(
        self, found: tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]
    ) -> list[TokenCycle]:
        cycles: dict[tuple[int, ...], float] = {}
        for gain, row in zip(found[0].tolist(), found[1].tolist(), strict=True):
            tokens = [token for token in row if token >= 0]
            first = tokens.index(min(tokens))
            cycles.setdefault((*tokens[first:], *tokens[:first]), gain)
        return [TokenCycle(tokens, gain) for tokens, gain in cycles.items()]

    def routes(self, cycle: TokenCycle) -> Iterator[Route]:
        """Every choice of pools by which the cycle gains, the best first, no pool twice."""
        hops = list(zip(cycle.tokens, (*cycle.tokens[1:], cycle.tokens[0]), strict=True))
        choices = [sorted(self._between[ends].items(), key=lambda one: -one[1]) for ends in hops]
        first = (0,) * len(hops)
        waiting, seen = [(-_sum(choices, first), first)], {first}
        while waiting:
            loss, places = heapq.heappop(waiting)
            if loss >= GAIN_SLACK:
                return
            pools = tuple(of[at][0] for of, at in zip(choices, places, strict=True))
            if len(set(pools)) == len(pools):
                yield Route(pools, -loss)
            for hop, at in enumerate(places):
                following = (*places[:hop], at + 1, *places[hop + 1 :])
                if at + 1 < len(choices[hop]) and following not in seen:
                    seen.add(following)
                    heapq.heappush(waiting, (-_sum(choices, following), following))

    def any_gain(self) -> bool:
        """Whether any cycle gains, however long it is."""
        graph: rustworkx.PyDiGraph[int, float] = rustworkx.PyDiGraph()
        graph.add_nodes_from(range(len(self.mints)))
        best = ((*ends, -self._best(ends)) for ends in self._between)
        graph.add_edges_from([edge for edge in best if edge[2] < math.inf])
        return rustworkx.negative_edge_cycle(graph, float)


def _sum(choices: list[list[tuple[str, float]]], places: tuple[int, ...]) -> float:
    return sum(of[at][1] for of, at in zip(choices, places, strict=True))
