"""The files of the log's folder: made ready before they are needed, used again when they are old.

Writer:  the one that holds the folder's lock; of packed ones packing.py.     Readers: anyone.

A file is allocated and written once before it is used: blocks of a file that is only allocated are
converted at their first write, which every fdatasync would pay for. One that is used again is
renamed first; the number in its head is not its name's then, so that nobody takes it for begun.
"""

import contextlib
import fcntl
import os
import re
from pathlib import Path

from spread_scanner.errors import SpreadError
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.frames import HEAD_BYTES

RAW, PACKED = ".wal", ".packed"
_NAME = re.compile(r"^(\d{16})(\.wal|\.packed)$")
NUMBER_MAX = 10**16 - 1  # that a name has room for
NUMBERS_LEFT_MIN = 10**9  # when a log is opened: more than its life can use
LOCK_FILE = "lock"


class LogTaken(SpreadError):
    """Another process writes the log of this folder."""


class NoNumberLeft(SpreadError):
    """A file bears so high a number that none behind it is left."""


def path_of(folder: Path, number: int) -> Path:
    """Where the segment of that number lies."""
    return folder / f"{number:016}{RAW}"


def packed_of(path: Path) -> Path:
    """Where a segment lies when it is packed, which is so of `path`, too."""
    return path.with_suffix(PACKED)


def numbered(folder: Path, suffix: str = RAW) -> dict[int, Path]:
    """All files of segments, begun or not, by number; or those that are packed. Raises OSError
    where there is no folder."""
    found = ((_NAME.match(name), name) for name in sorted(os.listdir(folder)))
    return {int(match[1]): folder / name for match, name in found if match and match[2] == suffix}


def last_number(folder: Path) -> int:
    """That a file has; 0: there is none. Raises NoNumberLeft, OSError."""
    files = numbered(folder, PACKED) | numbered(folder)
    last = max(files, default=0)
    if last > NUMBER_MAX - NUMBERS_LEFT_MIN:
        raise NoNumberLeft(
            "no segment of the log can be numbered behind this file, and no log comes so far by "
            "itself: move it away",
            file=str(files[last]),
            number_max=NUMBER_MAX - NUMBERS_LEFT_MIN,
        )
    return last


def make(disk: LogDisk, folder: Path, number: int, length: int, old: Path | None = None) -> Path:
    """Make the file of a segment ready; `old` is one that may be overwritten. Raises OSError; of
    one that fails nothing stays: a new one as the disk may be full, an old one as later ones of the
    log go next."""
    path = path_of(folder, number)
    if old is not None and old.exists():
        try:
            if _emptied(disk, old, path):
                return path
        except OSError:
            for name in (old, path):
                with contextlib.suppress(OSError):
                    disk.unlink(name)
            raise
    file = disk.open(path)
    try:
        disk.allocate(file, length)
        disk.put_zeros(file, length)
        disk.fdatasync(file)
    except OSError:
        with contextlib.suppress(OSError):
            disk.unlink(path)
        raise
    finally:
        disk.close(file)
    disk.sync_folder(folder)
    return path


def _emptied(disk: LogDisk, old: Path, path: Path) -> bool:
    """Make an old file ready under a new name; False: somebody reads it, and its name is gone."""
    file = disk.open(old)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            disk.unlink(old)
            return False
        disk.rename(old, path)
        disk.sync_folder(path.parent)
        disk.put(file, bytes(HEAD_BYTES), 0)
        disk.fdatasync(file)
    finally:
        disk.close(file)
    return True


def lock(folder: Path) -> int:
    """Hold the folder until the file that is returned is closed. Raises LogTaken, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise LogTaken("another process writes this log", folder=str(folder)) from None
    return file
