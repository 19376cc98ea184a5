/* The symbols of one source: the exchange's spelling, byte for byte, to id and scale.
 *
 * Filled when tables are loaded, then only read. Open addressing, at most half full. A key holds no
 * quote, backslash or control character, so that a lookup by raw bytes of a JSON string is a lookup
 * of its meaning.
 */
#ifndef SS_SYMBOLS_H
#define SS_SYMBOLS_H

#include <math.h>

#include "number.h"

#define SS_KEY_MAX 64

typedef struct ss_symbol {
    double px_div;
    double sz_mul;
    uint32_t symbol_id;
    uint32_t size; /* bytes of the key; 0: free */
    char key[SS_KEY_MAX];
} ss_symbol;

typedef struct ss_symbols {
    ss_symbol *slots;
    size_t mask;
    size_t count;
} ss_symbols;

enum ss_add {
    SS_ADDED = 0,
    SS_ADD_BAD_KEY = 1,
    SS_ADD_BAD_SCALE = 2,
    SS_ADD_TWICE = 3,
    SS_ADD_FULL = 4
};

static inline uint64_t ss_hash(const char *key, size_t size) {
    uint64_t hash = (uint64_t)size * 0x9E3779B97F4A7C15ULL;
    if (size >= 8) {
        for (size_t at = 0; at + 8 < size; at += 8) {
            hash = (hash ^ ss_load64(key + at)) * 0xBF58476D1CE4E5B9ULL;
            hash ^= hash >> 29;
        }
        hash ^= ss_load64(key + size - 8);
    } else if (size >= 4) {
        hash ^= ss_load32(key) | (uint64_t)ss_load32(key + size - 4) << 32;
    } else {
        for (size_t at = 0; at < size; at++)
            hash = hash * 257 + (unsigned char)key[at];
    }
    hash *= 0x94D049BB133111EBULL;
    return hash ^ hash >> 32;
}

static inline void ss_symbols_free(ss_symbols *symbols) {
    if (symbols != NULL) free(symbols->slots);
    free(symbols);
}

/* Room for `count` symbols; NULL when there is no memory. */
static inline ss_symbols *ss_symbols_new(size_t count) {
    size_t slots = 16;
    while (slots < 2 * count)
        slots *= 2;
    ss_symbols *symbols = (ss_symbols *)calloc(1, sizeof *symbols);
    if (symbols == NULL) return NULL;
    symbols->slots = (ss_symbol *)calloc(slots, sizeof *symbols->slots);
    symbols->mask = slots - 1;
    if (symbols->slots == NULL) {
        ss_symbols_free(symbols);
        return NULL;
    }
    return symbols;
}

static inline const ss_symbol *ss_symbols_find(const ss_symbols *symbols, const char *key,
                                               size_t size) {
    if (size == 0 || size > SS_KEY_MAX) return NULL;
    for (size_t at = ss_hash(key, size);; at++) {
        const ss_symbol *slot = &symbols->slots[at & symbols->mask];
        if (slot->size == 0) return NULL;
        if (slot->size == size && ss_same(slot->key, key, size)) return slot;
    }
}

static inline int ss_symbols_add(ss_symbols *symbols, const char *key, size_t size,
                                 uint32_t symbol_id, double px_div, double sz_mul) {
    if (size == 0 || size > SS_KEY_MAX) return SS_ADD_BAD_KEY;
    for (size_t at = 0; at < size; at++)
        if ((unsigned char)key[at] < 0x20 || key[at] == '"' || key[at] == '\\')
            return SS_ADD_BAD_KEY;
    if (!(px_div > 0.0 && sz_mul > 0.0 && isfinite(px_div) && isfinite(sz_mul)))
        return SS_ADD_BAD_SCALE;
    if (ss_symbols_find(symbols, key, size) != NULL) return SS_ADD_TWICE;
    if (2 * (symbols->count + 1) > symbols->mask + 1) return SS_ADD_FULL;
    size_t at = ss_hash(key, size);
    while (symbols->slots[at & symbols->mask].size != 0)
        at++;
    ss_symbol *slot = &symbols->slots[at & symbols->mask];
    memcpy(slot->key, key, size);
    slot->size = (uint32_t)size;
    slot->symbol_id = symbol_id;
    slot->px_div = px_div;
    slot->sz_mul = sz_mul;
    symbols->count++;
    return SS_ADDED;
}

#endif
