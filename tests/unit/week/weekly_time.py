"""Time that is turned by hand, for a process whose other thread has time of its own."""

import time
from typing import Any

import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.clock import VirtualClock
from spread_scanner.shm.ring import Consumer


class PatientClock(VirtualClock):
    """Who sleeps waits for another thread, which takes no time of this clock."""

    def sleep(self, seconds: float) -> None:
        time.sleep(min(seconds, 0.001))


class Unparked:
    """A consumer whose owner never parks: it is called when there is something to do, and a park
    takes time of another clock."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    def wait_peek(
        self, timeout_ms: float, limit: int, beyond: int, warm_ms: float
    ) -> tuple[npt.NDArray[np.void], int]:
        """What there is."""
        return self._consumer.peek_many(limit, beyond), clock.mono_ns()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)
