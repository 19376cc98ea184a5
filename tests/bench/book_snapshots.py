"""The longest pieces of work on books that a feed does between two quotes: whole books, in the
typed tier, from what arrives to what others see.

books.snapshot.<channel>   CPU of one; okx.summed is what its checksum is made for, besides

The floor is its levels read and put, in C (floor_books.c). Peers are what Python handlers do with
one: the frame by orjson, its levels into a dict that stays sorted, or cryptofeed's order book.
"""

import time
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, NamedTuple

import book_messages
import numpy as np
import orjson
from measure import Figure, figure

from spread_scanner.config import SourceSettings
from spread_scanner.exchanges.adapter import BookChange
from spread_scanner.exchanges.depth import SEED_LEVELS, DepthAdapter
from spread_scanner.exchanges.okx_depth import LEVELS as OKX_LEVELS
from spread_scanner.exchanges.registry import depth_adapter_of
from spread_scanner.feed.followed import BookOutcome
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.shm.books import BookStore

CHECKED_LEVELS = 25  # of a side, as OKX documents it
SLICE_US_MAX = 200.0
TICK = 0.01
Level = tuple[str, str]
Sides = tuple[list[Level], list[Level]]


class Whole(NamedTuple):
    """How a whole book comes: of so many levels, by the channel or by REST."""

    label: str
    channel: str
    symbol: str
    levels: int
    said: Callable[[Sides], Any]  # JSON
    sides_of: Callable[[Any], tuple[Any, Any]]
    by_rest: bool = False


def _bybit(sides: Sides) -> Any:
    data = {"s": "BTCUSDT", "b": sides[0], "a": sides[1], "u": 2, "seq": 2}
    topic = f"orderbook.{len(sides[0])}.BTCUSDT"
    return {"topic": topic, "type": "snapshot", "ts": book_messages.MS, "data": data}


def _okx_book(sides: Sides, checksum: int) -> Any:
    bids, asks = ([(px, sz, "0", "1") for px, sz in side] for side in sides)
    return {"asks": asks, "bids": bids, "ts": str(book_messages.MS), "checksum": checksum,
            "prevSeqId": -1, "seqId": 2}  # fmt: skip


def _okx(sides: Sides, checksum: int = 0) -> Any:
    arg = {"channel": "books", "instId": "BTC-USDT"}
    return {"arg": arg, "action": "snapshot", "data": [_okx_book(sides, checksum)]}


def _okx_summed(sides: Sides) -> Any:
    best = zip(*(side[:CHECKED_LEVELS] for side in sides), strict=True)
    text = ":".join(f"{px}:{sz}" for px, sz in chain.from_iterable(best))
    return _okx(sides, int(np.uint32(zlib.crc32(text.encode())).astype(np.int32)))


def _binance_rest(sides: Sides) -> Any:
    return {"lastUpdateId": 2, "bids": sides[0], "asks": sides[1]}


def _okx_rest(sides: Sides) -> Any:
    return {"code": "0", "msg": "", "data": [_okx_book(sides, 0)]}


def _of_okx(said: Any) -> tuple[Any, Any]:
    return said["data"][0]["bids"], said["data"][0]["asks"]


WHOLE = {
    "bybit": Whole("bybit-spot", "orderbook.50", "BTCUSDT", 50, _bybit, book_messages.data_sides),
    "bybit.200": Whole(
        "bybit-spot", "orderbook.200", "BTCUSDT", 200, _bybit, book_messages.data_sides
    ),
    "okx": Whole("okx-spot", "", "BTC-USDT", OKX_LEVELS, _okx, _of_okx),
    "okx.summed": Whole("okx-spot", "", "BTC-USDT", OKX_LEVELS, _okx_summed, _of_okx),
    "okx.rest": Whole("okx-spot", "", "BTC-USDT", SEED_LEVELS, _okx_rest, _of_okx, True),
    "binance.rest": Whole(
        "binance-spot", "depth@100ms", "BTCUSDT", SEED_LEVELS, _binance_rest,
        lambda said: (said["bids"], said["asks"]), True,
    ),
}  # fmt: skip


def figures(store: BookStore, floor: float, rounds: int) -> Iterator[Figure]:
    """`floor`: microseconds of the 400 levels a side of OKX; of fewer as many less."""
    with store.writer(0) as writer:
        for name, whole in WHOLE.items():
            adapter = depth_adapter_of(
                SOURCE_BY_LABEL[whole.label],
                SourceSettings(rest_url="http://a", ws_url="ws://a", depth_channel=whole.channel),
            )
            board = book_messages.Board(writer, adapter, whole.symbol)
            body = orjson.dumps(whole.said(_sides(whole.levels)))
            ours = [_us(_taken, board, adapter, whole, body) for _ in range(20 * rounds)]
            peers = {
                peer: float(np.median([_us(_handled, make, whole, body) for _ in range(rounds)]))
                for peer, make in book_messages.handlers()
            }
            yield figure(
                f"books.snapshot.{name}", "us", ours,
                floor=floor * whole.levels / OKX_LEVELS, peers=peers, least=round(min(ours), 1),
                levels=whole.levels, bytes=len(body), demanded_max=SLICE_US_MAX,
            )  # fmt: skip


def _us(work: Callable[..., None], *args: Any) -> float:
    start = time.thread_time_ns()
    work(*args)
    return (time.thread_time_ns() - start) / 1e3


def _taken(board: book_messages.Board, adapter: DepthAdapter, whole: Whole, body: bytes) -> None:
    board.book.stands = False
    if whole.by_rest:
        seed = adapter.parse_seed(whole.symbol, body)
        outcome = board.book.seeded(seed, book_messages.NUMBER, 0)
    else:
        (said,) = adapter.parse(body)
        assert isinstance(said, BookChange)
        outcome = board.book.take(said, book_messages.NUMBER, 0)
    board.native.publish(book_messages.SYMBOL_ID, 1)
    if outcome is not BookOutcome.TAKEN:
        raise RuntimeError(f"{whole.label}: {outcome}")


def _handled(make: Callable[[], tuple[Any, Any]], whole: Whole, body: bytes) -> None:
    sides = make()
    for side, levels in zip(sides, whole.sides_of(orjson.loads(body)), strict=True):
        for level in levels:
            side[float(level[0])] = float(level[1])
    if len(sides[0]) != whole.levels:
        raise RuntimeError("a handler has other levels")


def _sides(count: int) -> Sides:
    chance = np.random.default_rng(13)
    sides = []
    for sign in (-1, 1):
        sizes = chance.uniform(0.001, 9.0, count)
        made = zip(range(1, count + 1), sizes, strict=True)
        sides.append([(f"{67_000 + sign * TICK * n:.2f}", f"{sz:.8f}") for n, sz in made])
    return sides[0], sides[1]
