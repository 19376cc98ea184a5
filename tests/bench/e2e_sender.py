"""The exchanges' side of the e2e benchmarks: eight sources in one process, prebuilt frames, paced.

Prints a ready line with the address of each source, waits until each has its subscribers, sends at
the asked rate in turns of a millisecond, then prints what was sent and the last quote of every
symbol, and a log of how many frames had been written when, so that lag can be told to the frame.
"""

import argparse
import gc
import json
import socket
import sys
import time
from typing import Any

from spread_scanner import clock
from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.sim.block import BLOCK_FRAMES_MIN, Block, calm
from spread_scanner.sim.dialects import Dialect, dialects
from spread_scanner.sim.flood import Subscriber
from spread_scanner.sim.market import Market
from spread_scanner.sim.universe import Listing, Universe

SETTLE_S = 1.5
TURN_S = 0.001
# Kept from running for longer, the sender does not make up for it: the burst of thousands that it
# would owe is no exchange's, it is the benchmark's.
BEHIND_S_MAX = 0.003
JUMPING_SOURCE = "bybit-futures"
JUMPING_SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT")
JUMP = 0.02  # of the price: far over any threshold


def jumps(listing: Listing, round_number: int) -> int:
    """A few symbols of one perpetual jump in every other round: spreads open and close."""
    if listing.label == JUMPING_SOURCE and listing.symbol in JUMPING_SYMBOLS and round_number % 2:
        return int(listing.bid_ticks * JUMP)
    return calm(listing, round_number)


class Outlet:
    """One source: its listener, its subscribers and their blocks."""

    def __init__(self, label: str, dialect: Dialect) -> None:
        self.label = label
        self._dialect = dialect
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.listener.setblocking(False)
        self.subscribers: list[Subscriber] = []
        self.sent = 0  # frames, on each connection
        self.written: list[tuple[int, int]] = []  # (mono ns, frames written before, a connection)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.listener.getsockname()[1]}"

    def attend(self) -> bool:
        """Accept and answer; True if there was anything to do."""
        news = False
        try:
            sock, _ = self.listener.accept()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            self.subscribers.append(Subscriber(sock, self._dialect, len(self.subscribers) + 1))
            news = True
        except BlockingIOError:
            pass
        now_ms = time.time_ns() // 1_000_000
        for subscriber in self.subscribers:
            news |= subscriber.hear(now_ms)
        self.subscribers = [subscriber for subscriber in self.subscribers if subscriber.open]
        return news

    @property
    def ready(self) -> bool:
        return bool(self.subscribers) and all(s.listings for s in self.subscribers)

    def build(self) -> None:
        for subscriber in self.subscribers:
            listings = [listing for listing in subscriber.listings if listing.moves]
            if listings:
                binary = self.label == "mexc-spot"
                subscriber.block = Block(listings, BLOCK_FRAMES_MIN, binary, jumps)

    def send(self, count: int) -> None:
        """Send `count` frames on each connection, so that all stand at the same frame number."""
        now_ms = time.time_ns() // 1_000_000
        self.written.append((clock.mono_ns(), self.sent))
        for subscriber in self.subscribers:
            left = count
            while left > 0:
                done = subscriber.burst(left, now_ms)
                if done == 0:
                    raise RuntimeError(f"{self.label}: a subscriber left")
                left -= done
        self.sent += count

    def connections(self) -> list[dict[str, Any]]:
        """What each connection carries and how many frames its block has."""
        return [
            {
                "symbols": [listing.exchange_symbol for listing in subscriber.listings],
                "frames": len(subscriber.block.built),
            }
            for subscriber in self.subscribers
            if subscriber.block is not None
        ]

    def last(self) -> list[dict[str, Any]]:
        rows = []
        for subscriber in self.subscribers:
            if subscriber.block is None or not subscriber.sent:
                continue
            for listing, (built, update_id) in subscriber.block.last(subscriber.position).items():
                rows.append(
                    {
                        "source": listing.label,
                        "exchange_symbol": listing.exchange_symbol,
                        "update_id": update_id,
                        "bid_px": built.bid_px,
                        "ask_px": built.ask_px,
                    }
                )
        return rows


def await_subscribers(outlets: list[Outlet]) -> None:
    quiet_since = time.monotonic()
    while True:
        news = [outlet.attend() for outlet in outlets]
        if any(news):
            quiet_since = time.monotonic()
        if all(outlet.ready for outlet in outlets) and time.monotonic() - quiet_since > SETTLE_S:
            return
        time.sleep(0.002)


def pace(outlets: list[Outlet], rate: float, seconds: float) -> float:
    """Send `rate` messages a second over all sources; returns the seconds it took."""
    began = turn = attended = time.monotonic()
    forgiven_s = 0.0
    while (now := time.monotonic()) - began < seconds:
        forgiven_s += max(0.0, now - turn - BEHIND_S_MAX)
        turn = now
        owed = (now - began - forgiven_s) * rate / len(outlets)
        for outlet in outlets:
            count = int(owed / len(outlet.subscribers)) - outlet.sent
            if count > 0:
                outlet.send(count)
        if now - attended > 0.05:
            attended = now
            for outlet in outlets:
                outlet.attend()
        time.sleep(max(0.0, TURN_S - (time.monotonic() - now)))
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--symbols", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    universe = Universe(1, options.symbols)
    Market(universe)
    spoken = dialects(universe, set())
    outlets = [Outlet(source.label, spoken[source.label]) for source in EXCHANGE_SOURCES]
    print(json.dumps({outlet.label: outlet.url for outlet in outlets}), flush=True)
    await_subscribers(outlets)
    for outlet in outlets:
        outlet.build()
    # The log of turns grows by thousands of tuples a second; a collection would walk them all, and
    # what is owed after such a pause leaves in one burst.
    gc.disable()
    print(json.dumps({"started": clock.mono_ns()}), flush=True)
    took = pace(outlets, options.rate, options.seconds)
    print(
        json.dumps(
            {
                "sent": sum(outlet.sent * len(outlet.subscribers) for outlet in outlets),
                "seconds": took,
                "last": [row for outlet in outlets for row in outlet.last()],
                "written": {outlet.label: outlet.written for outlet in outlets},
                "connections": {outlet.label: outlet.connections() for outlet in outlets},
            }
        ),
        flush=True,
    )
    sys.stdin.readline()  # keep the connections open until the reader has looked


main()
