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
from libc.stdint cimport INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from picows.picows cimport WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

import numpy

from spread_scanner.exchanges.adapter import TS_IMPOSSIBLE
from spread_scanner.feed._board import OUTCOMES, BestLag
from spread_scanner.schema.counters import FEED_COUNTERS, FEED_HISTOGRAMS

from spread_scanner.exchanges._match cimport SS_MATCHED, Decoder, ss_decode, ss_match
from spread_scanner.feed._board cimport (
    SS_DUPLICATE,
    SS_IMPOSSIBLE,
    SS_OUT_OF_ORDER,
    SS_REPEAT,
    SS_REPEAT_NS_MIN,
    SS_RESET,
    Board,
    ss_board,
    ss_board_at,
    ss_board_put,
    ss_lag_excess,
    ss_lag_judge,
    ss_memory_note,
    ss_stepped,
)
from spread_scanner.feed._books cimport BookBoard
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
    ss_side_possible,
    ss_store_notify,
    ss_store_own,
)

cnp.import_array()

FLAGS = {
    "STALE": FLAG_STALE, "SILENT": FLAG_SILENT, "LAGGING": FLAG_LAGGING, "CROSSED": FLAG_CROSSED,
    "NO_TS_EVENT": FLAG_NO_TS_EVENT, "BID_EMPTY": FLAG_BID_EMPTY, "ASK_EMPTY": FLAG_ASK_EMPTY,
    "JUMPED": FLAG_JUMPED, "OVERDUE": FLAG_OVERDUE,
}

