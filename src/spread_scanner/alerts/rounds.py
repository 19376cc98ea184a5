"""When a target is offered again what it did not take (alerts/ledger.py)."""

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S

ROUND_S_MIN = 1.0  # from the first failure to the first round, and doubled for each
ROUND_S_MAX = 30.0  # what stands is told within a minute of the target taking it
SWEEP_S = 15.0  # one by one no more often: a target that fails may fail for all of them


class Rounds:
    """When what was set aside is offered again: sooner at first, and less and less often."""

    def __init__(self) -> None:
        self._wait_s = ROUND_S_MIN
        self._next_ns: int | None = None  # None: nobody waits for one
        self._sweep_ns = 0

    @property
    def due(self) -> bool:
        return self._next_ns is not None and clock.mono_ns() >= self._next_ns

    def begin(self) -> None:
        self._next_ns = None

    def wanted(self) -> None:
        """Something is set aside."""
        if self._next_ns is None:
            self._next_ns = clock.mono_ns() + int(self._wait_s * NS_PER_S)
            self._wait_s = min(2 * self._wait_s, ROUND_S_MAX)

    def slow(self) -> None:
        """Who refuses will not think better of it soon."""
        self._wait_s = ROUND_S_MAX

    def at_once(self) -> None:
        """The target may take what it did not take."""
        self._wait_s = ROUND_S_MIN
        if self._next_ns is not None:
            self._next_ns = clock.mono_ns()

    def may_sweep(self) -> bool:
        """Whether all may be tried one by one; it is one of those times, then."""
        now_ns = clock.mono_ns()
        if now_ns < self._sweep_ns:
            return False
        self._sweep_ns = now_ns + int(SWEEP_S * NS_PER_S)
        return True
