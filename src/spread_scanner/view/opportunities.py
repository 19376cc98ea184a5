"""Opened opportunities as the tracker stored them: its database, read-only.

Readers of the tracker's file speak its columns, not its code. A database that is not there yet is
an empty one; one that cannot be read just now (its writer is migrating it) is asked again later.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from spread_scanner.schema.names import DATABASE_FILE
from spread_scanner.schema.opportunities import read_only_uri
from spread_scanner.view.reading import Reading

BUSY_S = 0.2  # how long one try waits while the tracker migrates the file


class OpportunityRow(Reading, frozen=True):
    """One opportunity; times on the session clock, spreads in basis points."""

    id: int
    symbol: str
    direction: str
    opened_ns: int
    closed_ns: int | None
    reason: str | None
    entry_gross_bps: float
    entry_net_bps: float
    peak_net_bps: float
    realised_bps: float | None  # of what converged
    mark_bps: float | None  # what leaving at the last usable look would have left; null: not known
    reentry_net_bps: float | None  # what entering anew would have earned at the closing
    exit_bps: float | None
    entry_size_quote: float
    entry_spot_age_ns: int
    entry_fut_age_ns: int
    signals: int
    samples: int


_COLUMNS = ", ".join(OpportunityRow.__struct_fields__)


class Opportunities:
    """A connection that only reads; made lazily, as the tracker makes the file."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / DATABASE_FILE
        self._connection: sqlite3.Connection | None = None

    def last(self, count: int, *, symbol: str | None = None) -> list[OpportunityRow]:
        """The newest, newest first; of one symbol if it is named."""
        where = "WHERE symbol = ?" if symbol else ""
        asked: tuple[object, ...] = (symbol, count) if symbol else (count,)
        return list(self._rows(f"{where} ORDER BY id DESC LIMIT ?", asked))

    def newest_id(self) -> int | None:
        """The highest id, 0 while there is none; None while that cannot be read."""
        if not self.path.exists():
            return 0
        connection = self._connected()
        if connection is None:
            return None
        try:
            return int(
                connection.execute("SELECT coalesce(max(id), 0) FROM opportunities").fetchone()[0]
            )
        except sqlite3.OperationalError:
            self.close()
            return None

    def since(self, beyond_id: int) -> list[OpportunityRow]:
        """Those with a higher id, oldest first."""
        return list(self._rows("WHERE id > ? ORDER BY id", (beyond_id,)))

    def _rows(self, clause: str, asked: tuple[object, ...]) -> Iterator[OpportunityRow]:
        connection = self._connected()
        if connection is None:
            return
        try:
            found = connection.execute(f"SELECT {_COLUMNS} FROM opportunities {clause}", asked)
            yield from (OpportunityRow(*row) for row in found.fetchall())
        except sqlite3.OperationalError:
            self.close()

    def _connected(self) -> sqlite3.Connection | None:
        if self._connection is None and self.path.exists():
            try:
                self._connection = sqlite3.connect(
                    read_only_uri(self.path), uri=True, timeout=BUSY_S
                )
            except sqlite3.OperationalError:
                return None
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
