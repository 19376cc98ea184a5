# The price store as it is read, for the rooms that compile against it (feed, engine).
cimport numpy as cnp
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from spread_scanner.shm._memory cimport ss_wake
from spread_scanner.shm._ring cimport ss_ring


cdef extern from "quote.h" nogil:
    enum:
        SS_FLAG_STALE
        SS_FLAG_SILENT
        SS_FLAG_LAGGING
        SS_FLAG_CROSSED
        SS_FLAG_NO_TS_EVENT
        SS_FLAG_BID_EMPTY
        SS_FLAG_ASK_EMPTY
        SS_FLAG_JUMPED
        SS_FLAG_OVERDUE
        SS_FLAG_CONTENDED
        SS_FLAGS_UNUSABLE

    ctypedef struct ss_quote:
        double bid_px
        double bid_sz
        double ask_px
        double ask_sz
        int64_t ts_event
        int64_t ts_recv
        uint64_t update_id
        uint32_t flags
        uint32_t epoch

    int ss_side_possible(double px, double sz)
    void ss_quote_derive(ss_quote *quote)


cdef extern from "seqlock.h" nogil:
    enum:
        SS_READ_TRIES_MAX
        SS_READ_NONE
        SS_READ_OK
        SS_READ_CONTENDED

    ctypedef struct ss_sequence:
        pass

    ctypedef struct ss_cell:
        pass


cdef extern from "bitmap.h" nogil:
    ctypedef uint64_t ss_dirty_word

    int ss_bitmap_any(const ss_dirty_word *words, uint32_t word_count)
    void ss_bitmap_mark_word(ss_dirty_word *words, uint32_t word, uint64_t bits)
    size_t ss_bitmap_take(ss_dirty_word *words, uint32_t word_count, uint16_t *ids, size_t limit)


cdef extern from "tape.h" nogil:
    ctypedef struct ss_tick:
        uint64_t number

    ctypedef struct ss_tape:
        ss_ring ring
        int on


cdef extern from "store.h" nogil:
    enum:
        SS_READERS_MAX

    ctypedef struct ss_source_row:
        uint32_t epoch
        int64_t heartbeat_mono_ns

    ctypedef struct ss_store:
        uint32_t num_sources
        uint32_t max_symbols
        ss_source_row *rows
        ss_sequence *sequences
        ss_cell *cells
        uint32_t num_readers
        uint32_t words_per_source
        uint32_t words_stride
        ss_wake *wakes[8]
        ss_dirty_word *dirty[8]
        ss_tape tape

    void ss_store_look(ss_store *store)
    ss_dirty_word *ss_store_words(const ss_store *store, uint32_t reader, uint32_t source)
    void ss_store_publish(ss_store *store, uint32_t source, uint32_t symbol,
                          const ss_quote *quote)
    void ss_store_put(ss_store *store, uint32_t source, uint32_t symbol, const ss_quote *quote)
    void ss_store_notify(ss_store *store)
    void ss_store_write(ss_store *store, uint32_t source, uint32_t symbol, const ss_quote *quote)
    int ss_store_read(const ss_store *store, uint32_t source, uint32_t symbol, ss_quote *quote)
    int ss_store_own(const ss_store *store, uint32_t source, uint32_t symbol, ss_quote *quote)
    uint32_t ss_store_epoch(const ss_store *store, uint32_t source)
    int64_t ss_store_heartbeat(const ss_store *store, uint32_t source)
    void ss_store_begin_epoch(ss_store *store, uint32_t source, uint32_t epoch)
    void ss_store_beat(ss_store *store, uint32_t source, int64_t mono_ns)
    int ss_store_wait(ss_store *store, uint32_t reader, int64_t timeout_ns)


cdef class Quote:
    """One quote as read."""
    cdef readonly double bid_px, bid_sz, ask_px, ask_sz
    cdef readonly int64_t ts_event, ts_recv
    cdef readonly uint64_t update_id
    cdef readonly uint32_t flags, epoch


cdef class StoreView:
    """Read access to the price store."""
    cdef ss_store store
    cdef readonly object memory
    cdef readonly object dirty_memory
    cdef readonly object tape_memory
    cdef ss_quote *last_good
    cdef readonly uint64_t contended
    cdef int fetch(self, uint32_t source_id, uint32_t symbol_id, ss_quote *quote) noexcept nogil
    cdef int check(self, int64_t source_id, int64_t symbol_id) except -1


cdef cnp.ndarray checked_ids(cnp.ndarray ids)
