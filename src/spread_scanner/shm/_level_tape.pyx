# cython: language_level=3
"""The write end of the tape of a source's order books: native/level_tape.h."""

cimport numpy as cnp
from libc.string cimport memset

from spread_scanner.shm._memory cimport Memory
from spread_scanner.shm._ring cimport ring_to_write

from spread_scanner.schema.books import BOOK_DTYPE

cnp.import_array()

cdef extern from "level_tape.h" nogil:
    ctypedef struct ss_level_change:
        pass

SIZES = {"level_change": sizeof(ss_level_change)}


cdef class LevelTape:
    def __init__(self, Memory memory not None, layout):
        """`layout` is a layout.RingLayout."""
        memset(&self.tape, 0, sizeof(ss_tape))
        self.memory = memory
        ring_to_write(&self.tape.ring, memory, layout)

    def tell(self, cnp.ndarray before not None, cnp.ndarray now not None):
        """What changed between two records of a book, (1,) BOOK_DTYPE, if anybody asks for it."""
        if (before.dtype != BOOK_DTYPE or now.dtype != BOOK_DTYPE
                or cnp.PyArray_SIZE(before) != 1 or cnp.PyArray_SIZE(now) != 1):
            raise ValueError("one book is needed, as it was and as it is")
        ss_tape_look(&self.tape)
        if self.tape.on:
            ss_level_tape_tell(&self.tape, cnp.PyArray_DATA(before), cnp.PyArray_DATA(now))
