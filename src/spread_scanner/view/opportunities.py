"""Opened opportunities as the tracker stored them: its database, read-only.

Readers of the tracker's file speak its columns, not its code; what one is told that is not there
yet, or cannot be read just now, stands in view/stored.py.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.names import DATABASE_FILE
from spread_scanner.view.reading import Reading
from spread_scanner.view.stored import BUSY_S, StoredRows

# The tracker dates a closing by its clock, an opening by its signal, and what it finds after its
# clock was set back by when that was last seen.
CLOSED_BEFORE_NS = 60 * NS_PER_S


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
    depth_size_quote: float | None  # the largest size that paid, by both books; null: none stood
    entry_spot_age_ns: int
    entry_fut_age_ns: int
    signals: int
    samples: int


_COLUMNS = ", ".join(OpportunityRow.__struct_fields__)


class Opportunities(StoredRows):
    """A connection that only reads; made lazily, as the tracker makes the file."""

    def __init__(self, data_dir: Path, busy_s: float = BUSY_S) -> None:
        super().__init__(data_dir / DATABASE_FILE, busy_s)

    def last(
        self,
        count: int,
        *,
        symbol: str | None = None,
        before_id: int | None = None,
        standing: bool = False,
    ) -> list[OpportunityRow]:
        """The newest, newest first; of one symbol if it is named, of those before an id, of those
        that stand."""
        wanted = [("symbol = ?", symbol), ("id < ?", before_id)]
        asked = [(rule, value) for rule, value in wanted if value is not None]
        rules = [rule for rule, _ in asked] + ["closed_ns IS NULL"] * standing
        where = f"WHERE {' AND '.join(rules)}" if rules else ""
        values = (*(value for _, value in asked), count)
        return self._found(f"{where} ORDER BY id DESC LIMIT ?", values) or []

    def newest_id(self) -> int | None:
        """The highest id, 0 while there is none; None while that cannot be read."""
        if self.file() is None and not self.trouble:
            return 0
        found = self._asked("SELECT coalesce(max(id), 0) FROM opportunities", ())
        return None if found is None else int(found[0][0]) if found else 0

    def since(self, beyond_id: int, count: int = -1) -> list[OpportunityRow]:
        """Those with a higher id, oldest first; so many at most, if that is said."""
        return self._found("WHERE id > ? ORDER BY id LIMIT ?", (beyond_id, count)) or []

    def open_ids(self, beyond_id: int = 0) -> list[int] | None:
        """Those that stand, with a higher id; None while that cannot be read."""
        asked = "SELECT id FROM opportunities WHERE closed_ns IS NULL AND id > ?"
        found = self._asked(asked, (beyond_id,))
        return None if found is None else [row[0] for row in found]

    def closed_since(self, known_id: int) -> list[OpportunityRow] | None:
        """Of those up to that id all that may have closed since it was stored, oldest first; None
        while that cannot be read.

        Closings are stored in the order of their times: whoever was told of the opening of one was
        told, before, of all that had closed by then (gateway/event_channels.py). So no more are
        found than stood when it was opened, and those of a moment before.
        """
        clause = (
            "WHERE id <= ? AND closed_ns >= ("
            "SELECT opened_ns FROM opportunities WHERE id <= ? ORDER BY id DESC LIMIT 1"
            ") - ? ORDER BY id"
        )
        return self._found(clause, (known_id, known_id, CLOSED_BEFORE_NS))

    def closed(self, ids: Iterable[int]) -> list[OpportunityRow] | None:
        """Those of them that do not stand any more, oldest first; None while that cannot be
        read."""
        clause = (
            "WHERE id IN (SELECT value FROM json_each(?)) AND closed_ns IS NOT NULL ORDER BY id"
        )
        return self._found(clause, (json.dumps(sorted(ids)),))

    def _found(self, clause: str, asked: tuple[object, ...]) -> list[OpportunityRow] | None:
        rows = self._asked(f"SELECT {_COLUMNS} FROM opportunities {clause}", asked)
        return None if rows is None else [OpportunityRow(*row) for row in rows]
