/* The native tier of one source: its templates, or the protobuf matcher, and its symbols.
 *
 * Made by exchanges/_match.pyx when tables are loaded, used by the compiled listener for each frame.
 * Not safe for two threads at once: it remembers which template matched last.
 */
#ifndef SS_DECODER_H
#define SS_DECODER_H

#include "protobuf.h"
#include "template.h"

#define SS_TEMPLATES_MAX 8

typedef struct ss_decoder {
    ss_symbols *symbols;
    ss_template *templates[SS_TEMPLATES_MAX];
    int count;
    int latest; /* matched last: tried first */
    int protobuf;
} ss_decoder;

static inline void ss_decoder_free(ss_decoder *decoder) {
    if (decoder == NULL) return;
    for (int at = 0; at < decoder->count; at++)
        ss_template_free(decoder->templates[at]);
    ss_symbols_free(decoder->symbols);
    free(decoder);
}

/* A decoder with room for `symbols` symbols and no template; NULL when there is no memory. */
static inline ss_decoder *ss_decoder_new(size_t symbols, int protobuf) {
    ss_decoder *decoder = (ss_decoder *)calloc(1, sizeof *decoder);
    if (decoder == NULL) return NULL;
    decoder->protobuf = protobuf;
    decoder->symbols = ss_symbols_new(symbols);
    if (decoder->symbols == NULL) {
        ss_decoder_free(decoder);
        return NULL;
    }
    return decoder;
}

/* 0, or -1 with the reason in `error`. */
static inline int ss_decoder_add_template(ss_decoder *decoder, const char *text, char *error,
                                          size_t error_size) {
    if (decoder->count == SS_TEMPLATES_MAX) {
        snprintf(error, error_size, "at most %d templates", SS_TEMPLATES_MAX);
        return -1;
    }
    ss_template *made = ss_template_compile(text, 0, error, error_size);
    if (made == NULL) return -1;
    decoder->templates[decoder->count++] = made;
    return 0;
}

/* SS_MATCHED with *out filled, or why the typed tier has to look: the reason of the template that
 * came furthest from "other text".
 */
static inline int ss_decode(ss_decoder *decoder, const char *buf, size_t size, ss_match *out) {
    int reason = SS_OTHER_TEXT;
    if (decoder->protobuf) return ss_protobuf_match(buf, size, decoder->symbols, out);
    for (int tried = -1; tried < decoder->count; tried++) {
        int at = tried < 0 ? decoder->latest : tried;
        if (at >= decoder->count || tried == decoder->latest) continue;
        int found = ss_template_match(decoder->templates[at], buf, size, decoder->symbols, out);
        if (found == SS_MATCHED) {
            decoder->latest = at;
            return SS_MATCHED;
        }
        if (reason == SS_OTHER_TEXT) reason = found;
    }
    return reason;
}

#endif
