/* One order book while it is followed: at most SS_LEVELS_KEPT levels a side, the best first.
 *
 * Writer:  the feed that follows it, one thread.     Readers: nobody else; what others see of it is
 * the record that ss_order_book_show fills.
 *
 * A side is *cut* when levels exist, or may, beyond its last one: a snapshot that shows the first
 * levels only, or more than are kept. Beyond a cut side's horizon nothing is known: what is said of
 * a price there is dropped, as a level would stand with unknown ones before it. So what is kept is
 * always without a hole, and when too little of it is left the book is DEPLETED.
 */
#ifndef SS_ORDER_BOOK_H
#define SS_ORDER_BOOK_H

#include <math.h>
#include <string.h>

#include "book.h"
#include "quote.h"

typedef struct ss_book_levels {
    int count;
    int cut;        /* more may exist beyond */
    double horizon; /* of a cut side: the last price of which all is known; else unused */
    ss_level level[SS_LEVELS_KEPT];
} ss_book_levels;

typedef struct ss_order_book {
    ss_book_levels side[2]; /* ss_book_side */
    uint64_t refused; /* levels that cannot be: neither price above zero nor size of at least it */
} ss_order_book;

/* The first level that does not stand before a price: its own, or where it would go. Most of what
 * changes is near the top, so the first ones are looked at in turn. */
static inline int ss_level_place(const ss_book_levels *levels, int side, double px) {
    int low = 0, high = levels->count;
    for (; low < 4; low++)
        if (low == high || !ss_level_before(side, levels->level[low].px, px)) return low;
    while (low < high) {
        int middle = (low + high) / 2;
        if (ss_level_before(side, levels->level[middle].px, px))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static inline void ss_level_remove(ss_book_levels *levels, int place) {
    levels->count--;
    memmove(&levels->level[place], &levels->level[place + 1],
            (size_t)(levels->count - place) * sizeof(ss_level));
}

/* A full side gives its worst up, which may be the new one. */
static inline void ss_level_insert(ss_book_levels *levels, int place, double px, double sz) {
    if (levels->count == SS_LEVELS_KEPT) {
        levels->cut = 1;
        if (place == SS_LEVELS_KEPT) {
            levels->horizon = levels->level[SS_LEVELS_KEPT - 1].px;
            return;
        }
        levels->count--;
    }
    memmove(&levels->level[place + 1], &levels->level[place],
            (size_t)(levels->count - place) * sizeof(ss_level));
    levels->level[place] = (ss_level){px, sz};
    levels->count++;
    if (levels->count == SS_LEVELS_KEPT && levels->cut)
        levels->horizon = levels->level[SS_LEVELS_KEPT - 1].px;
}

/* Knows nothing: both sides may have levels anywhere, and none is said. */
static inline void ss_order_book_clear(ss_order_book *book) {
    for (int side = 0; side < 2; side++) {
        book->side[side].count = 0;
        book->side[side].cut = 1;
        book->side[side].horizon = side == SS_BIDS ? INFINITY : 0.0;
    }
}

/* A snapshot follows: both sides are empty, and there is no bound to what is said of them. */
static inline void ss_order_book_begin(ss_order_book *book) {
    for (int side = 0; side < 2; side++) {
        book->side[side].count = 0;
        book->side[side].cut = 0;
        book->side[side].horizon = NAN;
    }
}

/* Says the size that stands at a price; 0: none does. */
static inline void ss_order_book_put(ss_order_book *book, int side, double px, double sz) {
    ss_book_levels *levels = &book->side[side];
    if (isnan(px) || !ss_side_possible(px, sz)) {
        book->refused++;
        return;
    }
    if (levels->cut && ss_level_before(side, levels->horizon, px)) return;
    int place = ss_level_place(levels, side, px);
    int there = place < levels->count && levels->level[place].px == px;
    if (there && sz == 0)
        ss_level_remove(levels, place);
    else if (there)
        levels->level[place].sz = sz;
    else if (sz > 0)
        ss_level_insert(levels, place, px, sz);
}

/* The snapshot is over. It shows `levels_max` of a side at most; 0: all. Beyond the last level
 * of a side that has as many more may lie. */
static inline void ss_order_book_end(ss_order_book *book, int levels_max) {
    if (levels_max == 0) return;
    for (int side = 0; side < 2; side++) {
        ss_book_levels *levels = &book->side[side];
        if (levels->count < levels_max || levels->cut) continue;
        levels->cut = 1;
        levels->horizon = levels->level[levels->count - 1].px;
    }
}

static inline int ss_order_book_crossed(const ss_order_book *book) {
    const ss_book_levels *bids = &book->side[SS_BIDS], *asks = &book->side[SS_ASKS];
    return bids->count && asks->count && bids->level[0].px >= asks->level[0].px;
}

/* The flags that follow from the levels. */
static inline uint32_t ss_order_book_flags(const ss_order_book *book) {
    static const uint32_t empty[2] = {SS_BOOK_BID_EMPTY, SS_BOOK_ASK_EMPTY};
    uint32_t flags = ss_order_book_crossed(book) ? SS_BOOK_CROSSED : 0;
    for (int side = 0; side < 2; side++) {
        const ss_book_levels *levels = &book->side[side];
        if (levels->count == 0) flags |= empty[side];
        if (!levels->cut) continue;
        flags |= SS_BOOK_PARTIAL;
        if (levels->count < SS_LEVELS_LEAST) flags |= SS_BOOK_DEPLETED;
    }
    return flags;
}

/* Fills a record's levels, counts and the flags that follow; ids and times are the caller's. */
static inline void ss_order_book_show(const ss_order_book *book, int levels_max,
                                      ss_book_record *record) {
    record->flags |= ss_order_book_flags(book);
    for (int side = 0; side < 2; side++) {
        const ss_book_levels *levels = &book->side[side];
        int shown = levels->count < levels_max ? levels->count : levels_max;
        record->count[side] = (uint8_t)shown;
        record->kept[side] = (uint16_t)levels->count;
        if (!levels->cut && shown == levels->count) record->flags |= ss_book_whole(side);
        memcpy(record->level[side], levels->level, (size_t)shown * sizeof(ss_level));
        for (int place = shown; place < SS_LEVELS_SHOWN; place++)
            record->level[side][place] = (ss_level){NAN, NAN};
    }
}

#endif
