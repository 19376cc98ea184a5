/* What leaving each pair usually earns: a look a second.
 *
 * Writes the sums of the pairs, which the process adopts once a minute (engine/basis.py). A look
 * weighs half as much after each half-life; time counts suspend, as the clock of the loop does. The
 * pairs of one look are spread over as many cycles as it takes, some few microseconds each.
 */
#ifndef SS_USUAL_H
#define SS_USUAL_H

#include <math.h>

#include "costs.h"
#include "freshness.h"
#include "pairs.h"

#define SS_LOOK_NS INT64_C(1000000000)
#define SS_LOOK_PAIRS_MAX 256 /* per cycle */

/* Begins a look when a second is over; 0 while none is due. After a gap of more than a half-life what
 * was seen before it says nothing any more. */
static inline int ss_engine_look_due(ss_engine *engine) {
    int64_t tick = engine->now_ns / SS_LOOK_NS;
    if (tick == engine->look_tick) return 0;
    int64_t passed_s = engine->look_tick == 0 ? 0 : tick - engine->look_tick;
    double half_lives = (double)passed_s / engine->tables.limits.half_life_s;
    engine->look_tick = tick;
    engine->look_decay = half_lives > 1.0 || half_lives < 0.0 ? 0.0 : exp2(-half_lives);
    engine->look_at = 0;
    return engine->tables.pair_count > 0;
}

static inline void ss_engine_look_at(ss_engine *engine, ss_engine_pair *pair) {
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    pair->weight *= engine->look_decay;
    pair->exit_sum *= engine->look_decay;
    pair->parity_sum *= engine->look_decay;
    int64_t now_ns = engine->now_ns + engine->anchor_ns;
    int64_t stale_ns_max = engine->tables.limits.stale_ns_max;
    int usable = ss_usable(spot, engine->alive[pair->spot_source], engine->epoch[pair->spot_source],
                           now_ns, stale_ns_max) &&
                 ss_usable(fut, engine->alive[pair->fut_source], engine->epoch[pair->fut_source],
                           now_ns, stale_ns_max);
    if (!usable || pair->quarantined) return;
    double entry = ss_entry_bps(spot, fut), leaving = ss_exit_bps(spot, fut);
    double implausible_bps = engine->tables.limits.implausible_bps;
    if (!ss_plausible(ss_mid_basis_bps(entry, leaving), implausible_bps)) return;
    pair->weight += 1.0;
    pair->exit_sum += leaving;
    pair->parity_sum += ss_parity_bps(entry, leaving);
}

/* As much of the look as one cycle is to give to it. */
static inline void ss_engine_look(ss_engine *engine) {
    uint32_t pairs = engine->tables.pair_count;
    if (engine->look_at >= pairs && !ss_engine_look_due(engine)) return;
    uint32_t until = engine->look_at + SS_LOOK_PAIRS_MAX;
    if (until > pairs) until = pairs;
    for (; engine->look_at < until; engine->look_at++)
        ss_engine_look_at(engine, &engine->tables.pairs[engine->look_at]);
}

#endif
