"""Group recorder: spread-recorder as a whole process, while eight feeds quote 20,000 times a second
in all: the CPU that it takes, and its memory. Each quote has to be in the log, once: one missing,
also one that is counted as missing, fails the benchmark.

`recorder.flood` is what a feed loses by it: the same flood of frames with a recorder and without,
in turn, its CPU a message and its p99 from frame to cell. There a tape overflows, which is counted.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from bench_feed import Rig
from feed_sender import Messages, Order, messages, serve
from log_peers import json_lines, sqlite
from logged_day import DRAIN, RATE, SYMBOLS, settled, walked
from measure import Child, Figure, figure

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.schema.log import RecordKind
from spread_scanner.schema.names import RECORDER, WAL_FOLDER
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm import Health, PriceStore, segment
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.health import PERCENTILES, ProcessHealth, latency
from spread_scanner.shm.price_store import Writer
from spread_scanner.shminit import making
from spread_scanner.wal import reader
from spread_scanner.wal.writer import LogWriter

BIN = Path(__file__).parents[2] / "bins" / RECORDER
TURN_NS = 5_000_000
START_S_MAX = 120.0
FLOODED = EXCHANGE_SOURCES[0].label


def figures(small: bool) -> Iterator[Figure]:
    seconds = 1.0 if small else 30.0
    with tempfile.TemporaryDirectory() as folder:
        settings = settled(Path(folder))
        making.ensure(settings)
        try:
            percent, private_mb, ticks = _recorded(settings, seconds)
            flood = _flood(settings, 1 if small else 5, 2_000 if small else 400_000)
        finally:
            for name in segment.names(settings.config.system.namespace):
                segment.remove(name)
        few = walked(4_000 if small else 400_000)
        peers = {
            "sqlite": _percent(
                few[:40_000], lambda part: sqlite(Path(folder) / "peer", part, DRAIN)
            ),
            "json_lines": _percent(
                few[:40_000], lambda part: json_lines(Path(folder) / "lines", part)
            ),
        }
        floor = _percent(few, lambda part: _appended(Path(folder) / "alone", part))
    yield figure(
        "recorder.cpu", "% of a core", [percent], floor=floor, peers=peers, quotes_s=RATE,
        seconds=seconds, ticks=ticks, lost=0,
    )  # fmt: skip
    yield figure("recorder.private", "MB", [private_mb], floor=_private_alone_mb())
    yield flood


class _FloodRig(Rig):
    """A feed's, on the segments of a system that stands."""

    def __init__(self, namespace: str) -> None:
        self.store = PriceStore.attach(namespace)
        self.health = Health.attach(namespace)
        self.connections = Connections.attach(namespace)
        self.listen()


class _Flooded(NamedTuple):
    us: float  # of the feed's CPU a message
    p99_us: float  # from frame to cell


def _flood(settings: Settings, runs: int, count: int) -> Figure:
    """Medians of runs with a recorder and without, in turn."""
    namespace = settings.config.system.namespace
    sent = messages(FLOODED, count)
    found: dict[bool, list[_Flooded]] = {True: [], False: []}
    rig = _FloodRig(namespace)
    with (
        contextlib.closing(rig),
        Child(serve, rig.server, [Order(sent.frames, 0, None)] * 2 * runs),
    ):
        for _ in range(runs):
            with _recorder(settings):
                found[True].append(_flooded(rig, sent))
            found[False].append(_flooded(rig, sent))
    on, off = (_Flooded(*map(median, zip(*found[how], strict=True))) for how in (True, False))
    return figure(
        "recorder.flood", "of the throughput without", [off.us / on.us], messages=count, runs=runs,
        us=round(on.us, 3), us_without=round(off.us, 3), p99_times=round(on.p99_us / off.p99_us, 2),
        p99_us=round(on.p99_us, 2), p99_us_without=round(off.p99_us, 2),
    )  # fmt: skip


def _flooded(rig: Rig, sent: Messages) -> _Flooded:
    process = f"feed-{FLOODED}"
    before = rig.health.buckets(process).get("recv_to_cell", 0)
    us = rig.ours(sent).us
    since = rig.health.buckets(process)["recv_to_cell"] - before
    return _Flooded(us, latency(since).percentiles_ns[PERCENTILES.index(99)] / 1_000)


