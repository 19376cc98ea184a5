"""Writing one source of the price store, every value checked. The feeds' own path is
feed/_listener.pyx, which stores through the same headers.
"""

cimport numpy as cnp
from libc.math cimport isfinite, isnan
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from spread_scanner.shm._memory cimport raise_closed
from spread_scanner.shm._store cimport (
    SS_FLAG_ASK_EMPTY,
    SS_FLAG_BID_EMPTY,
    SS_FLAG_STALE,
    SS_READ_NONE,
    Quote,
    StoreView,
    checked_ids,
    ss_bitmap_mark_word,
    ss_quote,
    ss_quote_derive,
    ss_side_possible,
    ss_store,
    ss_store_beat,
    ss_store_begin_epoch,
    ss_store_look,
    ss_store_notify,
    ss_store_own,
    ss_store_publish,
    ss_store_put,
    ss_store_words,
    ss_store_write,
)

from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm.faults import BadInput

cnp.import_array()

cdef object quote_dtype = QUOTE_DTYPE


cdef inline uint32_t side_problem(double px, double sz, uint32_t empty) noexcept nogil:
    """What forbids to store a side; 0 when nothing does. `empty`: its flag stands."""
    if isnan(px):
        return 0 if empty else 1
    if ss_side_possible(px, sz):
        return 0
    return 3 if px > 0 and isfinite(px) else 2


cdef inline uint32_t problem(const ss_quote *quote) noexcept nogil:
    """What forbids to store a quote, as a number for `problem_text`; 0 when nothing does."""
    cdef uint32_t number = side_problem(quote.bid_px, quote.bid_sz,
                                        quote.flags & SS_FLAG_BID_EMPTY)
    if number == 0:
        number = side_problem(quote.ask_px, quote.ask_sz, quote.flags & SS_FLAG_ASK_EMPTY)
        if number:
            number += 3
    return number


cdef str problem_text(uint32_t number):
    side = "bid" if number <= 3 else "ask"
    if number in (1, 4):
        return f"{side}_px is NaN without the {side.upper()}_EMPTY flag"
    if number in (2, 5):
        return f"{side}_px must be finite and above zero"
    return f"{side}_sz must be finite and not negative"


