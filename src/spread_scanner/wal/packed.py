"""A closed segment in fewer bytes, out of which it comes back byte for byte.

    segment  <number>.packed
    +-------------------+ 0
    | its head          |  512 B as they were
    +-------------------+ 512
    | stretch           |  64 B head; heads of blocks, records that are no ticks (both deflated);
    | ...               |  ticks, as quote_codec has them

A stretch is some MB of whole blocks that need nothing before it: damage costs what is left of one,
and the next is found by its magic. Heads of blocks are made anew, CRCs among them; the CRC of a
stretch's last block, which covers all before it, has to come out as it was. A tick's way back is
held against the way within its stretch: only what differs takes room.

Writer: packing.py, of a segment that is whole.     Readers: reader.py, for everybody.
"""

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import google_crc32c
import numpy as np

from spread_scanner.errors import Category, SpreadError
from spread_scanner.schema.log import LOGGED_TICK_DTYPE, RecordKind
from spread_scanner.wal._backs import Gathering
from spread_scanner.wal.frames import (
    BLOCK_HEAD_BYTES,
    HEAD_BYTES,
    HEAD_DTYPE,
    Bytes,
    LogBlock,
    seal_block,
)
from spread_scanner.wal.quote_codec import (
    BATCH_MAX,
    BadBatch,
    QuoteDecoder,
    QuoteEncoder,
    length_of,
)
from spread_scanner.wal.quote_codec import HEAD_BYTES as BATCH_HEAD_BYTES

STRETCH_BYTES = 8 << 20  # of blocks: much less, and each cell's first quote is dear
MAGIC = int.from_bytes(b"SPRDPCK1", "little")
_MAGIC_BYTES = MAGIC.to_bytes(8, "little")
DEFLATE_LEVEL = 1

STRETCH_DTYPE = np.dtype(
    [
        ("magic", "<u8"),
        ("salt", "<u4"),  # of the segment
        ("offset", "<u4"),  # where its blocks lie in the segment
        ("length", "<u4"),
        ("first", "<u4"),  # records of the segment before it
        ("blocks", "<u4"),
        ("ticks", "<u4"),
        ("previous", "<u4"),  # CRC of the block before it
        ("block_crc", "<u4"),  # and of its last one
        ("heads_bytes", "<u4"),
        ("others_bytes", "<u4"),
        ("ticks_bytes", "<u4"),
        ("ways", "<u4"),  # 1: ticks have ways back
        ("body_crc", "<u4"),
        ("crc", "<u4"),  # of all before
    ]
)
# A block's head without what follows from the others and from the records.
_BLOCK_DTYPES = ("<u2", "<u2", "u1", "<u4", "<u4")  # length, records, kind, durable, at_ms
_BLOCK_BYTES = sum(np.dtype(one).itemsize for one in _BLOCK_DTYPES)


class NotPacked(SpreadError):
    """A segment that cannot be packed so that it comes back: it stays as it is."""

    category = Category.WARN


class _Stretch(NamedTuple):
    """One that is whole."""

    place: int  # in the file
    head: np.void
    heads: bytes
    others: bytes
    ticks: bytes

    @property
    def end(self) -> int:
        return self.place + STRETCH_DTYPE.itemsize + sum(map(len, self[2:]))


def pack(data: Bytes, blocks: Sequence[LogBlock]) -> bytes:
    """A segment of these blocks, which are all that it has, as the file. Raises NotPacked."""
    salt = int(np.frombuffer(data[: HEAD_DTYPE.itemsize].tobytes(), HEAD_DTYPE)["salt"][0])
    packed = [data[: HEAD_DTYPE.itemsize].tobytes()]
    try:
        packed += [_stretch(data, salt, part) for part in _parted(blocks)]
    except BadBatch as error:
        raise NotPacked(f"ticks that no batch can hold: {error}") from None
    return b"".join(packed)


def unpacked(path: Path) -> Bytes:
    """The segment's bytes up to where its blocks end; nothing but zeros where a stretch is damaged.
    Raises OSError."""
    raw = path.read_bytes()
    stretches = list(_whole(raw))
    ends = [int(one.head["offset"]) + int(one.head["length"]) for one in stretches]
    data = np.zeros(max([HEAD_BYTES, *ends]), np.uint8)
    head = np.frombuffer(raw[: HEAD_DTYPE.itemsize], np.uint8)
    data[: len(head)] = head
    for one in stretches:
        _unpack(one, data)
    return data


