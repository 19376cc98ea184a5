"""Wants: which order books are wanted, and how much. The feeds read it and follow the most urgent.

Writers: of `asked` whoever wants a book: an operator, a program, a process; one word each, which
         says until when (clock.mono_ns). Of `near` the engine: how far a pair is off its threshold.
Readers: the feeds; anyone, mapped read-only.

Single words, stored whole: who dies leaves each old or new. What is asked ends by itself, and what
the engine said of a pair counts for some seconds only, so that nothing has to be taken back.

Segment: "<namespace>.wants".
"""

from typing import Self

import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import directions_within
from spread_scanner.shm import segment
from spread_scanner.shm._memory import Memory
from spread_scanner.shm.faults import BadInput, WrongSegment
from spread_scanner.shm.layout import Kind, WantsLayout, sizes_fit, symbol_place
from spread_scanner.shm.segment import Holder, Segment

_NEAR_WRITER = 0
_PART = "wants"
NEAR_S_MAX = 5  # so old at most is what the engine said of a pair
NOT_NEAR = -np.inf
ASK_S_MAX = 31_536_000.0  # a year: whoever wants a book for longer asks again


class NearWriter(Holder):
    """The engine's right to say how near pairs are; made by Wants.near_writer."""

    def __init__(self, held: Segment, layout: WantsLayout) -> None:
        self._held = held
        self.layout = layout

    @property
    def memory(self) -> Memory:
        """For the engine's native loop, which stores the words itself."""
        return self._held.memory

    @property
    def words_at(self) -> int:
        return self.layout.near_at

    @property
    def words_bytes(self) -> int:
        return self.layout.wants_bytes - self.layout.near_at

    def say(self, direction_id: int, symbol_id: int, over_bps: float, mono_ns: int) -> None:
        """As the engine's loop does: `over_bps` above the threshold; infinite: it stands."""
        at = self.layout.near_at + 8 * (direction_id * self.layout.max_symbols + symbol_id)
        low = int(np.float32(over_bps).view(np.uint32))
        self._held.words.store(at, (mono_ns // 1_000_000_000 << 32) | low)


class Wants(Holder):
    """What is wanted, for reading; `ask` asks."""

    def __init__(self, namespace: str, held: Segment) -> None:
        self.namespace = namespace
        self.layout = WantsLayout(*held.params[:2])
        self._held = held
        self._asked = held.array(
            np.dtype("<i8"),
            self.layout.asked_at,
            (self.layout.num_sources, self.layout.max_symbols),
        )
        self._near = held.array(
            np.dtype([("over_bps", "<f4"), ("mono_s", "<u4")]),
            self.layout.near_at,
            (len(directions_within(self.layout.num_sources)), self.layout.max_symbols),
        )

    @classmethod
    def create(cls, namespace: str, *, num_sources: int = 8, max_symbols: int = 1024) -> Self:
        """Make new ones, nothing wanted; those that stand under the namespace are retired."""
        if not sizes_fit(num_sources, max_symbols):
            raise SegmentError(
                "sizes out of range", num_sources=num_sources, max_symbols=max_symbols
            )
        name = segment.segment_name(namespace, _PART)
        size = WantsLayout(num_sources, max_symbols).wants_bytes
        return cls(namespace, segment.create(name, Kind.WANTS, size, [num_sources, max_symbols]))

    @classmethod
    def attach(cls, namespace: str, *, timeout_s: float = segment.ATTACH_TIMEOUT_S) -> Self:
        """Map what is wanted; it may be asked through it, too."""
        return cls(namespace, _attach(namespace, timeout_s=timeout_s))

    def ask(self, source_id: int, symbol_id: int, for_s: float) -> None:
        """Want a book from now on for so long; what somebody wants for longer stays as it is.
        Raises BadInput on an id out of range, and on a time that is none or over ASK_S_MAX.
        """
        if not 0.0 <= for_s <= ASK_S_MAX:
            raise BadInput(
                "no time to want a book for", for_s=for_s, allowed=f"0 to {ASK_S_MAX:.0f}"
            )
        until_ns = clock.mono_ns() + round(for_s * 1e9)
        sizes = self.layout.num_sources, self.layout.max_symbols
        at = self.layout.asked_at + 8 * symbol_place(sizes, source_id, symbol_id)
        if self._held.words.load(at) < until_ns:
            self._held.words.store(at, until_ns)

    def near_writer(self) -> NearWriter:
        """Claim the right to say what is near: AlreadyClaimed when a live process has it."""
        held = _attach(self.namespace, timeout_s=segment.ATTACH_TIMEOUT_S)
        with segment.closed_on_failure(held):
            held.claim(_NEAR_WRITER, "what is near its threshold")
            return NearWriter(held, self.layout)

    def asked(self, source_id: int, now_ns: int) -> npt.NDArray[np.bool_]:
        """(max_symbols,) bool: whose book somebody wants."""
        wanted: npt.NDArray[np.bool_] = self._asked[source_id] > now_ns
        return wanted

    def near_bps(self, source_id: int, now_ns: int) -> npt.NDArray[np.float32]:
        """(max_symbols,) of the pairs that the source has a leg of, the furthest over its
        threshold; NOT_NEAR where the engine said nothing lately."""
        directions = [
            one.direction_id
            for one in directions_within(self.layout.num_sources)
            if source_id in (one.spot.source_id, one.futures.source_id)
        ]
        if not directions:
            return np.full(self.layout.max_symbols, NOT_NEAR, np.float32)
        said = self._near[directions].copy()
        lately = said["mono_s"] + NEAR_S_MAX >= now_ns // 1_000_000_000
        over = np.where(lately & (said["mono_s"] > 0), said["over_bps"], np.float32(NOT_NEAR))
        furthest: npt.NDArray[np.float32] = over.max(axis=0)
        return furthest


def _attach(namespace: str, *, timeout_s: float) -> Segment:
    return segment.attach(
        segment.segment_name(namespace, _PART),
        Kind.WANTS,
        writable=True,
        timeout_s=timeout_s,
        expect_bytes=_wants_bytes,
    )


def _wants_bytes(params: list[int]) -> int:
    num_sources, max_symbols = params[:2]
    if not sizes_fit(num_sources, max_symbols):
        raise WrongSegment("the segment's sizes are out of range", params=params)
    return WantsLayout(num_sources, max_symbols).wants_bytes
