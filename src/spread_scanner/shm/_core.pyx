"""The native core: what touches shared memory, atomically and without the interpreter's help.

The algorithms are in native/*.h, which compile on their own as C; this file gives them to Python.
Nothing here knows names, files or locks: segment.py maps the bytes and says where things lie.
"""

cimport cython
cimport numpy as cnp
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.ref cimport Py_INCREF
from libc.math cimport NAN, isfinite, isnan
from libc.stdint cimport INT64_MIN, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

import numpy

from spread_scanner.clock import installed
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm.faults import BadInput, RingCorrupt

cnp.import_array()

cdef extern from "numpy/arrayobject.h":
    # Steals the reference to the dtype.
    object PyArray_Empty(int nd, const cnp.npy_intp *dims, cnp.dtype descr, int fortran)

cdef extern from *:
    """
    #include <stddef.h>
    #include "store.h"
    #include "ring.h"
    #include "histogram.h"

    static inline uint64_t ss_word_load(const void *at) {
        return atomic_load_explicit((const _Atomic uint64_t *)at, memory_order_acquire);
    }
    static inline void ss_word_store(void *at, uint64_t value) {
        atomic_store_explicit((_Atomic uint64_t *)at, value, memory_order_release);
    }
    static inline void ss_row_heartbeat(ss_source_row *row, int64_t mono_ns) {
        atomic_store_explicit(&row->heartbeat_mono_ns, mono_ns, memory_order_relaxed);
    }
    static inline void ss_row_epoch(ss_source_row *row, uint32_t epoch) {
        atomic_store_explicit(&row->epoch, epoch, memory_order_release);
    }
    static inline uint64_t ss_wake_calls(const ss_wake *wake) {
        return atomic_load_explicit(&wake->notifications, memory_order_relaxed);
    }
    static inline uint64_t ss_ring_position(const ss_ring_control *control, int which) {
        switch (which) {
        case 0: return atomic_load_explicit(&control->write_pos, memory_order_acquire);
        case 1: return atomic_load_explicit(&control->read_pos, memory_order_acquire);
        default: return atomic_load_explicit(&control->dropped, memory_order_acquire);
        }
    }
    static inline void ss_cell_publish(ss_store *store, uint32_t source, uint32_t symbol,
                                       const ss_quote *quote) {
        uint64_t index = ss_store_index(store, source, symbol);
        ss_cell_write(&store->sequences[index], &store->cells[2 * index], quote);
    }
    static inline void ss_ring_start(ss_ring_control *control, uint64_t position) {
        atomic_store_explicit(&control->read_pos, position, memory_order_relaxed);
        atomic_store_explicit(&control->write_pos, position, memory_order_release);
    }
    """
    uint64_t ss_word_load(const void *at) nogil
    void ss_word_store(void *at, uint64_t value) nogil
    void ss_row_heartbeat(ss_source_row *row, int64_t mono_ns) nogil
    void ss_row_epoch(ss_source_row *row, uint32_t epoch) nogil
    uint64_t ss_wake_calls(const ss_wake *wake) nogil
    uint64_t ss_ring_position(const ss_ring_control *control, int which) nogil
    void ss_cell_publish(ss_store *store, uint32_t source, uint32_t symbol,
                         const ss_quote *quote) nogil
    void ss_ring_start(ss_ring_control *control, uint64_t position) nogil

# Bits of schema.enums.QuoteFlag; test_layout holds the two together.
cdef enum:
    FLAG_STALE = 1
    FLAG_CROSSED = 8
    FLAG_NO_TS_EVENT = 16
    FLAG_BID_EMPTY = 32
    FLAG_ASK_EMPTY = 64
    FLAG_CONTENDED = 0x80000000

FLAGS = {
    "STALE": FLAG_STALE, "CROSSED": FLAG_CROSSED, "NO_TS_EVENT": FLAG_NO_TS_EVENT,
    "BID_EMPTY": FLAG_BID_EMPTY, "ASK_EMPTY": FLAG_ASK_EMPTY, "CONTENDED": <uint64_t>FLAG_CONTENDED,
}
SIZES = {
    "quote": sizeof(ss_quote), "cell": sizeof(ss_cell), "sequence": sizeof(ss_sequence),
    "source_row": sizeof(ss_source_row), "wake": sizeof(ss_wake),
    "ring_control": sizeof(ss_ring_control), "histogram_buckets": SS_HISTOGRAM_BUCKETS,
    "readers_max": SS_READERS_MAX,
}
READ_TRIES_MAX = 64

