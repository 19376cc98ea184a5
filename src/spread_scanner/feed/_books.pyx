# cython: language_level=3
"""From a frame to the book that others see, natively: what the compiled listener asks of a source's
books, and how both tiers show one.

Writer: one feed process. Native is what is usual: an update that follows on a book that stands, on
its own connection, or the next of a channel's snapshots. Gaps, beginnings, checksums and what
another connection says are the typed tier's (followed.py).
"""

from libc.stddef cimport size_t
from libc.stdint cimport INT64_MIN, int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

import numpy

from spread_scanner.schema.counters import FEED_COUNTERS

from spread_scanner.books._order_book cimport (
    SS_ASKS,
    SS_BIDS,
    SS_BOOK_CROSSED,
    SS_BOOK_DEPLETED,
    SS_BOOK_NO_TS_EVENT,
    SS_BOOK_PARTIAL,
    SS_BOOK_RESYNCING,
    SS_BOOK_STALE,
    SS_BOOK_TOP_DISAGREES,
    SS_LEVELS_SHOWN,
    FollowedBook,
    ss_book_whole,
    ss_book_record,
    ss_level,
    ss_order_book,
    ss_order_book_begin,
    ss_order_book_end,
    ss_order_book_put,
    ss_order_book_show,
)
from spread_scanner.exchanges._depth cimport (
    DepthDecoder,
    ss_depth_decode,
    ss_depth_follows,
    ss_depth_match,
)
from spread_scanner.exchanges._match cimport SS_MATCHED
from spread_scanner.shm._latches cimport LatchTable
from spread_scanner.shm._level_tape cimport LevelTape, ss_level_tape_tell, ss_tape_look
from spread_scanner.shm._rows cimport Row, ss_count_add

AS_BEFORE = INT64_MIN  # nothing arrived: what is said of the levels has changed
cdef int64_t as_before = AS_BEFORE
cdef int BOOK_CHANGES = {one.label: one.counter_id for one in FEED_COUNTERS}["book_changes"]


cdef class KeptBook:
    """What is known of one book, whichever tier it came by; times are ns. `window`: how many levels
    of a side its exchange tells of, and keeps filled; 0: of all."""

    def __cinit__(self, *_):
        self.book = FollowedBook()
        self.stale = True
        self.ts_event = self.recv_ns = INT64_MIN

    @property
    def top(self):
        """Both bests as they were shown last, prices and sizes, NaN where there is none; () before.
        """
        if not self.shown:
            return ()
        return (self.best[SS_BIDS].px, self.best[SS_BIDS].sz,
                self.best[SS_ASKS].px, self.best[SS_ASKS].sz)

    @property
    def flags(self):
        """What is to be said of it beside what follows from its levels."""
        return self.marks()

    cdef uint32_t marks(self) noexcept nogil:
        return ((SS_BOOK_PARTIAL if self.beyond else 0) | (SS_BOOK_STALE if self.stale or self.late else 0)
                | (0 if self.stands else SS_BOOK_RESYNCING)
                | (SS_BOOK_TOP_DISAGREES if self.disagrees else 0))


