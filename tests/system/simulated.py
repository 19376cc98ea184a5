"""What tests of `spread-ctl up --sim` share: how to ask it, and what to wait for."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from bed import until
from spread_scanner.shm import segment

START_S = 180.0
END_S = 60.0
SPREAD_CTL = [sys.executable, "-c", "from spread_scanner.cli.main import main; main()"]
FEED = "feed-okx-spot"
GATEWAY = {"SPREAD_SPREAD_GATEWAY__ENABLED": "true", "SPREAD_SPREAD_GATEWAY__PORT": "0"}

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


class WithGateway(NamedTuple):
    """A simulated system that is up, its gateway too: the environment of a command that meets it,
    and the gateway's address."""

    environ: dict[str, str]
    address: str


@contextlib.contextmanager
def up_with_gateway(
    folder: Path, namespace: str, of_gateway: dict[str, str] = GATEWAY
) -> Iterator[WithGateway]:
    """From up to down. What it writes stands in `folder`."""
    environ = {
        **environment(),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder / "home"),
        **of_gateway,
    }
    (folder / "home").mkdir()
    log = folder / "up.log"
    with log.open("w") as said:
        up = subprocess.Popen(
            [
                *("spread-ctl", "--namespace", namespace, "up", "--sim", "--no-screen"),
                *("--symbols", "30", "--rate", "300", "--keep", str(folder / "run")),
            ],
            env=environ,
            stdout=said,
            stderr=said,
        )
    inside = {
        **environ,
        "SPREAD_CONFIG_DIR": str(folder / "run" / "config"),
        "SPREAD_SYSTEM__NAMESPACE": namespace,
    }
    try:
        until(
            lambda: up.poll() is not None or _address(inside),
            log.read_text,
            timeout_s=START_S,
            look_s=0.5,
        )
        assert up.poll() is None, log.read_text()
        yield WithGateway(inside, _address(inside))
    finally:
        up.terminate()
        up.wait(timeout=END_S)
        for name in segment.names(namespace):
            segment.remove(name)


def _address(environ: dict[str, str]) -> str:
    """Of the gateway of a system that is up; else nothing."""
    done = subprocess.run(
        ["spread-ctl", "status", "--json"], env=environ, capture_output=True, check=False
    )
    rows = orjson.loads(done.stdout)["processes"] if done.returncode == 0 else []
    told = [row["message"] for row in rows if row["process"] == "spread-gateway"]
    return next((message for message in told if message.startswith("http")), "")
