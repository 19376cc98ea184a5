"""What is kept of the log as Parquet: which segments are in it, and which files hold them.

Writer:  the compaction, and the retention behind it, under the folder's lock.     Readers: anyone.

`kept.json` is the truth: it takes its predecessor's place in one rename, after all files that it
names are on the disk. A file that it does not name was left by a compaction that was killed: nobody
reads it, and the next one removes it.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path, PurePath
from typing import NamedTuple

import msgspec
from msgspec import Struct

from spread_scanner.errors import SpreadError, Unusable
from spread_scanner.symbology import replacing

KEPT_FILE = "kept.json"
LOCK_FILE = "lock"
FORMAT = 1


class HistoryTaken(SpreadError):
    """Another compaction works in this folder."""


class HistoryKind(StrEnum):
    """What a file of the history holds; the folder that it lies in."""

    TICKS = "ticks"
    BOOKS = "books"
    BOOK_CHANGES = "book_changes"
    CANDLES_1S = "candles_1s"
    CANDLES_1M = "candles_1m"
    SIGNALS = "signals"
    FOLLOW_UPS = "follow_ups"
    GAPS = "gaps"


class KeptFile(Struct, frozen=True):
    """One file, by its path below the folder."""

    path: str
    kind: HistoryKind
    rows: int
    bytes: int
    newest_ns: int  # of its hour's end, on the session clock: it goes by this age

    @property
    def source(self) -> str:
        """Whose rows it has; empty: of all."""
        return PurePath(self.path).parent.name.partition("source=")[2]


class PartEnd(NamedTuple):
    """Where segments end, by the one behind them."""

    seq: int  # its first record
    ts: int  # when it was begun, on the session clock


class KeptHistory(Struct, frozen=True):
    """The history of a folder."""

    format: int = FORMAT
    segments: tuple[tuple[int, int], ...] = ()  # number and CRC of those of the log that are in it
    files: tuple[KeptFile, ...] = ()
    symbols: dict[int, str] = {}  # as they were called behind the last of these segments
    end: PartEnd | None = None  # of that one; None: nothing is kept, or nobody noted it

    def of(self, kind: HistoryKind) -> list[KeptFile]:
        """The files of a kind, the oldest first."""
        return sorted((file for file in self.files if file.kind is kind), key=lambda one: one.path)


def read(folder: Path) -> KeptHistory:
    """What is kept there; nothing, where nothing was kept yet. Raises Unusable, OSError."""
    path = folder / KEPT_FILE
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=KeptHistory)
    except FileNotFoundError:
        return KeptHistory()
    except msgspec.MsgspecError as error:
        raise Unusable(f"the history's list cannot be read: {error}", file=str(path)) from None
    if kept.format != FORMAT:
        raise Unusable("a history of another version", file=str(path), format=kept.format)
    return kept


def write(folder: Path, kept: KeptHistory) -> None:
    """Put a list in force, on the disk. Raises OSError."""
    replacing.replace(folder / KEPT_FILE, msgspec.json.encode(kept))
    replacing.sync_folder(folder)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder. Raises HistoryTaken, OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise HistoryTaken("another compaction is at work", folder=str(folder)) from None
    finally:
        os.close(file)


def clear_leftovers(folder: Path, kept: KeptHistory) -> None:
    """Remove what a compaction that was killed has left. Raises OSError."""
    named = {file.path for file in kept.files}
    for kind in HistoryKind:
        for path in (folder / kind).rglob("*.parquet*"):
            if str(path.relative_to(folder)) not in named:
                path.unlink()
