"""Every process as its health row shows it, and how fast its counters rise.

Reads the health segment twice, a moment apart, so that counters become rates. A process without a
row has never run; one whose row nobody holds is dead, whatever its state says.
"""

from collections.abc import Sequence

import numpy as np

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.config.processes import expected
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import (
    ALSO_DEGRADED,
    ENGINE,
    FEED_SOLANA,
    ONE_SHOT,
    SHM_INIT,
    TRACKER,
)
from spread_scanner.shm import Health
from spread_scanner.shm.health import PERCENTILES, ProcessHealth, latency
from spread_scanner.view.reading import Reading, known

# The latency that tells most about a kind of process, and the counters worth a rate.
HEADLINE = {"feed": "recv_to_cell", "engine": "recv_to_signal", "tracker": "recv_to_pop"}
RATES = {
    "feed": ("messages", "quotes"),
    "engine": ("dirty", "evaluations", "signals"),
    "tracker": ("signals", "samples"),
}
DROPS = {"feed": (), "engine": ("ring_full",), "tracker": ("rows_dropped", "refused_full")}


class ProcessView(Reading, frozen=True):
    """One line of the status."""

    process: str
    state: str
    alive: bool
    healthy: bool  # lives, beats and is not degraded, paused or not; a one-shot: did its work
    starting: bool  # or waiting for its turn, and young enough for that (ready_s_max)
    heartbeat_age_ms: float | None
    age_s: float | None  # since it was started last, whatever has become of it
    pid: int | None
    starts: int
    generation: int
    rates_per_s: dict[str, float]
    drops: int
    skips: int
    symbols: int | None  # a feed's listings
    good_symbols: int | None  # of them quoted and heard, whose quote can be used
    p50_us: float | None  # of the latency that tells most about this kind of process
    p99_us: float | None
    message: str
    version: str  # of what runs; empty: it has never run

    @property
    def degraded(self) -> bool:
        """It says itself that it is unwell, paused or not."""
        return self.state == "degraded" or _degraded_too(self.state, self.message)


def _degraded_too(state: str, message: str) -> bool:
    return state == "paused" and message.startswith(ALSO_DEGRADED)


def kind_of(process: str) -> str:
    """feed, engine, tracker, or other."""
    if process.startswith("feed-") and process != FEED_SOLANA:
        return "feed"
    return {ENGINE: "engine", TRACKER: "tracker"}.get(process, "other")


def other_versions(views: Sequence[ProcessView], installed: str) -> dict[str, list[str]]:
    """Who runs in another version than the one that is installed: version to processes."""
    found: dict[str, list[str]] = {}
    for view in views:
        if view.alive and view.version != installed:
            found.setdefault(view.version, []).append(view.process)
    return found


