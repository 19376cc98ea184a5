/* The same work in bare C over the same headers: what the Python figures stand beside.
 *
 * Prints one JSON object: nanoseconds per operation (ring.throughput: records per second). The
 * other side is a forked process over shared memory, as in the figures it stands beside.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "clock.h"
#include "histogram.h"
#include "ring.h"
#include "store.h"

enum { SOURCES = 8, SYMBOLS = 1024, READERS = 2, RECORD = 192, SLOTS = 65536 };

static ss_store store;
static ss_ring_control *control;
static uint64_t rounds, wakes;

static void *zeroed(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) abort();
    memset(memory, 0, bytes);
    return memory;
}

/* Runs `body` in a process of its own; `finish` waits for it. */
static pid_t start(void (*body)(void *), void *argument) {
    pid_t child = fork();
    if (child < 0) abort();
    if (child == 0) {
        body(argument);
        _exit(0);
    }
    return child;
}

static void finish(pid_t child) {
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) abort();
}

static void make_store(void) {
    store.num_sources = SOURCES;
    store.max_symbols = SYMBOLS;
    store.rows = zeroed(SOURCES * sizeof(ss_source_row));
    store.sequences = zeroed(SOURCES * SYMBOLS * sizeof(ss_sequence));
    store.cells = zeroed(2 * SOURCES * SYMBOLS * sizeof(ss_cell));
    store.num_readers = READERS;
    store.words_per_source = store.words_stride = SYMBOLS / 64;
    for (int reader = 0; reader < READERS; reader++) {
        store.wakes[reader] = zeroed(sizeof(ss_wake));
        store.dirty[reader] = zeroed(SOURCES * SYMBOLS / 8);
    }
}

static double per(int64_t start, uint64_t count) {
    return (double)(ss_mono_ns() - start) / (double)count;
}

static double time_write(void) {
    ss_quote quote = {1, 2, 3, 4, 5, 6, 7, 0, 1};
    int64_t start = ss_mono_ns();
    for (uint64_t i = 0; i < rounds; i++) {
        quote.update_id = i;
        ss_store_write(&store, 0, 5, &quote);
    }
    return per(start, rounds);
}

static double time_write_many(void) {
    ss_quote quote = {1, 2, 3, 4, 5, 6, 7, 0, 1};
    int64_t start = ss_mono_ns();
    for (uint64_t i = 0; i < rounds / 64; i++) {
        for (uint32_t symbol = 0; symbol < 64; symbol++)
            ss_cell_write(&store.sequences[symbol], &store.cells[2 * symbol], &quote);
        for (uint32_t reader = 0; reader < READERS; reader++)
            ss_bitmap_mark_word(ss_store_words(&store, reader, 0), 0, ~UINT64_C(0));
        ss_store_notify(&store);
    }
    return per(start, rounds / 64 * 64);
}

static double time_read(uint32_t symbols) {
    ss_quote quote = {0};
    double sum = 0;
    int64_t start = ss_mono_ns();
    for (uint64_t i = 0; i < rounds; i++) {
        ss_store_read(&store, 0, (uint32_t)(i % symbols), &quote);
        sum += quote.bid_px;
    }
    double result = per(start, rounds);
    if (sum < 0) abort();
    return result;
}

static double time_take(int full) {
    uint16_t ids[SYMBOLS];
    size_t taken = 0;
    uint64_t turns = full ? rounds / 1000 : rounds / 10;
    int64_t spent = 0;
    for (uint64_t i = 0; i < turns; i++) {
        for (uint32_t source = 0; full && source < SOURCES; source++)
            for (uint32_t word = 0; word < store.words_per_source; word++)
                ss_bitmap_mark_word(ss_store_words(&store, 0, source), word, ~UINT64_C(0));
        int64_t start = ss_mono_ns();
        for (uint32_t source = 0; source < SOURCES; source++)
            taken += ss_bitmap_take(ss_store_words(&store, 0, source), store.words_per_source, ids,
                                    SYMBOLS);
        spent += ss_mono_ns() - start;
    }
    if (full && taken < turns * SOURCES * SYMBOLS) abort();
    /* The two looks at the clock are part of each turn; they are taken off. */
    int64_t start = ss_mono_ns();
    for (uint64_t i = 0; i < turns; i++)
        taken += (size_t)(ss_mono_ns() == 0);
    return ((double)spent - (double)(ss_mono_ns() - start)) / (double)turns;
}

static ss_ring ring_view(char *slots) {
    ss_ring ring = {control, slots, SLOTS, RECORD, 0};
    return ring;
}

static double time_push_pop(char *slots) {
    char records[64 * RECORD] = {0};
    ss_ring producer = ring_view(slots), consumer = ring_view(slots);
    int64_t start = ss_mono_ns();
    for (uint64_t i = 0; i < rounds / 64; i++) {
        ss_ring_push(&producer, records, 64);
        ss_wake_notify(&control->wake);
        ss_ring_pop(&consumer, records, 64);
    }
    return per(start, rounds / 64 * 64);
}

