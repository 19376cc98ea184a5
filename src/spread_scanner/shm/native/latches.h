/* A table of records, each in a latch of its own (seqlock.h).
 *
 * Writer:  the one that claimed the table.     Readers: anyone, mapped read-only.
 *
 * A reader never waits; a writer that dies half-way leaves the record as it was.
 */
#ifndef SS_LATCHES_H
#define SS_LATCHES_H

#include "seqlock.h"

#define SS_LATCH_WORDS_MAX 2048

typedef _Atomic uint64_t ss_word;

typedef struct ss_latches {
    ss_sequence *sequences; /* a cache line each */
    ss_word *cells;         /* two per record */
    uint64_t count;
    int words; /* of a record */
} ss_latches;

static inline void ss_latches_write(ss_latches *table, uint64_t number, const uint64_t *record) {
    ss_latch_write(&table->sequences[number], table->cells + 2 * number * (uint64_t)table->words,
                   record, table->words);
}

static inline int ss_latches_read(const ss_latches *table, uint64_t number, uint64_t *record) {
    return ss_latch_read(&table->sequences[number],
                         table->cells + 2 * number * (uint64_t)table->words, record, table->words);
}

#endif
