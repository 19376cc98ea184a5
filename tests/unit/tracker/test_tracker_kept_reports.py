"""The reports that are kept: what the hourly one holds, how large it is, and how many stay."""

import contextlib
import datetime
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from test_tracker_report import random_probes, random_rows, store
from typer.testing import CliRunner

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.names import DATABASE_FILE, REPORTS_FOLDER
from spread_scanner.tracker import report
from spread_scanner.tracker.database import read_only
from spread_scanner.tracker.report_cli import REPORTS_KEPT, app, prune

HOUR_NS = 3_600 * NS_PER_S
PAGE_BYTES_MAX = 1_000_000


def hourly() -> None:
    done = CliRunner().invoke(app, ["report", "--hourly"])
    assert done.exit_code == 0, done.output


def kept(folder: Path, count: int, size: int = 10) -> list[str]:
    """Reports of so many hours, the newest last; their stems."""
    folder.mkdir(exist_ok=True)
    stems = []
    for hour in range(count):
        moment = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(hours=hour)
        stems.append(f"report-{moment:%Y%m%dT%H%M%SZ}")
        for end in ("html", "json"):
            (folder / f"{stems[-1]}.{end}").write_bytes(bytes(size // 2))
    return stems


def left(folder: Path) -> list[str]:
    return sorted({path.stem for path in folder.glob("report-*")})


def test_the_hourly_report_reads_a_day_and_nothing_before_it(bed: Any) -> None:
    hourly()  # nothing has been tracked yet: nothing to say, and no failure
    assert not bed.settings.data_dir.exists()
    bed.settings.data_dir.mkdir()
    rows = random_rows(random.Random(4), 40)
    now_ns = clock.wall_ns()
    for number, row in enumerate(rows):
        row["opened_ns"] = now_ns - (1 if number < 15 else 30) * HOUR_NS
    store(bed.settings.data_dir / DATABASE_FILE, rows, [])
    hourly()
    folder = bed.settings.data_dir / REPORTS_FOLDER
    numbers = msgspec.json.decode((folder / "latest.json").read_bytes())
    assert numbers["total"]["opportunities"] == 15
    (stem,) = left(folder)
    assert (folder / f"{stem}.html").read_bytes() == (folder / "latest.html").read_bytes()


def test_no_hourly_report_where_none_is_wanted(bed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bed.settings.data_dir.mkdir()
    store(bed.settings.data_dir / DATABASE_FILE, random_rows(random.Random(4), 3), [])
    # Not the shipped 3600: who sets 0 wants none.
    monkeypatch.setenv("SPREAD_SPREAD_TRACKER__REPORT_EVERY_S", "0")
    hourly()
    assert not (bed.settings.data_dir / REPORTS_FOLDER).exists()


def test_the_oldest_reports_make_room_by_number(tmp_path: Path) -> None:
    stems = kept(tmp_path, REPORTS_KEPT + 3)
    for name in ("latest.html", "latest.json", "mine.txt"):
        (tmp_path / name).write_text("stays")
    for name in (".latest.html.123", f".{stems[0]}.json.9"):
        (tmp_path / name).write_text("half of one that was killed")
    prune(tmp_path, 1e9)
    assert left(tmp_path) == stems[3:]
    others = sorted(path.name for path in tmp_path.iterdir() if path.stem not in stems)
    assert others == ["latest.html", "latest.json", "mine.txt"]


def test_the_oldest_reports_make_room_by_size_and_one_stays(tmp_path: Path) -> None:
    stems = kept(tmp_path, 10, size=100)
    prune(tmp_path, 450)
    assert left(tmp_path) == stems[-4:]
    prune(tmp_path, 0)
    assert left(tmp_path) == stems[-1:]


def test_a_kept_page_stays_small_with_many_pairs_and_long_curves(bed: Any) -> None:
    bed.settings.data_dir.mkdir()
    chance = random.Random(5)
    rows = random_rows(chance, 400)
    for number, row in enumerate(rows):
        row["symbol"] = f"COIN-WITH-A-LONG-NAME-{number}-USDT"
        row["opened_ns"] = clock.wall_ns() - HOUR_NS
    store(bed.settings.data_dir / DATABASE_FILE, rows, random_probes(chance, rows))
    hourly()
    folder = bed.settings.data_dir / REPORTS_FOLDER
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert len(sizes) == 4
    assert max(sizes.values()) <= PAGE_BYTES_MAX, sizes


def test_a_report_scans_no_table_for_its_window(tmp_path: Path) -> None:
    path = tmp_path / DATABASE_FILE
    rows = random_rows(random.Random(6), 20)
    store(path, rows, random_probes(random.Random(6), rows))
    asked: list[str] = []
    with contextlib.closing(read_only(path)) as connection:
        connection.set_trace_callback(asked.append)
        report.make(connection, 1, 2**62)
        connection.set_trace_callback(None)
        reads = [text for text in asked if text.lstrip().upper().startswith(("SELECT", "WITH"))]
        assert reads
        for text in reads:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall()
            scanned = [line[3] for line in plan if line[3].startswith("SCAN")]
            assert all(step.startswith("SCAN runs") for step in scanned), (text, scanned)
