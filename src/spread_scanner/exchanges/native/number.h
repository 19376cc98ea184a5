/* Bytes to numbers for the native tier: JSON's grammar, correct rounding, never past the end.
 *
 * Used by template.h and protobuf.h. A number that has a sign, an exponent, a leading zero or more
 * than SS_NUMBER_MAX bytes is "not for this tier": the caller reports no match and the typed tier
 * decides. What is accepted here is accepted there, with the same bits.
 */
#ifndef SS_NUMBER_H
#define SS_NUMBER_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SS_NUMBER_MAX 40 /* bytes of one number; beyond it an f64 might overflow */

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define SS_WORDWISE 1 /* eight characters in one register, first character lowest */
#else
#define SS_WORDWISE 0
#endif

#define SS_EACH(byte) (0x0101010101010101ULL * (uint64_t)(byte))

static inline uint64_t ss_load64(const char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint32_t ss_load32(const char *p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Whether two runs of `size` bytes are alike; reads nothing outside them. */
static inline int ss_same(const char *a, const char *b, size_t size) {
    if (size >= 8) {
        size_t at = 0;
        for (; at + 8 <= size; at += 8)
            if (ss_load64(a + at) != ss_load64(b + at)) return 0;
        return ss_load64(a + size - 8) == ss_load64(b + size - 8);
    }
    if (size >= 4)
        return ss_load32(a) == ss_load32(b) && ss_load32(a + size - 4) == ss_load32(b + size - 4);
    for (size_t at = 0; at < size; at++)
        if (a[at] != b[at]) return 0;
    return 1;
}

#if SS_WORDWISE
/* The value of eight digits, each byte already 0 to 9, the first one lowest in the word. */
static inline uint64_t ss_eight_digits(uint64_t word) {
    const uint64_t mask = 0x000000FF000000FFULL;
    word = word * 10 + (word >> 8);
    return (((word & mask) * 0x000F424000000064ULL) +
            (((word >> 16) & mask) * 0x0000271000000001ULL)) >>
           32;
}
#endif

/* Reads the digits at p and appends them to *value, which wraps beyond 19 digits: the caller counts
 * them and throws the value away. Returns where they end.
 */
static inline const char *ss_digits(const char *p, const char *end, uint64_t *value) {
    uint64_t sum = *value;
#if SS_WORDWISE
    static const uint64_t power[9] = {
        1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000,
    };
    while (end - p >= 8) {
        uint64_t word = ss_load64(p);
        /* A byte is a digit if its high half is 3, and stays 3 when 6 is added. The carry of a
         * byte that is no digit reaches later characters only, which do not count any more. */
        uint64_t other = ((word & SS_EACH(0xF0)) ^ SS_EACH(0x30)) |
                         (((word + SS_EACH(0x06)) & SS_EACH(0xF0)) ^ SS_EACH(0x30));
        if (other == 0) {
            sum = sum * power[8] + ss_eight_digits(word - SS_EACH(0x30));
            p += 8;
            continue;
        }
        unsigned count = (unsigned)__builtin_ctzll(other) >> 3;
        if (count) {
            word = (word - SS_EACH(0x30)) << (8 * (8 - count));
            sum = sum * power[count] + ss_eight_digits(word);
        }
        *value = sum;
        return p + count;
    }
#endif
    for (; p < end; p++) {
        unsigned digit = (unsigned)(unsigned char)*p - '0';
        if (digit > 9) break;
        sum = sum * 10 + digit;
    }
    *value = sum;
    return p;
}

/* A whole number without sign. Returns where it ends, or NULL if there is none that fits u64. */
static inline const char *ss_read_u64(const char *p, const char *end, uint64_t *value) {
    uint64_t sum = 0;
    const char *stop = ss_digits(p, end, &sum);
    ptrdiff_t count = stop - p;
    if (count == 0 || count > 20 || (*p == '0' && count > 1)) return NULL;
    if (count == 20) { /* may or may not fit */
        sum = 0;
        for (const char *at = p; at < stop; at++)
            if (__builtin_mul_overflow(sum, (uint64_t)10, &sum) ||
                __builtin_add_overflow(sum, (uint64_t)(*at - '0'), &sum))
                return NULL;
    }
    *value = sum;
    return stop;
}

/* The decimal from p to stop by the C library, which rounds correctly. Under a locale with another
 * decimal point it stops early, and that is no match.
 */
static inline int ss_by_strtod(const char *p, const char *stop, double *value) {
    char copy[SS_NUMBER_MAX + 1];
    char *read_to;
    size_t size = (size_t)(stop - p);
    memcpy(copy, p, size);
    copy[size] = '\0';
    *value = strtod(copy, &read_to);
    return read_to == copy + size;
}

/* A decimal number: digits, or digits point digits. Returns where it ends, or NULL.
 *
 * Correct rounding: a whole number up to 2^53 and a power of ten up to 10^22 are both exact in f64,
 * so that their quotient is rounded once. Anything else goes to strtod.
 */
static inline const char *ss_read_decimal(const char *p, const char *end, double *value) {
    static const double power[23] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    };
    uint64_t whole = 0;
    ptrdiff_t decimals = 0;
    const char *stop = ss_digits(p, end, &whole);
    ptrdiff_t digits = stop - p;
    if (digits == 0 || (*p == '0' && digits > 1)) return NULL;
    if (stop < end && *stop == '.') {
        const char *point = stop + 1;
        stop = ss_digits(point, end, &whole);
        decimals = stop - point;
        digits += decimals;
        if (decimals == 0) return NULL;
    }
    if (stop - p > SS_NUMBER_MAX) return NULL;
    if (digits <= 19) {
        while (whole > (1ULL << 53) && decimals > 0 && whole % 10 == 0) {
            whole /= 10;
            decimals--;
        }
        if (whole <= (1ULL << 53) && decimals <= 22) {
            *value = (double)whole / power[decimals];
            return stop;
        }
    }
    return ss_by_strtod(p, stop, value) ? stop : NULL;
}

#endif
