/* The engine's loop: from dirty bits to signals, without the interpreter.
 *
 * Writes:  the signal ring, the kept evaluations, the engine's own health row.
 * Reads:   the price store (its own bitmap and copies of the cells), the control segment, the order
 *          books of what has just been signalled, and the analyst's records where the settings ask for
 *          a z.
 *
 * One cycle: look at the switches and the sources, take dirty words, copy each touched cell once,
 * then evaluate the pairs that contain them. All cells are copied before any pair is evaluated:
 * otherwise a move of both legs that is already in the store would look like a spread. A pair is
 * evaluated at most once per cycle. Two things happen without a new quote: a change of switches or
 * sources asks for all pairs (a rescan, as bounded as the dirty cells), and the pairs that time
 * alone can change (those that are in, cool down, wait for a z or met a full ring) are swept at an
 * interval.
 *
 * A pair is in from its ENTER to its EXIT. Being blocked (killed, paused, quarantined, disabled)
 * takes it out without a signal, because nothing may leave the engine then; what still stands when
 * the block is lifted is entered again. New tables are made beside the loop and swapped in. Net
 * spreads are those of schema/costs.py, to the last bit.
 */
#ifndef SS_ENGINE_H
#define SS_ENGINE_H

#include <sched.h>

#include "clock.h"
#include "follow.h"
#include "freshness.h"
#include "implausible.h"
#include "inward.h"
#include "near.h"
#include "outward.h"
#include "pairs.h"
#include "reload.h"
#include "tables.h"
#include "usual.h"

/* ---- one pair ---- */

/* Whether the spread can be read off at all: both legs are there and of the level that they were of,
 * and their distance is possible. */
static inline int ss_engine_stands(const ss_found *found) {
    return found->spot_ok && found->fut_ok && found->plausible;
}

/* What net was with the same quotes by the generation before; NaN: nobody knew. */
static inline double ss_engine_net_before(const ss_engine *engine, const ss_found *found) {
    const ss_engine_pair *pair = &engine->tables.pairs[found->index];
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    double close = pair->close_before_bps;
    if (isnan(close) && !pair->trusted) close = found->close_bps; /* guessed, as it was before */
    return ss_net_bps(found->gross_bps, close, pair->fees_bps,
                      ss_carried_bps(pair->carry_before_bps, spot, fut));
}

/* A pair that is in and no longer pays, or has lost a leg, is left: at once, whatever its size. */
static inline void ss_engine_exit(ss_engine *engine, const ss_found *found) {
    ss_engine_pair *pair = &engine->tables.pairs[found->index];
    int lost = !ss_engine_stands(found);
    uint32_t aged = ss_engine_net_before(engine, found) < pair->exit_bps ? 0 : SS_AGED;
    if (!ss_engine_signal(engine, found, SS_EXIT, lost ? SS_LEG_LOST : aged)) return;
    pair->in = 0;
    pair->exited_mono_ns = engine->now_ns;
    engine->counts[SS_C_STALE_EXITS] += (uint64_t)lost;
}

/* Whether gross is as far above its mean as the settings ask; what is not known is not. */
static inline int ss_engine_rises(const ss_engine *engine, ss_found *found) {
    double least = engine->tables.limits.enter_z_min;
    if (isnan(least)) return 1;
    const ss_engine_pair *pair = &engine->tables.pairs[found->index];
    uint64_t place = (uint64_t)pair->direction_id * engine->store->max_symbols + pair->symbol_id;
    found->off = ss_analysis_z(&engine->analysed, place, engine->tables.generation,
                               found->gross_bps, engine->now_ns + engine->anchor_ns);
    return found->off.z >= least;
}

/* Why a pair over the threshold gives a signal or gives none; makes the signal. */
static inline uint8_t ss_engine_judge(ss_engine *engine, ss_found *found) {
    ss_engine_pair *pair = &engine->tables.pairs[found->index];
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    if (pair->in) {
        if (!(found->net_bps >= pair->last_net_bps + pair->resignal_step_bps)) return SS_HELD;
    } else {
        if (!(found->net_bps >= pair->enter_bps)) return SS_FEE;
        if (pair->blocked) return pair->blocked;
        if (!(ss_engine_spot_told(found) && ss_engine_fut_told(found))) return SS_STALE_LEG;
        if (!ss_engine_stands(found)) return SS_IMPLAUSIBLE;
    }
    if (ss_skewed(spot, fut, engine->tables.limits.skew_ns_max)) return SS_SKEW;
    if (!pair->trusted && !engine->tables.limits.basis_unknown) return SS_NO_BASIS;
    if (!ss_engine_suffices(engine, pair)) return SS_SIZE;
    if (!pair->in && pair->exited_mono_ns != SS_NEVER_NS &&
        engine->now_ns - pair->exited_mono_ns < pair->cooldown_ns)
        return SS_COOLDOWN;
    if (!ss_engine_rises(engine, found)) return SS_NO_Z;
    if (ss_engine_strays(engine, found)) {
        if (pair->in) ss_engine_exit(engine, found);
        return SS_IMPLAUSIBLE;
    }
    double least = pair->in ? pair->last_net_bps + pair->resignal_step_bps : pair->enter_bps;
    uint32_t aged = ss_engine_net_before(engine, found) >= least ? 0 : SS_AGED;
    if (!ss_engine_signal(engine, found, pair->in ? SS_RESIGNAL : SS_ENTER, aged))
        return SS_RING_FULL;
    ss_engine_owe(engine, found->index);
    pair->in = 1;
    pair->last_net_bps = found->net_bps;
    ss_engine_say_near(engine, pair, INFINITY);
    return SS_SIGNAL;
}

