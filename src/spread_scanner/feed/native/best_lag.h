/* The best lag of a source over all its connections, as it is now: what a quote's lag counts from.
 *
 * Writer: the feed's one thread, per quote. Exchange clocks are off by an unknown constant, so lag
 * has no zero of its own. A window's best is its eighth least lag, and the source's best what the
 * last three windows agree on: a clock that jumps for seconds, or a message dated in the future, is
 * in none of them for long. Once known it rises by the clocks' drift only, so that a backlog that
 * grows slowly is seen. Until three windows have passed it is the middle of what was seen, of two
 * windows the lower, and not below zero: a machine's clock is rather right than wrong. A window that
 * is late by one before it is none of the three: a backlog is, and a clock that is set back shows in
 * times that go back. If that lasts it counts after all: not every clock shows. Nor does one that was
 * set while nothing was heard: when nobody has been in time since then, and by how much does not
 * change for as many windows, it is learned anew. All times are ns, on the session's clock.
 */
#ifndef SS_BEST_LAG_H
#define SS_BEST_LAG_H

#include <stdint.h>

enum {
    SS_LAG_KEPT = 8,         /* of a window's least lags: seven outliers are nobody's best */
    SS_LAG_SAMPLES_MIN = 15, /* of a window: its eighth least is then no more than the median */
    SS_LAG_WINDOWS = 3,
    SS_LAG_CONFIRMS = 15, /* quotes in a row not in time make one time that went back the clock's */
    SS_LAG_DOUBTS_MAX = 90, /* late windows not believed, a quarter of an hour or more */
};
#define SS_LAG_WINDOW_NS (INT64_C(10) * 1000000000)
#define SS_LAG_BACK_NS (INT64_C(500) * 1000000)
#define SS_LAG_APART_NS SS_LAG_BACK_NS /* windows that differ by less agree */

typedef struct ss_best_lag {
    int64_t now_ns;   /* what lag counts from, in this read */
    int64_t read_ns;  /* when that was */
    int64_t asked_ns; /* a lag below this is to be taken */
    uint64_t taken;   /* quotes of this window */
    uint32_t behind;  /* quotes in a row not in time since one went back; 0: none has */
    uint32_t lates;   /* by how many late quotes outnumber the others of late, eight at most */
    int64_t late_ns;  /* since when they do */
    uint32_t windows_passed;
    uint32_t doubts; /* late windows that were not believed */
    int away;        /* no connection was there for a while, and no window in time since */
    double drift;    /* how much it may rise, per unit of time */
    int32_t kept_max, windows_min, kept, gone_backs;
    int64_t window_start_ns, best_ns, best_at_ns;
    int64_t doubted_ns; /* the lag of the first of them since it was away */
    int64_t before_ns;  /* what a time went back from in this window: its lag, not usual yet */
    int64_t windows[SS_LAG_WINDOWS];
    int64_t least[SS_LAG_KEPT];
} ss_best_lag;

/* A new window. */
static inline void ss_lag_begin(ss_best_lag *best, int64_t mono_ns) {
    best->kept = best->gone_backs = 0;
    best->taken = 0;
    best->asked_ns = INT64_MAX;
    best->window_start_ns = mono_ns;
    best->before_ns = INT64_MIN;
}

/* `kept` and `windows` can be less than usual, not more. */
static inline void ss_lag_init(ss_best_lag *best, double drift, int kept, int windows) {
    *best = (ss_best_lag){
        .now_ns = INT64_MAX, .drift = drift, .kept_max = kept, .windows_min = windows};
    ss_lag_begin(best, 0);
}

/* The middle one of a few, of an even number the lower. */
static inline int64_t ss_lag_middle(const int64_t *from, int count) {
    int64_t sorted[SS_LAG_WINDOWS + 1];
    for (int i = 0; i < count; i++) {
        int place = i;
        for (; place > 0 && sorted[place - 1] > from[i]; place--)
            sorted[place] = sorted[place - 1];
        sorted[place] = from[i];
    }
    return sorted[(count - 1) / 2];
}

/* Whether a quote came as early as most that come in time. */
static inline int ss_lag_usual(const ss_best_lag *best, int64_t lag_ns) {
    return lag_ns > INT64_MIN && lag_ns >= best->now_ns - SS_LAG_BACK_NS;
}

