"""The tracker as a process, on real shared memory: killed, stopped, starved, and what it keeps."""

import contextlib
import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spread_scanner.schema.enums import DIRECTIONS, ProcessState, SignalKind
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import Control, Health, PriceStore, SignalRing, segment
from spread_scanner.symbology.publish import publish
from spread_scanner.symbology.tables import DirectionRow, InstrumentRow, SymbolRow, Tables

ROOT = Path(__file__).parents[2]
TRACKER = ROOT / "bins" / "spread-tracker"
DIRECTION = DIRECTIONS[0]
SYMBOLS = 64
NS_PER_S = 1_000_000_000
_numbers = itertools.count()


def until(condition: Callable[[], bool], what: str, *, timeout_s: float = 20.0) -> None:
    """Wait for a condition, not for a time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.005)


class System:
    """Shared memory, tables and settings for one tracker; feeds and engine are the test itself."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.namespace = f"test-tracker-{os.getpid()}-{next(_numbers)}"
        self.config = folder / "config"
        self.config.mkdir()
        shutil.copy(ROOT / "config" / "exchanges.toml", self.config)
        self.set(**settings)
        self.publish(generation=1)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.seq = 0
        with contextlib.ExitStack() as stack:
            self.store = stack.enter_context(
                PriceStore.create(self.namespace, num_sources=8, max_symbols=SYMBOLS)
            )
            self.ring = stack.enter_context(
                SignalRing.create(self.namespace, "signals", slots=65_536)
            )
            self.health = stack.enter_context(Health.create(self.namespace))
            self.control = stack.enter_context(Control.create(self.namespace))
            self.producer = stack.enter_context(self.ring.producer())
            self.spot = stack.enter_context(self.store.writer(DIRECTION.spot.source_id))
            self.futures = stack.enter_context(self.store.writer(DIRECTION.futures.source_id))
            self._stack = stack.pop_all()

    @property
    def database(self) -> Path:
        return self.folder / "data" / "tracker.db"

    def set(self, **settings: object) -> None:
        lines = [f"{key} = {value}" for key, value in settings.items()]
        (self.config / "config.toml").write_text(
            f'[system]\nnamespace = "{self.namespace}"\nmax_symbols = {SYMBOLS}\n'
            "heartbeat_ms = 20\nheartbeat_ms_max = 60000\n"
            "[spread-tracker]\nreport_every_s = 0.0\n" + "\n".join(lines)
        )

    def publish(self, generation: int, symbols: int = SYMBOLS) -> None:
        rows = range(symbols)
        sources = (DIRECTION.spot.source_id, DIRECTION.futures.source_id)
        tables = Tables(
            generation=generation,
            created_wall_ns=0,
            symbols=tuple(SymbolRow(n, f"C{n}-USDT", f"C{n}", "USDT") for n in rows),
            instruments=tuple(
                InstrumentRow(
                    source, n, f"C{n}USDT", 1.0, 1.0, None, None, None, None, False, False
                )
                for source in sources
                for n in rows
            ),
            directions=(DirectionRow(DIRECTION.direction_id, tuple(rows)),),
            funding=(),
            quarantine=(),
        )
        publish(self.folder / "generated", tables, {})

    def start(self, **options: Any) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, TRACKER],
                env={**os.environ, "SPREAD_CONFIG_DIR": str(self.config)},
                stderr=log,
                **options,
            )
        self.processes.append(process)
        return process

    def running(self, process: "subprocess.Popen[bytes]") -> None:
        def ready() -> bool:
            assert process.poll() is None, (self.folder / "log").read_text()
            row = self.row()
            return (
                row is not None
                and row.pid == process.pid
                and row.state
                in (
                    ProcessState.RUNNING,
                    ProcessState.DEGRADED,
                )
            )

        until(ready, "the tracker runs")

    def row(self) -> Any:
        if "spread-tracker" not in self.health.names():
            return None
        return self.health.read("spread-tracker")

    def counter(self, label: str) -> int:
        row = self.row()
        return 0 if row is None else int(row.counters[label])

    def quote(self, symbol_id: int, spot_px: float = 100.0, fut_px: float = 101.0) -> None:
        """Both legs: entering earns fut_px / spot_px, closing costs a little more."""
        now_ns = self.store.clock.now_ns()
        for writer, px in ((self.spot, spot_px), (self.futures, fut_px)):
            writer.heartbeat(time.monotonic_ns())
            writer.write(symbol_id, px - 0.01, 5.0, px, 5.0, now_ns, now_ns, self.seq)

    def signals(self, *wanted: tuple[int, SignalKind]) -> int:
        """Push signals with consecutive numbers; returns how many went in."""
        records = np.zeros(len(wanted), SIGNAL_DTYPE)
        now_ns = self.store.clock.now_ns()
        for name in ("ts_engine", "ts_trigger", "spot_ts_recv", "fut_ts_recv"):
            records[name] = now_ns
        records["mono_ns"] = time.monotonic_ns()
        for side in ("bid", "ask"):
            records[f"spot_{side}_px"], records[f"fut_{side}_px"] = 100.0, 101.0
            records[f"spot_{side}_sz"] = records[f"fut_{side}_sz"] = 5.0
        records["gross_bps"], records["fees_bps"], records["net_bps"] = 100.0, 20.0, 80.0
        records["exit_bps"], records["size_quote"] = -102.0, 500.0
        records["generation"] = 1
        records["instance"] = self.store.instance_id & 0xFFFF_FFFF
        records["direction_id"] = DIRECTION.direction_id
        records["symbol_id"] = [symbol_id for symbol_id, _ in wanted]
        records["kind"] = [kind for _, kind in wanted]
        records["seq"] = np.arange(self.seq, self.seq + len(wanted))
        went = self.producer.push_many(records)
        self.seq += went
        return int(went)

    def rows(self, query: str) -> list[Any]:
        connection = sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=10)
        with contextlib.closing(connection):
            return connection.execute(query).fetchall()

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self._stack.close()
        segment.clean(self.namespace)
        assert not segment.names(self.namespace)


