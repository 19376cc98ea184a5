/* A source's cells as its feed writes them: what is stored, and what is learned from it.
 *
 * Writer: the feed's one thread, per quote, under the source's claim. Readers: whoever reads the
 * store; who waits for quotes is woken by the listener, once per read of its socket.
 */
#ifndef SS_BOARD_H
#define SS_BOARD_H

#include <stdint.h>

#include "best_lag.h"
#include "standing.h"
#include "store.h"

/* Symbols whose time goes back, for the exchange to have set its clock: half of those that were
 * heard, within these bounds. One or two may be dated wrongly by themselves. */
enum { SS_MANY_MIN = 3, SS_MANY_MAX = 8 };

/* The feed looks at its connections ten times a second. When it has not for so long, it was stopped:
 * what it reads now may have come long ago. */
#define SS_STALL_NS SS_NS_PER_S

typedef struct ss_board {
    ss_store *store;
    uint32_t source_id, max_symbols, epoch;
    ss_memory *memory; /* by symbol id */
    ss_best_lag *best;
    ss_silence silence; /* of its symbols */
    int64_t looked_ns;  /* when the feed looked last; 0: it never has */
    int64_t deaf_ns;    /* until then nothing was read; 0: all was */
    int changed;        /* a cell was, and its readers have not been woken yet */
} ss_board;

/* A read of the socket begins. */
static inline void ss_board_at(ss_board *board, int64_t mono_ns) {
    if (board->looked_ns && mono_ns - board->looked_ns > SS_STALL_NS) board->deaf_ns = mono_ns;
    ss_lag_at(board->best, mono_ns);
    ss_store_look(board->store);
}

/* How many symbols speak for the exchange. */
static inline int ss_board_many(const ss_board *board) {
    int heard = 0;
    for (uint32_t symbol = 0; symbol < board->max_symbols && heard < 2 * SS_MANY_MAX; symbol++)
        heard += board->memory[symbol].heard_ns != 0;
    return heard / 2 > SS_MANY_MIN ? heard / 2 : SS_MANY_MIN;
}

/* Whether a quote that is to be stored is dated before the one that stands, as no path makes it. Of
 * one without a time nothing is before. */
static inline int ss_goes_back(const ss_quote *old, const ss_quote *quote) {
    return quote->ts_event != SS_TS_ABSENT && old->ts_event != SS_TS_ABSENT &&
           quote->ts_event < old->ts_event - SS_LAG_BACK_NS && !(old->flags & SS_FLAG_STALE) &&
           (quote->update_id > old->update_id || quote->update_id == 0);
}

/* The same quote again takes a mark back that it does not bear itself: one that came late or on a
 * silent connection is known to stand now. */
static inline void ss_board_lift(ss_board *board, uint32_t symbol, const ss_quote *quote,
                                 const ss_quote *old, uint32_t flag) {
    if (old->flags & ~quote->flags & flag) {
        ss_quote again = *old;
        again.flags &= ~flag;
        ss_store_put(board->store, board->source_id, symbol, &again);
        board->changed = 1;
    }
}

/* Stores a quote unless its update id says that it is old news; returns what became of it. `old` is
 * the one that stands, NULL when none was ever written. */
static inline int ss_board_put(ss_board *board, uint32_t symbol, ss_quote *quote,
                               const ss_quote *old, uint32_t connection) {
    ss_memory *memory = &board->memory[symbol];
    int outcome = SS_STORED;
    quote->epoch = board->epoch;
    ss_quote_derive(quote);
    if (old) {
        outcome = ss_judge(old, quote, memory->wrote == 0 || memory->wrote == connection);
        if (outcome == SS_REPEAT) ss_board_lift(board, symbol, quote, old, SS_FLAG_LAGGING);
        if (outcome == SS_DUPLICATE) ss_board_lift(board, symbol, quote, old, SS_FLAG_SILENT);
        if (outcome >= SS_DUPLICATE || outcome == SS_REPEAT) return outcome;
        if (outcome == SS_STORED && memory->wrote == connection && ss_goes_back(old, quote)) {
            int untimely = old->flags & SS_FLAG_LAGGING || ss_lag_odd(board->best, memory->news_ns);
            int64_t before_ns = untimely ? INT64_MIN : old->ts_recv - old->ts_event;
            ss_lag_gone_back(board->best, ss_board_many(board), before_ns);
        }
    }
    ss_memory_level(memory, quote);
    ss_store_put(board->store, board->source_id, symbol, quote);
    board->changed = 1;
    memory->wrote = connection;
    return outcome;
}

#endif
