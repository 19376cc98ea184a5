/* What a feed remembers of a symbol beside its cell, and what a new quote is to the one that stands.
 *
 * Writer: the feed's one thread, per quote. Readers: the feed's looks, as numpy arrays over `memory`
 * (feed/_board.pyx). A quote is stored, or it is old news, by its update id, its times and whether
 * the connection is the one that wrote last; a price beyond all measure is flagged, not dropped.
 */
#ifndef SS_STANDING_H
#define SS_STANDING_H

#include <stdint.h>

#include "quote.h"

/* What became of a quote; feed/_board.pyx has them in words. From DUPLICATE on it is not stored. */
enum ss_outcome {
    SS_STORED,
    SS_REPEAT,
    SS_RESET,
    SS_DUPLICATE,
    SS_OUT_OF_ORDER,
    SS_IMPOSSIBLE,
};

#define SS_NS_PER_S INT64_C(1000000000)
/* The same update id again after this long is no copy on its way twice: the exchange sends by the
 * clock what it had said (Bybit each 3 s, OKX about once a minute), a halted book like any other. So
 * it says that the stream lives, and nothing of the price: the quote keeps its age. */
#define SS_REPEAT_NS_MIN SS_NS_PER_S
/* An update id that is behind while its time is ahead by this much: the exchange began anew. */
#define SS_RESET_EVENT_NS SS_NS_PER_S
#define SS_RESET_RECV_NS (3 * SS_NS_PER_S)
/* By so much no other connection lags: a restart is then believed from anybody. */
#define SS_RESET_ANY_NS (120 * SS_NS_PER_S)
/* A mid beyond this many times its predecessor, or under one part of it, is another coin's until it
 * comes back or somebody has judged it. Of a book as wide as WIDE nobody knows the level. */
#define SS_JUMP_RATIO 5.0
#define SS_WIDE_RATIO 3.0
/* A mean of fewer intervals is none. The first ones say next to nothing: of a coin that quotes each
 * few seconds one in fifty is shorter than a fiftieth of the next, and that silence is in order. */
#define SS_INTERVALS_MIN 16
#define SS_MEAN_STEP (1.0 / SS_INTERVALS_MIN)

/* One cache line, so that a quote touches one; feed/_board.pyx has the same as a dtype. */
typedef struct ss_memory {
    int64_t heard_ns; /* the last read that named it, whatever it brought; 0: none */
    double mean_ns;   /* mean interval of such reads; 0: too few to tell */
    int64_t news_ns;  /* the last read that brought something new */
    double news_mean_ns;
    double mid;     /* the last level that could be believed, over connections; 0: none */
    uint32_t wrote; /* the connection that wrote the cell last; 0: one that is gone */
    uint16_t heard_count, news_count; /* intervals, while they are too few to tell */
    int64_t deaf_ns; /* until then it could not be heard, or was asked for again; 0: never */
    float early_mean_ns, early_news_mean_ns; /* of those few */
} ss_memory;

_Static_assert(sizeof(ss_memory) == 64, "a symbol's memory is one cache line");

/* When a symbol's silence is out of line: after so long, and so many of its mean intervals. */
typedef struct ss_silence {
    int64_t ns_min;
    double intervals_max;
} ss_silence;

static inline double ss_stepped(double mean, double interval) {
    return mean == 0 ? interval : mean + (interval - mean) * SS_MEAN_STEP;
}

/* One more interval, from `before_ns` to `now_ns`. Of what spans a time in which nobody could hear it
 * only the rest since `deaf_ns` is known: it was at least so long. That may make the mean longer; it
 * makes none shorter (the first quote after asking is an answer to that), and none of nothing. None
 * counts for more than the silence by which it was out of line: one pause of a kind does not hide the
 * next, and who has become slow for good is known to be so after a few. The first intervals are
 * averaged in `early`, and are the mean once there are enough of them. */
