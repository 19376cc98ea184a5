"""The engine's native loop as Python sees it; native/engine.h is what it does.

engine/core.py gives it segments, pairs and limits. While `run` works, other threads may, too.
"""

cimport numpy as cnp
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t

from spread_scanner.shm._bitmap cimport DirtyBitmap
from spread_scanner.shm._evaluations cimport EvaluationRows, ss_evaluations
from spread_scanner.shm._memory cimport Memory
from spread_scanner.shm._ring cimport RingProducer, ss_ring
from spread_scanner.shm._rows cimport SS_HISTOGRAM_BUCKETS, Row, ss_bucket
from spread_scanner.shm._store cimport ss_store

from spread_scanner.clock import installed
from spread_scanner.engine.plan import PAIR_DTYPE
from spread_scanner.shm.faults import RingCorrupt
from spread_scanner.shm.layout import DIRECTIONS_MAX

cnp.import_array()

cdef extern from *:
    """
    #include <stddef.h>
    #include "engine.h"

    static void ss_engine_point(ss_engine *engine, const char *generation, const char *kill,
                                const char *paused, const char *sources, const char *directions,
                                const char *symbols) {
        engine->switches = (ss_engine_switches){
            .generation = (const _Atomic uint64_t *)generation,
            .kill = (const _Atomic uint64_t *)kill,
            .paused = (const _Atomic uint64_t *)paused,
            .sources = (const _Atomic uint8_t *)sources,
            .directions = (const _Atomic uint8_t *)directions,
            .symbols = (const _Atomic uint8_t *)symbols,
        };
    }
    """
    enum:
        SS_ENGINE_COUNTERS

    ctypedef struct ss_engine_pair:
        pass

    ctypedef struct ss_signal:
        pass

    ctypedef struct ss_engine_limits:
        int64_t heartbeat_ns_max
        int64_t stale_ns_max
        int64_t skew_ns_max
        int64_t sweep_ns
        int64_t spin_ns
        int64_t park_ns
        uint32_t dirty_max
        uint32_t idle

    ctypedef struct ss_engine:
        ss_bucket *row_counters
        ss_bucket *recv_to_signal
        ss_bucket *cycle_times
        const int64_t *mono_at
        int64_t anchor_ns
        uint32_t instance
        uint64_t next_seq
        int64_t longest_ns
        int corrupt
        uint32_t rescan_left
        uint64_t counts[64]

    ss_engine *ss_engine_new(ss_store *store, uint32_t reader, ss_ring *ring,
                             ss_evaluations *kept)
    void ss_engine_free(ss_engine *engine)
    void ss_engine_point(ss_engine *engine, const char *generation, const char *kill,
                         const char *paused, const char *sources, const char *directions,
                         const char *symbols)
    int ss_engine_load(ss_engine *engine, ss_engine_pair *pairs, uint32_t count,
                       const ss_engine_limits *limits, uint32_t generation)
    void ss_engine_run(ss_engine *engine, int64_t budget_ns) nogil
    int ss_engine_step(ss_engine *engine, int64_t now_mono_ns) nogil
    void ss_engine_ask_rescan(ss_engine *engine) nogil

SIZES = {"pair": sizeof(ss_engine_pair), "signal": sizeof(ss_signal)}
COUNTERS = SS_ENGINE_COUNTERS


