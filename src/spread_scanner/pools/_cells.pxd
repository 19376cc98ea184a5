# A pool's cell, for who publishes natively.
cimport numpy as cnp
from libc.stdint cimport int64_t, uint32_t, uint64_t

from spread_scanner.shm._latches cimport LatchTable
from spread_scanner.solana._seen cimport SeenPool


cdef struct Shown:
    # What of a record changes with a swap, or with time: POOL_DTYPE from "price" on.
    double price
    double reserve0
    double reserve1
    double liquidity
    double fee
    uint64_t slot
    uint64_t published
    int64_t told_mono_ns
    int64_t written_mono_ns
    int64_t renewed_mono_ns
    int64_t good_ns
    uint32_t decimals0
    uint32_t decimals1
    uint32_t flags
    uint32_t because
    uint64_t priority_price
    int64_t priority_mono_ns
    uint32_t priority_slots


cdef class PoolCell:
    """What is said of one pool, in its place."""
    cdef object _writer, _key
    cdef SeenPool _seen
    cdef int64_t _place
    cdef LatchTable _table
    cdef object _whole  # whose accounts are to be written yet
    cdef cnp.ndarray _record
    cdef Shown *_shown
    cdef readonly int64_t slot
    cdef readonly int64_t published

    cpdef int publish(self, whole, str symbol, int64_t told_ns, int64_t now_ns) except -1
    cpdef int show(self, bint good, bint paused, int64_t now_ns, int64_t good_ns) except -1
    cpdef int refuse(self, str why) except -1
    cdef int _name(self, symbol) except -1
    cdef int _write(self) except -1
