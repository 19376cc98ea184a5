"""Group engine: what a dirty quote and a full rescan cost, through the Python API.

8 sources, 300 symbols, 12 directions. Quotes are written before the clock runs; a step takes the
bits, copies the cells and evaluates every direction that contains them. Every batch plants a spread
that must come out as a signal of the right pair, and the counts must add up; the numpy peer must
find the same pairs.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from measure import Figure, figure, run_floor

from spread_scanner import clock, config
from spread_scanner.config.settings import Books
from spread_scanner.engine.core import Engine
from spread_scanner.engine.reload import TURN_NS, Reloads
from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema import costs
from spread_scanner.schema.counters import ENGINE_COUNTERS
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS, EXCHANGE_SOURCES
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm import Control, Health, PriceStore, SignalRing, segment
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shm.operator import Operator
from spread_scanner.shm.price_store import Writer
from spread_scanner.shm.wants import Wants
from spread_scanner.symbology.publish import publish
from spread_scanner.symbology.tables import DirectionRow, SymbolRow, Tables
from spread_scanner.symbology.tables import load as load_tables

SYMBOLS = 300
ENTER_BPS = 10.0
SPOT = 0  # the source whose quotes get dirty
DIRECTIONS_OF_SPOT = [row for row in EXCHANGE_DIRECTIONS if row.spot.source_id == SPOT]
PLANTED = 7
DIRTY_NS_MAX, STOP_US_MAX = 60.0, 1_000.0  # what is demanded
RESTS_S = 0.1  # after each: the kernel leaves a twentieth of each second to those not by SCHED_FIFO


def figures(small: bool) -> Iterator[Figure]:
    namespace = f"bench-engine-{os.getpid()}"
    batches = 20 if small else 4_000
    floor = run_floor("floor_engine.c", 20 if small else 20_000, SYMBOLS)
    try:
        rig = Rig(namespace)
        yield from rig.dirty_quote(batches, floor["engine.dirty_quote"])
        yield rig.rescan(batches, floor["engine.rescan"])
        rig.close()
        yield from Stops(namespace, 20 if small else 1_000).figures(2 if small else 20)
    finally:
        for name in segment.names(namespace):
            segment.remove(name)


def settings(*, near: bool = True) -> config.Settings:
    """`near`: as shipped, the engine says which pairs are to have their books followed."""
    source = config.SourceSettings(
        rest_url="https://rest.test", ws_url="wss://ws.test", taker_fee_bps=0.0
    )
    return config.Settings(
        Path("config"),
        # Nobody has looked on for five minutes; what is timed is the same.
        config.Config(
            spread_engine=config.Engine(signal_basis_unknown=True),
            books=Books(books_margin_bps=0.0 if near else -1.0),
        ),
        {row.label: source for row in EXCHANGE_SOURCES},
        config.Directions(defaults=config.Thresholds(enter_bps=ENTER_BPS, exit_bps=5.0)),
    )


def _tables(count: int = SYMBOLS) -> Tables:
    ids = tuple(range(count))
    symbols = tuple(SymbolRow(number, f"C{number}-USDT", f"C{number}", "USDT") for number in ids)
    directions = tuple(DirectionRow(row.direction_id, ids) for row in EXCHANGE_DIRECTIONS)
    return Tables(1, 0, symbols, (), directions, (), ())


class Rig:
    """An engine with its segments, and one writer per source."""

    def __init__(self, namespace: str, *, near: bool = True) -> None:
        self.store = PriceStore.create(namespace)
        self.ring = SignalRing.create(namespace, "signals")
        self.made = (
            Evaluations.create(namespace),
            Health.create(namespace),
            FundingTable.create(namespace),
        )
        self.wants = Wants.create(namespace)
        self.control = Control.create(namespace)
        row, slot = self.made[1].claim("spread-engine"), self.control.claim("spread-engine")
        self.writers = [self.store.writer(source.source_id) for source in EXCHANGE_SOURCES]
        self.consumer = self.ring.consumer()
        self.ids = np.arange(SYMBOLS, dtype=np.uint16)
        self.now_ns = clock.mono_ns()
        for writer in self.writers:
            writer.heartbeat(self.now_ns)
            writer.write_many(self.ids, self.calm())
        self.engine = Engine(namespace, row, slot)
        self.engine.load(settings(near=near), _tables())
        self.engine.loop.step(self.now_ns)
        if len(self.consumer.pop_many(100)) != 0:
            raise RuntimeError("signals out of calm quotes")

    def calm(self) -> np.ndarray:
        quotes = np.zeros(SYMBOLS, QUOTE_DTYPE)
        quotes["bid_px"], quotes["ask_px"] = 100.0, 100.01
        quotes["bid_sz"] = quotes["ask_sz"] = 5.0
        quotes["ts_recv"] = self.now_ns + self.store.clock.anchor_ns
        return quotes

    def count(self, label: str) -> int:
        number = next(row.counter_id for row in ENGINE_COUNTERS if row.label == label)
        return self.engine.loop.counts[number]

    def timed_step(self, ids: np.ndarray, quotes: np.ndarray) -> int:
        """Nanoseconds of the step that takes these quotes of SPOT; checks what it did."""
        before = self.count("dirty"), self.count("evaluations")
        self.writers[SPOT].write_many(ids, quotes[: len(ids)])
        start = time.perf_counter_ns()
        self.engine.loop.step(self.now_ns)
        took_ns = time.perf_counter_ns() - start
        done = self.count("dirty") - before[0], self.count("evaluations") - before[1]
        if done != (len(ids), len(ids) * len(DIRECTIONS_OF_SPOT)):
            raise RuntimeError(f"{len(ids)} dirty quotes, but {done} read and evaluated")
        return took_ns

    def expect(self, kind: int) -> None:
        """The planted symbol, in each direction of SPOT, and nothing else."""
        signals = self.consumer.pop_many(1_000)
        found = [(int(row["direction_id"]), int(row["symbol_id"])) for row in signals]
        wanted = [(row.direction_id, PLANTED) for row in DIRECTIONS_OF_SPOT]
        if found != wanted or set(signals["kind"]) != {kind}:
            raise RuntimeError(f"kind {kind}: found {found} instead of {wanted}")

    def plant(self, ids: np.ndarray) -> None:
        """One spread comes and goes, untimed: the loop that is timed is one that works."""
        quotes = self.calm()
        quotes["ask_px"][PLANTED] = 99.0
        quotes["bid_px"][PLANTED] = 98.0
        self.timed_step(ids, quotes)
        self.expect(1)
        self.timed_step(ids, self.calm())
        self.expect(3)

    def dirty_quote(self, batches: int, floor: float) -> Iterator[Figure]:
        quotes = self.calm()
        for dirty in (SYMBOLS, 10):
            ids = self.ids[:dirty]
            self.plant(ids)
            samples = [self.timed_step(ids, quotes) / dirty for _ in range(batches)]
            peers = {"numpy": NumpyPeer(self).per_quote_ns(ids, batches)}
            self.plant(ids)
            self.take_all()
            yield figure(
                "engine.dirty_quote",
                "ns",
                samples,
                floor=floor,
                peers=peers,
                dirty=dirty,
                directions=len(DIRECTIONS_OF_SPOT),
                symbols=SYMBOLS,
                demanded_max=DIRTY_NS_MAX,
            )

    def take_all(self) -> None:
        self.engine.loop.step(self.now_ns)
        self.consumer.pop_many(1_000)

    def rescan(self, batches: int, floor: float) -> Figure:
        loop, samples = self.engine.loop, []
        pairs = len(EXCHANGE_DIRECTIONS) * SYMBOLS
        for _ in range(batches):
            before = self.count("evaluations")
            loop.ask_rescan()
            start = time.perf_counter_ns()
            loop.step(self.now_ns)
            samples.append(float(time.perf_counter_ns() - start))
            if self.count("evaluations") - before != pairs:
                raise RuntimeError("a rescan left pairs out")
        return figure(
            "engine.rescan",
            "ns",
            samples,
            floor=floor,
            directions=len(EXCHANGE_DIRECTIONS),
            symbols=SYMBOLS,
        )

    def close(self) -> None:
        self.engine.close()
        for writer in self.writers:
            writer.close()
        for close in (self.consumer.close, self.control.close, self.ring.close, self.store.close):
            close()
        for made in (*self.made, self.wants):
            made.close()


class Stops:
    """How long nobody looks at quotes because of a reload, or because a generation of what is usual
    is adopted: the longest pause between two runs of the loop, or the longest cycle, while a real
    process object reloads real tables, or the engine works out what funding costs and adopts.

    By SCHED_FIFO where this process may, so that no other takes its CPU, or that of the thread that
    plans while it has the interpreter (18 to 26 ms, seldom, at a load of ten and more). The floor
    is the same of the same loop, as long after each, while nothing is under way: the kernel's and
    the host's.
    """

    def __init__(self, namespace: str, symbols: int) -> None:
        self.symbols = symbols
        self.folder = Path(tempfile.mkdtemp())
        self.namespace = namespace

    def figures(self, times: int) -> Iterator[Figure]:
        self._write_settings()
        with (
            PriceStore.create(self.namespace, max_symbols=1_024) as store,
            SignalRing.create(self.namespace, "signals") as ring,
            Evaluations.create(self.namespace),
            FundingTable.create(self.namespace),
            Wants.create(self.namespace),
            Health.create(self.namespace) as health,
            Control.create(self.namespace) as control,
            health.claim("spread-engine") as row,
            control.claim("spread-engine") as slot,
            control.operator() as operator,
            store.writer(SPOT) as writer,
        ):
            settings = config.load(self.folder / "config")
            process = Process("spread-engine", settings, logs.set_up("bench", "error"), row, slot)
            with Engine(self.namespace, row, slot) as engine:
                pairs = engine.load(settings, load_tables(settings.generated_dir))
                with _first_in_line() as scheduling:
                    one = Reloads(process, engine, lambda _: None)
                    stops, calm = self._beside_calm(
                        lambda: self._reload(process, engine, one, operator, writer),
                        *(times, engine, writer),
                    )
                    adoptions, calm_too = self._beside_calm(
                        lambda: self._adoption(engine, writer), times, engine, writer
                    )
            if ring.position != 0 or row.known_generation != 1:
                raise RuntimeError("signals out of calm quotes, or other tables")
        shutil.rmtree(self.folder)
        asked: dict[str, Any] = {
            "pairs": pairs,
            "times": times,
            "scheduling": scheduling,
            "demanded_max": STOP_US_MAX,
        }
        yield _stop("engine.reload_stop", stops, calm, asked)
        yield _stop("engine.adopt_stop", adoptions, calm_too, asked)

    def _beside_calm(
        self, stop: Callable[[], float], times: int, engine: Engine, writer: Writer
    ) -> tuple[list[float], list[float]]:
        """Microseconds: what it stopped each time, and the longest stop as long after it."""
        stops, calm = [], []
        for _ in range(times):
            self._longest_ns(engine, writer)  # what was before
            begun_s = time.perf_counter()
            stops.append(stop())
            end_s, longest_ns = 2 * time.perf_counter() - begun_s, 0
            while time.perf_counter() < end_s:
                longest_ns = max(longest_ns, self._longest_ns(engine, writer, TURN_NS))
            calm.append(longest_ns / 1e3)
            time.sleep(RESTS_S)
        return stops, calm

    def _adoption(self, engine: Engine, writer: Writer) -> float:
        """Microseconds: the worst of the turns that begin and end a round of what funding costs
        (those between are short, and many) and of the generation that puts it in force."""
        self._longest_ns(engine, writer)  # what was before
        turns, ready = [], False
        while not ready:
            ready = engine.look_ahead()
            turns.append(self._longest_ns(engine, writer))
        generation = engine.loop.usual_generation
        engine.adopt()
        stop_ns = max(turns[0], turns[-1], self._longest_ns(engine, writer))
        if engine.loop.usual_generation != generation + 1:
            raise RuntimeError("nothing was adopted")
        return stop_ns / 1e3

    @staticmethod
    def _longest_ns(engine: Engine, writer: Writer, turn_ns: int = 0) -> int:
        """Of a run and of the pause before it. A quote comes: what is idle stops nothing."""
        writer.write(3, 100.0, 5.0, 100.01, 5.0, clock.wall_ns(), clock.wall_ns(), 1, 0)
        engine.loop.run(turn_ns)
        return max(engine.loop.take_outside_ns(), engine.loop.take_longest_ns())

    def _reload(
        self,
        process: Process,
        engine: Engine,
        one: Reloads,
        operator: Operator,
        writer: Writer,
    ) -> float:
        """Microseconds. Quotes keep coming: an idle loop would have nothing to stop."""
        operator.reload(process.name)
        orders = process.poll()
        engine.loop.take_outside_ns(), engine.loop.take_longest_ns()
        if orders is None:
            raise RuntimeError("the order did not arrive")
        one.obey(orders)
        stop_ns = 0
        while one.under_way:
            stop_ns = max(stop_ns, self._longest_ns(engine, writer, one.turn_ns))
            one.poll()
        for _ in range(4):  # what the new tables still have to read
            stop_ns = max(stop_ns, self._longest_ns(engine, writer, one.turn_ns))
        return stop_ns / 1e3

    def _write_settings(self) -> None:
        (self.folder / "config").mkdir()
        text = "".join(
            f'[{row.label}]\nrest_url = "https://rest.test"\nws_url = "wss://ws.test"\n'
            for row in EXCHANGE_SOURCES
        )
        (self.folder / "config" / "exchanges.toml").write_text(text)
        (self.folder / "config" / "directions.toml").write_text("[defaults]\nenter_bps = 10.0\n")
        system = f'[system]\nnamespace = "{self.namespace}"\n[spread-engine]\nidle = "spin"\n'
        (self.folder / "config" / "config.toml").write_text(system)
        publish(self.folder / "generated", _tables(self.symbols), {})


@contextlib.contextmanager
def _first_in_line() -> Iterator[str]:
    """How this thread, and those that it starts, are scheduled: "fifo" where it may."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        yield "other"
        return
    try:
        yield "fifo"
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _stop(name: str, stops: list[float], calm: list[float], asked: dict[str, Any]) -> Figure:
    floor, floor_p99 = map(float, np.percentile(calm, [50, 99]))
    return figure(name, "us", stops, floor=floor, floor_p99=round(floor_p99, 3), **asked)


