"""The engine on memory of its own: the same native loop, in no segment that anybody else sees.

Writer and reader of all of it is whoever made it. What a system's other processes would write (the
quotes, the sources' rows, the switches, what the pairs usually earn) is told, and time is, too.
"""

import math
import mmap
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from spread_scanner.config import Settings
from spread_scanner.engine import plan
from spread_scanner.engine._lanes import Lanes
from spread_scanner.engine._loop import Loop
from spread_scanner.engine.carrying import Expected
from spread_scanner.engine.core import READER, switches_at
from spread_scanner.engine.plan import Plan
from spread_scanner.schema.counters import COUNTERS_MAX, HISTOGRAMS_MAX
from spread_scanner.schema.enums import (
    DIRECTION_BY_LABEL,
    DIRTY_READERS,
    SOURCE_BY_LABEL,
    SwitchKind,
)
from spread_scanner.schema.names import ENGINE
from spread_scanner.schema.records import SIGNAL_DTYPE, SIGNAL_FUNDING_UNKNOWN, joined
from spread_scanner.shm import layout
from spread_scanner.shm._bitmap import DirtyBitmap
from spread_scanner.shm._evaluations import EvaluationRows
from spread_scanner.shm._memory import Memory
from spread_scanner.shm._ring import RingConsumer, RingProducer
from spread_scanner.shm._rows import Row
from spread_scanner.shm._store import StoreView
from spread_scanner.shm.layout import EvaluationsLayout, RingLayout, StoreLayout
from spread_scanner.shm.switches import symbol_key, symbol_keys
from spread_scanner.symbology import coins, usual
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.usual import Usual

RING_SLOTS = 65_536
KEPT = 1_024
Told = tuple[Usual, Expected, np.ndarray]  # a generation by pair, and which are barred
SOURCE_ROW_DTYPE = np.dtype(
    [("epoch", "<u4"), ("spare", "<u4"), ("heartbeat_mono_ns", "<i8"), ("reserved", "V112")]
)


