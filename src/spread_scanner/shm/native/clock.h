/* The only place where C code asks the operating system for the time; clock.py is Python's.
 *
 * Stamps and ages are on CLOCK_BOOTTIME, which counts the time that the machine is suspended: what
 * was heard before a sleep is as old as it is. Waits are relative and the kernel's (CLOCK_MONOTONIC):
 * nobody waits on while nobody runs. Both clocks are read without a system call (vdso).
 *
 * Objects that can live on another time than the system's hold a source: the address of two int64,
 * monotonic and awake, that somebody else moves (clock.VirtualClock), or NULL for the system's time.
 */
#ifndef SS_CLOCK_H
#define SS_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

static inline int64_t ss_system_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Monotonic, a suspend included. */
static inline int64_t ss_mono_ns(void) {
    return ss_system_ns(CLOCK_BOOTTIME);
}

/* Monotonic, a suspend left out. */
static inline int64_t ss_awake_ns(void) {
    return ss_system_ns(CLOCK_MONOTONIC);
}

/* ss_mono_ns of a source. */
static inline int64_t ss_source_ns(const int64_t *source) {
    return source == NULL ? ss_mono_ns() : __atomic_load_n(source, __ATOMIC_RELAXED);
}

/* ss_awake_ns of a source. */
static inline int64_t ss_source_awake_ns(const int64_t *source) {
    return source == NULL ? ss_awake_ns() : __atomic_load_n(source + 1, __ATOMIC_RELAXED);
}

#endif
