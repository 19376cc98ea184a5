/* A tape: every quote of one source, in the order in which it was published, for whoever records.
 *
 * Producer: the feed that claimed the source.     Consumer: the recorder that claimed the tape.
 *
 * A ring (ring.h) of ticks that nobody waits for: full means that the tick is dropped and counted.
 * Positions and drops give each tick its number, so a hole is visible in the ticks on both sides of
 * it, over all lives of both. Without a recorder (`wanted` is 0, looked up once per read of the
 * socket) a quote costs one branch and takes no number. The tick follows its quote: a feed that is
 * killed between the two has published a quote that is on no tape, and the next epoch says so.
 */
#ifndef SS_TAPE_H
#define SS_TAPE_H

#include "quote.h"
#include "ring.h"

/* schema.log.TICK_DTYPE */
typedef struct ss_tick {
    uint64_t number;
    uint16_t symbol, source;
    uint32_t reserved;
    ss_quote quote;
} ss_tick;

_Static_assert(sizeof(ss_tick) == 80, "as the log has it");

/* How many ticks ahead a slot's cache lines are asked for. Without that a push waits for lines that the
 * recorder has just read, or that a tape larger than a core's own cache has pushed out: 2 to 7 ns. */
#define SS_TAPE_AHEAD 8

/* As its producer sees it. `on`: whether anybody recorded at the last look. */
typedef struct ss_tape {
    ss_ring ring; /* its control is NULL where there is no tape */
    int on;
} ss_tape;

static inline void ss_tape_look(ss_tape *tape) {
    tape->on = tape->ring.control &&
               atomic_load_explicit(&tape->ring.control->wanted, memory_order_relaxed) != 0;
}

static inline void ss_tape_push(ss_tape *tape, uint32_t source, uint32_t symbol,
                                const ss_quote *quote) {
    ss_ring *ring = &tape->ring;
    uint64_t write = atomic_load_explicit(&ring->control->write_pos, memory_order_relaxed);
    uint64_t dropped = atomic_load_explicit(&ring->control->dropped, memory_order_relaxed);
    if (write - ring->other >= ring->capacity) {
        /* Partner: the consumer's release store of read_pos: its copies are done. */
        ring->other = atomic_load_explicit(&ring->control->read_pos, memory_order_acquire);
        if (write - ring->other >= ring->capacity) { /* a position that cannot be is full, too */
            ss_ring_count_dropped(ring, 1);
            return;
        }
    }
    ss_tick *tick = (ss_tick *)ss_ring_slot(ring, write);
    const char *ahead = ss_ring_slot(ring, write + SS_TAPE_AHEAD);
    __builtin_prefetch(ahead, 1);
    __builtin_prefetch(ahead + sizeof(ss_tick) - 1, 1);
    SS_BEFORE_STORE();
    tick->number = write + dropped;
    tick->symbol = (uint16_t)symbol;
    tick->source = (uint16_t)source;
    tick->reserved = 0;
    tick->quote = *quote;
    SS_BEFORE_STORE();
    /* Publishes the tick. Partner: the consumer's acquire load in ss_ring_available. */
    atomic_store_explicit(&ring->control->write_pos, write + 1, memory_order_release);
}

#endif
