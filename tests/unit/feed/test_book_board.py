"""The board of books: the native tier shows what the typed one shows; and what it leaves to it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from spread_scanner.config import SourceSettings
from spread_scanner.exchanges.adapter import BookChange
from spread_scanner.exchanges.depth import DepthAdapter, depth_decoder_of
from spread_scanner.exchanges.registry import depth_adapter_of
from spread_scanner.feed._books import BookBoard
from spread_scanner.feed.followed import BookOutcome, SourceBook
from spread_scanner.schema.books import BookFlag
from spread_scanner.schema.counters import FEED_COUNTERS, FEED_HISTOGRAMS
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.shm import segment
from spread_scanner.shm._memory import Memory
from spread_scanner.shm._rows import SIZES, Row
from spread_scanner.shm.books import BookStore
from spread_scanner.symbology.tables import InstrumentRow

OURS, THEIRS = 1, 2
SYMBOL_ID = 3
PAYLOADS = Path(__file__).parents[2] / "payloads"
BOOK_CHANGES = {one.label: one.counter_id for one in FEED_COUNTERS}["book_changes"]
COUNTERS = len(FEED_COUNTERS)


class Shown:
    """One source's books, with one symbol that is followed."""

    def __init__(self, store: BookStore, adapter: DepthAdapter, name: str) -> None:
        self._store, self._adapter = store, adapter
        self.writer = store.writer(0)
        self.odd: list[int] = []
        buckets = len(FEED_HISTOGRAMS) * SIZES["histogram_buckets"]
        held = bytearray(8 * (COUNTERS + buckets))
        self.counted = np.frombuffer(held, np.uint64, COUNTERS)
        memory = Memory(held, writable=True)
        self.row = Row(memory, 0, COUNTERS, 8 * COUNTERS, len(FEED_HISTOGRAMS))
        self.board = BookBoard(
            self.writer.table, self.writer.tape, self.row, source_id=0, epoch=7, symbols=8,
            odd=lambda _, flags: self.odd.append(flags),
        )  # fmt: skip
        listing = InstrumentRow(0, SYMBOL_ID, name, 3.0, 0.1,
                                None, None, None, None, False, False)  # fmt: skip
        self.book = SourceBook(listing, adapter)
        self.board.use(depth_decoder_of(adapter, {name: (SYMBOL_ID, 3.0, 0.1)}))
        self.board.keep(SYMBOL_ID, self.book, self.writer.first + self.writer.take(SYMBOL_ID))

    def typed(self, frame: bytes, recv_ns: int, number: int = OURS) -> BookOutcome:
        (said,) = self._adapter.parse(frame)
        assert isinstance(said, BookChange)
        outcome = self.book.take(said, number, recv_ns)
        if outcome is BookOutcome.TAKEN:
            self.book.stale = False
        self.board.publish(SYMBOL_ID, recv_ns)
        return outcome

    def begin(self) -> None:
        """Of a channel of updates: what is there before the first of them."""
        empty = BookChange(self.book.row.exchange_symbol, True, *(2 * (np.zeros((0, 2)),)), 0, 1, 0)
        assert self.book.take(empty, OURS, 0) is BookOutcome.TAKEN

    @property
    def record(self) -> bytes:
        found = self._store.read(0, SYMBOL_ID)
        assert found is not None
        return found.record.tobytes()


@pytest.fixture
def shown(namespace: str) -> Iterator[Callable[..., Shown]]:
    with ExitStack() as stack:
        numbers = count()

        def make(label: str, channel: str, name: str) -> Shown:
            part = f"{namespace}-{next(numbers)}"
            stack.callback(segment.remove, segment.segment_name(part, "books"))
            store = stack.enter_context(BookStore.create(part, num_sources=1, slots=2))
            settings = SourceSettings(
                rest_url="http://a.b", ws_url="ws://a.b", depth_channel=channel
            )
            made = Shown(store, depth_adapter_of(SOURCE_BY_LABEL[label], settings), name)
            stack.enter_context(made.writer)
            return made

        yield make


def frame_of(name: str) -> bytes:
    text = (PAYLOADS / name).read_bytes().strip()
    return bytes.fromhex(text.decode()) if name.endswith(".hex") else text


USUAL = [
    ("binance-spot", "depth@100ms", "binance/spot_depth.json", "NKNUSDT"),
    ("binance-futures", "depth@100ms", "binance/futures_depth.json", "SUSHIUSDT"),
    ("binance-spot", "depth20@100ms", "binance/spot_depth20.json", "NKNUSDT"),
    ("binance-futures", "depth20@100ms", "binance/futures_depth20.json", "SUSHIUSDT"),
    ("bybit-futures", "", "bybit/depth_delta.json", "XRPUSDT"),
    ("okx-futures", "", "okx/books_update.json", "UNI-USD-SWAP"),
    ("mexc-futures", "depth", "mexc/depth.json", "SKHYNIXSTOCK_USDT"),
    ("mexc-futures", "", "mexc/depth_full.json", "RIF_USDT"),
    ("mexc-spot", "", "mexc/limit_depth.hex", "BTCUSDT"),
]


