"""A day of one source, or an hour of all eight: from a seed to what was broken.

The same seed gives the same day, to the byte of its event log. `run` takes the faults from the seed
or from a list (shrink.py gives it prefixes) and ends at the first violation. Who there is stands in
listed.py, who reaches whom in network.py, what is ours in system.py; here is how time goes on.
"""

import asyncio
import contextlib
import gc
import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Collection, Coroutine, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from dialling import LineView
from events import EventLog, Result
from exchange import Exchange
from fault import Fault
from faults import EVERY_KIND, KINDS, schedule
from follow import Telling, Tracking
from host import ANNOUNCED
from idle import Idle
from invariants import UNUSABLE, Invariants
from listed import Listed, other_leg
from loop import VirtualLoop
from market import Row
from network import Network
from of_orders import USUAL
from otherleg import OtherLeg

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S, VirtualClock
from spread_scanner.feed.connection import Connection
from spread_scanner.schema.enums import DIRECTIONS, EXCHANGE_SOURCES, SOURCE_BY_LABEL, ProcessState
from spread_scanner.schema.freshness import FreshnessLimits
from spread_scanner.shm import segment
from system import Cut, System, settings_of

WALL_NS = 1_790_000_000 * NS_PER_S
MONO_NS = 1_000 * NS_PER_S
BEAT_NS = 800 * NS_PER_MS  # hearts seem to beat so often at least: their readers allow a second
STEP_NS = 800 * NS_PER_MS  # between two of the engine's steps that nothing calls for
CALM_STEP_NS = 4_000 * NS_PER_MS  # the same while no opportunity is open, that time may end
GARBAGE_MIN = 15  # minutes between two times that garbage is looked for
HOURS = {True: 24.0, False: 1.0}  # of a single source, of all
DENSE = {True: 1.0, False: 1.5}  # how close their faults come


