# cython: language_level=3
"""Accounts as they are held (held.py says by which rules), when their pools are to be published
(units.py), and the way from what is told to the pools' cells. No I/O but theirs; time is told.

Compiled, as every account that is told goes through here. Who watches pools: feed.py.
"""

from libc.stdint cimport int64_t

from spread_scanner.pools._cells cimport PoolCell

from spread_scanner.pools.held import AccountTaking
from spread_scanner.pools.units import OUTDATED_NS_MAX, SETTLE_NS, WholeBecause, WholePool
from spread_scanner.pools.wanted import WantedAccounts, names_the_same
from spread_scanner.solana import PoolRefusal

cdef object TAKEN = AccountTaking.TAKEN
cdef object REPEATED = AccountTaking.REPEATED
cdef object OLD = AccountTaking.OLD
cdef object ROLLED_BACK = AccountTaking.ROLLED_BACK
cdef object CONFLICT = AccountTaking.CONFLICT
cdef object UNHEARD = AccountTaking.UNHEARD
cdef object TOGETHER = WholeBecause.TOGETHER
cdef object LATER_SLOT = WholeBecause.LATER_SLOT
cdef object SETTLED = WholeBecause.SETTLED
cdef dict COUNTED = {OLD: "skip_old", REPEATED: "skip_old", ROLLED_BACK: "rolled_back",
                     CONFLICT: "conflicts"}
cdef int64_t settle_ns = SETTLE_NS
cdef int64_t outdated_ns_max = OUTDATED_NS_MAX


cdef class HeldAccount:
    """One account as it was told last, and by whom."""

    cdef readonly tuple account
    cdef readonly int64_t slot
    cdef readonly str provider
    cdef readonly int64_t life
    cdef readonly bint by_seed


cdef HeldAccount held_account(tuple account, int64_t slot, str provider, int64_t life, bint by_seed):
    cdef HeldAccount made = HeldAccount.__new__(HeldAccount)
    made.account, made.slot, made.provider, made.life, made.by_seed = (
        account, slot, provider, life, by_seed)
    return made


cdef class _Heard:
    """An account that is wanted."""

    cdef HeldAccount held
    cdef set covered_by
    cdef set said_by  # whose last word on it is what is held
    cdef int64_t seed_slot_min

    def __cinit__(self):
        self.covered_by, self.said_by = set(), set()

    cdef int hold(self, HeldAccount account) except -1:
        if self.held is None or self.held.account != account.account:
            self.said_by.clear()
        self.held = account
        return 0

    cdef int said(self, tuple account, str provider) except -1:
        """A provider's last word on it."""
        if self.held is not None and account == self.held.account:
            self.said_by.add(provider)
        else:
            self.said_by.discard(provider)
        return 0

    cdef bint covered(self):
        return self.held is not None and len(self.covered_by) > 0