cdef object quote_dtype = QUOTE_DTYPE
cdef object no_ids = numpy.empty(0, numpy.uint16)
no_ids.setflags(write=False)


cdef object empty_records(object dtype, Py_ssize_t count):
    """A new one-dimensional array of a structured dtype, without the cost of numpy.empty."""
    cdef cnp.npy_intp shape = count
    Py_INCREF(dtype)
    return PyArray_Empty(1, &shape, <cnp.dtype>dtype, 0)


cdef int64_t wait_ns(double timeout_ms) except -1:
    """A time-out in ns. Every wait has one: it bounds what a notifier's death can cost."""
    if not 0 <= timeout_ms <= 3.6e6:
        raise ValueError(f"timeout_ms must be 0 to 3,600,000, not {timeout_ms}")
    return <int64_t>(timeout_ms * 1e6)


cdef class Memory:
    def __cinit__(self, buffer, *, bint writable):
        PyObject_GetBuffer(buffer, &self.view, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
        self.held = True
        self.base = <char *>self.view.buf
        self.size = self.view.len

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.view)

    @property
    def address(self):
        """Where the segment is mapped; for tests of alignment."""
        return <size_t>self.base

    cdef char *at(self, Py_ssize_t offset, Py_ssize_t size) except NULL:
        if offset < 0 or size < 0 or offset + size > self.size:
            raise IndexError(f"bytes {offset} to {offset + size} of a segment of {self.size}")
        return self.base + offset


@cython.freelist(64)
@cython.final
cdef class Quote:
    """One quote as read: prices per base unit, sizes in base units, times in ns, QuoteFlag bits.

    An absent side is NaN with its flag; an absent exchange time is TS_ABSENT with its flag. The
    STALE flag also stands when the quote is of an older epoch than its source.
    """
    cdef readonly double bid_px, bid_sz, ask_px, ask_sz
    cdef readonly int64_t ts_event, ts_recv
    cdef readonly uint64_t update_id
    cdef readonly uint32_t flags, epoch

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
    quote.flags = FLAG_STALE | FLAG_NO_TS_EVENT | FLAG_BID_EMPTY | FLAG_ASK_EMPTY


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
            quote.flags |= FLAG_CONTENDED
        else:
            absent_quote(quote)
        if quote.epoch < epoch:
            quote.flags |= FLAG_STALE
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


cdef inline uint32_t problem(const ss_quote *quote) noexcept nogil:
    """What forbids to store a quote, as a number for `problem_text`; 0 when nothing does."""
    if isnan(quote.bid_px):
        if not quote.flags & FLAG_BID_EMPTY:
            return 1
    elif not (quote.bid_px > 0 and isfinite(quote.bid_px)):
        return 2
    elif not (quote.bid_sz >= 0 and isfinite(quote.bid_sz)):
        return 3
    if isnan(quote.ask_px):
        if not quote.flags & FLAG_ASK_EMPTY:
            return 4
    elif not (quote.ask_px > 0 and isfinite(quote.ask_px)):
        return 5
    elif not (quote.ask_sz >= 0 and isfinite(quote.ask_sz)):
        return 6
    return 0


cdef str problem_text(uint32_t number):
    side = "bid" if number <= 3 else "ask"
    if number in (1, 4):
        return f"{side}_px is NaN without the {side.upper()}_EMPTY flag"
    if number in (2, 5):
        return f"{side}_px must be finite and above zero"
    return f"{side}_sz must be finite and not negative"


cdef inline void derive_flags(ss_quote *quote, uint32_t epoch) noexcept nogil:
    """Set the flags that follow from the values, and the epoch."""
    if quote.bid_px > quote.ask_px:  # false when either is NaN
        quote.flags |= FLAG_CROSSED
    if quote.ts_event == INT64_MIN:
        quote.flags |= FLAG_NO_TS_EVENT
    quote.epoch = epoch


