"""A database that another process writes, read-only: the tracker's, and spread-paths'.

One that is not there yet, or has no table yet, is an empty one; one that cannot be read just now
(its writer is migrating it, its disk fails, it is damaged, it is another user's) is asked again
later, and so is one that took its place. Whoever answers somebody says what keeps it from being
read (`check`): no rows are another thing.
"""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from spread_scanner.errors import SpreadError
from spread_scanner.schema.opportunities import read_only_uri

BUSY_S = 0.2  # how long one try waits while its writer migrates the file

FileId = tuple[int, int]  # device and inode


class DatabaseUnreadable(SpreadError):
    """A database that is damaged, or closed to us, or busy: what it holds cannot be said."""


class StoredRows:
    """A connection that only reads; made lazily, as its writer makes the file."""

    def __init__(self, path: Path, busy_s: float = BUSY_S) -> None:
        self._busy_s = busy_s
        self.path = path
        self.trouble = ""  # why the last look saw nothing, and not that there is nothing
        self._connection: sqlite3.Connection | None = None
        self._connected_to: FileId | None = None

    def file(self) -> FileId | None:
        """Which file stands there now: ids are one file's. None: none does, or it is closed to us,
        which is a trouble."""
        self.trouble = ""
        try:
            stands = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return None
        return stands.st_dev, stands.st_ino

    def check(self) -> None:
        """Raises DatabaseUnreadable where the last look could not see what there is."""
        if self.trouble:
            raise DatabaseUnreadable(f"the database cannot be read: {self.trouble}", file=self.path)

    def _asked(self, query: str, asked: tuple[object, ...]) -> list[tuple[Any, ...]] | None:
        """The rows; None where it cannot be read, and `trouble` says why."""
        try:
            connection = self._connection_now()
            if connection is None:
                return None if self.trouble else []
            return connection.execute(query, asked).fetchall()
        except sqlite3.Error as error:
            is_bare = self._is_bare(error)
            self.trouble = "" if is_bare else str(error)
            self.close()
            return [] if is_bare else None

    def _is_bare(self, error: sqlite3.Error) -> bool:
        """Whether its writer has just made it, and no table in it."""
        if self._connection is None or error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            return False
        with contextlib.suppress(sqlite3.Error):
            return not self._connection.execute("SELECT 1 FROM sqlite_master").fetchall()
        return False

    def _connection_now(self) -> sqlite3.Connection | None:
        """To the file that stands there now, not to one that was moved away. Raises
        sqlite3.Error."""
        file = self.file()
        if file != self._connected_to:
            self.close()
        if file is not None and self._connection is None:
            self._connection = sqlite3.connect(
                read_only_uri(self.path), uri=True, timeout=self._busy_s
            )
            self._connected_to = file
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._connected_to = None
