"""Reading the price store: native/store.h, with each quote's epoch checked."""

cimport cython
cimport numpy as cnp
from libc.math cimport NAN
from libc.stdint cimport INT64_MIN
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from spread_scanner.shm._memory cimport Memory, empty_records
from spread_scanner.shm._ring cimport ring_to_write

from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm.faults import BadInput

cnp.import_array()

# test_shm_layout holds these to schema.enums.QuoteFlag.
FLAGS = {
    "STALE": SS_FLAG_STALE, "SILENT": SS_FLAG_SILENT, "LAGGING": SS_FLAG_LAGGING,
    "CROSSED": SS_FLAG_CROSSED, "NO_TS_EVENT": SS_FLAG_NO_TS_EVENT,
    "BID_EMPTY": SS_FLAG_BID_EMPTY, "ASK_EMPTY": SS_FLAG_ASK_EMPTY,
    "JUMPED": SS_FLAG_JUMPED, "OVERDUE": SS_FLAG_OVERDUE,
    "CONTENDED": <uint64_t>SS_FLAG_CONTENDED, "UNUSABLE": SS_FLAGS_UNUSABLE,
}
SIZES = {
    "quote": sizeof(ss_quote), "cell": sizeof(ss_cell), "sequence": sizeof(ss_sequence),
    "source_row": sizeof(ss_source_row), "readers_max": SS_READERS_MAX,
    "tick": sizeof(ss_tick),
}
READ_TRIES_MAX = SS_READ_TRIES_MAX

cdef object quote_dtype = QUOTE_DTYPE


@cython.freelist(64)
@cython.final
cdef class Quote:
    """One quote as read: prices per base unit, sizes in base units, times in ns, QuoteFlag bits.

    An absent side is NaN with its flag; an absent exchange time is TS_ABSENT with its flag. The
    STALE flag also stands when the quote is of an older epoch than its source.
    """
    def __iter__(self):
        return iter((self.bid_px, self.bid_sz, self.ask_px, self.ask_sz, self.ts_event,
                     self.ts_recv, self.update_id, self.flags, self.epoch))

    def __eq__(self, other):
        return isinstance(other, Quote) and tuple(self) == tuple(other)

    def __hash__(self):
        return hash(tuple(self))

    def __repr__(self):
        names = quote_dtype.names
        return "Quote(" + ", ".join(f"{n}={v!r}" for n, v in zip(names, self)) + ")"


cdef inline void absent_quote(ss_quote *quote) noexcept nogil:
    """What stands for "never written": no prices, no times, and nothing to stand behind."""
    memset(quote, 0, sizeof(ss_quote))
    quote.bid_px = quote.bid_sz = quote.ask_px = quote.ask_sz = NAN
    quote.ts_event = quote.ts_recv = INT64_MIN
    quote.flags = SS_FLAG_STALE | SS_FLAG_NO_TS_EVENT | SS_FLAG_BID_EMPTY | SS_FLAG_ASK_EMPTY


