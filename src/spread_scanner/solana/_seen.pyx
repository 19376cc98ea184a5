# cython: language_level=3
"""A pool that is looked at after each swap. Pure.

What every swap writes is read from its place in the accounts; where anything else of them is other
than it was, or what stands there is odd, everything is decoded and checked anew. So what is told of
a pool is what `assemble` would tell of the same accounts, or its refusal. The pool itself, to be
quoted, is made when it is asked for.

Compiled, as every account that makes a pool whole goes through here.
"""

from spread_scanner.solana._kept cimport as_before

from spread_scanner.solana import assemble
from spread_scanner.solana.pool import price_of


cdef class SeenPool:
    """One pool, by its key."""

    def __init__(self, str key not None):
        self.key = key
        self.decimals, self.units, self.mints = (0, 0), (1, 1), ("", "")
        self._accounts = {}

    cpdef tuple see(self, dict accounts):
        """What it is now, by all accounts that its price needs, which stay as they are. Raises
        PoolRefusal: what was seen before stands then.

        What is shown: token 1 per token 0 in whole tokens, reserves in smallest units, and
        liquidity.
        """
        if self._told is not None and as_before(self._accounts, accounts, self._fixed, self._kept):
            told = self._told(accounts)
            if told is not None:
                (numerator, denominator), reserves, liquidity = told
                price = numerator * self.units[0] / (denominator * self.units[1])
                self._accounts, self._pool = accounts, None
                return price, reserves, liquidity
        return self._see_all(accounts)

    cdef tuple _see_all(self, dict accounts):
        pool = assemble(self.key, accounts)
        figures = price_of(pool), pool.reserves(), pool.liquidity()
        sight = pool.sight(self.key)
        self._fixed, self._kept, self._told = ((), {}, None) if sight is None else sight
        self._accounts, self._pool = accounts, pool
        self._quoted, self._quoted_by = pool, accounts
        self.fee_rate, self.decimals, self.mints = pool.fee_rate(), pool.decimals, pool.mints
        self.units = 10 ** self.decimals[0], 10 ** self.decimals[1]
        return figures

    @property
    def pool(self):
        """As it was seen last."""
        if self._pool is None:
            pool = self._pool = assemble(self.key, self._accounts)
            if self._only_swapped():
                pool.follow(self._quoted)
            self._quoted, self._quoted_by = pool, self._accounts
        return self._pool

    cdef bint _only_swapped(self) except -1:
        """Whether all accounts that a swap need not write are as they were when it was quoted last:
        the same ones."""
        cdef dict now = self._accounts, before = self._quoted_by
        if now.keys() != before.keys():
            return False
        for key, account in now.items():
            if account is not before[key] and key not in self._kept:
                return False
        return True
