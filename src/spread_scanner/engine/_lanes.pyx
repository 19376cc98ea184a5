"""Ticks of a log as Python hands them to the loop that plays them; native/lanes.h is what they are.

One thread uses them. Whose memory the ticks lie in is kept alive here until they are let go.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from spread_scanner.shm._store cimport ss_quote, ss_tick

from spread_scanner.schema.log import TICK_DTYPE
from spread_scanner.schema.records import QUOTE_DTYPE

cnp.import_array()


cdef class Lanes:
    """The ticks of one store, by source."""

    def __init__(self, uint32_t sources, uint32_t symbols):
        if ss_lanes_new(&self.lanes, sources, symbols) != 0:
            raise MemoryError
        self.held = []

    def __dealloc__(self):
        ss_lanes_free(&self.lanes)

    @property
    def symbols(self):
        """Below which all ids are."""
        return self.lanes.symbols

    @property
    def ends(self):
        """How many ticks were played, and how many were heard."""
        cdef uint64_t played = 0, heard = 0
        cdef uint32_t source
        for source in range(self.lanes.count):
            played += self.lanes.lanes[source].next
            heard += self.lanes.lanes[source].end
        return played, heard

    def hear(self, cnp.ndarray ticks not None, int64_t written_ns, int64_t since_ns):
        """Ticks of TICK_DTYPE that were written at one time, in the log's order; they are played at
        `since_ns` at the earliest. Raises ValueError at one that is of no cell."""
        cdef int64_t newest_ns = 0, taken
        cdef uint64_t count = cnp.PyArray_SIZE(ticks)
        if ticks.dtype != TICK_DTYPE or not cnp.PyArray_IS_C_CONTIGUOUS(ticks):
            raise ValueError("contiguous ticks of TICK_DTYPE are needed")
        taken = ss_lanes_hear(&self.lanes, <const ss_tick *>cnp.PyArray_DATA(ticks), count,
                              written_ns, since_ns, &newest_ns)
        self.held.append((newest_ns, ticks))
        if taken < 0:
            raise MemoryError
        if <uint64_t>taken < count:
            tick = ticks[taken]
            raise ValueError(f"source {tick['source_id']} of {self.lanes.count}, "
                             f"symbol {tick['symbol_id']} of {self.lanes.symbols}")

    def let_go(self, int64_t before_ns):
        """Forget what was played and published before that, but for each symbol's last quote."""
        ss_lanes_let_go(&self.lanes, before_ns)
        self.held = [one for one in self.held if one[0] >= before_ns]

    def held_ns(self, cnp.ndarray sources not None, cnp.ndarray symbols not None,
                cnp.ndarray since_ns not None, int64_t most_ns):
        """By source, symbol and time, how long after that the symbol's next tick was published; at
        least `most_ns`: that."""
        cdef const uint8_t[::1] source = np.ascontiguousarray(sources, np.uint8)
        cdef const uint16_t[::1] symbol = np.ascontiguousarray(symbols, np.uint16)
        cdef const int64_t[::1] since = np.ascontiguousarray(since_ns, np.int64)
        cdef Py_ssize_t place, count = source.shape[0]
        made = np.empty(count, np.int64)
        cdef int64_t[::1] held = made
        for place in range(count):
            self.check(source[place], symbol[place])
            held[place] = ss_lane_held_ns(&self.lanes.lanes[source[place]], symbol[place],
                                          since[place], most_ns)
        return made

    def quotes(self, cnp.ndarray sources not None, cnp.ndarray symbols not None,
               cnp.ndarray like not None):
        """By source and symbol, the newest quote with the values of `like` (n,) QUOTE_DTYPE whatever
        its flags, and whether there is one."""
        cdef const uint8_t[::1] source = np.ascontiguousarray(sources, np.uint8)
        cdef const uint16_t[::1] symbol = np.ascontiguousarray(symbols, np.uint16)
        cdef Py_ssize_t place, count = source.shape[0]
        found, there = np.zeros(count, QUOTE_DTYPE), np.zeros(count, bool)
        cdef cnp.ndarray asked = np.ascontiguousarray(like, QUOTE_DTYPE), told = found
        cdef const ss_quote *quotes = <const ss_quote *>cnp.PyArray_DATA(asked)
        cdef ss_quote *to = <ss_quote *>cnp.PyArray_DATA(told)
        cdef const ss_quote *one
        for place in range(count):
            self.check(source[place], symbol[place])
            one = ss_lane_find(&self.lanes.lanes[source[place]], symbol[place], &quotes[place])
            if one != NULL:
                to[place] = one[0]
                there[place] = True
        return found, there

    cdef check(self, uint32_t source, uint32_t symbol):
        if source >= self.lanes.count or symbol >= self.lanes.symbols:
            raise ValueError(f"source {source} of {self.lanes.count}, "
                             f"symbol {symbol} of {self.lanes.symbols}")
