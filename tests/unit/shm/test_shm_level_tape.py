"""The tape of order books: what changed leads from what was shown to what is, exactly."""

from collections.abc import Iterator

import numpy as np
import pytest

from bed import seed
from spread_scanner.books._order_book import FollowedBook
from spread_scanner.schema.books import BOOK_DTYPE, LEVELS_SHOWN
from spread_scanner.schema.log import BOOK_DELTA_DTYPE
from spread_scanner.shm._level_tape import SIZES
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.faults import AlreadyClaimed, BadInput
from spread_scanner.shm.tapes import TapeReader

NOTHING = np.zeros(1, BOOK_DTYPE)


@pytest.fixture
def books(namespace: str) -> Iterator[BookStore]:
    sizes = {"num_sources": 2, "max_symbols": 8, "slots": 2, "tape_slots": 256}
    with BookStore.create(namespace, **sizes) as made:
        yield made


def shown(book: FollowedBook, number: int) -> np.ndarray:
    return book.record(symbol_id=5, source_id=1, update_id=number, ts_recv=10 + number)


def side(chance: np.random.Generator, sign: int, levels_max: int) -> np.ndarray:
    """Some levels near the top; a third of them are taken away."""
    count = int(chance.integers(0, levels_max))
    px = 100.0 + sign * chance.integers(1, 60, count)
    return np.column_stack([px, chance.integers(0, 4, count)]).astype(np.float64)


def follow(known: list[dict[float, float]], changes: np.ndarray) -> list[list[list[float]]]:
    """As docs/history.md says: take each change, keep as many levels as are shown."""
    for change in changes:
        levels = known[change["side"]]
        if change["sz"]:
            levels[float(change["px"])] = float(change["sz"])
        else:
            del levels[float(change["px"])]
    cut = []
    for number, levels in enumerate(known):
        ordered = sorted(levels.items(), reverse=number == 0)[:LEVELS_SHOWN]
        known[number] = dict(ordered)
        cut.append([list(level) for level in ordered])
    return cut


def test_changes_lead_to_what_is_shown(books: BookStore) -> None:
    chance = np.random.default_rng(seed())
    with books.writer(1) as writer, books.tape_reader(1) as tape:
        tape.record()
        book, before = FollowedBook(), NOTHING
        book.snapshot(np.empty((0, 2)), np.empty((0, 2)))
        known: list[dict[float, float]] = [{}, {}]
        stood: list[list[list[float]]] = [[], []]
        for number in range(2_000):
            if number % 50 == 49:  # another book altogether
                book.snapshot(side(chance, -1, 40), side(chance, 1, 40))
            else:
                book.delta(side(chance, -1, 6), side(chance, 1, 6))
            now = shown(book, number)
            writer.tape.tell(before, now)
            changes = tape.pop_many(1_000)
            found = follow(known, changes)
            wanted = [
                now[0][name][: now[0][f"{name[:3]}_count"]].tolist() for name in ("bids", "asks")
            ]
            assert found == wanted
            assert (changes["symbol_id"] == 5).all()
            assert (changes["source_id"] == 1).all()
            assert (changes["ts_recv"] == 10 + number).all()
            assert (changes["update_id"] == number).all()
            assert bool(len(changes)) == (wanted != stood), "nothing is told of what stands"
            before, stood = now, wanted
        assert books.tape_counters(1).dropped == 0


def one(px: float) -> np.ndarray:
    book = FollowedBook()
    book.snapshot(np.array([[px, 1.0]]), np.array([[px + 1.0, 1.0]]))
    return shown(book, 1)


def test_nobody_asks_and_nothing_is_told(books: BookStore) -> None:
    with books.writer(1) as writer:
        writer.tape.tell(NOTHING, one(5.0))
        assert books.tape_counters(1).given == 0
        with books.tape_reader(1) as tape:
            tape.record()
            writer.tape.tell(NOTHING, one(5.0))
            assert len(tape.pop_many(10)) == 2
        writer.tape.tell(NOTHING, one(5.0))
        assert books.tape_counters(1) == (2, 0, 0)
    with pytest.raises(ValueError, match="one book"):
        writer.tape.tell(NOTHING, np.zeros(2, BOOK_DTYPE))


def test_what_has_no_room_is_counted_in_the_numbers(books: BookStore) -> None:
    with books.writer(1) as writer, books.tape_reader(1) as tape:
        tape.record()
        for _ in range(150):
            writer.tape.tell(NOTHING, one(5.0))
        assert books.tape_counters(1) == (300, 44, 256)
        assert tape.pop_many(256)["number"].tolist() == list(range(256))
        writer.tape.tell(NOTHING, one(5.0))
        assert tape.pop_many(9)["number"].tolist() == [300, 301]


def test_one_reader_a_tape(books: BookStore) -> None:
    with books.tape_reader(1), books.tape_reader(0) as other, books.writer(1):
        assert isinstance(other, TapeReader)
        with pytest.raises(AlreadyClaimed):
            books.tape_reader(1)
    with pytest.raises(BadInput):
        books.tape_reader(2)
    assert SIZES["level_change"] == BOOK_DELTA_DTYPE.itemsize
