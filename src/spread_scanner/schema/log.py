"""What the log of the market holds: its kinds of records, as numpy dtypes. Pinned by a test.

The log (room wal) keeps records of one kind together in blocks; the place of a record in it is its
sequence. A Tick is 80 bytes, the least that a quote of the store and its origin take. What is no
array (settings, tables, what the engine believes, switches) is a document: whole, with its digest,
in as many parts as its length needs.

Logs outlive versions: a kind is appended, and a dtype that is in use stays as it is. Changing one
makes the logs that were written before unreadable, which `differing` says then.
"""

import functools
import hashlib
from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from spread_scanner.schema.books import BOOK_DTYPE
from spread_scanner.schema.records import QUOTE_DTYPE, SIGNAL_DTYPE


class RecordKind(IntEnum):
    """What a block of the log is made of: append, never renumber."""

    CLOSE = 0  # no record: the writer has ended here and all before is on the disk
    TICK = 1
    SIGNAL = 2
    USUAL = 3  # a document: a generation of what the engine believes
    SETTINGS = 4  # a document
    TABLES = 5  # a document: symbols by name
    CONTROL = 6  # a document: what stands switched
    SOURCE_STATE = 7
    GAP = 8
    ENGINE = 9  # a document: whether spread-engine lives, and what its ring had no room for
    BOOK_SNAPSHOT = 10
    BOOK_DELTA = 11


class TakenFor(IntEnum):
    """Why an order book was written down."""

    SECOND = 1  # each second, as long as its feed holds it
    MOVED = 2  # at once: a best is elsewhere than when it was written down last


class GapOf(IntEnum):
    """What is missing."""

    TICKS = 1  # of one source, by its tick numbers
    SIGNALS = 2  # by their seq
    RECORDS = 3  # of the log itself, by sequence
    BOOK_DELTAS = 4  # of one source, by their numbers


# One quote as it was published, in the order of its source.
TICK_DTYPE = np.dtype(
    [
        ("number", "<u8"),  # of its source, counted from 0 with those that were dropped
        ("symbol_id", "<u2"),
        ("source_id", "<u2"),
        ("reserved", "V4"),
        ("quote", QUOTE_DTYPE),
    ]
)
# The same as the log has it: how many records before it the last one of its cell stands; 0: nobody
# knows. A layout of its own, so that the tape's and that of older logs are what they were.
LOGGED_TICK_DTYPE = np.dtype(
    [
        ("number", "<u8"),
        ("symbol_id", "<u2"),
        ("source_id", "<u2"),
        ("back", "<u4"),
        ("quote", QUOTE_DTYPE),
    ]
)
# What a source said of itself; written when it changed.
SOURCE_STATE_DTYPE = np.dtype(
    [
        ("ts", "<i8"),  # of the look, on the session clock
        ("heartbeat_mono_ns", "<i8"),
        ("pushed", "<u8"),  # tick numbers given so far
        ("epoch", "<u4"),
        ("source_id", "<u2"),
        ("reserved", "V2"),
    ]
)
# What is not in the log, and is known not to be.
GAP_DTYPE = np.dtype(
    [
        ("first", "<u8"),  # the first that is missing, and the first that is there again
        ("next", "<u8"),
        ("ts_from", "<i8"),  # between these two, on the session clock
        ("ts_to", "<i8"),
        ("what", "<u2"),  # GapOf
        ("source_id", "<u2"),
        ("reserved", "V12"),
    ]
)
# An order book as it stood in shared memory.
BOOK_SNAPSHOT_DTYPE = np.dtype(
    [
        ("ts", "<i8"),  # of the look, on the session clock
        ("why", "<u2"),  # TakenFor
        ("reserved", "V6"),
        ("book", BOOK_DTYPE),
    ]
)
# A level of those that are shown of an order book, when it changed: what was shown before, with all
# changes of one update, is what is shown then. Who follows keeps as many levels as are shown.
BOOK_DELTA_DTYPE = np.dtype(
    [
        ("number", "<u8"),  # of its source, counted from 0 with those that were dropped
        ("ts_recv", "<i8"),  # of the update, as the book has it
        ("update_id", "<u8"),
        ("px", "<f8"),
        ("sz", "<f8"),  # 0: it is gone
        ("symbol_id", "<u2"),
        ("source_id", "<u2"),
        ("side", "u1"),  # 0: bid, 1: ask
        ("reserved", "V3"),
    ]
)
# The head of each part of a document; its bytes follow, filled up to a whole number of 16.
DOCUMENT_DTYPE = np.dtype(
    [
        ("digest", "<u8"),  # of the whole document
        # Of the tables, of what is usual, of the switches; of settings their digest.
        ("generation", "<u8"),
        ("ts", "<i8"),  # of the switches when they were switched, else when it was found: session
        ("part", "<u2"),
        ("parts", "<u2"),
        ("bytes", "<u4"),  # of this part
    ]
)

ARRAYS = {
    RecordKind.TICK: TICK_DTYPE,
    RecordKind.SIGNAL: SIGNAL_DTYPE,
    RecordKind.SOURCE_STATE: SOURCE_STATE_DTYPE,
    RecordKind.GAP: GAP_DTYPE,
    RecordKind.BOOK_SNAPSHOT: BOOK_SNAPSHOT_DTYPE,
    RecordKind.BOOK_DELTA: BOOK_DELTA_DTYPE,
}
DOCUMENTS = frozenset(
    {
        RecordKind.USUAL,
        RecordKind.SETTINGS,
        RecordKind.TABLES,
        RecordKind.CONTROL,
        RecordKind.ENGINE,
    }
)


KINDS_MAX = 32  # that a segment's head can say the layout of
# What heads said before they said it of each kind: this one number, of the kinds behind it.
FIRST_LAYOUT = 0x90A5112932CE89C5
_DOCUMENT = 0x2AD95D10
FIRST_KINDS = (
    *(0, 0x84041FC4, 0x170EE47B, _DOCUMENT, _DOCUMENT),
    *(_DOCUMENT, _DOCUMENT, 0x8EFA76AA, 0xF3AF1C06, _DOCUMENT),
    *[0] * (KINDS_MAX - 10),
)


@functools.cache
def layouts() -> tuple[int, ...]:
    """Of each kind a number that changes with its dtype; 0: this version knows none of it."""
    found = [0] * KINDS_MAX
    for kind in {*ARRAYS, *DOCUMENTS}:
        said = repr(ARRAYS.get(kind, DOCUMENT_DTYPE).descr)
        found[kind] = int.from_bytes(hashlib.sha256(said.encode()).digest()[:4], "little")
    return tuple(found)


def layout_hash() -> int:
    """Of all kinds: what a version that reads no layouts of kinds tells other ones by."""
    return int.from_bytes(hashlib.sha256(repr(layouts()).encode()).digest()[:8], "little")


def differing(kinds: Sequence[int], layout: int) -> str:
    """Why this version cannot read what a head says of itself; empty: it can. A kind that the
    writer did not know yet is no difference."""
    if not any(kinds) and layout == FIRST_LAYOUT:
        kinds = FIRST_KINDS
    if not any(kinds):
        return "its records lie otherwise"
    for kind, (theirs, ours) in enumerate(zip(kinds, layouts(), strict=True)):
        if theirs and not ours:
            return f"it has records of a kind ({kind}) that this version does not know"
        if theirs not in (0, ours):
            return f"its records of kind {RecordKind(kind).name.lower()} lie otherwise"
    return ""
