/* Dies, or stops, before every single store of every operation, and looks at what readers then see.
 *
 * Built with -DSS_FAULTS. Each scenario runs its operation in a forked child that ends at store k,
 * for k = 1, 2, ... until the operation gets through; the parent checks after each, then restarts
 * the dead side. Prints one line per scenario with the number of stores it died at.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "ring.h"
#include "store.h"
#include "check.h"

enum fault { FAULT_NONE, FAULT_DIE, FAULT_STOP };

static enum fault fault;
static int fault_at, fault_count;
static uint64_t look_limit, looks;
static ss_sequence *look_sequence;

void ss_fault_point(void) {
    if (fault == FAULT_NONE || ++fault_count != fault_at) return;
    if (fault == FAULT_DIE) _exit(137);
    raise(SIGSTOP);
}

void ss_fault_look(void) {
    if (look_sequence != NULL && looks++ < look_limit)
        atomic_fetch_add_explicit(&look_sequence->value, 1, memory_order_release);
}

static void *shared(size_t size) {
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(at != MAP_FAILED, "mmap");
    return at;
}

/* Runs `operation` in a child with a fault before store k. 1: the fault struck, 0: it got through.
 * A stopped child is left stopped and its pid returned in `stopped`. */
static int strike(void (*operation)(void *), void *context, enum fault kind, int k,
                  pid_t *stopped) {
    pid_t pid = fork();
    CHECK(pid >= 0, "fork");
    if (pid == 0) {
        fault = kind;
        fault_at = k;
        fault_count = 0;
        operation(context);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, WUNTRACED) == pid, "waitpid");
    if (WIFSTOPPED(status)) {
        *stopped = pid;
        return 1;
    }
    CHECK(WIFEXITED(status), "the child ended by signal %d", WTERMSIG(status));
    CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 137, "exit %d", WEXITSTATUS(status));
    return WEXITSTATUS(status) == 137;
}

static void go_on(pid_t pid) {
    int status;
    kill(pid, SIGCONT);
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0,
          "the stopped child did not finish");
}

/* --- the store: cells, bitmaps and wake-ups together ------------------------------------------ */

enum { SYMBOLS = 70, READERS = 2 };

typedef struct world {
    ss_store store;
    uint64_t version; /* what the child writes */
} world;

static world make_world(void) {
    world made = {.store = {.num_sources = 1, .max_symbols = SYMBOLS, .num_readers = READERS}};
    made.store.words_per_source = 2;
    made.store.words_stride = 16;
    made.store.rows = shared(sizeof(ss_source_row));
    made.store.sequences = shared(SYMBOLS * sizeof(ss_sequence));
    made.store.cells = shared(2 * SYMBOLS * sizeof(ss_cell));
    for (int reader = 0; reader < READERS; reader++) {
        made.store.wakes[reader] = shared(sizeof(ss_wake));
        made.store.dirty[reader] = shared(16 * sizeof(ss_dirty_word));
    }
    return made;
}

static ss_quote quote_of(uint32_t symbol, uint64_t version) {
    ss_quote_words words;
    for (int i = 0; i < SS_QUOTE_WORDS; i++)
        words.word[i] = payload(symbol, version, i);
    return words.quote;
}

/* The version that a reader gets, after a look that it is whole; 0 when there is none. */
static uint64_t read_version(const ss_store *store, uint32_t symbol) {
    ss_quote_words words;
    int result = ss_store_read(store, 0, symbol, &words.quote);
    CHECK(result != SS_READ_CONTENDED, "a dead or stopped writer made a read give up");
    if (result == SS_READ_NONE) return 0;
    for (int i = 0; i < SS_QUOTE_WORDS; i++)
        CHECK(words.word[i] == payload(symbol, words.word[6], i),
              "torn: version %" PRIu64 ", word %d", words.word[6], i);
    return words.word[6];
}

static void write_store(void *context) {
    world *at = context;
    ss_quote quote = quote_of(69, at->version);
    ss_store_write(&at->store, 0, 69, &quote);
}

static int marked(const world *at, int reader) {
    return (int)(at->store.dirty[reader][1] >> 5 & 1);
}

