/* The engine's loop: from dirty bits to signals, without the interpreter.
 *
 * Writes:  the signal ring, the kept evaluations, the engine's own health row.
 * Reads:   the price store (its own bitmap and copies of the cells), the control segment.
 *
 * One cycle: look at the switches and the sources, take dirty words, copy each touched cell once,
 * then evaluate the pairs that contain them. All cells are copied before any pair is evaluated:
 * otherwise a move of both legs that is already in the store would look like a spread. A pair is
 * evaluated at most once per cycle. Two things happen without a new quote: a change of switches or
 * sources asks for all pairs (a rescan, as bounded as the dirty cells), and the pairs that time
 * alone can change (those that are in, cool down, or met a full ring) are swept at an interval.
 *
 * A pair is in from its ENTER to its EXIT. Being blocked (killed, paused, quarantined, disabled)
 * takes it out without a signal, because nothing may leave the engine then; what still stands when
 * the block is lifted is entered again. Net spreads are those of schema/spread.py, to the last bit.
 */
#ifndef SS_ENGINE_H
#define SS_ENGINE_H

#include <math.h>
#include <sched.h>
#include <stdlib.h>

#include "clock.h"
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

/* ---- what came from outside since the last cycle ---- */

static inline uint8_t ss_engine_blocked(const ss_engine *engine, const ss_engine_pair *pair,
                                        int killed, int paused) {
    const ss_engine_switches *switches = &engine->switches;
    if (killed) return SS_KILLED;
    if (pair->quarantined) return SS_QUARANTINED;
    if (paused || pair->disabled) return SS_PAUSED;
    if (atomic_load_explicit(&switches->sources[pair->spot_source], memory_order_relaxed) ||
        atomic_load_explicit(&switches->sources[pair->fut_source], memory_order_relaxed) ||
        atomic_load_explicit(&switches->directions[pair->direction_id], memory_order_relaxed) ||
        atomic_load_explicit(&switches->symbols[pair->symbol_id], memory_order_relaxed))
        return SS_PAUSED;
    return 0;
}

/* Applies the operator's switches when their generation moved. Returns 1 if it did. */
static inline int ss_engine_heed(ss_engine *engine) {
    const ss_engine_switches *switches = &engine->switches;
    /* Partner: the operator's release store of the generation, after the switches. */
    uint64_t generation = atomic_load_explicit(switches->generation, memory_order_acquire);
    if (engine->switches_known && generation == engine->switches_seen) return 0;
    int killed = atomic_load_explicit(switches->kill, memory_order_relaxed) != 0;
    int paused = atomic_load_explicit(switches->paused, memory_order_relaxed) != 0;
    for (uint32_t i = 0; i < engine->pair_count; i++) {
        ss_engine_pair *pair = &engine->pairs[i];
        pair->blocked = ss_engine_blocked(engine, pair, killed, paused);
        if (!pair->blocked) continue;
        pair->in = pair->waiting = 0;
        ss_engine_watch(engine, i);
    }
    engine->switches_seen = generation;
    engine->switches_known = 1;
    ss_engine_ask_rescan(engine);
    return 1;
}

/* Notes which feeds live and whose quotes count; a change asks for a rescan, because it changes
 * what can be stood behind without making a single cell dirty. */
static inline void ss_engine_feel_sources(ss_engine *engine) {
    int changed = 0;
    for (uint32_t source = 0; source < engine->store->num_sources; source++) {
        int64_t beat_ns = ss_store_heartbeat(engine->store, source);
        uint32_t epoch = ss_store_epoch(engine->store, source);
        uint8_t alive = beat_ns != 0 && beat_ns >= engine->woke_ns &&
                        engine->now_ns - beat_ns <= engine->limits.heartbeat_ns_max;
        changed |= (alive != engine->alive[source]) | (epoch != engine->epoch[source]);
        engine->alive[source] = alive;
        engine->epoch[source] = epoch;
    }
    if (changed) ss_engine_ask_rescan(engine);
}

