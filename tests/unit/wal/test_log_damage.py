"""Rules D2 and D3: what is left of a log is an exact prefix, or it is refused by where and how
much.
"""

import bisect
import errno
import mmap
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from log_bed import SMALL, contents, numbers, ticks, write_every_kind, write_log
from logged_day import DATA_VARIABLE, import_recorded, settled

import bed
from spread_scanner.history.gathered import Gathered
from spread_scanner.schema.log import GAP_DTYPE, RecordKind
from spread_scanner.schema.names import EXIT_FAILED
from spread_scanner.wal import frames, reader
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.frames import COPY_BYTES, HEAD_BYTES
from spread_scanner.wal.reader import LogDamaged
from spread_scanner.wal.salvage import examine, salvage
from spread_scanner.wal.writer import LogWriter, Origin

LONG = os.environ.get("SPREAD_LOG") == "long"
Contents = list[tuple[RecordKind, int, bytes]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """One segment of some 4 KB with records of all kinds, closed."""
    folder = tmp_path / "log"
    writer = LogWriter(folder, segment_bytes=256 << 10)
    write_every_kind(writer, 2)
    writer.close()
    return folder


def only_segment(folder: Path) -> Path:
    (link,) = reader.chain(folder)
    return link.path


def spoil(path: Path, offset: int) -> None:
    """A block's records, not its head."""
    with path.open("r+b") as file:
        file.seek(offset + 40)
        file.write(b"\xff" * 8)


def blocks_of(folder: Path) -> list[frames.LogBlock]:
    (link,) = reader.chain(folder)
    return reader.walk(link, reader.mapped(link.path)).blocks


def read_back(folder: Path) -> tuple[Contents, LogDamaged | None]:
    """What can be read in order, and the refusal if there was one."""
    found: Contents = []
    try:
        for piece in reader.pieces(folder):
            found.append((piece.kind, piece.seq, piece.payload.tobytes()))
    except LogDamaged as error:
        return found, error
    return found, None


def check_prefix(folder: Path, path: Path, whole: Contents, length: int) -> int:
    """Cut the file there: what is read is a prefix; what was known to be safe is missed loudly. How
    many blocks it has."""
    os.truncate(path, length)
    found, error = read_back(folder)
    assert found == whole[: len(found)]
    blocks = [block for block in blocks_of(folder) if block.records] if found else []
    assert len(blocks) == len(found)
    assert error is None, "what said how far it was safe is gone as well"
    return len(found)


def test_a_log_cut_at_every_byte_is_an_exact_prefix(tmp_path: Path) -> None:
    """A file that is shorter has lost what said how far it was safe: the rest is a prefix."""
    writer = LogWriter(log := tmp_path / "log", segment_bytes=256 << 10)
    write_every_kind(writer, 1, most=2)
    writer.close()
    path, whole = only_segment(log), contents(log)
    end = blocks_of(log)[-1].end
    seen = set()
    for length in range(end, HEAD_BYTES - 1, -1):
        seen.add(check_prefix(log, path, whole, length))
    assert seen == set(range(len(whole) + 1))


def test_a_log_zeroed_from_every_block_on_is_a_prefix_that_goes_on(log: Path) -> None:
    whole = contents(log)
    for number, block in enumerate(blocks_of(log)):
        copy = log.parent / f"cut-{number}"
        shutil.copytree(log, copy)
        with only_segment(copy).open("r+b") as file:
            file.seek(block.offset)
            file.write(bytes((256 << 10) - block.offset))
        before = contents(copy)
        assert before == whole[:number]
        writer = LogWriter(copy, segment_bytes=256 << 10)
        assert writer.durable_seq == block.first
        writer.append(RecordKind.TICK, ticks(0, 3))
        writer.close()
        assert contents(copy)[:-1] == before
        assert examine(copy).holes == []


class Flips:
    """A log of one segment, of which one bit at a time is another."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.whole, self.blocks = folder, contents(folder), blocks_of(folder)
        (link,) = reader.chain(folder)
        self.path, self._salt = link.path, int(link.head["salt"])
        self.original = self.path.read_bytes()
        self._raw = bytearray(self.original)

    def check_all(self, whole: int, head_step: int = 1) -> None:
        """Every bit by what it can change: whether its block is whole, and whether a block may
        begin where none did. All else that is read is as it was, so what is said of the log is the
        same; that is held of `whole` bits by chance, of those of the segment's head and of its last
        block, and of those with which a block may begin."""
        for block in self.blocks[:-1]:
            self._check_block(block)
        close = self.blocks[-1]
        for at in [
            *range(0, frames.HEAD_DTYPE.itemsize, head_step),
            *range(close.offset, close.end),
        ]:
            for bit in range(8):
                self.check(at, bit)
        chance = random.Random(bed.seed())
        by_chance = (
            (chance.randrange(HEAD_BYTES, close.end), chance.randrange(8)) for _ in range(whole)
        )
        for at, bit in [*self.beginnings(), *by_chance]:
            self.check(at, bit)

    def _check_block(self, block: frames.LogBlock) -> None:
        raw, data = self._raw, np.frombuffer(self._raw, np.uint8)
        for at in range(block.offset, block.end):
            for bit in range(8):
                raw[at] ^= 1 << bit
                assert frames.block_at(data, block.offset, self._salt) is None, (at, bit)
                raw[at] ^= 1 << bit

    def beginnings(self) -> list[tuple[int, int]]:
        """Bits that make a place look like a block's begin."""
        words = np.frombuffer(self.original, "<u4")[2 :: frames.ALIGN // 4] ^ np.uint32(self._salt)
        rows = np.flatnonzero(np.bitwise_count(words) == 1)
        bits = np.log2(words[rows]).astype(np.int64)
        places = rows * frames.ALIGN + 8 + bits // 8
        there = (places >= HEAD_BYTES) & (places < self.blocks[-1].end)
        return list(zip(places[there].tolist(), (bits % 8)[there].tolist(), strict=True))

    def check(self, at: int, bit: int) -> None:
        """It is found, and named by where it is and by what is good on both sides."""
        with self.path.open("r+b", buffering=0) as file:
            file.seek(at)
            file.write(bytes([self.original[at] ^ 1 << bit]))
            try:
                self._check(at)
            finally:
                file.seek(at)
                file.write(self.original[at : at + 1])

    def _check(self, at: int) -> None:
        total = self.blocks[-1].first
        hit = bisect.bisect_right([one.end for one in self.blocks], at)
        found, error = read_back(self.folder)
        if at < HEAD_BYTES:
            assert error is not None, at
            assert found == []
            assert error.evidence["good_after"] == total
        elif self.blocks[hit].kind == RecordKind.CLOSE:
            assert error is None
            assert found == self.whole
            (torn,) = examine(self.folder).holes
            assert (torn.offset, torn.durable) == (self.blocks[hit].offset, False)
        else:
            assert error is not None, at
            assert found == self.whole[:hit]
            said = error.evidence
            assert (said["file"], said["offset"]) == (str(self.path), self.blocks[hit].offset)
            assert said["seq"] == said["good_before"] == self.blocks[hit].first
            assert said["good_after"] == total - self.blocks[hit].next
            assert "wal salvage" in str(error)


def test_every_bit_that_is_flipped_is_found_and_named(log: Path) -> None:
    flips = Flips(log)
    flips.check_all(whole=100, head_step=41)
    assert contents(log) == flips.whole


def test_a_bit_with_which_a_block_seems_to_begin_is_found_and_named(tmp_path: Path) -> None:
    """Records whose bytes are the segment's salt but for one bit, where a block's head has it."""
    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    writer.append(RecordKind.TICK, ticks(0, 3))
    writer.sync()
    salt = int(reader.chain(tmp_path)[0].head["salt"])
    odd = ticks(3, 40)
    odd.view("<u4").reshape(len(odd), -1)[:, 6::4] = salt ^ 1 << 30  # of the quotes' rows
    writer.append(RecordKind.TICK, odd)
    writer.sync()
    writer.append(RecordKind.TICK, ticks(43, 5))
    writer.close()
    flips = Flips(tmp_path)
    seen = flips.beginnings()
    assert len(seen) >= 40
    for at, bit in seen:
        flips.check(at, bit)


def large(folder: Path, size: int, *, most: int = 120) -> Path:
    """A log of so many bytes at least, of all kinds, closed."""
    writer = LogWriter(folder, segment_bytes=2 * size)
    for number in range(1_000):
        write_every_kind(writer, 1, seed=number, most=most)
        if blocks_of(folder)[-1].end >= size:
            break
    writer.close()
    return folder


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_every_bit_of_a_megabyte_that_is_flipped_is_found_and_named(tmp_path: Path) -> None:
    """The log is read as a whole for some of them, for many by `make nightly`."""
    flips = Flips(large(tmp_path, 1 << 20, most=40))
    assert len(flips.blocks) > 300
    flips.check_all(whole=100_000 if LONG else 500, head_step=1 if LONG else 7)
    assert contents(tmp_path) == flips.whole


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_quarter_megabyte_cut_at_every_byte_is_an_exact_prefix(tmp_path: Path) -> None:
    """At each of them by `make nightly`; else at some, and around every border of a block."""
    log = large(tmp_path, 256 << 10)
    path, whole, blocks = only_segment(log), contents(log), blocks_of(log)
    end = blocks[-1].end
    near = {one.end + by for one in blocks for by in (-1, 0, 1)} - {end + 1}
    for length in range(end, HEAD_BYTES - 1, -1):
        if LONG or length % 211 == 0 or length in near:
            check_prefix(log, path, whole, length)


@pytest.mark.slow
@pytest.mark.timeout(6 * 3_600)
def test_recorded_minutes_cut_at_every_border_of_a_block_are_an_exact_prefix(
    tmp_path: Path,
) -> None:
    """At each of them and a byte to either side the block that it ends, as those before it are as
    they were; at some, at more by `make nightly`, the log as a whole."""
    if DATA_VARIABLE not in os.environ:
        pytest.skip(f"{DATA_VARIABLE} is not set: there are no recordings")
    log = import_recorded(settled(tmp_path), tmp_path / "data")
    path, blocks = only_segment(log), blocks_of(log)
    assert len(blocks) > 10_000
    (link,) = reader.chain(log)
    data, salt = reader.mapped(path).copy(), int(link.head["salt"])
    for block in blocks:
        for length in (block.end - 1, block.end, block.end + 1):
            found = frames.block_at(data[:length], block.offset, salt)
            assert found == (block if length >= block.end else None), length
        assert frames.block_at(data[: block.end + 1], block.end, salt) is None
    for number in range(len(blocks) - 1, -1, -101 if LONG else -1_601):
        end = blocks[number].end
        for length in (end + 1, end, end - 1):
            os.truncate(path, length)
            expected = blocks[: number + (length >= end)]
            assert blocks_of(log) == expected, length


@pytest.mark.parametrize("how", ["zeroed", "twice", "swapped"])
def test_blocks_out_of_their_place_are_refused(log: Path, how: str) -> None:
    path, whole, blocks = only_segment(log), contents(log), blocks_of(log)
    raw = bytearray(path.read_bytes())
    one, two = blocks[5], blocks[6]
    if how == "zeroed":
        raw[one.offset : one.end] = bytes(one.end - one.offset)
    elif how == "twice":
        raw[two.offset : two.offset] = raw[one.offset : one.end]
    else:
        raw[one.offset : two.end] = raw[one.end : two.end] + raw[one.offset : one.end]
    path.write_bytes(raw)
    found, error = read_back(log)
    bad = 6 if how == "twice" else 5
    assert found == whole[:bad]
    assert error is not None
    assert error.evidence["seq"] == blocks[bad].first
    expected = {
        "zeroed": blocks[-1].first - one.next,
        "twice": blocks[-1].first - one.next,
        "swapped": blocks[-1].first - one.first,
    }
    assert error.evidence["good_after"] == expected[how]
    copied, missing = salvage(log, log.parent / "to")
    assert missing == (one.records if how == "zeroed" else 0)
    assert copied + missing == blocks[-1].first


def several(folder: Path) -> list[reader.Link]:
    writer = LogWriter(folder, segment_bytes=SMALL)
    for at in range(0, 1_000, 10):
        writer.append(RecordKind.TICK, ticks(at, 10))
        writer.commit()
    writer.close()
    links = reader.chain(folder)
    assert len(links) > 5
    return links


def test_a_stale_segment_in_the_place_of_another_is_no_part_of_the_log(tmp_path: Path) -> None:
    links = several(tmp_path)
    shutil.copy(links[1].path, links[3].path)
    found, error = read_back(tmp_path)
    assert error is not None
    assert error.evidence["file"] == str(links[3].path)
    assert error.evidence["seq"] == links[3].first_seq == sum(len(raw) // 80 for *_, raw in found)
    assert error.evidence["good_after"] == 1_000 - links[4].first_seq


@pytest.mark.parametrize("removed", [[2], [2, 3], [1, 3]])
def test_a_segment_that_is_gone_in_the_midst_is_damage_and_the_rest_is_salvaged(
    tmp_path: Path, removed: list[int], spread_ctl: Callable[..., tuple[int, str, str]]
) -> None:
    """What is read in order begins behind the hole, as if the older ones had been given up."""
    links = several(log := tmp_path / "log")
    for at in removed:
        links[at].path.unlink()
    last = max(removed)
    older = [link for at, link in enumerate(links[:last]) if at not in removed]
    assert numbers(log) == list(range(links[last + 1].first_seq, 1_000))
    assert [link.number for link in reader.cut_off(log)] == [link.number for link in older]
    hole, *more = examine(log).holes
    assert len(more) == len(removed) - 1 - (removed == [2, 3])
    first = removed[0]
    place = links[3].path if removed == [2, 3] else links[first].path
    assert hole == (place, 0, links[first].first_seq, 0, True)
    code, _, err = spread_ctl("wal", "verify", "--folder", str(log))
    assert code == EXIT_FAILED
    size = sum(link.path.stat().st_size for link in older)
    names = f"{older[0].path.name} to {older[-1].path.name}, {size:,} bytes"
    assert f"{len(older)} older files any more ({names})" in err
    assert f"seq={links[first].first_seq}, good_before={links[first].first_seq}," in err
    code, out, _ = spread_ctl("wal", "info", "--folder", str(log))
    assert code == 0
    assert f"Damage: {len(older)} older files that nothing leads to" in " ".join(out.split())
    lost = [n for at in removed for n in range(links[at].first_seq, links[at + 1].first_seq)]
    assert salvage(log, tmp_path / "to") == (1_000 - len(lost), len(lost))
    assert numbers(tmp_path / "to") == [one for one in range(1_000) if one not in lost]
    assert examine(tmp_path / "to").holes == []


def test_numbers_that_were_given_again_are_not_salvaged_of_what_is_cut_off(tmp_path: Path) -> None:
    """Only the one that is gone said where the one before it ended."""

    class Failing(LogDisk):
        fails = False

        def fdatasync(self, file: int) -> None:
            if self.fails:
                self.fails = False
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            os.fdatasync(file)

    log, disk = tmp_path / "log", Failing()
    writer = LogWriter(log, segment_bytes=SMALL, disk=disk)
    for at in (0, 10):
        disk.fails = at > 0
        writer.append(RecordKind.TICK, ticks(at, 10))
        writer.sync()
    writer.close()
    first, second = reader.chain(log)
    assert first.end is not None
    behind = frames.block_at(reader.mapped(first.path), first.end, int(first.head["salt"]))
    assert behind is not None, "it is whole, and was not called safe"
    with second.path.open("r+b") as file:  # killed when it was begun
        file.seek(HEAD_BYTES)
        file.write(bytes(SMALL - HEAD_BYTES))
    writer = LogWriter(log, segment_bytes=SMALL)
    writer.append(RecordKind.TICK, ticks(100, 10))
    writer.close()
    second.path.unlink()
    assert numbers(log) == list(range(100, 110))
    assert salvage(log, tmp_path / "to") == (20, 0)
    assert numbers(tmp_path / "to") == [*range(10), *range(100, 110)]


def test_what_left_the_log_or_never_was_in_it_is_no_damage(tmp_path: Path) -> None:
    """The oldest as it goes; what failed in a fresh life, before anything of it was safe."""
    links = several(tmp_path / "aged")
    for link in links[:2]:
        link.path.unlink()
    assert (reader.cut_off(tmp_path / "aged"), examine(tmp_path / "aged").holes) == ([], [])
    for name in ("first", "again"):
        writer = LogWriter(tmp_path / name, segment_bytes=SMALL)
        writer.append(RecordKind.TICK, ticks(0, 50))
        writer.close()
    again = tmp_path / "again" / f"{2:016}.wal"
    head = reader.chain(tmp_path / "again")[0].head
    head["number"] = 2
    raw = bytearray((tmp_path / "again" / f"{1:016}.wal").read_bytes())
    raw[: frames.HEAD_DTYPE.itemsize] = frames.sealed_head(head)
    again.write_bytes(raw)
    assert [link.number for link in reader.chain(tmp_path / "again")] == [2]
    assert reader.cut_off(tmp_path / "again") == []


def test_damage_in_an_older_segment_is_refused_and_the_later_ones_counted(tmp_path: Path) -> None:
    links = several(tmp_path)
    block = reader.walk(links[2], reader.mapped(links[2].path)).blocks[-1]
    spoil(links[2].path, block.offset)
    found, error = read_back(tmp_path)
    assert error is not None
    lost_from = links[2].first_seq + block.first
    assert sum(len(raw) // 80 for *_, raw in found) == lost_from
    assert error.evidence["good_after"] == 1_000 - lost_from - block.records


def test_salvage_keeps_both_sides_and_says_what_is_missing(tmp_path: Path) -> None:
    links = several(tmp_path / "log")
    block = reader.walk(links[2], reader.mapped(links[2].path)).blocks[2]
    head = links[4]
    spoil(links[2].path, block.offset)
    with head.path.open("r+b") as file:
        file.write(b"\xff" * 8)
    before = {path: path.read_bytes() for path in (tmp_path / "log").glob("*.wal")}
    copied, missing = salvage(tmp_path / "log", tmp_path / "to")
    assert (copied, missing) == (1_000 - block.records, block.records)
    first = links[2].first_seq + block.first
    lost = range(first, first + block.records)
    assert numbers(tmp_path / "to") == [number for number in range(1_000) if number not in lost]
    (gap,) = [
        piece.array()[0] for piece in reader.pieces(tmp_path / "to") if piece.kind is RecordKind.GAP
    ]
    assert (gap["first"], gap["next"]) == (lost.start, lost.stop)
    assert gap.dtype == GAP_DTYPE
    assert {path: path.read_bytes() for path in before} == before, "what is damaged stays as it is"


def test_salvage_says_what_is_missing_at_the_end(tmp_path: Path) -> None:
    """Nothing good is behind it but what says that the log was closed."""
    write_log(tmp_path / "log")
    link = reader.chain(tmp_path / "log")[-1]
    last = [one for one in reader.walk(link, reader.mapped(link.path)).blocks if one.records][-1]
    spoil(link.path, last.offset)
    first = link.first_seq + last.first
    assert salvage(tmp_path / "log", tmp_path / "to") == (first, 1_000 - first)
    *_, piece = reader.pieces(tmp_path / "to")
    assert piece.kind is RecordKind.GAP
    assert piece.array()[["first", "next"]].tolist() == [(first, 1_000)]
    (gap,) = Gathered(reader.chain(tmp_path / "log"), {}).gap_rows()
    assert (gap["first"], gap["next"]) == (first, 1_000)


def test_of_two_segments_whose_heads_are_ruined_both_are_salvaged(tmp_path: Path) -> None:
    links = several(tmp_path / "log")
    for link in links[2:4]:
        with link.path.open("r+b") as file:
            file.write(b"\xff" * 8)
    assert salvage(tmp_path / "log", tmp_path / "to") == (1_000, 0)
    assert numbers(tmp_path / "to") == list(range(1_000))


@pytest.mark.parametrize("length", [frames.HEAD_DTYPE.itemsize, HEAD_BYTES])
def test_blocks_of_a_segment_of_whose_head_nothing_is_left_are_salvaged(
    tmp_path: Path, length: int
) -> None:
    """As where the disk cannot read its sector: the segment behind it says that it was begun."""
    links = several(tmp_path / "log")
    with links[2].path.open("r+b") as file:
        file.write(bytes(length))
    _, error = read_back(tmp_path / "log")
    assert error is not None
    assert (error.evidence["seq"], error.evidence["good_before"]) == (links[2].first_seq,) * 2
    assert error.evidence["good_after"] == 1_000 - links[2].first_seq
    assert salvage(tmp_path / "log", tmp_path / "to") == (1_000, 0)
    assert numbers(tmp_path / "to") == list(range(1_000))


@pytest.mark.parametrize("several_before", [True, False])
@pytest.mark.parametrize("length", [COPY_BYTES, HEAD_BYTES, HEAD_BYTES + 600])
def test_the_newest_segment_whose_head_is_lost_is_damage_and_no_file_that_waits(
    tmp_path: Path, length: int, several_before: bool
) -> None:
    """Of nothing behind it does anybody say that it was begun: its last sector does."""
    log, count = tmp_path / "log", 1_000 if several_before else 100
    origin = Origin("here", 7, 5, "a boot")
    writer = LogWriter(log, origin, segment_bytes=SMALL)
    for at in range(0, count, 100):
        writer.append(RecordKind.TICK, ticks(at, 100))
        writer.sync()
    writer.close()
    newest = reader.chain(log)[-1]
    lost = 100 if length > HEAD_BYTES else 0  # the block that the zeros reach into
    with newest.path.open("r+b") as file:
        file.write(bytes(length))
    left = newest.path.read_bytes()
    _, error = read_back(log)
    assert error is not None
    assert "spread-ctl wal salvage" in str(error)
    assert error.evidence["file"] == str(newest.path)
    assert (error.evidence["offset"], error.evidence["seq"]) == (0, newest.first_seq)
    assert error.evidence["good_before"] == newest.first_seq
    assert error.evidence["good_after"] == count - newest.first_seq - lost
    assert not reader.waits(newest.path)
    again = LogWriter(log, origin, segment_bytes=SMALL)
    assert again.torn is not None
    assert again.durable_seq == count
    again.append(RecordKind.TICK, ticks(count, 5))
    again.close()
    assert newest.path.read_bytes() == left, "what is damaged stays as it is"
    assert numbers(log, since=count) == list(range(count, count + 5))
    assert salvage(log, tmp_path / "to") == (count + 5 - lost, lost)
    first = reader.chain(tmp_path / "to")[
        0
    ].head  # by the copy of its own, where it is the only one
    names = ("namespace", "instance_id", "anchor_ns", "boot")
    assert [first[name][()] for name in names] == [b"here", 7, 5, b"a boot"]


def test_recording_goes_on_behind_damage(tmp_path: Path) -> None:
    links = several(tmp_path)
    block = reader.walk(links[-1], reader.mapped(links[-1].path)).blocks[0]
    spoil(links[-1].path, block.offset)
    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    assert writer.torn is not None
    assert writer.torn.durable
    assert writer.durable_seq == 1_000
    writer.append(RecordKind.TICK, ticks(1_000, 5))
    writer.close()
    _, error = read_back(tmp_path)
    assert error is not None
    assert error.evidence["seq"] == links[-1].first_seq + block.first
    assert numbers(tmp_path, since=1_000) == list(range(1_000, 1_005))


def test_what_a_disk_cannot_read_is_damage_and_ends_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page in the midst of a segment: where the kernel would send SIGBUS to who looks at it."""
    links = several(tmp_path / "log")
    ill, page = links[2], HEAD_BYTES // mmap.PAGESIZE + 1
    blocks = reader.walk(ill, reader.mapped(ill.path)).blocks
    begin, end = page * mmap.PAGESIZE, (page + 1) * mmap.PAGESIZE
    lost = [one for one in blocks if one.offset < end and one.end > begin]
    inode, read = ill.path.stat().st_ino, os.pread

    def pread(file: int, length: int, at: int) -> bytes:
        if os.fstat(file).st_ino == inode and begin <= at < end:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(file, length, at)

    # Which mapping is whose is not known there: all are copied.
    monkeypatch.setattr(reader, "_can_be_read", lambda *_: False)
    monkeypatch.setattr(os, "pread", pread)
    _, error = read_back(tmp_path / "log")
    assert error is not None
    assert error.evidence["seq"] == ill.first_seq + lost[0].first
    (hole,) = examine(tmp_path / "log").holes
    assert (hole.path, hole.offset, hole.durable) == (ill.path, lost[0].offset, True)
    missing = sum(one.records for one in lost)
    assert salvage(tmp_path / "log", tmp_path / "to") == (1_000 - missing, missing)


def test_a_file_that_became_shorter_while_it_was_looked_at_ends_nobody(log: Path) -> None:
    path = only_segment(log)
    data = reader.mapped(path)
    os.truncate(path, HEAD_BYTES)
    found = reader.readable(data, path)
    assert len(found) == len(data)
    assert found[:HEAD_BYTES].tobytes() == path.read_bytes()
    assert not found[HEAD_BYTES:].any()


def test_what_a_crash_left_behind_the_end_is_nobody_s_when_damage_comes_later(
    tmp_path: Path,
) -> None:
    """A block behind a torn one, whole, whose numbers the next life has given to other records."""
    log = tmp_path / "log"
    writer = LogWriter(log, segment_bytes=256 << 10)
    for at in range(0, 70, 10):
        writer.append(RecordKind.TICK, ticks(at, 10))
        writer.commit()
    writer.sync()
    path, blocks = only_segment(log), blocks_of(log)
    crashed = tmp_path / "crashed"
    shutil.copytree(log, crashed)
    writer.close()
    path = only_segment(crashed)
    spoil(path, blocks[-2].offset)
    again = LogWriter(crashed, segment_bytes=256 << 10)
    first = again.durable_seq
    assert first == blocks[-2].first
    again.append(RecordKind.TICK, ticks(1_000, 40))
    again.close()
    spoil(path, blocks[1].offset)
    _, error = read_back(crashed)
    assert error is not None
    assert error.evidence["good_after"] == first - blocks[2].first + 40
    assert salvage(crashed, tmp_path / "to") == (first - 10 + 40, 10)
    expected = [*range(10), *range(20, first), *range(1_000, 1_040)]
    assert numbers(tmp_path / "to") == expected


def test_a_damaged_segment_of_the_log_does_not_wait_to_be_used_again(tmp_path: Path) -> None:
    """Head and first block are ruined: by itself it looks as if it had not been begun."""
    links = several(tmp_path / "log")
    ruined = links[2]
    first, *_ = reader.walk(ruined, reader.mapped(ruined.path)).blocks
    with ruined.path.open("r+b") as file:
        file.write(b"\xff" * 8)
    spoil(ruined.path, first.offset)
    before = ruined.path.read_bytes()
    writer = LogWriter(tmp_path / "log", segment_bytes=SMALL)
    for at in range(1_000, 1_600, 100):
        writer.append(RecordKind.TICK, ticks(at, 100))
        writer.commit()
    writer.close()
    assert ruined.path.read_bytes() == before
    assert salvage(tmp_path / "log", tmp_path / "to") == (1_600 - first.records, first.records)
