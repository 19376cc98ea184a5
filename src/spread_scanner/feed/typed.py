"""The typed tier: quotes and changes that the native one leaves, stored the same way.

Used by Connection, which passes in what its adapter parsed. Writes cells
through the connection's listener, so that the same rules hold for both tiers.
"""

import math
from typing import Protocol

import numpy as np
import numpy.typing as npt

from spread_scanner.errors import BadQuote
from spread_scanner.exchanges.adapter import TS_IMPOSSIBLE, BookChange, Delta, RawQuote
from spread_scanner.feed._listener import FLAGS, Listener
from spread_scanner.feed.counting import Counts
from spread_scanner.feed.share import Share
from spread_scanner.symbology.tables import InstrumentRow


class Tier(Protocol):
    """Where what a connection brings goes, other than what its listener stored."""

    def quote(self, raw: RawQuote) -> None:
        """Raises BadQuote for one that cannot be."""

    def delta(self, delta: Delta) -> None:
        """Raises BadQuote."""

    def book(self, change: BookChange, listener: Listener) -> None:
        """Raises BadQuote."""

    def unread(self, row: InstrumentRow) -> int:
        """A message of a listing could not be read: what is known of it is no more. How many marks
        that took."""

    def path(self, lags: bool, ids: npt.NDArray[np.uint16]) -> None:
        """By pings these came late from now on, or no longer do."""


class TypedTier:
    """One connection's quotes."""

    def __init__(self, share: Share, listener: Listener, counts: Counts) -> None:
        self._share = share
        self._listener = listener
        self._counts = counts

    def quote(self, raw: RawQuote) -> None:
        """Store a quote. Raises BadQuote for one that cannot be."""
        symbol, bid_px, bid_sz, ask_px, ask_sz, ts_event, update_id, ts_engine, ts_sent = raw
        row = self._share.instruments.get(symbol)
        if row is None:
            self._counts.add("skip_unknown_symbol")
            return
        px_div, sz_mul = row.px_div, row.sz_mul
        if ts_event == TS_IMPOSSIBLE or ts_engine == TS_IMPOSSIBLE:
            self._say_bad_time(raw)
        outcome = self._listener.quote(
            row.symbol_id,
            bid_px / px_div,
            bid_sz * sz_mul,
            ask_px / px_div,
            ask_sz * sz_mul,
            ts_event,
            update_id,
            ts_engine,
            ts_sent,
        )
        if outcome == "impossible":
            raise BadQuote("not finite in base units", symbol=symbol)

    def delta(self, delta: Delta) -> None:
        """Store a change of one side: the other one stands as it was. Raises BadQuote."""
        row = self._share.instruments.get(delta.exchange_symbol)
        writer = self._share.board.writer
        own = writer.own(row.symbol_id) if row is not None else None
        if row is None or own is None or own.flags & FLAGS["STALE"] or own.epoch != writer.epoch:
            self._counts.add("skip_unknown_symbol" if row is None else "skip_other")
            return
        bid = _scaled(delta.bid, row) or (own.bid_px, own.bid_sz)
        ask = _scaled(delta.ask, row) or (own.ask_px, own.ask_sz)
        if delta.ts_event == TS_IMPOSSIBLE:
            self._say_bad_time(delta)
        stamp = (delta.ts_event, delta.update_id)
        if self._listener.quote(row.symbol_id, *bid, *ask, *stamp) == "impossible":
            raise BadQuote("not finite in base units", symbol=delta.exchange_symbol)

    def book(self, change: BookChange, listener: Listener) -> None:
        """Nobody asked for it here."""
        self._counts.add("skip_other")

    def unread(self, row: InstrumentRow) -> int:
        return self._share.board.writer.mark_stale(np.array([row.symbol_id], np.uint16))

    def path(self, lags: bool, ids: npt.NDArray[np.uint16]) -> None:
        """What carries no time is marked by it."""
        board = self._share.board
        if lags:
            own = ((one, board.writer.own(int(one))) for one in ids)
            timeless = [one for one, cell in own if cell and cell.flags & FLAGS["NO_TS_EVENT"]]
            board.writer.mark_stale(np.array(timeless, np.uint16), FLAGS["LAGGING"])
        else:
            board.unmark(ids, FLAGS["LAGGING"], FLAGS["NO_TS_EVENT"])

    def _say_bad_time(self, quote: RawQuote | Delta) -> None:
        """The listener counts it, along with what is too far ahead: a quote once."""
        error = BadQuote("an exchange time that cannot be", symbol=quote.exchange_symbol)
        self._share.evidence.take(error, repr(quote).encode())


def _scaled(side: tuple[float, float] | None, row: InstrumentRow) -> tuple[float, float] | None:
    """One side in base units; None stays "as it was"."""
    if side is None:
        return None
    px, sz = side
    if math.isnan(px):
        return (math.nan, math.nan)
    return (px / row.px_div, sz * row.sz_mul)
