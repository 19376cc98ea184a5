"""Appends records to the log, and says honestly how far they are on the disk.

Writer:  one per folder, by its lock.     Readers: anyone, at any time.

`append` gathers records into blocks, `commit` writes what was gathered and has the second thread
sync it; `durable_seq` moves when that is done. What is not on the disk yet is kept in memory: when
a segment fails (a write, a sync, no room), it is left as it is, a new one begins at `durable_seq`,
and what was kept is written again. So nothing counts as safe that may not be, a sync that failed is
never repeated, and no record is lost as long as there is `room`.

Opening after a crash and opening for the first time are the same: always a new segment, which says
where the one before it ended.
"""

import contextlib
import os
import socket
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS
from spread_scanner.errors import SpreadError
from spread_scanner.schema.log import DOCUMENT_DTYPE, RecordKind
from spread_scanner.wal import frames, reader, segments
from spread_scanner.wal._backs import Gathering
from spread_scanner.wal._syncing import SyncThread
from spread_scanner.wal.disk import PAGE_BYTES, ZEROS_BEHIND_MAX, LogDisk
from spread_scanner.wal.frames import (
    ALIGN,
    BLOCK_BYTES_MAX,
    BLOCK_HEAD_BYTES,
    PAYLOAD_BYTES_MAX,
    Bytes,
)

UNSYNCED_BYTES_MAX = 16 << 20
SYNC_BYTES = 1 << 20  # what is written is synced when it is so much, too
MUCH_BYTES = 128 << 10  # between two syncs; 50 ms of 20,000 ticks a second are 80 KB
TRIES = 3  # segments in a row that fail at once: the disk is to blame, and asked again later
SPARES_MAX = 2
AGAIN_NS = 1_000_000_000
ROOMS_MAX = UNSYNCED_BYTES_MAX // BLOCK_BYTES_MAX  # new memory is dear: what a flood took is kept
DOCUMENT_PART_BYTES = (PAYLOAD_BYTES_MAX - DOCUMENT_DTYPE.itemsize) // ALIGN * ALIGN


def _room() -> Bytes:
    """For a block of the largest size."""
    return np.empty(BLOCK_BYTES_MAX, np.uint8)


class Origin(NamedTuple):
    """Whose log it is: the store that its times and ids are of."""

    namespace: str = ""
    instance_id: int = 0
    anchor_ns: int = 0
    boot: str = ""  # that the monotonic times are of; empty: not known
    host: str = ""  # empty: this one


class WrittenThen(NamedTuple):
    """When records were written that are copied now."""

    wall_ns: int
    mono_ns: int


class Unsafe(SpreadError):
    """What was to be copied could not be brought to the disk."""


class _Kept(NamedTuple):
    """A block that is not on the disk yet."""

    at_ns: int  # when it was sealed

    seq: int  # of its first record
    kind: RecordKind
    records: int
    block: Bytes  # the place of its head, and its records


class _Place(NamedTuple):
    """How far the log is."""

    number: int  # of the segment; 0: none
    end: int
    crc: int
    seq: int  # of the next record


class _Current:
    """The segment that is written."""

    def __init__(self, number: int, file: int, head: np.ndarray) -> None:
        self.number, self.file, self.head = number, file, head
        self.first_seq, self.salt = int(head["first_seq"]), int(head["salt"])
        self.begun_ns = int(head["created_mono_ns"])
        self.crc = int(head["crc"])
        self.end = frames.HEAD_BYTES
        self.clean = self.end  # how far nothing of an older use is left
        self.next_seq = self.first_seq
        self.has_copy = False  # of its head


