/* What fuzzers of the native matchers stand on: chance, messages that are known, and what becomes of
 * them. Each reads a script, a line per item: a letter, a blank, the rest; "M message in hex" is
 * taken here.
 */
#ifndef SS_FUZZ_H
#define SS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 64
#define LINE_MAX_BYTES 8192

static uint64_t state;

static uint64_t next_random(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void seed_chance(const char *seed) {
    state = strtoull(seed, NULL, 10) * 2654435761u + 88172645463325252ull;
}

static size_t below(size_t bound) {
    return bound == 0 ? 0 : (size_t)(next_random() % bound);
}

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    abort();
}

typedef struct {
    unsigned char bytes[LINE_MAX_BYTES];
    size_t size;
} message;

static message messages[MESSAGES_MAX];
static size_t message_count;

static void add_message(const char *hex) {
    message *one = &messages[message_count++];
    if (message_count == MESSAGES_MAX) fail("too many messages");
    for (one->size = 0; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
        unsigned byte;
        if (sscanf(hex, "%2x", &byte) != 1) fail("bad hex");
        one->bytes[one->size++] = (unsigned char)byte;
    }
}

/* Calls `take` with each item of the script on the standard input that is no message. */
static void read_script(void *decoder, void (*take)(void *decoder, char kind, const char *rest)) {
    static char line[2 * LINE_MAX_BYTES];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        const char *rest = line[0] == '\0' || line[1] == '\0' ? "" : line + 2;
        if (line[0] == 'M')
            add_message(rest);
        else
            take(decoder, line[0], rest);
    }
    if (message_count == 0) fail("no message");
}

/* One to four changes: cut, drop a byte, put one in, change one, repeat or swap a stretch. */
static size_t mutate(unsigned char *bytes, size_t size) {
    static const char likely[] = "\"\\{}[],:0123456789.eE+- \n\x7f\x80\xff";
    for (size_t changes = 1 + below(4); changes > 0 && size > 0; changes--) {
        size_t at = below(size);
        unsigned char byte =
            below(2) ? (unsigned char)likely[below(sizeof likely)] : (unsigned char)next_random();
        switch (below(5)) {
        case 0: size = at; break;
        case 1: memmove(bytes + at, bytes + at + 1, --size - at); break;
        case 2:
            memmove(bytes + at + 1, bytes + at, size++ - at);
            bytes[at] = byte;
            break;
        case 3: bytes[at] = byte; break;
        default: {
            size_t from = below(size), length = below(size - (from > at ? from : at));
            memmove(bytes + at, bytes + from, length);
        }
        }
    }
    return size;
}

/* Calls `decode` with each message, which has to match, then with so many mutated ones: each in a
 * buffer of exactly its size, so that the address sanitizer sees any read outside. Prints how many
 * there were and how many matched. */
static void fuzz(void *decoder, unsigned long rounds,
                 int (*decode)(void *decoder, const char *bytes, size_t size)) {
    static unsigned char work[LINE_MAX_BYTES + 16];
    unsigned long matches = 0;
    for (unsigned long round = 0; round < message_count + rounds; round++) {
        const message *base = &messages[round < message_count ? round : below(message_count)];
        size_t size = base->size;
        memcpy(work, base->bytes, size);
        if (round >= message_count) size = mutate(work, size);
        char *exact = (char *)malloc(size > 0 ? size : 1);
        if (exact == NULL) fail("no memory");
        memcpy(exact, work, size);
        int matched = decode(decoder, size > 0 ? exact : exact + 1, size);
        free(exact);
        if (round < message_count && !matched) fail("an unchanged message does not match");
        if (round >= message_count) matches += (unsigned long)matched;
    }
    printf("%lu %lu\n", rounds, matches);
}

#endif
