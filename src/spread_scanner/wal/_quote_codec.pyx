"""Batches of ticks into few bits and back (native/quote_codec.h); quote_codec.py has the heads."""

cimport numpy as cnp
from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free, realloc

import numpy

from spread_scanner.schema.log import TICK_DTYPE

cnp.import_array()

cdef extern from "quote_codec.h" nogil:
    enum:
        SS_BACKS_SOURCES
        SS_BACKS_SYMBOLS
        SS_CODEC_QUOTE_BYTES_MAX

    ctypedef struct ss_logged_tick:
        pass

    ctypedef struct ss_codec_cell:
        pass

    ctypedef struct ss_codec:
        uint32_t *places
        ss_codec_cell *cells
        size_t known
        size_t room

    Py_ssize_t ss_codec_put(ss_codec *of, unsigned char *to, const unsigned char *source,
                            Py_ssize_t count)
    Py_ssize_t ss_codec_get(ss_codec *of, unsigned char *to, Py_ssize_t count,
                            const unsigned char *source, Py_ssize_t size)

SIZES = {"logged_tick": sizeof(ss_logged_tick)}
SOURCES = SS_BACKS_SOURCES
PADDING = 8  # bytes behind a batch that may be read


cdef class QuoteState:
    """What both sides know of all quotes so far."""
    cdef ss_codec state

    def __dealloc__(self):
        free(self.state.places)
        free(self.state.cells)

    cdef int _have_room(self, Py_ssize_t count) except -1:
        cdef size_t wanted = self.state.known + <size_t>count
        cdef void *grown
        if wanted > self.state.room:
            wanted = max(wanted, 2 * self.state.room)
            grown = realloc(self.state.cells, wanted * sizeof(ss_codec_cell))
            if grown == NULL:
                raise MemoryError
            self.state.cells = <ss_codec_cell *>grown
            self.state.room = wanted
        return 0

    cdef int _have_places(self) except -1:
        # A writer's alone. Pages that no cell needs are never touched.
        if self.state.places == NULL:
            self.state.places = <uint32_t *>calloc(SS_BACKS_SOURCES * SS_BACKS_SYMBOLS,
                                                   sizeof(uint32_t))
            if self.state.places == NULL:
                raise MemoryError
        return 0

    def put(self, cnp.ndarray ticks not None):
        """The bits of contiguous ticks, whose sources are checked."""
        cdef Py_ssize_t count = cnp.PyArray_SIZE(ticks)
        cdef cnp.ndarray room
        cdef Py_ssize_t size
        if ticks.dtype != TICK_DTYPE or not cnp.PyArray_IS_C_CONTIGUOUS(ticks):
            raise ValueError("contiguous ticks are needed")
        if count and ticks["source_id"].max() >= SS_BACKS_SOURCES:
            raise ValueError("a source that there is not")
        self._have_room(count)
        self._have_places()
        room = numpy.empty(count * SS_CODEC_QUOTE_BYTES_MAX + PADDING, numpy.uint8)
        cdef unsigned char *to = <unsigned char *>cnp.PyArray_BYTES(room)
        cdef const unsigned char *source = <const unsigned char *>cnp.PyArray_BYTES(ticks)
        with nogil:
            size = ss_codec_put(&self.state, to, source, count)
        return room[:size].tobytes()

    def get(self, bytes padded not None, Py_ssize_t count):
        """So many ticks; None: the bytes, which end PADDING earlier, are not theirs."""
        cdef Py_ssize_t size = len(padded) - PADDING
        if size < 0 or count < 0:
            raise ValueError("padded bytes are needed")
        self._have_room(count)
        cdef cnp.ndarray found = numpy.empty(count, TICK_DTYPE)
        cdef unsigned char *to = <unsigned char *>cnp.PyArray_BYTES(found)
        cdef const unsigned char *source = padded
        cdef Py_ssize_t good
        with nogil:
            good = ss_codec_get(&self.state, to, count, source, size)
        return found if good == count else None
