"""How far an exchange's envelope is dated after its matching engine: E less T, ts less cts.

A few ms while all is calm. Under load the queue between the two grows: with more quotes than the
publisher can pass on, the distance grows for as long as that lasts and melts away afterwards, which
is when a time of the envelope tells least. The encoders read `universe.lags_ms`; logical time only,
so that the same script gives the same bytes.
"""

from spread_scanner.sim.universe import LAGS_MS, Universe

CAPACITY = 4.0  # so many times the configured rate is passed on without a queue
QUEUE_MS_MAX = 5_000.0
MELT = 0.5  # of the queue that is left at the next look once the load is over


class EngineLag:
    """Keeps the queue, and what a fault adds to it per source."""

    def __init__(self, universe: Universe, rate: float) -> None:
        self._lags_ms = universe.lags_ms
        self._capacity = CAPACITY * rate
        self._queue_ms = 0.0
        self._added_ms = [0] * len(self._lags_ms)

    def add(self, source_id: int, lag_ms: int) -> None:
        """A fault puts the engine's time so much further back; 0 takes that away."""
        self._added_ms[source_id] = lag_ms
        self._settle()

    def advance(self, seconds: float, rate: float) -> None:
        """So much time has passed at this rate of quotes, all sources together."""
        over = rate / self._capacity - 1.0 if self._capacity > 0 else 0.0
        if over > 0:
            self._queue_ms = min(self._queue_ms + over * seconds * 1000.0, QUEUE_MS_MAX)
        else:
            self._queue_ms = self._queue_ms * MELT if self._queue_ms > 1.0 else 0.0
        self._settle()

    def _settle(self) -> None:
        queue_ms = int(self._queue_ms)
        for source_id, base_ms in enumerate(LAGS_MS):
            self._lags_ms[source_id] = base_ms + queue_ms + self._added_ms[source_id]
