"""Reads the log: blocks in their order, a torn tail cut, damage refused.

A segment names the one before it, where that one ended and by which CRC: the log is that chain,
back from the newest. All before a segment's first record was on the disk when it was begun, so
what does not read up to a known end is damage. Only the newest has no known end: what comes behind
its last whole block was not on the disk yet, unless some block says that it was.

A log may be read while it is written: what the writer has in hand looks like a torn tail.

A segment that is packed (packed.py) is the same bytes, in memory of its own; here alone that is a
difference.
"""

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spread_scanner.errors import SpreadError
from spread_scanner.schema.log import ARRAYS, DOCUMENT_DTYPE, RecordKind
from spread_scanner.wal import packed, segments
from spread_scanner.wal.frames import (
    BLOCK_BYTES_MAX,
    BLOCK_HEAD_BYTES,
    COPY_BYTES,
    HEAD_BYTES,
    HEAD_DTYPE,
    Bytes,
    LogBlock,
    begun_at,
    block_at,
    head_of,
    places_of,
    strange,
)

_POPULATE_READ = 22  # MADV_POPULATE_READ; kernels before 5.14 refuse it by another error


class LogDamaged(SpreadError):
    """Records that were on the disk cannot be read any more."""


class NoLog(SpreadError):
    """There is no log where one was looked for, or it is of another version."""


class LogLeft(SpreadError):
    """Records left the log, being old, while somebody read on towards them."""


class Link(NamedTuple):
    """A segment of the chain. Where it is not `whole`, `head` is the copy of it; or where that is
    lost, too, has its salt (0: nothing of it is left) and its first record alone."""

    number: int
    path: Path
    head: np.ndarray
    whole: bool
    end: int | None  # where its blocks end; None: nobody has said so
    crc: int | None

    @property
    def first_seq(self) -> int:
        return int(self.head["first_seq"])

    @property
    def strange(self) -> str:
        """Why this version cannot read it; empty: it can."""
        return strange(self.head) if self.is_known else ""

    @property
    def is_known(self) -> bool:
        """Whether all is there that its head said."""
        return self.whole or _is_copy(self.head)

    @property
    def is_packed(self) -> bool:
        """Whether it takes memory to read it."""
        return self.path.suffix == segments.PACKED

    @property
    def namespace(self) -> str:
        return bytes(self.head["namespace"][()]).decode("utf-8", "replace")


def nearest_whole(links: Sequence[Link], link: Link) -> Link:
    """Whose times and store a segment has: its own, where its head or the copy is whole; one that
    has lost both is taken for what the nearest one was, or for itself where none is."""
    if link.is_known:
        return link
    whole = [one for one in links if one.is_known] or [link]
    return min(whole, key=lambda one: (abs(one.number - link.number), one.number))


class Hole(NamedTuple):
    """Where a segment stops making sense."""

    path: Path
    offset: int  # in the file
    seq: int  # of the first record that is not there
    after: int  # records behind it that are good
    durable: bool  # what is missing was on the disk: damage; else the torn tail of a crash


class Walked(NamedTuple):
    """A segment, read."""

    blocks: list[LogBlock]
    hole: Hole | None
    end: int
    crc: int
    next_seq: int
    closed: bool


def bytes_of(link: Link) -> Bytes:
    """A segment, `readable`, as it was listed or packed since, up to where its blocks are known to
    end: a block that a crash left behind that is whole, too, but its numbers were given again.
    Raises OSError."""
    return readable(_as_it_lies(link), link.path, link.end)[: link.end or None]


def _as_it_lies(link: Link) -> Bytes:
    packed_path = segments.packed_of(link.path)
    try:
        data = mapped(link.path)
    except FileNotFoundError:
        return mapped(packed_path)
    return data if len(data) or not packed_path.exists() else mapped(packed_path)


