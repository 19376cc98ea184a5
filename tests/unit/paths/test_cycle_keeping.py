"""data/cycles.db: what is written is what is read; one writer; what goes, and what is refused."""

import contextlib
import resource
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from cycles_bed import FOUND_NS, cycle_row, store_cycles
from database_bed import damage

from spread_scanner.config import Settings
from spread_scanner.paths.keeping import DAY_NS, CyclesError, KeptCycles, LookRow
from spread_scanner.schema.names import CYCLES_FILE, EXIT_FAILED
from spread_scanner.view.cycles import CycleLook, StoredCycles


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / CYCLES_FILE


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    store_cycles(tmp_path, cycle_row(1), cycle_row(2, route=("D" * 44, "B" * 44)))
    stored = StoredCycles(tmp_path)
    newest, other = stored.last(10)
    assert (newest.id, other.id) == (2, 1)
    assert [hop.amount_in for hop in other.hops] == [str(10**19), str(3 * 10**9)]
    assert other.hops[1].amount_out == str(10**19 + 750_005_400)
    assert (other.net_sol, other.best_net_sol, other.ended_ns) == (0.75, 0.75, None)
    assert other.looks == [
        CycleLook(1, 350_000_002, 0.5, 0.51, True, ""),
        CycleLook(2, 350_000_003, None, None, False, "no"),
    ]
    assert [one.id for one in stored.last(10, pool="D" * 44)] == [2]
    assert [one.reason for one in stored.left_out()] == ["dust"]
    stored.close()


def test_what_stood_when_a_life_ended_is_closed_by_the_next(path: Path) -> None:
    store_cycles(path.parent, cycle_row(7))
    with contextlib.closing(KeptCycles(path, FOUND_NS + 5)) as kept:
        assert kept.next_id == 8
    stored = StoredCycles(path.parent)
    assert stored.last(1)[0].why_ended == "spread-paths ended meanwhile"
    assert stored.last(1, standing=True) == []
    stored.close()


def test_one_writes_at_a_time(path: Path) -> None:
    with (
        contextlib.closing(KeptCycles(path, 0)),
        pytest.raises(CyclesError, match="another spread-paths"),
    ):
        KeptCycles(path, 0)
    KeptCycles(path, 0).close()


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("CREATE TABLE x (a)", "another program's database"),
        ("PRAGMA user_version = 99", "a newer version"),
        (None, "move it away"),
    ],
)
def test_a_file_that_is_not_ours_is_refused(path: Path, script: str | None, answer: str) -> None:
    if script is None:
        path.write_bytes(b"not a database, by far not" * 100)
    else:
        with contextlib.closing(sqlite3.connect(path)) as other:
            other.execute(script)
            other.commit()
    with pytest.raises(CyclesError, match=answer):
        KeptCycles(path, 0)
    path.unlink()
    KeptCycles(path, 0).close()  # the lock was given back


def test_a_damaged_table_is_said(
    path: Path, spread_ctl: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "data_dir", path.parent)
    for table in ("left_out", "looks", "cycles"):  # one after the other: each by itself is enough
        path.unlink(missing_ok=True)
        store_cycles(path.parent, cycle_row(1), cycle_row(2))
        damage(path, table)
        code, out, err = spread_ctl("cycles")
        assert (code, out) == (EXIT_FAILED, ""), table
        assert "malformed" in err
    with pytest.raises(CyclesError, match="it cannot be used: database disk image is malformed"):
        KeptCycles(path, 0)