class StatusLooks:
    """Two looks at the health segment; keep it to go on looking."""

    def __init__(self, settings: Settings, health: Health) -> None:
        self._settings = settings
        self._health = health
        self._before: dict[str, ProcessHealth] = {}
        self._before_s = 0.0
        self._now: dict[str, ProcessHealth] = {}
        self._now_s = 0.0
        self.look()

    def look(self) -> None:
        """Read all rows; rates are over the time since the look before."""
        self._before, self._before_s = self._now, self._now_s
        self._now = {row.process: row for row in self._health.read_all()}
        self._now_s = clock.mono_s()

    def views(self) -> list[ProcessView]:
        """The expected processes in order, then others that have a row (spread-ctl itself)."""
        names = expected(self._settings)
        names += [name for name in self._now if name not in names]
        return [self._view(name) for name in names]

    def total(self, counter: str) -> int:
        """A counter summed over all processes that have it."""
        return sum(row.counters.get(counter, 0) for row in self._now.values())

    def counters(self, process: str) -> dict[str, int]:
        return self._now[process].counters if process in self._now else {}

    def _view(self, process: str) -> ProcessView:
        row = self._now.get(process)
        if row is None:
            return _absent(process, waits=self._young(self._now.get(SHM_INIT)))
        kind = kind_of(process)
        shown = row.latencies.get(HEADLINE.get(kind, ""))
        return ProcessView(
            process=process,
            state=_state(row),
            alive=row.alive,
            healthy=self._healthy(row),
            starting=row.alive and row.state is ProcessState.STARTING and self._young(row),
            heartbeat_age_ms=row.heartbeat_age_ns / 1e6,
            age_s=row.age_ns / NS_PER_S,
            pid=row.pid if row.alive else None,
            starts=row.starts,
            generation=row.generation,
            rates_per_s=self._rates(row, RATES.get(kind, ())),
            drops=sum(row.counters.get(label, 0) for label in DROPS.get(kind, ())),
            skips=sum(count for label, count in row.counters.items() if label.startswith("skip_")),
            symbols=row.counters.get("symbols"),
            good_symbols=self._good_symbols(row),
            p50_us=known(shown.percentiles_ns[0] / 1e3) if shown else None,
            p99_us=known(shown.percentiles_ns[2] / 1e3) if shown else None,
            message=row.message.rstrip("\0"),
            version=row.version,
        )

    def _beats(self, row: ProcessHealth) -> bool:
        return row.heartbeat_age_ns / 1e6 <= self._settings.config.system.heartbeat_ms_max

    def _good_symbols(self, row: ProcessHealth) -> int | None:
        """As the feed counts them; none of one that is gone or silent, whatever it said last."""
        counted = row.counters.get("good_symbols")
        return counted if counted is None or (row.alive and self._beats(row)) else 0

    def _healthy(self, row: ProcessHealth) -> bool:
        if row.process in ONE_SHOT:
            return row.state is ProcessState.STOPPED or (
                row.alive and row.state is not ProcessState.FAILED
            )
        works = row.state in (ProcessState.RUNNING, ProcessState.PAUSED)
        works = works and not _degraded_too(row.state.name.lower(), row.message)
        return row.alive and self._beats(row) and works

    def _young(self, row: ProcessHealth | None) -> bool:
        """Whether it began so recently that what it starts need not be there yet."""
        return row is not None and (
            row.age_ns / NS_PER_S <= self._settings.config.system.ready_s_max
        )

    def _rates(self, row: ProcessHealth, labels: Sequence[str]) -> dict[str, float]:
        before = self._before.get(row.process)
        elapsed_s = self._now_s - self._before_s
        if before is None or elapsed_s <= 0:
            return dict.fromkeys(labels, 0.0)
        return {
            label: (row.counters[label] - before.counters[label]) / elapsed_s for label in labels
        }


def _state(row: ProcessHealth) -> str:
    """The state as a person should read it: a dead process is not running, and one that does its
    work and ends is done.
    """
    if row.process in ONE_SHOT and row.state is ProcessState.STOPPED:
        return "done"
    settled = row.state in (ProcessState.STOPPED, ProcessState.FAILED)
    if not row.alive and not settled:
        return "dead"
    return row.state.name.lower()


Stages = dict[str, np.ndarray]


def stage_buckets(health: Health) -> Stages:
    """The histograms of the pipeline's stages so far, feeds added up."""
    sums: Stages = {}
    for process in health.names():
        for label, counted in health.buckets(process).items():
            sums[label] = sums[label] + counted if label in sums else counted
    return sums


def stage_latencies(until: Stages, since: Stages) -> dict[str, dict[str, float]]:
    """Percentiles in us per stage, of what was counted between two looks."""
    stages = {}
    for label, counted in until.items():
        before = since.get(label)
        if before is None or (before > counted).any():  # new segments began again from nothing
            before = np.zeros_like(counted)
        read = latency(counted - before)
        names = [f"p{percentile:g}" for percentile in PERCENTILES]
        stages[label] = {
            "count": float(read.total),
            **dict(zip(names, [ns / 1e3 for ns in read.percentiles_ns], strict=True)),
            "max": read.max_ns / 1e3,
        }
    return stages


def _absent(process: str, *, waits: bool) -> ProcessView:
    """One that has no row: it has never run, and perhaps its turn is still to come."""
    return ProcessView(
        process=process,
        state="waiting" if waits else "absent",
        alive=False,
        healthy=False,
        starting=waits,
        heartbeat_age_ms=None,
        age_s=None,
        pid=None,
        starts=0,
        generation=0,
        rates_per_s={},
        drops=0,
        skips=0,
        symbols=None,
        good_symbols=None,
        p50_us=None,
        p99_us=None,
        message="",
        version="",
    )
