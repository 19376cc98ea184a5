"""Health: a row per process with its state, heartbeat, counters and latency histograms.

Writer:  the process that claimed the row (by its name).     Readers: spread-ctl, metrics, alerts.

A claim is a lock that the kernel frees when the process ends: `alive` asks the kernel, not a PID.
Counters keep counting over restarts of a process; `starts` says how often it began.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from spread_scanner import clock
from spread_scanner.errors import SegmentError
from spread_scanner.schema.counters import COUNTERS_MAX, HISTOGRAMS_MAX, counters_of, histograms_of
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.version import version
from spread_scanner.shm import _rows, segment
from spread_scanner.shm.layout import (
    FOLDER_AT,
    FOLDER_BYTES,
    HEADER_BYTES,
    HEALTH_BYTES,
    PROCESSES_MAX,
    ROW_BYTES,
    ROW_COUNTERS_AT,
    ROW_HEAD_DTYPE,
    ROW_HISTOGRAMS_AT,
    SIZES,
    Kind,
)
from spread_scanner.shm.segment import Holder, Segment
from spread_scanner.shm.slots import find_or_name, find_slot, name_of

PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99)
BUCKETS = SIZES["histogram_buckets"]


class Latency(NamedTuple):
    """A histogram read: how many, the percentiles of PERCENTILES and the maximum, in ns."""

    total: int
    percentiles_ns: tuple[float, ...]
    max_ns: float


class ProcessHealth(NamedTuple):
    """One process as its row shows it."""

    process: str
    alive: bool
    state: ProcessState
    heartbeat_age_ns: int
    pid: int
    age_ns: int  # since it was started
    starts: int
    generation: int
    longest_cycle_ns: int
    message: str
    counters: dict[str, int]
    latencies: dict[str, Latency]
    version: str = ""  # of what took the row last: schema.version


class HealthRow(_rows.Row, Holder):
    """A process's own row, claimed; made by Health.claim."""

    def __init__(self, held: Segment, number: int) -> None:
        at = HEADER_BYTES + number * ROW_BYTES
        super().__init__(
            held.memory,
            at + ROW_COUNTERS_AT,
            COUNTERS_MAX,
            at + ROW_HISTOGRAMS_AT,
            HISTOGRAMS_MAX,
        )
        self._held = held
        self._head = held.record(ROW_HEAD_DTYPE, at)
        # Where a native loop beats for its process.
        fields: Mapping[str, Any] = ROW_HEAD_DTYPE.fields or {}
        self.heartbeat_at = at + int(fields["heartbeat_mono_ns"][1])
        # Before the pid, which readers look at first: neither the state nor the last beat of the
        # life before is ours. Who was found without a beat would be killed as one that hangs.
        self.beat(ProcessState.STARTING)
        self._head["pid"] = os.getpid()
        self._head["started_wall_ns"] = held.clock.now_ns()
        self._head["starts"] += 1
        self._head["longest_cycle_ns"] = 0
        self._head["version"] = version().encode()

    def beat(self, state: ProcessState | None = None, message: str | None = None) -> None:
        """Say that the process lives, and what it is doing."""
        if message is not None:  # before the state: who sees that reads what is said of it
            self._head["message"] = message.encode()[:128]
        if state is not None:
            self._head["state"] = state
        self._head["heartbeat_mono_ns"] = clock.mono_ns()

    def cycle(self, duration_ns: int) -> None:
        """Note how long a turn of the process's loop took; the longest is kept."""
        self._head["longest_cycle_ns"] = max(int(self._head["longest_cycle_ns"]), duration_ns)

    def generation(self, number: int) -> None:
        """Note which tables the process uses."""
        self._head["generation"] = number

    def folder(self, path: Path) -> None:
        """Note where the system's settings are: shm-init alone does. A path beyond 4 KB is none."""
        if _folder(self._held) != path:
            said = os.fsencode(path)
            said = said if len(said) < FOLDER_BYTES else b""
            self._held.put_bytes(FOLDER_AT, said.ljust(FOLDER_BYTES, b"\0"))

    @property
    def known_generation(self) -> int:
        """The tables that were noted last, be it by the process's life before; 0: none were."""
        return int(self._head["generation"])

    @property
    def state(self) -> ProcessState:
        return ProcessState(int(self._head["state"]))