def segment_head(path: Path) -> Bytes:
    """The bytes of its head alone. Raises OSError."""
    return np.fromfile(path, np.uint8, HEAD_DTYPE.itemsize)


def place_of(path: Path, offset: int) -> int:
    """Where in the file a stretch begins that the segment's byte there is missing from, or where
    what is left of it does. Raises OSError."""
    place = 0
    if offset >= HEAD_BYTES:
        place = HEAD_DTYPE.itemsize
        for one in _whole(path.read_bytes()):
            begin = int(one.head["offset"])
            if begin > offset:
                break
            place = one.end if begin + int(one.head["length"]) <= offset else one.place
    return place


def _parted(blocks: Sequence[LogBlock]) -> Iterator[list[LogBlock]]:
    part: list[LogBlock] = []
    for block in blocks:
        if part and block.end - part[0].offset > STRETCH_BYTES:
            yield part
            part = []
        part.append(block)
    if part:
        yield part


def _stretch(data: Bytes, salt: int, blocks: list[LogBlock]) -> bytes:
    ticks = _ticks(data, [one for one in blocks if _is_of_ticks(one)])
    others = [data[one.end - one.length : one.end] for one in blocks if not _is_of_ticks(one)]
    ways = bool(ticks["back"].any())
    if ways:
        ticks["back"] -= _ways(ticks, blocks)
    encoder = QuoteEncoder()
    batches = [encoder.pack(ticks[at : at + BATCH_MAX]) for at in range(0, len(ticks), BATCH_MAX)]
    deflated = (_heads(blocks), b"".join(map(bytes, others)))
    bodies = [*(zlib.compress(one, DEFLATE_LEVEL) for one in deflated), b"".join(batches)]
    head = np.zeros((), STRETCH_DTYPE)
    head["magic"], head["salt"] = MAGIC, salt
    head["offset"], head["length"] = blocks[0].offset, blocks[-1].end - blocks[0].offset
    head["first"], head["blocks"], head["ticks"] = blocks[0].first, len(blocks), len(ticks)
    head["previous"], head["block_crc"] = blocks[0].previous, blocks[-1].crc
    head["heads_bytes"], head["others_bytes"], head["ticks_bytes"] = map(len, bodies)
    head["ways"], head["body_crc"] = ways, google_crc32c.value(b"".join(bodies))
    head["crc"] = google_crc32c.value(head.tobytes()[:-4])
    return b"".join([head.tobytes(), *bodies])


def _is_of_ticks(block: LogBlock) -> bool:
    size = LOGGED_TICK_DTYPE.itemsize
    return block.kind == RecordKind.TICK and block.length == size * block.records > 0


def _ticks(data: Bytes, blocks: list[LogBlock]) -> np.ndarray:
    """A copy of those of blocks, one behind the other."""
    parts = [data[one.end - one.length : one.end] for one in blocks]
    return np.concatenate([np.zeros(0, np.uint8), *parts]).view(LOGGED_TICK_DTYPE)


def _ways(ticks: np.ndarray, blocks: Sequence[LogBlock]) -> np.ndarray:
    """The ways back of a writer that begins with these blocks, by tick."""
    if not len(ticks):
        return np.zeros(0, np.uint32)
    gathering, at = Gathering(np.empty(ticks.nbytes, np.uint8), 0), 0
    for block in blocks:
        if _is_of_ticks(block):
            part = ticks[at : at + block.records]
            gathering.take(RecordKind.TICK, part, 0, block.first - gathering.count)
            at += block.records
    ways: np.ndarray = gathering.room.view(LOGGED_TICK_DTYPE)["back"]
    return ways


def _heads(blocks: Sequence[LogBlock]) -> bytes:
    """Column by column; what rises by its differences."""
    rows = [(one.length, one.records, one.kind, one.durable, one.at_ms) for one in blocks]
    columns = [np.array(column, np.int64) for column in zip(*rows, strict=True)]
    columns[3:] = [np.diff(column, prepend=0) for column in columns[3:]]
    parts = zip(columns, _BLOCK_DTYPES, strict=True)
    return b"".join(column.astype(dtype).tobytes() for column, dtype in parts)


