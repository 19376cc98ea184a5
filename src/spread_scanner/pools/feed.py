"""All pools that are watched, from what providers tell to their cells. No I/O but shared memory;
time is told.

Whoever dials (line.py) says what it hears, and asks what is to be heard and seeded; the turn of the
clock is the process's (main.py).
"""

from collections.abc import Callable, Mapping

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config.pools import PoolSettings, symbol_of
from spread_scanner.pools._cells import PoolCell
from spread_scanner.pools._units import AccountPath, PoolUnits, WatchedPool
from spread_scanner.pools.chain_times import ChainTimes
from spread_scanner.pools.counting import PoolCounting
from spread_scanner.pools.held import Account
from spread_scanner.pools.pace import ProviderPace
from spread_scanner.pools.wanted import derive_ahead, heads, wanted
from spread_scanner.schema.pools import chain_unix_s
from spread_scanner.shm.pools import PoolWriter
from spread_scanner.solana import PoolRefusal

CLOCK_NS = 10 * NS_PER_S  # between two looks at the chain's clock, of a provider
LOOK_NS = 100 * NS_PER_MS  # between two looks at whether pools can still be stood behind


class PoolFeed(AccountPath):
    """The pools of one life of the settings."""

    def __init__(
        self,
        settings: PoolSettings,
        writer: PoolWriter,
        count: PoolCounting,
        refused: Callable[[str, str], None],
    ) -> None:
        """`refused` is told of each pool that is not what the settings say, and why; empty: it is
        again."""
        super().__init__(PoolUnits(), ProviderPace(), count)
        self.renewed: Callable[[], None] = lambda: None  # a slot was told
        self._arrays = settings.arrays
        self._writer, self._refused = writer, refused
        self._looked_ns = 0
        self._last_slot: int | None = None
        self._clock_asked_ns: dict[str, int] = {}  # by provider
        self._times = ChainTimes()
        writer.clock(0)
        writer.clear()
        for place, (key, entry) in enumerate(settings.wanted()):
            coins = [settings.mints[mint].coin for mint in entry.mints]
            cell = PoolCell(writer, place, key, entry)
            pool = self.pools[key] = WatchedPool(key, entry, symbol_of(coins) or "", cell)
            for head in heads(key, entry):
                self.of_head.setdefault(head, []).append(pool)
            self.want(pool, {})

    def accounts_by_pool(self) -> list[tuple[str, ...]]:
        """What is to be heard, pool by pool."""
        return [pool.wanted.keys for pool in self.pools.values()]

    # --- what providers tell

    def connected(self, provider: str) -> None:
        self.units.held.connected(provider)

    def lost(self, provider: str, now_ns: int) -> None:
        """What it alone covered is stale from now on."""
        self.units.held.lost(provider)
        self.pace.lost(provider)
        self._disbelieved_later()
        self.look(now_ns)

    def doubt(self, provider: str, now_ns: int, *, doubted: bool) -> None:
        """Whether what a provider tells arrives in time is in doubt."""
        if self.pace.doubt(provider, doubted=doubted):
            self.look(now_ns)

    def slot(self, provider: str, slot: int, now_ns: int) -> bool:
        """A provider has come to this slot: where it is not the best one's, what is good is renewed
        (on a fork, too, that has not come as far yet). False: it is not believed."""
        before = self.pace.best_slot
        believed = self.pace.told(provider, slot, now_ns)
        if self._disbelieved_later() or (believed and slot != before):
            self.look(now_ns)
            self.renewed()
        if self.pace.best_slot != before:
            self._writer.slot(self.pace.best_slot)
        return believed

    def _disbelieved_later(self) -> bool:
        """Where all stand far before what somebody had told, that was a lie or another chain: it
        is asked for anew. Whether there was any."""
        before, self._last_slot = self._last_slot, self.pace.last_slot
        now = self._last_slot
        if now is None or (before is not None and now >= before):
            return False
        found = self.units.held.disbelieve_after(now)
        if found:
            self.changed()
        return found

    def seeded(
        self, provider: str, slot: int, accounts: Mapping[str, Account], now_ns: int
    ) -> None:
        """What stood at the end of a slot, asked for when this provider's subscriptions stood."""
        if self.cannot_be(slot):
            return
        fresh = {key: account for key, account in accounts.items() if self._newer(key, slot)}
        for pool in {id(one): one for key in fresh for one in self.of_head.get(key, ())}.values():
            self.want(pool, fresh)
        self.publish(self.units.seeded(provider, slot, accounts, now_ns), now_ns)
        self.look(now_ns)

    def cannot_be(self, slot: int) -> bool:
        """It is told of a slot that nobody has come near: it would stand over all that follows."""
        last_slot = self.pace.last_slot
        if last_slot is None or slot <= last_slot:
            return False
        self.count.add("skip_bad_message")
        return True

    def _newer(self, key: str, slot: int) -> bool:
        held = self.units.held.get(key)
        return held is None or held.slot <= slot

    def clock_due(self, provider: str, now_ns: int) -> bool:
        """Whether the chain's clock is to be read now of this provider, which is said once."""
        due = now_ns - self._clock_asked_ns.get(provider, -CLOCK_NS) >= CLOCK_NS
        if due:
            self._clock_asked_ns[provider] = now_ns
        return due

    def clock_told(self, provider: str, slot: int, unix_ts: int, now_ns: int, wall_ns: int) -> None:
        """What the chain's clock said in this slot, by a provider; slots have passed since then."""
        if self.cannot_be(slot):
            return
        since_ns = max(self.pace.best_slot - slot, 0) * self.pace.slot_ns
        clock_ms = unix_ts * 1_000 + (since_ns - now_ns) // NS_PER_MS
        own_ms = (wall_ns - now_ns) // NS_PER_MS
        if not self._times.told(provider, clock_ms, own_ms, now_ns):
            self.count.add("clock_doubted")
        self._writer.clock(self._times.clock_ms)

    def clock_off_s(self, provider: str) -> int:
        """How far a provider's clock is off the one that is believed; 0: it is that one."""
        return self._times.off_ms(provider) // 1_000

    def forget_clock(self) -> None:
        """The machine slept: it is heard anew, at once."""
        self._clock_asked_ns.clear()
        self._times = ChainTimes()
        self._writer.clock(0)

    def chain_unix_s(self, now_ns: int) -> int | None:
        """The chain's second; None: nobody has told it yet."""
        return chain_unix_s(self._times.clock_ms, now_ns)

    # --- what follows

    def want(self, pool: WatchedPool, fresh: Mapping[str, Account]) -> None:
        """Watch what the pool needs, as far as what is held of it, and this, tell."""
        held = ((key, self.units.held.get(key)) for key in pool.wanted.keys)
        accounts = {key: one.account for key, one in held if one is not None} | dict(fresh)
        try:
            now = wanted(pool.key, pool.entry, accounts, self._arrays)
            if pool.named_by is None and pool.key in accounts:
                derive_ahead(pool.key, accounts[pool.key])
            pool.named_by = accounts.get(pool.key)
        except PoolRefusal as refusal:
            now = wanted(pool.key, pool.entry, {}, self._arrays)
            pool.named_by = None
            self.refuse(pool, refusal)
        else:
            if pool.refusal is not None and now.moving:
                self.refuse(pool, None)
        if now != pool.wanted:
            self.units.watch(pool.key, now)
            pool.wanted = now
            self.changed()

    def refuse(self, pool: WatchedPool, refusal: PoolRefusal | None) -> None:
        if str(refusal) == str(pool.refusal):
            return
        pool.refusal = refusal
        self._refused(pool.key, "" if refusal is None else str(refusal))
        if refusal is not None:
            refusal.with_traceback(None)  # which holds the accounts it came of
            pool.good = False
            pool.cell.refuse(str(refusal))
            self.moved(pool)

    def follow(self) -> None:
        """Write the accounts that pools are quoted by, of those that were published meanwhile."""
        waiting, self.unfollowed = self.unfollowed, {}
        for pool in waiting.values():
            pool.cell.follow(pool.wanted.core)

    # --- what the clock brings

    def turn(self, now_ns: int) -> None:
        """Publish what has waited for long enough; see who can no longer be stood behind."""
        self.publish(self.units.due(now_ns), now_ns)
        if now_ns - self._looked_ns >= LOOK_NS:
            self._looked_ns = now_ns
            for pool in self.pools.values():
                if pool.good and not self.units.is_fresh(pool.key, self.pace, now_ns):
                    self.show(pool, now_ns)

    def next_turn_ns(self) -> int:
        due_ns, look_ns = self.units.next_due_ns(), self._looked_ns + LOOK_NS
        return look_ns if due_ns is None else min(due_ns, look_ns)

    def look(self, now_ns: int) -> None:
        """Renew what is good, and mark what is not."""
        self._looked_ns = now_ns
        for pool in self.pools.values():
            if pool.good or pool.cell.published:
                self.show(pool, now_ns)

    def leave(self) -> None:
        """Others write the cells from now on; what is still told says nothing."""
        self.pools.clear()
        self.of_head.clear()
        self.unfollowed.clear()
        self.units = PoolUnits()

    def pause(self, paused: bool, now_ns: int) -> None:
        """While it is paused nothing there is stood behind."""
        if paused != self.paused:
            self.paused = paused
            self.look(now_ns)
