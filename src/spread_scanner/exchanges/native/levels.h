/* The native tier of books: one side's levels as JSON, [["px","sz"],...] or [[px,sz,orders],...].
 *
 * Used by exchanges/_levels.pyx and depth.h. Levels as they are usually spelled, without white space, signs or
 * exponents; what else stands beside price and size is skipped. Anything else is "not for this
 * tier": the typed one decides. What is accepted here is accepted there, with the same bits.
 */
#ifndef SS_LEVELS_H
#define SS_LEVELS_H

#include "number.h"

/* A number, bare or in quotes. Returns where it ends, or NULL. */
static inline const char *ss_level_number(const char *p, const char *end, double *value) {
    int quoted = p < end && *p == '"';
    if (quoted) p++;
    p = ss_read_decimal(p, end, value);
    if (p == NULL || !quoted) return p;
    return p < end && *p == '"' ? p + 1 : NULL;
}

/* What stands behind price and size: numbers, bare or in quotes. Returns its `]`, or NULL. */
static inline const char *ss_level_rest(const char *p, const char *end) {
    while (p < end && *p == ',') {
        double ignored;
        p = ss_level_number(p + 1, end, &ignored);
        if (p == NULL) return NULL;
    }
    return p < end && *p == ']' ? p : NULL;
}

/* Fills up to `most` pairs of price and size, and `count` with how many there are. Returns where the
 * side ends, or NULL: not for this tier. A price of zero is none for this tier either: it may be no
 * level, or a fault. */
static inline const char *ss_levels_end(const char *p, const char *end, double *pairs, int64_t most,
                                        int64_t *count) {
    *count = 0;
    if (p >= end || *p++ != '[') return NULL;
    if (p < end && *p == ']') return p + 1;
    for (;;) {
        if (p >= end || *p++ != '[' || *count == most) return NULL;
        double *pair = pairs + 2 * (*count)++;
        p = ss_level_number(p, end, &pair[0]);
        if (p == NULL || p >= end || *p != ',' || !(pair[0] > 0)) return NULL;
        p = ss_level_number(p + 1, end, &pair[1]);
        if (p == NULL || (p = ss_level_rest(p, end)) == NULL) return NULL;
        p++;
        if (p >= end) return NULL;
        if (*p == ']') return p + 1;
        if (*p++ != ',') return NULL;
    }
}

/* The same of a text that is one side and nothing else: how many levels, or -1. */
static inline int64_t ss_read_levels(const char *p, const char *end, double *pairs, int64_t most) {
    int64_t count;
    return ss_levels_end(p, end, pairs, most, &count) == end ? count : -1;
}

#endif
