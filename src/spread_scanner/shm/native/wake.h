/* An eventcount on a futex word: a waiter parks, a notifier wakes it, and neither makes a system
 * call while the waiter is awake.
 *
 * Waiter:    key = prepare(); look for work once more; wait(key, timeout) or cancel().
 * Notifier:  make the work visible; notify().
 *
 * The handshake is Dekker's: the waiter raises `waiting` and then looks for work, the notifier
 * makes work and then looks at `waiting`. Both need a full fence between their two steps, even on
 * x86, where a store may pass a later load; without it both look too early and the wake-up is lost.
 *
 * `waiting` is a flag that the notifier lowers, not a count of waiters: a waiter that is killed
 * while parked costs one needless system call and not one per notification for ever. The notifier
 * lowers it before it steps `sequence`; so a waiter that reads the new sequence raises the flag
 * after it was lowered, and a waiter that read the old one does not sleep. If the notifier dies
 * between the two steps, the waiter's timeout is what bounds the loss: every wait has one.
 *
 * One waiter, any number of notifiers. Where several wait, notifiers call ss_wake_broadcast.
 */
#ifndef SS_WAKE_H
#define SS_WAKE_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h> /* struct timespec */
#include <unistd.h>

#include "hooks.h"

typedef struct ss_wake {
    _Alignas(128) _Atomic uint32_t sequence; /* the futex word */
    _Atomic uint32_t waiting;
    /* System calls made by notifiers: proof that spinning makes none. */
    _Atomic uint64_t notifications;
    uint64_t reserved[14];
} ss_wake;

_Static_assert(sizeof(ss_wake) == 128, "an eventcount has two cache lines to itself");

static inline uint32_t ss_wake_prepare(ss_wake *wake) {
    uint32_t key = atomic_load_explicit(&wake->sequence, memory_order_acquire);
    SS_BEFORE_STORE();
    atomic_store_explicit(&wake->waiting, 1, memory_order_seq_cst);
    /* Full fence: the flag before the caller's second look for work. Partner: ss_wake_notify. */
    atomic_thread_fence(memory_order_seq_cst);
    return key;
}

static inline void ss_wake_cancel(ss_wake *wake) {
    SS_BEFORE_STORE();
    atomic_store_explicit(&wake->waiting, 0, memory_order_relaxed);
}

/* Parks until notified or until `timeout_ns` has passed. Returns 1 when notified or interrupted
 * (look for work), 0 on timeout. The futex is not FUTEX_PRIVATE: processes share it. */
static inline int ss_wake_wait(ss_wake *wake, uint32_t key, int64_t timeout_ns) {
    struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    long result = syscall(SYS_futex, &wake->sequence, FUTEX_WAIT, key, &timeout, NULL, 0);
    int timed_out = result == -1 && errno == ETIMEDOUT;
    ss_wake_cancel(wake);
    return !timed_out;
}

/* Call after the work is visible. Returns 1 if it made the system call. */
static inline int ss_wake_notify(ss_wake *wake) {
    /* Full fence: the caller's work before the look at the flag. Partner: ss_wake_prepare. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&wake->waiting, memory_order_relaxed) == 0) return 0;
    SS_BEFORE_STORE();
    atomic_store_explicit(&wake->waiting, 0, memory_order_seq_cst);
    SS_BEFORE_STORE();
    atomic_fetch_add_explicit(&wake->sequence, 1, memory_order_seq_cst);
    atomic_fetch_add_explicit(&wake->notifications, 1, memory_order_relaxed);
    syscall(SYS_futex, &wake->sequence, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return 1;
}

/* Wakes everyone, looking at no flag: for an eventcount that many wait on and few notify, where one
 * waiter's cancel must not hide the others (control). One system call each time. */
static inline void ss_wake_broadcast(ss_wake *wake) {
    SS_BEFORE_STORE();
    atomic_fetch_add_explicit(&wake->sequence, 1, memory_order_seq_cst);
    atomic_fetch_add_explicit(&wake->notifications, 1, memory_order_relaxed);
    syscall(SYS_futex, &wake->sequence, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* ss_wake_notify for a caller whose last step was a sequentially consistent read-modify-write of the
 * word that the waiter looks at (ss_bitmap_mark): on x86 that instruction is the full fence, so a
 * second one, a third of the cost of a write, is saved. Elsewhere it is the plain notify. */
static inline int ss_wake_notify_after_rmw(ss_wake *wake) {
#if defined(__x86_64__)
    if (atomic_load_explicit(&wake->waiting, memory_order_seq_cst) == 0) return 0;
#endif
    return ss_wake_notify(wake);
}

static inline uint64_t ss_wake_calls(const ss_wake *wake) {
    return atomic_load_explicit(&wake->notifications, memory_order_relaxed);
}

static inline void ss_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
