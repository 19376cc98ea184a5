"""spread-alerts as a process: its row, its orders, its reload; against a real target."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alerts_bed import Target
from database_bed import store

from bed import until
from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.orders import orders
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import ALERTS
from spread_scanner.shm.health import ProcessHealth

ROOT = Path(__file__).parents[3]

Write = Callable[[str], Settings]


@pytest.fixture
def write(up_bed: Any) -> Write:
    """Puts a section [spread-alerts] into the settings; returns what they are then."""
    path = up_bed.folder / "config" / "config.toml"
    before = path.read_text()

    def written(section: str) -> Settings:
        path.write_text(f"{before}\n[{ALERTS}]\n{section}")
        return config.load(up_bed.folder / "config", {})

    return written


@pytest.fixture
def start(up_bed: Any) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def begin() -> subprocess.Popen[bytes]:
        bin = ROOT / "bins" / ALERTS
        environ = {**os.environ, "SPREAD_CONFIG_DIR": str(up_bed.folder / "config")}
        started.append(subprocess.Popen([sys.executable, bin], env=environ))
        return started[-1]

    yield begin
    for child in started:
        child.kill()
        child.wait()


def row(bed: Any) -> ProcessHealth | None:
    with bed.health() as health:
        return health.read(ALERTS) if ALERTS in health.names() else None


def await_state(bed: Any, state: ProcessState) -> None:
    until(lambda: (found := row(bed)) is not None and found.state is state, lambda: row(bed))


def keys(target: Target) -> list[object]:
    return [body["key"] for _, body in target.received]


def test_it_obeys_reloads_and_pauses_as_every_process_does(
    up_bed: Any, write: Write, start: Callable[[], Any], target: Target
) -> None:
    (data := up_bed.settings.data_dir).mkdir(parents=True, exist_ok=True)
    beat = f'heartbeat_url = "{target.url}/beat"\n'
    settings = write(f'webhook_url = "{target.url}/first"\n{beat}')
    start()
    await_state(up_bed, ProcessState.RUNNING)
    store(data, id=1, symbol="AAA-USDT", direction="okx-mexc", entry_net_bps=60.0)
    until(lambda: "opportunity:1" in keys(target), lambda: keys(target))
    until(lambda: (found := row(up_bed)) is not None and found.counters["sent"] >= 1)
    until(lambda: (found := row(up_bed)) is not None and found.counters["heartbeats"] >= 1)
    assert ("GET", "/beat") in target.asked

    # What it cannot take it refuses, and says why; then it is as it was.
    token = "/run/credentials/nobody/token"  # where only a unit itself may look
    chat = 'telegram_chat_id = "1"'
    refused = orders.reload(write(f'telegram_token_file = "{token}"\n{chat}\n'))
    assert not refused.ok
    assert "token cannot be read" in refused.refused[ALERTS]

    # A heartbeat that nobody takes holds up no target.
    beat = 'heartbeat_url = "http://127.0.0.1:9/"\n'
    second = f'webhook_url = "{target.url}/second"\nopportunity_net_bps = 20.0\n'
    settings = write(second + beat)
    assert ALERTS in orders.reload(settings).answered_us
    store(data, id=2, symbol="BBB-USDT", direction="okx-mexc", entry_net_bps=25.0)
    until(lambda: "opportunity:2" in keys(target), lambda: keys(target))
    until(lambda: (found := row(up_bed)) is not None and found.counters["heartbeat_failures"] >= 1)
    until(lambda: (found := row(up_bed)) is not None and "heartbeat: " in found.message)
    settings = write(second)
    assert ALERTS in orders.reload(settings).answered_us
    await_state(up_bed, ProcessState.RUNNING)
    assert next(path for path, body in target.received if body["key"] == "opportunity:2") == (
        "/second"
    )
    found = row(up_bed)
    assert found is not None
    assert found.counters["reloads"] == 2

    # `all` is not for those who tell people of it; by its name it is silenced.
    orders.pause(settings, orders.ALL, paused=True)
    found = row(up_bed)
    assert found is not None
    assert found.state is ProcessState.RUNNING
    orders.pause(settings, ALERTS, paused=True)
    await_state(up_bed, ProcessState.PAUSED)
    store(data, id=3, symbol="CCC-USDT", direction="okx-mexc", entry_net_bps=60.0)
    orders.pause(settings, ALERTS, paused=False)
    until(lambda: "opportunity:3" in keys(target), lambda: keys(target))


def test_without_a_target_it_leaves_and_is_not_missed(
    up_bed: Any, write: Write, start: Callable[[], Any], spread_ctl: Callable[..., Any]
) -> None:
    write("per_minute_max = 5\n")
    assert start().wait(timeout=60) == 0
    found = row(up_bed)
    assert found is not None
    assert (found.state, found.message) == (
        ProcessState.STOPPED,
        "nobody is to be told: no target is set",
    )
    _, out, _ = spread_ctl("status", "--interval", "0.05")
    assert ALERTS not in out[out.index("Unwell") :]
    write('webhook_url = "http://127.0.0.1:9/"\n')
    _, out, _ = spread_ctl("status", "--interval", "0.05")
    assert ALERTS in out[out.index("Unwell") :]
