"""A pretend Jupiter: quotes over the pretend chain's pools, in the shapes of both interfaces.

One pool, or two over a coin in between, whatever gives most. It wants a key, and counts whoever
asks more often than it allows: `over` stays 0 for a client that keeps its pace. Written from the
documentation, and one recorded answer.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.sim.chain import Chain
from spread_scanner.sim.chain_pools import SimPool

PATHS = {"/swap/v1/quote": "percent", "/swap/v2/order": "bps"}
ALL = {"percent": 100, "bps": 10_000}
Answered = tuple[int, dict[str, Any], list[tuple[str, str]]]
_Hop = tuple[SimPool, int, int, int]  # pool, the side that goes in, in, out


class SimJupiter:
    """Whoever asks at /swap."""

    def __init__(self, chain: Chain, *, key: str = "", requests_per_s: int = 100) -> None:
        self.chain, self.key, self.requests_per_s = chain, key, requests_per_s
        self.limited = 0  # so many are answered "too many", whatever their pace
        self.away = False
        self.counts = {"requests": 0, "over": 0}
        self._came_ns: deque[int] = deque()

    def answer(self, target: str, headers: Mapping[str, str]) -> Answered:
        """Status, body and headers."""
        path, query = urlsplit(target)[2:4]
        if self.away or path not in PATHS:
            return (503 if self.away else 404), {}, []
        self.counts["requests"] += 1
        if self._is_over() or self.limited:
            self.limited = max(0, self.limited - 1)
            return 429, {"code": 429, "message": "Rate limit exceeded"}, [("retry-after", "1")]
        if self.key and headers.get("x-api-key") != self.key:
            return 401, {"code": 401, "message": "Unauthorized"}, []
        said = {name: values[-1] for name, values in parse_qs(query).items()}
        try:
            amount, slippage = int(said["amount"]), int(said.get("slippageBps", 50))
            mints = said["inputMint"], said["outputMint"]
        except (KeyError, ValueError):
            return 400, {"error": "Query parameter is wrong", "errorCode": "INVALID_QUERY"}, []
        hops = self._best(*mints, amount, said.get("onlyDirectRoutes") == "true")
        if not hops:
            error = "Could not find any route"
            return 400, {"error": error, "errorCode": "COULD_NOT_FIND_ANY_ROUTE"}, []
        return 200, self._said(hops, slippage, PATHS[path]), []

    def _is_over(self) -> bool:
        """Whether more have come within a second than are allowed, this one with them."""
        now_ns = clock.mono_ns()
        self._came_ns.append(now_ns)
        while self._came_ns[0] <= now_ns - NS_PER_S:
            self._came_ns.popleft()
        over = len(self._came_ns) > self.requests_per_s
        self.counts["over"] += over
        return over

    def _best(self, mint_in: str, mint_out: str, amount: int, direct: bool) -> list[_Hop]:
        ways = [[one] for one in self._over(mint_in, amount) if self._gives(one) == mint_out]
        if not direct:
            ways += [
                [one, other]
                for one in self._over(mint_in, amount)
                if self._gives(one) != mint_out
                for other in self._over(self._gives(one), one[3])
                if self._gives(other) == mint_out and other[0] is not one[0]
            ]
        return max(ways, key=lambda way: way[-1][3], default=[])

    def _over(self, mint: str, amount: int) -> list[_Hop]:
        """Each pool that has the mint, and what it gives."""
        found = [
            (pool, side, amount, pool.quote(side, amount))
            for pool in self.chain.pools.values()
            for side in (0, 1)
            if pool.coins[side].mint == mint
        ]
        return [hop for hop in found if hop[3] > 0]

    def _gives(self, hop: _Hop) -> str:
        return hop[0].coins[1 - hop[1]].mint

    def _said(self, hops: list[_Hop], slippage: int, share: str) -> dict[str, Any]:
        plan = [
            {
                "swapInfo": {
                    "ammKey": pool.key,
                    "label": pool.kind,
                    "inputMint": pool.coins[side].mint,
                    "outputMint": pool.coins[1 - side].mint,
                    "inAmount": str(amount),
                    "outAmount": str(out),
                },
                share: ALL[share],
            }
            for pool, side, amount, out in hops
        ]
        out = hops[-1][3]
        return {
            "inputMint": hops[0][0].coins[hops[0][1]].mint,
            "inAmount": str(hops[0][2]),
            "outputMint": self._gives(hops[-1]),
            "outAmount": str(out),
            "otherAmountThreshold": str(out * (10_000 - slippage) // 10_000),
            "swapMode": "ExactIn",
            "slippageBps": slippage,
            "platformFee": None,
            "priceImpactPct": "0",
            "routePlan": plan,
            "contextSlot": self.chain.slot,
            "timeTaken": 0.0007,
        }
