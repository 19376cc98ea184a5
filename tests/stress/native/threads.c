/* Two threads on one ring, or on one store with its bitmap and wake-up.
 *
 * Usage: threads ring COUNT   pushes COUNT records in batches, pops them, checks order and content
 *        threads store COUNT  reads COUNT times while the other writes; then every last version must
 *                             have been seen, and no wait may have ended by its time-out
 *
 * Runs under the sanitizers, and under an emulator as another processor. ThreadSanitizer knows no
 * fences, so only `ring`, which polls and has acquire and release alone, means something under it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "histogram.h"
#include "ring.h"
#include "store.h"
#include "check.h"

static uint64_t count;
static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* --- ring --------------------------------------------------------------------------------------- */

enum { CAPACITY = 8, BATCH = 12 };

static ss_ring_control ring_control;
static uint64_t ring_slots[CAPACITY][2];

static ss_ring ring_end(void) {
    ss_ring ring = {&ring_control, (char *)ring_slots, CAPACITY, sizeof ring_slots[0], 0};
    ring.other = UINT64_MAX - 99;
    return ring;
}

/* Nothing to do for now. To yield at once would give a busy machine's other processes a slice of
 * time for every eight records; never to yield would burn one where the other end has no core. */
static void idle(unsigned *tries) {
    if (++*tries % 512 == 0)
        sched_yield();
    else
        ss_relax();
}

static void *produce(void *unused) {
    (void)unused;
    ss_ring ring = ring_end();
    uint64_t state = 1234567, records[BATCH][2];
    unsigned tries = 0;
    for (uint64_t sent = 0; sent < count;) {
        uint64_t size = 1 + next_random(&state) % BATCH;
        if (size > count - sent) size = count - sent;
        for (uint64_t i = 0; i < size; i++) {
            records[i][0] = sent + i;
            records[i][1] = mix(sent + i);
        }
        int64_t pushed = ss_ring_push(&ring, records, size);
        CHECK(pushed >= 0, "corrupt");
        sent += (uint64_t)pushed;
        if (pushed == 0) idle(&tries);
    }
    return NULL;
}

static void ring_threads(void) {
    pthread_t producer;
    ring_control.write_pos = ring_control.read_pos = UINT64_MAX - 99;
    CHECK(pthread_create(&producer, NULL, produce, NULL) == 0, "thread");
    ss_ring ring = ring_end();
    uint64_t records[BATCH][2];
    unsigned tries = 0;
    for (uint64_t got = 0; got < count;) {
        int64_t popped = ss_ring_pop(&ring, records, 1 + next_random(&random_state) % BATCH);
        CHECK(popped >= 0, "corrupt");
        for (int64_t i = 0; i < popped; i++, got++)
            CHECK(records[i][0] == got && records[i][1] == mix(got), "record %" PRIu64, got);
        if (popped == 0) idle(&tries);
    }
    pthread_join(producer, NULL);
    uint64_t popped = ring_control.read_pos - (UINT64_MAX - 99);
    CHECK(popped == count && ring_control.write_pos == ring_control.read_pos, "positions");
    printf("ring %" PRIu64 " ok\n", count);
}

/* --- store -------------------------------------------------------------------------------------- */

enum { SYMBOLS = 66 };

static ss_source_row store_rows[1];
static ss_sequence store_sequences[SYMBOLS];
static ss_cell store_cells[2 * SYMBOLS];
static ss_wake store_wake;
static _Alignas(128) ss_dirty_word store_dirty[16];
static ss_store store = {
    .num_sources = 1,
    .max_symbols = SYMBOLS,
    .rows = store_rows,
    .sequences = store_sequences,
    .cells = store_cells,
    .num_readers = 1,
    .words_per_source = 2,
    .words_stride = 16,
    .wakes = {&store_wake},
    .dirty = {store_dirty},
};
static _Atomic int enough;
static uint64_t written[SYMBOLS];

