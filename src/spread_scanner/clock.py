"""The only place that asks the operating system for the time.

`wall_ns` is for people and for exchanges' time stamps, `mono_ns` for durations and deadlines. The
wall clock may step; nothing that decides anything may depend on it. What is stamped into shared
memory as `ts_recv` is neither: see `SessionClock`.
"""

import time
from typing import Protocol

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """Replaceable time: the real one below, `ManualClock` in tests."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 UTC; may step."""

    def mono_ns(self) -> int:
        """Nanoseconds since some start; never steps, the same for all processes of a machine."""


class SystemClock:
    """The machine's own clocks."""

    def wall_ns(self) -> int:
        return time.time_ns()

    def mono_ns(self) -> int:
        return time.monotonic_ns()


class ManualClock:
    """A clock that only moves when told to; wall and monotonic time move apart on request."""

    def __init__(self, wall_ns: int = 1_700_000_000 * NS_PER_S, mono_ns: int = 0) -> None:
        self._wall_ns = wall_ns
        self._mono_ns = mono_ns

    def wall_ns(self) -> int:
        return self._wall_ns

    def mono_ns(self) -> int:
        return self._mono_ns

    def advance_ms(self, ms: float) -> None:
        """Both clocks move on, as time does."""
        self._wall_ns += int(ms * NS_PER_MS)
        self._mono_ns += int(ms * NS_PER_MS)

    def step_wall_ms(self, ms: float) -> None:
        """The wall clock is set, as by an operator or NTP; monotonic time does not notice."""
        self._wall_ns += int(ms * NS_PER_MS)


class SessionClock:
    """Wall time that cannot step: monotonic time plus an anchor fixed when the store was made.

    All processes attached to one store share the anchor (it stands in the segment header), so the
    age of a quote is exact across processes, and a clock step neither makes a fresh quote old nor
    an old one fresh. Rejected: plain wall time (a step of an hour makes every quote stale or
    eternal) and monotonic time alone (means nothing to a person or beside an exchange's stamp).
    """

    def __init__(self, anchor_ns: int, clock: Clock | None = None) -> None:
        self.anchor_ns = anchor_ns
        self._clock = clock or SystemClock()

    def now_ns(self) -> int:
        return self._clock.mono_ns() + self.anchor_ns

    def step_ns(self) -> int:
        """How far the wall clock has been stepped since the anchor was taken."""
        return self._clock.wall_ns() - self.now_ns()