class LogWriter:
    """The log's one writer. Its methods are for one thread."""

    def __init__(
        self,
        folder: Path,
        origin: Origin = Origin(),  # noqa: B008 - immutable
        *,
        segment_bytes: int = frames.SEGMENT_BYTES,
        disk: LogDisk | None = None,
    ) -> None:
        """Takes the folder. Raises LogTaken, NoNumberLeft, OSError."""
        self.folder, self._origin, self._segment_bytes = folder, origin, segment_bytes
        self._disk = disk or LogDisk()
        self._lock = segments.lock(folder)
        self.segments_failed = 0  # left because of an error
        self.segments_late = 0  # not ready when they were needed
        self.refusal = ""  # why nothing can be written now
        self.torn: reader.Hole | None = None  # what the log's last life left
        self.strange = ""  # why that cannot be read: another version wrote it
        self._refused_ns = 0
        self._gathering = Gathering(_room(), BLOCK_HEAD_BYTES)
        self._kind = RecordKind.TICK  # of what is gathered
        self._rooms: list[Bytes] = []  # of blocks that are on the disk: used again
        self._kept: list[_Kept] = []  # in their order; those first that are written
        self._written = 0  # how many of them are, in the current segment
        self._kept_bytes = 0
        self._unsynced = 0  # bytes that were written since the last sync was begun
        self._current: _Current | None = None
        self._sync_thread = SyncThread()
        self._syncing: tuple[_Place, int] | None = None  # what is on the disk when it is done
        self._making: Future[Path] | None = None
        self._maker = ThreadPoolExecutor(1, "wal")
        try:
            self._safe = self._found()
            files = segments.numbered(folder)
            self._number = segments.last_number(folder)  # the last that was given to a file
        except BaseException:
            os.close(self._lock)
            raise
        self._then: WrittenThen | None = None  # None: what is appended is of now
        links = reader.linked(folder)
        logged = {link.number for link in links}  # damaged ones look unused
        self._spare = [
            path
            for number, path in files.items()
            if number not in logged and reader.waits(path, segment_bytes)
        ]
        # Those that failed before anything of them was safe, in this life or one before.
        self._left = [path for path in reader.passed_over(links, files) if path not in self._spare]
        self.appended_seq = self._safe.seq

    @property
    def durable_seq(self) -> int:
        """Every record before it is on the disk."""
        return self._safe.seq

    @property
    def segment(self) -> int:
        """The number of the segment that is written; 0: none is."""
        return 0 if self._current is None else self._current.number

    @property
    def durable_age_ns(self) -> int:
        """How old the oldest block is that is not on the disk; 0: all are."""
        return max(0, clock.mono_ns() - self._kept[0].at_ns) if self._kept else 0

    @property
    def room(self) -> bool:
        """Whether there is memory to keep more until it is on the disk."""
        return self._kept_bytes < UNSYNCED_BYTES_MAX

    def append(self, kind: RecordKind, records: np.ndarray) -> None:
        """Records of a kind that is an array. They are written with the next `commit`, or when a
        block is full."""
        records, gathering, at = np.ascontiguousarray(records), self._gathering, 0
        if kind is not self._kind:
            self._seal()
            self._kind = kind
        while at < len(records):
            at += gathering.take(kind, records, at, self.appended_seq)
            if gathering.end + records.itemsize > BLOCK_BYTES_MAX:
                self.write()

    def append_document(self, kind: RecordKind, head: np.ndarray, body: bytes) -> None:
        """A document as a whole: `head` has its digest, generation and time."""
        parts = max(1, -(-len(body) // DOCUMENT_PART_BYTES))
        for part in range(parts):
            piece = body[part * DOCUMENT_PART_BYTES : (part + 1) * DOCUMENT_PART_BYTES]
            record = np.array(head, DOCUMENT_DTYPE)
            record["part"], record["parts"], record["bytes"] = part, parts, len(piece)
            self.append_part(kind, record.tobytes() + piece + bytes(-len(piece) % ALIGN))

    def append_part(self, kind: RecordKind, part: bytes) -> None:
        """A document's part with its head, as it stands in a log."""
        self._seal()
        block = np.zeros(BLOCK_HEAD_BYTES + len(part), np.uint8)
        block[BLOCK_HEAD_BYTES:] = np.frombuffer(part, np.uint8)
        self._keep(kind, 1, block)

    def write(self) -> None:
        """Write what was gathered: whoever kills this process does not lose it any more."""
        self._seal()
        self._write_on()
        self._sync_much()

    def _sync_much(self) -> None:
        """Group commit by size, which one by time may be too late for."""
        if self._unsynced >= SYNC_BYTES and (self._syncing is None or self._sync_thread.done):
            self.commit()

    def copy_on(self, origin: Origin, then: WrittenThen) -> None:
        """What follows is a copy of what was written then, of that store: in a segment of its own.
        Raises Unsafe."""
        self.copied()
        self._close_current()
        self._origin, self._then = origin, then

    def copy_then(self, mono_ns: int) -> None:
        """What follows was written then, in the same segment."""
        assert self._then is not None, "copy_on says where"
        passed_ns = mono_ns - self._then.mono_ns
        self._then = WrittenThen(self._then.wall_ns + passed_ns, mono_ns)

    def copied(self) -> None:
        """All that was appended is on the disk. Raises Unsafe."""
        self.sync()
        if self.durable_seq != self.appended_seq:
            raise Unsafe(f"the log cannot be written: {self.refusal}", folder=str(self.folder))

    def commit(self) -> None:
        """Write what was gathered; have it synced, unless a sync is under way: then the next one
        takes it along. Whoever calls this each 50 ms has that for an upper bound, and the sync."""
        self._commit(patient=False)

    def _commit(self, *, patient: bool) -> None:
        self._seal()
        try:
            self._hear(patient=patient)
        except OSError as error:
            self._leave(error)
        self._write_on()
        if self._syncing is None and self._written:
            try:
                self._sync()
            except OSError as error:  # no thread to be had: it is asked for again
                self.refusal = str(error)

    def sync(self) -> None:
        """Until all that was appended is on the disk, or `refusal` says why not."""
        self.commit()
        while self._syncing is not None:
            self._commit(patient=True)

    def close(self) -> None:
        """All on the disk, said so in the log, and the folder given back."""
        self.sync()
        if self._current is not None and not self._kept:
            self._keep(RecordKind.CLOSE, 0, np.zeros(BLOCK_HEAD_BYTES, np.uint8))
            self.sync()
        self._maker.shutdown()
        self._close_current()
        os.close(self._lock)

    def reuse(self, path: Path) -> bool:
        """An old segment, which is to leave the log: its file is used again; of more than are
        needed the first is unlinked, so that nothing older than it is left behind. False: it waits
        for that already. Raises OSError."""
        if path in self._spare:
            return False
        self._spare.append(path)
        if len(self._spare) > SPARES_MAX:
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(self._spare.pop(0))
        return True

    def unlink_older(self, path: Path) -> None:
        """Old segments that wait to be used again, as far as they are older than one whose file
        goes at once: nothing would lead to them. Raises OSError."""
        older = [one for one in self._spare if one.stem < path.stem]
        self._spare = [one for one in self._spare if one not in older]
        for one in older:
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(one)

    def give_back(self, paths: Sequence[Path]) -> int:
        """Segments that lie packed beside these files, which are used again; how many were not
        given back already. Raises OSError."""
        given = [path for path in paths if path not in self._spare]
        if given:
            self._disk.sync_folder(self.folder)  # no name goes before the other one is on the disk
        return sum(self.reuse(path) for path in given)

    def _found(self) -> _Place:
        """Where the log ends that lies there; what is read of it is on the disk afterwards."""
        links = reader.linked(self.folder)
        if not links:
            return _Place(0, 0, 0, 0)
        link = links[-1]
        self.strange = link.strange
        if link.head["version"] not in (0, frames.VERSION):
            # Where it ends is not known. No record that it can hold gets its sequence twice.
            return _Place(link.number, 0, 0, link.first_seq + link.path.stat().st_size // ALIGN)
        data = reader.bytes_of(link)
        walked = reader.walk(link, data)
        self.torn = walked.hole
        place = _Place(link.number, walked.end, walked.crc, walked.next_seq)
        if walked.hole is not None and walked.hole.durable:
            # Reading is refused there; recording goes on behind the last that is good.
            good = reader.whole_blocks(data, int(link.head["salt"]))
            last = max(good, key=lambda block: block.next, default=None)
            if last is not None and link.first_seq + last.next > place.seq:
                place = _Place(link.number, last.end, last.crc, link.first_seq + last.next)
        file = self._disk.open(link.path)
        try:
            self._disk.fdatasync(file)
        finally:
            self._disk.close(file)
        return place

    def _seal(self) -> None:
        """Make a block of what was gathered."""
        gathering = self._gathering
        count = gathering.count
        if not count:
            return
        if gathering.end < BLOCK_BYTES_MAX // 4:  # what waits takes little more than it needs
            block = gathering.hand_over(gathering.room).copy()
        else:
            block = gathering.hand_over(self._rooms.pop() if self._rooms else _room())
        self._keep(self._kind, count, block)

    def _keep(self, kind: RecordKind, count: int, block: Bytes) -> None:
        self._kept.append(_Kept(clock.mono_ns(), self.appended_seq, kind, count, block))
        self._kept_bytes += len(block)
        self.appended_seq += count

    def _write_on(self) -> None:
        """Write what is kept and not written, into as many segments as it takes. A segment that
        fails is left; after several in a row the disk is asked again a second later."""
        if self.refusal and clock.mono_ns() < self._refused_ns + AGAIN_NS:
            return
        for _ in range(TRIES):
            try:
                while self._written < len(self._kept):
                    kept = self._kept[self._written]
                    end = self._current.end + len(kept.block) if self._current else 0
                    if self._current is None or end > self._blocks_end:
                        self._current = self._begun()
                    self._put(self._current, kept)
                    self._written += 1
            except OSError as error:
                self._leave(error)
            else:
                self.refusal = ""
                return
        self._refused_ns = clock.mono_ns()

    def _put(self, current: _Current, kept: _Kept) -> None:
        crc = frames.seal_block(
            kept.block,
            kept.kind,
            kept.records,
            salt=current.salt,
            previous=current.crc,
            first=kept.seq - current.first_seq,
            durable=max(0, self.durable_seq - current.first_seq),
            at_ms=max(0, self._written_mono_ns - current.begun_ns) // NS_PER_MS,
        )
        end = current.end + len(kept.block)
        zeros = self._zeros_behind(current, end)
        self._disk.put(current.file, kept.block.data, current.end, zeros=zeros)
        current.end, current.clean = end, max(current.clean, end + zeros)
        self._unsynced += len(kept.block)
        current.crc, current.next_seq = crc, kept.seq + kept.records
        if self._making is None and 2 * current.end > self._segment_bytes:
            self._making = self._make()

    @property
    def _blocks_end(self) -> int:
        """Where a segment has no room for more."""
        return self._segment_bytes - frames.COPY_BYTES

    def _zeros_behind(self, current: _Current, end: int) -> int:
        """How many follow a block that ends there. Of a page that is written in part the kernel
        first reads the rest, and it is not in memory where the file is an old one; and the page
        cache is cheaper in larger pieces, where so much is written that these are soon full."""
        if end <= current.clean:
            return 0
        border = ZEROS_BEHIND_MAX if self._unsynced >= MUCH_BYTES else PAGE_BYTES
        return min(-end % border, self._blocks_end - end)

    def _sync(self) -> None:
        current = self._current
        assert current is not None, "what is written is so in a segment"
        place = _Place(current.number, current.end, current.crc, current.next_seq)
        self._sync_thread.begin(self._disk.fdatasync, current.file)
        self._syncing, self._unsynced = (place, self._written), 0

    def _hear(self, *, patient: bool = False) -> None:
        """What became of the sync. Raises OSError when it failed."""
        if self._syncing is None or not (patient or self._sync_thread.done):
            return
        try:
            self._sync_thread.result()
        except Exception:
            self._syncing = None
            raise  # any other has interrupted the waiting alone
        (place, written), self._syncing = self._syncing, None
        self._safe = place
        for kept in self._kept[:written]:
            self._kept_bytes -= len(kept.block)
            if isinstance(kept.block.base, np.ndarray) and len(self._rooms) < ROOMS_MAX:
                self._rooms.append(kept.block.base)
        del self._kept[:written]
        self._written -= written
        if self._current is not None and not self._current.has_copy:
            self._put_copy(self._current)

    def _put_copy(self, current: _Current) -> None:
        """Once the head is on the disk: where there is the copy alone, the head was there."""
        self._disk.put(current.file, current.head.tobytes(), self._blocks_end)
        current.has_copy = True

    def _leave(self, error: OSError) -> None:
        """Leave the segment as it is. What is not known to be on the disk is written again."""
        self.segments_failed += 1
        self.refusal = str(error)
        with contextlib.suppress(OSError):
            self._hear(patient=True)
        if self._current is not None and self._current.number != self._safe.number:
            self._left.append(segments.path_of(self.folder, self._current.number))
        with contextlib.suppress(OSError):
            self._close_current()
        self._written = 0

    def _close_current(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            self._disk.close(current.file)

    def _begun(self) -> _Current:
        """A new segment, when all that was written is on the disk. Raises OSError."""
        self._hear(patient=True)
        if self._written:
            self._sync()
            self._hear(patient=True)
        self._close_current()
        if self._making is None:
            self._making = self._make()
        self.segments_late += self._number > 1 and not self._making.done()
        making, self._making = self._making, None
        path = making.result()
        number = int(path.stem)
        left, self._left = self._left, [*self._left, path]
        file = self._disk.open(path)
        try:
            head = self._head(number)
            self._disk.put(file, frames.sealed_head(head), 0)
        except OSError:
            self._disk.close(file)
            raise
        self._left = []
        for path in left:  # no part of the log any more: the new one does not name them
            with contextlib.suppress(OSError):
                self._disk.unlink(path)
        return _Current(number, file, head)

    def _head(self, number: int) -> np.ndarray:
        head = frames.new_head(number, self._safe.seq)
        head["segment_bytes"] = self._segment_bytes
        head["previous_number"], head["previous_end"] = self._safe.number, self._safe.end
        head["previous_crc"] = self._safe.crc
        head["anchor_ns"], head["instance_id"] = self._origin.anchor_ns, self._origin.instance_id
        head["namespace"] = self._origin.namespace
        head["host"] = self._origin.host or socket.gethostname()
        head["boot"] = self._origin.boot
        head["created_wall_ns"] = clock.wall_ns() if self._then is None else self._then.wall_ns
        head["created_mono_ns"] = self._written_mono_ns
        return head

    @property
    def _written_mono_ns(self) -> int:
        return clock.mono_ns() if self._then is None else self._then.mono_ns

    def _make(self) -> Future[Path]:
        """Have the next segment's file made."""
        self._number += 1
        old = self._spare.pop(0) if self._spare else None
        return self._maker.submit(
            segments.make, self._disk, self.folder, self._number, self._segment_bytes, old
        )