cdef class HeldAccounts:
    """All accounts that are wanted, over the lives of the providers' subscriptions."""

    cdef dict _heard
    cdef dict _lives  # of the providers that are connected
    cdef int64_t _lives_begun
    cdef readonly set doubted  # believed no more: to be asked for at once

    def __init__(self):
        self._heard, self._lives, self.doubted = {}, {}, set()

    def want(self, keys):
        for key in keys:
            if key not in self._heard:
                self._heard[key] = _Heard()

    def forget(self, keys):
        for key in keys:
            self._heard.pop(key, None)
            self.doubted.discard(key)

    def connected(self, str provider):
        """A new connection, on which everything is subscribed anew: it covers nothing yet."""
        self.lost(provider)
        self._lives_begun += 1
        self._lives[provider] = self._lives_begun

    def lost(self, str provider):
        """What it alone covered is stale until it is seeded anew."""
        cdef _Heard heard
        life = self._lives.pop(provider, None)
        for heard in self._heard.values():
            heard.covered_by.discard(provider)
            heard.said_by.discard(provider)
            if heard.held is not None and heard.held.provider == provider and heard.held.life == life:
                self.pass_on(heard)

    cdef int pass_on(self, _Heard heard) except -1:
        """Who told what is held is lost."""
        if heard.said_by:
            heard.held.provider = min(heard.said_by)
            heard.held.life = self._lives[heard.held.provider]
        else:
            heard.covered_by.clear()
        return 0

    def get(self, key):
        """What is held, whether it is covered or not."""
        cdef _Heard heard = self._heard.get(key)
        return None if heard is None else heard.held

    def covered_by(self, key):
        """The providers by whom it can be stood behind; none: it is stale."""
        cdef _Heard heard = self._heard.get(key)
        return heard.covered_by if heard is not None and heard.held is not None else set()

    def covered(self, keys):
        """Those of them that can be stood behind, as they are held."""
        cdef _Heard heard
        cdef dict found = {}
        for key in keys:
            heard = self._heard.get(key)
            if heard is not None and heard.covered():
                found[key] = heard.held.account
        return found

    def judged(self, str key, int64_t slot, tuple account, str provider):
        """What `take` will make of it."""
        return self.judge(self._heard.get(key), slot, account, provider)

    cdef object judge(self, _Heard heard, int64_t slot, tuple account, str provider):
        cdef HeldAccount held
        if heard is None or provider not in self._lives:
            return UNHEARD
        held = heard.held
        if held is None or slot > held.slot:
            return TAKEN
        if slot == held.slot:
            return REPEATED if account == held.account else CONFLICT
        if held.provider == provider and held.life == <int64_t>self._lives[provider]:
            return OLD if held.by_seed else ROLLED_BACK
        return OLD

    def take(self, str key, int64_t slot, tuple account, str provider):
        taking = self.judge(self._heard.get(key), slot, account, provider)
        self.put(key, slot, account, provider, taking)
        return taking

    cdef int put(self, str key, int64_t slot, tuple account, str provider, taking) except -1:
        cdef _Heard heard
        if taking is UNHEARD:
            return 0
        heard = self._heard[key]
        if taking is CONFLICT:
            self.doubt(key, slot)
        elif taking is TAKEN or taking is ROLLED_BACK:
            heard.hold(held_account(account, slot, provider, self._lives[provider], False))
        heard.said(account, provider)
        return 0

    def doubt(self, str key, int64_t slot):
        """Nothing is held of it until a seed of this slot or a later one has come."""
        cdef _Heard heard = self._heard[key]
        heard.held = None
        heard.covered_by.clear()
        heard.said_by.clear()
        heard.seed_slot_min = max(heard.seed_slot_min, slot)
        self.doubted.add(key)

    def uncovered(self, str key, str provider):
        """This provider told something that was not taken: it is to be seeded anew."""
        cdef _Heard heard = self._heard.get(key)
        if heard is not None:
            heard.covered_by.discard(provider)

    def disbelieve_after(self, int64_t slot):
        """Nothing was written later than that: what was told so is held no more, and is not waited
        for. Whether there was any."""
        cdef _Heard heard
        cdef list gone = []
        for key, heard in self._heard.items():
            if heard.seed_slot_min > slot or (heard.held is not None and heard.held.slot > slot):
                gone.append(key)
        for key in gone:
            heard = self._heard[key]
            heard.seed_slot_min = 0
            self.doubt(key, 0)
        return len(gone) > 0

    def seed(self, str provider, int64_t slot, accounts):
        """What stood at the end of a slot, asked for when this provider's subscriptions stood.

        Those that are covered by it from now on; the others have to be asked for again.
        """
        if provider not in self._lives:
            return []
        return [key for key, account in accounts.items()
                if key in self._heard and self.seed_one(provider, slot, key, account)]

    cdef bint seed_one(self, str provider, int64_t slot, str key, tuple account) except -1:
        cdef _Heard heard = self._heard[key]
        cdef HeldAccount held = heard.held
        if slot < heard.seed_slot_min:
            return False
        if held is not None and held.slot > slot:
            # Told since, if by a connection that would have told us were it taken back.
            if not self.stands(held):
                return False
        elif held is not None and held.slot == slot and len(heard.covered_by) > 0:
            if held.account != account:
                self.doubt(key, slot)
                return False
        else:
            heard.hold(held_account(account, slot, provider, self._lives[provider], True))
        heard.said(account, provider)
        heard.covered_by.add(provider)
        self.doubted.discard(key)
        return True

    cdef bint stands(self, HeldAccount held):
        """Whether the connection that told it is there still."""
        return self._lives.get(held.provider) == held.life

    def unseeded(self, str provider):
        """The accounts that this provider does not cover."""
        cdef _Heard heard
        cdef list found = []
        for key, heard in self._heard.items():
            if provider not in heard.covered_by:
                found.append(key)
        return found

    def seed_slot_min(self, keys):
        """The earliest slot of which a seed of all these would be taken."""
        return max([self.slot_min(self._heard[key]) for key in keys], default=0)

    cdef int64_t slot_min(self, _Heard heard):
        if heard.held is None or self.stands(heard.held):
            return heard.seed_slot_min
        return max(heard.seed_slot_min, heard.held.slot)