static inline void ss_engine_copy_cell(ss_engine *engine, uint32_t source, uint32_t symbol) {
    uint32_t cell = source * engine->store->max_symbols + symbol;
    if (engine->leg_start[cell] == engine->leg_start[cell + 1]) return; /* in no pair */
    int result = ss_store_read(engine->store, source, symbol, &engine->quotes[cell]);
    engine->touched[engine->touched_count++] = cell;
    /* Contended: the copy stays the last good one, and the writer's next bit is on its way. */
    if (result == SS_READ_CONTENDED) engine->counts[SS_C_CONTENDED]++;
}

/* Copies the cells of one dirty word; 0 when the bound was reached and the rest put back. */
static inline int ss_engine_take_word(ss_engine *engine, ss_dirty_word *words, uint32_t source,
                                      uint32_t word) {
    for (uint64_t bits = ss_bitmap_take_word(words, word); bits != 0; bits &= bits - 1) {
        if (engine->touched_count == engine->limits.dirty_max) {
            ss_bitmap_mark_word(words, word, bits);
            return 0;
        }
        ss_engine_copy_cell(engine, source, word * 64 + (uint32_t)__builtin_ctzll(bits));
    }
    return 1;
}

/* Takes dirty words from where the last bounded take stopped, once around; what does not fit stays
 * dirty. */
static inline void ss_engine_take(ss_engine *engine) {
    uint32_t sources = engine->store->num_sources, per_source = engine->store->words_per_source;
    uint32_t source = engine->source_at, word = engine->word_at;
    engine->touched_count = 0;
    engine->source_at = engine->word_at = 0;
    for (uint32_t turns = sources + (word > 0); turns > 0; turns--) {
        ss_dirty_word *words = ss_store_words(engine->store, engine->reader, source);
        for (; word < per_source; word++)
            if (!ss_engine_take_word(engine, words, source, word)) {
                engine->counts[SS_C_BOUNDED]++;
                engine->source_at = source;
                engine->word_at = word;
                return;
            }
        word = 0;
        source = source + 1 < sources ? source + 1 : 0;
    }
}

/* ---- what goes out ---- */

static inline int64_t ss_engine_clock(const ss_engine *engine) {
    return engine->clock_stands ? engine->now_ns : ss_source_ns(engine->mono_at);
}

static inline void ss_engine_push(ss_engine *engine) {
    uint32_t count = engine->batch_count;
    engine->batch_count = 0;
    if (count == 0) return;
    /* Room was asked for before each record, so all of them fit. */
    if (ss_ring_push(engine->ring, engine->batch, count) != (int64_t)count) {
        engine->corrupt = 1;
        return;
    }
    engine->pushed = 1;
    engine->counts[SS_C_SIGNALS] += count;
    int64_t now = ss_engine_clock(engine) + engine->anchor_ns;
    for (uint32_t i = 0; i < count; i++)
        if (engine->batch_fresh[i])
            ss_histogram_add(engine->recv_to_signal, now - engine->batch[i].ts_trigger);
}

/* Whether one more record fits; looks at the consumer's position only when it seems not to. */
static inline int ss_engine_has_room(ss_engine *engine) {
    if (engine->room > 0) return 1;
    ss_ring *ring = engine->ring;
    uint64_t write = atomic_load_explicit(&ring->control->write_pos, memory_order_relaxed);
    /* Partner: the consumer's release store of read_pos. */
    ring->other = atomic_load_explicit(&ring->control->read_pos, memory_order_acquire);
    uint64_t used = write - ring->other + engine->batch_count;
    if (used > ring->capacity)
        engine->corrupt = 1;
    else
        engine->room = ring->capacity - used;
    return engine->room > 0;
}

/* schema.spread: gross_bps, exit_bps, net_bps, size_quote; the same operations in the same order. */
static inline double ss_gross_bps(const ss_quote *spot, const ss_quote *fut) {
    return (fut->bid_px - spot->ask_px) / spot->ask_px * 1e4;
}

static inline double ss_exit_bps(const ss_quote *spot, const ss_quote *fut) {
    return (spot->bid_px - fut->ask_px) / spot->ask_px * 1e4;
}

static inline double ss_size_quote(const ss_quote *spot, const ss_quote *fut) {
    double a = spot->ask_px * spot->ask_sz, b = fut->bid_px * fut->bid_sz;
    return a < b || isnan(a) ? a : b; /* as numpy.minimum */
}

typedef struct ss_found {
    uint32_t index;
    double gross_bps, net_bps;
    int fresh, spot_ok, fut_ok;
} ss_found;

