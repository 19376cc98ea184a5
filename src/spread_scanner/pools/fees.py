"""Which pool is to be asked about next, of what others paid for priority to write it; and what was
heard, to its cell. No I/O but shared memory; time is told.

One question each `ask_every_s`, a provider in its turn, pool after pool: a hundred pools are
asked about once in some four minutes, of which a node remembers one. What one provider does not
answer the next is asked, until all have been: of two that take turns, one would be asked about the
same half of the pools for ever. What is not heard for `heard_s_max` whoever offers by it believes
no more (solana.priority_fees).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from spread_scanner.clock import NS_PER_S
from spread_scanner.config.pools import FeeSettings
from spread_scanner.pools._units import WatchedPool
from spread_scanner.pools.turns import Turns
from spread_scanner.solana.priority_fees import (
    ACCOUNTS_MAX,
    RecentFee,
    ask_helius,
    ask_recent,
    estimate,
    read_helius,
    read_recent,
)

_UNITS = 1  # of which there is a price whatever a transaction asks for


class FeeQuestion(NamedTuple):
    """A pool, and the accounts that a swap in it writes."""

    pool: str
    accounts: Sequence[str]


class FeeHearing:
    """The fees of all pools of one life of the settings."""

    def __init__(self, settings: FeeSettings, pools: Mapping[str, WatchedPool]) -> None:
        self._settings, self._pools = settings, pools
        self.every_s = settings.ask_every_s
        self.heard_ns_max = int(settings.heard_s_max * NS_PER_S)
        self._turns = Turns(int(settings.ask_every_s * NS_PER_S))
        self._waiting: list[str] = []  # the next one last
        self._unanswered: dict[str, set[str]] = {}  # by whom, of pools that wait for another's word

    def next(self, provider: str, now_ns: int) -> FeeQuestion | None:
        """What this provider is to be asked now, once; None: nothing is."""
        if not self._turns.come(provider, now_ns):
            return None
        if not self._waiting:
            self._waiting = [*self._pools][::-1]
        while self._waiting:
            pool = self._pools.get(self._waiting.pop())
            if pool is not None and pool.wanted.moving:
                self._turns.take(provider, now_ns)
                written = sorted({pool.key, *pool.wanted.moving})
                return FeeQuestion(pool.key, written[:ACCOUNTS_MAX])
        return None

    def unheard(self, provider: str, key: str, now_ns: int) -> None:
        """It did not answer what it was asked about a pool: whoever is there and has not been asked
        is, next."""
        by = self._unanswered.setdefault(key, set())
        by.add(provider)
        if self._turns.there(now_ns) <= by:
            del self._unanswered[key]
        elif key not in self._waiting[-1:]:
            self._waiting.append(key)

    def heard(
        self, provider: str, key: str, recent: Sequence[RecentFee] | int, now_ns: int
    ) -> None:
        """What others paid for writing a pool, or a provider's own price; no slots at all say
        nothing."""
        pool = self._pools.get(key)
        if pool is None:
            return
        if recent == []:
            self.unheard(provider, key, now_ns)
            return
        self._unanswered.pop(key, None)
        if isinstance(recent, int):
            found = estimate([], _UNITS, self._settings, of_provider=recent)
        else:
            found = estimate(recent, _UNITS, self._settings)
        pool.cell.offer(found.price, found.slots, now_ns)

    def request(self, call: str, accounts: Sequence[str]) -> tuple[str, list[Any]]:
        """Method and parameters, by a provider's `fee_call`."""
        if call == "helius":
            return ask_helius(accounts)
        return ask_recent(accounts, self._settings.percentile if call == "triton" else None)


def read(call: str, result: bytes) -> Sequence[RecentFee] | int:
    """What was answered to `request`. Raises BadMessage."""
    return read_helius(result) if call == "helius" else read_recent(result)
