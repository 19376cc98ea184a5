/* Single 64-bit words of shared memory, for what has a writer and needs no more than one word. */
#ifndef SS_WORDS_H
#define SS_WORDS_H

#include <stdatomic.h>
#include <stdint.h>

static inline uint64_t ss_word_load(const void *at) {
    return atomic_load_explicit((const _Atomic uint64_t *)at, memory_order_acquire);
}

static inline void ss_word_store(void *at, uint64_t value) {
    atomic_store_explicit((_Atomic uint64_t *)at, value, memory_order_release);
}

#endif
