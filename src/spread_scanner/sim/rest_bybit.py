"""Bybit's REST, v5: both markets on one host, told apart by `category`."""

from typing import Any

from spread_scanner.sim.answers import (
    Answer,
    Routes,
    funding_times_ms,
    good,
    interval_hours,
    levels,
    next_funding_ms,
    rate,
    rows_of,
    whole,
)
from spread_scanner.sim.limits import Query
from spread_scanner.sim.universe import Listing, Universe

BYBIT_PAGE = 500


class BybitRest:
    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        routes = {
            "/v5/market/instruments-info": self._bybit_instruments,
            "/v5/market/tickers": self._bybit_tickers,
            "/v5/market/orderbook": self._orderbook,
            "/v5/market/time": self._time,
        }
        funding = {"/v5/market/funding/history": self._funding_history}
        self.routes: Routes = {"bybit-spot": routes, "bybit-futures": routes | funding}

    def _bybit(self, result: dict[str, Any], now_ms: int) -> Answer:
        return good(
            {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now_ms}
        )

    def _refused(self, message: str, now_ms: int) -> Answer:
        """Bybit's errors come with HTTP 200."""
        return good({"retCode": 10001, "retMsg": message, "result": {}, "retExtInfo": {},
                     "time": now_ms})  # fmt: skip

    def _chosen(self, label: str, query: Query, now_ms: int) -> list[Listing] | Answer:
        """The rows of the category, or the one of `symbol`."""
        wanted = "spot" if label == "bybit-spot" else "linear"
        if query.get("category") != wanted:
            return self._refused("params error: Category is invalid", now_ms)
        rows = rows_of(self._universe, label)
        if "symbol" in query:
            rows = [row for row in rows if row.exchange_symbol == query["symbol"]]
            if not rows:
                return self._refused("Not supported symbols", now_ms)
        return rows

    def _bybit_instruments(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._chosen(label, query, now_ms)
        if isinstance(rows, Answer):
            return rows
        closed = query.get("status") == "Closed"
        rows = [row for row in rows if row.trading != closed]
        if label == "bybit-spot":
            return self._bybit(
                {"category": "spot", "list": [_bybit_spot_row(row) for row in rows]}, now_ms
            )
        start = whole(query.get("cursor", ""), 0)
        size = min(whole(query.get("limit", ""), BYBIT_PAGE), 1000)
        page = rows[start : start + size]
        cursor = str(start + size) if start + size < len(rows) else ""
        made = [_bybit_linear_row(row) for row in page]
        return self._bybit({"category": "linear", "list": made, "nextPageCursor": cursor}, now_ms)

    def _bybit_tickers(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._chosen(label, query, now_ms)
        if isinstance(rows, Answer):
            return rows
        category = query["category"]
        made = [_bybit_ticker(row, category, now_ms) for row in rows if row.trading]
        return self._bybit({"category": category, "list": made}, now_ms)

    def _orderbook(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._chosen(label, query, now_ms)
        if isinstance(rows, Answer):
            return rows
        if "symbol" not in query:
            return self._refused("params error: symbol invalid", now_ms)
        usual, most = (1, 200) if label == "bybit-spot" else (25, 500)
        limit = min(whole(query.get("limit", ""), usual), most)
        row = rows[0]
        return self._bybit(
            {"s": row.exchange_symbol, "b": levels(row, "bid", limit),
             "a": levels(row, "ask", limit), "ts": now_ms, "u": row.update_id,
             "seq": row.update_id, "cts": now_ms - 3},
            now_ms,
        )  # fmt: skip

    def _time(self, label: str, query: Query, now_ms: int) -> Answer:
        second, nano = str(now_ms // 1000), str(now_ms * 1_000_000)
        return self._bybit({"timeSecond": second, "timeNano": nano}, now_ms)

    def _funding_history(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._chosen(label, query, now_ms)
        if isinstance(rows, Answer):
            return rows
        count = min(whole(query.get("limit", ""), 200), 200)
        made = [
            {"symbol": row.exchange_symbol, "fundingRate": rate(row, at_ms),
             "fundingRateTimestamp": str(at_ms)}
            for row in rows[:1]
            for at_ms in funding_times_ms(row, now_ms, count)
        ]  # fmt: skip
        return self._bybit({"category": "linear", "list": made}, now_ms)


def _bybit_spot_row(row: Listing) -> dict[str, Any]:
    return {
        "symbolId": row.coin.number + 1, "symbol": row.exchange_symbol, "baseCoin": row.base,
        "quoteCoin": row.quote, "innovation": "0", "status": "Trading" if row.trading else "Closed",
        "marginTrading": "utaOnly", "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": row.lot_step, "quotePrecision": "0.0000001",
            "minOrderQty": row.lot_step, "maxOrderQty": "230",
            "minOrderAmt": f"{row.notional_least:g}", "maxOrderAmt": "8000000",
            "maxLimitOrderQty": "230", "maxMarketOrderQty": "120",
            "postOnlyMaxLimitOrderSize": "1150",
        },
        "priceFilter": {"tickSize": row.tick_size},
        "riskParameters": {"priceLimitRatioX": "0.005", "priceLimitRatioY": "0.01"},
        "symbolType": "", "xstockMultiplier": "1",
    }  # fmt: skip


def _bybit_linear_row(row: Listing) -> dict[str, Any]:
    dated = row.kind == "dated"
    return {
        "symbol": row.exchange_symbol,
        "contractType": "LinearFutures" if dated else "LinearPerpetual",
        "status": "Trading" if row.trading else "Closed", "baseCoin": row.base,
        "quoteCoin": row.quote, "launchTime": "1584230400000",
        "deliveryTime": "1798185600000" if dated else "0", "deliveryFeeRate": "",
        "priceScale": str(row.px_decimals),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "50.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": row.tick_size, "maxPrice": row.px(10**9),
                        "tickSize": row.tick_size},
        "lotSizeFilter": {
            "maxOrderQty": "350000.0", "minOrderQty": row.lot_step, "qtyStep": row.lot_step,
            "postOnlyMaxOrderQty": "350000.0", "maxMktOrderQty": "70000.0",
            "minNotionalValue": f"{row.notional_least:g}",
        },
        "unifiedMarginTrade": True, "fundingInterval": interval_hours(row) * 60,
        "settleCoin": row.settle, "copyTrading": "both", "upperFundingRate": "0.005",
        "lowerFundingRate": "-0.005", "isPreListing": False, "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0.15", "priceLimitRatioY": "0.3"},
        "displayName": row.exchange_symbol, "symbolType": "", "forbidUplWithdrawal": False,
        "symbolId": row.coin.number + 1, "fullName": row.base, "marketRegion": "",
        "underlyingTicker": "",
    }  # fmt: skip


def _bybit_ticker(row: Listing, category: str, now_ms: int) -> dict[str, Any]:
    bid, ask = row.px(row.bid_ticks), row.px(row.ask_ticks)
    ticker: dict[str, Any] = {
        "symbol": row.exchange_symbol, "bid1Price": bid, "bid1Size": row.sz(row.bid_lots),
        "ask1Price": ask, "ask1Size": row.sz(row.ask_lots), "lastPrice": bid,
        "prevPrice24h": bid, "price24hPcnt": "0.0467", "highPrice24h": ask, "lowPrice24h": bid,
        "turnover24h": "512249.605495", "volume24h": "5652594.9",
    }  # fmt: skip
    if category == "spot":
        return {**ticker, "usdIndexPrice": bid}
    perpetual = row.kind == "perpetual"
    return {
        **ticker, "indexPrice": bid, "markPrice": bid, "prevPrice1h": bid,
        "openInterest": "9577870.4", "openInterestValue": "1571728.53",
        "singleOpenInterest": "4788935.2", "singleOpenInterestValue": "785864.27",
        "fundingRate": rate(row, now_ms) if perpetual else "",
        "nextFundingTime": str(next_funding_ms(row, now_ms)) if perpetual else "0",
        "predictedDeliveryPrice": "", "basisRate": "", "deliveryFeeRate": "", "deliveryTime": "0",
        "basis": "", "preOpenPrice": "", "preQty": "", "curPreListingPhase": "Finished",
        "fundingIntervalHour": str(interval_hours(row)) if perpetual else "",
        "basisRateYear": "", "fundingCap": "0.005",
    }  # fmt: skip
