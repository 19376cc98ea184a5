"""Plays a log to an engine: a pure function of what the log holds.

Ticks of all sources are merged by (time, source, number) and the loop goes a step for all that one
source received at one time, and one for whatever else happened: what a source said of itself, a
switch, a generation of what is usual, new tables, another life of the engine. What the log has
later than it happened is waited for (MARGIN_NS); what comes later still is played when it comes.
"""

import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.engine import plan
from spread_scanner.engine._lanes import Lanes
from spread_scanner.replay.happenings import (
    LogEntry,
    LoggedArray,
    LoggedEngine,
    LoggedSettings,
    LoggedSwitches,
    LogUnreadable,
    StoreLife,
    happenings,
)
from spread_scanner.replay.private import PrivateEngine, told_of
from spread_scanner.replay.recomputing import FUT_OF, SPOT_OF, Planned, Recomputing, Verdicts
from spread_scanner.schema.log import GAP_DTYPE, RecordKind
from spread_scanner.schema.records import SIGNAL_DTYPE, TS_ABSENT, joined, signals_apart
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.usual import Usual, UsualCause

MARGIN_NS = NS_PER_S  # what is in the log later than this after it happened is played late
BATCH = 65_536  # ticks that are played at once, at least
KEPT_NS = NS_PER_S  # for so long a signal may name a quote that has been followed by others
LOOKED_AHEAD_NS = MARGIN_NS
SLICE_NS, SLICE_NS_MAX = 20 * NS_PER_MS, NS_PER_S  # of the log, that are shown at once
NEVER_NS = TS_ABSENT + MARGIN_NS  # what is due by it is representable, too
UNSEEN_NS = 300 * NS_PER_MS  # without a word of any source for so long: three looks are missing

Changed = Callable[[Settings], Settings]


class Audience(Protocol):
    """For whom a replay goes by bit by bit."""

    @property
    def speed(self) -> float:
        """How many times as fast as it was lived."""

    def wait(self, log_ns: int) -> None:
        """Until that time is due."""

    def take(self, settings: Settings, tables: Tables) -> None:
        """What is in force now."""

    def show(self, engine: PrivateEngine, log_ns: int, signals: np.ndarray) -> None:
        """What stands then, and what was signalled since the last time."""


class ReplayCounts(NamedTuple):
    """What was played."""

    ticks: int = 0
    lives: int = 0  # of the store
    starts: int = 0  # of the engine
    reloads: int = 0
    generations: int = 0
    switches: int = 0
    without: int = 0  # generations whose tables or settings the log does not hold
    unplayed: int = 0  # ticks of a store of which the log holds no settings


class EngineSeen(NamedTuple):
    """What the recorder saw of the engine that was otherwise when it looked before."""

    before_ns: int
    ts: int
    alive: bool
    dropped: int


class EngineLife(NamedTuple):
    """From where on what is replayed stands on generations of what is usual."""

    ts: int
    whole: bool  # the log holds this life of the engine from its start
    asks_z: bool  # the analyst has a say, which no log holds


class Replayed(NamedTuple):
    """Of the whole of what was played, by time."""

    signals: np.ndarray  # what the replay says
    held_ns: np.ndarray  # of each, how long both its quotes stood; at least LOOKED_AHEAD_NS: longer
    live: np.ndarray  # what the log says
    verdicts: Verdicts  # of each of those
    gaps: np.ndarray
    engine: tuple[EngineSeen, ...]
    unseen: tuple[tuple[int, int], ...]  # when no recorder looked, within one store's life
    ends: tuple[int, ...]  # when one looked last, of each store
    begun_ns: int | None  # when one looked first; None: never
    adopted: tuple[EngineLife, ...]
    names: dict[int, dict[int, str]]  # of symbols, by the generation that a signal has
    counts: ReplayCounts

    @property
    def digest(self) -> str:
        """The same for the same log, whoever plays it and when."""
        return hashlib.sha256(self.signals.tobytes()).hexdigest()


def replay(
    folder: Path,
    *,
    until_ns: int | None = None,
    changed: Changed = lambda settings: settings,
    audience: Audience | None = None,
) -> Replayed:
    """The log from its begin, which the state at any time follows from, to a time of the session
    clock. `changed`: the settings to play with in place of those that were in force. What comes out
    does not depend on the audience. Raises reader.LogDamaged, NoLog, LogUnreadable, OSError."""
    played = _Played(changed, audience)
    for one in happenings(folder):
        played.hear(one)
        if until_ns is not None and played.seen_ns - MARGIN_NS > until_ns:
            break
    played.finish()
    return played.found()


