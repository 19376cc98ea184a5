"""Records of 64 bytes in latch cells, whatever they hold: native/seqlock.h, as in the store.

For what is written seldom and read at leisure, so that Python lays out the record; the store has
its own way in, whose readers know epochs. shm/funding.py maps and claims the segment.
"""

cimport numpy as cnp
from libc.stdint cimport int64_t
from libc.string cimport memcpy

import numpy

from spread_scanner.shm._memory cimport Memory, raise_closed
from spread_scanner.shm._store cimport (
    SS_READ_CONTENDED,
    SS_READ_NONE,
    SS_READ_OK,
    ss_cell,
    ss_quote,
    ss_sequence,
)

cnp.import_array()

cdef extern from "seqlock.h" nogil:
    void ss_cell_write(ss_sequence *sequence, ss_cell *cells, const ss_quote *quote)
    int ss_cell_read(const ss_sequence *sequence, const ss_cell *cells, ss_quote *quote)

RECORD_BYTES = sizeof(ss_quote)


cdef class LatchCells:
    """`count` cells: their sequences stand at one offset of a segment, the pairs of cells at
    another. A reader that meets a publication in each of its 64 tries is `contended` and has
    nothing.
    """
    cdef ss_sequence *sequences
    cdef ss_cell *cells
    cdef Py_ssize_t count
    cdef readonly Memory memory
    cdef readonly int64_t contended
    cdef bint closed

    def __init__(self, Memory memory not None, Py_ssize_t count, Py_ssize_t sequences_at,
                 Py_ssize_t cells_at):
        self.memory = memory
        self.count = count
        self.sequences = <ss_sequence *>memory.at(sequences_at, count * sizeof(ss_sequence))
        self.cells = <ss_cell *>memory.at(cells_at, 2 * count * sizeof(ss_cell))

    def shut(self):
        """Refuse all further writes."""
        self.closed = True

    def put(self, Py_ssize_t number, const unsigned char[::1] record not None):
        """Publish the 64 bytes of a record: readers see it whole, or the one before."""
        cdef ss_quote words
        if self.closed or self.memory.view.readonly:
            raise_closed("latch")
        if not 0 <= number < self.count or record.shape[0] != <Py_ssize_t>sizeof(ss_quote):
            raise IndexError(f"cell {number} of {self.count}, {record.shape[0]} bytes")
        memcpy(&words, &record[0], sizeof(ss_quote))
        ss_cell_write(&self.sequences[number], &self.cells[2 * number], &words)

    def get(self, Py_ssize_t number):
        """The 64 bytes published last; None where there are none yet, or the read is contended."""
        cdef ss_quote words
        cdef int result
        if not 0 <= number < self.count:
            raise IndexError(f"cell {number} of {self.count}")
        result = ss_cell_read(&self.sequences[number], &self.cells[2 * number], &words)
        self.contended += result == SS_READ_CONTENDED
        return (<char *>&words)[:sizeof(ss_quote)] if result == SS_READ_OK else None

    def copy(self):
        """All of them, (count, 64) bytes, each whole in itself; zeros where `get` has none."""
        cdef Py_ssize_t i
        cdef ss_quote *out
        cdef int result
        found = numpy.zeros((self.count, sizeof(ss_quote)), numpy.uint8)
        out = <ss_quote *>cnp.PyArray_DATA(found)
        with nogil:
            for i in range(self.count):
                result = ss_cell_read(&self.sequences[i], &self.cells[2 * i], &out[i])
                self.contended += result == SS_READ_CONTENDED
        return found
