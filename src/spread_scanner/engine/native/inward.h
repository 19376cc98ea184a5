/* What came from outside since the last cycle: switches, sources, and the cells that were touched.
 *
 * Reads the control segment and the price store, of it dirty words first and then each cell once;
 * writes the engine's copies.
 */
#ifndef SS_INWARD_H
#define SS_INWARD_H

#include "clock.h"
#include "freshness.h"
#include "pairs.h"

static inline uint8_t ss_engine_blocked(const ss_engine *engine, const ss_engine_pair *pair,
                                        int killed, int paused) {
    const ss_engine_switches *switches = &engine->switches;
    if (killed) return SS_KILLED;
    if (pair->quarantined) return SS_QUARANTINED;
    if (paused || pair->disabled) return SS_PAUSED;
    if (atomic_load_explicit(&switches->sources[pair->spot_source], memory_order_relaxed) ||
        atomic_load_explicit(&switches->sources[pair->fut_source], memory_order_relaxed) ||
        atomic_load_explicit(&switches->directions[pair->direction_id], memory_order_relaxed) ||
        engine->tables.symbol_paused[pair->symbol_id])
        return SS_PAUSED;
    return pair->barred ? SS_BLOCKED : 0;
}

/* Applies the operator's switches when their generation moved. Returns 1 if it did. */
static inline int ss_engine_heed(ss_engine *engine) {
    const ss_engine_switches *switches = &engine->switches;
    /* Partner: the operator's release store of the generation, after the switches. */
    uint64_t generation = atomic_load_explicit(switches->generation, memory_order_acquire);
    if (engine->switches_known && generation == engine->switches_seen) return 0;
    int killed = atomic_load_explicit(switches->kill, memory_order_relaxed) != 0;
    int paused = atomic_load_explicit(switches->paused, memory_order_relaxed) != 0;
    ss_pauses_read(&switches->pauses, engine->tables.symbol_keys, engine->tables.symbol_paused,
                   engine->tables.symbol_count);
    for (uint32_t i = 0; i < engine->tables.pair_count; i++) {
        ss_engine_pair *pair = &engine->tables.pairs[i];
        pair->blocked = ss_engine_blocked(engine, pair, killed, paused);
        if (!pair->blocked) continue;
        pair->in = pair->waiting = 0;
        pair->implausible_ns = 0;
        ss_tables_watch(&engine->tables, i);
    }
    engine->switches_seen = generation;
    engine->switches_known = 1;
    ss_engine_ask_rescan(engine);
    return 1;
}

static inline int ss_engine_usable(const ss_engine *engine, uint32_t source,
                                   const ss_quote *quote) {
    return ss_usable(quote, engine->alive[source], engine->epoch[source],
                     engine->now_ns + engine->anchor_ns, engine->tables.limits.stale_ns_max);
}

/* Whether nothing but its level, which is another than before, keeps a leg from being that. */
static inline int ss_engine_only_jumped(const ss_engine *engine, uint32_t source,
                                        const ss_quote *quote) {
    return ss_only_jumped(quote, engine->alive[source], engine->epoch[source],
                          engine->now_ns + engine->anchor_ns, engine->tables.limits.stale_ns_max);
}

/* Notes which feeds live and whose quotes count; a change asks for a rescan, because it changes
 * what can be stood behind without making a single cell dirty. */
static inline void ss_engine_feel_sources(ss_engine *engine) {
    int changed = 0;
    for (uint32_t source = 0; source < engine->store->num_sources; source++) {
        int64_t beat_ns = ss_store_heartbeat(engine->store, source);
        uint32_t epoch = ss_store_epoch(engine->store, source);
        uint8_t alive = (uint8_t)ss_beats(beat_ns, engine->now_ns, engine->woke_ns,
                                          engine->tables.limits.heartbeat_ns_max);
        changed |= (alive != engine->alive[source]) | (epoch != engine->epoch[source]);
        engine->alive[source] = alive;
        engine->epoch[source] = epoch;
    }
    if (changed) ss_engine_ask_rescan(engine);
}

static inline void ss_engine_copy_cell(ss_engine *engine, uint32_t source, uint32_t symbol) {
    uint32_t cell = source * engine->store->max_symbols + symbol;
    if (engine->tables.leg_start[cell] == engine->tables.leg_start[cell + 1])
        return; /* in no pair */
    int64_t before_ns = engine->quotes[cell].ts_recv;
    int result = ss_store_read(engine->store, source, symbol, &engine->quotes[cell]);
    /* What was never read before has lain there for who knows how long: it is a backlog. */
    engine->tables.news[engine->touched_count] =
        before_ns != INT64_MIN && engine->quotes[cell].ts_recv != before_ns;
    engine->tables.touched[engine->touched_count++] = cell;
    engine->tops[cell] = (ss_top){engine->quotes[cell].bid_px, engine->quotes[cell].ask_px};
    /* Contended: the copy stays the last good one, and the writer's next bit is on its way. */
    if (result == SS_READ_CONTENDED) engine->counts[SS_C_CONTENDED]++;
}

/* Copies the cells of one dirty word; 0 when the bound was reached and the rest put back. */
static inline int ss_engine_take_word(ss_engine *engine, ss_dirty_word *words, uint32_t source,
                                      uint32_t word) {
    for (uint64_t bits = ss_bitmap_take_word(words, word); bits != 0; bits &= bits - 1) {
        if (engine->touched_count == engine->tables.limits.dirty_max) {
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
    uint32_t turns = sources + (word > 0);
    if (engine->only_source != 0) {
        source = engine->only_source - 1;
        turns = 1;
    }
    engine->all_taken = 0;
    for (; turns > 0; turns--) {
        ss_dirty_word *words = ss_store_words(engine->store, engine->reader, source);
        for (word = ss_bitmap_skip(words, word, per_source); word < per_source;
             word = ss_bitmap_skip(words, word + 1, per_source))
            if (!ss_engine_take_word(engine, words, source, word)) {
                engine->counts[SS_C_BOUNDED]++;
                engine->source_at = source;
                engine->word_at = word;
                return;
            }
        word = 0;
        source = source + 1 < sources ? source + 1 : 0;
    }
    engine->all_taken = 1;
}

#endif
