"""The tracker's database: SQLite in WAL mode, one writer, its schema versioned and migrated.

Writer:  the tracker's writer thread, which alone holds the connection; a lock file beside the
         database keeps a second tracker out.
Readers: the report and anyone else, read-only, at any time.

A transaction holds one journal batch: opportunities, samples, probes, settlements, the totals of
this run, and in the same transaction the sequence number of the last signal that they reflect. So
after a crash the database says exactly which records of the ring it has seen.

Samples have their time as key and are appended: clustered by opportunity, as the first versions had
them, each commit rewrote a page per open one, eighty bytes for each that was measured. Those of one
opportunity are found by its time. Rejected: a second index (as scattered as before) and a blob per
opportunity and minute (a little smaller, and no SQL can look into it).

Durability: synchronous = NORMAL. What is committed survives the death of the process; a power cut
may take the newest transactions, never the consistency. Rejected: FULL, a disk flush five times a
second to protect measurements whose ring is lost in a power cut anyway. What is kept how long is
in retention.py.

An older version's database is copied beside it before its schema is migrated.

On failure: `write` raises sqlite3.Error and changes nothing; `is_world_fault` tells a full disk or
a locked database, which pass, from a mistake of ours, which does not.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from spread_scanner.errors import Category, SpreadError
from spread_scanner.runtime import databases
from spread_scanner.schema.opportunities import APPLICATION_ID, MIGRATIONS, VERSION
from spread_scanner.tracker import retention
from spread_scanner.tracker.backup import backup, backup_path, remove_unfinished
from spread_scanner.tracker.journal import Batch, Stretch
from spread_scanner.tracker.opportunity import (
    COLUMNS,
    SAMPLED_COLUMNS,
    SIGNALLED_COLUMNS,
    UNREAD,
    Opportunity,
    ProbeRow,
    SampleFlag,
    SampleRow,
    SettlementRow,
    values_of,
)
from spread_scanner.tracker.retention import Keep

LOCK_NAME = "tracker.lock"
BUSY_S = 0.25  # how long one try waits for another connection's lock
PROGRESS_STEPS = 100_000  # SQLite's, some milliseconds
WAL_BYTES_MAX = 64 * 1024 * 1024  # the write-ahead log is cut back to this after a checkpoint


class DatabaseError(SpreadError):
    """A database that cannot be used: another program's, a newer version's, or already written."""

    category = Category.FATAL


# The samples of one look have its time and stand a nanosecond apart: those up to here after a row
# was seen are of the look that saw it. Far under the shortest grid.
ONE_LOOK_NS = 1_000_000


class Kept(NamedTuple):
    """What an earlier life left."""

    last_seq: int | None  # of this ring
    next_id: int
    open_rows: list[Opportunity]
    probed: dict[int, set[int]]  # which probes of the open ones are recorded
    last_ts_ns: int = 0  # of the newest sample; none of a clock that has been set back since
    reflected: Mapping[str, int] = {}  # by store (lost_ring.py), the newest signal of its ring


def lock(folder: Path) -> int:
    """Keep every other tracker out of a data folder while this process lives. Returns the file."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DatabaseError(
            f"the data folder cannot be used: {error.strerror}", folder=folder
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise DatabaseError("another tracker writes this data folder", folder=folder) from None
    return file


