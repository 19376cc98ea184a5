"""Pools of Solana: what is known of each that is watched, and what it is quoted by, a latch each.

Writer:  feed-solana, which claims the table.     Readers: everyone; they map it read-only.
Waiter:  spread-paths, which claims the eventcount and parks on it until anything was written.

A pool's place is its writer's to choose and to change; its record names it, so that a reader goes
through all of them. What it is quoted by follows its record, and belongs to it where both were
published as often: until then who quotes has what was there before. A writer that dies at any store
leaves each cell old or new (native/seqlock.h), and its last word grows old by the record's own
times.

Segment: "<namespace>.pools".
"""

from typing import Self

import numpy as np
import numpy.typing as npt

from spread_scanner.schema.pools import (
    PACKED_BYTES,
    POOL_DTYPE,
    POOL_STATE_DTYPE,
    POOLS_MAX,
    chain_unix_s,
)
from spread_scanner.shm import segment
from spread_scanner.shm._latches import LatchTable
from spread_scanner.shm.layout import (
    POOL_STATE_SEQUENCES_AT,
    POOL_STATES_AT,
    POOLS_BYTES,
    POOLS_CELLS_AT,
    POOLS_CHANGES_AT,
    POOLS_CLOCK_AT,
    POOLS_SEQUENCES_AT,
    POOLS_SLOT_AT,
    POOLS_WAKE_AT,
    Kind,
)
from spread_scanner.shm.segment import Holder, Segment

_WRITER, _WAITER = 0, 1
_PART = "pools"
_PLACES = np.arange(POOLS_MAX, dtype=np.int64)
_AT = [_PLACES[place : place + 1] for place in range(POOLS_MAX)]


def _at(place: int) -> npt.NDArray[np.int64]:
    """As the latches take a place. They refuse one beyond; a list counts it from its end."""
    return _AT[place] if 0 <= place < POOLS_MAX else np.array([place])


class PoolWriter(Holder):
    """The right to write; made by PoolTable.writer. `close` gives the place back."""

    def __init__(self, held: Segment) -> None:
        self._held = held
        self.table, self._states = _cells(held), _states(held)
        self._state = np.zeros(1, POOL_STATE_DTYPE)
        self._packed = self._state.view("u1").data[-PACKED_BYTES:]

    def write(self, place: int, records: np.ndarray) -> None:
        """Publish one record, an array of one POOL_DTYPE. Raises BadInput on a place beyond,
        ValueError once closed."""
        self.table.write(_at(place), records)
        self.changed()

    def write_state(self, place: int, key: str, published: int, packed: bytes) -> None:
        """What the pool is quoted by, as of its last record: solana.packed accounts, no more than
        PACKED_BYTES; empty where there is no room for them. Raises as `write`."""
        row = self._state[0]
        row["key"], row["length"], row["published"] = key.encode(), len(packed), published
        self._packed[: len(packed)] = packed
        self._states.write(_at(place), self._state)
        self.changed()

    def slot(self, slot: int) -> None:
        """The slot that the best provider has come to."""
        self._held.words.store(POOLS_SLOT_AT, slot)
        self.changed()

    def clock(self, unix_ms: int) -> None:
        """What the chain's own clock told, or would have, when this machine's monotonic one was at
        0; 0: nobody has heard it."""
        self._held.words.store(POOLS_CLOCK_AT, unix_ms)

    def clear(self) -> None:
        """Nothing is watched anywhere."""
        self.table.write(_PLACES, np.zeros(POOLS_MAX, POOL_DTYPE))
        self.changed()

    def shut(self) -> None:
        self.table.shut()
        self._states.shut()

    def changed(self) -> None:
        """Something was written: who waits looks. For who publishes in `table` natively."""
        words = self._held.words
        words.store(POOLS_CHANGES_AT, words.load(POOLS_CHANGES_AT) + 1)
        words.wake_notify(POOLS_WAKE_AT)


