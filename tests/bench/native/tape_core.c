/* What a tape costs a quote: published with nobody recording, and with a tape that is drained in
 * time (outside what is timed). Floor: the copy of a tick alone. Prints ns a quote as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "store.h"

enum { SYMBOLS = 1024, SLOTS = 32768, BATCH = 16384, ROUNDS_MAX = 512 };

static ss_store store;
static ss_tick *taken;

static void *zeroed(size_t size) {
    void *made = aligned_alloc(128, (size + 127) / 128 * 128);
    if (!made) abort();
    return memset(made, 0, size);
}

static void make_store(void) {
    store.num_sources = 1, store.max_symbols = SYMBOLS;
    store.sequences = zeroed(SYMBOLS * sizeof(ss_sequence));
    store.cells = zeroed(2 * SYMBOLS * sizeof(ss_cell));
    ss_ring *ring = &store.tape.ring;
    ring->control = zeroed(sizeof(ss_ring_control));
    ring->slots = zeroed(SLOTS * sizeof(ss_tick));
    ring->capacity = SLOTS, ring->record_bytes = sizeof(ss_tick);
    taken = zeroed(SLOTS * sizeof(ss_tick));
}

/* Publishes a batch of quotes; ns a quote. */
static double publish(void) {
    ss_quote quote = {1, 2, 3, 4, 5, 6, 7, 0, 1};
    ss_store_look(&store);
    int64_t start = ss_mono_ns();
    for (uint32_t i = 0; i < BATCH; i++) {
        quote.update_id = i;
        ss_store_publish(&store, 0, i * 7 % SYMBOLS, &quote);
    }
    return (double)(ss_mono_ns() - start) / BATCH;
}

static void drain(void) {
    ss_ring reader = store.tape.ring;
    static uint64_t expected;
    int64_t count = ss_ring_pop(&reader, taken, SLOTS);
    if (count != BATCH || store.tape.ring.control->dropped) abort();
    for (int64_t i = 0; i < count; i++)
        if (taken[i].number != expected++ || taken[i].quote.update_id != (uint64_t)i) abort();
}

static double copy(void) {
    ss_tick tick = {.number = 1};
    int64_t start = ss_mono_ns();
    for (uint32_t i = 0; i < BATCH; i++) {
        tick.number = i;
        memcpy(&taken[i], &tick, sizeof tick);
        __asm__ volatile("" ::: "memory");
    }
    return (double)(ss_mono_ns() - start) / BATCH;
}

static int larger(const void *one, const void *other) {
    return *(const double *)one > *(const double *)other ? 1 : -1;
}

static double median(double *samples, int count) {
    qsort(samples, (size_t)count, sizeof *samples, larger);
    return samples[count / 2];
}

int main(int argc, char **argv) {
    static double off[ROUNDS_MAX], on[ROUNDS_MAX], floor_ns[ROUNDS_MAX];
    int rounds = argc > 1 ? atoi(argv[1]) : ROUNDS_MAX;
    if (rounds < 1 || rounds > ROUNDS_MAX) return 2;
    make_store();
    for (int round = 0; round < rounds; round++) {
        store.tape.ring.control->wanted = 0;
        off[round] = publish();
        store.tape.ring.control->wanted = 1;
        on[round] = publish();
        drain();
        floor_ns[round] = copy();
    }
    double without = median(off, rounds), with = median(on, rounds);
    printf("{\"without\": %.3f, \"with\": %.3f, \"copy\": %.3f}\n", without, with,
           median(floor_ns, rounds));
    return 0;
}
