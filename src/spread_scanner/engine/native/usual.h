/* What leaving each pair usually earns: a look a second, and once a minute what the looks amount to.
 *
 * Writes the sums of the pairs, and, when the process adopts a generation (engine/basis.py), what the
 * pairs are assumed to earn by them. A look weighs half as much after each half-life; time counts
 * suspend, as the clock of the loop does. The pairs of one look are spread over as many cycles as it
 * takes, some few microseconds each, and none is parked in between; an adoption is one pass over all of them, between two cycles.
 */
#ifndef SS_USUAL_H
#define SS_USUAL_H

#include <math.h>

#include "costs.h"
#include "freshness.h"
#include "implausible.h"
#include "inward.h"
#include "near.h"
#include "pairs.h"

#define SS_LOOK_NS INT64_C(1000000000)
#define SS_LOOK_PAIRS_MAX 128 /* per cycle */
#define SS_SLACK_BPS 1e-6     /* the loop's first test may let through what the exact one refuses */

/* Since the last look began, in half-lives. */
static inline double ss_engine_half_lives(const ss_engine *engine, int64_t tick) {
    int64_t passed_s = engine->look_tick == 0 ? 0 : tick - engine->look_tick;
    return (double)passed_s / engine->tables.limits.half_life_s;
}

/* After a gap of more than a half-life what was seen before it says nothing any more, of no pair: the
 * next generation may be adopted before a look has come to all of them. Returns whether it was one. */
static inline int ss_engine_forget_looks(ss_engine *engine, double half_lives) {
    if (half_lives >= 0.0 && half_lives <= 1.0) return 0;
    for (uint32_t i = 0; i < engine->tables.pair_count; i++) {
        ss_engine_pair *pair = &engine->tables.pairs[i];
        pair->weight = pair->exit_sum = pair->parity_sum = 0.0;
    }
    return 1;
}

/* The first look is at a whole second, as all others are. */
static inline void ss_engine_await_look(ss_engine *engine, int64_t now_ns) {
    if (engine->look_tick == 0) engine->look_tick = now_ns / SS_LOOK_NS;
}

/* Begins a look when a second is over; 0 while none is due. */
static inline int ss_engine_look_due(ss_engine *engine) {
    int64_t tick = engine->now_ns / SS_LOOK_NS;
    if (tick == engine->look_tick) return 0;
    double half_lives = ss_engine_half_lives(engine, tick);
    engine->look_tick = tick;
    engine->look_decay = ss_engine_forget_looks(engine, half_lives) ? 0.0 : exp2(-half_lives);
    engine->look_at = 0;
    return engine->tables.pair_count > 0;
}

