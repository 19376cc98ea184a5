# Ticks on their way to be played, for the loop that plays them.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from spread_scanner.shm._store cimport ss_quote, ss_tick


cdef extern from "lanes.h" nogil:
    ctypedef struct ss_lane:
        uint64_t next
        uint64_t end

    ctypedef struct ss_lanes:
        ss_lane *lanes
        uint32_t count
        uint32_t symbols

    int ss_lanes_new(ss_lanes *lanes, uint32_t count, uint32_t symbols)
    void ss_lanes_free(ss_lanes *lanes)
    int64_t ss_lanes_hear(ss_lanes *lanes, const ss_tick *ticks, uint64_t count,
                          int64_t written_ns, int64_t since_ns, int64_t *newest_ns)
    void ss_lanes_let_go(ss_lanes *lanes, int64_t before_ns)
    int64_t ss_lane_held_ns(const ss_lane *lane, uint32_t symbol, int64_t ns, int64_t most_ns)
    const ss_quote *ss_lane_find(const ss_lane *lane, uint32_t symbol, const ss_quote *like)


cdef class Lanes:
    cdef ss_lanes lanes
    cdef list held
    cdef check(self, uint32_t source, uint32_t symbol)