static inline void ss_engine_fill(const ss_engine *engine, const ss_found *found, int kind,
                                  uint32_t flags, ss_signal *signal) {
    const ss_engine_pair *pair = &engine->pairs[found->index];
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    int64_t now = ss_engine_clock(engine);
    *signal = (ss_signal){
        .seq = engine->next_seq,
        .mono_ns = now,
        .ts_engine = now + engine->anchor_ns,
        .ts_trigger = spot->ts_recv > fut->ts_recv ? spot->ts_recv : fut->ts_recv,
        .spot_bid_px = spot->bid_px,
        .spot_bid_sz = spot->bid_sz,
        .spot_ask_px = spot->ask_px,
        .spot_ask_sz = spot->ask_sz,
        .fut_bid_px = fut->bid_px,
        .fut_bid_sz = fut->bid_sz,
        .fut_ask_px = fut->ask_px,
        .fut_ask_sz = fut->ask_sz,
        .spot_ts_event = spot->ts_event,
        .spot_ts_recv = spot->ts_recv,
        .fut_ts_event = fut->ts_event,
        .fut_ts_recv = fut->ts_recv,
        .gross_bps = found->gross_bps,
        .fees_bps = pair->fees_bps,
        .funding_bps = pair->funding_bps,
        .net_bps = found->net_bps,
        .exit_bps = ss_exit_bps(spot, fut),
        .size_quote = ss_size_quote(spot, fut),
        .symbol_id = pair->symbol_id,
        .direction_id = pair->direction_id,
        .kind = (uint8_t)kind,
        .flags = pair->signal_flags | flags,
        .generation = engine->generation,
        .instance = engine->instance,
    };
}

/* Puts a signal into the batch: 1, or 0 when the ring is full (counted; the pair stays as it was
 * and is tried again by the sweep). */
static inline int ss_engine_signal(ss_engine *engine, const ss_found *found, int kind,
                                   uint32_t flags) {
    if (!ss_engine_has_room(engine)) {
        if (!engine->corrupt) ss_ring_count_dropped(engine->ring, 1);
        engine->counts[SS_C_RING_FULL]++;
        return 0;
    }
    ss_engine_fill(engine, found, kind, flags, &engine->batch[engine->batch_count]);
    engine->batch_fresh[engine->batch_count] = (uint8_t)(found->fresh && !(flags & SS_LEG_LOST));
    engine->batch_count++;
    engine->room--;
    engine->next_seq++;
    engine->counts[SS_C_ENTER + kind - SS_ENTER]++;
    if (engine->batch_count == SS_ENGINE_BATCH_MAX) ss_engine_push(engine);
    return 1;
}

/* Keeps what was decided. The same verdict of the same pair goes on in its row, if it is still
 * there; signals get a row each. */
static inline void ss_engine_keep(ss_engine *engine, const ss_found *found, uint8_t verdict) {
    ss_engine_pair *pair = &engine->pairs[found->index];
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    int64_t now = engine->now_ns + engine->anchor_ns, skew_ns = spot->ts_recv - fut->ts_recv;
    uint64_t head = ss_evaluations_head(engine->kept);
    int same = verdict != SS_SIGNAL && pair->kept_at != 0 && pair->kept_verdict == verdict &&
               head - (pair->kept_at - 1) <= engine->kept->capacity;
    pair->kept_count = same ? pair->kept_count + 1 : 1;
    ss_evaluation row = {
        .ts_engine = now,
        .gross_bps = found->gross_bps,
        .fees_bps = pair->fees_bps,
        .funding_bps = pair->funding_bps,
        .net_bps = found->net_bps,
        .enter_bps = pair->enter_bps,
        .size_quote = ss_size_quote(spot, fut),
        .size_quote_min = pair->size_quote_min,
        .spot_age_ns = now - spot->ts_recv,
        .fut_age_ns = now - fut->ts_recv,
        .skew_ns = skew_ns < 0 ? -skew_ns : skew_ns,
        .spot_px = spot->ask_px,
        .fut_px = fut->bid_px,
        .spot_flags = spot->flags | (found->spot_ok ? 0 : SS_FLAG_STALE),
        .fut_flags = fut->flags | (found->fut_ok ? 0 : SS_FLAG_STALE),
        .symbol_id = pair->symbol_id,
        .direction_id = pair->direction_id,
        .verdict = verdict,
        .count = pair->kept_count > UINT32_MAX ? UINT32_MAX : (uint32_t)pair->kept_count,
    };
    if (same) {
        ss_evaluations_write(engine->kept, pair->kept_at - 1, &row);
        return;
    }
    pair->kept_at = ss_evaluations_append(engine->kept, &row) + 1;
    pair->kept_verdict = verdict;
}

