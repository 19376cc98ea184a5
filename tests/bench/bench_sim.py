"""Group sim: what the simulator sends on one core, counted by the feeds that receive it."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
from measure import Figure

from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.schema.names import SHM_INIT
from spread_scanner.shm import Health, segment

BINS = Path(__file__).parents[2] / "bins"
RATE = 200_000  # more than it can: it sends flat out
SETTLED_S_MAX = 60.0
SYMBOLS = 300
_KEYS = [source.label.upper().replace("-", "_") for source in EXCHANGE_SOURCES]


def figures(small: bool) -> Iterator[Figure]:
    symbols, seconds = (24, 1.0) if small else (SYMBOLS, 10.0)
    namespace = f"bench-sim-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environ = {
            **os.environ,
            "SPREAD_CONFIG_DIR": str(folder / "config"),
            "SPREAD_SYSTEM__NAMESPACE": namespace,
            # Quotes alone: what is announced is counted on a row of its own, not with a feed's.
            **{f"SPREAD_EXCHANGES__{name}__NOTICES": "false" for name in _KEYS},
        }
        stack.callback(_remove, namespace)

        def start(name: str, *arguments: str) -> "subprocess.Popen[str]":
            child = subprocess.Popen(
                [sys.executable, str(BINS / name), *arguments],
                env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
            stack.callback(_end, child)
            return child

        simulator = start(
            "exchange-sim", f"--symbols={symbols}", f"--rate={RATE}",
            f"--config-out={folder / 'config'}",
        )  # fmt: skip
        assert simulator.stdout is not None
        control = json.loads(simulator.stdout.readline())["control"]
        for once in (("pair-discovery", "--no-validate"), (SHM_INIT,)):
            if start(*once).wait(120):
                raise RuntimeError(f"{once[0]} failed")
        for source in EXCHANGE_SOURCES:
            start(source.process)
        yield _figure(namespace, simulator.pid, control, symbols, seconds)


def _figure(namespace: str, pid: int, control: str, symbols: int, seconds: float) -> Figure:
    with Health.attach(namespace) as health:
        _await_settled(health)
        messages, cpu_s, began_s = _messages(health), _cpu_s(pid), time.monotonic()
        time.sleep(seconds)
        messages, cpu_s = _messages(health) - messages, _cpu_s(pid) - cpu_s
        elapsed_s = time.monotonic() - began_s
        _verify(health, control)
    value = round(messages / cpu_s)
    return {
        "name": "sim.rate", "unit": "messages/s per core", "value": value, "p50": value,
        "p99": value, "floor": None, "peers": {},
        "params": {
            "symbols": symbols, "received_per_s": round(messages / elapsed_s),
            "cores": round(cpu_s / elapsed_s, 2),
        },
    }  # fmt: skip


def _await_settled(health: Health) -> None:
    """Until every feed carries all of its symbols and has its first quotes behind it."""
    deadline_s = time.monotonic() + SETTLED_S_MAX
    while time.monotonic() < deadline_s:
        names = health.names()
        rows = [
            health.read(one.process).counters for one in EXCHANGE_SOURCES if one.process in names
        ]
        if len(rows) == len(EXCHANGE_SOURCES) and all(
            row["symbols"] and row["subscribes"] >= row["symbols"] and row["quotes"] > 1_000
            for row in rows
        ):
            return
        time.sleep(0.1)
    raise RuntimeError("the feeds never received what they asked for")


def _verify(health: Health, control: str) -> None:
    """All that it says it sent has been received."""
    httpx.post(control, json={"do": "freeze", "source": "all"}).raise_for_status()
    deadline_s = time.monotonic() + SETTLED_S_MAX
    while True:
        sent = httpx.get(f"{control}/state").json()["messages"]
        rows = [health.read(source.process).counters for source in EXCHANGE_SOURCES]
        received = sum(row["messages"] - row["control"] for row in rows)
        if sent == received:
            return
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"sent {sent}, received {received}")
        time.sleep(0.1)


def _messages(health: Health) -> int:
    return sum(health.read(source.process).counters["messages"] for source in EXCHANGE_SOURCES)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _end(child: "subprocess.Popen[str]") -> None:
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(10)
    child.kill()
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _remove(namespace: str) -> None:
    for name in segment.names(namespace):
        segment.remove(name)