cdef class BookBoard:
    """The books of a source, by symbol id, and where they are shown: the first slot's place in a
    table, the tape on which stands what changed, and the row that counts what was taken. `quotes`
    know how late the source may be: what is later is not what stands. `odd` is called with a book
    that became crossed, or is so no longer, or is depleted, and its flags."""

    def __init__(self, LatchTable table not None, LevelTape tape not None, Row row not None, *,
                 int source_id, uint32_t epoch, int symbols, odd, Board quotes=None):
        self.table, self.tape, self.row, self.odd = table, tape, row, odd
        self.quotes = quotes
        self.source_id, self.epoch = source_id, epoch
        self.kept = [None] * symbols
        self.places = numpy.zeros(symbols, numpy.uint64)

    def use(self, DepthDecoder decoder):
        """Match with these tables from the next frame on; None: with none."""
        self.decoder = decoder

    def keep(self, uint32_t symbol_id, KeptBook kept not None, uint64_t place):
        """A book that has this place in the table from now on."""
        self.kept[symbol_id] = kept
        self.places[symbol_id] = place

    def drop(self, uint32_t symbol_id):
        """Its place may be another's."""
        self.kept[symbol_id] = None

    def publish(self, uint32_t symbol_id, int64_t recv_ns=AS_BEFORE):
        """Show a book, as what arrived then left it; its flags."""
        return self.show(self.kept[symbol_id], symbol_id, recv_ns)

    def message(self, bytes frame not None, uint32_t number, int64_t recv_ns, bint behind=False):
        """What the listener of the connection of that number asks: whether it was taken."""
        return self.take(frame, len(frame), number, recv_ns, behind) >= 0

    def late(self, int64_t ts_event, int64_t recv_ns, bint behind):
        """Whether what arrived then is too old to be what stands: by the exchange's time, as quotes
        are; where it gives none, if its connection is `behind`."""
        return self.is_late(ts_event, recv_ns, behind)

    cdef bint is_late(self, int64_t ts_event, int64_t recv_ns, bint behind) noexcept nogil:
        cdef int64_t lag_ns = recv_ns - ts_event
        if ts_event == INT64_MIN:
            return behind
        if self.quotes is None:
            return False
        return (lag_ns - self.quotes.native.best.now_ns > self.quotes.lag_ns_max
                or lag_ns > self.quotes.clock_off_ns_max)

    cdef bint is_ahead(self, int64_t recv_ns, int64_t ts) noexcept nogil:
        """Whether a time lies further ahead of what arrived then than clocks are apart."""
        return self.quotes is not None and ts > recv_ns + self.quotes.clock_off_ns_max

    cdef int64_t take(self, const char *frame, size_t size, uint32_t number, int64_t recv_ns,
                      bint behind) except -2:
        """Take a message in, whole or not at all: its symbol; -1: the typed tier has to look."""
        cdef const ss_depth_match *found = &self.found
        cdef KeptBook kept
        cdef uint32_t symbol_id, flags
        if self.decoder is None or ss_depth_decode(
                self.decoder.decoder, frame, size, &self.found) != SS_MATCHED:
            return -1
        if self.is_ahead(recv_ns, found.head.ts_event) or self.is_ahead(recv_ns, found.head.ts_sent):
            return -1
        symbol_id = found.head.symbol_id
        if symbol_id >= <uint32_t>len(self.kept) or self.kept[symbol_id] is None:
            return -1
        kept = <KeptBook>self.kept[symbol_id]
        if not kept.stands or kept.owner != number or kept.summed:
            return -1
        if self.decoder.window:
            ss_order_book_begin(&kept.book.book)
            put_all(&kept.book.book, found)
            ss_order_book_end(&kept.book.book, 0)
            kept.beyond = max(found.count[SS_BIDS], found.count[SS_ASKS]) >= self.decoder.window
        elif ss_depth_follows(kept.known_id, found.after_id, <int64_t>found.head.update_id):
            put_all(&kept.book.book, found)
        else:
            return -1
        kept.known_id, kept.ts_event = <int64_t>found.head.update_id, found.head.ts_event
        kept.stale, kept.late = False, self.is_late(kept.ts_event, recv_ns, behind)
        if self.row.counter_count:
            ss_count_add(&self.row.counters[BOOK_CHANGES], 1)
        flags = self.show(kept, symbol_id, recv_ns)
        if flags & SS_BOOK_DEPLETED or kept.crossed != ((flags & SS_BOOK_CROSSED) != 0):
            self.odd(kept, flags)
        return symbol_id

    cdef uint32_t show(self, KeptBook kept, uint32_t symbol_id, int64_t recv_ns) noexcept nogil:
        """Fill its record, and publish it unless the table is shut."""
        cdef ss_book_record record
        cdef ss_level best[2]
        cdef int side
        memset(&record, 0, 64)  # what is before the levels, which are filled whole
        record.symbol_id, record.source_id, record.epoch = symbol_id, self.source_id, self.epoch
        record.update_id = <uint64_t>max(kept.known_id, <int64_t>0)
        record.ts_event = kept.ts_event
        record.flags = kept.marks()
        if record.ts_event == INT64_MIN:
            record.flags |= SS_BOOK_NO_TS_EVENT
        ss_order_book_show(&kept.book.book, SS_LEVELS_SHOWN, &record)
        if kept.window:
            for side in range(2):  # beyond a window that is full there may be more
                if kept.book.book.side[side].count >= kept.window:
                    record.flags &= ~ss_book_whole(side)
        if recv_ns != as_before:
            kept.recv_ns = recv_ns
            best[SS_BIDS], best[SS_ASKS] = record.level[SS_BIDS][0], record.level[SS_ASKS][0]
            if not kept.shown or memcmp(best, kept.best, sizeof(best)) != 0:
                memcpy(kept.best, best, sizeof(best))
                kept.shown, kept.top_since_ns = True, recv_ns
        record.ts_recv, record.top_since_ns = kept.recv_ns, kept.top_since_ns
        self.table.publish(self.places[symbol_id], &record)
        ss_tape_look(&self.tape.tape)
        if self.tape.tape.on:
            ss_level_tape_tell(&self.tape.tape, &kept.told, &record)
            kept.told = record
        return record.flags


cdef inline void put_all(ss_order_book *book, const ss_depth_match *found) noexcept nogil:
    cdef int side
    cdef int64_t at
    for side in range(2):
        for at in range(found.count[side]):
            ss_order_book_put(book, side, found.level[side][at].px, found.level[side][at].sz)