/* ---- one pair ---- */

static inline int ss_engine_usable(const ss_engine *engine, uint32_t source,
                                   const ss_quote *quote) {
    return (quote->flags & SS_FLAGS_UNUSABLE) == 0 && engine->alive[source] &&
           quote->epoch >= engine->epoch[source] &&
           engine->now_ns + engine->anchor_ns - quote->ts_recv <= engine->limits.stale_ns_max;
}

/* A pair that is in and no longer pays, or has lost a leg, is left: at once, whatever its size. */
static inline void ss_engine_exit(ss_engine *engine, const ss_found *found) {
    ss_engine_pair *pair = &engine->pairs[found->index];
    int lost = !(found->spot_ok && found->fut_ok);
    if (!ss_engine_signal(engine, found, SS_EXIT, lost ? SS_LEG_LOST : 0)) return;
    pair->in = 0;
    pair->exited_mono_ns = engine->now_ns;
    engine->counts[SS_C_STALE_EXITS] += (uint64_t)lost;
}

/* Whether the older leg is behind the other by too much. A leg that is only slow, as quiet coins are,
 * is behind no one: its feed says when its silence is out of line with its own rate. */
static inline int ss_engine_skewed(const ss_engine *engine, const ss_quote *spot,
                                   const ss_quote *fut) {
    int64_t skew_ns = spot->ts_recv - fut->ts_recv;
    const ss_quote *older = skew_ns < 0 ? spot : fut;
    return (older->flags & SS_FLAG_OVERDUE) != 0 &&
           (skew_ns < 0 ? -skew_ns : skew_ns) > engine->limits.skew_ns_max;
}

/* Why a pair over the threshold gives a signal or gives none; makes the signal. */
static inline uint8_t ss_engine_judge(ss_engine *engine, const ss_found *found) {
    ss_engine_pair *pair = &engine->pairs[found->index];
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    if (pair->in) {
        if (!(found->net_bps >= pair->last_net_bps + pair->resignal_step_bps)) return SS_HELD;
    } else {
        if (!(found->net_bps >= pair->enter_bps)) return SS_FEE;
        if (pair->blocked) return pair->blocked;
        if (!(found->spot_ok && found->fut_ok)) return SS_STALE_LEG;
    }
    if (ss_engine_skewed(engine, spot, fut)) return SS_SKEW;
    if (ss_size_quote(spot, fut) < pair->size_quote_min) return SS_SIZE;
    if (!pair->in && pair->exited_mono_ns != SS_NEVER_NS &&
        engine->now_ns - pair->exited_mono_ns < pair->cooldown_ns)
        return SS_COOLDOWN;
    if (!ss_engine_signal(engine, found, pair->in ? SS_RESIGNAL : SS_ENTER, 0)) return SS_RING_FULL;
    pair->in = 1;
    pair->last_net_bps = found->net_bps;
    return SS_SIGNAL;
}

