"""spread-tracker: signals from the ring, samples from the store, opportunities into the database.

One thread pops, samples and decides; another (writer.py) owns the database; the hourly report is a
process of its own. The popping thread parks on the ring until the next signal, grid point, probe,
commit or heartbeat, whichever comes first.

Exactly once: signals are copied from the ring and stay there until the transaction that reflects
them is committed; only then are their slots given back. After kill -9 the ring holds what was not
committed; what was committed and not yet released is known by its sequence number. While the
database cannot be written, the ring is held up to half its slots; beyond that the oldest are
released unwritten (counted) rather than make the engine drop new ones.
"""

import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from spread_scanner import clock, config
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.errors import TableError
from spread_scanner.runtime import scheduling
from spread_scanner.runtime.process import Process, run
from spread_scanner.schema import freshness
from spread_scanner.schema.counters import TRACKER_COUNTERS, TRACKER_HISTOGRAMS
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.names import DATABASE_FILE, SIGNALS, TRACKER, WAL_FOLDER
from spread_scanner.schema.opportunities import SIMULATED
from spread_scanner.schema.records import SIGNAL_AGED
from spread_scanner.shm import PriceStore, SignalRing
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.control import Orders
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shm.health import HealthRow
from spread_scanner.shm.ring import Consumer
from spread_scanner.symbology import tables
from spread_scanner.symbology.coins import Coins, by_source
from spread_scanner.symbology.rates import listings
from spread_scanner.tracker import database, lost_ring
from spread_scanner.tracker.blocked import Blocked
from spread_scanner.tracker.book import Book, Rules
from spread_scanner.tracker.depths import BookWishes, DepthLooks, heard_of
from spread_scanner.tracker.hearing import ConnectionEars, prompt_sources
from spread_scanner.tracker.journal import Batch, Journal, Stretch
from spread_scanner.tracker.opportunity import RingRecord
from spread_scanner.tracker.pairs import Pair, PairKey, PairsThen, pairs_of
from spread_scanner.tracker.reporter import Reporter
from spread_scanner.tracker.retention import Keep
from spread_scanner.tracker.sampler import Grid, Legs
from spread_scanner.tracker.settling import TableRates, ToldRates
from spread_scanner.tracker.writer import (
    DatabaseWriter,
    DiskFills,
    Failed,
    LogHeld,
    Opened,
    Written,
)

SIGNALS_PER_TURN = 4_096  # bounds a turn; what is left is taken in the next
LOOKS_AT_ONCE = 128  # some 0.7 ms of work
LAST_WORDS_S = 2.0  # how long a clean stop waits for the last transaction
START_PAUSE_S = 0.02
NOTE_NS = 60 * NS_PER_S  # an idle run is noted this often
EXTEND_EVERY_NS = 5 * NS_PER_S
EXTENSION_S = 60.0
OPENING_NS_MAX = 600 * NS_PER_S  # a step of SQLite's that takes longer hangs
SWITCH_INTERVAL_S = 0.0005  # the database thread gives way to a popped signal within this

_COUNTER = {row.label: row.counter_id for row in TRACKER_COUNTERS}
_HISTOGRAM = {row.label: row.histogram_id for row in TRACKER_HISTOGRAMS}
RECV_TO_POP = _HISTOGRAM["recv_to_pop"]
SAMPLE_LATENESS = _HISTOGRAM["sample_lateness"]
COMMIT = _HISTOGRAM["commit"]


class Tally:
    """Counts, in the health row and for the totals of this run."""

    def __init__(self, row: HealthRow, *, simulated: bool) -> None:
        self._row, self._simulated = row, simulated
        self.begin()

    def begin(self) -> None:
        """A run begins: totals are of it alone."""
        self.totals: dict[str, int] = {SIMULATED: 1} if self._simulated else {}

    def add(self, label: str, count: int = 1) -> None:
        if count:
            self.totals[label] = self.totals.get(label, 0) + count
            self._row.add(_COUNTER[label], count)

    def level(self, label: str, value: int) -> None:
        """A level, not a count."""
        self._row.set(_COUNTER[label], value)


class ReadyTables(NamedTuple):
    """Tables that were read and checked."""

    generation: int
    pairs: dict[PairKey, Pair]
    rates: ToldRates
    coins: Coins


