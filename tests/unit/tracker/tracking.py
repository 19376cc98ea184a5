"""A whole tracker in the test's own process, and what it is connected with."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import SignalKind
from spread_scanner.schema.names import SIGNALS, TRACKER
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.shm import Control, Health, PriceStore, SignalRing
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.funding import FundingTable
from spread_scanner.tracker.main import Tracker


class Tracking:
    """A tracker in this process, and the engine's end of its ring."""

    def __init__(self, bed: Any, stack: contextlib.ExitStack) -> None:
        enter, namespace = stack.enter_context, bed.namespace
        bed.settings.data_dir.mkdir(exist_ok=True)
        self.prices = enter(PriceStore.attach(namespace))
        ring = enter(SignalRing.attach(namespace, SIGNALS))
        consumer, self._producer = enter(ring.consumer()), enter(ring.producer())
        control = enter(Control.attach(namespace))
        self.operator, slot = enter(control.operator()), enter(control.claim(TRACKER))
        self.health = enter(Health.attach(namespace))
        row = enter(self.health.claim(TRACKER))
        process = Process(TRACKER, bed.settings, logs.set_up(TRACKER, "error"), row, slot)
        more = enter(Connections.attach(namespace)), enter(FundingTable.attach(namespace))
        self.tracker = Tracker(process, self.prices, ring, consumer, *more)
        self.tracker.recover()
        stack.callback(self.tracker.finish)
        self._seq = 0
        self._generation = self.tracker.generation

    def enter_signal(self, *, age_ns: int = 0, flags: int = 0) -> None:
        """Of a quote that was read, and judged, so long ago."""
        made = np.zeros(1, SIGNAL_DTYPE)
        made["kind"], made["symbol_id"], made["seq"] = SignalKind.ENTER, 1, self._seq
        made["ts_engine"] = made["ts_trigger"] = self.prices.clock.now_ns() - age_ns
        made["flags"], made["generation"] = flags, self._generation
        self._producer.push_many(made)
        self._seq += 1

    def sparse(self) -> list[bool]:
        """Of each that is open, whether it is looked at sparsely; after one turn."""
        self.tracker.turn()
        return [one.row.left_ns is not None for one in self.tracker.book.watched()]


@contextlib.contextmanager
def tracking_of(bed: Any) -> Iterator[Tracking]:
    with contextlib.ExitStack() as stack:
        yield Tracking(bed, stack)
