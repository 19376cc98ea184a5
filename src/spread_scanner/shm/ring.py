"""Single-producer, single-consumer ring of fixed-size records in shared memory.

Producer: the process that claimed the write end.  Consumer: the one that claimed the read end.

Never blocks the producer: a full ring drops the newest record and counts it, because a slow tracker
must not slow the engine. `pushed = popped + dropped + in_ring` holds exactly at rest, over all
lives of both sides. A consumer that must lose nothing peeks, makes the records durable, and only
then releases them; what it had not released is there again after its crash.

Want two readers? Make two rings.
"""

import zlib
from typing import NamedTuple, Self

import numpy as np

from spread_scanner.errors import SegmentError
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import _ring, segment
from spread_scanner.shm.faults import Retired, WrongSegment
from spread_scanner.shm.layout import RING_SLOTS_MAX, Kind, RingLayout
from spread_scanner.shm.segment import Holder, Segment

_WRITE_END = 0
_READ_END = 1


class RingCounters(NamedTuple):
    """Totals since the ring was made. Exact while neither side is moving."""

    pushed: int  # attempts: popped + dropped + in_ring
    popped: int
    dropped: int
    in_ring: int
    notifications: int  # system calls made to wake the consumer


class Producer(_ring.RingProducer, Holder):
    """The write end; made by SignalRing.producer. `close` gives the place back."""

    def __init__(self, held: Segment, layout: RingLayout, dtype: np.dtype) -> None:
        super().__init__(held.memory, layout, dtype)
        self._held = held


class Consumer(_ring.RingConsumer, Holder):
    """The read end; made by SignalRing.consumer. `close` gives the place back."""

    def __init__(self, held: Segment, layout: RingLayout, dtype: np.dtype) -> None:
        super().__init__(held.memory, layout, dtype)
        self._held = held


class SignalRing(Holder):
    """A named ring; made by `create` or `attach`."""

    def __init__(self, namespace: str, name: str, held: Segment, dtype: np.dtype) -> None:
        slots, record_bytes, start = held.params[:3]
        self.namespace = namespace
        self.name = name
        self.record_dtype = dtype
        self.layout = RingLayout(slots, record_bytes)
        self._start = start
        self._held = held

    @classmethod
    def create(
        cls,
        namespace: str,
        name: str,
        *,
        slots: int = 65_536,
        record_dtype: np.dtype = SIGNAL_DTYPE,
        start: int = 0,
    ) -> Self:
        """Make a new, empty ring; one of the same name is retired. `slots` is a power of two.

        `start` is the first position, so that tests can begin next to where 64 bits wrap.
        """
        if not 1 <= slots <= RING_SLOTS_MAX or slots & (slots - 1):
            raise SegmentError(
                "slots must be a power of two", slots=slots, allowed=f"1 to {RING_SLOTS_MAX}"
            )
        layout = RingLayout(slots, record_dtype.itemsize)

        def fill(made: Segment) -> None:
            _ring.ring_start(made.memory, layout, start)

        held = segment.create(
            _segment_name(namespace, name),
            Kind.RING,
            layout.ring_bytes,
            [slots, record_dtype.itemsize, start, _record_hash(record_dtype)],
            fill=fill,
        )
        return cls(namespace, name, held, record_dtype)

    @classmethod
    def attach(
        cls,
        namespace: str,
        name: str,
        *,
        record_dtype: np.dtype = SIGNAL_DTYPE,
        timeout_s: float = segment.ATTACH_TIMEOUT_S,
    ) -> Self:
        """Map an existing ring to look at it; `producer` and `consumer` claim its ends."""
        held = _attach(namespace, name, record_dtype, writable=False, timeout_s=timeout_s)
        return cls(namespace, name, held, record_dtype)

    def producer(self) -> Producer:
        """Claim the write end: AlreadyClaimed when another live process has it, Retired when a
        newer ring has taken the name."""
        held = self._claim(_WRITE_END, f"write end of ring {self.name!r}")
        return Producer(held, self.layout, self.record_dtype)

    def consumer(self) -> Consumer:
        """Claim the read end: AlreadyClaimed or Retired, as for `producer`."""
        held = self._claim(_READ_END, f"read end of ring {self.name!r}")
        return Consumer(held, self.layout, self.record_dtype)

    def _claim(self, end: int, what: str) -> Segment:
        held = _attach(
            self.namespace,
            self.name,
            self.record_dtype,
            writable=True,
            timeout_s=segment.ATTACH_TIMEOUT_S,
        )
        with segment.closed_on_failure(held):
            if held.instance_id != self.instance_id:
                raise Retired("the ring was replaced by a newer instance", segment=held.name)
            held.claim(end, what)
            return held

    def counters(self) -> RingCounters:
        """Totals since the ring was made."""
        write, read, dropped, notifications = _ring.ring_positions(self._held.memory, self.layout)
        popped = (read - self._start) % 2**64
        in_ring = (write - read) % 2**64
        return RingCounters(popped + dropped + in_ring, popped, dropped, in_ring, notifications)

    @property
    def position(self) -> int:
        """How many records have ever gone in: the sequence number of the next one."""
        write, _, _, _ = _ring.ring_positions(self._held.memory, self.layout)
        return (write - self._start) % 2**64

    def past(self, since: int, most: int | None = None) -> tuple[int, np.ndarray]:
        """Copies of the records from number `since` on that still stand in their slots, popped or
        not, so many of them at most, and the number of the first of them. Takes nothing away: for
        people who look on.

        Only the newer half of the slots is given: the producer may be writing into the older one.
        """
        slots = self._held.array(self.record_dtype, self.layout.slots_at, (self.layout.slots,))
        end = self.position
        first = min(max(since, end - max(self.layout.slots // 2, 1)), end)
        end = end if most is None else min(first + most, end)
        numbers = (np.arange(first, end, dtype=np.uint64) + np.uint64(self._start)) % np.uint64(
            self.layout.slots
        )
        return first, slots[numbers]

    @property
    def instance_id(self) -> int:
        return self._held.instance_id


def _segment_name(namespace: str, name: str) -> str:
    segment.segment_name(namespace, name)
    return segment.segment_name(namespace, f"ring.{name}")


def _attach(
    namespace: str, name: str, dtype: np.dtype, *, writable: bool, timeout_s: float
) -> Segment:
    held = segment.attach(
        _segment_name(namespace, name),
        Kind.RING,
        writable=writable,
        timeout_s=timeout_s,
        expect_bytes=_ring_bytes,
    )
    found, expected = held.params[1::2][:2], [dtype.itemsize, _record_hash(dtype)]
    if found != expected:
        held.close()
        raise WrongSegment(
            "the ring holds other records: (bytes, hash of the fields)",
            segment=held.name,
            found=found,
            expected=expected,
        )
    return held


def _record_hash(dtype: np.dtype) -> int:
    """Changes with any field of a record, also where its size stays the same."""
    return zlib.crc32(repr(dtype.descr).encode())


def _ring_bytes(params: list[int]) -> int:
    slots, record_bytes = params[:2]
    if not 1 <= slots <= RING_SLOTS_MAX or slots & (slots - 1):
        raise WrongSegment("the ring's size is out of range", slots=slots)
    return RingLayout(slots, record_bytes).ring_bytes
