"""What the truth keeps: of each listing what subscribers were told, of each pair where it stands.

Written by the truth, read by whoever delivers. A row here is a line of the truth file that waits
for its end.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from spread_scanner.schema.enums import Direction, Market
from spread_scanner.sim.learning import Learned
from spread_scanner.sim.reckoning import Usual, common_lot
from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing
from spread_scanner.sim.wire import Encoder

if TYPE_CHECKING:
    from spread_scanner.sim.server import Connection

NAN = float("nan")
JUMP = 5.0
WIDE = 3.0  # of a book as wide as that nobody knows the level
SHOWN = 8  # states of a book that are remembered: what carries a signal may be older than it
PAST = 64  # quotes of a listing that are remembered: who reads late rests a signal on one of them
PAST_OF_POOLS = 512  # of which one slot may mean several


BookRows = Callable[[], Iterable[dict[str, Any]]]  # of one update id, made when they are written


class Leg:
    """What the subscribers were last told about one listing."""

    __slots__ = (
        "ask",
        "bid",
        "books",
        "buys",
        "count",
        "count_before",
        "forms",
        "heard",
        "high",
        "jumped",
        "level",
        "listing",
        "low",
        "pairs",
        "past",
        "seen",
        "spoke",
        "standing",
        "steady",
        "sure",
        "tick",
        "widths",
    )

    def __init__(self, listing: Listing) -> None:
        self.listing = listing
        self.bid = NAN  # per base unit
        self.ask = NAN
        self.tick: Tick | None = None
        self.heard = False  # whether those who listen now have been told
        self.sure = True  # told since it last died
        self.level = NAN  # the mid that is known to be its coin's; NaN: none yet
        self.jumped = False  # it is of another level, and that one has not come back
        # Bids within which it is surely of one level; NaN: each quote is looked at.
        self.low, self.high = NAN, NAN
        self.buys = listing.source.market == Market.SPOT
        self.count = 0
        # Around a whole second (looks.py): the lowest and highest bid and ask, and whether it was
        # heard all the while.
        self.seen = [NAN, NAN, NAN, NAN]
        self.widths = [NAN, NAN]  # likewise, while somebody learns
        self.steady = False
        self.count_before = 0
        self.spoke = 0  # the second before which it last said something
        self.pairs: list[Pair] = []
        past = PAST_OF_POOLS if listing.source.exchange.by_pools else PAST
        self.past: deque[Tick] = deque(maxlen=past)  # told and not written to the truth file
        self.books: deque[BookRows] = deque(maxlen=SHOWN)  # likewise, rows of its book
        self.standing = 0  # pairs of it that pay now, or nearly
        # Who listens, by form of the channel: the encoder and the connections.
        self.forms: dict[str, tuple[Encoder, list[Connection]]] = {}

    def weigh(self, bid: float, ask: float) -> bool:
        """A quote follows whose level is not known to be the one before: five times as much, or a
        fifth, is another coin's until the old one is back. Returns whether that has changed."""
        mid, before, was = (bid + ask) / 2, (self.bid + self.ask) / 2, self.jumped
        if math.isnan(mid):
            return False
        if not (was or math.isnan(before) or self.ask >= WIDE * self.bid):
            self.level = before
        self.jumped = mid > JUMP * self.level or mid * JUMP < self.level
        if self.jumped:
            self.low = self.high = NAN
        elif ask < WIDE * bid:
            self.level, self.low, self.high = mid, bid / 2, bid * 2
        return self.jumped is not was

    def top(self, *, buys: bool) -> float:
        """The size on the side that a pair takes, base units; 0 where there is none."""
        size = "" if self.tick is None else self.tick.ask_sz if buys else self.tick.bid_sz
        return float(size or 0.0) * self.listing.sz_mul

    def connections(self) -> "list[Connection]":
        """Who carries it, in whatever form."""
        return [one for _, connections in self.forms.values() for one in connections]


class Pair:
    """One direction of one coin; `near` and `row` are the intervals it stands in, if any. After
    `near` it is `leaving` until it has been below the exit threshold for a while, since
    `fell_ns`."""

    __slots__ = (
        "direction",
        "enter",
        "fell_ns",
        "futures",
        "guard",
        "learned",
        "least",
        "leaving",
        "lot",
        "near",
        "row",
        "spot",
        "symbol",
        "threshold",
        "usual",
        "watched",
    )

    def __init__(
        self,
        direction: Direction,
        symbol: str,
        spot: Leg,
        futures: Leg,
        enter: float,
        usual: Usual,
    ) -> None:
        self.direction = direction
        self.symbol = symbol
        self.spot = spot
        self.futures = futures
        self.enter = enter  # of the gross spread and what leaving earns together, bps
        self.usual = usual  # as the history has it
        self.learned: Learned | None = None  # of what is usual in the run; None: the history
        # Of the gross spread alone; by what is learned it lies between these.
        self.threshold = self.least = enter - usual.close_bps
        self.guard = NAN  # what the cheap test compares with
        self.lot = common_lot(spot.listing, futures.listing)
        self.near: dict[str, Any] | None = None  # up to the margin below the threshold
        self.row: dict[str, Any] | None = None  # the margin or more above it
        self.leaving = False
        self.fell_ns: int | None = None  # monotonic
        self.watched = False  # in an interval, or leaving one