def mapped(path: Path) -> Bytes:
    """The bytes of a file, without reading them; it is not used again as long as anything points
    into them. None of one that is being made ready for another use. Of a packed one what it was.
    Raises OSError."""
    if path.suffix == segments.PACKED:
        return packed.unpacked(path)
    with path.open("rb") as file:
        try:
            # Goes with the mapping, which has the file open as well.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return np.zeros(0, np.uint8)
        if not os.path.samestat(os.fstat(file.fileno()), path.stat()):  # it had the name until now
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        if not os.fstat(file.fileno()).st_size:
            return np.zeros(0, np.uint8)
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def readable(data: Bytes, path: Path, length: int | None = None) -> Bytes:
    """What `mapped` gave of a file, when the disk could read it, or its first `length` bytes; else
    a copy with zeros for what it cannot read: damage like any other, where the kernel would end the
    process that looks at it. Raises OSError."""
    room = getattr(data.base, "obj", None)
    if not isinstance(room, mmap.mmap) or _can_be_read(room, min(len(data), length or len(data))):
        return data
    return _copied(path, len(data))


def _can_be_read(room: mmap.mmap, length: int) -> bool:
    """All of it, which is in memory then."""
    try:
        room.madvise(_POPULATE_READ, 0, length)
    except OSError as error:
        return error.errno != errno.EFAULT  # any other: the kernel has not tried
    return True


def _copied(path: Path, length: int) -> Bytes:
    """Page by page, as far as it can be read. Raises OSError where there is no file."""
    data = np.zeros(length, np.uint8)
    with path.open("rb", buffering=0) as file:
        for at in range(0, length, mmap.PAGESIZE):
            with contextlib.suppress(OSError):
                page = os.pread(file.fileno(), mmap.PAGESIZE, at)
                data[at : at + len(page)] = np.frombuffer(page, np.uint8)[: length - at]
    return data


def waits(path: Path, length: int | None = None) -> bool:
    """Whether a file, of that length, is there for a segment that was not begun. Raises OSError."""
    data = mapped(path)
    of_length = length is None or len(data) == length
    return of_length and _begun(int(path.stem), path) is None


def chain(folder: Path) -> list[Link]:
    """The log's segments in their order; empty where none was begun. It begins behind the last one
    that another version wrote and this one cannot read. Raises NoLog, OSError."""
    return _readable(linked(folder))


def with_cut_off(folder: Path) -> list[Link]:
    """The chain, and before it what is cut off and this version can read. Raises NoLog, OSError."""
    return _readable([*cut_off(folder), *linked(folder)])


def _readable(links: list[Link]) -> list[Link]:
    for place, link in reversed([*enumerate(links, 1)]):
        if link.strange:
            if place == len(links):
                raise other_version(link)
            return links[place:]
    return links


def begun_chain(folder: Path, *, cut_off_too: bool = False) -> list[Link]:
    """As `chain` or `with_cut_off`, and NoLog where none was begun."""
    links = with_cut_off(folder) if cut_off_too else chain(folder)
    if not links:
        raise NoLog("there is no log", folder=str(folder))
    return links


def other_version(link: Link) -> NoLog:
    """The refusal, with what a person can do."""
    return NoLog(
        f"the log was written by another version, and this one cannot read it: {link.strange}. "
        "Read it with the version that wrote it. spread-recorder leaves it as it is, and goes on "
        "behind it",
        file=str(link.path),
    )


def linked(folder: Path) -> list[Link]:
    """All segments, whatever version wrote them; only what heads say. Raises NoLog, OSError."""
    return _looked_at(folder, _chained)


def cut_off(folder: Path) -> list[Link]:
    """Older segments that nothing leads to any more, as the one behind them was removed: no part of
    the chain, and what leaves the log is older than all that stays. Raises NoLog, OSError."""
    return _looked_at(folder, _cut_off)


def _looked_at(folder: Path, look: Callable[[Mapping[int, Path]], list[Link]]) -> list[Link]:
    """What the files of a log's folder say. Raises NoLog, OSError."""
    while True:
        try:
            # A file goes when it lies packed beside: those that are there are asked for first.
            raw = segments.numbered(folder)
            files = segments.numbered(folder, segments.PACKED) | raw
        except FileNotFoundError:
            raise NoLog("there is no log", folder=str(folder)) from None
        # A file that was listed may have been taken for another use since: look again.
        with contextlib.suppress(FileNotFoundError):
            return look(files)


