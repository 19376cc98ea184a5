"""Turns to dial and bans: a slot per exchange, host and outgoing address, for all processes.

Writers:  every process that dials or asks (see native/dials.h).     Readers: the same.

Kept over shm-init, as an exchange goes on counting while we restart, and made by whoever needs it
first, as discovery runs before there are segments. A process that cannot have it (no /dev/shm,
another user's) keeps its own turns: `private`.

Segment: "<namespace>.dials".
"""

import contextlib
import hashlib
import mmap
from typing import NamedTuple, Self

from spread_scanner.errors import SegmentError
from spread_scanner.shm import _dials, segment
from spread_scanner.shm._memory import Memory
from spread_scanner.shm.faults import NoSegment, NotReady, Retired, WrongSegment
from spread_scanner.shm.layout import (
    DIAL_SLOT_DTYPE,
    DIAL_SLOTS,
    DIALS_BYTES,
    HEADER_BYTES,
    Kind,
)

_PART = "dials"
_NAME_AT = DIAL_SLOT_DTYPE.fields["name"][1] if DIAL_SLOT_DTYPE.fields is not None else 0
NAME_BYTES = DIAL_SLOT_DTYPE["name"].itemsize
OPEN_TRIES = 3


class Dials:
    """All slots of a namespace; made by `open` or `private`."""

    def __init__(self, held: segment.Segment | None) -> None:
        self._held = held
        if held is None:
            self._bytes = mmap.mmap(-1, DIALS_BYTES)
            self._memory = Memory(self._bytes, writable=True)
        else:
            self._memory = held.memory

    @classmethod
    def open(cls, namespace: str) -> Self:
        """Attach to the slots of a namespace; made now where there are none that can be used.

        Raises SegmentError when they cannot be had at all.
        """
        name = segment.segment_name(namespace, _PART)
        for left in reversed(range(OPEN_TRIES)):
            try:
                return cls(segment.attach(name, Kind.DIALS, writable=True))
            except (NoSegment, NotReady, WrongSegment):
                # Of two that make it at once, the slower one retires the faster one's: who holds a
                # retired one opens it again before its next turn (runtime/gate.py).
                with contextlib.suppress(NotReady):
                    return cls(segment.create(name, Kind.DIALS, DIALS_BYTES, [DIAL_SLOTS]))
            except Retired:
                if not left:
                    raise
        raise SegmentError("the turns to dial cannot be opened", segment=name)

    @classmethod
    def private(cls) -> Self:
        """Slots that nobody else sees."""
        return cls(None)

    @property
    def retired(self) -> bool:
        """True once a newer instance has taken the name: open it again."""
        return self._held is not None and self._held.retired

    def slot(self, name: str) -> _dials.DialSlot:
        """The slot of a name, the same for all processes. When all are taken, those that come later
        share the last one: too slow, but never too fast.
        """
        number = _dials.find(self._memory, HEADER_BYTES, DIAL_SLOTS - 1, key_of(name))
        at = HEADER_BYTES + (number if number >= 0 else DIAL_SLOTS - 1) * DIAL_SLOT_DTYPE.itemsize
        if self._held is not None:
            label = name.encode()[: NAME_BYTES - 1] if number >= 0 else b"(all others)"
            self._held.put_bytes(at + _NAME_AT, label.ljust(NAME_BYTES, b"\0"))
        return _dials.DialSlot(self._memory, at)

    def close(self) -> None:
        if self._held is not None:
            self._held.close()


class DialRow(NamedTuple):
    """One slot as a reader sees it; `ban_left_ns` is 0 without a ban."""

    name: str
    ban_left_ns: int
    ban_status: int


def key_of(name: str) -> int:
    """Never 0, which stands for a free slot."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little") | 1


def segment_of_bans(namespace: str, now_ns: int) -> str:
    """The segment's name while a ban in it is in force, else empty: who clears up leaves it."""
    banned = any(row.ban_left_ns for row in rows(namespace, now_ns))
    return segment.segment_name(namespace, _PART) if banned else ""


def rows(namespace: str, now_ns: int) -> list[DialRow]:
    """The slots in use, for people; nothing where there is no segment."""
    name = segment.segment_name(namespace, _PART)
    try:
        held = segment.attach(name, Kind.DIALS, timeout_s=0)
    except SegmentError:
        return []
    try:
        found = held.array(DIAL_SLOT_DTYPE, HEADER_BYTES, (DIAL_SLOTS,)).copy()
    finally:
        held.close()
    return [
        DialRow(
            row["name"].decode(errors="replace"),
            max(int(row["ban_until_ns"]) - now_ns, 0),
            int(row["ban_status"]),
        )
        for row in found
        if row["name"]
    ]
