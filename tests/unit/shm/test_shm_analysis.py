"""The analyst's records: whole, by their places, of one writer."""

import numpy as np
import pytest

from spread_scanner.errors import SegmentError
from spread_scanner.schema.analysis import CELL_ANALYSIS_DTYPE, PAIR_ANALYSIS_DTYPE
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS
from spread_scanner.shm import segment
from spread_scanner.shm.analysis import Analysis
from spread_scanner.shm.faults import AlreadyClaimed, BadInput, WrongSegment
from spread_scanner.shm.layout import Kind
from spread_scanner.stats import _bars, _means

SIZES = {"num_sources": 2, "max_symbols": 5}


def numbered(dtype: np.dtype, count: int, first: int) -> np.ndarray:
    """Records whose every word is another number."""
    words = np.arange(count * dtype.itemsize // 8, dtype="<u8") + first
    return words.view(dtype)


def test_native_records_are_those_of_the_schema() -> None:
    assert _bars.SIZES["cell_analysis"] == CELL_ANALYSIS_DTYPE.itemsize == 320
    assert _means.SIZES["pair_analysis"] == PAIR_ANALYSIS_DTYPE.itemsize == 320


def test_records_are_read_as_they_were_written_each_at_its_place(namespace: str) -> None:
    with Analysis.create(namespace, **SIZES) as made, made.writer() as writer:
        layout = made.layout
        pairs = layout.pair_at([0, 11, 3], [0, 4, 2])
        cells = layout.cell_at([1, 0], [4, 0])
        for first in (0, 10_000):  # the second time over the first
            of_pairs = numbered(PAIR_ANALYSIS_DTYPE, 3, first)
            of_cells = numbered(CELL_ANALYSIS_DTYPE, 2, first + 5_000)
            writer.write(pairs, of_pairs, cells, of_cells)
            with Analysis.attach(namespace) as read:
                every = read.pairs(
                    np.repeat(np.arange(len(EXCHANGE_DIRECTIONS)), 5), list(range(5)) * 12
                )
                assert np.flatnonzero(every.written).tolist() == sorted(pairs.tolist())
                assert read.pairs([11, 0], [4, 0]).records.tobytes() == of_pairs[[1, 0]].tobytes()
                found = read.cells([0, 1], [0, 4])
                assert found.records.tobytes() == of_cells[[1, 0]].tobytes()
                assert not read.cells([1], [3]).written.any()
                assert read.contended == 0


def test_there_is_one_writer_and_it_writes_nothing_once_it_is_closed(namespace: str) -> None:
    nothing = np.empty(0, np.int64)
    with Analysis.create(namespace, **SIZES) as made:
        writer = made.writer()
        with pytest.raises(AlreadyClaimed):
            made.writer()
        writer.close()
        of_pairs, of_cells = np.empty(0, PAIR_ANALYSIS_DTYPE), np.empty(0, CELL_ANALYSIS_DTYPE)
        with pytest.raises(ValueError, match="closed"):
            writer.write(nothing, of_pairs, nothing, of_cells)
        made.writer().close()
        with Analysis.attach(namespace) as old:
            Analysis.create(namespace, **SIZES).close()
            assert old.retired


def test_what_cannot_be_is_refused(namespace: str) -> None:
    with pytest.raises(SegmentError):
        Analysis.create(namespace, num_sources=0, max_symbols=5)
    with Analysis.create(namespace, **SIZES) as made, made.writer() as writer:
        with pytest.raises(SegmentError, match="symbol"):  # it would be the next direction's
            made.pairs([0], [5])
        with pytest.raises(BadInput, match="place"):
            made.pairs([len(EXCHANGE_DIRECTIONS)], [0])
        one = made.layout.pair_at([0], [0])
        with pytest.raises(BadInput):
            writer.write(one, np.empty(1, CELL_ANALYSIS_DTYPE), one, np.empty(1, np.int64))
    segment.create(f"/{namespace}.analysis", Kind.ANALYSIS, 4_096, [2, 5]).close()
    with pytest.raises(WrongSegment, match="length"):
        Analysis.attach(namespace)
