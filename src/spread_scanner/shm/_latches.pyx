"""Tables of latch cells of any size (native/latches.h): what changes once a second, not a million
times. shm/analysis.py, shm/funding.py and shm/books.py map and claim their segments."""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

import numpy

from spread_scanner.shm._memory cimport Memory, raise_closed
from spread_scanner.shm.faults import BadInput

cnp.import_array()

cdef extern from "latches.h" nogil:
    enum:
        SS_LATCH_WORDS_MAX
        SS_READ_OK
        SS_READ_CONTENDED

    void ss_latches_write(ss_latches *table, uint64_t number, const uint64_t *record)
    int ss_latches_read(const ss_latches *table, uint64_t number, uint64_t *record)


cdef class LatchTable:
    """Records of one kind, each in a latch of its own."""

    def __init__(self, Memory memory not None, Py_ssize_t sequences_at, Py_ssize_t cells_at,
                 Py_ssize_t count, dtype):
        """`count` records of a dtype of whole words; the cells of each lie side by side."""
        cdef Py_ssize_t size = dtype.itemsize
        if size % 8 or not 0 < size <= 8 * SS_LATCH_WORDS_MAX:
            raise ValueError(f"a record of {size} bytes")
        self.memory = memory
        self.dtype = dtype
        self.table.count = count
        self.table.words = <int>(size // 8)
        self.table.sequences = <ss_sequence *>memory.at(sequences_at, count * sizeof(ss_sequence))
        self.table.cells = <ss_word *>memory.at(cells_at, 2 * count * size)

    def shut(self):
        """Refuse all further writes."""
        self.closed = True

    def write(self, cnp.ndarray numbers not None, cnp.ndarray records not None):
        """Publish records: (n,) int64 places, (n,) of the table's dtype."""
        cdef Py_ssize_t count, i
        cdef const int64_t *places
        cdef const uint64_t *words
        if self.closed or self.memory.view.readonly:
            raise_closed("table")
        self.check(numbers)
        count = cnp.PyArray_SIZE(numbers)
        if (records.dtype != self.dtype or not cnp.PyArray_IS_C_CONTIGUOUS(records)
                or cnp.PyArray_SIZE(records) != count):
            raise BadInput("as many contiguous records as places", dtype=str(records.dtype))
        places = <const int64_t *>cnp.PyArray_DATA(numbers)
        words = <const uint64_t *>cnp.PyArray_DATA(records)
        with nogil:
            for i in range(count):
                ss_latches_write(&self.table, <uint64_t>places[i], &words[i * self.table.words])

    cdef bint publish(self, uint64_t number, const void *record) noexcept nogil:
        """Publish one record without the interpreter; False: refused, as the table is shut, or the
        place is beyond it."""
        if self.closed or number >= self.table.count:
            return False
        ss_latches_write(&self.table, number, <const uint64_t *>record)
        return True

    def read(self, cnp.ndarray numbers not None):
        """(n,) int64 places -> (n,) records, and (n,) bool which were ever written.

        Each is consistent in itself. One that is written all the time while we look (64 tries)
        counts as never written, and in `contended`. What was never written is zeros.
        """
        cdef Py_ssize_t count, i
        cdef const int64_t *places
        cdef uint64_t *words
        cdef cnp.npy_bool *known
        cdef int result
        self.check(numbers)
        count = cnp.PyArray_SIZE(numbers)
        records = numpy.zeros(count, self.dtype)
        written = numpy.zeros(count, bool)
        places = <const int64_t *>cnp.PyArray_DATA(numbers)
        words = <uint64_t *>cnp.PyArray_DATA(records)
        known = <cnp.npy_bool *>cnp.PyArray_DATA(written)
        with nogil:
            for i in range(count):
                result = ss_latches_read(
                    &self.table, <uint64_t>places[i], &words[i * self.table.words])
                known[i] = result == SS_READ_OK
                if result == SS_READ_CONTENDED:  # what was copied is of no one moment
                    memset(&words[i * self.table.words], 0, 8 * self.table.words)
                    self.contended += 1
        return records, written

    cdef int check(self, cnp.ndarray numbers) except -1:
        cdef Py_ssize_t i
        cdef const int64_t *places
        if (numbers.ndim != 1 or cnp.PyArray_TYPE(numbers) != cnp.NPY_INT64
                or not cnp.PyArray_IS_C_CONTIGUOUS(numbers)):
            raise BadInput("places must be a contiguous one-dimensional int64 array",
                           dtype=str(numbers.dtype))
        places = <const int64_t *>cnp.PyArray_DATA(numbers)
        for i in range(cnp.PyArray_SIZE(numbers)):
            if not 0 <= places[i] < <int64_t>self.table.count:
                raise BadInput("no such place", place=places[i],
                               allowed=f"0 to {self.table.count - 1}")
        return 0
