# cython: language_level=3
"""The compiled listener: a frame is read where the socket put it, and its quote goes to the store.

Writer: one feed process; each connection has a Listener, all of a source share one Board. Readers:
whoever reads the store. What the native tier does not match is handed to Python as bytes, in the
order of arrival; bad bytes never raise here.

A read of the socket holds one frame or hundreds. It is stamped once, at its first frame; readers
are woken and statistics written once, at its last.
"""

cimport numpy as cnp
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.math cimport isnan
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset
from picows.picows cimport WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

import numpy

from spread_scanner.clock import installed
from spread_scanner.schema.counters import FEED_COUNTERS, FEED_HISTOGRAMS

from spread_scanner.exchanges._match cimport SS_MATCHED, Decoder, ss_decode, ss_match
from spread_scanner.shm._memory cimport ss_source_ns
from spread_scanner.shm._rows cimport (
    SS_HISTOGRAM_BUCKETS,
    Row,
    ss_bucket,
    ss_count_add,
    ss_histogram_index,
)
from spread_scanner.shm._store cimport (
    SS_FLAG_ASK_EMPTY as FLAG_ASK_EMPTY,
    SS_FLAG_BID_EMPTY as FLAG_BID_EMPTY,
    SS_FLAG_CROSSED as FLAG_CROSSED,
    SS_FLAG_JUMPED as FLAG_JUMPED,
    SS_FLAG_LAGGING as FLAG_LAGGING,
    SS_FLAG_NO_TS_EVENT as FLAG_NO_TS_EVENT,
    SS_FLAG_OVERDUE as FLAG_OVERDUE,
    SS_FLAG_SILENT as FLAG_SILENT,
    SS_FLAG_STALE as FLAG_STALE,
    SS_READ_NONE,
    ss_quote,
    ss_quote_derive,
    ss_side_possible,
    ss_store,
    ss_store_notify,
    ss_store_own,
    ss_store_put,
)
from spread_scanner.shm._writer cimport StoreWriter

cnp.import_array()

FLAGS = {
    "STALE": FLAG_STALE, "SILENT": FLAG_SILENT, "LAGGING": FLAG_LAGGING, "CROSSED": FLAG_CROSSED,
    "NO_TS_EVENT": FLAG_NO_TS_EVENT, "BID_EMPTY": FLAG_BID_EMPTY, "ASK_EMPTY": FLAG_ASK_EMPTY,
    "JUMPED": FLAG_JUMPED, "OVERDUE": FLAG_OVERDUE,
}

# What became of a quote.
cdef enum:
    STORED = 0
    REPEAT = 1
    RESET = 2
    DUPLICATE = 3
    OUT_OF_ORDER = 4
    IMPOSSIBLE = 5

OUTCOMES = ("stored", "repeat", "reset", "duplicate", "out of order", "impossible")

cdef int64_t NS_PER_S = 1000000000
# The same update id again after this long is no copy on its way twice: the exchange sends by the
# clock what it had said (Bybit each 3 s, OKX about once a minute), a halted book like any other. So
# it says that the stream lives, and nothing of the price: the quote keeps its age.
cdef int64_t REPEAT_NS_MIN = NS_PER_S
# An update id that is behind while its time is ahead by this much: the exchange began anew.
cdef int64_t RESET_EVENT_NS = NS_PER_S
cdef int64_t RESET_RECV_NS = 3 * NS_PER_S
# By so much no other connection lags: a restart is then believed from anybody.
cdef int64_t RESET_ANY_NS = 120 * NS_PER_S
# A mid beyond this many times its predecessor, or under one part of it, is another coin's until it
# comes back or somebody has judged it. Of a book as wide as WIDE nobody knows the level.
cdef double JUMP_RATIO = 5.0
cdef double WIDE_RATIO = 3.0
cdef double MEAN_STEP = 1.0 / 16
FRAGMENTS_BYTES_MAX = 1 << 20
cdef Py_ssize_t fragments_bytes_max = FRAGMENTS_BYTES_MAX