class Beat(NamedTuple):
    """The part of a row that is looked at over and over; counters and latencies stay."""

    alive: bool
    state: ProcessState
    heartbeat_age_ns: int
    pid: int
    generation: int
    message: str


class Health(Holder):
    """All rows, for reading; `claim` gives a process its own."""

    def __init__(self, namespace: str, held: Segment) -> None:
        self.namespace = namespace
        self._held = held

    @classmethod
    def create(cls, namespace: str) -> Self:
        """Make new, empty rows; those that stand under the namespace are retired."""
        name = segment.segment_name(namespace, "health")
        return cls(namespace, segment.create(name, Kind.HEALTH, HEALTH_BYTES, [PROCESSES_MAX]))

    @classmethod
    def attach(cls, namespace: str, *, timeout_s: float = segment.ATTACH_TIMEOUT_S) -> Self:
        return cls(namespace, _attach(namespace, writable=False, timeout_s=timeout_s))

    def claim(self, process: str) -> HealthRow:
        """Take the row of a process name: AlreadyClaimed when a live process has it."""
        held = _attach(self.namespace, writable=True)
        with segment.closed_on_failure(held):
            number = find_or_name(held, process, self._name_at)
            held.claim(number, f"health row of {process!r}")
            return HealthRow(held, number)

    @property
    def folder(self) -> Path | None:
        """Where the system's settings are, for who only knows the namespace; None: not known."""
        return _folder(self._held)

    def names(self) -> list[str]:
        """The processes that ever took a row, in row order."""
        return list(self._numbers())

    def _numbers(self) -> dict[str, int]:
        """Their rows: behind one without a name there is none."""
        found: dict[str, int] = {}
        for number in range(PROCESSES_MAX):
            name = name_of(self._held, number, self._name_at)
            if not name:
                break
            found[name] = number
        return found

    def alive(self, process: str) -> bool:
        """Whether a live process holds the row: asked of the kernel."""
        number = find_slot(self._held, process, self._name_at)
        return number is not None and self._held.claimed(number)

    def read(self, process: str) -> ProcessHealth:
        """One process's row. Raises SegmentError when no process of that name ever took one."""
        number = find_slot(self._held, process, self._name_at)
        if number is None:
            raise SegmentError(
                "no such process", process=process, known=", ".join(self.names()) or "none"
            )
        return self._read(process, number)

    def _read(self, process: str, number: int) -> ProcessHealth:
        head = self._head(number)
        counts = self._row_array(number, ROW_COUNTERS_AT, COUNTERS_MAX).tolist()
        buckets = self._row_array(number, ROW_HISTOGRAMS_AT, HISTOGRAMS_MAX * BUCKETS)
        histograms = buckets.reshape(HISTOGRAMS_MAX, BUCKETS)
        pid = int(head["pid"])  # before the state: see HealthRow
        return ProcessHealth(
            process=process,
            alive=self._held.claimed(number),
            state=ProcessState(int(head["state"])),
            heartbeat_age_ns=_age_ns(head),
            pid=pid,
            age_ns=self._held.clock.now_ns() - int(head["started_wall_ns"]),
            starts=int(head["starts"]),
            generation=int(head["generation"]),
            longest_cycle_ns=int(head["longest_cycle_ns"]),
            message=head["message"].decode(errors="replace"),
            counters={label: counts[number] for number, label, _ in counters_of(process)},
            latencies={
                row.label: latency(histograms[row.histogram_id]) for row in histograms_of(process)
            },
            version=head["version"].decode(errors="replace"),
        )

    def buckets(self, process: str) -> dict[str, np.ndarray]:
        """Copies of a process's raw histograms, to add up or to subtract; `latency` reads one."""
        number = find_slot(self._held, process, self._name_at)
        if number is None:
            return {}
        counts = self._row_array(number, ROW_HISTOGRAMS_AT, HISTOGRAMS_MAX * BUCKETS)
        histograms = counts.reshape(HISTOGRAMS_MAX, BUCKETS)
        return {row.label: histograms[row.histogram_id].copy() for row in histograms_of(process)}

    def beat(self, process: str) -> Beat | None:
        """Whether a process lives, and nothing that costs more; None if it never took a row."""
        number = find_slot(self._held, process, self._name_at)
        if number is None:
            return None
        head = self._head(number)
        pid = int(head["pid"])  # before the state: see HealthRow
        return Beat(
            alive=self._held.claimed(number),
            state=ProcessState(int(head["state"])),
            heartbeat_age_ns=_age_ns(head),
            pid=pid,
            generation=int(head["generation"]),
            message=head["message"].decode(errors="replace"),
        )

    def read_all(self) -> list[ProcessHealth]:
        return [self._read(name, number) for name, number in self._numbers().items()]

    @staticmethod
    def _name_at(number: int) -> int:
        return HEADER_BYTES + number * ROW_BYTES

    def _head(self, number: int) -> Any:
        return self._held.array(ROW_HEAD_DTYPE, self._name_at(number), (1,))[0]

    def _row_array(self, number: int, at: int, count: int) -> np.ndarray:
        return self._held.array(np.dtype("<u8"), self._name_at(number) + at, (count,))


