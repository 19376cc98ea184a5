"""The whole system as real processes on the simulator, each of them at the test's mercy.

Simulator, shm-init, pair-discovery, eight feeds, engine and tracker, in a folder and namespace of
the test's own. Nothing is restarted by itself: the test kills, stops, starts and looks.
"""

import contextlib
import math
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson

from bed import until
from spread_scanner import clock, config
from spread_scanner.schema.enums import (
    DIRECTION_BY_LABEL,
    DIRECTIONS,
    EXCHANGE_SOURCES,
    SOURCES,
    ProcessState,
    SignalKind,
)
from spread_scanner.schema.records import signals_apart
from spread_scanner.shm import Health, PriceStore, SignalRing, segment
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.supervise.children import Child
from spread_scanner.supervise.seen import DownTime, SeenSignal
from spread_scanner.supervise.simulation import environment, seed_history
from spread_scanner.supervise.supervisor import RUNS
from spread_scanner.supervise.truth import Interval
from spread_scanner.symbology import tables
from spread_scanner.symbology.tables import InstrumentRow
from spread_scanner.tracker.opportunity import Reason
from spread_scanner.view.signals import SignalTail

DEADLINE_S = 90.0  # on conditions; a busy machine may need it, a good run does not
FEEDS = tuple(source.process for source in EXCHANGE_SOURCES)
ENGINE, TRACKER = "spread-engine", "spread-tracker"
STAYING = (*FEEDS, ENGINE, TRACKER)
MS = 1_000_000
STARVED_NS = 350 * MS
SLOW_RATE = 20.0  # quotes/s: between two of them there is time for a look
RECOVERED_NS = 300 * MS  # then what waited in a socket has been read

Fact = dict[str, Any]


def told_apart(store: PriceStore, row: InstrumentRow, said: Fact) -> str:
    """How a stored quote differs from what the simulator says it sent last; empty: not at all."""
    quote = store.read(row.source_id, row.symbol_id)
    name = f"{said['source']} {row.exchange_symbol}"
    if quote is None:
        return f"{name}: never stored"
    wanted = [
        float(said["bid_px"] or "nan") / row.px_div,
        float(said["bid_sz"] or "nan") * row.sz_mul,
        float(said["ask_px"] or "nan") / row.px_div,
        float(said["ask_sz"] or "nan") * row.sz_mul,
    ]
    found = [quote.bid_px, quote.bid_sz, quote.ask_px, quote.ask_sz]
    same = all(
        a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(wanted, found, strict=True)
    )
    if not same or quote.update_id != said["update_id"]:
        return f"{name}: sent {wanted} {said['update_id']}, stored {found} {quote.update_id}"
    return f"{name}: flags {quote.flags}" if quote.flags & STALE_FLAGS else ""


