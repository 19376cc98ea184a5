"""One reader's dirty bits of all sources: native/bitmap.h, and its place to park in."""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

import numpy

from spread_scanner.shm._memory cimport raise_closed, ss_wake_calls, ss_wake_notify, wait_ns
from spread_scanner.shm._store cimport (
    StoreView,
    ss_bitmap_any,
    ss_bitmap_mark_word,
    ss_bitmap_take,
    ss_dirty_word,
    ss_store,
    ss_store_wait,
    ss_store_words,
)

cnp.import_array()

cdef object no_ids = numpy.empty(0, numpy.uint16)
no_ids.setflags(write=False)


cdef class DirtyBitmap:
    def __init__(self, StoreView view not None, uint32_t reader):
        if reader >= view.store.num_readers:
            raise IndexError(f"reader {reader} of {view.store.num_readers}")
        self.view = view
        self.reader = reader

    def shut(self):
        """Refuse to take or mark anything more."""
        self.closed = True

    cdef int check(self) except -1:
        if self.closed:
            raise_closed("dirty bitmap")
        return 0

    def take(self, int64_t source_id):
        """Clear and return the dirty symbols of one source: (n,) uint16, ascending.

        Read the cells after this call, never before: what changes in between is dirty again.
        """
        self.check()
        self.view.check(source_id, 0)
        return self.take_source(<uint32_t>source_id)

    def take_all(self):
        """Clear and return all that is dirty: a tuple of (source_id, (n,) uint16) pairs."""
        cdef ss_store *store = &self.view.store
        cdef uint32_t source
        self.check()
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
        self.check()
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
        self.check()
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
