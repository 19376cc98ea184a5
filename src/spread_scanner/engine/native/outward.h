/* What goes out of the engine: signals to the ring, evaluations that are kept, counts.
 *
 * Writes the signal ring, the evaluations and what is counted. A full ring loses nothing that
 * matters: the pair waits and is looked at again.
 */
#ifndef SS_OUTWARD_H
#define SS_OUTWARD_H

#include <math.h>

#include "clock.h"
#include "pairs.h"

static inline int64_t ss_engine_clock(const ss_engine *engine) {
    return engine->clock_stands ? engine->now_ns : ss_source_ns(engine->mono_at);
}

static inline void ss_engine_push(ss_engine *engine) {
    uint32_t count = engine->batch_count;
    engine->batch_count = 0;
    if (count == 0) return;
    /* Room was asked for before each record, so all of them fit. */
    if (ss_ring_push(engine->ring, engine->batch, count) != (int64_t)count) {
        engine->corrupt = 1;
        return;
    }
    engine->pushed = 1;
    engine->counts[SS_C_SIGNALS] += count;
    int64_t now = ss_engine_clock(engine) + engine->anchor_ns;
    for (uint32_t i = 0; i < count; i++)
        if (!(engine->batch[i].flags & SS_AGED))
            ss_histogram_add(engine->recv_to_signal, now - engine->batch[i].ts_trigger);
}

/* Whether one more record fits; looks at the consumer's position only when it seems not to. */
static inline int ss_engine_has_room(ss_engine *engine) {
    if (engine->room > 0) return 1;
    ss_ring *ring = engine->ring;
    uint64_t write = atomic_load_explicit(&ring->control->write_pos, memory_order_relaxed);
    /* Partner: the consumer's release store of read_pos. */
    ring->other = atomic_load_explicit(&ring->control->read_pos, memory_order_acquire);
    uint64_t used = write - ring->other + engine->batch_count;
    if (used > ring->capacity)
        engine->corrupt = 1;
    else
        engine->room = ring->capacity - used;
    return engine->room > 0;
}

/* What an evaluation found. The numbers behind `over` are worked out for the few that are in or over
 * the threshold. */
typedef struct ss_found {
    uint32_t index;
    double gross_bps, net_bps;
    int fresh; /* a quote just read made it, not time, a switch or a backlog */
    int over;  /* gross or net stands over the threshold to enter */
    int spot_ok, fut_ok, plausible;
    int spot_jumped, fut_jumped; /* but for its level it would be ok */
    uint32_t alone; /* SS_SPOT_ALONE, SS_FUT_ALONE; known of what would be signalled or stood so */
    double exit_bps, parity_bps, close_bps, carried_bps;
    ss_z off; /* what its mean says, where that was asked */
} ss_found;

/* Whether each leg says what it is now, be it of another level than before. */
static inline int ss_engine_spot_told(const ss_found *found) {
    return found->spot_ok | found->spot_jumped;
}

static inline int ss_engine_fut_told(const ss_found *found) {
    return found->fut_ok | found->fut_jumped;
}

/* What leaving is assumed to earn, what is carried, and what is left: all of schema/costs.py. */
static inline void ss_engine_cost(const ss_engine *engine, ss_found *found) {
    const ss_engine_pair *pair = &engine->tables.pairs[found->index];
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    found->exit_bps = ss_exit_bps(spot, fut);
    found->parity_bps = ss_parity_bps(found->gross_bps, found->exit_bps);
    found->close_bps = pair->trusted ? pair->close_bps : ss_close_bps_unknown(found->parity_bps);
    found->carried_bps = ss_carried_bps(pair->carry_bps, spot, fut);
    found->net_bps =
        ss_net_bps(found->gross_bps, found->close_bps, pair->fees_bps, found->carried_bps);
    found->over = (found->gross_bps >= pair->enter_bps) | (found->net_bps >= pair->enter_bps);
}