class WholeSystem:
    """Made by `whole_system`; `start` brings everything up."""

    def __init__(
        self, folder: Path, namespace: str, stack: contextlib.ExitStack, *sim_arguments: str
    ) -> None:
        self.folder = folder
        self.namespace = namespace
        self.config = folder / "config"
        self.truth_path = folder / "truth.jsonl"
        self._stack = stack
        self._environ = {
            **environment(os.environ),
            "SPREAD_CONFIG_DIR": str(self.config),
            "SPREAD_SYSTEM__NAMESPACE": namespace,
        }
        self.children = {name: self.child(name) for name in STAYING}
        self.sim = self.child(
            "exchange-sim",
            f"--config-out={self.config}",
            f"--truth={self.truth_path}",
            *sim_arguments,
        )
        stack.callback(self._clean)
        self.sim.start(keep_stdout=True)
        self.control_url = orjson.loads(self.sim.read_line(DEADLINE_S))["control"]

    def child(self, name: str, *arguments: str) -> Child:
        log_path = self.folder / "data" / "logs" / f"{name}.log"
        return Child(name, self._environ, log_path, arguments)

    def _clean(self) -> None:
        for child in (*self.children.values(), self.sim):
            child.signal(signal.SIGKILL)
            while child.pid is not None and child.ended() is None:
                time.sleep(0.005)
        for name in segment.names(self.namespace):
            segment.remove(name)

    # --- life

    def settings(self, text: str) -> None:
        """Append to config.toml, whose last section is the engine's."""
        with (self.config / "config.toml").open("a", encoding="utf-8") as file:
            file.write(text)

    def once(self, name: str, *arguments: str) -> None:
        """Run a process that ends by itself."""
        child = self.child(name, *arguments)
        child.start()
        self._await_end(child)
        assert child.last_exit == 0, (name, child.last_exit, self.said(child))

    def start(self, names: tuple[str, ...] = STAYING) -> None:
        """Everything, or these processes, in order; returns when all run."""
        self.once("shm-init")
        attach = self._stack.enter_context
        self.store = attach(PriceStore.attach(self.namespace))
        self.health = attach(Health.attach(self.namespace))
        self.ring = attach(SignalRing.attach(self.namespace, "signals"))
        self.tail = attach(SignalTail.attach(self.namespace))
        self.evaluations = attach(Evaluations.attach(self.namespace))
        self.once("pair-discovery", "--no-validate")
        self.tables = tables.load(self.folder / "generated")
        seed_history(config.load(self.config, self._environ), self.control_url)
        for name in names:
            self.children[name].start()
        until(lambda: all(self.runs(name) for name in names), self.states)

    def runs(self, name: str) -> bool:
        """Whether the newest life of a process has come so far as to run."""
        child = self.children[name]
        assert child.ended() is None, (name, child.last_exit, self.said(child))
        if name not in self.health.names():
            return False
        row = self.health.read(name)
        return row.pid == child.pid and row.alive and row.state in RUNS

    def beat_ns(self, name: str) -> int:
        """When a process last said that it lives, monotonic."""
        if name in FEEDS:
            return self.store.heartbeat_mono_ns(FEEDS.index(name))
        return clock.mono_ns() - self.health.read(name).heartbeat_age_ns

    def states(self) -> dict[str, str]:
        return {name: self.health.read(name).state.name for name in self.health.names()}

    def said(self, child: Child) -> str:
        return child.log_path.read_text(encoding="utf-8")[-3_000:]

    def _await_end(self, child: Child) -> None:
        until(lambda: child.ended() is not None, lambda: f"{child.name} ends: {self.said(child)}")

    def end(self, *names: str) -> None:
        """SIGTERM: they end cleanly, by themselves."""
        for name in names:
            self.children[name].signal(signal.SIGTERM)
        for name in names:
            child = self.children[name]
            self._await_end(child)
            assert child.last_exit == 0, (name, child.last_exit, self.said(child))
            assert self.health.read(name).state is ProcessState.STOPPED

    def end_all(self) -> None:
        """Feeds, engine and tracker in their order; the tracker has taken every signal first."""
        self.end(*FEEDS)
        self.end(ENGINE)
        until(lambda: self.tail.in_ring == 0, lambda: f"{self.tail.in_ring} signals not taken")
        self.end(TRACKER)

    def end_sim(self) -> list[Fact]:
        """The rows of the truth file, complete."""
        self.sim.signal(signal.SIGTERM)
        self._await_end(self.sim)
        assert self.sim.last_exit == 0, self.said(self.sim)
        return [orjson.loads(line) for line in self.truth_path.read_bytes().splitlines()]

    # --- the simulator

    def do(self, **action: object) -> None:
        answer = httpx.post(self.control_url, json=action, timeout=DEADLINE_S)
        assert answer.status_code == 200, answer.text

    def sim_state(self) -> Fact:
        return dict(httpx.get(self.control_url + "/state", timeout=DEADLINE_S).json())

    def sent(self) -> dict[tuple[str, str], Fact]:
        rows = httpx.get(self.control_url + "/sent", timeout=DEADLINE_S).json()
        return {(row["source"], row["exchange_symbol"]): row for row in rows}

    def closes(self, symbol: str) -> dict[str, float]:
        """What leaving is taken to earn, in basis points, by direction."""
        told = httpx.get(self.control_url + "/usual", timeout=DEADLINE_S).json()
        return {
            row["direction"]: min(row["exit_bps"], row["parity_bps"])
            for row in told
            if row["symbol"] == symbol
        }

    # --- what must hold

    def differences(self) -> list[str]:
        """What in the store is not what the simulator sent last, or cannot be used."""
        sent = self.sent()
        return [
            difference
            for row in self.tables.instruments
            if (said := sent.get((SOURCES[row.source_id].label, row.exchange_symbol))) is not None
            if (difference := told_apart(self.store, row, said))
        ]

    def agree(self, rate: float) -> None:
        """Wait until the store is what was sent last: of a market that goes slow meanwhile, as a
        fast one is never seen without something under way. Then it goes on at `rate`."""
        self.do(do="rate", rate=SLOW_RATE)
        until(lambda: not self.differences(), self.differences)
        self.do(do="rate", rate=rate)

    def open_files(self, name: str) -> Counter[str]:
        """What a process has open and mapped of files; sockets are counted as one kind. Without
        /dev/null: the loop keeps one of its own from its first connection by TCP on."""
        pid = self.children[name].pid
        found: Counter[str] = Counter()
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                found[os.readlink(link).partition("[")[0]] += 1
        del found[os.devnull]
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
        found["maps of segments"] = sum("/dev/shm/" in line for line in maps.splitlines())
        return found


