# cython: language_level=3
"""Levels as their exchange spells them, natively (native/spelled.h): what checksums are made of.

Used by the depth adapters and the feeds' books. What is not spelled as levels usually are is None:
the typed tier decides.
"""

cimport numpy as cnp
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

import zlib

import numpy

from spread_scanner.exchanges.adapter import TEXT_BYTES, TEXT_DTYPE
from spread_scanner.exchanges._levels import LEVELS_MAX, LEVEL_BYTES_MIN

cnp.import_array()

cdef extern from "spelled.h" nogil:
    enum: SS_SPELLED_MAX
    enum: SS_CHECKED_LEVELS
    enum: SS_CHECKED_BYTES
    ctypedef struct ss_spelled_side:
        int count
    const char *ss_levels_spelled_end(const char *p, const char *end, double *pairs, char *texts,
                                      int64_t most, int64_t *count)
    void ss_spelled_begin(ss_spelled_side *spelled)
    void ss_spelled_put(ss_spelled_side *spelled, int side, double px, double sz, const char *text)
    size_t ss_spelled_text(const ss_spelled_side *sides, char *out)

if SS_SPELLED_MAX != TEXT_BYTES:
    raise ImportError(f"a level's text has {TEXT_BYTES} bytes here, {SS_SPELLED_MAX} natively")

CHECKED_LEVELS = SS_CHECKED_LEVELS
cdef int64_t levels_max = LEVELS_MAX
cdef Py_ssize_t level_bytes_min = LEVEL_BYTES_MIN


def read_spelled(raw):
    """One side from its JSON: (n, 2) float64 of prices above zero and sizes of at least it, and (n,)
    TEXT_DTYPE of how each is spelled; None: not for this tier."""
    cdef Py_buffer view
    cdef int64_t count = 0, most
    cdef const char *text
    cdef const char *end
    PyObject_GetBuffer(raw, &view, PyBUF_SIMPLE)
    try:
        text = <const char *>view.buf
        most = min(levels_max, view.len // level_bytes_min + 1)
        levels = numpy.empty((most, 2))
        texts = numpy.zeros(most, TEXT_DTYPE)
        end = ss_levels_spelled_end(
            text, text + view.len, <double *>cnp.PyArray_DATA(levels),
            <char *>cnp.PyArray_DATA(texts), most, &count)
        whole = end == text + view.len
    finally:
        PyBuffer_Release(&view)
    return (levels[:count], texts[:count]) if whole else None


cdef class SpelledLevels:
    """A book as it was spelled: one that is fed each message's levels and texts, in order. Not safe
    for two threads at once."""

    cdef ss_spelled_side *sides

    def __cinit__(self):
        self.sides = <ss_spelled_side *>malloc(2 * sizeof(ss_spelled_side))
        if self.sides is NULL:
            raise MemoryError
        self.begin()

    def __dealloc__(self):
        free(self.sides)

    cdef void begin(self) noexcept:
        ss_spelled_begin(&self.sides[0])
        ss_spelled_begin(&self.sides[1])

    def take(self, said):
        """A BookChange with texts: a snapshot says all, an update what has changed."""
        if said.snapshot:
            self.begin()
        self.put(0, said.bids, said.texts.bids)
        self.put(1, said.asks, said.texts.asks)

    cdef int put(self, int side, cnp.ndarray levels, cnp.ndarray texts) except -1:
        cdef Py_ssize_t i, count = cnp.PyArray_DIM(levels, 0)
        cdef const double *pairs
        cdef const char *spelled
        if texts.dtype != TEXT_DTYPE or cnp.PyArray_SIZE(texts) != count:
            raise ValueError(f"{count} texts of {TEXT_DTYPE} are needed, not {texts.size} of {texts.dtype}")
        levels = numpy.ascontiguousarray(levels, numpy.float64)
        texts = numpy.ascontiguousarray(texts)
        pairs, spelled = <const double *>cnp.PyArray_DATA(levels), <const char *>cnp.PyArray_DATA(texts)
        for i in range(count):
            ss_spelled_put(&self.sides[side], side, pairs[2 * i], pairs[2 * i + 1], spelled + SS_SPELLED_MAX * i)
        return 0

    def checksum(self):
        """CRC32, signed, of both sides' best levels in turn, the longer one's alone in the end."""
        cdef char text[SS_CHECKED_BYTES]
        cdef size_t size = ss_spelled_text(self.sides, text)
        found = zlib.crc32(text[:size])
        return found - 2**32 if found >= 2**31 else found
