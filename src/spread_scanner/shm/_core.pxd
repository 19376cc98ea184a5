# The native core, for the rooms that compile against it (feed, engine).
cimport numpy as cnp
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "seqlock.h" nogil:
    enum:
        SS_READ_NONE
        SS_READ_OK
        SS_READ_CONTENDED

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

    ctypedef struct ss_sequence:
        pass

    ctypedef struct ss_cell:
        pass


cdef extern from "clock.h" nogil:
    int64_t ss_awake_ns()
    int64_t ss_source_ns(const int64_t *source)


cdef extern from "wake.h" nogil:
    ctypedef struct ss_wake:
        pass

    uint32_t ss_wake_prepare(ss_wake *wake)
    void ss_wake_cancel(ss_wake *wake)
    int ss_wake_wait(ss_wake *wake, uint32_t key, int64_t timeout_ns)
    int ss_wake_notify(ss_wake *wake)
    void ss_wake_broadcast(ss_wake *wake)
    void ss_relax()


cdef extern from "bitmap.h" nogil:
    ctypedef uint64_t ss_dirty_word

    int ss_bitmap_any(const ss_dirty_word *words, uint32_t word_count)
    void ss_bitmap_mark_word(ss_dirty_word *words, uint32_t word, uint64_t bits)
    size_t ss_bitmap_take(ss_dirty_word *words, uint32_t word_count, uint16_t *ids, size_t limit)


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

    ss_dirty_word *ss_store_words(const ss_store *store, uint32_t reader, uint32_t source)
    void ss_store_put(ss_store *store, uint32_t source, uint32_t symbol, const ss_quote *quote)
    void ss_store_notify(ss_store *store)
    void ss_store_write(ss_store *store, uint32_t source, uint32_t symbol, const ss_quote *quote)
    int ss_store_read(const ss_store *store, uint32_t source, uint32_t symbol, ss_quote *quote)
    int ss_store_own(const ss_store *store, uint32_t source, uint32_t symbol, ss_quote *quote)
    uint32_t ss_store_epoch(const ss_store *store, uint32_t source)
    int64_t ss_store_heartbeat(const ss_store *store, uint32_t source)
    int ss_store_any_dirty(const ss_store *store, uint32_t reader)
    int ss_store_wait(ss_store *store, uint32_t reader, int64_t timeout_ns)


cdef extern from "ring.h" nogil:
    enum:
        SS_RING_CORRUPT

    ctypedef struct ss_ring_control:
        ss_wake wake

    ctypedef struct ss_ring:
        ss_ring_control *control
        char *slots
        uint64_t capacity
        uint64_t record_bytes
        uint64_t other

    int64_t ss_ring_push(ss_ring *ring, const void *records, uint64_t count)
    int64_t ss_ring_available(ss_ring *ring, uint64_t wanted)
    int64_t ss_ring_peek(ss_ring *ring, void *records, uint64_t limit)
    int64_t ss_ring_peek_beyond(ss_ring *ring, void *records, uint64_t beyond, uint64_t limit)
    int64_t ss_ring_release(ss_ring *ring, uint64_t count)
    int64_t ss_ring_pop(ss_ring *ring, void *records, uint64_t limit)


cdef extern from "histogram.h" nogil:
    enum:
        SS_HISTOGRAM_BUCKETS

    ctypedef uint64_t ss_bucket

    uint32_t ss_histogram_index(int64_t value)
    void ss_histogram_add(ss_bucket *buckets, int64_t value)
    void ss_count_add(ss_bucket *counter, uint64_t count)


cdef class Memory:
    """A mapped segment's bytes, kept mapped for as long as anyone points into them."""
    cdef Py_buffer view
    cdef bint held
    cdef char *base
    cdef Py_ssize_t size
    cdef char *at(self, Py_ssize_t offset, Py_ssize_t size) except NULL


cdef class StoreView:
    """Read access to the price store."""
    cdef ss_store store
    cdef readonly object memory
    cdef readonly object dirty_memory
    cdef ss_quote *last_good
    cdef readonly uint64_t contended
    cdef int fetch(self, uint32_t source_id, uint32_t symbol_id, ss_quote *quote) noexcept nogil
    cdef int check(self, int64_t source_id, int64_t symbol_id) except -1


cdef class StoreWriter:
    """Write access to one source. `epoch` stamps what is written from now on."""
    cdef readonly StoreView view
    cdef readonly uint32_t source_id
    cdef readonly uint32_t epoch
    cdef uint32_t symbols
    cdef int check(self, int64_t symbol_id) except -1
    cdef void put_many(self, const uint16_t *ids, const ss_quote *quotes,
                       Py_ssize_t count) noexcept nogil


cdef class DirtyBitmap:
    """One reader's dirty bits of all sources."""
    cdef readonly StoreView view
    cdef readonly uint32_t reader
    cdef take_source(self, uint32_t source)


cdef class RingProducer:
    """The write end of a ring."""
    cdef ss_ring ring
    cdef readonly object memory
    cdef object dtype
    cdef int64_t push(self, cnp.ndarray records) except -1


cdef class RingConsumer:
    """The read end of a ring."""
    cdef ss_ring ring
    cdef readonly object memory
    cdef readonly object clock
    cdef const int64_t *mono_at
    cdef object dtype
    cdef char *copied
    cdef uint64_t room
    cdef int make_room(self, uint64_t limit) except -1
    cdef copy(self, uint64_t beyond, uint64_t limit)
    cdef corrupt(self)


cdef class Row:
    """One process's counters and histograms in the health segment."""
    cdef readonly object memory
    cdef ss_bucket *counters
    cdef ss_bucket *histograms
    cdef readonly int counter_count
    cdef readonly int histogram_count
    cdef int check(self, int number, int count) except -1


cdef class Words:
    """Atomic 64-bit words and eventcounts at given offsets of a segment."""
    cdef readonly object memory
