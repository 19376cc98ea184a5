"""The database: its versions, its mode, its one writer, and what it does when it cannot write."""

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest
from tracker_bed import RULES, STREAM, Bed, Counts, make_signal, pairs

from spread_scanner.config import Tracker
from spread_scanner.runtime.databases import is_world_fault
from spread_scanner.schema.enums import SignalKind
from spread_scanner.schema.opportunities import MIGRATIONS, VERSION
from spread_scanner.tracker import database
from spread_scanner.tracker.book import Book
from spread_scanner.tracker.database import (
    Database,
    DatabaseError,
    lock,
    migrate,
    read_only,
)
from spread_scanner.tracker.journal import SAMPLE_BYTES, Journal
from spread_scanner.tracker.opportunity import (
    COLUMNS,
    SAMPLED_COLUMNS,
    SIGNALLED_COLUMNS,
    ProbeRow,
    SampleRow,
    SettlementRow,
    row_of,
)

UNKNOWN = {*COLUMNS[COLUMNS.index("closed_ns") :], "carry_bps", "first_exit_ns"}
DEPTH = tuple(name for name in COLUMNS if name.startswith("depth_"))
OLD_ROW = {
    name: None if name in UNKNOWN else "x" if name in ("symbol", "direction", "legs") else 7
    for name in COLUMNS
} | {"settled_ns": 0, "settlements": 0}


def columns(path: Path, table: str) -> tuple[str, ...]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return tuple(row[1] for row in connection.execute(f"PRAGMA table_info({table})"))


def test_the_columns_are_the_fields(tmp_path: Path) -> None:
    path = tmp_path / "tracker.db"
    Database(path, STREAM).close()

    assert columns(path, "opportunities") == COLUMNS
    assert columns(path, "samples") == SampleRow._fields
    assert columns(path, "probes") == ProbeRow._fields
    assert columns(path, "settlements") == SettlementRow._fields


def test_what_is_kept_up_to_date_while_it_is_open_is_written_then() -> None:
    first, closing = COLUMNS.index("last_signal_ns"), COLUMNS.index("closed_ns")
    worth = COLUMNS[COLUMNS.index("settled_ns") : COLUMNS.index("realised_bps")]
    open_too = {*COLUMNS[first:closing], *worth, "left_ns", *DEPTH}
    assert {*SIGNALLED_COLUMNS, *SAMPLED_COLUMNS} == open_too


def test_a_database_of_every_older_version_is_migrated_and_keeps_its_rows(tmp_path: Path) -> None:
    for version in range(VERSION):
        path = tmp_path / f"version-{version}.db"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            migrate(connection, 0, version)
            if version:
                asked = connection.execute("PRAGMA table_info(opportunities)").fetchall()
                values = [OLD_ROW.get(name) for _, name, *_ in asked]
                marks = ", ".join("?" * len(values))
                connection.execute(f"INSERT INTO opportunities VALUES ({marks})", values)
                connection.execute("INSERT INTO positions VALUES (?, 41)", (STREAM,))

        with contextlib.closing(Database(path, STREAM)) as migrated:
            kept = migrated.load()

        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
            sorted_in = connection.execute("PRAGMA temp_store_directory").fetchone()  # the process'
            assert sorted_in == (str(tmp_path),)
        if version:
            assert [row_of(row) for row in kept.open_rows] == [tuple(OLD_ROW.values())]
            assert (kept.last_seq, kept.next_id, kept.probed) == (41, 8, {7: set()})


def test_who_was_left_once_and_not_entered_since_is_known_of_a_database_of_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tracker.db"
    # id, exits, first_exit_ns, last_signal_ns, closed_ns
    cases = [(1, 1, 9, 8, None), (2, 1, 9, 10, None), (3, 2, 9, 8, None), (4, 1, 9, 8, 11)]
    row = {name: value for name, value in OLD_ROW.items() if name not in ("left_ns", *DEPTH)}
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, 0, 4)
        for number, exits, first_ns, last_ns, closed_ns in cases:
            values = row | {"id": number, "exits": exits, "first_exit_ns": first_ns}
            values |= {"last_signal_ns": last_ns, "closed_ns": closed_ns}
            marks = ", ".join("?" * len(values))
            names = ", ".join(values)
            statement = f"INSERT INTO opportunities ({names}) VALUES ({marks})"
            connection.execute(statement, [*values.values()])
    with contextlib.closing(Database(path, STREAM)) as migrated:
        asked = "SELECT left_ns FROM opportunities ORDER BY id"
        found = migrated._connection.execute(asked).fetchall()
    assert found == [(9,), (None,), (None,), (None,)]


def test_a_migration_that_is_interrupted_leaves_the_version_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tracker.db"
    broken = (*MIGRATIONS, "CREATE TABLE more (id INTEGER); CREATE TABLE runs (id INTEGER)")
    monkeypatch.setattr(database, "MIGRATIONS", broken)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            migrate(connection, 0, VERSION + 1)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert "more" not in tables


def test_a_newer_database_and_one_of_another_program_are_refused(tmp_path: Path) -> None:
    newer, other, text = tmp_path / "newer.db", tmp_path / "other.db", tmp_path / "text.db"
    Database(newer, STREAM).close()
    for path, statement in (
        (newer, f"PRAGMA user_version = {VERSION + 1}"),
        (other, "CREATE TABLE x (y)"),
    ):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(statement)
    text.write_text("this is no database, only a text that is long enough to look like one" * 9)

    for path, message in (
        (newer, "newer version"),
        (other, "another program"),
        (text, "not a database"),
    ):
        with pytest.raises(DatabaseError, match=message):
            Database(path, STREAM)


