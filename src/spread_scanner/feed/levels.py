"""The price levels that a feed's new life takes over from the one before it.

Used by the feed at its start, before anything is stored. Reads the source's own cells, writes the
board's levels. A restart judges nothing: without this the first quote of a coin that was renamed
one to a thousand would be its level.
"""

import math
from collections.abc import Iterable

from spread_scanner.feed._board import Board
from spread_scanner.feed._listener import FLAGS
from spread_scanner.shm._store import Quote

WIDE_RATIO = 3.0  # as the listener's: of a book as wide as this nobody knows the level
UNKNOWN = math.inf  # no price is of this level: all are JUMPED until somebody has judged them


def recall(board: Board, symbol_ids: Iterable[int]) -> None:
    """What stood in these cells is the level that new quotes are compared with. Of one that had
    jumped the old level is not known any more. Right only if nobody has judged the prices since.
    """
    for symbol_id in symbol_ids:
        quote = board.writer.own(symbol_id)
        if quote is not None:
            board.mid[symbol_id] = _level(quote)


def _level(quote: Quote) -> float:
    """0 where the quote says nothing of a level."""
    if quote.flags & FLAGS["JUMPED"]:
        return UNKNOWN
    unlike = FLAGS["BID_EMPTY"] | FLAGS["ASK_EMPTY"] | FLAGS["CROSSED"]
    if quote.flags & unlike or quote.ask_px >= WIDE_RATIO * quote.bid_px:
        return 0.0
    return (quote.bid_px + quote.ask_px) / 2
