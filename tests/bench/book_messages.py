"""From a frame to the book that others see, of each exchange: what a feed does with one message.

books.message.<exchange>   an update of ten levels, both sides together, into a book of a hundred a
                           side, and into its slot
books.message.<exchange>.first   a snapshot of twenty levels a side, where the channel sends no
                           updates

The floor is ten levels read, put and shown, in C (floor_books.c). Peers, in the same run: the typed
tier of ours ("typed"), and as much as a Python handler needs (the frame by orjson, its levels as
floats, a dict that stays sorted: "sortedcontainers"; or cryptofeed's order book in C).
"""

import importlib
import importlib.util
import operator
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import orjson
from measure import Figure, figure

from spread_scanner.config import SourceSettings
from spread_scanner.exchanges.adapter import BookChange
from spread_scanner.exchanges.depth import DepthAdapter, depth_decoder_of
from spread_scanner.exchanges.registry import depth_adapter_of
from spread_scanner.feed._books import BookBoard
from spread_scanner.feed.followed import BookOutcome, SourceBook
from spread_scanner.schema.counters import FEED_COUNTERS, FEED_HISTOGRAMS
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.shm._memory import Memory
from spread_scanner.shm._rows import SIZES, Row
from spread_scanner.shm.books import BookStore, BooksWriter
from spread_scanner.sim.wire import length_delimited, varint
from spread_scanner.symbology.tables import InstrumentRow

NUMBER, SYMBOL_ID = 1, 7
MESSAGE_NS_MAX = 2_000.0  # demanded of ten levels
MS = 1_790_000_000_000
Levels = list[tuple[str, str]]
Sides = tuple[Levels, Levels]


class Speech(NamedTuple):
    """How an exchange says one message: its number, counted from 1, and both sides."""

    label: str
    channel: str
    symbol: str
    frame: Callable[[int, Sides], bytes]
    sides_of: Callable[[Any], tuple[Any, Any]]  # of the decoded JSON


def _json(value: object) -> bytes:
    return orjson.dumps(value)


def _binance(number: int, sides: Sides) -> bytes:
    return _json({"stream": "btcusdt@depth@100ms", "data": {
        "e": "depthUpdate", "E": MS, "s": "BTCUSDT", "U": number, "u": number,
        "b": sides[0], "a": sides[1]}})  # fmt: skip


def _binance_first(number: int, sides: Sides) -> bytes:
    return _json({"stream": "btcusdt@depth20@100ms", "data": {
        "lastUpdateId": number, "bids": sides[0], "asks": sides[1]}})  # fmt: skip


def _bybit(number: int, sides: Sides) -> bytes:
    data = {"s": "BTCUSDT", "b": sides[0], "a": sides[1], "u": number, "seq": number}
    return _json({"topic": "orderbook.50.BTCUSDT", "type": "delta", "ts": MS, "data": data,
                  "cts": MS})  # fmt: skip


def _okx(number: int, sides: Sides) -> bytes:
    bids, asks = ([(px, sz, "0", "1") for px, sz in side] for side in sides)
    book = {"asks": asks, "bids": bids, "ts": str(MS), "checksum": 0, "seqId": number,
            "prevSeqId": number - 1}  # fmt: skip
    arg = {"channel": "books", "instId": "BTC-USDT"}
    return _json({"arg": arg, "action": "update", "data": [book]})


def _mexc_futures(number: int, sides: Sides) -> bytes:
    bids, asks = ([(float(px), float(sz), 1) for px, sz in side] for side in sides)
    data = {"cts": MS, "asks": asks, "bids": bids, "end": number, "begin": number,
            "version": number}  # fmt: skip
    return _json({"symbol": "BTC_USDT", "data": data, "channel": "push.depth", "ts": MS})


def _mexc_first(number: int, sides: Sides) -> bytes:
    body = b""
    for field, side in ((1, sides[1]), (2, sides[0])):
        for px, sz in side:
            level = length_delimited(1, px.encode()) + length_delimited(2, sz.encode())
            body += length_delimited(field, level)
    body += length_delimited(4, str(number).encode())
    topic = b"spot@public.limit.depth.v3.api.pb@BTCUSDT@20"
    head = length_delimited(1, topic) + length_delimited(3, b"BTCUSDT") + b"\x30" + varint(MS)
    return head + length_delimited(303, body)


def data_sides(one: Any) -> tuple[Any, Any]:
    return one["data"]["b"], one["data"]["a"]


SPEECHES = {
    "binance": Speech("binance-spot", "depth@100ms", "BTCUSDT", _binance, data_sides),
    "binance.first": Speech(
        "binance-spot", "depth20@100ms", "BTCUSDT", _binance_first,
        lambda one: (one["data"]["bids"], one["data"]["asks"]),
    ),
    "bybit": Speech("bybit-spot", "", "BTCUSDT", _bybit, data_sides),
    "okx": Speech(
        "okx-spot", "", "BTC-USDT", _okx,
        lambda one: (one["data"][0]["bids"], one["data"][0]["asks"]),
    ),
    "mexc_futures": Speech(
        "mexc-futures", "depth", "BTC_USDT", _mexc_futures,
        lambda one: (one["data"]["bids"], one["data"]["asks"]),
    ),
    "mexc_spot.first": Speech("mexc-spot", "limit.depth@20", "BTCUSDT", _mexc_first, data_sides),
}  # fmt: skip


