"""What an exchange says of one order book: a day's truth of depth.

A book follows its row (market.py): its top is the quote that was said last. Behind it stand levels
on the row's own grid, whose sizes follow from their prices until one of them is changed. How a
message is spelled the simulator knows (sim/depth.py); what it has to lead to is read from its own
text.
"""

from collections import deque
from dataclasses import dataclass, field
from random import Random

import numpy as np
from market import Row

from spread_scanner.schema.books import BookLevels
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.schema.enums import Exchange as Name
from spread_scanner.sim.answers import behind_lots
from spread_scanner.sim.depth import DepthChannel, SideText, SpokenBook

SAID_KEPT = 400
LEVELS = (130, 40, 130, 14, 40, 130)  # a side: more than are kept, more than are shown, fewer
SIZES_MAX = 2_000
CHANGED_MAX = 4  # levels behind the top in a message


@dataclass
class SaidBook:
    """One state of a book, as a message told it. `sent`: to how many sessions; to none: it is in no
    message, and the next one does not follow on what was said before."""

    update_id: int  # as whoever follows has to show it
    said_ns: int
    book: SpokenBook
    crossed: bool = False  # its best bid stands on its best ask
    sent: int = 0
    _levels: tuple[BookLevels, BookLevels] | None = None

    def levels(self, row: Row) -> tuple[BookLevels, BookLevels]:
        """Both sides in base units, the best level first."""
        if self._levels is None:
            self._levels = _scaled(self.book.bids, row), _scaled(self.book.asks, row)
        return self._levels


def _scaled(side: SideText, row: Row) -> BookLevels:
    made = np.array([(float(px), float(sz)) for px, sz in side.items()], np.float64).reshape(-1, 2)
    made[:, 0] /= row.listing.px_mul
    made[:, 1] *= row.listing.sz_mul
    return made


@dataclass
class DepthRow:
    """One listing's channel. `due` are faults of its next messages, by kind."""

    row: Row
    channel: DepthChannel
    count: int
    random: Random
    said: deque[SaidBook] = field(default_factory=lambda: deque(maxlen=SAID_KEPT))
    due: dict[str, int] = field(default_factory=dict)
    summed: bool = False  # its messages bear checksums
    mute: bool = False
    crossed: bool = False  # what it said last is
    faulted_ns: int = 0  # until then it need not be well
    wanted_ns: int = 0  # when somebody wanted it last
    asked_until_ns: int = 0  # by a program or a person
    told: int = -1  # the number of the quote that was its top when it was told last

    def __post_init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._texts: dict[int, str] = {}

    @property
    def id_now(self) -> int:
        """What whoever follows this channel shows as the update id."""
        bybit = SOURCE_BY_LABEL[self.row.listing.label].exchange is Name.BYBIT
        return self.channel.number if bybit else self.channel.last_id

    def struck(self, kind: str) -> bool:
        """Whether the next message is hit by that."""
        left = self.due.get(kind, 0)
        if left:
            self.due[kind] = left - 1
        return left > 0

    def begin_anew(self) -> None:
        """The next ids are lower than all before."""
        self.channel.number = 0
        self.channel.last_id = 1 + self.random.randrange(900)

    def go_on(self) -> None:
        """The next ids."""
        self.channel.number += 1
        self.channel.last_id += 1 + self.random.randrange(8)

    def note(self, now_ns: int) -> SaidBook:
        """What the channel says now, as a state of the book."""
        made = SaidBook(self.id_now, now_ns, self.channel.said, self.crossed)
        self.said.append(made)
        return made

    def shown(self, update_id: int) -> int:
        """The place of the newest state of that id; -1: there is none, or no more."""
        for place in range(len(self.said) - 1, -1, -1):
            if self.said[place].update_id == update_id:
                return place
        return -1

    @property
    def has_news(self) -> bool:
        """Its top has been quoted since it was told last."""
        return self.row.last is not None and self.row.last.number != self.told

    def now(self) -> SpokenBook:
        """The whole book, or as much of it as the channel shows."""
        tick, listing = self.row.last, self.row.listing
        assert tick is not None
        self.told = tick.number
        bid = round(float(tick.tick.bid_px) * listing.px_pow)
        ask = round(float(tick.tick.ask_px) * listing.px_pow)
        count, step = min(self.count, self.channel.window), self.row.step
        if len(self._sizes) > SIZES_MAX:
            self._sizes.clear()
        self.crossed = self.struck("crossed")
        bids = {tick.tick.ask_px: tick.tick.ask_sz} if self.crossed else {}
        bids[tick.tick.bid_px] = tick.tick.bid_sz
        asks = {tick.tick.ask_px: tick.tick.ask_sz}
        beyond = (ask - bid) // step + 1
        bids.update(self._level(bid - n * step) for n in range(1, count + 1 - len(bids)))
        asks.update(self._level(bid + (beyond + n) * step) for n in range(count - 1))
        return SpokenBook(bids, asks)

    @property
    def unknown_px(self) -> str:
        """A price at which nobody has ever stood."""
        return self._level(max(1, self._bid // 2))[0]

    @property
    def _bid(self) -> int:
        tick = self.row.last
        assert tick is not None
        bid: int = round(float(tick.tick.bid_px) * self.row.listing.px_pow)
        return bid

    def disturb(self) -> None:
        """Some sizes behind the top change."""
        bid = self._bid
        lots = max(2, 3 * round(self.row.listing.lots_typical))
        for _ in range(self.random.randrange(CHANGED_MAX)):
            away = self.random.randrange(1, self.count) * self.random.choice((-1, 1))
            self._sizes[bid + away * self.row.step] = 1 + self.random.randrange(lots)

    def _level(self, ticks: int) -> tuple[str, str]:
        listing, texts = self.row.listing, self._texts
        px = texts.get(ticks)
        if px is None:
            px = texts[ticks] = f"{ticks / listing.px_pow:.{listing.px_decimals}f}"
        lots = self._sizes.get(ticks) or behind_lots(listing, ticks)
        return px, f"{lots / listing.sz_pow:.{listing.sz_decimals}f}"
