# What no swap writes, for who looks at a pool natively.
cdef enum:
    SPANS_MAX = 12


cdef class KeptBytes:
    """What of an account's bytes no swap writes."""
    cdef Py_ssize_t begins[SPANS_MAX]
    cdef Py_ssize_t ends[SPANS_MAX]
    cdef Py_ssize_t count
    cpdef bint same(self, bytes before, bytes now)


cpdef bint as_before(dict before, dict now, tuple fixed, dict kept) except -1