static inline void ss_engine_look_at(ss_engine *engine, ss_engine_pair *pair) {
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    pair->weight *= engine->look_decay;
    pair->exit_sum *= engine->look_decay;
    pair->parity_sum *= engine->look_decay;
    int usable = ss_engine_usable(engine, pair->spot_source, spot) &&
                 ss_engine_usable(engine, pair->fut_source, fut);
    if (!usable || pair->quarantined) return;
    double entry = ss_entry_bps(spot, fut), leaving = ss_exit_bps(spot, fut);
    double implausible_bps = engine->tables.limits.implausible_bps;
    if (!ss_plausible(ss_mid_basis_bps(entry, leaving), implausible_bps)) return;
    if (ss_engine_looks_alone(engine, pair)) return;
    double parity = ss_parity_bps(entry, leaving);
    pair->weight += 1.0;
    pair->exit_sum += leaving;
    pair->parity_sum += parity;
    ss_engine_tell_near(engine, pair, spot, fut, entry, parity);
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

/* What the loop takes off gross before it looks closer: never more than the exact costs are for any
 * quotes whose spread is plausible. */
static inline double ss_engine_costs_min(const ss_engine_pair *pair, double implausible_bps) {
    double carried = ss_carried_bps_min(pair->carry_bps, implausible_bps);
    double close = pair->trusted ? pair->close_bps : 0.0;
    return pair->fees_bps + carried - close - SS_SLACK_BPS;
}

/* A generation to be put in force. `anew`: with new pairs, all of which are evaluated once more in any
 * case, so that no signal is owed to it. By pair: what funding is expected to cost and the flags that
 * say whether that is known, NULL where it stays as it is; what leaving earned by the median of four
 * hours, NULL where that does not count, NaN where it is not known; what the looks of another engine
 * amounted to, in place of one's own, or NULL; room for what the file keeps. */
typedef struct ss_engine_adoption {
    uint32_t generation;
    int anew;
    const double *carry_bps;
    const uint8_t *signal_flags;
    const double *credited_bps;
    const double *told_weight, *told_exit_bps, *told_parity_bps;
    double *weight, *exit_bps, *parity_bps, *carry_kept_bps;
    uint8_t *flags_kept; /* the signals', and SS_KEPT_BARRED */
} ss_engine_adoption;

#define SS_KEPT_BARRED 128

/* What the looks at a pair amount to. */
typedef struct ss_looks {
    double weight, exit_bps, parity_bps;
} ss_looks;

static inline ss_looks ss_looks_of(const ss_engine_pair *pair) {
    if (!(pair->weight > 0)) return (ss_looks){pair->weight, NAN, NAN};
    return (ss_looks){pair->weight, pair->exit_sum / pair->weight, pair->parity_sum / pair->weight};
}

/* What leaving a pair is assumed to earn by the looks. */
static inline void ss_engine_assume(const ss_engine_limits *limits, ss_engine_pair *pair,
                                    ss_looks looks, double credited_bps, int anew) {
    double before = pair->trusted ? pair->close_bps : NAN;
    pair->usual_bps = looks.exit_bps;
    pair->parity_usual_bps = looks.parity_bps;
    pair->learned = looks.weight / limits->trust_s;
    pair->trusted = looks.weight >= limits->trust_s;
    pair->close_bps = NAN;
    if (pair->trusted)
        pair->close_bps = ss_close_bps_trusted(pair->usual_bps, pair->parity_usual_bps,
                                               pair->at_parity, credited_bps);
    pair->close_before_bps = anew ? pair->close_bps : before;
    pair->costs_min_bps = ss_engine_costs_min(pair, limits->implausible_bps);
}

static inline void ss_tables_adopt_pair(ss_engine_tables *tables,
                                        const ss_engine_adoption *adoption, uint32_t index) {
    ss_engine_pair *pair = &tables->pairs[index];
    double carry_before_bps = pair->carry_bps;
    if (adoption->carry_bps != NULL) {
        pair->carry_bps = adoption->carry_bps[index];
        pair->signal_flags = adoption->signal_flags[index];
    }
    pair->carry_before_bps = adoption->anew ? pair->carry_bps : carry_before_bps;
    double credited_bps = adoption->credited_bps == NULL ? NAN : adoption->credited_bps[index];
    ss_looks looks = ss_looks_of(pair);
    if (adoption->told_weight != NULL)
        looks = (ss_looks){adoption->told_weight[index], adoption->told_exit_bps[index],
                           adoption->told_parity_bps[index]};
    ss_engine_assume(&tables->limits, pair, looks, credited_bps, adoption->anew);
    ss_tables_set_gate(tables, index);
    adoption->weight[index] = looks.weight;
    adoption->exit_bps[index] = pair->usual_bps;
    adoption->parity_bps[index] = pair->parity_usual_bps;
    adoption->carry_kept_bps[index] = pair->carry_bps;
    adoption->flags_kept[index] = pair->signal_flags | (pair->barred ? SS_KEPT_BARRED : 0);
}

/* Puts a generation in force between two cycles; nothing is evaluated for it. The machine may have
 * slept since the last one. */
static inline void ss_engine_adopt(ss_engine *engine, const ss_engine_adoption *adoption) {
    int64_t tick = ss_engine_clock(engine) / SS_LOOK_NS;
    ss_engine_forget_looks(engine, ss_engine_half_lives(engine, tick));
    for (uint32_t i = 0; i < engine->tables.pair_count; i++)
        ss_tables_adopt_pair(&engine->tables, adoption, i);
    engine->usual_generation = adoption->generation;
}

#endif
