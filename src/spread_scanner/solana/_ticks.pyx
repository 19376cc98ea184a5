# cython: language_level=3
"""From a pool's price to each tick on one side, at a fee that does not change: what a swap uses and
gives until it is there is the same for every amount that comes so far, so that it is worked out
once, and a quote is the last step alone.

Compiled, as every move of a pool asks anew: what stands between two accounts that are told.
concentrated.py walks by itself where this one says that it does not know.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc

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

    ctypedef struct ss_stretch_taken:
        uint64_t used
        uint64_t other
        uint64_t fee

    bint ss_stretch_whole(const ss_stretch *one, const ss_tick_side *side, ss_stretch_taken *taken)
    bint ss_stretch_part(const ss_stretch *one, const ss_tick_side *side, uint64_t left, bint known,
                         ss_stretch_taken *taken)

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
    # The stretches that are known, and what was used before each and after the last that is gone.
    cdef ss_stretch *_stretches
    cdef ss_stretch_taken *_sums
    cdef Py_ssize_t _known, _through, _room
    cdef readonly object all_used  # until the end of what is known: more is too much

    def __init__(self, start not None, onward, Py_ssize_t ticks_left, uint32_t rate, *, bint down,
                 bint by_input, bint fee_on_input):
        """`start` as walk takes it; `onward` tells each TickAt from there on, `ticks_left` of them
        and the edge."""
        self._side.down, self._side.by_input, self._side.rate = down, by_input, rate
        self._onward, self._ticks_left = onward, ticks_left
        self._ends = not fee_on_input or start.liquidity > AMOUNT_MAX
        self._make_room()
        self._sums[0].used = self._sums[0].other = self._sums[0].fee = 0
        if not self._ends:
            self._begin(start.sqrt_price, start.liquidity)

    def __dealloc__(self):
        free(self._stretches)
        free(self._sums)

    @property
    def used(self):
        """Until the price is at each tick that was come to, from 0 on."""
        return [self._sums[at].used for at in range(self._through + 1)]

    def swap(self, amount):
        """Filled; None where it takes a walk to tell, or to refuse."""
        cdef uint64_t wanted
        cdef Py_ssize_t low, high, middle
        cdef ss_stretch_taken taken
        cdef ss_stretch_taken *before
        if not 0 < amount <= AMOUNT_MAX:
            return None
        wanted = amount
        while self._sums[self._through].used < wanted and self._goes_on():
            pass
        low, high = 0, self._through + 1
        while low < high:  # the first sum that is no less
            middle = (low + high) // 2
            if self._sums[middle].used < wanted:
                low = middle + 1
            else:
                high = middle
        if low <= self._through and self._sums[low].used == wanted:
            return self._filled(wanted, self._sums[low].other, self._sums[low].fee, low)
        low -= 1
        if low >= self._known:
            return None
        before = &self._sums[low]
        if not ss_stretch_part(&self._stretches[low], &self._side, wanted - before.used,
                               low < self._through, &taken):
            return None
        if taken.other > <uint64_t>-1 - before.other or taken.fee > <uint64_t>-1 - before.fee:
            return None
        return self._filled(wanted, before.other + taken.other, before.fee + taken.fee, low)

    cdef object _filled(self, uint64_t used, uint64_t other, uint64_t fee, Py_ssize_t crossed):
        if self._side.by_input:
            return Filled(used, other, fee, True, crossed)
        return Filled(other, used, fee, True, crossed)

    cdef int _begin(self, price, liquidity) except -1:
        """The stretch from here to the tick that is ahead then."""
        cdef ss_stretch *one = &self._stretches[self._known]
        tick, target, net, orders = next(self._onward)
        one.price_low, one.price_high = price & AMOUNT_MAX, price >> 64
        one.target_low, one.target_high = target & AMOUNT_MAX, target >> 64
        one.liquidity = liquidity
        self._net = -net if self._side.down else net
        self._ends = orders != 0
        self._known += 1
        return 0

    cdef bint _goes_on(self) except -1:
        """One tick further; False where the way ends: before the tick that is ahead then."""
        cdef ss_stretch *one = &self._stretches[self._through]
        cdef ss_stretch_taken taken
        cdef ss_stretch_taken *before = &self._sums[self._through]
        cdef uint64_t most = <uint64_t>-1
        if self._ends or self.all_used is not None or not ss_stretch_whole(one, &self._side, &taken):
            return False
        if (taken.used > most - before.used or taken.other > most - before.other
                or taken.fee > most - before.fee):
            return False
        liquidity = <object>one.liquidity + self._net
        if not 0 <= liquidity <= AMOUNT_MAX:
            return False
        if not self._ticks_left:
            self.all_used = before.used + taken.used
            return False
        price = <object>one.target_high << 64 | one.target_low
        self._make_room()
        before, self._through = &self._sums[self._through], self._through + 1
        self._sums[self._through].used = before.used + taken.used
        self._sums[self._through].other = before.other + taken.other
        self._sums[self._through].fee = before.fee + taken.fee
        self._ticks_left -= 1
        self._begin(price, liquidity)
        return True

    cdef int _make_room(self) except -1:
        """For one stretch more, and the sums after it."""
        cdef Py_ssize_t room = 2 * self._room if self._room else 8
        cdef void *stretches
        cdef void *sums
        if self._room and self._known + 1 < self._room:
            return 0
        stretches = realloc(self._stretches, room * sizeof(ss_stretch))
        if stretches != NULL:
            self._stretches = <ss_stretch *>stretches
        sums = realloc(self._sums, room * sizeof(ss_stretch_taken))
        if sums != NULL:
            self._sums = <ss_stretch_taken *>sums
        if stretches == NULL or sums == NULL:
            raise MemoryError
        self._room = room
        return 0
