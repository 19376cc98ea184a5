"""One order book while it is followed (native/order_book.h), for tests, benchmarks and the slow tier
of the feeds. What decodes natively puts its levels into `book` itself.
"""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint32_t, uint64_t

import numpy

from spread_scanner.schema.books import BOOK_DTYPE
from spread_scanner.schema.records import TS_ABSENT

cnp.import_array()

# test_order_book holds these to schema.books.
FLAGS = {
    "STALE": SS_BOOK_STALE, "RESYNCING": SS_BOOK_RESYNCING, "CROSSED": SS_BOOK_CROSSED,
    "DEPLETED": SS_BOOK_DEPLETED, "TOP_DISAGREES": SS_BOOK_TOP_DISAGREES,
    "BID_EMPTY": SS_BOOK_BID_EMPTY, "ASK_EMPTY": SS_BOOK_ASK_EMPTY,
    "PARTIAL": SS_BOOK_PARTIAL, "NO_TS_EVENT": SS_BOOK_NO_TS_EVENT,
    "BIDS_WHOLE": SS_BOOK_BIDS_WHOLE, "ASKS_WHOLE": SS_BOOK_ASKS_WHOLE,
    "UNUSABLE": SS_BOOK_UNUSABLE,
}
SIZES = {
    "record": sizeof(ss_book_record), "levels_shown": SS_LEVELS_SHOWN,
    "levels_kept": SS_LEVELS_KEPT, "levels_least": SS_LEVELS_LEAST,
}


cdef class FollowedBook:
    """A book that knows nothing until a snapshot, or puts, say what stands."""

    def __cinit__(self):
        ss_order_book_clear(&self.book)

    def clear(self):
        """Know nothing any more, as when a message is missing and what stands must not be shown."""
        ss_order_book_clear(&self.book)

    def snapshot(self, cnp.ndarray bids not None, cnp.ndarray asks not None, *, int levels=0):
        """Replace all: (n, 2) float64 of prices and sizes. `levels`: so many of a side it shows at
        most, and beyond one that has as many more may lie; 0: it shows all."""
        check(bids)
        check(asks)
        ss_order_book_begin(&self.book)
        put_all(&self.book, bids, asks)
        ss_order_book_end(&self.book, levels)

    def delta(self, cnp.ndarray bids not None, cnp.ndarray asks not None):
        """Say the sizes that stand at some prices: (n, 2) float64; a size of 0: none does."""
        check(bids)
        check(asks)
        put_all(&self.book, bids, asks)

    @property
    def bids(self):
        """All that is known, (n, 2) float64 of prices and sizes, the best first."""
        return levels_of(&self.book, SS_BIDS)

    @property
    def asks(self):
        return levels_of(&self.book, SS_ASKS)

    @property
    def flags(self):
        """The schema.books.BookFlag bits that follow from the levels."""
        return ss_order_book_flags(&self.book)

    @property
    def refused(self):
        """Levels that could not be: a price or a size that none can have."""
        return self.book.refused

    def record(self, *, uint32_t symbol_id, int source_id, uint64_t update_id, int64_t ts_recv,
               int64_t ts_event=TS_ABSENT, uint32_t epoch=0, uint32_t flags=0,
               int64_t top_since_ns=0, int levels=SS_LEVELS_SHOWN):
        """(1,) BOOK_DTYPE as others see the book: `levels` of a side at most."""
        cdef ss_book_record *record
        if not 1 <= levels <= SS_LEVELS_SHOWN:
            raise ValueError(f"levels must be 1 to {SS_LEVELS_SHOWN}, not {levels}")
        made = numpy.zeros(1, BOOK_DTYPE)
        record = <ss_book_record *>cnp.PyArray_DATA(made)
        record.ts_event, record.ts_recv, record.update_id = ts_event, ts_recv, update_id
        record.top_since_ns = top_since_ns
        record.epoch, record.symbol_id, record.source_id = epoch, symbol_id, source_id
        record.flags = flags
        if ts_event == TS_ABSENT:
            record.flags |= SS_BOOK_NO_TS_EVENT
        ss_order_book_show(&self.book, levels, record)
        return made


cdef int check(cnp.ndarray levels) except -1:
    if (levels.ndim != 2 or cnp.PyArray_DIM(levels, 1) != 2
            or cnp.PyArray_TYPE(levels) != cnp.NPY_FLOAT64
            or not cnp.PyArray_IS_C_CONTIGUOUS(levels)):
        raise ValueError("levels must be contiguous float64 of shape (n, 2)")
    return 0


cdef void put_all(ss_order_book *book, cnp.ndarray bids, cnp.ndarray asks):
    put_side(book, SS_BIDS, <const ss_level *>cnp.PyArray_DATA(bids), cnp.PyArray_DIM(bids, 0))
    put_side(book, SS_ASKS, <const ss_level *>cnp.PyArray_DATA(asks), cnp.PyArray_DIM(asks, 0))


cdef void put_side(ss_order_book *book, int side, const ss_level *levels, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(count):
        ss_order_book_put(book, side, levels[i].px, levels[i].sz)


cdef object levels_of(const ss_order_book *book, int side):
    cdef int count = book.side[side].count, i
    cdef double *out
    made = numpy.empty((count, 2), numpy.float64)
    out = <double *>cnp.PyArray_DATA(made)
    for i in range(count):
        out[2 * i] = book.side[side].level[i].px
        out[2 * i + 1] = book.side[side].level[i].sz
    return made
