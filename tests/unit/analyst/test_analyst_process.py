"""spread-analyst as a process: off, on, reloaded, away; over a price store that somebody writes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bed import until
from spread_scanner import config
from spread_scanner.orders import orders
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import ANALYST
from spread_scanner.shm.health import ProcessHealth
from spread_scanner.view.analysis import read

ROOT = Path(__file__).parents[3]


@pytest.fixture
def analyst(up_bed: Any) -> Iterator[Any]:
    """Starts it with this as its section; returns the child."""
    path = up_bed.folder / "config" / "config.toml"
    before = path.read_text()
    started: list[subprocess.Popen[bytes]] = []

    def start(section: str, again: bool = True) -> subprocess.Popen[bytes] | None:
        path.write_text(f"{before}\n[{ANALYST}]\n{section}")
        if not again:
            return None
        environ = {**os.environ, "SPREAD_CONFIG_DIR": str(up_bed.folder / "config")}
        started.append(subprocess.Popen([sys.executable, ROOT / "bins" / ANALYST], env=environ))
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.wait()


def row(bed: Any) -> ProcessHealth | None:
    with bed.health() as health:
        return health.read(ANALYST) if ANALYST in health.names() else None


def await_state(bed: Any, state: ProcessState) -> None:
    until(lambda: (found := row(bed)) is not None and found.state is state, lambda: row(bed))


@pytest.mark.slow
def test_it_obeys_reloads_and_leaves_as_every_optional_process_does(
    up_bed: Any, analyst: Any
) -> None:
    assert analyst("enabled = false\n").wait(60) == 0
    found = row(up_bed)
    assert found is not None
    assert (found.state, found.message) == (
        ProcessState.STOPPED,
        "not enabled: there is nothing to do",
    )
    child = analyst("enabled = true\n")
    await_state(up_bed, ProcessState.RUNNING)
    settings = config.load(up_bed.folder / "config", {})

    def told() -> bool:
        for source_id, bid in ((0, 99.0), (3, 101.0)):
            up_bed.quote(source_id, 0, bid, bid + 1)
        return any(cell.mid for cell in read(settings, "AAA-USDT").cells)

    until(told, look_s=0.05)
    orders.reload(settings)
    until(lambda: (seen := row(up_bed)) is not None and seen.counters["reloads"] == 1)
    orders.pause(settings, ANALYST, paused=True)
    await_state(up_bed, ProcessState.PAUSED)
    analyst("enabled = false\n", again=False)
    orders.reload(settings)
    assert child.wait(60) == 0
    await_state(up_bed, ProcessState.STOPPED)
