/* A single-producer, single-consumer queue of fixed-size records.
 *
 * Producer: the one that claimed the write end.     Consumer: the one that claimed the read end.
 *
 * Never blocks the producer: a full ring refuses the newest record and counts it, because a slow
 * tracker must not slow the engine. Positions only grow (64 bits, masked when used as an index)
 * and each lives on its own pair of cache lines with the counters of its owner. Each side keeps a
 * private copy of the other's position and looks again only when that copy says full or empty.
 *
 * At any rest: pushed = popped + dropped + in_ring, where pushed counts every attempt. A side that
 * dies leaves the position it last published: the record it was writing is not in the ring, the
 * batch it was reading is read again. So at most one batch is uncertain, and records that carry a
 * sequence number tell it.
 *
 * A position that cannot be (more than the capacity ahead of the other) is detected and never
 * followed: the call returns SS_RING_CORRUPT and touches nothing.
 */
#ifndef SS_RING_H
#define SS_RING_H

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "hooks.h"
#include "wake.h"

#define SS_RING_CORRUPT (-1)

typedef struct ss_ring_control {
    _Alignas(128) _Atomic uint64_t write_pos; /* stored by the producer */
    _Atomic uint64_t dropped;                 /* stored by the producer */
    uint64_t reserved_producer[14];
    _Alignas(128) _Atomic uint64_t read_pos; /* stored by the consumer */
    _Atomic uint64_t wanted; /* stored by the consumer of a tape (tape.h); no other asks */
    /* Of a tape, by its consumer, too: the numbers before these are in the log, and on the disk; and
     * since when (ns, CLOCK_BOOTTIME) the oldest waits that is not there, 0: none does. */
    _Atomic uint64_t appended, durable, waits_since;
    uint64_t reserved_consumer[11];
    ss_wake wake; /* the consumer parks here */
} ss_ring_control;

_Static_assert(sizeof(ss_ring_control) == 384, "three pairs of cache lines");

/* One process's view of a ring. `other` is its private copy of the other side's position. */
typedef struct ss_ring {
    ss_ring_control *control;
    char *slots;
    uint64_t capacity; /* a power of two */
    uint64_t record_bytes;
    uint64_t other;
} ss_ring;

/* Sets both positions of a ring that nobody uses yet. */
static inline void ss_ring_start(ss_ring_control *control, uint64_t position) {
    atomic_store_explicit(&control->read_pos, position, memory_order_relaxed);
    atomic_store_explicit(&control->write_pos, position, memory_order_release);
}

static inline uint64_t ss_ring_written(const ss_ring_control *control) {
    return atomic_load_explicit(&control->write_pos, memory_order_acquire);
}

static inline uint64_t ss_ring_taken(const ss_ring_control *control) {
    return atomic_load_explicit(&control->read_pos, memory_order_acquire);
}

static inline uint64_t ss_ring_dropped(const ss_ring_control *control) {
    return atomic_load_explicit(&control->dropped, memory_order_acquire);
}

static inline char *ss_ring_slot(const ss_ring *ring, uint64_t pos) {
    return ring->slots + (pos & (ring->capacity - 1)) * ring->record_bytes;
}

/* Copies `count` records to or from the slots starting at `pos`, in at most two pieces. */
static inline void ss_ring_copy_in(ss_ring *ring, uint64_t pos, const char *from, uint64_t count) {
    uint64_t first = ring->capacity - (pos & (ring->capacity - 1));
    if (first > count) first = count;
    memcpy(ss_ring_slot(ring, pos), from, first * ring->record_bytes);
    SS_BEFORE_STORE();
    memcpy(ring->slots, from + first * ring->record_bytes, (count - first) * ring->record_bytes);
}

static inline void ss_ring_copy_out(const ss_ring *ring, uint64_t pos, char *to, uint64_t count) {
    uint64_t first = ring->capacity - (pos & (ring->capacity - 1));
    if (first > count) first = count;
    memcpy(to, ss_ring_slot(ring, pos), first * ring->record_bytes);
    memcpy(to + first * ring->record_bytes, ring->slots, (count - first) * ring->record_bytes);
}

