"""How much of the disk the system takes, how much is left, and who keeps it from giving back.

Reads the sizes in data_dir, never the database itself; costs a look at some hundred names. What
cannot be looked at (another user's folder) is null, what is not there takes nothing.
"""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from spread_scanner.schema.names import (
    CYCLES_FILE,
    DATABASE_FILE,
    LOGS_FOLDER,
    REPORTS_FOLDER,
    VACUUM_FILE,
)
from spread_scanner.view.readers import LongReader
from spread_scanner.view.reading import Reading


class Disk(Reading, frozen=True):
    """Of one data_dir."""

    folder: str
    database_bytes: int | None
    wal_bytes: int | None  # of its write-ahead log, in which the newest transactions stand
    cycles_bytes: int | None  # of spread-paths' database, with its write-ahead log
    reports_bytes: int | None
    logs_bytes: int | None  # 0 under systemd, whose journal has them
    free_bytes: int | None  # for who is not root
    vacuuming: bool  # `spread-ctl vacuum` writes all of the database through the log
    readers: list[LongReader]  # while one holds a transaction, the write-ahead log grows


def look(data_dir: Path, readers: list[LongReader]) -> Disk:
    """As it is now; `readers` by Readers.look."""
    database = data_dir / DATABASE_FILE
    return Disk(
        folder=str(data_dir),
        database_bytes=_known(_file_bytes, database),
        wal_bytes=_known(_file_bytes, wal_of(database)),
        cycles_bytes=_known(_with_log_bytes, data_dir / CYCLES_FILE),
        reports_bytes=_known(_folder_bytes, data_dir / REPORTS_FOLDER),
        logs_bytes=_known(_folder_bytes, data_dir / LOGS_FOLDER),
        free_bytes=_known(_free_bytes, data_dir),
        vacuuming=_is_locked(data_dir / VACUUM_FILE),
        readers=readers,
    )


def wal_of(database: Path) -> Path:
    """Where SQLite keeps a database's write-ahead log."""
    return database.with_name(database.name + "-wal")


def _is_locked(path: Path) -> bool:
    """Whether somebody lives who has locked it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def _known(measure: Callable[[Path], int], path: Path) -> int | None:
    try:
        return measure(path)
    except FileNotFoundError:
        return 0
    except OSError:
        return None


def _file_bytes(path: Path) -> int:
    return path.stat().st_size


def _with_log_bytes(database: Path) -> int:
    return _file_bytes(database) + (_known(_file_bytes, wal_of(database)) or 0)


def _folder_bytes(path: Path) -> int:
    with os.scandir(path) as entries:
        return sum(_known(_entry_bytes, Path(entry)) or 0 for entry in entries)


def _entry_bytes(path: Path) -> int:
    """A file's, or a folder's in the folder."""
    return _folder_bytes(path) if path.is_dir() and not path.is_symlink() else path.stat().st_size


def _free_bytes(folder: Path) -> int:
    """On the disk where the folder stands, or will."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
