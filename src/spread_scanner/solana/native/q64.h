/* Numbers with 64 bits of fraction, times and by others, rounded as it is said. */
#ifndef SS_Q64_H
#define SS_Q64_H

#include <stdbool.h>
#include <stdint.h>

typedef unsigned __int128 ss_u128;

static inline ss_u128 ss_divided_up(ss_u128 amount, ss_u128 by) {
    return amount / by + (amount % by != 0);
}

/* amount * price / 2^64. Both halves of the price give less than 2^128 each: high is at most
 * (2^64 - 1)^2 = 2^128 - 2^65 + 1, what is added to it at most 2^64 - 1, so the sum is less, too. */
static inline ss_u128 ss_in_y(uint64_t amount, ss_u128 price, bool up) {
    ss_u128 low = (ss_u128)amount * (uint64_t)price;
    ss_u128 high = (ss_u128)amount * (uint64_t)(price >> 64);
    return high + (low >> 64) + (up && (uint64_t)low != 0);
}

/* amount * 2^64 / price, of a price that is not 0: the numerator is less than 2^128. */
static inline ss_u128 ss_in_x(uint64_t amount, ss_u128 price, bool up) {
    ss_u128 scaled = (ss_u128)amount << 64;
    return up ? ss_divided_up(scaled, price) : scaled / price;
}

/* One digit of the division below: of (high, next), high less than by, whose top bit is set. What the
 * upper halves give is no less than the digit and at most two more (Knuth, 4.3.1, theorem B); each
 * turn of the loop takes one off. *rest is less than by. */
static inline uint64_t ss_digit(ss_u128 high, uint64_t next, ss_u128 by, ss_u128 *rest) {
    uint64_t by_high = (uint64_t)(by >> 64), by_low = (uint64_t)by;
    uint64_t top = (uint64_t)(high >> 64);
    ss_u128 digit = top >= by_high ? UINT64_MAX : high / by_high;
    ss_u128 left = high - digit * by_high; /* of the upper halves: high is that much more */
    while (left >> 64 == 0 && digit * by_low > (left << 64 | next)) {
        digit--;
        left += by_high;
    }
    *rest = (left << 64 | next) - digit * by_low; /* modulo 2^128, which it is less than */
    return (uint64_t)digit;
}

/* a * b / by, up or down, to *found; false: it is 2^128 or more. The product is (high, low): high is
 * less than by exactly where the quotient is less than 2^128, and both are shifted until the top bit
 * of `by` is set, which changes no quotient, nor whether anything is left. */
static inline bool ss_mul_div(ss_u128 a, ss_u128 b, ss_u128 by, bool up, ss_u128 *found) {
    ss_u128 low_low = (ss_u128)(uint64_t)a * (uint64_t)b;
    ss_u128 low_high = (ss_u128)(uint64_t)a * (uint64_t)(b >> 64);
    ss_u128 high_low = (ss_u128)(uint64_t)(a >> 64) * (uint64_t)b;
    ss_u128 high_high = (ss_u128)(uint64_t)(a >> 64) * (uint64_t)(b >> 64);
    /* Three numbers below 2^64: no carry is lost. */
    ss_u128 middle = (low_low >> 64) + (uint64_t)low_high + (uint64_t)high_low;
    ss_u128 low = middle << 64 | (uint64_t)low_low;
    ss_u128 high = high_high + (low_high >> 64) + (high_low >> 64) + (middle >> 64);
    ss_u128 rest;
    uint64_t upper, lower;
    int shift;
    if (high >= by) return false;
    shift = by >> 64 ? __builtin_clzll((uint64_t)(by >> 64)) : 64 + __builtin_clzll((uint64_t)by);
    if (shift) {
        high = high << shift | low >> (128 - shift);
        low <<= shift;
        by <<= shift;
    }
    upper = ss_digit(high, (uint64_t)(low >> 64), by, &rest);
    lower = ss_digit(rest, (uint64_t)low, by, &rest);
    *found = (ss_u128)upper << 64 | lower;
    return !(up && rest != 0) || ++*found != 0;
}

#endif
