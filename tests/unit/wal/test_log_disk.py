"""What is asked of the disk beyond one call: all of it is written however little each takes, zeros
follow to a border of the page cache, and what goes past that is there for everybody.
"""

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from log_bed import ticks

from spread_scanner.schema.log import RecordKind
from spread_scanner.wal import reader, segments
from spread_scanner.wal.disk import PAGE_BYTES, ZEROS_BEHIND_MAX, LogDisk
from spread_scanner.wal.frames import BLOCK_HEAD_BYTES, COPY_BYTES, HEAD_BYTES
from spread_scanner.wal.writer import MUCH_BYTES, LogWriter

OLD = b"\xaa"
LENGTH = 4 * PAGE_BYTES


class ShortDisk(LogDisk):
    """Takes no more than so many bytes at once."""

    def __init__(self, most: int) -> None:
        self.most, self.calls = most, 0

    def pwrite(self, file: int, parts: Sequence[memoryview], offset: int) -> int:
        self.calls += 1
        whole = memoryview(b"".join(parts))
        return super().pwrite(file, (whole[: self.most],), offset)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file that was something else before."""
    path = tmp_path / "old"
    path.write_bytes(OLD * LENGTH)
    return path


@pytest.mark.parametrize("most", [1, 7, 100, PAGE_BYTES, LENGTH])
@pytest.mark.parametrize(
    ("offset", "length", "zeros"),
    [
        (0, 10, 0),
        (0, 10, PAGE_BYTES - 10),
        (PAGE_BYTES + 100, 300, PAGE_BYTES - 400),
        (100, PAGE_BYTES, 2 * PAGE_BYTES - 100),
        (0, 0, 40),
        (0, LENGTH, 0),
    ],
)
def test_so_many_zeros_follow_and_no_more(
    old: Path, most: int, offset: int, length: int, zeros: int
) -> None:
    disk = ShortDisk(most)
    file = disk.open(old)
    disk.put(file, b"\x55" * length, offset, zeros=zeros)
    disk.close(file)
    rest = LENGTH - offset - length - zeros
    assert old.read_bytes() == OLD * offset + b"\x55" * length + bytes(zeros) + OLD * rest
    assert disk.calls == -(-(length + zeros) // most)


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("length", [0, 512, PAGE_BYTES, 5_000, 2 * PAGE_BYTES, LENGTH])
def test_zeros_are_there_for_whoever_reads_with_the_page_cache_or_past_it(
    old: Path, monkeypatch: pytest.MonkeyPatch, length: int, refused: bool
) -> None:
    """`refused`: by a file system that lets nothing past the page cache."""
    if refused:
        asked = fcntl.fcntl

        def answer(file: int, what: int, flags: int = 0) -> int:
            if what == fcntl.F_SETFL and flags & os.O_DIRECT:
                raise OSError(22, "Invalid argument")
            return asked(file, what, flags)

        monkeypatch.setattr(fcntl, "fcntl", answer)
    disk = LogDisk()
    file = disk.open(old)
    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    disk.put_zeros(file, length)
    assert fcntl.fcntl(file, fcntl.F_GETFL) == flags
    disk.close(file)
    assert old.read_bytes() == bytes(length) + OLD * (LENGTH - length)


def test_a_file_system_that_takes_the_flag_and_no_write_past_the_page_cache_has_segments(
    tmp_path: Path,
) -> None:
    class Refusing(LogDisk):
        refused = 0

        def pwrite(self, file: int, parts: Sequence[memoryview], offset: int) -> int:
            if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_DIRECT:
                self.refused += 1
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            return super().pwrite(file, parts, offset)

    disk = Refusing()
    writer = LogWriter(tmp_path, segment_bytes=16 << 10, disk=disk)
    writer.append(RecordKind.TICK, ticks(0, 3))
    writer.sync()
    assert (writer.durable_seq, writer.segments_failed) == (3, 0)
    assert disk.refused > 0
    writer.close()


@pytest.mark.parametrize("call", ["allocate", "put_zeros", "fdatasync"])
def test_of_a_segment_that_a_full_disk_refuses_nothing_stays(tmp_path: Path, call: str) -> None:
    """Else each try would leave one more, and take what room is left."""
    disk = LogDisk()

    def refused(file: int, *_: object) -> None:
        os.ftruncate(file, PAGE_BYTES)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(disk, call, refused)
        with pytest.raises(OSError, match="No space left"):
            segments.make(disk, tmp_path, 1, 16 << 10)
    assert list(tmp_path.iterdir()) == []
    path = segments.make(disk, tmp_path, 2, 16 << 10)
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_past_the_page_cache_that_fails_leaves_the_file_as_it_was_opened(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise OSError(5, "Input/output error")

    disk = LogDisk()
    file = disk.open(old)
    monkeypatch.setattr(disk, "pwrite", refused)
    flags = fcntl.fcntl(file, fcntl.F_GETFL)
    with pytest.raises(OSError, match="output error"):
        disk.put_zeros(file, LENGTH)
    assert fcntl.fcntl(file, fcntl.F_GETFL) == flags
    disk.close(file)


def test_a_block_over_an_old_segment_leaves_nothing_of_it_in_its_last_page(tmp_path: Path) -> None:
    """So the kernel need not read that page, which may long have left memory."""
    path = segments.path_of(tmp_path, 1)
    path.write_bytes(OLD * (16 << 10))  # waits to be used again: no head says otherwise
    writer = LogWriter(tmp_path, segment_bytes=16 << 10)
    writer.append(RecordKind.TICK, ticks(0, 3))
    writer.sync()
    (link,) = reader.chain(tmp_path)
    data = reader.mapped(link.path)
    end = reader.walk(link, data).end
    border = HEAD_BYTES + PAGE_BYTES
    assert end < border
    assert not data[end:border].any()
    assert data[border:-COPY_BYTES].tobytes() == OLD * (len(data) - border - COPY_BYTES)
    writer.close()


@pytest.mark.parametrize("segment_bytes", [256 << 10, (160 << 10) + 512])
def test_where_much_is_written_between_two_syncs_zeros_go_to_the_border_of_a_larger_piece(
    tmp_path: Path, segment_bytes: int
) -> None:
    """Once for each piece; and never beyond the segment's end, where that comes first."""

    class Counting(LogDisk):
        def __init__(self) -> None:
            self.puts: list[tuple[int, int, int]] = []  # begin, bytes, zeros

        def put(self, file: int, data: bytes | memoryview, offset: int, *, zeros: int = 0) -> None:
            if len(data) == block_bytes:
                self.puts.append((offset, len(data), zeros))
            super().put(file, data, offset, zeros=zeros)

    path = segments.path_of(tmp_path, 1)
    path.write_bytes(OLD * segment_bytes)
    disk, few = Counting(), ticks(0, 100)
    block_bytes = BLOCK_HEAD_BYTES + few.nbytes
    writer = LogWriter(tmp_path, segment_bytes=segment_bytes, disk=disk)
    while HEAD_BYTES + (len(disk.puts) + 1) * block_bytes <= segment_bytes - COPY_BYTES:
        writer.append(RecordKind.TICK, few)
        writer.write()
    clean = HEAD_BYTES
    for number, (offset, length, zeros) in enumerate(disk.puts):
        end = offset + length
        border = ZEROS_BEHIND_MAX if number * block_bytes >= MUCH_BYTES else PAGE_BYTES
        clean = max(clean, min(-(-end // border) * border, segment_bytes - COPY_BYTES))
        assert zeros in (0, clean - end)
    (link,) = reader.chain(tmp_path)
    data = link.path.read_bytes()
    assert max(zeros for *_, zeros in disk.puts) > PAGE_BYTES
    assert data[clean:] == OLD * (segment_bytes - clean)
    assert not any(data[disk.puts[-1][0] + block_bytes : clean])
    walked = reader.walk(link, reader.mapped(link.path))
    assert (walked.hole, walked.next_seq) == (None, len(disk.puts) * len(few))
    writer.close()
