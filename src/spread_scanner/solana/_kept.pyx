# cython: language_level=3
"""Whether accounts say what they said before, but for what every swap writes; and what that is where
liquidity is concentrated.

Each program's file says which bytes of its accounts no swap writes; seen.py asks, with each swap.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy

cdef enum:
    SPANS_MAX = 12

cdef object Q64 = 64  # bits of a fraction
cdef object Q128_ONE = 1 << 128


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


def swapped(bytes data not None, Py_ssize_t at, price_min, price_max):
    """Of an account that has liquidity there and the square root of the price behind it, 128 bits
    each, the latter in Q64.64: the price as a ratio, what the liquidity at it is worth of each
    token, and the liquidity. None where no pool has such a price."""
    cdef uint64_t words[4]
    if at < 0 or PyBytes_GET_SIZE(data) < at + <Py_ssize_t>sizeof(words):
        raise ValueError(f"no 32 bytes at {at} of {PyBytes_GET_SIZE(data)}")
    memcpy(words, PyBytes_AS_STRING(data) + at, sizeof(words))
    liquidity = <object>words[1] << Q64 | words[0]
    sqrt_price = <object>words[3] << Q64 | words[2]
    if not price_min <= sqrt_price <= price_max:
        return None
    worth = (liquidity << Q64) // sqrt_price, liquidity * sqrt_price >> Q64
    return (sqrt_price * sqrt_price, Q128_ONE), worth, liquidity