@pytest.fixture
def make_system(tmp_path: Path) -> Iterator[Callable[..., System]]:
    with contextlib.ExitStack() as stack:

        def make(**settings: object) -> System:
            system = System(tmp_path, **settings)
            stack.callback(system.close)
            return system

        yield make


def test_a_signal_becomes_an_opportunity_that_is_sampled_and_closed(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=20, converge_hold_ms=100, commit_ms=10)
    system.quote(3)
    process = system.start()
    system.running(process)

    system.signals((3, SignalKind.ENTER), (3, SignalKind.RESIGNAL))
    until(lambda: system.counter("samples") > 5, "samples")
    until(lambda: system.counter("probes") + system.counter("probes_missed") == 4, "probes")
    system.quote(3, 100.0, 100.0)  # closing now costs 1 bp
    until(lambda: system.counter("closed_converged") == 1, "convergence")
    process.send_signal(signal.SIGTERM)

    assert process.wait(10) == 0, (system.folder / "log").read_text()
    [(symbol, reason, signals, samples)] = system.rows(
        "SELECT symbol, reason, signals, samples FROM opportunities"
    )
    assert (symbol, reason, signals) == ("C3-USDT", "converged", 2)
    assert system.rows("SELECT count(*) FROM samples") == [(samples,)]
    assert system.rows("SELECT count(*) FROM probes") == [(4,)]
    assert system.rows("SELECT last_seq FROM positions") == [(1,)]
    assert system.ring.counters().in_ring == 0
    assert system.row().latencies["recv_to_pop"].total == 2
    for file in system.database.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_nothing_is_lost_or_taken_twice_over_many_kills(
    make_system: Callable[..., System],
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    system = make_system(sample_ms=20, commit_ms=5, life_s_max=3600)
    expected = dict.fromkeys(range(SYMBOLS), 0)
    for symbol_id in range(SYMBOLS):
        system.quote(symbol_id)
    kills = int(os.environ.get("SPREAD_TRACKER_KILLS", "8"))

    for _ in range(kills):
        process = system.start()
        deadline = time.monotonic() + chance.uniform(0.2, 1.2)
        while time.monotonic() < deadline:
            wanted = [
                (chance.randrange(SYMBOLS), SignalKind.RESIGNAL)
                for _ in range(chance.randrange(1, 20))
            ]
            assert system.signals(*wanted) == len(wanted)
            for symbol_id, _kind in wanted:
                expected[symbol_id] += 1
            time.sleep(chance.uniform(0, 0.01))
        process.kill()
        process.wait()
        assert process.returncode == -signal.SIGKILL, (system.folder / "log").read_text()
    process = system.start()
    system.running(process)
    until(lambda: system.ring.counters().in_ring == 0, "everything committed and released")
    process.send_signal(signal.SIGTERM)

    assert process.wait(10) == 0, (system.folder / "log").read_text()
    found = dict(system.rows("SELECT symbol_id, sum(signals) FROM opportunities GROUP BY 1"))
    assert found == {symbol_id: count for symbol_id, count in expected.items() if count}
    assert system.rows("SELECT last_seq FROM positions") == [(system.seq - 1,)]
    assert system.rows("PRAGMA integrity_check") == [("ok",)]
    assert system.rows("SELECT count(*) FROM opportunities WHERE closed_ns IS NOT NULL") == [(0,)]
    assert system.rows("SELECT min(gaps) > 0 FROM opportunities") == [(1,)]
    assert system.counter("signal_gaps") == 0
    stored = system.rows(
        "SELECT sum(o.samples) = (SELECT count(*) FROM samples) FROM opportunities o"
    )
    assert stored == [(1,)]