cdef dict _ids = {counter.label: counter.counter_id for counter in FEED_COUNTERS}
cdef dict _histogram_ids = {row.label: row.histogram_id for row in FEED_HISTOGRAMS}
cdef int MESSAGES = _ids["messages"]
cdef int QUOTES = _ids["quotes"]
cdef int NATIVE = _ids["native"]
cdef int SLOW = _ids["slow"]
cdef int SKIP_DUPLICATE = _ids["skip_duplicate"]
cdef int SKIP_OUT_OF_ORDER = _ids["skip_out_of_order"]
cdef int ONE_SIDED = _ids["one_sided"]
cdef int CROSSED = _ids["crossed"]
cdef int RESETS = _ids["resets"]
cdef int LAGGING = _ids["lagging_marks"]
cdef int REPEATS = _ids["repeats"]
cdef int CLOCK_AHEAD = _ids["clock_ahead"]
cdef int BAD_TIMES = _ids["bad_times"]
cdef int JUMPED = _ids["jumped"]
cdef int EXCHANGE_TO_RECV = _histogram_ids["exchange_to_recv"]
cdef int RECV_TO_CELL = _histogram_ids["recv_to_cell"]


cdef enum:
    KEPT = 8  # the best lag is the eighth least of a window: seven outliers are nobody's best
    SAMPLES_MIN = 15  # a window has at least so many, so that the eighth is no more than the median
    WINDOWS = 3
    MANY = 8  # symbols whose time goes back: the clock does
    MANY_MIN = 3  # one or two may be dated wrongly by themselves

cdef int64_t WINDOW_NS = 10 * NS_PER_S
cdef int64_t BACK_NS = NS_PER_S // 2


cdef class BestLag:
    """The best lag of a source over all its connections, as it is now.

    A window's best is its eighth least lag, and the source's best what the last three windows agree
    on: a clock that jumps for seconds, or a message dated in the future, is in none of them for
    long. Once known it rises by the clocks' drift only, so that a backlog that grows slowly is seen.
    Until three windows have passed it is the middle of what was seen, and not below zero: a machine's
    clock is rather right than wrong. `kept` and `windows` can be less, not more.
    """
    cdef readonly int64_t now_ns  # what lag counts from, in this read
    cdef int64_t asked_ns  # a lag below this is to be taken
    cdef uint64_t taken  # in this window
    cdef readonly double drift  # how much it may rise, per unit of time
    cdef int kept_max
    cdef int windows_min
    cdef int64_t least[KEPT]
    cdef int kept
    cdef int gone_backs
    cdef int64_t window_start_ns
    cdef int64_t windows[WINDOWS]
    cdef readonly uint32_t windows_passed
    cdef int64_t best_ns
    cdef int64_t best_at_ns

    def __init__(self, double drift_ppm, *, int kept=KEPT, int windows=WINDOWS):
        if not (1 <= kept <= KEPT and 1 <= windows <= WINDOWS):
            raise ValueError(f"{kept} kept of {windows} windows")
        self.drift = drift_ppm / 1e6
        self.kept_max = kept
        self.windows_min = windows
        self.asked_ns = INT64_MAX
        self.now_ns = INT64_MAX

    cdef inline void at(self, int64_t mono_ns) noexcept nogil:
        """A read begins."""
        if self.windows_passed < <uint32_t>self.windows_min:
            if self.kept > 0:
                self.guess()
        else:
            self.now_ns = self.best_ns + <int64_t>(<double>(mono_ns - self.best_at_ns) * self.drift)
        if self.window_start_ns == 0:
            self.window_start_ns = mono_ns
        elif self.taken >= SAMPLES_MIN and mono_ns - self.window_start_ns >= WINDOW_NS:
            self.conclude(mono_ns)

    def drifts(self, double ppm):
        """How fast it may rise from now on."""
        self.drift = ppm / 1e6

    cdef void gone_back(self, int many) noexcept nogil:
        """A symbol's time has gone back though its ids went on. When `many` do, the exchange's clock
        was set: what was learned by it is worth nothing.
        """
        self.gone_backs += 1
        if self.gone_backs >= many:
            self.windows_passed = 0
            self.begin(0)

    cdef void begin(self, int64_t mono_ns) noexcept nogil:
        """A new window."""
        self.kept = 0
        self.taken = 0
        self.gone_backs = 0
        self.asked_ns = INT64_MAX
        self.window_start_ns = mono_ns

    cdef void take(self, int64_t lag_ns) noexcept nogil:
        """One of the least of this window."""
        cdef int place = self.kept if self.kept < self.kept_max else self.kept_max - 1
        while place > 0 and self.least[place - 1] > lag_ns:
            self.least[place] = self.least[place - 1]
            place -= 1
        self.least[place] = lag_ns
        if self.kept < self.kept_max:
            self.kept += 1
        if self.kept == self.kept_max:
            self.asked_ns = self.least[self.kept_max - 1]
        if self.windows_passed < <uint32_t>self.windows_min:
            self.guess()

    cdef void guess(self) noexcept nogil:
        """What is believed while too little was seen: the greatest of the windows' bests."""
        cdef uint32_t number
        cdef uint64_t middle = (self.taken - 1) // 2 if self.taken < SAMPLES_MIN else KEPT - 1
        middle = min(middle, <uint64_t>self.kept - 1)
        self.now_ns = max(0, self.least[middle])
        for number in range(self.windows_passed):
            self.now_ns = max(self.now_ns, self.windows[number])

    cdef void conclude(self, int64_t mono_ns) noexcept nogil:
        """A window is over."""
        cdef int64_t agreed = INT64_MIN
        cdef int number
        for number in range(self.windows_min - 1, 0, -1):
            self.windows[number] = self.windows[number - 1]
        self.windows[0] = self.least[self.kept_max - 1]
        for number in range(self.windows_min):
            agreed = max(agreed, self.windows[number])
        self.windows_passed += 1
        if self.windows_passed == <uint32_t>self.windows_min:
            self.best_ns = agreed
        elif self.windows_passed > <uint32_t>self.windows_min:
            self.best_ns = min(self.now_ns, agreed)
        self.best_at_ns = mono_ns
        if self.windows_passed >= <uint32_t>self.windows_min:
            self.now_ns = self.best_ns
        self.begin(mono_ns)


