"""`history` shows what was asked for, `export` writes it, in each form."""

from collections.abc import Callable
from typing import Any

import orjson
import pyarrow as pa
import pytest
from history_bed import write_hours
from pyarrow import csv, ipc, parquet

from spread_scanner.clock import VirtualClock
from spread_scanner.schema.names import WAL_FOLDER

Run = Callable[..., tuple[int, str, str]]
TICKS = "SELECT source, symbol, ts, bid_px FROM ticks ORDER BY ts, source, symbol"
READ = {
    "parquet": parquet.read_table,
    "arrow": lambda path: ipc.open_file(path).read_all(),
    "csv": csv.read_csv,
}


@pytest.fixture
def recorded(bed: Any, virtual_clock: VirtualClock) -> Any:
    write_hours(bed.settings.data_dir / WAL_FOLDER, virtual_clock, hours=1, ticks=40)
    return bed


def test_history_shows_names_and_whole_times(recorded: Any, spread_ctl: Run) -> None:
    code, out, _ = spread_ctl("history", TICKS, "-n", "3", "--json")
    shown = orjson.loads(out)
    assert code == 0
    assert shown["columns"] == ["source", "symbol", "ts", "bid_px"]
    assert len(shown["rows"]) == 3
    assert shown["more"]
    assert len(shown["rows"][0][2]) == len("2023-11-14 22:13:20.000000000")
    code, out, _ = spread_ctl("history", "SELECT sum(update_id) AS all_ids FROM ticks")
    assert code == 0
    assert "all_ids" in out
    assert "420" in out


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("0.0000012345", "0.0000012345"),
        ("CAST(1 AS DOUBLE) / 3", "0.33333333"),
        ("CAST(80313.1 AS DOUBLE)", "80,313.1"),
        ("CAST(1234567891.4 AS DOUBLE)", "1,234,567,891"),
        ("CAST('nan' AS DOUBLE)", "-"),
        ("NULL", "-"),
        ("[CAST(0.0000012 AS DOUBLE), 2500.25, NULL]", "[0.0000012, 2,500.25, -]"),
        ("[0.0::DOUBLE]", "[0]"),
        ("true", "yes"),
    ],
)
def test_no_figure_is_rounded_to_nothing(
    recorded: Any, spread_ctl: Run, value: str, cell: str
) -> None:
    code, out, said = spread_ctl("history", f"SELECT {value} AS asked")
    assert code == 0, said
    assert [line.strip() for line in out.splitlines()] == ["asked", cell]


def test_history_says_why_there_is_none(bed: Any, spread_ctl: Run) -> None:
    code, out, _ = spread_ctl("history", TICKS)
    assert code == 0
    assert "Nothing was ever recorded: [spread-recorder] in config.toml" in " ".join(out.split())
    (bed.settings.data_dir / WAL_FOLDER).mkdir(parents=True)
    assert "Nothing" not in spread_ctl("history", TICKS)[1]


@pytest.mark.parametrize("form", READ)
def test_what_is_exported_is_read_back(recorded: Any, spread_ctl: Run, form: str) -> None:
    file = recorded.settings.data_dir / f"ticks.{form}"
    code, _, said = spread_ctl("export", str(file), TICKS, "--format", form)
    assert code == 0, said
    table: pa.Table = READ[form](file)
    assert len(table) == 40
    assert table["symbol"].to_pylist()[0].endswith("-USDT")
    code, _, said = spread_ctl("export", str(file), TICKS)
    assert code == 1
    assert "the file exists" in said
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []
