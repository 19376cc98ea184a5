"""The last quote of every cell, beside the log, so that a start need not read all of that.

Writer:  the log's.     Readers: who begins anew and wants to know what stood.

A file, whole or not at all: written beside, synced, renamed; the one before is kept, for the case
that this one decays. It says up to which record of the log it knows everything: of the rest, the
tail, whatever is newer counts. That record was on the disk: no later life gives its number again.
"""

import contextlib
from pathlib import Path
from typing import NamedTuple

import google_crc32c
import numpy as np

from spread_scanner.errors import SpreadError
from spread_scanner.schema.log import FIRST_KINDS, FIRST_LAYOUT, TICK_DTYPE, RecordKind, layouts
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.times import LogTimes

SNAPSHOT = "snapshot"
PREVIOUS = "snapshot.previous"
_MADE = "snapshot.new"
_MAGIC = int.from_bytes(b"SPRDLAST", "little")

SNAPSHOT_HEAD_DTYPE = np.dtype(
    [
        ("magic", "<u8"),
        ("layout", "<u8"),  # of a tick, as schema.log.layouts has it; of all kinds once
        ("seq", "<u8"),  # all records before it are known here
        ("anchor_ns", "<i8"),
        ("created_wall_ns", "<i8"),
        ("created_mono_ns", "<i8"),
        ("boot", "S36"),
        ("tables_bytes", "<u4"),
        ("quotes", "<u8"),
        ("reserved", "V28"),
        ("crc", "<u4"),  # of the head before it, and of all behind it
    ]
)


class BadSnapshot(SpreadError):
    """A snapshot that cannot be used."""


class Snapshot(NamedTuple):
    """What stood. The ticks bear no number."""

    seq: int
    times: LogTimes
    tables: bytes  # as the log has them: a body of RecordKind.TABLES
    quotes: np.ndarray  # TICK_DTYPE, one of each cell that was ever written


def write(folder: Path, snapshot: Snapshot, disk: LogDisk) -> None:
    """Put it in place. Raises OSError; the one before stands then."""
    head = np.zeros((), SNAPSHOT_HEAD_DTYPE)
    head["magic"], head["layout"], head["seq"] = _MAGIC, _layout(), snapshot.seq
    head["anchor_ns"], head["boot"] = snapshot.times.anchor_ns, snapshot.times.boot
    head["created_wall_ns"], head["created_mono_ns"] = snapshot.times[1:3]
    head["tables_bytes"], head["quotes"] = len(snapshot.tables), len(snapshot.quotes)
    rest = snapshot.tables + snapshot.quotes.tobytes()
    head["crc"] = google_crc32c.extend(google_crc32c.value(head.tobytes()[:-4]), rest)
    made, place = folder / _MADE, folder / SNAPSHOT
    file = disk.open(made)
    try:
        disk.truncate(file)
        disk.put(file, head.tobytes() + rest, 0)
        disk.fdatasync(file)
    finally:
        disk.close(file)
    if place.exists():
        disk.rename(place, folder / PREVIOUS)
    disk.rename(made, place)
    disk.sync_folder(folder)


def _layout() -> int:
    """Of what it holds."""
    return layouts()[RecordKind.TICK]


def newest(folder: Path) -> tuple[Snapshot | None, list[str]]:
    """The newest that is whole, and what was wrong with those that are not."""
    troubles: list[str] = []
    for name in (SNAPSHOT, PREVIOUS):
        try:
            return read(folder / name), troubles
        except FileNotFoundError:
            continue
        except (BadSnapshot, OSError) as error:
            troubles.append(str(error))
    return None, troubles


def known_seq(folder: Path) -> int:
    """All records before it are known by each snapshot that is whole: they may leave the log, as
    the newest may decay afterwards. 0: there is none."""
    known = []
    for name in (SNAPSHOT, PREVIOUS):
        with contextlib.suppress(BadSnapshot, OSError):
            known.append(read(folder / name).seq)
    return min(known, default=0)


def read(path: Path) -> Snapshot:
    """One that is whole. Raises BadSnapshot, OSError."""
    raw = path.read_bytes()
    size = SNAPSHOT_HEAD_DTYPE.itemsize
    head = np.frombuffer(raw[:size].ljust(size, b"\0"), SNAPSHOT_HEAD_DTYPE)[0]
    if head["magic"] != _MAGIC:
        raise BadSnapshot("no snapshot of a log", file=str(path))
    if google_crc32c.extend(google_crc32c.value(raw[: size - 4]), raw[size:]) != head["crc"]:
        raise BadSnapshot("a snapshot that is damaged", file=str(path))
    said = int(head["layout"])
    if (FIRST_KINDS[RecordKind.TICK] if said == FIRST_LAYOUT else said) != _layout():
        raise BadSnapshot("a snapshot of another version", file=str(path))
    end = size + int(head["tables_bytes"])
    quotes = np.frombuffer(raw, TICK_DTYPE, int(head["quotes"]), end)
    return Snapshot(int(head["seq"]), LogTimes.of(head), raw[size:end], quotes)
