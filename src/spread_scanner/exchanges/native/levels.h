/* The native tier of books: one side's levels as JSON, [["px","sz"],...] or [[px,sz,orders],...].
 *
 * Used by exchanges/_levels.pyx and depth.h. Levels as they are usually spelled, without white space, signs or
 * exponents; what else stands beside price and size is skipped. Anything else is "not for this
 * tier": the typed one decides. What is accepted here is accepted there, with the same bits.
 */
#ifndef SS_LEVELS_H
#define SS_LEVELS_H

#include "number.h"

#define SS_SPELLED_MAX 88 /* bytes of a level's text: two numbers with a colon, and room */

_Static_assert(SS_SPELLED_MAX > 2 * SS_NUMBER_MAX + 1, "its end is a zero");

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

/* Copies a number without its quotes. Returns where the copy ends. */
static inline char *ss_spell(char *to, const char *p, const char *end) {
    size_t quoted = *p == '"';
    size_t size = (size_t)(end - p) - 2 * quoted;
    memcpy(to, p + quoted, size);
    return to + size;
}

/* Fills up to `most` pairs of price and size, and `count` with how many there are; with `texts`, which
 * is zero, also how each is spelled, "px:sz", every SS_SPELLED_MAX bytes. Returns where the side ends,
 * or NULL: not for this tier. A price of zero is none for this tier either: it may be no level, or a
 * fault. */
static inline const char *ss_levels_spelled_end(const char *p, const char *end, double *pairs,
                                                char *texts, int64_t most, int64_t *count) {
    *count = 0;
    if (p >= end || *p++ != '[') return NULL;
    if (p < end && *p == ']') return p + 1;
    for (;;) {
        if (p >= end || *p++ != '[' || *count == most) return NULL;
        double *pair = pairs + 2 * *count;
        const char *px = p, *comma = ss_level_number(p, end, &pair[0]);
        if (comma == NULL || comma >= end || *comma != ',' || !(pair[0] > 0)) return NULL;
        const char *sz_end = ss_level_number(comma + 1, end, &pair[1]);
        if (sz_end == NULL || (p = ss_level_rest(sz_end, end)) == NULL) return NULL;
        if (texts != NULL) {
            char *colon = ss_spell(texts + SS_SPELLED_MAX * *count, px, comma);
            *colon = ':';
            ss_spell(colon + 1, comma + 1, sz_end);
        }
        ++*count;
        p++;
        if (p >= end) return NULL;
        if (*p == ']') return p + 1;
        if (*p++ != ',') return NULL;
    }
}

static inline const char *ss_levels_end(const char *p, const char *end, double *pairs, int64_t most,
                                        int64_t *count) {
    return ss_levels_spelled_end(p, end, pairs, NULL, most, count);
}

/* The same of a text that is one side and nothing else: how many levels, or -1. */
static inline int64_t ss_read_levels(const char *p, const char *end, double *pairs, int64_t most) {
    int64_t count;
    return ss_levels_end(p, end, pairs, most, &count) == end ? count : -1;
}

#endif
