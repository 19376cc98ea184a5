"""Packs closed segments of the log: a process of its own, at low priority, by the recorder.

Each is written under a name that nobody reads, synced, read back from the disk and compared byte
for byte, and renamed. The segment itself stays: the log's writer takes its file back
(LogWriter.give_back), as nobody else knows which files wait to be used again. So whenever this is
killed a segment is there as it was, or both ways. One that does not come out as it was stays as it
is, as does one that is damaged.

One packs at a time: a recorder that was killed leaves its child at work, and the next one starts
another, which waits for that.
"""

import contextlib
import fcntl
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from spread_scanner.errors import SpreadError
from spread_scanner.schema.names import EXIT_DONE, EXIT_FAILED, EXIT_SETTINGS
from spread_scanner.wal import packed, reader, segments
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.packed import NotPacked
from spread_scanner.wal.priority import give_way
from spread_scanner.wal.reader import Link, NoLog

RAW_BYTES_MIN = 1 << 30  # the newest stay as they are: starts and questions read these
TOGETHER = 8  # segments for which it is worth while to start a process
_MADE = ".made"


def due(links: Sequence[Link]) -> list[Link]:
    """Those of a log, all of whose segments these are, that may be packed."""
    room, found = RAW_BYTES_MIN, []
    for link in reversed(links):
        if room <= 0 and _may_be(link) and not segments.packed_of(link.path).exists():
            found.append(link)
        room -= int(link.head["segment_bytes"])
    return found[::-1]


def _may_be(link: Link) -> bool:
    """Whether it is closed, by its head and the next one's, and this version's."""
    closed = link.whole and link.end is not None
    return closed and not link.is_packed and not link.strange


def pack(folder: Path, numbers: Collection[int], disk: LogDisk) -> list[int]:
    """Pack these segments, as far as they are in the log; which were. Raises NoLog, OSError."""
    done = []
    with _alone(folder):
        _clear(folder, disk)
        for link in reader.linked(folder):
            if link.number in numbers and _may_be(link):
                with contextlib.suppress(NotPacked, FileNotFoundError):
                    _pack(link, disk)
                    done.append(link.number)
    return done


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """While nobody else packs there, for which it waits. Raises NoLog, OSError."""
    try:
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NoLog("there is no log", folder=str(folder)) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _pack(link: Link, disk: LogDisk) -> None:
    """One of them. Raises NotPacked, OSError; FileNotFoundError where it left the log meanwhile."""
    data = reader.readable(reader.mapped(link.path), link.path)
    walked = reader.walk(link, data)
    if walked.hole is not None:
        raise NotPacked("a segment that is damaged", file=str(link.path))
    place = segments.packed_of(link.path)
    made = place.with_name(place.name + _MADE)
    try:
        _write(made, packed.pack(data, walked.blocks), disk)
        if packed.unpacked(made).tobytes() != data[: link.end].tobytes():
            raise NotPacked("it does not come out as it was", file=str(link.path))
        disk.rename(made, place)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    disk.sync_folder(place.parent)
    if link.number not in {one.number for one in reader.linked(place.parent)}:
        disk.unlink(place)  # it left the log meanwhile


def _write(path: Path, body: bytes, disk: LogDisk) -> None:
    """On the disk, and out of memory: what is read next comes from there. Raises OSError."""
    file = disk.open(path)
    try:
        disk.truncate(file)
        disk.put(file, body, 0)
        disk.fdatasync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        disk.close(file)


def _clear(folder: Path, disk: LogDisk) -> None:
    """What one that was killed has left."""
    for path in folder.glob(f"*{segments.PACKED}{_MADE}"):
        disk.unlink(path)


def main(arguments: list[str]) -> int:
    """The process: the log's folder, and the numbers of segments."""
    if len(arguments) < 2 or not all(one.isdecimal() for one in arguments[1:]):
        sys.stderr.write("a folder and numbers of segments are needed\n")
        return EXIT_SETTINGS
    give_way()
    try:
        done = pack(Path(arguments[0]), [int(one) for one in arguments[1:]], LogDisk())
    except (SpreadError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    sys.stdout.write(f"{len(done)} segments packed\n")
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
