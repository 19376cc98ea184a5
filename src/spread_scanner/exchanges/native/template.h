/* Matches a message against the text of a usual one, in place, without Python.
 *
 * A template is the exchange's payload with holes. What is not a hole has to be there byte for byte:
 *
 *     {bid_px} {bid_sz} {ask_px} {ask_sz}   decimal numbers, each exactly once
 *     {symbol}                              the exchange's spelling, exactly once, inside quotes
 *     {update_id} {ts_event_ms}             whole numbers, at most once each
 *     {ts_engine_ms}                        the same: the matching engine's time, where both are told
 *     {ts_sent_ms}                          the same: when it was sent, where {ts_event_ms} is the engine's;
 *                                           what is made must not lie beyond it (ss_ahead)
 *     *                                     the rest of a string, up to its closing quote
 *     {skip_int}                            a whole number that is not used
 *     {skip_levels}                         any number of further ",[px,sz,n]" levels
 *
 * A template of books (depth.h) has two sides in the place of the four numbers:
 *
 *     {bids} {asks}                         all levels of a side, each exactly once
 *     {update_id}                           what it leads to, exactly once
 *     {after_id} {first_id}                 what it follows on, or the first id that it tells of; one
 *                                           of the two at most
 *
 * The message has to end where the template ends. Everything else is "no match", never a guess: the
 * typed tier decides. Whatever matches, the typed tier accepts with the same values. Written for
 * exchanges/_match.pyx and the compiled listener; alone it compiles as C11.
 */
#ifndef SS_TEMPLATE_H
#define SS_TEMPLATE_H

#include <stdio.h>

#include "match.h"

#define SS_STEPS_MAX 40
#define SS_TEXT_MAX 1024

enum ss_kind {
    SS_LITERAL,
    SS_NUMBER, /* `field` says which */
    SS_SYMBOL,
    SS_UPDATE_ID,
    SS_TS_EVENT_MS,
    SS_TS_ENGINE_MS,
    SS_TS_SENT_MS,
    SS_REST_OF_STRING,
    SS_SKIP_INT,
    SS_SKIP_LEVELS,
    SS_SIDE, /* `field` says which: ss_book_side */
    SS_AFTER_ID,
    SS_FIRST_ID
};

typedef struct ss_step {
    enum ss_kind kind;
    int field;
    size_t start; /* of a literal, in the template's text */
    size_t size;
} ss_step;

typedef struct ss_template {
    int count;
    ss_step steps[SS_STEPS_MAX];
    char text[SS_TEXT_MAX];
} ss_template;

static inline void ss_template_free(ss_template *made) {
    free(made);
}

/* The hole at the start of `text`: its length there, 0 if none starts here, -1 if its name is not
 * known.
 */
static inline int ss_hole_at(const char *text, ss_step *step) {
    static const struct {
        const char *name;
        enum ss_kind kind;
        int field;
    } holes[] = {
        {"{bid_px}", SS_NUMBER, SS_BID_PX},
        {"{bid_sz}", SS_NUMBER, SS_BID_SZ},
        {"{ask_px}", SS_NUMBER, SS_ASK_PX},
        {"{ask_sz}", SS_NUMBER, SS_ASK_SZ},
        {"{symbol}", SS_SYMBOL, 0},
        {"{update_id}", SS_UPDATE_ID, 0},
        {"{ts_event_ms}", SS_TS_EVENT_MS, 0},
        {"{skip_int}", SS_SKIP_INT, 0},
        {"{skip_levels}", SS_SKIP_LEVELS, 0},
        {"*", SS_REST_OF_STRING, 0},
        {"{ts_engine_ms}", SS_TS_ENGINE_MS, 0},
        {"{ts_sent_ms}", SS_TS_SENT_MS, 0},
        {"{bids}", SS_SIDE, 0},
        {"{asks}", SS_SIDE, 1},
        {"{after_id}", SS_AFTER_ID, 0},
        {"{first_id}", SS_FIRST_ID, 0},
    };
    for (size_t at = 0; at < sizeof holes / sizeof *holes; at++) {
        size_t size = strlen(holes[at].name);
        if (strncmp(text, holes[at].name, size) == 0) {
            step->kind = holes[at].kind;
            step->field = holes[at].field;
            step->start = step->size = 0;
            return (int)size;
        }
    }
    return text[0] == '{' && text[1] >= 'a' && text[1] <= 'z' ? -1 : 0;
}

