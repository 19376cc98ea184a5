/* The native tier of one source's books: its templates, or the protobuf matcher, and its symbols.
 *
 * Made by exchanges/_depth.pyx when tables are loaded, used for each frame by the feed's board of
 * books. As of quotes: what does not match to the last byte is left to the typed tier, and what
 * matches says the same there. Levels come scaled to base units. Not safe for two threads at once:
 * it remembers which template matched last.
 */
#ifndef SS_DEPTH_H
#define SS_DEPTH_H

#include "book.h"
#include "levels.h"
#include "protobuf.h"
#include "template.h"

#define SS_DEPTH_LEVELS_MAX 512 /* of a side in one message */
#define SS_DEPTH_TEMPLATES_MAX 4

/* What one message says of one book. */
typedef struct ss_depth_match {
    ss_match head; /* symbol, time, and as update id what it leads to: 1 to 2^63 - 1 */
    const ss_symbol *symbol;
    int64_t after_id; /* what it follows on */
    int64_t count[2]; /* by side */
    ss_level level[2][SS_DEPTH_LEVELS_MAX];
} ss_depth_match;

typedef struct ss_depth_decoder {
    ss_symbols *symbols;
    ss_template *templates[SS_DEPTH_TEMPLATES_MAX];
    int count;
    int latest;          /* matched last: tried first */
    unsigned body_field; /* of a protobuf wrapper; 0: JSON */
    const char *channel; /* that a wrapper's begins with */
} ss_depth_decoder;

static inline void ss_depth_decoder_free(ss_depth_decoder *decoder) {
    if (decoder == NULL) return;
    for (int at = 0; at < decoder->count; at++)
        ss_template_free(decoder->templates[at]);
    ss_symbols_free(decoder->symbols);
    free(decoder);
}

/* A decoder with room for `symbols` symbols and no template; NULL when there is no memory. */
static inline ss_depth_decoder *ss_depth_decoder_new(size_t symbols) {
    ss_depth_decoder *decoder = (ss_depth_decoder *)calloc(1, sizeof *decoder);
    if (decoder == NULL) return NULL;
    decoder->symbols = ss_symbols_new(symbols);
    if (decoder->symbols == NULL) {
        ss_depth_decoder_free(decoder);
        return NULL;
    }
    return decoder;
}

/* 0, or -1 with the reason in `error`. */
static inline int ss_depth_decoder_add_template(ss_depth_decoder *decoder, const char *text,
                                                char *error, size_t error_size) {
    if (decoder->count == SS_DEPTH_TEMPLATES_MAX) {
        snprintf(error, error_size, "at most %d templates", SS_DEPTH_TEMPLATES_MAX);
        return -1;
    }
    ss_template *made = ss_template_compile(text, 1, error, error_size);
    if (made == NULL) return -1;
    decoder->templates[decoder->count++] = made;
    return 0;
}

/* Ids and levels that are usual, these in base units: `px / px_div` and `sz * sz_mul`. */
static inline int ss_depth_conclude(ss_depth_match *out) {
    const ss_symbol *symbol = out->symbol;
    if (out->head.update_id == 0 || out->head.update_id > INT64_MAX) return SS_OTHER_NUMBER;
    out->head.symbol_id = symbol->symbol_id;
    if (symbol->px_div == 1.0 && symbol->sz_mul == 1.0) return SS_MATCHED;
    for (int side = 0; side < 2; side++)
        for (int64_t at = 0; at < out->count[side]; at++) {
            out->level[side][at].px /= symbol->px_div;
            out->level[side][at].sz *= symbol->sz_mul;
        }
    return SS_MATCHED;
}

/* One hole that only books have. */
static inline const char *ss_depth_take(const ss_step *step, const char *p, const char *end,
                                        ss_depth_match *out, int *follows) {
    uint64_t number;
    if (step->kind == SS_SIDE)
        return ss_levels_end(p, end, &out->level[step->field][0].px, SS_DEPTH_LEVELS_MAX,
                             &out->count[step->field]);
    p = ss_read_u64(p, end, &number);
    if (p == NULL || number > INT64_MAX) return NULL;
    out->after_id = (int64_t)number - (step->kind == SS_FIRST_ID);
    *follows = 1;
    return p;
}

static inline int ss_depth_template_match(const ss_template *made, const char *buf, size_t size,
                                          const ss_symbols *symbols, ss_depth_match *out) {
    const char *end = buf + size;
    ss_reading reading = ss_unread(&out->head);
    int follows = 0;
    for (int at = 0; at < made->count; at++) {
        const ss_step *step = &made->steps[at];
        if (step->kind >= SS_SIDE) {
            buf = ss_depth_take(step, buf, end, out, &follows);
            if (buf == NULL) return SS_OTHER_NUMBER;
            continue;
        }
        int reason = ss_take(made, step, &buf, end, symbols, &reading);
        if (reason != SS_MATCHED) return reason;
    }
    if (buf != end) return SS_OTHER_TEXT;
    if (!ss_in_order(&reading)) return SS_OTHER_TIME;
    if (!follows) out->after_id = (int64_t)(out->head.update_id - 1);
    out->symbol = reading.symbol;
    return ss_depth_conclude(out);
}

