"""When a pool is to be published: its accounts are one unit, of one slot. Pure; time is told.

A swap writes several accounts in one slot, and each comes by itself: a price of one new vault and
one old one never was. So a pool waits for those that every swap writes; a later slot says that no
more of the earlier one will come, as all of a pool is heard on one connection of a provider; and
after SETTLE_NS it is taken as it stands, as not every transaction is a swap. Neither is so while
who told the newest does not cover all that moves: his subscriptions are being made.
"""

from collections.abc import Iterable, Mapping
from enum import Enum

from msgspec import Struct

from spread_scanner.pools.held import Account, AccountTaking, HeldAccounts
from spread_scanner.pools.pace import ProviderPace
from spread_scanner.pools.wanted import WantedAccounts

SETTLE_NS = 50_000_000


class WholeBecause(Enum):
    """Why a pool is published now."""

    TOGETHER = "what a swap writes is of one slot"
    LATER_SLOT = "a later slot has begun"
    SETTLED = "nothing more of its slot has come in time"


class WholePool(Struct, frozen=True):
    """A pool as it stood at the end of a slot, to be quoted: what is not covered is left out."""

    pool: str
    slot: int
    accounts: dict[str, Account]
    because: WholeBecause


class _Unit:
    def __init__(self, pool: str, wanted: WantedAccounts) -> None:
        self.pool, self.wanted = pool, wanted
        self.waits_slot: int | None = None  # something of this slot has come
        self.waits_since_ns = 0


