"""Saved answers of the eight sources, as rows that a test can bend before they are written.

The rows have the fields that discovery reads, in each exchange's own words; `discover` reads them
through the adapters as it reads an exchange.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.discovery.asking import Options
from spread_scanner.discovery.report import Findings
from spread_scanner.discovery.run import Before, discover
from spread_scanner.discovery.show import Bars
from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.symbology.known import Known
from spread_scanner.symbology.tables import Tables

INSTRUMENTS, TICKERS, FUNDING, INTERVALS = "instruments", "tickers", "funding", "funding-intervals"
COINS = {"BTC": 60_000.0, "ETH": 3_000.0, "SOL": 150.0, "ADA": 0.5, "DOT": 4.0, "LTC": 90.0}
Row = dict[str, Any]


class World:
    """Everything that is listed, by (source label, kind); six coins everywhere: 72 pairs."""

    def __init__(self, coins: dict[str, float] | None = None) -> None:
        self.rows: dict[tuple[str, str], Any] = {}
        for source in EXCHANGE_SOURCES:
            make = ROWS[source.label]
            for kind, one in make.items():
                self.rows[source.label, kind] = [
                    one(coin, mid) for coin, mid in (COINS if coins is None else coins).items()
                ]

    def find(self, label: str, kind: str, coin: str) -> Row:
        """The row of a coin."""
        rows: list[Row] = self.rows[label, kind]
        return next(row for row in rows if _name(row).startswith(coin))

    def keep(self, label: str, kind: str, *coins: str) -> None:
        """Nothing is left of a list but these."""
        self.rows[label, kind] = [self.find(label, kind, coin) for coin in coins]

    def answer(self, label: str, kind: str) -> Any:
        """What the exchange would answer."""
        return wrapped(label, kind, self.rows[label, kind])

    def write(self, folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        for label, kind in self.rows:
            text = json.dumps(self.answer(label, kind))
            (folder / f"{label}.{kind}.json").write_text(text, encoding="utf-8")
        return folder


def wrapped(label: str, kind: str, rows: Any) -> Any:
    """Rows in the exchange's envelope."""
    if label.startswith("bybit"):
        return {"retCode": 0, "retMsg": "OK", "result": {"list": rows, "nextPageCursor": ""}}
    if label.startswith("okx"):
        return {"code": "0", "msg": "", "data": rows}
    if label == "mexc-futures":
        return {"success": True, "code": 0, "data": rows}
    return {"timezone": "UTC", "symbols": rows} if kind == INSTRUMENTS else rows


def settings_in(folder: Path) -> Settings:
    """Settings of eight sources, written below a folder."""
    chosen = folder / "config"
    chosen.mkdir(parents=True, exist_ok=True)
    sections = [
        f'[{source.label}]\nrest_url = "http://127.0.0.1:1"\nws_url = "ws://127.0.0.1:1"\n'
        for source in EXCHANGE_SOURCES
    ]
    (chosen / "exchanges.toml").write_text("".join(sections))
    return config.load(chosen, {})


def run(
    folder: Path,
    settings: Settings,
    previous: Tables | None = None,
    known: Known | None = None,
    *,
    accept: bool = False,
) -> Findings:
    """A full run on saved answers."""

    async def offline() -> Findings:
        generation = 1 if previous is None else previous.generation + 1
        before = Before(previous, known or Known(), generation)
        with Bars(Console(stderr=True)) as bars:
            return await discover(settings, Options(offline=folder, accept=accept), before, bars)

    return asyncio.run(offline())


def _name(row: Row) -> str:
    return str(row.get("symbol") or row.get("instId"))


def _binance_spot(coin: str, mid: float) -> Row:
    return {
        "symbol": f"{coin}USDT", "status": "TRADING", "baseAsset": coin, "quoteAsset": "USDT",
        "isSpotTradingAllowed": True,
        "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.01"}],
    }  # fmt: skip


def _binance_futures(coin: str, mid: float) -> Row:
    return {
        "symbol": f"{coin}USDT", "contractType": "PERPETUAL", "deliveryDate": 4133404800000,
        "status": "TRADING", "baseAsset": coin, "quoteAsset": "USDT", "marginAsset": "USDT",
        "filters": [{"filterType": "LOT_SIZE", "minQty": "0.001", "stepSize": "0.001"}],
    }  # fmt: skip


