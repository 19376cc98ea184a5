"""How long to wait before trying again, and how often one may try at all. No clock of its own.

Used by whoever dials out or asks. All are pure: the caller passes the time in and does the waiting.
"""

import random
from collections import deque
from collections.abc import Callable

from spread_scanner.clock import NS_PER_S

DOUBLINGS_MAX = 32


class Backoff:
    """Capped exponential pauses with jitter, so that many clients do not come back as one.

    `reset` belongs to the caller: only what proves that things work again (data has flowed, not
    merely a socket that opened) should call it.
    """

    def __init__(
        self, min_s: float, max_s: float, rand: Callable[[], float] = random.random
    ) -> None:
        self.min_s = min_s
        self.max_s = max(min_s, max_s)
        self.failures = 0
        self._random = rand

    def next_s(self) -> float:
        """The pause before the next try: between half and all of min_s * 2^failures, capped."""
        span_s = min(self.max_s, self.min_s * 2.0 ** min(self.failures, DOUBLINGS_MAX))
        self.failures += 1
        return span_s * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        self.failures = 0


class Pacer:
    """Turns, evenly spaced: at most `per_s` a second, shared by all who reserve from it."""

    def __init__(self, per_s: float) -> None:
        self._every_ns = int(NS_PER_S / per_s)
        self._next_ns: int | None = None

    def reserve_s(self, now_ns: int) -> float:
        """Take the next free turn; returns how long to wait for it."""
        turn_ns = now_ns if self._next_ns is None else max(now_ns, self._next_ns)
        self._next_ns = turn_ns + self._every_ns
        return (turn_ns - now_ns) / NS_PER_S


class Allowance:
    """At most `count` uses in any `window_s` seconds, in bursts as they come; None: no limit."""

    def __init__(self, count: int | None, window_s: float) -> None:
        self._count = count
        self._window_ns = int(NS_PER_S * window_s)
        self._used_ns: deque[int] = deque(maxlen=count)

    def wait_s(self, now_ns: int) -> float:
        """How long until it may be used; 0: now."""
        if self._count is None or len(self._used_ns) < self._count:
            return 0.0
        return max(0, self._used_ns[0] + self._window_ns - now_ns) / NS_PER_S

    def use(self, now_ns: int) -> None:
        """Only when nothing has to be waited for."""
        if self._count is not None:
            self._used_ns.append(now_ns)
