"""The books' segment: slots by need, one writer a source, and no book under another's name."""

import os
import signal

import numpy as np
import pytest

from spread_scanner.books._order_book import FollowedBook
from spread_scanner.errors import SegmentError
from spread_scanner.schema.books import BOOK_DTYPE, BookFlag
from spread_scanner.shm import segment
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.faults import AlreadyClaimed, BadInput, NoSegment, WrongSegment
from spread_scanner.shm.layout import BooksLayout, Kind

WHOLE = BookFlag.BIDS_WHOLE | BookFlag.ASKS_WHOLE  # of books of twelve levels a side


def book(symbol_id: int, version: int, source_id: int = 1) -> np.ndarray:
    """One whose every number follows from its version."""
    made = FollowedBook()
    bids = np.array([[1_000.0 + version - number, version] for number in range(12)], np.float64)
    asks = np.array([[2_000.0 + version + number, version] for number in range(12)], np.float64)
    made.snapshot(bids, asks)
    return made.record(
        symbol_id=symbol_id, source_id=source_id, update_id=version, ts_recv=version, ts_event=1
    )


def test_what_is_published_is_what_is_read(namespace: str) -> None:
    with BookStore.create(namespace, num_sources=2, max_symbols=16, slots=2) as books:
        assert books.read(1, 5) is None
        with books.writer(1) as writer:
            assert writer.take(5) == 0
            taken = books.read(1, 5)
            assert taken is not None
            assert taken.flags & BookFlag.STALE
            assert (taken.bids.shape, taken.asks.shape) == ((0, 2), (0, 2))
            for version in (1, 2, 3):  # both cells in turn
                writer.publish(book(5, version))
                found = books.read(1, 5)
                assert found is not None
                assert found.bids[0].tolist() == [1_000.0 + version, version]
                assert found.asks[11].tolist() == [2_011.0 + version, version]
                assert (len(found.bids), found.flags) == (12, WHOLE)
            assert books.read(0, 5) is None
            records, has = books.records(1, [4, 5, 6])
            assert has.tolist() == [False, True, False]
            assert records["update_id"][1] == 3
            assert (books.symbols(1), books.contended) == ([5], 0)
            assert books.sources() == [1]
            for source_id, ids in ((1, [5, -11]), (1, [16, 5]), (-1, [5]), (2, [5]), (2, [])):
                with pytest.raises(BadInput, match="no such source or symbol id"):
                    books.records(source_id, ids)


def test_slots_are_handed_out_by_need(namespace: str) -> None:
    with (
        BookStore.create(namespace, num_sources=2, max_symbols=16, slots=2) as books,
        books.writer(1) as writer,
    ):
        assert [writer.take(symbol_id) for symbol_id in (5, 6, 7, 5)] == [0, 1, -1, 0]
        writer.publish(book(5, 1))
        writer.release(5)
        assert books.read(1, 5) is None
        assert writer.take(7) == 0
        found = books.read(1, 7)
        assert found is not None
        assert len(found.bids) == 0, "it is not what the slot held before"
        with pytest.raises(BadInput, match="slot"):
            writer.publish(book(5, 2))
        with pytest.raises(BadInput, match="slot"):
            writer.publish(book(7, 2, source_id=0))
        with pytest.raises(BadInput, match="symbol id"):
            writer.take(16)
        assert writer.taken == {6: 1, 7: 0}


def test_a_symbol_that_comes_back_has_nothing_of_its_old_book(namespace: str) -> None:
    with (
        BookStore.create(namespace, num_sources=2, max_symbols=16, slots=1) as books,
        books.writer(1) as writer,
    ):
        writer.take(5)
        writer.publish(book(5, 1))
        writer.release(5)
        writer.take(5)
        found = books.read(1, 5)
        assert found is not None
        assert found.flags & BookFlag.STALE
        assert len(found.bids) == 0


def test_a_slot_that_is_handed_on_meanwhile_shows_nobody_elses_book(namespace: str) -> None:
    """What a reader finds when the feed hands the slot on between its two looks."""
    with (
        BookStore.create(namespace, num_sources=1, max_symbols=4, slots=1) as books,
        books.writer(0) as writer,
    ):
        writer.take(2)
        writer.publish(book(2, 1, source_id=0))
        words = writer._held.words
        words.store(writer._places_at + 8 * 3, 1)  # an old place, as a slow reader has it
        assert books.read(0, 3) is None
        assert not books.records(0, [3])[1].any()


