"""data/cycles.db: what was found, how long it stood, and what the looks after it saw.

Writer:  spread-paths, which alone holds the connection; a lock on the file's own name beside it
         keeps a second one out.
Readers: view.cycles and anyone else, read-only, at any time.

SQLite in WAL mode, synchronous = NORMAL, as the tracker's. What was not yet written waits, bounded:
a full disk, at the start of the process or later, costs the oldest of it, counted, and never the
search; a cycle that could not be stored goes with its looks, and one that is stored is closed when
there is room again. What an earlier life left standing is closed at start: nobody saw how it went
on.
"""

import errno
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import Category, SpreadError
from spread_scanner.runtime import databases
from spread_scanner.runtime.databases import (
    KnownDatabase,
    checked_version,
    is_world_fault,
    may_pass,
    migrate,
    used_bytes,
)
from spread_scanner.schema.cycles import APPLICATION_ID, MIGRATIONS, VERSION
from spread_scanner.schema.names import PATHS

BUSY_S = 0.05
WAITING_MAX = 10_000  # rows
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
    priority_micro_lamports: int  # a compute unit
    priority_heard: bool  # of all its pools; False: the floor stands for one at least
    one_slot: bool  # False: one of its pools may have been of an earlier one than another


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
        """Open or make it; where there is no room for that now, `flush` tries again. Raises
        CyclesError where it cannot be used."""
        self.path = path
        self._opened_ns = now_ns
        self._lock: int | None = None
        self._connection: sqlite3.Connection | None = None
        self._waiting: dict[tuple[str, int, int], tuple[object, ...]] = {}
        self._ended: dict[int, tuple[object, ...]] = {}  # of those that are stored, or wait
        self._dropped: set[int] = set()  # of those that stand: nothing more is written of them
        self._out: list[tuple[str, str, str, str]] | None = None
        self.lost = 0  # rows that there was no room for
        self.trouble = ""  # why the last opening, writing or forgetting failed
        self._ids_before = 0  # what is added to an id that was given before it could be opened
        self.next_id = 1
        newest = self._open()
        if newest is not None:
            self.next_id = newest + 1

    def _open(self) -> int | None:
        """The highest id that is stored, 0 without any; None: not now. Raises CyclesError."""
        try:
            if self._lock is None:
                self._lock = _locked(self.path)
            connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            self._not_opened(error)
            return None
        try:
            _set_up(connection, self.path)
            newest = connection.execute("SELECT max(id) FROM cycles").fetchone()[0] or 0
            connection.execute(_CLOSE_ALL, (self._opened_ns,))
        except BaseException as error:
            connection.close()
            self._not_opened(error)
            return None
        self._connection, self.trouble = connection, ""
        return int(newest)

    def _not_opened(self, error: BaseException) -> None:
        """Not now, where that may pass by itself; else raises what it is, and others may try."""
        if _passes(error):
            self.trouble = f"it cannot be opened: {error}"
            return
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if isinstance(error, OSError):
            why = f"it cannot be used: {error.strerror}"
            raise CyclesError(why, file=self.path) from None
        if isinstance(error, sqlite3.Error) and is_world_fault(error):
            raise CyclesError(f"it cannot be used: {error}", file=self.path) from None
        raise error

    # --- what is to be written; `flush` does it

    def found(self, row: CycleRow) -> None:
        last = (row.net_sol, row.slot, row.found_ns)
        lists = [json.dumps(row.route), json.dumps(row.programs), json.dumps(row.mints)]
        amounts = json.dumps([str(amount) for amount in row.amounts])
        values = (*row[1:4], *lists, amounts, str(row.cost), *row[9:], *last)
        self._later((_FOUND, row.id, 0), values)

    def seen(self, cycle_id: int, best_net_sol: float, slot: int, now_ns: int) -> None:
        self._later((_SEEN, cycle_id, 0), (best_net_sol, slot, now_ns))

    def ended(self, cycle_id: int, slot: int, now_ns: int, why: str) -> None:
        if cycle_id in self._dropped:
            self._dropped.discard(cycle_id)
        else:
            self._ended[cycle_id] = (slot, now_ns, why)

    def looked(self, row: LookRow) -> None:
        self._later((_LOOKED, row.cycle_id, row.after_slots), row[1:])

    def left_out(self, rows: Sequence[tuple[str, str, str, str]]) -> None:
        """All pools that stay out now: key, program, reason, why."""
        self._out = [*rows]

    def _later(self, key: tuple[str, int, int], values: tuple[object, ...]) -> None:
        """What waits already under this key is no longer so."""
        if key[1] in self._dropped:
            return
        if key not in self._waiting and len(self._waiting) >= WAITING_MAX:
            self._drop_oldest()
        self._waiting[key] = values

    def _drop_oldest(self) -> None:
        """A cycle that is not stored goes with all that is known of it."""
        kind, cycle_id, _ = oldest = next(iter(self._waiting))
        gone = [oldest]
        if kind == _FOUND:
            gone = [key for key in self._waiting if key[1] == cycle_id]
            if self._ended.pop(cycle_id, None) is None:
                self._dropped.add(cycle_id)
        for key in gone:
            del self._waiting[key]
        self.lost += len(gone)

    def flush(self) -> bool:
        """One transaction with all that waits; False: not now, it goes on waiting. Raises
        CyclesError where it cannot be opened ever, sqlite3.Error where that is a fault of ours."""
        if self._connection is None:
            newest = self._open()
            if newest is None:
                return False
            self._ids_before = newest
        if not (self._waiting or self._ended or self._out is not None):
            return True
        if not self._in_transaction(self._write):
            return False
        self._waiting.clear()
        self._ended.clear()
        self._out = None
        self.trouble = ""
        return True

    def _write(self, connection: sqlite3.Connection) -> None:
        before = self._ids_before
        for (statement, cycle_id, _), values in self._waiting.items():
            connection.execute(statement, _bound(statement, cycle_id + before, values))
        for cycle_id, values in self._ended.items():
            connection.execute(_ENDED, (*values, cycle_id + before))
        if self._out is not None:
            connection.execute("DELETE FROM left_out")
            connection.executemany(_LEFT_OUT, self._out)

    def _in_transaction(self, act: Callable[[sqlite3.Connection], None]) -> bool:
        """All of it, or nothing: then `trouble` says why. Raises sqlite3.Error where that is a
        fault of ours."""
        connection = self._connection
        assert connection is not None, "whoever writes has opened it"
        try:
            connection.execute("BEGIN IMMEDIATE")
            act(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if not is_world_fault(error):
                raise
            self.trouble = str(error)
            return False
        return True

    def forget(self, keep_ns: int, bytes_max: int, now_ns: int) -> int:
        """Some of what is too old, or too much: how many cycles went; FORGOTTEN_AT_ONCE: there may
        be more. Those that stand stay. What could not be done is tried again by the next call,
        whatever the last writing came to."""
        if self._connection is None:
            return 0
        gone = 0

        def forget(connection: sqlite3.Connection) -> None:
            nonlocal gone
            too_much = bool(bytes_max) and used_bytes(connection) > bytes_max
            if not keep_ns and not too_much:
                return
            bound = (FORGOTTEN_AT_ONCE, now_ns if too_much else now_ns - keep_ns)
            connection.execute(f"DELETE FROM looks WHERE cycle_id IN ({_OLDEST})", bound)
            gone = connection.execute(f"DELETE FROM cycles WHERE id IN ({_OLDEST})", bound).rowcount

        if not self._in_transaction(forget):
            return 0
        if not self._waiting and not self._ended:  # else it is what keeps that from being written
            self.trouble = ""
        return gone

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._lock is not None:
            os.close(self._lock)


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that cannot write. Raises CyclesError."""
    return databases.read_only(path, KnownDatabase(APPLICATION_ID, VERSION, PATHS, CyclesError))


def _bound(statement: str, cycle_id: int, values: tuple[object, ...]) -> tuple[object, ...]:
    """What a statement about a cycle asks for, in its order."""
    if statement == _FOUND:
        return (cycle_id, *values)
    return (cycle_id, *values, cycle_id) if statement == _LOOKED else (*values, cycle_id)


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    version = checked_version(connection, path, APPLICATION_ID, VERSION, CyclesError)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
    migrate(connection, MIGRATIONS, APPLICATION_ID, version, VERSION)


def _passes(error: BaseException) -> bool:
    """As databases.may_pass says, of what the disk says, too."""
    if isinstance(error, OSError):
        return error.errno in _PASSING
    return isinstance(error, sqlite3.Error) and may_pass(error)


def _locked(path: Path) -> int:
    """Keep every other spread-paths away; the file of the lock. Raises CyclesError where there is
    one, OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except BlockingIOError:
        os.close(lock)
        raise CyclesError("another spread-paths writes this database", file=path) from None
    except OSError:
        os.close(lock)
        raise
    return lock


_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE}
_CLOSE_ALL = """
    UPDATE cycles SET ended_ns = ?, why_ended = 'spread-paths ended meanwhile'
    WHERE ended_ns IS NULL
"""
_FOUND = """
    INSERT INTO cycles (id, found_ns, slot, oldest_slot, route, programs, mints, amounts, cost,
        profit_sol, net_sol, cost_lamports, oldest_leg_ms, depth_used, score, landing_model,
        priority_micro_lamports, priority_heard, one_slot, best_net_sol, last_slot, last_ns)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SEEN = "UPDATE cycles SET best_net_sol = ?, last_slot = ?, last_ns = ? WHERE id = ?"
_ENDED = "UPDATE cycles SET ended_slot = ?, ended_ns = ?, why_ended = ? WHERE id = ?"
_LOOKED = """
    INSERT OR REPLACE INTO looks
    SELECT ?, ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM cycles WHERE id = ?)
"""
_LEFT_OUT = "INSERT INTO left_out VALUES (?, ?, ?, ?)"
# Ids are in the order of finding: no more is looked at than may go.
_OLDEST = """
    SELECT id FROM (
        SELECT id, ended_ns FROM cycles WHERE ended_ns IS NOT NULL ORDER BY id LIMIT ?
    ) WHERE ended_ns < ?
"""
