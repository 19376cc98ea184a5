# Tables of latch cells, for whoever reads one without the interpreter.
cimport numpy as cnp
from libc.stdint cimport uint64_t

from spread_scanner.shm._memory cimport Memory


cdef extern from "latches.h" nogil:
    ctypedef struct ss_sequence:
        pass

    ctypedef uint64_t ss_word  # atomic

    ctypedef struct ss_latches:
        ss_sequence *sequences
        ss_word *cells
        uint64_t count
        int words


cdef class LatchTable:
    """Records of one kind, each in a latch of its own."""
    cdef ss_latches table
    cdef readonly Memory memory
    cdef readonly object dtype
    cdef bint closed
    cdef readonly uint64_t contended

    cdef int check(self, cnp.ndarray numbers) except -1
    cdef bint publish(self, uint64_t number, const void *record) noexcept nogil
