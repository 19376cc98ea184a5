"""Copies of the tracker's database: consistent, while it is written.

Made by `spread-ctl backup` for people, and by the tracker itself before it migrates an older
schema. SQLite's own copying: a copy of the file alone would miss what is in the write-ahead log, or
hold half of it. On failure nothing is left at the destination.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

PAGES = 2_048  # copied between two calls of `progress`


def backup_path(path: Path, version: int) -> Path:
    """Where the copy of a database stands that was migrated from a version; one per version."""
    return path.with_name(f"{path.stem}.before-{version}{path.suffix}")


def remove_unfinished(path: Path) -> None:
    """What was left of copies to `path` by who was killed meanwhile: each as large as the database,
    so that there may be no room for the next. Nobody else may be making one."""
    for left in path.parent.glob(f".{path.name}.*"):
        left.unlink(missing_ok=True)


def backup(
    connection: sqlite3.Connection,
    path: Path,
    progress: Callable[[], object] = lambda: None,
) -> int:
    """Copy a database to `path`, readable by its user alone; how many bytes. What stands there is
    replaced, when the copy is whole. Raises OSError, sqlite3.Error (SQLITE_FULL without room)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        with contextlib.closing(sqlite3.connect(temporary)) as copy:
            # In a read transaction: pieces of one state, however much is written meanwhile.
            with contextlib.ExitStack() as stack:
                if not connection.in_transaction:
                    connection.execute("BEGIN")
                    stack.callback(connection.execute, "ROLLBACK")
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                connection.backup(copy, pages=PAGES, progress=lambda *_: progress(), sleep=0)
            copy.execute("PRAGMA journal_mode = DELETE")
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path.stat().st_size
