# The board of a source's books, for the compiled listener.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from spread_scanner.books._order_book cimport FollowedBook, ss_book_record, ss_level
from spread_scanner.exchanges._depth cimport DepthDecoder, ss_depth_match
from spread_scanner.feed._board cimport Board
from spread_scanner.shm._latches cimport LatchTable
from spread_scanner.shm._level_tape cimport LevelTape
from spread_scanner.shm._rows cimport Row


cdef class KeptBook:
    """What is known of one book, whichever tier it came by."""
    cdef readonly FollowedBook book
    cdef public bint stands
    cdef public bint stale
    cdef public bint late
    cdef public bint beyond
    cdef public int window
    cdef public bint summed
    cdef public bint disagrees
    cdef public bint crossed
    cdef public uint32_t owner
    cdef public int64_t known_id
    cdef public int64_t ts_event
    cdef readonly int64_t recv_ns
    cdef readonly int64_t top_since_ns
    cdef bint shown
    cdef ss_book_record told
    cdef ss_level best[2]

    cdef uint32_t marks(self) noexcept nogil


cdef class BookBoard:
    """The books of a source, by symbol id, and where they are shown."""
    cdef readonly LatchTable table
    cdef readonly LevelTape tape
    cdef readonly Row row
    cdef readonly Board quotes
    cdef object odd
    cdef DepthDecoder decoder
    cdef list kept
    cdef uint64_t[::1] places
    cdef uint32_t epoch
    cdef uint8_t source_id
    cdef ss_depth_match found

    cdef int64_t take(self, const char *frame, size_t size, uint32_t number, int64_t recv_ns,
                      bint behind) except -2
    cdef bint is_ahead(self, int64_t recv_ns, int64_t ts) noexcept nogil
    cdef bint is_late(self, int64_t ts_event, int64_t recv_ns, bint behind) noexcept nogil
    cdef uint32_t show(self, KeptBook kept, uint32_t symbol_id, int64_t recv_ns) noexcept nogil
