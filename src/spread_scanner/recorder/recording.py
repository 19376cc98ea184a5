"""All that is recorded of one system: drained, written, kept as long as the settings say."""

import contextlib
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.errors import SpreadError
from spread_scanner.recorder.books import RecordedBooks
from spread_scanner.recorder.compacting import Compacting
from spread_scanner.recorder.documents import Documents
from spread_scanner.recorder.draining import LEVELS, TICKS, LogEnd, Signals, Tape
from spread_scanner.recorder.keeping import GB, DiskRoom, keep
from spread_scanner.recorder.snapshots import Snapshots
from spread_scanner.runtime.process import Process
from spread_scanner.schema.counters import RECORDER_COUNTERS
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.log import SOURCE_STATE_DTYPE, RecordKind
from spread_scanner.schema.names import HISTORY_FOLDER, SIGNALS, WAL_FOLDER
from spread_scanner.shm import Control, PriceStore, SignalRing
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.tapes import Tapes
from spread_scanner.symbology import tables
from spread_scanner.symbology.tables import Tables
from spread_scanner.wal.disk import LogDisk
from spread_scanner.wal.times import LogTimes
from spread_scanner.wal.writer import LogWriter, Origin

COMMIT_NS = 50 * NS_PER_MS
STATES_NS = 100 * NS_PER_MS
LOOK_NS = NS_PER_S
KEEP_NS = 10 * NS_PER_S
_COUNTER = {row.label: row.counter_id for row in RECORDER_COUNTERS}


class NoRecording(SpreadError):
    """The log cannot be opened; the reason is the world's."""


