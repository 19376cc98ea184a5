"""Says which reader is the reason when the database's write-ahead log grows.

SQLite gives the log back when all of it is copied into the database, which a reader's transaction
prevents: hundreds of megabytes a minute, until the disk is full. Used by the thread that writes;
what it says goes into log and health row. It never ends a reader: that is a person's decision.
"""

from pathlib import Path

from spread_scanner import clock
from spread_scanner.tracker.database import WAL_BYTES_MAX
from spread_scanner.view.disk import wal_of
from spread_scanner.view.readers import Readers

LOOK_EVERY_S = 5.0
HELD_S_MIN = 2 * LOOK_EVERY_S  # a report's transaction is shorter


class HeldLog:
    """Call `news` when `due_s` is over, or earlier."""

    def __init__(self, database: Path, bytes_max: int = WAL_BYTES_MAX) -> None:
        self._log = wal_of(database)
        self._readers = Readers(database)
        self._bytes_max = bytes_max
        self._next_s = clock.mono_s()
        self._said: tuple[int, ...] = ()  # whom it named

    @property
    def due_s(self) -> float:
        """How long until the next look."""
        return max(0.0, self._next_s - clock.mono_s())

    def news(self) -> str | None:
        """A sentence that names who has begun to hold it; "": nobody does any more, or the log is
        small. None: nothing has changed."""
        if self.due_s > 0:
            return None
        self._next_s = clock.mono_s() + LOOK_EVERY_S
        holding = [one for one in self._readers.look() if one.held_s >= HELD_S_MIN]
        if self._size() <= self._bytes_max:
            holding = []
        named = tuple(sorted(one.pid for one in holding))
        if named == self._said:
            return None
        self._said = named
        who = " and ".join(one.who for one in holding)
        return who and f"{who} reads in one transaction, so the database's log grows"

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0
