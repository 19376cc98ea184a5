/* What the engine holds: pairs and their limits, its copies of the cells, counts; and their memory.
 *
 * Writer: the engine's one thread, or the process between two runs of it. Nobody else reads it: what
 * others are to see goes to the ring, the kept evaluations and the health row (outward.h).
 */
#ifndef SS_PAIRS_H
#define SS_PAIRS_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "evaluations.h"
#include "histogram.h"
#include "ring.h"
#include "store.h"

#define SS_ENGINE_SOURCES_MAX 64
#define SS_ENGINE_BATCH_MAX 128
#define SS_NEVER_NS INT64_MIN
#define SS_ENGINE_SUSPEND_NS 1000000000 /* clock.SuspendWatch's numbers */
#define SS_ENGINE_LOOK_NS 1000000

enum ss_engine_verdict {
    SS_SIGNAL = 0,
    SS_STALE_LEG,
    SS_SKEW,
    SS_SIZE,
    SS_COOLDOWN,
    SS_PAUSED,
    SS_QUARANTINED,
    SS_FEE,
    SS_KILLED,
    SS_RING_FULL,
    SS_HELD,
    SS_VERDICTS
};

enum ss_engine_kind { SS_ENTER = 1, SS_RESIGNAL = 2, SS_EXIT = 3 };
enum ss_engine_signal_flag { SS_FUNDING_UNKNOWN = 1, SS_LEG_LOST = 2 };
enum ss_engine_idle { SS_IDLE_SPIN = 0, SS_IDLE_SPIN_PARK = 1, SS_IDLE_PARK = 2 };

/* Ids of schema.counters.ENGINE_COUNTERS. */
enum ss_engine_counter {
    SS_C_CYCLES,
    SS_C_DIRTY,
    SS_C_EVALUATIONS,
    SS_C_SIGNALS,
    SS_C_ENTER,
    SS_C_RESIGNAL,
    SS_C_EXIT,
    SS_C_OVER,
    SS_C_NO_STALE_LEG,
    SS_C_NO_SKEW,
    SS_C_NO_SIZE,
    SS_C_NO_COOLDOWN,
    SS_C_NO_PAUSED,
    SS_C_NO_QUARANTINED,
    SS_C_NO_FEE,
    SS_C_NO_KILLED,
    SS_C_HELD,
    SS_C_RING_FULL,
    SS_C_CONTENDED,
    SS_C_WAKES,
    SS_C_PARKS,
    SS_C_BOUNDED,
    SS_C_RELOADS,
    SS_C_STALE_EXITS,
    SS_ENGINE_COUNTERS
};

/* One direction of one symbol. The first line decides nearly all evaluations, the second the rest. */
typedef struct ss_engine_pair {
    _Alignas(128) double fees_bps;
    double funding_bps, enter_bps, exit_bps;
    uint64_t stamp; /* the cycle that evaluated it last */
    uint32_t spot_cell, fut_cell;
    uint16_t symbol_id;
    uint8_t direction_id, spot_source, fut_source;
    uint8_t signal_flags; /* SS_FUNDING_UNKNOWN or nothing */
    uint8_t disabled, quarantined;
    uint8_t blocked; /* the verdict that blocks it, or 0 */
    uint8_t in;      /* between ENTER and EXIT */
    uint8_t waiting; /* over the threshold, but cooling down or refused by a full ring */
    uint8_t kept_verdict, reserved[4];

    double resignal_step_bps, size_quote_min;
    int64_t cooldown_ns;
    double last_net_bps;    /* at the last signal */
    int64_t exited_mono_ns; /* SS_NEVER_NS: never */
    uint64_t kept_at;       /* position of its kept row plus one; 0: none */
    uint64_t kept_count, reserved_cold;
} ss_engine_pair;

_Static_assert(sizeof(ss_engine_pair) == 128, "a pair is two cache lines");

