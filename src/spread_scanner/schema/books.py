"""Order books as they cross process borders: the record of one book, and what its flags mean.

Prices per base unit, sizes in base units, the best level first; what is not there is NaN. The C
twin is native/book.h; test_order_book holds the two together.
"""

from enum import IntFlag

import numpy as np
import numpy.typing as npt

BookLevels = npt.NDArray[np.float64]  # (levels, 2): price and size, the best first

LEVELS_SHOWN = 20  # a side, at most; ten where an exchange gives no more for nothing
LEVELS_KEPT = 100  # a side, by the feed that follows the book
LEVELS_LEAST = 10  # known levels of a side under which what lies beyond has to be asked for

# One book: 704 bytes, eleven cache lines; a slot of the books' segment holds it in a latch.
BOOK_DTYPE = np.dtype(
    [
        ("ts_event", "<i8"),  # TS_ABSENT: the exchange gave none
        ("ts_recv", "<i8"),
        ("update_id", "<u8"),
        ("top_since_ns", "<i8"),  # ts_recv of the message since which the top stands as it does
        ("flags", "<u4"),  # BookFlag
        ("epoch", "<u4"),  # of its source, as quotes have it
        ("symbol_id", "<u4"),  # whose book it is: a slot is handed on
        ("source_id", "u1"),
        ("bid_count", "u1"),  # levels shown
        ("ask_count", "u1"),
        ("spare", "u1"),
        ("bid_kept", "<u2"),  # levels that the feed knows
        ("ask_kept", "<u2"),
        ("reserved", "V12"),
        ("bids", "<f8", (LEVELS_SHOWN, 2)),  # (px, sz)
        ("asks", "<f8", (LEVELS_SHOWN, 2)),
    ]
)


class BookFlag(IntFlag):
    """Why a book cannot be stood behind, or what is unusual about it."""

    NONE = 0
    # Its connection is down, was replaced or is silent, what it brings is late as quotes are called
    # LAGGING, or nothing came yet; set by the feed.
    STALE = 1
    RESYNCING = 2  # a message is missing: it stands as before that; set by the feed
    CROSSED = 4  # best bid at or over the best ask: kept as it came, used by nobody
    DEPLETED = 8  # too few levels are left of a side of which more exist
    TOP_DISAGREES = 16  # for longer than a moment its top is not the quotes'; set by the feed
    BID_EMPTY = 32  # no bid on the book
    ASK_EMPTY = 64  # no ask on the book
    PARTIAL = 128  # beyond its last known level there may be more
    NO_TS_EVENT = 256  # the exchange gave no time: ts_event is TS_ABSENT
    BIDS_WHOLE = 512  # all bids are shown: no level lies beyond the last one
    ASKS_WHOLE = 1024  # the same of asks


BOOK_UNUSABLE = (
    BookFlag.STALE
    | BookFlag.RESYNCING
    | BookFlag.CROSSED
    | BookFlag.DEPLETED
    | BookFlag.BID_EMPTY
    | BookFlag.ASK_EMPTY
)
