"""The machine sleeps while the market moves: nothing that was said before is used after it.

All processes of the product are stopped, and their awake clock does not count it
(sleepless_clock.c, preloaded). Every connection is dead by then, as it is when the network was off.
"""

import contextlib
import mmap
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SignalKind
from spread_scanner.schema.records import signals_apart
from spread_scanner.shm import Health
from spread_scanner.view.signals import SignalTail

pytestmark = pytest.mark.timeout(240)
DEADLINE_S = 90.0
ASLEEP_S = 12  # the supervisor takes a process for hung after 10 s
AWARE = (*(source.process for source in EXCHANGE_SOURCES), "spread-engine", "spread-tracker")
RUN = "from spread_scanner.{} import main; main()"


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


class Machine:
    """A simulator that stays awake, and a system of which the test decides when it sleeps."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self.namespace = namespace
        library, less = folder / "clock.so", folder / "less"
        source = Path(__file__).with_name("sleepless_clock.c")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, source], check=True)
        less.write_bytes(bytes(mmap.PAGESIZE))
        with less.open("r+b") as file:
            self._less = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        words = ["--seed", "3", "--symbols", "20", "--rate", "400"]
        words += ["--config-out", str(folder / "config"), "--truth", str(folder / "truth")]
        self._sim = subprocess.Popen(
            [sys.executable, "-c", RUN.format("sim.cli"), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._sim.stdout is not None
        self._control = (
            f"http://127.0.0.1:{orjson.loads(self._sim.stdout.readline())['port']}/control"
        )
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SPREAD_")},
            "SPREAD_CONFIG_DIR": str(folder / "config"),
            "SPREAD_SYSTEM__NAMESPACE": namespace,
            "SPREAD_PAIR_DISCOVERY__VALIDATE_S": "2",
            # Nobody waits for five minutes until it is known what leaving usually earns.
            "SPREAD_SPREAD_ENGINE__SIGNAL_BASIS_UNKNOWN": "true",
            "LD_PRELOAD": str(library),
            "MONOTONIC_LESS": str(less),
        }
        self._ctl = [sys.executable, "-c", RUN.format("cli.main")]
        self._up = subprocess.Popen(
            [*self._ctl, "up", "--json"], env=self._environ, stdout=subprocess.PIPE
        )

    def ask(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*self._ctl, *words], env=self._environ, capture_output=True, check=False
        )

    def do(self, *what: dict[str, Any]) -> None:
        httpx.post(self._control, json=list(what), timeout=10).raise_for_status()

    def price(self, label: str, symbol: str) -> float:
        sent = httpx.get(f"{self._control}/sent", timeout=10).json()
        return float(
            next(one["bid_px"] for one in sent if (one["source"], one["symbol"]) == (label, symbol))
        )

    def sleep(self) -> int:
        """Sleep for ASLEEP_S; returns when it woke, monotonic."""
        children = Path(f"/proc/{self._up.pid}/task/{self._up.pid}/children").read_text().split()
        pids = [self._up.pid, *map(int, children)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(ASLEEP_S)
        self._less[:8] = struct.pack("q", ASLEEP_S * NS_PER_S)
        woke_ns = clock.mono_ns()
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
        return woke_ns

    def end(self) -> dict[str, Any]:
        """What `up` has to say of its run."""
        self._up.send_signal(signal.SIGINT)
        document: dict[str, Any] = orjson.loads(self._up.communicate(timeout=60)[0])
        return document

    def close(self) -> None:
        for process in (self._up, self._sim):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in (self._up, self._sim):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=30)
            process.kill()
            process.communicate()
        self._less.close()


@pytest.fixture
def machine(tmp_path: Path, namespace: str) -> Iterator[Machine]:
    made = Machine(tmp_path, namespace)
    yield made
    made.close()


@pytest.mark.slow
def test_no_signal_rests_on_a_quote_from_before_the_sleep(machine: Machine) -> None:
    until(lambda: machine.ask("status").returncode == 0, "the system is up")
    price = machine.price("bybit-futures", "BTC-USDT")
    with (
        SignalTail.attach(machine.namespace) as tail,
        Health.attach(machine.namespace) as health,
    ):
        machine.do(*({"do": "half-open", "source": source.label} for source in EXCHANGE_SOURCES))
        before = {name: health.read(name) for name in AWARE}
        woke_ns = machine.sleep()
        until(
            lambda: all(health.read(name).counters["suspends"] == 1 for name in AWARE),
            "everybody notices",
        )
        until(
            lambda: all(
                health.read(name).counters["connects"] > before[name].counters["connects"]
                for name in AWARE[:-2]
            ),
            "every feed has dialled anew",
        )
        moved = {"symbol": "BTC-USDT", "bid_sz": "1", "ask_sz": "1"}
        moved |= {"bid_px": f"{price * 1.03:.1f}", "ask_px": f"{price * 1.03 + 1:.1f}"}
        signals: list[Any] = []

        def signalled() -> bool:
            # Said again at each look: the market walks on, and the other legs may come later.
            machine.do({"do": "quote", "source": "bybit-futures", **moved})
            signals.extend(
                one
                for one in signals_apart(tail.take())[0]
                if one["mono_ns"] >= woke_ns and one["kind"] != int(SignalKind.EXIT)
            )
            return bool(signals)

        until(signalled, "a signal on what was said since")
        for one in signals:
            woke_session_ns = woke_ns + int(one["ts_engine"]) - int(one["mono_ns"])
            assert min(one["spot_ts_recv"], one["fut_ts_recv"]) >= woke_session_ns
        pids = {name: health.read(name).pid for name in AWARE}
    document = machine.end()

    assert pids == {name: row.pid for name, row in before.items()}, "nobody was taken for hung"
    assert document["restarts"] == 0
