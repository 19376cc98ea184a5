"""Rows that belong to a process by its name, in the health and control segments alike.

A name keeps its row for the life of the segment. Naming a new row is serialised by a lock byte;
finding one needs none, as names are only ever added.
"""

from collections.abc import Callable

from spread_scanner import clock
from spread_scanner.errors import SegmentError
from spread_scanner.shm.faults import AlreadyClaimed
from spread_scanner.shm.layout import PROCESSES_MAX
from spread_scanner.shm.segment import Segment

NAME_BYTES = 32
NAMING_CLAIM = PROCESSES_MAX  # the claim byte after those of the rows
NAMING_TIMEOUT_S = 2.0
_NO_NAME = bytes(NAME_BYTES)

NameAt = Callable[[int], int]


def find_slot(held: Segment, process: str, name_at: NameAt) -> int | None:
    """The row of a process name, or None. Rows are named one after the other: behind one without a
    name there is none.
    """
    wanted = _padded(process)
    for number in range(PROCESSES_MAX):
        name = held.bytes_at(name_at(number), NAME_BYTES)
        if name == wanted:
            return number
        if name == _NO_NAME:
            return None
    return None


def name_of(held: Segment, number: int, name_at: NameAt) -> str:
    """The process that a row is named for; empty: none yet."""
    return held.bytes_at(name_at(number), NAME_BYTES).rstrip(b"\0").decode()


def find_or_name(held: Segment, process: str, name_at: NameAt) -> int:
    """The row of a process name, named now if it is new. The segment must be writable."""
    number = find_slot(held, process, name_at)
    if number is not None:
        return number
    _lock_naming(held)
    try:
        number = find_slot(held, process, name_at)
        if number is None:
            number = _first_free(held, process, name_at)
            held.put_bytes(name_at(number), _padded(process))
        return number
    finally:
        held.unclaim(NAMING_CLAIM)


def _first_free(held: Segment, process: str, name_at: NameAt) -> int:
    for number in range(PROCESSES_MAX):
        if held.bytes_at(name_at(number), NAME_BYTES) == _NO_NAME:
            return number
    raise SegmentError(
        "no row is left for another process", segment=held.name, process=process, rows=PROCESSES_MAX
    )


def _lock_naming(held: Segment) -> None:
    deadline = clock.awake_s() + NAMING_TIMEOUT_S
    while True:
        try:
            return held.claim(NAMING_CLAIM, "the naming of rows")
        except AlreadyClaimed:
            if clock.awake_s() > deadline:
                raise
            clock.sleep(0.001)


def _padded(process: str) -> bytes:
    name = process.encode()
    if not name or len(name) >= NAME_BYTES or b"\0" in name:
        raise SegmentError(
            "bad process name", process=process, allowed=f"1 to {NAME_BYTES - 1} bytes"
        )
    return name.ljust(NAME_BYTES, b"\0")