cdef class StoreWriter:
    def __init__(self, StoreView view not None, uint32_t source_id, uint32_t epoch):
        self.view = view
        self.source_id = source_id
        self.epoch = epoch
        self.symbols = view.store.max_symbols
        ss_store_begin_epoch(&view.store, source_id, epoch)

    def write(self, int64_t symbol_id, double bid_px, double bid_sz, double ask_px, double ask_sz,
              int64_t ts_event, int64_t ts_recv, uint64_t update_id, uint32_t flags=0):
        """Publish a quote and wake the readers that are parked.

        Prices per base unit, sizes in base units, times in ns (TS_ABSENT: the exchange gave none).
        A side is absent as NaN with its flag. Raises BadInput, and writes nothing, on an id out of
        range or a price or size that cannot be; bid above ask is kept and flagged CROSSED.
        """
        cdef ss_quote quote
        cdef uint32_t number
        if not 0 <= symbol_id < self.symbols:
            self.check(symbol_id)
        quote.bid_px = bid_px
        quote.bid_sz = bid_sz
        quote.ask_px = ask_px
        quote.ask_sz = ask_sz
        quote.ts_event = ts_event
        quote.ts_recv = ts_recv
        quote.update_id = update_id
        quote.flags = flags
        number = problem(&quote)
        if number:
            raise BadInput(problem_text(number), source_id=self.source_id, symbol_id=symbol_id,
                           bid_px=bid_px, bid_sz=bid_sz, ask_px=ask_px, ask_sz=ask_sz)
        quote.epoch = self.epoch
        ss_quote_derive(&quote)
        ss_store_look(&self.view.store)
        ss_store_write(&self.view.store, self.source_id, <uint32_t>symbol_id, &quote)

    def write_many(self, cnp.ndarray ids not None, cnp.ndarray quotes not None):
        """Publish many quotes: (n,) uint16, (n,) QUOTE_DTYPE. All are checked before any is written.

        Marks and wakes once at the end. The quotes' own epoch is ignored. Raises BadInput that
        names the row; nothing is written then.
        """
        cdef Py_ssize_t count, i
        cdef uint16_t *id_ptr
        cdef ss_quote *quote_ptr
        cdef uint32_t number
        ids = checked_ids(ids)
        count = cnp.PyArray_SIZE(ids)
        if quotes.ndim != 1 or cnp.PyArray_SIZE(quotes) != count:
            raise BadInput("as many quotes as ids, one-dimensional", ids=count,
                           quotes=str((<object>quotes).shape))
        if <object>quotes.descr is not quote_dtype and quotes.dtype != quote_dtype:
            raise BadInput("quotes must be of QUOTE_DTYPE", dtype=str(quotes.dtype))
        if not cnp.PyArray_IS_C_CONTIGUOUS(quotes):
            raise BadInput("quotes must be contiguous")
        id_ptr = <uint16_t *>cnp.PyArray_DATA(ids)
        quote_ptr = <ss_quote *>cnp.PyArray_DATA(quotes)
        for i in range(count):
            if id_ptr[i] >= self.symbols:
                self.check(id_ptr[i])
            number = problem(&quote_ptr[i])
            if number:
                raise BadInput(problem_text(number), row=i, source_id=self.source_id,
                               symbol_id=id_ptr[i])
        with nogil:
            self.put_many(id_ptr, quote_ptr, count)

    cdef void put_many(self, const uint16_t *ids, const ss_quote *quotes,
                       Py_ssize_t count) noexcept nogil:
        """Publish cell by cell; then set the bits of a run of ids in one word at once."""
        cdef ss_store *store = &self.view.store
        cdef ss_quote quote
        cdef uint64_t bits = 0
        cdef uint32_t word = 0, reader
        cdef Py_ssize_t i
        ss_store_look(store)
        for i in range(count):
            if bits and word != ids[i] >> 6:
                for reader in range(store.num_readers):
                    ss_bitmap_mark_word(ss_store_words(store, reader, self.source_id), word, bits)
                bits = 0
            word = ids[i] >> 6
            bits |= <uint64_t>1 << (ids[i] & 63)
            quote = quotes[i]
            quote.epoch = self.epoch
            ss_quote_derive(&quote)
            ss_store_publish(store, self.source_id, ids[i], &quote)
        if bits:
            for reader in range(store.num_readers):
                ss_bitmap_mark_word(ss_store_words(store, reader, self.source_id), word, bits)
            ss_store_notify(store)

    def mark_stale(self, ids=None, uint32_t flag=SS_FLAG_STALE):
        """Set a flag (STALE, SILENT or LAGGING) on the quotes of `ids`, (n,) uint16, or of all.

        Cells never written, or flagged already, are left alone. Returns how many were marked.
        """
        cdef Py_ssize_t count, i, marked = 0
        cdef uint32_t symbol
        cdef uint16_t *id_ptr = NULL
        cdef ss_quote quote
        cdef ss_store *store = &self.view.store
        self.check(0)
        if ids is None:
            count = store.max_symbols
        else:
            ids = checked_ids(ids)
            count = cnp.PyArray_SIZE(ids)
            id_ptr = <uint16_t *>cnp.PyArray_DATA(ids)
            for i in range(count):
                self.view.check(self.source_id, id_ptr[i])
        ss_store_look(store)
        for i in range(count):
            symbol = id_ptr[i] if id_ptr != NULL else <uint32_t>i
            if ss_store_own(store, self.source_id, symbol, &quote) == SS_READ_NONE:
                continue
            if quote.flags & flag:
                continue
            quote.flags |= flag
            ss_store_put(store, self.source_id, symbol, &quote)
            marked += 1
        if marked:
            ss_store_notify(store)
        return marked

    def own(self, int64_t symbol_id):
        """The writer's own last quote of a symbol, or None."""
        cdef Quote quote = Quote.__new__(Quote)
        self.view.check(self.source_id, symbol_id)
        if ss_store_own(&self.view.store, self.source_id, <uint32_t>symbol_id,
                        <ss_quote *>&quote.bid_px) == SS_READ_NONE:
            return None
        return quote

    def shut(self):
        """Refuse all further writes: no symbol is left. So it costs no test of its own per write."""
        self.symbols = 0

    cdef int check(self, int64_t symbol_id) except -1:
        if self.symbols == 0:
            raise_closed("writer")
        return self.view.check(self.source_id, symbol_id)

    def heartbeat(self, int64_t mono_ns):
        """Say that the feed lives, at this monotonic time."""
        self.check(0)
        ss_store_beat(&self.view.store, self.source_id, mono_ns)
