"""A recorder over the segments of a small system, whose turns are taken when told to."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from spread_scanner.books._order_book import FollowedBook
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.recorder.recording import Recording
from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema.books import BOOK_DTYPE
from spread_scanner.schema.log import GapOf, RecordKind, TakenFor
from spread_scanner.schema.names import RECORDER, SIGNALS, WAL_FOLDER
from spread_scanner.shm import Control, Health, PriceStore, SignalRing
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.tapes import Tapes
from spread_scanner.wal import reader
from spread_scanner.wal.reader import Piece


class Recorded:
    """A recorder whose turns are taken when told to."""

    def __init__(self, bed: Any, clock: VirtualClock, stack: contextlib.ExitStack) -> None:
        self.bed, self.clock = bed, clock
        self.folder: Path = bed.settings.data_dir / WAL_FOLDER
        enter = stack.enter_context
        self.store = enter(PriceStore.attach(bed.namespace))
        self.writers = [enter(self.store.writer(source)) for source in range(8)]
        self.shelf = enter(enter(BookStore.attach(bed.namespace)).writer(2))
        self.told: dict[int, np.ndarray] = {}
        self.ring = enter(enter(SignalRing.attach(bed.namespace, SIGNALS)).producer())
        self.health = enter(Health.attach(bed.namespace))
        control = enter(Control.attach(bed.namespace))
        self.operator = enter(control.operator())
        log = logs.set_up(RECORDER, "error")
        row, slot = enter(self.health.claim(RECORDER)), enter(control.claim(RECORDER))
        self.process = Process(RECORDER, bed.settings, log, row, slot)
        self.recording = Recording(self.process)
        stack.callback(lambda: self.recording.close())

    def begin(self) -> None:
        """Another life."""
        self.recording = Recording(self.process)

    def quote(self, source_id: int = 0, symbol_id: int = 1, update_id: int = 0) -> None:
        now_ns = self.store.clock.now_ns()
        self.writers[source_id].write(symbol_id, 1.0, 1.0, 2.0, 1.0, 0, now_ns, update_id)

    def book(self, symbol_id: int, bid_px: float, ask_px: float) -> None:
        """A book of source 2."""
        self.shelf.take(symbol_id)
        book = FollowedBook()
        book.snapshot(np.array([[bid_px, 1.0]]), np.array([[ask_px, 2.0]]))
        now_ns = self.store.clock.now_ns()
        record = book.record(symbol_id=symbol_id, source_id=2, update_id=1, ts_recv=now_ns)
        self.shelf.publish(record)
        self.shelf.tape.tell(self.told.get(symbol_id, np.zeros(1, BOOK_DTYPE)), record)
        self.told[symbol_id] = record

    def books(self) -> list[tuple[int, str, float]]:
        """Symbol, why, and best bid of each that was written."""
        found = [one for piece in self.pieces(RecordKind.BOOK_SNAPSHOT) for one in piece.array()]
        return [
            (
                int(one["book"]["symbol_id"]),
                TakenFor(one["why"]).name,
                float(one["book"]["bids"][0, 0]),
            )
            for one in found
        ]

    def levels(self) -> list[tuple[int, int, str, float, float]]:
        """Number, symbol, side, price and size of each level that was written as changed."""
        found = [one for piece in self.pieces(RecordKind.BOOK_DELTA) for one in piece.array()]
        return [
            (int(one["number"]), int(one["symbol_id"]), ("bid", "ask")[one["side"]],
             float(one["px"]), float(one["sz"]))
            for one in found
        ]  # fmt: skip

    def turns(self, count: int = 1) -> None:
        for _ in range(count):
            self.clock.advance_ms(20)
            self.process.poll()
            self.recording.turn()

    def into_a_second(self) -> None:
        """As it has begun on the session clock, whose anchor is this machine's: what is due each
        second is done, and not again for most of one."""
        self.clock.advance_ns(NS_PER_S - self.store.clock.now_ns() % NS_PER_S)
        self.turns(6)

    def pieces(self, *kinds: RecordKind) -> list[Piece]:
        self.recording.log.sync()
        return [piece for piece in reader.pieces(self.folder) if piece.kind in kinds]

    def ticks(self, source_id: int = 0) -> list[int]:
        found = [piece.array() for piece in self.pieces(RecordKind.TICK)]
        return [
            int(tick["number"])
            for ticks in found
            for tick in ticks
            if tick["source_id"] == source_id
        ]

    def gaps(self, source_id: int = 0) -> list[tuple[int, int]]:
        found = [gap for piece in self.pieces(RecordKind.GAP) for gap in piece.array()]
        return [
            (int(gap["first"]), int(gap["next"]))
            for gap in found
            if gap["what"] == GapOf.TICKS and gap["source_id"] == source_id
        ]

    def store_given(self, source_id: int) -> int:
        """How many tick numbers a source has given so far."""
        with Tapes.attach(self.bed.namespace) as tapes:
            return tapes.counters(source_id).given

    def counter(self, label: str) -> int:
        seen = self.health.read(RECORDER)
        assert seen is not None
        return int(seen.counters[label])


def recorded_of(folder: Path, source_id: int) -> int:
    """How many ticks of a source are in the log once, in order, or in a Gap."""
    seen = 0
    for piece in reader.pieces(folder):
        if piece.kind is RecordKind.GAP:
            for gap in piece.array():
                if gap["what"] == GapOf.TICKS and gap["source_id"] == source_id:
                    assert gap["first"] == seen
                    seen = int(gap["next"])
        elif piece.kind is RecordKind.TICK:
            ticks = piece.array()
            numbers = ticks["number"][ticks["source_id"] == source_id]
            assert np.array_equal(numbers, np.arange(seen, seen + len(numbers))), "once, in order"
            seen += len(numbers)
    return seen
