"""Price store: the last quote of every (source, symbol), one writer each, any number of readers.

Writer:  the feed that claimed the source, and only that one.
Readers: anyone attached; they map the store read-only. Readers that want to be told what changed
         (engine, gateway) claim their dirty bitmap; who wants each quote reads tapes (tapes.py).

A SeqLock in the latch form (native/seqlock.h): a reader never waits, not even for a writer that
died half-way. A quote that cannot be stood behind carries a flag (schema.enums.QuoteFlag); a quote
of a feed that has since been replaced reads as STALE by its epoch.

Three segments: "<namespace>.store", "<namespace>.dirty" and "<namespace>.tapes", made together by
`create`, taken away by `remove`.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from spread_scanner.clock import SessionClock
from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import DIRTY_READERS
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm import _bitmap, segment, tapes
from spread_scanner.shm._store import Quote, StoreView
from spread_scanner.shm._writer import StoreWriter
from spread_scanner.shm.faults import Retired, WrongSegment
from spread_scanner.shm.layout import (
    MAX_SYMBOLS_MAX,
    NUM_SOURCES_MAX,
    Kind,
    StoreLayout,
    TapesLayout,
)
from spread_scanner.shm.segment import Holder, Segment

__all__ = ["DirtyBitmap", "KeptQuotes", "PriceStore", "Quote", "Writer"]


_EPOCH_OF_KEPT = 1  # that of the first writer is later: to it they are a predecessor's


class KeptQuotes(NamedTuple):
    """Quotes of one source that a new store begins with; their `ts_recv` is monotonic time."""

    source_id: int
    ids: npt.NDArray[np.uint16]
    quotes: np.ndarray  # QUOTE_DTYPE


class Writer(StoreWriter, Holder):
    """The one writer of one source; made by PriceStore.writer. `close` gives the place back."""

    def __init__(
        self, view: StoreView, store: Segment, others: list[Segment], source_id: int
    ) -> None:
        # A new epoch makes all quotes of the previous writer stale at once.
        super().__init__(view, source_id, view.epoch(source_id) + 1)
        self._held = store
        self._others = others

    def close(self) -> None:
        """Give back the source; what is written afterwards is refused."""
        super().close()
        for other in self._others:
            other.close()


class DirtyBitmap(_bitmap.DirtyBitmap, Holder):
    """One reader's dirty bits; made by PriceStore.dirty. `close` gives the place back."""

    def __init__(self, view: StoreView, dirty: Segment, reader: int) -> None:
        super().__init__(view, reader)
        self._held = dirty