def _attach(
    namespace: str, *, writable: bool, timeout_s: float = segment.ATTACH_TIMEOUT_S
) -> Segment:
    name = segment.segment_name(namespace, "health")
    return segment.attach(name, Kind.HEALTH, writable=writable, timeout_s=timeout_s)


def _age_ns(head: Any) -> int:
    """How old a row's heartbeat is. The beat is read first: one that came between the two readings
    would make it negative."""
    beat_ns = int(head["heartbeat_mono_ns"])
    return clock.mono_ns() - beat_ns


def _folder(held: Segment) -> Path | None:
    path = held.bytes_at(FOLDER_AT, FOLDER_BYTES).partition(b"\0")[0]
    return Path(os.fsdecode(path)) if path else None


def bucket_middle_ns(index: int) -> float:
    """The middle of a bucket's range; the inverse of native/histogram.h."""
    if index < 16:
        return float(index)
    power, step = divmod(index - 16, 16)
    return float((16 + step + 0.5) * 2.0**power)


def counts_below(buckets: np.ndarray, bounds_ns: Sequence[float]) -> list[int]:
    """How many of a histogram are under each of some bounds, which rise; within a bucket's 6 %."""
    totals = np.cumsum(buckets.copy())
    ends = [int(np.searchsorted(_MIDDLES_NS, bound_ns)) for bound_ns in bounds_ns]
    return [int(totals[end - 1]) if end else 0 for end in ends]


_MIDDLES_NS = np.array([bucket_middle_ns(index) for index in range(BUCKETS)])
_SHARES = np.array(PERCENTILES) / 100
_NOTHING_COUNTED = Latency(0, tuple(float("nan") for _ in PERCENTILES), float("nan"))


def latency(buckets: np.ndarray) -> Latency:
    """Read a histogram: (BUCKETS,) counts -> count, percentiles and maximum, each within 3.2 %."""
    if not buckets.any():
        return _NOTHING_COUNTED
    # A copy: the owner goes on counting, and numpy refuses an array that changes under it.
    buckets = buckets.copy()
    totals = np.cumsum(buckets)
    count = int(totals[-1])
    ranks = np.ceil(_SHARES * count)
    indexes = np.searchsorted(totals, ranks)
    return Latency(
        count,
        tuple(float(_MIDDLES_NS[index]) for index in indexes),
        float(_MIDDLES_NS[np.flatnonzero(buckets)[-1]]),
    )