def _bybit(coin: str, mid: float) -> Row:
    return {
        "symbol": f"{coin}USDT", "status": "Trading", "baseCoin": coin, "quoteCoin": "USDT",
        "contractType": "LinearPerpetual", "settleCoin": "USDT", "deliveryTime": "0",
        "priceFilter": {"tickSize": "0.01"}, "lotSizeFilter": {"minOrderQty": "0.001"},
    }  # fmt: skip


def _okx_spot(coin: str, mid: float) -> Row:
    return {
        "instId": f"{coin}-USDT", "baseCcy": coin, "quoteCcy": "USDT", "tickSz": "0.1",
        "lotSz": "0.00000001", "minSz": "0.00001", "state": "live", "expTime": "",
    }  # fmt: skip


def _okx_futures(coin: str, mid: float) -> Row:
    return {
        "instId": f"{coin}-USDT-SWAP", "instFamily": f"{coin}-USDT", "settleCcy": "USDT",
        "ctType": "linear", "ctVal": "0.01", "ctMult": "1", "ctValCcy": coin, "tickSz": "0.1",
        "lotSz": "1", "minSz": "1", "state": "live", "baseCcy": "", "quoteCcy": "",
    }  # fmt: skip


def _mexc_spot(coin: str, mid: float) -> Row:
    return {
        "symbol": f"{coin}USDT", "status": "1", "baseAsset": coin, "quoteAsset": "USDT",
        "baseAssetPrecision": 6, "quotePrecision": 4, "isSpotTradingAllowed": True,
        "baseSizePrecision": "0", "quoteAmountPrecision": "1", "tradeSideType": 1,
    }  # fmt: skip


def _mexc_futures(coin: str, mid: float) -> Row:
    return {
        "symbol": f"{coin}_USDT", "baseCoin": coin, "quoteCoin": "USDT", "baseCoinName": coin,
        "futureType": 1, "settleCoin": "USDT", "contractSize": 0.001, "priceUnit": 0.1,
        "volUnit": 1, "minVol": 1, "state": 0, "isHidden": False, "apiAllowed": True,
    }  # fmt: skip


def _book_ticker(coin: str, mid: float) -> Row:
    symbol = f"{coin}USDT"
    return {
        "symbol": symbol, "bidPrice": str(mid), "bidQty": "10", "askPrice": str(mid), "askQty": "9",
    }  # fmt: skip


def _bybit_ticker(coin: str, mid: float) -> Row:
    return {
        "symbol": f"{coin}USDT", "bid1Price": str(mid), "bid1Size": "10", "ask1Price": str(mid),
        "ask1Size": "12", "fundingRate": "0.0001", "fundingIntervalHour": "8",
    }  # fmt: skip


def _okx_ticker(suffix: str) -> Any:
    return lambda coin, mid: {
        "instId": f"{coin}-USDT{suffix}", "bidPx": str(mid), "bidSz": "6", "askPx": str(mid),
        "askSz": "5",
    }  # fmt: skip


def _funding(**fields: Any) -> Any:
    return lambda coin, mid: {key: _filled(value, coin) for key, value in fields.items()}


def _filled(value: Any, coin: str) -> Any:
    return value.replace("*", coin) if isinstance(value, str) else value


ROWS: dict[str, dict[str, Any]] = {
    "binance-spot": {INSTRUMENTS: _binance_spot, TICKERS: _book_ticker},
    "binance-futures": {
        INSTRUMENTS: _binance_futures,
        TICKERS: _book_ticker,
        FUNDING: _funding(symbol="*USDT", lastFundingRate="0.0001"),
        INTERVALS: _funding(symbol="*USDT", fundingIntervalHours=4),
    },
    "bybit-spot": {INSTRUMENTS: _bybit, TICKERS: _bybit_ticker},
    "bybit-futures": {INSTRUMENTS: _bybit, TICKERS: _bybit_ticker},
    "okx-spot": {INSTRUMENTS: _okx_spot, TICKERS: _okx_ticker("")},
    "okx-futures": {
        INSTRUMENTS: _okx_futures,
        TICKERS: _okx_ticker("-SWAP"),
        FUNDING: _funding(
            instId="*-USDT-SWAP",
            fundingRate="0.0001",
            fundingTime="1787875200000",
            nextFundingTime="1787904000000",
        ),
    },
    "mexc-spot": {INSTRUMENTS: _mexc_spot, TICKERS: _book_ticker},
    "mexc-futures": {
        INSTRUMENTS: _mexc_futures,
        TICKERS: lambda coin, mid: {"symbol": f"{coin}_USDT", "bid1": mid, "ask1": mid},
        FUNDING: _funding(symbol="*_USDT", fundingRate=0.0001, collectCycle=8),
    },
}