static inline void ss_engine_feel_legs(const ss_engine *engine, ss_found *found) {
    const ss_engine_pair *pair = &engine->tables.pairs[found->index];
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    found->spot_ok = ss_engine_usable(engine, pair->spot_source, spot);
    found->fut_ok = ss_engine_usable(engine, pair->fut_source, fut);
    found->spot_jumped = ss_engine_only_jumped(engine, pair->spot_source, spot);
    found->fut_jumped = ss_engine_only_jumped(engine, pair->fut_source, fut);
}

/* The rare part of an evaluation: the pair is in, or over the threshold. */
__attribute__((noinline)) static void ss_engine_decide(ss_engine *engine, ss_found *found) {
    static const uint8_t counter_of[SS_VERDICTS] = {
        [SS_STALE_LEG] = SS_C_NO_STALE_LEG,
        [SS_SKEW] = SS_C_NO_SKEW,
        [SS_SIZE] = SS_C_NO_SIZE,
        [SS_COOLDOWN] = SS_C_NO_COOLDOWN,
        [SS_PAUSED] = SS_C_NO_PAUSED,
        [SS_QUARANTINED] = SS_C_NO_QUARANTINED,
        [SS_FEE] = SS_C_NO_FEE,
        [SS_KILLED] = SS_C_NO_KILLED,
        [SS_HELD] = SS_C_HELD,
        [SS_IMPLAUSIBLE] = SS_C_NO_IMPLAUSIBLE,
        [SS_NO_BASIS] = SS_C_NO_BASIS,
        [SS_BLOCKED] = SS_C_NO_BLOCKED,
        [SS_NO_Z] = SS_C_NO_Z,
    };
    ss_engine_pair *pair = &engine->tables.pairs[found->index];
    ss_engine_cost(engine, found);
    ss_engine_feel_legs(engine, found);
    found->plausible = ss_plausible(found->gross_bps, engine->tables.limits.implausible_bps);
    pair->waiting = (uint8_t)ss_engine_mind_absurd(engine, found);
    if (pair->in && !(ss_engine_stands(found) && found->net_bps >= pair->exit_bps)) {
        ss_engine_exit(engine, found);
    } else if (found->over) {
        uint8_t verdict = ss_engine_judge(engine, found);
        engine->counts[SS_C_OVER]++;
        /* What went out or met a full ring was counted with the signal. */
        if (counter_of[verdict] != 0) engine->counts[counter_of[verdict]]++;
        pair->waiting |=
            verdict == SS_COOLDOWN || verdict == SS_RING_FULL || verdict == SS_NO_Z || found->alone;
        ss_engine_keep(engine, found, verdict);
    }
    ss_tables_watch(&engine->tables, found->index);
}

/* A pair that came through its gate. */
__attribute__((noinline)) static void ss_engine_look_closer(ss_engine *engine, uint32_t index,
                                                            int fresh) {
    const ss_engine_pair *pair = &engine->tables.pairs[index];
    double gross = ss_entry_bps(&engine->quotes[pair->spot_cell], &engine->quotes[pair->fut_cell]);
    int over = (gross >= pair->enter_bps) | (gross - pair->costs_min_bps >= pair->enter_bps);
    if (!(over | pair->in | pair->waiting)) return;
    ss_found found = {.index = index, .gross_bps = gross, .fresh = fresh, .off = ss_z_unknown()};
    ss_engine_decide(engine, &found);
}

/* Returns how many evaluations it was: the caller counts them where no store waits for the last, and
 * holds what does not change, as a store to a gate may be one to the engine for all a compiler knows. */
