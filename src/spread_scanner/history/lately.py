"""The last ticks of one listing, out of the mapped log: from the newest on the way back that each
tick tells (wal/native/backs.h), segment by segment, as far as is asked for.

Readers: anyone, one thread each. Segments that were looked at stay mapped as long as their reader:
their files are not used again meanwhile. Of those that are packed, whose bytes take memory, one is
kept. A name counts as the tables in the log had it then. What is damaged is refused, as it is when
the log is read.
"""

import os
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from spread_scanner.schema.log import LOGGED_TICK_DTYPE, RecordKind
from spread_scanner.symbology.tables import SYMBOL_IDS, Tables
from spread_scanner.wal import frames, reader
from spread_scanner.wal._backs import follow
from spread_scanner.wal.frames import HEAD_BYTES, Bytes, LogBlock
from spread_scanner.wal.reader import DocumentParts, Link

IdsByName = Mapping[str, int]  # symbol -> id
_SIZE = LOGGED_TICK_DTYPE.itemsize


class _IndexedSegment:
    """Where the ticks of a segment are, as far as it was read."""

    def __init__(self, link: Link, data: Bytes) -> None:
        self.link, self.data = link, data
        self.tables: list[tuple[int, IdsByName]] = []  # and from which record on they count
        self.ids_before: IdsByName | None = None  # of the first records; None: nobody has looked
        self._parts = DocumentParts()
        self._salt, self._crc = int(link.head["salt"]), int(link.head["crc"])
        self._offset, self._first = HEAD_BYTES, 0
        self._base = data.ctypes.data
        self._blocks = tuple(array("Q") for _ in range(3))  # first sequence, ticks, address
        self._last: dict[int, int] = {}  # by cell the sequence of its last tick
        self._has_ways = False
        self.read_on()

    @property
    def next_seq(self) -> int:
        return self.link.first_seq + self._first

    def read_on(self) -> None:
        """What has come since."""
        while (block := frames.block_at(self.data, self._offset, self._salt)) is not None:
            if block.previous != self._crc or block.first != self._first:
                break
            self._offset, self._first, self._crc = block.end, block.next, block.crc
            if block.kind == RecordKind.TICK:
                self._take(block)
            elif block.kind == RecordKind.TABLES:
                (piece,) = reader.pieces_of(self.link, self.data, [block])
                if (whole := self._parts.whole(piece)) is not None:
                    self.tables.append((piece.seq, ids_of(whole[1])))

    def _take(self, block: LogBlock) -> None:
        seq, begin = self.link.first_seq + block.first, block.end - block.length
        ticks = self.data[begin : block.end].view(LOGGED_TICK_DTYPE)
        for column, value in zip(
            self._blocks, (seq, block.records, self._base + begin), strict=True
        ):
            column.append(value)
        cells = _cell(ticks["source_id"].astype(np.uint32), ticks["symbol_id"])
        found, last = np.unique(cells[::-1], return_index=True)
        seqs = seq + block.records - 1 - last
        self._last.update(zip(found.tolist(), seqs.tolist(), strict=True))
        self._has_ways = self._has_ways or bool(ticks["back"].any())

    def last(self, source_id: int, symbol_id: int, since: int, until: int, most: int) -> np.ndarray:
        """Those of a cell in [since, until), the newest first."""
        newest = self._last.get(_cell(source_id, symbol_id))
        if newest is None or newest < since:
            return np.zeros(0, LOGGED_TICK_DTYPE)
        if not self._has_ways or newest >= until:
            return self._scanned(source_id, symbol_id, since, until, most)
        first, count, address = self._blocks
        found, _ = follow(first, count, address, newest, since, source_id, symbol_id, most)
        return found

    def _scanned(
        self, source_id: int, symbol_id: int, since: int, until: int, most: int
    ) -> np.ndarray:
        """The same, block by block: of a version that wrote no ways, or from the midst."""
        found = [np.zeros(0, LOGGED_TICK_DTYPE)]
        for first, count, address in zip(*(reversed(one) for one in self._blocks), strict=True):
            begin = address - self._base
            ticks = self.data[begin : begin + count * _SIZE].view(LOGGED_TICK_DTYPE)
            ticks = ticks[max(0, since - first) : max(0, until - first)]
            of_cell = (ticks["symbol_id"] == symbol_id) & (ticks["source_id"] == source_id)
            found.append(ticks[of_cell][::-1])
            most -= len(found[-1])
            if most <= 0 or first <= since:
                break
        return np.concatenate(found)[: most if most < 0 else None]


