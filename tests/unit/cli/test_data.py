"""backup and vacuum: the copy is whole, nothing that stands is overwritten, room comes back."""

import contextlib
import errno
import fcntl
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from cycles_bed import cycle_row, store_cycles
from database_bed import store

from spread_scanner.cli import data
from spread_scanner.schema.names import CYCLES_FILE, DATABASE_FILE, VACUUM_FILE
from spread_scanner.tracker.backup import backup as copy_of
from spread_scanner.view import disk
from spread_scanner.view.conditions.disk import of_disk

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def database(up_bed: Any) -> Path:
    folder: Path = up_bed.settings.data_dir
    folder.mkdir(exist_ok=True)
    store(folder, id=1, symbol="AAA-USDT", direction="okx-mexc")
    return folder / DATABASE_FILE


def test_a_backup_holds_what_another_connection_has_just_written(
    database: Path, spread_ctl: Run, tmp_path: Path
) -> None:
    copy = tmp_path / "copy [b].db"
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as tracker:
        tracker.execute("PRAGMA journal_mode = WAL")
        tracker.execute("INSERT INTO positions VALUES ('ring', 41)")
        code, out, _ = spread_ctl("backup", str(copy))
    assert code == 0, out
    assert str(copy) in out.replace("\n", "")
    with contextlib.closing(sqlite3.connect(copy)) as copied:
        assert copied.execute("SELECT last_seq FROM positions").fetchall() == [(41,)]
        assert copied.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert copy.stat().st_mode & 0o777 == 0o600


def test_the_database_of_cycles_is_looked_after_as_the_trackers_is(
    up_bed: Any, spread_ctl: Run, tmp_path: Path
) -> None:
    copy, data_dir = tmp_path / "copy.db", up_bed.settings.data_dir
    for arguments in (["backup", str(copy)], ["vacuum"]):
        code, out, _ = spread_ctl(*arguments, "--cycles", "--json")
        assert code == 1
        assert "spread-paths has not run yet" in orjson.loads(out)["error"]
    data_dir.mkdir(exist_ok=True)
    store_cycles(data_dir, cycle_row(7))
    assert spread_ctl("backup", str(copy), "--cycles")[0] == 0
    with contextlib.closing(sqlite3.connect(copy)) as copied:
        assert copied.execute("SELECT id FROM cycles").fetchall() == [(7,)]
    code, out, _ = spread_ctl("vacuum", "--cycles", "--json")
    assert code == 0
    assert orjson.loads(out)["bytes_after"] == (data_dir / CYCLES_FILE).stat().st_size
    told = orjson.loads(spread_ctl("status", "--interval", "0.05", "--json")[1])["disk"]
    assert told["cycles_bytes"] == (data_dir / CYCLES_FILE).stat().st_size


def test_a_backup_takes_nobodys_place_and_says_what_is_missing(
    database: Path, spread_ctl: Run, tmp_path: Path
) -> None:
    there = tmp_path / "there.db"
    there.write_text("mine")
    for arguments, said in (
        ([str(there)], "exists"),
        ([str(tmp_path / "nowhere" / "copy.db")], "no copy was made"),
        (["/proc/copy.db"], "no copy was made"),
    ):
        code, out, _ = spread_ctl("backup", *arguments, "--json")
        assert code == 1
        assert said in orjson.loads(out)["error"]
    assert there.read_text() == "mine"
    database.unlink()
    code, out, _ = spread_ctl("backup", str(tmp_path / "new.db"), "--json")
    assert code == 1
    assert "no such database" in orjson.loads(out)["error"]
    assert not (tmp_path / "new.db").exists()


def test_vacuum_gives_the_room_of_deleted_rows_back(database: Path, spread_ctl: Run) -> None:
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as tracker:
        tracker.execute("BEGIN")  # one commit: each costs a sync
        tracker.execute("CREATE TABLE bulk (x)")
        tracker.executemany("INSERT INTO bulk VALUES (?)", [("x" * 1_000,)] * 2_000)
        tracker.execute("DROP TABLE bulk")
        tracker.execute("COMMIT")
    code, out, _ = spread_ctl("vacuum", "--json")
    made = orjson.loads(out)
    assert code == 0
    assert made["bytes_after"] < made["bytes_before"] / 2
    assert made["bytes_after"] == database.stat().st_size
    assert spread_ctl("vacuum")[0] == 0


