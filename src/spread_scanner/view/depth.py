"""What the order books of pairs carry: the largest size that pays, and the net at some sizes.

Reads the books, and what a board (view/spreads.py) says of the pairs' costs. A pair of which a book
is missing, or cannot be stood behind (schema/freshness.py), has no depth: what is known of its size
is the tops alone.
"""

from collections.abc import Sequence

import numpy as np

from spread_scanner import clock
from spread_scanner.books._ladder import ladders
from spread_scanner.config import Settings
from spread_scanner.schema import freshness
from spread_scanner.schema.costs import leg_suffices, size_quote
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.schema.freshness import FreshnessLimits
from spread_scanner.schema.ladder import RUNG_DTYPE, TERMS_DTYPE
from spread_scanner.shm import PriceStore
from spread_scanner.shm.books import BookStore
from spread_scanner.view.attached import Attached
from spread_scanner.view.reading import Reading, known

TOP_QUOTE = 1e-6  # a size of next to nothing is the top: no order, and asked for no least


class SizeNet(Reading, frozen=True):
    """One size of the ladder. Null: the books do not carry it, it could not be left again, or it is
    less than a listing's least. `too_thin`: nobody can do it, as a side holds less and is known to
    its end; else a null of a large size means that not so many levels are known."""

    size_quote: float
    buy_px: float | None  # the average that buying the spot would pay
    sell_px: float | None  # and that selling the perpetual would get
    net_bps: float | None
    too_thin: bool


class Depth(Reading, frozen=True):
    """By both order books, what leaving moves included."""

    # The largest with net at or over the threshold, in whole lots; 0: less than a listing's least;
    # null: net is not known, as a quote has a side without a price.
    size_base: float | None
    size_quote: float | None
    # The levels that are known ended before the spread did, and beyond them there may be more.
    bounded: bool
    sizes: list[SizeNet]


def depth_dtype(sizes: int) -> np.dtype:
    """What a DepthReader finds of a pair; NaN where there are no two books to stand behind."""
    fields = [("size_base", "<f8"), ("size_quote", "<f8"), ("bounded", "?"), ("both", "?")]
    return np.dtype([*fields, ("rungs", RUNG_DTYPE, (sizes,))])


def feed_beats(store: PriceStore, source_id: int, limits: FreshnessLimits) -> bool:
    """Whether the feed of a source lives, for who reads what it writes."""
    beat_ns = store.heartbeat_mono_ns(source_id)
    return freshness.beats(beat_ns, clock.mono_ns(), 0, limits.heartbeat_ns_max)


class DepthReader:
    """Attaches when there are books to attach to; `close` lets go."""

    def __init__(
        self, settings: Settings, store: PriceStore, sizes_quote: Sequence[float] | None = None
    ) -> None:
        """`sizes_quote`: those of the settings, if none are given."""
        self.sizes_quote = np.array(sizes_quote or settings.config.books.sizes_quote, np.float64)
        namespace = settings.config.system.namespace
        self._limits = FreshnessLimits.of(settings)
        self._store = store
        self._books = Attached(lambda: BookStore.attach(namespace, timeout_s=0))

    def look(self, rows: np.ndarray) -> np.ndarray:
        """(n,) depth_dtype of (n,) rows of a board."""
        found = np.zeros(len(rows), depth_dtype(len(self.sizes_quote)))
        for name in ("size_base", "size_quote"):
            found[name] = np.nan
        found["rungs"] = np.nan
        books = self._books.look()
        if books is not None:
            for direction_id in np.unique(rows["direction_id"]):
                at = np.flatnonzero(rows["direction_id"] == direction_id)
                self._look_at(books, int(direction_id), rows, at, found)
        return found

    def depth_of(self, row: np.void) -> Depth | None:
        """A row that `look` found by names; None: the tops are all that is known."""
        if not row["both"]:
            return None
        sizes = [
            SizeNet(float(size), known(buy_px), known(sell_px), known(net_bps), thin == 1.0)
            for size, (buy_px, sell_px, net_bps, thin) in zip(
                self.sizes_quote, row["rungs"].tolist(), strict=True
            )
        ]
        return Depth(
            known(float(row["size_base"])),
            known(float(row["size_quote"])),
            bool(row["bounded"]),
            sizes,
        )

    def _look_at(
        self,
        books: BookStore,
        direction_id: int,
        rows: np.ndarray,
        at: np.ndarray,
        found: np.ndarray,
    ) -> None:
        """Of the rows of one direction."""
        direction, ids = DIRECTIONS[direction_id], rows["symbol_id"][at]
        spot, spot_good = self._usable(books, direction.spot.source_id, ids)
        fut, fut_good = self._usable(books, direction.futures.source_id, ids)
        both = spot_good & fut_good
        if not both.any():
            return
        spot, fut, at = spot[both], fut[both], at[both]
        terms = np.zeros(len(at), TERMS_DTYPE)
        for name in TERMS_DTYPE.names or ():
            terms[name] = rows[name][at]
        rungs, carried, bounded = ladders(spot, fut, terms, self.sizes_quote)
        found["bounded"][at], found["both"][at] = bounded, True
        least = _suffices(carried[:, None], spot, fut, rows[at])[:, 0]
        carried = np.where(least | np.isnan(carried), carried, 0.0)
        sizes = self.sizes_quote / spot["asks"][:, :1, 0]
        orders = (self.sizes_quote <= TOP_QUOTE) | _suffices(sizes, spot, fut, rows[at])
        rungs[~orders] = np.nan
        found["rungs"][at] = rungs
        found["size_base"][at] = carried
        found["size_quote"][at] = size_quote(carried, spot["asks"][:, 0, 0])

    def _usable(
        self, books: BookStore, source_id: int, ids: np.ndarray
    ) -> tuple[np.ndarray, freshness.Mask]:
        records, has = books.records(source_id, ids)
        beats = feed_beats(self._store, source_id, self._limits)
        now_ns = self._store.clock.now_ns()
        return records, has & freshness.book_usable(
            records, beats, now_ns, self._limits.stale_ns_max
        )

    def close(self) -> None:
        """Let go of the segment."""
        self._books.close()


def _suffices(
    sizes: np.ndarray, spot: np.ndarray, fut: np.ndarray, rows: np.ndarray
) -> freshness.Mask:
    """(n, k) whether base units (n, k) are as much as both listings ask of an order."""
    enough = np.ones(sizes.shape, bool)
    for books, leg in ((spot, "spot"), (fut, "fut")):
        bid_px, ask_px = books["bids"][:, :1, 0], books["asks"][:, :1, 0]
        least = (rows[f"{leg}_{name}_min"][:, None] for name in ("qty", "notional"))
        enough &= leg_suffices(sizes, bid_px, ask_px, *least)
    return enough
