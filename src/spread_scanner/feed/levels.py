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
from spread_scanner.schema.enums import Source
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm._store import Quote
from spread_scanner.symbology.tables import InstrumentRow, Tables

# What was stored longer ago says nothing of lag: an exchange that was away may have set its clock.
RECENT_NS = 60 * NS_PER_S
LAGS_MIN = 3  # of so many one that is dated wrongly is not the middle
LAGS_OF_BEST = 15  # of so many the eighth least is the best: native/best_lag.h
ILL_DATED = FLAGS["LAGGING"] | FLAGS["SILENT"] | FLAGS["NO_TS_EVENT"]
WIDE_RATIO = 3.0  # as the listener's: of a book as wide as this nobody knows the level
UNKNOWN = math.inf  # no price is of this level: all are JUMPED until somebody has judged them


def recall(board: Board, loaded: Tables, source: Source, known: int) -> None:
    """What stood in the cells is the level that new quotes are compared with, unless somebody has
    judged the prices since. Of one that had jumped the old level is not known any more.

    `known` is the set that the life before had in force. That or a newer one has judged all that
    was stored before its run asked, but for what it took from the run before it; a newer one also
    what had jumped by then, of which each quote since is as recent.
    """
    if not 0 < known <= loaded.generation:
        return
    unjudged, asked_ns = loaded.judgement <= known, _asked_ns(board, loaded.asked_by_wall_ns)
    for row in loaded.of_source(source.source_id):
        quote = board.writer.own(row.symbol_id)
        if quote is None:
            continue
        recent = quote.ts_recv >= asked_ns
        if row.last_known or (recent and (unjudged or _has_level(quote))):
            board.mid[row.symbol_id] = _level(quote)


def judged(board: Board, rows: Iterable[InstrumentRow], asked_wall_ns: int) -> None:
    """A run that began to ask at that time has judged these prices, but for what it took from the
    run before: they count from where they are now. What has been heard at its level since then is
    there, and has to stay.
    """
    asked_ns, ids = _asked_ns(board, asked_wall_ns), []
    for row in rows:
        quote = board.writer.own(row.symbol_id)
        stays = quote is not None and quote.ts_recv >= asked_ns and _has_level(quote)
        if not (row.last_known or stays):
            ids.append(row.symbol_id)
    board.judged(ids)


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


def _asked_ns(board: Board, asked_wall_ns: int) -> int:
    """When a run began to ask, by the clock of quotes' ts_recv."""
    return clock.mono_ns() + board.anchor_ns - (clock.wall_ns() - asked_wall_ns)


def _has_level(quote: Quote) -> bool:
    return 0.0 < _level(quote) < UNKNOWN


def _level(quote: Quote) -> float:
    """0 where the quote says nothing of a level."""
    if quote.flags & FLAGS["JUMPED"]:
        return UNKNOWN
    unlike = FLAGS["BID_EMPTY"] | FLAGS["ASK_EMPTY"] | FLAGS["CROSSED"]
    if quote.flags & unlike or quote.ask_px >= WIDE_RATIO * quote.bid_px:
        return 0.0
    return (quote.bid_px + quote.ask_px) / 2
