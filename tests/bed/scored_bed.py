"""A scored run in one process: the simulator's market and truth, the engine, the tracker's book.

Time is virtual. Each quote that the simulator sends stands in the price store at once, the engine's
native loop is stepped after each tick of the market, the tracker follows what it signals into a
database of its own. With `follow_books` the books of what pays stand in shared memory, too. What a
test breaks, it breaks in these: the score is told nothing of it.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Self

import msgspec
import numpy as np

from spread_scanner import clock, config
from spread_scanner.clock import VirtualClock
from spread_scanner.engine.core import Engine
from spread_scanner.schema import freshness
from spread_scanner.schema.books import BOOK_DTYPE, LEVELS_SHOWN
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS, EXCHANGE_SOURCES, SOURCES
from spread_scanner.schema.names import DATABASE_FILE, ENGINE
from spread_scanner.schema.records import SIGNAL_DTYPE, signals_apart
from spread_scanner.shm import Control, Health, PriceStore, SignalRing
from spread_scanner.shm.books import BookStore, BooksWriter
from spread_scanner.shminit import making
from spread_scanner.sim.answers import levels
from spread_scanner.sim.configout import write_config
from spread_scanner.sim.exchange import Exchange8
from spread_scanner.sim.legs import Leg
from spread_scanner.sim.options import Options, sources_of
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing
from spread_scanner.supervise import learned, score
from spread_scanner.supervise.carried import right_carried
from spread_scanner.supervise.lateness import Lateness
from spread_scanner.supervise.learned import UsualJudged
from spread_scanner.supervise.observer import lives_of
from spread_scanner.supervise.outages import Outages
from spread_scanner.supervise.score import TOLERANCE_MS, Score
from spread_scanner.supervise.seen import CpuWait, DownTime, follow_ups_of, seen_of
from spread_scanner.supervise.truth import TruthFile, read_truth
from spread_scanner.symbology import usual
from spread_scanner.symbology.coins import by_source
from spread_scanner.symbology.fees import fees_by_name
from spread_scanner.symbology.tables import DirectionRow, InstrumentRow, SymbolRow, Tables
from spread_scanner.symbology.usual import Usual
from spread_scanner.tracker.book import Book, Rules
from spread_scanner.tracker.database import Database
from spread_scanner.tracker.journal import Journal
from spread_scanner.tracker.opportunity import Signal
from spread_scanner.tracker.pairs import pairs_of
from spread_scanner.tracker.sampler import Grid, Legs
from spread_scanner.view.opportunities import Opportunities

SETTINGS = """
[system]
namespace = "{namespace}"
max_symbols = 64    # as few as there are
ring_slots = 1024
"""
BEAT_NS = 100_000_000
CYCLES = 2  # a tick: a look at all pairs takes as many


class Counts(dict[str, int]):
    """The tracker's tally."""

    def add(self, label: str, count: int = 1) -> None:
        self[label] = self.get(label, 0) + count


def listen_to_all(exchange: Exchange8) -> None:
    """Somebody hears every listing, and reads nothing."""
    for leg in exchange.truth.legs.values():
        leg.forms["heard"] = (lambda _tick: b"", [_Deafless()])  # type: ignore[list-item]


class _Deafless:
    """Takes the place of a connection."""

    frozen = deaf = False
    asides = 0

    def __init__(self) -> None:
        self.out: list[bytes] = []

    def flush(self, _mono_s: float) -> None:
        self.out.clear()