def _read_heads(raw: bytes, count: int) -> list[tuple[int, ...]]:
    """As `_heads` had them. Raises ValueError where it is not so many."""
    if len(raw) != count * _BLOCK_BYTES:
        raise ValueError("heads of another number of blocks")
    columns, at = [], 0
    for dtype in _BLOCK_DTYPES:
        columns.append(np.frombuffer(raw, dtype, count, at))
        at += columns[-1].nbytes
    columns[3:] = [np.cumsum(column, dtype=np.uint32) for column in columns[3:]]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _whole(raw: bytes) -> Iterator[_Stretch]:
    """The stretches that are as they were written, in their order."""
    at = HEAD_DTYPE.itemsize
    while (at := raw.find(_MAGIC_BYTES, at)) >= 0:
        found = _stretch_at(raw, at)
        if found is not None:
            yield found
        at = at + 1 if found is None else found.end


def _stretch_at(raw: bytes, at: int) -> _Stretch | None:
    begin = at + STRETCH_DTYPE.itemsize
    said = raw[at:begin]
    if len(said) < STRETCH_DTYPE.itemsize:
        return None
    head = np.frombuffer(said, STRETCH_DTYPE)[0]
    if google_crc32c.value(said[:-4]) != head["crc"]:
        return None
    bodies = []
    for name in ("heads_bytes", "others_bytes", "ticks_bytes"):
        bodies.append(raw[begin : begin + int(head[name])])
        begin += int(head[name])
    if google_crc32c.value(b"".join(bodies)) != head["body_crc"]:
        return None
    return _Stretch(at, head, *bodies)


def _unpack(one: _Stretch, data: Bytes) -> None:
    """Its blocks into their place; zeros, where they do not come out as they were."""
    begin = int(one.head["offset"])
    place = data[begin : begin + int(one.head["length"])]
    try:
        whole = _filled(one, place) == one.head["block_crc"]
    except (BadBatch, ValueError, zlib.error):
        whole = False
    if not whole:
        place[:] = 0


def _filled(one: _Stretch, place: Bytes) -> int:
    """The CRC of the last block. Raises BadBatch, ValueError, zlib.error."""
    head = one.head
    heads = _read_heads(zlib.decompress(one.heads), int(head["blocks"]))
    offset = int(head["offset"])
    blocks, at, first = [], 0, int(head["first"])
    for length, records, kind, durable, at_ms in heads:
        blocks.append(LogBlock(offset + at, kind, first, records, length, durable, at_ms, 0, 0))
        at, first = at + BLOCK_HEAD_BYTES + length, first + records
    ticks = _unpacked_ticks(one.ticks, int(head["ticks"]))
    if head["ways"]:
        ticks["back"] += _ways(ticks, blocks)
    sources = {True: ticks.view(np.uint8), False: np.frombuffer(zlib.decompress(one.others), "u1")}
    taken = {True: 0, False: 0}
    crc = int(head["previous"])
    for block in blocks:
        of_ticks = _is_of_ticks(block)
        raw = place[block.offset - offset : block.end - offset]
        since = taken[of_ticks]
        raw[BLOCK_HEAD_BYTES:] = sources[of_ticks][since : since + block.length]
        taken[of_ticks] += block.length
        crc = seal_block(
            raw,
            RecordKind(block.kind),
            block.records,
            salt=int(head["salt"]),
            previous=crc,
            first=block.first,
            durable=block.durable,
            at_ms=block.at_ms,
        )
    return crc


def _unpacked_ticks(raw: bytes, count: int) -> np.ndarray:
    """LOGGED_TICK_DTYPE, so many. Raises BadBatch, ValueError."""
    decoder, parts, at = QuoteDecoder(), [np.zeros(0, LOGGED_TICK_DTYPE)], 0
    while at < len(raw):
        length = length_of(raw[at : at + BATCH_HEAD_BYTES])
        parts.append(decoder.unpack(raw[at : at + length]).view(LOGGED_TICK_DTYPE))
        at += length
    ticks = np.concatenate(parts)
    if len(ticks) != count:
        raise ValueError("another number of ticks")
    return ticks
