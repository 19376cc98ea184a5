"""`status` of a system whose processes are killed: what it shows is right at any moment.

Feeds, engine and tracker are killed one after the other and stay away for AWAY_S, while the market
goes on and status is read again and again. Whoever is away is unwell, and nobody else but whom the
machine starves; nothing is counted as lost; no rate is negative; and no latency holds the time that
somebody was away: neither what waited for a start, nor what ended because a leg was lost. After
each return all is well again. The settings are those of a simulated run.

A machine that starves everybody excuses what it causes, by the gaps of heartbeats that nobody
struck: it may make one unwell for a while, and adds its own time to a latency.
"""

import contextlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from whole_system import (
    DEADLINE_S,
    ENGINE,
    FEEDS,
    STAYING,
    TRACKER,
    Pulse,
    WholeSystem,
    whole_system,
)

import bed
from bed import until
from spread_scanner import clock, config
from spread_scanner.view.processes import HEADLINE, kind_of
from spread_scanner.view.status import Status, StatusReader, attached

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

AWAY_S = 10.0
LATE_NS = 5 * 10**9  # half of it: a backlog, or a leg that was lost, is later
STARVED_S = 30.0  # so long after a gap is whoever is unwell excused: its lines come back by then
LOOK_S = 0.05
COUNTED = 20  # signals, so that one among them shows


class Watcher:
    """Reads the status and holds each reading to what must be."""

    def __init__(self, system: WholeSystem) -> None:
        environ = {"SPREAD_SYSTEM__NAMESPACE": system.namespace}
        self._settings = config.load(system.config, environ)
        self._system = system
        self._attached = contextlib.ExitStack()
        segments = self._attached.enter_context(attached(system.namespace))
        self._reader = StatusReader(self._settings, segments)
        self.pulse = Pulse(system)
        self.readings = 0
        self.worst_ns: dict[str, int] = {}

    def close(self) -> None:
        self._attached.close()

    def look(self, struck: str = "") -> Status:
        """One reading; `struck` may be unwell."""
        self.pulse.look(but={struck})
        now = self._reader.look()
        self.readings += 1
        beats_ms_max = self._settings.config.system.heartbeat_ms_max
        late_ns = LATE_NS + self._starved_ns()
        for view in now.processes:
            if view.process not in STAYING:
                continue
            starved = (view.heartbeat_age_ms or 0.0) > beats_ms_max or self._starves()
            assert view.healthy or view.process == struck or starved, view
            assert view.drops == 0, view
            assert all(rate >= 0 for rate in view.rates_per_s.values()), view
            assert (view.heartbeat_age_ms or 0.0) >= 0, view
            assert 0 <= (view.good_symbols or 0) <= (view.symbols or 0), view
            assert view.alive or not view.good_symbols, view
            assert (view.p50_us or 0.0) <= (view.p99_us or 0.0) < late_ns / 1e3, view
            self._latency(view.process, late_ns)
        stands = [one.key for one in now.conditions if not one.deliberate]
        assert now.ok == (not now.unwell and not now.starting and not stands), stands
        assert not now.mixed or "mixed" in stands
        return now

    def _starves(self) -> bool:
        """Whether the machine had no time for somebody lately."""
        lately_ns = clock.mono_ns() - int(STARVED_S * 1e9)
        return any((gap.end_ns or 0) > lately_ns for gap in self.pulse.gaps)

    def _starved_ns(self) -> int:
        """The longest that somebody had to wait for the machine."""
        return max(((gap.end_ns or 0) - gap.start_ns for gap in self.pulse.gaps), default=0)

    def _latency(self, process: str, late_ns: int) -> None:
        """The slowest that is in its percentiles: one that waited for a start shows at once."""
        latencies = self._system.health.read(process).latencies
        counted = latencies[HEADLINE[kind_of(process)]]
        slowest_ns = int(counted.max_ns) if counted.total else 0
        self.worst_ns[process] = max(self.worst_ns.get(process, 0), slowest_ns)
        assert slowest_ns < late_ns, (process, slowest_ns)

    def counted(self) -> tuple[int, int]:
        """Latencies of the engine and of the tracker so far."""
        read = self._system.health.read
        engine, tracker = read(ENGINE).latencies, read(TRACKER).latencies
        return engine["recv_to_signal"].total, tracker["recv_to_pop"].total

    def goes_on(self, struck: str = "") -> None:
        """Until all is well and new signals have been counted."""
        before = self.counted()

        def well() -> bool:
            now = self.look(struck)
            more = zip(self.counted(), before, strict=True)
            return now.ok and all(after >= count + COUNTED for after, count in more)

        until(
            well,
            lambda: (self._reader.look(), self.counted(), before),
            timeout_s=DEADLINE_S,
            look_s=LOOK_S,
        )


def strike(system: WholeSystem, watcher: Watcher, who: str) -> None:
    child = system.children[who]
    child.signal(signal.SIGKILL)
    until(lambda: child.ended() is not None, lambda: f"{who} ends")
    ends_s = time.monotonic() + AWAY_S
    while time.monotonic() < ends_s:
        now = watcher.look(who)
        assert who in now.unwell, now
        assert next(view.state for view in now.processes if view.process == who) == "dead"
        time.sleep(LOOK_S)
    child.start()
    until(lambda: watcher.look(who) and system.runs(who), f"{who} runs", look_s=LOOK_S)
    watcher.goes_on(who)


def status_exits(system: WholeSystem, code: int) -> dict[str, object]:
    """What it says when it does; one that the machine starves is unwell for a moment."""
    until(lambda: told(system, "status")[0] == code, f"status exits with {code}")
    return told(system, "status")[1]


def told(system: WholeSystem, *words: str) -> tuple[int, dict[str, object]]:
    """What the command says and how it ends."""
    code = "from spread_scanner.cli.main import main; main()"
    command = [sys.executable, "-c", code, "--config", str(system.config)]
    command += ["--namespace", system.namespace, *words, "--json"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=DEADLINE_S)
    return done.returncode, orjson.loads(done.stdout)


def test_status_is_right_at_any_moment_of_a_run_with_kills(tmp_path: Path, namespace: str) -> None:
    seed = bed.seed()
    choice = random.Random(seed)
    blows = [ENGINE, TRACKER, *choice.sample(FEEDS, 2)]
    choice.shuffle(blows)
    simulator = ("--symbols=12", "--rate=600", "--plant-every-s=0.2", "--time-scale=0.5")
    with whole_system(tmp_path, namespace, *simulator) as system:
        system.start()
        watcher = Watcher(system)
        watcher.goes_on()
        for who in blows:
            strike(system, watcher, who)
        status_exits(system, 0)
        until(lambda: told(system, "halt")[0] == 0, "all answer")
        status_exits(system, 3)
        system.end_all()
        assert status_exits(system, 1)["unwell"] == [*STAYING]
        watcher.close()
        print(watcher.readings, "readings; slowest, ns:", watcher.worst_ns, watcher.pulse.gaps)
    assert status_exits(system, 4)["exit_code"] == 4
