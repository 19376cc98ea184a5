/* Quotes as few bits: what changed against the last one of the same cell, in whole units.
 *
 * Writer and reader keep the same state: by cell the last quote, in integers of its own decimals,
 * and how large each difference usually is; by source the last number and delay. A difference is a
 * Rice code: its upper bits in unary, as many lower ones as it usually has as they are. What is no
 * decimal number that is given back to the bit (a NaN, a size of twenty digits) goes as it is. So a
 * batch says nothing without all before it, back to one that begins anew.
 */
#ifndef SS_QUOTE_CODEC_H
#define SS_QUOTE_CODEC_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "backs.h"

enum {
    SS_CODEC_QUOTE_BYTES_MAX = 224, /* of one quote, were each code the longest */
    SS_CODEC_UNARY_MAX = 20,
    SS_CODEC_DECIMALS = 16, /* one more than is tried */
    SS_CODEC_MEAN_SHIFT = 4,
    SS_CODEC_LOW_MAX = 40,
};

static const double ss_codec_tens[SS_CODEC_DECIMALS] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* How large a kind of difference usually is, times 2^SS_CODEC_MEAN_SHIFT. */
typedef uint64_t ss_codec_mean;

typedef struct ss_codec_cell {
    int64_t bid, spread, bid_size, ask_size;
    uint64_t id;
    ss_codec_mean of_bid, of_spread, of_bid_size, of_ask_size, of_id;
    uint32_t flags, epoch;
    uint16_t source, symbol;
    uint8_t price_decimals, size_decimals;
} ss_codec_cell;

typedef struct ss_codec_source {
    uint64_t number; /* that the next one has */
    int64_t delay_ms, delay_ns;
} ss_codec_source;

typedef struct ss_codec {
    uint32_t *places; /* by source and symbol: the cell's place and one; 0: not known. Of writers */
    ss_codec_cell *cells;
    size_t known, room;
    ss_codec_source sources[SS_BACKS_SOURCES];
    int64_t received;
    ss_codec_mean of_place, of_received, of_delay_ms, of_delay_ns;
} ss_codec;

