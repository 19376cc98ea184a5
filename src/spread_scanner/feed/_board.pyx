# cython: language_level=3
"""What the connections of one source share: its cells, its best lag, what is known of each symbol.

Writer: one feed process. The work per quote is in native/ (best_lag.h, standing.h, board.h), which
the compiled listener calls; here is what the feed's looks need of it, from Python.
"""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint32_t, uintptr_t

import numpy

from spread_scanner.clock import installed
from spread_scanner.schema.counters import FEED_HISTOGRAMS

from spread_scanner.shm._rows cimport SS_HISTOGRAM_BUCKETS, Row
from spread_scanner.shm._store cimport (
    SS_FLAG_JUMPED,
    SS_READ_NONE,
    ss_quote,
    ss_store_look,
    ss_store_notify,
    ss_store_own,
    ss_store_put,
)
from spread_scanner.shm._writer cimport StoreWriter

cnp.import_array()

STALL_NS = SS_STALL_NS

OUTCOMES = ("stored", "repeat", "reset", "duplicate", "out of order", "impossible")

cdef dict _histogram_ids = {row.label: row.histogram_id for row in FEED_HISTOGRAMS}
cdef int EXCHANGE_TO_RECV = _histogram_ids["exchange_to_recv"]
cdef int RECV_TO_CELL = _histogram_ids["recv_to_cell"]

# ss_memory in native/standing.h.
MEMORY_DTYPE = numpy.dtype([
    ("heard_ns", "<i8"), ("mean_ns", "<f8"), ("news_ns", "<i8"), ("news_mean_ns", "<f8"),
    ("mid", "<f8"), ("wrote", "<u4"), ("heard_count", "<u2"), ("news_count", "<u2"),
    ("deaf_ns", "<i8"), ("early_mean_ns", "<f4"), ("early_news_mean_ns", "<f4"),
])


cdef class BestLag:
    """The best lag of a source over all its connections, as it is now: native/best_lag.h.

    `kept` and `windows` can be less than usual, not more.
    """

    def __init__(self, double drift_ppm, *, int kept=SS_LAG_KEPT, int windows=SS_LAG_WINDOWS):
        if not (1 <= kept <= SS_LAG_KEPT and 1 <= windows <= SS_LAG_WINDOWS):
            raise ValueError(f"{kept} kept of {windows} windows")
        ss_lag_init(&self.lag, drift_ppm / 1e6, kept, windows)

    def drifts(self, double ppm):
        """How fast it may rise from now on."""
        self.lag.drift = ppm / 1e6

    def recall(self, int64_t lag_ns, int64_t mono_ns):
        """Begin with what a life before knew at that time."""
        ss_lag_recall(&self.lag, lag_ns, mono_ns)

    def ended(self):
        """A connection of the source is gone."""
        ss_lag_ended(&self.lag)

    def lost(self):
        """No connection of the source is left."""
        ss_lag_lost(&self.lag)

    @property
    def now_ns(self):
        """What lag counts from, in this read."""
        return self.lag.now_ns

    @property
    def windows_passed(self):
        """Since the clock of the exchange was set last."""
        return self.lag.windows_passed

    @property
    def drift(self):
        """How much it may rise, per unit of time."""
        return self.lag.drift