class NumpyPeer:
    """What one would write without a native loop: take the dirty ids, read them as an array, and
    evaluate their directions at once, with thresholds and who-is-in as arrays."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.quotes = rig.store.snapshot()[:, :SYMBOLS]
        self.bitmap = rig.store.dirty("gateway")
        self.bitmap.take_all()
        self.futures = np.array([row.futures.source_id for row in DIRECTIONS_OF_SPOT])
        self.costs = np.zeros((len(self.futures), SYMBOLS))
        self.inside = np.zeros((len(self.futures), SYMBOLS), bool)

    def step(self) -> tuple[np.ndarray, np.ndarray]:
        """(directions, symbols) that enter now."""
        ids = self.bitmap.take(SPOT)
        fresh = self.rig.store.read_many(SPOT, ids)
        self.quotes[SPOT, ids] = fresh
        futures = self.quotes[self.futures[:, None], ids]
        net = costs.entry_bps(fresh["ask_px"], futures["bid_px"]) - self.costs[:, ids]
        inside = self.inside[:, ids]
        usable = (fresh["flags"] == 0) & (futures["flags"] == 0)
        enter = usable & ~inside & (net >= ENTER_BPS)
        leave = inside & (~usable | (net < 5.0))
        self.inside[:, ids] = (inside | enter) & ~leave
        directions, places = np.nonzero(enter)
        return directions, ids[places]

    def per_quote_ns(self, ids: np.ndarray, batches: int) -> float:
        quotes, samples = self.rig.calm(), []
        writer = self.rig.writers[SPOT]
        for _ in range(min(batches, 1_000)):
            writer.write_many(ids, quotes[: len(ids)])
            start = time.perf_counter_ns()
            found = self.step()
            samples.append((time.perf_counter_ns() - start) / len(ids))
            if len(found[0]) != 0:
                raise RuntimeError("numpy: signals out of calm quotes")
        quotes["bid_px"][PLANTED], quotes["ask_px"][PLANTED] = 98.0, 99.0
        writer.write_many(ids, quotes[: len(ids)])
        if list(self.step()[1]) != [PLANTED] * len(self.futures):
            raise RuntimeError("numpy: the planted spread was not found")
        writer.write_many(ids, self.rig.calm()[: len(ids)])
        self.rig.take_all()
        self.bitmap.close()
        return float(np.median(samples))