class PoolWaiter(Holder):
    """The right to park until something is written; made by PoolTable.waiter."""

    def __init__(self, held: Segment) -> None:
        self._held = held

    def wait_beyond(self, changes: int, timeout_ms: float) -> bool:
        """Park until more was written than that: True, or the time-out: False. May wake early."""
        words = self._held.words
        key = words.wake_prepare(POOLS_WAKE_AT)
        if words.load(POOLS_CHANGES_AT) != changes:
            words.wake_cancel(POOLS_WAKE_AT)
            return True
        return bool(words.wake_wait(POOLS_WAKE_AT, key, timeout_ms))

    def wake(self) -> None:
        """Interrupt the park, from another thread."""
        self._held.words.wake_broadcast(POOLS_WAKE_AT)


class PoolTable(Holder):
    """All records, for reading; made by `create` or `attach`."""

    def __init__(self, namespace: str, held: Segment) -> None:
        self.namespace = namespace
        self._held = held
        self._cells, self._states = _cells(held), _states(held)

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

    def waiter(self) -> PoolWaiter:
        """Claim the right to wait: AlreadyClaimed when a live process has it."""
        held = _attach(self.namespace, writable=True, timeout_s=segment.ATTACH_TIMEOUT_S)
        with segment.closed_on_failure(held):
            held.claim(_WAITER, "waiting for pools")
            return PoolWaiter(held)

    @property
    def changes(self) -> int:
        """How often anything was written."""
        return int(self._held.words.load(POOLS_CHANGES_AT))

    @property
    def slot(self) -> int:
        """The slot that the best provider has come to; 0: none was told yet."""
        return int(self._held.words.load(POOLS_SLOT_AT))

    def chain_unix_s(self, mono_ns: int) -> int | None:
        """The chain's second at this time; None: nobody has heard it."""
        return chain_unix_s(int(self._held.words.load(POOLS_CLOCK_AT)), mono_ns)

    def placed(self) -> tuple[np.ndarray, np.ndarray]:
        """Places (n,) int64 and records (n,) of all pools that are watched."""
        records, told = self._cells.read(_PLACES)
        there = told & (records["key"] != b"")
        return _PLACES[there], records[there]

    def packed(self, place: int, key: bytes, published: int) -> bytes | None:
        """What the pool was quoted by when its record was published so often; empty: there was no
        room for it. None: what stands there is of another publication, and this one's follows."""
        records, told = self._states.read(_PLACES[place : place + 1])
        row = records[0]
        if not told[0] or row["key"] != key or int(row["published"]) != published:
            return None
        return bytes(records.view("u1").data[-PACKED_BYTES:][: int(row["length"])])

    def rows(self) -> np.ndarray:
        """The records of all pools that are watched, each whole in itself."""
        return self.placed()[1]

    @property
    def contended(self) -> int:
        """Reads that gave up."""
        return self._cells.contended + self._states.contended


def record(key: str, program: str) -> np.ndarray:
    """One POOL_DTYPE of which no more is known yet."""
    made = np.zeros(1, POOL_DTYPE)
    made["key"], made["program"] = key.encode(), program.encode()
    return made


def _cells(held: Segment) -> LatchTable:
    return LatchTable(held.memory, POOLS_SEQUENCES_AT, POOLS_CELLS_AT, POOLS_MAX, POOL_DTYPE)


def _states(held: Segment) -> LatchTable:
    at = POOL_STATE_SEQUENCES_AT
    return LatchTable(held.memory, at, POOL_STATES_AT, POOLS_MAX, POOL_STATE_DTYPE)


def _attach(namespace: str, *, writable: bool, timeout_s: float) -> Segment:
    return segment.attach(
        segment.segment_name(namespace, _PART),
        Kind.POOLS,
        writable=writable,
        timeout_s=timeout_s,
        expect_bytes=lambda params: POOLS_BYTES,
    )
