/* The way back through one cell's ticks: each says how many records before it the last one of its
 * cell stands in the log; 0: this writer has written none, or too long ago for a word.
 *
 * Writer: the log's, for one of its lives.     Readers: anyone; who follows a way checks where it
 * leads, as an older version's ticks have no ways.
 */
#ifndef SS_BACKS_H
#define SS_BACKS_H

#include <stddef.h>
#include <string.h>

#include "quote.h"

enum { SS_BACKS_SOURCES = 64, SS_BACKS_SYMBOLS = 65536 };

/* schema.log.LOGGED_TICK_DTYPE */
typedef struct ss_logged_tick {
    uint64_t number;
    uint16_t symbol, source;
    uint32_t back;
    ss_quote quote;
} ss_logged_tick;

_Static_assert(sizeof(ss_logged_tick) == 80, "a tick");

/* Blocks of ticks by the sequence of their first, ascending. */
typedef struct ss_tick_blocks {
    const uint64_t *first, *count, *address;
    ptrdiff_t blocks;
} ss_tick_blocks;

/* Copies ticks, of which the first has this sequence. `next` has, by cell, the sequence behind its
 * last one, 0 for none. */
static inline void ss_backs_put(uint64_t *next, unsigned char *to, const unsigned char *from,
                                ptrdiff_t count, uint64_t seq) {
    const ptrdiff_t size = sizeof(ss_logged_tick);
    for (ptrdiff_t n = 0; n < count; n++, seq++, to += size, from += size) {
        __builtin_prefetch(from + 1024); /* across borders of pages, where the CPU's own ends */
        uint32_t back = 0;
        uint16_t symbol, source;
        memcpy(&symbol, from + offsetof(ss_logged_tick, symbol), sizeof symbol);
        memcpy(&source, from + offsetof(ss_logged_tick, source), sizeof source);
        if (source < SS_BACKS_SOURCES) {
            uint64_t *cell = &next[(size_t)source * SS_BACKS_SYMBOLS + symbol];
            if (*cell && seq + 1 - *cell <= UINT32_MAX) back = (uint32_t)(seq + 1 - *cell);
            *cell = seq + 1;
        }
        memcpy(to, from, (size_t)size); /* not by way of a tick: its word would be waited for */
        memcpy(to + offsetof(ss_logged_tick, back), &back, sizeof back);
    }
}

/* The tick of that sequence; NULL where no block has it. `at` is where to look first. */
static inline const unsigned char *ss_backs_find(const ss_tick_blocks *of, uint64_t seq,
                                                 ptrdiff_t *at) {
    ptrdiff_t low = 0, high = *at + 1; /* a way leads back: not behind where it came from */
    while (low < high) {
        ptrdiff_t middle = low + (high - low) / 2;
        if (of->first[middle] <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || seq - of->first[low - 1] >= of->count[low - 1]) return NULL;
    *at = low - 1;
    return (const unsigned char *)(uintptr_t)of->address[low - 1] +
           (seq - of->first[low - 1]) * sizeof(ss_logged_tick);
}

/* Copies the ticks of a cell from that sequence on back to `since`, the newest first, `most` at
 * most; returns how many. `*seq` is the last that was taken, or where no tick of the cell was. */
static inline ptrdiff_t ss_backs_follow(const ss_tick_blocks *of, uint64_t *seq, uint64_t since,
                                        uint16_t source, uint16_t symbol, unsigned char *to,
                                        ptrdiff_t most) {
    ptrdiff_t at = of->blocks - 1, taken = 0;
    ss_logged_tick tick;
    for (uint64_t next = *seq; taken < most && next >= since;) {
        const unsigned char *place = ss_backs_find(of, next, &at);
        if (!place) break;
        memcpy(&tick, place, sizeof tick);
        if (tick.source != source || tick.symbol != symbol) break;
        *seq = next;
        memcpy(to + taken++ * (ptrdiff_t)sizeof tick, &tick, sizeof tick);
        if (!tick.back || tick.back > next) break;
        next -= tick.back;
    }
    return taken;
}

#endif
