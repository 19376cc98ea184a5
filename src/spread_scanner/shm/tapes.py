"""Tapes: every quote of a source in its order, beside the store, for whoever records the market.

Producer: the feed that claimed the source, where it publishes (native/tape.h).
Consumer: the one that claimed the tape; `record` asks for ticks, and a feed that finds nobody
          asking pays one branch.

A ring per source that nobody waits for: a full one drops the newest and counts it, and each tick
bears its number, which counts the dropped ones, too. A consumer that was killed is still asked for:
its tape fills, and what is dropped then is counted for the next. The consumer also tells there how
far the log is with the tape (`Recorded`), for whoever looks.

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
# Bytes from a ring's control to the words of a tape's consumer, as native/ring.h has them: the one
# that asks for ticks, and how far the log is.
WANTED_AT = 136
APPENDED_AT, DURABLE_AT, WAITS_SINCE_AT = 144, 152, 160


class TapeCounters(NamedTuple):
    """Totals of one tape since it was made."""

    given: int  # tick numbers: pushed and dropped
    dropped: int
    waiting: int


class Recorded(NamedTuple):
    """How far the log is with one tape, in the tape's own numbers. What a tape had no room for has
    numbers, too: the log has a Gap for them."""

    appended: int  # every record before this one was handed to the log
    durable: int  # and before this one is on the disk; never above `appended`
    waits_since_ns: int  # clock.mono_ns, of the oldest that is not on the disk; 0: all are


class TapeReader(_ring.RingConsumer, Holder):
    """The read end of one source's tape, of quotes or of levels of books; made by Tapes.reader and
    BookStore.tape_reader. `close` gives the place back, and stops asking."""

    def __init__(self, held: Segment, layout: RingLayout, dtype: np.dtype) -> None:
        self._control_at = layout.control_at
        super().__init__(held.memory, layout, dtype)
        self._held = held
        self._asks = False
        # A predecessor did until now: it was killed, and the tape has what it could take since.
        self.asked = held.words.load(self._control_at + WANTED_AT) != 0

    def record(self) -> None:
        """Ask for ticks from now on."""
        self._held.words.store(self._control_at + WANTED_AT, 1)
        self._asks = True

    @property
    def recorded(self) -> Recorded:
        """What was told last, by whoever recorded then."""
        return _recorded(self._held, self._control_at)

    def tell(self, recorded: Recorded) -> None:
        """How far the log is, for whoever looks."""
        store, at = self._held.words.store, self._control_at
        store(at + WAITS_SINCE_AT, recorded.waits_since_ns)
        store(at + APPENDED_AT, recorded.appended)
        store(at + DURABLE_AT, recorded.durable)

    def stop(self) -> None:
        """Ask for nothing any more; a feed in the midst of a read may not see it at once."""
        if self._asks:
            self._held.words.store(self._control_at + WANTED_AT, 0)
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

    def recorded(self, source_id: int) -> Recorded | None:
        """How far the log is with a source's quotes; None: nobody asks for them. A recorder that
        was killed still asks, and tells nothing: its row in health says whether it lives."""
        at = self._rings[source_id].control_at
        return _recorded(self._held, at) if self._held.words.load(at + WANTED_AT) else None

    @property
    def instance_id(self) -> int:
        return self._held.instance_id


def _recorded(held: Segment, at: int) -> Recorded:
    """Each word by itself. `durable` first: both only rise, so it is never the larger one."""
    durable, appended, waits_since_ns = (
        held.words.load(at + word) for word in (DURABLE_AT, APPENDED_AT, WAITS_SINCE_AT)
    )
    return Recorded(appended, durable, waits_since_ns)


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