cdef int64_t impossible = TS_IMPOSSIBLE
FRAGMENTS_BYTES_MAX = 1 << 20
cdef Py_ssize_t fragments_bytes_max = FRAGMENTS_BYTES_MAX
# A connection has a rate of its own from so many reads on. The first ones are the answers to its
# subscriptions, milliseconds apart, and say nothing of how often quiet symbols change.
cdef uint64_t READS_MIN = 16

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

    With `books` its messages are of books, and go there; else usual quotes are stored.

    `handler` is called for what is not usual: `unusual(frame: bytes)` for a whole message
    that the native tier passed on, `broken(reason: str, frame: bytes)` for one that is against the
    protocol, `ponged(payload: bytes, mono_ns: int)` for an answer to a ping frame, `gone()` once
    when the socket is lost or the server said goodbye. What is counted and
    measured goes to the source's row and, where there is one, to the connection's own.
    """
    cdef readonly Board board
    cdef readonly Row row
    cdef readonly uint32_t number
    cdef readonly cnp.ndarray quoted
    cdef readonly cnp.ndarray left  # by symbol id: what still comes of these was on its way
    cdef public object handler
    cdef readonly WSTransport transport
    cdef readonly int64_t opened_ns
    cdef readonly int64_t frame_ns
    cdef readonly int64_t data_ns
    cdef readonly double mean_read_ns  # between the reads that bring quotes; 0: too few to tell
    cdef readonly double mean_read_quotes  # how many quotes such a read brings
    cdef public bint path_lags  # pings say so; counts where the exchange gives no time
    cdef public bint behind  # what it brings may be old; counts where there is no time, too
    cdef readonly uint64_t data_messages
    cdef readonly uint32_t bad_in_row
    cdef readonly bint muted
    cdef Decoder decoder
    cdef BookBoard books
    cdef uint8_t *has_quoted
    cdef uint8_t *has_left
    cdef WSMsgType data_type
    cdef bint reading
    cdef bint skipping
    cdef int64_t mono_ns
    cdef int64_t recv_ns
    cdef uint64_t reads
    cdef double mean_so_far_ns
    cdef int64_t deaf_ns
    cdef uint32_t timeless  # what quotes of this read are marked with that carry no time
    cdef object fragments
    cdef tally seen
    cdef ss_bucket *counters
    cdef ss_bucket *exchange_to_recv
    cdef ss_bucket *recv_to_cell

    def __init__(self, Board board not None, Decoder decoder not None, uint32_t number, handler,
                 *, bint binary=False, Row row=None, BookBoard books=None):
        self.board = board
        self.row = row
        if row is not None:
            self.counters = row.counters
            self.exchange_to_recv = row.histograms + EXCHANGE_TO_RECV * SS_HISTOGRAM_BUCKETS
            self.recv_to_cell = row.histograms + RECV_TO_CELL * SS_HISTOGRAM_BUCKETS
        self.decoder = decoder
        self.books = books
        self.number = number
        self.handler = handler
        self.data_type = WSMsgType.BINARY if binary else WSMsgType.TEXT
        self.quoted = numpy.zeros(board.native.max_symbols, numpy.uint8)
        self.has_quoted = <uint8_t *>cnp.PyArray_DATA(self.quoted)
        self.left = numpy.zeros(board.native.max_symbols, numpy.uint8)
        self.has_left = <uint8_t *>cnp.PyArray_DATA(self.left)

    def use(self, Decoder decoder not None):
        """Match with other tables from the next frame on."""
        self.decoder = decoder

    def send(self, str text not None):
        """Send a text frame; nothing happens on a connection that is gone."""
        if self.transport is not None and not self.transport.is_disconnected:
            self.transport.send(WSMsgType.TEXT, text.encode())

    def deafen(self, int64_t mono_ns):
        """Until then it could not be heard, or asked again: its silence is no interval of its reads.
        """
        self.deaf_ns = mono_ns

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
                if self.books is not None:
                    self.book(frame)
                elif ss_decode(self.decoder.decoder, frame.payload_ptr, frame.payload_size,
                               &found) == SS_MATCHED and found.symbol_id < self.board.native.max_symbols:
                    self.store(&found)
                else:
                    self.pass_on(PyBytes_FromStringAndSize(frame.payload_ptr, frame.payload_size))
            else:
                self.other_frame(transport, frame)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        if frame.last_in_buffer:
            self.end_read()

    cdef book(self, WSFrame frame):
        """A message of a connection for books."""
        cdef int64_t symbol = self.books.take(
            frame.payload_ptr, frame.payload_size, self.number, self.recv_ns, self.timeless != 0)
        if 0 <= symbol < <int64_t>self.board.native.max_symbols:
            self.seen.native += 1
            self.note(<uint32_t>symbol)
        else:
            self.pass_on(PyBytes_FromStringAndSize(frame.payload_ptr, frame.payload_size))

    cdef inline void begin_read(self) noexcept nogil:
        self.reading = True
        self.mono_ns = ss_source_ns(self.board.mono_at)
        self.recv_ns = self.mono_ns + self.board.anchor_ns
        ss_board_at(&self.board.native, self.mono_ns)
        self.timeless = FLAG_LAGGING if self.path_lags else 0
        if self.behind or self.board.native.deaf_ns == self.mono_ns:
            self.timeless |= FLAG_SILENT  # or this process was stopped: it may have come long ago

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
        self.take(found.symbol_id, &quote, found.ts_engine, found.ts_sent)

    cdef int take(self, uint32_t symbol, ss_quote *quote, int64_t ts_engine,
                  int64_t ts_sent) noexcept nogil:
        """Flag, store and count one quote of either tier."""
        cdef ss_quote old
        cdef ss_quote *standing = NULL
        cdef ss_board *board = &self.board.native
        cdef int outcome
        cdef bint left
        if symbol >= self.board.writer.symbols:
            return SS_IMPOSSIBLE  # the writer is closed: its source may be another's by now
        left = self.has_left[symbol]
        quote.ts_recv = self.recv_ns
        self.seen.data += 1
        self.bad_in_row = 0
        if ss_store_own(board.store, board.source_id, symbol, &old) != SS_READ_NONE:
            standing = &old
        self.judge_time(quote, standing, ts_engine, ts_sent)
        outcome = ss_board_put(board, symbol, quote, standing, 0 if left else self.number)
        if outcome == SS_OUT_OF_ORDER:
            self.seen.out_of_order += 1
            return outcome  # of another time: it says nothing of now, not even that it lives
        self.has_quoted[symbol] = not left
        ss_memory_note(&board.memory[symbol], self.mono_ns, board.deaf_ns,
                       outcome <= SS_RESET and outcome != SS_REPEAT, &board.silence)
        if outcome == SS_DUPLICATE:
            self.seen.duplicates += 1
            return outcome
        if outcome == SS_REPEAT:
            self.seen.repeats += 1
            return outcome
        self.seen.stored += 1
        self.seen.resets += outcome == SS_RESET
        if quote.flags & (FLAG_CROSSED | FLAG_LAGGING | FLAG_BID_EMPTY | FLAG_ASK_EMPTY
                          | FLAG_JUMPED):
            self.seen.crossed += (quote.flags & FLAG_CROSSED) != 0
            self.seen.lagging += (quote.flags & FLAG_LAGGING) != 0
            self.seen.one_sided += (quote.flags & (FLAG_BID_EMPTY | FLAG_ASK_EMPTY)) != 0
            self.seen.jumped += (quote.flags & FLAG_JUMPED) != 0
        return outcome

    cdef inline void judge_time(self, ss_quote *quote, const ss_quote *old, int64_t ts_engine,
                                int64_t ts_sent) noexcept nogil:
        """Choose the quote's time and judge its lag.

        Of two times the engine's is the quote's, and tells of lag, where the update id is new: it is
        old in what is sent again. It says nothing of lag where nothing stood until then: a quiet
        coin's first quote may be of yesterday. Either is none where it lies too far ahead, and so is
        that of sending, which is only looked at where the quote's is the engine's alone. What another
        connection brings of a late quote is as late, however fresh its envelope is.
        """
        cdef int64_t told = quote.ts_event
        cdef int64_t latest = self.recv_ns + self.board.clock_off_ns_max
        cdef bint bad = ts_sent > latest
        if told > latest or told == impossible:
            bad, told = True, INT64_MIN
            quote.ts_event = INT64_MIN
        if ts_engine > latest or ts_engine == impossible:
            bad, ts_engine = True, INT64_MIN
        if ts_engine != INT64_MIN:
            if old == NULL or old.update_id != quote.update_id:
                quote.ts_event = ts_engine
                if told == INT64_MIN or (old != NULL and quote.update_id > old.update_id
                                         and not old.flags & FLAG_STALE):
                    told = ts_engine
            elif old.flags & FLAG_LAGGING and self.is_copy(old, told):
                told = ts_engine
        self.seen.bad_times += bad
        if quote.ts_event == INT64_MIN:
            quote.flags |= self.timeless
        else:
            self.judge_lag(quote, self.recv_ns - told)

    cdef inline bint is_copy(self, const ss_quote *old, int64_t told) noexcept nogil:
        """Whether the quote that stands, which comes again with that time of sending, was sent but
        once, here as there: not so long after it had arrived that it was sent again.
        """
        cdef int64_t late_ns = 0
        if told != INT64_MIN:
            late_ns = ss_lag_excess(self.board.native.best, self.recv_ns - told)
        return self.recv_ns - late_ns - old.ts_recv < SS_REPEAT_NS_MIN

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
        if (ss_lag_judge(self.board.native.best, lag_ns, self.board.lag_ns_max)
                or lag_ns > self.board.clock_off_ns_max):
            quote.flags |= FLAG_LAGGING

    cdef void end_read(self) noexcept nogil:
        """Wake the readers, and write what this read was into the health row."""
        cdef tally *seen = &self.seen
        cdef int bucket
        self.reading = False
        self.frame_ns = self.mono_ns
        self.let_go_of_closed_rows()
        if self.board.native.changed:  # also by a mark that was lifted, with nothing stored
            self.board.native.changed = 0
            ss_store_notify(self.board.native.store)
        if seen.stored:
            # One look at the clock per read: for each quote of it the time of the last, the worst.
            bucket = ss_histogram_index(ss_source_ns(self.board.mono_at) - self.mono_ns)
            ss_count_add(&self.board.recv_to_cell[bucket], seen.stored)
            if self.recv_to_cell != NULL:
                ss_count_add(&self.recv_to_cell[bucket], seen.stored)
        if seen.data:
            self.learn_pace()
            self.mean_read_quotes = ss_stepped(self.mean_read_quotes, <double>seen.data)
            self.data_ns = self.mono_ns
            self.data_messages += seen.data
        if seen.messages | seen.data:
            count(self.board.counters, seen)
            if self.counters != NULL:
                count(self.counters, seen)
            memset(seen, 0, sizeof(tally))

    cdef inline void learn_pace(self) noexcept nogil:
        """Take in the interval since the read with quotes before this one; of one that spans a time
        without hearing only the rest is known, as of a symbol's (ss_learn).
        """
        cdef int64_t before_ns = self.data_ns if self.data_ns else self.opened_ns
        cdef int64_t deaf_ns = max(self.deaf_ns, self.board.native.deaf_ns)
        cdef double interval = <double>(self.mono_ns - max(before_ns, deaf_ns))
        if deaf_ns > before_ns and interval <= self.mean_so_far_ns:
            return
        self.reads += 1
        self.mean_so_far_ns += (interval - self.mean_so_far_ns) / min(self.reads, READS_MIN)
        if self.reads >= READS_MIN:
            self.mean_read_ns = self.mean_so_far_ns

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

    def heard(self, int64_t symbol_id):
        """Note that a symbol was heard by a message that is no quote: nothing is stored of it."""
        cdef bint outside = not self.reading
        if not 0 <= symbol_id < self.board.native.max_symbols:
            raise IndexError(f"symbol id {symbol_id} of {self.board.native.max_symbols}")
        if outside:
            self.begin_read()
        self.note(<uint32_t>symbol_id)
        if outside:
            self.end_read()

    cdef inline void note(self, uint32_t symbol) noexcept nogil:
        """Heard by a message that is no quote."""
        self.seen.data += 1
        self.bad_in_row = 0
        self.has_quoted[symbol] = not self.has_left[symbol]
        ss_memory_note(&self.board.native.memory[symbol], self.mono_ns,
                       self.board.native.deaf_ns, True, &self.board.native.silence)

    @property
    def read_ns(self):
        """When what is being read arrived, by the clock of quotes' ts_recv."""
        return self.recv_ns

    def bad(self):
        """Note a bad message; returns how many came in a row without a quote between them."""
        self.bad_in_row += 1
        return self.bad_in_row

    def quote(self, int64_t symbol_id, double bid_px, double bid_sz, double ask_px, double ask_sz,
              int64_t ts_event, uint64_t update_id, int64_t ts_engine=INT64_MIN,
              int64_t ts_sent=INT64_MIN):
        """Store a quote of the typed tier, in base units, as the native tier would: one of OUTCOMES.

        An absent side is NaN, an absent time TS_ABSENT, one that cannot be TS_IMPOSSIBLE.
        """
        cdef ss_quote quote
        cdef bint outside = not self.reading
        if not 0 <= symbol_id < self.board.native.max_symbols:
            raise IndexError(f"symbol id {symbol_id} of {self.board.native.max_symbols}")
        if not (ss_side_possible(bid_px, bid_sz) and ss_side_possible(ask_px, ask_sz)):
            return OUTCOMES[SS_IMPOSSIBLE]
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
        outcome = OUTCOMES[self.take(<uint32_t>symbol_id, &quote, ts_engine, ts_sent)]
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
