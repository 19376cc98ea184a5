# cython: language_level=3
"""A pool's cell: what is written of one that is whole, renewed, stale or refused.

A cell's record is kept here, and what changes is put into its place: its words change seldom.
Compiled, as every account that makes a pool whole goes through here.
"""

import math

cimport numpy as cnp
from libc.stdint cimport int64_t, uint32_t, uint64_t

from spread_scanner.solana._seen cimport SeenPool

from spread_scanner.pools.units import WholeBecause
from spread_scanner.schema.pools import PACKED_BYTES, POOL_DTYPE, WHY_BYTES, PoolFlag
from spread_scanner.shm.pools import record
from spread_scanner.solana import PoolRefusal
from spread_scanner.solana.packed import pack

cnp.import_array()


cdef Py_ssize_t shown_at = POOL_DTYPE.fields["price"][1]
cdef dict BECAUSE = {because: number for number, because in enumerate(WholeBecause)}
cdef uint32_t STALE = PoolFlag.STALE, REFUSED = PoolFlag.REFUSED, PAUSED = PoolFlag.PAUSED
cdef double NONE = math.nan

cdef Shown probe
cdef Py_ssize_t last_at = shown_at + (<char *>&probe.priority_slots - <char *>&probe)

if shown_at % 8 or POOL_DTYPE.fields["priority_slots"][1] != last_at:
    raise ImportError("a record of a pool is laid out in another way")


cdef class PoolCell:
    """What is said of one pool, in its place."""

    def __init__(self, writer, place, key, entry):
        self._writer, self._place, self._key = writer, place, key
        self._table = writer.table
        self._seen = SeenPool(key)
        self._record = record(key, entry.program)
        self._shown = <Shown *>(<char *>cnp.PyArray_DATA(self._record) + shown_at)
        self._shown.price = self._shown.reserve0 = self._shown.reserve1 = NONE
        self._shown.liquidity = self._shown.fee = NONE
        self._shown.flags = STALE
        self._write()

    cpdef int publish(self, whole, str symbol, int64_t told_ns, int64_t now_ns) except -1:
        """A pool as it stands now, to be shown; the accounts that it is quoted by follow. Raises
        PoolRefusal where it has no price: its cell says so."""
        cdef Shown *shown = self._shown
        try:
            price, (one, other), liquidity = self._seen.see(whole.accounts)
        except PoolRefusal as refusal:
            self.refuse(str(refusal))
            raise
        if not self.published:
            self._name(symbol)
        if shown.flags & REFUSED:
            shown.flags &= ~REFUSED
            self._record[0]["why"] = b""
        self.slot, self._whole = whole.slot, whole
        self.published += 1
        fee_rate, (unit, other_unit) = self._seen.fee_rate, self._seen.units
        shown.price, shown.reserve0, shown.reserve1 = price, one / unit, other / other_unit
        shown.liquidity = NONE if liquidity is None else liquidity
        shown.fee = NONE if fee_rate is None else fee_rate
        shown.slot, shown.published = self.slot, self.published
        shown.told_mono_ns, shown.written_mono_ns = told_ns, now_ns
        shown.because = BECAUSE[whole.because]
        return 0

    cdef int _name(self, symbol) except -1:
        """What stands there as long as the pool is watched."""
        row = self._record[0]
        row["mint0"], row["mint1"] = (mint.encode() for mint in self._seen.mints)
        row["symbol"] = symbol.encode()
        self._shown.decimals0, self._shown.decimals1 = self._seen.decimals
        return 0

    @property
    def pool(self):
        """As it was published last; None: it never was."""
        return self._seen.pool if self.published else None

    def follow(self, needed):
        """Write the accounts that what was published last is quoted by, of which `needed` are those
        without which there is no price. Nothing where they stand there already."""
        if self._whole is not None:
            packed = pack(self._whole.accounts, needed, PACKED_BYTES)
            self._writer.write_state(self._place, self._key, self.published, packed)
            self._whole = None

    cpdef int show(self, bint good, bint paused, int64_t now_ns, int64_t good_ns) except -1:
        """Whether what stands there can be stood behind: until when, or no longer."""
        cdef uint32_t flags = self._shown.flags & REFUSED
        if good:
            self._shown.renewed_mono_ns, self._shown.good_ns = now_ns, good_ns
        else:
            flags |= STALE
        self._shown.flags = flags | PAUSED if paused else flags
        return self._write()

    def offer(self, uint64_t price, uint32_t slots, int64_t now_ns):
        """What is to be offered for writing it, by what was heard now."""
        self._shown.priority_price, self._shown.priority_slots = price, slots
        self._shown.priority_mono_ns = now_ns
        self._write()

    cpdef int refuse(self, str why) except -1:
        """There is no price to be stood behind, and why."""
        self._record[0]["why"] = why.encode(errors="replace")[:WHY_BYTES]
        self._shown.flags |= REFUSED | STALE
        return self._write()

    cdef int _write(self) except -1:
        if self._table.publish(<uint64_t>self._place, cnp.PyArray_DATA(self._record)):
            self._writer.changed()
        else:
            self._writer.write(self._place, self._record)  # which says why it is refused
        return 0
