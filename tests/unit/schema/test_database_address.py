"""A read-only connection to the tracker's database, wherever its folder lies."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from spread_scanner.schema.opportunities import read_only_uri


@pytest.mark.parametrize("folder", ["bot", "bot #1", "bot%201", "bot?mode=rwc", "бот", "a b&c=d"])
def test_a_path_may_have_what_means_something_in_an_address(tmp_path: Path, folder: str) -> None:
    """The rows of that file, no right to write it, and no other file beside it."""
    path = tmp_path / folder / "tracker.db"
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE looked (at)")
        made.execute("INSERT INTO looked VALUES (7)")
        made.commit()
    with contextlib.closing(sqlite3.connect(read_only_uri(path), uri=True)) as found:
        assert found.execute("SELECT at FROM looked").fetchall() == [(7,)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            found.execute("INSERT INTO looked VALUES (8)")
    assert list(tmp_path.rglob("*")) == [path.parent, path]


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        sqlite3.connect(read_only_uri(tmp_path / "bot #1.db"), uri=True)
    assert not list(tmp_path.iterdir())
