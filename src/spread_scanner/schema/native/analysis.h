/* What spread-analyst finds out about a pair and a cell: the C twin of schema/analysis.py, which
 * says what each means. NaN: not known. Sizes are asserted below; test_shm_layout pins the other's.
 */
#ifndef SS_ANALYSIS_RECORD_H
#define SS_ANALYSIS_RECORD_H

#include <math.h>
#include <stdint.h>

#define SS_HALF_LIVES 3
#define SS_FRAMES 3      /* lengths of bars */
#define SS_Z_HALF_LIFE 1 /* the one whose mean and deviation an entry is measured by: the middle */
#define SS_ANALYSIS_NS_MAX INT64_C(5000000000) /* a record older than that is of nobody */

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

/* How far an entry is off what it usually is. */
typedef struct ss_z {
    double z, mean_bps, deviation_bps;
} ss_z;

static inline ss_z ss_z_unknown(void) {
    return (ss_z){.z = NAN, .mean_bps = NAN, .deviation_bps = NAN};
}

/* As schema.analysis.z_of has it, to the last bit. */
static inline ss_z ss_z_of(const ss_pair_analysis *record, uint32_t generation, double entry_bps,
                           int64_t now_ns) {
    ss_z found = ss_z_unknown();
    if (record->ts < now_ns - SS_ANALYSIS_NS_MAX || record->ts > now_ns + SS_ANALYSIS_NS_MAX)
        return found;
    if (record->generation != generation) return found;
    if (!(record->flags & ((uint32_t)SS_ANALYSIS_KNOWN_0 << SS_Z_HALF_LIFE))) return found;
    found.mean_bps = record->entry.mean[SS_Z_HALF_LIFE];
    found.deviation_bps = record->entry.deviation[SS_Z_HALF_LIFE];
    if (found.deviation_bps > 0.0) found.z = (entry_bps - found.mean_bps) / found.deviation_bps;
    return found;
}

_Static_assert(sizeof(ss_cell_analysis) == 320, "five cache lines");
_Static_assert(sizeof(ss_pair_analysis) == 320, "five cache lines");

#endif
