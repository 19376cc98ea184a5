"""A replay as a live set of segments, in a namespace of its own: what screens and other readers
attach to while it goes on.

Writer:  the replay that made them, and nobody else.     Readers: anyone, as of a running system.

The engine plays on memory of its own, so what is signalled does not depend on who looks on. Here is
what it has: the newest quotes, the signals, and feeds that live as long as they did. Times are
moved to the session clock of these segments, so that an age here is the age in the log. Beside them
lies a folder with the log's settings and tables, which the segments name: all of it goes when the
replay ends, and what a killed one has left is taken away by the next.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np

from spread_scanner import clock
from spread_scanner.config import Settings, System
from spread_scanner.errors import SegmentError, SpreadError
from spread_scanner.replay.pacing import ReplayPace
from spread_scanner.replay.private import PrivateEngine
from spread_scanner.schema.names import SIGNALS
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm import Health, PriceStore, SignalRing, segment
from spread_scanner.shm.faults import AlreadyClaimed
from spread_scanner.shm.ring import Producer
from spread_scanner.shminit.making import ensure
from spread_scanner.symbology.publish import generation_in_force, publish
from spread_scanner.symbology.tables import Tables

SIGNAL_TIMES = (
    "ts_engine", "ts_trigger", "spot_ts_event", "spot_ts_recv", "fut_ts_event", "fut_ts_recv"
)  # fmt: skip


class NamespaceTaken(SpreadError):
    """Something else stands in the namespace that a replay was to be shown in."""


class LiveCopy:
    """Made as soon as the log says of what size."""

    def __init__(self, namespace: str, data_dir: Path, own: str) -> None:
        """Raises NamespaceTaken, BadNamespace; `own`: that of the settings."""
        self.namespace, self._folder = namespace, data_dir / "replay" / namespace
        segment.segment_name(namespace, "store")  # raises where it can be none
        if namespace == own:
            raise NamespaceTaken("this is the system's own namespace", namespace=namespace)
        self._clear()
        self._made: _Made | None = None
        self._system: System | None = None

    def _clear(self) -> None:
        """Take away what a replay that was killed has left."""
        if segment.names(self.namespace):
            if _folder_of(self.namespace) != self._folder / "config":
                raise NamespaceTaken(
                    "a system stands there, or what is left of one", namespace=self.namespace
                )
            if segment.clean(self.namespace)[1]:
                raise NamespaceTaken("another replay is shown there", namespace=self.namespace)
        shutil.rmtree(self._folder, ignore_errors=True)

    def take(self, settings: Settings, tables: Tables) -> None:
        """What the log says is in force now."""
        system = settings.config.system
        if self._made is not None and _sizes(system) != _sizes(self._system or system):
            self.close()
        generated = self._folder / "generated"
        if tables.generation < generation_in_force(generated):
            shutil.rmtree(generated)  # of another life of the log
        if tables.generation != generation_in_force(generated):
            publish(generated, tables, {})
        if self._made is None:
            self._system = system
            made = _written(self._folder, self.namespace, settings)
            ensure(made, force=True)
            self._made = _Made(self.namespace, settings)

    def show(self, engine: PrivateEngine, log_ns: int, signals: np.ndarray) -> None:
        """What stands at that time of the log, and what was signalled since the last call."""
        if self._made is not None:
            self._made.show(engine, log_ns, signals)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()
            self._made = None
            segment.clean(self.namespace)
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Stage:
    """What a replay is played on where somebody looks on: at a pace, and into segments."""

    def __init__(self, pace: ReplayPace, copy: LiveCopy | None) -> None:
        self._pace, self._copy = pace, copy

    @property
    def speed(self) -> float:
        return self._pace.speed

    def wait(self, log_ns: int) -> None:
        self._pace.wait(log_ns)

    def take(self, settings: Settings, tables: Tables) -> None:
        if self._copy is not None:
            self._copy.take(settings, tables)

    def show(self, engine: PrivateEngine, log_ns: int, signals: np.ndarray) -> None:
        if self._copy is not None and log_ns >= self._pace.since_ns:
            self._copy.show(engine, log_ns, signals)


class _Made:
    """The segments, while they stand."""

    def __init__(self, namespace: str, settings: Settings) -> None:
        with contextlib.ExitStack() as stack:
            self._store = stack.enter_context(PriceStore.attach(namespace))
            self._writers = [
                stack.enter_context(contextlib.closing(self._store.writer(source_id)))
                for source_id in range(self._store.num_sources)
            ]
            self._ring = stack.enter_context(SignalRing.attach(namespace, SIGNALS))
            self._producer: Producer = stack.enter_context(
                contextlib.closing(self._ring.producer())
            )
            self._held = stack.pop_all()
        self._seen = np.zeros((self._store.num_sources, self._store.max_symbols), np.uint64)
        self._silent_ns = settings.config.system.heartbeat_ms_max * clock.NS_PER_MS

    def show(self, engine: PrivateEngine, log_ns: int, signals: np.ndarray) -> None:
        moved_ns = self._store.clock.now_ns() - log_ns
        sequences = engine.sequences
        for source_id, writer in enumerate(self._writers):
            ids = np.flatnonzero(sequences[source_id] != self._seen[source_id]).astype(np.uint16)
            if len(ids):
                quotes = engine.store.read_many(source_id, ids)
                _move(quotes, ("ts_event", "ts_recv"), moved_ns)
                writer.write_many(ids, quotes)
            beat_ns = engine.store.heartbeat_mono_ns(source_id)
            if log_ns - engine.anchor_ns - beat_ns <= self._silent_ns:
                writer.heartbeat(clock.mono_ns())
        self._seen = sequences
        self._push(signals.copy(), moved_ns)

    def _push(self, signals: np.ndarray, moved_ns: int) -> None:
        """Where nobody takes them the oldest go, as somebody may only look on."""
        if not len(signals):
            return
        _move(signals, SIGNAL_TIMES, moved_ns)
        signals["mono_ns"] = signals["ts_engine"] - self._store.clock.anchor_ns
        signals["instance"] = self._store.instance_id & 0xFFFFFFFF
        room = self._ring.layout.slots - self._ring.counters().in_ring
        if len(signals) > room:
            with (
                contextlib.suppress(AlreadyClaimed),
                contextlib.closing(self._ring.consumer()) as end,
            ):
                end.pop_many(self._ring.layout.slots // 2)
        for at in range(0, len(signals), self._ring.layout.slots // 2):
            part = signals[at : at + self._ring.layout.slots // 2]
            part["seq"] = self._ring.position + np.arange(len(part))
            self._producer.push_many(part)

    def close(self) -> None:
        self._held.close()


def _move(records: np.ndarray, names: tuple[str, ...], by_ns: int) -> None:
    """Times that are there, to another clock."""
    for name in names:
        there = records[name] != TS_ABSENT
        records[name][there] += by_ns


def _sizes(system: System) -> tuple[int, int]:
    return system.num_sources, system.max_symbols


def _folder_of(namespace: str) -> Path | None:
    """Where the settings of what stands there are."""
    try:
        with Health.attach(namespace, timeout_s=0) as health:
            return health.folder
    except SegmentError:
        return None


def _written(folder: Path, namespace: str, settings: Settings) -> Settings:
    """The log's settings as files in a folder of their own, by which any command can be called."""
    place = folder / "config"
    place.mkdir(parents=True, exist_ok=True)
    config = settings.config
    system = msgspec.structs.replace(
        config.system, namespace=namespace, generated_dir="generated", data_dir="data"
    )
    config = msgspec.structs.replace(config, system=system)
    made = Settings(place, config, settings.exchanges, settings.directions, settings.pools)
    sections = {"system": system, "spread-engine": config.spread_engine, "books": config.books}
    for name, said in (
        ("config", sections),
        ("exchanges", made.exchanges),
        ("directions", made.directions),
        ("pools", made.pools),
    ):
        lines = _toml(msgspec.to_builtins(said))
        (place / f"{name}.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return made


def _toml(table: Mapping[str, Any], *path: str) -> Iterator[str]:
    """Numbers, texts and lists of them are the same in JSON."""
    if path:
        yield f"[{'.'.join(json.dumps(name) for name in path)}]"
    for name, value in table.items():
        if value is not None and not isinstance(value, dict):
            yield f"{json.dumps(name)} = {json.dumps(value)}"
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _toml(value, *path, name)