class PrivateEngine:
    """A loop and what it stands on. `take` gives it work."""

    def __init__(
        self, num_sources: int, max_symbols: int, *, anchor_ns: int, instance_id: int
    ) -> None:
        self.anchor_ns, self.max_symbols = anchor_ns, max_symbols
        self._instance = instance_id & 0xFFFFFFFF
        sizes = StoreLayout(num_sources, max_symbols)
        store = mmap.mmap(-1, sizes.store_bytes)
        self._rows = np.frombuffer(store, SOURCE_ROW_DTYPE, num_sources, sizes.rows_at)
        self.store = StoreView(_memory(store), sizes)
        self._sequences = np.frombuffer(
            store, "<u8", 8 * num_sources * max_symbols, sizes.sequences_at
        ).reshape(num_sources, max_symbols, 8)
        self.store.map_dirty(_memory(mmap.mmap(-1, sizes.dirty_bytes)), sizes)
        self._bitmap = DirtyBitmap(self.store, DIRTY_READERS.index(READER))
        ring = RingLayout(RING_SLOTS, SIGNAL_DTYPE.itemsize)
        slots = _memory(mmap.mmap(-1, ring.ring_bytes))
        self._producer = RingProducer(slots, ring, SIGNAL_DTYPE)
        self._consumer = RingConsumer(slots, ring, SIGNAL_DTYPE)
        kept = EvaluationsLayout(KEPT)
        self._kept = EvaluationRows(_memory(mmap.mmap(-1, kept.evaluations_bytes)), kept)
        self._control = mmap.mmap(-1, layout.CONTROL_BYTES)
        self._signals = 0
        self.plan: Plan | None = None
        self.loop = self._begun()

    @property
    def sequences(self) -> np.ndarray:
        """How often each cell was written, by source and symbol."""
        return self._sequences[:, :, 0].copy()

    def _begun(self) -> Loop:
        """A life of the engine: everything is dirty, no pair is in."""
        for source_id in range(self.store.num_sources):
            self._bitmap.mark_all(source_id)
        histograms_at = 8 * COUNTERS_MAX
        row = mmap.mmap(-1, histograms_at + HISTOGRAMS_MAX * layout.SIZES["histogram_buckets"] * 8)
        return Loop(
            self._bitmap,
            self._producer,
            self._kept,
            Row(_memory(row), 0, COUNTERS_MAX, histograms_at, HISTOGRAMS_MAX),
            _memory(self._control),
            switches_at(layout.SLOTS_AT + layout.PAUSED_AT),
            anchor_ns=self.anchor_ns,
            position=self._signals,
            instance=self._instance,
        )

    def restart(self) -> None:
        """As after a kill: what was in is entered again."""
        self.loop, self.plan = self._begun(), None

    def take(self, settings: Settings, tables: Tables, made: Plan, told: Told) -> None:
        """Put tables and settings in force, which `made` is the plan of, with the generation of
        what is usual that stood then. The analyst's z is in no log: it is not asked."""
        pairs = plan.empty_pairs(len(made.pairs))
        pairs[:] = made.pairs  # the loop writes into its own
        limits = plan.limits(settings)._replace(enter_z_min=math.nan)
        keys = symbol_keys(made.names, self.max_symbols)
        kin = coins.kin(coins.by_source(tables, self.store.num_sources, self.max_symbols))
        work = self.loop.prepare(pairs, limits, made.generation & 0xFFFFFFFF, keys, kin)
        places = None if self.plan is None else plan.places(self.plan, made)
        self.loop.swap(work, told[0].generation & 0xFFFFFFFF, places)
        self.plan = made
        self.adopt(told, anew=True)

    def adopt(self, told: Told, *, anew: bool = False) -> None:
        """Put a generation in force."""
        usually, expected, barred = told
        self.loop.pairs["barred"] = barred
        number = usually.generation & 0xFFFFFFFF
        self.loop.adopt(number, expected, usually.credited_bps, told=usually, anew=anew)

    def source(self, source_id: int, epoch: int, heartbeat_mono_ns: int) -> None:
        """What a source said of itself."""
        row = self._rows[source_id]
        row["epoch"] = max(epoch, int(row["epoch"]))
        row["heartbeat_mono_ns"] = heartbeat_mono_ns

    def switch(self, standing: Iterable[Mapping[str, Any]]) -> None:
        """All that stands switched, as the log has it."""
        control = np.frombuffer(self._control, np.uint8)
        words = np.frombuffer(self._control, layout.SWITCHES_DTYPE, 1, layout.SWITCHES_AT)
        records = np.frombuffer(
            self._control, layout.SWITCH_DTYPE, layout.STANDING_MAX, layout.STANDING_AT
        )
        sources = control[layout.PAUSED_SOURCES_AT :][: layout.NUM_SOURCES_MAX]
        directions = control[layout.PAUSED_DIRECTIONS_AT :][: layout.DIRECTIONS_MAX]
        paused = control[layout.SLOTS_AT + layout.PAUSED_AT :][:8].view("<u8")
        generation = int(words["generation"][0]) + 1
        for cleared in (sources, directions, paused):
            cleared[:] = 0
        words["kill"], records["state"] = 0, 0
        for place, one in enumerate(standing):
            kind, name = SwitchKind[one["kind"].upper()], one["name"]
            if kind is SwitchKind.HALT:
                words["kill"] = 1
            elif kind is SwitchKind.PROCESS:
                paused |= np.uint64(name == ENGINE)
            elif kind is SwitchKind.SOURCE and name in SOURCE_BY_LABEL:
                sources[SOURCE_BY_LABEL[name].source_id] = 1
            elif kind is SwitchKind.DIRECTION and name in DIRECTION_BY_LABEL:
                directions[DIRECTION_BY_LABEL[name].direction_id] = 1
            elif kind is SwitchKind.SYMBOL:
                records["state"][place] = symbol_key(name)
        words["generation"] = generation

    def play(self, lanes: Lanes, until_ns: int) -> np.ndarray:
        """The signals of what was published before `until_ns`."""
        found = []
        more = True
        while more:
            more = self.loop.play(lanes, until_ns)
            found.append(self._popped())
        return joined(found, SIGNAL_DTYPE)

    def step(self, now_ns: int) -> np.ndarray:
        """One cycle at that time of the session clock, and its signals."""
        self.loop.step(now_ns - self.anchor_ns)
        return self._popped()

    def _popped(self) -> np.ndarray:
        found = self._consumer.pop_many(RING_SLOTS)
        self._signals += len(found)
        return found


def told_of(made: Plan, found: Usual) -> Told:
    """A generation by the pairs of a plan, in its order; of a pair that it does not know it says
    nothing, and its funding is not known."""
    known = {key: place for place, key in enumerate(found.keys) if key}
    places = np.array([known.get(key, -1) for key in made.keys], np.int64)

    def by_pair(column: np.ndarray | None, nothing: float) -> np.ndarray:
        values = np.full(len(found.keys), nothing) if column is None else column
        return np.append(values, nothing)[places]

    flags = np.zeros(len(found.keys), np.uint8) if found.flags is None else found.flags
    all_flags = np.append(flags, np.uint8(SIGNAL_FUNDING_UNKNOWN))[places]
    carry = np.nan_to_num(by_pair(found.carry_bps, 0.0))
    told = found._replace(
        keys=made.keys,
        weight=by_pair(found.weight, 0.0),
        exit_bps=by_pair(found.exit_bps, math.nan),
        parity_bps=by_pair(found.parity_bps, math.nan),
        credited_bps=by_pair(found.credited_bps, math.nan),
        carry_bps=carry,
        flags=all_flags,
    )
    barred = (all_flags & usual.BARRED) != 0
    return told, Expected(carry, all_flags & ~np.uint8(usual.BARRED)), barred


def _memory(mapped: mmap.mmap) -> Memory:
    return Memory(mapped, writable=True)
