"""Whether quotes notice that their feed holds books: the same feed, as its own executable, with and
without 200 books in the same loop, in turn.

books.beside.latency   frame-to-cell p99 of quotes at a steady rate, with books; "without" beside it
books.beside.flood     CPU a quote while quotes come as fast as they are taken, with books
books.beside.memory    memory of its own that the feed with books has; how much more than without

Every run verifies that each quote and each message of a book arrived, that no book was asked for
anew, and that the last quotes and books stand.
"""

import os
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from bench_e2e import Rig
from books_sender import LABEL, Order, serve
from measure import Child, Figure, figure

from spread_scanner import config
from spread_scanner.schema.books import BOOK_UNUSABLE, LEVELS_SHOWN
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.shm import Health, PriceStore
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.health import latency
from spread_scanner.symbology import tables
from spread_scanner.symbology.tables import InstrumentRow

SOURCE = SOURCE_BY_LABEL[LABEL]
ARRIVE_S_MAX = 20.0
NONE_OF = ("book_gaps", "book_resyncs", "book_depleted", "book_crossed", "skip_unknown_symbol")

NONE_OF_BEGINNINGS = tuple(label for label in NONE_OF if label != "book_resyncs")


class Scale(NamedTuple):
    symbols: int
    books: int
    quotes_rate: float
    seconds: float
    runs: int


FULL = Scale(300, 200, 10_000.0, 4.0, 5)
SMALL = Scale(24, 8, 2_000.0, 0.4, 1)
TIMES_MAX, MORE_MB_MAX = 1.2, 10.0  # demanded of books beside quotes
BOOK_RATE = 10.0  # messages a second of one book: channels tell each 100 ms


class Measured(NamedTuple):
    """One life of the feed."""

    cell_us: tuple[float, float]  # p50 and p99 at a steady rate
    flood_cell_us: tuple[float, float]
    flood_cpu_us: float  # a quote
    flood_per_s: float
    memory_mb: float
    books_sent: int


