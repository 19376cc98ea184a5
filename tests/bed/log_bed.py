"""What tests of the log stand on: a log with every kind of record, disks that fail, and one whose
power is cut: what was not synced is there or not, sector by sector.
"""

import errno
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spread_scanner.schema.log import ARRAYS, DOCUMENT_DTYPE, DOCUMENTS, TICK_DTYPE, RecordKind
from spread_scanner.wal import frames, reader
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.writer import LogWriter

SECTOR = 512
SMALL = 16 << 10  # a segment of tests: a log of some records has several


def ticks(first: int, count: int) -> np.ndarray:
    """Ticks that can be told apart: their number is their sequence where nothing else is."""
    made = np.zeros(count, TICK_DTYPE)
    made["number"] = np.arange(first, first + count)
    made["quote"]["bid_px"] = made["number"] + 0.5
    return made


def numbers(folder: Path, since: int = 0) -> list[int]:
    """The numbers of all ticks that can be read."""
    return [
        int(number)
        for piece in reader.pieces(folder, since)
        if piece.kind is RecordKind.TICK
        for number in piece.array()["number"]
    ]


def write_every_kind(writer: LogWriter, rounds: int, *, seed: int = 1, most: int = 4) -> None:
    """Records of all kinds with random bytes in them, `most` at once, committed one by one."""
    chance = random.Random(seed)
    for _ in range(rounds):
        for kind, dtype in ARRAYS.items():
            raw = chance.randbytes(dtype.itemsize * chance.randint(1, most))
            writer.append(kind, np.frombuffer(raw, dtype))
            writer.commit()
        for kind in sorted(DOCUMENTS):
            head = np.frombuffer(chance.randbytes(DOCUMENT_DTYPE.itemsize), DOCUMENT_DTYPE)[0]
            body = chance.randbytes(chance.randint(0, 22 * most))
            writer.append_document(kind, np.array(head), body)
            writer.commit()
    writer.sync()


def write_log(folder: Path, *, damaged: bool = False) -> None:
    """A log of some ticks, in several segments."""
    writer = LogWriter(folder, segment_bytes=SMALL)
    for at in range(0, 1_000, 100):
        writer.append(RecordKind.TICK, ticks(at, 100))
        writer.commit()
    writer.close()
    if damaged:
        with reader.chain(folder)[2].path.open("r+b") as file:
            file.seek(frames.HEAD_BYTES + frames.BLOCK_HEAD_BYTES)
            file.write(b"\xff" * 8)


def contents(folder: Path) -> list[tuple[RecordKind, int, bytes]]:
    """All that can be read, to be compared: block by block."""
    return [(one.kind, one.seq, one.payload.tobytes()) for one in reader.pieces(folder)]


