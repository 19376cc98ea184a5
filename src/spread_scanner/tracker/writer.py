"""The thread that owns the database connection, so that no disk ever delays the popping thread.

One batch is on its way at a time; it is tried again, with growing pauses, until it is written. The
owner reads the outcomes from a queue and never waits. A mistake of ours (any error that is not the
world's) ends the thread and is raised in the owner's `outcomes`.
"""

import contextlib
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from spread_scanner import clock
from spread_scanner.runtime import scheduling
from spread_scanner.runtime.databases import is_world_fault
from spread_scanner.tracker.database import Database, Kept
from spread_scanner.tracker.filling import DiskTrend
from spread_scanner.tracker.held_log import HeldLog
from spread_scanner.tracker.journal import Batch
from spread_scanner.tracker.retention import Keep

RETRY_S_MIN = 0.05
RETRY_S_MAX = 1.0


class Opened(NamedTuple):
    """The database is open; this is what an earlier life left."""

    kept: Kept


class Written(NamedTuple):
    """A batch is durable."""

    batch: Batch
    duration_ns: int


class Failed(NamedTuple):
    """A try failed and will be made again."""

    message: str


class LogHeld(NamedTuple):
    """Who keeps the write-ahead log from being given back, in a sentence. Empty: nobody."""

    message: str


class DiskFills(NamedTuple):
    """By how much an hour, as it has for the last hour."""

    bytes_per_h: int


WriterAnswer = Opened | Written | Failed | LogHeld | DiskFills


class DatabaseWriter:
    """Start it, then give it a batch whenever it is `idle`."""

    def __init__(
        self,
        path: Path,
        stream: str,
        now_ns: Callable[[], int],
        wake: Callable[[], object],
        keep_off: Sequence[int] = (),
    ) -> None:
        self._path = path
        self._stream = stream
        self._now_ns = now_ns
        self.keep = Keep()
        self.lives_ns = clock.mono_ns()  # when opening the database, which may take long, went on
        self._wake = wake
        self._keep_off = keep_off  # the CPUs of the popping thread
        self._batches: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._outcomes: deque[WriterAnswer] = deque()
        self._fault: BaseException | None = None
        self._stop = threading.Event()
        self._in_flight: Batch | None = None
        self._thread = threading.Thread(target=self._run, name="database", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether a batch can be given."""
        return self._in_flight is None

    @property
    def in_flight(self) -> int:
        """Rows of the batch that is on its way."""
        batch = self._in_flight
        return 0 if batch is None else batch.size

    def submit(self, batch: Batch) -> None:
        """Hand over the next batch; only while `idle`."""
        if self._in_flight is not None:
            raise RuntimeError("one batch at a time")
        self._in_flight = batch
        self._batches.put(batch)

    def outcomes(self) -> list[WriterAnswer]:
        """What has happened since the last call. Raises what ended the thread."""
        found = []
        while self._outcomes:
            outcome = self._outcomes.popleft()
            if isinstance(outcome, Written):
                self._in_flight = None
            found.append(outcome)
        if self._fault is not None and not found:
            raise self._fault
        return found

    def close(self, timeout_s: float) -> bool:
        """End the thread; a batch that cannot be written is given up. True when it has ended."""
        self._stop.set()
        self._batches.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        database: Database | None = None
        try:
            if self._keep_off:
                scheduling.keep_off(self._keep_off)
            database = self._open()
            if database is not None:
                self._write_all(database)
        except BaseException as error:
            self._fault = error
        finally:
            if database is not None:
                database.close()
            self._wake()

    def _write_all(self, database: Database) -> None:
        """Until asked to stop; now and then a look at the log, and at the disk."""
        held, trend = HeldLog(self._path), DiskTrend(self._path.parent)
        while True:
            with contextlib.suppress(queue.Empty):
                batch = self._batches.get(timeout=held.due_s)
                if batch is None:
                    return
                self._write(database, batch)
            if (message := held.news()) is not None:
                self._tell(LogHeld(message))
            if (eaten := trend.news()) is not None:
                self._tell(DiskFills(eaten))

    def _open(self) -> Database | None:
        """Open, again and again until it works; None when asked to stop."""
        started_ns = self._now_ns()
        pause_s = RETRY_S_MIN
        while True:
            try:
                database = Database(self._path, self._stream, started_ns, self._goes_on)
                try:
                    self._tell(Opened(database.load()))
                except BaseException:
                    database.close()
                    raise
                return database
            except (OSError, sqlite3.Error) as error:
                pause_s = self._failed(error, pause_s)
                if self._stop.is_set():
                    return None

    def _write(self, database: Database, batch: Batch) -> None:
        pause_s = RETRY_S_MIN
        while True:
            began_ns = clock.mono_ns()
            try:
                database.write(batch, self._now_ns())
                database.forget(self.keep, self._now_ns())
            except sqlite3.Error as error:
                pause_s = self._failed(error, pause_s)
                if self._stop.is_set():
                    return
            else:
                self._tell(Written(batch, clock.mono_ns() - began_ns))
                return

    def _failed(self, error: OSError | sqlite3.Error, pause_s: float) -> float:
        """Tell and pause; raises what no repetition would mend. Returns the next pause."""
        if isinstance(error, sqlite3.Error) and not is_world_fault(error):
            raise error
        self._tell(Failed(str(error)))
        self._stop.wait(pause_s)
        return min(2 * pause_s, RETRY_S_MAX)

    def _goes_on(self) -> None:
        self.lives_ns = clock.mono_ns()

    def _tell(self, outcome: WriterAnswer) -> None:
        self._outcomes.append(outcome)
        self._wake()