@pytest.mark.parametrize(("label", "channel", "payload", "name"), USUAL)
def test_both_tiers_show_the_same_record(
    shown: Callable[..., Shown], label: str, channel: str, payload: str, name: str
) -> None:
    """To the last byte, after two messages: the second says the same again where that is taken."""
    natively, typed = shown(label, channel, name), shown(label, channel, name)
    frame = frame_of(payload)
    (said,) = natively._adapter.parse(frame)
    assert isinstance(said, BookChange)
    for one in (natively, typed):
        one.begin()
        one.book.known_id = max(said.after_id, 0)
    for recv_ns in (1_000, 2_000):
        taken = typed.typed(frame, recv_ns) is BookOutcome.TAKEN
        assert natively.board.message(frame, OURS, recv_ns) == taken
        if taken:
            assert natively.record == typed.record
    assert natively.book.known_id == typed.book.known_id == said.last_id
    np.testing.assert_array_equal(natively.book.top, typed.book.top)
    assert natively.counted[BOOK_CHANGES] == 1 + said.snapshot


def levels(first_id: int, last_id: int, bids: str, asks: str = "") -> bytes:
    return (
        f'{{"stream":"x","data":{{"e":"depthUpdate","E":1633998512068,"s":"BTCUSDT",'
        f'"U":{first_id},"u":{last_id},"b":[{bids}],"a":[{asks}]}}}}'
    ).encode()


def test_what_is_not_usual_is_left_and_changes_nothing(shown: Callable[..., Shown]) -> None:
    one = shown("binance-spot", "depth@100ms", "BTCUSDT")
    usual = levels(2, 3, '["5","1"]', '["6","1"]')
    assert not one.board.message(usual, OURS, 1)  # nothing stands
    one.begin()
    before = one.record
    assert not one.board.message(usual, THEIRS, 1)  # another connection's
    assert not one.board.message(levels(3, 4, '["5","1"]'), OURS, 1)  # a gap
    assert not one.board.message(levels(1, 1, '["5","1"]'), OURS, 1)  # old
    assert not one.board.message(usual.replace(b"BTC", b"ETH"), OURS, 1)
    assert not one.board.message(usual[:-1], OURS, 1)
    one.book.summed = True  # followed by its checksums
    assert not one.board.message(usual, OURS, 1)
    one.book.summed = False
    assert one.record == before
    assert len(one.book.book.bids) == 0
    assert one.board.message(usual, OURS, 1)
    one.board.drop(SYMBOL_ID)
    assert not one.board.message(levels(4, 4, '["5","2"]'), OURS, 1)
    one.board.use(None)
    assert not one.board.message(levels(4, 4, '["5","2"]'), OURS, 1)


def test_who_became_crossed_or_is_depleted_is_told(shown: Callable[..., Shown]) -> None:
    one = shown("binance-spot", "depth@100ms", "BTCUSDT")
    one.begin()
    assert one.board.message(levels(2, 2, '["5","1"]', '["6","1"]'), OURS, 1)
    assert not one.odd
    assert one.board.message(levels(3, 3, '["7","1"]'), OURS, 2)
    assert [BookFlag(flags) & BookFlag.CROSSED for flags in one.odd] == [BookFlag.CROSSED]
    one.book.crossed = True
    assert one.board.message(levels(4, 4, '["8","1"]'), OURS, 3)
    assert len(one.odd) == 1


def test_a_top_stands_since_it_changed(shown: Callable[..., Shown]) -> None:
    one = shown("binance-spot", "depth@100ms", "BTCUSDT")
    one.begin()
    for number, (bids, since_ns) in enumerate(
        [('["5","1"]', 12), ('["4","1"]', 12), ('["5","2"]', 14), ("", 14)], 2
    ):
        assert one.board.message(levels(number, number, bids), OURS, number + 10)
        assert one.book.top_since_ns == since_ns
    assert one.book.recv_ns == 15


def test_what_is_closed_is_not_written(shown: Callable[..., Shown]) -> None:
    one = shown("binance-spot", "depth@100ms", "BTCUSDT")
    one.begin()
    before = one.record
    one.writer.close()
    assert one.board.message(levels(2, 2, '["5","1"]'), OURS, 1)
    assert one.record == before
