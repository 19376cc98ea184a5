"""The other end of the benchmark of books beside quotes: one source, Bybit's spot, in a process of
its own.

Quotes are a block of prebuilt frames that is sent over and over (sim/block.py), paced or as fast as
the socket takes them. Books are a snapshot, then changes of ten levels each, each book's in turn at
a steady rate, on whichever connection asked for it.
"""

import random
import socket
import time
from multiprocessing.connection import Connection as Pipe
from typing import Any, NamedTuple

from spread_scanner.sim.block import BLOCK_FRAMES_MIN, Block
from spread_scanner.sim.depth import (
    PREFIX,
    DepthChannel,
    Update,
    now_of,
    snapshot_frame,
    update_frame,
)
from spread_scanner.sim.dialects import Subscription, dialects
from spread_scanner.sim.flood import Subscriber
from spread_scanner.sim.market import Market
from spread_scanner.sim.universe import Listing, Universe

LABEL = "bybit-spot"
CHANNEL = "orderbook.50"
CHANGED = 5  # levels a side of a message
UPDATES = 8  # of a book, in turn
SETTLE_S = 1.5
ATTEND_S = 0.05
FLOOD_FRAMES = 256  # of one write


class Order(NamedTuple):
    """So many quotes a second for so long, 0: as fast as the socket takes them; and how many
    messages of books a second, all books together."""

    rate: float
    seconds: float
    books_rate: float


class SentBook:
    """One book: what was said of it."""

    def __init__(self, listing: Listing, sock: socket.socket) -> None:
        self.listing, self._sock = listing, sock
        self._channel = DepthChannel(listing, CHANNEL, combined=True)
        self.bids, self.asks = now_of(listing, self._channel.window)
        chance = random.Random(listing.exchange_symbol)
        self._updates = [self._update(chance) for _ in range(UPDATES)]
        self.sent = 0

    def _update(self, chance: random.Random) -> Update:
        """Sizes alone: tops stay where the quotes have them."""
        bids, asks = (
            [
                (px, self.listing.sz(1 + chance.randrange(5_000)))
                for px in chance.sample(list(side), min(CHANGED, len(side)))
            ]
            for side in (self.bids, self.asks)
        )
        return Update(bids, asks, 0, 1)

    def send(self) -> None:
        """The next message: the snapshot is the first."""
        now_ms = time.time_ns() // 1_000_000
        if self.sent == 0:
            frame = snapshot_frame(self._channel, now_ms)
        else:
            self._channel.number += 1
            said = self._updates[self._channel.number % UPDATES]
            frame = update_frame(self._channel, said, now_ms)
            self.bids.update(said.bids)
            self.asks.update(said.asks)
        self._sock.sendall(frame)
        self.sent += 1

    def shown(self) -> dict[str, Any]:
        """As it stands, to be compared with what is in shared memory."""
        return {
            "exchange_symbol": self.listing.exchange_symbol,
            "update_id": self._channel.number,
            "bids": list(self.bids.items()),
            "asks": list(self.asks.items()),
        }


class Listener(Subscriber):
    """A client, and which books it has asked for."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.wanted: dict[Listing, None] = {}

    def _carry(self, subscription: Subscription) -> None:
        to = self.wanted if subscription.form.startswith(PREFIX) else self.listings
        to[subscription.listing] = None


class Outlet:
    """The source."""

    def __init__(self, listener: socket.socket, symbols: int) -> None:
        listener.setblocking(False)
        self._listener = listener
        universe = Universe(1, symbols)
        Market(universe)
        self._dialect = dialects(universe, set())[LABEL]
        self._clients: list[Listener] = []
        self._books: list[SentBook] = []
        self._attended_s = 0.0

    def await_clients(self, books: int) -> None:
        """Until all that is to be subscribed is, and for a while nothing else was."""
        quiet_since = time.monotonic()
        while True:
            if self.attend():
                quiet_since = time.monotonic()
            wanted = sum(len(client.wanted) for client in self._clients)
            quoted = any(client.listings for client in self._clients)
            if quoted and wanted >= books and time.monotonic() - quiet_since > SETTLE_S:
                break
            time.sleep(0.002)
        for client in self._clients:
            if client.listings:
                moving = [listing for listing in client.listings if listing.moves]
                # Tops that stay where they are: those of the books are none other.
                client.block = Block(moving, BLOCK_FRAMES_MIN, False, lambda *_: 0)
            self._books += [SentBook(listing, client.sock) for listing in client.wanted]

    def attend(self) -> bool:
        """Accept and answer; True if there was anything to do."""
        news = False
        try:
            sock, _ = self._listener.accept()
            sock.setblocking(True)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            self._clients.append(Listener(sock, self._dialect, len(self._clients) + 1))
            news = True
        except BlockingIOError:
            pass
        for client in self._clients:
            news |= client.hear(time.time_ns() // 1_000_000)
        self._clients = [client for client in self._clients if client.open]
        return news

    def send(self, order: Order) -> dict[str, Any]:
        """What was sent."""
        quoting = [client for client in self._clients if client.block is not None]
        before = sum(client.sent for client in quoting)
        books_before = sum(book.sent for book in self._books)
        began = time.monotonic()
        quotes = books = 0
        while (passed := time.monotonic() - began) < order.seconds:
            self._attend_sometimes()
            while self._books and books < passed * order.books_rate:
                self._books[books % len(self._books)].send()
                books += 1
            if order.rate and quotes >= passed * order.rate:
                continue  # a sleep would be as long as several messages
            now_ms = time.time_ns() // 1_000_000
            for client in quoting:
                client.burst(1 if order.rate else FLOOD_FRAMES, now_ms)
            quotes += len(quoting)
        return {
            "quotes": sum(client.sent for client in quoting) - before,
            "books": sum(book.sent for book in self._books) - books_before,
            "seconds": time.monotonic() - began,
            "standing": [book.shown() for book in self._books],
            "last": self._last(quoting),
        }

    def _attend_sometimes(self) -> None:
        now_s = time.monotonic()
        if now_s - self._attended_s > ATTEND_S:
            self._attended_s = now_s
            self.attend()

    def _last(self, quoting: list[Listener]) -> dict[str, int]:
        found: dict[str, int] = {}
        for client in quoting:
            assert client.block is not None
            if client.sent:
                last = client.block.last(client.position)
                found |= {listing.exchange_symbol: last[listing][1] for listing in last}
        return found

    def close(self) -> None:
        for client in self._clients:
            client.sock.close()


def serve(listener: socket.socket, pipe: Pipe, symbols: int, books: int) -> None:
    """Serve until an order is None: say when all have subscribed, then what each order sent."""
    outlet = Outlet(listener, symbols)
    outlet.await_clients(books)
    pipe.send(None)
    while True:
        while not pipe.poll(0.005):
            outlet.attend()
        order = pipe.recv()
        if order is None:
            break
        pipe.send(outlet.send(order))
    outlet.close()
