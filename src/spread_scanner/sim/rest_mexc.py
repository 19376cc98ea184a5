"""MEXC's REST: spot v3, which speaks as Binance does, and contract v1, which does not."""

from typing import Any

from spread_scanner.sim.answers import (
    Answer,
    Routes,
    bad,
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

DAY_MS = 86_400_000


class MexcSpotRest:
    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self.routes: Routes = {
            "mexc-spot": {
                "/api/v3/exchangeInfo": self._exchange_info,
                "/api/v3/defaultSymbols": self._default_symbols,
                "/api/v3/ticker/bookTicker": self._book_ticker,
                "/api/v3/ticker/price": self._price,
                "/api/v3/ticker/24hr": self._day,
                "/api/v3/depth": self._depth,
                "/api/v3/time": self._time,
                "/api/v3/ping": self._ping,
            }
        }

    def _chosen(self, label: str, query: Query) -> list[Listing] | Answer:
        rows = rows_of(self._universe, label)
        if "symbol" not in query:
            return rows
        found = [row for row in rows if row.exchange_symbol == query["symbol"]]
        return found or bad(400, {"code": -1121, "msg": "Invalid symbol."})

    def _answer(self, made: list[dict[str, Any]], query: Query) -> Answer:
        return good(made[0] if "symbol" in query else made)

    def _exchange_info(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._chosen(label, query)
        if isinstance(rows, Answer):
            return rows
        return good({"timezone": "CST", "serverTime": now_ms, "rateLimits": [],
                     "exchangeFilters": [],
                     "symbols": [_mexc_spot_row(row) for row in rows]})  # fmt: skip

    def _default_symbols(self, label: str, query: Query, now_ms: int) -> Answer:
        names = [row.exchange_symbol for row in rows_of(self._universe, label) if row.trading]
        return good({"code": 200, "data": names, "msg": None})

    def _book_ticker(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._chosen(label, query)
        if isinstance(rows, Answer):
            return rows
        return self._answer([_book_ticker(row) for row in rows], query)

    def _price(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._chosen(label, query)
        if isinstance(rows, Answer):
            return rows
        made = [{"symbol": row.exchange_symbol, "price": row.px(row.bid_ticks)} for row in rows]
        return self._answer(made, query)

    def _day(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._chosen(label, query)
        if isinstance(rows, Answer):
            return rows
        return self._answer([_day(row, now_ms) for row in rows], query)

    def _depth(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._chosen(label, query)
        if isinstance(rows, Answer):
            return rows
        if "symbol" not in query:
            return bad(400, {"code": 700004, "msg": "Mandatory parameter 'symbol' was not sent"})
        limit = min(whole(query.get("limit", ""), 100), 5000)
        return good({"lastUpdateId": rows[0].update_id, "bids": levels(rows[0], "bid", limit),
                     "asks": levels(rows[0], "ask", limit), "timestamp": now_ms})  # fmt: skip

    def _time(self, label: str, query: Query, now_ms: int) -> Answer:
        return good({"serverTime": now_ms})

    def _ping(self, label: str, query: Query, now_ms: int) -> Answer:
        return good({})


class MexcFuturesRest:
    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        base = "/api/v1/contract"
        self.routes: Routes = {
            "mexc-futures": {
                f"{base}/detail": self._mexc_detail,
                f"{base}/ticker": self._mexc_ticker,
                f"{base}/funding_rate": self._mexc_funding,
                f"{base}/funding_rate/history": self._funding_history,
                f"{base}/depth": self._depth,
                f"{base}/ping": self._ping,
            }
        }

    def _mexc(self, data: Any) -> Answer:
        return good({"success": True, "code": 0, "data": data})

    def _mexc_one(self, rows: list[dict[str, Any]], query: Query) -> Answer:
        if "symbol" not in query:
            return self._mexc(rows)
        one = [row for row in rows if row["symbol"] == query["symbol"]]
        if not one:
            return good({"success": False, "code": 1001, "message": "Contract does not exist!"})
        return self._mexc(one[0])

    def _mexc_detail(self, label: str, query: Query, now_ms: int) -> Answer:
        return self._mexc_one(
            [_mexc_contract(row) for row in rows_of(self._universe, label)], query
        )

    def _mexc_ticker(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = [
            _mexc_contract_ticker(row, now_ms)
            for row in rows_of(self._universe, label)
            if row.trading
        ]
        return self._mexc_one(rows, query)

    def _mexc_funding(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = [
            {
                "symbol": row.exchange_symbol,
                "fundingRate": float(rate(row, now_ms)),
                "maxFundingRate": 0.0018,
                "minFundingRate": -0.0018,
                "collectCycle": interval_hours(row),
                "nextSettleTime": next_funding_ms(row, now_ms),
                "timestamp": now_ms,
                "idxPrice": row.bid_ticks / row.px_pow,
                "fairPrice": row.bid_ticks / row.px_pow,
            }
            for row in rows_of(self._universe, label)
            if row.trading
        ]
        return self._mexc_one(rows, query)

    def _funding_history(self, label: str, query: Query, now_ms: int) -> Answer:
        name, count = query.get("symbol", ""), min(whole(query.get("page_size", ""), 20), 100)
        made = [
            {"symbol": name, "fundingRate": float(rate(row, at_ms)), "settleTime": at_ms,
             "collectCycle": interval_hours(row)}
            for row in rows_of(self._universe, label)
            if row.exchange_symbol == name
            for at_ms in funding_times_ms(row, now_ms, count)
        ]  # fmt: skip
        page = {"pageSize": count, "totalCount": len(made), "totalPage": 1, "currentPage": 1}
        return self._mexc({**page, "resultList": made})

    def _depth(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = rows_of(self._universe, label)
        found = [row for row in rows if row.exchange_symbol == query.get("symbol", "")]
        if not found:
            return good({"success": False, "code": 1001, "message": "Contract does not exist!"})
        row, limit = found[0], min(whole(query.get("limit", ""), 20), 1000)

        def side(name: str) -> list[list[float]]:
            return [[float(px), int(float(sz)), 1] for px, sz in levels(row, name, limit)]

        return self._mexc({"asks": side("ask"), "bids": side("bid"), "version": row.update_id,
                           "timestamp": now_ms})  # fmt: skip

    def _ping(self, label: str, query: Query, now_ms: int) -> Answer:
        return self._mexc(now_ms)


def _book_ticker(row: Listing) -> dict[str, Any]:
    dead = row.status != "trading"
    return {
        "symbol": row.exchange_symbol,
        "bidPrice": row.px(0 if dead else row.bid_ticks),
        "bidQty": row.sz(0 if dead else row.bid_lots),
        "askPrice": row.px(0 if dead else row.ask_ticks),
        "askQty": row.sz(0 if dead else row.ask_lots),
    }


def _day(row: Listing, now_ms: int) -> dict[str, Any]:
    """The 24 hours before; made up, but for the present quote."""
    bid, ask = row.px(row.bid_ticks), row.px(row.ask_ticks)
    return {
        **_book_ticker(row), "priceChange": row.px(1), "priceChangePercent": "0.0661",
        "prevClosePrice": bid, "lastPrice": bid, "openPrice": bid, "highPrice": ask,
        "lowPrice": bid, "volume": "468261.22", "quoteVolume": "165097.252",
        "openTime": now_ms - DAY_MS, "closeTime": now_ms, "count": None,
    }  # fmt: skip


def _mexc_spot_row(row: Listing) -> dict[str, Any]:
    return {
        "symbol": row.exchange_symbol, "status": "1" if row.trading else "2",
        "baseAsset": row.base, "baseAssetPrecision": row.sz_decimals, "quoteAsset": row.quote,
        "quotePrecision": row.px_decimals, "quoteAssetPrecision": row.px_decimals,
        "baseCommissionPrecision": row.sz_decimals, "quoteCommissionPrecision": row.px_decimals,
        "orderTypes": ["LIMIT", "MARKET", "LIMIT_MAKER"], "isSpotTradingAllowed": row.trading,
        "isMarginTradingAllowed": False, "quoteAmountPrecision": f"{row.notional_least:g}",
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


# What every real row of 2025-08-03 carries besides, as BTC_USDT had it.
_CONTRACT_REST: dict[str, Any] = {
    "appraisal": 0, "askLimitPriceRate": 0.1, "automaticDelivery": 0, "baseCoinIconUrl": "",
    "baseCoinId": "93c38b0169214f8689763ce9a63a73ff", "bidLimitPriceRate": 0.1, "conceptPlate": [],
    "conceptPlateId": [], "countryConfigContractMaxLeverage": 0,
    "depthStepList": ["0.01", "0.1", "1", "10"], "feeRateMode": "NORMAL",
    "initialMarginRate": 0.002, "isHot": False, "isMaxLeverage": True, "isNew": False,
    "isZeroFeeRate": False, "isZeroFeeSymbol": False, "leverageFeeRates": [],
    "liquidationFeeRate": 0.0001, "maintenanceMarginRate": 0.001, "marketOrderMaxLevel": 20,
    "marketOrderPriceLimitRate1": 0.2, "marketOrderPriceLimitRate2": 0.005,
    "maxNumOrders": [200, 50], "openingCountdownOption": 1, "positionOpenType": 3,
    "priceCoefficientVariation": 0.004, "riskBaseVol": 1500000, "riskIncrImr": 0, "riskIncrMmr": 0,
    "riskIncrVol": 0, "riskLevelLimit": 1, "riskLimitMode": "CUSTOM",
    "riskLimitType": "BY_VOLUME", "riskLongShortSwitch": 0, "showAppraisalCountdown": 0,
    "showBeforeOpen": True, "stopOnlyFair": False, "threshold": 0, "tieredFeeRates": [],
    "triggerProtect": 0.1, "vid": "128f589271cb4951b03e71e6323eb7be",
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
        **_CONTRACT_REST,
    }  # fmt: skip


def _mexc_contract_ticker(row: Listing, now_ms: int) -> dict[str, Any]:
    bid, ask = row.bid_ticks / row.px_pow, row.ask_ticks / row.px_pow
    return {
        "contractId": 10 + row.coin.number, "symbol": row.exchange_symbol, "lastPrice": bid,
        "bid1": bid, "ask1": ask, "volume24": 565457133, "amount24": 4477604519.13254,
        "holdVol": 585233517, "lower24Price": bid, "high24Price": ask, "riseFallRate": 0.0005,
        "riseFallValue": 47.1, "indexPrice": bid, "fairPrice": bid,
        "fundingRate": float(rate(row, now_ms)),
        "maxBidPrice": bid, "minAskPrice": ask, "timestamp": now_ms - 40,
    }  # fmt: skip