static void write_version(uint32_t symbol, uint64_t version) {
    ss_quote_words words;
    for (int i = 0; i < SS_QUOTE_WORDS; i++)
        words.word[i] = payload(symbol, version, i);
    ss_store_write(&store, 0, symbol, &words.quote);
    written[symbol] = version;
}

static void *write_quotes(void *unused) {
    (void)unused;
    static const uint32_t hot[4] = {0, 1, 64, 65};
    uint64_t state = 42, version = 0;
    while (!atomic_load(&enough)) {
        write_version(hot[next_random(&state) & 3], ++version);
        uint64_t pause = next_random(&state) % 4096; /* now and then long enough to be parked for */
        for (uint64_t i = 0; pause < 4 && i < 20000; i++)
            ss_relax();
    }
    for (int i = 0; i < 4; i++)
        write_version(hot[i], ++version);
    return NULL;
}

static uint64_t read_version(uint32_t symbol, uint64_t *contended) {
    ss_quote_words words;
    int result = ss_store_read(&store, 0, symbol, &words.quote);
    *contended += result == SS_READ_CONTENDED;
    if (result != SS_READ_OK) return 0;
    for (int i = 0; i < SS_QUOTE_WORDS; i++)
        CHECK(words.word[i] == payload(symbol, words.word[6], i),
              "torn: symbol %u, version %" PRIu64 ", word %d", symbol, words.word[6], i);
    return words.word[6];
}

static void store_threads(void) {
    pthread_t writer;
    uint64_t last[SYMBOLS] = {0}, reads = 0, waits = 0, contended = 0, changes = 0;
    CHECK(pthread_create(&writer, NULL, write_quotes, NULL) == 0, "thread");
    for (int joined = 0;;) {
        uint16_t ids[SYMBOLS];
        size_t dirty = ss_bitmap_take(store_dirty, 2, ids, SYMBOLS);
        if (dirty == 0 && joined) break;
        for (size_t i = 0; i < dirty; i++) {
            for (int again = 0; again < 50; again++, reads++) {
                uint64_t version = read_version(ids[i], &contended);
                if (version == 0) continue;
                CHECK(version >= last[ids[i]], "went back");
                changes += version != last[ids[i]];
                last[ids[i]] = version;
            }
        }
        if (reads >= count && !joined) {
            atomic_store(&enough, 1);
            pthread_join(writer, NULL);
            joined = 1;
        } else if (dirty == 0) {
            waits++;
            CHECK(ss_store_wait(&store, 0, INT64_C(60) * 1000000000),
                  "a wait ended by its time-out");
        }
    }
    for (int symbol = 0; symbol < SYMBOLS; symbol++)
        CHECK(last[symbol] == written[symbol], "symbol %d: the last version was not seen", symbol);
    CHECK(changes > 100, "nothing was tested");
    fprintf(stderr, "waits %" PRIu64 " contended %" PRIu64 " changes %" PRIu64 "\n", waits,
            contended, changes);
    printf("store %" PRIu64 " ok\n", count);
}

/* --- histogram ---------------------------------------------------------------------------------- */

static void histogram_edges(void) {
    static ss_bucket buckets[SS_HISTOGRAM_BUCKETS];
    const int64_t edges[] = {INT64_MIN, -1, 0, 15, 16, INT64_C(1) << 44, INT64_MAX};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        ss_histogram_add(buckets, edges[i]);
    for (int bit = 0; bit < 63; bit++)
        ss_histogram_add(buckets, INT64_C(1) << bit);
    uint64_t total = 0;
    for (int i = 0; i < SS_HISTOGRAM_BUCKETS; i++)
        total += buckets[i];
    CHECK(total == 70, "%" PRIu64, total);
}

int main(int argc, char **argv) {
    CHECK(argc == 3, "usage: threads ring|store COUNT");
    count = strtoull(argv[2], NULL, 10);
    histogram_edges();
    if (strcmp(argv[1], "ring") == 0)
        ring_threads();
    else
        store_threads();
    return 0;
}
