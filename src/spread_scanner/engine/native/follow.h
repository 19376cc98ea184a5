/* What the order books of a pair carry, told once they are there: a record of its own behind the signal.
 *
 * Reads the books; writes the signal ring. A signal owes it from when it is made, and is looked after
 * by the sweep, so that no quote waits for a book. A book counts if it is not from before the quote
 * that the signal was made of, or shows the same tops. Each enter and re-signal is followed once, or
 * counted as missed: when its time is over, its pair has left, or its place in the tables is another's.
 */
#ifndef SS_FOLLOW_H
#define SS_FOLLOW_H

#include <string.h>

#include "freshness.h"
#include "ladder.h"
#include "outward.h"
#include "pairs.h"

#define SS_FOLLOW_NS INT64_C(10000000000)
#define SS_FOLLOW_TURN 8  /* of those that are owed, per sweep: some microseconds */
#define SS_TOP_QUOTE 1e-6 /* a size of next to nothing is the top (view/depth.py) */

static inline ss_owed_leg ss_owed_leg_of(const ss_quote *quote) {
    return (ss_owed_leg){quote->ts_recv, quote->bid_px, quote->ask_px};
}

/* The signal that was made last owes what its books carry. */
static inline void ss_engine_owe(ss_engine *engine, uint32_t index) {
    if (engine->books.slots == 0) return;
    if (engine->owed_count == SS_OWED_MAX) {
        engine->counts[SS_C_BOOKS_MISSED]++;
        return;
    }
    const ss_engine_pair *pair = &engine->tables.pairs[index];
    engine->owed[engine->owed_count++] = (ss_owed){
        .seq = engine->next_seq - 1,
        .until_ns = engine->now_ns + SS_FOLLOW_NS,
        .index = index,
        .spot = ss_owed_leg_of(&engine->quotes[pair->spot_cell]),
        .fut = ss_owed_leg_of(&engine->quotes[pair->fut_cell]),
    };
}

/* Nothing will follow any more on what is owed. */
static inline void ss_engine_forgive(ss_engine *engine) {
    engine->counts[SS_C_BOOKS_MISSED] += engine->owed_count;
    engine->owed_count = 0;
}

/* Whether the book of a leg is there, can be stood behind, and is of the signal's time. */
static inline int ss_engine_book(const ss_engine *engine, uint32_t source, uint32_t symbol,
                                 const ss_owed_leg *leg, ss_book_record *book) {
    return ss_books_read(&engine->books, source, symbol, book) &&
           ss_book_usable(book, engine->alive[source], engine->now_ns + engine->anchor_ns,
                          engine->tables.limits.stale_ns_max) &&
           (book->ts_recv >= leg->ts_recv || (book->level[SS_BIDS][0].px == leg->bid_px &&
                                              book->level[SS_ASKS][0].px == leg->ask_px));
}

static inline ss_quote ss_book_top(const ss_book_record *book) {
    return (ss_quote){.bid_px = book->level[SS_BIDS][0].px, .ask_px = book->level[SS_ASKS][0].px};
}

static inline void ss_engine_fill_rungs(const ss_engine_limits *limits, const ss_engine_pair *pair,
                                        const ss_pair_books *books, const ss_terms *terms,
                                        const ss_quote *spot, const ss_quote *fut,
                                        ss_follow_up *to) {
    for (uint32_t i = 0; i < SS_RUNGS_MAX; i++) {
        double size_quote = i < limits->rungs ? limits->rung_quote[i] : NAN;
        double size = size_quote / spot->ask_px;
        ss_rung rung = {NAN, NAN, NAN, 0.0};
        if (i < limits->rungs && ss_pair_orders(pair, size, spot, fut))
            rung = ss_ladder_rung(books, terms, size);
        to->rung[i].size_quote = (float)size_quote;
        to->rung[i].buy_px = (float)rung.buy_px;
        to->rung[i].sell_px = (float)rung.sell_px;
        to->rung[i].net_bps = (float)rung.net_bps;
        to->thin |= (uint8_t)(rung.thin > 0.0) << i;
    }
}

