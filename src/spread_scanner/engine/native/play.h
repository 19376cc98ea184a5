/* Ticks of a log, played to the loop: each quote is published into a store of its own as its feed did,
 * and the loop goes one step for all that one source received at one time.
 *
 * Writes the store and, through the loop, the ring. Nothing here asks for the time: the same ticks give
 * the same signals, whenever and however often they are played.
 */
#ifndef SS_PLAY_H
#define SS_PLAY_H

#include "engine.h"

/* Ticks of one source in its own order, and when each was published, on the session clock. */
typedef struct ss_lane {
    const ss_tick *ticks;
    const int64_t *at_ns;
    uint64_t count, next;
} ss_lane;

/* When ticks were published, as far as a log tells: a quote when it was received; what was published
 * anew of a quote (a mark) not before it was, nor later than it was written or a newer quote came. */
static inline void ss_lane_times(const ss_tick *ticks, const int64_t *written_ns, uint64_t count,
                                 ss_quote *cells, int64_t since_ns, int64_t *at_ns) {
    for (uint64_t i = 0; i < count; i++) {
        const ss_quote *quote = &ticks[i].quote, *before = &cells[ticks[i].symbol];
        int again = quote->ts_recv == before->ts_recv && quote->update_id == before->update_id;
        at_ns[i] = again ? written_ns[i] : quote->ts_recv;
        cells[ticks[i].symbol] = *quote;
    }
    for (uint64_t i = count; i-- > 1;)
        if (at_ns[i] < at_ns[i - 1]) at_ns[i - 1] = at_ns[i];
    for (uint64_t i = 0; i < count; i++) {
        if (at_ns[i] < since_ns) at_ns[i] = since_ns;
        since_ns = at_ns[i];
    }
}

/* The lane whose next tick is the oldest before `until_ns`, of those at one time the first; NULL: none.
 * `*rival_ns`: up to when it stays that. */
static inline ss_lane *ss_play_next(ss_lane *lanes, uint32_t count, int64_t until_ns,
                                    int64_t *rival_ns) {
    ss_lane *found = NULL;
    int64_t found_ns = until_ns;
    *rival_ns = until_ns;
    for (uint32_t i = 0; i < count; i++) {
        ss_lane *lane = &lanes[i];
        if (lane->next == lane->count) continue;
        int64_t at_ns = lane->at_ns[lane->next];
        if (at_ns < found_ns) {
            *rival_ns = found_ns;
            found = lane;
            found_ns = at_ns;
        } else if (at_ns < *rival_ns) {
            *rival_ns = at_ns;
        }
    }
    return found;
}

/* A new epoch is said before the first quote of it is published. */
static inline void ss_play_tick(ss_engine *engine, const ss_tick *tick) {
    ss_store *store = engine->store;
    if (tick->quote.epoch > ss_store_epoch(store, tick->source))
        ss_store_begin_epoch(store, tick->source, tick->quote.epoch);
    ss_store_publish(store, tick->source, tick->symbol, &tick->quote);
    ss_bitmap_mark(ss_store_words(store, engine->reader, tick->source), tick->symbol);
}

/* Plays what was published before `until_ns`; 1: the ring is half full, and something is left. */
static inline int ss_play(ss_engine *engine, ss_lane *lanes, uint32_t count, int64_t until_ns) {
    int64_t rival_ns;
    ss_lane *lane;
    uint64_t begun = engine->next_seq;
    while ((lane = ss_play_next(lanes, count, until_ns, &rival_ns)) != NULL) {
        do {
            int64_t at_ns = lane->at_ns[lane->next];
            do
                ss_play_tick(engine, &lane->ticks[lane->next++]);
            while (lane->next < lane->count && lane->at_ns[lane->next] == at_ns);
            ss_engine_step(engine, at_ns - engine->anchor_ns);
            if (engine->corrupt || engine->next_seq - begun > engine->ring->capacity / 2) return 1;
        } while (lane->next < lane->count && lane->at_ns[lane->next] < rival_ns);
    }
    return 0;
}

#endif
