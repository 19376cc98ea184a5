# One order book while it is followed, for the rooms that compile against it.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "book.h" nogil:
    enum:
        SS_LEVELS_SHOWN
        SS_LEVELS_KEPT
        SS_LEVELS_LEAST
        SS_BOOK_STALE
        SS_BOOK_RESYNCING
        SS_BOOK_CROSSED
        SS_BOOK_DEPLETED
        SS_BOOK_TOP_DISAGREES
        SS_BOOK_BID_EMPTY
        SS_BOOK_ASK_EMPTY
        SS_BOOK_PARTIAL
        SS_BOOK_NO_TS_EVENT
        SS_BOOK_BIDS_WHOLE
        SS_BOOK_ASKS_WHOLE
        SS_BOOK_UNUSABLE
        SS_BIDS
        SS_ASKS

    ctypedef struct ss_level:
        double px
        double sz

    ctypedef struct ss_book_record:
        int64_t ts_event
        int64_t ts_recv
        uint64_t update_id
        int64_t top_since_ns
        uint32_t flags
        uint32_t epoch
        uint32_t symbol_id
        uint8_t source_id
        uint8_t count[2]
        uint16_t kept[2]
        ss_level level[2][20]

    uint32_t ss_book_whole(int side)


cdef extern from "order_book.h" nogil:
    ctypedef struct ss_book_levels:
        int count
        int cut
        double horizon
        ss_level level[100]

    ctypedef struct ss_order_book:
        ss_book_levels side[2]
        uint64_t refused

    void ss_order_book_clear(ss_order_book *book)
    void ss_order_book_begin(ss_order_book *book)
    void ss_order_book_put(ss_order_book *book, int side, double px, double sz)
    void ss_order_book_end(ss_order_book *book, int levels)
    uint32_t ss_order_book_flags(const ss_order_book *book)
    void ss_order_book_show(const ss_order_book *book, int levels_max, ss_book_record *record)


cdef class FollowedBook:
    """One order book while it is followed."""
    cdef ss_order_book book
