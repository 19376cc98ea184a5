/* RSI (Wilder), EMA and Bollinger bands of one series of bars, a bar at a time.
 *
 * One definition for the live bars, which close once each, and for a series from scratch. The
 * numbers are those of TA-Lib over the same closes: Wilder's means begin as the mean of the first
 * changes, the EMA as the mean of the first closes, a deviation is the population's, and a series
 * that does not move has an RSI of 0. The bands are summed anew for each bar, in two passes: running
 * sums would drift over a day of bars, and lose a narrow band of a high price.
 */
#ifndef SS_BARS_H
#define SS_BARS_H

#include <math.h>
#include <stdint.h>

#include "analysis.h"

typedef struct ss_periods {
    int64_t rsi, ema, bollinger; /* bars */
    double deviations;           /* from the middle to a band */
} ss_periods;

/* What is kept of a series beside its window, the last `bollinger` closes in a ring. */
typedef struct ss_bar_state {
    int64_t bars;      /* closed */
    int64_t oldest;    /* place in the window that the next close takes */
    double last;       /* close */
    double gain, loss; /* Wilder's means; sums until there are `rsi` changes */
    double ema;        /* a sum until there are `ema` closes */
} ss_bar_state;

static inline double ss_sum(const double *values, int64_t count) {
    double sums[4] = {0, 0, 0, 0};
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int lane = 0; lane < 4; lane++)
            sums[lane] += values[i + lane];
    for (; i < count; i++)
        sums[0] += values[i];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

static inline double ss_sum_squares(const double *values, int64_t count, double mean) {
    double sums[4] = {0, 0, 0, 0};
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int lane = 0; lane < 4; lane++)
            sums[lane] += (values[i + lane] - mean) * (values[i + lane] - mean);
    for (; i < count; i++)
        sums[0] += (values[i] - mean) * (values[i] - mean);
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/* One more close. */
static inline void ss_bar_advance(const ss_periods *periods, ss_bar_state *state, double close) {
    int64_t bars = state->bars++;
    if (bars > 0) {
        double change = close - state->last, n = (double)periods->rsi;
        double up = change > 0 ? change : 0, down = change < 0 ? -change : 0;
        double kept = bars > periods->rsi ? n - 1 : 1, divisor = bars < periods->rsi ? 1 : n;
        state->gain = (state->gain * kept + up) / divisor;
        state->loss = (state->loss * kept + down) / divisor;
    }
    if (bars < periods->ema) {
        state->ema += close;
        if (bars + 1 == periods->ema) state->ema /= (double)periods->ema;
    } else {
        state->ema += (close - state->ema) * (2.0 / (double)(periods->ema + 1));
    }
    state->last = close;
}

/* What a series shows after its last close, which is in the window. */
static inline void ss_bar_values(const ss_periods *periods, const ss_bar_state *state,
                                 const double *window, ss_indicators *values) {
    double moved = state->gain + state->loss;
    values->rsi = NAN;
    if (state->bars > periods->rsi) values->rsi = moved > 0 ? 100.0 * (state->gain / moved) : 0.0;
    values->ema = state->bars >= periods->ema ? state->ema : NAN;
    values->middle = values->upper = values->lower = NAN;
    if (state->bars >= periods->bollinger) {
        double n = (double)periods->bollinger;
        double middle = ss_sum(window, periods->bollinger) / n;
        double reach =
            periods->deviations * sqrt(ss_sum_squares(window, periods->bollinger, middle) / n);
        values->middle = middle;
        values->upper = middle + reach;
        values->lower = middle - reach;
    }
}

/* A bar has closed. */
static inline void ss_bar_close(const ss_periods *periods, ss_bar_state *state, double *window,
                                double close, ss_indicators *values) {
    window[state->oldest] = close;
    if (++state->oldest == periods->bollinger) state->oldest = 0;
    ss_bar_advance(periods, state, close);
    ss_bar_values(periods, state, window, values);
}

/* What the series would show if a bar closed now; the series stays as it is. */
static inline void ss_bar_look(const ss_periods *periods, const ss_bar_state *state, double *window,
                               double close, ss_indicators *values) {
    ss_bar_state ahead = *state;
    double kept = window[state->oldest];
    window[state->oldest] = close;
    ss_bar_advance(periods, &ahead, close);
    ss_bar_values(periods, &ahead, window, values);
    window[state->oldest] = kept;
}

#endif