cdef class Loop:
    """The loop over one store, one ring and one set of switches. Used from one thread."""
    cdef ss_engine *engine
    cdef readonly DirtyBitmap bitmap
    cdef readonly RingProducer producer
    cdef readonly EvaluationRows kept
    cdef readonly Row row
    cdef readonly object control
    cdef readonly object clock
    cdef readonly object pairs

    def __cinit__(self, *args, **kwargs):
        self.engine = NULL

    def __init__(self, DirtyBitmap bitmap not None, RingProducer producer not None,
                 EvaluationRows kept not None, Row row not None, Memory control not None,
                 switches_at, *, int64_t anchor_ns, uint64_t position, uint32_t instance,
                 clock=None):
        """`switches_at` is a core.SwitchesAt, `position` that of the ring: the next signal's seq.

        `run` asks `clock`, or the one that is installed now; `step` is told the time.
        """
        self.bitmap, self.producer, self.kept, self.row = bitmap, producer, kept, row
        self.control = control
        self.engine = ss_engine_new(&bitmap.view.store, bitmap.reader, &producer.ring, &kept.ring)
        if self.engine == NULL:
            raise MemoryError
        ss_engine_point(
            self.engine,
            control.at(switches_at.generation, 8), control.at(switches_at.kill, 8),
            control.at(switches_at.paused, 8),
            control.at(switches_at.sources, bitmap.view.store.num_sources),
            control.at(switches_at.directions, DIRECTIONS_MAX),
            control.at(switches_at.symbols, bitmap.view.store.max_symbols),
        )
        self.clock = installed() if clock is None else clock
        self.engine.mono_at = <const int64_t *><uintptr_t>self.clock.mono_address()
        self.engine.anchor_ns = anchor_ns
        self.engine.next_seq = position
        self.engine.instance = instance
        self.engine.row_counters = row.counters
        self.engine.recv_to_signal = row.histograms
        self.engine.cycle_times = row.histograms + SS_HISTOGRAM_BUCKETS

    def __dealloc__(self):
        ss_engine_free(self.engine)

    def load(self, cnp.ndarray pairs not None, limits, uint32_t generation):
        """Take new pairs, (n,) PAIR_DTYPE on 128-byte boundaries, and limits (plan.Limits).

        The array is used in place, with the state that its rows hold. All cells are looked at anew.
        """
        cdef ss_engine_limits native
        cdef size_t address = <size_t>cnp.PyArray_DATA(pairs)
        if pairs.dtype != PAIR_DTYPE or not cnp.PyArray_IS_C_CONTIGUOUS(pairs) or address % 128:
            raise ValueError("pairs must be contiguous, aligned to 128 bytes and of PAIR_DTYPE")
        self.check(pairs)
        native.heartbeat_ns_max = limits.heartbeat_ns_max
        native.stale_ns_max = limits.stale_ns_max
        native.skew_ns_max = limits.skew_ns_max
        native.sweep_ns = limits.sweep_ns
        native.spin_ns = limits.spin_ns
        native.park_ns = limits.park_ns
        native.dirty_max = limits.dirty_max
        native.idle = limits.idle
        if ss_engine_load(self.engine, <ss_engine_pair *>cnp.PyArray_DATA(pairs),
                          cnp.PyArray_SIZE(pairs), &native, generation) != 0:
            raise MemoryError
        self.pairs = pairs
        for source in range(self.bitmap.view.store.num_sources):
            self.bitmap.mark_all(source)

    cdef check(self, pairs):
        """Indices that the loop follows without looking."""
        cdef ss_store *store = &self.bitmap.view.store
        cells = store.num_sources * store.max_symbols
        for field, below in (("spot_cell", cells), ("fut_cell", cells),
                             ("spot_source", store.num_sources),
                             ("fut_source", store.num_sources),
                             ("direction_id", DIRECTIONS_MAX),
                             ("symbol_id", store.max_symbols)):
            if len(pairs) and pairs[field].max() >= below:
                raise ValueError(f"{field} {pairs[field].max()} does not fit the store ({below})")

    def run(self, int64_t budget_ns):
        """Work and idle for about `budget_ns`; earlier when the switches changed, which are in
        force then. Raises RingCorrupt."""
        with nogil:
            ss_engine_run(self.engine, budget_ns)
        self.check_ring()

    def step(self, int64_t now_mono_ns):
        """One cycle at a given time. True when it found work. Raises RingCorrupt."""
        cdef int work
        with nogil:
            work = ss_engine_step(self.engine, now_mono_ns)
        self.check_ring()
        return bool(work)

    cdef check_ring(self):
        if self.engine.corrupt:
            raise RingCorrupt("ring positions contradict each other; nothing was pushed")

    def ask_rescan(self):
        """Have the next cycles evaluate all pairs."""
        ss_engine_ask_rescan(self.engine)

    @property
    def rescan_left(self):
        """Pairs that a rescan under way has still to evaluate."""
        return self.engine.rescan_left

    @property
    def counts(self):
        """Counts of this life by counter id (schema.counters)."""
        return tuple([self.engine.counts[i] for i in range(SS_ENGINE_COUNTERS)])

    def take_longest_ns(self):
        """The longest cycle that found work since this was last asked."""
        longest_ns = self.engine.longest_ns
        self.engine.longest_ns = 0
        return longest_ns
