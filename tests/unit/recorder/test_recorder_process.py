"""spread-recorder as a process: off, on, killed at any time while quotes come."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recorder_bed import recorded_of

import bed as waits
from spread_scanner.schema.enums import EXCHANGE_SOURCES, ProcessState
from spread_scanner.schema.names import RECORDER, WAL_FOLDER
from spread_scanner.shm import PriceStore
from spread_scanner.shm.tapes import Tapes
from spread_scanner.wal import reader
from spread_scanner.wal.priority import NICE

ROOT = Path(__file__).parents[3]
KILLS = int(os.environ.get("SPREAD_KILLS", "12"))
FLOOD_S, FLOOD_QUOTES_S = float(os.environ.get("SPREAD_FLOOD_S", "5")), 40_000


@pytest.fixture
def start(up_bed: Any) -> Iterator[Any]:
    started: list[subprocess.Popen[bytes]] = []

    def begin() -> subprocess.Popen[bytes]:
        environ = {**os.environ, "SPREAD_CONFIG_DIR": str(up_bed.folder / "config")}
        started.append(subprocess.Popen([sys.executable, ROOT / "bins" / RECORDER], env=environ))
        return started[-1]

    yield begin
    for child in started:
        child.kill()
        child.wait()


def enable(bed: Any) -> None:
    with (bed.folder / "config" / "config.toml").open("a") as file:
        file.write(f"\n[{RECORDER}]\nenabled = true\n")


def state(bed: Any) -> ProcessState | None:
    with bed.health() as health:
        found = health.read(RECORDER) if RECORDER in health.names() else None
    return found.state if found is not None else None


def test_it_ends_at_once_where_it_is_not_enabled(up_bed: Any, start: Any) -> None:
    assert start().wait(60) == 0
    assert state(up_bed) is ProcessState.STOPPED


@pytest.mark.timeout(120 + 10 * KILLS)
def test_killed_at_any_time_it_loses_nothing_that_is_not_counted(up_bed: Any, start: Any) -> None:
    """Rule of kill -9 under load: each tick number is in the log once, or in a Gap."""
    enable(up_bed)
    seed = waits.seed()
    chance = random.Random(seed)
    folder = up_bed.settings.data_dir / WAL_FOLDER
    with PriceStore.attach(up_bed.namespace) as store, store.writer(0) as writer:
        child = start()
        waits.until(lambda: state(up_bed) is ProcessState.RUNNING, "it runs")
        niceness = os.getpriority(os.PRIO_PROCESS, child.pid)
        assert niceness == min(os.nice(0) + NICE, 19), "feeds go first"
        written, durable = 0, 0
        for _ in range(KILLS):
            deadline = time.monotonic() + chance.uniform(0.05, 0.6)
            while time.monotonic() < deadline:
                for symbol_id in range(50):
                    writer.write(symbol_id, 1, 1, 2, 1, 0, store.clock.now_ns(), written)
                    written += 1
                time.sleep(0.001)
            with up_bed.health() as health:
                durable = max(durable, health.read(RECORDER).counters["durable_seq"])
            child.send_signal(signal.SIGKILL)
            child.wait()
            assert sum(piece.records for piece in reader.pieces(folder)) >= durable
            with Tapes.attach(up_bed.namespace) as tapes:
                told = tapes.recorded(0)
            assert told is None or told.durable <= recorded_of(folder, 0)
            child = start()
            starts = _ + 2
            waits.until(lambda: _starts(up_bed) >= starts, "it is there again")  # noqa: B023
        waits.until(lambda: state(up_bed) is ProcessState.RUNNING, "it runs again")
        child.terminate()
        assert child.wait(60) == 0
    assert recorded_of(folder, 0) == written


@pytest.mark.slow
@pytest.mark.timeout(600 + 2 * FLOOD_S)
def test_a_flood_loses_nothing_that_is_not_counted(up_bed: Any, start: Any) -> None:
    """All sources at 40,000 quotes/s, and at times in bursts that no tape holds. The whole half
    hour is in `make nightly`."""
    enable(up_bed)
    chance = random.Random(waits.seed())
    written, folder = [0] * len(EXCHANGE_SOURCES), up_bed.settings.data_dir / WAL_FOLDER
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(PriceStore.attach(up_bed.namespace))
        writers = [stack.enter_context(store.writer(one.source_id)) for one in EXCHANGE_SOURCES]
        child = start()
        waits.until(lambda: state(up_bed) is ProcessState.RUNNING, "it runs")
        begun = time.monotonic()
        while (passed := time.monotonic() - begun) < FLOOD_S:
            burst = 3 * up_bed.settings.config.system.tape_slots if chance.random() < 1e-3 else 0
            if burst:
                flood(store, writers[0], written, 0, burst)
            for source_id, writer in enumerate(writers):
                due = int(passed * FLOOD_QUOTES_S / len(writers)) - written[source_id]
                flood(store, writer, written, source_id, max(0, due))
            time.sleep(0.002)
        child.terminate()
        assert child.wait(60) == 0
    for one in EXCHANGE_SOURCES:
        assert recorded_of(folder, one.source_id) == written[one.source_id]
    with up_bed.health() as health:
        counters = health.read(RECORDER).counters
    assert counters["ticks"] + counters["ticks_missed"] == sum(written)


def flood(store: PriceStore, writer: Any, written: list[int], source_id: int, count: int) -> None:
    now_ns = store.clock.now_ns()
    for number in range(written[source_id], written[source_id] + count):
        writer.write(number % 50, 1, 1, 2, 1, 0, now_ns, number)
    written[source_id] += count


def _starts(bed: Any) -> int:
    with bed.health() as health:
        found = health.read(RECORDER)
    return 0 if found is None or found.state is ProcessState.STARTING else int(found.starts)
