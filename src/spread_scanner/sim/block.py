"""Prebuilt frames of one source, in one block: what a flood sends over and over.

Made by the flood for each connection. Between two rounds only the digits of the update ids change,
and the time stamps every 128 ms, patched in place. No sockets.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing
from spread_scanner.sim.wire import encoder, varint

CYCLE_DIGITS = 7
INDEX_DIGITS = 5
BLOCK_FRAMES_MIN = 1_024
TS_STEP_MS = 128  # time stamps are patched this coarsely: the low seven bits of a varint stay


class Built(NamedTuple):
    """One frame of a block: which listing, which numbers."""

    listing: Listing
    bid_px: str
    bid_sz: str
    ask_px: str
    ask_sz: str


class Digits:
    """Places in a block that hold the same changing bytes."""

    def __init__(self, block: npt.NDArray[np.uint8], starts: list[int], text: bytes) -> None:
        self._block = block
        self._columns = [np.array(starts, dtype=np.intp) + n for n in range(len(text))]
        self.text = text

    def put(self, text: bytes) -> None:
        """Write `text` over all of them, touching only the bytes that change."""
        for column, old, new in zip(self._columns, self.text, text, strict=True):
            if old != new:
                self._block[column] = new
        self.text = text


def occurrences(data: bytes, text: bytes) -> Iterator[int]:
    """Where `text` stands in `data`."""
    at = data.find(text)
    while at >= 0:
        yield at
        at = data.find(text, at + 1)


Shift = Callable[[Listing, int], int]


def calm(_listing: Listing, round_number: int) -> int:
    """A tick up or down from round to round: no spread opens."""
    return (0, 1, 0, -1)[round_number % 4]


class Block:
    """Prebuilt frames of one connection's listings; `shift` moves a quote's prices, in ticks."""

    def __init__(
        self, listings: list[Listing], frames_min: int, binary: bool, shift: Shift = calm
    ) -> None:
        self._shift = shift
        self.built: list[Built] = []
        self.cycle = 0
        self._binary = binary
        encoders = {listing: encoder(listing, form) for listing, form in _with_forms(listings)}
        ts_ms = _aligned(clock.wall_ns() // NS_PER_MS)
        stamp, cycle = self._stamp(ts_ms), self._cycle_text(0)
        data = bytearray()
        self.offsets = [0]
        ids: list[int] = []
        stamps: list[int] = []
        while len(self.built) < frames_min:
            round_number = len(self.built) // len(listings)
            for listing in listings:
                tick, built = self._quote(listing, round_number, ts_ms)
                frame = encoders[listing](tick)
                number = f"{tick.update_id}".encode()
                ids += [len(data) + at for at in occurrences(frame, number)]
                stamps += [len(data) + at for at in occurrences(frame, stamp)]
                data += frame
                self.built.append(built)
                self.offsets.append(len(data))
        self.view = memoryview(data)
        block = np.frombuffer(data, dtype=np.uint8)
        self._cycles = Digits(block, ids, cycle)
        self._stamps = Digits(block, stamps, stamp)
        self._stamped_ms = ts_ms

    def _quote(self, listing: Listing, round_number: int, ts_ms: int) -> tuple[Tick, Built]:
        """The base quote, shifted, and another size each round."""
        shift = self._shift(listing, round_number)
        bid, ask = listing.bid_ticks + shift, listing.ask_ticks + shift
        built = Built(
            listing,
            listing.px(max(bid, 1)),
            listing.sz(listing.bid_lots + round_number % 7),
            listing.px(max(ask, 2)),
            listing.sz(listing.ask_lots + round_number % 5),
        )
        update_id = self._id(0, len(self.built))
        return Tick(update_id, *built[1:], ts_ms, update_id), built

    def _cycle_text(self, cycle: int) -> bytes:
        return b"%0*d" % (CYCLE_DIGITS, 10 ** (CYCLE_DIGITS - 1) + cycle)

    def _id(self, cycle: int, index: int) -> int:
        return int(f"{10 ** (CYCLE_DIGITS - 1) + cycle}{index:0{INDEX_DIGITS}d}")

    def _stamp(self, ts_ms: int) -> bytes:
        """The bytes that all time stamps of a quote share, however the dialect offsets them."""
        return varint(ts_ms)[1:] if self._binary else str(ts_ms)[:-2].encode()

    def next_cycle(self, now_ms: int) -> None:
        """New ids for all frames; new time stamps now and then."""
        self.cycle += 1
        self._cycles.put(self._cycle_text(self.cycle))
        if now_ms - self._stamped_ms >= TS_STEP_MS:
            self._stamped_ms = now_ms
            self._stamps.put(self._stamp(_aligned(now_ms)))

    def last(self, position: int) -> dict[Listing, tuple[Built, int]]:
        """The last quote of every listing when `position` frames of this cycle have gone out."""
        found: dict[Listing, tuple[Built, int]] = {}
        cycles = [(self.cycle, range(position))]
        if self.cycle:
            cycles.insert(0, (self.cycle - 1, range(position, len(self.built))))
        for cycle, indices in cycles:
            for index in indices:
                found[self.built[index].listing] = (self.built[index], self._id(cycle, index))
        return found


def _with_forms(listings: list[Listing]) -> Iterator[tuple[Listing, str]]:
    for listing in listings:
        yield listing, "10ms" if listing.label == "mexc-spot" else "combined"


def _aligned(ms: int) -> int:
    """A time whose low digits and low bits leave room for the few ms that dialects subtract."""
    for candidate in range(ms, ms - 400, -1):
        if candidate % 100 >= 10 and candidate % 128 >= 10:
            return candidate
    return ms