class PriceStore(StoreView, Holder):
    """Read access to the store; made by `create` or `attach`. See StoreView for the reads."""

    def __init__(self, namespace: str, store: Segment) -> None:
        self.layout = _layout_of(store)
        super().__init__(store.memory, self.layout)
        self.namespace = namespace
        self._held = store
        self.clock = SessionClock(store.anchor_ns)

    @classmethod
    def create(
        cls,
        namespace: str,
        *,
        num_sources: int = 8,
        max_symbols: int = 1024,
        tape_slots: int = tapes.TAPE_SLOTS,
        kept: Sequence[KeptQuotes] = (),
    ) -> Self:
        """Make a new store, empty but for `kept`. One that stands under the namespace is retired,
        never reused.

        Raises BadNamespace, NoSpace, SegmentError on sizes out of range, or BadInput on quotes that
        cannot be.
        """
        _check_size("num_sources", num_sources, NUM_SOURCES_MAX)
        _check_size("max_symbols", max_symbols, MAX_SYMBOLS_MAX)
        tapes.check_slots(tape_slots)
        layout = StoreLayout(num_sources, max_symbols)
        sizes = [num_sources, max_symbols, layout.num_readers]
        dirty_name = segment.segment_name(namespace, "dirty")

        def make_others(store: Segment) -> None:
            # Before the store is READY, so that nobody ever attaches to the one without the others.
            params = [*sizes, store.instance_id]
            segment.create(dirty_name, Kind.DIRTY, layout.dirty_bytes, params).close()
            tapes.create(namespace, num_sources, tape_slots, store.instance_id)
            view = StoreView(store.memory, layout)
            for source_id, ids, quotes in kept:
                quotes = quotes.copy()
                quotes["ts_recv"] += store.anchor_ns
                StoreWriter(view, source_id, _EPOCH_OF_KEPT).write_many(ids, quotes)

        store_name = segment.segment_name(namespace, "store")
        try:
            store = segment.create(
                store_name, Kind.STORE, layout.store_bytes, sizes, fill=make_others
            )
        except BaseException:
            # The old store is retired: its bitmaps and tapes serve nobody.
            segment.remove(dirty_name)
            segment.remove(segment.segment_name(namespace, tapes.PART))
            raise
        return cls(namespace, store)

    @staticmethod
    def remove(namespace: str) -> None:
        """Take the store of a namespace away, with bitmaps and tapes; who still maps it sees
        Retired. Nothing if there is none. Raises BadNamespace."""
        for part in ("store", "dirty", tapes.PART):
            segment.remove(segment.segment_name(namespace, part))

    @classmethod
    def attach(cls, namespace: str, *, timeout_s: float = segment.ATTACH_TIMEOUT_S) -> Self:
        """Map the store of a namespace read-only, waiting a while for a creator to finish.

        Raises NoSegment, NotReady, Retired or WrongSegment, each saying what to do.
        """
        name = segment.segment_name(namespace, "store")
        return cls(
            namespace,
            segment.attach(name, Kind.STORE, timeout_s=timeout_s, expect_bytes=_store_bytes),
        )

    def writer(self, source_id: int) -> Writer:
        """Claim a source for writing: AlreadyClaimed when another live process has it."""
        if not 0 <= source_id < self.num_sources:
            raise SegmentError(
                "no such source", source_id=source_id, allowed=f"0 to {self.num_sources - 1}"
            )
        store = self._again("store", Kind.STORE, _store_bytes)
        with segment.closed_on_failure(store):
            store.claim(source_id, f"source {source_id}")
            dirty = self._dirty_segment()
            with segment.closed_on_failure(dirty):
                tape = self._tapes_segment()
                view = _view(store, dirty, self.layout)
                view.map_tape(tape.memory, TapesLayout(*tape.params[:2]).tape(source_id))
                return Writer(view, store, [dirty, tape], source_id)

    def dirty(self, reader: str) -> DirtyBitmap:
        """Claim a reader's dirty bitmap. Everything written so far is marked, so that the reader
        starts from what is there. Raises AlreadyClaimed, or SegmentError on an unknown reader.
        """
        if reader not in DIRTY_READERS:
            raise SegmentError("no such reader", reader=reader, allowed=", ".join(DIRTY_READERS))
        number = DIRTY_READERS.index(reader)
        dirty = self._dirty_segment()
        with segment.closed_on_failure(dirty):
            dirty.claim(number, f"dirty reader {reader!r}")
        bitmap = DirtyBitmap(_view(self._held, dirty, self.layout), dirty, number)
        for source_id in range(self.num_sources):
            bitmap.mark_all(source_id)
        return bitmap

    @property
    def cells(self) -> np.ndarray:
        """Both cells of every symbol, (num_sources, max_symbols, 2) QUOTE_DTYPE, read-only, live.

        For people: a row may change while it is looked at. The published one is `sequences & 1`.
        """
        return self._held.array(
            QUOTE_DTYPE, self.layout.cells_at, (self.num_sources, self.max_symbols, 2)
        )

    @property
    def sequences(self) -> np.ndarray:
        """How often each symbol was written, (num_sources, max_symbols) uint64, read-only, live."""
        entries = self._held.array(
            np.dtype("<u8"), self.layout.sequences_at, (self.num_sources, self.max_symbols, 8)
        )
        return entries[:, :, 0]

    @property
    def instance_id(self) -> int:
        return self._held.instance_id

    def _again(self, part: str, kind: Kind, expect_bytes: segment.SizeRule) -> Segment:
        """The same segment once more, writable and with an open file of its own for its claims."""
        name = segment.segment_name(self.namespace, part)
        again = segment.attach(name, kind, writable=True, expect_bytes=expect_bytes)
        if kind is Kind.STORE and again.instance_id != self.instance_id:
            again.close()
            raise Retired("the segment was replaced by a newer instance", segment=name)
        return again

    def _dirty_segment(self) -> Segment:
        dirty = self._again("dirty", Kind.DIRTY, _dirty_bytes)
        if dirty.params[3] != self.instance_id:
            dirty.close()
            raise Retired("the dirty bitmaps belong to another store", segment=dirty.name)
        return dirty

    def _tapes_segment(self) -> Segment:
        held = tapes.attached(self.namespace, writable=True)
        if held.params[2] != self.instance_id:
            held.close()
            raise Retired("the tapes belong to another store", segment=held.name)
        return held


def _view(store: Segment, dirty: Segment, layout: StoreLayout) -> StoreView:
    view = StoreView(store.memory, layout)
    view.map_dirty(dirty.memory, layout)
    return view


def _layout_of(store: Segment) -> StoreLayout:
    num_sources, max_symbols, num_readers = store.params[:3]
    return StoreLayout(num_sources, max_symbols, num_readers)


def _store_bytes(params: list[int]) -> int:
    return _checked_layout(params).store_bytes


def _dirty_bytes(params: list[int]) -> int:
    return _checked_layout(params).dirty_bytes


def _checked_layout(params: list[int]) -> StoreLayout:
    num_sources, max_symbols, num_readers = params[:3]
    known = num_readers == len(DIRTY_READERS)
    if not (known and num_sources <= NUM_SOURCES_MAX and max_symbols <= MAX_SYMBOLS_MAX):
        raise WrongSegment("the segment's sizes are out of range", params=params)
    return StoreLayout(num_sources, max_symbols, num_readers)


def _check_size(name: str, value: int, largest: int) -> None:
    if not 1 <= value <= largest:
        raise SegmentError(f"{name} is out of range", value=value, allowed=f"1 to {largest}")
