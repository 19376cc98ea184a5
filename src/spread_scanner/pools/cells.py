"""A pool's cell: what is written of one that is whole, renewed, stale or refused.

A cell's record is kept here, and what changes is packed into its place: its words change seldom.
"""

import math
import struct
from collections.abc import Collection

from spread_scanner.config.pools import PoolEntry
from spread_scanner.pools.units import WholeBecause, WholePool
from spread_scanner.schema.pools import PACKED_BYTES, POOL_DTYPE, WHY_BYTES, PoolFlag
from spread_scanner.shm.pools import PoolWriter, record
from spread_scanner.solana import Pool, PoolRefusal
from spread_scanner.solana.packed import pack
from spread_scanner.solana.seen import SeenPool

# Of the record: what stands there, as it was published; until when it is good; whether it is.
_PUBLISHED, _GOOD, _FLAGS = struct.Struct("<5d2Q2q"), struct.Struct("<2q"), struct.Struct("<I")
_PRIORITY = struct.Struct("<QqI")
_PUBLISHED_AT, _GOOD_AT, _FLAGS_AT, _BECAUSE_AT, _PRIORITY_AT = (
    int(POOL_DTYPE.fields[name][1])  # type: ignore[index]
    for name in ("price", "renewed_mono_ns", "flags", "because", "priority_price")
)
_BECAUSE = {because: number for number, because in enumerate(WholeBecause)}
_STALE, _REFUSED, _PAUSED = (int(flag) for flag in PoolFlag)


class PoolCell:
    """What is said of one pool, in its place."""

    def __init__(self, writer: PoolWriter, place: int, key: str, entry: PoolEntry) -> None:
        self._writer, self._place, self._key = writer, place, key
        self._seen = SeenPool(key)
        self.slot = self.published = 0
        self._flags = 0
        self._whole: WholePool | None = None  # whose accounts are to be written yet
        self._record = record(key, entry.program)
        for name in ("price", "reserve0", "reserve1", "liquidity", "fee"):
            self._record[name] = math.nan
        self._bytes = self._record.view("u1").data
        self._flag(_STALE)
        self._write()

    def publish(self, whole: WholePool, symbol: str, told_ns: int, now_ns: int) -> None:
        """A pool as it stands now, to be shown; the accounts that it is quoted by follow. Raises
        PoolRefusal where it has no price: its cell says so."""
        seen = self._seen
        try:
            price, (one, other), liquidity = seen.see(whole.accounts)
        except PoolRefusal as refusal:
            self.refuse(str(refusal))
            raise
        decimals, others = seen.decimals
        if not self.published:
            row = self._record[0]
            row["mint0"], row["mint1"] = (mint.encode() for mint in seen.mints)
            row["symbol"], row["decimals0"], row["decimals1"] = symbol.encode(), decimals, others
        if self._flags & _REFUSED:
            self._flag(self._flags & ~_REFUSED)
            self._record[0]["why"] = b""
        self.slot, self.published, self._whole = whole.slot, self.published + 1, whole
        _PUBLISHED.pack_into(
            self._bytes,
            _PUBLISHED_AT,
            price,
            one / 10**decimals,
            other / 10**others,
            math.nan if liquidity is None else liquidity,
            math.nan if seen.fee_rate is None else seen.fee_rate,
            *(whole.slot, self.published, told_ns, now_ns),
        )
        _FLAGS.pack_into(self._bytes, _BECAUSE_AT, _BECAUSE[whole.because])

    @property
    def pool(self) -> Pool | None:
        """As it was published last."""
        return self._seen.pool if self.published else None

    def follow(self, needed: Collection[str]) -> None:
        """Write the accounts that what was published last is quoted by, of which `needed` are those
        without which there is no price. Nothing where they stand there already."""
        if self._whole is not None:
            packed = pack(self._whole.accounts, needed, PACKED_BYTES)
            self._writer.write_state(self._place, self._key, self.published, packed)
            self._whole = None

    def show(self, *, good: bool, paused: bool, now_ns: int, good_ns: int) -> None:
        """Whether what stands there can be stood behind: until when, or no longer."""
        self._flag(self._flags & _REFUSED | (0 if good else _STALE) | (_PAUSED if paused else 0))
        if good:
            _GOOD.pack_into(self._bytes, _GOOD_AT, now_ns, good_ns)
        self._write()

    def offer(self, price: int, slots: int, now_ns: int) -> None:
        """What is to be offered for writing it, by what was heard now."""
        _PRIORITY.pack_into(self._bytes, _PRIORITY_AT, price, now_ns, slots)
        self._write()

    def refuse(self, why: str) -> None:
        """There is no price to be stood behind, and why."""
        self._record[0]["why"] = why.encode(errors="replace")[:WHY_BYTES]
        self._flag(self._flags | _REFUSED | _STALE)
        self._write()

    def _flag(self, flags: int) -> None:
        if flags != self._flags:
            self._flags = flags
            _FLAGS.pack_into(self._bytes, _FLAGS_AT, flags)

    def _write(self) -> None:
        self._writer.write(self._place, self._record)
