"""The pools of one source, by symbol: what the reference size costs now, and a ladder. Pure; time
is told.

What one pool asks for a size is kept until the pool changes, so that another one's swap costs no
quote of it, and until what of the time its fees go by does: of most pools never. With each slot
`renew` looks at all of a symbol, a question at a time.
"""

from collections.abc import Hashable, Iterator, Sequence
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
from spread_scanner.solana.pool import moment_of


class ChainTime(NamedTuple):
    """When a swap would be done."""

    unix_ts: int
    slot: int


class _AskedPool:
    """A pool as it was put, and what it asks, by size."""

    def __init__(self, traded: TradedPool) -> None:
        self.traded = traded
        self._sides: dict[float, PoolSides] = {}
        self._moment: Hashable = None  # of which all these are

    def sides(self, size_quote: float, at: ChainTime) -> PoolSides:
        found = self._sides.get(size_quote)
        if found is None:
            if not self._sides:
                self._moment = self._moment_of(at)
            found = best_sides([self.traded], size_quote, unix_ts=at.unix_ts, slot=at.slot)
            self._sides[size_quote] = found
        return found

    def stands(self, at: ChainTime) -> bool:
        """Whether what was asked would be asked now; what would not is forgotten."""
        stands = not self._sides or self._moment == self._moment_of(at)
        if not stands:
            self._sides.clear()
        return stands

    def knows(self, size_quote: float) -> bool:
        return size_quote in self._sides

    def _moment_of(self, at: ChainTime) -> Hashable:
        return moment_of(self.traded.pool, *at)


class PoolMarkets:
    """Everything that one source quotes."""

    def __init__(self, reference_quote: float) -> None:
        self._reference_quote = reference_quote
        self._pools: dict[str, dict[str, _AskedPool]] = {}  # by symbol as they trade it, and key
        # By symbol and size, of the pools that trade it so.
        self._best: dict[str, dict[float, PoolSides]] = {}

    def get(self, symbol: str, key: str) -> TradedPool | None:
        """As it was put last."""
        found = self._pools.get(symbol, {}).get(key)
        return None if found is None else found.traded

    def put(self, pool: TradedPool) -> None:
        """It stands so now, and can be stood behind."""
        self._pools.setdefault(pool.symbol, {})[pool.key] = _AskedPool(pool)
        self._best.pop(pool.symbol, None)

    def leave(self, key: str) -> None:
        """It can be stood behind no longer."""
        for symbol, pools in self._pools.items():
            if pools.pop(key, None) is not None:
                self._best.pop(symbol, None)

    def ask(self, symbol: str, key: str, at: ChainTime) -> None:
        """Ask a pool for the reference size, where it can be stood behind."""
        one = self._pools.get(symbol, {}).get(key)
        if one is not None:
            one.sides(self._reference_quote, at)

    def renew(self, symbol: str, sizes_quote: Sequence[float], at: ChainTime) -> Iterator[None]:
        """Ask all pools of a symbol for these sizes, as of now, where what they asked does not
        stand: a question at a time, between which pools may be put, and leave."""
        pools = self._pools.get(symbol, {})
        for key in list(pools):
            one = pools.get(key)
            if one is not None and not one.stands(at):
                self._best.pop(symbol, None)
            for size in sizes_quote:
                one = pools.get(key)
                if one is not None and not one.knows(size):
                    one.sides(size, at)
                    yield

    def best(
        self, symbol: str, rate: StableQuote | None, at: ChainTime, size_quote: float | None = None
    ) -> PoolSides:
        """The dearest bid and cheapest ask for a size, the reference's where none is said; of a
        symbol in USDT, what its pools in USDC ask by this rate, too."""
        size = self._reference_quote if size_quote is None else size_quote
        own = self._own_best(symbol, size, at)
        other = in_usdc(symbol)
        if other is None or rate is None:
            return own
        return best_of([own, in_usdt(self._own_best(other, size, at), rate)])

    def _own_best(self, symbol: str, size: float, at: ChainTime) -> PoolSides:
        known = self._best.setdefault(symbol, {})
        found = known.get(size)
        if found is None:
            pools = self._pools.get(symbol, {}).values()
            found = known[size] = best_of([one.sides(size, at) for one in pools])
        return found


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
