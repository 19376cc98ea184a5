"""What stands switched in the control segment: by name, since when and by whom.

Writer:  the operator, one at a time (shm-init, before the segment is READY).
Readers: status and alerts; the engine, for the symbols alone.

The levels that processes obey lie beside these records, but for a symbol's: its record is the
level, keyed by the coin's name, and the engine finds the ids in the tables that it has itself. So
no table can bring another coin under an old pause, nor a paused one out of it. A record's state
is stored last when it is written, and first when it is freed: a writer that is killed leaves none
that is half.
"""

import hashlib
import zlib
from typing import Any, NamedTuple

import numpy as np

from spread_scanner import clock
from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import SwitchKind
from spread_scanner.shm.layout import STANDING, STANDING_AT, STANDING_MAX, SWITCH_DTYPE
from spread_scanner.shm.segment import Segment

TRIES = 64  # a reader gives up on a record that changes under it each time
NAME_BYTES = SWITCH_DTYPE["name"].itemsize
_KEY_BIT = 1 << 63
_STATE_BYTES, _CHECKSUM_AT = 8, 24  # within a record; pinned by the layout test


class Switch(NamedTuple):
    """One thing that a person has switched, so that less is signalled."""

    kind: SwitchKind
    name: str  # of the process, source, direction or symbol; empty for a halt
    since_wall_ns: int = 0  # 0: not known
    user: str = ""
    pid: int = 0
    command: str = ""

    @property
    def what(self) -> str:
        """As people say it: "source okx-spot", "halt"."""
        return f"{self.kind.name.lower()} {self.name}".strip()


def symbol_key(symbol: str) -> int:
    """What stands for a symbol in a word: never 0, and never STANDING."""
    digest = hashlib.sha256(symbol.encode()).digest()
    return int.from_bytes(digest[:8], "little") | _KEY_BIT


def symbol_keys(names: dict[int, str], count: int) -> np.ndarray:
    """(count,) uint64: the key of each symbol id, 0 where an id stands for nothing."""
    keys = np.zeros(count, np.uint64)
    for symbol_id, name in names.items():
        if symbol_id < count:
            keys[symbol_id] = symbol_key(name)
    return keys


def standing(held: Segment) -> list[Switch]:
    """All records that are whole, in the order of their places."""
    records = (_whole(held, int(number)) for number in np.flatnonzero(_table(held)["state"]))
    found = [_switch(record) for record in records if record is not None]
    return [one._replace(since_wall_ns=held.clock.wall_of(one.since_wall_ns)) for one in found]


def standing_in(raw: bytes) -> list[Switch]:
    """The same of a copy of all places that nobody changes any more."""
    records = np.frombuffer(raw, SWITCH_DTYPE, STANDING_MAX)
    whole = [one for one in records if one["state"] and one["checksum"] == _checksum(one.tobytes())]
    return [_switch(record) for record in whole]


def put(held: Segment, switch: Switch) -> None:
    """Write a record, unless that thing has one: who switched it first, stands. One of unknown age
    counts from now on.

    Raises SegmentError where there is no room, or the name is longer than a record takes.
    """
    if len(_places(held, switch.kind, switch.name)):
        return
    free = np.flatnonzero(_table(held)["state"] == 0)
    if not len(free):
        raise SegmentError("so much is switched that there is no room for more", most=STANDING_MAX)
    record = np.zeros((), SWITCH_DTYPE)
    record["since_wall_ns"] = held.clock.stamp(switch.since_wall_ns or clock.wall_ns())
    record["kind"] = switch.kind
    record["pid"] = switch.pid
    record["name"] = _name_bytes(switch.name)
    record["user"] = _cut(switch.user, SWITCH_DTYPE["user"].itemsize)
    record["command"] = _cut(switch.command, SWITCH_DTYPE["command"].itemsize)
    record["checksum"] = _checksum(record.tobytes())
    at = _at(int(free[0]))
    held.put_bytes(at, record.tobytes())  # its state is 0 still
    is_symbol = switch.kind is SwitchKind.SYMBOL
    held.words.store(at, symbol_key(switch.name) if is_symbol else STANDING)


def drop(held: Segment, kind: SwitchKind, name: str) -> None:
    """Free the record of a thing; nothing where it has none."""
    for number in _places(held, kind, name):
        held.words.store(_at(int(number)), 0)


def _table(held: Segment) -> np.ndarray:
    """A copy of all places, free ones too; a record in it may be changing."""
    raw = held.bytes_at(STANDING_AT, STANDING_MAX * SWITCH_DTYPE.itemsize)
    return np.frombuffer(raw, SWITCH_DTYPE)


def _places(held: Segment, kind: SwitchKind, name: str) -> np.ndarray:
    """Where the record of a thing stands; for the operator, the only one who writes."""
    table = _table(held)
    same = (table["kind"] == kind) & (table["name"] == name.encode())
    return np.flatnonzero(same & (table["state"] != 0))


def _whole(held: Segment, number: int) -> Any:
    """A record that did not change while it was copied; None: free, or never still."""
    for _ in range(TRIES):
        state = held.words.load(_at(number))
        if not state:
            return None
        raw = held.bytes_at(_at(number), SWITCH_DTYPE.itemsize)
        record = np.frombuffer(raw, SWITCH_DTYPE)[0]
        still = held.words.load(_at(number)) == state
        if still and int(record["checksum"]) == _checksum(raw):
            return record
    return None


def _switch(record: Any) -> Switch:
    def text(field: str) -> str:
        return bytes(record[field]).decode(errors="replace")

    return Switch(
        SwitchKind(int(record["kind"])),
        text("name"),
        int(record["since_wall_ns"]),
        text("user"),
        int(record["pid"]),
        text("command"),
    )


def _at(number: int) -> int:
    return STANDING_AT + number * SWITCH_DTYPE.itemsize


def _name_bytes(name: str) -> bytes:
    raw = name.encode()
    if len(raw) > NAME_BYTES or b"\0" in raw:
        raise SegmentError("bad name of a switch", name=name, allowed=f"at most {NAME_BYTES} bytes")
    return raw


def _cut(text: str, room: int) -> bytes:
    return text.replace("\0", " ").encode(errors="replace")[:room].decode(errors="ignore").encode()


def _checksum(raw: bytes) -> int:
    return zlib.crc32(raw[_STATE_BYTES:_CHECKSUM_AT] + raw[_CHECKSUM_AT + 4 :])