static inline void ss_learn(double *mean, float *early, uint16_t *count, int64_t before_ns,
                            int64_t deaf_ns, int64_t now_ns, const ss_silence *silence) {
    double interval = (double)(now_ns - (before_ns < deaf_ns ? deaf_ns : before_ns));
    double so_far = *mean != 0 ? *mean : (double)*early;
    double most = so_far * silence->intervals_max;
    if (before_ns < deaf_ns && (so_far == 0 || interval <= so_far)) return;
    if (most < (double)silence->ns_min) most = (double)silence->ns_min;
    if (so_far != 0 && interval > most) interval = most;
    if (*mean != 0) {
        *mean = ss_stepped(*mean, interval);
        return;
    }
    *count += 1;
    so_far += (interval - so_far) / *count;
    *early = (float)so_far;
    if (*count == SS_INTERVALS_MIN) *mean = so_far;
}

/* A symbol was heard of: keeps the mean interval between the reads that name it, and between those
 * that bring news of it. `deaf_ns`: until then nothing at all could be heard. */
static inline void ss_memory_note(ss_memory *memory, int64_t mono_ns, int64_t deaf_ns, int news,
                                  const ss_silence *silence) {
    int64_t before = memory->heard_ns;
    if (memory->deaf_ns > deaf_ns) deaf_ns = memory->deaf_ns;
    if (before != mono_ns) {
        memory->heard_ns = mono_ns;
        if (before)
            ss_learn(&memory->mean_ns, &memory->early_mean_ns, &memory->heard_count, before,
                     deaf_ns, mono_ns, silence);
    }
    if (!news) return;
    before = memory->news_ns;
    if (before != mono_ns) {
        memory->news_ns = mono_ns;
        if (before)
            ss_learn(&memory->news_mean_ns, &memory->early_news_mean_ns, &memory->news_count,
                     before, deaf_ns, mono_ns, silence);
    }
}

/* Flags a price that is not of the same level as the one before it. */
static inline void ss_memory_level(ss_memory *memory, ss_quote *quote) {
    double mid = (quote->bid_px + quote->ask_px) / 2; /* NaN with a side empty: no level */
    if (memory->mid != 0 &&
        (mid > SS_JUMP_RATIO * memory->mid || mid * SS_JUMP_RATIO < memory->mid))
        quote->flags |= SS_FLAG_JUMPED;
    else if (quote->ask_px < SS_WIDE_RATIO * quote->bid_px && quote->bid_px <= quote->ask_px)
        memory->mid = mid;
}

/* What an update id says of a quote, given the one that stands. */
static inline int ss_judge(const ss_quote *old, const ss_quote *fresh, int same_connection) {
    int timed = fresh->ts_event != SS_TS_ABSENT && old->ts_event != SS_TS_ABSENT;
    if (old->flags & SS_FLAG_STALE || old->epoch != fresh->epoch)
        return SS_STORED; /* whatever it is, it is newer than what nobody can stand behind */
    if (fresh->update_id == 0) {
        /* None given: the times have to do, and one connection keeps its order. */
        int late = !same_connection && timed && fresh->ts_event < old->ts_event;
        return late ? SS_OUT_OF_ORDER : SS_STORED;
    }
    if (fresh->update_id > old->update_id) return SS_STORED;
    if (fresh->update_id == old->update_id) {
        int again =
            old->flags & SS_FLAG_LAGGING || fresh->ts_recv - old->ts_recv >= SS_REPEAT_NS_MIN;
        return again ? SS_REPEAT : SS_DUPLICATE;
    }
    /* Behind. A second connection may lag by seconds: no proof that the exchange began anew. */
    int64_t ahead_ns = timed ? fresh->ts_event - old->ts_event : fresh->ts_recv - old->ts_recv;
    if (ahead_ns >= SS_RESET_ANY_NS) return SS_RESET;
    if (!same_connection) return SS_OUT_OF_ORDER;
    if (ahead_ns >= (timed ? SS_RESET_EVENT_NS : SS_RESET_RECV_NS)) return SS_RESET;
    if (timed && fresh->update_id == 1 && ahead_ns >= 0) return SS_RESET;
    return SS_OUT_OF_ORDER;
}

#endif
