"""The tracker as a process, on real shared memory: killed, stopped, starved, and what it keeps."""

import contextlib
import itertools
import os
import random
import resource
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

import bed
from bed import until
from spread_scanner import clock
from spread_scanner.schema.enums import DIRECTIONS, ProcessState, SignalKind
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import Control, Health, PriceStore, SignalRing, segment
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shm.wants import Wants
from spread_scanner.symbology.publish import publish
from spread_scanner.symbology.tables import DirectionRow, InstrumentRow, SymbolRow, Tables

ROOT = Path(__file__).parents[2]
TRACKER = ROOT / "bins" / "spread-tracker"
DIRECTION = DIRECTIONS[0]
SYMBOLS = 64
NS_PER_S = 1_000_000_000
_numbers = itertools.count()


class System:
    """Shared memory, tables and settings for one tracker; feeds and engine are the test itself."""

    def __init__(self, folder: Path, *, slots: int = 65_536, **settings: Any) -> None:
        self.folder = folder
        self.slots = slots
        self.namespace = f"test-tracker-{os.getpid()}-{next(_numbers)}"
        self.config = folder / "config"
        self.config.mkdir()
        shutil.copy(ROOT / "config" / "exchanges.toml", self.config)
        self.set(**settings)
        self.publish(generation=1)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.generation = 1
        self.make_segments()

    def make_segments(self) -> None:
        """As shm-init does; called again, it retires what stands."""
        self.seq = 0
        with contextlib.ExitStack() as stack:
            self.store = stack.enter_context(
                PriceStore.create(self.namespace, num_sources=8, max_symbols=SYMBOLS)
            )
            self.ring = stack.enter_context(
                SignalRing.create(self.namespace, "signals", slots=self.slots)
            )
            self.health = stack.enter_context(Health.create(self.namespace))
            self.control = stack.enter_context(Control.create(self.namespace))
            stack.enter_context(Connections.create(self.namespace))
            stack.enter_context(FundingTable.create(self.namespace, max_symbols=SYMBOLS))
            stack.enter_context(Wants.create(self.namespace, max_symbols=SYMBOLS))
            self.producer = stack.enter_context(self.ring.producer())
            self.spot = stack.enter_context(self.store.writer(DIRECTION.spot.source_id))
            self.futures = stack.enter_context(self.store.writer(DIRECTION.futures.source_id))
            self._stack = stack.pop_all()

    @property
    def database(self) -> Path:
        return self.folder / "data" / "tracker.db"

    def set(self, *, heartbeat_ms_max: int = 60_000, **settings: object) -> None:
        # Who shall find a leg stale says so: the test, which is the feed, quotes once, and a slow
        # machine takes longer than any heartbeat may be old.
        settings = {"report_every_s": 0.0, "stale_hold_ms": 3_600_000, **settings}
        lines = [f"{key} = {value}" for key, value in settings.items()]
        (self.config / "config.toml").write_text(
            f'[system]\nnamespace = "{self.namespace}"\nmax_symbols = {SYMBOLS}\n'
            f"heartbeat_ms = 20\nheartbeat_ms_max = {heartbeat_ms_max}\n"
            "[spread-tracker]\n" + "\n".join(lines)
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

    def start(self, *before: str) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*before, sys.executable, str(TRACKER)],
                env={**os.environ, "SPREAD_CONFIG_DIR": str(self.config)},
                stderr=log,
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

    def state(self) -> ProcessState | None:
        row = self.row()
        return None if row is None else row.state

    def counter(self, label: str) -> int:
        row = self.row()
        return 0 if row is None else int(row.counters[label])

    def quote(self, symbol_id: int, spot_px: float = 100.0, fut_px: float = 101.0) -> None:
        """Both legs: entering earns fut_px / spot_px, closing costs a little more."""
        now_ns = self.store.clock.now_ns()
        for writer, px in ((self.spot, spot_px), (self.futures, fut_px)):
            writer.heartbeat(clock.mono_ns())
            writer.write(symbol_id, px - 0.01, 5.0, px, 5.0, now_ns, now_ns, self.seq)

    def signals(self, *wanted: tuple[int, SignalKind]) -> int:
        """Push signals with consecutive numbers; returns how many went in."""
        records = np.zeros(len(wanted), SIGNAL_DTYPE)
        now_ns = self.store.clock.now_ns()
        for name in ("ts_engine", "ts_trigger", "spot_ts_recv", "fut_ts_recv"):
            records[name] = now_ns
        records["mono_ns"] = clock.mono_ns()
        for side in ("bid", "ask"):
            records[f"spot_{side}_px"], records[f"fut_{side}_px"] = 100.0, 101.0
            records[f"spot_{side}_sz"] = records[f"fut_{side}_sz"] = 5.0
        records["gross_bps"], records["fees_bps"], records["net_bps"] = 100.0, 20.0, 80.0
        records["exit_bps"], records["size_quote"] = -102.0, 500.0
        records["spot_fee_bps"] = 4.0
        records["generation"] = self.generation
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

    def opened(self) -> int:
        """How many opportunities the database knows."""
        try:
            [(opened,)] = self.rows("SELECT count(*) FROM opportunities")
        except sqlite3.OperationalError:  # no life came as far as making it
            return 0
        return int(opened)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        self._stack.close()
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        segment.clean(self.namespace)
        assert not segment.names(self.namespace)