static inline uint64_t ss_codec_fold(int64_t value) {
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t ss_codec_unfold(uint64_t value) {
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static inline int64_t ss_codec_minus(int64_t one, int64_t other) {
    return (int64_t)((uint64_t)one - (uint64_t)other);
}

static inline int64_t ss_codec_plus(int64_t one, int64_t other) {
    return (int64_t)((uint64_t)one + (uint64_t)other);
}

static inline int ss_codec_low(ss_codec_mean mean) {
    uint64_t usual = mean >> SS_CODEC_MEAN_SHIFT;
    int low = usual ? 63 - __builtin_clzll(usual) : 0;
    return low < SS_CODEC_LOW_MAX ? low : SS_CODEC_LOW_MAX;
}

static inline void ss_codec_learn(ss_codec_mean *mean, uint64_t value) {
    uint64_t most = UINT64_C(1) << 44;
    uint64_t now = (value < most ? value : most) << SS_CODEC_MEAN_SHIFT;
    *mean = *mean + (now >> 3) - (*mean >> 3);
}

/* --- bits, the lowest first */

typedef struct ss_bits_out {
    unsigned char *to;
    uint64_t held;
    int count;
} ss_bits_out;

/* At most 32 of them. */
static inline void ss_bits_put(ss_bits_out *out, uint64_t bits, int count) {
    out->held |= bits << out->count;
    out->count += count;
    if (out->count >= 32) {
        uint32_t word = (uint32_t)out->held;
        memcpy(out->to, &word, sizeof word);
        out->to += sizeof word;
        out->held >>= 32;
        out->count -= 32;
    }
}

static inline void ss_bits_put_wide(ss_bits_out *out, uint64_t bits, int count) {
    if (count > 32) {
        ss_bits_put(out, bits & UINT32_MAX, 32);
        bits >>= 32;
        count -= 32;
    }
    ss_bits_put(out, bits, count);
}

static inline void ss_bits_put_rice(ss_bits_out *out, ss_codec_mean *mean, uint64_t value) {
    int low = ss_codec_low(*mean);
    uint64_t high = value >> low;
    if (high < SS_CODEC_UNARY_MAX) {
        ss_bits_put(out, (UINT64_C(1) << high) - 1, (int)high + 1);
        ss_bits_put_wide(out, value & ((UINT64_C(1) << low) - 1), low);
    } else {
        ss_bits_put(out, (UINT64_C(1) << SS_CODEC_UNARY_MAX) - 1, SS_CODEC_UNARY_MAX);
        ss_bits_put_wide(out, value, 64);
    }
    ss_codec_learn(mean, value);
}

/* Behind its end there are eight bytes more that may be read. */
typedef struct ss_bits_in {
    const unsigned char *from;
    uint64_t at, end; /* bits */
} ss_bits_in;

static inline uint64_t ss_bits_peek(const ss_bits_in *in) {
    uint64_t word;
    if (in->at >= in->end) return 0; /* the reader sees afterwards that it went too far */
    memcpy(&word, in->from + (in->at >> 3), sizeof word);
    return word >> (in->at & 7); /* 57 bits at the least */
}

static inline uint64_t ss_bits_get(ss_bits_in *in, int count) {
    uint64_t found = ss_bits_peek(in) & ((UINT64_C(1) << count) - 1);
    in->at += (uint64_t)count;
    return found;
}

static inline uint64_t ss_bits_get_wide(ss_bits_in *in, int count) {
    if (count <= 32) return ss_bits_get(in, count);
    uint64_t found = ss_bits_get(in, 32);
    return found | ss_bits_get(in, count - 32) << 32;
}

static inline uint64_t ss_bits_get_rice(ss_bits_in *in, ss_codec_mean *mean) {
    int low = ss_codec_low(*mean);
    uint64_t ahead = ~ss_bits_peek(in);
    int high = ahead ? __builtin_ctzll(ahead) : 64;
    uint64_t value;
    if (high < SS_CODEC_UNARY_MAX) {
        in->at += (uint64_t)high + 1;
        value = (uint64_t)high << low | ss_bits_get_wide(in, low);
    } else {
        in->at += SS_CODEC_UNARY_MAX;
        value = ss_bits_get_wide(in, 64);
    }
    ss_codec_learn(mean, value);
    return value;
}

/* --- numbers */

/* Whether a number is so many decimals' integer and comes back from it to the bit. */
static inline int ss_codec_is_whole(double number, int decimals, int64_t *units) {
    double scaled = number * ss_codec_tens[decimals];
    if (!(fabs(scaled) < 9007199254740992.0)) return 0;
    *units = (int64_t)llrint(scaled);
    double back = (double)*units / ss_codec_tens[decimals];
    return memcmp(&back, &number, sizeof back) == 0;
}

/* Both, with as many decimals as were needed before or more; 0: there are none. */
static inline int ss_codec_both_whole(double one, double other, uint8_t *decimals, int64_t *units) {
    for (int tried = *decimals; tried < SS_CODEC_DECIMALS; tried++)
        if (ss_codec_is_whole(one, tried, units) && ss_codec_is_whole(other, tried, units + 1)) {
            *decimals = (uint8_t)tried;
            return 1;
        }
    return 0;
}

static inline double ss_codec_number(int64_t units, int decimals) {
    return (double)units / ss_codec_tens[decimals];
}

/* The state's integers in more decimals; both sides do the same, so that wrapping is no matter. */
static inline void ss_codec_rescale(ss_codec_cell *cell, int prices, int sizes) {
    int64_t tens = (int64_t)ss_codec_tens[prices - cell->price_decimals];
    cell->bid = (int64_t)((uint64_t)cell->bid * (uint64_t)tens);
    cell->spread = (int64_t)((uint64_t)cell->spread * (uint64_t)tens);
    tens = (int64_t)ss_codec_tens[sizes - cell->size_decimals];
    cell->bid_size = (int64_t)((uint64_t)cell->bid_size * (uint64_t)tens);
    cell->ask_size = (int64_t)((uint64_t)cell->ask_size * (uint64_t)tens);
    cell->price_decimals = (uint8_t)prices;
    cell->size_decimals = (uint8_t)sizes;
}

/* --- one quote */

enum { SS_STAMP_MS, SS_STAMP_NS, SS_STAMP_ABSENT };
#define SS_TS_ABSENT INT64_MIN

static inline void ss_codec_put_prices(ss_bits_out *out, ss_codec_cell *cell,
                                       const ss_quote *quote) {
    int64_t prices[2], sizes[2];
    uint8_t of_prices = cell->price_decimals, of_sizes = cell->size_decimals;
    if (!ss_codec_both_whole(quote->bid_px, quote->ask_px, &of_prices, prices) ||
        !ss_codec_both_whole(quote->bid_sz, quote->ask_sz, &of_sizes, sizes)) {
        ss_bits_put(out, 1, 2);
        double all[4] = {quote->bid_px, quote->ask_px, quote->bid_sz, quote->ask_sz};
        for (int n = 0; n < 4; n++) {
            uint64_t bits;
            memcpy(&bits, &all[n], sizeof bits);
            ss_bits_put_wide(out, bits, 64);
        }
        return;
    }
    if (of_prices != cell->price_decimals || of_sizes != cell->size_decimals) {
        ss_bits_put(out, 3, 2);
        ss_bits_put(out, of_prices, 4);
        ss_bits_put(out, of_sizes, 4);
        ss_codec_rescale(cell, of_prices, of_sizes);
    } else {
        ss_bits_put(out, 0, 1);
    }
    int64_t spread = prices[1] - prices[0];
    int moved = prices[0] != cell->bid || spread != cell->spread;
    ss_bits_put(out, (uint64_t)moved, 1);
    if (moved) {
        ss_bits_put_rice(out, &cell->of_bid, ss_codec_fold(ss_codec_minus(prices[0], cell->bid)));
        ss_bits_put_rice(out, &cell->of_spread,
                         ss_codec_fold(ss_codec_minus(spread, cell->spread)));
        cell->bid = prices[0];
        cell->spread = spread;
    }
    int other = (sizes[0] != cell->bid_size) | (sizes[1] != cell->ask_size) << 1;
    ss_bits_put(out, (uint64_t)other, 2);
    if (other & 1) ss_bits_put_rice(out, &cell->of_bid_size, ss_codec_fold(sizes[0]));
    if (other & 2) ss_bits_put_rice(out, &cell->of_ask_size, ss_codec_fold(sizes[1]));
    cell->bid_size = sizes[0];
    cell->ask_size = sizes[1];
}

/* 0: the decimals cannot be. */
static inline int ss_codec_get_prices(ss_bits_in *in, ss_codec_cell *cell, ss_quote *quote) {
    if (ss_bits_get(in, 1)) {
        if (!ss_bits_get(in, 1)) {
            double all[4];
            for (int n = 0; n < 4; n++) {
                uint64_t bits = ss_bits_get_wide(in, 64);
                memcpy(&all[n], &bits, sizeof bits);
            }
            quote->bid_px = all[0], quote->ask_px = all[1];
            quote->bid_sz = all[2], quote->ask_sz = all[3];
            return 1;
        }
        int prices = (int)ss_bits_get(in, 4), sizes = (int)ss_bits_get(in, 4);
        if (prices < cell->price_decimals || sizes < cell->size_decimals) return 0;
        ss_codec_rescale(cell, prices, sizes);
    }
    if (ss_bits_get(in, 1)) {
        cell->bid = ss_codec_plus(cell->bid, ss_codec_unfold(ss_bits_get_rice(in, &cell->of_bid)));
        cell->spread =
            ss_codec_plus(cell->spread, ss_codec_unfold(ss_bits_get_rice(in, &cell->of_spread)));
    }
    int other = (int)ss_bits_get(in, 2);
    if (other & 1) cell->bid_size = ss_codec_unfold(ss_bits_get_rice(in, &cell->of_bid_size));
    if (other & 2) cell->ask_size = ss_codec_unfold(ss_bits_get_rice(in, &cell->of_ask_size));
    quote->bid_px = ss_codec_number(cell->bid, cell->price_decimals);
    quote->ask_px = ss_codec_number(ss_codec_plus(cell->bid, cell->spread), cell->price_decimals);
    quote->bid_sz = ss_codec_number(cell->bid_size, cell->size_decimals);
    quote->ask_sz = ss_codec_number(cell->ask_size, cell->size_decimals);
    return 1;
}

static inline int64_t ss_codec_ms(int64_t ns) {
    return ns / 1000000 - (ns % 1000000 < 0);
}

static inline void ss_codec_put_times(ss_bits_out *out, ss_codec *of, ss_codec_source *source,
                                      const ss_quote *quote) {
    ss_bits_put_rice(out, &of->of_received,
                     ss_codec_fold(ss_codec_minus(quote->ts_recv, of->received)));
    of->received = quote->ts_recv;
    if (quote->ts_event == SS_TS_ABSENT) {
        ss_bits_put(out, SS_STAMP_ABSENT, 2);
    } else if (quote->ts_event % 1000000 == 0) {
        int64_t delay = ss_codec_ms(quote->ts_recv) - quote->ts_event / 1000000;
        ss_bits_put(out, SS_STAMP_MS, 2);
        ss_bits_put_rice(out, &of->of_delay_ms,
                         ss_codec_fold(ss_codec_minus(delay, source->delay_ms)));
        source->delay_ms = delay;
    } else {
        int64_t delay = ss_codec_minus(quote->ts_recv, quote->ts_event);
        ss_bits_put(out, SS_STAMP_NS, 2);
        ss_bits_put_rice(out, &of->of_delay_ns,
                         ss_codec_fold(ss_codec_minus(delay, source->delay_ns)));
        source->delay_ns = delay;
    }
}

/* 0: a stamp that cannot be. */
static inline int ss_codec_get_times(ss_bits_in *in, ss_codec *of, ss_codec_source *source,
                                     ss_quote *quote) {
    of->received =
        ss_codec_plus(of->received, ss_codec_unfold(ss_bits_get_rice(in, &of->of_received)));
    quote->ts_recv = of->received;
    switch (ss_bits_get(in, 2)) {
    case SS_STAMP_ABSENT: quote->ts_event = SS_TS_ABSENT; return 1;
    case SS_STAMP_MS:
        source->delay_ms = ss_codec_plus(source->delay_ms,
                                         ss_codec_unfold(ss_bits_get_rice(in, &of->of_delay_ms)));
        quote->ts_event =
            (int64_t)((uint64_t)ss_codec_minus(ss_codec_ms(quote->ts_recv), source->delay_ms) *
                      UINT64_C(1000000));
        return 1;
    case SS_STAMP_NS:
        source->delay_ns = ss_codec_plus(source->delay_ns,
                                         ss_codec_unfold(ss_bits_get_rice(in, &of->of_delay_ns)));
        quote->ts_event = ss_codec_minus(quote->ts_recv, source->delay_ns);
        return 1;
    }
    return 0;
}

static inline void ss_codec_put_rest(ss_bits_out *out, ss_codec_cell *cell, ss_codec_source *source,
                                     const ss_logged_tick *tick) {
    ss_bits_put_rice(
        out, &cell->of_id,
        ss_codec_fold(ss_codec_minus((int64_t)tick->quote.update_id, (int64_t)cell->id)));
    cell->id = tick->quote.update_id;
    int flags = tick->quote.flags != cell->flags || tick->quote.epoch != cell->epoch;
    int odd = tick->number != source->number || tick->back != 0;
    ss_bits_put(out, (uint64_t)(flags | odd << 1), 2);
    if (flags) {
        ss_bits_put(out, tick->quote.flags, 32);
        ss_bits_put(out, tick->quote.epoch, 32);
        cell->flags = tick->quote.flags;
        cell->epoch = tick->quote.epoch;
    }
    if (odd) {
        ss_bits_put_wide(out, tick->number, 64);
        ss_bits_put(out, tick->back, 32);
    }
    source->number = tick->number + 1;
}

static inline void ss_codec_get_rest(ss_bits_in *in, ss_codec_cell *cell, ss_codec_source *source,
                                     ss_logged_tick *tick) {
    cell->id = (uint64_t)ss_codec_plus((int64_t)cell->id,
                                       ss_codec_unfold(ss_bits_get_rice(in, &cell->of_id)));
    tick->quote.update_id = cell->id;
    int odd = (int)ss_bits_get(in, 2);
    if (odd & 1) {
        cell->flags = (uint32_t)ss_bits_get(in, 32);
        cell->epoch = (uint32_t)ss_bits_get(in, 32);
    }
    tick->quote.flags = cell->flags;
    tick->quote.epoch = cell->epoch;
    tick->number = source->number;
    tick->back = 0;
    if (odd & 2) {
        tick->number = ss_bits_get_wide(in, 64);
        tick->back = (uint32_t)ss_bits_get(in, 32);
    }
    source->number = tick->number + 1;
}

/* --- a batch */

/* The state has room for as many cells more as there are ticks, whose sources are checked. Returns
 * how many bytes were written. */
static inline ptrdiff_t ss_codec_put(ss_codec *of, unsigned char *to, const unsigned char *from,
                                     ptrdiff_t count) {
    ss_bits_out out = {to, 0, 0};
    ss_logged_tick tick;
    for (ptrdiff_t n = 0; n < count; n++) {
        memcpy(&tick, from + n * (ptrdiff_t)sizeof tick, sizeof tick);
        uint32_t *place = &of->places[(size_t)tick.source * SS_BACKS_SYMBOLS + tick.symbol];
        ss_bits_put_rice(&out, &of->of_place, *place);
        if (!*place) {
            ss_codec_cell *cell = &of->cells[of->known];
            memset(cell, 0, sizeof *cell);
            cell->source = tick.source;
            cell->symbol = tick.symbol;
            ss_bits_put(&out, tick.source | (uint64_t)tick.symbol << 16, 32);
            *place = (uint32_t)++of->known;
        }
        ss_codec_cell *cell = &of->cells[*place - 1];
        ss_codec_source *source = &of->sources[tick.source];
        ss_codec_put_times(&out, of, source, &tick.quote);
        ss_codec_put_prices(&out, cell, &tick.quote);
        ss_codec_put_rest(&out, cell, source, &tick);
    }
    memcpy(out.to, &out.held, sizeof out.held);
    return out.to - to + (out.count + 7) / 8;
}

/* Returns how many ticks are good: fewer than were wanted where the bytes are no batch. */
static inline ptrdiff_t ss_codec_get(ss_codec *of, unsigned char *to, ptrdiff_t count,
                                     const unsigned char *from, ptrdiff_t bytes) {
    ss_bits_in in = {from, 0, (uint64_t)bytes * 8};
    ss_logged_tick tick;
    for (ptrdiff_t n = 0; n < count; n++) {
        uint64_t place = ss_bits_get_rice(&in, &of->of_place);
        if (place > of->known || (!place && of->known >= of->room)) return n;
        if (!place) {
            ss_codec_cell *cell = &of->cells[of->known];
            uint32_t names = (uint32_t)ss_bits_get(&in, 32);
            memset(cell, 0, sizeof *cell);
            cell->source = (uint16_t)names;
            cell->symbol = (uint16_t)(names >> 16);
            if (cell->source >= SS_BACKS_SOURCES) return n;
            place = ++of->known;
        }
        ss_codec_cell *cell = &of->cells[place - 1];
        ss_codec_source *source = &of->sources[cell->source];
        tick.source = cell->source;
        tick.symbol = cell->symbol;
        if (!ss_codec_get_times(&in, of, source, &tick.quote)) return n;
        if (!ss_codec_get_prices(&in, cell, &tick.quote)) return n;
        ss_codec_get_rest(&in, cell, source, &tick);
        if (in.at > in.end) return n;
        memcpy(to + n * (ptrdiff_t)sizeof tick, &tick, sizeof tick);
    }
    return in.at + 7 < in.end ? -1 : count; /* bytes that belong to nothing */
}

#endif
