/* Ticks of a log on their way to be played: by source, in its order, each with the time at which it was
 * published. The ticks stay where the log has them; the caller keeps that memory for as long as a lane
 * points into it.
 *
 * What was played stays for a while, so that the quotes of a signal are found; of what was let go, each
 * symbol's last quote is kept.
 */
#ifndef SS_LANES_H
#define SS_LANES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tape.h"

typedef struct ss_lane_tick {
    const ss_tick *tick;
    int64_t at_ns;   /* when it was published, on the session clock */
    uint64_t before; /* position plus one of its symbol's tick before; 0: none */
} ss_lane_tick;

/* Of one symbol: what its last tick was, and where. */
typedef struct ss_lane_cell {
    int64_t ts_recv;
    uint64_t update_id;
    uint64_t last; /* position plus one; 0: none */
} ss_lane_cell;

/* Of one source. Positions count all that it ever had; `base` is that of ticks[0]. */
typedef struct ss_lane {
    ss_lane_tick *ticks;
    uint64_t room, base, next, end;
    ss_lane_cell *cells;
    ss_quote *gone; /* by symbol, the last that was let go */
} ss_lane;

typedef struct ss_lanes {
    ss_lane *lanes;
    uint32_t count, symbols;
} ss_lanes;

#define SS_LANE_ROOM 1024

static inline ss_lane_tick *ss_lane_at(const ss_lane *lane, uint64_t position) {
    return &lane->ticks[position - lane->base];
}

static inline void ss_lanes_free(ss_lanes *lanes) {
    for (uint32_t i = 0; i < lanes->count && lanes->lanes != NULL; i++) {
        free(lanes->lanes[i].ticks);
        free(lanes->lanes[i].cells);
        free(lanes->lanes[i].gone);
    }
    free(lanes->lanes);
    *lanes = (ss_lanes){0};
}

/* 0, or -1 without memory. */
static inline int ss_lanes_new(ss_lanes *lanes, uint32_t count, uint32_t symbols) {
    *lanes = (ss_lanes){.count = count, .symbols = symbols};
    lanes->lanes = (ss_lane *)calloc(count, sizeof(ss_lane));
    if (lanes->lanes == NULL) return -1;
    for (uint32_t i = 0; i < count; i++) {
        ss_lane *lane = &lanes->lanes[i];
        lane->cells = (ss_lane_cell *)calloc(symbols, sizeof(ss_lane_cell));
        lane->gone = (ss_quote *)calloc(symbols, sizeof(ss_quote));
        if (lane->cells == NULL || lane->gone == NULL) {
            ss_lanes_free(lanes);
            return -1;
        }
        for (uint32_t symbol = 0; symbol < symbols; symbol++)
            lane->cells[symbol].ts_recv = lane->gone[symbol].ts_recv = INT64_MIN;
    }
    return 0;
}

static inline int ss_lane_grow(ss_lane *lane) {
    uint64_t room = lane->room == 0 ? SS_LANE_ROOM : 2 * lane->room;
    void *ticks = realloc(lane->ticks, room * sizeof(ss_lane_tick));
    if (ticks == NULL) return -1;
    lane->ticks = (ss_lane_tick *)ticks;
    lane->room = room;
    return 0;
}

/* A quote was published when it was received; what was published anew of a quote (a mark) not before
 * that, nor later than it was written or its source's next quote came. */
static inline void ss_lane_put(ss_lane *lane, const ss_tick *tick, int64_t written_ns,
                               int64_t since_ns) {
    const ss_quote *quote = &tick->quote;
    ss_lane_cell *cell = &lane->cells[tick->symbol];
    int again = quote->ts_recv == cell->ts_recv && quote->update_id == cell->update_id;
    int64_t at_ns = again ? written_ns : quote->ts_recv;
    if (at_ns < since_ns) at_ns = since_ns;
    for (uint64_t i = lane->end; i > lane->next && ss_lane_at(lane, i - 1)->at_ns > at_ns; i--)
        ss_lane_at(lane, i - 1)->at_ns = at_ns;
    *ss_lane_at(lane, lane->end) = (ss_lane_tick){tick, at_ns, cell->last};
    *cell = (ss_lane_cell){quote->ts_recv, quote->update_id, ++lane->end};
}

/* Takes ticks that were written at one time, in the log's order, and are played at `since_ns` at the
 * earliest: how many. Less than all: the next is of no source or symbol that there is (-1: no memory is
 * left). `*newest_ns`: when the last of them is played at the latest. */
static inline int64_t ss_lanes_hear(ss_lanes *lanes, const ss_tick *ticks, uint64_t count,
                                    int64_t written_ns, int64_t since_ns, int64_t *newest_ns) {
    *newest_ns = INT64_MIN;
    for (uint64_t i = 0; i < count; i++) {
        const ss_tick *tick = &ticks[i];
        if (tick->source >= lanes->count || tick->symbol >= lanes->symbols) return (int64_t)i;
        ss_lane *lane = &lanes->lanes[tick->source];
        if (lane->end - lane->base == lane->room && ss_lane_grow(lane) != 0) return -1;
        ss_lane_put(lane, tick, written_ns, since_ns);
        int64_t at_ns = ss_lane_at(lane, lane->end - 1)->at_ns;
        if (at_ns > *newest_ns) *newest_ns = at_ns;
    }
    return (int64_t)count;
}

/* Forgets what was played and published before that. */
static inline void ss_lanes_let_go(ss_lanes *lanes, int64_t before_ns) {
    for (uint32_t i = 0; i < lanes->count; i++) {
        ss_lane *lane = &lanes->lanes[i];
        uint64_t at = lane->base;
        for (; at < lane->next && ss_lane_at(lane, at)->at_ns < before_ns; at++) {
            const ss_tick *tick = ss_lane_at(lane, at)->tick;
            lane->gone[tick->symbol] = tick->quote;
        }
        memmove(lane->ticks, ss_lane_at(lane, at), (lane->end - at) * sizeof(ss_lane_tick));
        lane->base = at;
    }
}

/* The place of the first tick that was published after that. */
static inline uint64_t ss_lane_after(const ss_lane *lane, int64_t ns) {
    uint64_t begin = lane->base, end = lane->end;
    while (begin < end) {
        uint64_t middle = begin + (end - begin) / 2;
        if (ss_lane_at(lane, middle)->at_ns > ns)
            end = middle;
        else
            begin = middle + 1;
    }
    return begin;
}

/* How long after that the next tick of a symbol was published, or `most_ns`. */
static inline int64_t ss_lane_held_ns(const ss_lane *lane, uint32_t symbol, int64_t ns,
                                      int64_t most_ns) {
    for (uint64_t at = ss_lane_after(lane, ns); at < lane->end; at++) {
        const ss_lane_tick *found = ss_lane_at(lane, at);
        if (found->at_ns - ns >= most_ns) break;
        if (found->tick->symbol == symbol) return found->at_ns - ns;
    }
    return most_ns;
}

/* The newest quote of a symbol with those values, whatever its flags, or NULL. */
static inline const ss_quote *ss_lane_find(const ss_lane *lane, uint32_t symbol,
                                           const ss_quote *like) {
    const size_t values = offsetof(ss_quote, flags);
    for (uint64_t at = lane->cells[symbol].last; at > lane->base;) {
        const ss_lane_tick *found = ss_lane_at(lane, at - 1);
        if (memcmp(&found->tick->quote, like, values) == 0) return &found->tick->quote;
        at = found->before;
    }
    const ss_quote *gone = &lane->gone[symbol];
    return memcmp(gone, like, values) == 0 ? gone : NULL;
}

#endif