def figures(small: bool) -> Iterator[Figure]:
    scale = SMALL if small else FULL
    books = {"SPREAD_BOOKS__BOOKS_MAX": str(scale.books)}
    with Rig(scale.symbols, books) as rig:
        beside = Beside(rig, scale)
        found: dict[bool, list[Measured]] = {False: [], True: []}
        for turn in range(2 * scale.runs):
            held = turn % 2 == (turn // 2) % 2  # who begins alternates, too
            found[held].append(beside.measured(held))
    yield from _told(found[True], found[False], scale)


def _told(held: list[Measured], alone: list[Measured], scale: Scale) -> Iterator[Figure]:
    shared = {"books": scale.books, "per_book_s": BOOK_RATE, "runs": scale.runs}
    quoted = {"quotes_s": scale.quotes_rate}
    of_each: tuple[tuple[str, str, Callable[[Measured], float], dict[str, Any]], ...] = (
        ("latency", "us", lambda one: one.cell_us[1], {**quoted}),
        ("flood", "us", lambda one: one.flood_cpu_us, _flood_params(held, alone)),
        ("memory", "MB", lambda one: one.memory_mb, {}),
    )
    for name, unit, of, more in of_each:
        without = statistics.median(map(of, alone))
        ours = [of(one) for one in held]
        change = (
            {
                "more_mb": round(statistics.median(ours) - without, 2),
                "demanded_more_mb_max": MORE_MB_MAX,
            }
            if name == "memory"
            else {
                "times": round(statistics.median(ours) / without, 3),
                "demanded_times_max": TIMES_MAX,
            }
        )
        yield figure(
            f"books.beside.{name}", unit, ours, peers={"without": without},
            **shared, **change, **more,
        )  # fmt: skip


def _flood_params(held: list[Measured], alone: list[Measured]) -> dict[str, Any]:
    """The other figures of a flood, with books and without, and how much longer either takes."""
    rate, rate_without = (statistics.median(one.flood_per_s for one in of) for of in (held, alone))
    p99, p99_without = (
        statistics.median(one.flood_cell_us[1] for one in of) for of in (held, alone)
    )
    return {
        "quotes_s": round(rate),
        "quotes_s_without": round(rate_without),
        "quotes_s_times": round(rate_without / rate, 3),
        "cell_p99_us": round(p99, 2),
        "cell_p99_us_without": round(p99_without, 2),
        "cell_p99_times": round(p99 / p99_without, 3),
        "book_messages": sum(one.books_sent for one in held),
    }


class Beside:
    """The feed on the rig's tables, a life each time."""

    def __init__(self, rig: Rig, scale: Scale) -> None:
        self._rig, self._scale = rig, scale
        loaded = tables.load(config.load(rig.folder / "config", rig.environ).generated_dir)
        named = loaded.symbol_names()
        self._listed: dict[str, InstrumentRow] = {
            row.exchange_symbol: row
            for row in loaded.instruments
            if row.source_id == SOURCE.source_id
        }
        self._watched = [named[row.symbol_id] for row in self._listed.values()][: scale.books]
        if len(self._watched) < scale.books:
            raise RuntimeError(f"{len(self._watched)} listings only")

    def measured(self, held: bool) -> Measured:
        server = socket.create_server(("127.0.0.1", 0), backlog=64)
        books = len(self._watched) if held else 0
        key = LABEL.upper().replace("-", "_")
        self._rig.environ |= {
            f"SPREAD_EXCHANGES__{key}__WS_URL": f"ws://127.0.0.1:{server.getsockname()[1]}",
            f"SPREAD_EXCHANGES__{key}__NOTICES": "false",
            "SPREAD_BOOKS__WATCH": orjson.dumps(self._watched if held else []).decode(),
        }
        ours, theirs = Pipe()
        with Child(serve, server, theirs, self._scale.symbols, books):
            feed = self._rig._start(SOURCE.process, self._rig._program(SOURCE.process))
            try:
                return self._lived(ours, feed.pid, books)
            finally:
                ours.send(None)
                feed.terminate()
                feed.wait(20)
                server.close()

    def _lived(self, pipe: Connection, pid: int, books: int) -> Measured:
        if not pipe.poll(60):
            raise RuntimeError("the feed did not subscribe")
        pipe.recv()
        scale, books_rate = self._scale, BOOK_RATE * books
        with Health.attach(self._rig.namespace) as health:
            run = Run(self._rig, health, pipe, pid, self._listed)
            # To warm up: whose first book is late on a busy machine asks for it again.
            run.order(Order(scale.quotes_rate, scale.seconds / 4, books_rate), begins=True)
            steady = run.order(Order(scale.quotes_rate, scale.seconds, books_rate))
            flood = run.order(Order(0.0, scale.seconds / 2, books_rate))
        return Measured(
            steady.cell_us,
            flood.cell_us,
            flood.cpu_us / flood.quotes,
            flood.quotes / flood.seconds,
            _private_mb(pid),
            run.books_sent,
        )


class Ordered(NamedTuple):
    """What one order did."""

    quotes: int
    seconds: float
    cpu_us: float
    cell_us: tuple[float, float]


class Run:
    """One life's orders, each of which is verified."""

    def __init__(
        self, rig: Rig, health: Health, pipe: Connection, pid: int, listed: dict[str, InstrumentRow]
    ) -> None:
        self._rig, self._health, self._pipe, self._pid = rig, health, pipe, pid
        self._listed = listed
        self.books_sent = 0

    def order(self, order: Order, *, begins: bool = False) -> Ordered:
        before, cells = self._counters(), self._cells()
        cpu_us = _cpu_us(self._pid)
        self._pipe.send(order)
        if not self._pipe.poll(order.seconds + 60):
            raise RuntimeError("the sender does not answer")
        sent = self._pipe.recv()
        self._await(before, sent, NONE_OF if not begins else NONE_OF_BEGINNINGS)
        cpu_us = _cpu_us(self._pid) - cpu_us
        self.books_sent += sent["books"]
        found = latency(self._cells() - cells)
        self._verify(sent)
        percentiles = found.percentiles_ns
        return Ordered(
            sent["quotes"], sent["seconds"], cpu_us, (percentiles[0] / 1e3, percentiles[2] / 1e3)
        )

    def _counters(self) -> dict[str, int]:
        row = self._health.read(SOURCE.process)
        assert row is not None
        return row.counters

    def _cells(self) -> np.ndarray:
        return self._health.buckets(SOURCE.process)["recv_to_cell"]

    def _await(self, before: dict[str, int], sent: dict[str, Any], none_of: Sequence[str]) -> None:
        """Until all has come. Raises RuntimeError when something never does."""
        deadline_s = time.monotonic() + ARRIVE_S_MAX
        while True:
            now = self._counters()
            quotes, books = (now[label] - before[label] for label in ("quotes", "book_changes"))
            if (quotes, books) == (sent["quotes"], sent["books"]):
                break
            if time.monotonic() > deadline_s:
                raise RuntimeError(
                    f"sent {sent['quotes']} quotes and {sent['books']} messages of books, "
                    f"received {quotes} and {books}"
                )
            time.sleep(0.01)
        odd = {
            label: now[label] - before[label] for label in none_of if now[label] != before[label]
        }
        if odd:
            raise RuntimeError(f"books were not well: {odd}")

    def _verify(self, sent: dict[str, Any]) -> None:
        with PriceStore.attach(self._rig.namespace) as store:
            for name, update_id in sent["last"].items():
                quote = store.read(SOURCE.source_id, self._listed[name].symbol_id)
                if quote is None or quote.update_id != update_id:
                    raise RuntimeError(f"{name}: {quote} is not {update_id}")
        with BookStore.attach(self._rig.namespace) as books:
            for said in sent["standing"]:
                row = self._listed[said["exchange_symbol"]]
                found = books.read(SOURCE.source_id, row.symbol_id)
                if found is None or found.flags & BOOK_UNUSABLE:
                    raise RuntimeError(f"{said['exchange_symbol']}: no book, or not a good one")
                for side, levels in (("bids", found.bids), ("asks", found.asks)):
                    wanted = [
                        [float(px) / row.px_div, float(sz) * row.sz_mul]
                        for px, sz in said[side][:LEVELS_SHOWN]
                    ]
                    if levels.tolist() != wanted:
                        raise RuntimeError(f"{said['exchange_symbol']}: {side} are others")


def _private_mb(pid: int) -> float:
    """What is resident of a process and nobody else's: mappings that are shared are not its own."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(row.split()[1]) for row in rows if row.startswith("Private_")) / 1_024


def _cpu_us(pid: int) -> float:
    """CPU time of a process so far, of all its threads."""
    spent_ns = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        spent_ns += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return spent_ns / 1e3
