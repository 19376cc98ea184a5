"""A thread that parks on the gateway's dirty bits, so that the loop need not look for them.

While nobody wants to know it parks on an event and the bits stay as they are: writers set a bit
that is set already, and make no system call.
"""

import asyncio
import threading
from collections.abc import Callable

from spread_scanner import clock
from spread_scanner.errors import SegmentError
from spread_scanner.shm.price_store import DirtyBitmap

PARK_MS = 200.0
FRAME_S = 0.001  # from one flush's turn to the next
# A turn that is taken so late at most is taken for one that was in time: the next comes a frame
# after it was due, or each would be late by the kernel's slack and the loop's, and what is written
# a thousand times a second would wait for half a frame more.
LATE_S_MAX = 0.0005


def next_turn(turn_s: float, now_s: float) -> float:
    """The turn that a flush is of which begins now: the one that was due, or now."""
    due_s = turn_s + FRAME_S
    return due_s if now_s - due_s <= LATE_S_MAX else now_s


class Watching:
    """Calls `flush` on the loop when something is dirty, and never while a flush runs."""

    def __init__(self, bits: DirtyBitmap, flush: Callable[[], bool]) -> None:
        """`flush` says whether it is to be called again soon, though nothing more is dirty."""
        self._bits = bits
        self._flush = flush
        self._loop = asyncio.get_running_loop()
        self._wanted = threading.Event()
        self._flushed = threading.Event()
        self._flushed.set()
        self._again = False
        self._ended = False
        self._thread = threading.Thread(target=self._watch, name="dirty bits", daemon=True)
        self._thread.start()

    def want(self, *, wanted: bool) -> None:
        """Whether anybody wants to know."""
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()

    def _watch(self) -> None:
        turn_s = 0.0
        while not self._ended:
            self._wanted.wait()
            try:
                if not self._ended and (self._again or self._bits.wait(PARK_MS)):
                    turn_s = next_turn(turn_s, clock.mono_s())
                    self._flushed.clear()
                    if self._ended:  # just now: nobody sets it any more
                        return
                    self._loop.call_soon_threadsafe(self._on_loop)
            except SegmentError:  # replaced: the process is about to leave
                turn_s = clock.mono_s()
            clock.sleep(max(0.0, turn_s + FRAME_S - clock.mono_s()))
            # Last, when it has flushed long since: to be woken by it is a tenth of a frame's cost.
            self._flushed.wait(1.0)

    def _on_loop(self) -> None:
        self._again = False
        try:
            if not self._ended:
                self._again = self._flush()
        finally:
            self._flushed.set()

    def close(self) -> None:
        """End the thread; the bits are its owner's."""
        self._ended = True
        self._wanted.set()
        self._flushed.set()
        self._thread.join()