cdef class StoreWriter:
    def __init__(self, StoreView view not None, uint32_t source_id, uint32_t epoch):
        self.view = view
        self.source_id = source_id
        self.epoch = epoch
        self.symbols = view.store.max_symbols
        ss_row_epoch(&view.store.rows[source_id], epoch)

    def write(self, int64_t symbol_id, double bid_px, double bid_sz, double ask_px, double ask_sz,
              int64_t ts_event, int64_t ts_recv, uint64_t update_id, uint32_t flags=0):
        """Publish a quote and wake the readers that are parked.

        Prices per base unit, sizes in base units, times in ns (TS_ABSENT: the exchange gave none).
        A side is absent as NaN with its flag. Raises BadInput, and writes nothing, on an id out of
        range or a price or size that cannot be; bid above ask is kept and flagged CROSSED.
        """
        cdef ss_quote quote
        cdef uint32_t number
        if not 0 <= symbol_id < self.symbols:
            self.check(symbol_id)
        quote.bid_px = bid_px
        quote.bid_sz = bid_sz
        quote.ask_px = ask_px
        quote.ask_sz = ask_sz
        quote.ts_event = ts_event
        quote.ts_recv = ts_recv
        quote.update_id = update_id
        quote.flags = flags
        number = problem(&quote)
        if number:
            raise BadInput(problem_text(number), source_id=self.source_id, symbol_id=symbol_id,
                           bid_px=bid_px, bid_sz=bid_sz, ask_px=ask_px, ask_sz=ask_sz)
        derive_flags(&quote, self.epoch)
        ss_store_write(&self.view.store, self.source_id, <uint32_t>symbol_id, &quote)

    def write_many(self, cnp.ndarray ids not None, cnp.ndarray quotes not None):
        """Publish many quotes: (n,) uint16, (n,) QUOTE_DTYPE. All are checked before any is written.

        Marks and wakes once at the end. The quotes' own epoch is ignored. Raises BadInput that
        names the row; nothing is written then.
        """
        cdef Py_ssize_t count, i
        cdef uint16_t *id_ptr
        cdef ss_quote *quote_ptr
        cdef uint32_t number
        ids = checked_ids(ids)
        count = cnp.PyArray_SIZE(ids)
        if quotes.ndim != 1 or cnp.PyArray_SIZE(quotes) != count:
            raise BadInput("as many quotes as ids, one-dimensional", ids=count,
                           quotes=str((<object>quotes).shape))
        if <object>quotes.descr is not quote_dtype and quotes.dtype != quote_dtype:
            raise BadInput("quotes must be of QUOTE_DTYPE", dtype=str(quotes.dtype))
        if not cnp.PyArray_IS_C_CONTIGUOUS(quotes):
            raise BadInput("quotes must be contiguous")
        id_ptr = <uint16_t *>cnp.PyArray_DATA(ids)
        quote_ptr = <ss_quote *>cnp.PyArray_DATA(quotes)
        for i in range(count):
            if id_ptr[i] >= self.symbols:
                self.check(id_ptr[i])
            number = problem(&quote_ptr[i])
            if number:
                raise BadInput(problem_text(number), row=i, source_id=self.source_id,
                               symbol_id=id_ptr[i])
        with nogil:
            self.put_many(id_ptr, quote_ptr, count)

    cdef void put_many(self, const uint16_t *ids, const ss_quote *quotes,
                       Py_ssize_t count) noexcept nogil:
        """Publish cell by cell; then set the bits of a run of ids in one word at once."""
        cdef ss_store *store = &self.view.store
        cdef ss_quote quote
        cdef uint64_t bits = 0
        cdef uint32_t word = 0, reader
        cdef Py_ssize_t i
        for i in range(count):
            if bits and word != ids[i] >> 6:
                for reader in range(store.num_readers):
                    ss_bitmap_mark_word(ss_store_words(store, reader, self.source_id), word, bits)
                bits = 0
            word = ids[i] >> 6
            bits |= <uint64_t>1 << (ids[i] & 63)
            quote = quotes[i]
            derive_flags(&quote, self.epoch)
            ss_cell_publish(store, self.source_id, ids[i], &quote)
        if bits:
            for reader in range(store.num_readers):
                ss_bitmap_mark_word(ss_store_words(store, reader, self.source_id), word, bits)
            ss_store_notify(store)

    def mark_stale(self, ids=None, uint32_t flag=FLAG_STALE):
        """Set a flag (STALE, SILENT or LAGGING) on the quotes of `ids`, (n,) uint16, or of all.

        Cells never written, or flagged already, are left alone. Returns how many were marked.
        """
        cdef Py_ssize_t count, i, marked = 0
        cdef uint32_t symbol
        cdef uint16_t *id_ptr = NULL
        cdef ss_quote quote
        cdef ss_store *store = &self.view.store
        self.check(0)
        if ids is None:
            count = store.max_symbols
        else:
            ids = checked_ids(ids)
            count = cnp.PyArray_SIZE(ids)
            id_ptr = <uint16_t *>cnp.PyArray_DATA(ids)
            for i in range(count):
                self.view.check(self.source_id, id_ptr[i])
        for i in range(count):
            symbol = id_ptr[i] if id_ptr != NULL else <uint32_t>i
            if ss_store_own(store, self.source_id, symbol, &quote) == SS_READ_NONE:
                continue
            if quote.flags & flag:
                continue
            quote.flags |= flag
            ss_store_put(store, self.source_id, symbol, &quote)
            marked += 1
        if marked:
            ss_store_notify(store)
        return marked

    def own(self, int64_t symbol_id):
        """The writer's own last quote of a symbol, or None."""
        cdef Quote quote = Quote.__new__(Quote)
        self.view.check(self.source_id, symbol_id)
        if ss_store_own(&self.view.store, self.source_id, <uint32_t>symbol_id,
                        <ss_quote *>&quote.bid_px) == SS_READ_NONE:
            return None
        return quote

    def shut(self):
        """Refuse all further writes: no symbol is left. So it costs no test of its own per write."""
        self.symbols = 0

    cdef int check(self, int64_t symbol_id) except -1:
        if self.symbols == 0:
            raise ValueError("the writer is closed: its place may be another's by now")
        return self.view.check(self.source_id, symbol_id)

    def heartbeat(self, int64_t mono_ns):
        """Say that the feed lives, at this monotonic time."""
        self.check(0)
        ss_row_heartbeat(&self.view.store.rows[self.source_id], mono_ns)


