/* Exponentially weighted means and deviations of a pair's entry and exit, a second at a time.
 *
 * A sample weighs 2^(-age / half-life). Every second all weights decay alike, so that a mean stays
 * as it is and only the sums move; a sample then moves the mean and the squares about it (West's
 * update), which loses nothing however far the mean lies from zero.
 */
#ifndef SS_MEANS_H
#define SS_MEANS_H

#include <math.h>
#include <stdint.h>

#include "analysis.h"

/* Of less nothing is left but slow arithmetic: the mean is of nobody's. */
#define SS_WEIGHT_MIN 1e-9

typedef struct ss_means {
    double weight[SS_HALF_LIVES];
    double mean[2][SS_HALF_LIVES];   /* entry, exit */
    double square[2][SS_HALF_LIVES]; /* sum of weighted squares about the mean */
} ss_means;

static inline void ss_means_decay(ss_means *means, const double decay[SS_HALF_LIVES]) {
    for (int k = 0; k < SS_HALF_LIVES; k++) {
        means->weight[k] *= decay[k];
        int faded = means->weight[k] < SS_WEIGHT_MIN;
        if (faded) means->weight[k] = 0;
        for (int side = 0; side < 2; side++) {
            means->square[side][k] = faded ? 0 : means->square[side][k] * decay[k];
            if (faded) means->mean[side][k] = 0;
        }
    }
}

static inline void ss_means_add(ss_means *means, const double sample[2]) {
    for (int k = 0; k < SS_HALF_LIVES; k++) {
        means->weight[k] += 1;
        for (int side = 0; side < 2; side++) {
            double apart = sample[side] - means->mean[side][k];
            double moved = apart / means->weight[k];
            means->mean[side][k] += moved;
            means->square[side][k] += apart * (apart - moved);
        }
    }
}

/* `now`: what the pair shows, NaN where it cannot be stood behind. `known`: the weight from which
 * on a deviation says something. */
static inline uint32_t ss_means_show(const ss_means *means, const double now[2],
                                     const double known[SS_HALF_LIVES], ss_pair_analysis *shown) {
    ss_basis *sides[2] = {&shown->entry, &shown->exit};
    uint32_t flags = 0;
    for (int k = 0; k < SS_HALF_LIVES; k++) {
        int is_known = means->weight[k] >= known[k];
        shown->weight[k] = means->weight[k];
        if (is_known) flags |= (uint32_t)SS_ANALYSIS_KNOWN_0 << k;
        for (int side = 0; side < 2; side++) {
            double deviation = sqrt(means->square[side][k] / means->weight[k]); /* 0 / 0: NaN */
            sides[side]->mean[k] = means->weight[k] > 0 ? means->mean[side][k] : NAN;
            sides[side]->deviation[k] = deviation;
            sides[side]->z[k] =
                is_known && deviation > 0 ? (now[side] - means->mean[side][k]) / deviation : NAN;
        }
    }
    return flags;
}

#endif
