"""What the status says of the disk, and of who holds a transaction on the database."""

import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from database_bed import OtherReader, store

from spread_scanner.clock import VirtualClock
from spread_scanner.schema.names import CYCLES_FILE, DATABASE_FILE, LOGS_FOLDER, REPORTS_FOLDER
from spread_scanner.view import disk
from spread_scanner.view.readers import Readers


@pytest.fixture
def written(tmp_path: Path) -> sqlite3.Connection:
    """A database in WAL mode, held open, as the tracker does."""
    store(tmp_path, id=1, symbol="AAA-USDT", direction="okx-mexc")
    connection = sqlite3.connect(tmp_path / DATABASE_FILE, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("UPDATE opportunities SET signals = 2")
    return connection


def test_who_holds_a_transaction_is_named_and_who_merely_reads_is_not(
    tmp_path: Path,
    written: sqlite3.Connection,
    start_python: Callable[..., "subprocess.Popen[str]"],
    virtual_clock: VirtualClock,
) -> None:
    database = tmp_path / DATABASE_FILE
    other = OtherReader(start_python, database)
    readers = Readers(database)

    def held() -> dict[int, float]:
        virtual_clock.advance_ms(1_000)
        return {one.pid: one.held_s for one in readers.look()}

    other.obey("SELECT 1")  # reads, and holds nothing
    assert held() == {}
    assert held() == {}
    other.obey("BEGIN")
    assert held() == {}  # seen once
    written.execute("UPDATE opportunities SET signals = 3")
    assert held() == {other.pid: 1.0}
    assert held() == {other.pid: 2.0}
    assert "python" in readers.look()[0].command
    other.obey("COMMIT")
    assert held() == {}
    other.obey("BEGIN")
    assert held() == {}, "the second transaction is not the first"


def test_to_look_takes_no_lock_from_a_connection_of_our_own(
    tmp_path: Path,
    written: sqlite3.Connection,
    run_python: Callable[..., tuple[int, str]],
) -> None:
    """To close any file of ours would: the other process could then empty the log under us."""
    database = tmp_path / DATABASE_FILE
    written.execute("BEGIN")
    written.execute("SELECT count(*) FROM opportunities").fetchall()
    Readers(database).look()
    Readers(database).look()
    code = (
        "import sqlite3, sys\n"
        "other = sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None)\n"
        "other.execute('UPDATE opportunities SET signals = 9')\n"
        "print(other.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone()[0])\n"
    )
    assert run_python(code, database) == (0, "1\n"), "the checkpoint did not wait for us"


def test_the_sizes_are_those_of_the_files(tmp_path: Path, written: sqlite3.Connection) -> None:
    for folder, size in ((REPORTS_FOLDER, 1_000), (LOGS_FOLDER, 20)):
        (tmp_path / folder / "deeper").mkdir(parents=True)
        (tmp_path / folder / "one").write_bytes(bytes(size))
        (tmp_path / folder / "deeper" / "two").write_bytes(bytes(size))
    (tmp_path / CYCLES_FILE).write_bytes(bytes(300))
    (tmp_path / f"{CYCLES_FILE}-wal").write_bytes(bytes(4))
    found = disk.look(tmp_path, [])
    assert found.cycles_bytes == 304
    assert (found.reports_bytes, found.logs_bytes) == (2_000, 40)
    assert found.database_bytes == (tmp_path / DATABASE_FILE).stat().st_size > 0
    assert found.wal_bytes == (tmp_path / f"{DATABASE_FILE}-wal").stat().st_size > 0
    assert found.free_bytes


def test_where_nothing_is_yet_nothing_is_taken(tmp_path: Path) -> None:
    found = disk.look(tmp_path / "not" / "made", [])
    taken = (found.database_bytes, found.wal_bytes, found.reports_bytes, found.logs_bytes)
    assert (*taken, found.cycles_bytes) == (0, 0, 0, 0, 0)
    assert found.free_bytes
    assert Readers(tmp_path / "not" / DATABASE_FILE).look() == []


def test_the_status_tells_sizes_and_names_the_reader(
    up_bed: Any,
    spread_ctl: Callable[..., tuple[int, str, str]],
    start_python: Callable[..., "subprocess.Popen[str]"],
) -> None:
    data_dir = up_bed.settings.data_dir
    data_dir.mkdir(exist_ok=True)
    store(data_dir, id=1, symbol="AAA-USDT", direction="okx-mexc")
    writer = sqlite3.connect(data_dir / DATABASE_FILE, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE opportunities SET signals = 2")
    other = OtherReader(start_python, data_dir / DATABASE_FILE)
    other.obey("BEGIN")
    out = spread_ctl("status", "--interval", "0.05", "--json")[1]
    told = orjson.loads(out)["disk"]
    assert told["database_bytes"] > 0
    assert [one["pid"] for one in told["readers"]] == [other.pid]
    out = spread_ctl("status", "--interval", "0.05")[1]
    assert "Disk: database " in out
    assert f"pid {other.pid} (python" in out
    writer.close()
