"""The tracker's book and the alerts' desk in a day, each on its own time.

The book is fed with the engine's signals and looks on the tracker's grid through the tracker's own
sampler; what it would write is drained and counted. The desk weighs the real conditions and tells
them to a list. Both report what they should not have said.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from loop import VirtualLoop

from spread_scanner import clock
from spread_scanner.alerts.desk import Desk
from spread_scanner.alerts.outbox import Outbox
from spread_scanner.alerts.targets import TEXT_CHARS_MAX, Message
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.schema.freshness import FreshnessLimits
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.symbology.coins import Coins, by_source
from spread_scanner.symbology.tables import Tables
from spread_scanner.tracker.book import Book, Rules
from spread_scanner.tracker.depths import heard_of
from spread_scanner.tracker.journal import Journal
from spread_scanner.tracker.pairs import pairs_of
from spread_scanner.tracker.sampler import Grid, Legs, Look
from spread_scanner.view import sources
from spread_scanner.view.conditions.condition import Condition
from spread_scanner.view.conditions.market import of_sources
from spread_scanner.view.conditions.processes import of_processes
from spread_scanner.view.processes import StatusLooks

Broken = Callable[[int, str, str], None]
CALM_LOOKS = 15  # of so many one is made though all is well


class Tally(Counter[str]):
    """What the book counts."""

    def add(self, label: str, count: int = 1) -> None:
        self[label] += count


class Tracking:
    """`seen` is called with each pair that was looked at and found usable, `beat` before a look at
    anybody's heartbeat.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        settings: Settings,
        store: PriceStore,
        first: Tables,
        seen: Callable[[Any, Look], None],
        beat: Callable[[], None],
    ) -> None:
        tracker = settings.config.spread_tracker
        self._loop = loop
        self._store = store
        self._seen = seen
        self._beat = beat
        self._settings = settings
        self.tally = Tally()
        self.journal = Journal()
        self.book = Book(Rules.of(tracker), pairs_of(first), self.journal, self.tally, self._enter)
        limits = FreshnessLimits.of(settings)
        self._legs = Legs(store, store.clock.anchor_ns, limits, self._coins(first))
        self._grid = Grid(self.book.rules.step_ns, store.clock.now_ns())
        self._due = False

    def _enter(self, direction: str, symbol: str) -> float:
        return self._settings.directions.thresholds(direction, symbol).enter_bps

    def _coins(self, tables: Tables) -> Coins:
        return by_source(tables, self._store.num_sources, self._store.max_symbols)

    def reload(self, new: Tables) -> None:
        self._legs.coins = self._coins(new)
        rules = Rules.of(self._settings.config.spread_tracker)
        self.book.reload(pairs_of(new), rules, self._store.clock.now_ns())

    def take(self, records: np.ndarray) -> None:
        """Signals, as they come from the ring."""
        self.book.apply(heard_of(records))
        self._later()

    def _later(self) -> None:
        if self._due or not (self.book.open_count or self.book.next_probe_ns):
            return
        self._due = True
        due_ns = self._grid.next_ns
        if self.book.next_probe_ns is not None:
            due_ns = min(due_ns, self.book.next_probe_ns)
        self._loop.call_ns(due_ns - self._store.clock.now_ns(), self._look)

    def _look(self) -> None:
        self._due = False
        self._beat()
        now_ns = self._store.clock.now_ns()
        due = self.book.due_probes(now_ns)
        if due:
            looks = self._legs.look([probe.followed.pair for probe in due], now_ns)
            self.book.probe(due, looks, now_ns)
        point_ns = self._grid.due(now_ns)
        watched = self.book.watched()
        if point_ns is not None and watched:
            looks = self._legs.look([followed.pair for followed in watched], now_ns)
            for followed, look in zip(watched, looks, strict=True):
                if look.exit_bps is not None:
                    self._seen(followed.pair, look)
            self.book.sample(watched, looks, point_ns, now_ns)
        self._later()

    def drain(self) -> int:
        """What would have been written; how many rows."""
        return self.journal.drain(self.tally).size


class Telling:
    """Alerts to a list, as the only target. Every lasting condition is told, and none twice without
    an end between."""

    name = "list"
    chars_max = TEXT_CHARS_MAX

    def __init__(
        self, loop: VirtualLoop, settings: Settings, health: Health, control: Control,
        store: PriceStore, every_s: float, broken: Broken,
        beat: Callable[[], None], well: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._loop = loop
        self._settings = settings
        self._health = health
        self._control = control
        self._looks = StatusLooks(settings, health)
        self._store = store
        self._every_ns = int(every_s * NS_PER_S)
        self._broken = broken
        self._beat = beat
        self._well = well
        self._looked = 0
        self._desk = Desk()
        self._outbox = Outbox(self, settings.config.spread_alerts)
        self._standing: dict[str, int] = {}  # told and not ended: when
        self._lasting: dict[str, int] = {}  # how many looks in a row
        self.told: list[Message] = []
        loop.call_ns(self._every_ns, self._look)

    def _look(self) -> None:
        self._loop.call_ns(self._every_ns, self._look)
        self._looked += 1
        told = self._lasting or self._standing
        if not told and self._looked % CALM_LOOKS and self._well():
            return  # nothing was to be told of, and nothing is
        self._beat()
        self._looks.look()
        # Who never runs in a day is not missed.
        views = [view for view in self._looks.views() if view.state != "absent"]
        quotes = sources.look(self._settings, self._health, self._control, self._store, None)
        counted = {view.process: self._looks.counters(view.process) for view in views}
        beat_ms_max = self._settings.config.system.heartbeat_ms_max
        down = [*of_processes(views, counted, beat_ms_max)]
        hung = {one.key.removeprefix("hung:") for one in down if one.key.startswith("hung:")}
        conditions = [*down, *of_sources(quotes, hung)]
        before = len(self.told)
        self._desk.update(conditions)
        self._outbox.take(self._desk.raised)
        self._outbox.flush()
        self._check(conditions, self.told[before:])

    def send(self, message: Message) -> None:
        """As a target that takes everything."""
        self.told += message.parts or (message,)

    def _check(self, conditions: list[Condition], messages: list[Message]) -> None:
        now_ns = clock.mono_ns()
        repeat_ns = int(self._settings.config.spread_alerts.repeat_s_min * NS_PER_S)
        for message in messages:
            before_ns = self._standing.get(message.key)
            if message.event == "raised":
                if before_ns is not None:
                    self._broken(9, message.key, "told twice without an end")
                self._standing[message.key] = now_ns
            elif message.event == "still":
                if before_ns is None or now_ns - before_ns < repeat_ns:
                    self._broken(9, message.key, "a reminder of nothing, or too soon")
                self._standing[message.key] = now_ns
            elif message.event == "cleared" and self._standing.pop(message.key, None) is None:
                self._broken(9, message.key, "an end without a beginning")
        lasting = {one.key: one for one in conditions if not one.passing}
        self._lasting = {key: self._lasting.get(key, 0) + 1 for key in sorted(lasting)}
        for key, looks in self._lasting.items():
            due = 9 + int(lasting[key].stands_s * NS_PER_S / self._every_ns)
            if looks == due + 3 and key not in self._standing:
                self._broken(9, key, "lasts, and was never told")