class Tracker:
    """The popping thread's whole state. `turn` is one round of its loop."""

    def __init__(
        self,
        process: Process,
        store: PriceStore,
        ring: SignalRing,
        consumer: Consumer,
        connections: Connections,
        told: FundingTable,
    ) -> None:
        settings = process.settings
        self.process = process
        self.store = store
        self.consumer = consumer
        self.clock = store.clock
        self.settings = settings.config.spread_tracker
        self.tally = Tally(process.row, simulated=settings.simulated)
        self.journal = Journal(lost_ring.name_of(store.instance_id))
        self.ears = ConnectionEars(connections, prompt_sources(settings))
        self._told = told
        loaded = tables.load_for(settings.generated_dir, store.num_sources, store.max_symbols)
        self.generation = loaded.generation
        process.row.generation(loaded.generation)
        self.book = Book(
            Rules.of(self.settings),
            pairs_of(loaded),
            self.journal,
            self.tally,
            self._enter_bps,
            self._rates(loaded),
            self.ears,
            loaded.generation,
            PairsThen(settings.generated_dir).of,
        )
        limits = freshness.FreshnessLimits.of(settings)
        self.legs = Legs(store, store.clock.anchor_ns, limits, self._coins(loaded))
        self.wishes = BookWishes(settings)
        self.depths = DepthLooks(settings, store)
        process.on_wake = self._woke
        self.grid = Grid(self.book.rules.step_ns, self.clock.now_ns())
        path = settings.data_dir / DATABASE_FILE
        self.writer = DatabaseWriter(
            path,
            f"{ring.instance_id:016x}",
            self.clock.now_ns,
            self.consumer.notify,
            self.settings.cpus,
        )
        self.writer.keep = Keep.of(self.settings)
        self.reporter = Reporter(settings, path, self.tally)
        self._stretch = Stretch(self.clock.now_ns(), 0)
        self._rests = False  # paused: what passes is not of the stretch
        self._held_max = ring.layout.slots // 2
        self._released = 0  # of the signals applied
        self._next_commit_ns = 0
        self._next_full_ns = self.clock.now_ns()
        self._next_note_ns = self._next_full_ns + NOTE_NS
        self._next_extension_ns = 0
        self._degraded = False
        self._blocked = Blocked.read(settings)
        self._log_message = ""  # who keeps the database's log from being given back
        self._started = False
        self._pops_since_ns = self.clock.now_ns()  # signals of before are a backlog
        self._generation_tried = loaded.generation

    def _enter_bps(self, direction: str, symbol: str) -> float:
        return self.process.settings.directions.thresholds(direction, symbol).enter_bps

    # Start and stop.

    def recover(self) -> None:
        """Open the database, however long that takes, and go on with what was open."""
        self.writer.start()
        while not self.process.stopping:
            self._obey()
            self._settle()
            if self._started:
                return
            self._ask_for_time()
            clock.sleep(START_PAUSE_S)

    def _ask_for_time(self) -> None:
        """A copy of the database, a migration or the recovery of its log may take longer than the
        service manager gives a start; while it goes on, more is asked for."""
        now_ns = clock.mono_ns()
        if now_ns >= self._next_extension_ns:
            self._next_extension_ns = now_ns + EXTEND_EVERY_NS
            if now_ns - self.writer.lives_ns <= OPENING_NS_MAX:
                self.process.extend_start(EXTENSION_S)

    def _resume(self, kept: database.Kept) -> None:
        self.book.start(kept.next_id, kept.last_seq)
        self.journal.last_ts_ns = kept.last_ts_ns
        instance, now_ns = self.store.instance_id & 0xFFFF_FFFF, self.clock.now_ns()
        lost = self._lost(kept)
        self.book.restore(kept.open_rows, kept.probed, instance, now_ns, lost)
        self._mind_blocked()
        self.process.log.info("goes on", open=self.book.open_count, last_seq=kept.last_seq)
        self._degraded = False
        self._started = True
        self._pops_since_ns = self.clock.now_ns()
        self._show_healthy()

    def _lost(self, kept: database.Kept) -> list[RingRecord]:
        """Signals that a ring before this one took away, where the log has them."""
        if kept.last_seq is not None:  # it is the ring of before
            return []
        try:
            found = lost_ring.lost_ring(self.process.settings.data_dir / WAL_FOLDER, kept.reflected)
        except OSError as error:
            self.process.log.warning("no signals are taken from the log", error=str(error))
            return []
        if found is None:
            return []
        self.journal.made_up_for(found.store, found.end_seq)
        self.process.log.info(
            "signals of a ring that is gone, from the log", seq=found.end_seq, behind=found.last_seq
        )
        return heard_of(found.records)

    def _show_healthy(self) -> None:
        self.process.state(ProcessState.RUNNING, self._log_message)

    def finish(self) -> None:
        """Write down what is known, within a bounded time; the ring keeps what cannot be."""
        deadline = clock.awake_s() + LAST_WORDS_S
        submitted = False
        while clock.awake_s() < deadline:
            self._settle()
            if self.writer.idle:
                if submitted or not self.journal.dirty:
                    break
                self.writer.submit(self._batch())
                submitted = True
            clock.sleep(0.001)
        unwritten = self.writer.in_flight + self.journal.pending
        if unwritten:
            self.process.log.error("rows left unwritten at stop", rows=unwritten)
        self.writer.close(1.0)
        self.reporter.close()
        self.wishes.close()
        self.depths.close()

    # The loop.

    def turn(self) -> None:
        """Park, then take signals, probes and samples, and keep in touch with database and
        operator.
        """
        paused = self.process.orders.paused
        self._mind_paused(paused)
        if paused:
            self.consumer.wait(self._park_ms(), 2**63)
            self._pops_since_ns = self.clock.now_ns()
        else:
            arrived, mono_ns = self.consumer.wait_peek(
                self._park_ms(), SIGNALS_PER_TURN, self._held, self.settings.warm_us / 1_000
            )
        began_ns = self.clock.now_ns()
        self.process.feel_suspend()
        if not paused:
            self._take(arrived, mono_ns + self.clock.anchor_ns)
            self._probe()
            self._sample()
        self._settle()
        self._commit()
        self._obey()
        self.reporter.poll()
        self.process.row.cycle(self.clock.now_ns() - began_ns)

    def _mind_paused(self, paused: bool) -> None:
        """A pause ends a run, and another one begins after it: what is earned a day is of the time
        that was tracked."""
        now_ns = self.clock.now_ns()
        if paused and not self._rests:
            self._stretch = self._stretch._replace(until_ns=now_ns)
            self._next_note_ns = now_ns
        elif self._rests and not paused:
            self._stretch = Stretch(now_ns, now_ns)
            self.tally.begin()
        self._rests = paused

    def _batch(self, *, everything: bool = True) -> Batch:
        if not self._rests:
            self._stretch = self._stretch._replace(until_ns=self.clock.now_ns())
        totals, stretch = self.tally.totals, self._stretch
        return self.journal.drain(totals, everything=everything, stretch=stretch)

    def _woke(self) -> None:
        """The machine slept: no leg is usable before its feed beats anew. Holds and gaps need no
        more than that, as they count only time that was seen."""
        self.legs.woke_ns = clock.mono_ns()

    @property
    def _held(self) -> int:
        """Signals applied whose slots are not given back."""
        return self.journal.applied - self._released

    def _park_ms(self) -> float:
        system = self.process.settings.config.system
        now_ns = self.clock.now_ns()
        until_ns = now_ns + min(self.settings.park_ms_max, system.heartbeat_ms) * NS_PER_MS
        if not self.process.orders.paused:
            if self.book.open_count:
                until_ns = min(until_ns, self.grid.next_ns)
            if (probe_ns := self.book.next_probe_ns) is not None:
                until_ns = min(until_ns, probe_ns)
        if self.writer.idle:
            until_ns = min(until_ns, self._commit_due_ns())
        return max(0, until_ns - now_ns) / NS_PER_MS

    def _pop(self) -> None:
        """Signals that came while something else was done."""
        self._take(self.consumer.peek_many(SIGNALS_PER_TURN, self._held), self.clock.now_ns())

    def _take(self, records: np.ndarray, now_ns: int) -> None:
        """Apply signals that were copied from the ring at `now_ns`."""
        if not len(records):
            return
        self._time(records, now_ns)
        generation = int(records["generation"].max())
        if generation > self._generation_tried:
            self._generation_tried = generation
            self._follow_engine()
        self.book.apply(heard_of(records))
        self._mind_blocked()  # these may be from before the switch
        self.tally.level("open", self.book.open_count)

    def _time(self, records: np.ndarray, now_ns: int) -> None:
        """Count latencies: of what a quote just read made while this process popped. What time or a
        switch made is as old as it is, and what came before waited for us to start or resume."""
        fresh = (records["flags"] & SIGNAL_AGED == 0) & (
            records["ts_engine"] >= self._pops_since_ns
        )
        for waited_ns in (now_ns - records["ts_trigger"][fresh]).tolist():
            self.process.row.observe(RECV_TO_POP, max(0, waited_ns))

    def _sample(self) -> None:
        """Look at everything open, for the grid point that is due; in pieces, so that a signal
        never waits for all of them.
        """
        point_ns = self.grid.due(self.clock.now_ns())
        if point_ns is None:
            return
        watched = self.book.due(self.book.watched(), point_ns)
        self.wishes.ask(self.book.watched(), self.clock.now_ns())
        for start in range(0, len(watched), LOOKS_AT_ONCE):
            part = watched[start : start + LOOKS_AT_ONCE]
            now_ns = self.clock.now_ns()
            looks = self.legs.look([followed.pair for followed in part], now_ns)
            looks = self.depths.seen(part, looks)
            if self.book.sample(part, looks, point_ns, now_ns):
                self.process.row.observe(SAMPLE_LATENESS, now_ns - point_ns)
            self._pop()
        self.tally.level("open", self.book.open_count)

    def _probe(self) -> None:
        """Take the probes that are due, in pieces too."""
        while True:
            now_ns = self.clock.now_ns()
            due = self.book.due_probes(now_ns, LOOKS_AT_ONCE)
            if not due:
                return
            looks = self.legs.look([probe.followed.pair for probe in due], now_ns)
            self.book.probe(due, looks, now_ns)
            self._pop()

    # The database.

    def _commit(self) -> None:
        """Hand over a batch when it is time and the writer is free; bound what waits."""
        limit = self.settings.pending_max - self.writer.in_flight
        self.tally.add("rows_dropped", self.journal.drop_beyond(limit))
        self.tally.level("pending", self.journal.pending + self.writer.in_flight)
        now_ns = self.clock.now_ns()
        if self.writer.idle and now_ns >= self._commit_due_ns():
            self._next_note_ns = now_ns + NOTE_NS
            self._next_commit_ns = now_ns + self.settings.commit_ms * NS_PER_MS
            everything = self.journal.full or now_ns >= self._next_full_ns
            if everything:
                self._next_full_ns = now_ns + int(self.settings.samples_commit_s * NS_PER_S)
            self.writer.submit(self._batch(everything=everything))
        if self._held > self._held_max:
            self.tally.add("released_unwritten", self._release(self._held - self._held_max))

    def _commit_due_ns(self) -> int:
        """When the next batch is to be handed over: soon what signals made, and samples when they
        are enough; else samples when they have waited long enough. Without anything to write it is
        noted that the run goes on: the report divides by the time that was tracked."""
        if self.journal.urgent or self.journal.full:
            return self._next_commit_ns
        if self.journal.dirty:
            return max(self._next_commit_ns, self._next_full_ns)
        return self._next_note_ns

    def _settle(self) -> None:
        """Take note of what the thread that writes says."""
        for outcome in self.writer.outcomes():
            if isinstance(outcome, Opened):
                self._resume(outcome.kept)
            elif isinstance(outcome, Written):
                self._written(outcome)
            elif isinstance(outcome, Failed):
                self._failed(outcome)
            elif isinstance(outcome, LogHeld):
                self._log_held(outcome)
            elif isinstance(outcome, DiskFills):
                self.tally.level("disk_eaten_b_h", outcome.bytes_per_h)

    def _written(self, outcome: Written) -> None:
        self._release(outcome.batch.applied - self._released)
        self.tally.add("commits")
        self.process.row.observe(COMMIT, outcome.duration_ns)
        if self._degraded:
            self._degraded = False
            self._show_healthy()
            self.process.log.info("the database can be written again", rows=outcome.batch.size)

    def _log_held(self, outcome: LogHeld) -> None:
        if outcome.message:
            self.process.log.warning(outcome.message)
        else:
            self.process.log.info("the database's log can be given back again")
        self._log_message = outcome.message
        if not self._degraded:
            self._show_healthy()

    def _failed(self, outcome: Failed) -> None:
        self.tally.add("commit_failures")
        if not self._degraded:
            self.process.log.error("the database cannot be written", error=outcome.message)
        self._degraded = True
        # Until the first opening the process is not ready, and says so.
        state = ProcessState.DEGRADED if self._started else ProcessState.STARTING
        self.process.state(state, f"database: {outcome.message}")

    def _release(self, count: int) -> int:
        """Give slots back to the engine."""
        if count > 0:
            self._released += self.consumer.release(count)
        return max(0, count)

    # The operator.

    def _obey(self) -> None:
        orders = self.process.poll()
        if orders is not None:
            if orders.reload:
                self._reload(orders)
            self._blocked = Blocked.read(self.process.settings)
            self._mind_blocked()
            self.process.applied(orders)

    def _mind_blocked(self) -> None:
        if self._blocked.anything:
            self.book.mind_blocked(self._blocked.has, self.clock.now_ns())

    def _reload(self, orders: Orders) -> None:
        def prepare(settings: config.Settings) -> Callable[[], None]:
            ready = self._prepared(settings)
            return lambda: self._take_settings(settings, ready)

        if self.process.reload(orders, prepare):
            self.process.log.info("reloaded", orders=orders.generation, tables=self.generation)

    def _prepared(self, settings: config.Settings) -> ReadyTables:
        """Read and check the tables in force; raises TableError."""
        loaded = tables.load_for(
            settings.generated_dir, self.store.num_sources, self.store.max_symbols
        )
        coins = self._coins(loaded)
        return ReadyTables(loaded.generation, pairs_of(loaded), self._rates(loaded), coins)

    def _coins(self, loaded: tables.Tables) -> Coins:
        return by_source(loaded, self.store.num_sources, self.store.max_symbols)

    def _rates(self, loaded: tables.Tables) -> ToldRates:
        noted = TableRates(loaded.funding)
        return ToldRates(self._told, listings(loaded), noted, self.clock.step_ns)

    def _take_settings(self, settings: config.Settings, ready: ReadyTables) -> None:
        self.settings = settings.config.spread_tracker
        self.reporter.settings = settings
        self.writer.keep = Keep.of(self.settings)
        self.legs.limits = freshness.FreshnessLimits.of(settings)
        self.ears.prompt = prompt_sources(settings)
        self.grid = Grid(self.settings.sample_ms * NS_PER_MS, self.clock.now_ns())
        scheduling.short_slices(self.settings.slice_us)
        self.wishes.close()
        self.wishes = BookWishes(settings)
        self.depths.close()
        self.depths = DepthLooks(settings, self.store)
        self._take_tables(ready)

    def _take_tables(self, ready: ReadyTables) -> None:
        self.generation = self._generation_tried = ready.generation
        self.process.row.generation(ready.generation)
        self.book.rates = ready.rates
        self.legs.coins = ready.coins
        rules = Rules.of(self.settings)
        self.book.reload(ready.pairs, rules, self.clock.now_ns(), ready.generation)
        self.tally.add("reloads")

    def _follow_engine(self) -> None:
        """The engine has newer tables: take them; bad ones are logged and the old ones stay."""
        try:
            ready = self._prepared(self.process.settings)
        except TableError as error:
            self.process.log.error("tables not taken, the old ones stay", error=str(error))
            return
        self._take_tables(ready)


def body(process: Process) -> None:
    """The life of the process, inside runtime.process.run."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    system = process.settings.config.system
    database.lock(process.settings.data_dir)
    with (
        PriceStore.attach(system.namespace) as store,
        SignalRing.attach(system.namespace, SIGNALS) as ring,
        ring.consumer() as consumer,
        Connections.attach(system.namespace) as connections,
        FundingTable.attach(system.namespace) as told,
    ):
        tracker = Tracker(process, store, ring, consumer, connections, told)
        process.watch(lambda: _wake(consumer))
        tracker.recover()
        # Now, so that the thread that writes the database does not inherit it.
        scheduling.short_slices(process.settings.config.spread_tracker.slice_us)
        while not process.stopping:
            tracker.turn()
        tracker.finish()


def _wake(consumer: Consumer) -> None:
    consumer.notify()


def main() -> int:
    """bins/spread-tracker: the process, or with `report` the report."""
    if len(sys.argv) > 1:
        # Imported here: the process itself needs none of it.
        from spread_scanner.tracker.report_cli import app

        app(prog_name=TRACKER)
        return 0
    return run(TRACKER, body)
