/* A book as its exchange spells it, for checksums: of each level the text, price and size, by price.
 *
 * Used by exchanges/_spelled.pyx. Writer and reader: one feed process. A side holds at most
 * SS_SPELLED_LEVELS, more than any channel shows; a full one gives its worst up. Texts do not move:
 * their places are kept in order, and behind them those that are free.
 */
#ifndef SS_SPELLED_H
#define SS_SPELLED_H

#include <stdint.h>
#include <string.h>

#include "book.h"
#include "levels.h"

#define SS_SPELLED_LEVELS 512
#define SS_CHECKED_LEVELS 25 /* a side, in a checksum */
#define SS_CHECKED_BYTES (2 * SS_CHECKED_LEVELS * SS_SPELLED_MAX)

typedef struct ss_spelled_level {
    double px;
    char text[SS_SPELLED_MAX];
} ss_spelled_level;

typedef struct ss_spelled_side {
    int count;
    ss_spelled_level *at[SS_SPELLED_LEVELS]; /* the best first */
    ss_spelled_level level[SS_SPELLED_LEVELS];
} ss_spelled_side;

static inline void ss_spelled_begin(ss_spelled_side *spelled) {
    spelled->count = 0;
    for (int i = 0; i < SS_SPELLED_LEVELS; i++)
        spelled->at[i] = &spelled->level[i];
}

/* The first level that does not stand before a price. A snapshot comes in order: the last is asked
 * first. */
static inline int ss_spelled_place(const ss_spelled_side *spelled, int side, double px) {
    int low = 0, high = spelled->count;
    if (high > 0 && ss_level_before(side, spelled->at[high - 1]->px, px)) return high;
    while (low < high) {
        int middle = (low + high) / 2;
        if (ss_level_before(side, spelled->at[middle]->px, px))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Says how a level is spelled; a size of 0: there is none. */
static inline void ss_spelled_put(ss_spelled_side *spelled, int side, double px, double sz,
                                  const char text[SS_SPELLED_MAX]) {
    int place = ss_spelled_place(spelled, side, px);
    ss_spelled_level **at = &spelled->at[place], *moved;
    int there = place < spelled->count && (*at)->px == px;
    if (!(sz > 0)) {
        if (!there) return;
        moved = *at;
        memmove(at, at + 1, (size_t)(--spelled->count - place) * sizeof *at);
        spelled->at[spelled->count] = moved;
        return;
    }
    if (!there) {
        if (place == SS_SPELLED_LEVELS) return;
        int last = spelled->count < SS_SPELLED_LEVELS ? spelled->count++ : spelled->count - 1;
        moved = spelled->at[last];
        memmove(at + 1, at, (size_t)(last - place) * sizeof *at);
        *at = moved;
    }
    (*at)->px = px;
    memcpy((*at)->text, text, SS_SPELLED_MAX);
}

/* Both sides' best levels in turn, the longer one's alone in the end, with colons between: how many
 * bytes. */
static inline size_t ss_spelled_text(const ss_spelled_side sides[2], char out[SS_CHECKED_BYTES]) {
    char *p = out;
    for (int place = 0; place < SS_CHECKED_LEVELS; place++)
        for (int side = 0; side < 2; side++) {
            if (place >= sides[side].count) continue;
            const char *text = sides[side].at[place]->text;
            const char *end = memchr(text, 0, SS_SPELLED_MAX);
            size_t size = end ? (size_t)(end - text) : SS_SPELLED_MAX;
            if (p != out) *p++ = ':';
            memcpy(p, text, size);
            p += size;
        }
    return (size_t)(p - out);
}

#endif
