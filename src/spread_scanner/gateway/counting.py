"""What the gateway counts of its requests, in its health row."""

from http import HTTPStatus

from spread_scanner.gateway.problems import NotAnswered
from spread_scanner.runtime.logs import Log
from spread_scanner.schema.counters import GATEWAY_COUNTERS, GATEWAY_HISTOGRAMS
from spread_scanner.shm.health import HealthRow

REQUEST_TO_ANSWER, WAIT_TO_ANSWER = (row.histogram_id for row in GATEWAY_HISTOGRAMS)
_COUNTER = {row.label: row.counter_id for row in GATEWAY_COUNTERS}


class Counting:
    """Of one process's row."""

    def __init__(self, row: HealthRow, log: Log) -> None:
        self._row = row
        self._log = log

    def answered(self, took_ns: int, *, waited: bool = False) -> None:
        """A request, however it ended; what waits for others is counted apart."""
        self._row.add(_COUNTER["requests"])
        self._row.observe(WAIT_TO_ANSWER if waited else REQUEST_TO_ANSWER, took_ns)

    def refused(self, error: Exception) -> None:
        """One that was not answered."""
        limited = isinstance(error, NotAnswered) and error.status is HTTPStatus.TOO_MANY_REQUESTS
        self._row.add(_COUNTER["limited" if limited else "refused"])

    def turned_away(self, error: Exception) -> None:
        """A connection that was refused before any request was answered, or none was made."""
        self._row.add(_COUNTER["requests"])
        self.refused(error)

    def failed(self, path: str, fault: Exception) -> None:
        """A fault of ours: the request has it, the process goes on, the log says where."""
        self._row.add(_COUNTER["failed"])
        self._log.error("a request met a fault of ours", path=path, exc_info=fault)

    def stream_failed(self, what: str, fault: BaseException) -> None:
        """A fault of ours in the stream: whoever was told of it is let go."""
        self._row.add(_COUNTER["failed"])
        self._log.error("the stream met a fault of ours", what=what, exc_info=fault)

    def add(self, label: str, count: int = 1) -> None:
        self._row.add(_COUNTER[label], count)
