"""A sender that is never the bottleneck: prebuilt frames of one source in large writes.

Waits for subscribers on a plain blocking socket (optionally TLS), answers as the exchange does,
builds one block of frames per connection and sends it over and over. Between two rounds only the
digits of the update ids change, and the time stamps every 100 ms, patched in place. At the end it
says how much it sent and what the last quote of every symbol was. Used by the feed and e2e
benchmarks; the market does not walk, so no spread opens.
"""

import select
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.sim.block import BLOCK_FRAMES_MIN, Block
from spread_scanner.sim.dialects import Dialect, Subscription, Talk, dialects
from spread_scanner.sim.market import Market
from spread_scanner.sim.universe import Listing, Universe

LISTEN_EVERY_MS = 20


@dataclass(frozen=True)
class FloodOptions:
    """What the command line sets. `rate` 0: as fast as the sockets take it."""

    source: str
    rate: float = 0.0
    seconds: float = 5.0
    batch: int = 1_024
    port: int = 0
    seed: int = 1
    symbols: int = 300
    connections: int = 1
    settle_s: float = 0.5
    linger_s: float = 10.0
    messages: int = 0  # end after so many; 0: by time
    tls_pem: Path | None = None


class Subscriber:
    """One client: handshake, subscriptions, then a block and a position in it."""

    def __init__(self, sock: socket.socket, dialect: Dialect, number: int) -> None:
        self.sock = sock
        self._dialect = dialect
        self._ws = ServerProtocol(max_size=1 << 20)
        self.listings: dict[Listing, None] = {}
        self.talk = Talk(f"flood-{number}", True, self._carry, self._leave)
        self.shaken = False
        self.open = True
        self.block: Block | None = None
        self.position = 0
        self.sent = 0

    def _carry(self, subscription: Subscription) -> None:
        self.listings[subscription.listing] = None

    def _leave(self, subscription: Subscription) -> None:
        self.listings.pop(subscription.listing, None)

    def hear(self, now_ms: int) -> bool:
        """Read what is there and answer it; True if that changed what is subscribed.

        A ping is no news: whoever waits for calm would never see it, as clients ping what is calm.
        """
        before = (self.open, self.shaken, len(self.listings))
        while self.open and (self._pending() or select.select([self.sock], [], [], 0)[0]):
            try:
                data = self.sock.recv(65_536)
            except (ssl.SSLWantReadError, ConnectionError):
                data = b""
            if not data:
                self.open = False
                break
            self._ws.receive_data(data)
            for event in self._ws.events_received():
                self._take(event, now_ms)
            for piece in self._ws.data_to_send():
                if piece:
                    self.sock.sendall(piece)
        return before != (self.open, self.shaken, len(self.listings))

    def _pending(self) -> bool:
        return isinstance(self.sock, ssl.SSLSocket) and self.sock.pending() > 0

    def _take(self, event: object, now_ms: int) -> None:
        if isinstance(event, Request):
            self._ws.send_response(self._ws.accept(event))
            self.shaken = True
        elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
            text = bytes(event.data).decode("utf-8", "replace")
            for answer in self._dialect.hear(self.talk, text, now_ms):
                self._ws.send_text(answer.encode())

    def burst(self, count: int, now_ms: int) -> int:
        """Send the next `count` frames of the block, or what is left of it."""
        block = self.block
        if block is None:
            return 0
        if self.position >= len(block.built):
            self.position = 0
            block.next_cycle(now_ms)
        end = min(self.position + count, len(block.built))
        try:
            self.sock.sendall(block.view[block.offsets[self.position] : block.offsets[end]])
        except ConnectionError:
            self.open = False
            return 0
        done = end - self.position
        self.position = end
        self.sent += done
        return done


