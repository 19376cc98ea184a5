"""What a feed says of a book by what it knows besides, its quotes of the same symbol; and how often
it asks for books that break."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from feed_bed import Ground
from msgspec.structs import replace

from spread_scanner.clock import NS_PER_MS, NS_PER_S, VirtualClock
from spread_scanner.config import Feed
from spread_scanner.exchanges.adapter import BookChange
from spread_scanner.exchanges.depth import change
from spread_scanner.feed.books import DISAGREES_NS, Shelf, SourceBooks
from spread_scanner.feed.followed import BookOutcome
from spread_scanner.runtime.gate import Gates
from spread_scanner.schema.books import BookFlag
from spread_scanner.schema.enums import QuoteFlag
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.wants import Wants
from spread_scanner.symbology.tables import InstrumentRow

NAME, SYMBOL_ID = "XUSDT", 3
TOP = 100.0, 101.0
BIDS, ASKS = (np.array([[px, 1.0]]) for px in TOP)


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
        said = change(NAME, BIDS, ASKS, (-1, 7), (1, TS_ABSENT), window=50)
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


def test_settings_say_what_a_silent_book_is_too(followed: Followed, bed: Any) -> None:
    books = followed.books
    books._quotes.settings = replace(books._quotes.settings, silent_ms_min=7_000)
    books.use(bed.settings, {SYMBOL_ID: "X-USDT"})
    assert books._share.board.silence == (7 * NS_PER_S, books._quotes.settings.silent_intervals_max)


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


UPDATE = (
    '{"topic":"orderbook.50.XUSDT","ts":SENT,"type":"delta","data":{"s":"XUSDT",'
    '"b":[["100","2"]],"a":[],"u":ID,"seq":9},"cts":MADE}'
)
# Both times as the message spells them (what is added to now, or the text), and which is shown.
TIMES: list[tuple[int | str, int | str, str, int]] = [
    (-5, 0, "MADE", 0),
    (500, 0, "MADE", 0),
    (501, 0, "SENT", 1),
    (3_600_000, 0, "SENT", 1),
    (0, 3_600_000, "MADE", 1),
    (3_600_000, 3_600_000, "", 1),
    ("1790000000", 0, "SENT", 1),
    ('"soon"', 0, "SENT", 1),
    ('"soon"', 3_600_000, "", 1),
    (0, '"soon"', "MADE", 1),
    ("86400000", "1790000000", "", 1),
    ("0", "null", "", 0),
]


def test_a_books_time_that_cannot_be_is_none_counted_once_and_said(followed: Followed) -> None:
    adapter = followed.books._adapter
    assert adapter is not None
    followed.books.take_tables(followed.books._quotes.instruments)
    for number, (made, sent, shown, counted) in enumerate(TIMES, 8):
        before = followed.ground.counters["book_bad_times"]
        now_ns = followed.ground.store.clock.now_ns()
        now_ms = now_ns // NS_PER_MS
        said = {
            key: str(now_ms + one) if isinstance(one, int) else one
            for key, one in (("MADE", made), ("SENT", sent), ("ID", str(number)))
        }
        text = UPDATE
        for key, one in said.items():
            text = text.replace(key, one)
        if not followed.books._board.message(text.encode(), 1, now_ns):
            (found,) = adapter.parse(text.encode())
            listener = SimpleNamespace(
                heard=lambda _: None, read_ns=now_ns, behind=False, path_lags=False
            )
            followed.books.take(cast(BookChange, found), cast(Any, listener), 1)
        read = followed.store.read(followed.ground.source.source_id, SYMBOL_ID)
        assert read is not None
        time_ns = int(said[shown]) * NS_PER_MS if shown else TS_ABSENT
        assert int(read.record["ts_event"]) == time_ns, text
        assert bool(int(read.record["flags"]) & BookFlag.NO_TS_EVENT) == (not shown)
        assert followed.ground.counters["book_bad_times"] - before == counted, text
    kept = followed.books._share.evidence.kept
    assert any(kind.endswith("a book's time that cannot be") for kind in kept), kept


BREAKS_NS = 11 * NS_PER_S  # each has stood for so long that it is asked for at once
LOOK_NS = 100 * NS_PER_MS


class Breaking:
    """An exchange that breaks every book again and again, and gives a snapshot of each by REST."""

    def __init__(
        self, bed: Any, moved: VirtualClock, stack: ExitStack, label: str, channel: str, n: int
    ) -> None:
        self.clock, ground = moved, Ground(bed.namespace, label)
        stack.callback(ground.close)
        rows = {
            f"C{i}": InstrumentRow(ground.source.source_id, i, f"C{i}", 1.0, 1.0,
                                   None, None, None, None, False, False)
            for i in range(n)
        }  # fmt: skip
        store = stack.enter_context(BookStore.create(bed.namespace, max_symbols=64, slots=n))
        wants = stack.enter_context(Wants.create(bed.namespace, max_symbols=64))
        writer = stack.enter_context(store.writer(ground.source.source_id))
        share = ground.share("ws://127.0.0.1:1", Feed(), rows)
        gates = stack.enter_context(Gates(bed.namespace))
        settings = bed.settings
        of_source = replace(settings.exchanges[label], depth_channel=channel)
        settings = replace(settings, exchanges={**settings.exchanges, label: of_source})
        self.books = SourceBooks(share, ground.source, Shelf(writer, wants), settings, gates)
        self.books.use(settings, {i: f"{name}-USDT" for i, name in enumerate(rows)})
        assert self.books._adapter is not None
        self.adapter = self.books._adapter
        self.books._placing.bring = lambda *_: None  # type: ignore[method-assign]  # nobody dials
        self.books._follow(self.adapter, list(range(n)))
        self.asked: Counter[str] = Counter()
        self.last_id = 7
        self.books._seeds.want = self._seed  # type: ignore[assignment, method-assign]
        self.dial(1)

    def dial(self, number: int) -> None:
        """A connection that carries all of them."""
        self.number, watch = number, SimpleNamespace(given=lambda _: True)
        current = SimpleNamespace(number=number, silent=False, watch=watch)
        names = [one.row.exchange_symbol for one in self.books._followed.values()]
        self.books._lines = cast(Any, [SimpleNamespace(current=current, symbols=names)])

    def _seed(self, _: Any, name: str) -> None:
        self.asked[name] += 1
        book = self.books._followed[self.books._share.instruments[name].symbol_id]
        said = change(name, BIDS, ASKS, (-1, self.last_id), (1, TS_ABSENT), window=100)
        book.seeded(said, self.number, self.clock.mono_ns())

    def live(self, for_s: int) -> Counter[str]:
        """How often each was asked for meanwhile."""
        self.asked.clear()
        for _ in range(for_s * NS_PER_S // LOOK_NS):
            now_ns = self.clock.mono_ns()
            self.last_id += 2
            missed = change("C", BIDS, ASKS, (self.last_id - 1, self.last_id), (1, TS_ABSENT))
            for one in self.books._followed.values():
                if one.stands and now_ns - one._stood_ns >= BREAKS_NS:
                    assert one.take(missed, self.number, now_ns) is BookOutcome.GAP
            self.books._ask_anew(self.adapter, now_ns)
            self.clock.advance_ns(LOOK_NS)
        return self.asked.copy()


@pytest.mark.parametrize(
    ("label", "channel", "per_s"),
    [
        ("okx-spot", "books", 2.0),
        ("binance-futures", "depth@100ms", 1.0),
        ("mexc-spot", "aggre.depth@100ms", 5.0),
    ],
)
def test_an_exchange_that_breaks_every_book_is_asked_for_a_quarter_of_its_pace(
    bed: Any, virtual_clock: VirtualClock, label: str, channel: str, per_s: float
) -> None:
    """All at once when they are new, or a new connection carries them; in their turns after that,
    nobody more often than others. Without a bound it would be each of them each eleven seconds.
    """
    virtual_clock.advance_ms(1_000)
    with ExitStack() as stack:
        there = Breaking(bed, virtual_clock, stack, label, channel, 64)
        assert there.books.asks_by_rest
        assert sum(there.live(5).values()) == 64
        assert not there.books.asks_by_rest
        asked = there.live(120)
        assert 0.9 * 120 * per_s <= sum(asked.values()) <= 120 * per_s + 1
        assert max(asked.values()) - min(asked.values()) <= 1
        for one in there.books._followed.values():
            one.left()
        there.dial(2)
        assert len(there.live(11)) == 64
