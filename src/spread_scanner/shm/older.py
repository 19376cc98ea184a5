"""What an older version's control segment has switched; ABI 1 to 4 had no file beside it.

Writer:  nobody any more; an operator of ABI 1 to 9.
Readers: orders/carried.py, before such a segment is replaced or removed.

Layout: the header and the words of the switches lie where they lie today. ABI 5 to 9 had all of
the control segment as it is today. In ABI 1 to 4 came a byte per symbol id behind the paused
directions, then the slots of the processes, whose length (384 bytes in ABI 1 and 2, 1,024 in 3 and
4) follows from that of the segment.
"""

import contextlib
import os
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from spread_scanner.schema.enums import DIRECTIONS, SOURCES, SwitchKind
from spread_scanner.shm import segment
from spread_scanner.shm.layout import (
    CHECKED_BYTES,
    CONTROL_BYTES,
    DIRECTIONS_MAX,
    HEADER_BYTES,
    HEADER_DTYPE,
    MAGIC,
    MAX_SYMBOLS_MAX,
    NUM_SOURCES_MAX,
    PAUSED_AT,
    PAUSED_DIRECTIONS_AT,
    PAUSED_SOURCES_AT,
    PROCESSES_MAX,
    SLOTS_AT,
    STANDING_AT,
    SWITCHES_AT,
    SWITCHES_DTYPE,
    Kind,
    State,
)
from spread_scanner.shm.operator import label
from spread_scanner.shm.slots import NAME_BYTES
from spread_scanner.shm.switches import standing_in

OLDER = range(1, 10)  # ABI versions
_BY_NAME = 5  # from this one on a symbol is paused by its name
_PAUSED_SYMBOLS_AT = PAUSED_DIRECTIONS_AT + DIRECTIONS_MAX
_SLOTS_AT = _PAUSED_SYMBOLS_AT + MAX_SYMBOLS_MAX
_BYTES_MAX = max(_SLOTS_AT + PROCESSES_MAX * 1_024, CONTROL_BYTES)


class OlderSwitches(NamedTuple):
    """What is switched there, by kind and name; symbols by their ids in the tables of that time."""

    named: list[tuple[SwitchKind, str]]
    symbol_ids: list[int]


def levels(namespace: str) -> OlderSwitches | None:
    """What is switched in a control segment of an older version; None where there is no such one.

    A segment of today's layout, a damaged, unfinished or replaced one is none.
    """
    raw = _read(segment.segment_name(namespace, "control"))
    if len(raw) < _SLOTS_AT:
        return None
    header = np.frombuffer(raw, HEADER_DTYPE, 1)[0]
    as_it_should = (
        int(header["state"]) == State.READY
        and int(header["magic"]) == MAGIC
        and int(header["abi_version"]) in OLDER
        and int(header["kind"]) == Kind.CONTROL
        and int(header["length"]) == len(raw)
        and int(header["checksum"]) == zlib.crc32(raw[:HEADER_BYTES][CHECKED_BYTES])
    )
    if not as_it_should:
        return None
    if int(header["abi_version"]) < _BY_NAME:
        symbol_ids = _on(raw, _PAUSED_SYMBOLS_AT, MAX_SYMBOLS_MAX)
        return OlderSwitches(list(_named(raw, _SLOTS_AT)), symbol_ids)
    named = [(one.kind, one.name) for one in standing_in(raw[STANDING_AT:SLOTS_AT])]
    return OlderSwitches(list(dict.fromkeys([*_named(raw, SLOTS_AT), *named])), [])


def _read(name: str) -> bytes:
    """As much of the segment as an older version's can be long."""
    with contextlib.suppress(OSError):
        fd = os.open(segment.SHM_FOLDER / name[1:], os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return os.pread(fd, _BYTES_MAX + 1, 0)
        finally:
            os.close(fd)
    return b""


def _named(raw: bytes, slots_at: int) -> Iterator[tuple[SwitchKind, str]]:
    if np.frombuffer(raw, SWITCHES_DTYPE, 1, SWITCHES_AT)[0]["kill"]:
        yield SwitchKind.HALT, ""
    for number in _on(raw, PAUSED_SOURCES_AT, NUM_SOURCES_MAX):
        yield SwitchKind.SOURCE, label(SOURCES, number)
    for number in _on(raw, PAUSED_DIRECTIONS_AT, DIRECTIONS_MAX):
        yield SwitchKind.DIRECTION, label(DIRECTIONS, number)
    size = (len(raw) - slots_at) // PROCESSES_MAX
    for at in range(slots_at, slots_at + size * PROCESSES_MAX, size or 1):
        name = raw[at : at + NAME_BYTES].rstrip(b"\0").decode(errors="replace")
        if name and any(raw[at + PAUSED_AT : at + PAUSED_AT + 8]):
            yield SwitchKind.PROCESS, name


def _on(raw: bytes, at: int, count: int) -> list[int]:
    return [int(number) for number in np.flatnonzero(np.frombuffer(raw, "u1", count, at))]
