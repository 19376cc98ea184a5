"""Segments that are packed: byte for byte what they were, or not packed; read like any other; their
damage is found and named; killed at each step of the packing the log is there.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from log_bed import SMALL, CountedDisk, KilledDisk, contents, ticks, write_every_kind
from quote_walks import walk as quote_walk

import bed
from spread_scanner.recorder.keeping import LogSegments
from spread_scanner.schema.log import LOGGED_TICK_DTYPE, RecordKind
from spread_scanner.wal import frames, packed, packing, reader, segments
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.packed import NotPacked
from spread_scanner.wal.reader import Link, LogDamaged
from spread_scanner.wal.salvage import examine, salvage
from spread_scanner.wal.writer import LogWriter

SEGMENT_BYTES = 64 << 10
STRETCH_BYTES = 16 << 10  # so that a segment of tests has several


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "RAW_BYTES_MIN", 1)
    monkeypatch.setattr(packed, "STRETCH_BYTES", STRETCH_BYTES)


class SourcesWriter(LogWriter):
    """Sources that there can be, whatever is in the bytes."""

    def append(self, kind: RecordKind, records: np.ndarray) -> None:
        if kind is RecordKind.TICK:
            records = records.copy()
            records["source_id"] %= 64
        super().append(kind, records)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Some segments with records of every kind, real quotes among them, closed."""
    folder = tmp_path / "log"
    writer = SourcesWriter(folder, segment_bytes=SEGMENT_BYTES)
    market = quote_walk(3, 3_000, sources=2, symbols=20)
    for number in range(20):
        writer.append(RecordKind.TICK, market[number * 150 : number * 150 + 150])
        writer.commit()
        write_every_kind(writer, 1, seed=number)
    writer.close()
    return folder


def pack_all(folder: Path, disk: LogDisk | None = None) -> list[Link]:
    """What can be packed, without the files of before; the log's segments then."""
    numbers = [link.number for link in packing.due(reader.chain(folder))]
    assert packing.pack(folder, numbers, disk or LogDisk()) == numbers
    for number in numbers:
        segments.path_of(folder, number).unlink()
    links = reader.chain(folder)
    assert [link.is_packed for link in links] == [True] * (len(links) - 1) + [False]
    return links


def test_a_packed_log_reads_as_it_did(log: Path) -> None:
    whole, found = contents(log), examine(log)
    raw = {link.number: link.path.read_bytes()[: link.end] for link in reader.chain(log)[:-1]}
    for link in pack_all(log)[:-1]:
        assert packed.unpacked(link.path).tobytes() == raw[link.number]
        assert link.path.stat().st_size < len(raw[link.number])
        places = [one.place for one in packed._whole(link.path.read_bytes())]
        assert len(places) > 2, "a segment of one stretch tries little"
    assert contents(log) == whole
    again = examine(log)
    assert again.records == found.records
    assert again.next_seq == found.next_seq
    assert again.bytes == found.bytes
    assert again.holes == []


def test_ticks_take_little_with_their_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "STRETCH_BYTES", 1 << 20)
    writer = LogWriter(tmp_path, segment_bytes=2 << 20)
    market = quote_walk(5, 40_000, sources=4, symbols=100)
    for at in range(0, len(market), 400):
        writer.append(RecordKind.TICK, market[at : at + 400])
        writer.write()
    writer.close()
    first = pack_all(tmp_path)[0]
    assert first.end is not None
    ticks_there = first.end // LOGGED_TICK_DTYPE.itemsize
    assert first.path.stat().st_size / ticks_there < 14.0
    data = reader.bytes_of(first)
    pieces = list(reader.pieces_of(first, data, reader.walk(first, data).blocks))
    assert any(piece.payload.view(LOGGED_TICK_DTYPE)["back"].any() for piece in pieces)


