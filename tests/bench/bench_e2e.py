"""Group e2e: real processes over real sockets, from reading the frame to the tracker's pop.

The exchanges are e2e_sender.py; feeds, engine and tracker are the product's own executables. Each
run verifies itself: every message sent was received, the store holds the last quote of every
symbol, the ring dropped nothing.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measure import Figure
from peers_e2e import asyncio_bot, zmq_pipeline
from stalls import Seen, within, witness

from spread_scanner import clock, config
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCE_BY_LABEL
from spread_scanner.shm import Health, PriceStore, SignalRing, segment
from spread_scanner.shm.health import Latency
from spread_scanner.symbology import tables

ROOT = Path(__file__).parents[2]
SENDER = Path(__file__).parent / "e2e_sender.py"
PROCESSES = (*(source.process for source in EXCHANGE_SOURCES), "spread-engine", "spread-tracker")
START_S_MAX = 60.0
SETTLE_S_MAX = 20.0


def figures(small: bool) -> Iterator[Figure]:
    symbols, rate, seconds = (24, 2_000.0, 1.0) if small else (100, 10_000.0, 20.0)
    peers: dict[str, float] = {}
    for peer, run in (("asyncio_bot", asyncio_bot), ("zmq", zmq_pipeline)):
        with contextlib.suppress(ImportError):
            peers[peer] = run(SENDER, symbols, rate, min(seconds, 8.0))
    ways = (("e2e.parked", "park"), ("e2e.spinning", "spin"))
    for name, idle in ways[:1] if small else ways:
        # The small form checks the rig, which is one and the same: a start costs more than its run.
        anywhere = None if small else _unplaced_us(symbols, rate, min(seconds, 8.0), idle)
        with Rig(symbols, {"SPREAD_SPREAD_ENGINE__IDLE": idle, **_placed()}) as rig:
            rig.send(rate, seconds)
            rig.verify()
            if idle == "park":
                yield _start_seconds(rig)
            yield rig.latency(name, peers, rate=rate, idle=idle, p50_unplaced_us=anywhere)
            if idle == "park":
                yield from rig.memory()
    flood_rate, flood_s = (20_000.0, 1.0) if small else (540_000.0, 60.0)
    with Rig(symbols, {"SPREAD_SPREAD_ENGINE__IDLE": "park"}) as rig:
        yield rig.flood(flood_rate, flood_s)


def _placed() -> dict[str, str]:
    """Engine and tracker on one CPU, as docs/operating.md says for a machine with two."""
    last = f"[{max(os.sched_getaffinity(0))}]"
    return {
        "SPREAD_SPREAD_ENGINE__CPUS": last,
        "SPREAD_SPREAD_TRACKER__CPUS": last,
        "SPREAD_SPREAD_TRACKER__WARM_US": "1000",
    }


def _unplaced_us(symbols: int, rate: float, seconds: float, idle: str) -> float:
    """The median where the kernel places everyone."""
    with Rig(symbols, {"SPREAD_SPREAD_ENGINE__IDLE": idle}) as rig:
        rig.send(rate, seconds)
        rig.verify()
        return float(rig.latency("", {})["p50"])


def _start_seconds(rig: "Rig") -> Figure:
    """From the first exec to the last of ten processes RUNNING, started all at once."""
    value = round(rig.start_s, 3)
    return {
        "name": "start.seconds", "unit": "s", "value": value, "p50": value, "p99": value,
        "floor": None, "peers": {}, "params": {"what": "ten processes at once, until all run"},
    }  # fmt: skip


class Rig:
    """The product on tables of the simulator's universe, dialling the sender."""

    def __init__(self, symbols: int, environ: dict[str, str]) -> None:
        self._symbols = symbols
        self._stack = contextlib.ExitStack()
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.namespace = f"bench-e2e-{os.getpid()}"
        self.environ = {
            **os.environ,
            "SPREAD_CONFIG_DIR": str(self.folder / "config"),
            "SPREAD_SYSTEM__NAMESPACE": self.namespace,
            # Nobody has looked on for five minutes; what is timed is the same.
            "SPREAD_SPREAD_ENGINE__SIGNAL_BASIS_UNKNOWN": "true",
            **environ,
        }
        self.children: dict[str, subprocess.Popen[str]] = {}
        self.report: dict[str, Any] = {}
        self.start_s = 0.0

    def __enter__(self) -> "Rig":
        try:
            self._discover()
            self._run("shm-init")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children.values():
            child.terminate()
        for child in self.children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(10)
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
        for name in segment.names(self.namespace):
            segment.remove(name)
        self._stack.close()

    def _program(self, name: str) -> list[str]:
        return [sys.executable, str(ROOT / "bins" / name)]

    def _run(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._program(name), *arguments], env=self.environ, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr[-1000:]}")

    def _start(self, name: str, command: list[str], **options: Any) -> "subprocess.Popen[str]":
        log = self._stack.enter_context((self.folder / f"{name}.log").open("w"))
        child = subprocess.Popen(command, env=self.environ, stderr=log, text=True, **options)
        self.children[name] = child
        return child

    def _discover(self) -> None:
        """Tables from the simulator's REST side; its websockets are not used."""
        simulator = self._start(
            "exchange-sim",
            [
                *self._program("exchange-sim"), "--seed", "1", "--symbols", str(self._symbols),
                "--config-out", str(self.folder / "config"),
            ],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert simulator.stdout is not None
        simulator.stdout.readline()
        self._run("pair-discovery", "--no-validate")
        simulator.terminate()
        simulator.wait(20)

    def begin(self, rate: float, seconds: float) -> "subprocess.Popen[str]":
        """Start the sender and the product; returns when the first message is about to leave."""
        sender = self._start(
            "sender",
            [
                sys.executable, str(SENDER), "--symbols", str(self._symbols),
                "--rate", str(rate), "--seconds", str(seconds),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert sender.stdout is not None
        for label, url in json.loads(sender.stdout.readline()).items():
            key = label.upper().replace("-", "_")
            self.environ[f"SPREAD_EXCHANGES__{key}__WS_URL"] = url
            # The sender speaks quotes alone, and takes whoever dials for one who wants them.
            self.environ[f"SPREAD_EXCHANGES__{key}__NOTICES"] = "false"
        self.environ.setdefault("SPREAD_BOOKS__BOOKS_MAX", "0")
        started = time.monotonic()
        for name in PROCESSES:
            self._start(name, self._program(name))
        self._await_running(started)
        sender.stdout.readline()
        return sender

    def _await_running(self, started: float) -> None:
        with Health.attach(self.namespace) as health:
            while time.monotonic() - started < START_S_MAX:
                rows = {row.process: row for row in health.read_all()}
                if all(name in rows and rows[name].state.name == "RUNNING" for name in PROCESSES):
                    self.start_s = time.monotonic() - started
                    return
                time.sleep(0.01)
        raise RuntimeError("not all processes run")

    def send(self, rate: float, seconds: float) -> None:
        sender = self.begin(rate, seconds)
        assert sender.stdout is not None
        self.report = json.loads(sender.stdout.readline())

    def _settle(self) -> None:
        """Until all that is still on its way has come; what never comes is found by `verify`."""
        deadline_s = time.monotonic() + SETTLE_S_MAX
        while time.monotonic() < deadline_s:
            with SignalRing.attach(self.namespace, "signals") as ring:
                waiting = ring.counters().in_ring
            if not waiting and self._received() >= self.report["sent"]:
                return
            time.sleep(0.05)

    def _received(self) -> int:
        with Health.attach(self.namespace) as health:
            feeds = [health.read(source.process).counters for source in EXCHANGE_SOURCES]
        return sum(feed["messages"] - feed["control"] for feed in feeds)

    def verify(self) -> None:
        """All that was sent has arrived, and the store holds the last of it."""
        self._settle()
        received = self._received()
        with Health.attach(self.namespace) as health:
            engine = health.read("spread-engine").counters
        if received != self.report["sent"]:
            raise RuntimeError(f"sent {self.report['sent']}, received {received}")
        with SignalRing.attach(self.namespace, "signals") as ring:
            counters = ring.counters()
        if counters.dropped or counters.in_ring or counters.popped != engine["signals"]:
            raise RuntimeError(f"signals were lost: {counters}, pushed {engine['signals']}")
        if engine["signals_enter"] == 0:
            raise RuntimeError("no spread was seen to open")
        self._verify_store()

    def _verify_store(self) -> None:
        loaded = tables.load(config.load(self.folder / "config", self.environ).generated_dir)
        listed = {(row.source_id, row.exchange_symbol): row for row in loaded.instruments}
        checked = 0
        with PriceStore.attach(self.namespace) as store:
            for sent in self.report["last"]:
                source = SOURCE_BY_LABEL[sent["source"]]
                row = listed[source.source_id, sent["exchange_symbol"]]
                quote = store.read(row.source_id, row.symbol_id)
                if quote is None or quote.bid_px != float(sent["bid_px"]) / row.px_div:
                    raise RuntimeError(f"store is behind: sent {sent}, stored {quote}")
                checked += 1
        if checked < 4 * self._symbols:
            raise RuntimeError(f"only {checked} symbols were checked")

    def latency(self, name: str, peers: dict[str, float], **params: object) -> Figure:
        with Health.attach(self.namespace) as health:
            popped = health.read("spread-tracker").latencies["recv_to_pop"]
            signalled = health.read("spread-engine").latencies["recv_to_signal"]
            stored = [
                health.read(source.process).latencies["recv_to_cell"] for source in EXCHANGE_SOURCES
            ]
        p50, p99 = _us(popped, 50), _us(popped, 99)
        return {
            "name": name,
            "unit": "us",
            "value": p50,
            "p50": p50,
            "p99": p99,
            "floor": None,
            "peers": {peer: round(value, 3) for peer, value in peers.items()},
            "params": {
                **params,
                "signals": popped.total,
                "sent_per_s": round(self.report["sent"] / self.report["seconds"]),
                "recv_to_signal_p50_us": _us(signalled, 50),
                "recv_to_cell_p50_us": round(float(np.median([_us(row, 50) for row in stored])), 3),
            },
        }

    def _resident_mb(self, name: str, what: str = "VmRSS") -> float:
        status = Path(f"/proc/{self.children[name].pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(what))
        return int(line.split()[1]) / 1024

    def memory(self) -> Iterator[Figure]:
        """Resident memory of each process after the run."""
        for name in PROCESSES:
            value = round(self._resident_mb(name), 1)
            yield {
                "name": f"memory.{name}", "unit": "MB", "value": value, "p50": value, "p99": value,
                "floor": None, "peers": {}, "params": {"after": "e2e.parked"},
            }  # fmt: skip

    def _private_mb(self) -> dict[str, float]:
        """Without the pages of the segments, whose sizes are fixed, as they are first touched."""
        return {name: self._resident_mb(name, "RssAnon") for name in PROCESSES}

    def flood(self, rate: float, seconds: float) -> Figure:
        """How far the store lags behind what was written to the sockets, sampled all along."""
        samples: list[tuple[int, np.ndarray]] = []
        private_mb: dict[str, float] = {}
        with witness() as seen, PriceStore.attach(self.namespace) as store:
            sender = self.begin(rate, seconds)
            assert sender.stdout is not None
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                now_ns = clock.mono_ns()
                samples.append((now_ns, store.snapshot()["update_id"].copy()))
                time.sleep(0.02)
                if not private_mb and end - time.monotonic() < seconds * 0.9:
                    private_mb = self._private_mb()
        grown_mb = {name: now - private_mb[name] for name, now in self._private_mb().items()}
        self.report = json.loads(sender.stdout.readline())
        self.verify()
        lags = self._lags(samples)
        half = len(lags) // 2
        p50, p99 = (round(float(value), 1) for value in np.percentile(lags, [50, 99]))
        times_ns = [now_ns for now_ns, _ in samples[-len(lags) :]]
        return {
            "name": "e2e.flood",
            "unit": "us",
            "value": p50,
            "p50": p50,
            "p99": p99,
            "floor": None,
            "peers": {},
            "params": {
                "sent_per_s": round(self.report["sent"] / self.report["seconds"]),
                "messages": self.report["sent"],
                "lag_us_max": round(float(np.max(lags)), 1),
                "lag_us_p50_first_half": round(float(np.median(lags[:half])), 1),
                "lag_us_p50_second_half": round(float(np.median(lags[half:])), 1),
                "samples": len(lags),
                "samples_over_5_ms": sum(lag > 5_000 for lag in lags),
                "sender_pause_us_max": self._sender_pause_us(),
                **_stalled(seen, times_ns, lags),
                "growth_mb_feeds_max": round(
                    max(grown_mb[one.process] for one in EXCHANGE_SOURCES), 2
                ),
                "growth_mb_engine": round(grown_mb["spread-engine"], 2),
                "growth_mb_tracker": round(grown_mb["spread-tracker"], 2),
            },
        }

    def _sender_pause_us(self) -> float:
        """The longest time between two turns of the sender; what it owes then leaves at once."""
        turns_ns = np.array([row[0] for row in next(iter(self.report["written"].values()))])
        return round(float(np.diff(turns_ns).max()) / 1e3, 1)

    def _lags(self, samples: list[tuple[int, np.ndarray]]) -> list[float]:
        """Per sample, the worst connection's lag in us: now less when a newer frame had left."""
        written = {
            label: (np.array([row[0] for row in rows]), np.array([row[1] for row in rows]))
            for label, rows in self.report["written"].items()
        }
        begun_ns = max(int(times[0]) for times, _ in written.values()) + 100_000_000
        connections = list(self._connections())
        lags = []
        for now_ns, update_ids in samples:
            if now_ns < begun_ns:
                continue
            worst = 0.0
            for label, source_id, symbol_ids, frames in connections:
                times, counts = written[label]
                newest = int(update_ids[source_id, symbol_ids].max())
                # The first turn that began with more frames written than have come: a newer one
                # had left by then. What left in that turn itself is not late yet.
                at = int(np.searchsorted(counts, _frame_number(newest, frames) + 1, side="right"))
                if at < len(times) and times[at] < now_ns:
                    worst = max(worst, (now_ns - int(times[at])) / 1e3)
            lags.append(worst)
        return lags

    def _connections(self) -> Iterator[tuple[str, int, np.ndarray, int]]:
        """Of each connection: its source, the symbol ids it carries, the frames of its block."""
        loaded = tables.load(config.load(self.folder / "config", self.environ).generated_dir)
        listed = {(row.source_id, row.exchange_symbol): row.symbol_id for row in loaded.instruments}
        for label, rows in self.report["connections"].items():
            source_id = SOURCE_BY_LABEL[label].source_id
            for row in rows:
                ids = [listed[source_id, name] for name in row["symbols"]]
                yield label, source_id, np.array(ids), int(row["frames"])


def _frame_number(update_id: int, block_frames: int) -> int:
    """Which frame of its connection an update id belongs to: its digits are cycle, then index."""
    cycle, index = divmod(update_id, 10**5)
    return (cycle - 10**6) * block_frames + index


def _stalled(seen: Seen, times_ns: list[int], lags: list[float]) -> dict[str, object]:
    """What the machine itself was kept from running, and the lags without that."""
    if seen.stalls is None:
        return {"stalls": "not measured: no right to SCHED_FIFO"}
    stalls = seen.stalls
    own = [
        lag - within(stalls, now_ns - int(lag * 1e3), now_ns) / 1e3
        for now_ns, lag in zip(times_ns, lags, strict=True)
    ]
    longest_ns = (stalls[:, 1] - stalls[:, 0]).max(initial=0)
    return {
        "lag_us_p999_outside_stalls": round(float(np.percentile(own, 99.9)), 1),
        "lag_us_max_outside_stalls": round(max(own), 1),
        "samples_over_5_ms_outside_stalls": sum(lag > 5_000 for lag in own),
        "stall_us_max": round(float(longest_ns) / 1e3, 1),
        "stalls_over_1_ms": int((stalls[:, 1] - stalls[:, 0] > 1_000_000).sum()),
        "stolen_ms": seen.stolen_ms,
    }


def _us(row: Latency, percentile: float) -> float:
    wanted = {50: 0, 90: 1, 99: 2}[int(percentile)]
    return round(row.percentiles_ns[wanted] / 1e3, 3)
