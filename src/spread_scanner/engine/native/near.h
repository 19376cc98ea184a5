/* How near pairs are to their thresholds: said once a second, by the look at what leaving earns, and
 * when a pair enters. The feeds follow the order books of those that are near (shm/wants.py).
 *
 * Writes one word per pair: the second, and how many basis points it is over its threshold, infinitely
 * many while it stands. A pair of which nothing is said is not near for long: readers believe a word
 * for some seconds.
 */
#ifndef SS_NEAR_H
#define SS_NEAR_H

#include <math.h>
#include <string.h>

#include "costs.h"
#include "pairs.h"

#define SS_NEAR_SECOND_NS INT64_C(1000000000)

static inline void ss_engine_say_near(ss_engine *engine, const ss_engine_pair *pair,
                                      double over_bps) {
    if (engine->near == NULL) return;
    float over = (float)over_bps;
    uint32_t bits;
    memcpy(&bits, &over, sizeof bits);
    uint64_t second = (uint64_t)(engine->now_ns / SS_NEAR_SECOND_NS);
    uint64_t place = (uint64_t)pair->direction_id * engine->store->max_symbols + pair->symbol_id;
    /* One word, of which nothing else follows. */
    atomic_store_explicit(&engine->near[place], second << 32 | bits, memory_order_relaxed);
}

/* Of a pair whose legs can be stood behind, by the same sums that decide on a signal. */
static inline void ss_engine_tell_near(ss_engine *engine, const ss_engine_pair *pair,
                                       const ss_quote *spot, const ss_quote *fut, double entry,
                                       double parity) {
    if (engine->near == NULL || pair->blocked) return;
    double close = pair->trusted ? pair->close_bps : ss_close_bps_unknown(parity);
    double carried = ss_carried_bps(pair->carry_bps, spot, fut);
    double net = ss_net_bps(entry, close, pair->fees_bps, carried);
    ss_engine_say_near(engine, pair, pair->in ? INFINITY : net - pair->enter_bps);
}

#endif
