"""How long to wait before trying again, and how often a thing may be used. No clock of its own.

Used by whoever dials out or asks. All are pure: the caller passes the time in and does the waiting.
"""

import math
import random
from collections import deque
from collections.abc import Callable

from spread_scanner.clock import NS_PER_S

DOUBLINGS_MAX = 32


class Backoff:
    """Capped exponential pauses with jitter, so that many clients do not come back as one.

    It belongs to one who dials, and is never shared. It falls only by `stood`: what fails after a
    moment each time, a quote notwithstanding, waits longer and longer. It falls by half and not at
    once: what lives a little longer than `stood_s` each time does not begin at the least pause.
    """

    def __init__(
        self, min_s: float, max_s: float, rand: Callable[[], float] = random.random
    ) -> None:
        self.failures = 0
        self._random = rand
        self.retune(min_s, max_s)

    def retune(self, min_s: float, max_s: float) -> None:
        """Other pauses; what has failed until now counts on."""
        self.min_s = min_s
        self.max_s = max(min_s, max_s)
        self._failures_max = math.ceil(math.log2(self.max_s / self.min_s)) + 1
        self.failures = min(self.failures, self._failures_max)

    def next_s(self) -> float:
        """The pause before the next try: between half and all of min_s * 2^failures, capped."""
        span_s = min(self.max_s, self.min_s * 2.0 ** min(self.failures, DOUBLINGS_MAX))
        self.failures = min(self.failures + 1, self._failures_max)
        return span_s * (0.5 + 0.5 * self._random())

    def stood(self) -> None:
        """What was dialled has stood for a while."""
        self.failures //= 2


class Allowance:
    """At most `count` uses in any `window_s` seconds, in bursts as they come; None: no limit."""

    def __init__(self, count: int | None, window_s: float) -> None:
        self._count = count
        self._window_ns = int(NS_PER_S * window_s)
        self._used_ns: deque[int] = deque(maxlen=count)

    def wait_s(self, now_ns: int, times: int = 1) -> float:
        """How long until it may be used so often; 0: now."""
        if self._count is None:
            return 0.0
        over = len(self._used_ns) + min(times, self._count) - self._count
        if over <= 0:
            return 0.0
        return max(0, self._used_ns[over - 1] + self._window_ns - now_ns) / NS_PER_S

    def use(self, now_ns: int) -> None:
        """When nothing has to be waited for; else what comes next waits the longer."""
        if self._count is not None:
            self._used_ns.append(now_ns)
