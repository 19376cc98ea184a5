"""Funding: what every futures source told last of each symbol, one latch cell each.

Writer:  pair-discovery, which claims the table while it writes: a full run and `--funding` alike.
Readers: engine, tracker and screens; they map it read-only. Whether a rate may be used is
         schema.funding's to say: a cell holds what was told, and when.

A writer that dies at any store leaves each cell old or new (native/seqlock.h). Nothing is taken
back: what is not told again grows old by its own clock.

Segment: "<namespace>.funding".
"""

from typing import Self

import numpy as np
import numpy.typing as npt

from spread_scanner.errors import SegmentError
from spread_scanner.schema.funding import FundingNow
from spread_scanner.schema.records import FUNDING_DTYPE
from spread_scanner.shm import segment
from spread_scanner.shm._latches import LatchTable
from spread_scanner.shm.faults import WrongSegment
from spread_scanner.shm.layout import (
    MAX_SYMBOLS_MAX,
    NUM_SOURCES_MAX,
    FundingLayout,
    Kind,
    sizes_fit,
    symbol_place,
)
from spread_scanner.shm.segment import Holder, Segment

_WRITER = 0
_PART = "funding"


class _Cells:
    """Where the cell of a symbol is."""

    layout: FundingLayout

    def _place(self, source_id: int, symbol_id: int) -> npt.NDArray[np.int64]:
        sizes = self.layout.num_sources, self.layout.max_symbols
        return np.array([symbol_place(sizes, source_id, symbol_id)], np.int64)


class FundingWriter(_Cells, Holder):
    """The right to write; made by FundingTable.writer. `close` gives the place back."""

    def __init__(self, held: Segment, layout: FundingLayout) -> None:
        self.layout = layout
        self._held = held
        self._cells = _table(held, layout)

    def write(self, source_id: int, symbol_id: int, row: FundingNow) -> None:
        """Publish one row. Raises BadInput on an id out of range, ValueError once closed."""
        stamped = row._replace(asked_wall_ns=self._held.clock.stamp(row.asked_wall_ns))
        record = np.array([tuple(stamped)], FUNDING_DTYPE)
        self._cells.write(self._place(source_id, symbol_id), record)

    def shut(self) -> None:
        self._cells.shut()


class FundingTable(_Cells, Holder):
    """All rows, for reading; made by `create` or `attach`."""

    def __init__(self, namespace: str, held: Segment) -> None:
        self.namespace = namespace
        self.layout = FundingLayout(*held.params[:2])
        self._held = held
        self._cells = _table(held, self.layout)

    @classmethod
    def create(cls, namespace: str, *, num_sources: int = 8, max_symbols: int = 1024) -> Self:
        """Make new, empty cells; those that stand under the namespace are retired."""
        if not sizes_fit(num_sources, max_symbols):
            raise SegmentError(
                "num_sources or max_symbols is out of range",
                num_sources=num_sources,
                max_symbols=max_symbols,
                allowed=f"1 to {NUM_SOURCES_MAX} and {MAX_SYMBOLS_MAX}",
            )
        name = segment.segment_name(namespace, _PART)
        size = FundingLayout(num_sources, max_symbols).funding_bytes
        params = [num_sources, max_symbols]
        return cls(namespace, segment.create(name, Kind.FUNDING, size, params))

    @classmethod
    def attach(cls, namespace: str, *, timeout_s: float = segment.ATTACH_TIMEOUT_S) -> Self:
        """Map the cells of a namespace read-only."""
        return cls(namespace, _attach(namespace, writable=False, timeout_s=timeout_s))

    def writer(self) -> FundingWriter:
        """Claim the right to write: AlreadyClaimed when a live process has it."""
        held = _attach(self.namespace, writable=True, timeout_s=segment.ATTACH_TIMEOUT_S)
        with segment.closed_on_failure(held):
            held.claim(_WRITER, "the funding")
            return FundingWriter(held, FundingLayout(*held.params[:2]))

    def read(self, source_id: int, symbol_id: int) -> FundingNow | None:
        """What was told last; None where nothing was yet. Never waits: after 64 tries that each met
        a write it is None as well, and `contended` counts. Raises BadInput on an id out of range.
        """
        rows, told = self._cells.read(self._place(source_id, symbol_id))
        return FundingNow(*self._dated(rows)[0].item()) if told[0] else None

    def snapshot(self) -> np.ndarray:
        """(num_sources, max_symbols) FUNDING_DTYPE, each row whole in itself; zeros where `read`
        has none."""
        rows, _ = self._cells.read(np.arange(self.layout.cells, dtype=np.int64))
        rows = self._dated(rows)
        return rows.reshape(self.layout.num_sources, self.layout.max_symbols)

    def _dated(self, rows: np.ndarray) -> np.ndarray:
        """With the time of asking by the wall clock as it stands now: a rate has its age."""
        set_ns = self._held.clock.wall_of(1) - 1
        rows["asked_wall_ns"][rows["asked_wall_ns"] != 0] += set_ns
        return rows

    @property
    def contended(self) -> int:
        """Reads that gave up."""
        return self._cells.contended

    @property
    def created_wall_ns(self) -> int:
        """When the cells were made, empty, by the wall clock as it stands now."""
        return self._held.clock.wall_of(int(self._held.header["created_wall_ns"]))


def _table(held: Segment, layout: FundingLayout) -> LatchTable:
    return LatchTable(
        held.memory, layout.sequences_at, layout.cells_at, layout.cells, FUNDING_DTYPE
    )


def _attach(namespace: str, *, writable: bool, timeout_s: float) -> Segment:
    return segment.attach(
        segment.segment_name(namespace, _PART),
        Kind.FUNDING,
        writable=writable,
        timeout_s=timeout_s,
        expect_bytes=_funding_bytes,
    )


def _funding_bytes(params: list[int]) -> int:
    num_sources, max_symbols = params[:2]
    if not sizes_fit(num_sources, max_symbols):
        raise WrongSegment("the segment's sizes are out of range", params=params)
    return FundingLayout(num_sources, max_symbols).funding_bytes
