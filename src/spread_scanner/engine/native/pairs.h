/* What the engine holds: pairs and their limits, its copies of the cells, counts; and their memory.
 *
 * Writer: the engine's one thread, or the process between two runs of it. Nobody else reads it: what
 * others are to see goes to the ring, the kept evaluations and the health row (outward.h).
 */
#ifndef SS_PAIRS_H
#define SS_PAIRS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "books.h"
#include "costs.h"
#include "evaluations.h"
#include "gate.h"
#include "histogram.h"
#include "pauses.h"
#include "ring.h"
#include "store.h"
#include "zscore.h"

#define SS_ENGINE_SOURCES_MAX 64
#define SS_ENGINE_BATCH_MAX 128
#define SS_NEVER_NS INT64_MIN
#define SS_ENGINE_SUSPEND_NS 1000000000 /* clock.SuspendWatch's numbers */
#define SS_ENGINE_LOOK_NS 1000000
#define SS_RUNGS_MAX 8
#define SS_OWED_MAX 256

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
    SS_IMPLAUSIBLE,
    SS_NO_BASIS,
    SS_BLOCKED,
    SS_NO_Z,
    SS_VERDICTS
};

enum ss_engine_kind { SS_ENTER = 1, SS_RESIGNAL = 2, SS_EXIT = 3, SS_BOOK = 4 };
enum ss_engine_signal_flag {
    SS_FUNDING_UNKNOWN = 1,
    SS_LEG_LOST = 2,
    SS_AGED = 4,
    SS_BASIS_UNKNOWN = 8,
    SS_MINIMUM_UNKNOWN = 16,
    SS_SPOT_ALONE = 32, /* of kept evaluations only: nothing is signalled */
    SS_FUT_ALONE = 64,
    SS_BOUNDED = 128, /* of what follows on a signal */
    SS_TOP_DISAGREES = 256
};
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
    SS_C_SUSPENDS, /* the process's */
    SS_C_NO_IMPLAUSIBLE,
    SS_C_NO_BASIS,
    SS_C_NO_BLOCKED,
    SS_C_BLOCKS,
    SS_C_NO_Z,
    SS_C_BOOK,
    SS_C_BOOKS_MISSED,
    SS_ENGINE_COUNTERS
};

/* One direction of one symbol. Its gate (gate.h) decides nearly all evaluations, the row is for those
 * that come through. By cache lines: what it is and what it asks; what it costs and leaving is assumed
 * to earn, of the generation in force; sizes; and its own life, which a reload copies as it is. */
typedef struct ss_engine_pair {
    _Alignas(256) double costs_min_bps; /* the least that comes off gross, whatever the quotes */
    double enter_bps, exit_bps, resignal_step_bps;
    int64_t cooldown_ns;
    uint32_t spot_cell, fut_cell;
    uint16_t symbol_id;
    uint8_t direction_id, spot_source, fut_source;
    uint8_t signal_flags; /* SS_FUNDING_UNKNOWN and SS_MINIMUM_UNKNOWN, or nothing */
    uint8_t disabled, quarantined;
    uint8_t blocked;   /* the verdict that blocks it, or 0 */
    uint8_t trusted;   /* what leaving usually earns is known: close_bps holds it */
    uint8_t at_parity; /* close_bps is what the usual widths leave when the mids meet */
    uint8_t barred;    /* was implausible for so long that it waits to be judged anew */
    uint32_t reserved;

    double fees_bps;
    double carry_bps;        /* expected funding with the perpetual at the spot's ask */
    double carry_before_bps; /* of the generation before */
    double close_bps;        /* what leaving is assumed to earn, while trusted */
    double usual_bps;        /* what it usually earns; NaN: not known */
    double parity_usual_bps;
    double learned;          /* weight when adopted, as a share of what makes it trusted */
    double close_before_bps; /* of the generation before; NaN: it was not trusted */

    double size_quote_min, lot_base;
    double spot_qty_min, fut_qty_min, spot_notional_min, fut_notional_min;
    double barred_gross_bps; /* what it was when that barred the pair */
    double spot_fee_bps;     /* of one fill */

    double weight, exit_sum, parity_sum; /* of the looks so far, the younger the heavier */
    double last_net_bps;                 /* at the last signal */
    int64_t exited_mono_ns;              /* SS_NEVER_NS: never */
    int64_t implausible_ns;              /* since when it has been implausible; 0: it is not */
    uint64_t kept_at;                    /* position of its kept row plus one; 0: none */
    uint32_t kept_count;
    uint8_t in;      /* between ENTER and EXIT */
    uint8_t waiting; /* over the threshold: cools down, lacks a z, met a full ring, implausible */
    uint8_t kept_verdict;
    uint8_t reserved_life;
} ss_engine_pair;

