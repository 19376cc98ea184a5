/* The way of a swap, piece by piece: what all of each piece uses and gives is worked out once, so that
 * an amount is looked up among the sums, and only the piece that it ends in is worked out anew.
 *
 * Pieces are of one size, bins or stretches between ticks; who goes the way knows what they are.
 */
#ifndef SS_WAY_H
#define SS_WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* What was used, what was given or paid for it, and what was kept. */
typedef struct {
    uint64_t used, other, fee;
} ss_sum;

/* The pieces that are known, and the sums before each and after the last that is gone through. */
typedef struct {
    void *pieces;
    ss_sum *sums;
    ptrdiff_t known, through, room;
} ss_way;

/* For one piece more, and the sums after it; false: there is no memory. */
static inline bool ss_way_room(ss_way *way, size_t piece_bytes) {
    ptrdiff_t room = way->room ? 2 * way->room : 8;
    void *pieces, *sums;
    if (way->known + 1 < way->room) return true;
    pieces = realloc(way->pieces, (size_t)room * piece_bytes);
    if (pieces) way->pieces = pieces;
    sums = realloc(way->sums, (size_t)room * sizeof(ss_sum));
    if (sums) way->sums = (ss_sum *)sums;
    if (!pieces || !sums) return false;
    if (!way->room) way->sums[0] = (ss_sum){0, 0, 0};
    way->room = room;
    return true;
}

static inline void ss_way_free(ss_way *way) {
    free(way->pieces);
    free(way->sums);
}

/* The place of the first sum that is no less; one beyond the last where there is none. */
static inline ptrdiff_t ss_way_place(const ss_way *way, uint64_t wanted) {
    ptrdiff_t low = 0, high = way->through + 1, middle;
    while (low < high) {
        middle = (low + high) / 2;
        if (way->sums[middle].used < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What was before, and a piece; false: more than 64 bits. */
static inline bool ss_sum_add(const ss_sum *before, const ss_sum *piece, ss_sum *after) {
    return !__builtin_add_overflow(before->used, piece->used, &after->used) &&
           !__builtin_add_overflow(before->other, piece->other, &after->other) &&
           !__builtin_add_overflow(before->fee, piece->fee, &after->fee);
}

#endif
