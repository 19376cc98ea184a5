/* Whether a quote can be stood behind now: the C twin of schema/freshness.py, line by line.
 *
 * Used by the engine's loop. test_freshness_twins holds the two together over random quotes.
 */
#ifndef SS_FRESHNESS_H
#define SS_FRESHNESS_H

#include "book.h"
#include "costs.h"
#include "quote.h"

#define SS_WITNESSES_MIN 3

/* Whether a feed beats; `woke_ns`: beats from before the machine's last sleep are of another day. */
static inline int ss_beats(int64_t beat_mono_ns, int64_t now_mono_ns, int64_t woke_ns,
                           int64_t heartbeat_ns_max) {
    return beat_mono_ns > 0 && beat_mono_ns >= woke_ns &&
           now_mono_ns - beat_mono_ns <= heartbeat_ns_max;
}

static inline int ss_in_time(const ss_quote *quote, int beats, uint32_t epoch, int64_t now_ns,
                             int64_t stale_ns_max) {
    return beats && quote->epoch >= epoch && now_ns - quote->ts_recv <= stale_ns_max;
}

/* Whether a leg can be stood behind: by its flags, its feed's heartbeat and epoch, and its age. */
static inline int ss_usable(const ss_quote *quote, int beats, uint32_t epoch, int64_t now_ns,
                            int64_t stale_ns_max) {
    return (quote->flags & SS_FLAGS_UNUSABLE) == 0 &&
           ss_in_time(quote, beats, epoch, now_ns, stale_ns_max);
}

/* Whether it could be, were it of the level that it was of before. */
static inline int ss_only_jumped(const ss_quote *quote, int beats, uint32_t epoch, int64_t now_ns,
                                 int64_t stale_ns_max) {
    return (quote->flags & SS_FLAGS_UNUSABLE) == SS_FLAG_JUMPED &&
           ss_in_time(quote, beats, epoch, now_ns, stale_ns_max);
}

/* Whether a book can be stood behind. */
static inline int ss_book_usable(const ss_book_record *book, int beats, int64_t now_ns,
                                 int64_t stale_ns_max) {
    return (book->flags & SS_BOOK_UNUSABLE) == 0 && beats && now_ns - book->ts_recv <= stale_ns_max;
}

/* Whether the older leg is behind the other by too much. A leg that is only slow, as quiet coins are,
 * is behind no one: its feed says when its silence is out of line with its own rate. */
static inline int ss_skewed(const ss_quote *spot, const ss_quote *fut, int64_t skew_ns_max) {
    int64_t skew_ns = spot->ts_recv - fut->ts_recv;
    const ss_quote *older = skew_ns < 0 ? spot : fut;
    return (older->flags & SS_FLAG_OVERDUE) != 0 &&
           (skew_ns < 0 ? -skew_ns : skew_ns) > skew_ns_max;
}

/* Whether a spread can be one: beyond the limit the two legs are not one coin, or not of one time. */
static inline int ss_plausible(double gross_bps, double implausible_bps) {
    return gross_bps <= implausible_bps && gross_bps >= -implausible_bps;
}

/* Whether a price is beyond the limit from the median of three or more others; puts them in order. */
static inline int ss_alone(double px, double *others, uint32_t count, double implausible_bps) {
    if (count < SS_WITNESSES_MIN) return 0;
    for (uint32_t i = 1; i < count; i++) {
        double other = others[i];
        uint32_t at = i;
        for (; at > 0 && others[at - 1] > other; at--)
            others[at] = others[at - 1];
        others[at] = other;
    }
    double median = (others[(count - 1) / 2] + others[count / 2]) / 2;
    return !ss_plausible(ss_stray_bps(px, median), implausible_bps);
}

#endif