cdef class DirtyBitmap:
    def __init__(self, StoreView view not None, uint32_t reader):
        if reader >= view.store.num_readers:
            raise IndexError(f"reader {reader} of {view.store.num_readers}")
        self.view = view
        self.reader = reader

    def take(self, int64_t source_id):
        """Clear and return the dirty symbols of one source: (n,) uint16, ascending.

        Read the cells after this call, never before: what changes in between is dirty again.
        """
        self.view.check(source_id, 0)
        return self.take_source(<uint32_t>source_id)

    def take_all(self):
        """Clear and return all that is dirty: a tuple of (source_id, (n,) uint16) pairs."""
        cdef ss_store *store = &self.view.store
        cdef uint32_t source
        result = None
        for source in range(store.num_sources):
            if ss_bitmap_any(ss_store_words(store, self.reader, source), store.words_per_source):
                if result is None:
                    result = []
                result.append((source, self.take_source(source)))
        return () if result is None else tuple(result)

    cdef take_source(self, uint32_t source):
        cdef ss_store *store = &self.view.store
        cdef ss_dirty_word *words = ss_store_words(store, self.reader, source)
        cdef uint16_t ids[16384]
        cdef cnp.npy_intp count = ss_bitmap_take(words, store.words_per_source, ids, 16384)
        if count == 0:
            return no_ids
        result = cnp.PyArray_EMPTY(1, &count, cnp.NPY_UINT16, 0)
        memcpy(cnp.PyArray_DATA(result), ids, count * sizeof(uint16_t))
        return result

    def mark_all(self, int64_t source_id):
        """Mark every cell of a source dirty, as a reader does to start from what is there."""
        cdef ss_store *store = &self.view.store
        cdef uint32_t word
        cdef uint32_t left = store.max_symbols % 64
        cdef uint64_t bits
        self.view.check(source_id, 0)
        for word in range(store.words_per_source):
            bits = ~<uint64_t>0
            if left and word == store.words_per_source - 1:
                bits = (<uint64_t>1 << left) - 1
            ss_bitmap_mark_word(ss_store_words(store, self.reader, <uint32_t>source_id), word, bits)

    def wait(self, double timeout_ms):
        """Park until something is dirty: True, or until the time-out: False. May wake early."""
        cdef int64_t timeout_ns = wait_ns(timeout_ms)
        cdef int woken
        with nogil:
            woken = ss_store_wait(&self.view.store, self.reader, timeout_ns)
        return bool(woken)

    def notify(self):
        """Wake this reader if it is parked; for whoever has something to tell it besides quotes."""
        return bool(ss_wake_notify(self.view.store.wakes[self.reader]))

    @property
    def notifications(self):
        """System calls that writers made to wake this reader."""
        return ss_wake_calls(self.view.store.wakes[self.reader])