def _chained(files: Mapping[int, Path]) -> list[Link]:
    begun = {number: left for number, path in files.items() if (left := _begun(number, path))}
    found: list[Link] = []
    number = max(begun, default=0)
    end: int | None = None
    crc: int | None = None
    while number in files:
        path = files[number]
        said = begun.get(number) or _begun(number, path)  # it may have been begun since
        if said is None and _is_taken(path):
            break  # the oldest, that leaves the log just now
        head, whole = said or (_lost(number, path, begun), False)
        found.append(Link(number, path, head, whole, end, crc))
        if not (whole or _is_copy(head)):  # whom it continues is not known: the nearest before it
            number, end, crc = _nearest_before(number, begun), None, None
            continue
        number, end = int(head["previous_number"]), int(head["previous_end"])
        crc = int(head["previous_crc"])
    found.reverse()
    for before, link in pairwise(found):
        if not link.is_known:
            link.head["first_seq"] = _end_of(before)
    return found


def _cut_off(files: Mapping[int, Path]) -> list[Link]:
    found: list[Link] = []
    links = _chained(files)
    # What is older than a log that begins anew, or lies between two segments, failed before
    # anything of it was safe (passed_over).
    while links and (named := _named_before(links[0])):
        files = {number: path for number, path in files.items() if number < named}
        links = _chained(files)
        found[:0] = links
    return found


def _named_before(link: Link) -> int:
    """The segment that a head says it continues; 0: none, or nobody can tell."""
    return 0 if link.strange or not link.is_known else int(link.head["previous_number"])


def gone_between(before: Link, link: Link) -> int:
    """The segment that is not there between two; 0: none, as far as heads tell."""
    named = _named_before(link)
    return named if named > before.number else 0


def gone(links: Sequence[Link]) -> list[Hole]:
    """Damage where a segment is not there, of these that are: all, cut off or not. Raises
    OSError."""
    return [
        Hole(
            segments.path_of(link.path.parent, number),
            0,
            min(_end_of(before), link.first_seq),
            0,
            durable=True,
        )
        for before, link in pairwise(links)
        if (number := gone_between(before, link))
    ]


