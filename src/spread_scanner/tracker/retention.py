"""What the database keeps, and for how long: by age and by size, a bounded piece of work at a time.

Called by the writer's thread after its transactions, and by nobody else. Samples go by their own
age; opportunities, with their probes, by that of their closing; what is open stays. When the
database is larger than it may be, the oldest samples go first, then the oldest closed
opportunities. Rows that go leave room for new ones in the file; `spread-ctl vacuum` gives it back.
"""

import sqlite3
from typing import NamedTuple

from spread_scanner import config
from spread_scanner.clock import NS_PER_S
from spread_scanner.runtime.databases import used_bytes

SAMPLES_AT_ONCE = 2_000
ROWS_AT_ONCE = 100  # opportunities, each with its probes
STREAMS_KEPT = 100
DAY_NS = 86_400 * NS_PER_S
BEFORE = "samples_before"  # those of the schema's first versions


class Keep(NamedTuple):
    """How much; 0: everything."""

    samples_ns: int = 0
    rows_ns: int = 0
    bytes_max: int = 0

    @classmethod
    def of(cls, settings: config.Tracker) -> "Keep":
        return cls(
            samples_ns=int(settings.samples_keep_days * DAY_NS),
            rows_ns=int(settings.keep_days * DAY_NS),
            bytes_max=int(settings.database_mb_max * 1e6),
        )


def forget(connection: sqlite3.Connection, keep: Keep, now_ns: int) -> int:
    """Delete some of what is too old or too much; how many rows went. Raises sqlite3.Error."""
    gone = 0
    if keep.samples_ns:
        gone += _old_samples(connection, now_ns - keep.samples_ns)
    if keep.rows_ns:
        gone += _old_rows(connection, now_ns - keep.rows_ns)
    if keep.bytes_max and used_bytes(connection) > keep.bytes_max:
        gone += _old_samples(connection, now_ns) or _old_rows(connection, now_ns)
    return gone


def _old_samples(connection: sqlite3.Connection, before_ns: int) -> int:
    gone = connection.execute(_SAMPLES, (before_ns, SAMPLES_AT_ONCE)).rowcount
    return gone or _samples_of_before(connection, before_ns)


def _samples_of_before(connection: sqlite3.Connection, before_ns: int) -> int:
    """Once the youngest of them is too old; their table is left when it is empty."""
    if connection.execute(_HAS_TABLE, (BEFORE,)).fetchone() is None:
        return 0
    youngest = connection.execute(_YOUNGEST_OF_BEFORE).fetchone()[0]
    if youngest is None:
        connection.execute(f"DROP TABLE {BEFORE}")
        return 0
    if youngest >= before_ns:
        return 0
    return connection.execute(_OF_BEFORE, (SAMPLES_AT_ONCE,)).rowcount


def _old_rows(connection: sqlite3.Connection, before_ns: int) -> int:
    """Opportunities with their probes and settlements, in one transaction; runs and streams of as
    long ago."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        bound = (before_ns, ROWS_AT_ONCE)
        for table in ("probes", "settlements"):
            connection.execute(f"DELETE FROM {table} WHERE opportunity_id IN ({_CLOSED})", bound)
        gone = connection.execute(f"DELETE FROM opportunities WHERE id IN ({_CLOSED})", bound)
        connection.execute(_RUNS, (before_ns,))
        connection.execute(_STREAMS, (STREAMS_KEPT,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return gone.rowcount


_CLOSED = "SELECT id FROM opportunities WHERE closed_ns < ? ORDER BY closed_ns LIMIT ?"
_SAMPLES = """
    DELETE FROM samples WHERE ts_ns <= (
        SELECT max(ts_ns) FROM (
            SELECT ts_ns FROM samples WHERE ts_ns < ? ORDER BY ts_ns LIMIT ?))
"""
_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
_YOUNGEST_OF_BEFORE = f"""
    SELECT max(ts_ns) FROM {BEFORE}
    WHERE opportunity_id = (SELECT max(opportunity_id) FROM {BEFORE})
"""
_OF_BEFORE = f"""
    DELETE FROM {BEFORE} WHERE (opportunity_id, ts_ns) IN (
        SELECT opportunity_id, ts_ns FROM {BEFORE} ORDER BY opportunity_id, ts_ns LIMIT ?)
"""
_RUNS = "DELETE FROM runs WHERE written_ns < ? AND id < (SELECT max(id) FROM runs)"
_STREAMS = "DELETE FROM positions WHERE rowid <= (SELECT max(rowid) FROM positions) - ?"
