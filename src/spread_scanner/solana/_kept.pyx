# cython: language_level=3
"""Whether accounts say what they said before, but for what every swap writes.

Each program's file says which bytes of its accounts no swap writes; seen.py asks, with each swap.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcmp

cdef enum:
    SPANS_MAX = 12


cdef class KeptBytes:
    """What of an account's bytes no swap writes."""

    cdef Py_ssize_t begins[SPANS_MAX]
    cdef Py_ssize_t ends[SPANS_MAX]
    cdef Py_ssize_t count

    def __init__(self, *spans):
        """(begin, end) of each stretch, ascending; an end of None is the account's own."""
        if len(spans) > SPANS_MAX:
            raise ValueError(f"at most {SPANS_MAX} stretches, not {len(spans)}")
        self.count = len(spans)
        for place, (begin, end) in enumerate(spans):
            self.begins[place] = begin
            self.ends[place] = -1 if end is None else end

    cpdef bint same(self, bytes before, bytes now):
        """Whether both are of one length, and the same in these bytes."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(before), place, begin, end
        cdef const char *one = PyBytes_AS_STRING(before)
        cdef const char *other = PyBytes_AS_STRING(now)
        if size != PyBytes_GET_SIZE(now):
            return False
        for place in range(self.count):
            begin, end = self.begins[place], self.ends[place]
            end = size if end < 0 or end > size else end
            if begin < end and memcmp(one + begin, other + begin, end - begin):
                return False
        return True


def as_before(dict before not None, dict now not None, tuple fixed not None, dict kept not None):
    """Whether accounts by key, (owner, bytes) each, are all as they were: those of `fixed` to the
    byte, those of `kept` in what no swap writes. One that is there now and was not is another."""
    cdef KeptBytes of
    cdef tuple one, other
    for key in fixed:
        if before.get(key) != now.get(key):
            return False
    for key, of in kept.items():
        one, other = before.get(key), now.get(key)
        if one is other:
            continue
        if one is None or other is None or one[0] != other[0] or not of.same(one[1], other[1]):
            return False
    return True