class Database:
    """The one connection that writes. Use it from the thread that made it."""

    def __init__(
        self,
        path: Path,
        stream: str,
        started_ns: int = 0,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """Open or make the database; bring its schema up to date.

        `stream` names the ring whose sequence numbers are kept. `progress` is called now and then
        while something goes on that may take long. Raises DatabaseError, OSError, sqlite3.Error.
        """
        self.path = path
        self._progress = progress
        self._stream = stream
        self._started_ns = started_ns
        self._run_id: int | None = None
        self._run_since_ns = started_ns
        # SQLite gives the -wal and -shm files the mode of the database itself.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        try:
            self._set_up()
        except BaseException:
            self._connection.close()
            raise

    def _set_up(self) -> None:
        execute = self._connection.execute
        version = _checked_version(self._connection, self.path)
        if execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
        if version < VERSION:
            if version:
                copy = backup_path(self.path, version)
                remove_unfinished(copy.parent, copy.name, 0.0)  # nobody else makes it
                backup(self._connection, copy, self._progress, replaces=True)
            self._connection.set_progress_handler(self._progress, PROGRESS_STEPS)
            have_temporary_files_in(self._connection, self.path.parent)
            migrate(self._connection, version)
            self._connection.set_progress_handler(None, 0)

    def load(self) -> Kept:
        """What is to be gone on with."""
        execute = self._connection.execute
        position = execute(
            "SELECT last_seq FROM positions WHERE stream = ?", (self._stream,)
        ).fetchone()
        newest = execute("SELECT max(id) FROM opportunities").fetchone()[0]
        rows = execute(
            f"SELECT {', '.join(COLUMNS)} FROM opportunities WHERE closed_ns IS NULL ORDER BY id"
        ).fetchall()
        probed: dict[int, set[int]] = {}
        open_rows = [values_of(row) for row in rows]
        for opened in open_rows:
            self._add_samples(opened)
        for row in rows:
            found = execute("SELECT after_ms FROM probes WHERE opportunity_id = ?", (row[0],))
            probed[row[0]] = {after_ms for (after_ms,) in found}
        return Kept(
            last_seq=None if position is None else position[0],
            next_id=(newest or 0) + 1,
            open_rows=open_rows,
            probed=probed,
            last_ts_ns=execute(_NEWEST_SAMPLE, (self._started_ns or _NEVER_NS,)).fetchone()[0] or 0,
            reflected=dict(execute("SELECT stream, last_seq FROM positions").fetchall()),
        )

    def _add_samples(self, row: Opportunity) -> None:
        """Count the samples that were written after the row was."""
        taken, late, lost, seen_ns = self._connection.execute(
            _SAMPLES_SINCE,
            {
                "id": row.id,
                "since": row.last_seen_ns + ONE_LOOK_NS,
                "late": int(SampleFlag.LATE),
                "unread": UNREAD,
            },
        ).fetchone()
        row.samples += taken
        row.late += late
        row.lost += lost
        row.last_seen_ns = max(row.last_seen_ns, seen_ns or 0, row.last_signal_ns)

    def write(self, batch: Batch, now_ns: int = 0) -> None:
        """One transaction: all of the batch or, with sqlite3.Error, nothing."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(_WRITE_ROW, batch.rows)
            connection.executemany(_WRITE_SIGNALLED, batch.signalled)
            connection.executemany(_WRITE_SAMPLED, batch.sampled)
            connection.executemany(_WRITE_SAMPLE, batch.samples)
            connection.executemany(_WRITE_PROBE, batch.probes)
            connection.executemany(_WRITE_SETTLEMENT, batch.settlements)
            if batch.last_seq is not None:
                connection.execute(_WRITE_POSITION, (self._stream, batch.last_seq))
            connection.executemany(_WRITE_POSITION, batch.reflected.items())
            stretch = batch.stretch or Stretch(self._started_ns, now_ns)
            self._write_totals(batch.totals, stretch)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def forget(self, keep: Keep, now_ns: int) -> int:
        """Delete what is too old or too much, a bounded piece of work, to be called again and
        again. Returns how many rows went."""
        return retention.forget(self._connection, keep, now_ns)

    def _write_totals(self, totals: Mapping[str, int], stretch: Stretch) -> None:
        if self._run_id is None or self._run_since_ns != stretch.since_ns:
            newest = self._connection.execute("SELECT max(id) FROM runs").fetchone()[0]
            self._run_id, self._run_since_ns = (newest or 0) + 1, stretch.since_ns
        text = _totals_text(totals)
        row = (self._run_id, stretch.since_ns, self._stream, stretch.until_ns, text)
        self._connection.execute(_WRITE_RUN, row)

    def close(self) -> None:
        self._connection.close()


def _totals_text(totals: Mapping[str, int]) -> str:
    """As JSON, for SQLite's own json_extract."""
    return "{" + ", ".join(f'"{label}": {count}' for label, count in totals.items()) + "}"


def _checked_version(connection: sqlite3.Connection, path: Path) -> int:
    return databases.checked_version(connection, path, APPLICATION_ID, VERSION, DatabaseError)


def have_temporary_files_in(connection: sqlite3.Connection, folder: Path) -> None:
    """On the disk that is watched: else a copy of the whole database, or of what a new index sorts,
    goes through /var/tmp, on a disk of which nobody has asked. For the life of this process; by
    environment it is too late."""
    quoted = str(folder.absolute()).replace("'", "''")
    connection.execute(f"PRAGMA temp_store_directory = '{quoted}'")


def migrate(connection: sqlite3.Connection, version: int, to_version: int = VERSION) -> None:
    """Bring the schema from one version to another, each step in a transaction of its own."""
    databases.migrate(connection, MIGRATIONS, APPLICATION_ID, version, to_version)


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, for reports."""
    known = databases.KnownDatabase(APPLICATION_ID, VERSION, "the tracker", DatabaseError)
    return databases.read_only(path, known)


def _insert(table: str, columns: Iterable[str], verb: str = "INSERT") -> str:
    names = list(columns)
    marks = ", ".join("?" * len(names))
    return f"{verb} INTO {table} ({', '.join(names)}) VALUES ({marks})"


def _set(columns: Iterable[str]) -> str:
    return ", ".join(f"{name} = ?" for name in columns)


_NEVER_NS = 2**63 - 1
_NEWEST_SAMPLE = "SELECT max(ts_ns) FROM samples WHERE ts_ns <= ?"
_SAMPLES_SINCE = """
    SELECT count(*), ifnull(sum(flags & :late != 0), 0), ifnull(sum(flags & :unread != 0), 0),
        max(ts_ns)
    FROM samples WHERE ts_ns > :since AND opportunity_id = :id
"""
_WRITE_ROW = _insert("opportunities", COLUMNS, "INSERT OR REPLACE")
_WRITE_SIGNALLED = f"UPDATE opportunities SET {_set(SIGNALLED_COLUMNS)} WHERE id = ?"
_WRITE_SAMPLED = f"UPDATE opportunities SET {_set(SAMPLED_COLUMNS)} WHERE id = ?"
_WRITE_SAMPLE = _insert("samples", SampleRow._fields, "INSERT OR REPLACE")
_WRITE_PROBE = _insert("probes", ProbeRow._fields, "INSERT OR REPLACE")
_WRITE_SETTLEMENT = _insert("settlements", SettlementRow._fields, "INSERT OR REPLACE")
_WRITE_POSITION = _insert("positions", ("stream", "last_seq"), "INSERT OR REPLACE")
_WRITE_RUN = _insert(
    "runs", ("id", "started_ns", "stream", "written_ns", "totals"), "INSERT OR REPLACE"
)
