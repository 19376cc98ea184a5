"""A day whose feeds follow order books: its exchanges have depth, and somebody wants it.

All of a day, and beside it: connections for books among the feeds' lines, snapshots by REST from
the exchange's own books, people and programs that ask, pairs that come near their thresholds. No
look is left out (idle.py), as nothing is known of when one would find nothing.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterator
from functools import partial
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import of_orders
from day import Day, run
from depth_exchange import Depth
from depth_invariants import DepthInvariants
from events import Result
from exchange import LATENCY_NS, Exchange
from fault import Fault
from faults import EVERY_KIND as EVERY
from faults import schedule
from network import Network

from spread_scanner.clock import NS_PER_S
from spread_scanner.exchanges.depth import DepthAdapter
from spread_scanner.feed.seeds import Seeds
from spread_scanner.schema.channels import DEPTH_CHANNELS
from spread_scanner.schema.enums import SOURCE_BY_LABEL, Carries

BOOKS_MAX = 4
LINGER_S = 20.0
MARGIN_BPS = 5.0
ASKS_EVERY_S = 30.0
SETTINGS = """
[books]
books_max = {books_max}
books_linger_s = {linger_s}
books_margin_bps = {margin_bps}
watch = [{watched}]
"""
# A feed that is paused, or cut otherwise, or refused everything, has its own days.
EVERY_KIND = tuple(EVERY.keys() - {*of_orders.KINDS, "closed", "killed", "new units", "region"})


class BooksNetwork(Network):
    """It also knows which lines dial for books."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.of_books: set[int] = set()

    def _number(self, line: object) -> int:
        number = super()._number(line)
        share: Any = getattr(line, "_share", None)
        if share is not None and share.carries is Carries.BOOKS:
            self.of_books.add(number)
        return number


class BooksDay(Day):
    """`channel`: another than the usual one."""

    network_of: type[Network] = BooksNetwork
    network: BooksNetwork

    def __init__(self, *args: Any, channel: str = "", **kwargs: Any) -> None:
        self.channel = channel
        super().__init__(*args, **kwargs)
        self._tally: dict[str, int] = {}
        self.depths: dict[str, Depth] = {}
        self.books: dict[str, DepthInvariants] = {}
        for label, exchange in self.exchanges.items():
            self.depths[label] = depth = Depth(
                exchange,
                channel or DEPTH_CHANNELS[label][0],
                self.network.of_books,
                Random(f"depth {self.system._seed} {label}"),
            )
            self.books[label] = DepthInvariants(
                depth,
                self.invariants,
                self.system.books,
                BOOKS_MAX,
                int(LINGER_S * NS_PER_S),
                partial(self._near, SOURCE_BY_LABEL[label].source_id),
                self._watched(exchange),
            )

    @property
    def of_books(self) -> str:  # type: ignore[override]
        watched = ", ".join(
            f'"{row.listing.symbol}"'
            for exchange in self.exchanges.values()
            for row in exchange.rows.values()
            if row.name in self._watched(exchange)
        )
        return SETTINGS.format(
            books_max=BOOKS_MAX, linger_s=LINGER_S, margin_bps=MARGIN_BPS, watched=watched
        )

    def _watched(self, exchange: Exchange) -> frozenset[str]:
        """The book of the third is always wanted."""
        return frozenset(list(exchange.rows)[2:3])

    def _near(self, source_id: int) -> np.ndarray:
        """By symbol id, whether the engine says that a pair stands or is near."""
        near: np.ndarray = self.system.wants.near_bps(source_id, self.now_ns()) >= -MARGIN_BPS
        return near

    # --- what faults ask for

    def depth_of(self, exchange: Exchange) -> Depth:
        return self.depths[exchange.label]

    def _ask(self, label: str) -> None:
        """Somebody, a program or a person, wants a book for a while, and now and then another."""
        depth = self.depths[label]
        draw, exchange = depth.random, depth.exchange
        self.loop.call_ns(int(draw.expovariate(1 / ASKS_EVERY_S) * NS_PER_S), self._ask, label)
        row = draw.choice(list(depth.rows.values()))
        if not row.row.wanted:
            return
        for_s = 2.0 + 60.0 * draw.random()
        source_id = SOURCE_BY_LABEL[exchange.label].source_id
        self.system.wants.ask(source_id, row.row.symbol_id, for_s)
        until_ns = self.now_ns() + int(for_s * NS_PER_S)
        row.asked_until_ns = max(row.asked_until_ns, until_ns)
        self.log("wants", label, row.row.name, for_s)

    # --- as it goes

    async def live(self) -> None:
        for label, depth in self.depths.items():
            depth.start()
            self.loop.call_ns(NS_PER_S, self.books[label].look)
            self.loop.call_ns(10 * NS_PER_S, self._ask, label)
        with self._by_rest():
            await super().live()
        self._tally = self._counts()

    @contextlib.contextmanager
    def _by_rest(self) -> Iterator[None]:
        """Snapshots come from the exchange's own books: there is no HTTP in a day."""

        async def ask(seeds: Any, adapter: DepthAdapter, names: list[str]) -> None:
            depth = self.depths[adapter.source.label]
            for name in names:
                assert adapter.seed_request(name) is not None
                await asyncio.sleep(2 * LATENCY_NS / NS_PER_S)
                body = depth.snapshot(name)
                self.log("snapshot", depth.exchange.label, name, depth.rest)
                seeds._seeded(name, adapter.parse_seed(name, body) if body is not None else None)

        with mock.patch.object(Seeds, "_ask", ask):
            yield

    def counted(self) -> dict[str, int]:
        return self._tally

    def _counts(self) -> dict[str, int]:
        """While there are segments to read."""
        counters = [self.counters(label) for label in self.exchanges]
        dials = [dial for one in self.exchanges.values() for dial in one.dials]
        coming = [ns for one in self.books.values() for ns in one.coming_ns]
        return {
            "told": sum(one.messages for one in self.depths.values()),
            "compared": sum(one.compared for one in self.books.values()),
            "usable": sum(one.usable for one in self.books.values()),
            "came": len(coming),
            "resyncs": sum(row["book_resyncs"] for row in counters),
            "gaps": sum(row["book_gaps"] for row in counters),
            "checksums": sum(row["book_checksums"] for row in counters),
            "marks": sum(row["stale_marks"] + row["silent_marks"] for row in counters),
            "book_dials": sum(dial.line in self.network.of_books for dial in dials),
        }


def run_books(
    seed: str,
    source: str,
    *,
    hours: float,
    channel: str = "",
    faults: dict[str, list[Fault]] | None = None,
    kinds: Collection[str] = EVERY_KIND,
    go_on: bool = False,
) -> Result:
    """Live a stretch of a day with books."""
    if faults is None:
        labels = (source,) if source else tuple(SOURCE_BY_LABEL)
        faults = {
            label: schedule(f"books {seed} {label}", hours, dense=3.0, kinds=kinds)
            for label in labels
        }
    of = partial(BooksDay, channel=channel)
    return run(seed, source, hours=hours, faults=faults, go_on=go_on, leave_out=False, of=of)
