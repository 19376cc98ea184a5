/* What a match is, why there is none, and the rules that both matchers apply to a quote.
 *
 * Used by template.h and protobuf.h. The typed tier (exchanges/wire.py) has the same rules for a
 * usual quote; whatever is unusual in any way is no match here.
 */
#ifndef SS_MATCH_H
#define SS_MATCH_H

#include "symbols.h"

#define SS_TS_ABSENT INT64_MIN
#define SS_NS_PER_MS 1000000
/* 2017-07-14 and 2100-01-01: outside no exchange of these has written a time. Seconds or microseconds
 * in the place of milliseconds fall outside, too. */
#define SS_TS_MS_MIN UINT64_C(1500000000000)
#define SS_TS_MS_MAX UINT64_C(4102444800000)
/* By how much the engine's clock may be ahead of the one that a message is sent by. In recordings it
 * never is; half a second is more than clocks of one exchange are apart. */
#define SS_AHEAD_NS_MAX INT64_C(500000000)

/* One quote in base units, as it goes into the price store. */
typedef struct ss_match {
    double bid_px;
    double bid_sz;
    double ask_px;
    double ask_sz;
    int64_t ts_event;  /* of the message; SS_TS_ABSENT where it gives none */
    int64_t ts_engine; /* of the matching engine where it stands apart; else SS_TS_ABSENT */
    int64_t ts_sent;   /* when it was sent, where ts_event is the engine's; else SS_TS_ABSENT */
    uint64_t update_id;
    uint32_t symbol_id;
} ss_match;

/* Why the typed tier has to look at a message. */
enum ss_reason {
    SS_MATCHED = 0,
    SS_OTHER_TEXT = 1,     /* not this template's literals, or cut off, or more behind it */
    SS_OTHER_NUMBER = 2,   /* a number of a form that this tier leaves alone, or none */
    SS_OTHER_VALUE = 3,    /* a price or size of zero, or not finite once scaled */
    SS_OTHER_TIME = 4,     /* a time of zero, or one that cannot be, alone or by the other */
    SS_UNKNOWN_SYMBOL = 5, /* the tables do not hold it */
    SS_REASONS = 6
};

/* The four numbers of a quote as they stand in the message, in this order. */
enum ss_field { SS_BID_PX, SS_BID_SZ, SS_ASK_PX, SS_ASK_SZ, SS_FIELDS };

static inline int ss_usable(double value) {
    return value > 0.0 && value <= 1.7976931348623157e308;
}

/* Scales and checks. The arithmetic is `px / px_div` and `sz * sz_mul`, as in the typed tier. */
static inline int ss_conclude(const double raw[SS_FIELDS], const ss_symbol *symbol, ss_match *out) {
    double bid_px = raw[SS_BID_PX] / symbol->px_div;
    double bid_sz = raw[SS_BID_SZ] * symbol->sz_mul;
    double ask_px = raw[SS_ASK_PX] / symbol->px_div;
    double ask_sz = raw[SS_ASK_SZ] * symbol->sz_mul;
    if (!(ss_usable(bid_px) && ss_usable(bid_sz) && ss_usable(ask_px) && ss_usable(ask_sz)))
        return SS_OTHER_VALUE;
    out->bid_px = bid_px;
    out->bid_sz = bid_sz;
    out->ask_px = ask_px;
    out->ask_sz = ask_sz;
    out->symbol_id = symbol->symbol_id;
    return SS_MATCHED;
}

static inline int ss_time(uint64_t ms, int64_t *out) {
    if (ms < SS_TS_MS_MIN || ms > SS_TS_MS_MAX) return SS_OTHER_TIME;
    *out = (int64_t)ms * SS_NS_PER_MS;
    return SS_MATCHED;
}

/* Whether something was sent before it was made: its engine's time cannot be. */
static inline int ss_ahead(int64_t made, int64_t sent) {
    return sent != SS_TS_ABSENT && made > sent + SS_AHEAD_NS_MAX;
}

/* Whether the bytes are UTF-8 as the Unicode standard has it: no overlong form, no surrogate. */
static inline int ss_is_utf8(const char *text, size_t size) {
    const unsigned char *p = (const unsigned char *)text;
    const unsigned char *end = p + size;
    while (p < end) {
        unsigned lead = *p++;
        unsigned least = 0x80, most = 0xBF;
        int more;
        if (lead < 0x80) continue;
        if (lead >= 0xC2 && lead <= 0xDF)
            more = 1;
        else if (lead >= 0xE0 && lead <= 0xEF)
            more = 2;
        else if (lead >= 0xF0 && lead <= 0xF4)
            more = 3;
        else
            return 0;
        if (lead == 0xE0)
            least = 0xA0;
        else if (lead == 0xED)
            most = 0x9F;
        else if (lead == 0xF0)
            least = 0x90;
        else if (lead == 0xF4)
            most = 0x8F;
        for (; more > 0; more--, least = 0x80, most = 0xBF)
            if (p == end || *p < least || *p++ > most) return 0;
    }
    return 1;
}

/* The end of a JSON string's content: where its closing quote stands. NULL if there is none, or a
 * backslash or control character comes first. *ascii tells whether all bytes are below 0x80.
 */
static inline const char *ss_string_end(const char *p, const char *end, int *ascii) {
    *ascii = 1;
    while (p < end) {
#if SS_WORDWISE
        if (end - p >= 8) {
            uint64_t word = ss_load64(p);
            uint64_t quote = word ^ SS_EACH('"');
            uint64_t slash = word ^ SS_EACH('\\');
            /* The first byte found is right; borrows reach only those after it. */
            uint64_t found = (((quote - SS_EACH(1)) & ~quote) | ((slash - SS_EACH(1)) & ~slash) |
                              ((word - SS_EACH(0x20)) & ~word) | word) &
                             SS_EACH(0x80);
            if (found == 0) {
                p += 8;
                continue;
            }
            p += (unsigned)__builtin_ctzll(found) >> 3;
        }
#endif
        unsigned char byte = (unsigned char)*p;
        if (byte == '"') return p;
        if (byte < 0x20 || byte == '\\') return NULL;
        if (byte >= 0x80) *ascii = 0;
        p++;
    }
    return NULL;
}

#endif