@pytest.fixture
def make_system(tmp_path: Path) -> Iterator[Callable[..., System]]:
    with contextlib.ExitStack() as stack:

        def make(**settings: Any) -> System:
            system = System(tmp_path, **settings)
            stack.callback(system.close)
            return system

        yield make


def test_a_signal_becomes_an_opportunity_that_is_sampled_and_closed(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=20, converge_ms=100, commit_ms=10)
    system.quote(3)
    process = system.start()
    system.running(process)

    system.signals((3, SignalKind.ENTER), (3, SignalKind.RESIGNAL))
    until(lambda: system.counter("samples") > 5, "samples")
    until(lambda: system.counter("probes") + system.counter("probes_missed") == 4, "probes")
    system.quote(3, 100.0, 100.0)  # closing now costs 1 bp, of 80
    until(lambda: system.counter("closed_converged") == 1, "convergence")
    process.send_signal(signal.SIGTERM)

    assert process.wait(60) == 0, (system.folder / "log").read_text()
    [(symbol, reason, signals, samples, realised)] = system.rows(
        "SELECT symbol, reason, signals, samples, realised_bps FROM opportunities"
    )
    assert (symbol, reason, signals) == ("C3-USDT", "converged", 2)
    # Less each fee on its own notional: 4 bps of the spot's, 6 of the perpetual's.
    assert realised == pytest.approx(100 - 1 - (4 * 199.99 + 6 * 201) / 100)
    assert system.rows("SELECT count(*) FROM samples") == [(samples,)]
    assert system.rows("SELECT count(*) FROM probes") == [(4,)]
    assert system.rows("SELECT last_seq FROM positions WHERE stream NOT LIKE 'store %'") == [(1,)]
    assert system.ring.counters().in_ring == 0
    assert system.row().latencies["recv_to_pop"].total == 2
    for file in system.database.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_nothing_is_lost_or_taken_twice_over_many_kills(
    make_system: Callable[..., System],
) -> None:
    seed = bed.seed()
    chance = random.Random(seed)
    system = make_system(sample_ms=20, commit_ms=5, life_s_max=3600)
    expected = dict.fromkeys(range(SYMBOLS), 0)
    for symbol_id in range(SYMBOLS):
        system.quote(symbol_id)
    kills = int(os.environ.get("SPREAD_TRACKER_KILLS", "8"))

    for life in range(kills):
        # Long pauses between commits leave much in the ring, short ones hit the commit itself.
        system.set(sample_ms=20, commit_ms=chance.choice([1, 5, 50, 300]), life_s_max=3600)
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
        if life == kills - 1:  # however slowly the others began, each has a gap by the next one
            until(lambda: system.opened() == SYMBOLS, "all symbols in the database")
        process.kill()
        process.wait()
        assert process.returncode == -signal.SIGKILL, (system.folder / "log").read_text()
    process = system.start()
    system.running(process)
    until(lambda: system.ring.counters().in_ring == 0, "everything committed and released")
    process.send_signal(signal.SIGTERM)

    assert process.wait(60) == 0, (system.folder / "log").read_text()
    found = dict(system.rows("SELECT symbol_id, sum(signals) FROM opportunities GROUP BY 1"))
    assert found == {symbol_id: count for symbol_id, count in expected.items() if count}
    assert system.rows("SELECT last_seq FROM positions WHERE stream NOT LIKE 'store %'") == [
        (system.seq - 1,)
    ]
    assert system.rows("PRAGMA integrity_check") == [("ok",)]
    assert system.rows("SELECT count(*) FROM opportunities WHERE closed_ns IS NOT NULL") == [(0,)]
    assert system.rows("SELECT min(gaps) > 0 FROM opportunities") == [(1,)]
    assert system.counter("signal_gaps") == 0
    stored = system.rows(
        "SELECT sum(o.samples) = (SELECT count(*) FROM samples) FROM opportunities o"
    )
    assert stored == [(1,)]


