/* Latency histograms: log-linear buckets, 16 per power of two, so that a bucket's middle is within
 * 3.2 % of every value in it. Values are nanoseconds; negative ones count as 0, those above 2^44
 * (five hours) go to the last bucket. One writer; readers may see a count a moment late.
 */
#ifndef SS_HISTOGRAM_H
#define SS_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define SS_HISTOGRAM_BUCKETS 656 /* 16 exact ones, then 16 for each of 40 powers of two */

typedef _Atomic uint64_t ss_bucket;

static inline uint32_t ss_histogram_index(int64_t value) {
    if (value < 16) return value < 0 ? 0 : (uint32_t)value;
    uint32_t power = 63 - (uint32_t)__builtin_clzll((uint64_t)value);
    uint32_t index = (power - 3) * 16 + (uint32_t)((uint64_t)value >> (power - 4) & 15);
    return index < SS_HISTOGRAM_BUCKETS ? index : SS_HISTOGRAM_BUCKETS - 1;
}

/* A plain add, not a read-modify-write instruction: the row has one writer. */
static inline void ss_count_add(_Atomic uint64_t *counter, uint64_t count) {
    uint64_t value = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, value + count, memory_order_relaxed);
}

static inline void ss_histogram_add(ss_bucket *buckets, int64_t value) {
    ss_count_add(&buckets[ss_histogram_index(value)], 1);
}

#endif
