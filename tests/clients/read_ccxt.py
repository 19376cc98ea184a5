"""ccxt reads one source: lists, quotes and funding by REST, best bids and asks by stream."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt.pro
from client_talk import answer_looks, say, sources

LABEL, BASES = sources()
EXCHANGE, _, MARKET = LABEL.partition("-")
FUTURES = MARKET == "futures"
HOSTS = {  # what stands in the client's own URLs: where it is to be found instead
    "binance": {
        "https://api.binance.com": "rest binance-spot",
        "https://fapi.binance.com": "rest binance-futures",
        "wss://stream.binance.com:9443": "ws binance-spot",
        "wss://fstream.binance.com": "ws binance-futures",
    },
    "bybit": {"https://api.{hostname}": f"rest {LABEL}", "wss://stream.{hostname}": f"ws {LABEL}"},
    "okx": {
        "https://{hostname}": f"rest {LABEL}",
        "wss://ws.okx.com:8443": f"ws {LABEL}",
        "wss://ws.okx.com:443": f"ws {LABEL}",
    },
    "mexc": {
        "https://api.mexc.com/api/v1": "rest mexc-futures /api/v1",
        "https://api.mexc.com": "rest mexc-spot",
        "wss://wbs-api.mexc.com": "ws mexc-spot",
        "wss://contract.mexc.com": "ws mexc-futures",
    },
}
OPTIONS: dict[
    str, dict[str, Any]
] = {  # only what the source has: one kind of market, no private or other hosts
    "binance": {"fetchMarkets": {"types": ["linear" if FUTURES else "spot"]}},
    "bybit": {"fetchMarkets": {"types": ["linear" if FUTURES else "spot"]}},
    "okx": {"fetchMarkets": {"types": ["swap" if FUTURES else "spot"]}},
    "mexc": {"fetchMarkets": {"types": {"spot": not FUTURES, "swap": {"linear": FUTURES}}}},
}


def moved(urls: Any) -> Any:
    """The same URLs, on the simulator."""
    if isinstance(urls, dict):
        return {key: moved(value) for key, value in urls.items()}
    for host, place in HOSTS[EXCHANGE].items():
        if isinstance(urls, str) and urls.startswith(host):
            kind, label, *more = place.split(" ")
            base = BASES[label]
            scheme = "http://" if kind == "rest" else "ws://"
            return scheme + base + "".join(more) + urls.removeprefix(host)
    return urls


class Reader:
    def __init__(self) -> None:
        options: dict[str, Any] = {
            **OPTIONS[EXCHANGE],
            "defaultType": "swap" if FUTURES else "spot",
        }
        self.client = getattr(ccxt.pro, EXCHANGE)({"enableRateLimit": True, "options": options})
        self.client.urls["api"] = moved(self.client.urls["api"])

    def wanted(self) -> list[str]:
        """What the scanner reads too: USDT pairs that trade, perpetual where it is a future."""
        return [
            symbol
            for symbol, market in self.client.markets.items()
            if market["quote"] == "USDT"
            and market["active"]
            and (market["swap"] and market["linear"] if FUTURES else market["spot"])
        ]

    async def read(self) -> list[str]:
        await self.client.load_markets()
        symbols = self.wanted()
        markets = {self.client.market(symbol)["id"]: symbol for symbol in symbols}
        if LABEL == "mexc-futures" or not self.client.has["fetchBidsAsks"]:
            tickers = await self.client.fetch_tickers(symbols)
        else:
            tickers = await self.client.fetch_bids_asks(symbols)
        quotes = {name: self.quote(tickers[s]) for name, s in markets.items() if s in tickers}
        funding = await self.funding(symbols) if FUTURES else {}
        book = await self.client.fetch_order_book(symbols[0], 5)
        depth = [*book["bids"][0][:2], *book["asks"][0][:2]]
        name = self.client.market(symbols[0])["id"]
        time_ms = await self.client.fetch_time()
        say(
            listed=sorted(markets), quotes=quotes, funding=funding, depth={name: depth},
            time_ms=time_ms,
        )  # fmt: skip
        return symbols

    async def funding(self, symbols: list[str]) -> dict[str, Any]:
        if not self.client.has["fetchFundingRates"]:  # MEXC's
            rates = {s: await self.client.fetch_funding_rate(s) for s in symbols[:3]}
        else:
            rates = await self.client.fetch_funding_rates(symbols)
        return {self.client.market(s)["id"]: rate["fundingRate"] for s, rate in rates.items()}

    @staticmethod
    def quote(ticker: dict[str, Any]) -> list[Any]:
        return [ticker["bid"], ticker["bidVolume"], ticker["ask"], ticker["askVolume"]]

    def look(self) -> dict[str, list[Any]]:
        """The client's own cache: what it returns is one message of those that came together."""
        if LABEL == "mexc-futures":
            told = {
                symbol: [*book["bids"][0][:2], *book["asks"][0][:2]]
                for symbol, book in self.client.orderbooks.items()
                if book["bids"] and book["asks"]
            }
        else:
            kept = self.client.tickers if EXCHANGE == "mexc" else self.client.bidsasks
            told = {symbol: self.quote(one) for symbol, one in kept.items()}
        return {self.client.market(symbol)["id"]: one for symbol, one in told.items()}

    async def stream(self, symbols: list[str]) -> None:
        """Its watch_bids_asks of MEXC never resolves, as it hands protobuf to its ticker's handler
        alone: what it calls a ticker of MEXC spot is the best bid and ask. The futures have no
        such stream: the tops of its books are what is followed.
        """
        if EXCHANGE != "mexc":
            while True:
                await self.client.watch_bids_asks(symbols)
        watch = self.client.watch_order_book if FUTURES else self.client.watch_ticker
        await asyncio.gather(*(self.follow(watch, symbol) for symbol in symbols))

    @staticmethod
    async def follow(watch: Callable[[str], Awaitable[Any]], symbol: str) -> None:
        while True:
            await watch(symbol)


async def main() -> None:
    reader = Reader()
    symbols = await reader.read()
    answer_looks(reader.look, lambda: os._exit(0))
    await reader.stream(symbols)


if __name__ == "__main__":
    asyncio.run(main())
