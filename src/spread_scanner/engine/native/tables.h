/* The tables that a loop works on, made from pairs and limits beside it: which pairs a cell is part of,
 * the gates of the pairs, room for what a cycle touches.
 *
 * Changes nothing of the engine, which may run meanwhile. reload.h puts them in force.
 */
#ifndef SS_TABLES_H
#define SS_TABLES_H

#include "pairs.h"

/* Cell -> pairs, by a counting sort: the pairs of a cell keep their order. */
static inline void ss_engine_index(ss_engine_tables *tables, uint32_t cells) {
    uint32_t *leg_start = tables->leg_start, *leg_pairs = tables->leg_pairs;
    for (uint32_t i = 0; i < tables->pair_count; i++) {
        leg_start[tables->pairs[i].spot_cell + 1]++;
        leg_start[tables->pairs[i].fut_cell + 1]++;
    }
    for (uint32_t cell = 0; cell < cells; cell++)
        leg_start[cell + 1] += leg_start[cell];
    for (uint32_t i = 0; i < tables->pair_count; i++) {
        leg_pairs[leg_start[tables->pairs[i].spot_cell]++] = i;
        leg_pairs[leg_start[tables->pairs[i].fut_cell]++] = i;
    }
    for (uint32_t cell = cells; cell > 0; cell--)
        leg_start[cell] = leg_start[cell - 1];
    leg_start[0] = 0;
}

static inline size_t ss_gates_bytes(uint32_t pairs) {
    return ((size_t)pairs * sizeof(ss_gate) + 64) / 64 * 64;
}

/* All but what opens them, which an adoption sets. */
static inline void ss_engine_make_gates(ss_engine_tables *tables) {
    for (uint32_t i = 0; i < tables->pair_count; i++) {
        const ss_engine_pair *pair = &tables->pairs[i];
        tables->gates[i] = (ss_gate){.spot_cell = pair->spot_cell, .fut_cell = pair->fut_cell};
    }
}

/* Cells that the new tables read and those in force do not: their copies are old or none. */
static inline void ss_engine_find_unread(const ss_engine *engine, ss_engine_tables *tables) {
    const uint32_t *before = engine->tables.leg_start;
    for (uint32_t cell = 0; cell < ss_engine_cells(engine); cell++)
        if (tables->leg_start[cell] != tables->leg_start[cell + 1] &&
            (before == NULL || before[cell] == before[cell + 1]))
            tables->unread[tables->unread_count++] = cell;
}

/* Makes what ss_engine_swap puts in force, from pairs and limits that stand in `tables`: 0, or -1
 * without memory. Changes nothing of the engine; it may run meanwhile, but not swap. */
static inline int ss_engine_prepare(const ss_engine *engine, ss_engine_tables *tables) {
    uint32_t cells = ss_engine_cells(engine);
    tables->gates = (ss_gate *)aligned_alloc(64, ss_gates_bytes(tables->pair_count));
    tables->leg_start = (uint32_t *)calloc((size_t)cells + 1, sizeof(uint32_t));
    tables->leg_pairs = (uint32_t *)calloc(2 * (size_t)tables->pair_count + 1, sizeof(uint32_t));
    tables->watched = (uint64_t *)calloc((size_t)tables->pair_count / 64 + 1, sizeof(uint64_t));
    tables->changed = (uint64_t *)calloc((size_t)tables->pair_count / 64 + 1, sizeof(uint64_t));
    tables->touched = (uint32_t *)calloc(tables->limits.dirty_max, sizeof(uint32_t));
    tables->news = (uint8_t *)calloc(tables->limits.dirty_max, 1);
    tables->unread = (uint32_t *)calloc(cells, sizeof(uint32_t));
    if (tables->gates == NULL || tables->leg_start == NULL || tables->leg_pairs == NULL ||
        tables->watched == NULL || tables->changed == NULL || tables->touched == NULL ||
        tables->news == NULL || tables->unread == NULL) {
        ss_engine_free_tables(tables);
        return -1;
    }
    ss_engine_make_gates(tables);
    ss_engine_index(tables, cells);
    ss_engine_find_unread(engine, tables);
    return 0;
}

#endif
