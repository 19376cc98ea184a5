"""How often one connection may ask: the exchange's pace, its hour, and a quarter of both for asking
again.

Used by Subscription. Pure: the caller passes time and chance in, in monotonic ns and from 0 to 1,
and does the waiting.
"""

from collections.abc import Callable

from spread_scanner.clock import NS_PER_S
from spread_scanner.exchanges.adapter import Limits
from spread_scanner.runtime.backoff import Allowance

HOUR_S = 3_600.0
AGAIN_SHARE = 0.25  # what asking again may take; the rest is for what is asked for the first time
SLOWER_MAX = 16.0
BUSY_NS_MIN = NS_PER_S
BUSY_SPREAD = 0.5  # by how much of itself such a pause may be longer: others were told the same


class Budget:
    """One connection's. `again`: the request repeats what was asked before."""

    def __init__(self, limits: Limits, busy_ns_max: int, random: Callable[[], float]) -> None:
        hour = limits.requests_per_h_max
        self._every_ns = NS_PER_S / limits.requests_per_s_max
        self._hour = Allowance(hour, HOUR_S)
        self._again_hour = Allowance(
            None if hour is None else max(1, int(hour * AGAIN_SHARE)), HOUR_S
        )
        self._busy_ns_max = busy_ns_max
        self._random = random
        self._next_ns = 0
        self._again_next_ns = 0
        self._slower = 1.0
        self._pause_ns = 0
        self._told_ns = -1

    def wait_ns(self, now_ns: int, *, again: bool, times: int = 1) -> int:
        """How long until a request may be sent, and as many more as are to follow; 0: now."""
        at_ns = max(self._next_ns, self._again_next_ns) if again else self._next_ns
        wait_s = self._hour.wait_s(now_ns, times)
        if again:
            wait_s = max(wait_s, self._again_hour.wait_s(now_ns, times))
        return max(0, at_ns - now_ns, int(wait_s * NS_PER_S))

    def use(self, now_ns: int, *, again: bool, times: int = 1) -> None:
        """A request is sent. Only when nothing has to be waited for. `times`: how often the quarter
        is charged for it.
        """
        every_ns = self._pace_ns
        self._next_ns = now_ns + every_ns
        self._hour.use(now_ns)
        if again:
            self._again_next_ns = now_ns + int(every_ns / AGAIN_SHARE) * times
            for _ in range(times):
                self._again_hour.use(now_ns)

    def owe(self, now_ns: int) -> None:
        """The quarter is charged for a request that does not wait for it: what follows does."""
        over_ns = max(now_ns, self._again_next_ns)
        self._again_next_ns = over_ns + int(self._pace_ns / AGAIN_SHARE)
        self._again_hour.use(now_ns)

    def retune(self, busy_ns_max: int, now_ns: int) -> None:
        """Another longest pause; one that is under way is no longer than that either."""
        self._busy_ns_max = busy_ns_max
        self._pause_ns = min(self._pause_ns, busy_ns_max)
        longest_ns = max(round(busy_ns_max * (1.0 + BUSY_SPREAD)), self._pace_ns)
        self._next_ns = min(self._next_ns, now_ns + longest_ns)

    def hour_spent(self, now_ns: int) -> bool:
        """Nothing may be asked for a long time, however slowly."""
        return self._hour.wait_s(now_ns) > 0.0

    def busy(self, now_ns: int, sent_ns: int) -> int:
        """The exchange wants less. Nothing is sent during a pause that doubles each time it turns
        out to have been too short, and more slowly after it. Returns when the pause ends.

        `sent_ns`: when what was answered was sent. Several answers to one burst count as one.
        """
        if sent_ns > self._told_ns:
            self._told_ns = now_ns
            self._pause_ns = min(max(BUSY_NS_MIN, 2 * self._pause_ns), self._busy_ns_max)
            self._slower = min(2.0 * self._slower, SLOWER_MAX)
            pause_ns = round(self._pause_ns * (1.0 + BUSY_SPREAD * self._random()))
            self._next_ns = max(self._next_ns, now_ns + pause_ns)
        return self._next_ns

    @property
    def _pace_ns(self) -> int:
        return int(self._every_ns * self._slower)

    def calm(self) -> None:
        """The exchange took a request: a step back towards the usual pace."""
        self._slower = max(1.0, self._slower / 2.0)
        self._pause_ns //= 2
