/* The analyst's arithmetic in bare C over the same headers, in plain arrays: no grid, no records, no
 * bars that may be empty. What the figures of stats stand beside.
 *
 * Prints one JSON object: milliseconds of CPU for a second in which bars of all lengths close, for one
 * in which the shortest does, and for a series of some points from scratch. Arguments: rounds, cells,
 * pairs, points. It aborts unless every cell has its bands.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bars.h"
#include "means.h"

enum { FRAMES = 3, PERIOD = 20 };

static const ss_periods periods = {14, 20, PERIOD, 2.0};
static ss_bar_state *states;
static double *windows, *mids;
static ss_indicators *shown;
static ss_means *means;
static ss_pair_analysis *bases;

static double cpu_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void *zeroed(size_t count, size_t bytes) {
    void *memory = calloc(count, bytes);
    if (memory == NULL) abort();
    return memory;
}

static double step(size_t cells, size_t pairs, int closing) {
    static const double decay[SS_HALF_LIVES] = {0.9977, 0.9998, 0.99995};
    static const double known[SS_HALF_LIVES] = {25, 291, 1166};
    double since_ms = cpu_ms();
    for (size_t cell = 0; cell < cells; cell++)
        for (int frame = 0; frame < FRAMES; frame++) {
            size_t at = cell * FRAMES + (size_t)frame;
            double *window = &windows[at * PERIOD];
            if (frame < closing)
                ss_bar_close(&periods, &states[at], window, mids[cell], &shown[at]);
            else
                ss_bar_look(&periods, &states[at], window, mids[cell], &shown[at]);
        }
    for (size_t pair = 0; pair < pairs; pair++) {
        double now[2] = {mids[pair % cells], -mids[pair % cells]};
        ss_means_decay(&means[pair], decay);
        ss_means_add(&means[pair], now);
        bases[pair].flags = ss_means_show(&means[pair], now, known, &bases[pair]);
    }
    return cpu_ms() - since_ms;
}

static double series(size_t points, ss_indicators *out) {
    ss_bar_state state = {0};
    double window[PERIOD] = {0}, since_ms = cpu_ms();
    for (size_t point = 0; point < points; point++)
        ss_bar_close(&periods, &state, window, 100.0 + (double)(point % 17), &out[point]);
    return cpu_ms() - since_ms;
}

int main(int count, char **words) {
    if (count != 5) return 2;
    size_t rounds = strtoul(words[1], NULL, 10), cells = strtoul(words[2], NULL, 10);
    size_t pairs = strtoul(words[3], NULL, 10), points = strtoul(words[4], NULL, 10);
    states = zeroed(cells * FRAMES, sizeof *states);
    windows = zeroed(cells * FRAMES * PERIOD, sizeof *windows);
    shown = zeroed(cells * FRAMES, sizeof *shown);
    mids = zeroed(cells, sizeof *mids);
    means = zeroed(pairs, sizeof *means);
    bases = zeroed(pairs, sizeof *bases);
    ss_indicators *out = zeroed(points, sizeof *out);
    double least[3] = {INFINITY, INFINITY, INFINITY};
    for (size_t round = 0; round < rounds + PERIOD; round++) {
        for (size_t cell = 0; cell < cells; cell++)
            mids[cell] = 100.0 + (double)((cell * 31 + round * 7) % 101);
        double taken[3] = {step(cells, pairs, FRAMES), step(cells, pairs, 1), series(points, out)};
        for (int i = 0; round >= PERIOD && i < 3; i++)
            least[i] = taken[i] < least[i] ? taken[i] : least[i];
    }
    for (size_t at = 0; at < cells * FRAMES; at++)
        if (!(shown[at].upper >= shown[at].middle)) abort();
    printf("{\"stats.bar\": %.4f, \"stats.second\": %.4f, \"stats.series\": %.5f}\n", least[0],
           least[1], least[2]);
    return 0;
}
