"""Copies of the tracker's database: consistent, while it is written.

Made by `spread-ctl backup` for people, and by the tracker itself before it migrates an older
schema. SQLite's own copying: a copy of the file alone would miss what is in the write-ahead log, or
hold half of it. On failure nothing is left at the destination; what is left beside it by who was
killed goes at the next copy into that folder.
"""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.symbology.replacing import give_name, sync_folder

PAGES = 2_048  # copied between two calls of `progress`
UNFINISHED = ".unfinished-copy"
UNFINISHED_S_MAX = 60.0  # between two writes to one that somebody is making


def backup_path(path: Path, version: int) -> Path:
    """Where the copy of a database stands that was migrated from a version; one per version."""
    return path.with_name(f"{path.stem}.before-{version}{path.suffix}")


def remove_unfinished(
    folder: Path, name: str = "*", silent_s_min: float = UNFINISHED_S_MAX
) -> None:
    """What was left of copies by who was killed meanwhile: each as large as the database, so that
    there may be no room for the next. Those that were written to lately may be somebody's."""
    until_ns = clock.wall_ns() - silent_s_min * NS_PER_S
    for left in folder.glob(f".{name}.*{UNFINISHED}*"):  # SQLite's own files beside it, too
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile
            if left.stat().st_mtime_ns <= until_ns:
                left.unlink()


def backup(
    connection: sqlite3.Connection,
    path: Path,
    progress: Callable[[], object] = lambda: None,
    *,
    replaces: bool = False,
) -> int:
    """Copy a database to `path`, readable by its user alone; how many bytes. What stands there when
    the copy is whole is replaced where it `replaces`, else raises FileExistsError. Raises OSError,
    sqlite3.Error (SQLITE_FULL without room)."""
    remove_unfinished(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")
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
        if replaces:
            temporary.replace(path)
            sync_folder(path.parent)
        else:
            give_name(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path.stat().st_size