cdef class StoreView:
    def __cinit__(self, *args, **kwargs):
        self.last_good = NULL

    def __init__(self, Memory memory not None, layout):
        """`layout` is a layout.StoreLayout."""
        cdef Py_ssize_t cells = <Py_ssize_t>layout.num_sources * <Py_ssize_t>layout.max_symbols
        self.memory = memory
        self.store.num_sources = layout.num_sources
        self.store.max_symbols = layout.max_symbols
        self.store.rows = <ss_source_row *>memory.at(
            layout.rows_at, layout.num_sources * sizeof(ss_source_row))
        self.store.sequences = <ss_sequence *>memory.at(
            layout.sequences_at, cells * sizeof(ss_sequence))
        self.store.cells = <ss_cell *>memory.at(layout.cells_at, 2 * cells * sizeof(ss_cell))
        self.store.words_per_source = layout.words_per_source
        self.store.words_stride = layout.words_stride
        self.store.num_readers = 0
        memset(&self.store.tape, 0, sizeof(ss_tape))
        # Zeroed lazily by the kernel: only symbols that are read cost memory.
        self.last_good = <ss_quote *>calloc(cells, sizeof(ss_quote))
        if self.last_good == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.last_good)

    def map_dirty(self, Memory memory not None, layout):
        """Point at the dirty bitmaps too, as writers and dirty readers need."""
        cdef Py_ssize_t block = layout.reader_stride
        cdef char *base
        self.dirty_memory = memory
        for reader in range(layout.num_readers):
            base = memory.at(layout.readers_at + reader * block, block)
            self.store.wakes[reader] = <ss_wake *>base
            self.store.dirty[reader] = <ss_dirty_word *>(base + sizeof(ss_wake))
        self.store.num_readers = layout.num_readers

    def map_tape(self, Memory memory not None, layout):
        """Point at the tape of the source that is written here; `layout` is a RingLayout."""
        self.tape_memory = memory
        ring_to_write(&self.store.tape.ring, memory, layout)

    cdef int fetch(self, uint32_t source_id, uint32_t symbol_id, ss_quote *quote) noexcept nogil:
        """Read one quote with its epoch checked; a contended read gives this view's last good."""
        cdef uint64_t index = <uint64_t>source_id * self.store.max_symbols + symbol_id
        # The epoch before the cell: a takeover in between makes the quote fresh, not stale.
        cdef uint32_t epoch = ss_store_epoch(&self.store, source_id)
        cdef int result = ss_store_read(&self.store, source_id, symbol_id, quote)
        if result == SS_READ_OK:
            self.last_good[index] = quote[0]
        elif result == SS_READ_CONTENDED:
            self.contended += 1
            quote[0] = self.last_good[index]
            if quote.epoch == 0:  # no writer has epoch 0: this view never read it before
                absent_quote(quote)
            quote.flags |= SS_FLAG_CONTENDED
        else:
            absent_quote(quote)
        if quote.epoch < epoch:
            quote.flags |= SS_FLAG_STALE
        return result

    cdef int check(self, int64_t source_id, int64_t symbol_id) except -1:
        if not 0 <= source_id < self.store.num_sources:
            raise BadInput("no such source", source_id=source_id,
                           allowed=f"0 to {self.store.num_sources - 1}")
        if not 0 <= symbol_id < self.store.max_symbols:
            raise BadInput("no such symbol id", symbol_id=symbol_id,
                           allowed=f"0 to {self.store.max_symbols - 1}")
        return 0

    def read(self, int64_t source_id, int64_t symbol_id):
        """The last quote of a symbol, or None when it was never written. Never waits.

        A quote with the CONTENDED flag is this reader's last good copy. Raises BadInput on an id
        out of range.
        """
        cdef Quote quote
        self.check(source_id, symbol_id)
        quote = Quote.__new__(Quote)
        if self.fetch(<uint32_t>source_id, <uint32_t>symbol_id,
                      <ss_quote *>&quote.bid_px) == SS_READ_NONE:
            return None
        return quote

    def read_many(self, int64_t source_id, cnp.ndarray ids not None):
        """Quotes of many symbols: (n,) uint16 -> (n,) QUOTE_DTYPE, each consistent in itself.

        One that was never written has NaN prices and the STALE flag.
        """
        cdef Py_ssize_t count, i
        cdef uint16_t *id_ptr
        cdef ss_quote *out
        ids = checked_ids(ids)
        count = cnp.PyArray_SIZE(ids)
        id_ptr = <uint16_t *>cnp.PyArray_DATA(ids)
        self.check(source_id, 0)
        for i in range(count):
            if id_ptr[i] >= self.store.max_symbols:
                self.check(source_id, id_ptr[i])
        result = empty_records(quote_dtype, count)
        out = <ss_quote *>cnp.PyArray_DATA(result)
        with nogil:
            for i in range(count):
                self.fetch(<uint32_t>source_id, id_ptr[i], &out[i])
        return result

    def snapshot(self):
        """A copy of the whole store, (num_sources, max_symbols) QUOTE_DTYPE.

        Each quote is consistent in itself; all are from the time of the call, not of one instant.
        """
        cdef Py_ssize_t count = <Py_ssize_t>self.store.num_sources * self.store.max_symbols, i
        cdef ss_quote *out
        result = empty_records(quote_dtype, count)
        out = <ss_quote *>cnp.PyArray_DATA(result)
        with nogil:
            for i in range(count):
                self.fetch(i // self.store.max_symbols, i % self.store.max_symbols, &out[i])
        return result.reshape(self.store.num_sources, self.store.max_symbols)

    def epoch(self, int64_t source_id):
        """The epoch of a source: steps each time a writer claims it."""
        self.check(source_id, 0)
        return ss_store_epoch(&self.store, <uint32_t>source_id)

    def heartbeat_mono_ns(self, int64_t source_id):
        """When the feed of a source last said that it lives (monotonic ns); 0: never."""
        self.check(source_id, 0)
        return ss_store_heartbeat(&self.store, <uint32_t>source_id)

    @property
    def num_sources(self):
        return self.store.num_sources

    @property
    def max_symbols(self):
        return self.store.max_symbols


cdef cnp.ndarray checked_ids(cnp.ndarray ids):
    if ids.ndim != 1 or cnp.PyArray_TYPE(ids) != cnp.NPY_UINT16 or not cnp.PyArray_IS_C_CONTIGUOUS(ids):
        raise BadInput("symbol ids must be a contiguous one-dimensional uint16 array",
                       dtype=str(ids.dtype), shape=str((<object>ids).shape))
    return ids