class CountedDisk(LogDisk):
    """Fails one call: the one of a number among its kind; knows how many of each there were.

    By kind, as the writer's two threads take turns anyhow: a number among all falls on another call
    each time, and on the few renames perhaps never.
    """

    def __init__(
        self, kind: str = "", at: int = 0, error: int = errno.EIO, *, short: bool = False
    ) -> None:
        self.kind, self.at, self.error, self.short = kind, at, error, short
        self.calls: Counter[str] = Counter()
        self.failed = ""
        self._dirty: dict[int, list[tuple[int, bytes]]] = {}
        self._lock = threading.Lock()

    def _fails(self, call: str) -> bool:
        with self._lock:
            self.calls[call] += 1
            if (call, self.calls[call] - 1) != (self.kind, self.at):
                return False
            self.failed = call
            return True

    def _refuse(self, call: str) -> None:
        if self._fails(call) and not self.short:
            raise OSError(self.error, os.strerror(self.error))

    def open(self, path: Path) -> int:
        self._refuse("open")
        return super().open(path)

    def allocate(self, file: int, length: int) -> None:
        self._refuse("allocate")
        super().allocate(file, length)

    def pwrite(self, file: int, parts: Sequence[memoryview], offset: int) -> int:
        if self._fails("pwrite"):
            half = super().pwrite(file, [parts[0][: max(1, len(parts[0]) // 2)]], offset)
            if self.short:
                return half
            raise OSError(self.error, os.strerror(self.error))
        before = os.pread(file, sum(map(len, parts)), offset)
        with self._lock:
            self._dirty.setdefault(file, []).append((offset, before))
        return super().pwrite(file, parts, offset)

    def fdatasync(self, file: int) -> None:
        with self._lock:
            dirty = self._dirty.pop(file, [])
        if self._fails("fdatasync") and not self.short:
            for offset, before in reversed(dirty):  # the kernel drops what it could not write
                os.pwrite(file, before, offset)
            raise OSError(self.error, os.strerror(self.error))
        super().fdatasync(file)

    def rename(self, old: Path, new: Path) -> None:
        self._refuse("rename")
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self._refuse("unlink")
        super().unlink(path)

    def sync_folder(self, folder: Path) -> None:
        self._refuse("sync_folder")
        super().sync_folder(folder)

    def close(self, file: int) -> None:
        super().close(file)  # the kernel lets go of it, whatever it says
        self._refuse("close")


class WatchedDisk(LogDisk):
    """Writes down what was asked of it, in its order, so that any crash can be lived afterwards."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, int, bytes]] = []  # what, file, number, data
        self._names: dict[int, str] = {}
        self._lock = threading.Lock()

    def note(self, what: str, name: str = "", number: int = 0, data: bytes = b"") -> None:
        with self._lock:
            self.events.append((what, name, number, data))

    def open(self, path: Path) -> int:
        file = super().open(path)
        self._names[file] = path.name
        self.note("open", path.name)
        return file

    def allocate(self, file: int, length: int) -> None:
        super().allocate(file, length)
        self.note("allocate", self._names[file], length)

    def pwrite(self, file: int, parts: Sequence[memoryview], offset: int) -> int:
        done = super().pwrite(file, parts, offset)
        self.note("pwrite", self._names[file], offset, b"".join(parts))
        return done

    def fdatasync(self, file: int) -> None:
        covered = len(self.events)  # what comes while it runs may not be in it
        super().fdatasync(file)
        self.note("fdatasync", self._names[file], covered)

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self._names = {
            file: new.name if name == old.name else name for file, name in self._names.items()
        }
        self.note("rename", old.name, 0, new.name.encode())

    def sync_folder(self, folder: Path) -> None:
        covered = len(self.events)
        super().sync_folder(folder)
        self.note("sync_folder", "", covered)


class KilledDisk(WatchedDisk):
    """Kills its process behind the call of one number; what is said to be safe goes into a pipe."""

    def __init__(self, at: int, said: int) -> None:
        super().__init__()
        self._left, self._said = at, said

    def note(self, what: str, name: str = "", number: int = 0, data: bytes = b"") -> None:
        if what == "durable":
            os.write(self._said, number.to_bytes(8, "little"))
            return
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


class _File:
    """A file after a crash: what was synced, and what of the rest chance has kept."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.waiting: list[tuple[int, int, bytes]] = []  # event, offset, data

    def put(self, offset: int, data: bytes) -> None:
        missing = offset + len(data) - len(self.bytes)
        self.bytes += bytes(max(0, missing))
        self.bytes[offset : offset + len(data)] = data

    def synced(self, covered: int) -> None:
        for event, offset, data in self.waiting:
            if event < covered:
                self.put(offset, data)
        self.waiting = [one for one in self.waiting if one[0] >= covered]

    def crashed(self, keeps: Callable[[], bool]) -> bytes:
        for _, offset, data in self.waiting:
            for at in range(0, len(data), SECTOR):
                if keeps():
                    self.put(offset + at, data[at : at + SECTOR])
        return bytes(self.bytes)


def crash(events: list[tuple[str, str, int, bytes]], folder: Path, chance: random.Random) -> None:
    """The folder as it may be found after the power was cut behind these events."""
    files: dict[str, _File] = {}
    names: dict[str, str] = {}  # what the folder on the disk calls a file -> what it is called now
    changes: list[tuple[int, str, str]] = []
    for number, (what, name, value, data) in enumerate(events):
        if what == "open" and name not in files:
            files[name] = _File()
            changes.append((number, "", name))
        elif what == "pwrite":
            files[name].waiting.append((number, value, data))
        elif what == "fdatasync":
            files[name].synced(value)
        elif what == "rename":
            files[data.decode()] = files.pop(name)
            changes.append((number, name, data.decode()))
        elif what == "sync_folder":
            names = _renamed(names, [one for one in changes if one[0] < value])
            changes = [one for one in changes if one[0] >= value]
    kept = changes[: chance.randint(0, len(changes))]  # a journal keeps their order
    keep_all = chance.choice((0.0, 0.5, 1.0))
    later = {old: new for _, old, new in changes[len(kept) :] if old}
    for name in _renamed(names, kept):
        now = name
        while now in later:
            now = later[now]
        if now in files:
            raw = files[now].crashed(lambda: chance.random() < keep_all)
            (folder / name).write_bytes(raw)


class Crashed(NamedTuple):
    """A folder after the power was cut."""

    folder: Path
    events: list[tuple[str, str, int, bytes]]  # until then
    safe: int  # what was called so last
    said: str  # how to have it again


def crashes(disk: WatchedDisk, beside: Path, seed: int, count: int) -> Iterator[Crashed]:
    """So many, each anywhere in what was asked of the disk."""
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        events = disk.events[: chance.randint(0, len(disk.events))]
        folder = beside / f"crash-{number}"
        folder.mkdir()
        crash(events, folder, chance)
        safe = max((one[2] for one in events if one[0] == "durable"), default=0)
        said = f"SPREAD_SEED={seed}, crash {number}, behind event {len(events)}"
        yield Crashed(folder, events, safe, said)


def _renamed(names: dict[str, str], changes: list[tuple[int, str, str]]) -> dict[str, str]:
    renamed = dict(names)
    for _, old, new in changes:
        renamed.pop(old, None)
        renamed[new] = new
    return renamed
