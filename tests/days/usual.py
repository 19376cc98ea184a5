"""What a feed may take for usual of an exchange's times, since its clock came back to what it was.

Told by the exchange when a clock comes back and by the invariants of each quote that arrives. How
late quotes usually are falls when three windows of a feed's have agreed on it, and the first may
have begun before: until four have passed here, late ones may look as if they were in time.
"""

from spread_scanner.clock import NS_PER_MS, NS_PER_S

IN_TIME_NS = 600 * NS_PER_MS
WINDOW_NS = 10 * NS_PER_S
WINDOW_QUOTES = 15
WINDOWS = 4
LATE_MIN = 8  # so many make a window late, which agrees with none in time


class Usual:
    """`late_ns`: by how much more what is late may be so; 0: all is learned."""

    def __init__(self) -> None:
        self.late_ns = 0
        self._passed = 0
        self._begin(0)

    def came_back(self, late_ns: int, now_ns: int) -> None:
        """From now on what comes by so much too late may be taken for usual."""
        if late_ns:
            self.late_ns, self._passed = late_ns, 0
            self._begin(now_ns)

    def heard(self, late_ns: int, now_ns: int) -> None:
        """A quote arrived, so late by the exchange's true time."""
        if not self.late_ns:
            return
        if late_ns > IN_TIME_NS:
            self._late += 1
        else:
            self._timely += 1
        if self._late >= LATE_MIN:
            self._passed = 0
            self._begin(now_ns)
        elif self._timely >= WINDOW_QUOTES and now_ns - self._begun_ns >= WINDOW_NS:
            self._passed += 1
            self._begin(now_ns)
            if self._passed == WINDOWS:
                self.late_ns = 0

    def _begin(self, now_ns: int) -> None:
        self._begun_ns, self._timely, self._late = now_ns, 0, 0
