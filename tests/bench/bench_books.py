"""Group books: a book while it is followed, in shared memory, and what a pair's two books carry.

books.apply    a delta of ten levels into a book of a hundred a side, as Python calls it
books.publish  what is shown of it, twenty levels a side, into its slot: record and latch
books.read     the same read from another place of the process
books.message  from a frame to the published book, by exchange: see book_messages.py
books.snapshot a whole book in the typed tier, the longest piece of work between two quotes: see
               book_snapshots.py
books.ladder   of a pair by its two books, ten levels a side: four sizes and the largest that pays;
               300 pairs a call
books.ladder.whole   the same of all levels that are shown, twenty a side
books.near     what saying how near pairs are costs the engine: see books_near.py
books.beside   whether quotes notice 200 books in their feed's loop: see books_beside.py

All of it but `beside` is CPU time of one thread. Floors are the same in C without symbols, ids and
segments (floor_books.c). Peers have the same deltas and are compared with in the run: a dict that
stays sorted (sortedcontainers), the order book that cryptofeed's handlers keep (order_book, in C),
and of the ladder numpy's cumulated levels.
"""

import contextlib
import importlib
import importlib.util
import operator
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import book_messages
import book_snapshots
import books_beside
import books_near
import numpy as np
import numpy.typing as npt
from measure import Figure, figure, per_call_ns, run_floor

from spread_scanner.books._ladder import ladders
from spread_scanner.books._order_book import FollowedBook
from spread_scanner.schema.books import BOOK_DTYPE, LEVELS_KEPT, LEVELS_SHOWN
from spread_scanner.schema.ladder import TERMS_DTYPE
from spread_scanner.shm import segment
from spread_scanner.shm.books import BookStore

Array = npt.NDArray[np.float64]

DELTAS = 2_000
LEVELS = 10  # of a message, both sides
PAIRS = 300
SIZES = np.array([100.0, 1_000.0, 10_000.0, 100_000.0])
TICK = 0.01
CPU = time.thread_time_ns
LADDER_NS_MAX = 300.0  # demanded of ten levels a side


