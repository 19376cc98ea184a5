/* What the order books of a pair carry: the C twin of schema/ladder.py, line by line; the words are
 * said there.
 *
 * Used by the engine (follow.h), and by screens, tracker and benchmarks through books/_ladder.pyx.
 * test_ladder holds the two together, to the last bit.
 */
#ifndef SS_LADDER_H
#define SS_LADDER_H

#include <math.h>

#include "book.h"
#include "costs.h"

typedef struct ss_terms {
    double close_bps, fees_bps, carry_bps, enter_bps, lot_base;
} ss_terms;

typedef struct ss_rung {
    double buy_px, sell_px, net_bps, thin;
} ss_rung;

typedef struct ss_carried {
    double size_base;
    int bounded;
} ss_carried;

/* The levels of one side that are shown. */
typedef struct ss_side_levels {
    const ss_level *level;
    int count;
    int whole; /* known to its end */
} ss_side_levels;

/* The spot's bids and asks, the perpetual's. */
typedef struct ss_pair_books {
    ss_side_levels side[4];
} ss_pair_books;

enum ss_pair_side { SS_SPOT_BIDS = 0, SS_SPOT_ASKS, SS_FUT_BIDS, SS_FUT_ASKS };

static inline ss_side_levels ss_side_of(const ss_book_record *book, int side) {
    int whole = (book->flags & ss_book_whole(side)) != 0;
    return (ss_side_levels){book->level[side], book->count[side], whole};
}

static inline ss_pair_books ss_pair_books_of(const ss_book_record *spot,
                                             const ss_book_record *fut) {
    return (ss_pair_books){{ss_side_of(spot, SS_BIDS), ss_side_of(spot, SS_ASKS),
                            ss_side_of(fut, SS_BIDS), ss_side_of(fut, SS_ASKS)}};
}

/* Whether all four sides have a level; else nothing may be asked. */
static inline int ss_pair_books_stand(const ss_pair_books *books) {
    return books->side[0].count && books->side[1].count && books->side[2].count &&
           books->side[3].count;
}

static inline double ss_levels_money(const ss_side_levels *side, double size) {
    double left = size, total = 0.0;
    for (int i = 0; i < side->count; i++) {
        double taken = side->level[i].sz < left ? side->level[i].sz : left;
        total += side->level[i].px * taken;
        left -= taken;
        if (left <= 0.0) return total;
    }
    return NAN;
}

static inline ss_rung ss_ladder_rung(const ss_pair_books *books, const ss_terms *terms,
                                     double size) {
    ss_quote spot = {.bid_px = ss_levels_money(&books->side[SS_SPOT_BIDS], size) / size,
                     .ask_px = ss_levels_money(&books->side[SS_SPOT_ASKS], size) / size};
    ss_quote fut = {.bid_px = ss_levels_money(&books->side[SS_FUT_BIDS], size) / size,
                    .ask_px = ss_levels_money(&books->side[SS_FUT_ASKS], size) / size};
    ss_quote spot_top = {.bid_px = books->side[SS_SPOT_BIDS].level[0].px, .ask_px = spot.ask_px};
    ss_quote fut_top = {.ask_px = books->side[SS_FUT_ASKS].level[0].px};
    double moved = ss_exit_bps(&spot, &fut) - ss_exit_bps(&spot_top, &fut_top);
    double carried = ss_carried_bps(terms->carry_bps, &spot, &fut);
    double net =
        ss_net_bps(ss_entry_bps(&spot, &fut), terms->close_bps + moved, terms->fees_bps, carried);
    if (isnan(net)) {
        double px[4] = {spot.bid_px, spot.ask_px, fut.bid_px, fut.ask_px};
        int thin = 0;
        for (int i = 0; i < 4; i++)
            thin |= isnan(px[i]) && books->side[i].whole;
        return (ss_rung){NAN, NAN, NAN, thin};
    }
    return (ss_rung){spot.ask_px, fut.bid_px, net, 0.0};
}

static inline void ss_ladder(const ss_pair_books *books, const ss_terms *terms,
                             const double *sizes_quote, int count, ss_rung *rungs) {
    double top_px = books->side[SS_SPOT_ASKS].level[0].px;
    for (int i = 0; i < count; i++)
        rungs[i] = ss_ladder_rung(books, terms, sizes_quote[i] / top_px);
}

static inline ss_carried ss_ladder_carried(const ss_pair_books *books, const ss_terms *terms) {
    const ss_side_levels *side = books->side;
    double top = side[SS_SPOT_BIDS].level[0].px - side[SS_FUT_ASKS].level[0].px;
    double allowed = terms->close_bps - terms->fees_bps - terms->enter_bps;
    double left[4], spent[4] = {0}, then[4], size = 0.0, over = 0.0;
    int at[4] = {0};
    for (int i = 0; i < 4; i++)
        left[i] = side[i].level[0].sz;
    for (;;) {
        double step = left[0];
        for (int i = 1; i < 4; i++)
            step = left[i] < step ? left[i] : step;
        double size_then = size + step;
        for (int i = 0; i < 4; i++)
            then[i] = spent[i] + side[i].level[at[i]].px * step;
        double moved = then[SS_SPOT_BIDS] - then[SS_FUT_ASKS] - top * size_then;
        double over_then =
            ss_over_money(then[SS_SPOT_ASKS], then[SS_FUT_BIDS], moved, allowed, terms->carry_bps);
        if (!(over_then >= 0.0)) {
            size += step * (over / (over - over_then));
            return (ss_carried){ss_size_base(size, size, terms->lot_base), 0};
        }
        size = size_then;
        over = over_then;
        int ended = 0, whole = 0;
        for (int i = 0; i < 4; i++) {
            spent[i] = then[i];
            left[i] -= step;
            if (left[i] > 0.0) continue;
            if (++at[i] < side[i].count) {
                left[i] = side[i].level[at[i]].sz;
            } else {
                ended = 1;
                whole |= side[i].whole;
            }
        }
        if (ended) return (ss_carried){ss_size_base(size, size, terms->lot_base), !whole};
    }
}

#endif
