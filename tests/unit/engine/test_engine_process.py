"""spread-engine as a process: parks and wakes, obeys, survives kill -9, leaves old segments."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_bed import MAX_SYMBOLS, tables

from bed import until
from spread_scanner import clock
from spread_scanner.schema.enums import EXCHANGE_SOURCES, ProcessState, SignalKind
from spread_scanner.shm.control import Control
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shm.health import Health
from spread_scanner.shm.price_store import PriceStore
from spread_scanner.shm.ring import SignalRing
from spread_scanner.shm.wants import Wants
from spread_scanner.symbology.publish import publish

ROOT = Path(__file__).parents[3]
NAME = "spread-engine"
DEADLINE_S = 60.0  # a busy machine may need it, a good run does not


class System:
    """What stands around an engine process: segments, feeds, operator, a consumer of signals."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace = namespace
        self.folder = folder
        self.config = folder / "config"
        self.config.mkdir()
        (self.config / "exchanges.toml").write_text(
            "".join(
                f'[{source.label}]\nrest_url = "https://rest.test"\nws_url = "wss://ws.test"\n'
                "taker_fee_bps = 0.0\n"
                for source in EXCHANGE_SOURCES
            )
        )
        self.write_directions(enter_bps=10)
        self.generation = 0
        self.publish(symbols=1)
        self.environ = {
            "SPREAD_CONFIG_DIR": str(self.config),
            "SPREAD_SYSTEM__NAMESPACE": namespace,
            "SPREAD_SYSTEM__MAX_SYMBOLS": str(MAX_SYMBOLS),
            "SPREAD_SYSTEM__HEARTBEAT_MS_MAX": "60000",
            # Nobody waits for five minutes until it is learned what leaving earns.
            "SPREAD_SPREAD_ENGINE__SIGNAL_BASIS_UNKNOWN": "true",
        }
        self.store = PriceStore.create(namespace, max_symbols=MAX_SYMBOLS)
        self.ring = SignalRing.create(namespace, "signals", slots=1_024)
        self.rows = Evaluations.create(namespace, slots=1_024)
        self.funding = FundingTable.create(namespace, max_symbols=MAX_SYMBOLS)
        self.wants = Wants.create(namespace, max_symbols=MAX_SYMBOLS)
        self.health = Health.create(namespace)
        self.control = Control.create(namespace)
        self.operator = self.control.operator()
        self.consumer = self.ring.consumer()
        self.writers = [self.store.writer(source.source_id) for source in EXCHANGE_SOURCES]
        self.update_id = 0
        self.engine: subprocess.Popen[bytes] | None = None

    def write_directions(self, enter_bps: float) -> None:
        text = f"[defaults]\nenter_bps = {enter_bps}\nexit_bps = 5.0\nresignal_step_bps = 5.0\n"
        (self.config / "directions.toml").write_text(text)

    def publish(self, symbols: int) -> None:
        self.generation += 1
        publish(self.folder / "generated", tables(symbols, generation=self.generation), {})

    def start(self, idle: str = "spin-park") -> None:
        self.engine = subprocess.Popen(
            [sys.executable, ROOT / "bins" / NAME],
            env={**os.environ, **self.environ, "SPREAD_SPREAD_ENGINE__IDLE": idle},
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        until(lambda: self.health.alive(NAME))
        until(lambda: self.health.read(NAME).state in (ProcessState.RUNNING, ProcessState.PAUSED))

    def spread(self, net_bps: float, symbol_id: int = 0) -> None:
        """Books of no width: there is nothing to pay for leaving, at parity."""
        for source_id, px in ((0, 100.0), (3, 100 + net_bps / 100)):
            self.update_id += 1
            self.writers[source_id].heartbeat(clock.mono_ns())
            now_ns = self.store.clock.now_ns()
            self.writers[source_id].write(symbol_id, px, 1, px, 1, now_ns, now_ns, self.update_id)

    def kinds(self, count: int) -> list[SignalKind]:
        found: list[SignalKind] = []
        deadline = time.monotonic() + DEADLINE_S
        while len(found) < count and time.monotonic() < deadline:
            self.consumer.wait(100)
            found += [SignalKind(int(kind)) for kind in self.consumer.pop_many(100)["kind"]]
        return found

    def obey(self, generation: int) -> None:
        acks, missing = self.control.await_acks([NAME], generation, timeout_s=DEADLINE_S)
        assert not missing
        assert acks[0].generation == generation

    def ends(self) -> int:
        assert self.engine is not None
        return self.engine.wait(DEADLINE_S)

    def close(self) -> None:
        if self.engine is not None:
            with contextlib.suppress(ProcessLookupError):
                self.engine.kill()
            self.engine.wait()
        for writer in self.writers:
            writer.close()
        for close in (self.consumer.close, self.operator.close, self.control.close):
            close()
        self.funding.close()
        self.wants.close()
        for close in (self.health.close, self.rows.close, self.ring.close, self.store.close):
            close()


@pytest.fixture
def system(namespace: str, tmp_path: Path) -> Iterator[System]:
    made = System(namespace, tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("idle", ["spin", "spin-park", "park"])
def test_the_process_signals_whichever_way_it_idles_and_ends_on_sigterm(
    system: System, idle: str
) -> None:
    system.start(idle)
    if idle != "spin":
        until(lambda: system.health.read(NAME).counters["parks"] > 0)
    system.spread(15)
    assert system.kinds(1) == [SignalKind.ENTER]
    system.spread(0)
    assert system.kinds(1) == [SignalKind.EXIT]
    until(lambda: system.health.read(NAME).counters["signals"] == 2)
    health = system.health.read(NAME)
    assert health.generation == 1
    assert health.latencies["cycle"].total > 0
    assert system.engine is not None
    system.engine.send_signal(signal.SIGTERM)
    assert system.ends() == 0


def test_a_kill_is_in_force_when_it_is_acknowledged(system: System) -> None:
    system.start()
    system.obey(system.operator.kill())
    system.spread(15)
    until(lambda: system.health.read(NAME).counters["no_killed"] > 0)
    assert system.ring.position == 0
    system.obey(system.operator.kill(killed=False))
    assert system.kinds(1) == [SignalKind.ENTER]


def test_a_pause_is_shown_and_survives_a_restart(system: System) -> None:
    system.start()
    system.obey(system.operator.pause(NAME))
    until(lambda: system.health.read(NAME).state is ProcessState.PAUSED)
    assert system.engine is not None
    system.engine.kill()
    system.ends()
    system.start()
    until(lambda: system.health.read(NAME).state is ProcessState.PAUSED)
    system.spread(15)
    until(lambda: system.health.read(NAME).counters["no_paused"] > 0)
    assert system.ring.position == 0


def test_after_kill_9_the_next_life_enters_what_stands_and_numbers_on(system: System) -> None:
    system.start()
    system.spread(15)
    assert system.kinds(1) == [SignalKind.ENTER]
    assert system.engine is not None
    system.engine.kill()
    system.ends()
    until(lambda: not system.health.alive(NAME))
    system.spread(16)
    system.start()
    until(lambda: system.ring.position == 2)
    signals = system.consumer.pop_many(10)
    assert list(signals["seq"]) == [1]
    assert list(signals["kind"]) == [SignalKind.ENTER]
    assert system.health.read(NAME).starts == 2


def test_a_reload_takes_new_tables_and_settings_and_keeps_old_ones_when_they_are_bad(
    system: System,
) -> None:
    system.start()
    system.spread(30, symbol_id=1)
    system.publish(symbols=2)
    system.write_directions(enter_bps=25)
    system.obey(system.operator.reload(NAME))
    assert system.kinds(1) == [SignalKind.ENTER]
    health = system.health.read(NAME)
    assert (health.generation, health.counters["reloads"]) == (2, 1)
    (system.folder / "generated" / "current").unlink()
    system.write_directions(enter_bps=-1e9)
    system.obey(system.operator.reload(NAME))
    assert system.health.read(NAME).generation == 2
    system.spread(31, symbol_id=0)
    assert system.kinds(1) == [SignalKind.ENTER]


def test_segments_that_were_replaced_end_the_process_with_4(system: System, namespace: str) -> None:
    system.start()
    PriceStore.create(namespace, max_symbols=MAX_SYMBOLS).close()
    assert system.ends() == 4
