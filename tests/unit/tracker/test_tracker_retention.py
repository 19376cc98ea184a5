"""What the database keeps, copies and migrates: by age and size, while it is read and written."""

import contextlib
import gzip
import os
import signal
import sqlite3
import threading
from pathlib import Path

import pytest
from tracker_bed import STREAM, Bed

from spread_scanner.clock import NS_PER_S
from spread_scanner.runtime.databases import used_bytes
from spread_scanner.schema.enums import SignalKind
from spread_scanner.schema.opportunities import VERSION
from spread_scanner.tracker import retention
from spread_scanner.tracker.backup import backup, backup_path
from spread_scanner.tracker.database import Database, DatabaseError, migrate, read_only
from spread_scanner.tracker.retention import DAY_NS, Keep, forget

OLD = Path(__file__).parent / "old"
LEFT = {4: 1, 5: 1, 6: 1}  # of which files it is told that the engine had left what is open
VERSIONS = sorted(int(path.name.split("-")[1].split(".")[0]) for path in OLD.iterdir())


def old_database(folder: Path, version: int) -> Path:
    """A file that the tracker of then wrote."""
    path = folder / "tracker.db"
    path.write_bytes(gzip.decompress((OLD / f"version-{version}.db.gz").read_bytes()))
    return path


def count(connection: sqlite3.Connection, table: str, where: str = "1") -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0])


def test_every_older_version_has_its_file() -> None:
    assert list(range(1, VERSION)) == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_an_old_file_is_copied_migrated_and_gone_on_with(tmp_path: Path, version: int) -> None:
    path = old_database(tmp_path, version)
    with contextlib.closing(sqlite3.connect(path)) as before:
        rows = before.execute("SELECT * FROM opportunities ORDER BY id").fetchall()
        samples = before.execute("SELECT * FROM samples ORDER BY 1, 2").fetchall()
    kept_in = "samples_before" if version < 3 else "samples"
    assert rows
    assert samples

    with contextlib.closing(Database(path, STREAM)) as migrated:
        kept = migrated.load()
        connection = migrated._connection
        now = connection.execute("SELECT * FROM opportunities ORDER BY id").fetchall()
        assert [row[: len(rows[0])] for row in now] == rows  # what is new stands at the end
        if version < 4:
            results = "SELECT count(mark_bps) + count(realised_bps) FROM opportunities"
            assert connection.execute(results).fetchone() == (0,), "nothing is made up"
        lefts = "SELECT count(*), count(left_ns) FROM opportunities"
        assert connection.execute(lefts).fetchone() == (2, LEFT.get(version, 0))
        stored = connection.execute(f"SELECT * FROM {kept_in} ORDER BY 1, 2").fetchall()
        assert [row[: len(samples[0])] for row in stored] == samples
        assert [row.id for row in kept.open_rows] == [2]
        assert kept.next_id == 3

        copy = backup_path(path, version)
        assert copy.stat().st_mode & 0o777 == 0o600
        with contextlib.closing(sqlite3.connect(copy)) as old:
            assert old.execute("PRAGMA user_version").fetchone() == (version,)
            assert old.execute("SELECT * FROM opportunities ORDER BY id").fetchall() == rows
            assert old.execute("PRAGMA integrity_check").fetchone() == ("ok",)

        if kept_in == "samples":
            return
        # The samples of before go when the youngest of them is too old, and their table with them.
        youngest_ns = max(row[1] for row in samples)
        assert forget(connection, Keep(samples_ns=DAY_NS), youngest_ns + DAY_NS) == 0
        assert forget(connection, Keep(samples_ns=DAY_NS), youngest_ns + DAY_NS + 1) == len(samples)
        assert forget(connection, Keep(samples_ns=DAY_NS), youngest_ns + DAY_NS + 1) == 0
        assert count(connection, "sqlite_master", "name = 'samples_before'") == 0


def test_without_room_for_the_copy_nothing_is_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old_database(tmp_path, VERSIONS[-1])

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("spread_scanner.tracker.database.backup", full)
    with pytest.raises(OSError, match="No space"):
        Database(path, STREAM)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSIONS[-1],)


def test_what_a_kill_left_of_a_copy_takes_no_room_from_the_next(tmp_path: Path) -> None:
    """As large as the database, each, and hidden: after a few there is no room to migrate."""
    path = old_database(tmp_path, VERSIONS[-1])
    if (child := os.fork()) == 0:
        Database(path, STREAM, progress=lambda: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    left = set(tmp_path.glob(".tracker.before-*"))
    assert left

    Database(path, STREAM).close()
    assert not left & set(tmp_path.iterdir())
    assert backup_path(path, VERSIONS[-1]).exists()


def test_an_older_version_refuses_a_newer_database(tmp_path: Path) -> None:
    path = tmp_path / "tracker.db"
    Database(path, STREAM).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(DatabaseError, match="newer version"):
        Database(path, STREAM)
    with pytest.raises(DatabaseError, match="newer version"):
        read_only(path)
    assert path.read_bytes() == before


def test_a_long_migration_says_that_it_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "tracker.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, 0, 2)
        connection.execute("BEGIN")
        marks = (f"CREATE TABLE bulk_{n} (x); " for n in range(2))
        for statement in marks:
            connection.execute(statement)
        connection.execute(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 200000) "
            "INSERT INTO bulk_0 SELECT randomblob(100) FROM n"
        )
        connection.execute("COMMIT")
    told: list[int] = []
    Database(path, STREAM, 0, lambda: told.append(1)).close()
    assert len(told) >= 3  # of the copy: 2,048 pages at a time


