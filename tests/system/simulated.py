"""What tests of `spread-ctl up --sim` share: how to ask it, and what to wait for."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

START_S = 180.0
END_S = 60.0
SPREAD_CTL = [sys.executable, "-c", "from spread_scanner.cli.main import main; main()"]
FEED = "feed-okx-spot"

Starter = Callable[..., "subprocess.Popen[bytes]"]
Ask = Callable[..., tuple[int, Any]]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("SPREAD_")}


def wait_for(condition: Callable[[], object], child: "subprocess.Popen[bytes]", why: str) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        if child.poll() is not None:
            out, err = child.communicate()
            pytest.fail(f"ended while waiting until {why}: {out!r} {err!r}")
        assert time.monotonic() < deadline, f"never: {why}"
        time.sleep(0.1)


def is_up(ask: Ask) -> bool:
    code, document = ask("status", "--interval", "0.1")
    supervised = {row["process"]: row["state"] for row in document.get("processes", [])}
    return code == 0 and supervised.get("spread-ctl") == "running"


def rows_of(ask: Ask) -> dict[str, dict[str, Any]]:
    _, document = ask("status", "--interval", "0.05")
    return {row["process"]: row for row in document["processes"]}


def alive(pids: list[int]) -> list[int]:
    """Those that still run; a zombie does not."""
    running = []
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
            if state != "Z":
                running.append(pid)
    return running


@pytest.fixture
def start_up(namespace: str, tmp_path: Path) -> Iterator[Starter]:
    """Starts `spread-ctl up --sim` in this test's namespace and folder, with settings of the engine
    otherwise than the simulator writes them."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*more: str, recorded: bool = False, **engine: str) -> "subprocess.Popen[bytes]":
        settings = {f"SPREAD_SPREAD_ENGINE__{name.upper()}": text for name, text in engine.items()}
        if recorded:
            settings["SPREAD_SPREAD_RECORDER__ENABLED"] = "true"
        command = [*SPREAD_CTL, "--namespace", namespace, "up", "--sim", "--json"]
        command += ["--keep", str(tmp_path), *more]
        environ = environment() | settings
        child = subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(child)
        return child

    yield start
    for child in started:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.communicate()


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Runs another spread-ctl command on the simulated system: (exit code, its JSON)."""

    def run(*arguments: str) -> tuple[int, Any]:
        command = [*SPREAD_CTL, "--config", str(tmp_path / "config"), *arguments, "--json"]
        done = subprocess.run(command, env=environment(), capture_output=True, check=False)
        return done.returncode, orjson.loads(done.stdout)

    return run
