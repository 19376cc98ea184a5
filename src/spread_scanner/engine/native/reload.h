/* New tables for those in force: what stays as it is goes on, and what is usual is adopted anew.
 *
 * Writes the new pairs, and marks the cells that nobody read before. The process calls it between two
 * runs of the loop (engine/core.py); nothing of it can fail, all memory was asked for before.
 */
#ifndef SS_RELOAD_H
#define SS_RELOAD_H

#include "pairs.h"
#include "usual.h"

/* What leaving is assumed to earn does not go on: it is adopted anew. */
static inline void ss_engine_carry(const ss_engine_pair *from, ss_engine_pair *to) {
    to->in = from->in;
    to->waiting = from->waiting;
    to->kept_verdict = from->kept_verdict;
    to->last_net_bps = from->last_net_bps;
    to->exited_mono_ns = from->exited_mono_ns;
    to->kept_at = from->kept_at;
    to->kept_count = from->kept_count;
    to->weight = from->weight;
    to->exit_sum = from->exit_sum;
    to->parity_sum = from->parity_sum;
    to->implausible_ns = from->implausible_ns;
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
