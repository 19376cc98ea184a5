# One reader's dirty bits, for the room that takes them natively (engine).
from libc.stdint cimport uint32_t

from spread_scanner.shm._store cimport StoreView


cdef class DirtyBitmap:
    """One reader's dirty bits of all sources."""
    cdef readonly StoreView view
    cdef readonly uint32_t reader
    cdef bint closed
    cdef int check(self) except -1
    cdef take_source(self, uint32_t source)
