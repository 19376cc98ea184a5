"""data/cycles.db: what was found, how long it stood, and what the looks after it saw.

Writer:  spread-paths, which alone holds the connection; a lock on the file's own name beside it
         keeps a second one out.
Readers: view.cycles and anyone else, read-only, at any time.

SQLite in WAL mode, synchronous = NORMAL, as the tracker's. What was not yet written waits, bounded:
a full disk costs the oldest of it, counted, and never the search. What an earlier life left
standing is closed at start: nobody saw how it went on.
"""

import fcntl
import json
import os
import sqlite3
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import Category, SpreadError
from spread_scanner.runtime.databases import (
    checked_version,
    is_world_fault,
    migrate,
    used_bytes,
)
from spread_scanner.schema.cycles import APPLICATION_ID, MIGRATIONS, VERSION

BUSY_S = 0.05
WAITING_MAX = 10_000  # statements
FORGOTTEN_AT_ONCE = 200
DAY_NS = 86_400 * NS_PER_S
WAL_BYTES_MAX = 16 * 1024 * 1024


class CyclesError(SpreadError):
    """A database that cannot be used: another program's, a newer version's, or already written."""

    category = Category.FATAL


class CycleRow(NamedTuple):
    """A cycle as it was found; the columns' order."""

    id: int
    found_ns: int
    slot: int
    oldest_slot: int
    route: Sequence[str]
    programs: Sequence[str]
    mints: Sequence[str]  # what goes into each swap
    amounts: Sequence[int]  # into the first, and out of each
    cost: int
    profit_sol: float
    net_sol: float
    cost_lamports: int
    oldest_leg_ms: float
    depth_used: float
    score: float
    landing_model: float


class LookRow(NamedTuple):
    """What became of a cycle some slots later; None: it could not be quoted, and why."""

    cycle_id: int
    after_slots: int
    slot: int  # that had come by then
    paid_net_sol: float | None  # what the same amount would have
    best_net_sol: float | None
    stands: bool
    why: str


class KeptCycles:
    """The one connection that writes."""

    def __init__(self, path: Path, now_ns: int) -> None:
        """Open or make it. Raises CyclesError where it cannot be used."""
        self.path = path
        self._lock = _locked(path)
        self._waiting: deque[tuple[str, tuple[object, ...]]] = deque()
        self.lost = 0  # statements that there was no room for
        self.trouble = ""  # why the last writing or forgetting failed
        try:
            self._connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            self._set_up()
            self._connection.execute(_CLOSE_ALL, (now_ns,))
            newest = self._connection.execute("SELECT max(id) FROM cycles").fetchone()[0]
        except BaseException as error:
            os.close(self._lock)
            if isinstance(error, sqlite3.Error) and is_world_fault(error):
                raise CyclesError(f"it cannot be used: {error}", file=path) from None
            raise
        self.next_id = (newest or 0) + 1

    def _set_up(self) -> None:
        execute = self._connection.execute
        version = checked_version(self._connection, self.path, APPLICATION_ID, VERSION, CyclesError)
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")
        execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
        migrate(self._connection, MIGRATIONS, APPLICATION_ID, version, VERSION)

    # --- what is to be written; `flush` does it

    def found(self, row: CycleRow) -> None:
        last = (row.net_sol, row.slot, row.found_ns)
        lists = [json.dumps(row.route), json.dumps(row.programs), json.dumps(row.mints)]
        amounts = json.dumps([str(amount) for amount in row.amounts])
        self._later(_FOUND, (*row[:4], *lists, amounts, str(row.cost), *row[9:], *last))

    def seen(self, cycle_id: int, best_net_sol: float, slot: int, now_ns: int) -> None:
        self._later(_SEEN, (best_net_sol, slot, now_ns, cycle_id))

    def ended(self, cycle_id: int, slot: int, now_ns: int, why: str) -> None:
        self._later(_ENDED, (slot, now_ns, why, cycle_id))

    def looked(self, row: LookRow) -> None:
        self._later(_LOOKED, row)

    def left_out(self, rows: Sequence[tuple[str, str, str, str]]) -> None:
        """All pools that stay out now: key, program, reason, why."""
        self._later("DELETE FROM left_out", ())
        for row in rows:
            self._later(_LEFT_OUT, row)

    def _later(self, statement: str, values: tuple[object, ...]) -> None:
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append((statement, values))

    def flush(self) -> bool:
        """One transaction with all that waits; False: not now, it goes on waiting. Raises
        sqlite3.Error where that is a fault of ours."""
        if not self._waiting:
            return True
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for statement, values in self._waiting:
                connection.execute(statement, values)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if not is_world_fault(error):
                raise
            self.trouble = str(error)
            return False
        self._waiting.clear()
        self.trouble = ""
        return True

    def forget(self, keep_ns: int, bytes_max: int, now_ns: int) -> int:
        """Some of what is too old, or too much: how many cycles went. Those that stand stay. What
        could not be done is tried again by the next call, whatever the last writing came to."""
        connection = self._connection
        try:
            too_much = bool(bytes_max) and used_bytes(connection) > bytes_max
            before_ns = now_ns if too_much else now_ns - keep_ns
            gone = self._delete(before_ns) if keep_ns or too_much else 0
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if not is_world_fault(error):
                raise
            self.trouble = str(error)
            return 0
        if not self._waiting:  # else it is what keeps that from being written
            self.trouble = ""
        return gone

    def _delete(self, before_ns: int) -> int:
        bound = (before_ns, FORGOTTEN_AT_ONCE)
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        execute(f"DELETE FROM looks WHERE cycle_id IN ({_OLDEST})", bound)
        gone = execute(f"DELETE FROM cycles WHERE id IN ({_OLDEST})", bound).rowcount
        execute("COMMIT")
        return gone

    def close(self) -> None:
        self._connection.close()
        os.close(self._lock)


def _locked(path: Path) -> int:
    """Keep every other spread-paths away; the file of the lock."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except BlockingIOError:
        os.close(lock)
        raise CyclesError("another spread-paths writes this database", file=path) from None
    except OSError as error:
        raise CyclesError(f"it cannot be used: {error.strerror}", file=path) from None
    return lock


_CLOSE_ALL = """
    UPDATE cycles SET ended_ns = ?, why_ended = 'spread-paths ended meanwhile'
    WHERE ended_ns IS NULL
"""
_FOUND = """
    INSERT INTO cycles (id, found_ns, slot, oldest_slot, route, programs, mints, amounts, cost,
        profit_sol, net_sol, cost_lamports, oldest_leg_ms, depth_used, score, landing_model,
        best_net_sol, last_slot, last_ns)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SEEN = "UPDATE cycles SET best_net_sol = ?, last_slot = ?, last_ns = ? WHERE id = ?"
_ENDED = "UPDATE cycles SET ended_slot = ?, ended_ns = ?, why_ended = ? WHERE id = ?"
_LOOKED = "INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?, ?, ?, ?)"
_LEFT_OUT = "INSERT OR REPLACE INTO left_out VALUES (?, ?, ?, ?)"
_OLDEST = "SELECT id FROM cycles WHERE ended_ns < ? ORDER BY id LIMIT ?"
