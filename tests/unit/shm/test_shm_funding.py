"""The funding segment: one writer, whole rows, and bounds that hold."""

import math
import os
import signal

import numpy as np
import pytest

from spread_scanner.errors import SegmentError
from spread_scanner.schema.funding import FundingNow, listing_of
from spread_scanner.schema.records import FUNDING_DTYPE
from spread_scanner.shm import segment
from spread_scanner.shm.faults import AlreadyClaimed, BadInput, NoSegment, WrongSegment
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shm.layout import FundingLayout, Kind

ROW = FundingNow(-1.25e-4, 0.02, -0.02, 4.0, 1_787_875_200_000_000_000, 7, 4, 2**32 - 1, 2**63)


def test_what_is_written_is_what_is_read(namespace: str) -> None:
    with FundingTable.create(namespace, num_sources=8, max_symbols=16) as table:
        assert table.read(7, 15) is None
        with table.writer() as writer:
            for version in range(1, 4):  # both cells in turn
                row = ROW._replace(generation=version)
                writer.write(7, 15, row)
                assert table.read(7, 15) == row
            unknown = ROW._replace(cap=math.nan, interval_h=math.nan)
            writer.write(0, 0, unknown)
        with FundingTable.attach(namespace) as reader:
            assert reader.read(7, 15) == ROW._replace(generation=3)
            got = reader.read(0, 0)
            assert got is not None
            assert (math.isnan(got.cap), math.isnan(got.interval_h)) == (True, True)
            assert (got.rate, got.listing) == (ROW.rate, ROW.listing)
            rows = reader.snapshot()
            assert (rows.shape, rows.dtype) == ((8, 16), FUNDING_DTYPE)
            assert FundingNow(*rows[7, 15].item()) == ROW._replace(generation=3)
            assert np.count_nonzero(rows["asked_wall_ns"]) == 2
            assert reader.contended == 0


def test_one_process_writes_at_a_time_and_a_dead_one_holds_nothing(namespace: str) -> None:
    with FundingTable.create(namespace, num_sources=2, max_symbols=2) as table:
        with table.writer(), pytest.raises(AlreadyClaimed, match="the funding"):
            table.writer()
        pid = os.fork()
        if pid == 0:
            FundingTable.attach(namespace).writer().write(1, 1, ROW)
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        assert table.read(1, 1) == ROW
        with table.writer() as writer:
            writer.write(1, 1, ROW._replace(rate=0.0))


@pytest.mark.parametrize(("source_id", "symbol_id"), [(-1, 0), (2, 0), (0, -1), (0, 3)])
def test_an_id_out_of_range_is_refused(namespace: str, source_id: int, symbol_id: int) -> None:
    with FundingTable.create(namespace, num_sources=2, max_symbols=3) as table:
        with pytest.raises(BadInput):
            table.read(source_id, symbol_id)
        with table.writer() as writer, pytest.raises(BadInput):
            writer.write(source_id, symbol_id, ROW)
        assert not table.snapshot()["asked_wall_ns"].any()


def test_a_reader_cannot_write(namespace: str) -> None:
    FundingTable.create(namespace, num_sources=2, max_symbols=2).close()
    with FundingTable.attach(namespace) as reader, pytest.raises(ValueError, match="closed"):
        reader._cells.write(np.zeros(1, np.int64), np.zeros(1, FUNDING_DTYPE))


def test_sizes_out_of_range_and_other_segments_are_refused(namespace: str) -> None:
    with pytest.raises(NoSegment):
        FundingTable.attach(namespace, timeout_s=0)
    for sizes in ({"num_sources": 0}, {"num_sources": 65}, {"max_symbols": 16_385}):
        with pytest.raises(SegmentError, match="out of range"):
            FundingTable.create(namespace, **sizes)
    name = segment.segment_name(namespace, "funding")
    segment.create(name, Kind.FUNDING, 4_096, [8, 1_024]).close()
    with pytest.raises(WrongSegment, match="length"):
        FundingTable.attach(namespace, timeout_s=0)
    segment.create(name, Kind.FUNDING, 4_096, [99, 1_024]).close()
    with pytest.raises(WrongSegment, match="range"):
        FundingTable.attach(namespace, timeout_s=0)


def test_a_new_one_retires_the_old(namespace: str) -> None:
    with FundingTable.create(namespace, num_sources=2, max_symbols=2) as old:
        with old.writer() as writer:
            writer.write(0, 0, ROW)
        with FundingTable.create(namespace, num_sources=2, max_symbols=2) as new:
            assert old.retired
            assert new.read(0, 0) is None


def test_offsets_are_pinned() -> None:
    where = FundingLayout(8, 1_024)
    assert (where.sequences_at, where.cells_at) == (256, 524_544)
    assert where.funding_bytes == 1_573_120


def test_a_listing_has_its_number() -> None:
    assert listing_of("BTCUSDT") == 0xAC8EA3C3  # kept in memory
