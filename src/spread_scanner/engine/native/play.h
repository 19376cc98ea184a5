/* Ticks of a log, played to the loop: each quote is published into a store of its own as its feed did,
 * and the loop goes one step for all that one source received at one time.
 *
 * Writes the store and, through the loop, the ring. Nothing here asks for the time: the same ticks give
 * the same signals, whenever and however often they are played.
 */
#ifndef SS_PLAY_H
#define SS_PLAY_H

#include "engine.h"
#include "lanes.h"

/* The lane whose next tick is the oldest before `until_ns`, of those at one time the first; NULL: none.
 * `*rival_ns`: up to when it stays that. */
static inline ss_lane *ss_play_next(const ss_lanes *lanes, int64_t until_ns, int64_t *rival_ns) {
    ss_lane *found = NULL;
    int64_t found_ns = until_ns;
    *rival_ns = until_ns;
    for (uint32_t i = 0; i < lanes->count; i++) {
        ss_lane *lane = &lanes->lanes[i];
        if (lane->next == lane->end) continue;
        int64_t at_ns = ss_lane_at(lane, lane->next)->at_ns;
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

/* One cycle. What was taken before left nothing dirty: then only this source can be. */
static inline void ss_play_cycle(ss_engine *engine, uint32_t source, int64_t now_mono_ns) {
    int heeded = 0;
    engine->now_ns = now_mono_ns;
    engine->only_source = engine->all_taken ? source + 1 : 0;
    ss_engine_cycle(engine, &heeded);
    engine->only_source = 0;
}

/* Plays what was published before `until_ns`; 1: the ring is half full, and something is left. */
static inline int ss_play(ss_engine *engine, ss_lanes *lanes, int64_t until_ns) {
    int64_t rival_ns;
    ss_lane *lane;
    uint64_t begun = engine->next_seq;
    int full = 0;
    engine->clock_stands = 1;
    while (!full && (lane = ss_play_next(lanes, until_ns, &rival_ns)) != NULL) {
        const ss_lane_tick *at = ss_lane_at(lane, lane->next);
        const ss_lane_tick *end = ss_lane_at(lane, lane->end);
        do {
            int64_t at_ns = at->at_ns;
            uint32_t source = at->tick->source;
            do
                ss_play_tick(engine, at++->tick);
            while (at < end && at->at_ns == at_ns);
            ss_play_cycle(engine, source, at_ns - engine->anchor_ns);
            full = engine->corrupt || engine->next_seq - begun > engine->ring->capacity / 2;
        } while (!full && at < end && at->at_ns < rival_ns);
        lane->next = lane->base + (uint64_t)(at - lane->ticks);
    }
    ss_engine_tell_counts(engine);
    return full;
}

#endif
