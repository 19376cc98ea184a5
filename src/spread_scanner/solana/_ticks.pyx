# cython: language_level=3
"""From a pool's price to each tick on one side, at a fee that does not change: what a swap uses and
gives until it is there is the same for every amount that comes so far, so that it is worked out
once, and a quote is the last step alone.

Compiled, as every move of a pool asks anew: what stands between two accounts that are told.
concentrated.py walks by itself where this one says that it does not know.
"""

from libc.stdint cimport uint32_t, uint64_t

from spread_scanner.solana._way cimport (
    ss_sum, ss_sum_add, ss_way, ss_way_free, ss_way_place, ss_way_room)

from spread_scanner.solana.pool import Filled

cdef extern from "ticks.h" nogil:
    ctypedef struct ss_stretch:
        uint64_t price_low
        uint64_t price_high
        uint64_t target_low
        uint64_t target_high
        uint64_t liquidity

    ctypedef struct ss_tick_side:
        bint down
        bint by_input
        uint32_t rate

    bint ss_stretch_whole(const ss_stretch *one, const ss_tick_side *side, ss_sum *taken)
    bint ss_stretch_part(const ss_stretch *one, const ss_tick_side *side, uint64_t left, bint known,
                         ss_sum *taken)

cdef object AMOUNT_MAX = 2**64 - 1


cdef class TickWay:
    """One side of a pool. Ends before a tick with orders, before the last one that is known, and
    where a liquidity or a sum has more than 64 bits; at once where the fee is on the output, whose
    rounding goes by what is left."""

    cdef object _onward  # the ticks that the price comes to, and the last edge
    cdef Py_ssize_t _ticks_left
    cdef ss_tick_side _side
    cdef bint _ends  # at the tick that is ahead
    cdef object _net  # what that adds to the liquidity, going this way
    cdef ss_way _way  # of ss_stretch
    cdef readonly object all_used  # until the end of what is known: more is too much

    def __init__(self, start not None, onward, Py_ssize_t ticks_left, uint32_t rate, *, bint down,
                 bint by_input, bint fee_on_input):
        """`start` as walk takes it; `onward` tells each TickAt from there on, `ticks_left` of them
        and the edge."""
        self._side.down, self._side.by_input, self._side.rate = down, by_input, rate
        self._onward, self._ticks_left = onward, ticks_left
        self._ends = not fee_on_input or start.liquidity > AMOUNT_MAX
        self._make_room()
        if not self._ends:
            self._begin(start.sqrt_price, start.liquidity)

    def __dealloc__(self):
        ss_way_free(&self._way)

    @property
    def used(self):
        """Until the price is at each tick that was come to, from 0 on."""
        return [self._way.sums[at].used for at in range(self._way.through + 1)]

    def swap(self, amount):
        """Filled; None where it takes a walk to tell, or to refuse."""
        cdef uint64_t wanted
        cdef Py_ssize_t at
        cdef ss_sum taken, after
        cdef const ss_sum *before
        if not 0 < amount <= AMOUNT_MAX:
            return None
        wanted = amount
        while self._way.sums[self._way.through].used < wanted and self._goes_on():
            pass
        at = ss_way_place(&self._way, wanted)
        if at <= self._way.through and self._way.sums[at].used == wanted:
            return self._filled(&self._way.sums[at], at)
        at -= 1
        if at >= self._way.known:
            return None
        before = &self._way.sums[at]
        if not ss_stretch_part(self._stretch(at), &self._side, wanted - before.used,
                               at < self._way.through, &taken):
            return None
        return self._filled(&after, at) if ss_sum_add(before, &taken, &after) else None

    cdef object _filled(self, const ss_sum *sums, Py_ssize_t crossed):
        if self._side.by_input:
            return Filled(sums.used, sums.other, sums.fee, True, crossed)
        return Filled(sums.other, sums.used, sums.fee, True, crossed)

    cdef inline ss_stretch *_stretch(self, Py_ssize_t at) noexcept:
        return &(<ss_stretch *>self._way.pieces)[at]

    cdef int _begin(self, price, liquidity) except -1:
        """The stretch from here to the tick that is ahead then."""
        cdef ss_stretch *one = self._stretch(self._way.known)
        tick, target, net, orders = next(self._onward)
        one.price_low, one.price_high = price & AMOUNT_MAX, price >> 64
        one.target_low, one.target_high = target & AMOUNT_MAX, target >> 64
        one.liquidity = liquidity
        self._net = -net if self._side.down else net
        self._ends = orders != 0
        self._way.known += 1
        return 0

    cdef bint _goes_on(self) except -1:
        """One tick further; False where the way ends: before the tick that is ahead then."""
        cdef Py_ssize_t at = self._way.through
        cdef const ss_stretch *one = self._stretch(at)
        cdef ss_sum taken, after
        if self._ends or self.all_used is not None or not ss_stretch_whole(one, &self._side, &taken):
            return False
        if not ss_sum_add(&self._way.sums[at], &taken, &after):
            return False
        liquidity = <object>one.liquidity + self._net
        if not 0 <= liquidity <= AMOUNT_MAX:
            return False
        if not self._ticks_left:
            self.all_used = after.used
            return False
        price = <object>one.target_high << 64 | one.target_low
        self._make_room()
        self._way.sums[at + 1] = after
        self._way.through += 1
        self._ticks_left -= 1
        self._begin(price, liquidity)
        return True

    cdef int _make_room(self) except -1:
        if not ss_way_room(&self._way, sizeof(ss_stretch)):
            raise MemoryError
        return 0
