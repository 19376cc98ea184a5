"""A day of one source, or an hour of all eight: from a seed to what was broken.

The same seed gives the same day, to the byte of its event log. `run` takes the faults from the seed
or from a list (shrink.py gives it prefixes) and ends at the first violation.
"""

import asyncio
import errno
import hashlib
import os
import shutil
import socket
import tempfile
import traceback
from collections.abc import Collection, Coroutine
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from exchange import LATENCY_NS, Exchange
from fault import Fault
from faults import KINDS, schedule
from follow import Telling, Tracking
from host import ANNOUNCED, BESIDE, Dial, Host, host_of
from idle import Idle
from invariants import Invariants, LineView, Violation
from loop import VirtualLoop
from market import Row
from wire import Wire

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S, VirtualClock
from spread_scanner.schema.enums import DIRECTIONS, SOURCE_BY_LABEL, SOURCES, Direction
from spread_scanner.schema.enums import Exchange as Name
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm import segment
from spread_scanner.sim import dialects
from spread_scanner.sim.universe import Listing, Universe
from spread_scanner.symbology.tables import DirectionRow, InstrumentRow, SymbolRow, Tables
from system import System, settings_of

WALL_NS = 1_790_000_000 * NS_PER_S
MONO_NS = 1_000 * NS_PER_S
BEAT_NS = 800 * NS_PER_MS  # of the engine and of the leg that no feed writes
LINES_KEPT = 4_000
WEIGHTS = (4.0, 2.0, 2.0, 1.0, 1.0, 1.0)
PER_CONNECTION = 2  # of six symbols: three lines
DAY_RATE, HOUR_RATE = 1.2, 0.8  # messages a second and source, but for the windows of high rates
HOURS = {True: 24.0, False: 1.0}  # of a single source, of all
DENSE = {True: 1.0, False: 1.5}  # how close their faults come
TEMPTED = 0.01  # the other leg, each 20 s: some twice an hour
PREMIUM = 1.02  # the other leg, while it tempts: far beyond any threshold


class Result(NamedTuple):
    """How a day went. `digest` is that of its whole event log."""

    seed: str
    sources: tuple[str, ...]
    digest: str
    violations: list[Violation]
    faults: list[Fault]
    events: list[str]
    counts: dict[str, int]


class EventLog:
    """Every event with its time; all go into the digest, the last ones are kept."""

    def __init__(self, virtual: VirtualClock) -> None:
        self._clock = virtual
        self._hash = hashlib.blake2b(digest_size=16)
        self.kept: list[str] = []

    def __call__(self, *what: object) -> None:
        at_s = (self._clock.mono_ns() - MONO_NS) / NS_PER_S
        line = f"{at_s:.6f} " + " ".join(map(str, what))
        self._hash.update(line.encode())
        self.kept.append(line)
        if len(self.kept) > 2 * LINES_KEPT:
            del self.kept[:LINES_KEPT]

    def quote(self, number: int, session: int, flags: int) -> None:
        """Too many to be kept."""
        self._hash.update(b"%d %d %d %d" % (self._clock.mono_ns(), session, number, flags))

    def digest(self) -> str:
        return self._hash.hexdigest()