class Market:
    """Deltas of a book whose top walks, sizes and all from a seed; the first one is a snapshot."""

    def __init__(self, count: int) -> None:
        chance = np.random.default_rng(11)
        ranks = np.arange(LEVELS_KEPT, dtype=float)
        sizes = chance.uniform(0.1, 9.0, (2, LEVELS_KEPT))
        self.snapshot = (
            np.column_stack([1_000 - TICK * (ranks + 1), sizes[0]]),
            np.column_stack([1_000 + TICK * (ranks + 1), sizes[1]]),
        )
        self.deltas = [self._delta(chance) for _ in range(count)]

    def _delta(self, chance: np.random.Generator) -> tuple[Array, Array]:
        """Half of a message a side: near the top for the most, a third of them deletions."""
        sides = []
        for sign in (-1, 1):
            ranks = np.unique(np.minimum(chance.geometric(0.12, LEVELS // 2), LEVELS_KEPT))
            sizes = np.where(
                chance.random(len(ranks)) < 0.3, 0.0, chance.uniform(0.1, 9, len(ranks))
            )
            sides.append(np.column_stack([1_000 + sign * TICK * ranks, sizes]))
        return sides[0], sides[1]


def figures(small: bool) -> Iterator[Figure]:
    market = Market(50 if small else DELTAS)
    rounds = 2 if small else 30
    floor = run_floor("floor_books.c", 5 if small else 300)
    followed = FollowedBook()
    ours = [_apply_ns(market, followed) for _ in range(rounds)]
    yield figure(
        *("books.apply", "ns", ours),
        floor=floor["books.apply"],
        peers=_peers(market, followed, rounds),
        levels=LEVELS,
    )
    namespace = f"bench-books-{time.perf_counter_ns()}"
    with contextlib.ExitStack() as stack:
        stack.callback(segment.remove, segment.segment_name(namespace, "books"))
        store = stack.enter_context(BookStore.create(namespace, slots=4))
        yield from _memory(store, followed, 2 if small else 40)
        yield from book_messages.figures(store, market, floor["books.message"], rounds)
        yield from book_snapshots.figures(store, floor["books.snapshot"], rounds)
    for name, levels in (("books.ladder", LEVELS), ("books.ladder.whole", LEVELS_SHOWN)):
        pairs, batches = (20, 2) if small else (PAIRS, 300)
        yield _ladder(name, levels, pairs, batches, floor[name])
    yield from books_near.figures(small)
    yield from books_beside.figures(small)


def _apply_ns(market: Market, followed: FollowedBook) -> float:
    followed.snapshot(*market.snapshot)
    start = CPU()
    for bids, asks in market.deltas:
        followed.delta(bids, asks)
    return (CPU() - start) / len(market.deltas)


def _peers(market: Market, followed: FollowedBook, rounds: int) -> dict[str, float]:
    """The same deltas, as such a handler gets them: prices and sizes one by one."""
    deltas = [(bids.tolist(), asks.tolist()) for bids, asks in market.deltas]
    found = {}
    for name, (module, make) in PEERS.items():
        if importlib.util.find_spec(module) is None:
            continue
        sides = make(importlib.import_module(module))
        times = [_peer_ns(market, sides, deltas) for _ in range(rounds)]
        best = list(sides[0].keys())[:10]
        if best != followed.bids[:10, 0].tolist():
            raise RuntimeError(f"{name} has another book: {best}")
        found[name] = statistics.median(times)
    return found


Sides = tuple[Any, Any]  # bids and asks, dicts of price and size with the best first


def _of_cryptofeed(module: Any) -> Sides:
    """What its handlers are given."""
    book = module.OrderBook()
    return book.bids, book.asks


PEERS: dict[str, tuple[str, Callable[[Any], Sides]]] = {
    "sortedcontainers": (
        "sortedcontainers",
        lambda module: (module.SortedDict(operator.neg), module.SortedDict()),
    ),
    "cryptofeed": ("order_book", _of_cryptofeed),
}


def _peer_ns(market: Market, sides: Sides, deltas: list[tuple[Any, Any]]) -> float:
    for side, levels in zip(sides, market.snapshot, strict=True):
        for px in list(side.keys()):
            del side[px]
        for px, sz in levels.tolist():
            side[px] = sz
    start = CPU()
    for delta in deltas:
        for side, rows in zip(sides, delta, strict=True):
            for px, sz in rows:
                if sz:
                    side[px] = sz
                elif px in side:
                    del side[px]
    return (CPU() - start) / len(deltas)


def _memory(store: BookStore, followed: FollowedBook, batches: int) -> Iterator[Figure]:
    with store.writer(0) as writer:
        writer.take(7)

        def publish() -> None:
            writer.publish(followed.record(symbol_id=7, source_id=0, update_id=1, ts_recv=1))

        samples = per_call_ns(
            "publish()", {"publish": publish}, batches=batches, calls=200, timer=CPU
        )
        yield figure("books.publish", "ns", samples, levels=LEVELS_SHOWN)
        read: Callable[[int, int], object] = store.read
        names: dict[str, object] = {"read": read}
        samples = per_call_ns("read(0, 7)", names, batches=batches, calls=200, timer=CPU)
        found = store.read(0, 7)
        if found is None or found.bids.tolist() != followed.bids[:LEVELS_SHOWN].tolist():
            raise RuntimeError("what is read is not what was published")
        yield figure("books.read", "ns", samples, levels=LEVELS_SHOWN)


def _ladder(name: str, levels: int, pairs: int, batches: int, floor: float) -> Figure:
    """Sizes that take one level, several, and more than there are; half of the pairs pay."""
    chance = np.random.default_rng(5)
    spot, fut = _records(chance, pairs, levels, 1_000.0), _records(chance, pairs, levels, 1_003.0)
    terms = np.zeros(pairs, TERMS_DTYPE)
    terms["fees_bps"], terms["close_bps"], terms["carry_bps"] = 20.0, -4.0, 1.0
    terms["enter_bps"] = chance.uniform(-20.0, 20.0, pairs)
    terms["lot_base"] = 0.001
    names: dict[str, object] = {"ladders": ladders, "a": spot, "b": fut, "t": terms, "s": SIZES}
    samples = per_call_ns("ladders(a, b, t, s)", names, batches=batches, calls=10, timer=CPU)
    rungs, carried, _ = ladders(spot, fut, terms, SIZES)
    peer = _numpy_ladder_ns(spot, fut, rungs)
    return figure(
        name,
        "ns",
        [one / pairs for one in samples],
        floor=floor,
        peers={"numpy": peer},
        least=round(min(samples) / pairs, 1),
        levels=levels,
        sizes=len(SIZES),
        paying=round(float(np.mean(carried > 0)), 2),
        pairs=pairs,
        **({"demanded_max": LADDER_NS_MAX} if levels == LEVELS else {}),
    )


def _records(chance: np.random.Generator, pairs: int, levels: int, px: float) -> np.ndarray:
    records = np.zeros(pairs, BOOK_DTYPE)
    records["bid_count"] = records["ask_count"] = levels
    ranks = np.arange(levels)
    for side, sign in (("bids", -1), ("asks", 1)):
        records[side] = np.nan
        steps = np.cumsum(chance.uniform(0.05, 0.5, (pairs, levels)), axis=1)
        records[side][:, ranks, 0] = px + sign * steps
        records[side][:, ranks, 1] = chance.uniform(0.1, 8.0, (pairs, levels))
    return records


def _numpy_ladder_ns(spot: np.ndarray, fut: np.ndarray, rungs: np.ndarray) -> float:
    """One pair's average prices of entering at four sizes by cumulated levels and interpolation: a
    part of what a ladder is."""

    def average(levels: Array, sizes: Array) -> Array:
        sums = np.concatenate([[0.0], np.cumsum(levels[:, 1])])
        money = np.concatenate([[0.0], np.cumsum(levels[:, 0] * levels[:, 1])])
        return np.where(sizes <= sums[-1], np.interp(sizes, sums, money) / sizes, np.nan)

    count = int(spot["ask_count"][0])
    asks, bids = spot["asks"][0, :count], fut["bids"][0, :count]
    sizes = SIZES / asks[0, 0]
    bought = average(asks, sizes)
    known = ~np.isnan(rungs["net_bps"][0])
    np.testing.assert_allclose(bought[known], rungs["buy_px"][0][known], rtol=1e-12)
    names: dict[str, object] = {"average": average, "a": asks, "b": bids, "s": sizes}
    return statistics.median(
        per_call_ns("average(a, s); average(b, s)", names, batches=10, calls=50, timer=CPU)
    )