static void store_write_faults(enum fault kind) {
    world at = make_world();
    int k = 0, struck = 1;
    uint64_t last = 0;
    for (int reader = 0; reader < READERS; reader++)
        at.store.wakes[reader]->waiting = 1;
    while (struck) {
        for (int again = 0; again < 2; again++) { /* twice: from either cell */
            pid_t stopped = 0;
            at.version++;
            k += again == 0;
            struck = strike(write_store, &at, kind, k, &stopped);
            uint64_t seen = read_version(&at.store, 69);
            CHECK(seen == last || seen == at.version, "k=%d: %" PRIu64, k, seen);
            for (int reader = 0; reader < READERS; reader++)
                CHECK(!marked(&at, reader) || seen == at.version, "k=%d: a mark before its quote",
                      k);
            if (!struck) CHECK(seen == at.version, "the write got through");
            if (stopped) {
                for (int i = 0; i < 1000; i++)
                    CHECK(read_version(&at.store, 69) == seen, "moved");
                go_on(stopped);
                CHECK(read_version(&at.store, 69) == at.version, "k=%d: went on, not there", k);
            }
            at.version++; /* the successor writes on */
            write_store(&at);
            CHECK(read_version(&at.store, 69) == at.version, "k=%d: restart", k);
            last = at.version;
            for (int reader = 0; reader < READERS; reader++) {
                CHECK(marked(&at, reader), "k=%d: the successor's mark is lost", k);
                CHECK(at.store.wakes[reader]->waiting == 0, "k=%d: a flag nobody lowers", k);
                uint16_t ids[4];
                CHECK(ss_bitmap_take(at.store.dirty[reader], 2, ids, 4) == 1 && ids[0] == 69,
                      "take");
                at.store.wakes[reader]->waiting = 1;
            }
        }
    }
    CHECK(k - 1 == 9 + READERS + 2 * READERS, "%d stores", k - 1);
    printf("store_write %d\n", k - 1);
}

/* --- the tape of who records -------------------------------------------------------------------- */

enum { TAPE_SLOTS = 4 };

static world make_taped_world(uint64_t position) {
    world made = make_world();
    ss_ring *ring = &made.store.tape.ring;
    ring->control = shared(sizeof(ss_ring_control));
    ring->slots = shared(TAPE_SLOTS * sizeof(ss_tick));
    ring->capacity = TAPE_SLOTS, ring->record_bytes = sizeof(ss_tick);
    ring->control->write_pos = ring->control->read_pos = ring->other = position;
    ring->control->wanted = 1;
    return made;
}

static void write_taped(void *context) {
    world *at = context;
    ss_quote quote = quote_of(69, at->version);
    ss_store_look(&at->store);
    ss_store_write(&at->store, 0, 69, &quote);
}

/* Takes all ticks, each whole and of one version more than the one before, or of more by holes of
 * the numbers alone; returns the last version, and how many there were. */
static uint64_t take_ticks(world *at, uint64_t *taken) {
    ss_ring reader = at->store.tape.ring;
    ss_tick ticks[TAPE_SLOTS];
    int64_t count = ss_ring_pop(&reader, ticks, TAPE_SLOTS);
    uint64_t version = 0;
    CHECK(count >= 0, "corrupt");
    for (int64_t i = 0; i < count; i++) {
        ss_quote_words words = {.quote = ticks[i].quote};
        for (int word = 0; word < SS_QUOTE_WORDS; word++)
            CHECK(words.word[word] == payload(69, words.word[6], word), "a torn tick");
        CHECK(ticks[i].symbol == 69 && ticks[i].source == 0, "of another symbol");
        CHECK(i == 0 || ticks[i].number - ticks[i - 1].number == 1, "a hole in a batch");
        version = words.word[6];
    }
    *taken = (uint64_t)count;
    return version;
}

static void tape_push_faults(enum fault kind) {
    int k = 0, struck = 1;
    while (struck) {
        k++;
        for (uint64_t position = UINT64_MAX - 2; position != 3; position++) {
            world at = make_taped_world(position);
            ss_ring_control *control = at.store.tape.ring.control;
            pid_t stopped = 0;
            uint64_t taken;
            at.version = 1;
            write_taped(&at);
            at.version = 2;
            struck = strike(write_taped, &at, kind, k, &stopped);
            if (stopped) go_on(stopped);
            uint64_t seen = read_version(&at.store, 69), last = take_ticks(&at, &taken);
            CHECK(last <= seen, "k=%d: a tick before its quote", k);
            CHECK(last == seen || (struck && last + 1 == seen), "k=%d: %" PRIu64, k, last);
            at.store.tape.ring.other = control->read_pos; /* the successor attaches */
            for (at.version = 3; at.version < 3 + TAPE_SLOTS + 2; at.version++)
                write_taped(&at);
            CHECK(control->dropped == 2, "k=%d: %" PRIu64 " dropped", k, control->dropped);
            CHECK(take_ticks(&at, &taken) == 2 + TAPE_SLOTS && taken == TAPE_SLOTS, "k=%d", k);
            write_taped(&at); /* its number counts those that were dropped */
            ss_tick tick;
            CHECK(ss_ring_pop(&(ss_ring){.control = control,
                                         .slots = at.store.tape.ring.slots,
                                         .capacity = TAPE_SLOTS,
                                         .record_bytes = sizeof(ss_tick),
                                         .other = control->write_pos},
                              &tick, 1) == 1,
                  "k=%d: goes on", k);
            CHECK(tick.number == control->write_pos - 1 + 2, "k=%d: number %" PRIu64, k,
                  tick.number);
        }
    }
    printf("tape_push %d\n", k - 1);
}

