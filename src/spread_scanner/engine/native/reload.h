/* New tables for those in force: what stays as it is goes on, and what is usual is adopted anew.
 *
 * Writes the new pairs, and marks the cells that nobody read before. The process says which tables come
 * (engine/core.py). The loop brings their pairs up to date, some few microseconds in each cycle, between
 * two of its looks at what is usual, which change all pairs; what else changes of a pair meanwhile is
 * noted. To put them in force, between two runs, takes no more than to copy those few once more. Who
 * does not wait for the loop, as at a start, has all brought at once. Nothing of it can fail: all memory
 * was asked for before.
 */
#ifndef SS_RELOAD_H
#define SS_RELOAD_H

#include <string.h>

#include "follow.h"
#include "pairs.h"
#include "usual.h"

#define SS_BRING_PAIRS_MAX 256 /* per cycle */
#define SS_BRING_AHEAD 8       /* rows that are asked for before they are due */

/* Tables that come. The caller keeps all of it alive until they are in force, or others come. */
typedef struct ss_engine_coming {
    ss_engine_tables *tables;
    const int32_t *was; /* by pair, which one in force it goes on, -1: none; NULL: no pair does */
    ss_engine_adoption adoption;
    uint32_t at;  /* pairs from here on are still to be brought */
    int64_t tick; /* of the look that those before have in them */
} ss_engine_coming;

/* The lines that a pass over the pairs takes up, of rows that nobody has touched for a while. */
static inline void ss_engine_fetch(const ss_engine *engine, const ss_engine_coming *coming,
                                   uint32_t index) {
    if (index >= coming->tables->pair_count) return;
    const char *row = (const char *)&coming->tables->pairs[index];
    __builtin_prefetch(row, 1);
    __builtin_prefetch(row + 64, 1);
    __builtin_prefetch(row + SS_PAIR_LIFE, 1);
    if (coming->was != NULL && coming->was[index] >= 0)
        __builtin_prefetch((const char *)&engine->tables.pairs[coming->was[index]] + SS_PAIR_LIFE);
}

/* Its own life goes on; what leaving is assumed to earn does not: it is adopted anew, while the row is
 * at hand. The same again, later, replaces what was brought. */
static inline void ss_engine_bring_pair(const ss_engine *engine, ss_engine_coming *coming,
                                        uint32_t index) {
    char *to = (char *)&coming->tables->pairs[index];
    if (coming->was != NULL && coming->was[index] >= 0) {
        const char *from = (const char *)&engine->tables.pairs[coming->was[index]];
        memcpy(to + SS_PAIR_LIFE, from + SS_PAIR_LIFE, sizeof(ss_engine_pair) - SS_PAIR_LIFE);
    }
    ss_tables_watch(coming->tables, index);
    ss_tables_adopt_pair(coming->tables, &coming->adoption, index);
}

static inline void ss_engine_bring_until(const ss_engine *engine, ss_engine_coming *coming,
                                         uint32_t until) {
    if (until > coming->tables->pair_count) until = coming->tables->pair_count;
    for (; coming->at < until; coming->at++) {
        ss_engine_fetch(engine, coming, coming->at + SS_BRING_AHEAD);
        ss_engine_bring_pair(engine, coming, coming->at);
    }
}

/* From the first pair on. */
static inline void ss_engine_begin_to_bring(ss_engine *engine, ss_engine_coming *coming) {
    coming->at = 0;
    coming->tick = engine->look_tick;
    if (engine->tables.changed != NULL)
        memset(engine->tables.changed, 0,
               ((size_t)engine->tables.pair_count / 64 + 1) * sizeof(uint64_t));
}

static inline void ss_engine_expect(ss_engine *engine, ss_engine_coming *coming) {
    ss_engine_begin_to_bring(engine, coming);
    engine->coming = coming;
}

/* Whether all is brought but what has been noted since. */
static inline int ss_engine_brought(const ss_engine *engine, const ss_engine_coming *coming) {
    return coming->at == coming->tables->pair_count && coming->tick == engine->look_tick &&
           engine->look_at >= engine->tables.pair_count;
}

/* As much of it as one cycle is to give; 0 when there is nothing to do. `run` returns with the last. */
static inline int ss_engine_bring(ss_engine *engine) {
    ss_engine_coming *coming = engine->coming;
    if (coming == NULL || ss_engine_brought(engine, coming)) return 0;
    if (engine->look_at < engine->tables.pair_count) return 1;
    if (coming->tick != engine->look_tick) ss_engine_begin_to_bring(engine, coming);
    ss_engine_bring_until(engine, coming, coming->at + SS_BRING_PAIRS_MAX);
    if (ss_engine_brought(engine, coming))
        atomic_store_explicit(&engine->asked, 1, memory_order_relaxed);
    return 1;
}

/* What was noted of the pairs since they were brought, or all of it. */
static inline void ss_engine_bring_rest(ss_engine *engine, ss_engine_coming *coming) {
    if (!ss_engine_brought(engine, coming)) {
        ss_engine_begin_to_bring(engine, coming);
        ss_engine_bring_until(engine, coming, coming->tables->pair_count);
        return;
    }
    if (coming->was == NULL) return;
    for (uint32_t i = 0; i < coming->tables->pair_count; i++) {
        int32_t was = coming->was[i];
        if (was >= 0 && engine->tables.changed[was >> 6] >> (was & 63) & 1)
            ss_engine_bring_pair(engine, coming, i);
    }
}

/* Marks the cells that nobody read before. What the engine's copies have of them is of a time when
 * somebody did: nothing is made of it, and what is read now is no news. */
static inline void ss_engine_ask_unread(ss_engine *engine) {
    engine->all_taken = 0;
    for (uint32_t i = 0; i < engine->tables.unread_count; i++) {
        uint32_t cell = engine->tables.unread[i], symbols = engine->store->max_symbols;
        ss_engine_forget_cell(engine, cell);
        ss_bitmap_mark(ss_store_words(engine->store, engine->reader, cell / symbols),
                       cell % symbols);
    }
}

/* Puts the tables that come in force between two cycles; they hold the old ones then. */
static inline void ss_engine_swap(ss_engine *engine, ss_engine_coming *coming) {
    ss_engine_bring_rest(engine, coming);
    ss_engine_forgive(engine); /* the places of their pairs are others' */
    ss_engine_tables old = engine->tables;
    engine->tables = *coming->tables;
    *coming->tables = old;
    engine->coming = NULL;
    engine->usual_generation = coming->adoption.generation;
    ss_engine_ask_unread(engine);
    engine->look_at = engine->tables.pair_count; /* those of a look under way are other pairs now */
    engine->switches_known = 0;
    engine->rescan_left = 0;
    ss_engine_ask_rescan(engine);
}

#endif
