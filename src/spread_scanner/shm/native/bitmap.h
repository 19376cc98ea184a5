/* Dirty bitmaps: which cells changed since a reader last looked. One bitmap per reader and source.
 *
 * Writer:  the feed of the source sets bits.     Reader: the one process that claimed the reader.
 *
 * Writer: publish the cell, then set the bit. Reader: clear the word, then read the cell. In the
 * other order a quote that lands between the two is lost for ever. For the same reason a writer
 * never skips a bit that "is already set": it may be looking at the bit the reader is just taking.
 *
 * The reader clears with an exchange, so the writer's set must be a read-modify-write too.
 */
#ifndef SS_BITMAP_H
#define SS_BITMAP_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "hooks.h"

#define SS_GROUP_WORDS 8 /* of one cache line */

typedef _Atomic uint64_t ss_dirty_word;

/* Partner: the acquire exchange in ss_bitmap_take_word. Sequentially consistent, not only release,
 * because it is also the first half of the wake-up handshake (ss_wake_notify_after_rmw). */
static inline void ss_bitmap_mark_word(ss_dirty_word *words, uint32_t word, uint64_t bits) {
    SS_BEFORE_STORE();
    atomic_fetch_or_explicit(&words[word], bits, memory_order_seq_cst);
}

static inline void ss_bitmap_mark(ss_dirty_word *words, uint32_t bit) {
    ss_bitmap_mark_word(words, bit >> 6, UINT64_C(1) << (bit & 63));
}

/* Takes and clears one word. The plain look first keeps an idle scan from dirtying cache lines;
 * a bit that it misses was set after it, and is seen by the next scan or by the wake-up. */
static inline uint64_t ss_bitmap_take_word(ss_dirty_word *words, uint32_t word) {
    if (atomic_load_explicit(&words[word], memory_order_relaxed) == 0) return 0;
    SS_BEFORE_STORE();
    /* Partner: the release half of ss_bitmap_mark_word. The cells are read after this line. */
    return atomic_exchange_explicit(&words[word], 0, memory_order_acq_rel);
}

/* The first word from `word` on that is worth a look: groups without a bit are passed over, each by
 * loads without a branch between them, which is a third of what a scan word by word takes. */
static inline uint32_t ss_bitmap_skip(const ss_dirty_word *words, uint32_t word,
                                      uint32_t word_count) {
    while (word % SS_GROUP_WORDS == 0 && word + SS_GROUP_WORDS <= word_count) {
        uint64_t any = 0;
#pragma GCC unroll 8
        for (uint32_t i = 0; i < SS_GROUP_WORDS; i++)
            any |= atomic_load_explicit(&words[word + i], memory_order_relaxed);
        if (any != 0) break;
        word += SS_GROUP_WORDS;
    }
    return word;
}

static inline int ss_bitmap_any(const ss_dirty_word *words, uint32_t word_count) {
    for (uint32_t i = 0; i < word_count; i++)
        if (atomic_load_explicit(&words[i], memory_order_relaxed) != 0) return 1;
    return 0;
}

/* Takes all set bits as ids, at most `limit`; what does not fit stays dirty, whole words at a time,
 * but a word whose bits exceed the room left is taken in part and the rest put back. */
static inline size_t ss_bitmap_take(ss_dirty_word *words, uint32_t word_count, uint16_t *ids,
                                    size_t limit) {
    size_t count = 0;
    for (uint32_t i = 0; i < word_count && count < limit; i++) {
        uint64_t bits = ss_bitmap_take_word(words, i);
        while (bits != 0 && count < limit) {
            ids[count++] = (uint16_t)(i * 64 + (uint32_t)__builtin_ctzll(bits));
            bits &= bits - 1;
        }
        if (bits != 0) ss_bitmap_mark_word(words, i, bits);
    }
    return count;
}

#endif