#define SS_PAIR_LIFE offsetof(ss_engine_pair, weight)

_Static_assert(SS_PAIR_LIFE == 192, "a pair's own life is its last cache line");
_Static_assert(sizeof(ss_engine_pair) == 256, "a pair is four cache lines");

typedef struct ss_signal {
    uint64_t seq;
    int64_t mono_ns, ts_engine, ts_trigger;
    double spot_bid_px, spot_bid_sz, spot_ask_px, spot_ask_sz;
    double fut_bid_px, fut_bid_sz, fut_ask_px, fut_ask_sz;
    int64_t spot_ts_event, spot_ts_recv, fut_ts_event, fut_ts_recv;
    double gross_bps, fees_bps, carry_bps, net_bps, exit_bps, size_quote;
    double close_bps, usual_bps, parity_bps, size_base, spot_fee_bps;
    uint64_t spot_update_id, fut_update_id;
    uint16_t symbol_id;
    uint8_t direction_id, kind;
    uint32_t flags, generation, instance, usual_generation;
    uint8_t reserved[4];
} ss_signal;

_Static_assert(sizeof(ss_signal) == 256, "a signal is four cache lines");

/* What follows on a signal, in a slot of the same ring. */
typedef struct ss_follow_up {
    uint64_t seq;
    int64_t mono_ns, ts_engine;
    uint64_t of_seq, spot_update_id, fut_update_id;
    int64_t spot_ts_recv, fut_ts_recv;
    double enter_bps, close_bps, net_bps, size_base, size_quote;
    struct {
        float size_quote, buy_px, sell_px, net_bps;
    } rung[SS_RUNGS_MAX];
    uint16_t symbol_id;
    uint8_t direction_id, kind;
    uint32_t flags, generation, instance, usual_generation;
    uint8_t thin; /* a bit per rung that nobody can do */
    uint8_t reserved[3];
} ss_follow_up;

_Static_assert(SS_RUNGS_MAX <= 8, "thin has a bit for each");

_Static_assert(sizeof(ss_follow_up) == sizeof(ss_signal), "it takes the slot of a signal");
_Static_assert(offsetof(ss_follow_up, symbol_id) == offsetof(ss_signal, symbol_id),
               "who reads signals finds the kind where theirs is");

/* A signal that nothing has followed yet, and what it was made of. */
typedef struct ss_owed_leg {
    int64_t ts_recv;
    double bid_px, ask_px;
} ss_owed_leg;

typedef struct ss_owed {
    uint64_t seq;
    int64_t until_ns;
    uint32_t index; /* of the pair */
    ss_owed_leg spot, fut;
} ss_owed;

