"""What feed-solana counts, in its health row."""

from spread_scanner import clock
from spread_scanner.schema.counters import POOL_COUNTERS, POOL_HISTOGRAMS
from spread_scanner.shm.health import HealthRow

_COUNTER = {counter.label: counter.counter_id for counter in POOL_COUNTERS}
_TOLD_TO_CELL = POOL_HISTOGRAMS[0].histogram_id


class PoolCounting:
    """The row's counters, by their labels."""

    def __init__(self, row: HealthRow) -> None:
        self._row = row

    def add(self, label: str, count: int = 1) -> None:
        self._row.add(_COUNTER[label], count)

    def level(self, label: str, value: int) -> None:
        self._row.set(_COUNTER[label], value)

    def now_ns(self) -> int:
        return clock.mono_ns()

    def published(self, told_ns: int) -> None:
        """A pool is in its cell; what made it was read then."""
        self.add("published")
        self._row.observe(_TOLD_TO_CELL, clock.mono_ns() - told_ns)