cdef int ring_view(ss_ring *ring, Memory memory, layout) except -1:
    """Point a ring at its bytes; `layout` is a layout.RingLayout."""
    ring.control = <ss_ring_control *>memory.at(layout.control_at, sizeof(ss_ring_control))
    ring.capacity = layout.slots
    ring.record_bytes = layout.record_bytes
    ring.slots = memory.at(layout.slots_at, layout.slots * layout.record_bytes)
    return 0


def ring_start(Memory memory not None, layout, uint64_t position):
    """Set both positions of a ring that nobody uses yet."""
    cdef ss_ring ring
    ring_view(&ring, memory, layout)
    ss_ring_start(ring.control, position)


def ring_positions(Memory memory not None, layout):
    """(write_pos, read_pos, dropped, notifications) of a ring, each read once."""
    cdef ss_ring ring
    ring_view(&ring, memory, layout)
    # read_pos first: a pop in between makes in_ring larger than it is, never negative.
    read = ss_ring_position(ring.control, 1)
    dropped = ss_ring_position(ring.control, 2)
    write = ss_ring_position(ring.control, 0)
    return write, read, dropped, ss_wake_calls(&ring.control.wake)


cdef class RingProducer:
    def __init__(self, Memory memory not None, layout, dtype):
        self.memory = memory
        self.dtype = dtype
        ring_view(&self.ring, memory, layout)
        self.ring.other = ss_ring_position(self.ring.control, 1)

    def try_push(self, record):
        """Push one record (a 0-d or 1-element array, or a numpy.void, of the ring's dtype).

        False when the ring is full: the record is dropped and counted. Raises RingCorrupt.
        """
        cdef cnp.ndarray array = cnp.PyArray_FROM_O(record)
        if cnp.PyArray_SIZE(array) != 1:
            raise ValueError(f"one record, not {cnp.PyArray_SIZE(array)}")
        return self.push(array) == 1

    def push_many(self, cnp.ndarray records not None):
        """Push records, (n,) of the ring's dtype. Returns how many fitted; the rest is dropped and
        counted. Wakes the consumer once. Raises RingCorrupt."""
        return self.push(records)

    cdef int64_t push(self, cnp.ndarray records) except -1:
        cdef int64_t pushed
        if <object>records.descr is not self.dtype and records.dtype != self.dtype:
            raise ValueError(f"records must be of {self.dtype}, not {records.dtype}")
        if not cnp.PyArray_IS_C_CONTIGUOUS(records):
            raise ValueError("records must be contiguous")
        pushed = ss_ring_push(&self.ring, cnp.PyArray_DATA(records), cnp.PyArray_SIZE(records))
        if pushed == SS_RING_CORRUPT:
            raise RingCorrupt("ring positions contradict each other; nothing was pushed",
                              write_pos=ss_ring_position(self.ring.control, 0),
                              read_pos=ss_ring_position(self.ring.control, 1))
        if pushed:
            ss_wake_notify(&self.ring.control.wake)
        return pushed