typedef struct ss_engine_limits {
    int64_t heartbeat_ns_max, stale_ns_max, skew_ns_max;
    int64_t sweep_ns, spin_ns, park_ns;
    int64_t implausible_hold_ns;
    double implausible_bps;
    uint32_t dirty_max; /* cells, or pairs of a rescan, per cycle */
    uint32_t idle;
    uint32_t basis_unknown; /* 1: signals without a known basis are wanted */
    double half_life_s;     /* of what is usual */
    double trust_s;         /* the weight from which on it is known */
    double enter_z_min;     /* deviations that gross must be above its mean; NaN: any */
    uint32_t rungs;         /* sizes for which the books are asked, in the quote coin */
    double rung_quote[SS_RUNGS_MAX];
} ss_engine_limits;

/* What the loop works on: the pairs and what is derived from them. Made beside a running loop by
 * ss_engine_prepare, put in force between two of its cycles by ss_engine_swap. */
typedef struct ss_engine_tables {
    ss_engine_pair *pairs; /* the caller keeps them alive */
    ss_gate *gates;        /* by pair */
    uint32_t pair_count;
    uint32_t *leg_start; /* cell -> first of its entries in leg_pairs; one more than cells */
    uint32_t *leg_pairs;
    uint64_t *watched; /* a bit per pair that time alone can change */
    uint64_t *changed; /* a bit per pair whose life has gone on since this was last cleared */
    uint32_t *touched; /* cells copied in this cycle */
    uint8_t *news;     /* by place in touched: the cell holds another quote than before */
    uint32_t *unread;  /* cells that the tables before did not read */
    uint32_t unread_count;
    const uint64_t
        *symbol_keys;       /* by symbol id; 0: it stands for nothing. The caller's, as pairs */
    uint8_t *symbol_paused; /* by symbol id: 1 while the operator has it paused */
    uint32_t symbol_count;
    const uint64_t *kin; /* by cell: a bit per source that quotes the same coin. The caller's */
    ss_engine_limits limits;
    uint32_t generation;
} ss_engine_tables;

/* The operator's words, in the control segment. */
typedef struct ss_engine_switches {
    const _Atomic uint64_t *generation, *kill, *paused;
    const _Atomic uint8_t *sources, *directions;
    ss_pauses pauses;
} ss_engine_switches;

typedef struct ss_engine {
    ss_store *store;
    uint32_t reader;
    ss_ring *ring;
    ss_evaluations *kept;
    ss_latches analysed;    /* of pairs, by spread-analyst; zeros: nobody is attached to them */
    _Atomic uint64_t *near; /* a word per direction and symbol (near.h); NULL: nobody asks */
    ss_bucket *row_counters, *recv_to_signal, *cycle_times;
    ss_engine_switches switches;
    int64_t anchor_ns;
    uint32_t instance;
    uint32_t usual_generation; /* of what the pairs have as usual_bps; 0: none was adopted */

    ss_engine_tables tables;
    uint32_t touched_count;
    ss_quote *quotes; /* our copy of each cell: the last good one */
    ss_top *tops;     /* of each of them */

    uint8_t alive[SS_ENGINE_SOURCES_MAX];
    uint32_t epoch[SS_ENGINE_SOURCES_MAX];
    const int64_t *mono_at; /* where `run` reads the time; NULL: the system (clock.h) */
    int64_t now_ns;         /* of this cycle, monotonic */
    int64_t apart_ns; /* monotonic less awake time at the last look; see ss_engine_feel_suspend */
    int64_t woke_ns;  /* heartbeats from before are of another day */
    int64_t cycled_ns, unbroken_ns; /* the last cycle; since when one has followed the other */
    int apart_known;
    int clock_stands;   /* in `step`: decisions are stamped with now_ns, too */
    int switches_known; /* 0 makes the next cycle read them */
    uint64_t switches_seen;
    uint64_t stamp;
    uint32_t rescan_at, rescan_left;
    uint32_t source_at, word_at; /* where a bounded take goes on */
    uint32_t only_source;        /* plus one: nothing else can be dirty (play.h); 0: anything can */
    int all_taken;               /* the last take left nothing, and nothing was marked here since */
    int64_t look_tick;           /* second of the last look at what is usual; 0: none yet */
    double look_decay;
    uint32_t look_at; /* where the look goes on; at the end of the pairs: it is done */
    struct ss_engine_coming *coming; /* tables that are brought in (reload.h), or NULL */
    int64_t next_sweep_ns, idle_since_ns, longest_ns;
    int64_t left_ns, outside_ns; /* when `run` returned; the longest pause between two runs */
    _Atomic uint32_t asked;      /* `run` is to return: somebody has something to tell */
    _Atomic int64_t *beat_at;    /* the process's heartbeat, while `run` is long; or NULL */
    int64_t beat_ns, next_beat_ns;

    ss_signal batch[SS_ENGINE_BATCH_MAX];
    uint32_t batch_count;
    uint64_t next_seq, room;
    int pushed, corrupt;
    uint64_t counts[SS_ENGINE_COUNTERS], counts_told[SS_ENGINE_COUNTERS];

    ss_books books; /* zeros: there are none, and nothing is owed */
    ss_owed owed[SS_OWED_MAX];
    uint32_t owed_count, owed_at; /* where the next look at them begins */
} ss_engine;

