# The way of a swap, for bins and ticks.
from libc.stdint cimport uint64_t

cdef extern from "way.h" nogil:
    ctypedef struct ss_sum:
        uint64_t used
        uint64_t other
        uint64_t fee

    ctypedef struct ss_way:
        void *pieces
        ss_sum *sums
        Py_ssize_t known
        Py_ssize_t through

    bint ss_way_room(ss_way *way, size_t piece_bytes)
    void ss_way_free(ss_way *way)
    Py_ssize_t ss_way_place(const ss_way *way, uint64_t wanted)
    bint ss_sum_add(const ss_sum *before, const ss_sum *piece, ss_sum *after)
