/* Whether a quote can be stood behind now: the C twin of schema/freshness.py, line by line.
 *
 * Used by the engine's loop. test_freshness_twins holds the two together over random quotes.
 */
#ifndef SS_FRESHNESS_H
#define SS_FRESHNESS_H

#include "quote.h"

/* Whether a feed beats; `woke_ns`: beats from before the machine's last sleep are of another day. */
static inline int ss_beats(int64_t beat_mono_ns, int64_t now_mono_ns, int64_t woke_ns,
                           int64_t heartbeat_ns_max) {
    return beat_mono_ns > 0 && beat_mono_ns >= woke_ns &&
           now_mono_ns - beat_mono_ns <= heartbeat_ns_max;
}

/* Whether a leg can be stood behind: by its flags, its feed's heartbeat and epoch, and its age. */
static inline int ss_usable(const ss_quote *quote, int beats, uint32_t epoch, int64_t now_ns,
                            int64_t stale_ns_max) {
    return (quote->flags & SS_FLAGS_UNUSABLE) == 0 && beats && quote->epoch >= epoch &&
           now_ns - quote->ts_recv <= stale_ns_max;
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

#endif
