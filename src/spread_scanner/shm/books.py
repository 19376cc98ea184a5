"""Order books: the first levels of the symbols that somebody wants, a slot each.

Writer:  the feed that claimed the source: it hands its slots out, and publishes what stands.
Readers: anyone; they map it read-only. Whether a book can be stood behind its flags say
         (schema.books), and the source's heartbeat, as of quotes. Who records claims a source's
         tape, on which is each level that changed (native/level_tape.h, tapes.py).

A slot is a latch (native/seqlock.h): a feed that dies at any store leaves the book old or new. A
slot is handed on: a record names its symbol, and who reads another's knows. A feed that starts has
all its slots free; nothing of its predecessor is found any more.

Segment: "<namespace>.books".
"""

from collections import deque
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from spread_scanner.errors import SegmentError
from spread_scanner.schema.books import BOOK_DTYPE, BookFlag, BookLevels
from spread_scanner.schema.log import BOOK_DELTA_DTYPE
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm import segment
from spread_scanner.shm._latches import LatchTable
from spread_scanner.shm._level_tape import LevelTape
from spread_scanner.shm.faults import BadInput, Retired, WrongSegment
from spread_scanner.shm.layout import (
    BOOKS_MAX,
    MAX_SYMBOLS_MAX,
    NUM_SOURCES_MAX,
    BooksLayout,
    Kind,
    sizes_fit,
    symbol_place,
)
from spread_scanner.shm.segment import Holder, Segment
from spread_scanner.shm.tapes import (
    TAPE_SLOTS,
    TapeCounters,
    TapeReader,
    check_slots,
    counters_of,
    slots_fit,
)

_PART = "books"
# A slot may be handed on between a look at its place and one at the book; to the same symbol
# again only once.
_LOOKS = 3


class BookReading(NamedTuple):
    """One book as it was read: (levels, 2) of prices and sizes, the best first."""

    bids: BookLevels
    asks: BookLevels
    flags: BookFlag
    record: np.void  # BOOK_DTYPE


class BooksWriter(Holder):
    """The books of one source, claimed; made by BookStore.writer. `close` gives the place back."""

    def __init__(self, held: Segment, layout: BooksLayout, source_id: int) -> None:
        self._held = held
        self.source_id = source_id
        self.first = source_id * layout.slots  # slot 0's place in the table
        self.table = _table(held, layout)  # for who publishes natively: place first + slot
        self.tape = LevelTape(held.memory, layout.tape(source_id))  # and tells what changed
        self._places_at = layout.places_at + 8 * source_id * layout.max_symbols
        self._free = deque(range(layout.slots))
        self.taken: dict[int, int] = {}  # symbol id -> slot
        self.slots = layout.slots
        self._symbols = layout.max_symbols
        for symbol_id in range(layout.max_symbols):
            self._point(symbol_id, 0)

    def take(self, symbol_id: int) -> int:
        """The slot of a symbol, handed out now if it has none; -1: all are taken.

        Until something is published the book is empty and STALE.
        """
        slot = self.taken.get(symbol_id)
        if slot is not None:
            return slot
        if not 0 <= symbol_id < self._symbols:
            raise BadInput(
                "no such symbol id", symbol_id=symbol_id, allowed=f"0 to {self._symbols - 1}"
            )
        if not self._free:
            return -1
        slot = self._free.popleft()
        # Before anybody is led there: the slot may hold what this very symbol had an hour ago.
        self._write(slot, _nothing(self.source_id, symbol_id))
        self.taken[symbol_id] = slot
        self._point(symbol_id, slot + 1)
        return slot

    def release(self, symbol_id: int) -> None:
        """Give a symbol's slot back, if it has one; it is the last one to be handed out again."""
        slot = self.taken.pop(symbol_id, None)
        if slot is not None:
            self._point(symbol_id, 0)
            self._free.append(slot)

    def publish(self, record: np.ndarray) -> None:
        """Publish (1,) BOOK_DTYPE of a symbol that has a slot. Raises BadInput otherwise."""
        symbol_id, source_id = int(record["symbol_id"][0]), int(record["source_id"][0])
        slot = self.taken.get(symbol_id)
        if slot is None or source_id != self.source_id:
            raise BadInput("no slot was taken", symbol_id=symbol_id, source_id=source_id)
        self._write(slot, record)

    def mark(self, symbol_id: int, flags: BookFlag) -> None:
        """Set flags on the book that stands, if the symbol has a slot."""
        slot = self.taken.get(symbol_id)
        if slot is None:
            return
        records, _ = self.table.read(np.array([self.first + slot], np.int64))
        if int(records["flags"][0]) & int(flags) != int(flags):
            records["flags"] |= int(flags)
            self._write(slot, records)

    def mark_all(self, flags: BookFlag) -> None:
        """Set flags on all books that stand."""
        for symbol_id in self.taken:
            self.mark(symbol_id, flags)

    def shut(self) -> None:
        self.table.shut()

    def _write(self, slot: int, record: np.ndarray) -> None:
        self.table.write(np.array([self.first + slot], np.int64), record)

    def _point(self, symbol_id: int, value: int) -> None:
        self._held.words.store(self._places_at + 8 * symbol_id, value)


