"""The step that every made-up quote takes: native, because in Python it was half the simulator.

A `Coin` has the price that its listings share, a `Quoted` is what the market says about one listing
now: whole ticks and lots, and the texts that spell them. `walk` moves them by draws that market.py
made from the seed. The simulator's loop is the only caller; nothing here is shared or locked.
"""

cimport cython
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset

from spread_scanner.sim.tick import Tick

cdef extern from "Python.h":
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)
    void* PyUnicode_DATA(object text)

cdef enum:
    PRICE = 0  # the others, market.py's KINDS, change one size: most updates of a real book do
    BID_SIZE = 1
    ASK_SIZE = 2
    DIGITS_MAX = 20
    TEXT_MAX = 64

cdef packed struct Draw:  # market.py's DRAW
    double common
    double own
    double size_bid
    double size_ask
    int64_t number
    int64_t width
    int64_t step
    int64_t kind

_tick = tuple.__new__  # Tick(...) costs three times as much


cdef class Coin:
    """One asset: the price all its listings share."""

    cdef public object name
    cdef public int number
    cdef public double price
    cdef public double price_start
    cdef public double weight
    cdef public list listings

    def __init__(self, number, name, price, weight):
        self.number = number
        self.name = name
        self.price_start = self.price = price
        self.weight = weight
        self.listings = []


@cython.final
cdef class Spelled:
    """A number's last text: most events change one number of a quote's four."""

    cdef int64_t value
    cdef str text

    def __cinit__(self):
        self.value = -1

    cdef str of(self, int64_t value, int decimals, int padded):
        if value != self.value:
            self.text = spelled(value, decimals, padded)
            self.value = value
        return self.text


cdef class Quoted:
    """The best bid and offer of one listing, as it stands now."""

    cdef public Coin coin
    cdef public int source_id
    cdef public int px_decimals
    cdef public int sz_decimals
    cdef public int padded  # decimals that a text has at least
    cdef public double scale
    cdef public double lots_typical
    cdef public double basis  # how far it stands off its coin just now, relative; with `stand`
    cdef public double stand  # where that goes back to: a premium that lasts
    cdef public double keep  # how much of it remains at the next event
    cdef public double limit  # how large it may become
    cdef public double sway  # of its steps, to an ordinary listing's
    cdef public double jump  # what an unusual step adds; 0: nothing
    cdef public double offset
    cdef public int64_t width_least  # ticks that its book is wider than drawn
    cdef public int64_t update_id
    cdef public int64_t bid_ticks
    cdef public int64_t ask_ticks
    cdef public int64_t bid_lots
    cdef public int64_t ask_lots
    cdef public int64_t tick_last
    cdef Spelled bid_px, bid_sz, ask_px, ask_sz  # as last told

    def __cinit__(self):
        self.bid_px, self.bid_sz, self.ask_px, self.ask_sz = (Spelled() for _ in range(4))

    def px(self, int64_t ticks):
        """A price as the source spells it."""
        return spelled(ticks, self.px_decimals, self.padded)

    def sz(self, int64_t lots):
        """A size as the source spells it."""
        return spelled(lots, self.sz_decimals, self.padded)

    cdef object told(self, object now_ms, int64_t seq):
        return _tick(
            Tick,
            (
                self.update_id,
                self.bid_px.of(self.bid_ticks, self.px_decimals, self.padded),
                self.bid_sz.of(self.bid_lots, self.sz_decimals, self.padded),
                self.ask_px.of(self.ask_ticks, self.px_decimals, self.padded),
                self.ask_sz.of(self.ask_lots, self.sz_decimals, self.padded),
                now_ms,
                seq,
            ),
        )

    def tick(self, now_ms, seq):
        """The quote as it stands, at this time of the exchange's clock."""
        return self.told(now_ms, seq)

    cdef void size_up(self, double bid, double ask, int64_t kind) noexcept:
        if kind != ASK_SIZE:
            self.bid_lots = <int64_t>(self.lots_typical * bid) + 1
        if kind != BID_SIZE:
            self.ask_lots = <int64_t>(self.lots_typical * ask) + 1

    cdef void price_up(self, int64_t width) noexcept:
        cdef double apart = self.stand + self.basis + self.offset
        cdef double middle = self.coin.price * self.scale * (1.0 + apart)
        width += self.width_least
        self.bid_ticks = <int64_t>(middle - 0.5 * width) or 1
        self.ask_ticks = self.bid_ticks + width

    cdef void drift(self, double own, double unusual) noexcept:
        self.basis = self.basis * self.keep + own * self.sway
        if self.jump != 0.0 and own > unusual:
            self.basis += self.jump
        if not -self.limit < self.basis < self.limit:
            self.basis = self.limit if self.basis > 0 else -self.limit

    def requote(self, double share, int64_t width):
        """Quote around the price as it stands now, outside the walk."""
        self.price_up(width)
        self.size_up(share, share, PRICE)
        self.update_id += 1


@cython.boundscheck(True)
def walk(list moving, const Draw[::1] draws, list now_ms, int64_t made, double unusual):
    """Move by one event per draw: [(listing, Tick), ...], in order.

    `now_ms`: each source's clock, by source_id. `made`: events before these. `unusual`: an own step
    beyond this is a jump of those that jump.
    """
    cdef Draw draw
    cdef Quoted row
    cdef Py_ssize_t position
    cdef list quotes = []
    for position in range(draws.shape[0]):
        draw = draws[position]
        row = <Quoted?>moving[draw.number]
        row.update_id += draw.step
        made += 1
        if draw.kind == PRICE:
            row.coin.price *= 1.0 + draw.common
            row.drift(draw.own, unusual)
            row.price_up(draw.width)
        row.size_up(draw.size_bid, draw.size_ask, draw.kind)
        quotes.append((row, row.told(now_ms[row.source_id], made)))
    return quotes


cdef str spelled(int64_t value, int decimals, int padded):
    """A whole number of 10^-decimals as a decimal text, with zeros up to `padded` decimals."""
    cdef char text[TEXT_MAX]
    cdef char digits[DIGITS_MAX]
    cdef int count = 0, size = 0, whole
    cdef int zeros = padded - decimals if padded > decimals else 0
    if value < 0 or decimals >= DIGITS_MAX or zeros > DIGITS_MAX:
        raise ValueError(f"a price or size of {value} with {decimals} decimals")
    while value > 0:
        digits[count] = 48 + value % 10
        value //= 10
        count += 1
    while count <= decimals:  # at least one digit before the point
        digits[count] = 48
        count += 1
    for whole in range(count - 1, decimals - 1, -1):
        text[size] = digits[whole]
        size += 1
    if decimals + zeros > 0:
        text[size] = 46
        size += 1
    for whole in range(decimals - 1, -1, -1):
        text[size] = digits[whole]
        size += 1
    memset(&text[size], 48, zeros)
    size += zeros
    made = PyUnicode_New(size, 127)
    memcpy(PyUnicode_DATA(made), text, size)
    return made
