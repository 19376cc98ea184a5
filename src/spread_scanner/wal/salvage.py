"""What the log holds, segment by segment, and a log of what is good of a damaged one.

Salvage reads, and writes to another folder: what is damaged stays as it is. Every block that stands
by itself is copied, in its order, each record once; where records are missing, a Gap says which of
the old log's.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import takewhile, zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spread_scanner.schema.log import GAP_DTYPE, GapOf, RecordKind
from spread_scanner.wal import reader
from spread_scanner.wal.copying import LogCopy, new_log
from spread_scanner.wal.frames import Bytes, LogBlock
from spread_scanner.wal.reader import Hole, Link, Piece, Walked, bytes_of, walk


class LogContents(NamedTuple):
    """The log of a folder, read to its end."""

    links: list[Link]
    records: Counter[RecordKind]
    next_seq: int  # behind the last record that can be read
    closed: bool  # its writer ended by itself
    holes: list[Hole]  # damage, what is gone first, and at the end a torn tail
    bytes: int  # of all blocks


def examine(folder: Path) -> LogContents:
    """Verify all of it. Raises NoLog, OSError."""
    links = reader.begun_chain(folder)
    records: Counter[RecordKind] = Counter()
    holes = reader.gone(reader.with_cut_off(folder))
    size, walked = 0, Walked([], None, 0, 0, 0, False)
    for link in links:
        data = reader.mapped_still(link)
        if data is None:  # it left the log meanwhile, being old
            continue
        walked = walk(link, data)
        for block in walked.blocks:
            records[RecordKind(block.kind)] += block.records
            size += block.end - block.offset
        if walked.hole is not None:
            holes.append(walked.hole)
    return LogContents(links, records, walked.next_seq, walked.closed, holes, size)


def salvage(folder: Path, to: Path) -> tuple[int, int]:
    """Copy what is good into a new log; how many records, and how many are missing. Raises NoLog,
    Unusable (a log is there already), Unsafe, OSError."""
    links = reader.begun_chain(folder, cut_off_too=True)
    copied, missing, expected = 0, 0, links[0].first_seq
    with new_log(to, _segment_bytes(links)) as writer:
        copy = LogCopy(writer, links)
        for link, following in zip_longest(links, links[1:]):
            copy.begin(link)
            data = bytes_of(link)
            walked = walk(link, data)
            for piece in _given_once(good_of(link, data, walked, expected), link, following):
                if piece.seq > expected:
                    writer.append(RecordKind.GAP, gap_of_records(expected, piece.seq))
                    missing += piece.seq - expected
                copy.put(piece)
                copied += piece.records
                expected = piece.seq + piece.records
        if (end := end_of(link, data, walked)) > expected:
            writer.append(RecordKind.GAP, gap_of_records(expected, end))
            missing += end - expected
    return copied, missing


def _given_once(pieces: Iterator[Piece], link: Link, following: Link | None) -> Iterator[Piece]:
    """Those of a segment. Where the one behind it is gone nobody says where it ended: what a crash
    left there may bear numbers that were given again."""
    if following is None or not reader.gone_between(link, following):
        return pieces
    return takewhile(lambda piece: piece.seq + piece.records <= following.first_seq, pieces)


def _segment_bytes(links: list[Link]) -> int:
    size = max(int(link.head["segment_bytes"]) for link in links)
    return size or links[0].path.stat().st_size


def good_of(link: Link, data: Bytes, walked: Walked, expected: int) -> Iterator[Piece]:
    """Every record of a segment from `expected` on that is good, once, in order."""
    blocks = walked.blocks + _behind(link, data, walked)
    for piece in reader.pieces_of(link, data, blocks):
        if piece.seq >= expected:
            yield piece
            expected = piece.seq + piece.records


def end_of(link: Link, data: Bytes, walked: Walked) -> int:
    """The record behind the last of a segment by what its blocks say, those behind damage, too."""
    behind = [link.first_seq + block.next for block in _behind(link, data, walked)]
    return max([walked.next_seq, *behind])


def _behind(link: Link, data: Bytes, walked: Walked) -> list[LogBlock]:
    """Blocks behind damage that stand by themselves; one that holds nothing says where it is."""
    if walked.hole is None or not walked.hole.durable:
        return []
    behind = reader.whole_blocks(data, int(link.head["salt"]), walked.end)
    return sorted(behind, key=lambda block: block.first)


def gap_of_records(first: int, following: int) -> np.ndarray:
    """The Gap where records of the log are missing."""
    gap = np.zeros(1, GAP_DTYPE)
    gap["what"], gap["first"], gap["next"] = GapOf.RECORDS, first, following
    return gap
