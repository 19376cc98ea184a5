"""What the log is made of, byte by byte: the head of a segment, and blocks.

    segment  <number>.wal, of one size, written once before it is used
    +-------------------+ 0
    | head              |  512 B, a sector; the rest of its page is zero
    +-------------------+ 4096
    | block             |  32 B head, then records of one kind, 64 KB at most, a multiple of 16 B
    | ...               |
    +-------------------+ the last 512 B
    | the head again    |  once it is on the disk: one that is lost can be told from none
    +-------------------+

A block's CRC32C covers its head and its records; the head holds the CRC of the block before (the
first: of the segment's head, which holds the salt). So each CRC covers all before it, and a block
behind a damage can still be told by itself. A file is used again under a new number with another
salt: old blocks in it continue nothing.

`durable` says how many of the segment's records were on the disk when the block was written:
damage below is decay, not the torn tail of a crash.
"""

import secrets
import struct
from typing import NamedTuple

import google_crc32c
import numpy as np
import numpy.typing as npt

from spread_scanner.schema.log import KINDS_MAX, RecordKind, differing, layout_hash, layouts

Bytes = npt.NDArray[np.uint8]

MAGIC = int.from_bytes(b"SPRDWAL1", "little")
VERSION = 1
SEGMENT_BYTES = 64 << 20
HEAD_BYTES = 4_096
BLOCK_HEAD_BYTES = 32
BLOCK_BYTES_MAX = 65_536
PAYLOAD_BYTES_MAX = BLOCK_BYTES_MAX - BLOCK_HEAD_BYTES
ALIGN = 16

HEAD_DTYPE = np.dtype(
    [
        ("magic", "<u8"),
        ("version", "<u4"),
        ("salt", "<u4"),  # of this use of the file; never 0
        ("layout", "<u8"),  # schema.log.layout_hash; `kinds` says more
        ("number", "<u8"),  # as in the file's name; another one: the file waits to be used again
        ("segment_bytes", "<u8"),
        ("first_seq", "<u8"),  # of the first record; all before it is on the disk
        ("previous_number", "<u8"),  # of the segment before; 0: there is none
        ("previous_end", "<u8"),  # where that one's blocks end
        ("previous_crc", "<u4"),  # of its last block
        ("reserved_crc", "<u4"),
        ("anchor_ns", "<i8"),  # of the session clock
        ("created_wall_ns", "<i8"),
        ("created_mono_ns", "<i8"),
        ("instance_id", "<u8"),  # of the store
        ("namespace", "S64"),
        ("host", "S64"),
        ("boot", "S36"),  # of created_mono_ns; empty: not known
        ("kinds", "<u4", (KINDS_MAX,)),  # schema.log.layouts
        ("reserved", "V112"),
        ("crc", "<u4"),  # of all before
    ]
)
COPY_BYTES = HEAD_DTYPE.itemsize  # of the head, at the end; older logs have blocks there, or zeros
# previous, salt, length, count, first, durable, at_ms, kind, two reserved
_BLOCK = struct.Struct("<IIHHIIIBBH")
_CRC = struct.Struct("<I")


class LogBlock(NamedTuple):
    """A block that stands by itself: its CRC is right."""

    offset: int
    kind: int  # RecordKind, where the segment is of a version that this one reads
    first: int  # records of the segment before it
    records: int
    length: int  # their bytes
    durable: int  # records of the segment that were on the disk by then
    at_ms: int  # since the segment was begun
    previous: int
    crc: int

    @property
    def end(self) -> int:
        return self.offset + BLOCK_HEAD_BYTES + self.length

    @property
    def next(self) -> int:
        """The first record behind it."""
        return self.first + self.records


def new_head(number: int, first_seq: int) -> np.ndarray:
    """A head with a new salt, without its CRC: `sealed_head` closes it."""
    head = np.zeros((), HEAD_DTYPE)
    head["magic"], head["version"], head["layout"] = MAGIC, VERSION, layout_hash()
    head["kinds"] = layouts()
    head["salt"] = secrets.randbelow(2**32 - 1) + 1
    head["number"], head["first_seq"] = number, first_seq
    return head


