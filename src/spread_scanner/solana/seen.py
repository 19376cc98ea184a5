"""A pool that is looked at after each swap. Pure.

What every swap writes is read from its place in the accounts; where anything else of them is other
than it was, or what stands there is odd, everything is decoded and checked anew. So what is told of
a pool is what `assemble` would tell of the same accounts, or its refusal. The pool itself, to be
quoted, is made when it is asked for.
"""

from spread_scanner.solana import assemble
from spread_scanner.solana._kept import as_before
from spread_scanner.solana.pool import Pool, PoolSight, price_of

# What is shown: token 1 per token 0 in whole tokens, reserves in smallest units, and liquidity.
PoolFigures = tuple[float, tuple[int, int], int | None]


class SeenPool:
    """One pool, by its key."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.fee_rate: float | None = None
        self.decimals = 0, 0
        self.units = 1, 1  # smallest ones in a whole token
        self.mints = "", ""
        self._accounts: dict[str, tuple[str, bytes]] = {}
        self._pool: Pool | None = None
        self._sight: PoolSight | None = None
        # As it was quoted last; none where anything but a swap has been since.
        self._quoted: tuple[Pool, dict[str, tuple[str, bytes]]] | None = None

    def see(self, accounts: dict[str, tuple[str, bytes]]) -> PoolFigures:
        """What it is now, by all accounts that its price needs, which stay as they are. Raises
        PoolRefusal: what was seen before stands then."""
        sight = self._sight
        if sight is not None and as_before(self._accounts, accounts, sight.fixed, sight.kept):
            told = sight.told(accounts)
            if told is not None:
                (numerator, denominator), reserves, liquidity = told
                price = numerator * self.units[0] / (denominator * self.units[1])
                self._accounts, self._pool = accounts, None
                return price, reserves, liquidity
        return self._see_all(accounts)

    def _see_all(self, accounts: dict[str, tuple[str, bytes]]) -> PoolFigures:
        pool = assemble(self.key, accounts)
        figures = price_of(pool), pool.reserves(), pool.liquidity()
        self._accounts, self._pool, self._sight = accounts, pool, pool.sight(self.key)
        self._quoted = pool, accounts
        self.fee_rate, self.decimals, self.mints = pool.fee_rate(), pool.decimals, pool.mints
        self.units = 10 ** self.decimals[0], 10 ** self.decimals[1]
        return figures

    @property
    def pool(self) -> Pool:
        """As it was seen last."""
        if self._pool is None:
            pool = self._pool = assemble(self.key, self._accounts)
            if self._quoted is not None and self._only_swapped(*self._quoted):
                pool.follow(self._quoted[0])
            self._quoted = pool, self._accounts
        return self._pool

    def _only_swapped(self, before: Pool, accounts: dict[str, tuple[str, bytes]]) -> bool:
        """Whether all accounts that a swap need not write are as they were when it was made."""
        now, kept = self._accounts, self._sight.kept if self._sight is not None else {}
        return now.keys() == accounts.keys() and all(
            account is accounts[key] or key in kept for key, account in now.items()
        )