class _Played:
    """What goes from one store of the log to the next."""

    def __init__(self, changed: Changed, audience: Audience | None) -> None:
        self._changed, self._audience = changed, audience
        self._player: _Player | None = None
        self._early: list[LogEntry] = []  # what stands before the settings, within a segment
        self._settings: dict[int, Settings] = {}
        self._tables: dict[int, Tables] = {}
        self._life = StoreLife(0, 0, 0)
        self._signals: list[np.ndarray] = []
        self._held: list[np.ndarray] = []
        self._live: list[np.ndarray] = []
        self._gaps: list[np.ndarray] = []
        self._verdicts: list[Verdicts] = []
        self._engine: list[EngineSeen] = []
        self._unseen: list[tuple[int, int]] = []
        self._ends: list[int] = []
        self._looked_ns = TS_ABSENT
        self._begun_ns: int | None = None
        self._adopted: list[EngineLife] = []
        self._counts = ReplayCounts()

    @property
    def seen_ns(self) -> int:
        return self._player.seen_ns if self._player is not None else 0

    def hear(self, one: LogEntry) -> None:
        if isinstance(one, LoggedArray):
            self._hear_array(one)
        elif isinstance(one, StoreLife):
            self.finish()
            self._life = one
        elif isinstance(one, LoggedSettings):
            self._settings[one.digest] = one.settings
            if self._player is None:
                self._player = self._begun(one.settings)
                early, self._early = self._early, []
                for entry in early:
                    self._player.hear(entry)
        elif isinstance(one, Tables):
            self._tables[one.generation] = one
        elif self._player is not None:
            self._player.hear(one)
        else:
            self._early.append(one)
        if isinstance(one, LoggedEngine):
            self._engine.append(EngineSeen(self._looked_ns, *one))

    def _hear_array(self, one: LoggedArray) -> None:
        if self._player is not None:
            self._player.hear(one)
        else:
            self._early.append(one)
        if one.kind is RecordKind.GAP:
            self._gaps.append(one.records)
        elif one.kind is RecordKind.SOURCE_STATE:
            self._look(int(one.records["ts"][-1]))

    def _look(self, at_ns: int) -> None:
        """The recorder looked at the sources, and at the engine before."""
        if self._looked_ns != TS_ABSENT and at_ns - self._looked_ns > UNSEEN_NS:
            self._unseen.append((self._looked_ns, at_ns))
        self._looked_ns = at_ns
        self._begun_ns = at_ns if self._begun_ns is None else self._begun_ns

    def _begun(self, settings: Settings) -> "_Player":
        system = settings.config.system
        engine = PrivateEngine(
            system.num_sources,
            system.max_symbols,
            anchor_ns=self._life.anchor_ns,
            instance_id=self._life.instance_id,
        )
        documents = _Documents(self._settings, self._tables, self._changed, system.max_symbols)
        return _Player(engine, documents, self._life.begun_ns, self._audience)

    def finish(self) -> None:
        """All of one store."""
        if self._looked_ns != TS_ABSENT:
            self._ends.append(self._looked_ns)
            self._looked_ns = TS_ABSENT
        player, self._player = self._player, None
        if player is None:
            early, self._early = self._early, []
            arrays = [one for one in early if isinstance(one, LoggedArray)]
            ticks = sum(len(one.records) for one in arrays if one.kind is RecordKind.TICK)
            self._counts = self._counts._replace(unplayed=self._counts.unplayed + ticks)
            return
        player.finish()
        self._signals += player.signals
        self._held += player.held
        self._live.append(player.recomputing.signals)
        self._verdicts.append(player.recomputing.verdicts)
        self._adopted += player.adopted
        counts = player.counts._replace(lives=1)
        self._counts = ReplayCounts(*map(sum, zip(self._counts, counts, strict=True)))

    def found(self) -> Replayed:
        return Replayed(
            joined(self._signals, SIGNAL_DTYPE),
            np.concatenate([np.zeros(0, np.int64), *self._held]),
            joined(self._live, SIGNAL_DTYPE),
            Verdicts.joined(self._verdicts),
            joined(self._gaps, GAP_DTYPE),
            tuple(self._engine),
            tuple(self._unseen),
            tuple(self._ends),
            self._begun_ns,
            tuple(self._adopted),
            {made.generation & 0xFFFFFFFF: made.symbol_names() for made in self._tables.values()},
            self._counts,
        )