static inline uint32_t ss_engine_evaluate(ss_engine *engine, ss_gate *gates, const ss_top *tops,
                                          uint64_t stamp, uint32_t index, int fresh) {
    ss_gate *gate = &gates[index];
    if (gate->stamp == stamp) return 0;
    gate->stamp = stamp;
    if (__builtin_expect(!ss_gate_shut(gate, tops), 0)) ss_engine_look_closer(engine, index, fresh);
    return 1;
}

/* ---- the loop ---- */

static inline void ss_engine_evaluate_touched(ss_engine *engine) {
    const ss_engine_tables *tables = &engine->tables;
    const uint32_t *leg_start = tables->leg_start, *leg_pairs = tables->leg_pairs;
    ss_gate *gates = tables->gates;
    const ss_top *tops = engine->tops;
    uint64_t stamp = engine->stamp;
    uint32_t evaluated = 0;
    for (uint32_t i = 0; i < engine->touched_count; i++) {
        uint32_t cell = tables->touched[i], end = leg_start[cell + 1];
        int fresh = tables->news[i];
        for (uint32_t at = leg_start[cell]; at < end; at++)
            evaluated += ss_engine_evaluate(engine, gates, tops, stamp, leg_pairs[at], fresh);
    }
    engine->counts[SS_C_DIRTY] += engine->touched_count;
    engine->counts[SS_C_EVALUATIONS] += evaluated;
}

static inline void ss_engine_rescan(ss_engine *engine) {
    uint32_t count = engine->rescan_left, evaluated = 0;
    if (count > engine->tables.limits.dirty_max) count = engine->tables.limits.dirty_max;
    engine->rescan_left -= count;
    for (; count > 0; count--) {
        evaluated += ss_engine_evaluate(engine, engine->tables.gates, engine->tops, engine->stamp,
                                        engine->rescan_at, 0);
        engine->rescan_at =
            engine->rescan_at + 1 < engine->tables.pair_count ? engine->rescan_at + 1 : 0;
    }
    engine->counts[SS_C_EVALUATIONS] += evaluated;
}

static inline void ss_engine_sweep(ss_engine *engine) {
    if (engine->now_ns < engine->next_sweep_ns) return;
    engine->next_sweep_ns = engine->now_ns + engine->tables.limits.sweep_ns;
    for (uint32_t word = 0; word < (engine->tables.pair_count + 63) / 64; word++)
        for (uint64_t bits = engine->tables.watched[word]; bits != 0; bits &= bits - 1)
            engine->counts[SS_C_EVALUATIONS] +=
                ss_engine_evaluate(engine, engine->tables.gates, engine->tops, engine->stamp,
                                   word * 64 + (uint32_t)__builtin_ctzll(bits), 0);
    if (engine->owed_count > 0) ss_engine_follow(engine);
}

/* One turn at the time now_ns. Returns 1 when it found work. `heeded` tells of new switches. */
static inline int ss_engine_cycle(ss_engine *engine, int *heeded) {
    engine->stamp++;
    engine->counts[SS_C_CYCLES]++;
    ss_engine_feel_gap(engine);
    engine->pushed = 0;
    *heeded |= ss_engine_heed(engine);
    ss_engine_feel_sources(engine);
    ss_engine_take(engine);
    int work = engine->touched_count > 0 || engine->rescan_left > 0;
    ss_engine_evaluate_touched(engine);
    ss_engine_rescan(engine);
    ss_engine_sweep(engine);
    ss_engine_push(engine);
    ss_engine_look(engine);
    work |= ss_engine_bring(engine);
    /* Who was woken may share this CPU. A spinning engine never leaves it by itself, and the
     * scheduler may let it go on until the next tick, milliseconds away. */
    if (engine->pushed && ss_wake_notify(&engine->ring->control->wake) &&
        engine->tables.limits.idle == SS_IDLE_SPIN)
        sched_yield();
    return work;
}

static inline void ss_engine_tell_counts(ss_engine *engine) {
    for (int i = 0; i < SS_ENGINE_COUNTERS; i++) {
        uint64_t more = engine->counts[i] - engine->counts_told[i];
        if (more != 0) ss_count_add(&engine->row_counters[i], more);
        engine->counts_told[i] = engine->counts[i];
    }
}

/* Parks until a bit is set, an order comes with a notify, or the time is up. */
static inline void ss_engine_park(ss_engine *engine, int64_t until_ns) {
    ss_wake *wake = engine->store->wakes[engine->reader];
    int64_t wait_ns = until_ns - ss_source_ns(engine->mono_at);
    if (wait_ns > engine->tables.limits.park_ns) wait_ns = engine->tables.limits.park_ns;
    if (wait_ns <= 0) return;
    uint32_t key = ss_wake_prepare(wake);
    uint64_t orders = atomic_load_explicit(engine->switches.generation, memory_order_acquire);
    if (orders != engine->switches_seen || ss_store_any_dirty(engine->store, engine->reader) ||
        atomic_load_explicit(&engine->asked, memory_order_acquire)) {
        ss_wake_cancel(wake);
        return;
    }
    engine->counts[SS_C_PARKS]++;
    engine->counts[SS_C_WAKES] += (uint64_t)ss_wake_wait(wake, key, wait_ns);
}

