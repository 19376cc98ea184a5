/* Each operation as a function of its own, so that a test can read what the compiler made of it. */
#include "ring.h"
#include "store.h"

void cell_write(ss_sequence *sequence, ss_cell cells[2], const ss_quote *quote) {
    ss_cell_write(sequence, cells, quote);
}

int cell_read(const ss_sequence *sequence, const ss_cell cells[2], ss_quote *quote) {
    return ss_cell_read(sequence, cells, quote);
}

void bitmap_mark(ss_dirty_word *words, uint32_t bit) {
    ss_bitmap_mark(words, bit);
}

uint64_t bitmap_take(ss_dirty_word *words, uint32_t word) {
    return ss_bitmap_take_word(words, word);
}

int64_t ring_push(ss_ring *ring, const void *records, uint64_t count) {
    return ss_ring_push(ring, records, count);
}

int64_t ring_available(ss_ring *ring, uint64_t wanted) {
    return ss_ring_available(ring, wanted);
}

int64_t ring_release(ss_ring *ring, uint64_t count) {
    return ss_ring_release(ring, count);
}

uint32_t wake_prepare(ss_wake *wake) {
    return ss_wake_prepare(wake);
}

int wake_notify(ss_wake *wake) {
    return ss_wake_notify(wake);
}

void store_put(ss_store *store, uint32_t source, uint32_t symbol, const ss_quote *quote) {
    ss_store_put(store, source, symbol, quote);
}
