# Mapped bytes, atomic words and eventcounts, for everything that compiles against the native core.
cimport numpy as cnp
from libc.stdint cimport int64_t, uint32_t, uint64_t


cdef extern from "clock.h" nogil:
    int64_t ss_awake_ns()
    int64_t ss_source_ns(const int64_t *source)


cdef extern from "wake.h" nogil:
    ctypedef struct ss_wake:
        pass

    uint32_t ss_wake_prepare(ss_wake *wake)
    void ss_wake_cancel(ss_wake *wake)
    int ss_wake_wait(ss_wake *wake, uint32_t key, int64_t timeout_ns)
    int ss_wake_notify(ss_wake *wake)
    void ss_wake_broadcast(ss_wake *wake)
    uint64_t ss_wake_calls(const ss_wake *wake)


cdef extern from "words.h" nogil:
    uint64_t ss_word_load(const void *at)
    void ss_word_store(void *at, uint64_t value)


cdef object empty_records(object dtype, Py_ssize_t count)
cdef int64_t wait_ns(double timeout_ms) except -1
cdef int raise_closed(str what) except -1


cdef class Memory:
    """A mapped segment's bytes, kept mapped for as long as anyone points into them."""
    cdef Py_buffer view
    cdef bint held
    cdef char *base
    cdef Py_ssize_t size
    cdef char *at(self, Py_ssize_t offset, Py_ssize_t size) except NULL


cdef class Words:
    """Atomic 64-bit words and eventcounts at given offsets of a segment."""
    cdef readonly object memory
    cdef bint closed
