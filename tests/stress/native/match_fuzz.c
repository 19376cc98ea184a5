/* Feeds mutated messages to the native matchers. Compiled and run by test_native_matcher.py:
 *
 *     match_fuzz SEED ROUNDS < script
 *
 * The script (fuzz.h) has "P" (protobuf), "T template", "S symbol". Ends with "MESSAGES MATCHES", the
 * second of all mutated ones, or aborts.
 */
#include "decoder.h"
#include "fuzz.h"

static void take(void *into, char kind, const char *rest) {
    static uint32_t symbol_id;
    ss_decoder *decoder = (ss_decoder *)into;
    char error[128];
    if (kind == 'P')
        decoder->protobuf = 1;
    else if (kind == 'T' && ss_decoder_add_template(decoder, rest, error, sizeof error))
        fail(error);
    else if (kind == 'S' &&
             ss_symbols_add(decoder->symbols, rest, strlen(rest), symbol_id++, 1000.0, 0.01))
        fail("symbol refused");
}

/* Whether the message matched. */
static int decode(void *with, const char *bytes, size_t size) {
    ss_match out;
    memset(&out, 0xA5, sizeof out);
    int reason = ss_decode((ss_decoder *)with, bytes, size, &out);
    if (reason < 0 || reason >= SS_REASONS) fail("a reason that is none");
    if (reason != SS_MATCHED) return 0;
    if (!(ss_usable(out.bid_px) && ss_usable(out.bid_sz) && ss_usable(out.ask_px) &&
          ss_usable(out.ask_sz)))
        fail("a match that is no quote");
    if (out.ts_event != SS_TS_ABSENT && out.ts_event <= 0) fail("a match of a time that cannot be");
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 3) fail("usage: match_fuzz SEED ROUNDS");
    seed_chance(argv[1]);
    ss_decoder *decoder = ss_decoder_new(1000, 0);
    if (decoder == NULL) fail("no memory");
    read_script(decoder, take);
    fuzz(decoder, strtoul(argv[2], NULL, 10), decode);
    ss_decoder_free(decoder);
    return 0;
}
