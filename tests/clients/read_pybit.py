"""pybit reads one source: lists, quotes, funding by REST, orderbook.1 by one websocket."""

import os
import threading
import time
from typing import Any

from client_talk import answer_looks, say, sources
from pybit import _http_manager, unified_trading

LABEL, BASES = sources()
CATEGORY = "linear" if LABEL == "bybit-futures" else "spot"
_http_manager.HTTP_URL = f"http://{BASES[LABEL]}"
unified_trading.PUBLIC_WSS = f"ws://{BASES[LABEL]}/v5/public/{{CHANNEL_TYPE}}"
ARGS_MAX = 10  # of one request on spot

session = unified_trading.HTTP()
rows = session.get_instruments_info(category=CATEGORY)["result"]["list"]
listed = [
    row["symbol"]
    for row in rows
    if row["quoteCoin"] == "USDT"
    and row.get("contractType", "LinearPerpetual") == "LinearPerpetual"
]
tickers = session.get_tickers(category=CATEGORY)["result"]["list"]
names = ("bid1Price", "bid1Size", "ask1Price", "ask1Size")
mine = [row for row in tickers if row["symbol"] in listed]
book = session.get_orderbook(category=CATEGORY, symbol=listed[0], limit=5)["result"]
depth = {listed[0]: [float(n) for n in (*book["b"][0], *book["a"][0])]}
say(
    listed=sorted(listed),
    quotes={row["symbol"]: [float(row[name]) for name in names] for row in mine},
    funding={row["symbol"]: float(row["fundingRate"]) for row in mine if "fundingRate" in row},
    depth=depth,
    time_ms=int(session.get_server_time()["time"]),
)
last: dict[str, list[Any]] = {}


def take(message: dict[str, Any]) -> None:
    data = message["data"]
    bid, ask = data["b"][0], data["a"][0]
    last[data["s"]] = [float(n) for n in (*bid, *ask)]


def listen(stream: Any) -> None:
    for first in range(0, len(listed), ARGS_MAX):
        stream.orderbook_stream(1, listed[first : first + ARGS_MAX], take)


answer_looks(lambda: dict(last), lambda: os._exit(0))
# pybit asks first and notes after that who listens: of an exchange this near the first book may
# come between the two, upon which pybit ends its own stream, and an asking under way waits for
# ever. A user opens another one then.
while True:
    opened = unified_trading.WebSocket(testnet=False, channel_type=CATEGORY)
    threading.Thread(target=listen, args=(opened,), daemon=True).start()
    while not opened.exited:
        time.sleep(0.2)
