"""Peers of the e2e figures: what a user would write instead, on the same messages.

asyncio_bot: one process, `websockets` connections to the eight sources, orjson, dicts compared on
each message. zmq: the same parts as ours as processes (eight feeds, an engine, a tracker) that talk
over ZeroMQ ipc sockets in JSON. Both stamp when the socket's bytes reach the protocol, as ours
stamps when it reads the frame, and end at the decision (asyncio_bot) or in the tracker (zmq). Both
parse the JSON sources only; MEXC spot's protobuf is received and not decoded, which flatters them.
Returns the median in us.
"""

import asyncio
import json
import multiprocessing as mp
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from spread_scanner import clock, config
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS, EXCHANGE_SOURCES, Source
from spread_scanner.sim.universe import Universe

ENTER_BPS = 60.0
PER_REQUEST = {"okx": 20, "bybit": 10, "binance": 50, "mexc": 15}
PER_CONNECTION = {"mexc-spot": 30}

Quote = tuple[str, float, float, int]  # symbol, bid, ask, stamp
Books = dict[str, dict[str, tuple[float, float]]]


class Exchanges:
    """The sender as a child; `urls` by source label."""

    def __init__(self, script: Path, symbols: int, rate: float, seconds: float) -> None:
        self.child = subprocess.Popen(
            [
                sys.executable, str(script), "--symbols", str(symbols),
                "--rate", str(rate), "--seconds", str(seconds),
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.child.stdout is not None
        self.urls: dict[str, str] = json.loads(self.child.stdout.readline())

    def __enter__(self) -> "Exchanges":
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout):
            if pipe is not None:
                pipe.close()


def listings(symbols: int) -> dict[str, list[tuple[str, str]]]:
    """(exchange symbol, symbol) of each source, as the sender's universe has them."""
    found: dict[str, list[tuple[str, str]]] = {source.label: [] for source in EXCHANGE_SOURCES}
    for listing in Universe(1, symbols).listings:
        if listing.moves:
            found[listing.label].append((listing.exchange_symbol, listing.symbol))
    return found


def quote_of(label: str, message: Any) -> tuple[str, float, float] | None:
    """Exchange symbol, bid and ask of one JSON message."""
    if label.startswith("binance"):
        data = message.get("data")
        return (data["s"], float(data["b"]), float(data["a"])) if data else None
    if label.startswith("bybit"):
        data = message.get("data")
        return (data["s"], float(data["b"][0][0]), float(data["a"][0][0])) if data else None
    if label.startswith("okx"):
        if "data" not in message:
            return None
        data = message["data"][0]
        name = message["arg"]["instId"]
        return name, float(data["bids"][0][0]), float(data["asks"][0][0])
    if message.get("channel") == "push.depth.full":
        data = message["data"]
        return message["symbol"], float(data["bids"][0][0]), float(data["asks"][0][0])
    return None


async def feed(
    source: Source, url: str, listed: list[tuple[str, str]], take: Callable[[str, Quote], None]
) -> None:
    """One connection: subscribe, then hand every quote on with its stamp."""
    import websockets
    from websockets.asyncio.client import ClientConnection

    stamp_ns = 0

    class Stamped(ClientConnection):
        def data_received(self, data: bytes) -> None:
            nonlocal stamp_ns
            stamp_ns = clock.mono_ns()
            super().data_received(data)

    names = dict(listed)
    settings = config.SourceSettings(rest_url="http://127.0.0.1", ws_url=url)
    adapter = adapter_of(source, settings)
    step = 1 if source.label == "mexc-futures" else PER_REQUEST[source.exchange.label]
    async with websockets.connect(url, create_connection=Stamped, compression=None) as socket:
        symbols = list(names)
        for at in range(0, len(symbols), step):
            await socket.send(adapter.subscribe(symbols[at : at + step], at))
        try:
            async for frame in socket:
                if isinstance(frame, bytes) or frame == "pong":
                    continue
                found = quote_of(source.label, orjson.loads(frame))
                if found is not None and found[0] in names:
                    take(source.label, (names[found[0]], found[1], found[2], stamp_ns))
        except websockets.ConnectionClosed:
            return


def connections(listed: dict[str, list[tuple[str, str]]]) -> list[tuple[Source, Any]]:
    """The connections to make: one a source, several where the exchange limits them."""
    made = []
    for source in EXCHANGE_SOURCES:
        rows = listed.get(source.label, [])
        if not rows:
            continue
        size = PER_CONNECTION.get(source.label, len(rows))
        made += [(source, rows[at : at + size]) for at in range(0, len(rows), size)]
    return made


class Comparer:
    """Dicts compared on each quote; `signal` is called with the stamp when a spread opens."""

    def __init__(self, signal: Callable[[int], None]) -> None:
        self._books: Books = {source.label: {} for source in EXCHANGE_SOURCES}
        self._over: set[tuple[str, str]] = set()
        self._signal = signal

    def take(self, label: str, quote: Quote) -> None:
        symbol, bid, ask, stamp_ns = quote
        self._books[label][symbol] = (bid, ask)
        for direction in EXCHANGE_DIRECTIONS:
            if label not in (direction.spot.label, direction.futures.label):
                continue
            spot = self._books[direction.spot.label].get(symbol)
            futures = self._books[direction.futures.label].get(symbol)
            if spot is None or futures is None:
                continue
            over = (futures[0] - spot[1]) / spot[1] * 1e4 >= ENTER_BPS
            key = (direction.label, symbol)
            if over != (key in self._over):
                self._over.symmetric_difference_update({key})
                self._signal(stamp_ns)


def _median_us(latencies_ns: list[int]) -> float:
    if not latencies_ns:
        raise RuntimeError("the peer saw no spread open")
    return float(np.median(latencies_ns)) / 1e3


def asyncio_bot(script: Path, symbols: int, rate: float, seconds: float) -> float:
    """Frame read to decision, in one process."""
    latencies: list[int] = []
    comparer = Comparer(lambda stamp_ns: latencies.append(clock.mono_ns() - stamp_ns))
    with Exchanges(script, symbols, rate, seconds) as exchanges:

        async def bot() -> None:
            feeds = [
                asyncio.create_task(feed(source, exchanges.urls[source.label], rows, comparer.take))
                for source, rows in connections(listings(symbols))
            ]
            await asyncio.sleep(seconds + 3.0)
            for task in feeds:
                task.cancel()
            await asyncio.gather(*feeds, return_exceptions=True)

        asyncio.run(bot())
    return _median_us(latencies)


def _zmq_feed(label: str, url: str, listed: list[tuple[str, str]], to: str) -> None:
    import zmq

    socket = zmq.Context().socket(zmq.PUSH)
    socket.connect(to)

    def send(source: str, quote: Quote) -> None:
        socket.send(orjson.dumps((source, quote)))

    async def all_connections() -> None:
        mine = connections({label: listed})
        await asyncio.gather(*(feed(source, url, rows, send) for source, rows in mine))

    asyncio.run(all_connections())


def _zmq_engine(take_from: str, to: str) -> None:
    import zmq

    context = zmq.Context()
    quotes, signals = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    quotes.bind(take_from)
    signals.connect(to)
    comparer = Comparer(lambda stamp_ns: signals.send(orjson.dumps(stamp_ns)))
    while True:
        label, quote = orjson.loads(quotes.recv())
        comparer.take(label, quote)


def zmq_pipeline(script: Path, symbols: int, rate: float, seconds: float) -> float:
    """Frame read in a feed process to the signal in the tracker's process."""
    import zmq

    context = mp.get_context("fork")
    latencies: list[int] = []
    listed = listings(symbols)
    with (
        tempfile.TemporaryDirectory() as folder,
        Exchanges(script, symbols, rate, seconds) as exchanges,
    ):
        quotes, signals = f"ipc://{folder}/quotes", f"ipc://{folder}/signals"
        children = [context.Process(target=_zmq_engine, args=(quotes, signals), daemon=True)]
        for source in EXCHANGE_SOURCES:
            arguments = (source.label, exchanges.urls[source.label], listed[source.label], quotes)
            children.append(context.Process(target=_zmq_feed, args=arguments, daemon=True))
        for child in children:
            child.start()
        tracker = zmq.Context()
        socket = tracker.socket(zmq.PULL)
        socket.bind(signals)
        end = time.monotonic() + seconds + 4.0
        while time.monotonic() < end:
            if socket.poll(100):
                stamp_ns = orjson.loads(socket.recv())
                latencies.append(clock.mono_ns() - stamp_ns)
        for child in children:
            child.kill()
            child.join()
        socket.close()
        tracker.term()
    return _median_us(latencies)