class _Beat(NamedTuple):
    """What a source said of itself."""

    source_id: int
    epoch: int
    heartbeat_mono_ns: int


_Happening = _Beat | Usual | LoggedSwitches


class _Documents:
    """What the log has told of tables and settings so far, and the plans of them: each once."""

    def __init__(
        self,
        settings: dict[int, Settings],
        tables: dict[int, Tables],
        changed: Changed,
        max_symbols: int,
    ) -> None:
        self._settings, self._tables, self._changed = settings, tables, changed
        self._max_symbols = max_symbols
        self._otherwise: dict[int, Settings] = {}
        self._plans: dict[tuple[int, int, bool], Planned] = {}

    def of(self, found: Usual) -> tuple[Settings, Settings, Tables] | None:
        """What stood with a generation, and with what it is played; None: the log does not hold
        it."""
        digest = found.origin.settings
        settings, tables = self._settings.get(digest), self._tables.get(found.origin.tables)
        if settings is None or tables is None:
            return None
        if digest not in self._otherwise:
            self._otherwise[digest] = self._changed(settings)
        return settings, self._otherwise[digest], tables

    def planned(self, found: Usual, *, changed: bool) -> Planned:
        """The plan of what stood, or of that with which it is played."""
        stood = self.of(found)
        assert stood is not None
        was, now, tables = stood
        key = (found.origin.tables, found.origin.settings, changed and now is not was)
        if key not in self._plans:
            made = plan.plan(now if changed else was, tables, self._max_symbols)
            self._plans[key] = Planned.of(made, self._max_symbols)
        return self._plans[key]