cdef class _Unit:
    """One pool, with what is heard of it: all, without what there is no price, what moves."""

    cdef str pool
    cdef object wanted
    cdef list all
    cdef list core
    cdef list moving
    cdef int64_t waits_slot  # something of this slot has come; -1: nothing has
    cdef int64_t waits_since_ns
    cdef bint outdated  # what was published last is not what is held
    cdef int64_t outdated_ns  # since when


cdef class PoolUnits:
    """All pools that are watched, over the accounts that are held."""

    cdef readonly HeldAccounts held
    cdef dict _units
    cdef dict _of_key
    cdef dict _waiting

    def __init__(self, HeldAccounts held=None):
        self.held = HeldAccounts() if held is None else held
        self._units, self._of_key, self._waiting = {}, {}, {}

    def watch(self, str pool, wanted):
        """A new pool, or other accounts than before: what is new has to be seeded.

        Where a pool's own account is told and wants others, it is watched so before it is told: the
        swap that moved the price there wrote those.
        """
        cdef _Unit unit = self._units.get(pool)
        if unit is None:
            unit = self._units[pool] = _Unit.__new__(_Unit)
            unit.pool, unit.wanted, unit.waits_slot = pool, wanted, -1
        gone = set(unit.wanted.keys) - set(wanted.keys)
        unit.wanted = wanted
        self.held.want(wanted.keys)
        for key in wanted.keys:
            if unit not in self._of_key.setdefault(key, []):
                self._of_key[key].append(unit)
        self._leave(unit, gone)
        heard = self.held._heard
        unit.all = [(key, heard[key]) for key in wanted.keys]
        unit.core = [heard[key] for key in wanted.core]
        unit.moving = [heard[key] for key in wanted.moving]

    def unwatch(self, str pool):
        unit = self._units.pop(pool)
        self._waiting.pop(pool, None)
        self._leave(unit, (<_Unit>unit).wanted.keys)

    cdef int _leave(self, _Unit unit, keys) except -1:
        """Accounts that no pool needs any more are forgotten."""
        for key in keys:
            self._of_key[key].remove(unit)
            if not self._of_key[key]:
                del self._of_key[key]
                self.held.forget((key,))
        return 0

    def is_whole(self, str pool):
        """Whether there is a price that can be stood behind, as far as accounts go."""
        return whole(self._units[pool])

    def is_fresh(self, str pool, pace, int64_t now_ns):
        """Whether it is whole, and each account covered by a provider that is in time: what was
        published last may be renewed, and is stale otherwise."""
        return self.fresh_until_ns(pool, pace, now_ns) > 0

    cpdef int64_t fresh_until_ns(self, str pool, pace, int64_t now_ns) except -1:
        """Until when it is, should nobody tell any more; 0: it is not."""
        cdef _Unit unit = self._units[pool]
        cdef _Heard heard
        cdef dict until = {}  # most accounts are covered by the same providers
        cdef int64_t first = 0, last
        if not unit.moving:
            return 0
        if unit.outdated:
            first = unit.outdated_ns + outdated_ns_max
            if first <= now_ns:
                return 0
        for heard in unit.core:
            last = 0
            if heard.held is not None:
                for provider in heard.covered_by:
                    if provider not in until:
                        until[provider] = pace.in_time_until_ns(provider, now_ns)
                    last = max(last, <int64_t>until[provider])
            if last == 0:
                return 0
            first = last if first == 0 else min(first, last)
        return first

    cpdef list told(
        self, str key, int64_t slot, str owner, bytes data, str provider, int64_t now_ns
    ):
        """An account was written: what is to be published now, the earlier slot first."""
        cdef _Unit unit
        cdef list units = self._of_key.get(key, [])
        cdef list found = []
        account = (owner, data)
        taking = self.held.judge(self.held._heard.get(key), slot, account, provider)
        if taking is TAKEN:
            for unit in units:
                if 0 <= unit.waits_slot < slot and self._told_by_one(unit):
                    self._publish(unit, LATER_SLOT, found)
        self.held.put(key, slot, account, provider, taking)
        if taking is ROLLED_BACK:
            self._doubt_above(units, slot)
        if taking is TAKEN or taking is ROLLED_BACK:
            for unit in units:
                self._changed(unit, slot, now_ns, found)
        return found

    def seeded(self, str provider, int64_t slot, accounts, int64_t now_ns):
        """What was asked for has come: pools that are whole by it, or differ, to be published."""
        cdef _Unit unit
        cdef list found = []
        units = {(<_Unit>unit).pool: unit for key in accounts for unit in self._of_key.get(key, [])}
        before = {pool: seen(unit) for pool, unit in units.items()}
        self.held.seed(provider, slot, accounts)
        for pool, unit in units.items():
            if seen(unit) != before[pool]:
                if not before[pool][0]:  # nobody told meanwhile whether it was swapped in
                    (<_Unit>unit).outdated = True
                    (<_Unit>unit).outdated_ns = now_ns - outdated_ns_max
                self._changed(unit, slot, now_ns, found)
        return found

    def due(self, int64_t now_ns):
        """Those that have waited for so long, to be published as they stand."""
        cdef _Unit unit
        cdef list found = []
        for unit in list(self._waiting.values()):
            if now_ns - unit.waits_since_ns < settle_ns:
                continue
            if self._told_by_one(unit):
                self._publish(unit, SETTLED, found)
            else:
                unit.waits_since_ns = now_ns
        return found

    cdef bint _told_by_one(self, _Unit unit) except -1:
        """Whether one who told the newest of what moves tells of all of it: from one who does not,
        as while its subscriptions are made, that nothing more came says nothing."""
        cdef _Heard heard
        cdef int64_t newest = 0
        cdef set tellers = set()
        for heard in unit.moving:
            if heard.held is not None:
                newest = max(newest, heard.held.slot)
        for heard in unit.moving:
            if heard.held is not None and heard.held.slot == newest:
                tellers.add(heard.held.provider)
                tellers |= heard.said_by
        for heard in unit.moving:
            tellers &= heard.covered_by if heard.held is not None else set()
        return len(tellers) > 0

    def next_due_ns(self):
        """When `due` has something to say next."""
        times = [(<_Unit>unit).waits_since_ns for unit in self._waiting.values()]
        return min(times) + settle_ns if times else None

    cdef int _doubt_above(self, list units, int64_t slot) except -1:
        """What was told of later slots than the one that the chain went back to is of the fork."""
        cdef _Unit unit
        cdef _Heard heard
        for unit in units:
            for key, heard in unit.all:
                if heard.held is not None and heard.held.slot > slot:
                    self.held.doubt(key, slot)
        return 0

    cdef int _changed(self, _Unit unit, int64_t slot, int64_t now_ns, list found) except -1:
        """Something of this slot has come: published at once where all that moves is of one."""
        cdef _Heard heard
        cdef bint together = True
        if unit.waits_slot < 0:
            unit.waits_since_ns = now_ns
        if not unit.outdated:
            unit.outdated, unit.outdated_ns = True, now_ns
        unit.waits_slot = slot
        for heard in unit.moving:
            if heard.held is not None:
                unit.waits_slot = max(unit.waits_slot, heard.held.slot)
        for heard in unit.moving:
            together = together and heard.held is not None and heard.held.slot == unit.waits_slot
        self._waiting[unit.pool] = unit
        if together and unit.moving:
            self._publish(unit, TOGETHER, found)
        return 0

    cdef int _publish(self, _Unit unit, because, list found) except -1:
        """A pool as it stands, where it is whole."""
        cdef _Heard heard
        cdef HeldAccount own
        cdef int64_t slot = 0
        unit.waits_slot = -1
        self._waiting.pop(unit.pool, None)
        if not whole(unit):
            return 0
        unit.outdated = False
        own = self.held.get(unit.pool)
        if own is not None:
            slot = own.slot
        for heard in unit.moving:
            if heard.held is not None:
                slot = max(slot, heard.held.slot)
        found.append(WholePool(unit.pool, slot, stood_behind(unit), because))
        return 0