/* How often each kind of hole stands in a template. */
static inline int ss_holes(const ss_template *made, enum ss_kind kind, int field) {
    int count = 0;
    for (int at = 0; at < made->count; at++)
        count += made->steps[at].kind == kind && made->steps[at].field == field;
    return count;
}

/* The rules of the header comment; NULL if they hold, else what is wrong. */
static inline const char *ss_template_fault(const ss_template *made, int of_books) {
    for (int at = 0; at < made->count; at++) {
        const ss_step *step = &made->steps[at];
        const ss_step *next = at + 1 < made->count ? step + 1 : NULL;
        int quoted = step->kind == SS_SYMBOL || step->kind == SS_REST_OF_STRING;
        if (quoted && (next == NULL || next->kind != SS_LITERAL || made->text[next->start] != '"'))
            return "a symbol or * runs up to a closing quote";
        if (!quoted && step->kind != SS_LITERAL && step->kind != SS_SKIP_LEVELS && next != NULL &&
            next->kind != SS_LITERAL && next->kind != SS_SKIP_LEVELS)
            return "two numbers need text between them";
    }
    for (int field = 0; field < SS_FIELDS; field++)
        if (ss_holes(made, SS_NUMBER, field) != !of_books)
            return of_books ? "books have sides and no four numbers"
                            : "each of the four numbers stands in it exactly once";
    for (int side = 0; side < 2; side++)
        if (ss_holes(made, SS_SIDE, side) != of_books)
            return of_books ? "each side stands in it exactly once" : "quotes have no sides";
    if (ss_holes(made, SS_SYMBOL, 0) != 1) return "the symbol stands in it exactly once";
    int ids = ss_holes(made, SS_UPDATE_ID, 0);
    int before = ss_holes(made, SS_AFTER_ID, 0) + ss_holes(made, SS_FIRST_ID, 0);
    if (ids > 1 || ss_holes(made, SS_TS_EVENT_MS, 0) > 1 ||
        ss_holes(made, SS_TS_ENGINE_MS, 0) > 1 || ss_holes(made, SS_TS_SENT_MS, 0) > 1)
        return "update id and each time stand in it at most once";
    if (of_books ? ids != 1 || before > 1 : before > 0)
        return "books lead to one id, from one at most";
    return NULL;
}

/* The template of a text, of quotes or of books, or NULL with the reason in `error`. */
static inline ss_template *ss_template_compile(const char *text, int of_books, char *error,
                                               size_t error_size) {
    const char *fault = NULL;
    size_t size = strlen(text);
    ss_template *made = (ss_template *)calloc(1, sizeof *made);
    if (made == NULL)
        fault = "no memory";
    else if (size >= SS_TEXT_MAX)
        fault = "too long";
    else
        memcpy(made->text, text, size);
    for (size_t at = 0; fault == NULL && at < size;) {
        ss_step step = {SS_LITERAL, 0, at, 1};
        int hole = ss_hole_at(text + at, &step);
        ss_step *last = made->count > 0 ? &made->steps[made->count - 1] : NULL;
        if (hole < 0) {
            fault = "a hole that is not known";
        } else if (hole == 0 && last != NULL && last->kind == SS_LITERAL) {
            last->size++;
            at++;
        } else if (made->count == SS_STEPS_MAX) {
            fault = "too many holes";
        } else {
            made->steps[made->count++] = step;
            at += hole > 0 ? (size_t)hole : 1;
        }
    }
    if (fault == NULL) fault = ss_template_fault(made, of_books);
    if (fault != NULL) {
        snprintf(error, error_size, "%s", fault);
        ss_template_free(made);
        return NULL;
    }
    return made;
}

