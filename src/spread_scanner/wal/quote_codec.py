"""Quotes as few bytes: batches that hold what changed against the last quote of the same cell.

Writer: whoever packs ticks, in one order. Reader: whoever has all batches of it, in that order,
back to one that begins anew. What comes out is what went in to the bit, NaNs and their payloads
included, or the batch is refused: a CRC32C covers each, its head says how many came before, and
after one that was refused nothing is taken until a batch begins anew.

    batch   magic u16 | count u16 | number u32 | bytes u32 | crc u32 | bits

`number` counts from 0, which begins anew; the CRC covers what stands before it, and the bits.
"""

import struct

import google_crc32c
import numpy as np

from spread_scanner.errors import Category, SpreadError
from spread_scanner.schema.log import LOGGED_TICK_DTYPE, TICK_DTYPE
from spread_scanner.wal._quote_codec import PADDING, SOURCES, QuoteState

BATCH = 256  # quotes, as they are usually packed
BATCH_MAX = 65_535
MAGIC = 0x5142
_HEAD, _CRC = struct.Struct("<HHII"), struct.Struct("<I")
HEAD_BYTES = _HEAD.size + _CRC.size
_NUMBERS = 1 << 32


class BadBatch(SpreadError):
    """Bytes that are no batch, or not the next one."""

    category = Category.WARN


class QuoteEncoder:
    """One order of ticks into batches."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """The next batch begins anew: it can be read without any before it."""
        self._state, self._number = QuoteState(), 0

    def pack(self, ticks: np.ndarray) -> bytes:
        """A batch of up to BATCH_MAX ticks (TICK_DTYPE), or of logged ones. Raises BadBatch, with
        nothing changed, for what it cannot hold."""
        if not 0 < len(ticks) <= BATCH_MAX:
            raise BadBatch("a batch of no such size", ticks=len(ticks), allowed=f"1 to {BATCH_MAX}")
        if ticks.dtype not in (TICK_DTYPE, LOGGED_TICK_DTYPE):
            raise BadBatch("other records than ticks", dtype=str(ticks.dtype))
        packed = np.ascontiguousarray(ticks).view(TICK_DTYPE)
        if (highest := int(packed["source_id"].max())) >= SOURCES:
            raise BadBatch("a source that there is not", source_id=highest, allowed=SOURCES - 1)
        bits = self._state.put(packed)
        head = _HEAD.pack(MAGIC, len(ticks), self._number, len(bits))
        self._number = self._number + 1 if self._number + 1 < _NUMBERS else 1
        return head + _CRC.pack(google_crc32c.value(head + bits)) + bits


class QuoteDecoder:
    """Batches back into ticks."""

    def __init__(self) -> None:
        self._state: QuoteState | None = None
        self._number = 0

    def unpack(self, batch: bytes) -> np.ndarray:
        """The ticks (TICK_DTYPE) of the next batch, or of one that begins anew. Raises BadBatch."""
        count, number, bits = _opened(batch)
        if number == 0:
            self._state = QuoteState()
        state, self._state = self._state, None  # until it is all good
        if state is None:
            raise BadBatch(
                "nothing is known before it: one that begins anew is wanted", number=number
            )
        if number not in (0, self._number):
            raise BadBatch("another batch than the next", number=number, wanted=self._number)
        found = state.get(bits + bytes(PADDING), count)
        if found is None:
            raise BadBatch("bits that are no quotes", number=number, count=count)
        self._state = state
        self._number = number + 1 if number + 1 < _NUMBERS else 1
        return found


def length_of(head: bytes) -> int:
    """Of a whole batch that begins so: as many as HEAD_BYTES say it. Raises BadBatch."""
    if len(head) < HEAD_BYTES or _HEAD.unpack_from(head)[0] != MAGIC:
        raise BadBatch("no batch begins so", begins=head[:HEAD_BYTES])
    return HEAD_BYTES + int(_HEAD.unpack_from(head)[3])


def _opened(batch: bytes) -> tuple[int, int, bytes]:
    """Count, number and bits of a batch whose CRC is right."""
    if len(batch) != length_of(batch):
        raise BadBatch("a batch of another length", length=len(batch), wanted=length_of(batch))
    _, count, number, _ = _HEAD.unpack_from(batch)
    bits = batch[HEAD_BYTES:]
    if _CRC.unpack_from(batch, _HEAD.size)[0] != google_crc32c.value(batch[: _HEAD.size] + bits):
        raise BadBatch("a batch that was damaged: its CRC is another", number=number)
    return count, number, bits
