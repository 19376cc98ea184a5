"""The engine and the tracker of one process, living a week on a clock that is turned by hand.

Real: shared memory, the native loop, its adoption and its kept file, the tables and their reload,
the tracker with its database's thread. Made up: the feeds, which write what the market shows, and
discovery, which publishes tables and tells funding. Where nothing happens time goes by in steps of
a second or some, and from grid point to grid point where something does. All that was written is in
`record`.
"""

import contextlib
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from weekly_market import AWAY_S, GRID_S, KINDS, NUMBER, PERPETUAL, TOLD_S, Market, Plan
from weekly_record import Record
from weekly_tables import SOURCE_IDS, tables_of
from weekly_time import PatientClock, Unparked

from bed import until
from spread_scanner import config
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.engine.core import Engine
from spread_scanner.engine.keeping import usual_keeper
from spread_scanner.engine.main import Adoption
from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import SignalKind
from spread_scanner.schema.funding import FundingNow, listing_of
from spread_scanner.schema.names import DATABASE_FILE, ENGINE, SIGNALS, TRACKER
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm import Control, Health, PriceStore, SignalRing
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.funding import FundingTable
from spread_scanner.shminit import making
from spread_scanner.symbology import publish, tables, usual
from spread_scanner.tracker.main import Tracker

CONFIG = Path(__file__).parents[3] / "config"
FINE_S = 0.2
FUNDING_EVERY_S = 300.0
BEHIND_ROWS_MAX = 5_000
LAST_S = 90.0  # in which the disk keeps up: how long was tracked is noted each minute
PINNED_S = 5.6  # the next sparse look of the tracker is within it


class Adopted(NamedTuple):
    """A generation of what is usual, and where it has which pair, by (direction, symbol)."""

    usual: usual.Usual
    places: dict[tuple[int, int], int]


