"""How much of an opportunity could be done, by both order books: what the engine tells after its
signal, once they are there, and what they carry at each look. Without it the tops are all that is
known of its size.

Reads records of the ring, and the books; asks the feeds for those of all that is open, where the
settings want books of what stands.
"""

import math
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.schema.costs import carry_at_ask_bps
from spread_scanner.schema.enums import SignalKind
from spread_scanner.schema.ladder import LEAST_DTYPE, TERMS_DTYPE, Terms
from spread_scanner.schema.records import FOLLOW_UP_BOUNDED, FOLLOW_UP_DTYPE, decimal
from spread_scanner.shm import PriceStore
from spread_scanner.shm.wants import Wants
from spread_scanner.tracker.opportunity import Followed, FollowUp, Opportunity, RingRecord, Signal
from spread_scanner.tracker.sampler import Look
from spread_scanner.view.depth import TOP_QUOTE, DepthReader

ASK_EVERY_NS = NS_PER_S
ASK_S = 5.0
SAME_PX = 1e-9  # a price that was multiplied by a size and divided by it again
# What a DepthReader asks of a pair: which it is, what it costs and asks, and of an order.
_ASKED_DTYPE = np.dtype(
    [
        ("direction_id", "u1"),
        ("symbol_id", "<u2"),
        *TERMS_DTYPE.descr,
        *LEAST_DTYPE.descr,
    ]
)


def heard_of(records: np.ndarray) -> list[RingRecord]:
    """Records of the ring in their order, each as what it is."""
    heard: list[RingRecord] = [Signal._make(record) for record in records.tolist()]
    for place in np.flatnonzero(records["kind"] == SignalKind.BOOK).tolist():
        heard[place] = _follow_up(records[place : place + 1].view(FOLLOW_UP_DTYPE)[0])
    return heard


def _follow_up(record: np.void) -> FollowUp:
    rungs = record["rungs"]
    asked = rungs[~np.isnan(rungs["size_quote"])]
    return FollowUp(
        seq=int(record["seq"]),
        ts_engine=int(record["ts_engine"]),
        of_seq=int(record["of_seq"]),
        net_bps=_known(record["net_bps"]),
        size_quote=_known(record["size_quote"]),
        bounded=bool(record["flags"] & FOLLOW_UP_BOUNDED),
        sizes=[(decimal(one["size_quote"]), _known(decimal(one["net_bps"]))) for one in asked],
        symbol_id=int(record["symbol_id"]),
        direction_id=int(record["direction_id"]),
        generation=int(record["generation"]),
    )


def note(row: Opportunity, told: FollowUp) -> bool:
    """Write down what was told first; whether this was that."""
    if row.depth_ns is not None or told.of_seq < row.entry_seq:
        return False
    row.depth_ns = told.ts_engine
    row.depth_size_quote = told.size_quote
    row.depth_bounded = int(told.bounded)
    row.depth_nets = msgspec.json.encode([(0.0, told.net_bps), *told.sizes]).decode()
    return True


class DepthLooks:
    """What the order books of what is open carry at a look; `close` lets go of them."""

    def __init__(self, settings: Settings, store: PriceStore) -> None:
        followed = settings.config.books.books_max > 0
        self._reader = DepthReader(settings, store, (TOP_QUOTE,)) if followed else None

    def seen(self, watched: Sequence[Followed], looks: Sequence[Look]) -> list[Look]:
        """The looks with the largest size whose net is over the threshold, by what the first signal
        counted with; None where a book is missing or has other tops than the look, as quotes come
        first, or a leg cannot be stood behind."""
        if self._reader is None or not watched:
            return list(looks)
        rows = np.array([_asked(one) for one in watched], _ASKED_DTYPE)
        found = self._reader.look(rows)
        tops = np.array([look.px[1:3] for look in looks])  # what entering would take
        of_books = np.column_stack(
            [found["rungs"]["buy_px"][:, 0], found["rungs"]["sell_px"][:, 0]]
        )
        same = np.isclose(of_books, tops, rtol=SAME_PX, atol=0.0).all(axis=1)
        sizes = np.where(same, found["size_quote"], np.nan).tolist()
        return [
            look if look.gross_bps is None else look._replace(depth_size_quote=_known(size))
            for look, size in zip(looks, sizes, strict=True)
        ]

    def close(self) -> None:
        """Let go of the segment."""
        if self._reader is not None:
            self._reader.close()


def _asked(one: Followed) -> tuple[float, ...]:
    row, pair = one.row, one.pair
    entered_at = row.entry_spot_ask_px, row.entry_fut_bid_px
    carried = row.carry_bps or 0.0
    terms = Terms(
        close_bps=row.close_bps or 0.0,
        fees_bps=row.fees_bps,
        carry_bps=carry_at_ask_bps(carried, *entered_at) if carried else 0.0,
        enter_bps=row.enter_bps,
        lot_base=pair.lot,
    )
    return (pair.direction_id, pair.symbol_id, *terms, *pair.least)


class BookWishes:
    """The books of what the tracker follows are wanted; `close` lets go of the segment."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wants: Wants | None = None
        self._next_ask_ns = 0

    def ask(self, watched: Sequence[Followed], now_ns: int) -> None:
        """Want the books of both legs of what is open, for some seconds more: of the newest, so
        that half of each source's room is left to whom people ask for."""
        if now_ns < self._next_ask_ns or not self._settings.config.books.wants_near:
            return
        self._next_ask_ns = now_ns + ASK_EVERY_NS
        if self._wants is None:
            self._wants = Wants.attach(self._settings.config.system.namespace)
        asked, asked_max = Counter[int](), self._settings.config.books.books_max // 2
        for one in reversed(watched):
            legs = (one.pair.spot_source, one.pair.futures_source)
            if all(asked[source_id] < asked_max for source_id in legs):
                asked.update(legs)
                for source_id in legs:
                    self._wants.ask(source_id, one.pair.symbol_id, ASK_S)

    def close(self) -> None:
        if self._wants is not None:
            self._wants.close()
            self._wants = None


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