/* Past any further levels ",[px,sz,n]"; NULL if what stands there only looks like one. */
static inline const char *ss_skip_levels(const char *p, const char *end) {
    double value;
    uint64_t orders;
    while (end - p >= 2 && p[0] == ',' && p[1] == '[') {
        p = ss_read_decimal(p + 2, end, &value);
        if (p == NULL || p == end || *p != ',') return NULL;
        p = ss_read_decimal(p + 1, end, &value);
        if (p == NULL || p == end || *p != ',') return NULL;
        p = ss_read_u64(p + 1, end, &orders);
        if (p == NULL || p == end || *p != ']') return NULL;
        p++;
    }
    return p;
}

/* What a message has said so far. */
typedef struct ss_reading {
    const ss_symbol *symbol;
    double raw[SS_FIELDS];
    ss_match *out;
} ss_reading;

static inline ss_reading ss_unread(ss_match *out) {
    out->ts_event = out->ts_engine = out->ts_sent = SS_TS_ABSENT;
    return (ss_reading){NULL, {0.0, 0.0, 0.0, 0.0}, out};
}

/* Whether its times can be beside each other. */
static inline int ss_in_order(const ss_reading *reading) {
    const ss_match *out = reading->out;
    return !ss_ahead(out->ts_engine, out->ts_event) && !ss_ahead(out->ts_event, out->ts_sent);
}

/* One step from *at on, which it moves. Returns SS_MATCHED or why not. */
static inline int ss_take(const ss_template *made, const ss_step *step, const char **at,
                          const char *end, const ss_symbols *symbols, ss_reading *reading) {
    const char *p = *at;
    const char *stop;
    uint64_t number = 0;
    int ascii;
    switch (step->kind) {
    case SS_LITERAL:
        if ((size_t)(end - p) < step->size || !ss_same(p, made->text + step->start, step->size))
            return SS_OTHER_TEXT;
        *at = p + step->size;
        return SS_MATCHED;
    case SS_NUMBER:
        *at = ss_read_decimal(p, end, &reading->raw[step->field]);
        return *at != NULL ? SS_MATCHED : SS_OTHER_NUMBER;
    case SS_SYMBOL:
        stop = ss_string_end(p, end, &ascii);
        if (stop == NULL) return SS_OTHER_TEXT;
        reading->symbol = ss_symbols_find(symbols, p, (size_t)(stop - p));
        *at = stop;
        return reading->symbol != NULL ? SS_MATCHED : SS_UNKNOWN_SYMBOL;
    case SS_REST_OF_STRING:
        stop = ss_string_end(p, end, &ascii);
        if (stop == NULL || (!ascii && !ss_is_utf8(p, (size_t)(stop - p)))) return SS_OTHER_TEXT;
        *at = stop;
        return SS_MATCHED;
    case SS_SKIP_LEVELS:
        *at = ss_skip_levels(p, end);
        return *at != NULL ? SS_MATCHED : SS_OTHER_NUMBER;
    default: /* whole numbers */
        *at = ss_read_u64(p, end, &number);
        if (*at == NULL) return SS_OTHER_NUMBER;
        if (step->kind == SS_UPDATE_ID) reading->out->update_id = number;
        if (step->kind == SS_TS_EVENT_MS) return ss_time(number, &reading->out->ts_event);
        if (step->kind == SS_TS_ENGINE_MS) return ss_time(number, &reading->out->ts_engine);
        if (step->kind == SS_TS_SENT_MS) return ss_time(number, &reading->out->ts_sent);
        return SS_MATCHED;
    }
}

/* SS_MATCHED with *out filled, or the reason why not (*out is then undefined). Reads nothing outside
 * buf[0..size).
 */
static inline int ss_template_match(const ss_template *made, const char *buf, size_t size,
                                    const ss_symbols *symbols, ss_match *out) {
    const char *end = buf + size;
    ss_reading reading = ss_unread(out);
    out->update_id = 0;
    for (int at = 0; at < made->count; at++) {
        int reason = ss_take(made, &made->steps[at], &buf, end, symbols, &reading);
        if (reason != SS_MATCHED) return reason;
    }
    if (buf != end) return SS_OTHER_TEXT;
    if (!ss_in_order(&reading)) return SS_OTHER_TIME;
    return ss_conclude(reading.raw, reading.symbol, out);
}

#endif
