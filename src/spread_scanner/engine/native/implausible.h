/* Legs that are not one coin at one time, and what stands so for so long that it is blocked until it
 * is judged anew.
 *
 * Writes what a pair has of it. The process notes who was barred and keeps it (engine/blocks.py).
 * What stands is swept (pair->waiting), so that a leg that ages ends it in time; where nobody looked
 * for longer than a second, nothing is known to have stood.
 */
#ifndef SS_IMPLAUSIBLE_H
#define SS_IMPLAUSIBLE_H

#include "freshness.h"
#include "inward.h"
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

/* Whether a leg stands alone against the other sources that quote its coin and can be stood behind. */
static inline int ss_engine_leg_alone(const ss_engine *engine, uint32_t cell, uint32_t own) {
    double others[SS_ENGINE_SOURCES_MAX];
    uint32_t count = 0, symbols = engine->store->max_symbols, symbol = cell % symbols;
    uint64_t kin = engine->tables.kin[cell] & ~(UINT64_C(1) << own);
    for (; kin != 0; kin &= kin - 1) {
        uint32_t source = (uint32_t)__builtin_ctzll(kin);
        const ss_quote *quote = &engine->quotes[source * symbols + symbol];
        if (ss_engine_usable(engine, source, quote)) others[count++] = ss_mid_px(quote);
    }
    return ss_alone(ss_mid_px(&engine->quotes[cell]), others, count,
                    engine->tables.limits.implausible_bps);
}

/* Whether all that quote the coin of a leg are so near it that it cannot be alone: a product and two
 * comparisons for each of them, nearer than the limit by more than what rounds. A side that is not
 * there is far from nothing. */
static inline int ss_engine_leg_together(const ss_engine *engine, uint32_t cell) {
    double near = ss_stray_share_min(engine->tables.limits.implausible_bps);
    double sum = engine->tops[cell].bid_px + engine->tops[cell].ask_px;
    uint32_t symbols = engine->store->max_symbols, symbol = cell % symbols;
    for (uint64_t kin = engine->tables.kin[cell]; kin != 0; kin &= kin - 1) {
        uint32_t source = (uint32_t)__builtin_ctzll(kin);
        const ss_top *top = &engine->tops[source * symbols + symbol];
        double other = top->bid_px + top->ask_px;
        if (sum > other * (1.0 + near) || sum < other * (1.0 - near)) return 0;
    }
    return 1;
}

/* Asked only of what would be signalled, has stood so, or is far from another source: it takes a look
 * at every source. */
__attribute__((noinline)) static uint32_t ss_engine_alone(const ss_engine *engine,
                                                          const ss_engine_pair *pair) {
    uint32_t spot = ss_engine_leg_alone(engine, pair->spot_cell, pair->spot_source);
    uint32_t fut = ss_engine_leg_alone(engine, pair->fut_cell, pair->fut_source);
    return spot * SS_SPOT_ALONE | fut * SS_FUT_ALONE;
}

/* The same of a pair that is looked at every second: mostly none of its sources is far from it. */
static inline int ss_engine_looks_alone(const ss_engine *engine, const ss_engine_pair *pair) {
    if (ss_engine_leg_together(engine, pair->spot_cell) &&
        ss_engine_leg_together(engine, pair->fut_cell))
        return 0;
    return ss_engine_alone(engine, pair) != 0;
}

/* Whether what would be signalled has a leg alone: the pair does not stand then, and from now on that
 * is minded. */
static inline int ss_engine_strays(const ss_engine *engine, ss_found *found) {
    ss_engine_pair *pair = &engine->tables.pairs[found->index];
    found->alone = ss_engine_alone(engine, pair);
    if (!found->alone) return 0;
    found->plausible = 0;
    if (pair->implausible_ns == 0)
        pair->implausible_ns = ss_engine_absurd_from(engine, &engine->quotes[pair->spot_cell],
                                                     &engine->quotes[pair->fut_cell]);
    return 1;
}

/* Whether a leg that left its level keeps back a signal, or has once and still is away from it. */
static inline int ss_engine_leapt(const ss_engine_pair *pair, const ss_found *found, int stood) {
    return (found->spot_jumped | found->fut_jumped) && (stood || found->net_bps >= pair->enter_bps);
}

/* Whether gross is beyond what can be, a leg has left its level, or goes on being alone, by two legs
 * that count; bars the pair when that has stood for long enough. Both legs must have been quoted anew
 * meanwhile: one absurd message that is followed by nothing bars nobody. A wide book, which is far
 * below zero, is no other coin. */
static inline int ss_engine_mind_absurd(ss_engine *engine, ss_found *found) {
    ss_engine_pair *pair = &engine->tables.pairs[found->index];
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    int counts = ss_engine_spot_told(found) && ss_engine_fut_told(found) &&
                 !ss_skewed(spot, fut, engine->tables.limits.skew_ns_max) && !pair->blocked;
    int stood = pair->implausible_ns != 0 && pair->implausible_ns >= engine->unbroken_ns;
    if (counts && stood) found->alone = ss_engine_alone(engine, pair);
    if (!(counts && (found->gross_bps > engine->tables.limits.implausible_bps || found->alone ||
                     ss_engine_leapt(pair, found, stood)))) {
        pair->implausible_ns = 0;
        return 0;
    }
    if (!stood) pair->implausible_ns = ss_engine_absurd_from(engine, spot, fut);
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