class ScoredBed:
    """One run. `options` are the simulator's; the engine's history is off by `usual_off_bps`, None:
    it has none. `environ` holds settings otherwise than the simulator writes them."""

    def __init__(
        self,
        folder: Path,
        namespace: str,
        moved: VirtualClock,
        options: Options,
        usual_off_bps: float | None = 0.0,
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._clock = moved
        moved.advance_ms(1_000)  # the second 0 is none to the engine
        self.folder = folder
        self.truth_path = folder / "truth.jsonl"
        self.exchange = Exchange8(options)
        self._stack = contextlib.ExitStack()
        self._stack.callback(self.exchange.truth.close)
        listen_to_all(self.exchange)
        self.settings = self._settings(namespace, options, environ)
        self.tables = tables_of(self.exchange)
        making.ensure(self.settings)
        enter = self._stack.enter_context
        self.store = enter(PriceStore.attach(namespace))
        self.consumer = enter(enter(SignalRing.attach(namespace, "signals")).consumer())
        self.control = enter(Control.attach(namespace))
        self.operator = enter(self.control.operator())
        row = enter(enter(Health.attach(namespace)).claim(ENGINE))
        history = None if usual_off_bps is None else self._history(usual_off_bps)
        self._seeded_ns = clock.mono_ns()
        self.engine = enter(Engine(namespace, row, enter(self.control.claim(ENGINE)), history))
        self.writers = [enter(self.store.writer(source.source_id)) for source in EXCHANGE_SOURCES]
        self.adopts = True  # once it is due
        self.engine_runs = True  # or is given no CPU, which nobody notes by itself
        self.waits: list[CpuWait] = []  # that the score is told of
        self.size_factor = 1.0  # of what is stored, to what was sent
        self.books_factor = 1.0  # of what is stored of a book, to what was told
        self.books_id_off = 0  # likewise, of its update id
        self._shelves: dict[int, BooksWriter] = {}
        self._shown: dict[Leg, int] = {}
        self.records: list[np.ndarray] = []
        self.outages = Outages()
        self._follow()
        self._ticks = 0
        self._resized = self.exchange.truth.resized
        self.exchange.truth.resized = self._sent  # type: ignore[method-assign]

    def _settings(
        self, namespace: str, options: Options, environ: Mapping[str, str]
    ) -> config.Settings:
        made = self.folder / "config"
        thresholds = {way.label: options.threshold(way.label) for way in EXCHANGE_DIRECTIONS}
        write_config(made, sources_of(1), thresholds)
        with (made / "config.toml").open("a") as file:
            file.write(SETTINGS.format(namespace=namespace))
        return config.load(made, environ=environ)

    def _follow(self) -> None:
        """The tracker, from its beginning."""
        rules = Rules.of(self.settings.config.spread_tracker)
        self._tally, self._journal = Counts(), Journal()
        self.book = Book(
            *(rules, pairs_of(self.tables), self._journal, self._tally),
            *(lambda *_: 0.0, None, None),
        )
        limits = freshness.FreshnessLimits.of(self.settings)
        coins = by_source(self.tables, self.store.num_sources, self.store.max_symbols)
        self._legs = Legs(self.store, self.store.clock.anchor_ns, limits, coins)
        self._grid = Grid(rules.step_ns, self.store.clock.now_ns())
        self.database_path = self.settings.data_dir / DATABASE_FILE
        self.database = Database(self.database_path, "ring", self.store.clock.now_ns())
        self.book.start(1, None)

    def follow_books(self) -> None:
        """From now on there are books of what pays."""
        store = self._stack.enter_context(BookStore.attach(self.settings.config.system.namespace))
        enter = self._stack.enter_context
        self._shelves = {
            one.source_id: enter(store.writer(one.source_id)) for one in EXCHANGE_SOURCES
        }

    def _show_books(self) -> None:
        for leg in self.exchange.truth.legs.values():
            if leg.standing and self._shown.get(leg) != leg.listing.update_id:
                self._shown[leg] = leg.listing.update_id
                self._show(leg.listing)

    def _show(self, listing: Listing) -> None:
        """Tell a book, to the simulator's truth and in shared memory."""
        bids, asks = levels(listing, "bid", LEVELS_SHOWN), levels(listing, "ask", LEVELS_SHOWN)
        self.exchange.truth.showed(listing, listing.update_id, bids, asks)
        record = np.zeros(1, BOOK_DTYPE)
        record["source_id"], record["symbol_id"] = listing.source_id, listing.coin.number
        record["ts_recv"] = self.store.clock.now_ns()
        record["update_id"] = listing.update_id + self.books_id_off
        factor = listing.sz_mul * self.books_factor
        for side, told in (("bid", bids), ("ask", asks)):
            record[f"{side}_count"] = len(told)
            record[f"{side}s"] = np.nan
            for place, (px, sz) in enumerate(told):
                record[f"{side}s"][0, place] = float(px) / listing.px_mul, float(sz) * factor
        shelf = self._shelves[listing.source_id]
        shelf.take(listing.coin.number)
        shelf.publish(record)

    # --- the run

    def load(self, **changed: float) -> None:
        """Give the engine its tables, with thresholds otherwise than the simulator wrote them."""
        directions = self.settings.directions
        ways = {
            label: msgspec.structs.replace(way, **changed)
            for label, way in directions.direction.items()
        }
        given = msgspec.structs.replace(
            self.settings, directions=msgspec.structs.replace(directions, direction=ways)
        )
        self.engine.load(given, self.tables)
        self.engine.loop.run(0)  # as its process does: then the seconds count
        self.begun_ns = self._adopted_ns = clock.mono_ns()

    def _history(self, off_bps: float) -> Usual:
        """What the simulator says is usual, as a simulation has it lie there for the engine."""
        told = {
            (pair.spot.listing.label, pair.futures.listing.label, pair.symbol): (
                pair.usual.exit_bps + off_bps,
                pair.usual.parity_bps,
            )
            for pair in self.exchange.truth.pairs
        }
        names = self.tables.symbol_names()

        def usually(spot: InstrumentRow, futures: InstrumentRow) -> tuple[float, float] | None:
            labels = SOURCES[spot.source_id].label, SOURCES[futures.source_id].label
            return told.get((*labels, names[spot.symbol_id]))

        path = usual.path_of(self.settings)
        half_life_s = self.settings.config.spread_engine.basis_half_life_s
        usual.seed(path, self.tables, clock.wall_ns(), half_life_s, usually)
        history = usual.read(path)
        assert history is not None
        return history

    def run(self, seconds: float) -> None:
        """Let the market go on, and everybody with it."""
        for _ in range(round(seconds * 1e9 / self.exchange.tick_ns)):
            self._clock.advance_ns(self.exchange.tick_ns)
            if self._ticks % max(1, BEAT_NS // self.exchange.tick_ns) == 0:
                for writer in self.writers:
                    writer.heartbeat(clock.mono_ns())
                self.outages.switched(self.control.standing)
            self._ticks += 1
            self.exchange.tick()
            if self._shelves:
                self._show_books()
            for _ in range(CYCLES if self.engine_runs else 0):
                self.engine.loop.step(clock.mono_ns())
            self._adopt()
            found = self.consumer.pop_many(1_000)
            if len(found):
                self.records.append(found)
                signals, _ = signals_apart(found)
                self.book.apply(Signal._make(record) for record in signals.tolist())
            self._sample()

    def _adopt(self) -> None:
        """As the engine's process does between two runs of the loop."""
        if self.adopts and clock.mono_ns() - self._adopted_ns >= self.engine.adopt_every_ns:
            self._adopted_ns = clock.mono_ns()
            self.engine.adopt()

    def _sample(self) -> None:
        now_ns = self.store.clock.now_ns()
        point_ns = self._grid.due(now_ns)
        if point_ns is not None and self.book.open_count:
            watched = self.book.due(self.book.watched(), point_ns)
            looks = self._legs.look([followed.pair for followed in watched], now_ns)
            self.book.sample(watched, looks, point_ns, now_ns)

    def _sent(self, leg: Leg, tick: Tick) -> None:
        self._resized(leg, tick)
        listing = leg.listing
        factor = listing.sz_mul * self.size_factor
        now_ns = self.store.clock.now_ns()
        self.writers[listing.source_id].write(
            listing.coin.number, float(tick.bid_px) / listing.px_mul, float(tick.bid_sz) * factor,
            float(tick.ask_px) / listing.px_mul, float(tick.ask_sz) * factor,
            now_ns, now_ns, tick.update_id,
        )  # fmt: skip

    # --- its verdict

    def end(self) -> None:
        """The tracker writes down what it has, the simulator what was true."""
        self.database.write(self._journal.drain(self._tally, everything=True), 0)
        self.exchange.truth.close()

    def score(self, outages: Sequence[DownTime] | None = None) -> Score:
        """After `end`; `outages` instead of those that were seen."""
        records = np.concatenate(self.records) if self.records else np.empty(0, SIGNAL_DTYPE)
        opportunities = Opportunities(self.settings.data_dir)
        truth = read_truth(self.truth_path)
        judged = score.score(
            truth.intervals,
            seen_of(records, self.tables.symbol_names()),
            (self.begun_ns, clock.mono_ns()),
            sent=truth,
            lives=lives_of(opportunities, self.store.clock.anchor_ns),
            usual=self.usual(truth),
            carried=right_carried(
                follow_ups_of(records, self.tables.symbol_names()),
                truth,
                fees_by_name(self.settings, self.tables),
            ),
            outages=self.outages.all if outages is None else outages,
        )
        opportunities.close()
        return judged

    def usual(self, truth: TruthFile) -> list[UsualJudged]:
        """Of what the engine has learned up to now, from a history on."""
        kept = self.engine.adopt()
        assert kept is not None
        adopted, late = learned.adopted_of(kept, self.tables), Lateness(TOLERANCE_MS, self.waits)
        return learned.judged(adopted, truth, self._seeded_ns, self.begun_ns, late)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()
        self._stack.close()


def tables_of(exchange: Exchange8) -> Tables:
    """What a faultless discovery finds in the universe."""
    pairs = list(exchange.universe.pairs())
    listings = {listing for _, *legs in pairs for listing in legs}
    symbols = {row.coin.number: row for row in listings}
    return Tables(
        1, 0,
        tuple(
            SymbolRow(number, row.symbol, row.coin.name, row.quote)
            for number, row in sorted(symbols.items())
        ),
        tuple(
            InstrumentRow(
                row.source_id, row.coin.number, row.exchange_symbol, float(row.px_mul), row.sz_mul,
                float(row.tick_size), float(row.lot_step), None, row.notional_least or None,
                False, False,
            )
            for row in listings
        ),
        tuple(
            DirectionRow(way.direction_id, tuple(
                spot.coin.number for direction, spot, _ in pairs if direction is way
            ))
            for way in EXCHANGE_DIRECTIONS
        ),
        (), (),
    )  # fmt: skip