STALE_FLAGS = 1 | 2 | 4  # STALE, SILENT, LAGGING


@contextlib.contextmanager
def whole_system(folder: Path, namespace: str, *sim_arguments: str) -> Iterator[WholeSystem]:
    """A simulator that runs, and everything else to be started; nothing of it stays."""
    with contextlib.ExitStack() as stack:
        yield WholeSystem(folder, namespace, stack, *sim_arguments)


def leg_processes(direction_id: int) -> tuple[str, str]:
    """The feeds of a direction's spot and futures leg."""
    direction = DIRECTIONS[direction_id]
    return direction.spot.process, direction.futures.process


class Pulse:
    """Gaps in the heartbeats of those that nobody struck: the machine had no time for them."""

    def __init__(self, system: WholeSystem) -> None:
        self.gaps: list[DownTime] = []
        self._system = system
        self._beats: dict[str, int] = {}

    def look(self, but: Container[str] = ()) -> None:
        """Call it often; `but` names those that are struck now."""
        for name in STAYING:
            if name in but:
                self._beats.pop(name, None)
                continue
            beat_ns = self._system.beat_ns(name)
            before_ns = self._beats.get(name, beat_ns)
            if beat_ns - before_ns > STARVED_NS:
                self.gaps.append(DownTime(name, before_ns, beat_ns + RECOVERED_NS))
            self._beats[name] = beat_ns


def clear_parts(
    interval: Interval, downs: Iterable[DownTime], window_ns: tuple[int, int], lasting_ms: float
) -> list[Interval]:
    """The stretches of an interval in which all that it takes to find it was well; none of one that
    owes nobody a signal."""
    if interval.near:
        return []
    needed = {*leg_processes(DIRECTION_BY_LABEL[interval.direction].direction_id), ENGINE}
    at_ns = max(interval.start_ns, window_ns[0])
    end_ns = min(interval.end_ns or 2**63, window_ns[1])
    parts = []
    mine = (down for down in downs if down.who in needed)
    for down in sorted(mine, key=lambda down: down.start_ns):
        if down.start_ns > at_ns:
            parts.append((at_ns, min(down.start_ns, end_ns)))
        at_ns = max(at_ns, down.end_ns or 2**63)
    parts.append((at_ns, end_ns))
    return [
        interval._replace(start_ns=start_ns, end_ns=stop_ns)
        for start_ns, stop_ns in parts
        if stop_ns - start_ns > lasting_ms * MS
    ]


def leg_was_down(one: SeenSignal, downs: Iterable[DownTime], tolerance_ms: float) -> bool:
    """Whether a feed of a signal's legs was in trouble then."""
    legs = leg_processes(DIRECTION_BY_LABEL[one.direction].direction_id)
    return any(
        down.who in legs
        and down.start_ns <= one.mono_ns
        and (down.end_ns is None or one.mono_ns <= down.end_ns + tolerance_ms * MS)
        for down in downs
    )


# --- the tracker's database


def rows_of(path: Path, query: str) -> list[sqlite3.Row]:
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(query).fetchall()


ENTRY_FIELDS = (
    "gross_bps", "net_bps", "exit_bps", "size_quote", "spot_bid_px", "spot_bid_sz", "spot_ask_px",
    "spot_ask_sz", "fut_bid_px", "fut_bid_sz", "fut_ask_px", "fut_ask_sz",
)  # fmt: skip


