"""Appending and reading: what is committed is there, in order, over segments, lives and reuse."""

import errno
import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from log_bed import SMALL, CountedDisk, contents, numbers, ticks, write_every_kind, write_log

import bed as waits
from spread_scanner.clock import VirtualClock
from spread_scanner.schema.log import DOCUMENT_DTYPE, RecordKind
from spread_scanner.wal import frames, reader, segments
from spread_scanner.wal.salvage import examine
from spread_scanner.wal.writer import DOCUMENT_PART_BYTES, SPARES_MAX, TRIES, LogWriter, Origin


def test_what_is_synced_is_read_back_in_order(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    writer.append(RecordKind.TICK, ticks(0, 2_000))
    assert (writer.appended_seq, writer.durable_seq) == (1_636, 0)  # two whole blocks so far
    writer.sync()
    assert (writer.appended_seq, writer.durable_seq) == (2_000, 2_000)
    assert numbers(tmp_path) == list(range(2_000))
    assert numbers(tmp_path, since=1_900)[-100:] == list(range(1_900, 2_000))
    writer.close()
    found = examine(tmp_path)
    assert (found.next_seq, found.closed, found.holes) == (2_000, True, [])
    assert found.records[RecordKind.TICK] == 2_000


def test_every_kind_comes_back_as_it_was(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    write_every_kind(writer, 20)
    writer.close()
    found = contents(tmp_path)
    assert {kind for kind, _, _ in found} == set(RecordKind) - {RecordKind.CLOSE}
    again = LogWriter(tmp_path / "again", segment_bytes=2 * SMALL)
    write_every_kind(again, 20)
    again.close()
    assert contents(tmp_path / "again") == found, "whatever the size of its segments"


def test_a_long_document_comes_back_whole(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    body = np.random.default_rng(1).bytes(3 * DOCUMENT_PART_BYTES + 5)
    writer.append_document(RecordKind.TABLES, np.zeros((), DOCUMENT_DTYPE), body)
    writer.append_document(RecordKind.SETTINGS, np.zeros((), DOCUMENT_DTYPE), b"")
    writer.close()
    parts = [piece.document() for piece in reader.pieces(tmp_path)]
    assert b"".join(part for _, part in parts[:-1]) == body
    assert [(int(head["part"]), int(head["parts"])) for head, _ in parts] == [
        *((part, 4) for part in range(4)),
        (0, 1),
    ]


def test_a_new_life_goes_on_where_the_one_before_ended(tmp_path: Path) -> None:
    for life in range(5):
        writer = LogWriter(tmp_path, segment_bytes=SMALL)
        assert writer.durable_seq == writer.appended_seq == 100 * life
        assert writer.torn is None
        writer.append(RecordKind.TICK, ticks(100 * life, 100))
        writer.close()
    assert numbers(tmp_path) == list(range(500))
    assert len(segments.numbered(tmp_path)) == 6, "a file that was made ready is used"


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    with pytest.raises(segments.LogTaken):
        LogWriter(tmp_path)
    writer.close()
    LogWriter(tmp_path).close()


@pytest.mark.parametrize("suffix", [segments.RAW, segments.PACKED])
def test_a_file_behind_whose_number_none_is_left_is_refused_by_its_name(
    tmp_path: Path, suffix: str
) -> None:
    write_log(tmp_path)
    last, foreign = max(segments.numbered(tmp_path)), tmp_path / f"{segments.NUMBER_MAX}{suffix}"
    foreign.write_bytes(b"of somebody else")
    for _ in range(2):
        with pytest.raises(segments.NoNumberLeft, match=foreign.name):
            LogWriter(tmp_path)
    assert numbers(tmp_path) == list(range(1_000))
    highest = segments.NUMBER_MAX - segments.NUMBERS_LEFT_MIN
    foreign.rename(tmp_path / f"{highest}{suffix}")
    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    writer.append(RecordKind.TICK, ticks(1_000, 10))
    writer.close()
    assert max(segments.numbered(tmp_path)) == highest + 1 > last
    assert numbers(tmp_path) == list(range(1_010))


def test_old_segments_are_used_again_and_their_records_leave_the_log(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    for at in range(0, 3_000, 50):
        writer.append(RecordKind.TICK, ticks(at, 50))
        writer.sync()
        links = reader.chain(tmp_path)
        if len(links) > 3:
            writer.reuse(links[0].path)
            del links
    writer.close()
    files = segments.numbered(tmp_path)
    assert len(files) <= 10, "of thirty; what waits to be used again is so when one is made next"
    assert max(files) > 12
    found = numbers(tmp_path)
    assert found == list(range(found[0], 3_000))
    assert found[0] > 2_000
    assert examine(tmp_path).holes == []


def write_on(writer: LogWriter, count: int) -> None:
    """So many blocks of fifty ticks, each on the disk."""
    for _ in range(count):
        writer.append(RecordKind.TICK, ticks(writer.appended_seq, 50))
        writer.sync()


@pytest.mark.parametrize("call", ["open", "rename", "sync_folder", "pwrite", "fdatasync"])
def test_of_an_old_file_that_cannot_be_used_again_nothing_stays(tmp_path: Path, call: str) -> None:
    """Later ones go next: nothing would lead to it any more."""
    writer = LogWriter(tmp_path, segment_bytes=SMALL)

    def looked_on(count: int) -> None:
        for _ in range(count):
            write_on(writer, 1)
            assert reader.cut_off(tmp_path) == []

    looked_on(20)
    oldest, second = (link.path for link in reader.chain(tmp_path)[:2])
    assert writer.reuse(oldest)
    assert writer.reuse(second)
    disk = CountedDisk(call)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):  # as the thread that makes them
        segments.make(disk, tmp_path, 10**6, SMALL, writer._spare.pop(0))
    assert not oldest.exists()
    assert 10**6 not in segments.numbered(tmp_path)
    looked_on(40)
    writer.close()
    found = numbers(tmp_path)
    assert found == list(range(found[0], writer.durable_seq))


def test_what_somebody_reads_is_not_used_again(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    for at in range(0, 600, 50):
        writer.append(RecordKind.TICK, ticks(at, 50))
        writer.sync()
    pieces = list(reader.pieces(tmp_path))
    for link in reader.chain(tmp_path)[:-1]:
        writer.reuse(link.path)
    for at in range(600, 3_000, 50):
        writer.append(RecordKind.TICK, ticks(at, 50))
        writer.sync()
    writer.close()
    read = [int(number) for piece in pieces for number in piece.array()["number"]]
    assert read == list(range(600)), "the reader's own are as they were"


def test_a_segment_that_is_used_again_before_a_reader_comes_to_it_is_no_damage(
    tmp_path: Path,
) -> None:
    writer = LogWriter(tmp_path, segment_bytes=SMALL)

    write_on(writer, 20)
    first = [link.path for link in reader.chain(tmp_path)[:3]]
    late, midst = reader.pieces(tmp_path), reader.pieces(tmp_path)
    next(midst)  # holds the first segment, and has seen the names of the others
    links = reader.chain
    seen = links(tmp_path)
    for path in first[1:]:
        writer.reuse(path)
    write_on(writer, 20)
    with pytest.raises(reader.LogLeft):
        list(midst)
    found = [int(number) for piece in late for number in piece.array()["number"]]
    assert found == list(range(found[0], 2_000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader, "chain", lambda _: seen[1:])
        found = numbers(tmp_path)
    assert found[0] >= seen[3].first_seq
    writer.close()


def test_what_leaves_the_log_while_it_is_verified_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(tmp_path, segment_bytes=SMALL)

    write_on(writer, 20)
    seen = reader.chain(tmp_path)
    for link in seen[:2]:
        writer.reuse(link.path)
    write_on(writer, 4)
    seen[2].path.unlink()
    monkeypatch.setattr(reader, "chain", lambda _: seen)
    found = examine(tmp_path)
    assert (found.holes, found.records[RecordKind.TICK]) == ([], 1_000 - seen[3].first_seq)
    monkeypatch.setattr(reader, "chain", lambda _: seen[:2])
    found = examine(tmp_path)
    assert (found.holes, found.records.total(), found.closed) == ([], 0, False)
    writer.close()


def test_what_is_taken_for_another_use_while_the_log_is_looked_at_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever makes it ready locks it, renames it and clears its head."""
    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    write_on(writer, 20)
    first, *later = reader.chain(tmp_path)
    with first.path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert reader.chain(tmp_path) == later
        assert (reader.cut_off(tmp_path), examine(tmp_path).holes) == ([], [])
    flock = fcntl.flock

    def too_late(file: IO[bytes], how: int) -> None:
        """It is opened under the old name."""
        if first.path.exists() and os.path.samestat(os.fstat(file.fileno()), first.path.stat()):
            new = first.path.rename(tmp_path / f"{99:016}.wal")
            with new.open("r+b") as head:
                head.write(bytes(frames.HEAD_BYTES))
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", too_late)
    assert [link.number for link in reader.chain(tmp_path)] == [link.number for link in later]
    assert not first.path.exists()
    assert examine(tmp_path).holes == []
    monkeypatch.undo()
    writer.close()


def test_a_segment_that_is_begun_while_it_is_looked_at_has_not_lost_its_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a file that was used before: an older use has left a block there."""
    write_log(tmp_path / "log")
    path = reader.chain(tmp_path / "log")[0].path
    whole = path.read_bytes()
    path.write_bytes(bytes(frames.HEAD_BYTES) + whole[frames.HEAD_BYTES :])
    copy_of_head = reader._copy_of_head

    def meanwhile(of: Path) -> np.ndarray | None:
        with of.open("r+b") as file:
            file.write(whole[: frames.HEAD_BYTES])
            file.seek(-frames.COPY_BYTES, os.SEEK_END)
            file.write(bytes(frames.COPY_BYTES))
        return copy_of_head(of)

    monkeypatch.setattr(reader, "_copy_of_head", meanwhile)
    assert reader.waits(path)
    assert not reader.waits(path), "it is whole by now"


def test_a_quiet_log_is_safe_without_another_record(tmp_path: Path) -> None:
    """Rule D7, of the writer: whoever commits by a timer has it on the disk."""
    writer = LogWriter(tmp_path)
    writer.append(RecordKind.TICK, ticks(0, 1))
    assert numbers(tmp_path) == []
    writer.commit()
    assert numbers(tmp_path) == [0]
    writer.sync()
    assert writer.durable_seq == 1
    writer.close()


def test_a_clock_that_is_set_changes_nothing(tmp_path: Path, virtual_clock: VirtualClock) -> None:
    """Rule D9: by an hour back, and two on: the order is that of arrival, and nothing is missed."""
    for life, step_ms in enumerate((0, -3_600_000, 7_200_000)):
        virtual_clock.step_wall_ms(step_ms)
        writer = LogWriter(tmp_path, Origin("here", 7, virtual_clock.wall_ns()))
        writer.append(RecordKind.TICK, ticks(10 * life, 10))
        writer.close()
    assert numbers(tmp_path) == list(range(30))


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_while_a_disk_refuses_nothing_is_lost_and_nothing_is_called_safe(
    tmp_path: Path, virtual_clock: VirtualClock, error: int
) -> None:
    class Full(CountedDisk):
        full = False

        def pwrite(self, file: int, parts: Sequence[memoryview], offset: int) -> int:
            if self.full:
                raise OSError(error, "refused")
            return super().pwrite(file, parts, offset)

    disk = Full()
    writer = LogWriter(tmp_path, segment_bytes=SMALL, disk=disk)
    writer.append(RecordKind.TICK, ticks(0, 50))
    writer.sync()
    disk.full = True
    writer.append(RecordKind.TICK, ticks(50, 50))
    writer.sync()
    assert "refused" in writer.refusal
    assert writer.segments_failed
    assert (writer.durable_seq, writer.appended_seq) == (50, 100)
    assert numbers(tmp_path) == list(range(50))
    failed = writer.segments_failed
    writer.commit()
    assert writer.segments_failed == failed, "it is not asked again at once"
    disk.full = False
    virtual_clock.advance_ms(2_000)
    writer.sync()
    assert writer.refusal == ""
    assert writer.durable_seq == 100
    writer.close()
    assert numbers(tmp_path) == list(range(100))


class Picky(CountedDisk):
    """Takes no head of a segment, or no block, while it is picky; files of it may have to stay."""

    def __init__(self, refused: str, *, keeps: bool = False) -> None:
        super().__init__()
        self._heads, self._keeps = refused == "heads", keeps
        self.picky = False

    def pwrite(self, file: int, parts: Sequence[memoryview], offset: int) -> int:
        is_head = offset == 0 and len(parts[0]) == frames.HEAD_DTYPE.itemsize
        if self.picky and any(b"".join(parts)) and is_head == self._heads:
            raise OSError(errno.EIO, "refused")
        return super().pwrite(file, parts, offset)

    def unlink(self, path: Path) -> None:
        if self._keeps:
            raise OSError(errno.EIO, "refused")
        super().unlink(path)


def failing_for_a_while(folder: Path, disk: Picky, clock: VirtualClock) -> None:
    """A life in which segment after segment fails, and that goes on when they do not any more."""
    writer = LogWriter(folder, segment_bytes=SMALL, disk=disk)
    writer.append(RecordKind.TICK, ticks(0, 50))
    writer.sync()
    disk.picky = True
    for at in range(50, 350, 50):  # more than the segment has room for
        clock.advance_ms(2_000)
        writer.append(RecordKind.TICK, ticks(at, 50))
        writer.commit()
    assert writer.segments_failed > 3 * TRIES
    disk.picky = False
    clock.advance_ms(2_000)
    writer.sync()
    assert numbers(folder) == list(range(350))
    writer.close()


def no_part_of_the_log(folder: Path) -> set[int]:
    """Segments that were begun, and lie there for nothing."""
    files = segments.numbered(folder)
    waiting = {number for number, path in files.items() if reader.waits(path)}
    assert len(waiting) <= 1, "the next one"
    return set(files) - waiting - {link.number for link in reader.chain(folder)}


@pytest.mark.parametrize("refused", ["heads", "blocks"])
def test_segments_that_fail_at_once_do_not_fill_the_disk(
    tmp_path: Path, virtual_clock: VirtualClock, refused: str
) -> None:
    """They are made, and nothing can be written to them: none stays that is no part of the log."""
    failing_for_a_while(tmp_path, Picky(refused), virtual_clock)
    assert not no_part_of_the_log(tmp_path)


def test_segments_that_failed_in_a_life_before_go_with_the_first_of_this_one(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    """Whoever was killed, or refused, before they went has left them."""
    failing_for_a_while(tmp_path, Picky("blocks", keeps=True), virtual_clock)
    assert len(no_part_of_the_log(tmp_path)) > 3 * TRIES
    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    writer.append(RecordKind.TICK, ticks(350, 50))
    writer.close()
    assert not no_part_of_the_log(tmp_path)
    assert numbers(tmp_path) == list(range(400))


def test_of_old_segments_that_are_given_up_none_stays_that_nothing_leads_to(
    tmp_path: Path,
) -> None:
    """More at once than are used again before the writer's life ends."""
    for life in range(3):
        writer = LogWriter(tmp_path, segment_bytes=SMALL)
        for _ in range(8):
            writer.append(RecordKind.TICK, ticks(0, 150))
            writer.sync()
        given = [link.path for link in reader.chain(tmp_path)[:-2]]
        assert len(given) > SPARES_MAX, life
        for path in given:
            writer.reuse(path)
        writer.close()
        assert not no_part_of_the_log(tmp_path)


def test_what_cannot_be_written_fills_memory_to_a_bound(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    class Broken(CountedDisk):
        def fdatasync(self, file: int) -> None:
            raise OSError(errno.EIO, "broken")

    writer = LogWriter(tmp_path, segment_bytes=1 << 20, disk=Broken())
    block = ticks(0, 818)
    while writer.room:
        writer.append(RecordKind.TICK, block)
    assert writer.durable_seq == 0
    assert writer.appended_seq * 80 < 17 << 20
    writer.close()


def test_no_folder_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(reader.NoLog):
        list(reader.pieces(tmp_path / "nowhere"))


def test_the_command_says_what_is_there(
    tmp_path: Path, spread_ctl: Callable[..., tuple[int, str, str]]
) -> None:
    import orjson

    writer = LogWriter(tmp_path / "log", Origin("here [red]"), segment_bytes=SMALL)
    write_every_kind(writer, 40)
    writer.close()
    for action in ("info", "verify"):
        code, out, err = spread_ctl("wal", action, "--folder", str(tmp_path / "log"))
        assert code == 0, err
        assert "here [red]" in out
    code, out, _ = spread_ctl("wal", "verify", "--folder", str(tmp_path / "log"), "--json")
    shown = orjson.loads(out)
    assert shown["closed"] is True
    assert shown["next_seq"] == sum(shown["records"].values()) == writer.durable_seq
    assert len(shown["segments"]) > 1


@pytest.mark.parametrize("content", [None, b"", b"\xa5" * 200_000])
def test_where_no_log_was_begun_nothing_is_whole(
    tmp_path: Path, spread_ctl: Callable[..., tuple[int, str, str]], content: bytes | None
) -> None:
    """An empty folder, a file that waits, and one of which nothing is left that is a log's."""
    folder = tmp_path / "log"
    folder.mkdir()
    if content is not None:
        (folder / "0000000000000001.wal").write_bytes(content)
    code, _, err = spread_ctl("wal", "verify", "--folder", str(folder))
    assert (code, "there is no log" in err) == (1, True)
    code, out, _ = spread_ctl("wal", "info", "--folder", str(folder))
    assert (code, "0 segments" in out) == (0, True)


def test_a_mb_is_synced_by_itself(tmp_path: Path) -> None:
    """Whoever appends faster than he commits."""
    writer = LogWriter(tmp_path)
    writer.append(RecordKind.TICK, ticks(0, 5_000))
    assert writer.durable_seq == 0, "less than a MB waits for its commit"
    count = 5_000

    def is_durable() -> bool:
        nonlocal count
        writer.append(RecordKind.TICK, ticks(count, 1_000))
        count += 1_000
        return writer.durable_seq >= 10_000

    waits.until(is_durable, "it is on the disk without a commit")
    writer.close()
    assert numbers(tmp_path) == list(range(count))
