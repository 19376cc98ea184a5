"""Plays a log to an engine: a pure function of what the log holds.

Ticks of all sources are merged by (time, source, number) and the loop goes a step for all that one
source received at one time, and one for whatever else happened: what a source said of itself, a
switch, a generation of what is usual, new tables, another life of the engine. What the log has
later than it happened is waited for (MARGIN_NS); what comes later still is played when it comes.
"""

import hashlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.engine._loop import Lanes, lane_times
from spread_scanner.replay.happenings import (
    LogEntry,
    LoggedArray,
    LoggedEngine,
    LoggedSettings,
    LoggedSwitches,
    StoreLife,
    happenings,
)
from spread_scanner.replay.private import PrivateEngine
from spread_scanner.replay.recomputing import Recomputing, Verdicts
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.schema.log import GAP_DTYPE, TICK_DTYPE, RecordKind
from spread_scanner.schema.records import QUOTE_DTYPE, SIGNAL_DTYPE, TS_ABSENT, signals_apart
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.usual import Usual, UsualCause

MARGIN_NS = NS_PER_S  # what is in the log later than this after it happened is played late
BATCH = 65_536  # ticks that are merged at once, at least
LOOKED_AHEAD_NS = 100 * NS_PER_MS

Changed = Callable[[Settings], Settings]


class ReplayCounts(NamedTuple):
    """What was played."""

    ticks: int = 0
    lives: int = 0  # of the store
    starts: int = 0  # of the engine
    reloads: int = 0
    generations: int = 0
    switches: int = 0
    without: int = 0  # generations whose tables or settings the log does not hold


class Replayed(NamedTuple):
    """Of the whole of what was played, by time."""

    signals: np.ndarray  # what the replay says
    held_ns: np.ndarray  # of each, how long both its quotes stood; at least LOOKED_AHEAD_NS: longer
    live: np.ndarray  # what the log says
    verdicts: Verdicts  # of each of those
    gaps: np.ndarray
    engine: tuple[LoggedEngine, ...]
    names: dict[int, dict[int, str]]  # of symbols, by the generation that a signal has
    counts: ReplayCounts

    @property
    def digest(self) -> str:
        """The same for the same log, whoever plays it and when."""
        return hashlib.sha256(self.signals.tobytes()).hexdigest()


def replay(
    folder: Path, *, until_ns: int | None = None, changed: Changed = lambda settings: settings
) -> Replayed:
    """The log from its begin, which the state at any time follows from, to a time of the session
    clock. `changed`: the settings to play with in place of those that were in force. Raises
    reader.LogDamaged, NoLog, LogUnreadable, OSError."""
    played = _Played(changed)
    for one in happenings(folder):
        played.hear(one)
        if until_ns is not None and played.seen_ns - MARGIN_NS > until_ns:
            break
    played.finish()
    return played.found()


