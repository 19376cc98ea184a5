"""Counters and histograms of one row, as its writer counts (native/histogram.h)."""

from libc.stdint cimport int64_t, uint64_t

from spread_scanner.shm._memory cimport Memory, raise_closed, ss_word_store

SIZES = {"histogram_buckets": SS_HISTOGRAM_BUCKETS}


cdef class Row:
    def __init__(self, Memory memory not None, Py_ssize_t counters_at, int counter_count,
                 Py_ssize_t histograms_at, int histogram_count):
        self.memory = memory
        self.counter_count = counter_count
        self.histogram_count = histogram_count
        self.counters = <ss_bucket *>memory.at(counters_at, 8 * counter_count)
        self.histograms = <ss_bucket *>memory.at(
            histograms_at, 8 * histogram_count * SS_HISTOGRAM_BUCKETS)

    def add(self, int counter_id, uint64_t count=1):
        """Count something. Ids are those of schema.counters."""
        self.check(counter_id, self.counter_count)
        ss_count_add(&self.counters[counter_id], count)

    def set(self, int counter_id, uint64_t value):
        """Set a level (a counter that is not a count)."""
        self.check(counter_id, self.counter_count)
        ss_word_store(&self.counters[counter_id], value)

    def observe(self, int histogram_id, int64_t value_ns):
        """Add one latency."""
        self.check(histogram_id, self.histogram_count)
        ss_histogram_add(&self.histograms[histogram_id * SS_HISTOGRAM_BUCKETS], value_ns)

    def shut(self):
        """Refuse to count any more: no id is left, so it costs no test of its own per count."""
        self.counter_count = self.histogram_count = 0

    cdef int check(self, int number, int count) except -1:
        if 0 <= number < count:
            return 0
        if self.counter_count == 0:
            raise_closed("row")
        raise IndexError(f"id {number} of {count}")


def histogram_index(int64_t value_ns):
    """The bucket of a latency."""
    return ss_histogram_index(value_ns)
