"""An analyst over the segments of a small system, whose seconds go by when told to."""

from typing import Any

import numpy as np

from spread_scanner.analyst.main import Sampling
from spread_scanner.clock import VirtualClock
from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema.names import ANALYST
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.shm.analysis import Analysis

BID_ASK = (99.0, 101.0), (102.0, 104.0)  # spot, perpetual
ENTRY, EXIT = (102.0 - 101.0) / 101.0 * 1e4, (99.0 - 104.0) / 101.0 * 1e4


class Lived:
    """An analyst of three pairs, whose seconds go by when told to."""

    def __init__(self, bed: Any, enter: Any, clock: VirtualClock) -> None:
        self.clock = clock
        self.bed = bed
        self.store = enter(PriceStore.attach(bed.namespace))
        self.analysis = enter(Analysis.attach(bed.namespace))
        self.health = enter(Health.attach(bed.namespace))
        control = enter(Control.attach(bed.namespace))
        self.operator = enter(control.operator())
        row = enter(self.health.claim(ANALYST))
        slot = enter(control.claim(ANALYST))
        log = logs.set_up(ANALYST, "error")
        self.process = Process(ANALYST, bed.settings, log, row, slot)
        writer = enter(self.analysis.writer())
        self.writers = [enter(self.store.writer(source)) for source in (0, 3)]
        self.sampling = Sampling(self.process, self.store, writer, self.analysis)

    def quote(self, symbol_id: int = 0, legs: tuple[int, ...] = (0, 1), flags: int = 0) -> None:
        for leg in legs:
            bid, ask = BID_ASK[leg]
            now_ns = self.store.clock.now_ns()
            self.writers[leg].write(symbol_id, bid, 1.0, ask, 1.0, now_ns, now_ns, 1, flags)

    def seconds(self, count: int, symbol_id: int | None = 0) -> None:
        """So many seconds with beats, and quotes of one symbol."""
        for _ in range(count):
            self.clock.advance_ms(1_000)
            for writer in self.writers:
                writer.heartbeat(self.clock.mono_ns())
            if symbol_id is not None:
                self.quote(symbol_id)
            self.process.poll()
            self.sampling.turn()

    def pair(self, symbol_id: int = 0) -> np.void:
        found: np.void = self.analysis.pairs([0], [symbol_id]).records[0]
        return found

    def counter(self, label: str) -> int:
        seen = self.health.read(ANALYST)
        assert seen is not None
        return int(seen.counters[label])