class Day:
    """The world of one seed; what is other than usual in it stands in a class of its own."""

    network_of: type[Network] = Network
    of_books = ""  # the settings of [books]: with some, books are followed
    channel = ""  # that they come by, if not by the usual one

    def __init__(
        self, seed: str, labels: tuple[str, ...], hours: float, faults: dict[str, list[Fault]],
        folder: Path, namespace: str, virtual: VirtualClock, *, leave_out: bool,
    ) -> None:  # fmt: skip
        self.clock = virtual
        self.now_ns = virtual.mono_ns
        self.hours = hours
        self.faults = faults
        self.log = EventLog(virtual)
        self.loop = VirtualLoop(virtual)
        self.random = Random(f"world {seed}")
        self._arrived = False
        self._beat_ns = 0
        self._listed = Listed(seed, labels, self.loop, virtual, self.log)
        self.exchanges = self._listed.exchanges
        self.network = self.loop.network = self.network_of(self.exchanges, virtual, self.log)
        self._cuts = dict.fromkeys(labels, Cut(*USUAL, self.channel))
        settings = settings_of(folder, namespace, self._cuts, self.of_books)
        self._stale_ns_max = FreshnessLimits.of(settings).stale_ns_max
        first = self._listed.tables()
        self.system = System(settings, first, list(labels), seed, self.log, self.of_books)
        self.store = self.system.store
        self.invariants = Invariants(self, virtual.mono_ns())
        self.network.feeds = self.system.feeds
        self.network.invariants = self.invariants
        self._leave_out = leave_out
        self.idles: dict[str, Idle] = {}
        self._idles: list[Idle] = []
        self._runs: dict[str, asyncio.Task[None]] = {}
        self.dead: set[str] = set()  # whose feed's process is no more
        for exchange in self.exchanges.values():
            exchange.on_arrival = self._on_arrival
            exchange.misheard = partial(self.invariants.misheard, exchange)
            self._attend(exchange)
        self.tracking = Tracking(
            self.loop, settings, self.store, first, self._looked_at, self._beat
        )
        every_s = 1.0 if len(labels) > 1 else 20.0
        self.telling = Telling(
            self.loop,
            settings,
            self.system.health,
            self.system.control,
            self.store,
            every_s,
            self.invariants.broken,
            self._beat,
            self._well,
        )
        self._other: OtherLeg | None = None
        self.signals = 0
        self.go_on = False
        self.over: asyncio.Future[None] = self.loop.create_future()

    def counted(self) -> dict[str, int]:
        """What else is told of how it went."""
        return {}

    def _attend(self, exchange: Exchange) -> None:
        """Follow its feed, which is new."""
        feed = self.system.feeds[exchange.label]
        idle = Idle(self.loop, feed, leaves_out=self._leave_out)
        self.idles[exchange.label] = idle
        self._idles = list(self.idles.values())
        exchange.disturbed, exchange.settle = idle.disturbed, idle.catch_up
        feed._missed.ask = exchange.ask_list

    # --- what the invariants and the faults ask for

    def lines(self, label: str) -> list[LineView]:
        return [] if label in self.dead else self.network.lines(label)

    def all_carried(self, label: str) -> bool:
        return label in self.dead or self.network.all_carried(label)

    def counters(self, label: str) -> dict[str, int]:
        return dict(self.system.health.read(SOURCE_BY_LABEL[label].process).counters)

    def runs(self, label: str) -> bool:
        """Whether a feed lives and its row says that nothing is wrong with it."""
        if label in self.dead:
            return False
        row = self.system.health.beat(SOURCE_BY_LABEL[label].process)
        return row is not None and row.state is ProcessState.RUNNING

    def listed(self, exchange: Exchange) -> list[Row]:
        return [row for row in exchange.rows.values() if row.wanted]

    def reload(self, exchange: Exchange) -> None:
        new = self._listed.tables()
        self._waken()
        self.invariants.dialling.cut_ns[exchange.label] = self.now_ns()
        self.system.cut(self._cuts)  # in time, if they were wrong until now
        self.system.publish(new)
        self.tracking.reload(new)
        for row in exchange.rows.values():
            row.heard, row.heard_ns = (row.heard, row.heard_ns) if row.wanted else (None, 0)
        for one in self.exchanges.values():  # all are told of the new tables
            for row in one.rows.values():
                row.judged(self.now_ns())

    def reshape(self, exchange: Exchange, per_connection: int, copies: int) -> None:
        """Have its feed cut its lines otherwise from now on."""
        self._recut(exchange, per_connection=per_connection, copies=copies)

    def reroute(self, exchange: Exchange, via: str) -> None:
        """Have its feed dial through a proxy from now on, or, with "", through none."""
        exchange.via = via
        self._recut(exchange, proxy=via)

    def _recut(self, exchange: Exchange, **changes: Any) -> None:
        self._cuts[exchange.label] = self._cuts[exchange.label]._replace(**changes)
        self.system.cut(self._cuts)
        self.reload(exchange)

    def order_wrongly(self, exchange: Exchange, settings: str) -> None:
        """A reload by settings that are wrong, which are put right again a moment later."""
        self._waken()
        self.system.misconfigure(settings)
        self.system.operator.reload(SOURCE_BY_LABEL[exchange.label].process)
        self.loop.call_ns(NS_PER_S, self.system.cut, self._cuts)

    def pause(self, exchange: Exchange, *, paused: bool) -> None:
        self._waken()
        self.system.operator.pause(SOURCE_BY_LABEL[exchange.label].process, paused=paused)

    def kill(self, exchange: Exchange) -> None:
        """Its feed's process is killed, if it lives; the kernel ends what it had open."""
        label = exchange.label
        if label in self.dead:
            return
        self.idles[label].beat()
        self._waken()
        self.idles.pop(label).end()
        self._idles = list(self.idles.values())
        self.dead.add(label)
        self.invariants.died(exchange)
        self._runs.pop(label).cancel()
        for session in [*exchange.sessions, *exchange.graves]:
            session.wire.client.die()
        self.system.kill(label)

    def revive(self, exchange: Exchange) -> None:
        """It is started again."""
        label = exchange.label
        if label not in self.dead:
            return
        self._waken()
        self.system.cut(self._cuts)  # in time, if settings were wrong until now
        self.invariants.revived(exchange)
        self.system.revive(label)
        self._attend(exchange)
        self.dead.discard(label)
        self.invariants.dialling.cut_ns[label] = self.now_ns()
        self._runs[label] = self.loop.create_task(self._feed(label))

    def dial_beside(self, exchange: Exchange, for_s: float) -> None:
        """Another process dials through the gate that all of this address share."""
        self.network.dial_beside(exchange, self.system.gates_beside, for_s)

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
        self.invariants.woke(seconds)
        for exchange in self.exchanges.values():
            for row in exchange.rows.values():
                if row.listing.status == "trading" and not row.halted:
                    exchange.say(row)

    def unheard(self, exchange: Exchange) -> None:
        """It has set its clock back, and nobody could hear it."""
        self.invariants.unheard(exchange)

    def tempt(self, exchange: Exchange, after_s: float) -> None:
        """After a while the other leg moves so far that an entry would pay."""
        if self._other is not None:
            self._other.tempt(after_s)

    # --- as it goes

    def _on_arrival(self, session: Any, row: Row, said: Any) -> None:
        self._arrived = True
        self.log.quote(said.number, session.number, row.symbol_id)
        self.invariants.arrived(session, row, said)
        self.idles[session.exchange.label].quoted()

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

    def aside(self, connection: Connection) -> None:
        """One is that only pings."""
        self.idles[connection.adapter.source.label].disturbed()

    def after(self) -> None:
        """Everything due at this time has run."""
        if self._arrived:
            self._arrived = False
            self._step_engine()
        self.invariants.look()
        if self.invariants.found and not self.go_on and not self.over.done():
            self.over.set_result(None)

    def _wrote(self) -> None:
        self._arrived = True

    def _waken(self) -> None:
        for idle in self._idles:
            idle.waken()

    def _step_engine(self) -> None:
        self._beat()
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
        if self.invariants.checks % GARBAGE_MIN == 0:
            gc.collect()
        self.tracking.drain()

    def _pass(self) -> None:
        """Time passes for the engine, though nothing comes."""
        opened = self.tracking.book.open_count
        self.loop.call_ns(STEP_NS if opened else CALM_STEP_NS, self._pass)
        self._step_engine()

    def _beat(self) -> None:
        """Somebody is about to look at heartbeats."""
        now_ns = self.clock.mono_ns()
        if now_ns - self._beat_ns >= BEAT_NS:
            self._beat_ns = now_ns
            for idle in self._idles:
                idle.beat()
            self.system.beat_engine()
            if self._other is not None:
                self._other.beat()

    def _well(self) -> bool:
        """Whether no feed says that anything is wrong, and each quote can be used."""
        for label, exchange in self.exchanges.items():
            source = SOURCE_BY_LABEL[label]
            row = self.system.health.beat(source.process)
            if row is None or row.state is not ProcessState.RUNNING or row.message.rstrip("\0"):
                return False
            if not all(self._usable(source.source_id, one) for one in self.listed(exchange)):
                return False
        return True

    def _usable(self, source_id: int, row: Row) -> bool:
        cell = self.store.read(source_id, row.symbol_id)
        if cell is None or cell.flags & UNUSABLE:
            return False
        return self.store.clock.now_ns() - cell.ts_recv <= self._stale_ns_max

    def _begin(self, label: str, fault: Fault) -> None:
        exchange = self.exchanges[label]
        self.log("fault", label, fault)
        self.invariants.fault(exchange, fault)
        end = EVERY_KIND[fault.kind].begin(self, exchange, fault)
        if end is not None:
            self.loop.call_ns(int(fault.for_s * NS_PER_S), self._end, exchange, end)

    def _end(self, exchange: Exchange, end: Callable[[], None]) -> None:
        self.invariants.fault_over(exchange)
        end()

    async def live(self) -> None:
        """From the first dial to the last goodbye."""
        for label, exchange in self.exchanges.items():
            exchange.start()
            self._runs[label] = self.loop.create_task(self._feed(label))
            for fault in self.faults[label]:
                self.loop.call_ns(int(fault.at_s * NS_PER_S), self._begin, label, fault)
        self._write_the_other_leg()
        self._pass()
        self.loop.call_ns(60 * NS_PER_S, self._minute)
        self.loop.before, self.loop.after = self.before, self.after
        self.loop.aside, self.loop.still = self.aside, self.invariants.still
        self.loop.call_ns(int(self.hours * 3_600 * NS_PER_S), self._time_is_up)
        await self.over
        self.loop.before = self.loop.after = self.loop.aside = self.loop.still = None
        self._waken()
        self.network.close()
        for label in self._runs:
            self.system.feeds[label]._process.stop()
        await asyncio.gather(*self._runs.values())

    def _write_the_other_leg(self) -> None:
        for label, direction in self._listed.others.items():
            other = other_leg(direction, label)
            self._other = OtherLeg(
                self.loop, self.store, self.system.writer(other.source_id), self.exchanges[label],
                self.random, self._wrote, futures=direction.spot.label == label,
            )  # fmt: skip
            self._other.refresh()

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


