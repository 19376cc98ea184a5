"""How much of an opportunity could be done: by both order books, once, soon after its signal.

Reads the books; asks the feeds for those of all that is open, where the settings want books of what
stands. A book may come after the signal, as it is wanted since then: what is seen within SEEN_NS
counts, and when it was is kept (depth_ns). Without two books that stand nothing is written: the
tops are all that is known of its size then.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.schema.ladder import LEAST_DTYPE, TERMS_DTYPE
from spread_scanner.shm import PriceStore
from spread_scanner.shm.wants import Wants
from spread_scanner.tracker.opportunity import Followed
from spread_scanner.view.depth import TOP_QUOTE, Depth, DepthReader

SEEN_NS = 10 * NS_PER_S
ASK_EVERY_NS = NS_PER_S
ASK_S = 5.0
_TERMS = [*TERMS_DTYPE.descr, *LEAST_DTYPE.descr]
_ROW_DTYPE = np.dtype([("direction_id", "u1"), ("symbol_id", "<u2"), *_TERMS])


class Depths:
    """Of what the tracker follows; `close` lets go of the segments."""

    def __init__(self, settings: Settings, store: PriceStore) -> None:
        self._settings, self._store = settings, store
        sizes = (TOP_QUOTE, *settings.config.books.sizes_quote)
        self._reader = DepthReader(settings, store, sizes)
        self._wants: Wants | None = None
        self._next_ask_ns = 0

    def take(self, watched: Sequence[Followed], now_ns: int) -> None:
        """Write down the depth of those that have none yet, where both books stand."""
        new = [
            one
            for one in watched
            if one.row.depth_ns is None and now_ns - one.row.opened_ns <= SEEN_NS
        ]
        if not new or not self._settings.config.books.books_max:
            return
        rows = np.array([_terms(one) for one in new], _ROW_DTYPE)
        for one, found in zip(new, self._reader.look(rows), strict=True):
            depth = self._reader.depth_of(found)
            if depth is not None:
                _note(one, depth, now_ns)

    def ask(self, watched: Sequence[Followed], now_ns: int) -> None:
        """Want the books of both legs of all that is open, for some seconds more."""
        if now_ns < self._next_ask_ns or not self._settings.config.books.wants_near:
            return
        self._next_ask_ns = now_ns + ASK_EVERY_NS
        if self._wants is None:
            self._wants = Wants.attach(self._settings.config.system.namespace)
        for one in watched:
            for source_id in (one.pair.spot_source, one.pair.futures_source):
                self._wants.ask(source_id, one.pair.symbol_id, ASK_S)

    def close(self) -> None:
        self._reader.close()
        if self._wants is not None:
            self._wants.close()
            self._wants = None


def _terms(one: Followed) -> tuple[float, ...]:
    """In the order of _ROW_DTYPE: what the signal said that the pair costs and asks."""
    row = one.row
    close_bps = np.nan if row.close_bps is None else row.close_bps
    carry_bps = np.nan if row.carry_bps is None else row.carry_bps
    costs = (close_bps, row.fees_bps, carry_bps, row.enter_bps)
    return (row.direction_id, row.symbol_id, *costs, one.pair.lot, *one.pair.least)


def _note(one: Followed, depth: Depth, now_ns: int) -> None:
    row = one.row
    row.depth_ns = now_ns
    row.depth_size_quote = depth.size_quote
    row.depth_bounded = int(depth.bounded)
    nets = [(size.size_quote, size.net_bps) for size in depth.sizes]
    nets[0] = (0.0, nets[0][1])
    row.depth_nets = msgspec.json.encode(nets).decode()