def test_a_database_that_is_locked_costs_nothing(path: Path) -> None:
    with (
        contextlib.closing(KeptCycles(path, 0)) as kept,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        kept.found(cycle_row(1))
        other.execute("BEGIN IMMEDIATE")
        assert not kept.flush()
        assert "locked" in kept.trouble
        other.execute("ROLLBACK")
        kept.looked(LookRow(1, 1, 2, None, None, False, ""))
        assert kept.flush()
        assert kept.trouble == ""
        assert other.execute("SELECT count(*) FROM cycles, looks").fetchone() == (1,)


def test_forgetting_goes_on_when_a_lock_is_over(path: Path) -> None:
    with (
        contextlib.closing(KeptCycles(path, 0)) as kept,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        kept.found(cycle_row(1))
        kept.ended(1, 9, DAY_NS, "it pays no more")
        kept.flush()
        other.execute("BEGIN IMMEDIATE")
        assert kept.forget(DAY_NS, 0, 9 * DAY_NS) == 0
        assert "locked" in kept.trouble
        kept.found(cycle_row(2))
        other.execute("ROLLBACK")
        assert kept.forget(DAY_NS, 0, 9 * DAY_NS) == 1
        assert "locked" in kept.trouble, "nothing says that it can be written"
        assert kept.flush()
        other.execute("BEGIN IMMEDIATE")
        assert kept.forget(DAY_NS, 0, 9 * DAY_NS) == 0
        other.execute("ROLLBACK")
        assert kept.flush(), "nothing waits"
        assert kept.forget(DAY_NS, 0, 9 * DAY_NS) == 0
        assert kept.trouble == ""


def test_what_is_old_goes_and_what_stands_stays(path: Path) -> None:
    with (
        contextlib.closing(KeptCycles(path, 0)) as kept,
        contextlib.closing(sqlite3.connect(path)) as other,
    ):
        for number in range(1, 6):
            kept.found(cycle_row(number))
            kept.looked(LookRow(number, 1, 2, None, None, False, ""))
        for number in range(2, 6):
            kept.ended(number, 9, number * DAY_NS, "it pays no more")
        kept.flush()
        assert kept.forget(2 * DAY_NS, 0, 6 * DAY_NS - 1) == 2
        ids = [row[0] for row in other.execute("SELECT id FROM cycles ORDER BY id")]
        assert ids == [1, 4, 5]
        assert kept.forget(0, 0, 100 * DAY_NS) == 0, "0 keeps for ever"
        assert kept.forget(0, 1, 100 * DAY_NS) == 2, "more than there may be"
        assert other.execute("SELECT id FROM cycles").fetchall() == [(1,)]
        assert other.execute("SELECT cycle_id FROM looks").fetchall() == [(1,)]


def test_what_waits_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spread_scanner.paths.keeping.WAITING_MAX", 3)
    with contextlib.closing(KeptCycles(path, 0)) as kept:
        for number in range(1, 6):
            kept.found(cycle_row(number))
        assert kept.lost == 2
        assert kept.flush()
    stored = StoredCycles(path.parent)
    assert [one.id for one in stored.last(9)] == [5, 4, 3]
    stored.close()


def test_what_waited_is_stored_whole_or_not_at_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looks of a cycle that there was no room for are no rows of nothing; one that is stored is
    closed, however much came after its end; one state of a cycle waits, the newest."""
    monkeypatch.setattr("spread_scanner.paths.keeping.WAITING_MAX", 4)
    with (
        contextlib.closing(KeptCycles(path, 0)) as kept,
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        kept.found(cycle_row(1))
        kept.found(cycle_row(2))
        assert kept.flush()
        other.execute("BEGIN IMMEDIATE")
        kept.ended(1, 9, DAY_NS, "it pays no more")
        for number in range(3, 9):
            kept.found(cycle_row(number))
            kept.seen(number, 0.5, 7, 70)
            kept.seen(number, 0.9, 8, 80)
            kept.looked(LookRow(number, 1, 2, None, None, False, ""))
        kept.ended(3, 9, DAY_NS, "of which nothing is stored")
        kept.looked(LookRow(3, 2, 2, None, None, False, ""))
        assert not kept.flush()
        other.execute("ROLLBACK")
        assert kept.flush()
        assert kept.lost == 15
        ended = other.execute("SELECT id, ended_ns, best_net_sol FROM cycles ORDER BY id")
        assert ended.fetchall() == [(1, DAY_NS, 0.75), (2, None, 0.75), (8, None, 0.9)]
        assert other.execute("SELECT cycle_id FROM looks").fetchall() == [(8,)]


def test_a_disk_that_is_full_at_the_start_costs_no_more_than_later(path: Path) -> None:
    store_cycles(path.parent, cycle_row(7))
    room = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, room[1]))
    try:
        kept = KeptCycles(path, FOUND_NS + 5)
        first = kept.next_id
        kept.found(cycle_row(first))
        kept.looked(LookRow(first, 1, 2, None, None, False, ""))
        assert not kept.flush()
        assert kept.forget(DAY_NS, 1, 9 * DAY_NS) == 0
        assert "it cannot be opened" in kept.trouble
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, room)
    with contextlib.closing(kept):
        assert kept.flush()
        assert kept.trouble == ""
        kept.ended(first, 9, DAY_NS, "it pays no more")
        assert kept.flush()
    stored = StoredCycles(path.parent)
    newest, other = stored.last(9)
    assert (newest.id, newest.why_ended, len(newest.looks)) == (8, "it pays no more", 1)
    assert (other.id, other.why_ended) == (7, "spread-paths ended meanwhile")
    stored.close()
