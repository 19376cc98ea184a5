"""What spread-analyst found out about each pair and each cell: a latch per record.

Writer:  spread-analyst, which claims it.     Readers: anyone; they map it read-only.

A pair's place is its direction and its symbol, a cell's its source and its symbol. A record says
when it was written (`ts`) and by which tables: what an analyst wrote that no longer runs, or of
another coin, shows by these. Written records are whole whatever becomes of the writer
(native/seqlock.h); reads are bounded.

Segment: "<namespace>.analysis".
"""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from spread_scanner.errors import SegmentError
from spread_scanner.schema.analysis import CELL_ANALYSIS_DTYPE, PAIR_ANALYSIS_DTYPE
from spread_scanner.shm import segment
from spread_scanner.shm._latches import LatchTable
from spread_scanner.shm.faults import WrongSegment
from spread_scanner.shm.layout import AnalysisLayout, Kind, sizes_fit
from spread_scanner.shm.segment import Holder, Segment

_WRITER = 0
_PART = "analysis"

Places = npt.NDArray[np.int64]


class Records(NamedTuple):
    """(n,) records, and which of them were ever written."""

    records: np.ndarray
    written: npt.NDArray[np.bool_]


class AnalysisWriter(Holder):
    """The right to write; made by Analysis.writer. `close` gives the place back."""

    def __init__(self, held: Segment, layout: AnalysisLayout) -> None:
        self._held = held
        self._layout = layout
        self._pairs, self._cells = _tables(held, layout)

    def write(
        self, pairs: Places, of_pairs: np.ndarray, cells: Places, of_cells: np.ndarray
    ) -> None:
        """Publish records at their places (AnalysisLayout.pair_at, cell_at)."""
        self._pairs.write(pairs, of_pairs)
        self._cells.write(cells, of_cells)

    def shut(self) -> None:
        self._pairs.shut()
        self._cells.shut()


class Analysis(Holder):
    """The records, for reading; made by `create` or `attach`."""

    def __init__(self, namespace: str, held: Segment) -> None:
        self.namespace = namespace
        self.layout = AnalysisLayout(*held.params[:2])
        self._held = held
        self._pairs, self._cells = _tables(held, self.layout)

    @property
    def of_pairs(self) -> LatchTable:
        """The records of the pairs, for who reads them natively."""
        return self._pairs

    @classmethod
    def create(cls, namespace: str, *, num_sources: int = 8, max_symbols: int = 1024) -> Self:
        """Make a new, empty one; what stands under the namespace is retired."""
        if not sizes_fit(num_sources, max_symbols):
            raise SegmentError(
                "sizes out of range", num_sources=num_sources, max_symbols=max_symbols
            )
        layout = AnalysisLayout(num_sources, max_symbols)
        name = segment.segment_name(namespace, _PART)
        params = [num_sources, max_symbols]
        return cls(namespace, segment.create(name, Kind.ANALYSIS, layout.analysis_bytes, params))

    @classmethod
    def attach(cls, namespace: str, *, timeout_s: float = segment.ATTACH_TIMEOUT_S) -> Self:
        """Map the records of a namespace read-only."""
        return cls(namespace, _attach(namespace, writable=False, timeout_s=timeout_s))

    def writer(self) -> AnalysisWriter:
        """Claim the right to write: AlreadyClaimed when a live process has it."""
        held = _attach(self.namespace, writable=True, timeout_s=segment.ATTACH_TIMEOUT_S)
        with segment.closed_on_failure(held):
            held.claim(_WRITER, "the analysis")
            return AnalysisWriter(held, self.layout)

    def pairs(self, directions: npt.ArrayLike, symbols: npt.ArrayLike) -> Records:
        """Of pairs, by direction and symbol id. Raises BadInput on one out of range."""
        return Records(*self._pairs.read(self.layout.pair_at(directions, symbols)))

    def cells(self, sources: npt.ArrayLike, symbols: npt.ArrayLike) -> Records:
        """Of cells, by source and symbol id. Raises BadInput on one out of range."""
        return Records(*self._cells.read(self.layout.cell_at(sources, symbols)))

    @property
    def contended(self) -> int:
        """Reads that gave up; such a record counts as never written."""
        return self._pairs.contended + self._cells.contended


def _tables(held: Segment, layout: AnalysisLayout) -> tuple[LatchTable, LatchTable]:
    return (
        LatchTable(
            held.memory,
            layout.pair_sequences_at,
            layout.pairs_at,
            layout.pairs,
            PAIR_ANALYSIS_DTYPE,
        ),
        LatchTable(
            held.memory,
            layout.cell_sequences_at,
            layout.cells_at,
            layout.cells,
            CELL_ANALYSIS_DTYPE,
        ),
    )


def _attach(namespace: str, *, writable: bool, timeout_s: float) -> Segment:
    return segment.attach(
        segment.segment_name(namespace, _PART),
        Kind.ANALYSIS,
        writable=writable,
        timeout_s=timeout_s,
        expect_bytes=_analysis_bytes,
    )


def _analysis_bytes(params: list[int]) -> int:
    num_sources, max_symbols = params[:2]
    if not sizes_fit(num_sources, max_symbols):
        raise WrongSegment("the segment's sizes are out of range", params=params)
    return AnalysisLayout(num_sources, max_symbols).analysis_bytes
