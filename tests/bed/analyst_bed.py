"""An analyst over the segments of a small system, whose seconds go by when told to."""

from typing import Any

import msgspec
import numpy as np

from spread_scanner.analyst.main import Sampling
from spread_scanner.clock import VirtualClock
from spread_scanner.runtime import logs
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import DIRECTION_BY_LABEL
from spread_scanner.schema.names import ANALYST
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.shm.analysis import Analysis
from spread_scanner.symbology import publish, tables
from spread_scanner.symbology.tables import DirectionRow

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
        self._enter = enter
        self.sampling = Sampling(self.process, self.store, writer, self.analysis)

    def quote(self, symbol_id: int = 0, legs: tuple[int, ...] = (0, 1), flags: int = 0) -> None:
        for leg in legs:
            bid, ask = BID_ASK[leg]
            now_ns = self.store.clock.now_ns()
            self.writers[leg].write(symbol_id, bid, 1.0, ask, 1.0, now_ns, now_ns, 1, flags)

    def list_besides(self, *labels: str) -> None:
        """All symbols in more directions, with the listings that these need, by a reload."""
        ways = [DIRECTION_BY_LABEL[label] for label in labels]
        loaded = tables.load(self.bed.settings.generated_dir)
        mine = [row for row in loaded.instruments if row.source_id == 0]
        have = {row.source_id for row in loaded.instruments}
        new = {leg.source_id for way in ways for leg in (way.spot, way.futures)} - have
        listed = [msgspec.structs.replace(row, source_id=one) for row in mine for one in new]
        ids = tuple(row.symbol_id for row in mine)
        changed = msgspec.structs.replace(
            loaded,
            generation=loaded.generation + 1,
            instruments=(*loaded.instruments, *listed),
            directions=(*loaded.directions, *(DirectionRow(way.direction_id, ids) for way in ways)),
        )
        publish.publish(self.bed.settings.generated_dir, changed, {})
        self.writers += [self._enter(self.store.writer(source)) for source in sorted(new)]
        self.sampling.prepared(self.bed.settings)()

    def price(self, mids: dict[int, float], symbol_id: int = 0) -> None:
        """A narrow quote on each of these sources."""
        now_ns = self.store.clock.now_ns()
        for writer in self.writers:
            mid = mids.get(writer.source_id)
            if mid is not None:
                writer.write(symbol_id, mid - 0.01, 1.0, mid + 0.01, 1.0, now_ns, now_ns, 1, 0)

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
