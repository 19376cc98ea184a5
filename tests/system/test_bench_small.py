"""Every benchmark runs with small parameters, so that none rots; nothing is asserted about time."""

import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from stalls import within

from spread_scanner.cli.bench import FAMILIES

BENCH = Path(__file__).parents[1] / "bench"
# Groups that start processes or feed them for a while.
LONG = {
    "books",
    "e2e",
    "feed",
    "gateway",
    "questions",
    "recorder",
    "shm",
    "sim",
    "supervise",
    "wake",
    "wal",
}
WITH_ANOTHER = {one for group, those in FAMILIES.items() for one in those[1:] if one in LONG}
GROUPS = [
    pytest.param(group, marks=pytest.mark.slow if group in LONG else ())
    for group in sorted(path.stem.removeprefix("bench_") for path in BENCH.glob("bench_*.py"))
    if group not in WITH_ANOTHER
]


@pytest.mark.parametrize("group", GROUPS)
def test_benchmark_group_runs_small_and_verifies_itself(group: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "spread_scanner.cli.bench", group, "--json", "--small"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=BENCH.parents[1],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert lines[0]["name"] == "machine"
    figures = lines[1:]
    assert figures
    for figure in figures:
        assert set(figure) == {
            "name", "unit", "value", "p50", "p99", "floor", "peers", "params",
        }  # fmt: skip
        assert figure["value"] >= 0, figure


def test_stalls_of_several_cpus_count_once_where_they_overlap() -> None:
    stalls = np.array([[10, 20], [15, 30], [40, 50], [60, 99]])

    assert within(stalls, 12, 45) == 18 + 5
    assert within(stalls, 16, 18) == 2
    assert within(stalls, 0, 200) == 20 + 10 + 39
    assert within(stalls, 30, 40) == 0
