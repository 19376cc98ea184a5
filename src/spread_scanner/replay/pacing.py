"""How fast a log goes by: as fast as it is read, or so many times as fast as it was lived."""

import math
import threading

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import Unusable

MAX = "max"
SPEED_MAX = 1_000_000.0


class ReplayPace:
    """From `since_ns` (session clock) on; what is before goes by at once."""

    def __init__(self, speed: float, since_ns: int) -> None:
        self.speed, self.since_ns = speed, since_ns
        self._begun: tuple[int, float] | None = None  # a time of the log, and when that was here
        self._never = threading.Event()

    def wait(self, log_ns: int) -> None:
        """Until that time of the log is due."""
        if math.isinf(self.speed) or log_ns < self.since_ns:
            return
        now_s = clock.awake_s()
        begun_ns, begun_s = self._begun = self._begun or (log_ns, now_s)
        self._never.wait(max(0.0, begun_s + (log_ns - begun_ns) / NS_PER_S / self.speed - now_s))


def speed_of(said: str) -> float:
    """Of `--speed`. Raises Unusable."""
    try:
        speed = math.inf if said == MAX else float(said)
    except ValueError:
        speed = math.nan
    if said != MAX and not 0.001 <= speed <= SPEED_MAX:
        allowed = f"{MAX}, or a number from 0.001 to {SPEED_MAX:,.0f}"
        raise Unusable("no speed to play at", speed=said, allowed=allowed)
    return speed