def test_marks_stand_until_the_next_book(namespace: str) -> None:
    with (
        BookStore.create(namespace, num_sources=2, max_symbols=16, slots=2) as books,
        books.writer(1) as writer,
    ):
        for symbol_id in (5, 6):
            writer.take(symbol_id)
            writer.publish(book(symbol_id, 1))
        writer.mark(5, BookFlag.RESYNCING)
        writer.mark(7, BookFlag.RESYNCING)
        writer.mark_all(BookFlag.STALE)
        found = books.read(1, 5)
        assert found is not None
        assert found.flags == BookFlag.STALE | BookFlag.RESYNCING | WHOLE
        assert len(found.bids) == 12
        writer.publish(book(5, 2))
        found = books.read(1, 5)
        assert found is not None
        assert found.flags == WHOLE


def test_a_feed_that_was_killed_leaves_a_place_and_no_books(namespace: str) -> None:
    with BookStore.create(namespace, num_sources=2, max_symbols=4, slots=2) as books:
        with books.writer(1), pytest.raises(AlreadyClaimed, match="the books of source 1"):
            books.writer(1)
        pid = os.fork()
        if pid == 0:
            writer = BookStore.attach(namespace).writer(1)
            writer.take(2)
            writer.publish(book(2, 1))
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        found = books.read(1, 2)
        assert found is not None
        assert found.record["update_id"] == 1
        with books.writer(1) as writer:
            assert books.read(1, 2) is None
            assert writer.taken == {}


@pytest.mark.parametrize(("source_id", "symbol_id"), [(-1, 0), (2, 0), (0, -1), (0, 3)])
def test_an_id_out_of_range_is_refused(namespace: str, source_id: int, symbol_id: int) -> None:
    with (
        BookStore.create(namespace, num_sources=2, max_symbols=3, slots=1) as books,
        pytest.raises(BadInput),
    ):
        books.read(source_id, symbol_id)


def test_a_system_without_books_has_a_segment_without_slots(namespace: str) -> None:
    with BookStore.create(namespace, num_sources=2, max_symbols=3, slots=0) as books:
        with books.writer(0) as writer:
            assert writer.take(1) == -1
        assert books.read(0, 1) is None
        assert books.records(0, [1])[1].tolist() == [False]


def test_a_reader_cannot_write_and_a_closed_writer_does_not(namespace: str) -> None:
    with BookStore.create(namespace, num_sources=2, max_symbols=3, slots=1) as books:
        writer = books.writer(0)
        writer.take(1)
        writer.close()
        with pytest.raises(ValueError, match="closed"):
            writer.publish(book(1, 1, source_id=0))
    with BookStore.attach(namespace) as reader, pytest.raises(ValueError, match="closed"):
        reader.table.write(np.zeros(1, np.int64), np.zeros(1, BOOK_DTYPE))


def test_sizes_out_of_range_and_other_segments_are_refused(namespace: str) -> None:
    with pytest.raises(NoSegment):
        BookStore.attach(namespace, timeout_s=0)
    for sizes in ({"num_sources": 0}, {"max_symbols": 16_385}, {"slots": 1_025}, {"slots": -1}):
        with pytest.raises(SegmentError, match="out of range"):
            BookStore.create(namespace, **sizes)
    name = segment.segment_name(namespace, "books")
    segment.create(name, Kind.BOOKS, 4_096, [8, 1_024, 64, 1_024]).close()
    with pytest.raises(WrongSegment, match="length"):
        BookStore.attach(namespace, timeout_s=0)
    segment.create(name, Kind.BOOKS, 4_096, [8, 1_024, 2_000, 1_024]).close()
    with pytest.raises(WrongSegment, match="range"):
        BookStore.attach(namespace, timeout_s=0)
    segment.create(name, Kind.BOOKS, 4_096, [8, 1_024, 64, 1_000]).close()
    with pytest.raises(WrongSegment, match="range"):
        BookStore.attach(namespace, timeout_s=0)
    with pytest.raises(SegmentError, match="power of two"):
        BookStore.create(namespace, tape_slots=1_000)


def test_offsets_are_pinned() -> None:
    where = BooksLayout(8, 1_024, 64, 1_024)
    assert (where.places_at, where.sequences_at, where.cells_at) == (256, 65_792, 98_560)
    assert where.tape(0).control_at == 819_456
    assert BooksLayout(8, 1_024, 64, 1_024).cells_at % 64 == 0