/* By the terms in force: what leaving is assumed to earn may have been adopted since the signal. */
static inline ss_follow_up ss_engine_follow_up(const ss_engine *engine, const ss_owed *owed,
                                               const ss_book_record *spot,
                                               const ss_book_record *fut) {
    const ss_engine_pair *pair = &engine->tables.pairs[owed->index];
    ss_pair_books books = ss_pair_books_of(spot, fut);
    ss_quote spot_top = ss_book_top(spot), fut_top = ss_book_top(fut);
    double parity =
        ss_parity_bps(ss_entry_bps(&spot_top, &fut_top), ss_exit_bps(&spot_top, &fut_top));
    double close = pair->trusted ? pair->close_bps : ss_close_bps_unknown(parity);
    ss_terms terms = {close, pair->fees_bps, pair->carry_bps, pair->enter_bps, pair->lot_base};
    ss_carried carried = ss_ladder_carried(&books, &terms);
    int orders = ss_pair_orders(pair, carried.size_base, &spot_top, &fut_top);
    double size = orders ? carried.size_base : 0.0;
    uint32_t disagrees = (spot->flags | fut->flags) & SS_BOOK_TOP_DISAGREES;
    int64_t now = ss_engine_clock(engine);
    ss_follow_up made = {
        .seq = engine->next_seq,
        .mono_ns = now,
        .ts_engine = now + engine->anchor_ns,
        .of_seq = owed->seq,
        .spot_update_id = spot->update_id,
        .fut_update_id = fut->update_id,
        .spot_ts_recv = spot->ts_recv,
        .fut_ts_recv = fut->ts_recv,
        .enter_bps = pair->enter_bps,
        .close_bps = close,
        .net_bps = ss_ladder_rung(&books, &terms, SS_TOP_QUOTE / spot_top.ask_px).net_bps,
        .size_base = size,
        .size_quote = ss_size_quote(size, spot_top.ask_px),
        .symbol_id = pair->symbol_id,
        .direction_id = pair->direction_id,
        .kind = SS_BOOK,
        .flags = ss_engine_pair_flags(pair) | SS_AGED | (carried.bounded ? SS_BOUNDED : 0) |
                 (disagrees ? SS_TOP_DISAGREES : 0),
        .generation = engine->tables.generation,
        .instance = engine->instance,
        .usual_generation = engine->usual_generation,
    };
    ss_engine_fill_rungs(&engine->tables.limits, pair, &books, &terms, &spot_top, &fut_top, &made);
    return made;
}

/* Whether a pair has been in ever since. One that left and came back has another signal. */
static inline int ss_engine_stayed(const ss_engine_pair *pair, const ss_owed *owed) {
    return pair->in && pair->exited_mono_ns <= owed->until_ns - SS_FOLLOW_NS;
}

/* 1: nothing is owed any more. Where the ring is full it is tried again. */
static inline int ss_engine_answer(ss_engine *engine, const ss_owed *owed) {
    const ss_engine_pair *pair = &engine->tables.pairs[owed->index];
    if (!ss_engine_stayed(pair, owed) || engine->now_ns > owed->until_ns) {
        engine->counts[SS_C_BOOKS_MISSED]++;
        return 1;
    }
    ss_book_record spot, fut;
    if (!ss_engine_book(engine, pair->spot_source, pair->symbol_id, &owed->spot, &spot) ||
        !ss_engine_book(engine, pair->fut_source, pair->symbol_id, &owed->fut, &fut) ||
        !ss_engine_has_room(engine))
        return 0;
    ss_follow_up made = ss_engine_follow_up(engine, owed, &spot, &fut);
    memcpy(&engine->batch[engine->batch_count], &made, sizeof made);
    ss_engine_append(engine, SS_C_BOOK);
    return 1;
}

/* Some of those that are owed, in turn. */
__attribute__((noinline)) static void ss_engine_follow(ss_engine *engine) {
    uint32_t turns = engine->owed_count < SS_FOLLOW_TURN ? engine->owed_count : SS_FOLLOW_TURN;
    for (; turns > 0; turns--) {
        if (engine->owed_at >= engine->owed_count) engine->owed_at = 0;
        ss_owed *owed = &engine->owed[engine->owed_at];
        if (ss_engine_answer(engine, owed))
            *owed = engine->owed[--engine->owed_count];
        else
            engine->owed_at++;
    }
}

#endif
