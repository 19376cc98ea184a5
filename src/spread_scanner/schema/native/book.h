/* One order book's record and its flags: the C twin of schema/books.py, where the words are said.
 *
 * Everything native that names a flag of a book takes it from here; test_order_book holds the numbers
 * and the offsets to the Python ones.
 */
#ifndef SS_BOOK_H
#define SS_BOOK_H

#include <stdint.h>

#define SS_LEVELS_SHOWN 20
#define SS_LEVELS_KEPT 100
#define SS_LEVELS_LEAST 10

enum ss_book_flag {
    SS_BOOK_STALE = 1,
    SS_BOOK_RESYNCING = 2,
    SS_BOOK_CROSSED = 4,
    SS_BOOK_DEPLETED = 8,
    SS_BOOK_TOP_DISAGREES = 16,
    SS_BOOK_BID_EMPTY = 32,
    SS_BOOK_ASK_EMPTY = 64,
    SS_BOOK_PARTIAL = 128,
    SS_BOOK_NO_TS_EVENT = 256,
    SS_BOOK_BIDS_WHOLE = 512,
    SS_BOOK_ASKS_WHOLE = 1024,
    SS_BOOK_UNUSABLE = SS_BOOK_STALE | SS_BOOK_RESYNCING | SS_BOOK_CROSSED | SS_BOOK_DEPLETED |
        SS_BOOK_BID_EMPTY | SS_BOOK_ASK_EMPTY
};

enum ss_book_side { SS_BIDS = 0, SS_ASKS = 1 };

/* That all of a side is shown. */
static inline uint32_t ss_book_whole(int side) {
    return side == SS_BIDS ? SS_BOOK_BIDS_WHOLE : SS_BOOK_ASKS_WHOLE;
}

typedef struct ss_level {
    double px, sz;
} ss_level;

/* Whether a price stands before another: higher among bids, lower among asks. */
static inline int ss_level_before(int side, double px, double other_px) {
    return side == SS_BIDS ? px > other_px : px < other_px;
}

typedef struct ss_book_record {
    int64_t ts_event, ts_recv;
    uint64_t update_id;
    int64_t top_since_ns;
    uint32_t flags, epoch, symbol_id;
    uint8_t source_id;
    uint8_t count[2]; /* by side */
    uint8_t spare;
    uint16_t kept[2];
    uint32_t reserved[3];
    ss_level level[2][SS_LEVELS_SHOWN];
} ss_book_record;

_Static_assert(sizeof(ss_book_record) == 704, "a book is eleven cache lines");

#define SS_BOOK_WORDS (sizeof(ss_book_record) / sizeof(uint64_t))

#endif