static inline void ss_ring_count_dropped(ss_ring *ring, uint64_t count) {
    uint64_t dropped = atomic_load_explicit(&ring->control->dropped, memory_order_relaxed);
    SS_BEFORE_STORE();
    atomic_store_explicit(&ring->control->dropped, dropped + count, memory_order_relaxed);
}

/* Pushes as many of `count` records as fit, counts the rest as dropped. Returns how many went in,
 * or SS_RING_CORRUPT. Does not wake: call ss_wake_notify(&control->wake) once per batch. */
static inline int64_t ss_ring_push(ss_ring *ring, const void *records, uint64_t count) {
    uint64_t write = atomic_load_explicit(&ring->control->write_pos, memory_order_relaxed);
    uint64_t used = write - ring->other;
    if (used > ring->capacity || ring->capacity - used < count) {
        /* Partner: the consumer's release store of read_pos: its copies are done. */
        ring->other = atomic_load_explicit(&ring->control->read_pos, memory_order_acquire);
        used = write - ring->other;
        if (used > ring->capacity) return SS_RING_CORRUPT;
    }
    uint64_t fits = ring->capacity - used;
    if (fits > count) fits = count;
    if (fits > 0) {
        SS_BEFORE_STORE();
        ss_ring_copy_in(ring, write, (const char *)records, fits);
        SS_BEFORE_STORE();
        /* Publishes the records. Partner: the consumer's acquire load in ss_ring_available. */
        atomic_store_explicit(&ring->control->write_pos, write + fits, memory_order_release);
    }
    if (fits < count) ss_ring_count_dropped(ring, count - fits);
    return (int64_t)fits;
}

/* How many records the consumer may read now, or SS_RING_CORRUPT. The producer's position is looked
 * up again only when the private copy shows fewer than `wanted`. */
static inline int64_t ss_ring_available(ss_ring *ring, uint64_t wanted) {
    uint64_t read = atomic_load_explicit(&ring->control->read_pos, memory_order_relaxed);
    uint64_t ready = ring->other - read;
    if (ready < wanted || ready > ring->capacity) {
        /* Partner: the producer's release store of write_pos. */
        ring->other = atomic_load_explicit(&ring->control->write_pos, memory_order_acquire);
        ready = ring->other - read;
        if (ready > ring->capacity) return SS_RING_CORRUPT;
    }
    return (int64_t)ready;
}

/* Copies up to `limit` records after the oldest `beyond`; all stay until ss_ring_release. */
static inline int64_t ss_ring_peek_beyond(ss_ring *ring, void *records, uint64_t beyond,
                                          uint64_t limit) {
    if (limit > ring->capacity) limit = ring->capacity;
    int64_t ready = ss_ring_available(ring, beyond + limit);
    if (ready < 0) return ready;
    if ((uint64_t)ready <= beyond) return 0;
    uint64_t count = (uint64_t)ready - beyond < limit ? (uint64_t)ready - beyond : limit;
    uint64_t read = atomic_load_explicit(&ring->control->read_pos, memory_order_relaxed);
    ss_ring_copy_out(ring, read + beyond, (char *)records, count);
    return (int64_t)count;
}

/* Copies up to `limit` records that stay in the ring until ss_ring_release. */
static inline int64_t ss_ring_peek(ss_ring *ring, void *records, uint64_t limit) {
    return ss_ring_peek_beyond(ring, records, 0, limit);
}

/* Gives `count` slots back to the producer; never more than were published. */
static inline int64_t ss_ring_release(ss_ring *ring, uint64_t count) {
    int64_t ready = ss_ring_available(ring, count);
    if (ready < 0) return SS_RING_CORRUPT;
    if (count > (uint64_t)ready) count = (uint64_t)ready;
    uint64_t read = atomic_load_explicit(&ring->control->read_pos, memory_order_relaxed);
    SS_BEFORE_STORE();
    /* The copies are done before the slots are free. Partner: the acquire load in ss_ring_push. */
    atomic_store_explicit(&ring->control->read_pos, read + count, memory_order_release);
    return (int64_t)count;
}

static inline int64_t ss_ring_pop(ss_ring *ring, void *records, uint64_t limit) {
    int64_t count = ss_ring_peek(ring, records, limit);
    return count > 0 ? ss_ring_release(ring, (uint64_t)count) : count;
}

#endif
