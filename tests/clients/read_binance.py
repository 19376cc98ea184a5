"""python-binance reads one source: lists, quotes, funding by REST, bookTicker by one socket."""

import asyncio
import os
from typing import Any

from binance import AsyncClient, BinanceSocketManager
from client_talk import answer_looks, say, sources

LABEL, BASES = sources()
FUTURES = LABEL == "binance-futures"
AsyncClient.API_URL = f"http://{BASES['binance-spot']}/api"
AsyncClient.FUTURES_URL = f"http://{BASES['binance-futures']}/fapi"
BinanceSocketManager.STREAM_URL = f"ws://{BASES['binance-spot']}/"
BinanceSocketManager.FSTREAM_URL = f"ws://{BASES['binance-futures']}/"


def quote(row: dict[str, Any], names: tuple[str, str, str, str]) -> list[float]:
    return [float(row[name]) for name in names]


REST = ("bidPrice", "bidQty", "askPrice", "askQty")
STREAM = ("b", "B", "a", "A")


async def main() -> None:
    client = await AsyncClient.create()
    info = await (client.futures_exchange_info() if FUTURES else client.get_exchange_info())
    rows = [
        row
        for row in info["symbols"]
        if row["quoteAsset"] == "USDT"
        and row["status"] == "TRADING"
        and row.get("contractType", "PERPETUAL") == "PERPETUAL"
    ]
    listed = [row["symbol"] for row in rows]
    tickers = await (
        client.futures_orderbook_ticker() if FUTURES else client.get_orderbook_tickers()
    )
    quotes = {row["symbol"]: quote(row, REST) for row in tickers if row["symbol"] in listed}
    funding: dict[str, Any] = {}
    if FUTURES:
        rates = await client.futures_mark_price()
        funding = {r["symbol"]: float(r["lastFundingRate"]) for r in rates if r["symbol"] in listed}
    ask = client.futures_order_book if FUTURES else client.get_order_book
    book = await ask(symbol=listed[0], limit=5)
    depth = {listed[0]: [float(n) for n in (*book["bids"][0], *book["asks"][0])]}
    time = await (client.futures_time() if FUTURES else client.get_server_time())
    say(listed=sorted(listed), quotes=quotes, funding=funding, depth=depth,
        time_ms=time["serverTime"])  # fmt: skip
    last: dict[str, list[Any]] = {}
    answer_looks(lambda: dict(last), lambda: os._exit(0))
    sockets = BinanceSocketManager(client)
    streams = [f"{name.lower()}@bookTicker" for name in listed]
    if FUTURES:
        socket = sockets.futures_multiplex_socket(streams, category="public")
    else:
        socket = sockets.multiplex_socket(streams)
    async with socket as stream:
        while True:
            data = (await stream.recv())["data"]
            last[data["s"]] = quote(data, STREAM)


asyncio.run(main())