# What is known of a symbol beside its cell. One cache line, so that a quote touches one.
ctypedef struct memory_of_symbol:
    int64_t heard_ns  # the last read that named it, whatever it brought; 0: none
    double mean_ns  # mean interval of such reads; 0: not known
    int64_t news_ns  # the last read that brought something new
    double news_mean_ns
    double mid  # the last level that could be believed, over connections; 0: none
    uint32_t wrote  # the connection that wrote the cell last; 0: one that is gone
    uint32_t reserved
    uint64_t unused[2]

MEMORY_DTYPE = numpy.dtype([
    ("heard_ns", "<i8"), ("mean_ns", "<f8"), ("news_ns", "<i8"), ("news_mean_ns", "<f8"),
    ("mid", "<f8"), ("wrote", "<u4"), ("reserved", "<u4"), ("unused", "<u8", (2,)),
])


cdef class Board:
    """What the connections of one source share: its cells, its health row, its best lag, and per
    symbol what the feed remembers (MEMORY_DTYPE; the arrays are views of it). Time is that of
    `clock`, or of the one installed when the board is made.

    `lag_ns_max`: exchange time further behind the source's best makes a quote LAGGING.
    `clock_off_ns_max`: the two clocks are never further apart. A time further ahead than this is
    none, a quote further behind lags whatever the best is.
    """
    cdef readonly StoreWriter writer
    cdef readonly Row row
    cdef readonly object clock
    cdef readonly int64_t anchor_ns
    cdef public int64_t lag_ns_max
    cdef public int64_t clock_off_ns_max
    cdef readonly cnp.ndarray heard_ns
    cdef readonly cnp.ndarray mean_ns
    cdef readonly cnp.ndarray news_ns
    cdef readonly cnp.ndarray news_mean_ns
    cdef readonly cnp.ndarray mid
    cdef readonly cnp.ndarray wrote
    cdef const int64_t *mono_at
    cdef readonly BestLag best
    cdef object held
    cdef ss_store *store
    cdef uint32_t source_id
    cdef uint32_t max_symbols
    cdef memory_of_symbol *memory
    cdef ss_bucket *counters
    cdef ss_bucket *exchange_to_recv
    cdef ss_bucket *recv_to_cell

    def __init__(self, StoreWriter writer not None, Row row not None, int64_t anchor_ns,
                 int64_t lag_ns_max, clock=None, *, int64_t clock_off_ns_max=60 * NS_PER_S,
                 BestLag best=None):
        cdef uint32_t count = writer.view.store.max_symbols
        self.writer = writer
        self.row = row
        self.clock = installed() if clock is None else clock
        self.mono_at = <const int64_t *><uintptr_t>self.clock.mono_address()
        self.anchor_ns = anchor_ns
        self.lag_ns_max = lag_ns_max
        self.clock_off_ns_max = clock_off_ns_max
        self.best = BestLag(100.0) if best is None else best
        self.store = &writer.view.store
        self.source_id = writer.source_id
        self.max_symbols = count
        self.remember(count)
        self.counters = row.counters
        self.exchange_to_recv = row.histograms + EXCHANGE_TO_RECV * SS_HISTOGRAM_BUCKETS
        self.recv_to_cell = row.histograms + RECV_TO_CELL * SS_HISTOGRAM_BUCKETS

    cdef remember(self, uint32_t count):
        """Room for what is remembered per symbol, each on a cache line of its own."""
        raw = numpy.zeros(count * sizeof(memory_of_symbol) + 64, numpy.uint8)
        start = -raw.ctypes.data % 64
        self.held = raw[start:start + count * sizeof(memory_of_symbol)].view(MEMORY_DTYPE)
        self.memory = <memory_of_symbol *>cnp.PyArray_DATA(<cnp.ndarray>self.held)
        self.heard_ns, self.mean_ns = self.held["heard_ns"], self.held["mean_ns"]
        self.news_ns, self.news_mean_ns = self.held["news_ns"], self.held["news_mean_ns"]
        self.mid, self.wrote = self.held["mid"], self.held["wrote"]

    def forget(self, ids):
        """Forget what these ids were: they mean another coin, or nothing, from now on."""
        self.held[ids] = 0

    def unmark(self, ids, uint32_t flag, uint32_t only=0):
        """Take a flag back from the quotes of `ids` that bear it, and `only` too where it is given;
        returns from how many.
        """
        cdef ss_quote quote
        cdef uint32_t symbol
        cdef Py_ssize_t unmarked = 0
        for number in ids:
            symbol = number
            if symbol >= self.max_symbols:
                raise IndexError(f"symbol id {symbol} of {self.max_symbols}")
            if ss_store_own(self.store, self.source_id, symbol, &quote) == SS_READ_NONE:
                continue
            if quote.flags & flag == 0 or quote.flags & only != only:
                continue
            quote.flags &= ~flag
            ss_store_put(self.store, self.source_id, symbol, &quote)
            unmarked += 1
        if unmarked:
            ss_store_notify(self.store)
        return unmarked

    def judged(self):
        """Somebody has looked at all prices anew: what had jumped counts from where it is now."""
        self.held["mid"] = 0.0
        return self.unmark(range(self.max_symbols), FLAG_JUMPED)

    cdef int put(self, uint32_t symbol, ss_quote *quote, const ss_quote *old,
                 uint32_t connection) noexcept nogil:
        """Store a quote unless its update id says that it is old news. Returns what became of it.

        `old` is the one that stands; NULL when none was ever written.
        """
        cdef memory_of_symbol *memory = &self.memory[symbol]
        cdef int outcome = STORED
        cdef ss_quote again
        quote.epoch = self.writer.epoch
        ss_quote_derive(quote)
        if old != NULL:
            outcome = judge(old, quote, memory.wrote == 0 or memory.wrote == connection)
            if outcome >= DUPLICATE:
                return outcome
            if outcome == REPEAT:
                if old.flags & FLAG_LAGGING and not quote.flags & FLAG_LAGGING:
                    again = old[0]  # it came late, and now it is known to stand
                    again.flags &= ~<uint32_t>FLAG_LAGGING
                    ss_store_put(self.store, self.source_id, symbol, &again)
                return outcome
        if (outcome == STORED and old != NULL and quote.ts_event != INT64_MIN
                and quote.ts_event < old.ts_event - BACK_NS and old.flags & FLAG_STALE == 0
                and (quote.update_id > old.update_id or quote.update_id == 0)
                and memory.wrote == connection):
            self.best.gone_back(self.many())
        self.judge_level(memory, quote)
        ss_store_put(self.store, self.source_id, symbol, quote)
        memory.wrote = connection
        return outcome

    cdef int many(self) noexcept nogil:
        """How many symbols speak for the exchange: half of those heard, from three to eight."""
        cdef int heard = 0
        cdef uint32_t symbol
        for symbol in range(self.max_symbols):
            heard += self.memory[symbol].heard_ns != 0
            if heard == 2 * MANY:
                break
        return max(MANY_MIN, heard // 2)

    cdef inline void judge_level(self, memory_of_symbol *memory, ss_quote *quote) noexcept nogil:
        """Flag a price that is not of the same level as the one before it."""
        cdef double mid = (quote.bid_px + quote.ask_px) / 2  # NaN with a side empty: no level
        if memory.mid != 0.0 and (mid > JUMP_RATIO * memory.mid or mid * JUMP_RATIO < memory.mid):
            quote.flags |= FLAG_JUMPED
        elif quote.ask_px < WIDE_RATIO * quote.bid_px and quote.bid_px <= quote.ask_px:
            memory.mid = mid

    cdef inline void note(self, uint32_t symbol, int64_t mono_ns, bint news) noexcept nogil:
        """A symbol was heard of: keep the mean interval between the reads that name it, and between
        those that bring news of it.
        """
        cdef memory_of_symbol *memory = &self.memory[symbol]
        cdef int64_t before = memory.heard_ns
        if before != mono_ns:
            memory.heard_ns = mono_ns
            if before != 0:
                memory.mean_ns = stepped(memory.mean_ns, <double>(mono_ns - before))
        if not news:
            return
        before = memory.news_ns
        if before != mono_ns:
            memory.news_ns = mono_ns
            if before != 0:
                memory.news_mean_ns = stepped(memory.news_mean_ns, <double>(mono_ns - before))


cdef inline double stepped(double mean, double interval) noexcept nogil:
    return interval if mean == 0 else mean + (interval - mean) * MEAN_STEP


cdef inline int judge(const ss_quote *old, const ss_quote *new, bint same_connection) noexcept nogil:
    """What an update id says of a quote, given the one that stands."""
    cdef bint timed = new.ts_event != INT64_MIN and old.ts_event != INT64_MIN
    cdef int64_t ahead_ns
    if old.flags & FLAG_STALE or old.epoch != new.epoch:
        return STORED  # whatever it is, it is newer than what nobody can stand behind
    if new.update_id == 0:  # none given: the times have to do, and one connection keeps its order
        if not same_connection and timed and new.ts_event < old.ts_event:
            return OUT_OF_ORDER
        return STORED
    if new.update_id > old.update_id:
        return STORED
    if new.update_id == old.update_id:
        if old.flags & FLAG_LAGGING or new.ts_recv - old.ts_recv >= REPEAT_NS_MIN:
            return REPEAT
        return DUPLICATE
    # Behind. A second connection may lag by seconds and is no proof that the exchange began anew.
    ahead_ns = new.ts_event - old.ts_event if timed else new.ts_recv - old.ts_recv
    if ahead_ns >= RESET_ANY_NS:
        return RESET
    if not same_connection:
        return OUT_OF_ORDER
    if ahead_ns >= (RESET_EVENT_NS if timed else RESET_RECV_NS):
        return RESET
    if timed and new.update_id == 1 and ahead_ns >= 0:
        return RESET
    return OUT_OF_ORDER


ctypedef struct tally:
    uint64_t messages
    uint64_t data
    uint64_t native
    uint64_t slow
    uint64_t stored
    uint64_t repeats
    uint64_t resets
    uint64_t duplicates
    uint64_t out_of_order
    uint64_t one_sided
    uint64_t crossed
    uint64_t lagging
    uint64_t ahead
    uint64_t bad_times
    uint64_t jumped


cdef class Listener(WSListener):
    """One connection's listener.

    `handler` is called for what is not a usual quote: `unusual(frame: bytes)` for a whole message
    that the native tier passed on, `broken(reason: str, frame: bytes)` for one that is against the
    protocol, `ponged(payload: bytes, mono_ns: int)` for an answer to a ping frame, `gone()` once
    when the socket is lost or the server said goodbye. What is counted and
    measured goes to the source's row and, where there is one, to the connection's own.
    """
    cdef readonly Board board
    cdef readonly Row row
    cdef readonly uint32_t number
    cdef readonly cnp.ndarray quoted
    cdef public object handler
    cdef readonly WSTransport transport
    cdef readonly int64_t opened_ns
    cdef readonly int64_t frame_ns
    cdef readonly int64_t data_ns
    cdef readonly double mean_read_ns
    cdef readonly double mean_read_quotes  # how many quotes such a read brings
    cdef public bint path_lags  # pings say so; counts where the exchange gives no time
    cdef readonly uint64_t data_messages
    cdef readonly uint32_t bad_in_row
    cdef readonly bint muted
    cdef Decoder decoder
    cdef uint8_t *has_quoted
    cdef WSMsgType data_type
    cdef bint reading
    cdef bint skipping
    cdef int64_t mono_ns
    cdef int64_t recv_ns
    cdef object fragments
    cdef tally seen
    cdef ss_bucket *counters
    cdef ss_bucket *exchange_to_recv
    cdef ss_bucket *recv_to_cell

    def __init__(self, Board board not None, Decoder decoder not None, uint32_t number, handler,
                 *, bint binary=False, Row row=None):
        self.board = board
        self.row = row
        if row is not None:
            self.counters = row.counters
            self.exchange_to_recv = row.histograms + EXCHANGE_TO_RECV * SS_HISTOGRAM_BUCKETS
            self.recv_to_cell = row.histograms + RECV_TO_CELL * SS_HISTOGRAM_BUCKETS
        self.decoder = decoder
        self.number = number
        self.handler = handler
        self.data_type = WSMsgType.BINARY if binary else WSMsgType.TEXT
        self.quoted = numpy.zeros(board.max_symbols, numpy.uint8)
        self.has_quoted = <uint8_t *>cnp.PyArray_DATA(self.quoted)

    def use(self, Decoder decoder not None):
        """Match with other tables from the next frame on."""
        self.decoder = decoder

    def send(self, str text not None):
        """Send a text frame; nothing happens on a connection that is gone."""
        if self.transport is not None and not self.transport.is_disconnected:
            self.transport.send(WSMsgType.TEXT, text.encode())

    def ping(self, bytes payload not None):
        """Send a ping frame, which the other side answers with the same bytes."""
        if self.transport is not None and not self.transport.is_disconnected:
            self.transport.send_ping(payload)

    def hang_up(self):
        """Say goodbye; `gone` is not called for it. The server's own goodbye ends the connection,
        and `cut` ends it without one.
        """
        self.muted = True
        self.handler = None
        if self.transport is not None and not self.transport.is_disconnected:
            if not self.transport.is_close_frame_sent:
                self.transport.send_close(WSCloseCode.OK)

    def cut(self):
        """End the connection at once, heard or not."""
        if self.transport is not None and not self.transport.is_disconnected:
            self.transport.disconnect(False)

    cpdef on_ws_connected(self, WSTransport transport):
        self.transport = transport
        self.opened_ns = ss_source_ns(self.board.mono_at)
        self.frame_ns = self.opened_ns

    cpdef on_ws_disconnected(self, WSTransport transport):
        handler = self.handler
        self.muted = True
        self.handler = None
        self.transport = None
        if self.reading:
            self.end_read()
        if handler is not None:
            handler.gone()

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        cdef ss_match found
        if not self.reading:
            self.begin_read()
        if not self.muted:
            if (frame.msg_type == self.data_type and frame.fin and self.fragments is None
                    and not frame.rsv1 | frame.rsv2 | frame.rsv3):
                self.seen.messages += 1
                if ss_decode(self.decoder.decoder, frame.payload_ptr, frame.payload_size,
                             &found) == SS_MATCHED and found.symbol_id < self.board.max_symbols:
                    self.store(&found)
                else:
                    self.pass_on(PyBytes_FromStringAndSize(frame.payload_ptr, frame.payload_size))
            else:
                self.other_frame(transport, frame)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        if frame.last_in_buffer:
            self.end_read()

    cdef inline void begin_read(self) noexcept nogil:
        self.reading = True
        self.mono_ns = ss_source_ns(self.board.mono_at)
        self.recv_ns = self.mono_ns + self.board.anchor_ns
        self.board.best.at(self.mono_ns)

    cdef inline void store(self, const ss_match *found) noexcept nogil:
        """A usual quote."""
        cdef ss_quote quote
        quote.bid_px = found.bid_px
        quote.bid_sz = found.bid_sz
        quote.ask_px = found.ask_px
        quote.ask_sz = found.ask_sz
        quote.ts_event = found.ts_event
        quote.update_id = found.update_id
        quote.flags = 0
        self.seen.native += 1
        self.take(found.symbol_id, &quote, found.ts_engine)

    cdef int take(self, uint32_t symbol, ss_quote *quote, int64_t ts_engine) noexcept nogil:
        """Flag, store and count one quote of either tier."""
        cdef ss_quote old
        cdef ss_quote *standing = NULL
        cdef int outcome
        if symbol >= self.board.writer.symbols:
            return IMPOSSIBLE  # the writer is closed: its source may be another's by now
        quote.ts_recv = self.recv_ns
        self.seen.data += 1
        self.bad_in_row = 0
        if ss_store_own(self.board.store, self.board.source_id, symbol, &old) != SS_READ_NONE:
            standing = &old
        self.judge_time(quote, standing, ts_engine)
        outcome = self.board.put(symbol, quote, standing, self.number)
        if outcome == OUT_OF_ORDER:
            self.seen.out_of_order += 1
            return outcome  # of another time: it says nothing of now, not even that it lives
        self.has_quoted[symbol] = 1
        self.board.note(symbol, self.mono_ns, outcome <= RESET and outcome != REPEAT)
        if outcome == DUPLICATE:
            self.seen.duplicates += 1
            return outcome
        if outcome == REPEAT:
            self.seen.repeats += 1
            return outcome
        self.seen.stored += 1
        self.seen.resets += outcome == RESET
        if quote.flags & (FLAG_CROSSED | FLAG_LAGGING | FLAG_BID_EMPTY | FLAG_ASK_EMPTY
                          | FLAG_JUMPED):
            self.seen.crossed += (quote.flags & FLAG_CROSSED) != 0
            self.seen.lagging += (quote.flags & FLAG_LAGGING) != 0
            self.seen.one_sided += (quote.flags & (FLAG_BID_EMPTY | FLAG_ASK_EMPTY)) != 0
            self.seen.jumped += (quote.flags & FLAG_JUMPED) != 0
        return outcome

    cdef inline void judge_time(self, ss_quote *quote, const ss_quote *old,
                                int64_t ts_engine) noexcept nogil:
        """Choose the quote's time and judge its lag.

        Of two times the engine's is the quote's, and tells of lag, where the update id is new: it is
        old in what is sent again. It says nothing of lag where nothing stood until then: a quiet
        coin's first quote may be of yesterday.
        """
        cdef int64_t told = quote.ts_event
        if ts_engine != INT64_MIN and (old == NULL or old.update_id != quote.update_id):
            quote.ts_event = ts_engine
            if told == INT64_MIN or (old != NULL and quote.update_id > old.update_id
                                     and not old.flags & FLAG_STALE):
                told = ts_engine
        if max(quote.ts_event, told) > self.recv_ns + self.board.clock_off_ns_max:
            quote.ts_event = INT64_MIN
            self.seen.bad_times += 1
        if quote.ts_event == INT64_MIN:
            if self.path_lags:
                quote.flags |= FLAG_LAGGING
        else:
            self.judge_lag(quote, self.recv_ns - told)

    cdef inline void judge_lag(self, ss_quote *quote, int64_t lag_ns) noexcept nogil:
        """Exchange clocks are off by an unknown constant: lag counts from the source's best."""
        cdef int bucket
        if lag_ns < 0:
            self.seen.ahead += 1
        else:
            bucket = ss_histogram_index(lag_ns)
            ss_count_add(&self.board.exchange_to_recv[bucket], 1)
            if self.exchange_to_recv != NULL:
                ss_count_add(&self.exchange_to_recv[bucket], 1)
        self.board.best.taken += 1
        if lag_ns < self.board.best.asked_ns:
            self.board.best.take(lag_ns)
        if (lag_ns - self.board.best.now_ns > self.board.lag_ns_max
                or lag_ns > self.board.clock_off_ns_max):
            quote.flags |= FLAG_LAGGING

    cdef void end_read(self) noexcept nogil:
        """Wake the readers, and write what this read was into the health row."""
        cdef tally *seen = &self.seen
        cdef int bucket
        cdef double interval
        self.reading = False
        self.frame_ns = self.mono_ns
        self.let_go_of_closed_rows()
        if seen.stored:
            ss_store_notify(self.board.store)
            # One look at the clock per read: for each quote of it the time of the last, the worst.
            bucket = ss_histogram_index(ss_source_ns(self.board.mono_at) - self.mono_ns)
            ss_count_add(&self.board.recv_to_cell[bucket], seen.stored)
            if self.recv_to_cell != NULL:
                ss_count_add(&self.recv_to_cell[bucket], seen.stored)
        if seen.data:
            interval = <double>(self.mono_ns - (self.data_ns if self.data_ns else self.opened_ns))
            self.mean_read_ns = stepped(self.mean_read_ns, interval)
            self.mean_read_quotes = stepped(self.mean_read_quotes, <double>seen.data)
            self.data_ns = self.mono_ns
            self.data_messages += seen.data
        if seen.messages | seen.data:
            count(self.board.counters, seen)
            if self.counters != NULL:
                count(self.counters, seen)
            memset(seen, 0, sizeof(tally))

    cdef inline void let_go_of_closed_rows(self) noexcept nogil:
        """A row that was given back may be another's by now. Once per read: counts follow."""
        if self.board.row.counter_count == 0:
            memset(&self.seen, 0, sizeof(tally))
        if self.counters != NULL and self.row.counter_count == 0:
            self.counters = self.exchange_to_recv = self.recv_to_cell = NULL

    cdef pass_on(self, bytes message):
        self.seen.slow += 1
        if self.handler is not None:
            self.handler.unusual(message)

    cdef other_frame(self, WSTransport transport, WSFrame frame):
        """Control frames, fragments, and what is against the protocol."""
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.PONG:
            if self.handler is not None:
                self.handler.ponged(frame.get_payload_as_bytes(), self.mono_ns)
        elif frame.msg_type == WSMsgType.CLOSE:
            self.goodbye(transport)
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self.seen.messages += 1
            self.protocol("a compressed frame, which was never agreed", frame)
        else:
            self.fragment(frame)

    cdef goodbye(self, WSTransport transport):
        handler = self.handler
        self.muted = True
        self.handler = None
        # Whatever stands behind a goodbye is not delivered, so this was the read's last frame.
        self.end_read()
        if not transport.is_close_frame_sent:
            transport.send_close(WSCloseCode.OK)
        transport.disconnect()
        if handler is not None:
            handler.gone()

    cdef fragment(self, WSFrame frame):
        """Text and binary messages in pieces, put together within bounds for the typed tier; and
        whole ones of the type that the native tier does not read.
        """
        cdef bint begins = frame.msg_type != WSMsgType.CONTINUATION
        cdef bytes message
        if begins and self.fragments is not None:
            self.fragments = None
            self.protocol("a new message within a fragmented one", frame)
        if begins:
            self.skipping = False
            if frame.fin:
                self.seen.messages += 1
                self.pass_on(frame.get_payload_as_bytes())
                return
            self.fragments = bytearray()
        elif self.fragments is None:
            if not self.skipping:
                self.seen.messages += 1
                self.protocol("a continuation of nothing", frame)
            self.skipping = self.skipping and not frame.fin
            return
        self.fragments += frame.get_payload_as_memoryview()
        if len(self.fragments) > fragments_bytes_max:
            self.fragments = None
            self.skipping = not frame.fin  # the rest of it is the same bad message
            self.seen.messages += 1
            self.protocol("a fragmented message beyond all bounds", frame)
        elif frame.fin:
            message = bytes(self.fragments)
            self.fragments = None
            self.seen.messages += 1
            self.pass_on(message)

    cdef protocol(self, str reason, WSFrame frame):
        if self.handler is not None:
            self.handler.broken(reason, frame.get_payload_as_bytes())

    def bad(self):
        """Note a bad message; returns how many came in a row without a quote between them."""
        self.bad_in_row += 1
        return self.bad_in_row

    def quote(self, int64_t symbol_id, double bid_px, double bid_sz, double ask_px, double ask_sz,
              int64_t ts_event, uint64_t update_id, int64_t ts_engine=INT64_MIN):
        """Store a quote of the typed tier, in base units, as the native tier would: one of OUTCOMES.

        An absent side is NaN, an absent time TS_ABSENT.
        """
        cdef ss_quote quote
        cdef bint outside = not self.reading
        if not 0 <= symbol_id < self.board.max_symbols:
            raise IndexError(f"symbol id {symbol_id} of {self.board.max_symbols}")
        if not (ss_side_possible(bid_px, bid_sz) and ss_side_possible(ask_px, ask_sz)):
            return OUTCOMES[IMPOSSIBLE]
        quote.bid_px = bid_px
        quote.bid_sz = bid_sz
        quote.ask_px = ask_px
        quote.ask_sz = ask_sz
        quote.ts_event = ts_event
        quote.update_id = update_id
        quote.flags = FLAG_BID_EMPTY if isnan(bid_px) else 0
        if isnan(ask_px):
            quote.flags |= FLAG_ASK_EMPTY
        if outside:
            self.begin_read()
        outcome = OUTCOMES[self.take(<uint32_t>symbol_id, &quote, ts_engine)]
        if outside:
            self.end_read()
        return outcome


cdef void count(ss_bucket *counters, const tally *seen) noexcept nogil:
    """Add what one read was."""
    ss_count_add(&counters[MESSAGES], seen.messages)
    ss_count_add(&counters[NATIVE], seen.native)
    ss_count_add(&counters[QUOTES], seen.stored)
    if seen.slow:
        ss_count_add(&counters[SLOW], seen.slow)
    if not (seen.duplicates | seen.out_of_order | seen.repeats | seen.resets | seen.crossed
            | seen.lagging | seen.one_sided | seen.ahead | seen.bad_times | seen.jumped):
        return  # the usual case
    ss_count_add(&counters[SKIP_DUPLICATE], seen.duplicates)
    ss_count_add(&counters[SKIP_OUT_OF_ORDER], seen.out_of_order)
    ss_count_add(&counters[REPEATS], seen.repeats)
    ss_count_add(&counters[RESETS], seen.resets)
    ss_count_add(&counters[CROSSED], seen.crossed)
    ss_count_add(&counters[LAGGING], seen.lagging)
    ss_count_add(&counters[ONE_SIDED], seen.one_sided)
    ss_count_add(&counters[CLOCK_AHEAD], seen.ahead)
    ss_count_add(&counters[BAD_TIMES], seen.bad_times)
    ss_count_add(&counters[JUMPED], seen.jumped)