cdef bint whole(_Unit unit):
    """Whether what can be stood behind of it is enough for a price."""
    cdef _Heard heard
    if not unit.moving:
        return False
    for heard in unit.core:
        if not heard.covered():
            return False
    return True


cdef dict stood_behind(_Unit unit):
    cdef _Heard heard
    cdef dict found = {}
    for key, heard in unit.all:
        if heard.covered():
            found[key] = heard.held.account
    return found


cdef tuple seen(_Unit unit):
    """Whether it is whole, and what can be stood behind of it."""
    return whole(unit), stood_behind(unit)


cdef class WatchedPool:
    """One pool: what it has to be, which accounts it needs as far as is known, and its cell."""

    cdef readonly str key
    cdef readonly object entry
    cdef readonly str symbol
    cdef readonly PoolCell cell
    cdef public object wanted
    cdef public object refusal
    cdef public tuple named_by  # its own account, of which the others were found
    cdef public bint good  # as its cell says

    def __init__(self, str key not None, entry, str symbol not None, PoolCell cell not None):
        self.key, self.entry, self.symbol, self.cell = key, entry, symbol, cell
        self.wanted = WantedAccounts((), frozenset(), frozenset())

    cdef bint as_before(self, tuple account) except -1:
        """Whether the pool's own account names what it named when it was looked at last. Then it is
        what the next one is held against: its bytes are looked at for the cell, too."""
        if self.named_by is None or not names_the_same(self.named_by, account):
            return False
        self.named_by = account
        return True