def test_old_samples_go_whoever_is_open_and_old_rows_when_they_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One standing premium keeps nobody's samples, not even its own."""
    monkeypatch.setattr(retention, "SAMPLES_AT_ONCE", 3)
    bed = Bed(tmp_path / "tracker.db")
    with contextlib.closing(bed.database):
        bed.push(0, SignalKind.ENTER)
        bed.push(1, SignalKind.ENTER)
        bed.exits = {1: -1.0}
        bed.pop()
        bed.run(1_000)
        bed.commit()
        samples = count(bed.database._connection, "samples")
        then_ns = bed.now_ns
        bed.advance(86_400_000)
        bed.push(0, SignalKind.RESIGNAL)
        bed.pop()
        bed.commit()

        keep = Keep(samples_ns=DAY_NS)
        assert bed.database.forget(keep, then_ns + DAY_NS - NS_PER_S) == 0, "not old enough"
        gone = [bed.database.forget(keep, then_ns + DAY_NS + 1) for _ in range(samples // 3 + 2)]
        assert gone[0] == 3
        assert sum(gone) == samples
        assert gone[-1] == 0
        assert bed.rows("SELECT count(*) FROM opportunities") == [(2,)]

        assert bed.database.forget(Keep(rows_ns=DAY_NS), then_ns + DAY_NS + 1) == 1
        assert bed.rows("SELECT symbol FROM opportunities") == [("C0-USDT",)]
        assert bed.rows("SELECT DISTINCT opportunity_id FROM probes") == [(1,)]
        assert bed.database.forget(Keep(), then_ns + 100 * DAY_NS) == 0


def test_a_database_that_is_too_large_loses_samples_first_then_rows(tmp_path: Path) -> None:
    bed = Bed(tmp_path / "tracker.db")
    with contextlib.closing(bed.database):
        connection = bed.database._connection
        for number in range(3):
            bed.push(number, SignalKind.ENTER)
            bed.exits[number] = -1.0
        bed.pop()
        bed.run(1_000)
        bed.commit()
        keep = Keep(bytes_max=used_bytes(connection) - 1)
        now_ns = bed.now_ns + NS_PER_S
        assert bed.database.forget(keep._replace(bytes_max=10**9), now_ns) == 0
        samples = count(connection, "samples")
        assert bed.database.forget(keep._replace(bytes_max=1), now_ns) == samples
        assert count(connection, "opportunities") == 3
        assert bed.database.forget(keep._replace(bytes_max=1), now_ns) == 3
        assert count(connection, "probes") == 0


def test_a_copy_that_is_made_while_the_tracker_writes_is_one_state(tmp_path: Path) -> None:
    """Two numbers that every transaction keeps equal are equal in the copy."""
    path = tmp_path / "tracker.db"
    Database(path, STREAM).close()
    stop = threading.Event()

    def write() -> None:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as one:
            number = 0
            while not stop.is_set():
                number += 1
                one.execute("BEGIN IMMEDIATE")
                for stream in ("a", "b"):
                    one.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (stream, number))
                one.execute("INSERT INTO runs VALUES (?, 1, 'a', 1, ?)", (number, "x" * 2_000))
                one.execute("COMMIT")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            copy = tmp_path / f"copy-{number}.db"
            with contextlib.closing(read_only(path)) as connection:
                assert backup(connection, copy) == copy.stat().st_size
            with contextlib.closing(sqlite3.connect(copy)) as copied:
                assert copied.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                seen = {row[0] for row in copied.execute("SELECT last_seq FROM positions")}
                newest = copied.execute("SELECT max(id) FROM runs").fetchone()[0]
                assert seen <= {newest}
            assert copy.stat().st_mode & 0o777 == 0o600
    finally:
        stop.set()
        writer.join()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_copy_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path, copy = tmp_path / "tracker.db", tmp_path / "copy.db"
    Database(path, STREAM).close()
    copy.write_text("before")

    def fail() -> None:
        raise KeyboardInterrupt

    with contextlib.closing(read_only(path)) as connection, pytest.raises(KeyboardInterrupt):
        backup(connection, copy, fail, replaces=True)
    assert copy.read_text() == "before"
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
