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
    SS_FLAG_LAGGING as FLAG_LAGGING,
    SS_FLAG_NO_TS_EVENT as FLAG_NO_TS_EVENT,
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
# The same update id again after this long is no copy on its way twice: the exchange says that the
# quote still stands (Bybit each 3 s, OKX about once a minute).
cdef int64_t REPEAT_NS_MIN = NS_PER_S
# An update id that is behind while its time is ahead by this much: the exchange began anew.
cdef int64_t RESET_EVENT_NS = NS_PER_S
cdef int64_t RESET_RECV_NS = 3 * NS_PER_S
# The best lag is the least of the running and the previous window.
cdef int64_t LAG_WINDOW_NS = 300 * NS_PER_S
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
cdef int EXCHANGE_TO_RECV = _histogram_ids["exchange_to_recv"]
cdef int RECV_TO_CELL = _histogram_ids["recv_to_cell"]


cdef class Board:
    """What the connections of one source share: its cells, its health row, and per symbol when it
    was last heard, its mean interval, and which connection wrote it last (0: one that is gone).
    Time is that of `clock`, or of the one installed when the board is made.
    """
    cdef readonly StoreWriter writer
    cdef readonly Row row
    cdef readonly object clock
    cdef readonly int64_t anchor_ns
    cdef public int64_t lag_ns_max
    cdef readonly cnp.ndarray heard_ns
    cdef readonly cnp.ndarray mean_ns
    cdef readonly cnp.ndarray wrote
    cdef const int64_t *mono_at
    cdef ss_store *store
    cdef uint32_t source_id
    cdef uint32_t max_symbols
    cdef int64_t *heard
    cdef double *mean
    cdef uint32_t *written
    cdef ss_bucket *counters
    cdef ss_bucket *exchange_to_recv
    cdef ss_bucket *recv_to_cell

    def __init__(self, StoreWriter writer not None, Row row not None, int64_t anchor_ns,
                 int64_t lag_ns_max, clock=None):
        cdef uint32_t count = writer.view.store.max_symbols
        self.writer = writer
        self.row = row
        self.clock = installed() if clock is None else clock
        self.mono_at = <const int64_t *><uintptr_t>self.clock.mono_address()
        self.anchor_ns = anchor_ns
        self.lag_ns_max = lag_ns_max
        self.store = &writer.view.store
        self.source_id = writer.source_id
        self.max_symbols = count
        self.heard_ns = numpy.zeros(count, numpy.int64)
        self.mean_ns = numpy.zeros(count, numpy.float64)
        self.wrote = numpy.zeros(count, numpy.uint32)
        self.heard = <int64_t *>cnp.PyArray_DATA(self.heard_ns)
        self.mean = <double *>cnp.PyArray_DATA(self.mean_ns)
        self.written = <uint32_t *>cnp.PyArray_DATA(self.wrote)
        self.counters = row.counters
        self.exchange_to_recv = row.histograms + EXCHANGE_TO_RECV * SS_HISTOGRAM_BUCKETS
        self.recv_to_cell = row.histograms + RECV_TO_CELL * SS_HISTOGRAM_BUCKETS

    cdef int put(self, uint32_t symbol, ss_quote *quote, uint32_t connection) noexcept nogil:
        """Store a quote unless its update id says that it is old news. Returns what became of it."""
        cdef ss_quote old
        cdef int outcome = STORED
        quote.epoch = self.writer.epoch
        ss_quote_derive(quote)
        if ss_store_own(self.store, self.source_id, symbol, &old) != SS_READ_NONE:
            outcome = judge(&old, quote, self.written[symbol] in (0, connection))
            if outcome >= DUPLICATE:
                return outcome
        ss_store_put(self.store, self.source_id, symbol, quote)
        self.written[symbol] = connection
        return outcome

    cdef inline void note(self, uint32_t symbol, int64_t mono_ns) noexcept nogil:
        """A symbol was heard of: keep the mean interval between the reads that name it."""
        cdef int64_t before = self.heard[symbol]
        cdef double interval
        if before == mono_ns:
            return
        self.heard[symbol] = mono_ns
        if before == 0:
            return
        interval = <double>(mono_ns - before)
        if self.mean[symbol] == 0:
            self.mean[symbol] = interval
        else:
            self.mean[symbol] += (interval - self.mean[symbol]) * MEAN_STEP


cdef inline int judge(const ss_quote *old, const ss_quote *new, bint same_connection) noexcept nogil:
    """What an update id says of a quote, given the one that stands."""
    if new.update_id > old.update_id or new.update_id == 0:
        return STORED
    if old.flags & FLAG_STALE or old.epoch != new.epoch:
        return STORED  # whatever it is, it is newer than what nobody can stand behind
    if new.update_id == old.update_id:
        if old.flags & (FLAG_SILENT | FLAG_LAGGING) or new.ts_recv - old.ts_recv >= REPEAT_NS_MIN:
            return REPEAT
        return DUPLICATE
    # Behind. A second connection may lag by seconds and is no proof that the exchange began anew.
    if not same_connection:
        return OUT_OF_ORDER
    if new.ts_event != INT64_MIN and old.ts_event != INT64_MIN:
        if new.ts_event - old.ts_event >= RESET_EVENT_NS:
            return RESET
        if new.update_id == 1 and new.ts_event >= old.ts_event:
            return RESET
    elif new.ts_recv - old.ts_recv >= RESET_RECV_NS:
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