cdef class RingConsumer:
    def __init__(self, Memory memory not None, layout, dtype):
        self.memory = memory
        self.clock = installed()
        self.mono_at = <const int64_t *><uintptr_t>self.clock.mono_address()
        self.dtype = dtype
        ring_view(&self.ring, memory, layout)
        self.ring.other = ss_ring_position(self.ring.control, 0)

    def pop_many(self, uint64_t limit):
        """Take up to `limit` records, oldest first: (n,) of the ring's dtype. Raises RingCorrupt."""
        cdef cnp.ndarray records = self.copy(0, limit)
        if cnp.PyArray_SIZE(records) > 0:
            ss_ring_release(&self.ring, cnp.PyArray_SIZE(records))
        return records

    def peek_many(self, uint64_t limit, uint64_t beyond=0):
        """Copy up to `limit` records that stay in the ring until `release`; the next peek starts at
        the same place. For a consumer that must not lose what it has not yet made durable; it
        passes as `beyond` how many of the oldest it has copied already and not yet released."""
        return self.copy(beyond, limit)

    def release(self, uint64_t count):
        """Give the oldest `count` records' slots back. Returns how many there were to give."""
        cdef int64_t released = ss_ring_release(&self.ring, count)
        if released == SS_RING_CORRUPT:
            self.corrupt()
        return released

    cdef copy(self, uint64_t beyond, uint64_t limit):
        cdef int64_t ready, count
        if limit > self.ring.capacity:
            limit = self.ring.capacity
        if beyond > self.ring.capacity:
            beyond = self.ring.capacity
        ready = ss_ring_available(&self.ring, beyond + limit)
        if ready == SS_RING_CORRUPT:
            self.corrupt()
        count = max(0, min(<int64_t>limit, ready - <int64_t>beyond))
        records = empty_records(self.dtype, count)
        if count > 0:
            ss_ring_peek_beyond(&self.ring, cnp.PyArray_DATA(records), beyond, <uint64_t>count)
        return records

    cdef corrupt(self):
        raise RingCorrupt("ring positions contradict each other; nothing was read",
                          write_pos=ss_ring_position(self.ring.control, 0),
                          read_pos=ss_ring_position(self.ring.control, 1))

    def wait(self, double timeout_ms, uint64_t beyond=0):
        """Park until there are more than `beyond` records: True, or until the time-out: False. May
        wake early."""
        cdef int64_t timeout_ns = wait_ns(timeout_ms)
        cdef uint32_t key
        cdef int64_t ready
        cdef int woken = 1
        with nogil:
            key = ss_wake_prepare(&self.ring.control.wake)
            ready = ss_ring_available(&self.ring, beyond + 1)
            if ready == SS_RING_CORRUPT or <uint64_t>ready > beyond:
                ss_wake_cancel(&self.ring.control.wake)
            else:
                woken = ss_wake_wait(&self.ring.control.wake, key, timeout_ns)
        return bool(woken)

    def wait_peek(self, double timeout_ms, uint64_t limit, uint64_t beyond=0, double warm_ms=0):
        """`wait`, then `peek_many`, in one step: (records, monotonic ns at which they were copied).

        What runs after a park runs with cold caches, so the copy and its stamp come before the
        interpreter does anything: that saves tens of microseconds on a quiet machine. With
        `warm_ms` the park is cut into pieces of that length, without the interpreter: a process
        that ran a moment ago is woken several times sooner than one that slept for long.
        """
        cdef int64_t timeout_ns = wait_ns(timeout_ms), piece_ns = timeout_ns, until_ns
        cdef int64_t ready, count = 0, copied_ns
        cdef uint32_t key
        cdef cnp.ndarray records
        if limit > self.ring.capacity:
            limit = self.ring.capacity
        if warm_ms > 0:
            piece_ns = min(timeout_ns, wait_ns(warm_ms))
        self.make_room(limit)
        with nogil:
            until_ns = ss_awake_ns() + timeout_ns
            while True:
                key = ss_wake_prepare(&self.ring.control.wake)
                ready = ss_ring_available(&self.ring, beyond + 1)
                if ready == SS_RING_CORRUPT or ready > <int64_t>beyond:
                    ss_wake_cancel(&self.ring.control.wake)
                    break
                if ss_wake_wait(&self.ring.control.wake, key, piece_ns):
                    break
                if ss_awake_ns() + piece_ns > until_ns:
                    break
            ready = ss_ring_available(&self.ring, beyond + limit)
            if ready > <int64_t>beyond:
                count = min(<int64_t>limit, ready - <int64_t>beyond)
                ss_ring_peek_beyond(&self.ring, self.copied, beyond, <uint64_t>count)
            copied_ns = ss_source_ns(self.mono_at)
        if ready == SS_RING_CORRUPT:
            self.corrupt()
        records = empty_records(self.dtype, count)
        memcpy(cnp.PyArray_DATA(records), self.copied, count * self.ring.record_bytes)
        return records, copied_ns

    cdef int make_room(self, uint64_t limit) except -1:
        """Have a buffer of at least `limit` records to copy into without the GIL."""
        if limit > self.room:
            free(self.copied)
            self.room = 0
            self.copied = <char *>malloc(limit * self.ring.record_bytes)
            if self.copied == NULL:
                raise MemoryError
            self.room = limit
        return 0

    def __dealloc__(self):
        free(self.copied)

    def notify(self):
        """Wake this consumer if it is parked; for whoever has something to tell it."""
        return bool(ss_wake_notify(&self.ring.control.wake))