@contextlib.contextmanager
def _recorder(settings: Settings) -> Iterator["subprocess.Popen[bytes]"]:
    """One that runs; it has to end well."""
    namespace = settings.config.system.namespace
    environ = {**os.environ, "SPREAD_CONFIG_DIR": str(settings.folder)}
    child = subprocess.Popen(
        [sys.executable, BIN], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(child, namespace, lambda row: row.pid == child.pid and row.state.name == "RUNNING")
        yield child
        child.terminate()
        if child.wait(START_S_MAX) != 0:
            raise RuntimeError("spread-recorder did not end well")
    finally:
        child.kill()
        child.wait()


def _percent(ticks: np.ndarray, work: Callable[[np.ndarray], None]) -> float:
    """Of a core, for so many ticks a second."""
    begun = time.process_time()
    work(ticks)
    return (time.process_time() - begun) / len(ticks) * RATE * 100


def _appended(folder: Path, ticks: np.ndarray) -> None:
    """The log's writer alone, in the recorder's rhythm."""
    with contextlib.closing(LogWriter(folder)) as writer:
        for number, at in enumerate(range(0, len(ticks), DRAIN)):
            writer.append(RecordKind.TICK, ticks[at : at + DRAIN])
            writer.write()
            if number % 3 == 0:
                writer.commit()


def _recorded(settings: Settings, seconds: float) -> tuple[float, float, int]:
    """Percent of a core, private MB, ticks in the log; once it has drained for a second."""
    namespace = settings.config.system.namespace
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(PriceStore.attach(namespace))
        writers = [stack.enter_context(store.writer(one.source_id)) for one in EXCHANGE_SOURCES]
        child = stack.enter_context(_recorder(settings))
        written = _quote(store, writers, 1.0, 0)
        begun_ns, begun_s = _cpu_ns(child.pid), time.monotonic()
        written += _quote(store, writers, seconds, written)
        took = (_cpu_ns(child.pid) - begun_ns) / NS_PER_S / (time.monotonic() - begun_s)
        _await(child, namespace, lambda row: row.counters["ticks"] >= written)
        private_mb = _private_mb(child.pid)
    _check(settings.data_dir / WAL_FOLDER, written)
    return took * 100, private_mb, written


def _quote(store: PriceStore, writers: list[Writer], seconds: float, before: int) -> int:
    """20,000 quotes a second, in turns of 5 ms, as one thread can."""
    ids = np.arange(SYMBOLS, dtype=np.uint16)
    quotes = np.zeros(SYMBOLS, QUOTE_DTYPE)
    quotes["bid_px"], quotes["ask_px"], quotes["bid_sz"], quotes["ask_sz"] = 100, 101, 5, 6
    begun_ns, written = clock.mono_ns(), 0
    while (passed_ns := clock.mono_ns() - begun_ns) < seconds * NS_PER_S:
        due = int(passed_ns / NS_PER_S * RATE) - written
        for number, writer in enumerate(writers):
            count = min(SYMBOLS, due // len(writers) + (number < due % len(writers)))
            quotes["ts_event"] = quotes["ts_recv"] = store.clock.now_ns()
            quotes["update_id"][:count] = np.arange(before + written, before + written + count)
            writer.write_many(ids[:count], quotes[:count])
            writer.heartbeat(clock.mono_ns())
            written += count
        time.sleep(TURN_NS / NS_PER_S)
    return written


def _check(folder: Path, written: int) -> None:
    """Each source's numbers from 0 on, once, none in a Gap."""
    numbers = dict.fromkeys(range(len(EXCHANGE_SOURCES)), 0)
    for piece in reader.pieces(folder):
        if piece.kind is RecordKind.GAP and (piece.array()["next"] > piece.array()["first"]).any():
            raise RuntimeError("a Gap is in the log")
        if piece.kind is not RecordKind.TICK:
            continue
        ticks = piece.array()
        for source_id in np.unique(ticks["source_id"]).tolist():
            found = ticks["number"][ticks["source_id"] == source_id]
            expected = np.arange(numbers[source_id], numbers[source_id] + len(found))
            if not np.array_equal(found, expected):
                raise RuntimeError(f"source {source_id} is lost or twice at {numbers[source_id]}")
            numbers[source_id] += len(found)
    if sum(numbers.values()) != written:
        raise RuntimeError(f"{sum(numbers.values())} of {written} quotes are in the log")


def _await(
    child: "subprocess.Popen[bytes]", namespace: str, well: Callable[[ProcessHealth], bool]
) -> None:
    deadline_s = time.monotonic() + START_S_MAX
    while child.poll() is None and time.monotonic() < deadline_s:
        with Health.attach(namespace) as health:
            row = health.read(RECORDER) if RECORDER in health.names() else None
        if row is not None and well(row):
            return
        time.sleep(0.02)
    raise RuntimeError("spread-recorder does not get on")


def _cpu_ns(pid: int) -> int:
    """CPU time of all its threads, by the kernel's clock of the process."""
    return time.clock_gettime_ns(~pid << 3 | 2)  # clock_getcpuclockid


def _private_mb(pid: int) -> float:
    """What goes when the process does: not the segments and libraries that it shares."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return sum(int(row.split()[1]) for row in rows if row.startswith("Private_")) * 1_024 / 1e6


def _private_alone_mb() -> float:
    """Of an interpreter with numpy."""
    code = "import numpy, sys; print(flush=True); sys.stdin.read()"
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as child:
        assert child.stdout is not None
        child.stdout.readline()
        found = _private_mb(child.pid)
        child.communicate(b"")
    return found