static inline double ss_engine_size(const ss_engine *engine, const ss_engine_pair *pair) {
    return ss_size_base(engine->quotes[pair->spot_cell].ask_sz,
                        engine->quotes[pair->fut_cell].bid_sz, pair->lot_base);
}

/* Whether both listings take an order of so much. */
static inline int ss_pair_orders(const ss_engine_pair *pair, double size, const ss_quote *spot,
                                 const ss_quote *fut) {
    return ss_leg_suffices(size, spot, pair->spot_qty_min, pair->spot_notional_min) &&
           ss_leg_suffices(size, fut, pair->fut_qty_min, pair->fut_notional_min);
}

/* Whether the tops hold what the settings and both listings ask for; less than a lot is none. */
static inline int ss_engine_suffices(const ss_engine *engine, const ss_engine_pair *pair) {
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    double size = ss_engine_size(engine, pair);
    return size > 0.0 && ss_reaches(ss_size_quote(size, spot->ask_px), pair->size_quote_min) &&
           ss_pair_orders(pair, size, spot, fut);
}

static inline uint32_t ss_engine_pair_flags(const ss_engine_pair *pair) {
    return pair->signal_flags | (pair->trusted ? 0 : SS_BASIS_UNKNOWN);
}

static inline void ss_engine_fill(const ss_engine *engine, const ss_found *found, int kind,
                                  uint32_t flags, ss_signal *signal) {
    const ss_engine_pair *pair = &engine->tables.pairs[found->index];
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    int64_t now = ss_engine_clock(engine);
    double size = ss_engine_size(engine, pair);
    *signal = (ss_signal){
        .seq = engine->next_seq,
        .mono_ns = now,
        .ts_engine = now + engine->anchor_ns,
        .ts_trigger = spot->ts_recv > fut->ts_recv ? spot->ts_recv : fut->ts_recv,
        .spot_bid_px = spot->bid_px,
        .spot_bid_sz = spot->bid_sz,
        .spot_ask_px = spot->ask_px,
        .spot_ask_sz = spot->ask_sz,
        .fut_bid_px = fut->bid_px,
        .fut_bid_sz = fut->bid_sz,
        .fut_ask_px = fut->ask_px,
        .fut_ask_sz = fut->ask_sz,
        .spot_ts_event = spot->ts_event,
        .spot_ts_recv = spot->ts_recv,
        .fut_ts_event = fut->ts_event,
        .fut_ts_recv = fut->ts_recv,
        .gross_bps = found->gross_bps,
        .fees_bps = pair->fees_bps,
        .carry_bps = found->carried_bps,
        .net_bps = found->net_bps,
        .exit_bps = found->exit_bps,
        .size_quote = ss_size_quote(size, spot->ask_px),
        .close_bps = found->close_bps,
        .usual_bps = pair->usual_bps,
        .parity_bps = found->parity_bps,
        .size_base = size,
        .spot_fee_bps = pair->spot_fee_bps,
        .spot_update_id = spot->update_id,
        .fut_update_id = fut->update_id,
        .symbol_id = pair->symbol_id,
        .direction_id = pair->direction_id,
        .kind = (uint8_t)kind,
        .flags = ss_engine_pair_flags(pair) | flags,
        .generation = engine->tables.generation,
        .instance = engine->instance,
        .usual_generation = engine->usual_generation,
    };
}

/* The next place of the batch was filled, of what is counted there. */
static inline void ss_engine_append(ss_engine *engine, int counter) {
    engine->batch_count++;
    engine->room--;
    engine->next_seq++;
    engine->counts[counter]++;
    if (engine->batch_count == SS_ENGINE_BATCH_MAX) ss_engine_push(engine);
}

/* Puts a signal into the batch: 1, or 0 when the ring is full (counted; the pair stays as it was
 * and is tried again by the sweep). */