cdef class Listener(WSListener):
    """One connection's listener.

    `handler` is called for what is not a usual quote: `unusual(frame: bytes)` for a whole message
    that the native tier passed on, `broken(reason: str, frame: bytes)` for one that is against the
    protocol, `gone()` once when the socket is lost or the server said goodbye. What is counted and
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
    cdef int64_t best_lag_ns
    cdef int64_t window_lag_ns
    cdef int64_t window_start_ns
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
        self.best_lag_ns = INT64_MAX
        self.window_lag_ns = INT64_MAX

    def use(self, Decoder decoder not None):
        """Match with other tables from the next frame on."""
        self.decoder = decoder

    def send(self, str text not None):
        """Send a text frame; nothing happens on a connection that is gone."""
        if self.transport is not None and not self.transport.is_disconnected:
            self.transport.send(WSMsgType.TEXT, text.encode())

    def ping(self):
        """Send a ping frame."""
        if self.transport is not None and not self.transport.is_disconnected:
            self.transport.send_ping(b"")

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
        self.window_start_ns = self.opened_ns

    cpdef on_ws_disconnected(self, WSTransport transport):
        handler = self.handler
        self.muted = True
        self.handler = None
        self.transport = None
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
        self.take(found.symbol_id, &quote)

    cdef int take(self, uint32_t symbol, ss_quote *quote) noexcept nogil:
        """Flag, store and count one quote of either tier."""
        cdef int outcome
        if symbol >= self.board.writer.symbols:
            return IMPOSSIBLE  # the writer is closed: its source may be another's by now
        quote.ts_recv = self.recv_ns
        if quote.ts_event != INT64_MIN:
            self.judge_lag(quote)
        self.seen.data += 1
        self.bad_in_row = 0
        self.has_quoted[symbol] = 1
        self.board.note(symbol, self.mono_ns)
        outcome = self.board.put(symbol, quote, self.number)
        if outcome == DUPLICATE:
            self.seen.duplicates += 1
            return outcome
        if outcome == OUT_OF_ORDER:
            self.seen.out_of_order += 1
            return outcome
        self.seen.stored += 1
        if outcome == REPEAT:
            self.seen.repeats += 1
        elif outcome == RESET:
            self.seen.resets += 1
        if quote.flags & (FLAG_CROSSED | FLAG_LAGGING | FLAG_BID_EMPTY | FLAG_ASK_EMPTY):
            self.seen.crossed += (quote.flags & FLAG_CROSSED) != 0
            self.seen.lagging += (quote.flags & FLAG_LAGGING) != 0
            self.seen.one_sided += (quote.flags & (FLAG_BID_EMPTY | FLAG_ASK_EMPTY)) != 0
        return outcome

    cdef inline void judge_lag(self, ss_quote *quote) noexcept nogil:
        """Exchange clocks are off by an unknown constant: lag counts from this connection's best."""
        cdef int64_t lag_ns = self.recv_ns - quote.ts_event
        cdef int bucket = ss_histogram_index(lag_ns)
        ss_count_add(&self.board.exchange_to_recv[bucket], 1)
        if self.exchange_to_recv != NULL:
            ss_count_add(&self.exchange_to_recv[bucket], 1)
        if lag_ns < self.window_lag_ns:
            self.window_lag_ns = lag_ns
            if lag_ns < self.best_lag_ns:
                self.best_lag_ns = lag_ns
        if lag_ns - self.best_lag_ns > self.board.lag_ns_max:
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
            if self.mean_read_ns == 0:
                self.mean_read_ns = interval
            else:
                self.mean_read_ns += (interval - self.mean_read_ns) * MEAN_STEP
            self.data_ns = self.mono_ns
            self.data_messages += seen.data
        if self.mono_ns - self.window_start_ns > LAG_WINDOW_NS:
            self.window_start_ns = self.mono_ns
            self.best_lag_ns = self.window_lag_ns
            self.window_lag_ns = INT64_MAX
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
            pass  # heard of: that is all it is for
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
              int64_t ts_event, uint64_t update_id):
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
        outcome = OUTCOMES[self.take(<uint32_t>symbol_id, &quote)]
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
            | seen.lagging | seen.one_sided):
        return  # the usual case
    ss_count_add(&counters[SKIP_DUPLICATE], seen.duplicates)
    ss_count_add(&counters[SKIP_OUT_OF_ORDER], seen.out_of_order)
    ss_count_add(&counters[REPEATS], seen.repeats)
    ss_count_add(&counters[RESETS], seen.resets)
    ss_count_add(&counters[CROSSED], seen.crossed)
    ss_count_add(&counters[LAGGING], seen.lagging)
    ss_count_add(&counters[ONE_SIDED], seen.one_sided)