class _Player:
    """One store's."""

    def __init__(
        self,
        engine: PrivateEngine,
        documents: _Documents,
        begun_ns: int,
        audience: Audience | None,
    ) -> None:
        self._engine, self._documents, self._begun_ns = engine, documents, begun_ns
        self._audience = audience
        self._shown_ns: int | None = None
        self._shown = 0  # of the parts of `signals`
        self._lanes = Lanes(engine.store.num_sources, engine.max_symbols)
        self._waiting_ticks = 0
        self._events: list[tuple[int, _Happening]] = []
        self._now_ns = TS_ABSENT
        self.seen_ns = NEVER_NS  # the newest of which the log is known to have all
        self.recomputing = Recomputing()
        self.signals: list[np.ndarray] = []
        self.held: list[np.ndarray] = []
        self.adopted: list[EngineLife] = []
        self.counts = ReplayCounts()

    def hear(self, one: LogEntry) -> None:
        if isinstance(one, LoggedArray):
            self._hear_array(one)
        elif isinstance(one, Usual):
            self._expect(one.origin.ts, one)
        elif isinstance(one, LoggedSwitches):
            self._expect(one.ts, one)
        if self._audience is not None:
            self._perform(self._audience, self._due_ns)
        elif self._waiting_ticks >= BATCH:
            self.play_until(self._due_ns)

    def _perform(self, audience: Audience, due_ns: int) -> None:
        """What is due, slice by slice as time goes by."""
        if self.seen_ns == NEVER_NS:
            return
        slice_ns = int(min(SLICE_NS_MAX, SLICE_NS * max(1.0, audience.speed)))
        at_ns = self._shown_ns = due_ns if self._shown_ns is None else self._shown_ns
        while (at_ns := at_ns + slice_ns) <= due_ns:
            audience.wait(at_ns)
            self.play_until(at_ns)
            signals = self.signals[self._shown :]
            audience.show(self._engine, at_ns, joined(signals, SIGNAL_DTYPE))
            self._shown, self._shown_ns = self._shown + len(signals), at_ns

    @property
    def _due_ns(self) -> int:
        """All of before has come, or is played then: by what stands before it in the log, so that
        it does not matter how much of the log is played at once."""
        return self.seen_ns - MARGIN_NS

    def _expect(self, ts: int, one: "_Happening") -> None:
        self._events.append((max(ts, self._due_ns), one))

    def _hear_array(self, one: LoggedArray) -> None:
        if one.kind is RecordKind.TICK:
            try:
                self._lanes.hear(one.records, one.written_ns, self._due_ns)
            except ValueError as error:
                raise LogUnreadable(f"a tick is of no cell of its store: {error}") from None
            self._waiting_ticks += len(one.records)
        elif one.kind is RecordKind.SIGNAL:
            self.recomputing.hear(signals_apart(one.records)[0])  # no book is in the log
        elif one.kind is RecordKind.SOURCE_STATE and len(one.records):
            # The recorder drains first: all that was published by then stands before.
            self.seen_ns = max(self.seen_ns, int(one.records["ts"][-1]))
            self._hear_beats(one)

    def _hear_beats(self, one: LoggedArray) -> None:
        """What was seen of a source is so since it beat, which it does when it begins, too."""
        for _, heartbeat_ns, _, epoch, source_id, _ in one.records.tolist():
            beaten_ns = heartbeat_ns + self._engine.anchor_ns if heartbeat_ns else self.seen_ns
            beat = _Beat(source_id, epoch, heartbeat_ns)
            self._expect(min(beaten_ns, self.seen_ns), beat)

    def finish(self) -> None:
        """All that is left."""
        if self._audience is not None:
            self._perform(self._audience, self.seen_ns)
        self.play_until(None)

    def play_until(self, until_ns: int | None) -> None:
        """What happened before that; None: all."""
        self.counts = self.counts._replace(ticks=self.counts.ticks + self._waiting_ticks)
        self._waiting_ticks = 0
        end_ns = 2**63 - 1 if until_ns is None else until_ns
        self._events.sort(key=lambda event: event[0])  # stable: of one time in the log's order
        due = [event for event in self._events if event[0] < end_ns]
        self._events = self._events[len(due) :]
        for ts, same in itertools.groupby(due, key=lambda event: event[0]):
            self._collect(self._engine.play(self._lanes, ts))
            self._now_ns = max(self._now_ns, ts)
            for _, one in same:
                self._apply(one)
            self._collect(self._engine.step(self._now_ns))
        self._collect(self._engine.play(self._lanes, end_ns))
        self.recomputing.resolve(self._lanes, end_ns)
        self._lanes.let_go(max(end_ns - KEPT_NS, TS_ABSENT))

    def _apply(self, one: "_Happening") -> None:
        if isinstance(one, _Beat):
            self._engine.source(*one)
        elif isinstance(one, LoggedSwitches):
            self._engine.switch(one.standing)
            self._count("switches")
        elif isinstance(one, Usual):
            self._adopt(one)

    def _adopt(self, found: Usual) -> None:
        """A minute's, or with new tables and settings; what the log does not hold is left out."""
        stood = self._documents.of(found)
        if stood is None:
            self._count("without")
            return
        was, now, tables = stood
        origin = found.origin
        planned = self._documents.planned(found, changed=False)
        playing = self._documents.planned(found, changed=True)
        told = told_of(planned.plan, found)
        self.recomputing.adopt(origin.ts, planned, told[0], was)
        told = told if playing is planned else told_of(playing.plan, found)
        self._count("generations")
        if origin.cause is UsualCause.MINUTE and self._engine.plan is not None:
            self._engine.adopt(told)
            return
        starts = origin.cause is UsualCause.START or self._engine.plan is None
        if starts:
            self._engine.restart()
        self._count("starts" if starts else "reloads")
        self._engine.take(now, tables, playing.plan, told)
        if self._audience is not None:
            self._audience.take(now, tables)
        whole = origin.cause is UsualCause.START and origin.ts >= self._begun_ns
        asks_z = was.config.spread_engine.enter_z_min is not None
        self.adopted.append(EngineLife(origin.ts, whole or not starts, asks_z))

    def _count(self, what: str) -> None:
        self.counts = self.counts._replace(**{what: getattr(self.counts, what) + 1})

    def _collect(self, found: np.ndarray) -> None:
        if len(found):
            self.signals.append(found)
            self.held.append(self._held_ns(found))
            self._now_ns = max(self._now_ns, int(found["ts_engine"][-1]))

    def _held_ns(self, signals: np.ndarray) -> np.ndarray:
        """How long after each the next tick of either of its legs came, as far as is looked."""
        symbols, since_ns = signals["symbol_id"], signals["ts_engine"]
        spot_ns, fut_ns = (
            self._lanes.held_ns(of[signals["direction_id"]], symbols, since_ns, LOOKED_AHEAD_NS)
            for of in (SPOT_OF, FUT_OF)
        )
        held_ns: np.ndarray = np.minimum(spot_ns, fut_ns)
        return held_ns