static inline int ss_engine_signal(ss_engine *engine, const ss_found *found, int kind,
                                   uint32_t flags) {
    if (!ss_engine_has_room(engine)) {
        if (!engine->corrupt) ss_ring_count_dropped(engine->ring, 1);
        engine->counts[SS_C_RING_FULL]++;
        return 0;
    }
    /* Only a quote just read has a latency; what else made a signal is as old as it is, and so is
     * one that a new generation of `usual` made. */
    if (!found->fresh || (flags & SS_LEG_LOST)) flags |= SS_AGED;
    ss_engine_fill(engine, found, kind, flags, &engine->batch[engine->batch_count]);
    ss_engine_append(engine, SS_C_ENTER + kind - SS_ENTER);
    return 1;
}

static inline ss_evaluation ss_engine_row(const ss_engine *engine, const ss_found *found,
                                          uint8_t verdict) {
    const ss_engine_pair *pair = &engine->tables.pairs[found->index];
    const ss_quote *spot = &engine->quotes[pair->spot_cell];
    const ss_quote *fut = &engine->quotes[pair->fut_cell];
    int64_t now = engine->now_ns + engine->anchor_ns, skew_ns = spot->ts_recv - fut->ts_recv;
    double size = ss_engine_size(engine, pair);
    return (ss_evaluation){
        .ts_engine = now,
        .gross_bps = found->gross_bps,
        .fees_bps = pair->fees_bps,
        .carry_bps = found->carried_bps,
        .net_bps = found->net_bps,
        .enter_bps = pair->enter_bps,
        .size_quote = ss_size_quote(size, spot->ask_px),
        .size_quote_min = pair->size_quote_min,
        .spot_age_ns = now - spot->ts_recv,
        .fut_age_ns = now - fut->ts_recv,
        .skew_ns = skew_ns < 0 ? -skew_ns : skew_ns,
        .spot_px = spot->ask_px,
        .fut_px = fut->bid_px,
        .spot_flags = spot->flags | (ss_engine_spot_told(found) ? 0 : SS_FLAG_STALE),
        .fut_flags = fut->flags | (ss_engine_fut_told(found) ? 0 : SS_FLAG_STALE),
        .symbol_id = pair->symbol_id,
        .direction_id = pair->direction_id,
        .verdict = verdict,
        .count = pair->kept_count,
        .exit_bps = found->exit_bps,
        .close_bps = found->close_bps,
        .usual_bps = pair->usual_bps,
        .parity_bps = found->parity_bps,
        .size_base = size,
        .lot_base = pair->lot_base,
        .learned = pair->learned,
        .usual_generation = engine->usual_generation,
        .flags = ss_engine_pair_flags(pair) | found->alone,
        .generation = engine->tables.generation,
        .z = found->off.z,
        .z_min = engine->tables.limits.enter_z_min,
        .z_mean_bps = found->off.mean_bps,
        .z_deviation_bps = found->off.deviation_bps,
    };
}

/* Keeps what was decided. The same verdict of the same pair goes on in its row, if it is still
 * there; signals get a row each. */
static inline void ss_engine_keep(ss_engine *engine, const ss_found *found, uint8_t verdict) {
    ss_engine_pair *pair = &engine->tables.pairs[found->index];
    uint64_t head = ss_evaluations_head(engine->kept);
    int same = verdict != SS_SIGNAL && pair->kept_at != 0 && pair->kept_verdict == verdict &&
               head - (pair->kept_at - 1) <= engine->kept->capacity;
    pair->kept_count = same ? pair->kept_count + (pair->kept_count < UINT32_MAX) : 1;
    ss_evaluation row = ss_engine_row(engine, found, verdict);
    if (same) {
        ss_evaluations_write(engine->kept, pair->kept_at - 1, &row);
        return;
    }
    pair->kept_at = ss_evaluations_append(engine->kept, &row) + 1;
    pair->kept_verdict = verdict;
}

#endif
