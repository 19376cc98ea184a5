"""A pretend chain: slots that end, pools in which somebody swaps, and forks that are taken back.

What each account was at the end of each slot is kept for a while, so that a provider that is behind
answers as of its own slot. A fork goes back a few slots: what was swapped there never was.

A chain beside exchanges (`ChainMarket`) has their prices: swaps are small, a pool that stands apart
is brought back sooner or later, and now and then somebody pushes one away. Its clock is the real
one then, as whoever quotes its pools goes by that.
"""

import random
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from spread_scanner.sim.chain_kinds import made
from spread_scanner.sim.chain_pools import (
    SWAPPED_SHARE_MAX,
    SWAPPED_USD_MAX,
    SYSTEM,
    Account,
    SimPool,
    laid,
    le,
)
from spread_scanner.sim.chain_wallets import SimWallets

FIRST_SLOT = 350_000_000
FIRST_UNIX_S, SLOT_S = 1_790_000_000, 0.4  # of the chain's own clock
CLOCK, SYSVAR = (
    "SysvarC1ock11111111111111111111111111111111",
    "Sysvar1111111111111111111111111111111111111",
)
FEE_MAX = 50_000
KEPT = 64  # versions of an account or a pool
ARRAYS = 4  # to either side of a price, as far as they are there
MISSING: Account = (SYSTEM, b"")
APART = 0.003  # of what its coins are worth: somebody may bring a pool back
BACK_P, PUSHED_P = 0.35, 0.12  # of each that is apart, and of one of all, in a slot
PUSHED_LEAST, PUSHED_MOST = 0.005, 0.015


class ChainMarket(NamedTuple):
    """What exchanges say of coins, in USDT, and what time it is, s since 1970."""

    worths: Callable[[], Mapping[str, float]]
    now_s: Callable[[], int]