typedef struct ss_signal {
    uint64_t seq;
    int64_t mono_ns, ts_engine, ts_trigger;
    double spot_bid_px, spot_bid_sz, spot_ask_px, spot_ask_sz;
    double fut_bid_px, fut_bid_sz, fut_ask_px, fut_ask_sz;
    int64_t spot_ts_event, spot_ts_recv, fut_ts_event, fut_ts_recv;
    double gross_bps, fees_bps, funding_bps, net_bps, exit_bps, size_quote;
    uint16_t symbol_id;
    uint8_t direction_id, kind;
    uint32_t flags, generation, instance;
} ss_signal;

_Static_assert(sizeof(ss_signal) == 192, "a signal is three cache lines");

typedef struct ss_engine_limits {
    int64_t heartbeat_ns_max, stale_ns_max, skew_ns_max;
    int64_t sweep_ns, spin_ns, park_ns;
    uint32_t dirty_max; /* cells, or pairs of a rescan, per cycle */
    uint32_t idle;
} ss_engine_limits;

/* The operator's words, in the control segment. */
typedef struct ss_engine_switches {
    const _Atomic uint64_t *generation, *kill, *paused;
    const _Atomic uint8_t *sources, *directions, *symbols;
} ss_engine_switches;

typedef struct ss_engine {
    ss_store *store;
    uint32_t reader;
    ss_ring *ring;
    ss_evaluations *kept;
    ss_bucket *row_counters, *recv_to_signal, *cycle_times;
    ss_engine_switches switches;
    ss_engine_limits limits;
    int64_t anchor_ns;
    uint32_t instance, generation;

    ss_engine_pair *pairs;
    uint32_t pair_count;
    uint32_t *leg_start; /* cell -> first of its entries in leg_pairs; one more than cells */
    uint32_t *leg_pairs;
    uint64_t *watched; /* a bit per pair that time alone can change */
    uint32_t *touched; /* cells copied in this cycle */
    uint32_t touched_count;
    ss_quote *quotes; /* our copy of each cell: the last good one */

    uint8_t alive[SS_ENGINE_SOURCES_MAX];
    uint32_t epoch[SS_ENGINE_SOURCES_MAX];
    const int64_t *mono_at; /* where `run` reads the time; NULL: the system (clock.h) */
    int64_t now_ns;         /* of this cycle, monotonic */
    int64_t apart_ns; /* monotonic less awake time at the last look; see ss_engine_feel_suspend */
    int64_t woke_ns;  /* heartbeats from before are of another day */
    int apart_known;
    int clock_stands;   /* in `step`: decisions are stamped with now_ns, too */
    int switches_known; /* 0 makes the next cycle read them */
    uint64_t switches_seen;
    uint64_t stamp;
    uint32_t rescan_at, rescan_left;
    uint32_t source_at, word_at; /* where a bounded take goes on */
    int64_t next_sweep_ns, idle_since_ns, longest_ns;

    ss_signal batch[SS_ENGINE_BATCH_MAX];
    uint8_t batch_fresh[SS_ENGINE_BATCH_MAX]; /* made by a quote just read: its latency counts */
    uint32_t batch_count;
    uint64_t next_seq, room;
    int pushed, corrupt;
    uint64_t counts[SS_ENGINE_COUNTERS], counts_told[SS_ENGINE_COUNTERS];
} ss_engine;

static inline uint32_t ss_engine_cells(const ss_engine *engine) {
    return engine->store->num_sources * engine->store->max_symbols;
}

/* ---- memory ---- */

static inline void ss_engine_free(ss_engine *engine) {
    if (engine == NULL) return;
    free(engine->leg_start);
    free(engine->leg_pairs);
    free(engine->watched);
    free(engine->touched);
    free(engine->quotes);
    free(engine);
}

