"""Tapes: every quote of a source in its order, beside the store, for whoever records the market.

Producer: the feed that claimed the source, where it publishes (native/tape.h).
Consumer: the one that claimed the tape; `record` asks for ticks, and a feed that finds nobody
          asking pays one branch.

A ring per source that nobody waits for: a full one drops the newest and counts it, and each tick
bears its number, which counts the dropped ones, too. A consumer that was killed is still asked for:
its tape fills, and what is dropped then is counted for the next.

Segment: "<namespace>.tapes", made and taken away with the store (price_store.py).
"""

from typing import NamedTuple, Self

import numpy as np

from spread_scanner.errors import SegmentError
from spread_scanner.schema.log import TICK_DTYPE
from spread_scanner.shm import _ring, segment
from spread_scanner.shm.faults import Retired, WrongSegment
from spread_scanner.shm.layout import RING_SLOTS_MAX, Kind, RingLayout, TapesLayout, sizes_fit
from spread_scanner.shm.segment import Holder, Segment

PART = "tapes"
TAPE_SLOTS = 1_024  # of a store that is made without saying
# Bytes from a ring's control to the word that asks for ticks; pinned by the layout test.
WANTED_AT = 136


class TapeCounters(NamedTuple):
    """Totals of one tape since it was made."""

    given: int  # tick numbers: pushed and dropped
    dropped: int
    waiting: int


class TapeReader(_ring.RingConsumer, Holder):
    """The read end of one source's tape, of quotes or of levels of books; made by Tapes.reader and
    BookStore.tape_reader. `close` gives the place back, and stops asking."""

    def __init__(self, held: Segment, layout: RingLayout, dtype: np.dtype) -> None:
        self._at = layout.control_at + WANTED_AT
        super().__init__(held.memory, layout, dtype)
        self._held = held
        self._asks = False
        # A predecessor did until now: it was killed, and the tape has what it could take since.
        self.asked = held.words.load(self._at) != 0

    def record(self) -> None:
        """Ask for ticks from now on."""
        self._held.words.store(self._at, 1)
        self._asks = True

    def stop(self) -> None:
        """Ask for nothing any more; a feed in the midst of a read may not see it at once."""
        if self._asks:
            self._held.words.store(self._at, 0)
            self._asks = False

    def close(self) -> None:
        """What is on the tape stays."""
        self.stop()
        super().close()


class Tapes(Holder):
    """All sources' tapes, to look at; `reader` claims one."""

    def __init__(self, namespace: str, held: Segment) -> None:
        self.namespace = namespace
        self.layout = TapesLayout(*held.params[:2])
        self._held = held
        self._rings = [self.layout.tape(one) for one in range(self.layout.num_sources)]

    @classmethod
    def attach(cls, namespace: str, *, timeout_s: float = segment.ATTACH_TIMEOUT_S) -> Self:
        """Map the tapes of a namespace. Raises NoSegment, NotReady, Retired or WrongSegment."""
        return cls(namespace, attached(namespace, writable=False, timeout_s=timeout_s))

    def reader(self, source_id: int) -> TapeReader:
        """Claim a tape: AlreadyClaimed when another live process has it, Retired when newer
        segments have taken the name."""
        if not 0 <= source_id < self.layout.num_sources:
            most = self.layout.num_sources - 1
            raise SegmentError("no such source", source_id=source_id, allowed=f"0 to {most}")
        held = attached(self.namespace, writable=True)
        with segment.closed_on_failure(held):
            if held.instance_id != self.instance_id:
                raise Retired("the tapes were replaced by newer ones", segment=held.name)
            held.claim(source_id, f"tape of source {source_id}")
            return TapeReader(held, self.layout.tape(source_id), TICK_DTYPE)

    def counters(self, source_id: int) -> TapeCounters:
        """Totals of a tape since it was made; exact while nobody moves."""
        return counters_of(self._held, self._rings[source_id])

    @property
    def instance_id(self) -> int:
        return self._held.instance_id


def counters_of(held: Segment, layout: RingLayout) -> TapeCounters:
    """Totals of a tape of that place; exact while nobody moves."""
    write, read, dropped, _ = _ring.ring_positions(held.memory, layout)
    return TapeCounters(write + dropped, dropped, write - read)


def create(namespace: str, num_sources: int, slots: int, store_instance_id: int) -> None:
    """Make the tapes of a store that is being made. Raises NoSpace, SegmentError."""
    check_slots(slots)
    layout = TapesLayout(num_sources, slots)
    params = [num_sources, slots, store_instance_id]
    name = segment.segment_name(namespace, PART)
    segment.create(name, Kind.TAPES, layout.tapes_bytes, params).close()


def slots_fit(slots: int) -> bool:
    """Whether a tape can have so many."""
    return 1 <= slots <= RING_SLOTS_MAX and not slots & (slots - 1)


def check_slots(slots: int) -> None:
    """Raises SegmentError on a size that no tape has."""
    if not slots_fit(slots):
        allowed = f"1 to {RING_SLOTS_MAX}"
        raise SegmentError("tape slots must be a power of two", slots=slots, allowed=allowed)


def attached(
    namespace: str, *, writable: bool, timeout_s: float = segment.ATTACH_TIMEOUT_S
) -> Segment:
    """The segment, checked."""
    return segment.attach(
        segment.segment_name(namespace, PART),
        Kind.TAPES,
        writable=writable,
        timeout_s=timeout_s,
        expect_bytes=_tapes_bytes,
    )


def _tapes_bytes(params: list[int]) -> int:
    num_sources, slots = params[:2]
    if not (sizes_fit(num_sources, 1) and slots_fit(slots)):
        raise WrongSegment("the segment's sizes are out of range", params=params)
    return TapesLayout(num_sources, slots).tapes_bytes