class Board:
    """One book on a board of its own, as a feed has it."""

    def __init__(self, writer: BooksWriter, adapter: DepthAdapter, symbol: str) -> None:
        counters, buckets = len(FEED_COUNTERS), len(FEED_HISTOGRAMS) * SIZES["histogram_buckets"]
        memory = Memory(bytearray(8 * (counters + buckets)), writable=True)
        row = Row(memory, 0, counters, 8 * counters, len(FEED_HISTOGRAMS))
        self.native = BookBoard(
            writer.table, writer.tape, row, source_id=0, epoch=1, symbols=16, odd=lambda *_: None
        )
        listing = InstrumentRow(0, SYMBOL_ID, symbol, 1.0, 1.0,
                                None, None, None, None, False, False)  # fmt: skip
        self._adapter, self.book = adapter, SourceBook(listing, adapter)
        self.native.use(depth_decoder_of(adapter, {symbol: (SYMBOL_ID, 1.0, 1.0)}))
        self.native.keep(SYMBOL_ID, self.book, writer.first + writer.take(SYMBOL_ID))

    def begin(self, bids: Any, asks: Any) -> None:
        self.book.stands = False
        name = self.book.row.exchange_symbol
        if self.book.take(BookChange(name, True, bids, asks, 0, 1, 0), NUMBER, 0) is not (
            BookOutcome.TAKEN
        ):
            raise RuntimeError("no beginning")

    def natively(self, frame: bytes) -> bool:
        return self.native.message(frame, NUMBER, 1)

    def typed(self, frame: bytes) -> bool:
        (said,) = self._adapter.parse(frame)
        taken = isinstance(said, BookChange) and self.book.take(said, NUMBER, 1)
        self.native.publish(SYMBOL_ID, 1)
        return taken is BookOutcome.TAKEN


def figures(store: BookStore, market: Any, floor: float, rounds: int) -> Iterator[Figure]:
    with store.writer(0) as writer:
        for name, speech in SPEECHES.items():
            adapter = depth_adapter_of(
                SOURCE_BY_LABEL[speech.label],
                SourceSettings(rest_url="http://a", ws_url="ws://a", depth_channel=speech.channel),
            )
            board = Board(writer, adapter, speech.symbol)
            frames = _frames(speech, market, whole=adapter.snapshots_only)
            yield _figure(name, speech, board, market, frames, floor, rounds)


def _frames(speech: Speech, market: Any, *, whole: bool) -> list[bytes]:
    """Its deltas; or after each of them what a side shows of the book."""
    frames = []
    for number, delta in enumerate(market.deltas, 2):
        said = [side[:20] for side in market.snapshot] if whole else delta
        bids, asks = ([(f"{px:.2f}", f"{sz:.3f}") for px, sz in side.tolist()] for side in said)
        frames.append(speech.frame(number, (bids, asks)))
    return frames


def _figure(
    name: str,
    speech: Speech,
    board: Board,
    market: Any,
    frames: list[bytes],
    floor: float,
    rounds: int,
) -> Figure:
    ours, typed = [], []
    for _ in range(rounds):
        ours.append(_round_ns(board, market, board.natively, frames))
        known = board.book.book.bids, board.book.book.asks
        typed.append(_round_ns(board, market, board.typed, frames))
        for side, other in zip(known, (board.book.book.bids, board.book.book.asks), strict=True):
            np.testing.assert_array_equal(side, other)
    peers = {"typed": min(typed)}
    if speech.label != "mexc-spot":
        peers |= {peer: min(_handler_ns(speech, make, frames, rounds)) for peer, make in handlers()}
    updates = not name.endswith(".first")
    return figure(
        f"books.message.{name}", "ns", ours, floor=floor if updates else None, peers=peers,
        least=round(min(ours), 1), bytes=round(sum(map(len, frames)) / len(frames)),
        **({"demanded_max": MESSAGE_NS_MAX} if updates else {}),
    )  # fmt: skip


def _round_ns(
    board: Board, market: Any, take: Callable[[bytes], bool], frames: list[bytes]
) -> float:
    """CPU time a message."""
    board.begin(*market.snapshot)
    start, taken = time.thread_time_ns(), 0
    for frame in frames:
        taken += take(frame)
    spent = time.thread_time_ns() - start
    if taken != len(frames):
        raise RuntimeError(f"{taken} of {len(frames)} messages were taken")
    return spent / len(frames)


def handlers() -> Iterator[tuple[str, Callable[[], tuple[Any, Any]]]]:
    if importlib.util.find_spec("sortedcontainers") is not None:
        made = importlib.import_module("sortedcontainers").SortedDict
        yield "sortedcontainers", lambda: (made(operator.neg), made())
    if importlib.util.find_spec("order_book") is not None:
        book = importlib.import_module("order_book").OrderBook

        def cryptofeed() -> tuple[Any, Any]:
            one = book()
            return one.bids, one.asks

        yield "cryptofeed", cryptofeed


def _handler_ns(
    speech: Speech, make: Callable[[], tuple[Any, Any]], frames: list[bytes], rounds: int
) -> list[float]:
    found, whole = [], speech.channel.startswith("depth20")
    for _ in range(rounds):
        sides = make()
        start = time.thread_time_ns()
        for frame in frames:
            for side, levels in zip(sides, speech.sides_of(orjson.loads(frame)), strict=True):
                if whole:
                    for px in list(side.keys()):
                        del side[px]
                for level in levels:
                    px, sz = float(level[0]), float(level[1])
                    if sz:
                        side[px] = sz
                    elif px in side:
                        del side[px]
        found.append((time.thread_time_ns() - start) / len(frames))
    return found