/* Whether a window is late by one of the few that have passed, and not yet to be counted. */
static inline int ss_lag_doubted(const ss_best_lag *best, int64_t lag_ns) {
    if (best->doubts >= SS_LAG_DOUBTS_MAX) return 0;
    for (int i = 0; i < (int)best->windows_passed && i < best->windows_min; i++)
        if (lag_ns - best->windows[i] > SS_LAG_APART_NS) return 1;
    return 0;
}

/* What is believed while too little was seen. */
static inline void ss_lag_guess(ss_best_lag *best) {
    int64_t said[SS_LAG_WINDOWS + 1];
    int count = 0, enough = best->taken >= SS_LAG_SAMPLES_MIN;
    for (; count < (int)best->windows_passed; count++)
        said[count] = best->windows[count];
    if (count == 0 || enough) {
        int place = enough ? SS_LAG_KEPT - 1 : (int)(best->taken - 1) / 2;
        int64_t lag_ns = best->least[place < best->kept ? place : best->kept - 1];
        if (!ss_lag_doubted(best, lag_ns)) said[count++] = lag_ns;
    }
    int64_t middle_ns = ss_lag_middle(said, count);
    best->now_ns = middle_ns > 0 ? middle_ns : 0;
}

/* One of the least of this window. */
static inline void ss_lag_take(ss_best_lag *best, int64_t lag_ns) {
    int place = best->kept < best->kept_max ? best->kept : best->kept_max - 1;
    for (; place > 0 && best->least[place - 1] > lag_ns; place--)
        best->least[place] = best->least[place - 1];
    best->least[place] = lag_ns;
    if (best->kept < best->kept_max) best->kept++;
    if (best->kept == best->kept_max) best->asked_ns = best->least[best->kept_max - 1];
    if (best->windows_passed < (uint32_t)best->windows_min) ss_lag_guess(best);
}

/* The source is known, and a window is over: whether nobody has been in time since it was away, by an
 * amount that does not change, for so long that the exchange's clock was set meanwhile. A backlog is
 * worked off, or grows. */
static inline int ss_lag_set_unheard(ss_best_lag *best, int64_t lag_ns) {
    int64_t apart_ns = lag_ns - best->doubted_ns;
    if (lag_ns - best->now_ns <= SS_LAG_APART_NS) best->away = 0;
    if (!best->away) return 0;
    if (best->doubts == 0 || apart_ns > SS_LAG_APART_NS || apart_ns < -SS_LAG_APART_NS) {
        best->doubted_ns = lag_ns;
        best->doubts = 0;
    }
    return ++best->doubts >= SS_LAG_DOUBTS_MAX;
}

/* The exchange's clock was set: what was learned by it is worth nothing. */
static inline void ss_lag_forget(ss_best_lag *best) {
    best->windows_passed = best->behind = best->doubts = best->lates = 0;
    best->away = 0;
    ss_lag_begin(best, 0);
}

/* A window is over. The first best is the middle of those that count: one that began with a backlog
 * is outvoted. Later ones must all agree to let it fall. */
static inline void ss_lag_conclude(ss_best_lag *best, int64_t mono_ns) {
    uint32_t enough = (uint32_t)best->windows_min;
    int64_t agreed = INT64_MIN, lag_ns = best->least[best->kept_max - 1];
    if (best->windows_passed < enough && ss_lag_doubted(best, lag_ns)) {
        best->doubts++;
        ss_lag_begin(best, mono_ns);
        return;
    }
    if (best->windows_passed >= enough && ss_lag_set_unheard(best, lag_ns)) {
        ss_lag_forget(best);
        return;
    }
    for (int i = best->windows_min - 1; i > 0; i--)
        best->windows[i] = best->windows[i - 1];
    best->windows[0] = lag_ns;
    best->windows_passed++;
    if (best->windows_passed == enough) {
        best->best_ns = ss_lag_middle(best->windows, best->windows_min);
    } else if (best->windows_passed > enough) {
        for (int i = 0; i < best->windows_min; i++)
            if (best->windows[i] > agreed) agreed = best->windows[i];
        best->best_ns = best->now_ns < agreed ? best->now_ns : agreed;
    }
    best->best_at_ns = mono_ns;
    if (best->windows_passed >= enough) {
        best->now_ns = best->best_ns;
        if (ss_lag_usual(best, best->before_ns)) best->behind = 1;
    }
    ss_lag_begin(best, mono_ns);
}

