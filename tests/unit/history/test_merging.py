"""A day that is over is one file of each kind and source, row by row what its hours were."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from history_bed import HOUR_NS, START_NS, settings_for, write_hours

from spread_scanner.clock import VirtualClock
from spread_scanner.history import asking, compact, kept, merging
from spread_scanner.history.kept import HistoryKind, KeptFile
from spread_scanner.schema.names import HISTORY_FOLDER, WAL_FOLDER

DAY = "day=2023-11-14"  # from 22:13 on; what begins after it is of the next


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that each file has many borders."""
    monkeypatch.setattr(merging, "AT_ONCE", 7)
    monkeypatch.setattr(merging, "ROWS_AT_ONCE", 40)


def rows(folder: Path, files: list[KeptFile]) -> list[dict[str, Any]]:
    """Of all of them, times as numbers."""
    found = []
    for one in files:
        table = pq.read_table(folder / one.path, partitioning=None)
        for place, field in enumerate(table.schema):
            if pa.types.is_timestamp(field.type):
                table = table.set_column(place, field.name, table[place].cast(pa.int64()))
        found += table.to_pylist()
    return found


def hours_then_day(
    tmp_path: Path, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> tuple[kept.KeptHistory, kept.KeptHistory]:
    """The list with the hours of a day, and the one behind its end."""
    log, folder = tmp_path / WAL_FOLDER, tmp_path / HISTORY_FOLDER
    write_hours(log, clock, hours=4, ticks=120)
    with monkeypatch.context() as patch:
        patch.setattr(compact.Compaction, "merge", lambda _: [])
        compact.compact(log, folder)
    before = kept.read(folder)
    compact.compact(log, folder)
    return before, kept.read(folder)


def test_a_day_that_is_over_is_one_file_of_the_same_rows(
    tmp_path: Path, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = hours_then_day(tmp_path, virtual_clock, monkeypatch)
    folder = tmp_path / HISTORY_FOLDER
    assert merging.due(after) == []
    groups = merging.due(before)
    assert {files[0].kind for files in groups} == set(HistoryKind)
    for files in groups:
        (whole,) = [file for file in after.files if file.path == str(merging.path_of(files))]
        expected = rows(folder, files)
        if whole.kind in merging.SORTED:
            expected.sort(key=lambda row: str(row["symbol"]))  # stable: the hours in their order
        assert repr(rows(folder, [whole])) == repr(expected), whole.path  # NaN is none of itself
        assert whole.rows == len(expected)
        assert whole.newest_ns == max(file.newest_ns for file in files)
        assert not set(files) & set(after.files)
    untouched = {file for file in before.files if DAY not in file.path}
    assert untouched
    assert untouched <= set(after.files)
    assert (after.segments, after.symbols) == (before.segments, before.symbols)
    ticks = next(files for files in groups if files[0].kind is HistoryKind.TICKS)
    metadata = pq.read_metadata(folder / merging.path_of(ticks)).metadata
    said = msgspec.json.decode(metadata[merging.ABOUT], type=merging.About)
    assert (said.first_number, said.last_number) == (0, 119), "60 of each source and hour"
    assert set(said.segments) < set(after.segments)


def test_what_is_asked_of_a_merged_day_is_answered_as_before(
    tmp_path: Path, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = (
        "SELECT source, symbol, count(*), min(bid_px), max(ts) FROM ticks GROUP BY ALL ORDER BY ALL"
    )
    settings = settings_for(tmp_path)
    log, folder = tmp_path / WAL_FOLDER, tmp_path / HISTORY_FOLDER
    write_hours(log, virtual_clock, hours=4, ticks=120)
    with monkeypatch.context() as patch:
        patch.setattr(compact.Compaction, "merge", lambda _: [])
        compact.compact(log, folder)
    early = asking.connect(settings)
    before = asking.ask(early, question).fetchall()
    compact.compact(log, folder)
    assert asking.ask(early, question).fetchall() == before, (
        "who has seen the hours reads them still"
    )
    late = asking.connect(settings)
    assert asking.ask(late, question).fetchall() == before
    compact.compact(log, folder)
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.parquet*")}
    assert there == {file.path for file in kept.read(folder).files}, "hours go with the next one"


def test_a_day_that_is_not_as_its_hours_were_is_refused_and_they_stay(
    tmp_path: Path, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=4, ticks=120)
    real, calls = merging.rows_of, []

    def other(*given: Any) -> Any:
        calls.append(given)
        found = list(real(*given))
        return found if len(calls) % 2 else [one.slice(1) for one in found]

    monkeypatch.setattr(merging, "rows_of", other)
    with pytest.raises(compact.NotMerged, match="not what was written"):
        compact.compact(log, folder)
    standing = kept.read(folder)
    assert merging.due(standing)
    assert all((folder / file.path).exists() for file in standing.files)


@pytest.mark.parametrize(
    ("kind", "column", "older"),
    [("ticks", "bid_px", 0), ("ticks", "source", -1), ("follow_ups", "rungs_too_thin", 0)],
)
def test_hours_of_an_older_version_have_null_in_columns_that_they_lack(
    tmp_path: Path,
    virtual_clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    column: str,
    older: int,
) -> None:
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=4, ticks=120)
    with monkeypatch.context() as patch:
        patch.setattr(compact.Compaction, "merge", lambda _: [])
        compact.compact(log, folder)
    hours = next(one for one in merging.due(kept.read(folder)) if one[0].kind == kind)
    path = folder / hours[older].path
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.drop_columns([column]), path)
    expected = [{column: None, **row} for row in rows(folder, hours)]
    compact.compact(log, folder)
    standing = kept.read(folder)
    assert merging.due(standing) == []
    (whole,) = [file for file in standing.files if file.path == str(merging.path_of(hours))]
    found = rows(folder, [whole])
    assert [row[column] for row in found].count(None) == len(table)

    def text(row: dict[str, Any]) -> str:
        return repr(sorted(row.items()))

    assert sorted(map(text, found)) == sorted(map(text, expected))


def test_an_hour_that_cannot_be_read_keeps_no_other_from_being_merged(
    tmp_path: Path, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=4, ticks=120)
    with monkeypatch.context() as patch:
        patch.setattr(compact.Compaction, "merge", lambda _: [])
        compact.compact(log, folder)
    groups = merging.due(kept.read(folder))
    ruined, *others = groups
    (folder / ruined[0].path).write_bytes(b"PAR1 no more")
    with pytest.raises(compact.NotMerged, match=ruined[0].path):
        compact.compact(log, folder)
    assert others
    assert merging.due(kept.read(folder)) == [ruined]


def test_without_room_for_both_hours_stay_as_they_are(
    tmp_path: Path, virtual_clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, folder = tmp_path / "wal", tmp_path / "history"
    write_hours(log, virtual_clock, hours=4, ticks=120)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    compact.compact(log, folder)
    assert merging.due(kept.read(folder))


def test_what_was_merged_stays_also_where_an_hour_came_later() -> None:
    def file(hour: str, day: int, number: int) -> KeptFile:
        path = f"ticks/day=2023-11-{day}/source=okx-spot/{hour}-{number:016}.parquet"
        return KeptFile(path, HistoryKind.TICKS, 1, 1, START_NS + number * HOUR_NS)

    hours = [file("05", 14, 2), file("04", 14, 1), file("06", 14, 3), file("01", 15, 4)]
    (group,) = merging.due(kept.KeptHistory(files=tuple(hours)))
    assert [one.newest_ns for one in group] == sorted(one.newest_ns for one in group)
    whole = group[0].path.replace(".parquet", "-day.parquet")
    assert str(merging.path_of(group)) == whole
    merged = msgspec.structs.replace(group[0], path=whole)
    assert merging.due(kept.KeptHistory(files=(merged, hours[2], hours[3]))) == []
    assert sorted([hours[2].path, whole]) == [whole, hours[2].path]
