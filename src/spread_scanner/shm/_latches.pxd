# Tables of latch cells of any size, for the rooms that compile against them.
cimport numpy as cnp
from libc.stdint cimport int64_t, uint64_t


cdef extern from "latches.h" nogil:
    ctypedef struct ss_sequence:
        pass

    ctypedef uint64_t ss_word  # atomic

    ctypedef struct ss_latches:
        ss_sequence *sequences
        ss_word *cells
        uint64_t count
        int words

    enum:
        SS_LATCH_WORDS_MAX

    void ss_latches_write(ss_latches *table, uint64_t number, const uint64_t *record)
    int ss_latches_read(const ss_latches *table, uint64_t number, uint64_t *record)


cdef class LatchTable:
    """Records of one kind, each in a latch of its own."""
    cdef ss_latches table
    cdef readonly object memory
    cdef readonly object dtype
    cdef bint closed
    cdef readonly uint64_t contended
    cdef int check(self, cnp.ndarray numbers) except -1
