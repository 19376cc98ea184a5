"""What a reboot takes out of the ring before the tracker has written it is in the log: each such
signal counts once, and nothing is made up for that nobody tracked.
"""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tracking import Tracking, tracking_of

from spread_scanner.schema.enums import SignalKind
from spread_scanner.schema.log import RecordKind
from spread_scanner.schema.names import DATABASE_FILE, TRACKER, WAL_FOLDER
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import segment
from spread_scanner.shminit import making
from spread_scanner.tracker.lost_ring import lost_ring, name_of
from spread_scanner.wal import reader
from spread_scanner.wal.writer import LogWriter, Origin

ENTER, EXIT = SignalKind.ENTER, SignalKind.EXIT


def signals(ts_ns: int, *said: tuple[int, SignalKind]) -> np.ndarray:
    """Behind signal 0: of a symbol, of a kind, all at one time."""
    made = np.zeros(len(said), SIGNAL_DTYPE)
    made["seq"] = np.arange(1, len(said) + 1)
    made["symbol_id"], made["kind"] = zip(*said, strict=True)
    made["ts_engine"] = made["ts_trigger"] = ts_ns
    made["generation"] = 1
    return made


def write(
    folder: Path, instance_id: int, *parts: np.ndarray, segment_bytes: int = 64 << 10
) -> None:
    """A log of these, as a recorder that was killed leaves it."""
    writer = LogWriter(folder, Origin("here", instance_id), segment_bytes=segment_bytes)
    for part in parts:
        writer.append(RecordKind.SIGNAL, part)
        writer.commit()
    writer.sync()
    writer.close()


def tracked_once(bed: Any) -> tuple[int, int]:
    """A life that has written signal 0, of symbol 1, before its segments are gone: its store, and
    when that was."""
    with tracking_of(bed) as first:
        first.enter_signal()
        first.tracker.turn()
        found = first.prices.instance_id, first.prices.clock.now_ns()
    for name in segment.names(bed.namespace):
        segment.remove(name)
    making.ensure(bed.settings)
    return found


def rows(bed: Any) -> list[tuple[Any, ...]]:
    """Symbol, first signal, exits, whether it is open."""
    with sqlite3.connect(bed.settings.data_dir / DATABASE_FILE) as database:
        return database.execute(
            "SELECT symbol_id, entry_seq, exits, closed_ns IS NULL FROM opportunities ORDER BY id"
        ).fetchall()


def counted(tracking: Tracking, label: str) -> int:
    seen = tracking.health.read(TRACKER)
    assert seen is not None
    return seen.counters[label]


def test_what_a_reboot_took_out_of_the_ring_is_taken_from_the_log_once(up_bed: Any) -> None:
    instance_id, ts_ns = tracked_once(up_bed)
    write(up_bed.settings.data_dir / WAL_FOLDER, instance_id, signals(ts_ns, (1, EXIT), (2, ENTER)))
    with tracking_of(up_bed) as again:
        assert counted(again, "made_up_for") == 2
        assert {one.row.symbol_id: one.row.left_ns for one in again.tracker.book.watched()} == {
            1: ts_ns, 2: None,
        }  # fmt: skip
    assert rows(up_bed) == [(1, 0, 1, 1), (2, 2, 0, 1)]
    with tracking_of(up_bed) as once_more:
        assert counted(once_more, "made_up_for") == 2, "counters go on over lives: no more came"
        assert once_more.tracker.book.open_count == 2
    assert rows(up_bed) == [(1, 0, 1, 1), (2, 2, 0, 1)]


def test_what_came_too_long_ago_is_written_and_closed_where_it_was_last_seen(up_bed: Any) -> None:
    instance_id, ts_ns = tracked_once(up_bed)
    long_ago_ns = ts_ns - int(2e9 * up_bed.settings.config.spread_tracker.resume_gap_s_max)
    write(up_bed.settings.data_dir / WAL_FOLDER, instance_id, signals(long_ago_ns, (2, ENTER)))
    with tracking_of(up_bed) as again:
        assert [one.row.symbol_id for one in again.tracker.book.watched()] == [1]
    assert rows(up_bed) == [(1, 0, 0, 1), (2, 1, 0, 0)]
    with sqlite3.connect(up_bed.settings.data_dir / DATABASE_FILE) as database:
        ended = database.execute(
            "SELECT reason, ended_ns FROM opportunities WHERE symbol_id = 2"
        ).fetchall()
    assert ended == [("gap", long_ago_ns)]


@pytest.mark.parametrize("how", ["no log", "another store", "damaged"])
def test_where_the_log_says_nothing_a_start_is_as_ever(up_bed: Any, how: str) -> None:
    instance_id, ts_ns = tracked_once(up_bed)
    folder = up_bed.settings.data_dir / WAL_FOLDER
    if how != "no log":
        write(folder, instance_id + (how == "another store"), signals(ts_ns, (2, ENTER)))
    if how == "damaged":
        (link,) = reader.chain(folder)
        with link.path.open("r+b") as file:
            file.seek(4_096 + 40)
            file.write(b"\xff" * 8)
    with tracking_of(up_bed) as again:
        assert counted(again, "made_up_for") == 0
        assert again.tracker.book.open_count == 1
    assert rows(up_bed) == [(1, 0, 0, 1)]


def test_it_is_read_back_to_what_is_known_over_segments_and_stores(tmp_path: Path) -> None:
    said = signals(5, *((1, ENTER) for _ in range(300)))
    for instance_id, first in ((7, 0), (8, 0), (7, 150)):
        parts = np.array_split(said[first : first + 150], 30)
        write(tmp_path, instance_id, *parts, segment_bytes=16 << 10)
    assert len(reader.chain(tmp_path)) > 6
    for known in (0, 149, 150, 151, 299):
        found = lost_ring(tmp_path, {name_of(7): known, name_of(9): 5, "ring": 1})
        assert found is not None
        assert found.records["seq"].tolist() == list(range(known + 1, 301))
        assert (found.store, found.last_seq, found.end_seq) == (name_of(7), known, 300)
    assert lost_ring(tmp_path, {name_of(7): 300}) is None
    assert lost_ring(tmp_path, {}) is None