cdef class Board:
    """What the connections of one source share: its cells, its health row, its best lag, and per
    symbol what the feed remembers (MEMORY_DTYPE; the arrays are views of it). Time is that of
    `clock`, or of the one installed when the board is made.

    `lag_ns_max`: exchange time further behind the source's best makes a quote LAGGING.
    `clock_off_ns_max`: the two clocks are never further apart. A time further ahead than this is
    none, a quote further behind lags whatever the best is. `silence`: when that of a symbol is out
    of line (freshness.SilenceRule).
    """

    def __init__(self, StoreWriter writer not None, Row row not None, int64_t anchor_ns,
                 int64_t lag_ns_max, clock=None, *, int64_t clock_off_ns_max=60_000_000_000,
                 BestLag best=None, silence=(30_000_000_000, 50.0)):
        cdef uint32_t count = writer.view.store.max_symbols
        self.writer = writer
        self.row = row
        self.clock = installed() if clock is None else clock
        self.mono_at = <const int64_t *><uintptr_t>self.clock.mono_address()
        self.anchor_ns = anchor_ns
        self.lag_ns_max = lag_ns_max
        self.clock_off_ns_max = clock_off_ns_max
        self.best = BestLag(100.0) if best is None else best
        self.remember(count)
        self.native.best = &self.best.lag
        self.native.store = &writer.view.store
        self.native.source_id = writer.source_id
        self.native.max_symbols = count
        self.native.epoch = writer.epoch
        self.silence = silence
        self.counters = row.counters
        self.exchange_to_recv = row.histograms + EXCHANGE_TO_RECV * SS_HISTOGRAM_BUCKETS
        self.recv_to_cell = row.histograms + RECV_TO_CELL * SS_HISTOGRAM_BUCKETS

    cdef remember(self, uint32_t count):
        """Room for what is remembered per symbol, each on a cache line of its own."""
        raw = numpy.zeros(count * sizeof(ss_memory) + 64, numpy.uint8)
        start = -raw.ctypes.data % 64
        self.held = raw[start:start + count * sizeof(ss_memory)].view(MEMORY_DTYPE)
        self.native.memory = <ss_memory *>cnp.PyArray_DATA(<cnp.ndarray>self.held)
        self.heard_ns, self.mean_ns = self.held["heard_ns"], self.held["mean_ns"]
        self.news_ns, self.news_mean_ns = self.held["news_ns"], self.held["news_mean_ns"]
        self.mid, self.wrote = self.held["mid"], self.held["wrote"]

    @property
    def looked_ns(self):
        """When the feed looked last; 0: it never has. Nobody read between, if that is STALL_NS ago.
        """
        return self.native.looked_ns

    @looked_ns.setter
    def looked_ns(self, int64_t mono_ns):
        self.native.looked_ns = mono_ns

    @property
    def silence(self):
        """After how many ns, and how many of its mean intervals, a symbol's is out of line."""
        return self.native.silence.ns_min, self.native.silence.intervals_max

    @silence.setter
    def silence(self, rule):
        self.native.silence.ns_min, self.native.silence.intervals_max = rule

    def deafen(self, ids, int64_t mono_ns):
        """Until then these could not be heard, or had to be asked for again: the silence is no
        interval of theirs. It is one all the same for whoever asks how long they have been silent.
        """
        self.held["deaf_ns"][ids] = mono_ns

    def let_go(self, uint32_t connection, ids=slice(None)):
        """A connection brings these no longer: that it wrote them last says nothing any more of who
        may lag behind it.
        """
        self.wrote[ids] = numpy.where(self.wrote[ids] == connection, 0, self.wrote[ids])

    def forget(self, ids):
        """Forget what these ids were: they mean another coin, or nothing, from now on."""
        self.held[ids] = 0

    def unmark(self, ids, uint32_t flag, uint32_t only=0):
        """Take a flag back from the quotes of `ids` that bear it, and `only` too where it is given;
        returns from how many.
        """
        cdef ss_board *board = &self.native
        cdef ss_quote quote
        cdef uint32_t symbol
        cdef Py_ssize_t unmarked = 0
        ss_store_look(board.store)
        for number in ids:
            symbol = number
            if symbol >= board.max_symbols:
                raise IndexError(f"symbol id {symbol} of {board.max_symbols}")
            if ss_store_own(board.store, board.source_id, symbol, &quote) == SS_READ_NONE:
                continue
            if quote.flags & flag == 0 or quote.flags & only != only:
                continue
            quote.flags &= ~flag
            ss_store_put(board.store, board.source_id, symbol, &quote)
            unmarked += 1
        if unmarked:
            ss_store_notify(board.store)
        return unmarked

    def judged(self, ids):
        """Somebody has looked at these prices anew: what had jumped counts from where it is now."""
        self.held["mid"][ids] = 0.0
        return self.unmark(ids, SS_FLAG_JUMPED)
