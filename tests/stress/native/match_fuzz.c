/* Feeds mutated messages to the native matchers, each in a buffer of exactly its size, so that the
 * address sanitizer sees any read outside. Compiled and run by test_native_matcher.py:
 *
 *     match_fuzz SEED ROUNDS < script
 *
 * The script holds a line per item: "P" (protobuf), "T template", "S symbol", "M message in hex".
 * Ends with "MESSAGES MATCHES", the second of all mutated ones, or aborts. An unchanged message has
 * to match.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder.h"

#define MESSAGES_MAX 64
#define LINE_MAX_BYTES 8192

static uint64_t state;

static uint64_t next_random(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
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

static ss_decoder *read_script(void) {
    static char line[2 * LINE_MAX_BYTES];
    char error[128];
    uint32_t symbol_id = 0;
    ss_decoder *decoder = ss_decoder_new(1000, 0);
    if (decoder == NULL) fail("no memory");
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        const char *rest = line[0] == '\0' || line[1] == '\0' ? "" : line + 2;
        if (line[0] == 'P')
            decoder->protobuf = 1;
        else if (line[0] == 'T' && ss_decoder_add_template(decoder, rest, error, sizeof error))
            fail(error);
        else if (line[0] == 'S' &&
                 ss_symbols_add(decoder->symbols, rest, strlen(rest), symbol_id++, 1000.0, 0.01))
            fail("symbol refused");
        else if (line[0] == 'M')
            add_message(rest);
    }
    return decoder;
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

/* The message in a buffer of its own size; returns whether it matched. */
static int decode_exactly(ss_decoder *decoder, const unsigned char *bytes, size_t size) {
    ss_match out;
    char *exact = (char *)malloc(size > 0 ? size : 1);
    if (exact == NULL) fail("no memory");
    memcpy(exact, bytes, size);
    memset(&out, 0xA5, sizeof out);
    int reason = ss_decode(decoder, size > 0 ? exact : exact + 1, size, &out);
    free(exact);
    if (reason < 0 || reason >= SS_REASONS) fail("a reason that is none");
    if (reason != SS_MATCHED) return 0;
    if (!(ss_usable(out.bid_px) && ss_usable(out.bid_sz) && ss_usable(out.ask_px) &&
          ss_usable(out.ask_sz)))
        fail("a match that is no quote");
    if (out.ts_event != SS_TS_ABSENT && out.ts_event <= 0) fail("a match of a time that cannot be");
    return 1;
}

int main(int argc, char **argv) {
    static unsigned char work[LINE_MAX_BYTES + 16];
    if (argc != 3) fail("usage: match_fuzz SEED ROUNDS");
    state = strtoull(argv[1], NULL, 10) * 2654435761u + 88172645463325252ull;
    unsigned long rounds = strtoul(argv[2], NULL, 10), matches = 0;
    ss_decoder *decoder = read_script();
    if (message_count == 0) fail("no message");
    for (size_t one = 0; one < message_count; one++)
        if (!decode_exactly(decoder, messages[one].bytes, messages[one].size))
            fail("an unchanged message does not match");
    for (unsigned long round = 0; round < rounds; round++) {
        const message *base = &messages[below(message_count)];
        memcpy(work, base->bytes, base->size);
        matches += (unsigned long)decode_exactly(decoder, work, mutate(work, base->size));
    }
    ss_decoder_free(decoder);
    printf("%lu %lu\n", rounds, matches);
    return 0;
}