def run(
    seed: str,
    source: str = "",
    *,
    hours: float | None = None,
    faults: dict[str, list[Fault]] | None = None,
    kinds: Collection[str] = tuple(KINDS),
    go_on: bool = False,
    leave_out: bool = True,
    of: Callable[..., Day] = Day,
) -> Result:
    """Live a day of one source, or, without one, an hour of all.

    `go_on`: to its end, whatever is found on the way. `leave_out`: not the regular looks that would
    find nothing, see idle.py. `of`: another kind of day.
    """
    labels = (source,) if source else tuple(row.label for row in EXCHANGE_SOURCES)
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
        with clock.use(virtual), _without_authorities():
            day = of(seed, labels, hours, faults, folder, namespace, virtual, leave_out=leave_out)
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
        **day.counted(),
    }
    found = day.invariants.found
    every = sorted(fault for rows in faults.values() for fault in rows)
    return Result(seed, labels, day.log.digest(), found, every, day.log.kept, counts)


@contextlib.contextmanager
def _without_authorities() -> Iterator[None]:
    """Each start and reload reads whom TLS trusts, some hundred certificates: here nobody's is
    asked for.
    """
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = ""
    try:
        yield
    finally:
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before


def _live(day: Day) -> None:
    loop = day.loop
    gc.collect()
    gc.freeze()  # what is there by now stays all day, and is not to be walked again and again
    gc.disable()  # there is little that is not let go of by itself: see Day._minute
    asyncio.set_event_loop(loop)
    try:
        main: Coroutine[Any, Any, None] = day.live()
        with loop.dialled_through():
            loop.run_until_complete(main)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
        gc.enable()
        gc.unfreeze()
