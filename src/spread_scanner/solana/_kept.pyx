# cython: language_level=3
"""Whether accounts say what they said before, but for what every swap writes; and what that is where
liquidity is in ticks or bins.

Each program's file says which bytes of its accounts no swap writes; _seen.pyx asks, with each swap.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef object Q64 = 64  # bits of a fraction
cdef object Q128_ONE = 1 << 128


cdef class KeptBytes:
    """What of an account's bytes no swap writes."""

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


cpdef bint as_before(
    dict before, dict now, tuple fixed, dict kept
) except -1:
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


cdef class SwappedTicks:
    """What an account tells after a swap that has liquidity there, the square root of the price
    behind it, 128 bits each, the latter in Q64.64, and then the tick: SwapTold of pool.py."""

    cdef str _key
    cdef Py_ssize_t _at
    cdef object _span
    # Of the tick that was told last: most swaps stay at it.
    cdef int32_t _tick
    cdef object _low, _high

    def __init__(self, str key not None, Py_ssize_t at, span):
        """`span` tells the lowest and the highest price at a tick."""
        if at < 0:
            raise ValueError(f"no place in an account: {at}")
        self._key, self._at, self._span = key, at, span

    def __call__(self, dict accounts not None):
        """The price as a ratio, what the liquidity at it is worth of each token, and the liquidity.
        None where no pool has such a price at that tick."""
        cdef bytes data = (<tuple?>accounts[self._key])[1]
        cdef uint64_t words[4]
        cdef int32_t tick
        cdef const char *begin = PyBytes_AS_STRING(data) + self._at
        if PyBytes_GET_SIZE(data) < self._at + <Py_ssize_t>(sizeof(words) + sizeof(tick)):
            return None
        memcpy(words, begin, sizeof(words))
        memcpy(&tick, begin + sizeof(words), sizeof(tick))
        if self._low is None or tick != self._tick:
            self._low, self._high = self._span(tick)
            self._tick = tick
        liquidity = <object>words[1] << Q64 | words[0]
        sqrt_price = <object>words[3] << Q64 | words[2]
        if not self._low <= sqrt_price <= self._high:
            return None
        worth = (liquidity << Q64) // sqrt_price, liquidity * sqrt_price >> Q64
        return (sqrt_price * sqrt_price, Q128_ONE), worth, liquidity


cdef class SwappedBin:
    """What a pair of bins tells after a swap: which bin is active stands in its own account, and
    what that bin holds in an array's. SwapTold of pool.py."""

    cdef str _key, _owner
    cdef Py_ssize_t _active_at, _array_bytes, _bins_at, _bin_bytes
    cdef int32_t _bins_in_array
    cdef bytes _kind
    cdef object _ratio_at, _array_key
    # As they were asked for last: a swap seldom comes to another bin.
    cdef object _ratio, _array
    cdef int32_t _active_id, _number

    def __init__(self, str key not None, Py_ssize_t active_at, str owner not None, array not None,
                 ratio_at, array_key):
        """`array` is (length, first bytes, where its bins begin, bytes of one, how many there are)
        of one that belongs to `owner`; `ratio_at` tells a bin's price, and `array_key` the key of
        an array, by their numbers."""
        self._key, self._active_at, self._owner = key, active_at, owner
        (self._array_bytes, self._kind, self._bins_at, self._bin_bytes,
         self._bins_in_array) = array
        ends = self._bins_at + self._bins_in_array * self._bin_bytes
        fits = self._bin_bytes >= 16 and 0 <= self._bins_at and ends <= self._array_bytes
        if active_at < 0 or self._bins_in_array < 1 or not fits:
            raise ValueError(f"no place in an account: {active_at}, {array}")
        self._ratio_at, self._array_key = ratio_at, array_key

    def __call__(self, dict accounts not None):
        """The price as a ratio, what the active bin holds of each token, nothing where its array is
        not given, and None. None alone where anything is not what it should be."""
        cdef bytes pair = (<tuple?>accounts[self._key])[1], data
        cdef int32_t active_id, number, place
        cdef uint64_t held[2]
        cdef tuple account
        if PyBytes_GET_SIZE(pair) < self._active_at + <Py_ssize_t>sizeof(active_id):
            return None
        memcpy(&active_id, PyBytes_AS_STRING(pair) + self._active_at, sizeof(active_id))
        number, place = active_id // self._bins_in_array, active_id % self._bins_in_array
        if place < 0:  # as C divides
            number, place = number - 1, place + self._bins_in_array
        if self._ratio is None or active_id != self._active_id:
            self._ratio, self._active_id = self._ratio_at(active_id), active_id
        if self._array is None or number != self._number:
            self._array, self._number = self._array_key(number), number
        account = accounts.get(self._array)
        if account is None:
            return self._ratio, (0, 0), None
        data = account[1]
        if (account[0] != self._owner or PyBytes_GET_SIZE(data) != self._array_bytes
                or not data.startswith(self._kind)):
            return None
        memcpy(held, PyBytes_AS_STRING(data) + self._bins_at + place * self._bin_bytes, 16)
        return self._ratio, (held[0], held[1]), None
