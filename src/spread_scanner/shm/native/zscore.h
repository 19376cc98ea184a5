/* How far an entry is off what it usually is, asked of the analyst's segment.
 *
 * Writer:  spread-analyst.     Reader: the engine, mapped read-only.
 *
 * A read is bounded and asks the system for nothing. What is not known is NaN: nobody is attached,
 * the pair was never written, the record is old, of other tables, or of too few samples, or the
 * basis has never moved.
 */
#ifndef SS_ZSCORE_H
#define SS_ZSCORE_H

#include "analysis.h"
#include "latches.h"

#define SS_PAIR_ANALYSIS_WORDS (sizeof(ss_pair_analysis) / sizeof(uint64_t))

/* Of the pair at a place of the table; a table of zeros is one that nobody is attached to. */
static inline ss_z ss_analysis_z(const ss_latches *pairs, uint64_t place, uint32_t generation,
                                 double entry_bps, int64_t now_ns) {
    union {
        ss_pair_analysis record;
        uint64_t word[SS_PAIR_ANALYSIS_WORDS];
    } copy;
    if (place >= pairs->count || ss_latches_read(pairs, place, copy.word) != SS_READ_OK)
        return ss_z_unknown();
    return ss_z_of(&copy.record, generation, entry_bps, now_ns);
}

#endif