/* Nobody records, or its position cannot be: the quote is published all the same. */
static void tape_nobody_reads(void) {
    world at = make_taped_world(0);
    ss_ring_control *control = at.store.tape.ring.control;
    control->wanted = 0;
    at.version = 1;
    write_taped(&at);
    CHECK(control->write_pos == 0 && control->dropped == 0, "a number without a recorder");
    control->wanted = 1;
    control->read_pos = 1000;
    at.store.tape.ring.other = 1000;
    at.version = 2;
    write_taped(&at);
    CHECK(control->write_pos == 0 && control->dropped == 1, "a wild position is followed");
    CHECK(read_version(&at.store, 69) == 2, "published");
    printf("tape_nobody 2\n");
}

/* --- a latch of more words, as the analyst's ---------------------------------------------------- */

enum { WIDE = 40 };

typedef struct wide_latch {
    ss_sequence *sequence;
    _Atomic uint64_t *cells;
    uint64_t version;
} wide_latch;

static void write_wide(void *context) {
    wide_latch *at = context;
    uint64_t record[WIDE];
    for (int i = 0; i < WIDE; i++)
        record[i] = payload(7, at->version, i);
    ss_latch_write(at->sequence, at->cells, record, WIDE);
}

static uint64_t wide_version(const wide_latch *at) {
    uint64_t record[WIDE];
    int result = ss_latch_read(at->sequence, at->cells, record, WIDE);
    CHECK(result != SS_READ_CONTENDED, "a dead or stopped writer made a read give up");
    if (result == SS_READ_NONE) return 0;
    for (int i = 0; i < WIDE; i++)
        CHECK(record[i] == payload(7, record[6], i), "torn: version %" PRIu64 ", word %d",
              record[6], i);
    return record[6];
}

static void latch_write_faults(enum fault kind) {
    wide_latch at = {.sequence = shared(sizeof(ss_sequence)), .cells = shared(2 * WIDE * 8)};
    int k = 0, struck = 1;
    while (struck) {
        uint64_t last = at.version++;
        pid_t stopped = 0;
        struck = strike(write_wide, &at, kind, ++k, &stopped);
        uint64_t seen = wide_version(&at);
        CHECK(seen == (struck ? last : at.version), "k=%d: %" PRIu64, k, seen);
        if (stopped) {
            go_on(stopped);
            CHECK(wide_version(&at) == at.version, "k=%d: went on, not there", k);
        }
        at.version++; /* the successor writes on */
        write_wide(&at);
        CHECK(wide_version(&at) == at.version, "k=%d: restart", k);
    }
    printf("latch_write %d\n", k - 1);
}

/* --- taking dirty bits ------------------------------------------------------------------------- */

static void take_two(void *context) {
    world *at = context;
    uint16_t ids[2];
    ss_bitmap_take(at->store.dirty[0], 2, ids, 2);
}

static void bitmap_take_faults(void) {
    int k = 0, struck = 1;
    while (struck) {
        world at = make_world();
        pid_t stopped = 0;
        for (uint32_t bit = 0; bit < SYMBOLS; bit += 23)
            ss_bitmap_mark(at.store.dirty[0], bit);
        struck = strike(take_two, &at, FAULT_DIE, ++k, &stopped);
        uint16_t ids[SYMBOLS];
        size_t left = ss_bitmap_take(at.store.dirty[0], 2, ids, SYMBOLS);
        /* Three bits in the first word, one in the second; a taker takes whole words. */
        CHECK(left == 4 || left == 1 || left == 2, "k=%d: %zu left", k, left);
        for (size_t i = 0; i < left; i++)
            CHECK(ids[i] % 23 == 0, "an invented mark %d", ids[i]);
        if (!struck) CHECK(left == 2, "two taken, two left");
    }
    printf("bitmap_take %d\n", k - 1);
}

