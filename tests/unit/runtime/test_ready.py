"""What systemd is told by a process that comes up, and by one that does not."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.schema.version import version
from spread_scanner.shm import Control, Health

BODY = """
import sys
from spread_scanner.errors import ConfigError
from spread_scanner.runtime.process import run
from spread_scanner.schema.enums import ProcessState
def body(process):
    for name in sys.argv[1].split(","):
        if name == "poll":
            process.poll()
        elif name == "setting":
            raise ConfigError("the token cannot be read", key="alerts.telegram_token_file")
        elif name == "fault":
            raise RuntimeError("a fault of ours")
        else:
            process.state(ProcessState[name])
sys.exit(run("spread-engine", body))
"""


class Told:
    """systemd's end of the notification socket."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self._address = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._address))
        self._socket.settimeout(0.0)
        config = folder / "config"
        config.mkdir()
        (config / "exchanges.toml").write_text(
            "".join(
                f'[{source.label}]\nrest_url = "http://127.0.0.1:9"\nws_url = "ws://127.0.0.1:9"\n'
                for source in EXCHANGE_SOURCES
            )
        )
        self._environ = {
            **os.environ,
            "NOTIFY_SOCKET": str(self._address),
            "WATCHDOG_USEC": "15000000",
            "SPREAD_CONFIG_DIR": str(config),
            "SPREAD_SYSTEM__NAMESPACE": namespace,
        }

    def live(self, *steps: str) -> tuple[int, list[str], str]:
        """Exit code, what systemd was told, what was logged."""
        done = subprocess.run(
            [sys.executable, "-c", BODY, ",".join(steps)],
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        told = []
        while True:
            try:
                told.append(self._socket.recv(1_000).decode())
            except BlockingIOError:
                return done.returncode, told, done.stderr

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def told(tmp_path: Path, namespace: str) -> Iterator[Told]:
    with Health.create(namespace), Control.create(namespace):
        system = Told(tmp_path, namespace)
        yield system
        system.close()


def test_a_process_is_ready_once_it_runs(told: Told) -> None:
    code, said, logged = told.live("RUNNING", "RUNNING", "PAUSED", "RUNNING")
    assert code == 0
    assert said == ["READY=1", "STOPPING=1"]
    began = json.loads(logged.splitlines()[0])
    assert (began["event"], began["version"]) == ("started", version())


@pytest.mark.parametrize("state", ["PAUSED", "DEGRADED"])
def test_a_process_that_comes_up_paused_or_degraded_is_ready_too(told: Told, state: str) -> None:
    assert told.live(state)[1] == ["READY=1", "STOPPING=1"]


def test_a_disabled_process_comes_up_and_leaves(told: Told) -> None:
    """Else systemd takes its clean end for a failed start, and starts it for ever."""
    code, said, _ = told.live("STOPPED")
    assert code == 0
    assert said[0] == "READY=1"


def test_the_watchdog_is_fed_by_the_loop_alone(told: Told) -> None:
    assert told.live("RUNNING", "poll")[1] == ["READY=1", "WATCHDOG=1", "STOPPING=1"]


def test_a_process_that_fails_while_starting_is_never_ready(told: Told) -> None:
    code, said, logged = told.live("poll", "fault")
    assert code == 1
    assert said == ["WATCHDOG=1"]
    event = json.loads(logged.splitlines()[-1])
    assert event["level"] == "error"
    assert "RuntimeError: a fault of ours" in event["exception"]


def test_a_setting_that_proves_bad_late_ends_as_bad_settings(told: Told) -> None:
    code, said, logged = told.live("RUNNING", "setting")
    assert code == 2, "systemd must not start it again and again"
    assert said == ["READY=1"]
    assert json.loads(logged.splitlines()[-1])["event"] == "bad settings"