def check_database(system: WholeSystem, signals: np.ndarray) -> None:
    """After its end: the tracker's database tells of exactly these signals, all that were ever
    pushed: none lost, none twice, whatever happened to the tracker meanwhile.
    """
    path = system.folder / "data" / "tracker.db"
    assert rows_of(path, "PRAGMA integrity_check")[0][0] == "ok"
    for table in ("samples", "probes", "settlements"):
        known = "(SELECT id FROM opportunities)"
        orphans = f"SELECT count(*) FROM {table} WHERE opportunity_id NOT IN {known}"
        assert rows_of(path, orphans)[0][0] == 0, table
    opportunities = rows_of(path, "SELECT * FROM opportunities ORDER BY id")
    for row in opportunities:
        _check_opportunity(row, signals)
    open_now = sum(row["closed_ns"] is None for row in opportunities)
    assert open_now == system.health.read(TRACKER).counters["open"]
    _check_counts(path, opportunities, signals)
    sampled = (
        "SELECT opportunity_id, count(*), count(DISTINCT ts_ns - late_ns) FROM samples GROUP BY 1"
    )
    found = {row[0]: (row[1], row[2]) for row in rows_of(path, sampled)}
    for row in opportunities:
        assert found.get(row["id"], (0, 0)) == (row["samples"], row["samples"]), dict(row)


def _check_opportunity(row: sqlite3.Row, signals: np.ndarray) -> None:
    shown = dict(row)
    closed = row["closed_ns"] is not None
    assert closed == (row["reason"] is not None) == (row["ended_ns"] is not None), shown
    assert not closed or row["reason"] in set(Reason), shown
    assert (row["reason"] == Reason.CONVERGED) == (row["realised_bps"] is not None), shown
    entry = signals[row["entry_seq"]]
    assert entry["kind"] != SignalKind.EXIT, shown
    assert (row["symbol_id"], row["direction_id"]) == (
        entry["symbol_id"],
        entry["direction_id"],
    ), shown
    for name in ENTRY_FIELDS:
        assert row[f"entry_{name}"] == float(entry[name]), (name, shown, entry)
    assert row["opened_ns"] == int(entry["ts_engine"]), shown
    assert row["peak_net_bps"] >= row["entry_net_bps"], shown
    assert row["last_signal_ns"] >= row["opened_ns"], shown


def _check_counts(path: Path, opportunities: list[sqlite3.Row], signals: np.ndarray) -> None:
    """Each signal is in one opportunity, and the totals say how many there were."""
    totals: Counter[str] = Counter()
    for row in rows_of(path, "SELECT totals FROM runs"):
        totals += Counter(orjson.loads(row["totals"]))
    kinds = Counter(int(kind) for kind in signals["kind"])
    exits = kinds.pop(int(SignalKind.EXIT), 0)
    shown = (dict(totals), dict(kinds), exits)
    of_ring = "SELECT last_seq FROM positions WHERE stream NOT LIKE 'store %'"
    last = [row["last_seq"] for row in rows_of(path, of_ring)]
    assert last == ([len(signals) - 1] if len(signals) else []), shown
    assert totals["signals"] == len(signals), shown
    assert totals["exits"] == exits, shown
    assert totals["follow_ups"] == kinds.pop(int(SignalKind.BOOK), 0), shown
    assert sum(row["signals"] for row in opportunities) == sum(kinds.values()), shown
    assert totals["opened"] == len(opportunities), shown
    closed = sum(row["closed_ns"] is not None for row in opportunities)
    assert sum(count for label, count in totals.items() if label.startswith("closed_")) == closed
    for label in ("signal_gaps", "rows_dropped", "released_unwritten", "refused_full"):
        assert totals[label] == 0, shown
    assert totals["refused_unknown"] == 0, shown


def check_signals(signals: np.ndarray, limits: Iterable[tuple[str, int]], anchor_ns: int) -> None:
    """What every signal says of itself: numbered without a gap, its legs within the limits."""
    np.testing.assert_array_equal(signals["seq"], np.arange(len(signals), dtype=np.uint64))
    np.testing.assert_array_equal(signals["ts_engine"] - signals["mono_ns"], anchor_ns)
    entering, _ = signals_apart(signals[signals["kind"] != SignalKind.EXIT])
    ages = {
        "spot_age": entering["ts_engine"] - entering["spot_ts_recv"],
        "fut_age": entering["ts_engine"] - entering["fut_ts_recv"],
        "skew": np.abs(entering["spot_ts_recv"] - entering["fut_ts_recv"]),
    }
    for name, most_ns in limits:
        assert (ages[name] >= 0).all(), name
        assert (ages[name] <= most_ns).all(), (name, ages[name].max())