static void produce(void *slots) {
    static char records[64 * RECORD];
    ss_ring producer = ring_view(slots);
    producer.other = control->read_pos;
    for (uint64_t sent = 0; sent < rounds; sent += 64) {
        for (int i = 0; i < 64; i++)
            *(uint64_t *)(records + i * RECORD) = sent + (uint64_t)i;
        while (control->write_pos - control->read_pos > SLOTS - 64)
            ss_relax();
        if (ss_ring_push(&producer, records, 64) != 64) abort();
    }
}

static double records_per_s(char *slots) {
    static char records[64 * RECORD];
    ss_ring consumer = ring_view(slots);
    consumer.other = control->write_pos;
    uint64_t expected = 0, total = (rounds + 63) / 64 * 64;
    int64_t begun = ss_mono_ns();
    pid_t child = start(produce, slots);
    while (expected < total) {
        int64_t count = ss_ring_pop(&consumer, records, 64);
        if (count < 0) abort();
        for (int64_t i = 0; i < count; i++)
            if (*(uint64_t *)(records + i * RECORD) != expected++) abort();
    }
    double rate = 1e9 / per(begun, total);
    finish(child);
    return rate;
}

/* Ping-pong over two cells: half a round trip is one hand-off. */
static void echo(void *unused) {
    ss_quote quote = {0};
    for (uint64_t i = 1; i <= rounds / 10; i++) {
        while (ss_store_read(&store, 2, 0, &quote) != SS_READ_OK || quote.update_id != i)
            ss_relax();
        ss_store_write(&store, 3, 0, &quote);
    }
    (void)unused;
}

static int compare(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double time_handoff(void) {
    uint64_t turns = rounds / 10;
    int64_t *times = malloc(turns * sizeof(int64_t));
    ss_quote quote = {1, 2, 3, 4, 5, 6, 7, 0, 1}, answer;
    pid_t child = start(echo, NULL);
    for (uint64_t i = 1; i <= turns; i++) {
        quote.update_id = i;
        int64_t begun = ss_mono_ns();
        ss_store_write(&store, 2, 0, &quote);
        while (ss_store_read(&store, 3, 0, &answer) != SS_READ_OK || answer.update_id != i)
            ss_relax();
        times[i - 1] = ss_mono_ns() - begun;
    }
    finish(child);
    qsort(times, turns, sizeof(int64_t), compare);
    double median = (double)times[turns / 2] / 2;
    free(times);
    return median;
}

/* What the two sides of a wake-up tell each other. */
struct wake_test {
    _Atomic int64_t sent_at;
    _Atomic uint64_t parked;
    int64_t latencies[100000];
};

static void sleeper(void *argument) {
    struct wake_test *test = argument;
    uint16_t ids[SYMBOLS];
    for (uint64_t i = 0; i < wakes; i++) {
        atomic_store(&test->parked, i + 1);
        while (ss_bitmap_take(ss_store_words(&store, 1, 4), 1, ids, 64) == 0)
            ss_store_wait(&store, 1, 1000000000);
        test->latencies[i] = ss_mono_ns() - atomic_load(&test->sent_at);
    }
}

/* From the stamp before the write to the parked reader holding the id. */
static double time_wake(void) {
    struct wake_test *test = zeroed(sizeof(struct wake_test));
    ss_quote quote = {1, 2, 3, 4, 5, 6, 7, 0, 1};
    for (uint32_t source = 0; source < SOURCES; source++)
        for (uint32_t word = 0; word < store.words_per_source; word++)
            ss_bitmap_take_word(ss_store_words(&store, 1, source), word);
    pid_t child = start(sleeper, test);
    for (uint64_t i = 0; i < wakes; i++) {
        while (atomic_load(&test->parked) != i + 1)
            usleep(200);
        usleep(1500); /* long enough to be asleep, as a reader of a quiet market is */
        atomic_store(&test->sent_at, ss_mono_ns());
        ss_store_write(&store, 4, 0, &quote);
    }
    finish(child);
    qsort(test->latencies, wakes, sizeof(int64_t), compare);
    return (double)test->latencies[wakes / 2];
}

int main(int argc, char **argv) {
    rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    wakes = argc > 2 ? strtoull(argv[2], NULL, 10) : 500;
    make_store();
    control = zeroed(sizeof(ss_ring_control));
    char *slots = zeroed((size_t)SLOTS * RECORD);
    printf("{\"shm.write\": %.2f, ", time_write());
    printf("\"shm.write_many\": %.2f, ", time_write_many());
    printf("\"shm.read\": %.2f, ", time_read(1));
    printf("\"shm.read_many\": %.2f, ", time_read(64));
    printf("\"bitmap.take_full\": %.1f, ", time_take(1));
    printf("\"bitmap.take_empty\": %.1f, ", time_take(0));
    printf("\"ring.push_pop\": %.2f, ", time_push_pop(slots));
    control->write_pos = control->read_pos = 0;
    printf("\"ring.throughput\": %.0f, ", records_per_s(slots));
    printf("\"handoff.spin\": %.1f, ", time_handoff());
    printf("\"wake.blocked\": %.0f}\n", time_wake());
    return 0;
}
