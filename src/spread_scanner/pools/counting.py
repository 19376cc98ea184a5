"""What feed-solana counts, in its health row and those of its connections."""

from spread_scanner import clock
from spread_scanner.schema.counters import POOL_COUNTERS, POOL_HISTOGRAMS
from spread_scanner.shm._rows import Row
from spread_scanner.shm.health import HealthRow

_COUNTER = {counter.label: counter.counter_id for counter in POOL_COUNTERS}
_TOLD_TO_CELL = POOL_HISTOGRAMS[0].histogram_id


class PoolCounting:
    """The row's counters, by their labels; of one provider in the row of its connection as well."""

    def __init__(self, row: HealthRow, own: Row | None = None) -> None:
        self._row, self._own = row, own

    def beside(self, own: Row | None) -> "PoolCounting":
        """The same, counted in this row, too."""
        return PoolCounting(self._row, own)

    def add(self, label: str, count: int = 1) -> None:
        self._row.add(_COUNTER[label], count)
        if self._own is not None:
            self._own.add(_COUNTER[label], count)

    def level(self, label: str, value: int) -> None:
        self._row.set(_COUNTER[label], value)

    def now_ns(self) -> int:
        return clock.mono_ns()

    def published(self, told_ns: int) -> None:
        """A pool is in its cell; what made it was read then."""
        self.add("published")
        self._row.observe(_TOLD_TO_CELL, clock.mono_ns() - told_ns)