class BookStore(Holder):
    """All books, for reading; made by `create` or `attach`."""

    def __init__(self, namespace: str, held: Segment) -> None:
        self.namespace = namespace
        self.layout = BooksLayout(*held.params[:4])
        self._held = held
        self.table = _table(held, self.layout)  # for who reads natively (native/books.h)
        shape = (self.layout.num_sources, self.layout.max_symbols)
        self._places = held.array(np.dtype("<u8"), self.layout.places_at, shape)
        self._slots = self.layout.slots
        self.clock = held.clock

    @classmethod
    def create(
        cls,
        namespace: str,
        *,
        num_sources: int = 8,
        max_symbols: int = 1024,
        slots: int = 64,
        tape_slots: int = TAPE_SLOTS,
    ) -> Self:
        """Make new, free slots, so many a source; what stands under the namespace is retired."""
        check_slots(tape_slots)
        if not (sizes_fit(num_sources, max_symbols) and 0 <= slots <= BOOKS_MAX):
            raise SegmentError(
                "num_sources, max_symbols or slots is out of range",
                num_sources=num_sources,
                max_symbols=max_symbols,
                slots=slots,
                allowed=f"1 to {NUM_SOURCES_MAX}, 1 to {MAX_SYMBOLS_MAX} and 0 to {BOOKS_MAX}",
            )
        name = segment.segment_name(namespace, _PART)
        size = BooksLayout(num_sources, max_symbols, slots, tape_slots).books_bytes
        params = [num_sources, max_symbols, slots, tape_slots]
        return cls(namespace, segment.create(name, Kind.BOOKS, size, params))

    @classmethod
    def attach(cls, namespace: str, *, timeout_s: float = segment.ATTACH_TIMEOUT_S) -> Self:
        """Map the books of a namespace read-only."""
        return cls(namespace, _attach(namespace, writable=False, timeout_s=timeout_s))

    def writer(self, source_id: int) -> BooksWriter:
        """Claim a source's slots, all of them free: AlreadyClaimed when a live process has them."""
        self._check(source_id, 0)
        held = _attach(self.namespace, writable=True, timeout_s=segment.ATTACH_TIMEOUT_S)
        with segment.closed_on_failure(held):
            held.claim(source_id, f"the books of source {source_id}")
            return BooksWriter(held, self.layout, source_id)

    def tape_reader(self, source_id: int) -> TapeReader:
        """Claim a source's tape: AlreadyClaimed when another live process has it, Retired when
        newer segments have taken the name."""
        self._check(source_id, 0)
        held = _attach(self.namespace, writable=True, timeout_s=segment.ATTACH_TIMEOUT_S)
        with segment.closed_on_failure(held):
            if held.instance_id != self._held.instance_id:
                raise Retired("the books were replaced by newer ones", segment=held.name)
            held.claim(NUM_SOURCES_MAX + source_id, f"the tape of the books of source {source_id}")
            return TapeReader(held, self.layout.tape(source_id), BOOK_DELTA_DTYPE)

    def tape_counters(self, source_id: int) -> TapeCounters:
        """Totals of a tape since it was made; exact while nobody moves."""
        return counters_of(self._held, self.layout.tape(source_id))

    def read(self, source_id: int, symbol_id: int) -> BookReading | None:
        """The book of a symbol; None while it has no slot. Never waits: after 64 tries that each
        met a write it is None as well, and `contended` counts. Raises BadInput on an id out of
        range.
        """
        self._check(source_id, symbol_id)
        for _ in range(_LOOKS):
            place = int(self._places[source_id, symbol_id])
            if not 0 < place <= self._slots:
                return None
            number = np.array([source_id * self._slots + place - 1], np.int64)
            records, written = self.table.read(number)
            if not written[0]:
                return None
            if records[0]["symbol_id"] == symbol_id:
                return _reading(records[0])
        return None

    def records(
        self, source_id: int, symbol_ids: npt.ArrayLike
    ) -> tuple[np.ndarray, npt.NDArray[np.bool_]]:
        """Of many symbols: (n,) BOOK_DTYPE, each whole in itself, and (n,) bool which have one.
        Raises BadInput on an id out of range.
        """
        ids = np.asarray(symbol_ids, np.int64)
        for symbol_id in (ids.min(initial=0), ids.max(initial=0)):
            self._check(source_id, int(symbol_id))
        places = self._places[source_id, ids].astype(np.int64)
        has = (places > 0) & (places <= self._slots)
        at = np.flatnonzero(has)  # few of many are followed
        records = np.zeros(len(ids), BOOK_DTYPE)
        if len(at):
            records[at], written = self.table.read(source_id * self._slots + places[at] - 1)
            has[at] = written & (records["symbol_id"][at] == ids[at])
        return records, has

    def sources(self) -> list[int]:
        """The sources of which any symbol has a slot now, by id."""
        sources: list[int] = np.flatnonzero(self._places.any(axis=1)).tolist()
        return sources

    def symbols(self, source_id: int) -> list[int]:
        """The symbols that have a slot now, by id."""
        self._check(source_id, 0)
        return [int(symbol_id) for symbol_id in np.flatnonzero(self._places[source_id])]

    @property
    def contended(self) -> int:
        """Reads that gave up."""
        return self.table.contended

    def _check(self, source_id: int, symbol_id: int) -> None:
        symbol_place((self.layout.num_sources, self.layout.max_symbols), source_id, symbol_id)