def _is_taken(path: Path) -> bool:
    """Whether it is being made ready for another use. Raises OSError."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def passed_over(links: Sequence[Link], files: Mapping[int, Path]) -> list[Path]:
    """The files between segments of which the later names the earlier: nothing of them is in the
    log."""
    between = [
        range(before.number + 1, link.number)
        for before, link in pairwise(links)
        if link.whole and not link.strange
    ]
    return [path for number, path in files.items() if any(number in one for one in between)]


def _nearest_before(number: int, begun: Collection[int]) -> int:
    return max((other for other in begun if other < number), default=0)


def _lost(number: int, path: Path, begun: Collection[int]) -> np.ndarray:
    """The head of a segment that the one behind it names, and that looks as if it waited."""
    return _ruined(number, path, continues=_nearest_before(number, begun) > 0)


def _end_of(link: Link) -> int:
    """The record behind the last of a segment, by what can be read of it."""
    data = bytes_of(link)
    if link.whole:
        return walk(link, data).next_seq
    blocks = whole_blocks(data, int(link.head["salt"]))
    return link.first_seq + max((block.next for block in blocks), default=0)


def _begun(number: int, path: Path) -> tuple[np.ndarray, bool] | None:
    """The head of a segment, and whether it is whole; None: the file waits to be used."""
    data = _headed(path)
    head = head_of(data)
    if head is not None:
        if head["number"] != number:
            return None
        return head, True
    left = _ruined(number, path)
    begun = _is_copy(left) or block_at(data, HEAD_BYTES, int(left["salt"]))
    return (left, False) if begun else None


def _headed(path: Path) -> Bytes:
    """The bytes of a segment, of a packed one with a whole head no more than that."""
    if path.suffix == segments.PACKED and head_of(head := packed.segment_head(path)) is not None:
        return head
    return readable(mapped(path), path, HEAD_BYTES + BLOCK_BYTES_MAX)


def _ruined(number: int, path: Path, *, continues: bool = False) -> np.ndarray:
    """What can be said of a segment whose head is not whole: the copy; salt 0: nothing was begun
    there. One that `continues` others, as the one behind it says, has the salt of its first block.
    """
    # One look: the writer may be about to write its head.
    data = _headed(path)[: HEAD_BYTES + BLOCK_HEAD_BYTES].copy()
    head = np.zeros((), HEAD_DTYPE)
    if len(data) < HEAD_BYTES + BLOCK_HEAD_BYTES or head_of(data) is not None:
        return head
    copy = _copy_of_head(path)
    if copy is not None and copy["number"] == number:
        return copy
    raw = np.frombuffer(data[: HEAD_DTYPE.itemsize].tobytes(), HEAD_DTYPE)[0]
    salt = int(data[HEAD_BYTES : HEAD_BYTES + 16].view("<u4")[2])
    if continues or raw["number"] == number or (salt and raw["salt"] == salt):
        head["salt"], head["number"], head["first_seq"] = salt, number, raw["first_seq"]
    return head


def _copy_of_head(path: Path) -> np.ndarray | None:
    """What the last sector says, which is written when the head is on the disk; None: nothing, or
    it cannot be read. Raises FileNotFoundError."""
    with path.open("rb", buffering=0) as file, contextlib.suppress(OSError):
        at = os.fstat(file.fileno()).st_size - COPY_BYTES
        return head_of(np.frombuffer(os.pread(file.fileno(), COPY_BYTES, max(at, 0)), np.uint8))
    return None


def _is_copy(head: np.ndarray) -> bool:
    """Of a head that is not whole: one that has lost its copy, too, has no CRC."""
    return bool(head["crc"])


def walk(link: Link, data: Bytes) -> Walked:
    """Read a segment to its end, or to where it stops making sense."""
    salt, crc = int(link.head["salt"]), int(link.head["crc"])
    if not link.whole:
        after = sum(block.records for block in whole_blocks(data, salt))
        ruin = Hole(link.path, 0, link.first_seq, after, durable=True)
        return Walked([], ruin, HEAD_BYTES, crc, link.first_seq, closed=False)
    blocks: list[LogBlock] = []
    offset, first, closed = HEAD_BYTES, 0, False
    while not closed and offset != link.end and (block := block_at(data, offset, salt)):
        if block.previous != crc or block.first != first:
            break
        blocks.append(block)
        offset, first, crc = block.end, block.next, block.crc
        closed = block.kind == RecordKind.CLOSE
    known = offset == link.end and crc == link.crc
    ended = known or (closed and link.end is None)
    hole = None if ended else _hole(link, data, blocks, offset, crc)
    return Walked(blocks, hole, offset, crc, link.first_seq + first, closed)


def _hole(link: Link, data: Bytes, blocks: list[LogBlock], offset: int, crc: int) -> Hole | None:
    """What ends a segment before its known end; None: it ends there because nobody went on."""
    salt = int(link.head["salt"])
    first = blocks[-1].next if blocks else 0
    behind = whole_blocks(data, salt, offset)
    durable = max((block.durable for block in [*blocks, *behind]), default=0)
    damage = link.end is not None or first < durable
    if not damage and not behind and not begun_at(data, offset, salt, crc):
        return None
    after = {block.first: block.records for block in behind if block.first >= first}
    place = packed.place_of(link.path, offset) if link.is_packed else offset
    return Hole(link.path, place, link.first_seq + first, sum(after.values()), damage)


def whole_blocks(data: Bytes, salt: int, since: int = HEAD_BYTES) -> list[LogBlock]:
    """Every block of a segment that stands by itself, wherever it begins."""
    if not salt:
        return []
    found = (block_at(data, place, salt) for place in places_of(data, salt, since))
    return [block for block in found if block is not None]


class Piece(NamedTuple):
    """Records of one kind that lie side by side."""

    kind: RecordKind
    seq: int  # of the first
    records: int
    at_ns: int  # when they were written, monotonic
    payload: Bytes

    def array(self) -> np.ndarray[Any, Any]:
        """The records, of a kind that is an array."""
        return self.payload.view(ARRAYS[self.kind])

    def document(self) -> tuple[np.void, bytes]:
        """Head and bytes of a document's part."""
        head = self.payload[: DOCUMENT_DTYPE.itemsize].view(DOCUMENT_DTYPE)[0]
        begin = DOCUMENT_DTYPE.itemsize
        return head, self.payload[begin : begin + int(head["bytes"])].tobytes()


