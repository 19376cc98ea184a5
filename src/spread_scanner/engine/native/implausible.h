/* Pairs whose legs stand too far apart for so long that they are blocked until they are judged anew.
 *
 * Writes what a pair has of it. The process notes who was barred and keeps it (engine/blocks.py).
 * What stands is swept (pair->waiting), so that a leg that ages ends it in time; where nobody looked
 * for longer than a second, nothing is known to have stood.
 */
#ifndef SS_IMPLAUSIBLE_H
#define SS_IMPLAUSIBLE_H

#include "freshness.h"
#include "outward.h"
#include "pairs.h"

static inline void ss_engine_feel_gap(ss_engine *engine) {
    if (engine->now_ns - engine->cycled_ns > SS_ENGINE_SUSPEND_NS)
        engine->unbroken_ns = engine->now_ns;
    engine->cycled_ns = engine->now_ns;
}

/* When a stand begins that is seen first now: not before its quotes came, as one may have come within
 * this cycle. */
static inline int64_t ss_engine_absurd_from(const ss_engine *engine, const ss_quote *spot,
                                            const ss_quote *fut) {
    int64_t newest_ns = spot->ts_recv > fut->ts_recv ? spot->ts_recv : fut->ts_recv;
    newest_ns -= engine->anchor_ns;
    return newest_ns > engine->now_ns ? newest_ns : engine->now_ns;
}

/* Whether gross is beyond what can be, by two legs that count; bars the pair when that has stood for
 * long enough. Both legs must have been quoted anew meanwhile: one absurd message that is followed by
 * nothing bars nobody. A wide book, which is far below zero, is no other coin. */
static inline int ss_engine_mind_absurd(ss_engine *engine, const ss_found *found) {
    ss_engine_pair *pair = &engine->tables.pairs[found->index];
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    int absurd = found->gross_bps > engine->tables.limits.implausible_bps && found->spot_ok &&
                 found->fut_ok && !ss_skewed(spot, fut, engine->tables.limits.skew_ns_max) &&
                 !pair->blocked;
    if (!absurd) {
        pair->implausible_ns = 0;
        return 0;
    }
    if (pair->implausible_ns == 0 || pair->implausible_ns < engine->unbroken_ns)
        pair->implausible_ns = ss_engine_absurd_from(engine, spot, fut);
    int64_t from_ns = pair->implausible_ns + engine->anchor_ns;
    if (engine->now_ns - pair->implausible_ns < engine->tables.limits.implausible_hold_ns ||
        spot->ts_recv <= from_ns || fut->ts_recv <= from_ns || pair->in)
        return 1;
    pair->barred = 1;
    pair->blocked = SS_BLOCKED;
    pair->barred_gross_bps = found->gross_bps;
    pair->implausible_ns = 0;
    engine->counts[SS_C_BLOCKS]++;
    return 0;
}

#endif
