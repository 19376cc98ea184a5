"""Keeps an eye on a running system for its supervisor: rates, spreads, signals, opportunities.

Attaches read-only as things appear, and again when segments were replaced. All signals since the
start are kept, for the score and the summary of a run with an end.
"""

import contextlib
from typing import NamedTuple

import numpy as np

from spread_scanner import clock
from spread_scanner.config import Settings
from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.schema.names import ENGINE, FEED_SOLANA, TRACKER
from spread_scanner.shm import Health, PriceStore
from spread_scanner.supervise.seen import TrackedLife
from spread_scanner.view.opportunities import Opportunities, OpportunityRow
from spread_scanner.view.processes import (
    ProcessView,
    Stages,
    StatusLooks,
    stage_buckets,
    stage_latencies,
)
from spread_scanner.view.signals import SignalTail
from spread_scanner.view.spreads import SpreadBoard
from spread_scanner.view.tables import TablesInForce

SIGNALS_KEPT_MAX = 1_000_000


class Summary(NamedTuple):
    """The counts of a run."""

    messages: int
    quotes: int
    signals: int
    opportunities: int
    drops: int
    latency_us: dict[str, dict[str, float]]


class Observer:
    """Made once the segments stand; `look` several times a second while somebody watches, else
    `keep`; `close` at the end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.symbols: dict[int, str] = {}
        self._in_force = TablesInForce(settings.generated_dir)
        self.opportunities = Opportunities(settings.data_dir)
        self._namespace = settings.config.system.namespace
        self._stack = contextlib.ExitStack()
        self._attach()
        self._kept: list[np.ndarray] = []
        self._kept_count = 0
        self._board: SpreadBoard | None = None
        self._tables_checked_s = 0.0
        self._stages_before: Stages = {}

    def use(self, settings: Settings) -> None:
        """Settings that may have been reloaded since."""
        if settings is self.settings:
            return
        self.settings = settings
        self.status = StatusLooks(settings, self.health)
        if (loaded := self._in_force.loaded) is not None:
            self._board = SpreadBoard(settings, loaded, self._store)

    def _attach(self) -> None:
        self._stack.close()
        self.health = self._stack.enter_context(Health.attach(self._namespace))
        self._store = self._stack.enter_context(PriceStore.attach(self._namespace))
        self.tail = self._stack.enter_context(SignalTail.attach(self._namespace))
        self.status = StatusLooks(self.settings, self.health)

    def look(self) -> None:
        """Read everything once."""
        self.keep()
        self.status.look()

    def keep(self) -> None:
        """The part that cannot be made up for later: signals, and tables while they are in force.
        Rows of processes, of which most is histograms, wait for whoever looks."""
        if self.health.retired:
            with contextlib.suppress(SegmentError):
                self._attach()
        new = self.tail.take()
        if len(new) and self._kept_count < SIGNALS_KEPT_MAX:
            self._kept.append(new)
            self._kept_count += len(new)
        self._load_tables()

    def _load_tables(self) -> None:
        """Discovery publishes them while we run, and again later; once a second is enough."""
        if clock.mono_s() - self._tables_checked_s < 1.0:
            return
        self._tables_checked_s = clock.mono_s()
        if self._in_force.look() and (loaded := self._in_force.loaded) is not None:
            self.symbols |= loaded.symbol_names()
            self._board = SpreadBoard(self.settings, loaded, self._store)

    @property
    def signals(self) -> np.ndarray:
        """All records of the ring so far, oldest first."""
        return np.concatenate(self._kept) if self._kept else np.empty(0, self.tail.dtype)

    @property
    def board(self) -> SpreadBoard | None:
        return self._board

    def views(self) -> list[ProcessView]:
        return self.status.views()

    def subscribed(self) -> bool:
        """Whether every feed has connected and asked for all that the tables give it, and all pools
        that are read can be stood behind."""
        loaded = self._in_force.loaded
        if loaded is None:
            return False
        return self._pools_are_fresh() and all(
            self.status.counters(source.process).get("subscribes", 0)
            >= len(loaded.of_source(source.source_id))
            for source in EXCHANGE_SOURCES
            if self.settings.exchanges[source.label].enabled
        )

    def _pools_are_fresh(self) -> bool:
        """Or nobody reads any."""
        pools = self.settings.pools
        fresh = self.status.counters(FEED_SOLANA).get("pools_fresh", 0)
        return not pools.runs or fresh >= len([*pools.wanted()])

    def begin(self) -> None:
        """Latencies of the summary are counted from here on: before, everything was starting."""
        self._stages_before = stage_buckets(self.health)

    def summary(self) -> Summary:
        """The counts so far; `look` first."""
        return Summary(
            messages=self.status.total("messages"),
            quotes=self.status.total("quotes"),
            signals=self.status.counters(ENGINE).get("signals", 0),
            opportunities=self.status.counters(TRACKER).get("opened", 0),
            drops=self.tail.dropped + self.status.counters(TRACKER).get("rows_dropped", 0),
            latency_us=stage_latencies(stage_buckets(self.health), self._stages_before),
        )

    def last_opportunities(self, count: int) -> list[OpportunityRow]:
        return self.opportunities.last(count)

    def lives(self) -> list[TrackedLife]:
        """All opportunities as stored, on the monotonic clock. Raises DatabaseUnreadable."""
        return lives_of(self.opportunities, self._store.clock.anchor_ns)

    def session_now_ns(self) -> int:
        """Now, on the clock that quotes and opportunities are stamped with."""
        return self._store.clock.now_ns()

    def close(self) -> None:
        self.opportunities.close()
        self._stack.close()


def lives_of(opportunities: Opportunities, anchor_ns: int) -> list[TrackedLife]:
    """All opportunities as stored; `anchor_ns` is what the session clock is ahead of the
    monotonic. Raises DatabaseUnreadable."""
    found = opportunities.since(0)
    opportunities.check()
    return [
        TrackedLife(
            row.symbol,
            row.direction,
            row.opened_ns - anchor_ns,
            None if row.closed_ns is None else row.closed_ns - anchor_ns,
        )
        for row in found
    ]
