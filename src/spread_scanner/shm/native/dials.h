/* Turns to dial: how often one address may knock at one exchange, shared by all who do.
 *
 * Writers:  every process that dials or asks.     Readers: the same, and whoever shows it.
 *
 * The one place where a datum has many writers: the limit belongs to an address, not to a process.
 * It is therefore one word, moved by compare-and-swap alone: the theoretical arrival time of the
 * generic cell rate algorithm, when the next turn would come if all came evenly. A turn is free when
 * that time is at most `tolerance_ns` ahead; taking it moves the time on by what the turn costs. So
 * no window of length W ever holds more than (W + tolerance) / cost + 1 turns.
 *
 * Nothing is reserved: who finds no free turn waits and tries again. A process killed between the
 * swap and its dial has used up one turn; there is no state in which it could leave the word.
 * Rejected: a lock with a list of dials (a killed holder), a row per process (no sum over them is of
 * one moment), a turn reserved ahead (a process that starts and dies again and again would push
 * everybody's turn into the future).
 */
#ifndef SS_DIALS_H
#define SS_DIALS_H

#include <stdatomic.h>
#include <stdint.h>

#include "hooks.h"

/* What is further ahead than any turn or ban can be was never written by us: it does not count. */
#define SS_TURN_AHEAD_NS_MAX (INT64_C(3600) * 1000000000)
#define SS_BAN_AHEAD_NS_MAX (INT64_C(8) * 86400 * 1000000000)

typedef struct ss_dial_slot {
    _Alignas(128) _Atomic uint64_t key; /* of exchange, host and outgoing address; 0: free */
    _Atomic int64_t turn_ns[2];         /* theoretical arrival times: dials, REST weight */
    _Atomic int64_t ban_from_ns;
    _Atomic int64_t ban_until_ns;
    _Atomic uint64_t ban_status; /* what the exchange answered; 0: never banned */
    uint64_t reserved[10];
    char name[128]; /* the key in words: a label for people */
} ss_dial_slot;

_Static_assert(sizeof(ss_dial_slot) == 256, "a slot is two lines of 128 bytes");

/* The slot of a key, which takes the first free one when it has none; -1 when all are taken.
 * Keys are only ever added, so the first free slot is the same for all; a lost race is looked at
 * again, as the winner may have had the same key. */
static inline int32_t ss_dial_find(ss_dial_slot *slots, int32_t count, uint64_t key) {
    for (int32_t i = 0; i < count; i++) {
        uint64_t there = atomic_load_explicit(&slots[i].key, memory_order_acquire);
        if (there == 0) {
            SS_BEFORE_STORE();
            atomic_compare_exchange_strong_explicit(&slots[i].key, &there, key,
                                                    memory_order_acq_rel, memory_order_acquire);
            if (there == 0) return i;
        }
        if (there == key) return i;
    }
    return -1;
}

/* Takes a turn now and returns 0, or takes nothing and returns after how many ns to try again. */
static inline int64_t ss_dial_take(_Atomic int64_t *turn_ns, int64_t now_ns, int64_t cost_ns,
                                   int64_t tolerance_ns) {
    /* Relaxed throughout: the word orders nothing but itself. */
    int64_t found = atomic_load_explicit(turn_ns, memory_order_relaxed), from_ns;
    do {
        from_ns = found > now_ns && found - now_ns <= SS_TURN_AHEAD_NS_MAX ? found : now_ns;
        if (from_ns - now_ns > tolerance_ns) return from_ns - now_ns - tolerance_ns;
        SS_BEFORE_STORE();
    } while (!atomic_compare_exchange_weak_explicit(turn_ns, &found, from_ns + cost_ns,
                                                    memory_order_relaxed, memory_order_relaxed));
    return 0;
}

/* A ban in force at `now_ns` lasts so much longer; 0: none. */
static inline int64_t ss_dial_ban_left(const ss_dial_slot *slot, int64_t now_ns) {
    int64_t until_ns = atomic_load_explicit(&slot->ban_until_ns, memory_order_acquire);
    return until_ns > now_ns && until_ns - now_ns <= SS_BAN_AHEAD_NS_MAX ? until_ns - now_ns : 0;
}

/* Notes a ban; one that lasts longer stands. Its beginning and its status are for people and for the
 * length of the next one: they are stored first, so that who sees the end sees them too. */
static inline void ss_dial_ban(ss_dial_slot *slot, int64_t now_ns, int64_t until_ns,
                               uint64_t status) {
    int64_t found = atomic_load_explicit(&slot->ban_until_ns, memory_order_relaxed);
    if (ss_dial_ban_left(slot, now_ns) == 0) {
        SS_BEFORE_STORE();
        atomic_store_explicit(&slot->ban_from_ns, now_ns, memory_order_relaxed);
    } else if (found >= until_ns) {
        return;
    }
    SS_BEFORE_STORE();
    atomic_store_explicit(&slot->ban_status, status, memory_order_relaxed);
    SS_BEFORE_STORE();
    /* Partner: the acquire load in ss_dial_ban_left. */
    while (!atomic_compare_exchange_weak_explicit(&slot->ban_until_ns, &found, until_ns,
                                                  memory_order_release, memory_order_relaxed))
        if (found >= until_ns && found - now_ns <= SS_BAN_AHEAD_NS_MAX) return;
}

#endif
