# Counters and histograms, for the rooms that count natively (feed, engine).
from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from "histogram.h" nogil:
    enum:
        SS_HISTOGRAM_BUCKETS

    ctypedef uint64_t ss_bucket

    uint32_t ss_histogram_index(int64_t value)
    void ss_histogram_add(ss_bucket *buckets, int64_t value)
    void ss_count_add(ss_bucket *counter, uint64_t count)


cdef class Row:
    """One process's counters and histograms in the health segment."""
    cdef readonly object memory
    cdef ss_bucket *counters
    cdef ss_bucket *histograms
    cdef readonly int counter_count
    cdef readonly int histogram_count
    cdef int check(self, int number, int count) except -1
