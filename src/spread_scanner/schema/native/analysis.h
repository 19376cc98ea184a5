/* What spread-analyst finds out about a pair and a cell: the C twin of schema/analysis.py, which
 * says what each means. NaN: not known. test_analysis_layout holds sizes and offsets together.
 */
#ifndef SS_ANALYSIS_RECORD_H
#define SS_ANALYSIS_RECORD_H

#include <stdint.h>

#define SS_HALF_LIVES 3
#define SS_FRAMES 3 /* lengths of bars */

enum ss_analysis_flag { SS_ANALYSIS_USABLE = 1, SS_ANALYSIS_KNOWN_0 = 2 };

typedef struct ss_indicators {
    double rsi, ema, middle, upper, lower;
} ss_indicators;

typedef struct ss_bars {
    uint64_t bars;
    ss_indicators closed, running;
} ss_bars;

typedef struct ss_cell_analysis {
    int64_t ts, ts_sample;
    double mid;
    uint32_t generation, flags;
    ss_bars frames[SS_FRAMES];
    uint64_t reserved[3];
} ss_cell_analysis;

typedef struct ss_basis {
    double now;
    double mean[SS_HALF_LIVES], deviation[SS_HALF_LIVES], z[SS_HALF_LIVES];
    double median, q05, q25, q75, q95, half_life_s;
} ss_basis;

typedef struct ss_pair_analysis {
    int64_t ts, ts_sample;
    double weight[SS_HALF_LIVES];
    double usable_share;
    uint32_t minutes, generation, flags, looked;
    ss_basis entry, exit;
} ss_pair_analysis;

_Static_assert(sizeof(ss_cell_analysis) == 320, "five cache lines");
_Static_assert(sizeof(ss_pair_analysis) == 320, "five cache lines");

#endif