/* One level of a wrapper's body: 1 price and 2 quantity, in this order. */
static inline int ss_depth_level(ss_span at, ss_level *level) {
    const char *p = at.start;
    ss_span px, sz;
    if (p == at.end || *p++ != 0x0A || (p = ss_read_span(p, at.end, &px)) == NULL)
        return SS_OTHER_TEXT;
    if (p == at.end || *p++ != 0x12 || ss_read_span(p, at.end, &sz) != at.end) return SS_OTHER_TEXT;
    if (ss_read_decimal(px.start, px.end, &level->px) != px.end || !(level->px > 0) ||
        ss_read_decimal(sz.start, sz.end, &level->sz) != sz.end)
        return SS_OTHER_NUMBER;
    return SS_MATCHED;
}

/* The body: any number of 1 asks and 2 bids, 3 the event's type, then 4 its version, or 4 the first
 * and 5 the last of its versions, and behind them when an order was made last. */
static inline int ss_depth_body(ss_span body, int versions, ss_depth_match *out) {
    const char *p = body.start;
    uint64_t version[2] = {0, 0};
    unsigned seen = 0;
    out->count[SS_BIDS] = out->count[SS_ASKS] = 0;
    while (p < body.end) {
        unsigned tag = (unsigned char)*p++;
        unsigned field = tag >> 3;
        ss_span span;
        unsigned last = 4U + (unsigned)versions;
        uint64_t skipped;
        if (field < 1 || field > last || tag != (field << 3 | (field == last ? 0U : 2U)))
            return SS_OTHER_TEXT;
        if (field > 2 && (seen & 1U << field) != 0) return SS_OTHER_TEXT;
        seen |= 1U << field;
        p = field == last ? ss_read_varint(p, body.end, &skipped)
                          : ss_read_span(p, body.end, &span);
        if (p == NULL) return SS_OTHER_TEXT;
        if (field == last) continue;
        if (field <= 2) {
            int side = field == 1 ? SS_ASKS : SS_BIDS;
            if (out->count[side] == SS_DEPTH_LEVELS_MAX) return SS_OTHER_NUMBER;
            int reason = ss_depth_level(span, &out->level[side][out->count[side]++]);
            if (reason != SS_MATCHED) return reason;
        } else if (field > 3 &&
                   ss_read_u64(span.start, span.end, &version[field - 4]) != span.end) {
            return SS_OTHER_NUMBER;
        }
    }
    unsigned needed = versions == 2 ? 0x30U : 0x10U;
    if ((seen & needed) != needed || version[0] > INT64_MAX) return SS_OTHER_NUMBER;
    out->after_id = (int64_t)version[0] - 1;
    out->head.update_id = version[versions - 1];
    return SS_MATCHED;
}

static inline int ss_depth_protobuf_match(const ss_depth_decoder *decoder, const char *buf,
                                          size_t size, ss_depth_match *out) {
    ss_wrapper wrapper;
    int reason = ss_read_wrapper(buf, size, decoder->body_field, decoder->channel, &wrapper);
    if (reason != SS_MATCHED) return reason;
    out->symbol = ss_symbols_find(decoder->symbols, wrapper.symbol.start,
                                  (size_t)(wrapper.symbol.end - wrapper.symbol.start));
    if (out->symbol == NULL) return SS_UNKNOWN_SYMBOL;
    reason = ss_depth_body(wrapper.body, decoder->body_field == SS_AGGRE_DEPTHS_FIELD ? 2 : 1, out);
    out->head.ts_sent = SS_TS_ABSENT;
    if (reason == SS_MATCHED) reason = ss_time(wrapper.send_time, &out->head.ts_event);
    return reason == SS_MATCHED ? ss_depth_conclude(out) : reason;
}

/* SS_MATCHED with *out filled, or why the typed tier has to look. Reads nothing outside
 * buf[0..size). */
static inline int ss_depth_decode(ss_depth_decoder *decoder, const char *buf, size_t size,
                                  ss_depth_match *out) {
    int reason = SS_OTHER_TEXT;
    if (decoder->body_field) return ss_depth_protobuf_match(decoder, buf, size, out);
    for (int tried = -1; tried < decoder->count; tried++) {
        int at = tried < 0 ? decoder->latest : tried;
        if (at >= decoder->count || tried == decoder->latest) continue;
        int found =
            ss_depth_template_match(decoder->templates[at], buf, size, decoder->symbols, out);
        if (found == SS_MATCHED) {
            decoder->latest = at;
            return SS_MATCHED;
        }
        if (reason == SS_OTHER_TEXT) reason = found;
    }
    return reason;
}

/* Whether a message that leads to `last_id` follows on a book known to `known_id`, as
 * exchanges.depth.fits says of one whose ids are usual: not old, and nothing missing before it. */
static inline int ss_depth_follows(int64_t known_id, int64_t after_id, int64_t last_id) {
    if (after_id > known_id) return 0;
    return known_id < last_id || (after_id == known_id && last_id < after_id);
}

#endif
