"""A log outlives the version that wrote it: what an older one wrote is read, goes on and becomes
history; what this one cannot read is named, left as it is, and gone on behind.

log_of_first_kinds.zip: of 2026-11, before heads named their kinds. Three lives, an hour apart, with
every kind of that time; the last one was not ended. With a snapshot.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from log_bed import SMALL, contents, numbers, ticks

from spread_scanner.history import compact, kept
from spread_scanner.history.kept import HistoryKind
from spread_scanner.recorder.draining import LogEnd
from spread_scanner.schema import log
from spread_scanner.schema.log import RecordKind
from spread_scanner.wal import frames, reader, segments, snapshot
from spread_scanner.wal.salvage import examine
from spread_scanner.wal.writer import LogWriter

FIRST = Path(__file__).parent / "log_of_first_kinds.zip"
FIRST_RECORDS, FIRST_TICKS = 378, 360


@pytest.fixture
def first(tmp_path: Path) -> Path:
    folder = tmp_path / "first"
    shutil.unpack_archive(FIRST, folder)
    return folder


def written(folder: Path, count: int, *, segment_bytes: int = SMALL) -> None:
    """So many ticks more, by a life of their own."""
    writer = LogWriter(folder, segment_bytes=segment_bytes)
    for at in range(0, count, 100):
        writer.append(RecordKind.TICK, ticks(writer.appended_seq, min(100, count - at)))
        writer.commit()
    writer.close()


def written_by(monkeypatch: pytest.MonkeyPatch, layouts: dict[int, int], folder: Path) -> None:
    """Some ticks of a version whose records of these kinds lie otherwise; 0: it lacks the kind."""
    lying = list(log.layouts())
    for kind, layout in layouts.items():
        lying[kind] = layout
    with monkeypatch.context() as patch:
        patch.setattr(frames, "layouts", lambda: lying)
        written(folder, 400)


def test_a_log_of_the_first_kinds_is_read_and_goes_on(first: Path) -> None:
    before = contents(first)
    assert {kind for kind, *_ in before} == {one for one in RecordKind if log.FIRST_KINDS[one]}
    found = examine(first)
    assert (found.next_seq, found.holes) == (FIRST_RECORDS, [])
    assert found.records[RecordKind.TICK] == FIRST_TICKS
    known = LogEnd.read(first, 1)
    tick = RecordKind.TICK
    assert (known.next, known.signal_seq) == ({(tick, 0): 180, (tick, 5): 180}, 3)
    raw = {path: path.read_bytes() for path in first.glob("*.wal")}
    written(first, 300)
    assert contents(first)[: len(before)] == before
    assert examine(first).next_seq == FIRST_RECORDS + 300
    assert examine(first).holes == []
    heads = [link.head["kinds"].tolist() for link in reader.chain(first)]
    assert not any(heads[0])
    assert heads[-1] == list(log.layouts())
    waiting = [path for path in raw if path.stem.endswith("6")]  # was made ready, and is used
    assert all(path.read_bytes() == raw[path] for path in raw if path not in waiting)


def test_what_a_log_of_the_first_kinds_knew_is_known(first: Path) -> None:
    known, troubles = snapshot.newest(first)
    assert troubles == []
    assert known is not None
    assert (known.seq, len(known.quotes)) == (253, 10)


def test_a_log_of_the_first_kinds_becomes_history(first: Path, tmp_path: Path) -> None:
    compact.compact(first, tmp_path / "history")
    files = kept.read(tmp_path / "history").of(HistoryKind.TICKS)
    assert sum(file.rows for file in files) == 240, "the hour that is written stays in the log"
    written(first, 100)
    compact.compact(first, tmp_path / "history")
    files = kept.read(tmp_path / "history").of(HistoryKind.TICKS)
    assert sum(file.rows for file in files) == FIRST_TICKS


def test_a_log_without_a_kind_that_came_later_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_by(monkeypatch, {RecordKind.ENGINE: 0, RecordKind.GAP: 0}, tmp_path)
    written(tmp_path, 400)
    assert numbers(tmp_path) == list(range(800))
    assert examine(tmp_path).holes == []


@pytest.mark.parametrize(
    ("layouts", "why"),
    [
        ({RecordKind.SIGNAL: 7}, "its records of kind signal lie otherwise"),
        ({31: 7}, r"records of a kind \(31\) that this version does not know"),
    ],
)
def test_what_cannot_be_read_is_named_left_and_gone_on_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layouts: dict[int, int], why: str
) -> None:
    written(tmp_path, 200)
    written_by(monkeypatch, layouts, tmp_path)
    with pytest.raises(reader.NoLog, match=why) as refused:
        contents(tmp_path)
    assert "another version" in str(refused.value)
    assert LogEnd.read(tmp_path, 0).next == {}
    before = reader.linked(tmp_path)
    raw = {link.path: link.path.read_bytes() for link in before}
    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    assert writer.strange
    assert writer.durable_seq == 600, "where it ends is known"
    writer.append(RecordKind.TICK, ticks(600, 100))
    writer.close()
    assert numbers(tmp_path) == list(range(600, 700))
    assert {path: path.read_bytes() for path in raw} == raw
    assert [link.number for link in reader.linked(tmp_path)[: len(raw)]] == [
        link.number for link in before
    ]
    with monkeypatch.context() as patch:
        patch.setattr(reader, "strange", lambda _: "")
        assert numbers(tmp_path) == list(range(700)), "the version that wrote it reads all"


def test_a_log_of_another_format_is_gone_on_behind(tmp_path: Path) -> None:
    written(tmp_path, 200)
    path = reader.chain(tmp_path)[-1].path
    head = frames.head_of(reader.mapped(path))
    assert head is not None
    head["version"] += 1
    with path.open("r+b") as file:
        file.write(frames.sealed_head(head))
    with pytest.raises(reader.NoLog, match="format 2, this version reads 1"):
        contents(tmp_path)
    raw = {link.path: link.path.read_bytes() for link in reader.linked(tmp_path)}
    writer = LogWriter(tmp_path, segment_bytes=SMALL)
    begun = writer.durable_seq
    assert begun >= 200, "no record's sequence is given twice"
    writer.append(RecordKind.TICK, ticks(0, 5))
    writer.close()
    assert [(kind, seq) for kind, seq, _ in contents(tmp_path)] == [(RecordKind.TICK, begun)]
    assert {path: path.read_bytes() for path in raw} == raw
    assert len(segments.numbered(tmp_path)) > len(raw)
    again = LogWriter(tmp_path, segment_bytes=SMALL)
    assert (again.strange, again.durable_seq) == ("", begun + 5)
    again.close()


def test_what_is_cut_off_before_another_version_is_none_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, 100)
    written(tmp_path, 100)
    (gone,) = reader.chain(tmp_path)[-1:]
    with monkeypatch.context() as patch:
        written_by(patch, {RecordKind.SIGNAL: 7}, tmp_path)
    written(tmp_path, 100)
    gone.path.unlink()
    assert len(reader.linked(tmp_path)) > len(links := reader.chain(tmp_path))
    assert reader.with_cut_off(tmp_path) == links
    assert examine(tmp_path).holes == []


def test_the_commands_say_what_another_version_wrote(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spread_ctl: Callable[..., tuple[int, str, str]],
) -> None:
    folder = tmp_path / "log"
    written_by(monkeypatch, {RecordKind.SIGNAL: 7}, folder)
    code, out, _ = spread_ctl("wal", "info", "--folder", str(folder))
    assert code == 0
    assert "signal lie otherwise" in " ".join(out.split())
    code, _, err = spread_ctl("wal", "verify", "--folder", str(folder))
    assert code != 0
    assert "Read it with the version that wrote it" in err
    written(folder, 100)
    code, out, _ = spread_ctl("wal", "verify", "--folder", str(folder))
    assert code == 0
    assert "signal lie otherwise" in " ".join(out.split())


def test_a_layout_changes_with_its_dtype() -> None:
    assert log.differing(log.layouts(), 0) == ""
    assert log.differing(log.FIRST_KINDS, 0) == "", "a dtype that is in use stays as it is"
    assert log.differing([0] * log.KINDS_MAX, 5) == "its records lie otherwise"
    assert len(np.unique([log.layouts()[kind] for kind in log.ARRAYS])) == len(log.ARRAYS)
    assert max(RecordKind) < log.KINDS_MAX