/* The rare part of an evaluation: the pair is in, or over the threshold. */
__attribute__((noinline)) static void ss_engine_decide(ss_engine *engine, ss_found *found,
                                                       int over) {
    static const uint8_t counter_of[SS_VERDICTS] = {
        [SS_STALE_LEG] = SS_C_NO_STALE_LEG,
        [SS_SKEW] = SS_C_NO_SKEW,
        [SS_SIZE] = SS_C_NO_SIZE,
        [SS_COOLDOWN] = SS_C_NO_COOLDOWN,
        [SS_PAUSED] = SS_C_NO_PAUSED,
        [SS_QUARANTINED] = SS_C_NO_QUARANTINED,
        [SS_FEE] = SS_C_NO_FEE,
        [SS_KILLED] = SS_C_NO_KILLED,
        [SS_HELD] = SS_C_HELD,
    };
    ss_engine_pair *pair = &engine->pairs[found->index];
    found->spot_ok = ss_engine_usable(engine, pair->spot_source, &engine->quotes[pair->spot_cell]);
    found->fut_ok = ss_engine_usable(engine, pair->fut_source, &engine->quotes[pair->fut_cell]);
    pair->waiting = 0;
    if (pair->in && !(found->spot_ok && found->fut_ok && found->net_bps >= pair->exit_bps)) {
        ss_engine_exit(engine, found);
    } else if (over) {
        uint8_t verdict = ss_engine_judge(engine, found);
        engine->counts[SS_C_OVER]++;
        /* What went out or met a full ring was counted with the signal. */
        if (counter_of[verdict] != 0) engine->counts[counter_of[verdict]]++;
        pair->waiting = verdict == SS_COOLDOWN || verdict == SS_RING_FULL;
        ss_engine_keep(engine, found, verdict);
    }
    ss_engine_watch(engine, found->index);
}

static inline void ss_engine_evaluate(ss_engine *engine, uint32_t index, int fresh) {
    ss_engine_pair *pair = &engine->pairs[index];
    if (pair->stamp == engine->stamp) return;
    pair->stamp = engine->stamp;
    engine->counts[SS_C_EVALUATIONS]++;
    double gross = ss_gross_bps(&engine->quotes[pair->spot_cell], &engine->quotes[pair->fut_cell]);
    double net = gross - pair->fees_bps - pair->funding_bps;
    int over = (gross >= pair->enter_bps) | (net >= pair->enter_bps);
    if (__builtin_expect(!(over | pair->in | pair->waiting), 1)) return;
    ss_found found = {.index = index, .gross_bps = gross, .net_bps = net, .fresh = fresh};
    ss_engine_decide(engine, &found, over);
}

/* ---- the loop ---- */

static inline void ss_engine_evaluate_touched(ss_engine *engine) {
    for (uint32_t i = 0; i < engine->touched_count; i++) {
        uint32_t cell = engine->touched[i];
        for (uint32_t at = engine->leg_start[cell]; at < engine->leg_start[cell + 1]; at++)
            ss_engine_evaluate(engine, engine->leg_pairs[at], 1);
    }
    engine->counts[SS_C_DIRTY] += engine->touched_count;
}

static inline void ss_engine_rescan(ss_engine *engine) {
    uint32_t count = engine->rescan_left;
    if (count > engine->limits.dirty_max) count = engine->limits.dirty_max;
    engine->rescan_left -= count;
    for (; count > 0; count--) {
        ss_engine_evaluate(engine, engine->rescan_at, 0);
        engine->rescan_at = engine->rescan_at + 1 < engine->pair_count ? engine->rescan_at + 1 : 0;
    }
}

static inline void ss_engine_sweep(ss_engine *engine) {
    if (engine->now_ns < engine->next_sweep_ns) return;
    engine->next_sweep_ns = engine->now_ns + engine->limits.sweep_ns;
    for (uint32_t word = 0; word < (engine->pair_count + 63) / 64; word++)
        for (uint64_t bits = engine->watched[word]; bits != 0; bits &= bits - 1)
            ss_engine_evaluate(engine, word * 64 + (uint32_t)__builtin_ctzll(bits), 0);
}

/* One turn at the time now_ns. Returns 1 when it found work. `heeded` tells of new switches. */
static inline int ss_engine_cycle(ss_engine *engine, int *heeded) {
    engine->stamp++;
    engine->counts[SS_C_CYCLES]++;
    engine->pushed = 0;
    *heeded |= ss_engine_heed(engine);
    ss_engine_feel_sources(engine);
    ss_engine_take(engine);
    int work = engine->touched_count > 0 || engine->rescan_left > 0;
    ss_engine_evaluate_touched(engine);
    ss_engine_rescan(engine);
    ss_engine_sweep(engine);
    ss_engine_push(engine);
    /* Who was woken may share this CPU. A spinning engine never leaves it by itself, and the
     * scheduler may let it go on until the next tick, milliseconds away. */
    if (engine->pushed && ss_wake_notify(&engine->ring->control->wake) &&
        engine->limits.idle == SS_IDLE_SPIN)
        sched_yield();
    return work;
}