def strange(head: np.ndarray) -> str:
    """Why this version cannot read a segment of that head; empty: it can."""
    if head["version"] != VERSION:
        return f"it is of format {int(head['version'])}, this version reads {VERSION}"
    return differing(head["kinds"].tolist(), int(head["layout"]))


def sealed_head(head: np.ndarray) -> bytes:
    """The head's bytes with their CRC, which also goes into `head`."""
    head["crc"] = google_crc32c.value(head.tobytes()[:-4])
    return head.tobytes()


def head_of(data: Bytes) -> np.ndarray | None:
    """The head of a segment; None where its CRC is not right."""
    raw = data[: HEAD_DTYPE.itemsize].tobytes()
    if len(raw) < HEAD_DTYPE.itemsize:
        return None
    head = np.frombuffer(bytearray(raw), HEAD_DTYPE).reshape(())
    whole = head["magic"] == MAGIC and google_crc32c.value(raw[:-4]) == head["crc"]
    return head if whole else None


def seal_block(
    block: Bytes,
    kind: RecordKind,
    count: int,
    *,
    salt: int,
    previous: int,
    first: int,
    durable: int,
    at_ms: int,
) -> int:
    """Write the head of a block, whose records stand behind its place already; the CRC."""
    length = len(block) - BLOCK_HEAD_BYTES
    at_ms = min(at_ms, 2**32 - 1)
    _BLOCK.pack_into(
        block.data, 4, previous, salt, length, count, first, durable, at_ms, kind, 0, 0
    )
    crc: int = google_crc32c.value(block[4:])
    _CRC.pack_into(block.data, 0, crc)
    return crc


def block_at(data: Bytes, offset: int, salt: int) -> LogBlock | None:
    """The block that begins there; None where there is none of that salt that is whole."""
    if offset + BLOCK_HEAD_BYTES > len(data):
        return None
    raw = data[offset : offset + BLOCK_HEAD_BYTES].tobytes()
    crc = _CRC.unpack_from(raw)[0]
    previous, of, length, count, first, durable, at_ms, kind, *_ = _BLOCK.unpack_from(raw, 4)
    end = offset + BLOCK_HEAD_BYTES + length
    # Before anything is read by what it says of itself.
    if of != salt or length > PAYLOAD_BYTES_MAX or length % ALIGN or end > len(data):
        return None
    payload = data[offset + BLOCK_HEAD_BYTES : end]
    if google_crc32c.extend(google_crc32c.value(raw[4:]), payload) != crc:
        return None
    return LogBlock(offset, kind, first, count, length, durable, at_ms, previous, crc)


def said_to_be(data: Bytes, salt: int, kind: RecordKind) -> list[int]:
    """Where blocks of a kind begin, by what the heads say of themselves alone."""
    offset, found = HEAD_BYTES, []
    while offset + BLOCK_HEAD_BYTES <= len(data):
        _, of, length, *_, is_of, _, _ = _BLOCK.unpack_from(data.data, offset + 4)
        if of != salt or length > PAYLOAD_BYTES_MAX:
            break
        if is_of == kind:
            found.append(offset)
        offset += BLOCK_HEAD_BYTES + length
    return found


def begun_at(data: Bytes, offset: int, salt: int, previous: int) -> bool:
    """Whether something of this segment begins there, whole or not: by its salt or its chain."""
    words = data[offset : offset + BLOCK_HEAD_BYTES]
    if len(words) < BLOCK_HEAD_BYTES:
        return False
    of_chain, of_salt = (int(word) for word in words.view("<u4")[1:3])
    return of_salt == salt or of_chain == previous


def places_of(data: Bytes, salt: int, since: int) -> list[int]:
    """Where heads of blocks of that salt may be, from `since` on."""
    usable = (len(data) - since) // ALIGN * ALIGN
    words = data[since : since + usable].view("<u4").reshape(-1, ALIGN // 4)
    return [since + int(row) * ALIGN for row in np.flatnonzero(words[:, 2] == salt)]