/* A read of the socket begins. */
static inline void ss_lag_at(ss_best_lag *best, int64_t mono_ns) {
    best->read_ns = mono_ns;
    if (best->windows_passed >= (uint32_t)best->windows_min)
        best->now_ns =
            best->best_ns + (int64_t)((double)(mono_ns - best->best_at_ns) * best->drift);
    else if (best->kept > 0)
        ss_lag_guess(best);
    if (best->window_start_ns == 0)
        best->window_start_ns = mono_ns;
    else if (best->taken >= SS_LAG_SAMPLES_MIN &&
             mono_ns - best->window_start_ns >= SS_LAG_WINDOW_NS)
        ss_lag_conclude(best, mono_ns);
}

/* A connection is gone: what was late on it may have been so by its path, of which the others know
 * nothing. A backlog goes on without it. */
static inline void ss_lag_ended(ss_best_lag *best) {
    best->lates = 0;
}

/* No connection is left: nobody hears the exchange set its clock. What was late before does not come
 * of that, and what was in time before says nothing of what comes after. */
static inline void ss_lag_lost(ss_best_lag *best) {
    int64_t latest_ns = best->kept > 0 ? best->least[0] : best->windows[0];
    if (best->windows_passed >= (uint32_t)best->windows_min && !best->away) {
        best->away = latest_ns - best->now_ns <= SS_LAG_APART_NS;
        best->doubts = 0;
    }
    if (best->away) ss_lag_begin(best, 0);
}

/* What a feed's life before stood by, at that time: known as if its windows had been seen here. */
static inline void ss_lag_recall(ss_best_lag *best, int64_t lag_ns, int64_t mono_ns) {
    for (int i = 0; i < best->windows_min; i++)
        best->windows[i] = lag_ns;
    best->windows_passed = (uint32_t)best->windows_min;
    best->best_ns = best->now_ns = lag_ns;
    best->best_at_ns = mono_ns;
    best->away = 1;
}

/* Whether a quote that was in time at `at_ns` came in the midst of late ones: it is dated wrongly, as
 * a clock that is set back makes nothing late before. */
static inline int ss_lag_odd(const ss_best_lag *best, int64_t at_ns) {
    return best->lates != 0 && at_ns > best->late_ns;
}

/* One more quote that is late, or is not while others were. */
static inline void ss_lag_weigh(ss_best_lag *best, int late) {
    if (!late)
        best->lates--;
    else if (best->lates == 0)
        best->late_ns = best->read_ns;
    if (late && best->lates < SS_LAG_KEPT) best->lates++;
}

/* A symbol's time has gone back though its ids went on, from a quote in time of lag `before_ns`. When
 * `many` do, the clock does. A few may be dated wrongly by themselves: if the time before was a usual
 * one, it is the clock that went back when nothing is in time from then on. Of a clock that was ahead
 * for less than three windows it is a usual one when the best has fallen to it, and not before. */
static inline void ss_lag_gone_back(ss_best_lag *best, int many, int64_t before_ns) {
    if (++best->gone_backs >= many)
        ss_lag_forget(best);
    else if (!ss_lag_usual(best, before_ns))
        best->before_ns = before_ns > best->before_ns ? before_ns : best->before_ns;
    else if (best->behind == 0)
        best->behind = 1;
}

/* By how much a quote of this lag is behind those that come in time; 0: by none that is known. */
static inline int64_t ss_lag_excess(const ss_best_lag *best, int64_t lag_ns) {
    return lag_ns > best->now_ns ? lag_ns - best->now_ns : 0;
}

/* Whether a quote's lag is beyond `lag_ns_max` above the best. */
static inline int ss_lag_judge(ss_best_lag *best, int64_t lag_ns, int64_t lag_ns_max) {
    best->taken++;
    if (lag_ns < best->asked_ns) ss_lag_take(best, lag_ns);
    int late = lag_ns - best->now_ns > lag_ns_max;
    if (late || best->lates != 0) ss_lag_weigh(best, late);
    if (best->behind == 0) return late; /* nearly always */
    /* A clock may have gone back by less than what is late: in time is who is so by half a second. */
    if (lag_ns - best->now_ns <= SS_LAG_BACK_NS) {
        best->behind = 0;
    } else if (++best->behind > SS_LAG_CONFIRMS) {
        ss_lag_forget(best);
        best->taken = 1;
        ss_lag_take(best, lag_ns);
        late = 0;
    }
    return late;
}

#endif