class DocumentParts:
    """Puts documents together, of whose parts each is a piece of its own."""

    def __init__(self) -> None:
        self._parts: dict[RecordKind, list[bytes]] = {}

    def whole(self, piece: Piece) -> tuple[np.void, bytes] | None:
        """A document with its last part, under the head of that; one whose first parts are not
        there is left out."""
        head, body = piece.document()
        if head["part"] == 0:
            self._parts[piece.kind] = []
        parts = self._parts.get(piece.kind, [])
        parts.append(body)
        if len(parts) != head["parts"] or head["part"] + 1 != head["parts"]:
            return None
        return head, b"".join(self._parts.pop(piece.kind, parts))


def pieces_of(link: Link, data: Bytes, blocks: list[LogBlock]) -> Iterator[Piece]:
    """What stands in blocks of a segment."""
    begun_ns = int(link.head["created_mono_ns"])
    for block in blocks:
        if block.records:
            payload = data[block.end - block.length : block.end]
            at_ns = begun_ns + block.at_ms * 1_000_000
            kind = RecordKind(block.kind)
            yield Piece(kind, link.first_seq + block.first, block.records, at_ns, payload)


def pieces(folder: Path, since: int = 0) -> Iterator[Piece]:
    """The log in its order, from the piece that holds the record `since` on. What a crash tore off
    the end is left out. Raises LogDamaged at the first record that was there and is not."""
    return (piece for _, piece in pieces_with_links(folder, since))


def pieces_with_links(folder: Path, since: int = 0) -> Iterator[tuple[Link, Piece]]:
    """As `pieces`, each with the segment that it stands in. Raises LogLeft besides, where a segment
    was used again before its turn came: its records are no part of the log any more."""
    links = chain(folder)
    begun = False
    for place, link in enumerate(links):
        if place + 1 < len(links) and links[place + 1].first_seq <= since:
            continue
        data = mapped_still(link)
        if data is None:
            if begun:
                raise LogLeft("records left the log while it was read", file=str(link.path))
            continue  # as if it had left before
        begun = True
        walked = walk(link, data)
        for piece in pieces_of(link, data, walked.blocks):
            if piece.seq + piece.records > since:
                yield link, piece
        if walked.hole is not None and walked.hole.durable:
            raise damaged(folder, walked.hole)


def older_files(cut: Sequence[Link]) -> str:
    """In words, what is cut off, and that it lies there for good."""
    size = sum(link.path.stat().st_size for link in cut)
    return (
        f"nothing leads to {len(cut)} older files any more ({cut[0].path.name} to "
        f"{cut[-1].path.name}, {size:,} bytes): no answer has what they hold, and nobody removes "
        "them but you"
    )


def mapped_still(link: Link) -> Bytes | None:
    """The bytes of a segment, if they still are its own: segments are mapped one by one, and the
    oldest may be used again meanwhile."""
    try:
        data = bytes_of(link)
    except FileNotFoundError:
        return None
    if not link.whole:
        return data
    head = head_of(data)
    return data if head is not None and head.tobytes() == link.head.tobytes() else None


def damaged(folder: Path, hole: Hole) -> LogDamaged:
    """The refusal, with what a person can do."""
    links, older = chain(folder), []
    if hole.path < links[0].path:
        links, count = with_cut_off(folder), len(links)
        older = links[:-count]
    before = hole.seq - links[0].first_seq
    later = [link for link in links if link.path > hole.path]
    after = hole.after + sum(
        block.records
        for link in later
        for block in whole_blocks(bytes_of(link), int(link.head["salt"]))
    )
    what = "records that were on the disk cannot be read"
    if older:
        what = f"this segment is gone, and {older_files(older)}"
    return LogDamaged(
        f"the log is damaged: {what}. What is good on both sides is copied by: "
        f"spread-ctl wal salvage --folder {folder} --to FOLDER",
        file=str(hole.path),
        offset=hole.offset,
        seq=hole.seq,
        good_before=before,
        good_after=after,
    )
