"""Ticks into blocks with the way back to the last one of their cell, and along that way
(native/backs.h)."""

cimport numpy as cnp
from libc.stdint cimport uint16_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

import numpy

from spread_scanner.schema.log import LOGGED_TICK_DTYPE, RecordKind

cnp.import_array()

cdef extern from "backs.h" nogil:
    enum:
        SS_BACKS_SOURCES
        SS_BACKS_SYMBOLS

    ctypedef struct ss_logged_tick:
        pass

    ctypedef struct ss_tick_blocks:
        const uint64_t *first
        const uint64_t *count
        const uint64_t *address
        Py_ssize_t blocks

    void ss_backs_put(uint64_t *next, unsigned char *to, const unsigned char *source,
                      Py_ssize_t count, uint64_t seq)
    Py_ssize_t ss_backs_follow(const ss_tick_blocks *of, uint64_t *seq, uint64_t since,
                               uint16_t source, uint16_t symbol, unsigned char *to,
                               Py_ssize_t most)

SIZES = {"logged_tick": sizeof(ss_logged_tick)}
cdef int TICK = RecordKind.TICK
SOURCES = SS_BACKS_SOURCES
SYMBOLS = SS_BACKS_SYMBOLS


cdef class Gathering:
    """Records of one kind on their way into a block, whose head has a place before them. Ticks get
    their ways, of one life of a writer."""
    cdef uint64_t *next
    cdef unsigned char *place
    cdef readonly cnp.ndarray room
    cdef readonly int kind
    cdef readonly Py_ssize_t count
    cdef readonly Py_ssize_t end
    cdef Py_ssize_t head_bytes
    cdef bint ways

    def __cinit__(self):
        # Pages that no cell needs are never touched.
        self.next = <uint64_t *>calloc(SS_BACKS_SOURCES * SS_BACKS_SYMBOLS, sizeof(uint64_t))
        if self.next == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.next)

    def __init__(self, cnp.ndarray room not None, Py_ssize_t head_bytes, bint ways=True):
        """`ways`: without them ticks are as older versions wrote them."""
        self.head_bytes, self.ways = head_bytes, ways
        self.hand_over(room)

    def hand_over(self, cnp.ndarray room not None):
        """Go on in these bytes; those that were filled."""
        if not cnp.PyArray_ISCARRAY(room) or cnp.PyArray_ITEMSIZE(room) != 1:
            raise ValueError("bytes are needed")
        if cnp.PyArray_SIZE(room) <= self.head_bytes:
            raise ValueError("bytes with room are needed")
        filled, end = self.room, self.end
        self.room, self.place = room, <unsigned char *>cnp.PyArray_BYTES(room)
        self.count, self.end = 0, self.head_bytes
        return None if filled is None else filled[:end]

    def take(self, int kind, cnp.ndarray records not None, Py_ssize_t at, uint64_t seq):
        """As many as there is room for, from the `at`th on, of the kind that is here already; the
        first record of the block has this sequence."""
        cdef Py_ssize_t size = cnp.PyArray_ITEMSIZE(records)
        cdef Py_ssize_t count = cnp.PyArray_SIZE(records) - at
        if at < 0 or count < 0 or not cnp.PyArray_IS_C_CONTIGUOUS(records):
            raise ValueError("contiguous records are needed")
        if self.count and kind != self.kind:
            raise ValueError("a block has one kind")
        cdef const unsigned char *source = <const unsigned char *>cnp.PyArray_BYTES(records)
        count = min(count, (cnp.PyArray_SIZE(self.room) - self.end) // size)
        if self.ways and kind == TICK and size == <Py_ssize_t>sizeof(ss_logged_tick):
            ss_backs_put(self.next, self.place + self.end, source + at * size, count,
                         seq + <uint64_t>self.count)
        else:
            memcpy(self.place + self.end, source + at * size, count * size)
        self.kind = kind
        self.count += count
        self.end += count * size
        return count


def follow(const uint64_t[::1] first, const uint64_t[::1] count, const uint64_t[::1] address,
           uint64_t seq, uint64_t since, uint16_t source, uint16_t symbol, Py_ssize_t most):
    """Ticks of a cell by their ways from `seq` back to `since`, the newest first, and the sequence
    of the last of them. The blocks' bytes are the caller's to keep."""
    cdef ss_tick_blocks of
    cdef Py_ssize_t taken = 0
    if not len(first) == len(count) == len(address) or most < 0:
        raise ValueError("bad blocks")
    cdef cnp.ndarray found = numpy.empty(most, LOGGED_TICK_DTYPE)
    if len(first) and most:
        of.first, of.count, of.address = &first[0], &count[0], &address[0]
        of.blocks = len(first)
        taken = ss_backs_follow(&of, &seq, since, source, symbol,
                                <unsigned char *>cnp.PyArray_BYTES(found), most)
    return found[:taken], seq
