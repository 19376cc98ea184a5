"""REST answers of the four exchanges: instruments, tickers, funding, limits and error envelopes.

A request comes as path and query, an answer goes as status, headers and body. Reads the universe
as it stands now; knows nothing of sockets. Unknown paths get each exchange's own kind of 404.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from spread_scanner.schema.enums import SOURCE_BY_LABEL, Exchange, Market
from spread_scanner.sim.universe import Listing, Universe

PERPETUAL_DELIVERY_MS = 4_133_404_800_000
BYBIT_PAGE = 500
FUNDING_HOUR_MS = 3_600_000


class Answer(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Allowance(NamedTuple):
    """At most `weight` in `window_s`, per source."""

    weight: int
    window_s: float


ALLOWANCES = {
    "binance-spot": Allowance(6000, 60.0),
    "binance-futures": Allowance(2400, 60.0),
    "bybit-spot": Allowance(600, 5.0),
    "bybit-futures": Allowance(600, 5.0),
    "okx-spot": Allowance(20, 2.0),
    "okx-futures": Allowance(20, 2.0),
    "mexc-spot": Allowance(500, 10.0),
    "mexc-futures": Allowance(10, 2.0),
}
WEIGHTS = {
    "/api/v3/exchangeInfo": {"binance-spot": 20, "mexc-spot": 10},
    "/api/v3/ticker/bookTicker": {"binance-spot": 4},
    "/fapi/v1/ticker/bookTicker": {"binance-futures": 5},
    "/fapi/v1/premiumIndex": {"binance-futures": 10},
}

Query = dict[str, str]


def _json(payload: Any) -> Answer:
    headers = [("content-type", "application/json;charset=UTF-8")]
    return Answer(200, headers, orjson.dumps(payload))


def _error(status: int, payload: Any) -> Answer:
    return Answer(status, [("content-type", "application/json")], orjson.dumps(payload))


class Rest:
    """Answers one source's requests; `handle` is all that the server calls."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._used: dict[str, tuple[float, int]] = {}
        self._routes: dict[str, Callable[[str, Query, int], Answer]] = {
            "/api/v3/exchangeInfo": self._exchange_info,
            "/fapi/v1/exchangeInfo": self._exchange_info,
            "/api/v3/ticker/bookTicker": self._book_ticker,
            "/fapi/v1/ticker/bookTicker": self._book_ticker,
            "/fapi/v1/premiumIndex": self._premium_index,
            "/fapi/v1/fundingInfo": self._funding_info,
            "/v5/market/instruments-info": self._bybit_instruments,
            "/v5/market/tickers": self._bybit_tickers,
            "/api/v5/public/instruments": self._okx_instruments,
            "/api/v5/market/tickers": self._okx_tickers,
            "/api/v5/public/funding-rate": self._okx_funding,
            "/api/v1/contract/detail": self._mexc_detail,
            "/api/v1/contract/ticker": self._mexc_ticker,
            "/api/v1/contract/funding_rate": self._mexc_funding,
            "/api/v3/defaultSymbols": self._mexc_default_symbols,
            "/api/v3/time": self._time,
            "/api/v3/ping": self._ping,
        }

    def handle(self, label: str, path: str, query: Query, now_ms: int, mono_s: float) -> Answer:
        """One GET to one source's base."""
        limited = self._charge(label, path, mono_s)
        if limited is not None:
            return limited
        if path.startswith("/api/v1/contract/funding_rate/"):
            path, symbol = path.rsplit("/", 1)
            query = {**query, "symbol": symbol}
        route = self._routes.get(path)
        if route is None:
            return self._not_found(label)
        answer = route(label, query, now_ms)
        if label.startswith("binance"):
            used = str(self._used[label][1])
            answer = answer._replace(headers=[*answer.headers, ("x-mbx-used-weight-1m", used)])
        return answer

    def _charge(self, label: str, path: str, mono_s: float) -> Answer | None:
        """Count the request; the source's own refusal when there were too many."""
        allowance = ALLOWANCES[label]
        start, used = self._used.get(label, (mono_s, 0))
        if mono_s - start >= allowance.window_s:
            start, used = mono_s, 0
        used += WEIGHTS.get(path, {}).get(label, 1)
        self._used[label] = (start, used)
        if used <= allowance.weight:
            return None
        return too_many(label, max(1, round(allowance.window_s - (mono_s - start))))

    def _not_found(self, label: str) -> Answer:
        exchange = SOURCE_BY_LABEL[label].exchange
        if exchange == Exchange.BYBIT:
            return _error(404, {"retCode": 10001, "retMsg": "Not Found"})
        if exchange == Exchange.OKX:
            return _error(404, {"code": "404", "data": [], "msg": "Invalid URL"})
        return _error(404, {"code": -1000, "msg": "Path not found"})

    def _rows(self, label: str) -> list[Listing]:
        return [row for row in self._universe.by_source[label] if row.status != "vanished"]

    # --- Binance, and MEXC spot which speaks alike

    def _exchange_info(self, label: str, query: Query, now_ms: int) -> Answer:
        if label == "mexc-spot":
            listed = [_mexc_spot_row(row) for row in self._rows(label)]
            return _json({"timezone": "CST", "serverTime": now_ms, "rateLimits": [],
                          "exchangeFilters": [], "symbols": listed})  # fmt: skip
        futures = label == "binance-futures"
        make = _binance_futures_row if futures else _binance_spot_row
        rows = self._rows(label)
        if "symbol" in query:
            rows = [row for row in rows if row.exchange_symbol == query["symbol"]]
            if not rows:
                return _error(400, {"code": -1121, "msg": "Invalid symbol."})
        limits = [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
             "limit": ALLOWANCES[label].weight},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10,
             "limit": 300 if futures else 100},
        ]  # fmt: skip
        return _json({"timezone": "UTC", "serverTime": now_ms, "rateLimits": limits,
                      "exchangeFilters": [], "symbols": [make(row) for row in rows]})  # fmt: skip

    def _book_ticker(self, label: str, query: Query, now_ms: int) -> Answer:
        tickers: list[dict[str, Any]] = []
        for row in self._rows(label):
            dead = row.status != "trading"
            ticker: dict[str, Any] = {
                "symbol": row.exchange_symbol,
                "bidPrice": row.px(0 if dead else row.bid_ticks),
                "bidQty": row.sz(0 if dead else row.bid_lots),
                "askPrice": row.px(0 if dead else row.ask_ticks),
                "askQty": row.sz(0 if dead else row.ask_lots),
            }
            if label == "binance-futures":
                ticker["time"] = now_ms - 7
                ticker["lastUpdateId"] = row.update_id
            tickers.append(ticker)
        if "symbol" in query:
            tickers = [row for row in tickers if row["symbol"] == query["symbol"]]
            if not tickers:
                return _error(400, {"code": -1121, "msg": "Invalid symbol."})
            return _json(tickers[0])
        return _json(tickers)

    def _premium_index(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = [
            {
                "symbol": row.exchange_symbol,
                "markPrice": row.px(row.bid_ticks),
                "indexPrice": row.px(row.bid_ticks),
                "estimatedSettlePrice": row.px(row.bid_ticks),
                "lastFundingRate": _rate(row),
                "interestRate": "0.00010000",
                "nextFundingTime": _next_funding_ms(row, now_ms),
                "time": now_ms,
            }
            for row in self._rows(label)
        ]
        return _json(rows)

    def _funding_info(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = [
            {
                "symbol": row.exchange_symbol,
                "adjustedFundingRateCap": "0.02000000",
                "adjustedFundingRateFloor": "-0.02000000",
                "fundingIntervalHours": _interval_hours(row),
                "disclaimer": False,
                "updateTime": 1_758_377_721_362,
            }
            for row in self._rows(label)
            if row.kind == "perpetual" and _interval_hours(row) != 8
        ]
        return _json(rows)

    def _mexc_default_symbols(self, label: str, query: Query, now_ms: int) -> Answer:
        names = [row.exchange_symbol for row in self._rows(label) if row.trading]
        return _json({"code": 200, "data": names, "msg": None})

    def _time(self, label: str, query: Query, now_ms: int) -> Answer:
        return _json({"serverTime": now_ms})

    def _ping(self, label: str, query: Query, now_ms: int) -> Answer:
        return _json({})

    # --- Bybit

    def _bybit(self, result: dict[str, Any], now_ms: int) -> Answer:
        return _json(
            {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": now_ms}
        )

    def _bybit_category(self, label: str, query: Query, now_ms: int) -> tuple[str, Answer | None]:
        wanted = "spot" if label == "bybit-spot" else "linear"
        if query.get("category") != wanted:
            envelope = {"retCode": 10001, "retMsg": "params error: Category is invalid",
                        "result": {}, "retExtInfo": {}, "time": now_ms}  # fmt: skip
            return wanted, _json(envelope)
        return wanted, None

    def _bybit_instruments(self, label: str, query: Query, now_ms: int) -> Answer:
        category, refused = self._bybit_category(label, query, now_ms)
        if refused is not None:
            return refused
        rows = [row for row in self._rows(label) if row.trading]
        if query.get("status") == "Closed":
            rows = [row for row in self._rows(label) if not row.trading]
        if category == "spot":
            return self._bybit(
                {"category": "spot", "list": [_bybit_spot_row(row) for row in rows]}, now_ms
            )
        start = int(query.get("cursor") or 0)
        size = min(int(query.get("limit") or BYBIT_PAGE), 1000)
        page = rows[start : start + size]
        cursor = str(start + size) if start + size < len(rows) else ""
        return self._bybit(
            {
                "category": "linear",
                "list": [_bybit_linear_row(row) for row in page],
                "nextPageCursor": cursor,
            },
            now_ms,
        )

    def _bybit_tickers(self, label: str, query: Query, now_ms: int) -> Answer:
        category, refused = self._bybit_category(label, query, now_ms)
        if refused is not None:
            return refused
        rows = [_bybit_ticker(row, category, now_ms) for row in self._rows(label) if row.trading]
        return self._bybit({"category": category, "list": rows}, now_ms)

    # --- OKX

    def _okx_rows(self, query: Query) -> list[Listing] | None:
        label = {"SPOT": "okx-spot", "SWAP": "okx-futures"}.get(query.get("instType", ""))
        return None if label is None else self._rows(label)

    def _okx_refused(self) -> Answer:
        return _error(400, {"code": "51000", "data": [], "msg": "Parameter instType error"})

    def _okx_instruments(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._okx_rows(query)
        if rows is None:
            return self._okx_refused()
        return _json({"code": "0", "data": [_okx_row(row) for row in rows], "msg": ""})

    def _okx_tickers(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._okx_rows(query)
        if rows is None:
            return self._okx_refused()
        data = [_okx_ticker(row, query["instType"], now_ms) for row in rows if row.trading]
        return _json({"code": "0", "data": data, "msg": ""})

    def _okx_funding(self, label: str, query: Query, now_ms: int) -> Answer:
        wanted = query.get("instId", "")
        rows = [
            row
            for row in self._rows("okx-futures")
            if row.trading and wanted in ("ANY", row.exchange_symbol)
        ]
        if not rows:
            return _error(400, {"code": "51001", "data": [], "msg": "Instrument ID does not exist"})
        data = []
        for row in rows:
            due = _next_funding_ms(row, now_ms)
            step = _interval_hours(row) * FUNDING_HOUR_MS
            data.append({
                "formulaType": "withRate", "fundingRate": _rate(row), "fundingTime": str(due),
                "instId": row.exchange_symbol, "instType": "SWAP",
                "interestRate": "0.0001000000000000", "maxFundingRate": "0.00375",
                "method": "current_period", "minFundingRate": "-0.00375", "nextFundingRate": "",
                "nextFundingTime": str(due + step), "premium": "-0.0005526209667381",
                "prevFundingTime": str(due - step), "settFundingRate": _rate(row),
                "settState": "settled", "ts": str(now_ms),
            })  # fmt: skip
        return _json({"code": "0", "data": data, "msg": ""})

    # --- MEXC futures

    def _mexc(self, data: Any) -> Answer:
        return _json({"success": True, "code": 0, "data": data})

    def _mexc_one(self, rows: list[dict[str, Any]], query: Query) -> Answer:
        if "symbol" not in query:
            return self._mexc(rows)
        one = [row for row in rows if row["symbol"] == query["symbol"]]
        if not one:
            return _json({"success": False, "code": 1001, "message": "Contract does not exist!"})
        return self._mexc(one[0])

    def _mexc_detail(self, label: str, query: Query, now_ms: int) -> Answer:
        return self._mexc_one([_mexc_contract(row) for row in self._rows(label)], query)

    def _mexc_ticker(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = [_mexc_contract_ticker(row, now_ms) for row in self._rows(label) if row.trading]
        return self._mexc_one(rows, query)

    def _mexc_funding(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = [
            {
                "symbol": row.exchange_symbol,
                "fundingRate": float(_rate(row)),
                "maxFundingRate": 0.0018,
                "minFundingRate": -0.0018,
                "collectCycle": _interval_hours(row),
                "nextSettleTime": _next_funding_ms(row, now_ms),
                "timestamp": now_ms,
            }
            for row in self._rows(label)
            if row.trading
        ]
        return self._mexc_one(rows, query)


def too_many(label: str, retry_after_s: int) -> Answer:
    """Each exchange's own words for a rate limit."""
    exchange, market = SOURCE_BY_LABEL[label].exchange, SOURCE_BY_LABEL[label].market
    if exchange == Exchange.BYBIT:
        return _error(403, {"retCode": 10006, "retMsg": "access too frequent"})
    if exchange == Exchange.OKX:
        body: dict[str, Any] = {"code": "50011", "data": [], "msg": "Too Many Requests"}
    elif exchange == Exchange.MEXC and market == Market.FUTURES:
        return _json({"code": 510, "msg": "Requests are too frequent"})
    elif exchange == Exchange.MEXC:
        body = {"code": 429, "msg": "Too Many Requests"}
    else:
        body = {"code": -1003, "msg": "Too much request weight used; please use WebSocket."}
    answer = _error(429, body)
    return answer._replace(headers=[*answer.headers, ("retry-after", str(retry_after_s))])


def _interval_hours(row: Listing) -> int:
    return (8, 8, 4, 8, 1)[row.coin.number % 5]


def _next_funding_ms(row: Listing, now_ms: int) -> int:
    step = _interval_hours(row) * FUNDING_HOUR_MS
    return (now_ms // step + 1) * step


def _rate(row: Listing) -> str:
    """A quiet funding rate, the same in every run of a coin."""
    return f"{((row.coin.number * 37) % 21 - 6) * 1e-5:.8f}"


def _binance_filters(row: Listing) -> list[dict[str, Any]]:
    decimals = 8 if row.label == "binance-spot" else row.sz_decimals
    step = f"{1 / row.sz_pow:.{decimals}f}"
    return [
        {"filterType": "PRICE_FILTER", "minPrice": row.px(1), "maxPrice": row.px(10**9),
         "tickSize": row.px(1)},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": row.sz(9 * 10**8), "stepSize": step},
    ]  # fmt: skip


def _binance_spot_row(row: Listing) -> dict[str, Any]:
    return {
        "symbol": row.exchange_symbol,
        "status": "TRADING" if row.trading else "BREAK",
        "baseAsset": row.base, "baseAssetPrecision": 8, "quoteAsset": row.quote,
        "quotePrecision": 8, "quoteAssetPrecision": 8, "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"],
        "icebergAllowed": True, "ocoAllowed": True, "otoAllowed": True, "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True, "allowTrailingStop": True,
        "cancelReplaceAllowed": True, "amendAllowed": True, "pegInstructionsAllowed": True,
        "isSpotTradingAllowed": row.trading, "isMarginTradingAllowed": False,
        "filters": [
            *_binance_filters(row),
            {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "131.03925887",
             "stepSize": "0.00000000"},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True,
             "maxNotional": "9000000.00000000", "applyMaxToMarket": False, "avgPriceMins": 5},
        ],
        "permissions": [], "permissionSets": [["SPOT", "MARGIN", "TRD_GRP_004"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }  # fmt: skip


def _binance_futures_row(row: Listing) -> dict[str, Any]:
    dated = row.kind == "dated"
    return {
        "symbol": row.exchange_symbol, "pair": row.base + row.quote,
        "contractType": "CURRENT_QUARTER" if dated else "PERPETUAL",
        "deliveryDate": 1_798_185_600_000 if dated else PERPETUAL_DELIVERY_MS,
        "onboardDate": 1_567_965_300_000, "status": "TRADING" if row.trading else "SETTLING",
        "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000",
        "baseAsset": row.base, "quoteAsset": row.quote, "marginAsset": row.settle,
        "pricePrecision": row.px_decimals + 1, "quantityPrecision": row.sz_decimals,
        "baseAssetPrecision": 8, "quotePrecision": 8, "underlyingType": "COIN",
        "underlyingSubType": ["PoW"], "triggerProtect": "0.0500", "liquidationFee": "0.012500",
        "marketTakeBound": "0.05", "maxMoveOrderLimit": 10000,
        "filters": [
            *_binance_filters(row),
            {"filterType": "MARKET_LOT_SIZE", "maxQty": "120", "minQty": row.lot_step,
             "stepSize": row.lot_step},
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": "5"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "TAKE_PROFIT", "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"], "permissionSets": ["GRID", "COPY"],
    }  # fmt: skip


def _bybit_spot_row(row: Listing) -> dict[str, Any]:
    return {
        "symbolId": row.coin.number + 1, "symbol": row.exchange_symbol, "baseCoin": row.base,
        "quoteCoin": row.quote, "innovation": "0", "status": "Trading" if row.trading else "Closed",
        "marginTrading": "utaOnly", "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": row.lot_step, "quotePrecision": "0.0000001",
            "minOrderQty": row.lot_step, "maxOrderQty": "230", "minOrderAmt": "5",
            "maxOrderAmt": "8000000", "maxLimitOrderQty": "230", "maxMarketOrderQty": "120",
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
            "postOnlyMaxOrderQty": "350000.0", "maxMktOrderQty": "70000.0", "minNotionalValue": "5",
        },
        "unifiedMarginTrade": True, "fundingInterval": _interval_hours(row) * 60,
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
        "fundingRate": _rate(row) if perpetual else "",
        "nextFundingTime": str(_next_funding_ms(row, now_ms)) if perpetual else "0",
        "predictedDeliveryPrice": "", "basisRate": "", "deliveryFeeRate": "", "deliveryTime": "0",
        "basis": "", "preOpenPrice": "", "preQty": "", "curPreListingPhase": "Finished",
        "fundingIntervalHour": str(_interval_hours(row)) if perpetual else "",
        "basisRateYear": "", "fundingCap": "0.005",
    }  # fmt: skip


def _okx_row(row: Listing) -> dict[str, Any]:
    swap = row.source.market == Market.FUTURES
    family = f"{row.base}-{row.quote}" if swap else ""
    inverse = row.kind == "inverse"
    return {
        "alias": "", "auctionEndTime": "", "baseCcy": "" if swap else row.base, "category": "1",
        "contTdSwTime": "", "ctMult": "1" if swap else "",
        "ctType": ("inverse" if inverse else "linear") if swap else "",
        "ctVal": _plain(row.contract_size) if swap else "",
        "ctValCcy": ("USD" if inverse else row.base) if swap else "",
        "expTime": "", "futureSettlement": False, "groupId": "4" if swap else "12",
        "instCategory": "1", "instFamily": family, "instId": row.exchange_symbol,
        "instIdCode": 10_000 + row.coin.number, "instType": "SWAP" if swap else "SPOT",
        "lever": "10", "listTime": "1611907686000", "lotSz": row.lot_step,
        "maxLmtAmt": "20000000", "maxLmtSz": "9999999999", "maxMktAmt": "1000000",
        "maxMktSz": "1000000", "minSz": row.lot_step, "openType": "fix_price", "optType": "",
        "quoteCcy": "" if swap else row.quote, "ruleType": "normal",
        "settleCcy": row.settle if swap else "", "state": "live" if row.trading else "suspend",
        "stk": "", "tickSz": row.tick_size, "tradeQuoteCcyList": [] if swap else [row.quote],
        "uly": family, "upcChg": [],
    }  # fmt: skip


def _okx_ticker(row: Listing, inst_type: str, now_ms: int) -> dict[str, Any]:
    bid, ask = row.px(row.bid_ticks), row.px(row.ask_ticks)
    return {
        "instType": inst_type, "instId": row.exchange_symbol, "last": bid, "lastSz": "3.243313",
        "askPx": ask, "askSz": row.sz(row.ask_lots), "bidPx": bid,
        "bidSz": row.sz(row.bid_lots), "open24h": bid, "high24h": ask, "low24h": bid,
        "volCcy24h": "83992.4426775395", "vol24h": "498376.156231", "ts": str(now_ms - 9),
        "sodUtc0": bid, "sodUtc8": bid,
    }  # fmt: skip


def _mexc_spot_row(row: Listing) -> dict[str, Any]:
    return {
        "symbol": row.exchange_symbol, "status": "1" if row.trading else "2",
        "baseAsset": row.base, "baseAssetPrecision": row.sz_decimals, "quoteAsset": row.quote,
        "quotePrecision": row.px_decimals, "quoteAssetPrecision": row.px_decimals,
        "baseCommissionPrecision": row.sz_decimals, "quoteCommissionPrecision": row.px_decimals,
        "orderTypes": ["LIMIT", "MARKET", "LIMIT_MAKER"], "isSpotTradingAllowed": row.trading,
        "isMarginTradingAllowed": False, "quoteAmountPrecision": "1",
        "baseSizePrecision": "0" if row.coin.number % 3 else row.lot_step,
        "permissions": ["SPOT"],
        "filters": [{"filterType": "PERCENT_PRICE_BY_SIDE", "bidMultiplierUp": "0.2",
                     "askMultiplierDown": "0.2"}],
        "maxQuoteAmount": "2000000", "makerCommission": "0", "takerCommission": "0.0005",
        "quoteAmountPrecisionMarket": "1", "maxQuoteAmountMarket": "100000",
        "fullName": row.base_name, "tradeSideType": 1 if row.trading else 4, "contractAddress": "",
        "conceptPlateIds": [52], "firstOpenTime": 1_676_480_400_000, "conceptPlates": [],
        "st": False,
    }  # fmt: skip


def _mexc_contract(row: Listing) -> dict[str, Any]:
    inverse = row.kind == "inverse"
    return {
        "symbol": row.exchange_symbol, "displayName": f"{row.exchange_symbol}永续",
        "displayNameEn": f"{row.exchange_symbol} PERPETUAL", "baseCoin": row.base,
        "quoteCoin": row.quote, "baseCoinName": row.base_name if row.px_mul == 1 else row.base,
        "quoteCoinName": row.quote, "futureType": 1, "settleCoin": row.settle,
        "contractSize": row.contract_size if not inverse else 10, "minLeverage": 1,
        "maxLeverage": 200, "priceScale": row.px_decimals, "volScale": 0, "amountScale": 4,
        "priceUnit": float(row.tick_size), "volUnit": 1, "minVol": 1, "maxVol": 400000,
        "takerFeeRate": 0.0002, "makerFeeRate": 0, "state": 0 if row.trading else 4,
        "isHidden": False, "apiAllowed": True, "limitMaxVol": 2500000, "id": 10 + row.coin.number,
        "createTime": 1_591_242_684_000, "openingTime": 0, "type": 1, "preMarket": False,
        "indexOrigin": ["BITGET", "BYBIT", "BINANCE"], "typeLabel": 0,
    }  # fmt: skip


def _mexc_contract_ticker(row: Listing, now_ms: int) -> dict[str, Any]:
    bid, ask = row.bid_ticks / row.px_pow, row.ask_ticks / row.px_pow
    return {
        "contractId": 10 + row.coin.number, "symbol": row.exchange_symbol, "lastPrice": bid,
        "bid1": bid, "ask1": ask, "volume24": 565457133, "amount24": 4477604519.13254,
        "holdVol": 585233517, "lower24Price": bid, "high24Price": ask, "riseFallRate": 0.0005,
        "riseFallValue": 47.1, "indexPrice": bid, "fairPrice": bid,
        "fundingRate": float(_rate(row)),
        "maxBidPrice": bid, "minAskPrice": ask, "timestamp": now_ms - 40,
    }  # fmt: skip


def _plain(number: float) -> str:
    """A float without an exponent and without trailing zeros."""
    return f"{number:.18f}".rstrip("0").rstrip(".") if number % 1 else str(int(number))
