# Write access to one source, for the room that writes (feed).
from libc.stdint cimport int64_t, uint16_t, uint32_t

from spread_scanner.shm._store cimport StoreView, ss_quote


cdef class StoreWriter:
    """Write access to one source. `epoch` stamps what is written from now on."""
    cdef readonly StoreView view
    cdef readonly uint32_t source_id
    cdef readonly uint32_t epoch
    cdef uint32_t symbols
    cdef int check(self, int64_t symbol_id) except -1
    cdef void put_many(self, const uint16_t *ids, const ss_quote *quotes,
                       Py_ssize_t count) noexcept nogil