def _reading(record: np.void) -> BookReading:
    return BookReading(
        record["bids"][: record["bid_count"]],
        record["asks"][: record["ask_count"]],
        BookFlag(int(record["flags"])),
        record,
    )


def _nothing(source_id: int, symbol_id: int) -> np.ndarray:
    """What stands for a book of which nothing came yet."""
    record = np.zeros(1, BOOK_DTYPE)
    record["source_id"], record["symbol_id"] = source_id, symbol_id
    record["ts_event"] = record["ts_recv"] = TS_ABSENT
    record["bids"] = record["asks"] = np.nan
    record["flags"] = int(
        BookFlag.STALE | BookFlag.BID_EMPTY | BookFlag.ASK_EMPTY | BookFlag.NO_TS_EVENT
    )
    return record


def _table(held: Segment, layout: BooksLayout) -> LatchTable:
    return LatchTable(held.memory, layout.sequences_at, layout.cells_at, layout.books, BOOK_DTYPE)


def _attach(namespace: str, *, writable: bool, timeout_s: float) -> Segment:
    return segment.attach(
        segment.segment_name(namespace, _PART),
        Kind.BOOKS,
        writable=writable,
        timeout_s=timeout_s,
        expect_bytes=_books_bytes,
    )


def _books_bytes(params: list[int]) -> int:
    num_sources, max_symbols, slots, tape_slots = params[:4]
    fits = sizes_fit(num_sources, max_symbols) and slots <= BOOKS_MAX and slots_fit(tape_slots)
    if not fits:
        raise WrongSegment("the segment's sizes are out of range", params=params)
    return BooksLayout(num_sources, max_symbols, slots, tape_slots).books_bytes