static inline void ss_engine_tell_counts(ss_engine *engine) {
    for (int i = 0; i < SS_ENGINE_COUNTERS; i++) {
        uint64_t more = engine->counts[i] - engine->counts_told[i];
        if (more != 0) ss_count_add(&engine->row_counters[i], more);
        engine->counts_told[i] = engine->counts[i];
    }
}

/* Parks until a bit is set, an order comes with a notify, or the time is up. */
static inline void ss_engine_park(ss_engine *engine, int64_t until_ns) {
    ss_wake *wake = engine->store->wakes[engine->reader];
    int64_t wait_ns = until_ns - ss_source_ns(engine->mono_at);
    if (wait_ns > engine->limits.park_ns) wait_ns = engine->limits.park_ns;
    if (wait_ns <= 0) return;
    uint32_t key = ss_wake_prepare(wake);
    uint64_t orders = atomic_load_explicit(engine->switches.generation, memory_order_acquire);
    if (orders != engine->switches_seen || ss_store_any_dirty(engine->store, engine->reader)) {
        ss_wake_cancel(wake);
        return;
    }
    engine->counts[SS_C_PARKS]++;
    engine->counts[SS_C_WAKES] += (uint64_t)ss_wake_wait(wake, key, wait_ns);
}

static inline void ss_engine_idle(ss_engine *engine, int64_t until_ns) {
    int64_t idle_ns = engine->now_ns - engine->idle_since_ns;
    if (engine->limits.idle == SS_IDLE_PARK ||
        (engine->limits.idle == SS_IDLE_SPIN_PARK && idle_ns >= engine->limits.spin_ns))
        ss_engine_park(engine, until_ns);
    else
        ss_relax();
}

/* Notices that the machine was suspended: monotonic time counts it, the awake time does not. No feed
 * is trusted before it beats anew, and it marks its quotes first. Whoever is stopped between the
 * readings learns nothing and looks again in the next run. */
static inline void ss_engine_feel_suspend(ss_engine *engine) {
    int64_t before_ns = ss_source_awake_ns(engine->mono_at);
    int64_t now_ns = ss_source_ns(engine->mono_at);
    int64_t after_ns = ss_source_awake_ns(engine->mono_at);
    if (after_ns - before_ns > SS_ENGINE_LOOK_NS) return;
    int64_t apart_ns = now_ns - after_ns;
    if (engine->apart_known && apart_ns - engine->apart_ns > SS_ENGINE_SUSPEND_NS)
        engine->woke_ns = now_ns;
    engine->apart_ns = apart_ns;
    engine->apart_known = 1;
}

/* Runs for about `budget_ns`, less when orders came: they are in force then, and the caller
 * acknowledges them. */
static inline void ss_engine_run(ss_engine *engine, int64_t budget_ns) {
    int64_t until_ns = ss_source_ns(engine->mono_at) + budget_ns;
    int heeded = 0;
    engine->clock_stands = 0;
    ss_engine_feel_suspend(engine);
    do {
        int64_t before_ns = engine->now_ns;
        engine->now_ns = ss_source_ns(engine->mono_at);
        if (engine->now_ns - before_ns > SS_ENGINE_SUSPEND_NS) ss_engine_feel_suspend(engine);
        if (ss_engine_cycle(engine, &heeded)) {
            engine->idle_since_ns = ss_source_ns(engine->mono_at);
            int64_t took_ns = engine->idle_since_ns - engine->now_ns;
            ss_histogram_add(engine->cycle_times, took_ns);
            if (took_ns > engine->longest_ns) engine->longest_ns = took_ns;
        } else if (!heeded && !engine->corrupt) {
            ss_engine_idle(engine, until_ns);
        }
    } while (!heeded && !engine->corrupt && engine->now_ns < until_ns);
    ss_engine_tell_counts(engine);
}

/* One cycle at a given time, for tests: with the same input it does the same. */
static inline int ss_engine_step(ss_engine *engine, int64_t now_mono_ns) {
    int heeded = 0;
    engine->clock_stands = 1;
    engine->now_ns = now_mono_ns;
    int work = ss_engine_cycle(engine, &heeded);
    ss_engine_tell_counts(engine);
    return work;
}

#endif