def test_the_newest_and_those_of_other_readers_stay_as_they_are(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = reader.chain(log)
    assert [link.number for link in packing.due(links)] == [link.number for link in links[:-1]]
    monkeypatch.setattr(packing, "RAW_BYTES_MIN", 2 * SEGMENT_BYTES)
    assert [link.number for link in packing.due(links)] == [link.number for link in links[:-2]]
    links[1].head["version"] = 99
    assert links[1].number not in [link.number for link in packing.due(links)]
    assert packing.pack(log, [links[-1].number, 10**6], LogDisk()) == []


def test_a_damaged_segment_is_not_packed(log: Path) -> None:
    damaged, other = reader.chain(log)[:2]
    with damaged.path.open("r+b") as file:
        file.seek(frames.HEAD_BYTES + 100)
        file.write(b"\xff" * 8)
    assert packing.pack(log, [damaged.number, other.number], LogDisk()) == [other.number]
    assert not segments.packed_of(damaged.path).exists()


def test_a_segment_that_the_disk_cannot_read_stays_and_those_behind_it_are_packed(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = contents(log)
    ill, *others = packing.due(reader.chain(log))
    inode, read = ill.path.stat().st_ino, os.pread

    def pread(file: int, length: int, at: int) -> bytes:
        if os.fstat(file).st_ino == inode and at >= 2 * frames.HEAD_BYTES:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(file, length, at)

    with monkeypatch.context() as patch:
        patch.setattr(reader, "_can_be_read", lambda *_: False)
        patch.setattr(os, "pread", pread)
        numbers = [one.number for one in others]
        assert packing.pack(log, [ill.number, *numbers], LogDisk()) == numbers
    assert not segments.packed_of(ill.path).exists()
    assert contents(log) == whole


def test_a_packed_log_is_salvaged_whole(log: Path) -> None:
    """With one segment as it was, and others packed, before and behind a damage."""
    whole = contents(log)
    pack_all(log)
    assert salvage(log, log.parent / "to") == (examine(log).next_seq, 0)
    assert contents(log.parent / "to") == whole
    links = reader.chain(log)
    with links[-1].path.open("r+b") as file:
        file.seek(frames.HEAD_BYTES + 100)
        file.write(b"\xff" * 8)
    first = reader.walk(links[-1], reader.bytes_of(links[-1])).hole
    assert first is not None
    copied, missing = salvage(log, log.parent / "again")
    assert missing > 0
    assert copied + missing == examine(log.parent / "to").next_seq
    kept = contents(log.parent / "again")
    before = [one for one in whole if one[1] < first.seq]
    assert [one[2] for one in kept[: len(before)]] == [one[2] for one in before]


def odd_source(folder: Path) -> None:
    """A tick of a source that no batch can name."""
    writer = LogWriter(folder, segment_bytes=SEGMENT_BYTES)
    odd = ticks(0, 700)
    odd["source_id"][5] = 64
    writer.append(RecordKind.TICK, odd)
    writer.write()
    writer.append(RecordKind.TICK, ticks(700, 700))
    writer.close()


def test_what_does_not_come_out_as_it_was_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd_source(tmp_path)
    first = reader.chain(tmp_path)[0]
    with pytest.raises(NotPacked, match="no batch"):
        packing._pack(first, LogDisk())
    monkeypatch.setattr(packed, "pack", lambda data, blocks: data[:4_096].tobytes())
    with pytest.raises(NotPacked, match="as it was"):
        packing._pack(first, LogDisk())
    assert {path.suffix for path in tmp_path.iterdir()} == {"", ".wal"}


class Flips:
    """A packed log of which one bit at a time of one segment is another."""

    def __init__(self, folder: Path) -> None:
        self.links = pack_all(folder)
        self.link = self.links[1]
        self.folder, self.whole = folder, contents(folder)
        self.end = examine(folder).next_seq
        self.original = self.link.path.read_bytes()
        self.stretches = list(packed._whole(self.original))

    def check(self, at: int, bit: int) -> None:
        raw = bytearray(self.original)
        raw[at] ^= 1 << bit
        self.link.path.write_bytes(raw)
        found = []
        with pytest.raises(LogDamaged) as caught:
            found += [
                (one.kind, one.seq, one.payload.tobytes()) for one in reader.pieces(self.folder)
            ]
        said = caught.value.evidence
        hit = next((one for one in self.stretches if one.place <= at < one.end), None)
        place = 0 if hit is None else hit.place
        first = 0 if hit is None else int(hit.head["first"])
        assert (said["file"], said["offset"]) == (str(self.link.path), place), at
        assert said["seq"] == said["good_before"] == self.link.first_seq + first, at
        following = self.stretches[self.stretches.index(hit) + 1 :] if hit else self.stretches
        behind = examine(self.folder).next_seq - self.links[2].first_seq
        if following:
            behind += (
                self.links[2].first_seq - self.link.first_seq - int(following[0].head["first"])
            )
        assert said["good_after"] == behind, at
        assert "wal salvage" in str(caught.value)


def test_a_bit_of_a_packed_segment_that_is_flipped_is_found_and_named(log: Path) -> None:
    flips = Flips(log)
    chance = np.random.default_rng(bed.seed())
    spread = [*range(0, len(flips.original), len(flips.original) // 40), *range(0, 512, 50)]
    heads = [one.place + by for one in flips.stretches for by in range(0, 64, 12)]
    for at in spread + heads + [one.end - 1 for one in flips.stretches]:
        flips.check(at, int(chance.integers(8)))


def test_a_packed_segment_that_was_cut_is_refused(log: Path) -> None:
    flips = Flips(log)
    for length in [0, 100, 512, *(one.end for one in flips.stretches[:-1]), -1]:
        flips.link.path.write_bytes(flips.original[:length])
        with pytest.raises(LogDamaged):
            contents(log)
    flips.link.path.write_bytes(flips.original)
    assert contents(log) == flips.whole


def test_salvage_copies_both_sides_of_a_damaged_stretch(log: Path) -> None:
    flips = Flips(log)
    hit, following = flips.stretches[1:3]
    raw = bytearray(flips.original)
    raw[hit.place + 100] ^= 0xFF
    flips.link.path.write_bytes(raw)
    total = examine(log).next_seq
    missing = int(following.head["first"]) - int(hit.head["first"])
    assert salvage(log, log.parent / "to") == (total - missing, missing)


def test_a_log_goes_on_behind_packed_segments_and_gives_no_number_twice(log: Path) -> None:
    links = pack_all(log)
    end = examine(log).next_seq
    links[-1].path.unlink()
    writer = LogWriter(log, segment_bytes=SEGMENT_BYTES)
    assert writer.durable_seq == links[-1].first_seq
    writer.append(RecordKind.TICK, ticks(0, 3))
    writer.close()
    assert [link.number for link in reader.chain(log)][-1] >= links[-1].number
    assert examine(log).next_seq == links[-1].first_seq + 3 < end


def test_a_file_is_given_back_once_and_used_again(log: Path) -> None:
    numbers = [link.number for link in packing.due(reader.chain(log))]
    packing.pack(log, numbers, LogDisk())
    whole = contents(log)
    old = [segments.path_of(log, number) for number in numbers]
    inodes = {path.stat().st_ino for path in old}
    writer = LogWriter(log, segment_bytes=SEGMENT_BYTES)
    assert writer.give_back(old) == len(old)
    assert writer.give_back([path for path in old if path.exists()]) == 0
    for at in range(0, 3_000, 100):
        writer.append(RecordKind.TICK, ticks(at, 100))
        writer.commit()
    writer.close()
    there = {path.stat().st_ino for path in segments.numbered(log).values()}
    assert there & inodes, "none was used again"
    assert contents(log)[: len(whole)] == whole
    assert reader.chain(log)[0].is_packed


def test_a_segment_that_is_packed_while_it_is_read_reads_on(log: Path) -> None:
    whole = contents(log)
    pieces = reader.pieces(log)
    found = [next(pieces)]
    pack_all(log)
    found += pieces
    assert [(one.kind, one.seq, one.payload.tobytes()) for one in found] == whole


def killed_behind(folder: Path, numbers: list[int], at: int) -> bool:
    """Whether a packing of its own process got so far."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            packing.pack(folder, numbers, KilledDisk(at, -1))
            os._exit(0)
        os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL), code
    return code != 0


def test_killed_behind_each_call_the_log_is_whole_and_the_next_one_packs_it(log: Path) -> None:
    whole = contents(log)
    numbers = [link.number for link in packing.due(reader.chain(log))][:2]
    at, killed = 0, True
    while killed:
        folder = log.parent / f"killed-{at}"
        shutil.copytree(log, folder)
        killed = killed_behind(folder, numbers, at)
        writer = LogWriter(folder, segment_bytes=SEGMENT_BYTES)
        raw = segments.numbered(folder)
        there = segments.numbered(folder, segments.PACKED)
        writer.give_back([raw[number] for number in there])
        writer.close()
        for number in there:
            raw[number].unlink(missing_ok=True)
        assert contents(folder)[: len(whole)] == whole, at
        packing.pack(folder, numbers, LogDisk())
        assert set(segments.numbered(folder, segments.PACKED)) == set(numbers), at
        assert not list(folder.glob("*.made")), at
        at += 1
        shutil.rmtree(folder)
    assert at > 10


def test_one_packs_at_a_time(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child whose recorder was killed goes on: what it writes is not cleared away, nor written to
    by another one."""

    def refused(folder: Path) -> bool:
        """Whether another one has to wait."""
        file = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(file)
        return False

    cleared, packed_there = packing._clear, packing._pack
    found: list[bool] = []

    def clear(folder: Path, disk: LogDisk) -> None:
        found.append(refused(folder))
        cleared(folder, disk)

    def pack(link: Link, disk: LogDisk) -> None:
        packed_there(link, disk)
        found.append(refused(link.path.parent))

    monkeypatch.setattr(packing, "_clear", clear)
    monkeypatch.setattr(packing, "_pack", pack)
    packing.pack(log, [link.number for link in packing.due(reader.chain(log))][:1], LogDisk())
    assert found == [True, True]
    assert not refused(log)
    with pytest.raises(reader.NoLog):
        packing.pack(log / "none", [1], LogDisk())


@pytest.mark.parametrize("how", ["EIO", "ENOSPC", "short"])
def test_a_call_that_fails_leaves_the_segment_as_it_was(log: Path, how: str) -> None:
    whole = contents(log)
    numbers = [link.number for link in packing.due(reader.chain(log))][:1]
    for kind in ("open", "pwrite", "fdatasync", "rename", "sync_folder", "close"):
        disk = CountedDisk(kind, 0, getattr(errno, how, 0), short=how == "short")
        if how == "short":
            assert packing.pack(log, numbers, disk) == numbers
            segments.packed_of(segments.path_of(log, numbers[0])).unlink()
        else:
            with pytest.raises(OSError, match=os.strerror(getattr(errno, how))):
                packing.pack(log, numbers, disk)
        assert contents(log) == whole
        segments.packed_of(segments.path_of(log, numbers[0])).unlink(missing_ok=True)


@pytest.mark.parametrize("said", [[], ["folder"], ["folder", "x"], ["folder", "-1"]])
def test_a_process_that_is_asked_for_nothing_says_so(
    said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert packing.main(said) == 2
    assert "numbers of segments" in capsys.readouterr().err


@pytest.mark.parametrize("unlink", [False, True])
def test_nothing_older_is_left_of_a_segment_that_goes_at_once(tmp_path: Path, unlink: bool) -> None:
    """The file of the oldest waits to be used again; the next one is packed, or the disk short."""
    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    for at in range(0, 1_000, 50):
        writer.append(RecordKind.TICK, ticks(at, 50))
        writer.sync()
    first, second, *_, last = [link.number for link in reader.linked(tmp_path)]
    packed_ones = [] if unlink else [second]
    assert packing.pack(tmp_path, packed_ones, LogDisk()) == packed_ones
    for number in packed_ones:
        segments.path_of(tmp_path, number).unlink()
    log_segments = LogSegments(tmp_path, writer, None)
    log_segments.drop(unlink=False)
    assert segments.path_of(tmp_path, first).exists(), "it waits"
    log_segments.drop(unlink=unlink)
    assert reader.cut_off(tmp_path) == []
    found = [link.number for link in reader.linked(tmp_path)]
    assert found == list(range(second + 1, last + 1))
    for at in range(1_000, 1_500, 50):
        writer.append(RecordKind.TICK, ticks(at, 50))
        writer.sync()
    writer.close()
    assert examine(tmp_path).holes == []
