"""What a user would take instead of the feed: the same messages into a dict of floats.

Each peer is given what is best for it: no compression, uvloop, bytes instead of text. `run` returns
CPU microseconds per message and raises unless the last quotes are right.
"""

import asyncio
import importlib.util
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from feed_sender import Messages
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from websockets.asyncio.client import connect

from spread_scanner.exchanges.adapter import Adapter, RawQuote

Quotes = dict[str, tuple[float, float, float, float]]
Take = Callable[[bytes], None]


def orjson_take(label: str, quotes: Quotes) -> Take:
    """The shortest correct code for one exchange's message."""

    def binance(message: bytes) -> None:
        data = orjson.loads(message)["data"]
        quotes[data["s"]] = (
            float(data["b"]), float(data["B"]), float(data["a"]), float(data["A"]),
        )  # fmt: skip

    def bybit(message: bytes) -> None:
        data = orjson.loads(message)["data"]
        (bid,), (ask,) = data["b"], data["a"]
        quotes[data["s"]] = (float(bid[0]), float(bid[1]), float(ask[0]), float(ask[1]))

    def okx(message: bytes) -> None:
        push = orjson.loads(message)
        book = push["data"][0]
        bid, ask = book["bids"][0], book["asks"][0]
        quotes[push["arg"]["instId"]] = (
            float(bid[0]), float(bid[1]), float(ask[0]), float(ask[1]),
        )  # fmt: skip

    def mexc(message: bytes) -> None:
        push = orjson.loads(message)
        bid, ask = push["data"]["bids"][0], push["data"]["asks"][0]
        quotes[push["symbol"]] = (float(bid[0]), float(bid[1]), float(ask[0]), float(ask[1]))

    takes = {"binance": binance, "bybit": bybit, "okx": okx, "mexc": mexc}
    return takes[label.partition("-")[0]]


def msgspec_take(adapter: Adapter, quotes: Quotes) -> Take:
    """Typed structs, as the feed's own slow tier has them."""

    def take(message: bytes) -> None:
        for event in adapter.parse(message):
            if isinstance(event, RawQuote):
                quotes[event.exchange_symbol] = event[1:5]

    return take


async def over_websockets(url: str, count: int, take: Take) -> float:
    async with connect(url, compression=None, max_size=None, ping_interval=None) as socket:
        await socket.send("go")
        before = time.process_time()
        for _ in range(count):
            take(await socket.recv(decode=False))
        return time.process_time() - before


async def over_picows(url: str, count: int, take: Take) -> float:
    done = asyncio.Event()
    left = count

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            nonlocal left
            take(frame.get_payload_as_bytes())
            left -= 1
            if left == 0:
                done.set()

    transport, _ = await ws_connect(Listener, url)
    before = time.process_time()
    transport.send(WSMsgType.TEXT, b"go")
    await done.wait()
    spent = time.process_time() - before
    transport.disconnect(graceful=False)
    await transport.wait_disconnected()
    return spent


async def over_cryptofeed(url: str, count: int, quotes: Quotes, names: list[str]) -> float:
    """cryptofeed's Binance ticker handler with one callback, behind the websockets library."""
    from cryptofeed.defines import TICKER
    from cryptofeed.exchanges import Binance
    from cryptofeed.symbols import Symbols

    async def store(ticker: Any, _: float) -> None:
        raw = ticker.raw
        quotes[raw["s"]] = (
            float(ticker.bid), float(raw["B"]), float(ticker.ask), float(raw["A"]),
        )  # fmt: skip

    Symbols.set(Binance.id, {f"{name[:-4]}-{name[-4:]}": name for name in names}, {})
    first = f"{names[0][:-4]}-{names[0][-4:]}"
    feed = Binance(symbols=[first], channels=[TICKER], callbacks={TICKER: store})
    async with connect(url, compression=None, max_size=None, ping_interval=None) as socket:
        await socket.send("go")
        before = time.process_time()
        for _ in range(count):
            await feed.message_handler(await socket.recv(), None, time.time())
        return time.process_time() - before


def peers_of(label: str, adapter: Adapter) -> list[str]:
    names = ["websockets_msgspec", "picows_python"]
    if not adapter.binary:
        names.insert(0, "websockets_orjson")
    if label == "binance-spot" and importlib.util.find_spec("cryptofeed") is not None:
        names.append("cryptofeed")
    return names


async def run(name: str, url: str, sent: Messages, adapter: Adapter) -> float:
    """One peer over one connection."""
    quotes: Quotes = {}
    count = len(sent.frames)
    spent: Awaitable[float]
    if name == "cryptofeed":
        spent = over_cryptofeed(url, count, quotes, list(sent.instruments))
    elif name == "picows_python":
        spent = over_picows(url, count, msgspec_take(adapter, quotes))
    elif name == "websockets_orjson":
        spent = over_websockets(url, count, orjson_take(sent.label, quotes))
    else:
        spent = over_websockets(url, count, msgspec_take(adapter, quotes))
    us = await spent * 1e6 / count
    for row in sent.instruments.values():
        bid_px, bid_sz, ask_px, ask_sz = quotes[row.exchange_symbol]
        found = (bid_px / row.px_div, bid_sz * row.sz_mul, ask_px / row.px_div, ask_sz * row.sz_mul)
        if found != sent.last[row.symbol_id][:4]:
            raise RuntimeError(f"{name} lost or reordered {row.exchange_symbol}")
    return us