class _Played:
    """What goes from one store of the log to the next."""

    def __init__(self, changed: Changed) -> None:
        self._changed = changed
        self._player: _Player | None = None
        self._settings: dict[int, Settings] = {}
        self._tables: dict[int, Tables] = {}
        self._anchor_ns = self._instance = 0
        self._signals: list[np.ndarray] = []
        self._held: list[np.ndarray] = []
        self._live: list[np.ndarray] = []
        self._gaps: list[np.ndarray] = []
        self._verdicts: list[Verdicts] = []
        self._engine: list[LoggedEngine] = []
        self._counts = ReplayCounts()

    @property
    def seen_ns(self) -> int:
        return self._player.seen_ns if self._player is not None else 0

    def hear(self, one: LogEntry) -> None:
        if isinstance(one, StoreLife):
            self.finish()
            self._instance, self._anchor_ns = one
        elif isinstance(one, LoggedSettings):
            self._settings[one.digest] = one.settings
            if self._player is None:
                self._player = self._begun(one.settings)
        elif isinstance(one, Tables):
            self._tables[one.generation] = one
        elif self._player is not None:
            self._player.hear(one)
        if isinstance(one, LoggedEngine):
            self._engine.append(one)
        elif isinstance(one, LoggedArray) and one.kind is RecordKind.GAP:
            self._gaps.append(one.records)

    def _begun(self, settings: Settings) -> "_Player":
        system = settings.config.system
        engine = PrivateEngine(
            system.num_sources,
            system.max_symbols,
            anchor_ns=self._anchor_ns,
            instance_id=self._instance,
        )
        return _Player(engine, self._settings, self._tables, self._changed)

    def finish(self) -> None:
        """All of one store."""
        player, self._player = self._player, None
        if player is None:
            return
        player.play_until(None)
        self._signals += player.signals
        self._held += player.held
        self._live.append(player.recomputing.signals)
        self._verdicts.append(player.recomputing.verdicts)
        counts = player.counts._replace(lives=1)
        self._counts = ReplayCounts(*map(sum, zip(self._counts, counts, strict=True)))

    def found(self) -> Replayed:
        empty = np.zeros(0, SIGNAL_DTYPE)
        return Replayed(
            np.concatenate([empty, *self._signals]),
            np.concatenate([np.zeros(0, np.int64), *self._held]),
            np.concatenate([empty, *self._live]),
            Verdicts.joined(self._verdicts),
            np.concatenate([np.zeros(0, GAP_DTYPE), *self._gaps]),
            tuple(self._engine),
            {made.generation & 0xFFFFFFFF: made.symbol_names() for made in self._tables.values()},
            self._counts,
        )


