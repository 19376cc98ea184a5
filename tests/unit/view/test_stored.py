"""Databases of other processes that cannot be read: never an empty answer, and read when it is
over."""

import contextlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cycles_bed import cycle_row, store_cycles
from database_bed import store

from spread_scanner.schema.names import CYCLES_FILE, DATABASE_FILE
from spread_scanner.view.cycles import StoredCycles
from spread_scanner.view.opportunities import Opportunities
from spread_scanner.view.stored import DatabaseUnreadable, StoredRows

BUSY_S = 0.01


def last_opportunities(rows: Any) -> int:
    return len(rows.last(5))


def last_cycles(rows: Any) -> int:
    return len(rows.last(5))


def left_out(rows: Any) -> int:
    return len(rows.left_out())


READERS = {
    "opportunities": (Opportunities, DATABASE_FILE, last_opportunities),
    "cycles": (StoredCycles, CYCLES_FILE, last_cycles),
    "pools left out": (StoredCycles, CYCLES_FILE, left_out),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("both")
    store(folder, id=1, symbol="AAA-USDT")
    store_cycles(folder, cycle_row(1))
    return folder


@pytest.fixture(params=READERS)
def reader(
    request: pytest.FixtureRequest, both: Path, tmp_path: Path
) -> Iterator[tuple[Any, Path, Any]]:
    """Who reads, the file, and how many rows are found."""
    made, name, count = READERS[request.param]
    shutil.copy(both / name, tmp_path / name)
    rows = made(tmp_path, BUSY_S)
    yield rows, tmp_path / name, lambda: count(rows)
    rows.close()


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(file)) as writer:
        writer.execute("PRAGMA journal_mode = DELETE")
        writer.execute("BEGIN EXCLUSIVE")
        yield


@contextlib.contextmanager
def a_folder(file: Path) -> Iterator[None]:
    file.rename(file.with_suffix(".kept"))
    file.mkdir()
    yield
    file.rmdir()
    file.with_suffix(".kept").rename(file)


@contextlib.contextmanager
def of_another_version(file: Path) -> Iterator[None]:
    file.rename(file.with_suffix(".kept"))
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE signals (id INTEGER)")
    yield
    file.unlink()
    file.with_suffix(".kept").rename(file)


UNREADABLE: list[tuple[Callable[[Path], Any], str]] = [
    (locked, "locked"),
    (a_folder, "disk I/O error"),
    (of_another_version, "no such table"),
]


@pytest.mark.parametrize(("state", "why"), UNREADABLE)
def test_what_cannot_be_read_is_said_and_read_when_it_is_over(
    state: Callable[[Path], Any], why: str, reader: tuple[StoredRows, Path, Callable[[], int]]
) -> None:
    rows, file, found = reader
    with state(file):
        assert found() == 0
        with pytest.raises(DatabaseUnreadable, match=why):
            rows.check()
    assert found() == 1
    rows.check()


def test_one_that_was_just_made_is_empty(
    reader: tuple[StoredRows, Path, Callable[[], int]],
) -> None:
    rows, file, found = reader
    file.unlink()
    assert found() == 0
    rows.check()
    file.touch()
    assert found() == 0
    rows.check()
