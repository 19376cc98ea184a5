/* One quote, its flags, and which sides can be stored: the C twin of schema/enums.py and of the
 * quote in schema/records.py. Everything native that names a flag takes it from here;
 * test_shm_layout holds the numbers to the Python ones.
 */
#ifndef SS_QUOTE_H
#define SS_QUOTE_H

#include <math.h>
#include <stdint.h>

#define SS_TS_ABSENT INT64_MIN

/* schema.enums.QuoteFlag says what each means. */
enum ss_quote_flag {
    SS_FLAG_STALE = 1,
    SS_FLAG_SILENT = 2,
    SS_FLAG_LAGGING = 4,
    SS_FLAG_CROSSED = 8,
    SS_FLAG_NO_TS_EVENT = 16,
    SS_FLAG_BID_EMPTY = 32,
    SS_FLAG_ASK_EMPTY = 64,
    SS_FLAG_JUMPED = 128,
    SS_FLAG_OVERDUE = 256,
    SS_FLAGS_UNUSABLE = SS_FLAG_STALE | SS_FLAG_SILENT | SS_FLAG_LAGGING | SS_FLAG_CROSSED |
        SS_FLAG_BID_EMPTY | SS_FLAG_ASK_EMPTY | SS_FLAG_JUMPED
};
#define SS_FLAG_CONTENDED 0x80000000u /* more than an enum of C11 holds */

typedef struct ss_quote {
    double bid_px, bid_sz, ask_px, ask_sz;
    int64_t ts_event, ts_recv;
    uint64_t update_id;
    uint32_t flags, epoch;
} ss_quote;

_Static_assert(sizeof(ss_quote) == 64, "a quote is one cache line");

/* Whether a side can be stored: absent (NaN), or a price above zero and a size of at least zero. */
static inline int ss_side_possible(double px, double sz) {
    return isnan(px) || (px > 0 && isfinite(px) && sz >= 0 && isfinite(sz));
}

/* Sets the flags that follow from the values. */
static inline void ss_quote_derive(ss_quote *quote) {
    if (quote->bid_px > quote->ask_px) quote->flags |= SS_FLAG_CROSSED; /* false when one is NaN */
    if (quote->ts_event == SS_TS_ABSENT) quote->flags |= SS_FLAG_NO_TS_EVENT;
}

#endif