class Recording:
    """The process's whole state. `turn` does what is due."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            self._open(process.settings, stack)
            self._stack = stack.pop_all()
        self._due = dict.fromkeys(("commit", "states", "tell", "keep"), 0)
        self._short = ""  # what is wrong with the disk's room
        self._room = DiskRoom()
        self._states: list[tuple[int, int, int] | None] = [None] * self._store.num_sources
        self._counted: dict[str, int] = {}
        self._tapes_open: list[Tape] = []
        self._gone: Counter[str] = Counter()  # of tapes closed since
        self._documents.settings(process.settings, self._loaded(process.settings))
        self.pause(process.orders.paused)
        process.state(ProcessState.PAUSED if process.orders.paused else ProcessState.RUNNING)

    def _open(self, settings: Settings, stack: contextlib.ExitStack) -> None:
        namespace = settings.config.system.namespace
        self._store = stack.enter_context(PriceStore.attach(namespace))
        self._tapes = stack.enter_context(Tapes.attach(namespace))
        ring = stack.enter_context(SignalRing.attach(namespace, SIGNALS))
        control = stack.enter_context(Control.attach(namespace))
        self._folder = settings.data_dir / WAL_FOLDER
        self._history = settings.data_dir / HISTORY_FOLDER
        self._compacting = Compacting(self._folder, self._history)
        stack.callback(self._compacting.close)
        origin = Origin(
            namespace, self._store.instance_id, self._store.clock.anchor_ns, clock.boot_id()
        )
        disk = LogDisk()
        try:
            self.log = LogWriter(self._folder, origin, disk=disk)
            stack.callback(self.log.close)
            self._known = LogEnd.read(self._folder, self._store.instance_id)
        except OSError as error:
            raise NoRecording(
                f"the log cannot be opened: {error}", folder=str(self._folder)
            ) from None
        self._signals = Signals(ring, self._known, self.log)
        self._shelves = stack.enter_context(BookStore.attach(namespace))
        self._books = RecordedBooks(self._shelves, self.log)
        self._documents = Documents(self.log, self._store.clock, control, ring)
        self._snapshots = Snapshots(self._folder, self._store, self._documents, disk)
        stack.callback(lambda: self._snapshots.close(self.log.durable_seq))
        if self.log.strange:
            self._process.log.warning(
                "going on behind a log that cannot be read", why=self.log.strange
            )
        if self.log.torn is not None:
            self._process.log.warning("the log's end was torn or damaged", at=self.log.torn)

    def close(self) -> None:
        """The last into the log, and the log on the disk."""
        self._close_tapes()
        self._tell()
        self._stack.close()

    def prepared(self, settings: Settings) -> Callable[[], None]:
        """New tables and settings, read and checked; the call puts them in force."""
        loaded = self._loaded(settings)

        def put_in_force() -> None:
            self._documents.settings(settings, loaded)
            self._process.row.generation(loaded.generation)
            self._process.row.add(_COUNTER["reloads"])

        return put_in_force

    def _loaded(self, settings: Settings) -> Tables:
        return tables.load_for(
            settings.generated_dir, self._store.num_sources, self._store.max_symbols
        )

    def pause(self, paused: bool) -> None:
        """A paused recorder asks for nothing; what passes meanwhile is a Gap."""
        if paused and self._tapes_open:
            self._close_tapes()
        elif not paused and not self._tapes_open:
            now_ns = self._store.clock.now_ns()
            known, log = self._known, self.log
            for at in range(self._store.num_sources):
                for of, shelf, reader in (
                    (TICKS, self._tapes.counters, self._tapes.reader),
                    (LEVELS, self._shelves.tape_counters, self._shelves.tape_reader),
                ):
                    counters = partial(shelf, at)
                    self._tapes_open.append(
                        Tape(of, reader(at), at, known, log, counters=counters, now_ns=now_ns)
                    )

    def _close_tapes(self) -> None:
        """All that they hold into the log, as far as it has room."""
        given = [tape.stop() for tape in self._tapes_open]
        before = -1
        while before != (before := sum(tape.taken for tape in self._tapes_open)):
            self._drain()
        for tape, numbers in zip(self._tapes_open, given, strict=True):
            tape.close(numbers, self._store.clock.now_ns())
            tape.note_end(self._known)
        self._gone.update(_sums(self._tapes_open))
        self._tapes_open = []

    def turn(self) -> None:
        """Drain, and whatever else is due."""
        self._drain()
        self._documents.look()
        if self._is_due("states", STATES_NS):
            self._documents.look_at_engine()
            if self._tapes_open:
                self._note_states()
                self._books.look(self._store.clock.now_ns())
        if self._is_due("tell", LOOK_NS):
            self._snapshots.turn(self.log.durable_seq)
            self._tell()
        if self._is_due("keep", KEEP_NS):
            self._keep()
        if self._is_due("commit", COMMIT_NS):
            self.log.commit()

    def _is_due(self, what: str, every_ns: int) -> bool:
        now_ns = clock.mono_ns()
        if now_ns < self._due[what]:
            return False
        self._due[what] = now_ns + every_ns
        return True

    def _drain(self) -> None:
        if not self._tapes_open:
            return
        for tape in self._tapes_open:
            tape.drain()
        self._signals.drain()
        self.log.write()
        for tape in self._tapes_open:
            tape.written()

    def _note_states(self) -> None:
        """Of the sources that have changed since the last look; while the log has no room for ticks
        neither do they take memory."""
        if not self.log.room:
            return
        store, before, ts = self._store, self._states, self._store.clock.now_ns()
        self._states = [
            (store.heartbeat_mono_ns(one), self._tapes.counters(one).given, store.epoch(one))
            for one in range(store.num_sources)
        ]
        changed = [
            (ts, *state, source_id, b"")
            for source_id, (state, was) in enumerate(zip(self._states, before, strict=True))
            if state is not None and state != was
        ]
        self.log.append(RecordKind.SOURCE_STATE, np.array(changed, SOURCE_STATE_DTYPE))

    def _keep(self) -> None:
        settings, compacting = self._process.settings.config.spread_recorder, self._compacting
        wanted = settings.history and compacting.possible
        try:
            compacting.look(history=settings.history, pack=settings.pack)
            history = self._history if wanted else None
            now_ns = self._store.clock.now_ns()
            kept = keep(self._folder, self.log, settings, LogTimes.now(), history, now_ns)
        except (OSError, SpreadError) as error:
            self._short = f"the log's folder cannot be looked at: {error}"
            return
        self._process.row.add(_COUNTER["segments_dropped"], kept.dropped)
        self._process.row.add(_COUNTER["segments_lost"], kept.lost)
        self._process.row.set(_COUNTER["log_bytes"], kept.bytes)
        self._process.row.set(_COUNTER["history_bytes"], kept.history_bytes)
        self._process.row.set(_COUNTER["segments"], kept.segments)
        self._process.row.set(_COUNTER["segments_packed"], kept.packed)
        free_bytes_min = settings.free_gb_min * GB
        if kept.held:
            self._snapshots.soon()
            self._snapshots.turn(self.log.durable_seq)
        held = self._snapshots.refusal if kept.held else ""
        self._short = self._room.trouble(clock.mono_ns(), kept.free_bytes, free_bytes_min, held)

    def _tell(self) -> None:
        """Counters, and the row's message: how far the log is, and how far on the disk."""
        log = self.log
        sums = _sums(self._tapes_open)
        sums.update(self._gone)
        for label, total in sums.items():
            self._count(label, total + (self._signals.gaps if label == "gaps" else 0))
        self._count("signals", self._signals.signals)
        self._count("signals_missed", self._signals.missed)
        self._count("documents", self._documents.written)
        self._count("books", self._books.taken)
        self._count("segments_failed", log.segments_failed)
        self._count("segments_late", log.segments_late)
        compaction, packing = self._compacting.compaction, self._compacting.packing
        self._count("compactions", compaction.done)
        self._count("compactions_failed", compaction.failed)
        self._count("packings_failed", packing.failed)
        self._process.row.set(_COUNTER["appended_seq"], log.appended_seq)
        self._process.row.set(_COUNTER["durable_seq"], log.durable_seq)
        self._process.row.set(_COUNTER["durable_age_ms"], log.durable_age_ns // NS_PER_MS)
        said = (
            f"appended {log.appended_seq:,}, on the disk {log.durable_seq:,}, "
            f"{log.durable_age_ns / NS_PER_MS:.0f} ms behind"
        )
        settings = self._process.settings.config.spread_recorder
        unwell = compaction.trouble if settings.history else ""
        unpacked = packing.trouble if settings.pack else ""
        trouble = log.refusal or self._short or self._snapshots.refusal
        trouble = trouble or (unwell if self._compacting.possible else "") or unpacked
        state = ProcessState.DEGRADED if trouble else ProcessState.RUNNING
        told = trouble or unwell  # what is not installed is said, and is no fault
        self._process.state(state, f"{told}; {said}" if told else said)

    def _count(self, label: str, total: int) -> None:
        before = self._counted.get(label, 0)
        if total != before:
            self._process.row.add(_COUNTER[label], total - before)
            self._counted[label] = total


def _sums(tapes: list[Tape]) -> Counter[str]:
    """What tapes count, by the counters' names; all of them are there."""
    sums = Counter(dict.fromkeys(("ticks", "ticks_missed", "levels", "levels_missed", "gaps"), 0))
    for tape in tapes:
        label = "ticks" if tape.of is TICKS else "levels"
        sums.update({label: tape.taken, f"{label}_missed": tape.missed, "gaps": tape.gaps})
    return sums