/* --- the ring ---------------------------------------------------------------------------------- */

enum { CAPACITY = 4 };

typedef struct queue {
    ss_ring ring;
    uint64_t first, count; /* what the child pushes, or how many it pops */
} queue;

static queue make_queue(uint64_t position) {
    queue made = {.ring = {.capacity = CAPACITY, .record_bytes = 16}};
    made.ring.control = shared(sizeof(ss_ring_control));
    made.ring.slots = shared(CAPACITY * 16);
    made.ring.control->write_pos = made.ring.control->read_pos = made.ring.other = position;
    return made;
}

static int64_t push(ss_ring *ring, uint64_t first, uint64_t count) {
    uint64_t records[16][2];
    for (uint64_t i = 0; i < count; i++) {
        records[i][0] = first + i;
        records[i][1] = mix(first + i);
    }
    return ss_ring_push(ring, records, count);
}

static void push_some(void *context) {
    queue *at = context;
    push(&at->ring, at->first, at->count);
}

static void pop_some(void *context) {
    queue *at = context;
    uint64_t records[16][2];
    ss_ring_pop(&at->ring, records, at->count);
}

/* Pops everything and checks that it is `first`, `first + 1`, ...; returns how many. */
static uint64_t drain(ss_ring *ring, uint64_t first) {
    uint64_t records[16][2];
    int64_t count = ss_ring_pop(ring, records, 16);
    CHECK(count >= 0, "corrupt");
    for (int64_t i = 0; i < count; i++)
        CHECK(records[i][0] == first + (uint64_t)i && records[i][1] == mix(records[i][0]),
              "record %" PRId64 " is %" PRIu64, i, records[i][0]);
    return (uint64_t)count;
}

static void ring_push_faults(enum fault kind, uint64_t count) {
    int k = 0, struck = 1, deaths = 0;
    while (struck) {
        k++;
        for (uint64_t position = UINT64_MAX - 2; position != 3; position++) {
            queue at = make_queue(position);
            pid_t stopped = 0;
            push(&at.ring, 0, 1);
            at.first = 1, at.count = count;
            uint64_t fits = count < CAPACITY - 1 ? count : CAPACITY - 1;
            struck = strike(push_some, &at, kind, k, &stopped);
            deaths += struck;
            ss_ring other_side = at.ring;
            int64_t there = ss_ring_available(&other_side, CAPACITY);
            CHECK(there == 1 || there == 1 + (int64_t)fits, "k=%d: %" PRId64 " in the ring", k,
                  there);
            if (stopped) go_on(stopped);
            uint64_t got = drain(&other_side, 0);
            /* The successor pushes what the dead one had not. */
            ss_ring successor = at.ring;
            successor.other = at.ring.control->read_pos;
            CHECK(push(&successor, got, 2) == 2, "k=%d: restart", k);
            CHECK(drain(&other_side, got) == 2, "k=%d", k);
            uint64_t dropped = at.ring.control->dropped;
            CHECK(dropped == 0 || dropped == count - fits, "k=%d: %" PRIu64 " dropped", k, dropped);
            if (!struck) CHECK(got + dropped == 1 + count, "pushed = popped + dropped + in_ring");
        }
    }
    printf("ring_push_%d %d\n", (int)count, k - 1);
    CHECK(deaths >= 6 * (k - 1), "%d deaths", deaths);
}

static void ring_pop_faults(void) {
    int k = 0, struck = 1;
    while (struck) {
        k++;
        for (uint64_t position = UINT64_MAX - 2; position != 3; position++) {
            queue at = make_queue(position);
            pid_t stopped = 0;
            push(&at.ring, 0, 4);
            at.count = 3;
            struck = strike(pop_some, &at, FAULT_DIE, k, &stopped);
            ss_ring successor = at.ring;
            successor.other = at.ring.control->write_pos;
            uint64_t released = at.ring.control->read_pos - position;
            CHECK(released == 0 || released == 3, "k=%d: part of a batch", k);
            /* The dead one's batch is read again, or not: at most that one is uncertain. */
            CHECK(drain(&successor, released) == 4 - released, "k=%d", k);
            at.ring.other = at.ring.control->read_pos;
            CHECK(push(&at.ring, 4, 4) == 4 && drain(&successor, 4) == 4, "k=%d: goes on", k);
        }
    }
    printf("ring_pop %d\n", k - 1);
}