static inline uint32_t ss_engine_cells(const ss_engine *engine) {
    return engine->store->num_sources * engine->store->max_symbols;
}

/* ---- memory ---- */

static inline void ss_engine_free_tables(ss_engine_tables *tables) {
    free(tables->gates);
    free(tables->leg_start);
    free(tables->leg_pairs);
    free(tables->watched);
    free(tables->changed);
    free(tables->touched);
    free(tables->news);
    free(tables->unread);
    *tables = (ss_engine_tables){0};
}

static inline void ss_engine_free(ss_engine *engine) {
    if (engine == NULL) return;
    ss_engine_free_tables(&engine->tables);
    free(engine->quotes);
    free(engine->tops);
    free(engine);
}

/* As if nobody had ever read it. */
static inline void ss_engine_forget_cell(ss_engine *engine, uint32_t cell) {
    ss_quote *quote = &engine->quotes[cell];
    quote->bid_px = quote->bid_sz = quote->ask_px = quote->ask_sz = NAN;
    quote->ts_event = quote->ts_recv = INT64_MIN;
    quote->flags = SS_FLAG_STALE;
    engine->tops[cell] = (ss_top){.bid_px = NAN, .ask_px = NAN};
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
    engine->tops = (ss_top *)calloc(cells, sizeof(ss_top));
    if (engine->quotes == NULL || engine->tops == NULL) {
        ss_engine_free(engine);
        return NULL;
    }
    for (uint32_t cell = 0; cell < cells; cell++)
        ss_engine_forget_cell(engine, cell);
    return engine;
}

/* Opens the gate of a pair whose state asks for a closer look whatever its tops. */
static inline void ss_tables_set_gate(ss_engine_tables *tables, uint32_t index) {
    const ss_engine_pair *pair = &tables->pairs[index];
    tables->gates[index].ratio_min =
        pair->in | pair->waiting ? -INFINITY : ss_gate_ratio(pair->enter_bps, pair->costs_min_bps);
}

/* After each change of a pair's life, but for a look at it. */
static inline void ss_tables_watch(ss_engine_tables *tables, uint32_t index) {
    const ss_engine_pair *pair = &tables->pairs[index];
    uint64_t bit = UINT64_C(1) << (index & 63);
    ss_tables_set_gate(tables, index);
    tables->changed[index >> 6] |= bit;
    if (pair->in || pair->waiting)
        tables->watched[index >> 6] |= bit;
    else
        tables->watched[index >> 6] &= ~bit;
}

/* Asks for an evaluation of all pairs, spread over as many cycles as the bound wants. */
static inline void ss_engine_ask_rescan(ss_engine *engine) {
    if (engine->rescan_left == 0) engine->rescan_at = 0;
    engine->rescan_left = engine->tables.pair_count;
}

#endif
