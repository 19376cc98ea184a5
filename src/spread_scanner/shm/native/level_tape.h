/* The tape of a source's order books: every level of what is shown that changed, for whoever records.
 *
 * Producer: the feed that claimed the source's books.     Consumer: the recorder that claimed the tape.
 *
 * A ring of records that nobody waits for, as tape.h has it of quotes. What is pushed brings the levels
 * that were shown to those that are: a level with another size, a new one, and with size 0 one that is
 * gone. One that better ones have pushed out of what is shown is not told; whoever follows keeps as
 * many as are shown, too. The changes follow their book: who is killed between has published a book
 * whose changes are on no tape.
 */
#ifndef SS_LEVEL_TAPE_H
#define SS_LEVEL_TAPE_H

#include "book.h"
#include "tape.h"

/* schema.log.BOOK_DELTA_DTYPE */
typedef struct ss_level_change {
    uint64_t number;
    int64_t ts_recv;
    uint64_t update_id;
    double px, sz;
    uint16_t symbol, source;
    uint8_t side, reserved[3];
} ss_level_change;

_Static_assert(sizeof(ss_level_change) == 48, "as the log has it");

static inline void ss_level_tape_push(ss_tape *tape, ss_level_change *change, ss_level level) {
    ss_ring *ring = &tape->ring;
    uint64_t write = atomic_load_explicit(&ring->control->write_pos, memory_order_relaxed);
    uint64_t dropped = atomic_load_explicit(&ring->control->dropped, memory_order_relaxed);
    change->number = write + dropped;
    change->px = level.px;
    change->sz = level.sz;
    /* A position that cannot be is full, too. */
    if (ss_ring_push(ring, change, 1) == SS_RING_CORRUPT) ss_ring_count_dropped(ring, 1);
}

/* What changed of one side; of the change all but the level and the number is filled. */
static inline void ss_level_tape_side(ss_tape *tape, ss_level_change *change,
                                      const ss_book_record *before, const ss_book_record *now) {
    int side = change->side, old = 0, fresh = 0;
    const ss_level *were = before->level[side], *are = now->level[side];
    int gone = before->count[side], count = now->count[side];
    while (old < gone || fresh < count) {
        if (fresh == count && count == SS_LEVELS_SHOWN) return;
        if (fresh == count || (old < gone && ss_level_before(side, were[old].px, are[fresh].px))) {
            ss_level_tape_push(tape, change, (ss_level){were[old++].px, 0.0});
            continue;
        }
        int same = old < gone && were[old].px == are[fresh].px;
        if (!same || were[old].sz != are[fresh].sz) ss_level_tape_push(tape, change, are[fresh]);
        old += same;
        fresh++;
    }
}

/* All that changed of one book. */
static inline void ss_level_tape_tell(ss_tape *tape, const ss_book_record *before,
                                      const ss_book_record *now) {
    ss_level_change change = {.ts_recv = now->ts_recv, .update_id = now->update_id};
    change.symbol = (uint16_t)now->symbol_id;
    change.source = now->source_id;
    for (int side = 0; side < 2; side++) {
        change.side = (uint8_t)side;
        ss_level_tape_side(tape, &change, before, now);
    }
}

#endif
