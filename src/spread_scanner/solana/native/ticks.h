/* A swap between two ticks (Raydium CLMM, Orca Whirlpool), the fee on the input, in integers: what
 * all of the way takes and gives, and what an amount does that ends on it. concentrated.py has the
 * same for any number and with orders; here what does not fit (a liquidity or an amount of more than
 * 64 bits, a price of more than 128) is left to it.
 *
 * Prices are square roots in Q64.64, token 1 per token 0; token 0 goes in where the price goes down.
 * Rates are parts of a million, and less.
 */
#ifndef SS_TICKS_H
#define SS_TICKS_H

#include "q64.h"
#include "way.h"

#define SS_TICK_RATE_ALL 1000000u

typedef struct {
    uint64_t price_low, price_high, target_low, target_high, liquidity;
} ss_stretch;

typedef struct {
    bool down, by_input;
    uint32_t rate;
} ss_tick_side;

/* Token 0 between two prices: of liquidity * 2^64 * (high - low) / (low * high), by one price after
 * the other, which rounds alike. The first quotient is less than liquidity * 2^64. */
static inline bool ss_amount0(ss_u128 low, ss_u128 high, uint64_t liquidity, bool up,
                              ss_u128 *found) {
    ss_u128 by_high;
    if (!ss_mul_div((ss_u128)liquidity << 64, high - low, high, up, &by_high)) return false;
    *found = up ? ss_divided_up(by_high, low) : by_high / low;
    return true;
}

/* What goes in, rounded up, and comes out, rounded down, between two prices; false: it does not fit.
 */
static inline bool ss_between(ss_u128 price, ss_u128 after, uint64_t liquidity, bool down,
                              uint64_t *in, uint64_t *out) {
    ss_u128 low = down ? after : price, high = down ? price : after, amount0;
    ss_u128 amount1 = ss_in_y(liquidity, high - low, !down);
    if (!low || !ss_amount0(low, high, liquidity, down, &amount0)) return false;
    if (amount0 > UINT64_MAX || amount1 > UINT64_MAX) return false;
    *in = (uint64_t)(down ? amount0 : amount1);
    *out = (uint64_t)(down ? amount1 : amount0);
    return true;
}

/* The price that an amount moves it to; false: none, or none that fits. */
static inline bool ss_price_after(ss_u128 price, uint64_t liquidity, uint64_t amount, bool down,
                                  bool by_input, ss_u128 *after) {
    ss_u128 scaled = (ss_u128)liquidity << 64, low, high, moved;
    if (!liquidity) return false;
    if (down != by_input) { /* of token 1 */
        moved = (ss_u128)amount << 64;
        moved = by_input ? moved / liquidity : ss_divided_up(moved, liquidity);
        return by_input ? !__builtin_add_overflow(price, moved, after)
                        : !__builtin_sub_overflow(price, moved, after);
    }
    low = (ss_u128)amount * (uint64_t)price;
    high = (ss_u128)amount * (uint64_t)(price >> 64);
    if (__builtin_add_overflow(high, low >> 64, &high) || high >> 64) return false;
    low = high << 64 | (uint64_t)low; /* amount * price */
    if (by_input ? __builtin_add_overflow(scaled, low, &low)
                 : __builtin_sub_overflow(scaled, low, &low))
        return false;
    return low && ss_mul_div(scaled, price, low, true, after);
}

static inline ss_u128 ss_price_of(const ss_stretch *stretch) {
    return (ss_u128)stretch->price_high << 64 | stretch->price_low;
}

static inline ss_u128 ss_target_of(const ss_stretch *stretch) {
    return (ss_u128)stretch->target_high << 64 | stretch->target_low;
}

/* An amount without its fee. */
static inline uint64_t ss_tick_net(uint64_t amount, uint32_t rate) {
    return (uint64_t)((ss_u128)amount * (SS_TICK_RATE_ALL - rate) / SS_TICK_RATE_ALL);
}

/* With the fee on top; false: more than 64 bits. */
static inline bool ss_tick_paid(uint64_t in, uint32_t rate, uint64_t *paid, uint64_t *fee) {
    ss_u128 kept = ss_divided_up((ss_u128)in * rate, SS_TICK_RATE_ALL - rate);
    if (kept > UINT64_MAX - in) return false;
    *fee = (uint64_t)kept;
    *paid = in + *fee;
    return true;
}

/* All of a stretch; false: it does not fit. */
static inline bool ss_stretch_whole(const ss_stretch *stretch, const ss_tick_side *side,
                                    ss_sum *taken) {
    ss_u128 price = ss_price_of(stretch), target = ss_target_of(stretch);
    uint64_t in, out, paid;
    taken->used = taken->other = taken->fee = 0;
    if (price == target) return true;
    if (!ss_between(price, target, stretch->liquidity, side->down, &in, &out)) return false;
    if (side->by_input && in > ss_tick_net(UINT64_MAX, side->rate)) return false;
    if (!ss_tick_paid(in, side->rate, &paid, &taken->fee)) return false;
    taken->used = side->by_input ? paid : out;
    taken->other = side->by_input ? out : paid;
    return true;
}

/* Exactly so much, which ends before the target: false: it does not, or does not fit. `known`: that
 * it is less than all of the stretch takes or gives is known. */
static inline bool ss_stretch_part(const ss_stretch *stretch, const ss_tick_side *side,
                                   uint64_t left, bool known, ss_sum *taken) {
    ss_u128 price = ss_price_of(stretch), target = ss_target_of(stretch), after;
    uint64_t in, out, paid, usable = side->by_input ? ss_tick_net(left, side->rate) : left;
    if (!known) {
        if (!ss_between(price, target, stretch->liquidity, side->down, &in, &out)) return false;
        if (usable >= (side->by_input ? in : out)) return false;
    }
    if (!ss_price_after(price, stretch->liquidity, usable, side->down, side->by_input, &after))
        return false;
    if (side->down ? after <= target : after >= target) return false;
    if (!ss_between(price, after, stretch->liquidity, side->down, &in, &out)) return false;
    if (side->by_input) {
        if (in > left) return false;
        taken->other = out;
        taken->fee = left - in;
    } else {
        if (out < left || !ss_tick_paid(in, side->rate, &paid, &taken->fee)) return false;
        taken->other = paid;
    }
    taken->used = left;
    return true;
}

#endif