class LatelyLogged:
    """The log's newest ticks, of one folder. `before`: the ids that counted before all of it."""

    def __init__(self, folder: Path, before: IdsByName) -> None:
        """Raises NoLog, OSError."""
        self._folder, self._before = folder, before
        self._indexed: dict[int, _IndexedSegment] = {}
        self._links: list[Link] = []
        self._look()

    def last(
        self, source_id: int, symbol: str, count: int, since: int = 0, *, packed: bool = True
    ) -> np.ndarray:
        """LOGGED_TICK_DTYPE, the oldest first; as many as the log has from that record on; without
        `packed` back to the newest segment that is so. Raises LogDamaged, NoLog, OSError."""
        self._look()
        found, missing = [np.zeros(0, LOGGED_TICK_DTYPE)], count
        for segment, first, until, ids in self._eras(packed=packed):
            if missing <= 0 or until <= since:
                break
            if (symbol_id := ids.get(symbol)) is not None:
                ticks = segment.last(source_id, symbol_id, max(first, since), until, missing)
                found.append(ticks)
                missing -= len(ticks)
        return np.concatenate(found)[::-1]

    def _eras(self, *, packed: bool) -> Iterator[tuple[_IndexedSegment, int, int, IdsByName]]:
        """Parts of segments in which names mean one thing, the newest first."""
        for place in range(len(self._links) - 1, -1, -1):
            if self._links[place].is_packed and not packed:
                return
            segment = self._segment(place)
            if segment is None:
                return
            until = self._until(place, segment)
            for since, ids in reversed(segment.tables):
                if since < until:
                    yield segment, since, until, ids
                    until = since
            if until > segment.link.first_seq:
                yield segment, segment.link.first_seq, until, self._ids_before(place)

    def _until(self, place: int, segment: _IndexedSegment) -> int:
        """The record behind its last; one that failed may hold more, which the next one has."""
        later = self._links[place + 1 : place + 2]
        return min([segment.next_seq, *(link.first_seq for link in later)])

    def _look(self) -> None:
        """What has come since: blocks, and segments."""
        if not self._links or self._has_more():
            self._links = reader.chain(self._folder)
            there = {link.path for link in self._links}  # one that was packed has another
            self._indexed = {
                number: one for number, one in self._indexed.items() if one.link.path in there
            }
        if self._links and (newest_one := self._segment(len(self._links) - 1)) is not None:
            newest_one.read_on()

    def _has_more(self) -> bool:
        """Whether a segment behind the newest was begun; by names first, as this is asked often."""
        newest = self._links[-1].path.name
        try:
            names = [name for name in os.listdir(self._folder) if name > newest]
            later = [self._folder / name for name in names if name.endswith(newest[-4:])]
            return any(not reader.waits(path) for path in later)
        except FileNotFoundError:  # renamed meanwhile, or the folder is gone
            return True

    def _segment(self, place: int) -> _IndexedSegment | None:
        """None: its file was used again. Raises LogDamaged."""
        link = self._links[place]
        if (known := self._indexed.get(link.number)) is not None:
            segment = known
        elif (data := reader.mapped_still(link)) is not None:
            if link.is_packed:
                self._keep_mapped()
            segment = self._indexed[link.number] = _IndexedSegment(link, data)
        else:
            return None
        if place + 1 < len(self._links) and segment.next_seq < self._links[place + 1].first_seq:
            segment.read_on()
            hole = reader.walk(self._links[place], segment.data).hole
            if hole is not None and hole.durable:
                raise reader.damaged(self._folder, hole)
        return segment

    def _keep_mapped(self) -> None:
        """Let go of what takes memory."""
        self._indexed = {
            number: one for number, one in self._indexed.items() if not one.link.is_packed
        }

    def _ids_before(self, place: int) -> IdsByName:
        """What names meant where a segment begins."""
        segment = self._indexed[self._links[place].number]
        if segment.ids_before is None:
            segment.ids_before = self._before
            for link in reversed(self._links[:place]):
                if (ids := _last_ids(link)) is not None:
                    segment.ids_before = ids
                    break
        return segment.ids_before


def _last_ids(link: Link) -> IdsByName | None:
    """By the last tables in a segment; None: there are none."""
    data = reader.mapped_still(link)
    if data is None:
        return None
    salt = int(link.head["salt"])
    places = frames.said_to_be(data, salt, RecordKind.TABLES)
    blocks = [block for place in places if (block := frames.block_at(data, place, salt))]
    parts, found = DocumentParts(), None
    for piece in reader.pieces_of(link, data, blocks):
        found = parts.whole(piece) or found
    return None if found is None else ids_of(found[1])


def ids_of(tables: bytes) -> IdsByName:
    """Of a document of tables."""
    return msgspec.json.decode(tables, type=Tables).symbol_ids()


def _cell(source_id: Any, symbol_id: Any) -> Any:
    """Of a number, or of arrays."""
    return source_id * SYMBOL_IDS + symbol_id
