"""What a feed says of a book by what it knows besides: its quotes of the same symbol."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from feed_bed import Ground

from spread_scanner.clock import NS_PER_MS, NS_PER_S, VirtualClock
from spread_scanner.config import Feed
from spread_scanner.exchanges.depth import change
from spread_scanner.feed.books import DISAGREES_NS, Shelf, SourceBooks
from spread_scanner.feed.followed import BookOutcome
from spread_scanner.runtime.gate import Gates
from spread_scanner.schema.books import BookFlag
from spread_scanner.schema.enums import QuoteFlag
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.wants import Wants
from spread_scanner.symbology.tables import InstrumentRow

NAME, SYMBOL_ID = "XUSDT", 3
TOP = 100.0, 101.0


class Followed:
    """One source of which the book of one symbol is followed, and its quotes."""

    def __init__(self, bed: Any, moved: VirtualClock, stack: ExitStack) -> None:
        self.clock = moved
        self.ground = Ground(bed.namespace, "bybit-spot")
        stack.callback(self.ground.close)
        row = InstrumentRow(self.ground.source.source_id, SYMBOL_ID, NAME, 1.0, 1.0,
                            None, None, None, None, False, False)  # fmt: skip
        self.store = stack.enter_context(BookStore.create(bed.namespace, max_symbols=64, slots=2))
        wants = stack.enter_context(Wants.create(bed.namespace, max_symbols=64))
        writer = stack.enter_context(self.store.writer(self.ground.source.source_id))
        share = self.ground.share("ws://127.0.0.1:1", Feed(), {NAME: row})
        gates = stack.enter_context(Gates(bed.namespace))
        shelf = Shelf(writer, wants)
        self.books = SourceBooks(share, self.ground.source, shelf, bed.settings, gates)
        self.books.use(bed.settings, {SYMBOL_ID: "X-USDT"})
        adapter = self.books._adapter
        assert adapter is not None
        self.books._placing.bring = lambda *_: None  # type: ignore[method-assign]  # nobody dials
        self.books._follow(adapter, [SYMBOL_ID])
        self.book = self.books._followed[SYMBOL_ID]
        bids, asks = (np.array([[px, 1.0]]) for px in TOP)
        said = change(NAME, bids, asks, (-1, 7), 1, window=50)
        assert self.book.take(said, 1, moved.mono_ns()) is BookOutcome.TAKEN
        self.book.stale = False
        self.books._publish(self.book, self.ground.store.clock.now_ns())

    def quote(self, bid_px: float, ask_px: float, flags: int = 0) -> None:
        now_ns = self.ground.store.clock.now_ns()
        self.ground.writer.write(SYMBOL_ID, bid_px, 1.0, ask_px, 1.0, now_ns, now_ns, 1, flags)

    def compared(self, after_ns: int = 0) -> BookFlag:
        """What is shown once time has passed and the feed has looked."""
        self.clock.advance_ns(after_ns)
        self.books._compare(self.book, self.clock.mono_ns())
        found = self.store.read(self.ground.source.source_id, SYMBOL_ID)
        assert found is not None
        return BookFlag(int(found.record["flags"]))

    @property
    def counted(self) -> int:
        return self.ground.counters["book_top_disagrees"]


@pytest.fixture
def followed(bed: Any, virtual_clock: VirtualClock) -> Iterator[Followed]:
    virtual_clock.advance_ms(1_000)
    with ExitStack() as stack:
        yield Followed(bed, virtual_clock, stack)


def test_a_top_that_is_not_the_quotes_is_said_counted_and_asked_for_anew(
    followed: Followed,
) -> None:
    assert BookFlag.TOP_DISAGREES not in followed.compared(10 * NS_PER_S), "there is no quote"
    followed.quote(*TOP)
    assert BookFlag.TOP_DISAGREES not in followed.compared(10 * NS_PER_S)
    followed.quote(100.5, 101.0)
    assert BookFlag.TOP_DISAGREES not in followed.compared()
    assert BookFlag.TOP_DISAGREES not in followed.compared(DISAGREES_NS - NS_PER_MS), "a race"
    assert followed.counted == 0
    flags = followed.compared(NS_PER_MS)
    assert BookFlag.TOP_DISAGREES | BookFlag.RESYNCING in flags
    assert (followed.counted, followed.book.stands) == (1, False)
    followed.compared(NS_PER_S)
    assert followed.counted == 1, "once"
    followed.quote(*TOP)
    assert BookFlag.TOP_DISAGREES not in followed.compared(NS_PER_S)
    assert followed.counted == 1


def test_two_channels_that_race_disagree_for_moments_and_it_is_nothing(followed: Followed) -> None:
    for _ in range(10):
        followed.quote(100.5, 101.0)
        assert BookFlag.TOP_DISAGREES not in followed.compared()
        followed.quote(*TOP)
        assert BookFlag.TOP_DISAGREES not in followed.compared(DISAGREES_NS - NS_PER_MS)
    assert followed.counted == 0


def test_what_cannot_be_stood_behind_disagrees_with_nobody(followed: Followed) -> None:
    followed.quote(90.0, 91.0, int(QuoteFlag.STALE))
    assert BookFlag.TOP_DISAGREES not in followed.compared()
    assert BookFlag.TOP_DISAGREES not in followed.compared(10 * NS_PER_S)
    followed.quote(90.0, 91.0)
    followed.book.stale = True
    assert BookFlag.TOP_DISAGREES not in followed.compared()
    assert BookFlag.TOP_DISAGREES not in followed.compared(10 * NS_PER_S)
    assert followed.counted == 0
