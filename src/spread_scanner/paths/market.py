"""The pools of the segment as they may be traded: decoded, and who stays out and why.

Reads "<namespace>.pools" alone. A pool is decoded when it was published anew, and judged again when
what tokens are worth was worked out anew. Nothing here waits or writes.
"""

from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import Any, NamedTuple

from spread_scanner.paths import costing
from spread_scanner.schema.costs import LAMPORTS
from spread_scanner.schema.pools import HeardPrice, PoolFlag, heard_price
from spread_scanner.shm.pools import PoolTable
from spread_scanner.solana import Pool, PoolReason, PoolRefusal, assemble
from spread_scanner.solana.packed import unpack
from spread_scanner.solana.tokens import WSOL
from spread_scanner.view.pools import why_not


class OutReason(Enum):
    """Why a pool is not traded; the value is what its counter is called by."""

    STALE = "out_stale"  # nobody stands behind what is known of it
    PAUSED = "out_paused"  # by the operator
    MISLABELLED = "out_mislabelled"  # it is not what the settings say, or cannot be read
    CLOSED = "out_closed"  # it does not trade now, by its own word
    NO_ROOM = "out_no_room"  # its accounts are more than its place in the segment holds
    DEAD = "out_dead"  # it holds nothing
    DUST = "out_dust"  # it holds too little to be believed, or nobody knows what it is worth


class OutOfMarket(NamedTuple):
    """One pool that is not traded."""

    reason: OutReason
    why: str


class MarketPool:
    """One pool as it was read last."""

    def __init__(self, key: str, place: int) -> None:
        self.key, self.place = key, place
        self.program = ""
        self.flags = PoolFlag(0)
        self.why = "nothing has come yet"  # it cannot be stood behind; empty: it can
        self.published = 0
        self.slot = 0
        self.renewed_ns = 0
        self.pool: Pool | None = None
        self.heard: HeardPrice | None = None  # of priority fees for writing it
        self.unread: OutOfMarket | None = None  # what stood in the way of reading it
        self.out: OutOfMarket | None = None  # None: it is traded


class PoolMarket:
    """All of them. `look` first, then the rest is of that look."""

    def __init__(self, table: PoolTable, depth_min_lamports: float) -> None:
        self._table = table
        self.depth_min_lamports = depth_min_lamports
        self.slot = 0
        self.pools: dict[str, MarketPool] = {}
        self.worths: dict[str, float] = {WSOL: 1.0}

    def traded(self) -> dict[str, Pool]:
        """The pools that may be traded, by their keys."""
        return {
            key: one.pool
            for key, one in self.pools.items()
            if one.out is None and one.pool is not None
        }

    def of_one_slot(self, keys: Iterable[str]) -> bool:
        """Whether these are known as they stood at the end of one slot: of the newest of them, or
        of that one alone, by which all others would have been told, too, had they been written."""
        slots = {self.pools[key].slot for key in keys}
        return len(slots) == 1 or self.slot > max(slots)

    def out_by_reason(self) -> Counter[OutReason]:
        return Counter(one.out.reason for one in self.pools.values() if one.out is not None)

    def look(self, now_ns: int, unix_ts: int) -> set[str]:
        """Read what was written since; the keys of pools that changed, came or went."""
        self.slot = self._table.slot
        places, rows = self._table.placed()
        keys = [key.decode() for key in rows["key"].tolist()]
        now_at = dict(zip(keys, places.tolist(), strict=True))
        changed = {key for key, one in self.pools.items() if now_at.get(key) != one.place}
        for key in changed:
            del self.pools[key]
        for key, place, row in zip(keys, places.tolist(), rows, strict=True):
            if key not in self.pools:
                self.pools[key] = MarketPool(key, place)
            if self._take(self.pools[key], row, now_ns):
                changed.add(key)
                self._judge(self.pools[key], unix_ts)
        return changed

    def _take(self, one: MarketPool, row: Any, now_ns: int) -> bool:
        """Whether it has changed: it was published, or can be stood behind no longer, or again."""
        why, before = why_not(row, now_ns), one.why
        one.why, one.flags = why, PoolFlag(int(row["flags"]))
        one.heard = heard_price(row)
        one.program, one.renewed_ns = row["program"].decode(), int(row["renewed_mono_ns"])
        published = int(row["published"])
        if why or published == one.published:
            return why != before
        packed = self._table.packed(one.place, one.key.encode(), published)
        if packed is None:  # its accounts follow, and wake us
            one.why = before
            return False
        one.published, one.slot = published, int(row["slot"])
        one.pool, one.unread = None, None
        try:
            if packed:
                one.pool = assemble(one.key, unpack(packed))
            else:
                one.unread = OutOfMarket(OutReason.NO_ROOM, "its accounts have no room")
        except PoolRefusal as refusal:
            one.unread = OutOfMarket(OutReason.MISLABELLED, str(refusal))
        return True

    def weigh(self) -> None:
        """Work out anew what tokens are worth, from all pools that can be read."""
        read = {
            key: one.pool
            for key, one in self.pools.items()
            if one.pool is not None and (one.out is None or one.out.reason is OutReason.DUST)
        }
        self.worths = costing.worths(read, WSOL, self.depth_min_lamports)

    def judge(self, unix_ts: int) -> set[str]:
        """All anew, by what tokens are worth and what the time is: the keys of pools that are
        traded from now on, or no more."""
        before = self.traded().keys()
        for one in self.pools.values():
            self._judge(one, unix_ts)
        return {*before} ^ {*self.traded()}

    def _judge(self, one: MarketPool, unix_ts: int) -> None:
        if one.why:
            reason = OutReason.STALE
            if PoolFlag.REFUSED in one.flags:
                reason = OutReason.MISLABELLED
            elif PoolFlag.PAUSED in one.flags:
                reason = OutReason.PAUSED
            one.out = OutOfMarket(reason, one.why)
        elif one.pool is None:
            one.out = one.unread
        else:
            one.out = self._closed(one.pool, unix_ts) or self._dust(one.pool)

    def _closed(self, pool: Pool, unix_ts: int) -> OutOfMarket | None:
        try:
            pool.check_open(unix_ts, self.slot)
            empty = not all(pool.depth())
        except PoolRefusal as refusal:
            closed = refusal.reason is PoolReason.CLOSED
            reason = OutReason.CLOSED if closed else OutReason.MISLABELLED
            return OutOfMarket(reason, str(refusal))
        return OutOfMarket(OutReason.DEAD, "it holds nothing on one side") if empty else None

    def _dust(self, pool: Pool) -> OutOfMarket | None:
        if not all(mint in self.worths for mint in pool.mints):
            return OutOfMarket(OutReason.DUST, "no pool that is deep enough says what it is worth")
        held = [
            amount * self.worths[mint]
            for amount, mint in zip(pool.depth(), pool.mints, strict=True)
        ]
        if min(held) < self.depth_min_lamports:
            sol = min(held) / LAMPORTS
            return OutOfMarket(OutReason.DUST, f"it holds {sol:.3f} SOL's worth on one side")
        return None
