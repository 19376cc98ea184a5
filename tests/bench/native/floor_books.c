/* What books are in bare C over the same headers: a message's levels read and put, a whole book of the
 * largest channel, what a pair's two books carry. No symbols, ids, times, segments or Python.
 *
 * Prints one JSON object, the least CPU of many rounds: nanoseconds but for books.snapshot, which is
 * microseconds. Argument: rounds. It aborts unless the books stand.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "ladder.h"
#include "levels.h"
#include "order_book.h"

enum { LEVELS = 5, WHOLE = 400, PAIRS = 300, CALLS = 200, SIZES = 4 };

static char delta[2][512], whole[2][WHOLE * 48];
static ss_order_book book;
static ss_book_record shown, spot[PAIRS], fut[PAIRS];
static double pairs[2 * WHOLE];
static ss_rung rungs[SIZES];
static double sink;

static double cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* `count` levels of one side as JSON, `gap` ticks apart. */
static void spell(char *out, int side, int count, int gap) {
    char *p = out;
    *p++ = '[';
    for (int at = 1; at <= count; at++)
        p += sprintf(p, "%s[\"%d.%02d\",\"%d.%03d\"]", at == 1 ? "" : ",",
                     side == SS_BIDS ? 999 - at * gap / 100 : 1000 + at * gap / 100,
                     side == SS_BIDS ? 99 - at * gap % 100 : at * gap % 100, at % 9, at % 997 + 1);
    *p++ = ']';
    *p = '\0';
}

static void take(const char *text, int side) {
    int64_t count = ss_read_levels(text, text + strlen(text), pairs, WHOLE);
    if (count <= 0) abort();
    for (int64_t at = 0; at < count; at++)
        ss_order_book_put(&book, side, pairs[2 * at], pairs[2 * at + 1]);
}

static void put_only(void) {
    for (int side = 0; side < 2; side++)
        for (int at = 1; at <= LEVELS; at++)
            ss_order_book_put(&book, side, side == SS_BIDS ? 1000 - at * 0.03 : 1000 + at * 0.03,
                              at % 3);
}

static void message(void) {
    take(delta[SS_BIDS], SS_BIDS);
    take(delta[SS_ASKS], SS_ASKS);
    ss_order_book_show(&book, SS_LEVELS_SHOWN, &shown);
}

static void snapshot(void) {
    ss_order_book_begin(&book);
    take(whole[SS_BIDS], SS_BIDS);
    take(whole[SS_ASKS], SS_ASKS);
    ss_order_book_end(&book, 0);
}

static int turn;

static void ladder(void) {
    static const double sizes[SIZES] = {100, 1000, 10000, 100000};
    int at = turn++ % PAIRS;
    ss_terms terms = {-4.0, 20.0, 1.0, (double)(at % 40) - 20.0, 0.001};
    ss_pair_books books = ss_pair_books_of(&spot[at], &fut[at]);
    ss_ladder(&books, &terms, sizes, SIZES, rungs);
    sink += rungs[0].net_bps + ss_ladder_carried(&books, &terms).size_base;
}

static double least_ns(void (*work)(void), int rounds) {
    double least = INFINITY;
    for (int round = 0; round < rounds; round++) {
        double since = cpu_ns();
        for (int call = 0; call < CALLS; call++)
            work();
        double taken = (cpu_ns() - since) / CALLS;
        least = taken < least ? taken : least;
    }
    return least;
}

static void fill(ss_book_record *record, double px, int count) {
    for (int side = 0; side < 2; side++) {
        double at = px;
        record->count[side] = (uint8_t)count;
        for (int place = 0; place < count; place++) {
            at += (side == SS_BIDS ? -1 : 1) * (0.05 + 0.45 * rand() / RAND_MAX);
            record->level[side][place] = (ss_level){at, 0.1 + 7.9 * rand() / RAND_MAX};
        }
    }
}

static double ladder_ns(int rounds, int levels) {
    for (int at = 0; at < PAIRS; at++) {
        fill(&spot[at], 1000.0, levels);
        fill(&fut[at], 1003.0, levels);
    }
    return least_ns(ladder, rounds);
}

int main(int count, char **words) {
    if (count != 2) return 2;
    int rounds = atoi(words[1]);
    srand(5);
    for (int side = 0; side < 2; side++) {
        spell(delta[side], side, LEVELS, 3);
        spell(whole[side], side, WHOLE, 1);
    }
    snapshot();
    if (book.side[SS_BIDS].count != SS_LEVELS_KEPT || ss_order_book_crossed(&book)) abort();
    double apply = least_ns(put_only, rounds), said = least_ns(message, rounds);
    double all = least_ns(snapshot, rounds) / 1e3;
    double ten = ladder_ns(rounds, 10), twenty = ladder_ns(rounds, SS_LEVELS_SHOWN);
    if (!(sink != 0.0)) abort();
    printf(
        "{\"books.apply\": %.2f, \"books.message\": %.2f, \"books.snapshot\": %.2f, "
        "\"books.ladder\": %.2f, \"books.ladder.whole\": %.2f}\n",
        apply, said, all, ten, twenty);
    return 0;
}