static inline ss_engine *ss_engine_new(ss_store *store, uint32_t reader, ss_ring *ring,
                                       ss_evaluations *kept) {
    ss_engine *engine = (ss_engine *)calloc(1, sizeof *engine);
    if (engine == NULL) return NULL;
    engine->store = store;
    engine->reader = reader;
    engine->ring = ring;
    engine->kept = kept;
    uint32_t cells = ss_engine_cells(engine);
    engine->quotes = (ss_quote *)calloc(cells, sizeof(ss_quote));
    if (engine->quotes == NULL) {
        ss_engine_free(engine);
        return NULL;
    }
    for (uint32_t cell = 0; cell < cells; cell++) {
        ss_quote *quote = &engine->quotes[cell];
        quote->bid_px = quote->bid_sz = quote->ask_px = quote->ask_sz = NAN;
        quote->ts_event = quote->ts_recv = INT64_MIN;
        quote->flags = SS_FLAG_STALE;
    }
    return engine;
}

/* Cell -> pairs, by a counting sort: the pairs of a cell keep their order. */
static inline void ss_engine_index(const ss_engine *engine, uint32_t *leg_start,
                                   uint32_t *leg_pairs) {
    uint32_t cells = ss_engine_cells(engine);
    for (uint32_t i = 0; i < engine->pair_count; i++) {
        leg_start[engine->pairs[i].spot_cell + 1]++;
        leg_start[engine->pairs[i].fut_cell + 1]++;
    }
    for (uint32_t cell = 0; cell < cells; cell++)
        leg_start[cell + 1] += leg_start[cell];
    for (uint32_t i = 0; i < engine->pair_count; i++) {
        leg_pairs[leg_start[engine->pairs[i].spot_cell]++] = i;
        leg_pairs[leg_start[engine->pairs[i].fut_cell]++] = i;
    }
    for (uint32_t cell = cells; cell > 0; cell--)
        leg_start[cell] = leg_start[cell - 1];
    leg_start[0] = 0;
}

static inline void ss_engine_watch(ss_engine *engine, uint32_t index) {
    const ss_engine_pair *pair = &engine->pairs[index];
    uint64_t bit = UINT64_C(1) << (index & 63);
    if (pair->in || pair->waiting)
        engine->watched[index >> 6] |= bit;
    else
        engine->watched[index >> 6] &= ~bit;
}

/* Asks for an evaluation of all pairs, spread over as many cycles as the bound wants. */
static inline void ss_engine_ask_rescan(ss_engine *engine) {
    if (engine->rescan_left == 0) engine->rescan_at = 0;
    engine->rescan_left = engine->pair_count;
}

/* Takes new pairs (which the caller keeps alive) and limits: 0, or -1 without memory, and then the
 * old ones stay. The caller marks all cells dirty, as cells without a pair were not read so far. */
static inline int ss_engine_load(ss_engine *engine, ss_engine_pair *pairs, uint32_t count,
                                 const ss_engine_limits *limits, uint32_t generation) {
    uint32_t *start = (uint32_t *)calloc((size_t)ss_engine_cells(engine) + 1, sizeof *start);
    uint32_t *legs = (uint32_t *)calloc(2 * (size_t)count + 1, sizeof *legs);
    uint64_t *watched = (uint64_t *)calloc((size_t)count / 64 + 1, sizeof *watched);
    uint32_t *touched = (uint32_t *)calloc(limits->dirty_max, sizeof *touched);
    if (start == NULL || legs == NULL || watched == NULL || touched == NULL) {
        free(start), free(legs), free(watched), free(touched);
        return -1;
    }
    free(engine->leg_start), free(engine->leg_pairs), free(engine->watched), free(engine->touched);
    engine->leg_start = start;
    engine->leg_pairs = legs;
    engine->watched = watched;
    engine->touched = touched;
    engine->pairs = pairs;
    engine->pair_count = count;
    engine->limits = *limits;
    engine->generation = generation;
    ss_engine_index(engine, start, legs);
    for (uint32_t i = 0; i < count; i++) {
        pairs[i].stamp = 0;
        ss_engine_watch(engine, i);
    }
    engine->switches_known = 0;
    engine->rescan_left = 0;
    ss_engine_ask_rescan(engine);
    return 0;
}

#endif
