"""spread-analyst: samples every pair and every cell once a second, and publishes what it finds.

Reads the price store; keeps its statistics in memory (stats) and writes one latch cell a pair and a
cell into "<namespace>.analysis". It samples on whole seconds of the session clock, which cannot
step; a second that passed without a look is counted and never made up for. A start goes through the
log of the market first, where there is one (warming.py); else it begins without any past: the row's
message says `warming` and how far it is, and what is not known yet is NaN. Ends at once with code 0
unless it is enabled, so that its unit may always be enabled.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from spread_scanner import clock
from spread_scanner.analyst.listed import Covered, covered_by, places_before
from spread_scanner.analyst.sampler import LiveMarket, Sample, SampledMarket, Sampler
from spread_scanner.analyst.warming import LoggedSeconds
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.config.settings import Analyst
from spread_scanner.errors import SpreadError
from spread_scanner.runtime.process import NO_MORE, NOT_ENABLED, Process, run
from spread_scanner.schema.analysis import CELL_ANALYSIS_DTYPE, MINUTES, PAIR_ANALYSIS_DTYPE
from spread_scanner.schema.counters import ANALYST_COUNTERS
from spread_scanner.schema.enums import ProcessState
from spread_scanner.schema.freshness import FreshnessLimits
from spread_scanner.schema.names import ANALYST, WAL_FOLDER
from spread_scanner.shm import PriceStore
from spread_scanner.shm.analysis import Analysis, AnalysisWriter
from spread_scanner.stats._bars import BarIndicators
from spread_scanner.stats.basis import MINUTE_S, BasisStatistics
from spread_scanner.stats.periods import Periods
from spread_scanner.symbology import tables

SECOND_TO_RECORD = 0
WARM_NS = 50 * NS_PER_MS  # of a turn, while the log is gone through
_COUNTER = {row.label: row.counter_id for row in ANALYST_COUNTERS}


def main() -> int:
    """Run until asked to stop; returns the exit code."""
    return run(ANALYST, _body)


def _body(process: Process) -> None:
    if not process.settings.config.spread_analyst.wanted:
        process.unwanted(NOT_ENABLED)
        return
    namespace = process.settings.config.system.namespace
    woken = threading.Event()
    process.watch(woken.set)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(PriceStore.attach(namespace))
        analysis = stack.enter_context(Analysis.attach(namespace))
        writer = stack.enter_context(analysis.writer())
        sampling = Sampling(process, store, writer, analysis)
        while not process.stopping:
            orders = process.poll()
            if orders is not None:
                if orders.reload and process.reload(orders, sampling.prepared):
                    process.row.add(_COUNTER["reloads"])
                process.applied(orders)
            if not process.settings.config.spread_analyst.wanted:
                process.unwanted(NOT_ENABLED, NO_MORE)
                return
            sampling.turn()
            woken.wait(sampling.rest_s())
            woken.clear()


class Knowledge:
    """The statistics of all that one set of tables lists, and where their records belong."""

    def __init__(self, covered: Covered, settings: Analyst, analysis: Analysis) -> None:
        self.covered = covered
        self.settings = settings
        self.of_pairs = np.zeros(len(covered.pair_keys), PAIR_ANALYSIS_DTYPE)
        self.of_cells = np.zeros(len(covered.cell_keys), CELL_ANALYSIS_DTYPE)
        self.pairs = BasisStatistics(self.of_pairs, settings.half_lives_s)
        self.cells = BarIndicators(self.of_cells, _periods(settings))
        layout = analysis.layout
        self.pair_places = layout.pair_at(covered.pair_directions, covered.pair_symbols)
        self.cell_places = layout.cell_at(covered.cell_sources, covered.cell_symbols)

    def take_over(self, old: "Knowledge") -> int:
        """Go on with what is the same coin on the same listings; how many begin anew."""
        pairs = places_before(self.covered.pair_keys, old.covered.pair_keys)
        cells = places_before(self.covered.cell_keys, old.covered.cell_keys)
        if old.settings.half_lives_s == self.settings.half_lives_s:
            self.pairs.take_over(old.pairs, pairs)
        if _periods(old.settings) == _periods(self.settings):
            self.cells.take_over(old.cells, cells)
        return int((pairs < 0).sum() + (cells < 0).sum())

    def step(self, tick: int, found: Sample) -> None:
        """What a look at that second has found."""
        self.cells.step(tick, tick * NS_PER_S, found.mids)
        self.pairs.step(tick, tick * NS_PER_S, found.usable, found.basis)

    def publish(self, writer: AnalysisWriter) -> None:
        self.of_pairs["generation"] = self.of_cells["generation"] = self.covered.generation
        writer.write(self.pair_places, self.of_pairs, self.cell_places, self.of_cells)


class Sampling:
    """The process's whole state. `turn` does what is due."""

    def __init__(
        self, process: Process, store: PriceStore, writer: AnalysisWriter, analysis: Analysis
    ) -> None:
        self._process = process
        self._store = store
        self._writer = writer
        self._analysis = analysis
        self._last = store.clock.now_ns() // NS_PER_S
        self._warmed_s = 0  # how far the log was gone through
        self._minutes = -1  # that the longest looked at has
        self._contended = 0
        self._woke_ns = 0
        process.on_wake = self._woke
        self._past: Iterator[int | None] | None = None
        self._take(self._made(process.settings))
        self._count("begun_anew", len(self.kept.of_pairs) + len(self.kept.of_cells))
        self._begin_to_warm()
        process.state(ProcessState.PAUSED if process.orders.paused else ProcessState.RUNNING)

    @property
    def warming(self) -> bool:
        """Whether the log is still gone through."""
        return self._past is not None

    def _begin_to_warm(self) -> None:
        folder = self._process.settings.data_dir / WAL_FOLDER
        if folder.is_dir():
            sizes = self._store.num_sources, self._store.max_symbols
            loaded = tables.load_for(self._process.settings.generated_dir, *sizes)
            self._logged = LoggedSeconds(folder, self._store.clock, loaded, sizes)
            self._past = self._warmed(self._logged)

    def _warmed(self, logged: LoggedSeconds) -> Iterator[int | None]:
        """Goes through the log, second by second."""
        sampler = self._sampler(logged.market)
        try:
            for tick in logged.seconds():
                if tick is not None:
                    self.kept.step(tick, sampler.look())
                yield tick
        except (SpreadError, OSError, msgspec.DecodeError) as error:
            self._process.log.warning("the log of the market is not read on", reason=str(error))

    def _warm(self, past: Iterator[int | None]) -> None:
        """A bit of it; with the end of it the living market goes on."""
        until_ns = clock.mono_ns() + WARM_NS
        for tick in past:
            if tick is not None:
                self._warmed_s = tick
            if self._logged.idle or clock.mono_ns() >= until_ns:
                left_s = self._store.clock.now_ns() // NS_PER_S - self._warmed_s
                self._process.state(
                    ProcessState.RUNNING, f"warming from the log: {left_s:,} s left"
                )
                return
        self._past = None
        if self._warmed_s:
            self._last = max(self._last, self._warmed_s)

    def _made(self, settings: Settings) -> Knowledge:
        loaded = tables.load_for(
            settings.generated_dir, self._store.num_sources, self._store.max_symbols
        )
        covered = covered_by(loaded, self._store.num_sources, self._store.max_symbols)
        return Knowledge(covered, settings.config.spread_analyst, self._analysis)

    def prepared(self, settings: Settings) -> Callable[[], None]:
        """New tables and settings, read and checked; the call puts them in force."""
        kept = self._made(settings)

        def put_in_force() -> None:
            warming = self._past is not None  # then what is known so far is worth nothing yet
            count = len(kept.of_pairs) + len(kept.of_cells)
            self._count("begun_anew", count if warming else kept.take_over(self.kept))
            self._take(kept)
            if warming:
                self._begin_to_warm()

        return put_in_force

    def _take(self, kept: Knowledge) -> None:
        self.kept = kept
        self.sampler = self._sampler(LiveMarket(self._store))
        self.sampler.woke_ns = self._woke_ns
        self._process.row.generation(kept.covered.generation)
        self._level("pairs", len(kept.of_pairs))
        self._level("cells", len(kept.of_cells))

    def _sampler(self, market: SampledMarket) -> Sampler:
        return Sampler(market, self.kept.covered, FreshnessLimits.of(self._process.settings))

    def _woke(self) -> None:
        """The machine slept: no quote is usable before its feed beats anew."""
        self._woke_ns = self.sampler.woke_ns = clock.mono_ns()

    def rest_s(self) -> float:
        """Until the next whole second or heartbeat, whichever comes first."""
        if self._past is not None:
            return 0.02 if self._logged.idle else 0.0
        left_ns = (self._last + 1) * NS_PER_S - self._store.clock.now_ns()
        beat_s = self._process.settings.config.system.heartbeat_ms / 1e3
        return min(max(left_ns / NS_PER_S, 0.0), beat_s)

    def turn(self) -> None:
        """Look, if a new second has begun, and publish."""
        if self._past is not None:
            self._warm(self._past)
            return
        tick = self._store.clock.now_ns() // NS_PER_S
        if tick <= self._last:
            return
        self._process.feel_suspend()
        missed, self._last = tick - self._last - 1, tick
        if self._process.orders.paused:
            return  # the time goes by unseen
        self._count("samples_missed", missed)
        ts_ns = tick * NS_PER_S
        found = self.sampler.look()
        self.kept.step(tick, found)
        self.kept.publish(self._writer)
        self._process.row.observe(SECOND_TO_RECORD, self._store.clock.now_ns() - ts_ns)
        self._count("samples", 1)
        self._level("pairs_usable", int(found.usable.sum()))
        self._level("cells_usable", int(np.isfinite(found.mids).sum()))
        self._count("contended", int(self._store.contended) - self._contended)
        self._contended = int(self._store.contended)
        self._tell()

    def _tell(self) -> None:
        """How far the learning is, by the pair that knows most."""
        minutes = min(self.kept.pairs.looked_s(self._last) // MINUTE_S, MINUTES)
        if minutes != self._minutes:
            self._minutes = minutes
            warming = minutes < MINUTES
            self._process.state(
                ProcessState.RUNNING, f"warming: {minutes} of {MINUTES} minutes" if warming else ""
            )

    def _count(self, label: str, count: int) -> None:
        if count:
            self._process.row.add(_COUNTER[label], count)

    def _level(self, label: str, value: int) -> None:
        self._process.row.set(_COUNTER[label], value)


def _periods(settings: Analyst) -> Periods:
    return Periods(
        settings.rsi_bars,
        settings.ema_bars,
        settings.bollinger_bars,
        settings.bollinger_deviations,
    )