class Life:
    """`live` lives it; afterwards `record`, the database and the tables are there to be judged."""

    def __init__(
        self,
        moved: PatientClock,
        folder: Path,
        namespace: str,
        market: Market,
        plan: Plan,
        monkeypatch: pytest.MonkeyPatch,
        calm_step_s: float,
    ) -> None:
        """`calm_step_s`: how long a step is where nothing happens."""
        self._calm_step_s = calm_step_s
        self.clock, self.market, self.plan = moved, market, plan
        shutil.copytree(CONFIG, folder / "config")
        monkeypatch.setenv("SPREAD_SYSTEM__NAMESPACE", namespace)
        # As shipped but for this: a minute's copy of 8,192 contracts' funding is most of the wall
        # time of a week in which a minute takes a millisecond.
        monkeypatch.setenv("SPREAD_SYSTEM__MAX_SYMBOLS", "64")
        self.settings = config.load(folder / "config")
        self.listed = set(range(len(KINDS))) - {NUMBER["NEW-USDT"]}
        self.multiplier, self.generation = 1.0, 0
        self._monkeypatch = monkeypatch
        self._stack = contextlib.ExitStack()
        self._publish()
        making.ensure(self.settings)
        enter = self._stack.enter_context
        self.store = enter(PriceStore.attach(namespace))
        self.ring = enter(SignalRing.attach(namespace, SIGNALS))
        self._health = enter(Health.attach(namespace))
        self._control = enter(Control.attach(namespace))
        self._told = enter(FundingTable.attach(namespace))
        self._funding = enter(self._told.writer())
        self._feeds = [enter(self.store.writer(source_id)) for source_id in SOURCE_IDS]
        self._ids = np.arange(len(KINDS), dtype=np.uint16)
        self.start_ns = self.store.clock.now_ns()
        self.record = Record(self.store.clock.now_ns, market.seconds)
        self.signals: list[npt.NDArray[np.void]] = []
        self.adopted: list[Adopted] = []
        self.restarts: list[tuple[usual.Usual, usual.Usual]] = []  # what was kept, what is known
        self.blocked: set[str] = set()
        self._rates = np.random.default_rng(7)
        # While it is traded: who does not look again has another rate.
        self._last_told_s = {round(one, 3) - TOLD_S for one in market.settlements_s}
        self._restarts = contextlib.ExitStack()
        self._calm: npt.NDArray[np.float64] = np.empty(0)
        self._calm_from = -1
        self._calm_close_bps = 0.0
        self._hot: list[int] = []  # of which something happens now

    @property
    def now_s(self) -> float:
        """Since the start."""
        return (self.store.clock.now_ns() - self.start_ns) / NS_PER_S

    @property
    def database(self) -> Path:
        return self.settings.data_dir / DATABASE_FILE

    def _publish(self) -> None:
        self.generation += 1
        made = tables_of(self.generation, self.clock.wall_ns(), self.listed, self.multiplier)
        publish.publish(self.settings.generated_dir, made, {})

    # The processes.

    def _process(self, name: str, stack: contextlib.ExitStack) -> Process:
        row = stack.enter_context(self._health.claim(name))
        slot = stack.enter_context(self._control.claim(name))
        return Process(name, self.settings, logs.set_up(name, "error"), row, slot)

    def _start_engine(self) -> None:
        """As spread-engine's `live` does."""
        process = self._process(ENGINE, self._restarts)
        keeper = usual_keeper(self.settings, process.log)
        history = keeper.recall()
        self.engine = self._restarts.enter_context(
            Engine(self.settings.config.system.namespace, process.row, process.slot, history)
        )
        self._load()
        self.adoption = Adoption(self.engine, keeper, process.log)
        self.record.noted("start")
        self._keep_adopted()

    def _load(self) -> None:
        loaded = tables.load(self.settings.generated_dir)
        self.engine.take(self.engine.prepare(self.settings, loaded))

    def _start_tracker(self) -> None:
        process = self._process(TRACKER, self._stack)
        more = self._stack.enter_context(Connections.attach(self.store.namespace)), self._told
        consumer = self._stack.enter_context(self.ring.consumer())
        self.settings.data_dir.mkdir(exist_ok=True)
        with self._monkeypatch.context() as patched:
            patched.setenv("NOTIFY_SOCKET", "systemd")  # whose report is a unit of its own
            self.tracker = Tracker(process, self.store, self.ring, consumer, *more)
        self.tracker.recover()
        self.tracker.consumer = Unparked(self.tracker.consumer)  # type: ignore[assignment]

    def _restart_engine(self) -> None:
        """It stops, and comes back by what it has kept."""
        adopted = self.engine.adopted
        assert adopted is not None
        path = usual.path_of(self.settings)

        def kept() -> bool:
            found = usual.read(path)
            return found is not None and found.generation == adopted.generation

        until(kept)
        self._restarts.close()
        self._restarts = contextlib.ExitStack()
        back_s = self.now_s + AWAY_S
        while self.now_s < back_s:
            now_ns = self.store.clock.now_ns()
            self.clock.advance_ns(self._next_ns(now_ns) - now_ns)
            self._hot = self.market.hot(self.now_s)
            self._write()
            self._track()
            self.record.stepped(away=True)
        self._start_engine()
        assert self.engine.adopted is not None
        self.restarts.append((adopted, self.engine.adopted))

    # The week.

    def live(self) -> None:
        self._write()
        self._tell_funding()
        self._start_engine()
        self._start_tracker()
        todo = [
            (self.plan.listed_s, self._list),
            (self.plan.changed_s, self._change),
            (self.plan.restarted_s, self._restart_engine),
        ]
        try:
            while self.now_s < self.market.seconds:
                if todo and self.now_s >= todo[0][0]:
                    todo.pop(0)[1]()
                self._step()
            self.tracker.finish()
        finally:
            self._restarts.close()
            self._stack.close()

    def _list(self) -> None:
        self.listed.add(NUMBER["NEW-USDT"])
        self._reload("listed")

    def _change(self) -> None:
        self.listed.discard(NUMBER["GONE-USDT"])
        self.multiplier = 1_000.0
        self._reload("changed")

    def _reload(self, what: str) -> None:
        """As spread-ctl reload does: the engine, then the tracker."""
        self._publish()
        self._load()
        self.record.noted(what)
        self._keep_adopted()
        with self._control.operator() as operator:
            operator.reload(TRACKER)
        self._turn()

    def _step(self) -> None:
        now_ns = self.store.clock.now_ns()
        self.clock.advance_ns(self._next_ns(now_ns) - now_ns)
        now_s = self.now_s
        if now_s % FUNDING_EVERY_S == 0 or round(now_s, 3) in self._last_told_s:
            self._tell_funding()
        self._hot = self.market.hot(now_s)
        self._write()
        before = self.ring.position
        self.engine.loop.run(0)
        self.record.stepped()
        news = self.ring.position != before
        if news:
            self._heard(self.ring.past(before)[1])
        if now_s % 1 == 0:
            adopted = self.engine.adopted
            self.adoption.poll()
            if self.engine.adopted is not adopted:
                self.record.noted("adopted")
                self._keep_adopted()
            self.blocked |= {one.symbol for one in self.engine.newly_blocked()}
        self._track(news=news)

    def _keep_adopted(self) -> None:
        assert self.engine.adopted is not None
        pairs = self.engine.loop.pairs
        ids = zip(pairs["direction_id"].tolist(), pairs["symbol_id"].tolist(), strict=True)
        places = {pair: place for place, pair in enumerate(ids)}
        self.adopted.append(Adopted(self.engine.adopted, places))

    def _heard(self, signals: npt.NDArray[np.void]) -> None:
        self.signals.append(signals)
        for one in signals:
            if one["symbol_id"] == NUMBER["CALM-USDT"] and one["kind"] == SignalKind.ENTER:
                self._calm_close_bps = float(one["close_bps"])

    def _next_ns(self, now_ns: int) -> int:
        """A step on, or sooner where something is to be seen before."""
        step_ns = int((FINE_S if self._hot else self._calm_step_s) * NS_PER_S)
        coming = now_ns + step_ns - (now_ns - self.start_ns) % step_ns
        if (begins_s := self.market.begins_s) is not None:
            coming = min(coming, self.start_ns + round(begins_s * NS_PER_S))
        book = self.tracker.book
        coming = min([coming, *(one.next_point_ns for one in book.watched())])
        if book.next_probe_ns is not None:
            coming = min(coming, book.next_probe_ns)
        return max(coming, now_ns + NS_PER_MS)

    def _track(self, *, news: bool = False) -> None:
        """The tracker's turn, where it would not park."""
        ends = self.now_s > self.market.seconds - LAST_S
        if news or ends or self.tracker._park_ms() <= 0:
            self._turn()

    def _turn(self) -> None:
        """One; the disk need not be as fast as this clock, but it is not left far behind."""
        self.tracker.turn()
        ends = self.now_s > self.market.seconds - LAST_S
        if self.tracker.journal.pending > BEHIND_ROWS_MAX or ends:
            until(self._written)

    def _written(self) -> bool:
        self.tracker.turn()
        return self.tracker.writer.idle

    # The feeds.

    def _write(self) -> None:
        """What the exchanges send now: of the coins of which something happens each time."""
        now_s, now_ns = self.now_s, self.store.clock.now_ns()
        hot = self._hot
        mono_ns = self.clock.mono_ns()
        for feed in self._feeds:
            feed.heartbeat(mono_ns)
        everything = now_s % GRID_S == 0
        if not everything and not hot:
            return
        self._pin(now_s)
        books = self._books(now_s)
        for number in hot:
            self.market.happens(now_s, number, books[:, number])
        which = self._ids if everything else np.array(hot, np.uint16)
        for place, feed in enumerate(self._feeds):
            quotes = np.zeros(len(which), QUOTE_DTYPE)
            for column, name in enumerate(("bid_px", "bid_sz", "ask_px", "ask_sz")):
                quotes[name] = books[place, which, column]
            quotes["ts_event"] = quotes["ts_recv"] = now_ns
            feed.write_many(which, quotes)
        self.record.wrote(hot, books, everything=everything)

    def _books(self, now_s: float) -> npt.NDArray[np.float64]:
        """(place, coin, 4) of the grid, an hour of it at a time."""
        step = int(now_s / GRID_S)
        if self._calm_from < 0 or not 0 <= step - self._calm_from < len(self._calm):
            last = int(self.market.seconds / GRID_S) + 2
            self._calm_from = step
            self._calm = self.market.calm(step, min(step + 720, last))
        found: npt.NDArray[np.float64] = self._calm[step - self._calm_from].copy()
        return found

    def _pin(self, now_s: float) -> None:
        """The calm coin's perpetual comes back to just what leaving was assumed to earn."""
        number = NUMBER["CALM-USDT"]
        self.market.pinned.pop(number, None)
        if number not in self._hot:
            return
        for one in self.market.episodes[number]:
            if one.end_s <= now_s < one.end_s + PINNED_S:
                self.market.pinned[number] = self._calm_close_bps

    def _tell_funding(self) -> None:
        wall_ns = self.clock.wall_ns()
        interval_ns = 8 * 3_600 * NS_PER_S
        next_ns = (wall_ns // interval_ns + 1) * interval_ns
        for number in sorted(self.listed):
            listing = listing_of(KINDS[number].symbol.replace("-", ""))
            rate = float(self._rates.uniform(-4e-4, 4e-4))
            row = FundingNow(
                rate, np.nan, np.nan, 8.0, next_ns, wall_ns, 0, listing, self.generation
            )
            self._funding.write(SOURCE_IDS[PERPETUAL], number, row)
            self.record.told(number, rate)
