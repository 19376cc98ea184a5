/* The engine's arithmetic and nothing else: quotes in plain arrays, no bits, no cells, no state but
 * the last net spread. What the engine's figures stand beside.
 *
 * Prints one JSON object: nanoseconds per dirty quote over its three directions, and per rescan of
 * all pairs; it aborts unless the planted spreads are found. Arguments: rounds, symbols.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "wake.h"

enum { EXCHANGES = 4, SYMBOLS_MAX = 1024 };

typedef struct quote {
    double bid_px, bid_sz, ask_px, ask_sz;
    int64_t ts_event, ts_recv;
    uint64_t update_id;
    uint32_t flags, epoch;
} quote;

static quote fresh[2 * EXCHANGES][SYMBOLS_MAX], quotes[2 * EXCHANGES][SYMBOLS_MAX];
static double costs[EXCHANGES][EXCHANGES][SYMBOLS_MAX];

static inline int evaluate(int spot, int fut, uint32_t symbol) {
    const quote *s = &quotes[2 * spot][symbol], *f = &quotes[2 * fut + 1][symbol];
    double gross = (f->bid_px - s->ask_px) / s->ask_px * 1e4;
    return gross - costs[spot][fut][symbol] >= 10.0;
}

static uint64_t dirty(uint32_t symbols) {
    uint64_t over = 0;
    for (uint32_t symbol = 0; symbol < symbols; symbol++) {
        memcpy(&quotes[0][symbol], &fresh[0][symbol], sizeof(quote));
        for (int fut = 1; fut < EXCHANGES; fut++)
            over += (uint64_t)evaluate(0, fut, symbol);
    }
    return over;
}

static uint64_t rescan(uint32_t symbols) {
    uint64_t over = 0;
    for (int spot = 0; spot < EXCHANGES; spot++)
        for (int fut = 0; fut < EXCHANGES; fut++)
            for (uint32_t symbol = 0; spot != fut && symbol < symbols; symbol++)
                over += (uint64_t)evaluate(spot, fut, symbol);
    return over;
}

static double timed_ns(uint64_t (*work)(uint32_t), uint32_t symbols, uint64_t rounds,
                       uint64_t expected) {
    int64_t start = ss_mono_ns();
    uint64_t over = 0;
    for (uint64_t round = 0; round < rounds; round++)
        over += work(symbols);
    if (over != rounds * expected) abort();
    return (double)(ss_mono_ns() - start) / (double)rounds;
}

int main(int count, char **words) {
    if (count != 3) return 2;
    uint64_t rounds = strtoull(words[1], NULL, 10);
    uint32_t symbols = (uint32_t)strtoul(words[2], NULL, 10);
    if (symbols > SYMBOLS_MAX) return 2;
    for (int source = 0; source < 2 * EXCHANGES; source++)
        for (uint32_t symbol = 0; symbol < symbols; symbol++) {
            fresh[source][symbol] = (quote){.bid_px = 100.0, .ask_px = 100.01};
            quotes[source][symbol] = fresh[source][symbol];
        }
    quotes[3][7].bid_px = 101.0; /* three directions pay */
    double per_batch = timed_ns(dirty, symbols, rounds, 1);
    double per_rescan = timed_ns(rescan, symbols, rounds, 3);
    printf("{\"engine.dirty_quote\": %.3f, \"engine.rescan\": %.1f}\n", per_batch / symbols,
           per_rescan);
    return 0;
}