def test_all_files_belong_to_the_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "tracker.db"
    path.touch(0o644)
    bed = Bed(path)
    bed.push(0, SignalKind.ENTER)
    bed.pop()
    bed.commit()

    files = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    bed.database.close()
    assert files == {"tracker.db": 0o600, "tracker.db-wal": 0o600, "tracker.db-shm": 0o600}


def test_a_second_tracker_is_kept_out_of_a_data_folder(tmp_path: Path) -> None:
    first = lock(tmp_path / "data")
    with pytest.raises(DatabaseError, match="another tracker"):
        lock(tmp_path / "data")
    os.close(first)
    os.close(lock(tmp_path / "data"))
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_failed_transaction_changes_nothing_and_the_next_one_has_it_all(tmp_path: Path) -> None:
    bed = Bed(tmp_path / "tracker.db")
    bed.push(0, SignalKind.ENTER)
    bed.pop()
    bed.run(1_000)
    batch = bed.journal.drain(bed.counts)
    with contextlib.closing(bed.database):
        other = sqlite3.connect(bed.path, isolation_level=None)
        with contextlib.closing(other):
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(sqlite3.OperationalError, match="locked") as caught:
                bed.database.write(batch, bed.now_ns)
            other.execute("ROLLBACK")
        assert is_world_fault(caught.value)
        assert bed.rows("SELECT count(*) FROM opportunities") == [(0,)]

        bed.database.write(batch, bed.now_ns)
        bed.database.write(batch, bed.now_ns)  # written twice it is the same

        assert bed.rows("SELECT count(*), max(samples) FROM opportunities") == [(1, 5)]
        assert bed.rows("SELECT count(*) FROM samples") == [(5,)]
        assert bed.rows("SELECT last_seq FROM positions") == [(0,)]


def test_a_mistake_of_ours_is_told_from_a_fault_of_the_world() -> None:
    mistakes = ("INSERT INTO x VALUES (NULL)", "INSERT INTO x VALUES (1, 2)", "SELECT z FROM x")
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE x (y NOT NULL)")
        for statement in mistakes:
            with pytest.raises(sqlite3.Error) as caught:
                connection.execute(statement)
            assert not is_world_fault(caught.value), statement
        with pytest.raises(sqlite3.ProgrammingError) as caught:
            connection.execute("INSERT INTO x VALUES (?)", ())
        assert not is_world_fault(caught.value)


def test_the_journal_lets_go_of_details_first_and_of_open_rows_never(tmp_path: Path) -> None:
    bed = Bed(tmp_path / "tracker.db")
    with contextlib.closing(bed.database):
        for number in range(4):
            bed.push(number, SignalKind.ENTER)
        bed.exits = {0: -1.0, 1: -1.0}
        bed.pop()
        bed.run(1_000)
        samples = bed.counts["samples"]
        assert bed.book.open_count == 2
        assert bed.journal.pending == 4 + samples + 16

        assert bed.journal.drop_beyond(4 + 16 + 1) == samples - 1
        assert (len(bed.journal._samples), len(bed.journal._probes)) == (1, 16)
        assert bed.journal.drop_beyond(4) == 17
        assert bed.journal.drop_beyond(3) == 1
        assert bed.journal.drop_beyond(0) == 1
        assert bed.journal.drop_beyond(0) == 0
        bed.commit()
        assert bed.rows("SELECT count(*) FROM opportunities WHERE closed_ns IS NULL") == [(2,)]


def test_samples_are_worth_a_transaction_from_64_kb_on() -> None:
    """Or when they are as old as what a kill may cost."""
    journal, count = Journal(), -(-65_536 // SAMPLE_BYTES)
    row = SampleRow(*range(len(SampleRow._fields)))
    for _ in range(count - 1):
        journal.sample(row)
    assert not journal.full
    journal.sample(row)
    assert journal.full
    assert not journal.urgent, "an opening or a closing is"
    assert len(journal.drain({}, everything=False).samples) == 0
    assert len(journal.drain({}).samples) == count
    assert Tracker().samples_commit_s == 10.0


def test_the_journal_keeps_a_row_that_changes_often_once() -> None:
    journal = Journal()
    book = Book(RULES, pairs(1), journal, Counts(), lambda *_: 0.0)
    book.apply([make_signal(0, 10)])
    assert journal.dirty
    journal.drain({})
    assert not journal.dirty
    book.apply(make_signal(seq, 10) for seq in range(1, 100))
    batch = journal.drain({})
    assert (len(batch.rows), len(batch.signalled), batch.last_seq, batch.applied) == (0, 1, 99, 100)


def test_a_reader_cannot_write_and_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no such database"):
        read_only(tmp_path / "tracker.db")
    Database(tmp_path / "tracker.db", STREAM).close()
    with (
        contextlib.closing(read_only(tmp_path / "tracker.db")) as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("DELETE FROM runs")
    old = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(old, isolation_level=None)) as connection:
        migrate(connection, 0, 1)
    with pytest.raises(DatabaseError, match="older version"):
        read_only(old)


def test_a_data_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(DatabaseError, match="cannot be used"):
        lock(tmp_path / "data")