cdef class Row:
    def __init__(self, Memory memory not None, Py_ssize_t counters_at, int counter_count,
                 Py_ssize_t histograms_at, int histogram_count):
        self.memory = memory
        self.counter_count = counter_count
        self.histogram_count = histogram_count
        self.counters = <ss_bucket *>memory.at(counters_at, 8 * counter_count)
        self.histograms = <ss_bucket *>memory.at(
            histograms_at, 8 * histogram_count * SS_HISTOGRAM_BUCKETS)

    def add(self, int counter_id, uint64_t count=1):
        """Count something. Ids are those of schema.counters."""
        self.check(counter_id, self.counter_count)
        ss_count_add(&self.counters[counter_id], count)

    def set(self, int counter_id, uint64_t value):
        """Set a level (a counter that is not a count)."""
        self.check(counter_id, self.counter_count)
        ss_word_store(&self.counters[counter_id], value)

    def observe(self, int histogram_id, int64_t value_ns):
        """Add one latency."""
        self.check(histogram_id, self.histogram_count)
        ss_histogram_add(&self.histograms[histogram_id * SS_HISTOGRAM_BUCKETS], value_ns)

    cdef int check(self, int number, int count) except -1:
        if not 0 <= number < count:
            raise IndexError(f"id {number} of {count}")
        return 0


@cython.final
cdef class Words:
    def __init__(self, Memory memory not None):
        self.memory = memory

    def load(self, Py_ssize_t offset):
        """The 64-bit word at `offset` (acquire)."""
        return ss_word_load((<Memory>self.memory).at(offset, 8))

    def store(self, Py_ssize_t offset, uint64_t value):
        """Store the 64-bit word at `offset` (release)."""
        ss_word_store((<Memory>self.memory).at(offset, 8), value)

    def wake_prepare(self, Py_ssize_t offset):
        """First half of a wait on the eventcount at `offset`: look for work after it."""
        return ss_wake_prepare(<ss_wake *>(<Memory>self.memory).at(offset, sizeof(ss_wake)))

    def wake_cancel(self, Py_ssize_t offset):
        """There was work: do not wait."""
        ss_wake_cancel(<ss_wake *>(<Memory>self.memory).at(offset, sizeof(ss_wake)))

    def wake_wait(self, Py_ssize_t offset, uint32_t key, double timeout_ms):
        """Second half: park. False on time-out."""
        cdef ss_wake *wake = <ss_wake *>(<Memory>self.memory).at(offset, sizeof(ss_wake))
        cdef int64_t timeout_ns = wait_ns(timeout_ms)
        cdef int woken
        with nogil:
            woken = ss_wake_wait(wake, key, timeout_ns)
        return bool(woken)

    def wake_notify(self, Py_ssize_t offset):
        """Wake who is parked at `offset`. True if a system call was needed."""
        return bool(ss_wake_notify(<ss_wake *>(<Memory>self.memory).at(offset, sizeof(ss_wake))))

    def wake_broadcast(self, Py_ssize_t offset):
        """Wake all who are parked at `offset`, with a system call in any case."""
        ss_wake_broadcast(<ss_wake *>(<Memory>self.memory).at(offset, sizeof(ss_wake)))


def histogram_index(int64_t value_ns):
    """The bucket of a latency."""
    return ss_histogram_index(value_ns)
