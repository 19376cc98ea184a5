/* A swap in bins of one price each (Meteora DLMM), in integers: what all of a bin takes and gives,
 * and what an amount does that ends in it. meteora_dlmm.py has the same for any number and with
 * orders; here what does not fit into 64 bits, or comes to orders, is left to it.
 *
 * Prices are Q64.64, Y per X; X goes in where the price goes down. Rates are parts of a thousand
 * million and at most a tenth, so that a fee is never more than what it is taken of.
 */
#ifndef SS_BINS_H
#define SS_BINS_H

#include <stdbool.h>
#include <stdint.h>

#include "q64.h"
#include "way.h"

#define SS_BIN_RATE_ALL 1000000000u
#define SS_BIN_SCALE 10000
#define SS_BIN_VARIABLE_ALL 100000000000u
#define SS_BIN_ID_BITS 19

typedef struct {
    uint64_t price_low, price_high;
    uint64_t amount; /* that it holds of what is wanted; never 0 but where orders are behind it */
    uint32_t rate;
    bool orders; /* whether orders come after that */
} ss_bin;

typedef struct {
    bool down, by_input, fee_on_input;
} ss_bin_side;

typedef struct {
    uint64_t in, out, fee; /* in with a fee on the input, out after one on the output */
} ss_bin_taken;

/* A bin as an array has it. */
typedef struct {
    uint64_t x, y, price_low, price_high;
    uint8_t shares[80];
    uint64_t open_orders;
    uint8_t filled[8];
    uint64_t processed_orders;
    uint8_t orders[4];
    uint8_t asks, unused[3];
} ss_bin_told;

_Static_assert(sizeof(ss_bin_told) == 144, "a bin has 144 bytes");

/* What a pair's fee is made of at this second. */
typedef struct {
    uint64_t base; /* no more than rate_max */
    uint64_t rate_max, control, accumulator_max, step;
    int64_t reference, index;
} ss_bin_fees;

/* What a bin's price is, Y per X in smallest units: powers of a number below one, cut off each time,
 * and turned over for what is above. No factor has more than 64 bits but a one, and no product 128.
 * 0: there is none. */
static inline ss_u128 ss_bin_price_at(int32_t bin_id, uint32_t step) {
    ss_u128 one = (ss_u128)1 << 64, most = ~(ss_u128)0, found = one;
    ss_u128 power = most / (one + one * step / SS_BIN_SCALE);
    uint32_t left = bin_id < 0 ? -(uint32_t)bin_id : (uint32_t)bin_id;
    if (!step || left >> SS_BIN_ID_BITS) return 0;
    for (; left; left >>= 1) {
        if (left & 1) found = found * power >> 64;
        power = power * power >> 64;
    }
    return bin_id > 0 && found ? most / found : found;
}

static inline ss_u128 ss_bin_price(const ss_bin *bin) {
    return (ss_u128)bin->price_high << 64 | bin->price_low;
}

static inline ss_u128 ss_bin_cost(const ss_bin *bin, uint64_t out, bool down) {
    return down ? ss_in_x(out, ss_bin_price(bin), true) : ss_in_y(out, ss_bin_price(bin), true);
}

/* A part of an amount, and what is paid on top of one so that this part of all is kept, rounded up:
 * 64 bits times 30 each. */
static inline ss_u128 ss_bin_part(uint64_t amount, uint32_t rate) {
    return ss_divided_up((ss_u128)amount * rate, SS_BIN_RATE_ALL);
}

static inline ss_u128 ss_bin_on_top(uint64_t amount, uint32_t rate) {
    return ss_divided_up((ss_u128)amount * rate, SS_BIN_RATE_ALL - rate);
}

/* What so much out of a bin takes; false: more than 64 bits. */
static inline bool ss_bin_paid(const ss_bin *bin, const ss_bin_side *side, uint64_t out,
                               ss_bin_taken *taken) {
    ss_u128 cost = ss_bin_cost(bin, out, side->down), fee, paid;
    if (cost > UINT64_MAX) return false;
    fee =
        side->fee_on_input ? ss_bin_on_top((uint64_t)cost, bin->rate) : ss_bin_part(out, bin->rate);
    paid = side->fee_on_input ? cost + fee : cost;
    if (paid > UINT64_MAX) return false;
    taken->in = (uint64_t)paid;
    taken->fee = (uint64_t)fee;
    taken->out = side->fee_on_input ? out : out - (uint64_t)fee;
    return true;
}

/* All of a bin without orders. */
static inline bool ss_bin_whole(const ss_bin *bin, const ss_bin_side *side, ss_bin_taken *taken) {
    return !bin->orders && ss_bin_paid(bin, side, bin->amount, taken);
}

/* Exactly so much in, which ends in this bin; false: it does not, or does not fit. */
static inline bool ss_bin_in(const ss_bin *bin, const ss_bin_side *side, uint64_t left,
                             ss_bin_taken *taken) {
    uint64_t fee = side->fee_on_input ? (uint64_t)ss_bin_part(left, bin->rate) : 0;
    ss_u128 out = side->down ? ss_in_y(left - fee, ss_bin_price(bin), false)
                             : ss_in_x(left - fee, ss_bin_price(bin), false);
    if (out >= bin->amount) {
        ss_bin_taken whole;
        if (!ss_bin_whole(bin, side, &whole) || left > whole.in) return false;
        out = bin->amount;
    }
    if (!side->fee_on_input) fee = (uint64_t)ss_bin_part((uint64_t)out, bin->rate);
    taken->in = left;
    taken->fee = fee;
    taken->out = side->fee_on_input ? (uint64_t)out : (uint64_t)out - fee;
    return true;
}

/* Exactly so much out, likewise. */
static inline bool ss_bin_out(const ss_bin *bin, const ss_bin_side *side, uint64_t left,
                              ss_bin_taken *taken) {
    ss_u128 wanted = left;
    if (!side->fee_on_input)
        wanted = ss_divided_up((ss_u128)left * SS_BIN_RATE_ALL, SS_BIN_RATE_ALL - bin->rate);
    if (wanted > bin->amount) {
        if (bin->orders) return false;
        wanted = bin->amount;
    }
    if (!ss_bin_paid(bin, side, (uint64_t)wanted, taken) || taken->out < left) return false;
    taken->fee += side->fee_on_input ? 0 : taken->out - left; /* what is given beyond is kept */
    taken->out = left;
    return true;
}

/* The fee at a bin. control has 32 bits, what is squared 48: the product has 128. */
static inline uint32_t ss_bin_rate(const ss_bin_fees *fees, int32_t bin_id) {
    int64_t off = fees->index - bin_id;
    uint64_t volatility, crossed;
    ss_u128 variable;
    if (!fees->control) return (uint32_t)fees->base;
    volatility = (uint64_t)(fees->reference + (off < 0 ? -off : off) * SS_BIN_SCALE);
    crossed =
        (volatility < fees->accumulator_max ? volatility : fees->accumulator_max) * fees->step;
    variable = ss_divided_up((ss_u128)crossed * crossed * fees->control, SS_BIN_VARIABLE_ALL);
    return (uint32_t)(fees->base + variable > fees->rate_max ? fees->rate_max
                                                             : fees->base + variable);
}

/* A bin's sums after those before it; false: it does not fit. */
static inline bool ss_bin_add(const ss_sum *before, const ss_bin_side *side,
                              const ss_bin_taken *taken, ss_sum *after) {
    ss_sum piece = {side->by_input ? taken->in : taken->out,
                    side->by_input ? taken->out : taken->in, taken->fee};
    return ss_sum_add(before, &piece, after);
}

#endif