/* With a look under way it goes on at once: parked in between, one of many pairs would take as long as
 * the market may have become another in. */
static inline void ss_engine_idle(ss_engine *engine, int64_t until_ns) {
    if (engine->look_at < engine->tables.pair_count) return;
    int64_t idle_ns = engine->now_ns - engine->idle_since_ns;
    if (engine->tables.limits.idle == SS_IDLE_PARK ||
        (engine->tables.limits.idle == SS_IDLE_SPIN_PARK &&
         idle_ns >= engine->tables.limits.spin_ns))
        ss_engine_park(engine, until_ns);
    else
        ss_relax();
}

/* Notices that the machine was suspended: monotonic time counts it, the awake time does not. No feed
 * is trusted before it beats anew, and it marks its quotes first. Whoever is stopped between the
 * readings learns nothing and looks again in the next run. */
static inline void ss_engine_feel_suspend(ss_engine *engine) {
    int64_t before_ns = ss_source_awake_ns(engine->mono_at);
    int64_t now_ns = ss_source_ns(engine->mono_at);
    int64_t after_ns = ss_source_awake_ns(engine->mono_at);
    if (after_ns - before_ns > SS_ENGINE_LOOK_NS) return;
    int64_t apart_ns = now_ns - after_ns;
    if (engine->apart_known && apart_ns - engine->apart_ns > SS_ENGINE_SUSPEND_NS)
        engine->woke_ns = now_ns;
    engine->apart_ns = apart_ns;
    engine->apart_known = 1;
}

/* Beats for the process while `run` is longer than its heartbeat may be late. */
static inline void ss_engine_beat(ss_engine *engine) {
    if (engine->beat_at == NULL || engine->now_ns < engine->next_beat_ns) return;
    engine->next_beat_ns = engine->now_ns + engine->beat_ns;
    atomic_store_explicit(engine->beat_at, engine->now_ns, memory_order_relaxed);
}

static inline int ss_engine_go_on(const ss_engine *engine, int heeded, int64_t until_ns) {
    return !heeded && !engine->corrupt && engine->now_ns < until_ns &&
           !atomic_load_explicit(&engine->asked, memory_order_relaxed);
}

/* Has `run` return after its cycle; from another thread. A park is the caller's to end. */
static inline void ss_engine_ask(ss_engine *engine) {
    atomic_store_explicit(&engine->asked, 1, memory_order_release);
}

/* Runs for about `budget_ns`, less when somebody asked or orders came: they are in force then, and
 * the caller acknowledges them. */
static inline void ss_engine_run(ss_engine *engine, int64_t budget_ns) {
    int64_t began_ns = ss_source_ns(engine->mono_at), until_ns = began_ns + budget_ns;
    int heeded = 0;
    if (engine->left_ns != 0 && began_ns - engine->left_ns > engine->outside_ns)
        engine->outside_ns = began_ns - engine->left_ns;
    engine->clock_stands = 0;
    ss_engine_feel_suspend(engine);
    ss_engine_await_look(engine, began_ns);
    do {
        int64_t before_ns = engine->now_ns;
        engine->now_ns = ss_source_ns(engine->mono_at);
        if (engine->now_ns - before_ns > SS_ENGINE_SUSPEND_NS) ss_engine_feel_suspend(engine);
        ss_engine_beat(engine);
        if (ss_engine_cycle(engine, &heeded)) {
            engine->idle_since_ns = ss_source_ns(engine->mono_at);
            int64_t took_ns = engine->idle_since_ns - engine->now_ns;
            ss_histogram_add(engine->cycle_times, took_ns);
            if (took_ns > engine->longest_ns) engine->longest_ns = took_ns;
        } else if (!heeded && !engine->corrupt) {
            ss_engine_idle(engine, until_ns);
        }
    } while (ss_engine_go_on(engine, heeded, until_ns));
    atomic_store_explicit(&engine->asked, 0, memory_order_relaxed);
    ss_engine_tell_counts(engine);
    engine->left_ns = ss_source_ns(engine->mono_at);
}

/* One cycle at a given time, for tests: with the same input it does the same. */
static inline int ss_engine_step(ss_engine *engine, int64_t now_mono_ns) {
    int heeded = 0;
    engine->clock_stands = 1;
    engine->now_ns = now_mono_ns;
    int work = ss_engine_cycle(engine, &heeded);
    ss_engine_tell_counts(engine);
    return work;
}

#endif
