/* The engine's last evaluations: a ring that overwrites its oldest rows and can be read at any time.
 *
 * Writer:  the engine, which claimed it.     Readers: anyone, mapped read-only (spread-ctl why).
 *
 * A row's last word is its sequence: odd while the row is being written, even and not zero when it
 * is whole. A reader that meets an odd or changed sequence tries again a few times and then leaves
 * that row out: rows explain, nothing is decided by them. A writer killed half-way leaves one odd
 * row, which the next writer makes whole when the ring comes round to it.
 */
#ifndef SS_EVALUATIONS_H
#define SS_EVALUATIONS_H

#include <stdatomic.h>
#include <stdint.h>

#include "hooks.h"

#define SS_EVALUATION_WORDS 32
#define SS_EVALUATION_TRIES_MAX 64

typedef struct ss_evaluation {
    int64_t ts_engine;
    double gross_bps, fees_bps, carry_bps, net_bps, enter_bps;
    double size_quote, size_quote_min;
    int64_t spot_age_ns, fut_age_ns, skew_ns;
    double spot_px, fut_px;
    uint32_t spot_flags, fut_flags;
    uint16_t symbol_id;
    uint8_t direction_id, verdict;
    uint32_t count;
    double exit_bps, close_bps, usual_bps, parity_bps, size_base, lot_base, learned;
    uint32_t usual_generation, flags;
    double z, z_min, z_mean_bps, z_deviation_bps; /* NaN: not asked, or not known */
    uint32_t generation;                          /* of the tables that symbol_id is of */
    uint32_t spare[7];
    uint64_t sequence; /* "reserved" in copies */
} ss_evaluation;

typedef union ss_evaluation_words {
    ss_evaluation row;
    uint64_t word[SS_EVALUATION_WORDS];
} ss_evaluation_words;

typedef struct ss_evaluation_slot {
    _Alignas(64) _Atomic uint64_t word[SS_EVALUATION_WORDS];
} ss_evaluation_slot;

typedef struct ss_evaluations_control {
    _Alignas(128) _Atomic uint64_t head; /* rows ever begun; stored by the writer */
    uint64_t reserved[15];
} ss_evaluations_control;

typedef struct ss_evaluations {
    ss_evaluations_control *control;
    ss_evaluation_slot *slots;
    uint64_t capacity; /* a power of two */
} ss_evaluations;

_Static_assert(sizeof(ss_evaluation) == 256, "a row is four cache lines");
_Static_assert(sizeof(ss_evaluation_slot) == 256, "a slot is its row");
_Static_assert(sizeof(ss_evaluations_control) == 128, "two cache lines");

/* Writes the row at a position, over whatever stands there. */
static inline void ss_evaluations_write(ss_evaluations *ring, uint64_t position,
                                        const ss_evaluation *row) {
    ss_evaluation_words from = {.row = *row};
    ss_evaluation_slot *slot = &ring->slots[position & (ring->capacity - 1)];
    _Atomic uint64_t *sequence = &slot->word[SS_EVALUATION_WORDS - 1];
    uint64_t odd = atomic_load_explicit(sequence, memory_order_relaxed) | 1;
    SS_BEFORE_STORE();
    atomic_store_explicit(sequence, odd, memory_order_relaxed);
    /* The odd sequence before the row. Partner: the acquire fence in ss_evaluations_read. */
    atomic_thread_fence(memory_order_release);
    for (int i = 0; i < SS_EVALUATION_WORDS - 1; i++)
        atomic_store_explicit(&slot->word[i], from.word[i], memory_order_relaxed);
    SS_BEFORE_STORE();
    /* The row before the even sequence. Partner: the acquire load in ss_evaluations_read. */
    atomic_store_explicit(sequence, odd + 1, memory_order_release);
}

/* Writes a new row over the oldest one and returns its position. */
static inline uint64_t ss_evaluations_append(ss_evaluations *ring, const ss_evaluation *row) {
    uint64_t head = atomic_load_explicit(&ring->control->head, memory_order_relaxed);
    /* Before the row: a writer that dies in between skips a position and never counts one twice. */
    atomic_store_explicit(&ring->control->head, head + 1, memory_order_relaxed);
    ss_evaluations_write(ring, head, row);
    return head;
}

static inline uint64_t ss_evaluations_head(const ss_evaluations *ring) {
    return atomic_load_explicit(&ring->control->head, memory_order_relaxed);
}

/* Copies the row of a slot: 1, or 0 when it was never written or is being written all the time. */
static inline int ss_evaluations_read(const ss_evaluations *ring, uint64_t number,
                                      ss_evaluation *row) {
    const ss_evaluation_slot *slot = &ring->slots[number];
    const _Atomic uint64_t *sequence = &slot->word[SS_EVALUATION_WORDS - 1];
    ss_evaluation_words copy;
    for (int tries = 0; tries < SS_EVALUATION_TRIES_MAX; tries++) {
        /* Partner: the release store of the even sequence. */
        uint64_t before = atomic_load_explicit(sequence, memory_order_acquire);
        if (before == 0) return 0;
        if (before & 1) continue;
        for (int i = 0; i < SS_EVALUATION_WORDS; i++)
            copy.word[i] = atomic_load_explicit(&slot->word[i], memory_order_relaxed);
        /* The copy before the second look. Partner: the release fence after the odd sequence. */
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(sequence, memory_order_relaxed) == before) {
            *row = copy.row;
            row->sequence = 0;
            return 1;
        }
    }
    return 0;
}

#endif
