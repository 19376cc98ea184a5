/* Matches the protobuf wrapper of a best bid and ask, in place, without Python.
 *
 * The message is stated in exchanges/mexc_protobuf.py. Taken are the fields 1 channel, 3 symbol,
 * 4 symbolId, 5 createTime, 6 sendTime and 315 publicAggreBookTicker (1 to 4 prices and sizes, 5
 * version, 6 lastOrderCreateTime), each once, in any order. Anything else is no match: the typed
 * tier decides. Written for decoder.h; alone it compiles as C11.
 */
#ifndef SS_PROTOBUF_H
#define SS_PROTOBUF_H

#include "match.h"

#define SS_CHANNEL "spot@public.aggre.bookTicker.v3.api.pb"

/* The wrapper's bodies: exchanges/mexc_protobuf.py. */
enum ss_body { SS_LIMIT_DEPTHS_FIELD = 303, SS_AGGRE_DEPTHS_FIELD = 313, SS_TICKER_FIELD = 315 };

typedef struct ss_span {
    const char *start;
    const char *end;
} ss_span;

/* A varint of at most nine bytes, which is any number up to 2^63 - 1. NULL if there is none. */
static inline const char *ss_read_varint(const char *p, const char *end, uint64_t *value) {
    uint64_t sum = 0;
    for (unsigned shift = 0; shift < 63 && p < end; shift += 7) {
        unsigned char byte = (unsigned char)*p++;
        sum |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *value = sum;
            return p;
        }
    }
    return NULL;
}

static inline const char *ss_read_span(const char *p, const char *end, ss_span *span) {
    uint64_t size;
    p = ss_read_varint(p, end, &size);
    if (p == NULL || size > (uint64_t)(end - p)) return NULL;
    span->start = p;
    span->end = p + size;
    return span->end;
}

/* The ticker in the wrapper's body. */
static inline int ss_read_ticker(ss_span body, double raw[SS_FIELDS], uint64_t *update_id) {
    unsigned seen = 0;
    const char *p = body.start;
    while (p < body.end) {
        unsigned tag = (unsigned char)*p++;
        unsigned field = tag >> 3;
        uint64_t skipped;
        ss_span span = {NULL, NULL};
        if (field < 1 || field > 6 || (seen & 1U << field) != 0) return SS_OTHER_TEXT;
        seen |= 1U << field;
        if (tag != (field << 3 | (field == 6 ? 0U : 2U))) return SS_OTHER_TEXT;
        p = field == 6 ? ss_read_varint(p, body.end, &skipped) : ss_read_span(p, body.end, &span);
        if (p == NULL) return SS_OTHER_TEXT;
        if (field <= SS_FIELDS &&
            ss_read_decimal(span.start, span.end, &raw[field - 1]) != span.end)
            return SS_OTHER_NUMBER;
        if (field == 5 && ss_read_u64(span.start, span.end, update_id) != span.end)
            return SS_OTHER_NUMBER;
    }
    return (seen & 0x1EU) == 0x1EU ? SS_MATCHED : SS_OTHER_TEXT;
}

static inline int ss_is_channel(ss_span channel, const char *begins) {
    size_t size = (size_t)(channel.end - channel.start), head = strlen(begins);
    return size >= head && ss_same(channel.start, begins, head) && ss_is_utf8(channel.start, size);
}

/* What a wrapper holds; `send_time` 0 where it gives none. */
typedef struct ss_wrapper {
    ss_span symbol, body;
    uint64_t send_time;
} ss_wrapper;

/* A wrapper of one channel, its body in that field, which has a key of two bytes. */
static inline int ss_read_wrapper(const char *buf, size_t size, unsigned body_field,
                                  const char *begins, ss_wrapper *out) {
    const char *p = buf;
    const char *end = buf + size;
    const unsigned body_key[2] = {(body_field << 3 | 2U | 0x80U) & 0xFFU, body_field >> 4};
    ss_span channel = {NULL, NULL}, unused;
    uint64_t create_time;
    unsigned seen = 0;
    *out = (ss_wrapper){{NULL, NULL}, {NULL, NULL}, 0};
    while (p < end) {
        unsigned tag = (unsigned char)*p++;
        unsigned field = tag >> 3;
        if (tag == body_key[0] && p < end && (unsigned char)*p == body_key[1]) {
            p++;
            tag = 0x3A;
            field = 7; /* its place in `seen`; the wrapper has no field 7 of its own */
        } else if (tag >= 0x38) {
            return SS_OTHER_TEXT;
        }
        if ((seen & 1U << field) != 0) return SS_OTHER_TEXT;
        seen |= 1U << field;
        switch (tag) {
        case 0x0A: p = ss_read_span(p, end, &channel); break;
        case 0x1A: p = ss_read_span(p, end, &out->symbol); break;
        case 0x22: p = ss_read_span(p, end, &unused); break;
        case 0x28: p = ss_read_varint(p, end, &create_time); break;
        case 0x30: p = ss_read_varint(p, end, &out->send_time); break;
        case 0x3A: p = ss_read_span(p, end, &out->body); break;
        default: return SS_OTHER_TEXT;
        }
        if (p == NULL) return SS_OTHER_TEXT;
    }
    if (channel.start == NULL || out->symbol.start == NULL || out->body.start == NULL)
        return SS_OTHER_TEXT;
    return ss_is_channel(channel, begins) ? SS_MATCHED : SS_OTHER_TEXT;
}

/* SS_MATCHED with *out filled, or the reason why not. Reads nothing outside buf[0..size). */
static inline int ss_protobuf_match(const char *buf, size_t size, const ss_symbols *symbols,
                                    ss_match *out) {
    ss_wrapper wrapper;
    int reason = ss_read_wrapper(buf, size, SS_TICKER_FIELD, SS_CHANNEL, &wrapper);
    if (reason != SS_MATCHED) return reason;
    const ss_symbol *known = ss_symbols_find(symbols, wrapper.symbol.start,
                                             (size_t)(wrapper.symbol.end - wrapper.symbol.start));
    if (known == NULL) return SS_UNKNOWN_SYMBOL;
    double raw[SS_FIELDS];
    out->update_id = 0;
    out->ts_engine = out->ts_sent = SS_TS_ABSENT;
    reason = ss_read_ticker(wrapper.body, raw, &out->update_id);
    if (reason == SS_MATCHED) reason = ss_time(wrapper.send_time, &out->ts_event);
    return reason == SS_MATCHED ? ss_conclude(raw, known, out) : reason;
}

#endif
