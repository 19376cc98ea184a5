# cython: language_level=3
"""The way from a pair's active bin through bin after bin on one side, at fees that do not change with
time: what a swap uses and gives until it is through with each is the same for every amount that is
through, so that it is worked out once, and a quote is the last bin alone.

Compiled, as every move of a pair asks anew, and a ladder goes through hundreds of bins: what stands
between two accounts that are told. meteora_dlmm.py goes through bins by itself where this one says
that it does not know.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from spread_scanner.solana._way cimport ss_sum, ss_way, ss_way_free, ss_way_place, ss_way_room

from spread_scanner.solana.pool import Filled
from spread_scanner.solana.refusal import PoolReason, PoolRefusal

cdef extern from "bins.h" nogil:
    ctypedef struct ss_bin:
        uint64_t price_low
        uint64_t price_high
        uint64_t amount
        uint32_t rate
        bint orders

    ctypedef struct ss_bin_told:
        uint64_t x
        uint64_t y
        uint64_t price_low
        uint64_t price_high
        uint64_t open_orders
        uint64_t processed_orders
        uint8_t asks

    ctypedef struct ss_bin_side:
        bint down
        bint by_input
        bint fee_on_input

    ctypedef struct ss_bin_taken:
        uint64_t fee

    ctypedef struct ss_bin_fees:
        uint64_t base
        uint64_t rate_max
        uint64_t control
        uint64_t accumulator_max
        uint64_t step
        int64_t reference
        int64_t index

    bint ss_bin_whole(const ss_bin *one, const ss_bin_side *side, ss_bin_taken *taken)
    bint ss_bin_in(const ss_bin *one, const ss_bin_side *side, uint64_t left, ss_bin_taken *taken)
    bint ss_bin_out(const ss_bin *one, const ss_bin_side *side, uint64_t left, ss_bin_taken *taken)
    bint ss_bin_add(const ss_sum *before, const ss_bin_side *side, const ss_bin_taken *taken,
                    ss_sum *after)
    uint32_t ss_bin_rate(const ss_bin_fees *fees, int32_t bin_id)

    ctypedef unsigned long long ss_u128  # with 128 bits, as q64.h has it
    ss_u128 ss_bin_price_at(int32_t bin_id, uint32_t step)

cdef object AMOUNT_MAX = 2**64 - 1


def price_at(int32_t bin_id, uint32_t bin_step):
    """Y per X in smallest units, Q64.64, with the program's own cutting off. Raises PoolRefusal
    where there is no such bin."""
    cdef ss_u128 price = ss_bin_price_at(bin_id, bin_step)
    if not price:
        raise PoolRefusal(PoolReason.BAD_VALUE, bin_id=bin_id, bin_step=bin_step)
    return <object><uint64_t>(price >> 64) << 64 | <uint64_t>price


cdef class BinWay:
    """One side of a pair, from the active bin on; ends before a bin with orders, and where numbers
    have more than 64 bits."""

    cdef list _arrays
    cdef uint32_t _step
    cdef bint _has_orders
    cdef Py_ssize_t _bins_at
    cdef int32_t _in_array
    cdef Py_ssize_t _array  # which one is read next, and where in it
    cdef int32_t _place
    cdef ss_bin_side _side
    cdef ss_bin_fees _fees
    cdef ss_way _way  # of ss_bin
    cdef readonly object all_used  # by all bins that are known, where none has orders

    def __init__(self, dict arrays not None, int32_t active_id, tuple layout not None,
                 uint32_t bin_step, *, bint has_orders, bint down, bint by_input, bint fee_on_input,
                 tuple fees not None):
        """`arrays` by their numbers, each as long as `layout` says: (where its bins begin, how many
        there are). `fees` are base, rate_max, control, accumulator_max, step, reference, index."""
        cdef int32_t own
        self._bins_at, self._in_array = layout
        for data in arrays.values():
            if len(<bytes?>data) < self._bins_at + self._in_array * <Py_ssize_t>sizeof(ss_bin_told):
                raise ValueError(f"an array of {len(data)} bytes")
        own = active_id // self._in_array - (active_id % self._in_array < 0)
        self._arrays = [(number, arrays[number]) for number in sorted(arrays, reverse=down)
                        if (number <= own if down else number >= own)]
        self._place = 0 if not down else self._in_array - 1
        if self._arrays and self._arrays[0][0] == own:
            self._place = active_id - own * self._in_array
        self._step, self._has_orders = bin_step, has_orders
        self._side.down, self._side.by_input = down, by_input
        self._side.fee_on_input = fee_on_input
        (self._fees.base, self._fees.rate_max, self._fees.control, self._fees.accumulator_max,
         self._fees.step, self._fees.reference, self._fees.index) = fees
        self._make_room()

    def __dealloc__(self):
        ss_way_free(&self._way)

    def swap(self, amount):
        """Filled; None where it takes going through bins to tell, or to refuse: more than
        `all_used` is too much."""
        cdef uint64_t wanted, left, paid, given
        cdef Py_ssize_t at
        cdef const ss_bin *one
        cdef ss_bin_taken taken
        cdef ss_sum after
        cdef bint ends
        if not 0 < amount <= AMOUNT_MAX:
            return None
        wanted = amount
        while self._way.sums[self._way.through].used < wanted and self._goes_on():
            pass
        at = ss_way_place(&self._way, wanted) - 1
        if at >= self._way.known:
            return None
        one, left = self._bin(at), wanted - self._way.sums[at].used
        if self._side.by_input:
            ends = ss_bin_in(one, &self._side, left, &taken)
        else:
            ends = ss_bin_out(one, &self._side, left, &taken)
        if not ends or not ss_bin_add(&self._way.sums[at], &self._side, &taken, &after):
            return None
        paid, given = wanted, after.other
        if not self._side.by_input:
            paid, given = given, paid
        return Filled(paid, given, after.fee, self._side.fee_on_input, at) if given else None

    cdef inline ss_bin *_bin(self, Py_ssize_t at) noexcept:
        return &(<ss_bin *>self._way.pieces)[at]

    cdef bint _goes_on(self) except -1:
        """One bin further; False where the way ends: in the last bin that is known then."""
        cdef ss_bin_taken taken
        cdef Py_ssize_t at = self._way.through
        if self._way.known == at and not self._read():
            self.all_used = self._way.sums[at].used
            return False
        if not ss_bin_whole(self._bin(at), &self._side, &taken):
            return False
        if not ss_bin_add(&self._way.sums[at], &self._side, &taken, &self._way.sums[at + 1]):
            return False
        self._way.through += 1
        return True

    cdef bint _read(self) except -1:
        """The next bin that has what is wanted; False: none is known."""
        cdef ss_bin_told told
        cdef ss_bin *one
        cdef int32_t bin_id, number
        cdef const uint8_t *begin
        cdef bint down = self._side.down, orders
        self._make_room()
        while self._array < len(self._arrays):
            number, data = self._arrays[self._array]
            begin = <const uint8_t *><const char *><bytes>data + self._bins_at
            while 0 <= self._place < self._in_array:
                memcpy(&told, begin + self._place * sizeof(told), sizeof(told))
                bin_id = number * self._in_array + self._place
                one = self._bin(self._way.known)
                one.amount = told.y if down else told.x
                one.orders = self._has_orders and (told.asks != 0) != down
                orders = one.orders and (told.open_orders or told.processed_orders)
                if one.amount or orders:
                    self._price(one, bin_id, &told)
                    one.rate = ss_bin_rate(&self._fees, bin_id)
                    self._way.known += 1
                    self._place += -1 if down else 1
                    return True
                self._place += -1 if down else 1
            self._array += 1
            self._place = self._in_array - 1 if down else 0
        return False

    cdef int _price(self, ss_bin *one, int32_t bin_id, const ss_bin_told *told) except -1:
        """A bin's own, which may be stored there, and is no other then."""
        cdef ss_u128 price = ss_bin_price_at(bin_id, self._step)
        one.price_low, one.price_high = <uint64_t>price, <uint64_t>(price >> 64)
        if not price or (told.price_low or told.price_high) and (
                told.price_low != one.price_low or told.price_high != one.price_high):
            raise PoolRefusal(PoolReason.BAD_VALUE, bin_id=bin_id, bin_step=self._step,
                              price=<object>told.price_high << 64 | told.price_low)
        return 0

    cdef int _make_room(self) except -1:
        if not ss_way_room(&self._way, sizeof(ss_bin)):
            raise MemoryError
        return 0