/* --- the wake-up ------------------------------------------------------------------------------- */

typedef struct alarm_clock {
    ss_wake *wake;
    _Atomic uint64_t *work;
} alarm_clock;

static void notify(void *context) {
    alarm_clock *at = context;
    atomic_fetch_add(at->work, 1);
    ss_wake_notify(at->wake);
}

/* Waits for work in a child; exit code 1 when the wait ended by its time-out. */
static pid_t start_waiter(alarm_clock *at, int64_t timeout_ns) {
    uint64_t done = atomic_load(at->work);
    pid_t pid = fork();
    if (pid != 0) return pid;
    for (;;) {
        uint32_t key = ss_wake_prepare(at->wake);
        if (atomic_load(at->work) != done) {
            ss_wake_cancel(at->wake);
            _exit(0);
        }
        int woken = ss_wake_wait(at->wake, key, timeout_ns);
        if (atomic_load(at->work) != done) _exit(woken ? 0 : 1);
    }
}

static void await_flag(alarm_clock *at) {
    while (atomic_load(&at->wake->waiting) == 0)
        ss_relax();
}

static int end_of(pid_t pid) {
    int status;
    CHECK(waitpid(pid, &status, 0) == pid, "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void wake_faults(void) {
    alarm_clock at = {.wake = shared(sizeof(ss_wake)), .work = shared(8)};
    int k = 0, struck = 1;
    while (struck) {
        pid_t stopped = 0;
        pid_t waiter = start_waiter(&at, 50 * 1000000);
        await_flag(&at);
        struck = strike(notify, &at, FAULT_DIE, ++k, &stopped);
        int end = end_of(waiter); /* W2: comes back within its bound whatever the notifier did */
        CHECK(end == 0 || (struck && end == 1), "k=%d: exit %d", k, end);
        waiter =
            start_waiter(&at, INT64_C(3600) * 1000000000); /* and the next handshake is whole */
        await_flag(&at);
        notify(&at);
        CHECK(end_of(waiter) == 0, "k=%d: the handshake after", k);
    }
    printf("wake_notify %d\n", k - 1);
    /* A waiter that is killed while parked costs one needless system call, not one for ever. */
    pid_t waiter = start_waiter(&at, INT64_C(3600) * 1000000000);
    await_flag(&at);
    kill(waiter, SIGKILL);
    CHECK(end_of(waiter) == 128 + SIGKILL, "killed");
    CHECK(ss_wake_notify(at.wake) == 1 && ss_wake_notify(at.wake) == 0, "one call, then none");
    printf("wake_dead_waiter 1\n");
}

/* --- the bound of a read ------------------------------------------------------------------------ */

static void contended_reads(void) {
    world at = make_world();
    at.version = 1;
    write_store(&at);
    look_sequence = &at.store.sequences[69];
    ss_quote quote = {.update_id = 77};
    look_limit = UINT64_MAX, looks = 0;
    CHECK(ss_store_read(&at.store, 0, 69, &quote) == SS_READ_CONTENDED, "gives up");
    CHECK(looks == SS_READ_TRIES_MAX, "after %" PRIu64 " tries", looks);
    CHECK(quote.update_id == 77, "and leaves the caller's quote alone");
    look_limit = SS_READ_TRIES_MAX - 2, looks = 0; /* an even number: the same cell again */
    CHECK(ss_store_read(&at.store, 0, 69, &quote) == SS_READ_OK, "one try is left");
    CHECK(quote.update_id == 1, "and gives the quote");
    look_sequence = NULL;
    printf("contended_read %d\n", SS_READ_TRIES_MAX);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0); /* a forked child must not print the parent's lines again */
    store_write_faults(FAULT_DIE);
    store_write_faults(FAULT_STOP);
    tape_push_faults(FAULT_DIE);
    tape_push_faults(FAULT_STOP);
    tape_nobody_reads();
    latch_write_faults(FAULT_DIE);
    latch_write_faults(FAULT_STOP);
    bitmap_take_faults();
    for (uint64_t count = 1; count <= 5; count++)
        ring_push_faults(FAULT_DIE, count);
    ring_push_faults(FAULT_STOP, 3);
    ring_pop_faults();
    wake_faults();
    contended_reads();
    return 0;
}