class PoolUnits:
    """All pools that are watched, over the accounts that are held."""

    def __init__(self) -> None:
        self.held = HeldAccounts()
        self._units: dict[str, _Unit] = {}
        self._of_key: dict[str, list[_Unit]] = {}
        self._waiting: dict[str, _Unit] = {}

    def watch(self, pool: str, wanted: WantedAccounts) -> None:
        """A new pool, or other accounts than before: what is new has to be seeded.

        Where a pool's own account is told and wants others, it is watched so before it is told: the
        swap that moved the price there wrote those.
        """
        unit = self._units.get(pool)
        if unit is None:
            unit = self._units[pool] = _Unit(pool, wanted)
        gone = set(unit.wanted.keys) - set(wanted.keys)
        unit.wanted = wanted
        self.held.want(wanted.keys)
        for key in wanted.keys:
            if unit not in self._of_key.setdefault(key, []):
                self._of_key[key].append(unit)
        self._leave(unit, gone)

    def unwatch(self, pool: str) -> None:
        unit = self._units.pop(pool)
        self._waiting.pop(pool, None)
        self._leave(unit, unit.wanted.keys)

    def _leave(self, unit: _Unit, keys: Iterable[str]) -> None:
        """Accounts that no pool needs any more are forgotten."""
        for key in keys:
            self._of_key[key].remove(unit)
            if not self._of_key[key]:
                del self._of_key[key]
                self.held.forget((key,))

    def is_whole(self, pool: str) -> bool:
        """Whether there is a price that can be stood behind, as far as accounts go."""
        whole, _ = self._seen(self._units[pool])
        return whole

    def is_fresh(self, pool: str, pace: ProviderPace, now_ns: int) -> bool:
        """Whether it is whole, and each account covered by a provider that is in time: what was
        published last may be renewed, and is stale otherwise."""
        return self.fresh_until_ns(pool, pace, now_ns) > 0

    def fresh_until_ns(self, pool: str, pace: ProviderPace, now_ns: int) -> int:
        """Until when it is, should nobody tell any more; 0: it is not."""
        wanted = self._units[pool].wanted
        if not wanted.moving:
            return 0
        # Most accounts are covered by the same providers: each such set is asked once.
        covering = {frozenset(self.held.covered_by(key)) for key in wanted.core}
        return min(
            max([pace.in_time_until_ns(provider, now_ns) for provider in one], default=0)
            for one in covering
        )

    def told(
        self, key: str, slot: int, owner: str, data: bytes, provider: str, now_ns: int
    ) -> list[WholePool]:
        """An account was written: what is to be published now, the earlier slot first."""
        account = owner, data
        units = self._of_key.get(key, [])
        found: list[WholePool] = []
        if self.held.judged(key, slot, account, provider) is AccountTaking.TAKEN:
            for unit in units:
                waits = unit.waits_slot is not None and slot > unit.waits_slot
                if waits and self._told_by_one(unit):
                    found += self._published(unit, WholeBecause.LATER_SLOT)
        taking = self.held.take(key, slot, account, provider)
        if taking is AccountTaking.ROLLED_BACK:
            self._doubt_above(units, slot)
        if taking in (AccountTaking.TAKEN, AccountTaking.ROLLED_BACK):
            for unit in units:
                found += self._changed(unit, slot, now_ns)
        return found

    def seeded(
        self, provider: str, slot: int, accounts: Mapping[str, Account], now_ns: int
    ) -> list[WholePool]:
        """What was asked for has come: pools that are whole by it, or differ, to be published."""
        units = {unit.pool: unit for key in accounts for unit in self._of_key.get(key, [])}
        before = {pool: self._seen(unit) for pool, unit in units.items()}
        self.held.seed(provider, slot, accounts)
        found: list[WholePool] = []
        for pool, unit in units.items():
            if self._seen(unit) != before[pool]:
                found += self._changed(unit, slot, now_ns)
        return found

    def due(self, now_ns: int) -> list[WholePool]:
        """Those that have waited for so long, to be published as they stand."""
        found: list[WholePool] = []
        for unit in list(self._waiting.values()):
            if now_ns - unit.waits_since_ns < SETTLE_NS:
                continue
            if self._told_by_one(unit):
                found += self._published(unit, WholeBecause.SETTLED)
            else:
                unit.waits_since_ns = now_ns
        return found

    def _told_by_one(self, unit: _Unit) -> bool:
        """Whether who told the newest of what moves tells of all of it: from one who does not, as
        while its subscriptions are made, that nothing more came says nothing."""
        moving = [(key, self.held.get(key)) for key in unit.wanted.moving]
        told = [(key, held) for key, held in moving if held is not None]
        newest = max((held.slot for _, held in told), default=0)
        tellers = {held.provider for _, held in told if held.slot == newest}
        return bool(tellers.intersection(*(self.held.covered_by(key) for key, _ in moving)))

    def next_due_ns(self) -> int | None:
        """When `due` has something to say next."""
        times = (unit.waits_since_ns for unit in self._waiting.values())
        first_ns = min(times, default=None)
        return None if first_ns is None else first_ns + SETTLE_NS

    def _seen(self, unit: _Unit) -> tuple[bool, dict[str, Account]]:
        """Whether it is whole, and what can be stood behind of it."""
        accounts = self.held.covered(unit.wanted.keys)
        return unit.wanted.whole_with(accounts), accounts

    def _doubt_above(self, units: Iterable[_Unit], slot: int) -> None:
        """What was told of later slots than the one that the chain went back to is of the fork."""
        for unit in units:
            for key in unit.wanted.keys:
                held = self.held.get(key)
                if held is not None and held.slot > slot:
                    self.held.doubt(key, slot)

    def _changed(self, unit: _Unit, slot: int, now_ns: int) -> list[WholePool]:
        """Something of this slot has come: published at once where all that moves is of one."""
        moving = [held.slot for held in map(self.held.get, unit.wanted.moving) if held is not None]
        if unit.waits_slot is None:
            unit.waits_since_ns = now_ns
        unit.waits_slot = max(slot, *moving) if moving else slot
        self._waiting[unit.pool] = unit
        if len(moving) == len(unit.wanted.moving) and set(moving) == {unit.waits_slot}:
            return self._published(unit, WholeBecause.TOGETHER)
        return []

    def _published(self, unit: _Unit, because: WholeBecause) -> list[WholePool]:
        unit.waits_slot = None
        self._waiting.pop(unit.pool, None)
        whole, accounts = self._seen(unit)
        if not whole:
            return []
        told = (self.held.get(key) for key in (unit.pool, *unit.wanted.moving))
        slot = max([held.slot for held in told if held is not None])
        return [WholePool(unit.pool, slot, accounts, because)]
