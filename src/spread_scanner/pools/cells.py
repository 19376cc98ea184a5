"""A pool's cell: what is written of one that is whole, renewed, stale or refused.

A cell's record is kept here and its numbers packed anew for each write, which costs a microsecond;
its words change seldom.
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

_NUMBERS = struct.Struct("<5d2Q4q4IQqI")  # of the record, from its price on
_WORDS = ("key", "program", "mint0", "mint1", "symbol", "why")
_NUMBERS_AT = sum(POOL_DTYPE[name].itemsize for name in _WORDS)
_BECAUSE = {because: number for number, because in enumerate(WholeBecause)}
_STALE, _REFUSED, _PAUSED = (int(flag) for flag in PoolFlag)


class PoolCell:
    """What is said of one pool, in its place."""

    def __init__(self, writer: PoolWriter, place: int, key: str, entry: PoolEntry) -> None:
        self._writer, self._place, self._key = writer, place, key
        self._seen = SeenPool(key)
        self._values: tuple[float, ...] = (math.nan,) * 5
        self.slot = self.published = self._because = 0
        self._told_ns = self._written_ns = self._renewed_ns = self._good_ns = 0
        self._decimals = 0, 0
        self._flags = _STALE
        self._priority = 0, 0, 0  # price, when it was heard, and slots that it rests on
        self._whole: WholePool | None = None  # whose accounts are to be written yet
        self._record = record(key, entry.program)
        self._numbers = self._record.view("u1").data
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
        if not self.published:
            row = self._record[0]
            row["mint0"], row["mint1"] = (mint.encode() for mint in seen.mints)
            row["symbol"] = symbol.encode()
        decimals, others = self._decimals = seen.decimals
        self._values = (
            price,
            one / 10**decimals,
            other / 10**others,
            math.nan if liquidity is None else liquidity,
            math.nan if seen.fee_rate is None else seen.fee_rate,
        )
        if self._flags & _REFUSED:
            self._flags &= ~_REFUSED
            self._record[0]["why"] = b""
        self.slot, self.published = whole.slot, self.published + 1
        self._told_ns, self._written_ns = told_ns, now_ns
        self._because = _BECAUSE[whole.because]
        self._whole = whole

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
        self._flags = self._flags & _REFUSED | (0 if good else _STALE) | (_PAUSED if paused else 0)
        if good:
            self._renewed_ns, self._good_ns = now_ns, good_ns
        self._write()

    def offer(self, price: int, slots: int, now_ns: int) -> None:
        """What is to be offered for writing it, by what was heard now."""
        self._priority = price, now_ns, slots
        self._write()

    def refuse(self, why: str) -> None:
        """There is no price to be stood behind, and why."""
        self._record[0]["why"] = why.encode(errors="replace")[:WHY_BYTES]
        self._flags |= _REFUSED | _STALE
        self._write()

    def _write(self) -> None:
        _NUMBERS.pack_into(
            self._numbers,
            _NUMBERS_AT,
            *self._values,
            *(self.slot, self.published),
            *(self._told_ns, self._written_ns, self._renewed_ns, self._good_ns),
            *(*self._decimals, self._flags, self._because),
            *self._priority,
        )
        self._writer.write(self._place, self._record)
