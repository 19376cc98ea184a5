"""The price levels and the best lag that a feed's new life takes over from the one before it.

Used by the feed at its start, before anything is stored. Reads the source's own cells, writes the
board's levels and best lag. A restart judges nothing: without this the first quote of a coin that
was renamed one to a thousand would be its level, and a backlog in which the feed was started again
would be the best that is known.
"""

import math
from collections.abc import Iterable

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.feed._board import Board
from spread_scanner.feed._listener import FLAGS
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm._store import Quote

# What was stored longer ago says nothing of lag: an exchange that was away may have set its clock.
RECENT_NS = 60 * NS_PER_S
LAGS_MIN = 3  # of so many one that is dated wrongly is not the middle
LAGS_OF_BEST = 15  # of so many the eighth least is the best: native/best_lag.h
ILL_DATED = FLAGS["LAGGING"] | FLAGS["SILENT"] | FLAGS["NO_TS_EVENT"]
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


def recall_lag(board: Board, symbol_ids: Iterable[int]) -> None:
    """What these cells were behind when they were stored, a moment ago and in time, is what lag
    counts from. Where nothing is left that was in time, all is learned anew.
    """
    cells = (board.writer.own(symbol_id) for symbol_id in symbol_ids)
    since_ns = clock.mono_ns() + board.anchor_ns - RECENT_NS
    dated = [
        quote
        for quote in cells
        if quote is not None
        and quote.ts_recv >= since_ns
        and quote.ts_event != TS_ABSENT
        and not quote.flags & ILL_DATED
    ]
    if len(dated) >= LAGS_MIN:
        lags = sorted(quote.ts_recv - quote.ts_event for quote in dated)
        best_ns = lags[(min(len(lags), LAGS_OF_BEST) - 1) // 2]
        board.best.recall(best_ns, max(quote.ts_recv for quote in dated) - board.anchor_ns)


def _level(quote: Quote) -> float:
    """0 where the quote says nothing of a level."""
    if quote.flags & FLAGS["JUMPED"]:
        return UNKNOWN
    unlike = FLAGS["BID_EMPTY"] | FLAGS["ASK_EMPTY"] | FLAGS["CROSSED"]
    if quote.flags & unlike or quote.ask_px >= WIDE_RATIO * quote.bid_px:
        return 0.0
    return (quote.bid_px + quote.ask_px) / 2
