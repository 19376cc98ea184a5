"""Binance's REST: instruments, tickers, depth, funding; spot and USD-M speak alike."""

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
from spread_scanner.sim.limits import ALLOWANCES, Query
from spread_scanner.sim.universe import Listing, Universe

PERPETUAL_DELIVERY_MS = 4_133_404_800_000
DAY_MS = 86_400_000
DEPTH_MAX = {"binance-spot": 5000, "binance-futures": 1000}


class BinanceRest:
    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        shared = {
            "exchangeInfo": self._exchange_info, "ticker/bookTicker": self._book_ticker,
            "ticker/price": self._price, "ticker/24hr": self._day, "depth": self._depth,
            "time": self._time, "ping": self._ping,
        }  # fmt: skip
        own = {
            "premiumIndex": self._premium_index, "fundingInfo": self._funding_info,
            "fundingRate": self._funding_rate,
        }  # fmt: skip
        self.routes: Routes = {
            "binance-spot": {f"/api/v3/{name}": route for name, route in shared.items()},
            "binance-futures": {
                f"/fapi/v1/{name}": route for name, route in (shared | own).items()
            },
        }

    def _chosen(self, label: str, query: Query) -> list[Listing] | Answer:
        """All rows, or those of `symbol` or `symbols`."""
        rows = rows_of(self._universe, label)
        names = [query["symbol"]] if "symbol" in query else []
        if "symbols" in query:
            names = [name.strip('"[] ') for name in query["symbols"].split(",")]
        if not names:
            return rows
        found = [row for row in rows if row.exchange_symbol in names]
        if len(found) < len(names):
            return bad(400, {"code": -1121, "msg": "Invalid symbol."})
        return found

    def _answer(self, made: list[dict[str, Any]], query: Query) -> Answer:
        """One symbol is answered by a row, all of them by a list."""
        return good(made[0] if "symbol" in query else made)

    def _exchange_info(self, label: str, query: Query, now_ms: int) -> Answer:
        futures = label == "binance-futures"
        make = _binance_futures_row if futures else _binance_spot_row
        rows = self._chosen(label, query)
        if isinstance(rows, Answer):
            return rows
        limits = [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
             "limit": ALLOWANCES[label].weight},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10,
             "limit": 300 if futures else 100},
        ]  # fmt: skip
        return good({"timezone": "UTC", "serverTime": now_ms, "rateLimits": limits,
                     "exchangeFilters": [], "symbols": [make(row) for row in rows]})  # fmt: skip

    def _book_ticker(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._chosen(label, query)
        if isinstance(rows, Answer):
            return rows
        more = label == "binance-futures"
        return self._answer([_book_ticker(row, now_ms, more=more) for row in rows], query)

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
        spot = label == "binance-spot"
        return self._answer([_day(row, now_ms, spot=spot) for row in rows], query)

    def _depth(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._chosen(label, query)
        if isinstance(rows, Answer):
            return rows
        if "symbol" not in query:
            missing = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
            return bad(400, {"code": -1102, "msg": missing})
        limit = min(whole(query.get("limit", ""), 100), DEPTH_MAX[label])
        times = {"E": now_ms, "T": now_ms - 5} if label == "binance-futures" else {}
        return good({
            "lastUpdateId": rows[0].update_id, **times,
            "bids": levels(rows[0], "bid", limit), "asks": levels(rows[0], "ask", limit),
        })  # fmt: skip

    def _time(self, label: str, query: Query, now_ms: int) -> Answer:
        return good({"serverTime": now_ms})

    def _ping(self, label: str, query: Query, now_ms: int) -> Answer:
        return good({})

    def _premium_index(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._chosen(label, query)
        if isinstance(rows, Answer):
            return rows
        return self._answer([_premium(row, now_ms) for row in rows], query)

    def _funding_info(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = [
            {
                "symbol": row.exchange_symbol,
                "adjustedFundingRateCap": "0.02000000",
                "adjustedFundingRateFloor": "-0.02000000",
                "fundingIntervalHours": interval_hours(row),
                "disclaimer": False,
                "updateTime": 1_758_377_721_362,
            }
            for row in rows_of(self._universe, label)
            if row.kind == "perpetual" and interval_hours(row) != 8
        ]
        return good(rows)

    def _funding_rate(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._chosen(label, query)
        if isinstance(rows, Answer):
            return rows
        count = min(whole(query.get("limit", ""), 100), 1000)
        return good([
            {"symbol": row.exchange_symbol, "fundingTime": at_ms, "fundingRate": rate(row, at_ms),
             "markPrice": row.px(row.bid_ticks)}
            for row in rows[:1]
            for at_ms in reversed(funding_times_ms(row, now_ms, count))
        ])  # fmt: skip


def _book_ticker(row: Listing, now_ms: int, *, more: bool) -> dict[str, Any]:
    """Who does not trade is quoted with zeros."""
    dead = row.status != "trading"
    return {
        "symbol": row.exchange_symbol,
        "bidPrice": row.px(0 if dead else row.bid_ticks),
        "bidQty": row.sz(0 if dead else row.bid_lots),
        "askPrice": row.px(0 if dead else row.ask_ticks),
        "askQty": row.sz(0 if dead else row.ask_lots),
        **({"time": now_ms - 7, "lastUpdateId": row.update_id} if more else {}),
    }


def _day(row: Listing, now_ms: int, *, spot: bool) -> dict[str, Any]:
    """The 24 hours before; made up, but for the present quote that spot rows carry."""
    bid, ask = row.px(row.bid_ticks), row.px(row.ask_ticks)
    quote = {"prevClosePrice": bid, **_book_ticker(row, now_ms, more=False)} if spot else {}
    return {
        **quote, "symbol": row.exchange_symbol, "priceChange": row.px(1),
        "priceChangePercent": "0.103", "weightedAvgPrice": bid, "lastPrice": bid,
        "lastQty": row.sz(row.bid_lots), "openPrice": bid, "highPrice": ask, "lowPrice": bid,
        "volume": "142755.47930000", "quoteVolume": "9965.20361263",
        "openTime": now_ms - DAY_MS, "closeTime": now_ms, "firstId": 391511887,
        "lastId": 391824633, "count": 312747,
    }  # fmt: skip


def _premium(row: Listing, now_ms: int) -> dict[str, Any]:
    return {
        "symbol": row.exchange_symbol,
        "markPrice": row.px(row.bid_ticks),
        "indexPrice": row.px(row.bid_ticks),
        "estimatedSettlePrice": row.px(row.bid_ticks),
        "lastFundingRate": rate(row, now_ms),
        "interestRate": "0.00010000",
        "nextFundingTime": next_funding_ms(row, now_ms),
        "time": now_ms,
    }


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
            {"filterType": "NOTIONAL", "minNotional": f"{row.notional_least:.8f}",
             "applyMinToMarket": True, "maxNotional": "9000000.00000000",
             "applyMaxToMarket": False, "avgPriceMins": 5},
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
            {"filterType": "MIN_NOTIONAL", "notional": f"{row.notional_least:g}"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "TAKE_PROFIT", "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"], "permissionSets": ["GRID", "COPY"],
    }  # fmt: skip
