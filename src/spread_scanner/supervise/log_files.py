"""The logs of a system under `up`: <data>/logs/<process>.log, each for its user alone.

Writers are the children and the supervisor, all of them appending; the supervisor alone renews. A
log that has grown beyond LOG_BYTES_MAX begins anew, and the end of what stood in it, as much as a
log may hold, is <process>.log.1 until the next time. Without room for that copy its last TAIL_BYTES
are kept and the room is given back: what fills a disk must not be its logs. A line that is written
between the copy and the beginning is lost.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import TextIO

from spread_scanner.errors import SpreadError

LOG_BYTES_MAX = 32 << 20
TAIL_BYTES = 256 << 10  # in memory, for a moment
_PART_BYTES = 1 << 20


class CannotLog(SpreadError):
    """A folder or file where a log cannot be written."""


def opened(path: Path) -> TextIO:
    """A log, to append to; its folder is made. Raises CannotLog."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "a", encoding="utf-8", opener=open_log)
    except OSError as error:
        raise CannotLog(f"no log can be written: {error.strerror}", file=path) from None


def open_log(path: str, flags: int) -> int:
    """Opener of a log that only its user may read: it may name what the settings keep secret."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    with contextlib.suppress(PermissionError):  # somebody else's, made by a person
        os.fchmod(descriptor, 0o600)
    return descriptor


def renew(path: Path) -> None:
    """Begin a log anew that has grown too large. What cannot be done is not done."""
    with contextlib.suppress(OSError):
        size = path.stat().st_size
        if size > LOG_BYTES_MAX:
            _begin_anew(path, size, path.with_name(f"{path.name}.1"))


def _begin_anew(path: Path, size: int, kept: Path) -> None:
    if _copied(path, kept, size - LOG_BYTES_MAX):
        os.truncate(path, 0)
        return
    kept.unlink(missing_ok=True)
    with path.open("rb") as log:
        log.seek(max(0, size - TAIL_BYTES))
        tail = log.read()
    os.truncate(path, 0)
    with open(kept, "wb", opener=open_log) as copy:
        copy.write(tail)


def _copied(path: Path, kept: Path, start: int) -> bool:
    """Whether there was room for all of it from there on, and in place of the one before."""
    try:
        with path.open("rb") as log, open(kept, "wb", opener=open_log) as copy:
            log.seek(start)
            shutil.copyfileobj(log, copy, _PART_BYTES)
    except OSError:
        return False
    return True
