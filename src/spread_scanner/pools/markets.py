"""The pools of one source, by symbol: what the reference size costs now, and a ladder. Pure; time
is told.

What one pool asks is kept until it changes, so that another one's swap costs no quote of it. Fees
that volatility adds fade with time: with each slot all are asked again.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from spread_scanner.config.pools import in_usdc
from spread_scanner.pools.effective import (
    PoolSide,
    PoolSides,
    StableQuote,
    TradedPool,
    best_of,
    best_sides,
    in_usdt,
)


class ChainTime(NamedTuple):
    """When a swap would be done."""

    unix_ts: int
    slot: int


class PoolMarkets:
    """Everything that one source quotes."""

    def __init__(self, reference_quote: float) -> None:
        self._reference_quote = reference_quote
        self._pools: dict[str, dict[str, TradedPool]] = {}  # by symbol as they trade it, and key
        # For the reference size, by symbol and key; pools that are to be asked are not there.
        self._sides: dict[str, dict[str, PoolSides]] = {}
        self._best: dict[str, PoolSides] = {}  # by symbol, of the pools that trade it so
        self._rungs: dict[tuple[str, float], PoolSides] = {}  # of one look, by symbol and size
        self._rungs_at = ChainTime(0, 0)

    def get(self, symbol: str, key: str) -> TradedPool | None:
        """As it was put last."""
        return self._pools.get(symbol, {}).get(key)

    def put(self, pool: TradedPool) -> None:
        """It stands so now, and can be stood behind."""
        self._pools.setdefault(pool.symbol, {})[pool.key] = pool
        self._sides.setdefault(pool.symbol, {}).pop(pool.key, None)
        self._best.pop(pool.symbol, None)
        self._rungs.clear()

    def leave(self, key: str) -> None:
        """It can be stood behind no longer."""
        for symbol, pools in self._pools.items():
            if pools.pop(key, None) is not None:
                self._sides.setdefault(symbol, {}).pop(key, None)
                self._best.pop(symbol, None)
                self._rungs.clear()

    def renew(self) -> None:
        """A slot has passed: all are asked again."""
        self._sides.clear()
        self._best.clear()
        self._rungs.clear()

    def best(self, symbol: str, rate: StableQuote | None, at: ChainTime) -> PoolSides:
        """The dearest bid and cheapest ask for the reference size; of a symbol in USDT, what its
        pools in USDC ask by this rate, too."""
        own = self._best.get(symbol)
        if own is None:
            own = self._best[symbol] = best_of(self._all_sides(symbol, at))
        other = in_usdc(symbol)
        if other is None or rate is None:
            return own
        return best_of([own, in_usdt(self.best(other, None, at), rate)])

    def ladder(
        self, symbol: str, rate: StableQuote | None, sizes_quote: Iterable[float], at: ChainTime
    ) -> list[PoolSides]:
        """The same for each size as a whole."""
        other = in_usdc(symbol)
        found = []
        for size in sizes_quote:
            sides = [self._rung(symbol, size, at)]
            if other is not None and rate is not None:
                sides.append(in_usdt(self._rung(other, size, at), rate))
            found.append(best_of(sides))
        return found

    def _rung(self, symbol: str, size: float, at: ChainTime) -> PoolSides:
        """Of one symbol's own pools, asked once for both that it stands in."""
        if at != self._rungs_at:
            self._rungs.clear()
            self._rungs_at = at
        found = self._rungs.get((symbol, size))
        if found is None:
            traded = self._traded(symbol)
            if size == self._reference_quote:  # which is asked of each pool by itself
                found = best_of(self._all_sides(symbol, at))
            else:
                found = best_sides(traded, size, unix_ts=at.unix_ts, slot=at.slot)
            self._rungs[symbol, size] = found
        return found

    def _traded(self, symbol: str) -> list[TradedPool]:
        return list(self._pools.get(symbol, {}).values())

    def _all_sides(self, symbol: str, at: ChainTime) -> list[PoolSides]:
        pools, known = self._pools.get(symbol, {}), self._sides.setdefault(symbol, {})
        for key, pool in pools.items():
            if key not in known:
                size, ts, slot = self._reference_quote, at.unix_ts, at.slot
                known[key] = best_sides([pool], size, unix_ts=ts, slot=slot)
        return [known[key] for key in pools]


def levels(rungs: Sequence[PoolSide | None], *, bids: bool) -> list[tuple[float, float]]:
    """Prices and sizes of a book, of which each rung's size, taken from the top, costs what it does
    there; as far as the rungs reach. A level that would be better than the one above it, as another
    pool is the best one from there on, is one with it: in between it says too little."""
    found: list[tuple[float, float]] = []  # what each brings or costs, and its size
    base = quote = 0.0
    for rung in rungs:
        if rung is None:
            break
        more = rung.size - base
        if more <= 0:
            continue
        money = rung.px * rung.size - quote
        base, quote = rung.size, rung.px * rung.size
        while found and _better(money / more, found[-1][0] / found[-1][1], bids):
            above = found.pop()
            money, more = money + above[0], more + above[1]
        found.append((money, more))
    return [(money / size, size) for money, size in found if money > 0]


def _better(px: float, above_px: float, bids: bool) -> bool:
    return px > above_px if bids else px < above_px
