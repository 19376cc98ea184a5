"""How much one target is sent: a bucket that fills with time.

Two of them stand in each ledger (alerts/ledger.py): one for what the target takes, so that nobody
is told more than `per_minute_max` in any minute, and one for what it refuses, so that nobody is
asked without end for what he does not take.
"""

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S

REFUSALS_PER_MINUTE = 120
OVERDRAWN_S_MAX = 45.0  # that what comes after it waits


class Bucket:
    """Fills by `per_minute` up to `burst`; what is overdrawn by more than `debt` is forgiven."""

    def __init__(self, burst: float, per_minute: float, debt: float = 0.0) -> None:
        self._burst, self._per_minute, self._debt = burst, per_minute, debt
        self._left = burst
        self._filled_ns = clock.mono_ns()

    @property
    def left(self) -> float:
        """How much may be spent now."""
        now_ns = clock.mono_ns()
        gained = (now_ns - self._filled_ns) * self._per_minute / (60 * NS_PER_S)
        self._left, self._filled_ns = min(self._left + gained, self._burst), now_ns
        return self._left

    def spend(self) -> None:
        """One less of what was there when `left` was asked last, before it was sent: what comes
        while a target takes its time does not wait for that besides."""
        self._left = max(self._left - 1, -self._debt)

    def like(self, other: "Bucket") -> None:
        """Go on with what is left, or overdrawn, by the limits of another one."""
        self._left = max(min(self.left, other._burst), -other._debt)
        self._burst, self._per_minute, self._debt = other._burst, other._per_minute, other._debt


def of_messages(per_minute_max: int) -> Bucket:
    """Half of a minute's at once and the rest as the minute goes by: so no minute has more."""
    burst = max(1, per_minute_max // 2)
    per_minute = max(1, per_minute_max - burst)
    return Bucket(burst, per_minute, max(0.0, OVERDRAWN_S_MAX / 60 * per_minute - 1))


def of_refusals() -> Bucket:
    """What is offered again, and again refused."""
    return Bucket(REFUSALS_PER_MINUTE, REFUSALS_PER_MINUTE)
