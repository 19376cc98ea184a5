/* The price store as one process sees it: cells, dirty bitmaps and wake-ups together.
 *
 * Writer:  the feed that claimed the source.     Readers: anyone.
 *
 * Two segments, because readers map the first read-only and take bits from the second:
 *   store: a row per source | a sequence per (source, symbol) | two cells per (source, symbol)
 *   dirty: per reader: an eventcount, then a block of words per source
 * and the tape of the source that this process writes, for who records.
 */
#ifndef SS_STORE_H
#define SS_STORE_H

#include "bitmap.h"
#include "seqlock.h"
#include "tape.h"
#include "wake.h"

#define SS_READERS_MAX 8

/* What a feed says of itself as a whole. Written by the feed, read by all. */
typedef struct ss_source_row {
    _Alignas(128) _Atomic uint32_t epoch; /* quotes of an older epoch are stale */
    uint32_t reserved_epoch;
    _Atomic int64_t heartbeat_mono_ns;
    uint64_t reserved[14];
} ss_source_row;

_Static_assert(sizeof(ss_source_row) == 128, "two cache lines");

typedef struct ss_store {
    uint32_t num_sources, max_symbols;
    ss_source_row *rows;
    ss_sequence *sequences;
    ss_cell *cells; /* two per symbol */
    uint32_t num_readers, words_per_source;
    uint32_t words_stride; /* words from one source's block to the next: 128-byte aligned */
    uint32_t reserved;
    ss_wake *wakes[SS_READERS_MAX];
    ss_dirty_word *dirty[SS_READERS_MAX];
    ss_tape tape;
} ss_store;

static inline uint64_t ss_store_index(const ss_store *store, uint32_t source, uint32_t symbol) {
    return (uint64_t)source * store->max_symbols + symbol;
}

static inline ss_dirty_word *ss_store_words(const ss_store *store, uint32_t reader,
                                            uint32_t source) {
    return store->dirty[reader] + (uint64_t)source * store->words_stride;
}

/* Looks whether anybody records: once per read of a socket, or batch. */
static inline void ss_store_look(ss_store *store) {
    ss_tape_look(&store->tape);
}

/* Publishes a quote. For a batch that marks its dirty bits word by word. */
static inline void ss_store_publish(ss_store *store, uint32_t source, uint32_t symbol,
                                    const ss_quote *quote) {
    uint64_t index = ss_store_index(store, source, symbol);
    ss_cell_write(&store->sequences[index], &store->cells[2 * index], quote);
    if (store->tape.on) ss_tape_push(&store->tape, source, symbol, quote);
}

/* Publishes a quote and marks it dirty for every reader. Does not wake: a batch calls
 * ss_store_notify once at its end, a single write calls ss_store_write. */
static inline void ss_store_put(ss_store *store, uint32_t source, uint32_t symbol,
                                const ss_quote *quote) {
    ss_store_publish(store, source, symbol, quote);
    for (uint32_t reader = 0; reader < store->num_readers; reader++)
        ss_bitmap_mark(ss_store_words(store, reader, source), symbol);
}

/* Wakes the readers that are parked. */
static inline void ss_store_notify(ss_store *store) {
    for (uint32_t reader = 0; reader < store->num_readers; reader++)
        ss_wake_notify_after_rmw(store->wakes[reader]);
}

static inline void ss_store_write(ss_store *store, uint32_t source, uint32_t symbol,
                                  const ss_quote *quote) {
    ss_store_put(store, source, symbol, quote);
    ss_store_notify(store);
}

static inline int ss_store_read(const ss_store *store, uint32_t source, uint32_t symbol,
                                ss_quote *quote) {
    uint64_t index = ss_store_index(store, source, symbol);
    return ss_cell_read(&store->sequences[index], &store->cells[2 * index], quote);
}

static inline int ss_store_own(const ss_store *store, uint32_t source, uint32_t symbol,
                               ss_quote *quote) {
    uint64_t index = ss_store_index(store, source, symbol);
    return ss_cell_own(&store->sequences[index], &store->cells[2 * index], quote);
}

/* What a new writer says first: quotes of its predecessor are stale from now on. */
static inline void ss_store_begin_epoch(ss_store *store, uint32_t source, uint32_t epoch) {
    atomic_store_explicit(&store->rows[source].epoch, epoch, memory_order_release);
}

static inline void ss_store_beat(ss_store *store, uint32_t source, int64_t mono_ns) {
    atomic_store_explicit(&store->rows[source].heartbeat_mono_ns, mono_ns, memory_order_relaxed);
}

static inline uint32_t ss_store_epoch(const ss_store *store, uint32_t source) {
    return atomic_load_explicit(&store->rows[source].epoch, memory_order_acquire);
}

static inline int64_t ss_store_heartbeat(const ss_store *store, uint32_t source) {
    return atomic_load_explicit(&store->rows[source].heartbeat_mono_ns, memory_order_relaxed);
}

static inline int ss_store_any_dirty(const ss_store *store, uint32_t reader) {
    for (uint32_t source = 0; source < store->num_sources; source++)
        if (ss_bitmap_any(ss_store_words(store, reader, source), store->words_per_source)) return 1;
    return 0;
}

/* Parks the reader until something is dirty or `timeout_ns` has passed; 1 means look. */
static inline int ss_store_wait(ss_store *store, uint32_t reader, int64_t timeout_ns) {
    ss_wake *wake = store->wakes[reader];
    uint32_t key = ss_wake_prepare(wake);
    if (ss_store_any_dirty(store, reader)) {
        ss_wake_cancel(wake);
        return 1;
    }
    return ss_wake_wait(wake, key, timeout_ns);
}

#endif