class _Player:
    """One store's."""

    def __init__(
        self,
        engine: PrivateEngine,
        settings: dict[int, Settings],
        tables: dict[int, Tables],
        changed: Changed,
    ) -> None:
        self._engine, self._settings, self._tables = engine, settings, tables
        self._changed = changed
        sources, symbols = engine.store.num_sources, engine.max_symbols
        self._waiting: list[LoggedArray] = []
        self._waiting_ticks = 0
        self._events: list[tuple[int, LogEntry]] = []
        self._lanes = [(np.zeros(0, TICK_DTYPE), np.zeros(0, np.int64)) for _ in range(sources)]
        self._cells = np.zeros((sources, symbols), QUOTE_DTYPE)
        self._cells["ts_recv"] = TS_ABSENT
        self._ends = [TS_ABSENT] * sources  # when each lane's last tick was published
        self._now_ns = TS_ABSENT
        self._played_ns = TS_ABSENT  # what comes later of before is played then
        self.seen_ns = TS_ABSENT  # the newest of which the log is known to have all
        self.recomputing = Recomputing(self._cells.copy())
        self.signals: list[np.ndarray] = []
        self.held: list[np.ndarray] = []
        self.counts = ReplayCounts()

    def hear(self, one: LogEntry) -> None:
        if isinstance(one, LoggedArray):
            self._hear_array(one)
        elif isinstance(one, Usual):
            self._events.append((one.origin.ts, one))
        elif isinstance(one, LoggedSwitches):
            self._events.append((one.ts, one))
        if self._waiting_ticks >= BATCH:
            self.play_until(self.seen_ns - MARGIN_NS)

    def _hear_array(self, one: LoggedArray) -> None:
        if one.kind is RecordKind.TICK:
            self._waiting.append(one)
            self._waiting_ticks += len(one.records)
        elif one.kind is RecordKind.SIGNAL:
            self.recomputing.hear(signals_apart(one.records)[0])  # no book is in the log
        elif one.kind is RecordKind.SOURCE_STATE and len(one.records):
            # The recorder drains first: all that was published by then stands before.
            self.seen_ns = int(one.records["ts"][-1])
            self._events.append((self.seen_ns, one))

    def play_until(self, until_ns: int | None) -> None:
        """What happened before that; None: all."""
        self._merge()
        end_ns = 2**63 - 1 if until_ns is None else until_ns
        late_ns = self._played_ns
        self._events = [(max(ts, late_ns), one) for ts, one in self._events]
        self._events.sort(key=lambda event: event[0])  # stable: of one time in the log's order
        due = [event for event in self._events if event[0] < end_ns]
        self._events = self._events[len(due) :]
        lanes = Lanes(self._lanes)
        for place, (ts, one) in enumerate(due):
            self._collect(self._engine.play(lanes, ts), lanes)
            self._now_ns = max(self._now_ns, ts)
            self._apply(one)
            if place + 1 == len(due) or due[place + 1][0] != ts:
                self._collect(self._engine.step(self._now_ns), lanes)
        self._collect(self._engine.play(lanes, end_ns), lanes)
        self.recomputing.resolve(self._lanes, self._cells, end_ns)
        self._lanes = lanes.rest()
        self._played_ns = max(late_ns, end_ns)

    def _merge(self) -> None:
        """What has come since goes to the lanes, by source."""
        if not self._waiting:
            return
        ticks = _joined([one.records for one in self._waiting])
        written = np.repeat(
            [one.written_ns for one in self._waiting], [len(one.records) for one in self._waiting]
        )
        order = np.argsort(ticks["source_id"], kind="stable")
        ticks, written = ticks[order], written[order]
        bounds = np.searchsorted(ticks["source_id"], np.arange(len(self._lanes) + 1))
        self.counts = self.counts._replace(ticks=self.counts.ticks + len(ticks))
        self._waiting, self._waiting_ticks = [], 0
        for source_id, (begin, end) in enumerate(pairwise(bounds.tolist())):
            some = ticks[begin:end]
            at_ns = lane_times(
                some,
                written[begin:end],
                self._cells[source_id],
                max(self._ends[source_id], self._played_ns),
            )
            if len(at_ns):
                self._ends[source_id] = int(at_ns[-1])
                rest, rest_ns = self._lanes[source_id]
                joined = _joined([rest, some]), np.concatenate([rest_ns, at_ns])
                self._lanes[source_id] = joined

    def _apply(self, one: LogEntry) -> None:
        if isinstance(one, LoggedArray):
            for row in one.records.tolist():
                _, heartbeat_ns, _, epoch, source_id, _ = row
                self._engine.source(source_id, epoch, heartbeat_ns)
        elif isinstance(one, LoggedSwitches):
            self._engine.switch(one.standing)
            self._count("switches")
        elif isinstance(one, Usual):
            self._adopt(one)

    def _adopt(self, found: Usual) -> None:
        """A minute's, or with new tables and settings; what the log does not hold is left out."""
        origin = found.origin
        settings = self._settings.get(origin.settings)
        tables = self._tables.get(origin.tables)
        if settings is None or tables is None:
            self._count("without")
            return
        self.recomputing.adopt(found, settings, tables)
        self._count("generations")
        if origin.cause is UsualCause.MINUTE and self._engine.plan is not None:
            self._engine.adopt(found)
            return
        if origin.cause is UsualCause.START or self._engine.plan is None:
            self._engine.restart()
            self._count("starts")
        else:
            self._count("reloads")
        self._engine.take(self._changed(settings), tables, found)

    def _count(self, what: str) -> None:
        self.counts = self.counts._replace(**{what: getattr(self.counts, what) + 1})

    def _collect(self, found: np.ndarray, lanes: Lanes) -> None:
        if len(found):
            self.signals.append(found)
            self.held.append(_held(found, self._lanes))
            self._now_ns = max(self._now_ns, int(found["ts_engine"][-1]))


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Ticks one behind the other, as bytes: field by field takes four times as long."""
    return np.concatenate([part.view(np.uint8) for part in parts]).view(TICK_DTYPE)


def _held(signals: np.ndarray, lanes: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """How long after each signal the next tick of either of its legs came, as far as is looked."""
    found = np.full(len(signals), LOOKED_AHEAD_NS)
    for place, signal in enumerate(signals):
        direction = DIRECTIONS[int(signal["direction_id"])]
        begun_ns = int(signal["ts_engine"])
        for source in (direction.spot, direction.futures):
            ticks, at_ns = lanes[source.source_id]
            begin, end = np.searchsorted(at_ns, [begun_ns + 1, begun_ns + LOOKED_AHEAD_NS])
            later = np.flatnonzero(ticks["symbol_id"][begin:end] == signal["symbol_id"])
            if len(later):
                found[place] = min(found[place], at_ns[begin + later[0]] - begun_ns)
    return found