def test_a_vacuum_takes_room_where_it_has_measured_it(
    database: Path, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its temporary file is as large as the database, and SQLite's own choice is /var/tmp."""
    folder = database.parent.rename(database.parent.with_name("operator's data"))
    monkeypatch.setenv("SPREAD_SYSTEM__DATA_DIR", str(folder))
    with contextlib.closing(sqlite3.connect(folder / DATABASE_FILE)) as filled, filled:
        filled.execute("CREATE TABLE filling AS SELECT zeroblob(4000000)")
    temporary: list[Path] = []

    def look() -> None:
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # the one of this very listing
                temporary.append(entry.readlink())

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = real(*arguments, **options)
        connection.set_progress_handler(look, 1)
        return connection

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", connect)
    code, _, err = spread_ctl("vacuum")
    assert code == 0, err
    assert {path.parent for path in temporary if "etilqs" in path.name} == {folder}


def test_while_a_vacuum_runs_its_log_is_nobodys_fault(
    database: Path, spread_ctl: Run, up_bed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, list[str]]] = []

    def look() -> None:
        wal = disk.wal_of(database)
        if not wal.exists() or wal.stat().st_size < 10**9:
            wal.touch()
            os.truncate(wal, 10**9)
        found = disk.look(database.parent, [])
        raised = [one.key for one in of_disk(found, up_bed.settings, 0)]
        seen.append((found.vacuuming, [key for key in raised if key == "wal"]))
        wal.unlink()

    def connect(*arguments: Any, **options: Any) -> Any:
        look()
        return really(*arguments, **options)

    really = sqlite3.connect
    database_bytes = database.read_bytes()
    monkeypatch.setattr(sqlite3, "connect", connect)
    assert spread_ctl("vacuum")[0] == 0
    monkeypatch.undo()
    database.write_bytes(database_bytes)
    look()
    assert seen[-2:] == [(True, []), (False, ["wal"])]


def test_two_vacuums_do_not_run_at_once_and_each_is_seen(
    database: Path, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the second has opened the file that the first one removes at its end."""
    path = database.parent / VACUUM_FILE
    monkeypatch.setattr(data, "LOOKED_AT_S", 0.0)
    really, before = fcntl.flock, os.umask(0o077)
    try:
        with data._alone(database.parent):
            assert path.stat().st_mode & 0o444 == 0o444, "who looks may be another user"
            code, _, err = spread_ctl("vacuum")
            assert (code, "another vacuum runs" in err) == (1, True)
            assert disk.look(database.parent, []).vacuuming
    finally:
        os.umask(before)

    def removed_first(file: int, how: int) -> None:
        monkeypatch.undo()
        path.unlink()
        really(file, how)

    monkeypatch.setattr(data, "LOOKED_AT_S", 60.0)
    monkeypatch.setattr(fcntl, "flock", removed_first)
    with data._alone(database.parent):
        assert disk.look(database.parent, []).vacuuming
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_what_another_users_killed_vacuum_has_left_stops_none(
    database: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """Root's, in the folder of the services' user; also with a umask of 077, before its chmod."""
    nobody, folder = 65534, database.parent
    (folder / VACUUM_FILE).touch(mode)
    os.chown(folder, nobody, nobody)
    monkeypatch.chdir(folder)  # the folders above are root's
    os.seteuid(nobody)
    try:
        with data._alone(Path()):
            pass
    finally:
        os.seteuid(0)
    assert not (folder / VACUUM_FILE).exists()


def test_a_backup_to_where_this_user_may_not_write_says_who_may_not(
    database: Path, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sudo spread-ctl backup copy.db` in root's folder goes on as another user."""

    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "/root/.copy.db.17")

    monkeypatch.setattr(data, "copy_of", refused)
    code, out, _ = spread_ctl("backup", "/root/copy.db", "--json")
    said = orjson.loads(out)["error"]
    assert code == 1
    for word in ("Permission denied", "/root/copy.db", "user=", "allowed=", str(database.parent)):
        assert word in said
    assert ".17" not in said


def test_vacuum_of_nothing_is_one_line(up_bed: Any, spread_ctl: Run) -> None:
    code, _, err = spread_ctl("vacuum")
    assert code == 1
    assert "no such database" in err


def test_a_copy_takes_no_place_that_was_taken_while_it_was_made(
    database: Path, spread_ctl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On whatever file system: FAT has no second name of a file, and says EPERM."""
    copy, there = tmp_path / "copy.db", tmp_path / "there.db"
    monkeypatch.setattr(data, "copy_of", lambda one, to: copy_of(one, to, lambda: came(to)))

    def came(to: Path) -> None:
        if to == there:
            to.write_text("mine")

    def one_name(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    for _ in range(2):
        assert spread_ctl("backup", str(there))[0] == 1
        assert there.read_text() == "mine"
        assert spread_ctl("backup", str(copy))[0] == 0
        assert {path.name for path in tmp_path.glob("*.db")} >= {"copy.db", "there.db"}
        assert not [*tmp_path.glob(".*")]
        there.unlink()
        copy.unlink()
        monkeypatch.setattr(os, "link", one_name)


def test_what_kills_left_of_copies_goes_at_the_next_of_any_name(
    database: Path, spread_ctl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for one that is being made. As `backup $(date +%F).db` of a timer gives them."""
    folder = tmp_path / "copies"
    folder.mkdir()
    if (child := os.fork()) == 0:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            copy_of(connection, folder / "a.db", lambda: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    left = {*folder.iterdir()}
    assert left
    assert spread_ctl("backup", str(folder / "b.db"))[0] == 0
    assert left < {*folder.iterdir()}, "it may be somebody's"
    for path in left:
        os.utime(path, (0, 0))
    assert spread_ctl("backup", str(folder / "c.db"))[0] == 0
    assert {path.name for path in folder.iterdir()} == {"b.db", "c.db"}