class Flood:
    """Accept, wait, burst, report."""

    def __init__(self, options: FloodOptions) -> None:
        self._options = options
        universe = Universe(options.seed, options.symbols)
        Market(universe)  # gives every listing its first quote
        self._dialect = dialects(universe, set())[options.source]
        self._subscribers: list[Subscriber] = []
        self._context: ssl.SSLContext | None = None
        if options.tls_pem is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(options.tls_pem)
        self._listener = socket.create_server(("127.0.0.1", options.port), backlog=64)
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        self.stopping = False

    @property
    def ws_url(self) -> str:
        return f"{'wss' if self._context else 'ws'}://127.0.0.1:{self.port}"

    def _now_ms(self) -> int:
        return clock.wall_ns() // NS_PER_MS

    def _accept(self) -> bool:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:
            return False
        sock.setblocking(True)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        try:
            secured = self._context.wrap_socket(sock, server_side=True) if self._context else sock
        except (ssl.SSLError, ConnectionError):
            sock.close()
            return False
        number = len(self._subscribers) + 1
        self._subscribers.append(Subscriber(secured, self._dialect, number))
        return True

    def wait(self) -> None:
        """Until enough connections have subscribed and nothing new came for a while."""
        options = self._options
        last_ns = clock.mono_ns()
        while not self.stopping:
            news = self._accept()
            for subscriber in self._subscribers:
                news |= subscriber.hear(self._now_ms())
            now = clock.mono_ns()
            if news:
                last_ns = now
            self._subscribers = [s for s in self._subscribers if s.open]
            ready = [s for s in self._subscribers if s.listings]
            settled = now - last_ns >= options.settle_s * NS_PER_S
            if len(ready) >= options.connections and settled:
                return
            if not news:
                clock.sleep(0.002)

    def run(self) -> dict[str, Any]:
        """Burst for the configured time; returns the report."""
        options = self._options
        live = [s for s in self._subscribers if s.listings]
        for subscriber in live:
            listings = [listing for listing in subscriber.listings if listing.moves]
            frames = max(BLOCK_FRAMES_MIN, options.batch)
            if listings:
                subscriber.block = Block(listings, frames, options.source == "mexc-spot")
        start_ns = clock.mono_ns()
        sent = self._burst(live, start_ns)
        took_s = (clock.mono_ns() - start_ns) / NS_PER_S
        return {
            "source": options.source,
            "sent": sent,
            "seconds": took_s,
            "per_s": sent / took_s if took_s else 0.0,
            "connections": len(live),
            "last": [row for subscriber in live for row in _last_rows(subscriber)],
        }

    def _burst(self, live: list[Subscriber], start_ns: int) -> int:
        options = self._options
        end_ns = start_ns + int(options.seconds * NS_PER_S)
        sent, listened_ns = 0, start_ns
        while not self.stopping and any(s.open and s.block for s in live):
            now_ns = clock.mono_ns()
            if now_ns >= end_ns or (options.messages and sent >= options.messages):
                break
            if options.rate > 0:
                ahead_s = sent / options.rate - (now_ns - start_ns) / NS_PER_S
                if ahead_s > 0:
                    clock.sleep(min(ahead_s, 0.01))
                    continue
            now_ms = self._now_ms()
            if now_ns - listened_ns >= LISTEN_EVERY_MS * NS_PER_MS:
                listened_ns = now_ns
                for subscriber in live:
                    subscriber.hear(now_ms)
            for subscriber in live:
                if subscriber.open:
                    count = options.batch
                    if options.messages:
                        count = min(count, options.messages - sent)
                    sent += subscriber.burst(count, now_ms) if count > 0 else 0
        return sent

    def linger(self) -> None:
        """Stay connected, answering, until the clients go or the time is over."""
        end_ns = clock.mono_ns() + int(self._options.linger_s * NS_PER_S)
        while not self.stopping and clock.mono_ns() < end_ns:
            for subscriber in self._subscribers:
                subscriber.hear(self._now_ms())
            if not any(subscriber.open for subscriber in self._subscribers):
                return
            clock.sleep(0.01)

    def close(self) -> None:
        for subscriber in self._subscribers:
            subscriber.sock.close()
        self._listener.close()


def _last_rows(subscriber: Subscriber) -> Iterator[dict[str, Any]]:
    block = subscriber.block
    if block is None or not subscriber.sent:
        return
    for listing, (built, update_id) in block.last(subscriber.position).items():
        yield {
            "source": listing.label,
            "symbol": listing.symbol,
            "exchange_symbol": listing.exchange_symbol,
            "update_id": update_id,
            "bid_px": built.bid_px,
            "bid_sz": built.bid_sz,
            "ask_px": built.ask_px,
            "ask_sz": built.ask_sz,
            "px_mul": listing.px_mul,
            "sz_mul": listing.sz_mul,
        }


Report = Callable[[dict[str, Any]], None]


def flood(options: FloodOptions, say: Report, started: Callable[[Flood], None]) -> None:
    """The whole life of one sender; `say` gets the ready line and the report."""
    sender = Flood(options)
    started(sender)
    try:
        say({"ready": True, "port": sender.port, "ws_url": sender.ws_url})
        sender.wait()
        say(sender.run())
        sender.linger()
    finally:
        sender.close()