def stop(system: System, process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, (system.folder / "log").read_text()


def all_signals_stored(system: System, path: Path | None = None) -> None:
    """Every signal pushed is reflected exactly once, and the database is sound."""
    file = path or system.database
    with contextlib.closing(sqlite3.connect(file)) as connection:
        ask = connection.execute
        assert ask("SELECT sum(signals) FROM opportunities").fetchone() == (system.seq,)
        assert ask("SELECT last_seq FROM positions WHERE stream NOT LIKE 'store %'").fetchone() == (
            system.seq - 1,
        )
        assert ask("PRAGMA integrity_check").fetchone() == ("ok",)
        samples = ask("SELECT sum(samples) FROM opportunities").fetchone()
        assert ask("SELECT count(*) FROM samples").fetchone() == samples


def goes_on_while_it_cannot_write(system: System) -> None:
    """DEGRADED is shown, with the reason; signals and samples go on being taken and counted."""
    until(lambda: system.state() is ProcessState.DEGRADED, "the fault is shown")
    assert system.row().message.startswith("database: "), system.row().message
    signals, samples = system.counter("signals"), system.counter("samples")
    system.signals(*[(symbol_id, SignalKind.RESIGNAL) for symbol_id in range(8)])
    until(lambda: system.counter("signals") == signals + 8, "signals are taken")
    until(lambda: system.counter("samples") > samples + 40, "samples are taken")
    failures = system.counter("commit_failures")
    until(lambda: system.counter("commit_failures") > failures, "it tries again and counts")
    assert system.ring.counters().in_ring > 0, "what is not durable stays in the ring"
    assert system.counter("pending") > 0


def catches_up(system: System) -> None:
    until(lambda: system.state() is ProcessState.RUNNING, "it runs again")
    until(lambda: system.ring.counters().in_ring == 0, "it has caught up")


def test_a_locked_database_is_survived_counted_and_caught_up_with(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=20, commit_ms=10)
    for symbol_id in range(8):
        system.quote(symbol_id)
    process = system.start()
    system.running(process)
    system.signals(*[(symbol_id, SignalKind.ENTER) for symbol_id in range(8)])
    until(lambda: system.counter("commits") > 0, "a commit")
    with contextlib.closing(sqlite3.connect(system.database, isolation_level=None)) as other:
        until(lambda: _locks(other), "the lock")
        goes_on_while_it_cannot_write(system)
        assert "locked" in system.row().message
    catches_up(system)
    stop(system, process)

    all_signals_stored(system)
    assert system.counter("rows_dropped") == 0


def _locks(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError:
        return False
    return True


def test_a_database_that_is_locked_at_start_is_waited_for(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=20, commit_ms=10)
    system.database.parent.mkdir()
    with contextlib.closing(sqlite3.connect(system.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        process = system.start()
        until(lambda: system.counter("commit_failures") > 1, "the failure is counted")
        assert system.state() is ProcessState.STARTING
        assert "locked" in system.row().message
        system.signals((1, SignalKind.ENTER))
    system.running(process)
    until(lambda: system.ring.counters().in_ring == 0, "the signal is stored")
    stop(system, process)

    all_signals_stored(system)


def test_a_stop_while_the_database_is_locked_ends_soon_and_loses_nothing(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=20, commit_ms=10)
    system.quote(1)
    process = system.start()
    system.running(process)
    with contextlib.closing(sqlite3.connect(system.database, isolation_level=None)) as other:
        until(lambda: _locks(other), "the lock")
        system.signals((1, SignalKind.ENTER), (1, SignalKind.RESIGNAL))
        until(lambda: system.counter("signals") == 2, "the signals are taken")
        stop(system, process)
        assert system.ring.counters().in_ring == 2
    process = system.start()
    system.running(process)
    until(lambda: system.ring.counters().in_ring == 0, "they are stored by the next life")
    stop(system, process)

    all_signals_stored(system)


def test_a_file_that_may_not_grow_is_survived_and_caught_up_with(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=20, commit_ms=10)
    for symbol_id in range(8):
        system.quote(symbol_id)
    process = system.start()
    system.running(process)
    system.signals(*[(symbol_id, SignalKind.ENTER) for symbol_id in range(8)])
    until(lambda: system.counter("commits") > 0, "a commit")
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (8_192, hard))
    goes_on_while_it_cannot_write(system)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    catches_up(system)
    stop(system, process)

    all_signals_stored(system)


def test_a_full_disk_is_survived_and_caught_up_with_even_when_killed_meanwhile(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=20, commit_ms=10)
    data = system.folder / "data"
    data.mkdir(0o700)
    in_namespace = ("unshare", "--mount")
    mount = f"mount -t tmpfs -o size=1m tmpfs {data}"
    probe = subprocess.run([*in_namespace, "sh", "-c", mount], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("mounting a small file system needs rights that are not given here")
    for symbol_id in range(8):
        system.quote(symbol_id)
    keep = subprocess.Popen(  # holds the namespace, and so the disk, over the tracker's death
        [*in_namespace, "sh", "-c", f"{mount} && echo mounted && exec sleep 600"],
        stdout=subprocess.PIPE,
    )
    system.processes.append(keep)
    assert keep.stdout is not None
    assert keep.stdout.readline() == b"mounted\n"
    keep.stdout.close()
    inside = ("nsenter", f"--mount=/proc/{keep.pid}/ns/mnt")
    disk = Path(f"/proc/{keep.pid}/root{data}")
    process = system.start(*inside)
    system.running(process)
    system.signals(*[(symbol_id, SignalKind.ENTER) for symbol_id in range(8)])
    until(lambda: system.counter("commits") > 0, "a commit")

    _fill(disk / "filler")
    goes_on_while_it_cannot_write(system)
    assert "full" in system.row().message or "I/O" in system.row().message
    process.kill()
    process.wait()
    failures = system.counter("commit_failures")
    process = system.start(*inside)
    until(lambda: system.row().pid == process.pid, "the next life")
    until(lambda: system.counter("commit_failures") > failures, "its failure is counted")
    (disk / "filler").unlink()
    system.running(process)
    catches_up(system)
    stop(system, process)

    # SQLite would follow the path out of the namespace; the log is part of the file by now.
    assert {file.name for file in disk.iterdir()} == {"tracker.db", "tracker.lock"}
    all_signals_stored(system, Path(shutil.copy(disk / "tracker.db", system.folder)))


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 512)


def test_beyond_pending_max_the_oldest_rows_go_and_are_counted(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=10, commit_ms=10, pending_max=100)
    for symbol_id in range(8):
        system.quote(symbol_id)
    process = system.start()
    system.running(process)
    with contextlib.closing(sqlite3.connect(system.database, isolation_level=None)) as other:
        until(lambda: _locks(other), "the lock")
        system.signals(*[(symbol_id, SignalKind.ENTER) for symbol_id in range(8)])
        until(lambda: system.counter("rows_dropped") > 50, "rows are dropped and counted")
        assert system.counter("pending") <= 100
    catches_up(system)
    stop(system, process)

    dropped = system.counter("rows_dropped")
    taken = system.rows("SELECT sum(samples) FROM opportunities")[0][0]
    probes = system.counter("probes") + system.counter("probes_missed")
    stored = system.rows("SELECT (SELECT count(*) FROM samples) + (SELECT count(*) FROM probes)")
    assert stored == [(taken + probes - dropped,)]
    assert system.rows("SELECT sum(signals) FROM opportunities") == [(8,)]
    assert system.rows("SELECT json_extract(totals, '$.rows_dropped') FROM runs") == [(dropped,)]


def test_the_ring_is_not_held_full_while_the_database_is_locked(
    make_system: Callable[..., System],
) -> None:
    system = make_system(slots=64, sample_ms=20, commit_ms=10)
    process = system.start()
    system.running(process)
    with contextlib.closing(sqlite3.connect(system.database, isolation_level=None)) as other:
        until(lambda: _locks(other), "the lock")
        for _ in range(10):
            taken = system.counter("signals")
            assert system.signals(*[(1, SignalKind.RESIGNAL)] * 20) == 20, "the engine drops none"
            until(lambda taken=taken: system.counter("signals") == taken + 20, "taken")  # type: ignore[misc]
            until(lambda: system.ring.counters().in_ring <= 32, "half the ring is free")
        assert system.counter("released_unwritten") == 200 - 32
    catches_up(system)
    stop(system, process)

    all_signals_stored(system)


def _stopped(pid: int) -> bool:
    """Whether every thread of it is stopped, not only asked to be."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)


def test_a_tracker_that_was_stopped_counts_what_it_missed_and_fills_nothing_in(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=20, late_ms_max=5, commit_ms=10)
    system.quote(1)
    process = system.start()
    system.running(process)
    system.signals((1, SignalKind.ENTER))
    until(lambda: system.counter("samples") > 10, "samples")
    missed = system.counter("samples_missed")
    process.send_signal(signal.SIGSTOP)
    until(lambda: _stopped(process.pid), "it lies still")
    before_ns = system.store.clock.now_ns()
    time.sleep(1.0)  # the length of the absence, not a wait for anything
    after_ns = system.store.clock.now_ns()
    process.send_signal(signal.SIGCONT)
    until(lambda: system.counter("samples_missed") >= missed + 48, "the missed points are counted")
    samples = system.counter("samples")
    until(lambda: system.counter("samples") > samples + 10, "it samples on")
    stop(system, process)

    [(opened, taken, missed, gaps)] = system.rows(
        "SELECT opened_ns, samples, missed, gaps FROM opportunities"
    )
    times = [row[0] for row in system.rows("SELECT ts_ns FROM samples ORDER BY ts_ns")]
    points = [row[0] for row in system.rows("SELECT ts_ns - late_ns FROM samples ORDER BY 1")]
    step_ns = 20_000_000
    assert gaps == 0
    assert not any(before_ns < ts < after_ns for ts in times), "it lay still between the readings"
    assert points == sorted(set(points))
    assert all(point % step_ns == 0 for point in points)
    assert taken + missed == points[-1] // step_ns - opened // step_ns


def test_a_feed_that_died_makes_its_opportunities_stale(
    make_system: Callable[..., System],
) -> None:
    system = make_system(heartbeat_ms_max=100, sample_ms=20, commit_ms=10, stale_hold_ms=100)
    process = system.start()
    system.running(process)
    system.quote(1)
    system.signals((1, SignalKind.ENTER))
    until(lambda: system.counter("closed_stale") == 1, "closed as stale")
    stop(system, process)

    assert system.rows("SELECT reason, exit_bps FROM opportunities") == [("stale", None)]


def test_a_feed_that_was_replaced_makes_its_opportunities_stale(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=20, commit_ms=10, stale_hold_ms=100)
    process = system.start()
    system.running(process)
    system.quote(1)
    system.signals((1, SignalKind.ENTER))
    until(lambda: system.counter("samples") > 3, "samples")
    assert system.counter("closed_stale") == 0
    system.spot.close()
    system.spot = system.store.writer(DIRECTION.spot.source_id)  # a new epoch
    system.spot.heartbeat(clock.mono_ns())
    until(lambda: system.counter("closed_stale") == 1, "closed as stale")
    system.spot.close()
    stop(system, process)


def test_new_tables_retire_what_they_no_longer_hold(make_system: Callable[..., System]) -> None:
    system = make_system(sample_ms=20, commit_ms=10)
    for symbol_id in (1, 40):
        system.quote(symbol_id)
    process = system.start()
    system.running(process)
    system.signals((1, SignalKind.ENTER), (40, SignalKind.ENTER))
    until(lambda: system.counter("opened") == 2, "both are open")
    system.publish(generation=2, symbols=10)
    with contextlib.closing(system.control.operator()) as operator:
        generation = operator.reload("spread-tracker")
    acks, missing = system.control.await_acks(["spread-tracker"], generation, timeout_s=10)
    assert acks
    assert not missing
    assert system.counter("closed_retired") == 1
    assert system.row().generation == 2
    stop(system, process)

    found = system.rows("SELECT symbol, reason FROM opportunities ORDER BY id")
    assert found == [("C1-USDT", None), ("C40-USDT", "retired")]


def test_a_signal_of_newer_tables_makes_the_tracker_take_them(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=20, commit_ms=10)
    system.publish(generation=2, symbols=10)
    process = system.start()
    system.running(process)
    system.publish(generation=3, symbols=SYMBOLS)
    system.generation = 3
    system.signals((40, SignalKind.ENTER))
    until(lambda: system.counter("opened") == 1, "followed with the new tables")
    assert system.row().generation == 3
    stop(system, process)


def test_a_paused_tracker_leaves_signals_in_the_ring_and_takes_them_afterwards(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=20, commit_ms=10)
    system.quote(1)
    process = system.start()
    system.running(process)
    with contextlib.closing(system.control.operator()) as operator:
        operator.pause("spread-tracker")
        until(lambda: system.state() is ProcessState.PAUSED, "paused")
        system.signals((1, SignalKind.ENTER))
        beat = system.row().heartbeat_age_ns
        until(lambda: system.row().heartbeat_age_ns < 50_000_000, f"it lives ({beat})")
        assert system.counter("signals") == 0
        operator.pause("spread-tracker", paused=False)
    until(lambda: system.counter("samples") > 3, "followed afterwards")
    stop(system, process)

    all_signals_stored(system)


def test_new_segments_end_the_tracker_and_the_next_life_goes_on(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=20, commit_ms=10)
    system.quote(1)
    process = system.start()
    system.running(process)
    system.signals((1, SignalKind.ENTER))
    until(lambda: system.counter("commits") > 0, "a commit")
    system._stack.close()
    system.make_segments()
    assert process.wait(60) == 4, (system.folder / "log").read_text()
    process = system.start()
    system.running(process)
    system.quote(1)
    system.signals((1, SignalKind.RESIGNAL))
    until(lambda: system.counter("samples") > 3, "it goes on")
    assert system.counter("resumed") == 1
    stop(system, process)

    [(signals, gaps, gap_ms, reason)] = system.rows(
        "SELECT signals, gaps, gap_ms, reason FROM opportunities"
    )
    assert (signals, gaps, reason) == (2, 1, None)
    assert gap_ms > 0
    assert system.rows("SELECT count(*) FROM positions WHERE stream NOT LIKE 'store %'") == [(2,)]


def test_after_a_longer_absence_what_was_open_is_closed_with_the_gap_named(
    make_system: Callable[..., System],
) -> None:
    system = make_system(sample_ms=20, commit_ms=10)
    system.quote(1)
    process = system.start()
    system.running(process)
    system.signals((1, SignalKind.ENTER))
    until(lambda: bool(system.ring.counters().popped), "committed and released")
    process.kill()
    process.wait()
    killed_ns = clock.mono_ns()
    # Of the next life alone: the first one closed the row by itself where the machine held it up.
    system.set(sample_ms=20, commit_ms=10, resume_gap_s_max=0.2)
    until(lambda: clock.mono_ns() - killed_ns > 300_000_000, "the absence is long enough")
    process = system.start()
    system.running(process)
    until(lambda: system.counter("commits") > 0, "a commit")
    stop(system, process)

    [(reason, gap_ms)] = system.rows("SELECT reason, gap_ms FROM opportunities")
    assert reason == "gap"
    assert gap_ms >= 300


def test_a_second_tracker_does_not_start(make_system: Callable[..., System]) -> None:
    system = make_system()
    first = system.start()
    system.running(first)
    second = system.start()

    assert second.wait(20) == 1
    assert "another" in (system.folder / "log").read_text().lower()
    assert first.poll() is None


def test_a_file_that_is_no_database_ends_it_with_the_reason_and_is_not_touched(
    make_system: Callable[..., System],
) -> None:
    system = make_system()
    system.database.parent.mkdir(0o700)
    text = "not a database, but something that a person may want back " * 20
    system.database.write_text(text)
    system.signals((1, SignalKind.ENTER))
    process = system.start()

    assert process.wait(20) == 1
    assert "move it away" in (system.folder / "log").read_text()
    assert system.database.read_text() == text
    assert system.state() is ProcessState.FAILED
    assert system.ring.counters().in_ring == 1


def test_reports_are_written_while_it_runs(make_system: Callable[..., System]) -> None:
    system = make_system(sample_ms=20, commit_ms=10, report_every_s=0.5)
    system.quote(1)
    process = system.start()
    system.running(process)
    system.signals((1, SignalKind.ENTER))
    until(lambda: system.counter("reports") > 0, "a report", timeout_s=40)
    stop(system, process)

    assert system.counter("report_failures") == 0
    page = (system.folder / "data" / "reports" / "latest.html").read_text()
    assert page.startswith("<!doctype html>")
