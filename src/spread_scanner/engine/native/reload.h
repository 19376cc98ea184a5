/* New tables for those in force: what stays as it is goes on, and what is usual is adopted anew.
 *
 * Writes the new pairs, and marks the cells that nobody read before. The process calls it between two
 * runs of the loop (engine/core.py); nothing of it can fail, all memory was asked for before.
 */
#ifndef SS_RELOAD_H
#define SS_RELOAD_H

#include <string.h>

#include "pairs.h"
#include "usual.h"

#define SS_SWAP_AHEAD 8 /* rows that are asked for before they are due */

/* The lines that a pass over the pairs takes up, of rows that nobody has touched for a while. */
static inline void ss_engine_fetch(const ss_engine_tables *old, const ss_engine_tables *now,
                                   const int32_t *was, uint32_t index) {
    if (index >= now->pair_count) return;
    const char *row = (const char *)&now->pairs[index];
    __builtin_prefetch(row, 1);
    __builtin_prefetch(row + 64, 1);
    __builtin_prefetch(row + SS_PAIR_LIFE, 1);
    if (was != NULL && was[index] >= 0)
        __builtin_prefetch((const char *)&old->pairs[was[index]] + SS_PAIR_LIFE);
}

/* Its own life goes on; what leaving is assumed to earn does not: it is adopted anew. */
static inline void ss_engine_carry(const ss_engine_pair *from, ss_engine_pair *to) {
    memcpy((char *)to + SS_PAIR_LIFE, (const char *)from + SS_PAIR_LIFE, sizeof *to - SS_PAIR_LIFE);
}

/* Puts tables in force between two cycles; `tables` holds the old ones then. `was` says by new pair
 * which of the old ones it goes on, -1: none; NULL: no pair does. What is usual of each is adopted in
 * the same pass, while its row is at hand: two passes over cold rows take half as long again. */
static inline void ss_engine_swap(ss_engine *engine, ss_engine_tables *tables, const int32_t *was,
                                  const ss_engine_adoption *adoption) {
    ss_engine_tables old = engine->tables;
    engine->tables = *tables;
    *tables = old;
    for (uint32_t i = 0; i < engine->tables.pair_count; i++) {
        ss_engine_pair *pair = &engine->tables.pairs[i];
        ss_engine_fetch(&old, &engine->tables, was, i + SS_SWAP_AHEAD);
        if (was != NULL && was[i] >= 0) ss_engine_carry(&old.pairs[was[i]], pair);
        if (pair->in || pair->waiting) ss_engine_watch(engine, i);
        ss_engine_adopt_pair(engine, adoption, i);
    }
    engine->usual_generation = adoption->generation;
    for (uint32_t i = 0; i < engine->tables.unread_count; i++) {
        uint32_t cell = engine->tables.unread[i], symbols = engine->store->max_symbols;
        ss_bitmap_mark(ss_store_words(engine->store, engine->reader, cell / symbols),
                       cell % symbols);
    }
    engine->look_at = engine->tables.pair_count; /* those of a look under way are other pairs now */
    engine->switches_known = 0;
    engine->rescan_left = 0;
    ss_engine_ask_rescan(engine);
}

#endif
