"""A whole tracker in the test's own process, and what it is connected with."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import SignalKind
from spread_scanner.schema.names import SIGNALS, TRACKER
from spread_scanner.schema.records import FOLLOW_UP_DTYPE, SIGNAL_DTYPE
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
        stack.callback(process.close)
        more = enter(Connections.attach(namespace)), enter(FundingTable.attach(namespace))
        self.tracker = Tracker(process, self.prices, ring, consumer, *more)
        self.tracker.recover()
        stack.callback(self.tracker.finish)
        self._seq = 0
        self._generation = self.tracker.generation

    def enter_signal(
        self,
        *,
        age_ns: int = 0,
        flags: int = 0,
        generation: int | None = None,
        **fields: float,
    ) -> None:
        """Of a quote that was read, and judged, so long ago; by the tables in force, if told
        nothing else."""
        made = np.zeros(1, SIGNAL_DTYPE)
        made["kind"], made["symbol_id"], made["seq"] = SignalKind.ENTER, 1, self._seq
        made["ts_engine"] = made["ts_trigger"] = self.prices.clock.now_ns() - age_ns
        made["flags"] = flags
        for name, value in fields.items():
            made[name] = value
        made["generation"] = self._generation if generation is None else generation
        self._producer.push_many(made)
        self._seq += 1

    def follow_up(self, **fields: Any) -> int:
        """What both books carry, told now of the last signal; when that is."""
        made = np.zeros(1, FOLLOW_UP_DTYPE)
        made["kind"], made["symbol_id"], made["seq"] = SignalKind.BOOK, 1, self._seq
        made["of_seq"] = max(0, self._seq - 1)
        made["ts_engine"], made["generation"] = self.prices.clock.now_ns(), self._generation
        made["rungs"]["size_quote"] = np.nan
        for name, value in fields.items():
            made[name] = value
        self._producer.push_many(made.view(SIGNAL_DTYPE))
        self._seq += 1
        return int(made["ts_engine"][0])

    def sparse(self) -> list[bool]:
        """Of each that is open, whether it is looked at sparsely; after one turn."""
        self.tracker.turn()
        return [one.row.left_ns is not None for one in self.tracker.book.watched()]


@contextlib.contextmanager
def tracking_of(bed: Any) -> Iterator[Tracking]:
    with contextlib.ExitStack() as stack:
        yield Tracking(bed, stack)
