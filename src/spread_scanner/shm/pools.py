"""Pools of Solana: what is known of each that is watched, one latch cell each.

Writer:  feed-solana, which claims the table.     Readers: everyone; they map it read-only.

A pool's place is its writer's to choose and to change; its record names it, so that a reader goes
through all of them. A writer that dies at any store leaves each cell old or new
(native/seqlock.h), and its last word grows old by the record's own times.

Segment: "<namespace>.pools".
"""

from typing import Self

import numpy as np

from spread_scanner.schema.pools import POOL_DTYPE, POOLS_MAX
from spread_scanner.shm import segment
from spread_scanner.shm._latches import LatchTable
from spread_scanner.shm.layout import POOLS_BYTES, POOLS_CELLS_AT, POOLS_SEQUENCES_AT, Kind
from spread_scanner.shm.segment import Holder, Segment

_WRITER = 0
_PART = "pools"
_PLACES = np.arange(POOLS_MAX, dtype=np.int64)


class PoolWriter(Holder):
    """The right to write; made by PoolTable.writer. `close` gives the place back."""

    def __init__(self, held: Segment) -> None:
        self._held = held
        self._cells = _table(held)

    def write(self, place: int, records: np.ndarray) -> None:
        """Publish one record, an array of one POOL_DTYPE. Raises BadInput on a place beyond,
        ValueError once closed."""
        self._cells.write(_PLACES[place : place + 1], records)

    def clear(self) -> None:
        """Nothing is watched anywhere."""
        self._cells.write(_PLACES, np.zeros(POOLS_MAX, POOL_DTYPE))

    def shut(self) -> None:
        self._cells.shut()


class PoolTable(Holder):
    """All records, for reading; made by `create` or `attach`."""

    def __init__(self, namespace: str, held: Segment) -> None:
        self.namespace = namespace
        self._held = held
        self._cells = _table(held)

    @classmethod
    def create(cls, namespace: str) -> Self:
        """Make new, empty cells; those that stand under the namespace are retired."""
        name = segment.segment_name(namespace, _PART)
        return cls(namespace, segment.create(name, Kind.POOLS, POOLS_BYTES, [POOLS_MAX]))

    @classmethod
    def attach(cls, namespace: str, *, timeout_s: float = segment.ATTACH_TIMEOUT_S) -> Self:
        """Map the cells of a namespace read-only."""
        return cls(namespace, _attach(namespace, writable=False, timeout_s=timeout_s))

    def writer(self) -> PoolWriter:
        """Claim the right to write: AlreadyClaimed when a live process has it."""
        held = _attach(self.namespace, writable=True, timeout_s=segment.ATTACH_TIMEOUT_S)
        with segment.closed_on_failure(held):
            held.claim(_WRITER, "the pools")
            return PoolWriter(held)

    def rows(self) -> np.ndarray:
        """The records of all pools that are watched, each whole in itself."""
        records, told = self._cells.read(_PLACES)
        found: np.ndarray = records[told & (records["key"] != b"")]
        return found

    @property
    def contended(self) -> int:
        """Reads that gave up."""
        return self._cells.contended


def record(key: str, program: str) -> np.ndarray:
    """One POOL_DTYPE of which no more is known yet."""
    made = np.zeros(1, POOL_DTYPE)
    made["key"], made["program"] = key.encode(), program.encode()
    return made


def _table(held: Segment) -> LatchTable:
    return LatchTable(held.memory, POOLS_SEQUENCES_AT, POOLS_CELLS_AT, POOLS_MAX, POOL_DTYPE)


def _attach(namespace: str, *, writable: bool, timeout_s: float) -> Segment:
    return segment.attach(
        segment.segment_name(namespace, _PART),
        Kind.POOLS,
        writable=writable,
        timeout_s=timeout_s,
        expect_bytes=lambda params: POOLS_BYTES,
    )