class Day:
    """The world of one seed."""

    def __init__(
        self, seed: str, labels: tuple[str, ...], hours: float, faults: dict[str, list[Fault]],
        folder: Path, namespace: str, virtual: VirtualClock, *, leave_out: bool,
    ) -> None:  # fmt: skip
        self.clock = virtual
        self.hours = hours
        self.faults = faults
        self.labels = labels
        self.log = EventLog(virtual)
        self.loop = VirtualLoop(virtual, self)
        self.board_ns = 0
        self.random = Random(f"world {seed}")
        self.universe = Universe(7, 40)
        self._generation = 0
        self._attempts = 0
        self._line_numbers: dict[int, int] = {}
        self._lines_kept: list[object] = []
        self._arrived = self._looks_again = False
        self._others: dict[str, Direction] = {}
        self._premium = 1.0
        self.hosts = {host_of(label): Host(label.partition("-")[0]) for label in labels}
        self.exchanges = {label: self._exchange(seed, label) for label in labels}
        self._directions()
        settings = settings_of(folder, namespace, dict.fromkeys(labels, PER_CONNECTION))
        self.system = System(settings, self.tables(), list(labels), seed, self.log)
        self.store = self.system.store
        self.invariants = Invariants(self, virtual.mono_ns())
        self.idles = {label: Idle(self.loop, feed) for label, feed in self.system.feeds.items()}
        self._idles = list(self.idles.values())
        self._leaves_out = leave_out
        for label, exchange in self.exchanges.items():
            exchange.on_arrival = self._on_arrival
            exchange.disturbed = self.idles[label].disturbed
        self.tracking = Tracking(self.loop, settings, self.store, self.tables(), self._looked_at)
        every_s = 1.0 if len(labels) > 1 else 20.0
        self.telling = Telling(
            self.loop, settings, self.system.health, self.store, every_s, self.invariants.broken
        )
        self._beside: set[asyncio.Task[None]] = set()
        self.signals = 0
        self.go_on = False
        self.over: asyncio.Future[None] = self.loop.create_future()

    # --- how it is made

    def _exchange(self, seed: str, label: str) -> Exchange:
        several = len(self.labels) > 1
        chosen = [row for row in self.universe.by_source[label] if row.moves][: 4 if several else 6]
        rate = (HOUR_RATE if several else DAY_RATE) / sum(WEIGHTS[: len(chosen)])
        rows = [
            Row(listing, listing.coin.number, rate * weight, Random(f"row {seed} {label} {number}"))
            for number, (listing, weight) in enumerate(zip(chosen, WEIGHTS, strict=False))
        ]
        host = self.hosts[host_of(label)]
        return Exchange(
            label, host, rows, self._dialect, self.loop, self.clock,
            Random(f"exchange {seed} {label}"), self.log,
        )  # fmt: skip

    def _dialect(self, exchange: Exchange) -> dialects.Dialect:
        names = _Welcome(self.universe, exchange)
        kinds: dict[Name, Any] = {
            Name.BINANCE: dialects.Binance, Name.BYBIT: dialects.Bybit, Name.OKX: dialects.Okx
        }  # fmt: skip
        source = SOURCE_BY_LABEL[exchange.label]
        if source.exchange in kinds:
            made: dialects.Dialect = kinds[source.exchange](names, exchange.rules)
            return made
        spot = exchange.label == "mexc-spot"
        return dialects.MexcSpot(names) if spot else dialects.MexcFutures(names)

    def _directions(self) -> None:
        """For a single source: the direction whose other leg this day writes itself."""
        if len(self.labels) > 1:
            return
        (label,) = self.labels
        self._others[label] = next(
            row for row in DIRECTIONS if label in (row.spot.label, row.futures.label)
        )

    def tables(self) -> Tables:
        """What the feed is told of: the rows that are wanted now."""
        self._generation += 1
        rows = [
            (SOURCE_BY_LABEL[label].source_id, row)
            for label, exchange in self.exchanges.items()
            for row in exchange.rows.values()
            if row.wanted
        ]
        coins = {row.symbol_id: row.listing.coin.name for _, row in rows}
        instruments = [_instrument(source_id, row) for source_id, row in rows]
        for label, direction in self._others.items():
            other = direction.futures if direction.spot.label == label else direction.spot
            instruments += [
                InstrumentRow(other.source_id, symbol_id, name, 1.0, 1.0, None, None, None, None,
                              False, False)
                for symbol_id, name in coins.items()
            ]  # fmt: skip
        listed = {(row.source_id, row.symbol_id) for row in instruments}
        return Tables(
            self._generation, self.clock.wall_ns(),
            tuple(SymbolRow(n, f"{coin}-USDT", coin, "USDT") for n, coin in sorted(coins.items())),
            tuple(instruments),
            tuple(
                DirectionRow(row.direction_id, tuple(
                    n for n in sorted(coins)
                    if (row.spot.source_id, n) in listed and (row.futures.source_id, n) in listed
                ))
                for row in DIRECTIONS
            ),
            (), (),
        )  # fmt: skip

    # --- what the invariants and the faults ask for

    def now_ns(self) -> int:
        return self.clock.mono_ns()

    def lines(self, label: str) -> list[LineView]:
        views = []
        for line in self.system.feeds[label]._lines():
            current = line.current
            views.append(
                LineView(
                    self._number(line),
                    current.number if current is not None else 0,
                    current is not None and current.listener.data_ns != 0,
                )
            )
        return views

    def all_carried(self, label: str) -> bool:
        return all(line.current is not None for line in self.system.feeds[label]._lines())

    def look_again(self, in_ns: int) -> None:
        """The invariants look after everything that happens: have something happen."""
        if not self._looks_again:
            self._looks_again = True
            self.loop.call_ns(in_ns, self._nothing)

    def _nothing(self) -> None:
        self._looks_again = False

    def _number(self, line: object) -> int:
        if id(line) not in self._line_numbers:
            self._line_numbers[id(line)] = len(self._lines_kept)
            self._lines_kept.append(line)  # so that its id stays its own
        return self._line_numbers[id(line)]

    def counters(self, label: str) -> dict[str, int]:
        return dict(self.system.health.read(SOURCE_BY_LABEL[label].process).counters)

    def listed(self, exchange: Exchange) -> list[Row]:
        return [row for row in exchange.rows.values() if row.wanted]

    def reload(self, exchange: Exchange) -> None:
        new = self.tables()
        self._waken()
        self.system.publish(new)
        self.tracking.reload(new)
        for row in exchange.rows.values():
            row.heard, row.heard_ns = (row.heard, row.heard_ns) if row.wanted else (None, 0)

    def dial_beside(self, exchange: Exchange, for_s: float) -> None:
        """Another process dials through the gate that all of this address share."""
        until_ns = self.now_ns() + int(for_s * NS_PER_S)
        exchange.beside_until_ns = until_ns + NS_PER_S
        task = self.loop.create_task(self._dial_beside(exchange, until_ns))
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _dial_beside(self, exchange: Exchange, until_ns: int) -> None:
        share = self.system.feeds[exchange.label]._share
        gate = self.system.gates_beside.of(share.adapter, share.proxy)
        while self.now_ns() < until_ns:
            await gate.turn()
            dial = Dial(self.now_ns(), exchange.label, BESIDE)
            self.log("dial", exchange.label, "beside")
            self.invariants.dialled(exchange, dial, exchange.host.dialled(dial.at_ns))
            await asyncio.sleep(exchange.random.random())

    def suspend(self, seconds: float) -> None:
        """The machine sleeps: what was said meanwhile is lost, and most connections are dead."""
        for exchange in self.exchanges.values():
            for session in exchange.sessions:
                if seconds > 60 or self.random.random() < 0.5:
                    session.wire.dead = True
                    exchange.graves.append(session)
        self._waken()
        self.clock.suspend_ms(seconds * 1e3)
        self.log("woke", seconds)
        self.invariants.woke()
        for exchange in self.exchanges.values():
            for row in exchange.rows.values():
                if row.listing.status == "trading" and not row.halted:
                    exchange.say(row)

    def tempt(self, exchange: Exchange, after_s: float) -> None:
        """After a while the other leg moves so far that an entry would pay."""
        if exchange.label in self._others:
            self.loop.call_ns(int(after_s * NS_PER_S), self._tempt, exchange.label, True)
            self.loop.call_ns(int((after_s + 4) * NS_PER_S), self._tempt, exchange.label, False)

    def _tempt(self, label: str, on: bool) -> None:
        self._premium = PREMIUM if on else 1.0
        self._write_other(label)

    # --- the other leg of a single source

    def _write_other(self, label: str) -> None:
        direction = self._others[label]
        spot = direction.spot.label == label
        factor = self._premium if spot else 1 / self._premium
        now_ns = self.store.clock.now_ns()
        for row in self.exchanges[label].rows.values():
            middle = row.middle / row.listing.px_pow / row.listing.px_mul * factor
            self._attempts += 1
            self._other.write(
                row.symbol_id, middle * (1 - 1e-5), 1e9, middle * (1 + 1e-5), 1e9,
                TS_ABSENT, now_ns, self._attempts,
            )  # fmt: skip
        self._other.heartbeat(self.clock.mono_ns())
        self._arrived = True

    def _refresh_other(self, label: str) -> None:
        self.loop.call_ns(20 * NS_PER_S, self._refresh_other, label)
        if self.random.random() < TEMPTED:
            self._tempt(label, True)
            self.loop.call_ns(3 * NS_PER_S, self._tempt, label, False)
        self._write_other(label)

    # --- the network

    async def resolve(self, host: str, port: int) -> list[tuple[int, int, int, str, Any]]:
        label, line = _dialler(self)
        if self.exchanges[label].switch.refuse == "dns":
            self.log("no such name", label, line)
            self.invariants.attempted(self.exchanges[label], line)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    async def connect(self, host: str, port: int) -> Wire:
        label, line = _dialler(self)
        exchange = self.exchanges[label]
        dial = Dial(self.clock.mono_ns(), label, line)
        exchange.dials.append(dial)
        self.log("dial", label, line)
        self.invariants.dialled(exchange, dial, exchange.host.dialled(dial.at_ns))
        how = exchange.switch.refuse
        flaky = exchange.switch.flaky
        if flaky and exchange.random.random() < flaky:
            how = ("refused", "hole", "refused")[exchange.random.randrange(3)]
        if how == "hole":
            await self.loop.create_future()
        await asyncio.sleep(2 * LATENCY_NS / NS_PER_S)
        if how == "dns":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if how == "refused":
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        return exchange.admit(dial).wire

    # --- as it goes

    def _on_arrival(self, session: Any, row: Row, said: Any) -> None:
        self._arrived = True
        self.log.quote(said.number, session.number, row.symbol_id)
        self.invariants.arrived(session, row, said)

    def _looked_at(self, pair: Any, look: Any) -> None:
        """The tracker took both legs for good."""
        self._check_legs(pair.spot_source, pair.futures_source, pair.symbol_id)

    def _check_legs(self, spot: int, futures: int, symbol_id: int, kind: int = 1) -> None:
        for label, exchange in self.exchanges.items():
            if SOURCE_BY_LABEL[label].source_id in (spot, futures):
                for row in exchange.rows.values():
                    if row.symbol_id == symbol_id:
                        self.invariants.signalled(exchange, row, kind)

    def before(self) -> None:
        """A callback of the feeds is about to run."""
        self._arrived = True
        for idle in self._idles:
            idle.disturbed()

    def after(self) -> None:
        """Everything due at this time has run."""
        if self._arrived:
            self._arrived = False
            self._step_engine()
        if self.clock.mono_ns() >= self.invariants.next_ns:
            self.invariants.look()
        if self._leaves_out:
            for idle in self._idles:
                if idle.touched:
                    idle.settle()
        if self.invariants.found and not self.go_on and not self.over.done():
            self.over.set_result(None)

    def _waken(self) -> None:
        for idle in self._idles:
            idle.waken()

    def _step_engine(self) -> None:
        records = self.system.step_engine()
        if len(records):
            self._signals(records)

    def _signals(self, records: np.ndarray) -> None:
        self.signals += len(records)
        for record in records:
            direction = DIRECTIONS[int(record["direction_id"])]
            symbol_id, kind = int(record["symbol_id"]), int(record["kind"])
            self.log("signal", direction.label, symbol_id, kind, round(float(record["net_bps"]), 3))
            self._check_legs(direction.spot.source_id, direction.futures.source_id, symbol_id, kind)
        self.tracking.take(records)

    def _minute(self) -> None:
        self.loop.call_ns(60 * NS_PER_S, self._minute)
        self.invariants.minute()
        self.tracking.drain()

    def _beat(self) -> None:
        self.loop.call_ns(BEAT_NS, self._beat)
        self.system.beat_engine()
        if self._others:
            self._other.heartbeat(self.clock.mono_ns())
        self._step_engine()

    def _begin(self, label: str, fault: Fault) -> None:
        exchange = self.exchanges[label]
        self.log("fault", label, fault)
        self.invariants.fault(exchange, fault)
        end = KINDS[fault.kind].begin(self, exchange, fault)
        if end is not None:
            self.loop.call_ns(int(fault.for_s * NS_PER_S), end)

    async def live(self) -> None:
        """From the first dial to the last goodbye."""
        feeds: list[asyncio.Task[None]] = []
        for label, exchange in self.exchanges.items():
            exchange.start()
            feeds.append(self.loop.create_task(self._feed(label)))
            for fault in self.faults[label]:
                self.loop.call_ns(int(fault.at_s * NS_PER_S), self._begin, label, fault)
        for label in self._others:
            direction = self._others[label]
            other = direction.futures if direction.spot.label == label else direction.spot
            self._other = self.system.writer(other.source_id)
            self._refresh_other(label)
        self._beat()
        self.loop.call_ns(60 * NS_PER_S, self._minute)
        self.loop.before, self.loop.after = self.before, self.after
        self.loop.call_ns(int(self.hours * 3_600 * NS_PER_S), self._time_is_up)
        await self.over
        self.loop.before = self.loop.after = None
        self._waken()
        for task in self._beside:
            task.cancel()
        for feed in self.system.feeds.values():
            feed._process.stop()
        await asyncio.gather(*feeds)

    def _time_is_up(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    async def _feed(self, label: str) -> None:
        try:
            await self.system.feeds[label].run()
        except Exception as error:
            self.log(traceback.format_exc())
            self.invariants.broken(2, label, f"the feed ended: {error!r}")
        if not self.over.done():
            self.invariants.broken(2, label, "the feed left")
            self.over.set_result(None)

    def close(self) -> None:
        self.system.close()


class _Welcome(dialects.Names):
    """Which listings may be subscribed now."""

    def __init__(self, universe: Universe, exchange: Exchange) -> None:
        self._by_name = universe.by_name[exchange.label]
        self._exchange = exchange

    def find(self, name: str) -> Listing | None:
        if name in self._exchange.switch.unwelcome:
            return None
        return self._by_name.get(name)


def _instrument(source_id: int, row: Row) -> InstrumentRow:
    listing, symbol_id = row.listing, row.symbol_id
    return InstrumentRow(
        source_id, symbol_id, listing.exchange_symbol, float(listing.px_mul), listing.sz_mul,
        None, None, None, None, False, False,
    )  # fmt: skip


def _dialler(day: Day) -> tuple[str, int]:
    """Which feed dials, and for which of its lines, or for what is announced: read off the task
    that waits for it."""
    task = asyncio.current_task()
    step: Any = task.get_coro() if task is not None else None
    while step is not None and getattr(step, "cr_frame", None) is not None:
        found = step.cr_frame.f_locals.get("self")
        share = getattr(found, "_share", None)
        if share is not None and hasattr(found, "connections"):
            return share.adapter.source.label, day._number(found)
        if share is not None and hasattr(found, "listen_to"):
            return share.adapter.source.label, ANNOUNCED
        step = step.cr_await
    return day.labels[0], -1


def run(
    seed: str,
    source: str = "",
    *,
    hours: float | None = None,
    faults: dict[str, list[Fault]] | None = None,
    kinds: Collection[str] = tuple(KINDS),
    go_on: bool = False,
    leave_out: bool = True,
) -> Result:
    """Live a day of one source, or, without one, an hour of all.

    `go_on`: to its end, whatever is found on the way. `leave_out`: not the regular looks that would
    find nothing, see idle.py.
    """
    labels = (source,) if source else tuple(row.label for row in SOURCES)
    single = bool(source)
    hours = hours if hours is not None else HOURS[single]
    if faults is None:
        faults = {
            label: schedule(f"{seed} {label}", hours, dense=DENSE[single], kinds=kinds)
            for label in labels
        }
    namespace = f"days-{os.getpid()}"
    folder = Path(tempfile.mkdtemp(prefix="days-"))
    virtual = VirtualClock(WALL_NS, MONO_NS)
    try:
        with clock.use(virtual):
            day = Day(seed, labels, hours, faults, folder, namespace, virtual, leave_out=leave_out)
            day.go_on = go_on
            try:
                _live(day)
            finally:
                day.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for left in segment.names(namespace):
            segment.remove(left)
    counts = {
        "frames": sum(one.frames for one in day.exchanges.values()),
        "dials": sum(
            dial.line != ANNOUNCED for one in day.exchanges.values() for dial in one.dials
        ),
        "signals": day.signals,
        "alerts": len(day.telling.told),
        "opened": day.tracking.tally["opened"],
        "turns": day.loop.turns,
        "left_out": sum(one.left_out for one in day.idles.values()),
        "checks": day.invariants.checks,
    }
    found = day.invariants.found
    every = sorted(fault for rows in faults.values() for fault in rows)
    return Result(seed, labels, day.log.digest(), found, every, day.log.kept, counts)


def _live(day: Day) -> None:
    loop = day.loop
    asyncio.set_event_loop(loop)
    try:
        main: Coroutine[Any, Any, None] = day.live()
        with loop.dialled_through():
            loop.run_until_complete(main)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