class Chain:
    """Everything that there is, by slot."""

    def __init__(
        self,
        seed: int,
        count: int,
        swaps_per_slot: float,
        market: ChainMarket | None = None,
        *,
        slot_s: float = SLOT_S,
    ) -> None:
        self._slot_s = slot_s
        self._seed, self._rng = seed, random.Random(f"{seed} chain")
        self.swaps_per_slot = swaps_per_slot
        self.slot = FIRST_SLOT
        self._market, self._ahead_s = market, 0
        pools = made(seed, count, None if market is None else market.worths())
        self.pools: dict[str, SimPool] = {pool.key: pool for pool in pools}
        self._states = {key: [(self.slot, pool.copied())] for key, pool in self.pools.items()}
        self._written: dict[str, list[tuple[int, Account]]] = defaultdict(list)
        self.bent: dict[str, Account] = {}  # accounts that are something else for a while
        self.written: dict[int, list[str]] = {}  # by slot, of the last ones
        self.wallets = SimWallets(seed)
        self.transactions: dict[str, object] = {}  # that somebody has put there, by signature
        self.ordered: list[tuple[str, int, int]] = []  # swaps of the next slot: pool, side, amount
        for key in self.pools:
            self._write(key)
        self._tell_time()

    def _tell_time(self) -> None:
        if self._market is not None:
            self._ahead_s = self._market.now_s() - unix_s(self.slot, self._slot_s)
        for pool in self.pools.values():
            pool.unix_s = self.unix_s(self.slot)

    def unix_s(self, slot: int) -> int:
        """What the chain's clock says in a slot."""
        return unix_s(slot, self._slot_s) + self._ahead_s

    def step(self) -> None:
        """A slot ends, with some swaps in it."""
        self.slot += 1
        self._tell_time()
        whole = int(self.swaps_per_slot)
        swaps = whole + (self._rng.random() < self.swaps_per_slot - whole)
        for key in dict.fromkeys(self._rng.choices([*self.pools], k=swaps)):
            pool = self.pools[key]
            beside = self._market is not None
            usd_max = pool.usd * SWAPPED_SHARE_MAX if beside else SWAPPED_USD_MAX
            self._swap(key, *pool.some(self._rng, usd_max))
        if self._market is not None and self.swaps_per_slot:
            self._trade_against(self._market.worths())
        for ordered in self.ordered:
            self._swap(*ordered)
        self.ordered.clear()
        self.written.pop(self.slot - KEPT, None)

    def _swap(self, key: str, side: int, amount: int) -> None:
        pool = self.pools[key]
        pool.swap(side, amount)
        self._states[key] = [*self._states[key], (self.slot, pool.copied())][-KEPT:]
        self._write(key)

    def _trade_against(self, worths: Mapping[str, float]) -> None:
        """Who knows the exchanges' prices brings pools back; who does not pushes one away."""
        rng, pushed = self._rng, ""
        if rng.random() < PUSHED_P:
            pushed = rng.choice([*self.pools])
        for key, pool in self.pools.items():
            one, other = (worths.get(coin.name, 1.0) for coin in pool.coins)
            price = one / other
            apart = float(pool.price()) / price - 1
            if key == pushed:
                away = rng.uniform(PUSHED_LEAST, PUSHED_MOST)
                price *= 1 - away if rng.random() < 0.7 else 1 + away
            elif abs(apart) < APART or rng.random() > BACK_P:
                continue
            side, amount = pool.towards(price)
            if amount > 0:
                self._swap(key, side, amount)

    def stood(self, key: str, slot: int) -> tuple[int, SimPool]:
        """A pool at the end of a slot, and the slot in which it became so."""
        states = self._states[key]
        return next((one for one in reversed(states) if one[0] <= slot), states[0])

    def fork(self, depth: int) -> list[str]:
        """Go back so many slots; the accounts that are other than they were."""
        back = max(self.slot - depth, FIRST_SLOT)
        changed = [name for slot in range(self.slot, back, -1) for name in self.named(slot)]
        for key, states in self._states.items():
            kept = [one for one in states if one[0] <= back] or states[:1]
            if len(kept) < len(states):
                self._states[key] = kept
                self.pools[key] = kept[-1][1].copied()
        for name in changed:
            self._written[name] = [one for one in self._written[name] if one[0] <= back]
        for slot in range(back + 1, self.slot + 1):
            self.written.pop(slot, None)
        self.slot = back
        self._tell_time()
        return list(dict.fromkeys(changed))

    def fee_of(self, names: Iterable[str], slot: int) -> int:
        """The least price, in micro-lamports a compute unit, at which a transaction that wrote all
        of these got in in the slot: the dearest's. In four of ten an account costs anything."""
        said = [zlib.crc32(f"{self._seed} {name} {slot} fee".encode()) for name in names]
        return max((one // 10 % FEE_MAX if one % 10 < 4 else 0 for one in said), default=0)

    def touch(self, names: Iterable[str]) -> None:
        """These are to be told as if they were written now."""
        self.written.setdefault(self.slot, []).extend(names)

    def _write(self, key: str) -> None:
        """What a swap in this pool has written, in this slot."""
        for name, account in self.pools[key].everything(ARRAYS).items():
            known = self._written[name]
            if known and known[-1][1] == account:
                continue
            self._written[name] = [*known, (self.slot, account)][-KEPT:]
            self.touch([name])

    def named(self, slot: int) -> list[str]:
        """The accounts that were written in a slot."""
        return list(dict.fromkeys(self.written.get(slot, ())))

    def account(self, key: str, slot: int) -> Account:
        """What an account was at the end of a slot."""
        if key in self.bent:
            return self.bent[key]
        if key in self.wallets.accounts:
            return self.wallets.accounts[key]
        if key == CLOCK:
            return SYSVAR, laid(40, (0, le(slot, 8)), (32, le(self.unix_s(slot), 8)))
        found = (account for at, account in reversed(self._written.get(key, ())) if at <= slot)
        return next(found, MISSING)


def unix_s(slot: int, slot_s: float = SLOT_S) -> int:
    """What the clock of a chain that is beside no exchanges says in a slot; it runs as ours does,
    however quickly slots follow."""
    return FIRST_UNIX_S + (slot - FIRST_SLOT) * round(slot_s * 1_000) // 1_000