cdef class AccountPath:
    """From an account that is told to the cells of its pools. What is wanted and refused of them,
    and what clocks and slots bring, is PoolFeed's."""

    cdef public PoolUnits units
    cdef public object pace
    cdef public object count
    cdef public object changed  # is called where other accounts are wanted, or doubted
    cdef public object moved  # likewise: a pool was published, or what it can be stood behind is other
    cdef public object soon  # has something called when what is being heard is dealt with
    cdef public bint paused
    cdef public dict pools
    cdef public dict of_head  # the pools that an account names others for
    cdef public dict unfollowed  # pools whose accounts are to follow their cells

    def __init__(self, PoolUnits units not None, pace, count):
        self.units, self.pace, self.count = units, pace, count
        self.changed, self.moved, self.soon = nothing, nothing, at_once
        self.pools, self.of_head, self.unfollowed = {}, {}, {}

    def told(self, str provider, str key, int64_t slot, tuple account, int64_t now_ns):
        """An account was written in this slot."""
        cdef WatchedPool pool
        cdef HeldAccounts held = self.units.held
        cdef Py_ssize_t doubted
        if slot > self.pace.best_slot and self.cannot_be(slot):
            held.uncovered(key, provider)
            return
        taking = held.judge(held._heard.get(key), slot, account, provider)
        if taking is TAKEN or taking is ROLLED_BACK:
            for pool in self.of_head.get(key, ()):
                if key != pool.key or not pool.as_before(account):
                    self.want(pool, {key: account})
        if taking is not TAKEN and taking in COUNTED:
            self.count.add(COUNTED[taking])
        doubted = len(held.doubted)
        self.publish(self.units.told(key, slot, account[0], account[1], provider, now_ns), now_ns)
        if len(held.doubted) > doubted:
            self.look(now_ns)
            self.changed()

    cpdef int publish(self, list whole, int64_t now_ns) except -1:
        """Pools that are whole, to their cells."""
        cdef WatchedPool pool
        for one in whole:
            pool = self.pools[one.pool]
            try:
                pool.cell.publish(one, pool.symbol, now_ns, self.count.now_ns())
            except PoolRefusal as refusal:
                self.refuse(pool, refusal)
                continue
            if pool.refusal is not None:
                self.refuse(pool, None)
            self.show(pool, now_ns)
            self.count.published(now_ns)
            self.moved(pool)
            first = not self.unfollowed
            self.unfollowed[pool.key] = pool
            if first:
                self.soon(self.follow)
        return 0

    cpdef int show(self, WatchedPool pool, int64_t now_ns) except -1:
        """In its cell: whether it can be stood behind, and until when."""
        cdef int64_t until_ns = 0
        cdef bint good, other
        if pool.refusal is None and pool.cell.published and not self.paused:
            until_ns = self.units.fresh_until_ns(pool.key, self.pace, now_ns)
        good = until_ns > 0
        if pool.good and not good:
            self.count.add("stale_marks")
        other, pool.good = pool.good != good, good
        pool.cell.show(good, self.paused, now_ns, until_ns - now_ns if good else 0)
        if other:
            self.moved(pool)
        return 0


def nothing(*_):
    """Nobody is told."""


def at_once(act):
    act()
