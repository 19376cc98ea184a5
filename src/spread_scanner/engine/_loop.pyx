"""The engine's native loop as Python sees it; native/engine.h is what it does.

engine/core.py gives it segments, pairs and limits. While `run` works, other threads may, too: one of
them may `prepare` the next tables.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memset

from spread_scanner.engine._lanes cimport Lanes, ss_lanes
from spread_scanner.shm._bitmap cimport DirtyBitmap
from spread_scanner.shm._evaluations cimport EvaluationRows, ss_evaluations
from spread_scanner.shm._latches cimport LatchTable, ss_latches
from spread_scanner.shm._memory cimport Memory
from spread_scanner.shm._ring cimport RingProducer, ss_ring
from spread_scanner.shm._rows cimport SS_HISTOGRAM_BUCKETS, Row, ss_bucket
from spread_scanner.shm._store cimport ss_store

from spread_scanner.clock import installed
from spread_scanner.engine.plan import PAIR_DTYPE
from spread_scanner.schema.analysis import PAIR_ANALYSIS_DTYPE
from spread_scanner.shm.faults import RingCorrupt
from spread_scanner.shm.layout import DIRECTIONS_MAX, STANDING_MAX, SWITCH_DTYPE

cnp.import_array()

cdef extern from *:
    """
    #include <stddef.h>
    #include "engine.h"
    #include "play.h"

    static void ss_engine_point(ss_engine *engine, const char *generation, const char *kill,
                                const char *paused, const char *sources, const char *directions,
                                const char *records, uint32_t stride, uint32_t count) {
        engine->switches = (ss_engine_switches){
            .generation = (const _Atomic uint64_t *)generation,
            .kill = (const _Atomic uint64_t *)kill,
            .paused = (const _Atomic uint64_t *)paused,
            .sources = (const _Atomic uint8_t *)sources,
            .directions = (const _Atomic uint8_t *)directions,
            .pauses = {.records = records, .stride = stride, .count = count},
        };
    }

    static void ss_engine_near_at(ss_engine *engine, char *words) {
        engine->near = (_Atomic uint64_t *)words;
    }

    static void ss_engine_books_at(ss_engine *engine, ss_latches table, const char *places,
                                   uint32_t symbols, uint32_t slots) {
        ss_engine_forgive(engine); /* what is owed is of the books before */
        engine->books = (ss_books){table, (const ss_word *)places, symbols, slots};
    }

    static void ss_engine_beat_for(ss_engine *engine, char *heartbeat) {
        engine->beat_at = (_Atomic int64_t *)heartbeat;
    }
    """
    enum:
        SS_C_BLOCKS
        SS_ENGINE_COUNTERS
        SS_KEPT_BARRED
        SS_RUNGS_MAX

    ctypedef struct ss_engine_pair:
        pass

    ctypedef struct ss_signal:
        pass

    ctypedef struct ss_follow_up:
        pass

    ctypedef struct ss_engine_limits:
        int64_t heartbeat_ns_max
        int64_t stale_ns_max
        int64_t skew_ns_max
        int64_t sweep_ns
        int64_t spin_ns
        int64_t park_ns
        int64_t implausible_hold_ns
        double implausible_bps
        uint32_t dirty_max
        uint32_t idle
        uint32_t basis_unknown
        double half_life_s
        double trust_s
        double enter_z_min
        uint32_t rungs
        double rung_quote[8]

    ctypedef struct ss_engine_tables:
        ss_engine_pair *pairs
        uint32_t pair_count
        ss_engine_limits limits
        const uint64_t *symbol_keys
        uint8_t *symbol_paused
        uint32_t symbol_count
        const uint64_t *kin
        uint32_t generation

    ctypedef struct ss_engine:
        ss_bucket *row_counters
        ss_bucket *recv_to_signal
        ss_bucket *cycle_times
        const int64_t *mono_at
        int64_t anchor_ns
        uint32_t instance
        uint32_t usual_generation
        ss_latches analysed
        ss_engine_tables tables
        uint64_t next_seq
        int64_t longest_ns
        int64_t outside_ns
        int64_t beat_ns
        int corrupt
        uint32_t rescan_left
        uint64_t counts[64]

    ctypedef struct ss_engine_adoption:
        uint32_t generation
        int anew
        const double *carry_bps
        const uint8_t *signal_flags
        const double *credited_bps
        const double *told_weight
        const double *told_exit_bps
        const double *told_parity_bps
        double *weight
        double *exit_bps
        double *parity_bps
        double *carry_kept_bps
        uint8_t *flags_kept

    ctypedef struct ss_engine_coming:
        ss_engine_tables *tables
        const int32_t *was
        ss_engine_adoption adoption
        uint32_t at
        int64_t tick

    int ss_play(ss_engine *engine, ss_lanes *lanes, int64_t until_ns) nogil

    ss_engine *ss_engine_new(ss_store *store, uint32_t reader, ss_ring *ring,
                             ss_evaluations *kept)
    void ss_engine_free(ss_engine *engine)
    void ss_engine_point(ss_engine *engine, const char *generation, const char *kill,
                         const char *paused, const char *sources, const char *directions,
                         const char *records, uint32_t stride, uint32_t count)
    void ss_engine_near_at(ss_engine *engine, char *words)
    void ss_engine_books_at(ss_engine *engine, ss_latches table, const char *places,
                            uint32_t symbols, uint32_t slots)
    void ss_engine_beat_for(ss_engine *engine, char *heartbeat)
    int ss_engine_prepare(const ss_engine *engine, ss_engine_tables *tables) nogil
    void ss_engine_expect(ss_engine *engine, ss_engine_coming *coming)
    int ss_engine_brought(const ss_engine *engine, const ss_engine_coming *coming)
    void ss_engine_swap(ss_engine *engine, ss_engine_coming *coming) nogil
    void ss_engine_free_tables(ss_engine_tables *tables)
    void ss_engine_ask(ss_engine *engine) nogil
    void ss_engine_run(ss_engine *engine, int64_t budget_ns) nogil
    int ss_engine_step(ss_engine *engine, int64_t now_mono_ns) nogil
    void ss_engine_ask_rescan(ss_engine *engine) nogil
    void ss_engine_adopt(ss_engine *engine, const ss_engine_adoption *adoption) nogil

SIZES = {
    "pair": sizeof(ss_engine_pair),
    "signal": sizeof(ss_signal),
    "follow_up": sizeof(ss_follow_up),
}
COUNTERS = SS_ENGINE_COUNTERS
BARRED = SS_KEPT_BARRED


cdef class Generation:
    """One generation of what is usual, by pair: room for what the file keeps of it."""
    cdef ss_engine_adoption adoption
    cdef cnp.ndarray weight, exits, parities, carry, flags

    def __init__(self, uint32_t number, cnp.npy_intp pairs, *, bint anew):
        self.weight = cnp.PyArray_EMPTY(1, &pairs, cnp.NPY_DOUBLE, 0)
        self.exits = cnp.PyArray_EMPTY(1, &pairs, cnp.NPY_DOUBLE, 0)
        self.parities = cnp.PyArray_EMPTY(1, &pairs, cnp.NPY_DOUBLE, 0)
        self.carry = cnp.PyArray_EMPTY(1, &pairs, cnp.NPY_DOUBLE, 0)
        self.flags = cnp.PyArray_EMPTY(1, &pairs, cnp.NPY_UINT8, 0)
        self.adoption = ss_engine_adoption(
            number, anew, NULL, NULL, NULL, NULL, NULL, NULL,
            <double *>cnp.PyArray_DATA(self.weight), <double *>cnp.PyArray_DATA(self.exits),
            <double *>cnp.PyArray_DATA(self.parities), <double *>cnp.PyArray_DATA(self.carry),
            <uint8_t *>cnp.PyArray_DATA(self.flags),
        )

    cdef found(self):
        return self.weight, self.exits, self.parities, self.carry, self.flags


cdef class Work:
    """Pairs and limits with what the loop derives from them; made by Loop.prepare, for that loop. Once
    swapped in, it holds what was in force before."""
    cdef ss_engine_tables tables
    cdef ss_engine_coming coming
    cdef Generation made
    cdef object was
    cdef object credited
    cdef readonly object pairs
    cdef object symbol_keys
    cdef object symbol_paused
    cdef object kin

    def __dealloc__(self):  # born as zeros
        ss_engine_free_tables(&self.tables)


cdef class Loop:
    """The loop over one store, one ring and one set of switches. Used from one thread, but for
    `prepare` and `ask`."""
    cdef ss_engine *engine
    cdef Work coming  # what is brought in, kept alive for the loop
    cdef readonly DirtyBitmap bitmap
    cdef readonly RingProducer producer
    cdef readonly EvaluationRows kept
    cdef readonly Row row
    cdef readonly object control
    cdef readonly object clock
    cdef readonly object pairs
    cdef readonly LatchTable analysed
    cdef readonly object near
    cdef readonly object books
    cdef object symbol_keys
    cdef object symbol_paused
    cdef object kin

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
            control.at(switches_at.standing, STANDING_MAX * SWITCH_DTYPE.itemsize),
            SWITCH_DTYPE.itemsize, STANDING_MAX,
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

    def prepare(self, cnp.ndarray pairs not None, limits, uint32_t generation, uint64_t[::1] keys,
                uint64_t[:, ::1] kin):
        """What `swap` puts in force, from (n,) PAIR_DTYPE on 256-byte boundaries, which are used in
        place, limits (plan.LoopLimits), the keys of the symbols by their ids
        (shm.switches.symbol_keys), by which pauses find them, and who quotes one coin (coins.kin).
        Changes nothing; the loop may run meanwhile."""
        cdef Work work = Work()
        cdef uint8_t[::1] paused = np.zeros(keys.shape[0], np.uint8)
        cdef size_t address = <size_t>cnp.PyArray_DATA(pairs)
        cdef int result
        cdef uint32_t i
        cdef ss_store *store
        if len(limits.rung_quote) > SS_RUNGS_MAX:
            raise ValueError(f"at most {SS_RUNGS_MAX} sizes")
        if pairs.dtype != PAIR_DTYPE or not cnp.PyArray_IS_C_CONTIGUOUS(pairs) or address % 256:
            raise ValueError("pairs must be contiguous, aligned to 256 bytes and of PAIR_DTYPE")
        self.check(pairs)
        if keys.shape[0] != <Py_ssize_t>self.bitmap.view.store.max_symbols:
            raise ValueError("there is to be a key for each symbol of the store")
        store = &self.bitmap.view.store
        if kin.shape[0] != store.num_sources or kin.shape[1] != store.max_symbols:
            raise ValueError("there is to be a word of kin for each cell of the store")
        work.pairs, work.symbol_keys, work.symbol_paused = pairs, keys, paused
        work.kin, work.tables.kin = kin, &kin[0, 0]
        work.tables.symbol_keys, work.tables.symbol_paused = &keys[0], &paused[0]
        work.tables.symbol_count = keys.shape[0]
        work.tables.pairs = <ss_engine_pair *>cnp.PyArray_DATA(pairs)
        work.tables.pair_count = cnp.PyArray_SIZE(pairs)
        work.tables.generation = generation
        work.tables.limits.heartbeat_ns_max = limits.heartbeat_ns_max
        work.tables.limits.stale_ns_max = limits.stale_ns_max
        work.tables.limits.skew_ns_max = limits.skew_ns_max
        work.tables.limits.sweep_ns = limits.sweep_ns
        work.tables.limits.spin_ns = limits.spin_ns
        work.tables.limits.park_ns = limits.park_ns
        work.tables.limits.implausible_hold_ns = limits.implausible_hold_ns
        work.tables.limits.implausible_bps = limits.implausible_bps
        work.tables.limits.dirty_max = limits.dirty_max
        work.tables.limits.idle = limits.idle
        work.tables.limits.basis_unknown = limits.basis_unknown
        work.tables.limits.half_life_s = limits.half_life_s
        work.tables.limits.trust_s = limits.trust_s
        work.tables.limits.enter_z_min = limits.enter_z_min
        work.tables.limits.rungs = len(limits.rung_quote)
        for i in range(work.tables.limits.rungs):
            work.tables.limits.rung_quote[i] = limits.rung_quote[i]
        with nogil:
            result = ss_engine_prepare(self.engine, &work.tables)
        if result != 0:
            raise MemoryError
        return work

    def bring(self, Work work not None, cnp.ndarray was=None, credited=None):
        """Have the next runs bring what was prepared up to date, a few pairs each cycle; `brought`
        tells when that is done. `was`, (n,) int32, says by pair which of the pairs in force it goes
        on, -1: none; all start afresh without it. `credited` as `adopt` has it, of the new pairs."""
        cdef uint32_t pairs = work.tables.pair_count
        cdef Generation made = Generation(0, pairs, anew=True)
        cdef const int32_t *places = NULL
        if was is not None:
            self.check_places(work, was)
            places = <const int32_t *>cnp.PyArray_DATA(was)
        self.credit(made, credited, pairs)
        work.made, work.was, work.credited = made, was, credited
        work.coming = ss_engine_coming(&work.tables, places, made.adoption, 0, 0)
        ss_engine_expect(self.engine, &work.coming)
        self.coming = work

    @property
    def brought(self):
        """Whether nothing is left of what is brought in but to put it in force."""
        return self.coming is not None and ss_engine_brought(self.engine, &self.coming.coming) != 0

    def swap(self, Work work not None, uint32_t generation, cnp.ndarray was=None, credited=None):
        """Put what was prepared in force, between two runs, and adopt what is usual by the pairs'
        looks as that generation: returned as `adopt` does. Without a `bring` before, all is brought
        now, by `was` and `credited`. Every pair is evaluated anew. `work` holds what was in force
        before; give it up where time does not matter."""
        if self.coming is not work:
            self.bring(work, was, credited)
        work.coming.adoption.generation = generation
        with nogil:
            ss_engine_swap(self.engine, &work.coming)
        self.coming = None
        self.pairs, work.pairs = work.pairs, self.pairs
        self.symbol_keys, work.symbol_keys = work.symbol_keys, self.symbol_keys
        self.symbol_paused, work.symbol_paused = work.symbol_paused, self.symbol_paused
        self.kin, work.kin = work.kin, self.kin
        return work.made.found()

    cdef check_places(self, Work work, cnp.ndarray was):
        before = 0 if self.pairs is None else len(self.pairs)
        if was.dtype != "i4" or not cnp.PyArray_IS_C_CONTIGUOUS(was):
            raise ValueError("places must be contiguous and int32")
        if cnp.PyArray_SIZE(was) != work.tables.pair_count:
            raise ValueError("a place per pair is needed")
        if len(was) and was.max() >= before:
            raise ValueError(f"place {was.max()} of {before} pairs")

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

    def analyse(self, LatchTable pairs):
        """Ask these records (shm.analysis) of what entering usually earns, from the next run on;
        None: nobody says."""
        cdef ss_latches none
        memset(&none, 0, sizeof(none))
        if pairs is not None and pairs.dtype != PAIR_ANALYSIS_DTYPE:
            raise ValueError("records of PAIR_ANALYSIS_DTYPE are needed")
        self.engine.analysed = none if pairs is None else pairs.table
        self.analysed = pairs

    def say_near(self, near):
        """Say how near pairs are to their thresholds in the words of a shm.wants.NearWriter, from the
        next run on; None: nobody asks. It costs the look of each second some ns a pair."""
        cdef Memory memory
        if near is None:
            ss_engine_near_at(self.engine, NULL)
        else:
            memory = near.memory
            ss_engine_near_at(self.engine, memory.at(near.words_at, near.words_bytes))
        self.near = near

    def follow(self, books):
        """Tell after signals what these order books (shm.books.BookStore) carry, from the next run on;
        None: there are none."""
        cdef LatchTable table
        cdef ss_latches none
        cdef ss_store *store = &self.bitmap.view.store
        memset(&none, 0, sizeof(none))
        if books is None:
            ss_engine_books_at(self.engine, none, NULL, 0, 0)
        else:
            sizes, table = books.layout, books.table
            if (sizes.num_sources, sizes.max_symbols) != (store.num_sources, store.max_symbols):
                raise ValueError("the books are of another store")
            ss_engine_books_at(
                self.engine, table.table,
                table.memory.at(sizes.places_at, 8 * sizes.num_sources * sizes.max_symbols),
                sizes.max_symbols, sizes.slots)
        self.books = books

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

    def play(self, Lanes lanes not None, int64_t until_ns):
        """Publish the ticks of before `until_ns` (session clock) and go a step for all that one
        source received at one time. True: the ring is to be emptied, then there is more. The loop's
        store must be nobody else's. Raises RingCorrupt."""
        cdef int more
        cdef ss_store *store = &self.bitmap.view.store
        if lanes.lanes.count != store.num_sources or lanes.lanes.symbols != store.max_symbols:
            raise ValueError("the ticks are of another store")
        with nogil:
            more = ss_play(self.engine, &lanes.lanes, until_ns)
        self.check_ring()
        return bool(more)

    cdef check_ring(self):
        if self.engine.corrupt:
            raise RingCorrupt("ring positions contradict each other; nothing was pushed")

    def ask(self):
        """Have `run` return after its cycle; from any thread. Ends no park: see Engine.wake."""
        ss_engine_ask(self.engine)

    def beat(self, Py_ssize_t at, int64_t every_ns):
        """Have `run` beat the process's heart (HealthRow.heartbeat_at) this often; 0: no more."""
        cdef Memory memory = self.row.memory
        self.engine.beat_ns = every_ns
        ss_engine_beat_for(self.engine, memory.at(at, 8) if every_ns else NULL)

    def ask_rescan(self):
        """Have the next cycles evaluate all pairs."""
        ss_engine_ask_rescan(self.engine)

    def adopt(self, uint32_t generation, expected=None, credited=None, *, told=None, bint anew):
        """Put in force, between two runs, what leaving has usually earned, and what funding is
        expected to cost (carrying.Expected; None: it stays as it is). `anew`: as if it came with new
        pairs, whose evaluation is owed in any case. `credited`, (n,) float64: what leaving earned by
        the median of four hours, NaN: not known; None: it does not count. `told`: what the looks of
        another engine amounted to (weight, exit_bps, parity_bps); None: one's own count. Returns by
        pair the weight of the looks and the means of exit and parity, NaN for a pair that was never
        seen, what funding is expected to cost, and flags: the signals' and BARRED."""
        cdef Generation made = Generation(generation, self.engine.tables.pair_count, anew=anew)
        cdef uint32_t pairs = self.engine.tables.pair_count
        if told is not None:
            made.adoption.told_weight = <const double *>self.column(told.weight, "f8", pairs)
            made.adoption.told_exit_bps = <const double *>self.column(told.exit_bps, "f8", pairs)
            made.adoption.told_parity_bps = <const double *>self.column(
                told.parity_bps, "f8", pairs)
        if expected is not None:
            made.adoption.carry_bps = <const double *>self.column(
                expected.carry_bps, "f8", self.engine.tables.pair_count)
            made.adoption.signal_flags = <const uint8_t *>self.column(
                expected.signal_flags, "u1", self.engine.tables.pair_count)
        self.credit(made, credited, self.engine.tables.pair_count)
        with nogil:
            ss_engine_adopt(self.engine, &made.adoption)
        return made.found()

    cdef credit(self, Generation made, credited, uint32_t pairs):
        if credited is not None:
            made.adoption.credited_bps = <const double *>self.column(credited, "f8", pairs)

    cdef const void *column(self, cnp.ndarray values, dtype, uint32_t pairs) except NULL:
        if values.dtype != dtype or not cnp.PyArray_IS_C_CONTIGUOUS(values):
            raise ValueError(f"a column is to be contiguous and {dtype}")
        if cnp.PyArray_SIZE(values) != pairs:
            raise ValueError("a value per pair is needed")
        return cnp.PyArray_DATA(values)

    @property
    def usual_generation(self):
        """Of what the pairs in force have as `usual`: the number that was adopted last."""
        return self.engine.usual_generation

    @property
    def rescan_left(self):
        """Pairs that a rescan under way has still to evaluate."""
        return self.engine.rescan_left

    @property
    def counts(self):
        """Counts of this life by counter id (schema.counters)."""
        return tuple([self.engine.counts[i] for i in range(SS_ENGINE_COUNTERS)])

    @property
    def blocks(self):
        """How many pairs this life has blocked; which, their rows say."""
        return self.engine.counts[SS_C_BLOCKS]

    def take_longest_ns(self):
        """The longest cycle that found work since this was last asked."""
        longest_ns = self.engine.longest_ns
        self.engine.longest_ns = 0
        return longest_ns

    def take_outside_ns(self):
        """The longest pause between two runs since this was last asked: nobody looked at a quote."""
        outside_ns = self.engine.outside_ns
        self.engine.outside_ns = 0
        return outside_ns
