/* One record in two cells: a SeqLock in the latch form (Linux calls it seqcount_latch_t).
 *
 * Writer:  the one that claimed it.     Readers: anyone, mapped read-only.
 *
 * ss_cell_* are of quotes; ss_latch_* of records of any number of words.
 *
 * The writer fills the idle cell and then publishes it by stepping the sequence; the sequence's
 * lowest bit names the published cell, and zero means "never written". A writer that dies or is
 * descheduled half-way leaves the published cell untouched, so a reader never waits for it. The
 * odd/even form was rejected: kill -9 left it odd, and its readers stuck, in most tries.
 *
 * The payload moves as relaxed 64-bit atomics: plain stores would be a data race, and memcpy
 * could be split or merged by the compiler. Compilers leave loops over atomics as they are: unrolled,
 * a copy of a quote takes half the instructions.
 */
#ifndef SS_SEQLOCK_H
#define SS_SEQLOCK_H

#include <stdatomic.h>
#include <stdint.h>

#include "hooks.h"
#include "quote.h"

#define SS_QUOTE_WORDS 8
#define SS_READ_TRIES_MAX 64

enum ss_read_result { SS_READ_NONE = 0, SS_READ_OK = 1, SS_READ_CONTENDED = 2 };

/* The same 64 bytes as words, and as what shared memory holds. */
typedef union ss_quote_words {
    ss_quote quote;
    uint64_t word[SS_QUOTE_WORDS];
} ss_quote_words;

typedef struct ss_cell {
    _Alignas(64) _Atomic uint64_t word[SS_QUOTE_WORDS];
} ss_cell;

/* On a cache line of its own: a reader polling the sequence disturbs no payload. */
typedef struct ss_sequence {
    _Alignas(64) _Atomic uint64_t value;
    uint64_t reserved[7];
} ss_sequence;

_Static_assert(sizeof(ss_cell) == 64, "a cell is one cache line");
_Static_assert(sizeof(ss_sequence) == 64, "a sequence is one cache line");

/* Publishes a record of so many words over two cells that lie one behind the other. */
static inline void ss_latch_write(ss_sequence *sequence, _Atomic uint64_t *cells,
                                  const uint64_t *record, int words) {
    uint64_t seq = atomic_load_explicit(&sequence->value, memory_order_relaxed);
    _Atomic uint64_t *idle = cells + ((seq + 1) & 1) * words;

    /* Orders the previous publication before the stores below: without it the idle cell could
     * change while a reader still sees the sequence that names it. Partner: the reader's acquire
     * fence in ss_latch_read. */
    atomic_thread_fence(memory_order_release);
    for (int i = 0; i < words; i++) {
        SS_BEFORE_STORE();
        atomic_store_explicit(&idle[i], record[i], memory_order_relaxed);
    }
    SS_BEFORE_STORE();
    /* Publishes the filled cell. Partner: the reader's first load in ss_latch_read. */
    atomic_store_explicit(&sequence->value, seq + 1, memory_order_release);
}

/* Copies the published record. Never waits: after SS_READ_TRIES_MAX tries that each met two
 * publications it says contended, and what `record` holds is of no one moment. */
static inline int ss_latch_read(const ss_sequence *sequence, const _Atomic uint64_t *cells,
                                uint64_t *record, int words) {
    for (int tries = 0; tries < SS_READ_TRIES_MAX; tries++) {
        /* Partner: the writer's release store of the sequence. */
        uint64_t before = atomic_load_explicit(&sequence->value, memory_order_acquire);
        if (before == 0) return SS_READ_NONE;
        const _Atomic uint64_t *published = cells + (before & 1) * words;
#pragma GCC unroll 8
        for (int i = 0; i < words; i++)
            record[i] = atomic_load_explicit(&published[i], memory_order_relaxed);
        SS_BEFORE_LOOK();
        /* Keeps the copy before the second look. Partner: the writer's release fence. */
        atomic_thread_fence(memory_order_acquire);
        uint64_t after = atomic_load_explicit(&sequence->value, memory_order_relaxed);
        if (before == after) return SS_READ_OK;
    }
    return SS_READ_CONTENDED;
}

static inline void ss_cell_write(ss_sequence *sequence, ss_cell cells[2], const ss_quote *quote) {
    ss_quote_words from = {.quote = *quote};
    ss_latch_write(sequence, (_Atomic uint64_t *)cells, from.word, SS_QUOTE_WORDS);
}

/* As ss_latch_read; a contended read leaves `quote` alone. */
static inline int ss_cell_read(const ss_sequence *sequence, const ss_cell cells[2],
                               ss_quote *quote) {
    ss_quote_words copy;
    int result =
        ss_latch_read(sequence, (const _Atomic uint64_t *)cells, copy.word, SS_QUOTE_WORDS);
    if (result == SS_READ_OK) *quote = copy.quote;
    return result;
}

/* The writer's look at its own last quote: nobody else writes, so no protocol is needed. */
static inline int ss_cell_own(const ss_sequence *sequence, const ss_cell cells[2],
                              ss_quote *quote) {
    uint64_t seq = atomic_load_explicit(&sequence->value, memory_order_relaxed);
    if (seq == 0) return SS_READ_NONE;
    ss_quote_words copy;
    for (int i = 0; i < SS_QUOTE_WORDS; i++)
        copy.word[i] = atomic_load_explicit(&cells[seq & 1].word[i], memory_order_relaxed);
    *quote = copy.quote;
    return SS_READ_OK;
}

#endif
