/* Feeds mutated messages to the native matcher of books, and what matches into a book, which is shown.
 * Compiled and run by test_native_matcher.py:
 *
 *     depth_fuzz SEED ROUNDS < script
 *
 * The script (fuzz.h) has "T template", or "W field of a wrapper's body" and "C channel", and
 * "S symbol". Ends with "MESSAGES MATCHES", the second of all mutated ones, or aborts.
 */
#include "depth.h"
#include "fuzz.h"
#include "order_book.h"

#define SYMBOLS_MAX 16

static uint32_t symbol_count;
static char channel[128];
static ss_depth_match out;
static ss_order_book books[SYMBOLS_MAX];

static void take(void *into, char kind, const char *rest) {
    ss_depth_decoder *decoder = (ss_depth_decoder *)into;
    char error[128];
    if (kind == 'W')
        decoder->body_field = (unsigned)strtoul(rest, NULL, 10);
    else if (kind == 'C')
        decoder->channel = strncpy(channel, rest, sizeof channel - 1);
    else if (kind == 'T' && ss_depth_decoder_add_template(decoder, rest, error, sizeof error))
        fail(error);
    else if (kind == 'S' &&
             ss_symbols_add(decoder->symbols, rest, strlen(rest), symbol_count++, 1000.0, 0.01))
        fail("symbol refused");
}

/* One side of a match, into the book. */
static void put_side(ss_order_book *book, int side) {
    if (out.count[side] < 0 || out.count[side] > SS_DEPTH_LEVELS_MAX)
        fail("a count that cannot be");
    for (int64_t at = 0; at < out.count[side]; at++) {
        const ss_level *level = &out.level[side][at];
        if (!(level->px > 0 && isfinite(level->px) && level->sz >= 0 && isfinite(level->sz)))
            fail("a match that is no level");
        ss_order_book_put(book, side, level->px, level->sz);
    }
}

/* What is shown of a book: the best first, each price once, behind them nothing. */
static void check_shown(const ss_order_book *book) {
    ss_book_record record;
    memset(&record, 0, sizeof record);
    ss_order_book_show(book, SS_LEVELS_SHOWN, &record);
    for (int side = 0; side < 2; side++)
        for (int at = 0; at < SS_LEVELS_SHOWN; at++) {
            const ss_level *level = &record.level[side][at];
            if (at >= record.count[side] ? !isnan(level->px) : !(level->sz > 0))
                fail("a level that is none");
            if (at > 0 && at < record.count[side] &&
                !ss_level_before(side, level[-1].px, level->px))
                fail("levels out of order");
        }
}

/* Whether the message matched. */
static int decode(void *with, const char *bytes, size_t size) {
    memset(&out, 0xA5, offsetof(ss_depth_match, level));
    int reason = ss_depth_decode((ss_depth_decoder *)with, bytes, size, &out);
    if (reason < 0 || reason >= SS_REASONS) fail("a reason that is none");
    if (reason != SS_MATCHED) return 0;
    if (out.head.symbol_id >= symbol_count) fail("a symbol that is none");
    if (out.head.update_id == 0 || out.head.update_id > INT64_MAX || out.after_id < -1)
        fail("ids that cannot be");
    if (out.head.ts_event != SS_TS_ABSENT && out.head.ts_event <= 0)
        fail("a match of a time that cannot be");
    ss_order_book *book = &books[out.head.symbol_id];
    if (below(64) == 0) ss_order_book_begin(book);
    for (int side = 0; side < 2; side++)
        put_side(book, side);
    check_shown(book);
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 3) fail("usage: depth_fuzz SEED ROUNDS");
    seed_chance(argv[1]);
    for (int at = 0; at < SYMBOLS_MAX; at++)
        ss_order_book_begin(&books[at]);
    ss_depth_decoder *decoder = ss_depth_decoder_new(SYMBOLS_MAX);
    if (decoder == NULL) fail("no memory");
    read_script(decoder, take);
    fuzz(decoder, strtoul(argv[2], NULL, 10), decode);
    ss_depth_decoder_free(decoder);
    return 0;
}
