"""OKX's REST, v5: one host for both markets, told apart by `instType` and the instrument's name."""

from typing import Any

from spread_scanner.schema.enums import Market
from spread_scanner.sim.answers import (
    FUNDING_HOUR_MS,
    Answer,
    Routes,
    bad,
    funding_times_ms,
    good,
    interval_hours,
    levels,
    next_funding_ms,
    plain,
    rate,
    rows_of,
    whole,
)
from spread_scanner.sim.limits import Query
from spread_scanner.sim.universe import Listing, Universe

ORDER_SZ_MAX = "9999999999.0000000000000000"
SOURCES = {"SPOT": "okx-spot", "SWAP": "okx-futures"}


class OkxRest:
    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        routes = {
            "/api/v5/public/instruments": self._okx_instruments,
            "/api/v5/market/tickers": self._okx_tickers,
            "/api/v5/market/ticker": self._ticker,
            "/api/v5/market/books": self._books,
            "/api/v5/public/funding-rate": self._okx_funding,
            "/api/v5/public/funding-rate-history": self._funding_history,
            "/api/v5/public/time": self._time,
            "/api/v5/system/status": self._status,
        }
        self.routes: Routes = {"okx-spot": routes, "okx-futures": routes}

    def _good(self, data: list[Any]) -> Answer:
        return good({"code": "0", "data": data, "msg": ""})

    def _of_kind(self, query: Query) -> list[Listing] | Answer:
        """All rows of a kind, or the one of `instId`."""
        label = SOURCES.get(query.get("instType", ""))
        if label is None:
            return bad(400, {"code": "51000", "data": [], "msg": "Parameter instType error"})
        rows = rows_of(self._universe, label)
        wanted = query.get("instId")
        return [row for row in rows if wanted in (None, row.exchange_symbol)]

    def _named(self, query: Query) -> Listing | None:
        """The row of an instrument's name, of whatever kind."""
        wanted = query.get("instId", "")
        rows = [row for label in SOURCES.values() for row in rows_of(self._universe, label)]
        return next((row for row in rows if row.exchange_symbol == wanted), None)

    def _unknown(self, query: Query) -> Answer:
        name = query.get("instId", "")
        message = f"Instrument ID, Instrument ID code, or Spread ID doesn't exist: {name}"
        return bad(400, {"code": "51001", "data": [], "msg": message})

    def _okx_instruments(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._of_kind(query)
        return rows if isinstance(rows, Answer) else self._good([_okx_row(row) for row in rows])

    def _okx_tickers(self, label: str, query: Query, now_ms: int) -> Answer:
        rows = self._of_kind(query)
        if isinstance(rows, Answer):
            return rows
        kind = query["instType"]
        return self._good([_okx_ticker(row, kind, now_ms) for row in rows if row.trading])

    def _ticker(self, label: str, query: Query, now_ms: int) -> Answer:
        row = self._named(query)
        if row is None or not row.trading:
            return self._unknown(query)
        kind = "SWAP" if row.source.market == Market.FUTURES else "SPOT"
        return self._good([_okx_ticker(row, kind, now_ms)])

    def _books(self, label: str, query: Query, now_ms: int) -> Answer:
        row = self._named(query)
        if row is None:
            return self._unknown(query)
        count = min(whole(query.get("sz", ""), 1), 400)

        def side(name: str) -> list[list[str]]:
            return [[px, sz, "0", "1"] for px, sz in levels(row, name, count)]

        return self._good([{"asks": side("ask"), "bids": side("bid"), "ts": str(now_ms),
                            "seqId": row.update_id}])  # fmt: skip

    def _okx_funding(self, label: str, query: Query, now_ms: int) -> Answer:
        wanted = query.get("instId", "")
        rows = [
            row
            for row in rows_of(self._universe, "okx-futures")
            if row.trading and wanted in ("ANY", row.exchange_symbol)
        ]
        if not rows:
            return self._unknown(query)
        data = []
        for row in rows:
            due = next_funding_ms(row, now_ms)
            step = interval_hours(row) * FUNDING_HOUR_MS
            data.append({
                "formulaType": "withRate", "impactValue": "20000.0000000000000000",
                "fundingRate": rate(row, now_ms), "fundingTime": str(due),
                "instId": row.exchange_symbol, "instType": "SWAP",
                "interestRate": "0.0001000000000000", "maxFundingRate": "0.00375",
                "method": "current_period", "minFundingRate": "-0.00375", "nextFundingRate": "",
                "nextFundingTime": str(due + step), "premium": "-0.0005526209667381",
                "prevFundingTime": str(due - step), "settFundingRate": rate(row, due - step),
                "settState": "settled", "ts": str(now_ms),
            })  # fmt: skip
        return self._good(data)

    def _funding_history(self, label: str, query: Query, now_ms: int) -> Answer:
        row = self._named(query)
        if row is None or row.source.market != Market.FUTURES:
            return self._unknown(query)
        count = min(whole(query.get("limit", ""), 100), 400)
        return self._good([
            {"formulaType": "withRate", "fundingRate": rate(row, at_ms), "fundingTime": str(at_ms),
             "instId": row.exchange_symbol, "instType": "SWAP", "method": "current_period",
             "realizedRate": rate(row, at_ms)}
            for at_ms in funding_times_ms(row, now_ms, count)
        ])  # fmt: skip

    def _time(self, label: str, query: Query, now_ms: int) -> Answer:
        return self._good([{"ts": str(now_ms)}])

    def _status(self, label: str, query: Query, now_ms: int) -> Answer:
        return self._good([])  # no maintenance is planned


def _okx_row(row: Listing) -> dict[str, Any]:
    swap = row.source.market == Market.FUTURES
    family = f"{row.base}-{row.quote}" if swap else ""
    inverse = row.kind == "inverse"
    return {
        "alias": "", "auctionEndTime": "", "baseCcy": "" if swap else row.base, "category": "1",
        "contTdSwTime": "", "ctMult": "1" if swap else "",
        "ctType": ("inverse" if inverse else "linear") if swap else "",
        "ctVal": plain(row.contract_size) if swap else "",
        "ctValCcy": ("USD" if inverse else row.base) if swap else "",
        "expTime": "", "floatPxLmtPct": "0.01" if swap else "0.005", "freq": "",
        "futureSettlement": False, "groupId": "4" if swap else "12",
        "initPxLmtPct": "0.04" if swap else "", "instCategory": "1", "instFamily": family,
        "instId": row.exchange_symbol,
        "instIdCode": 10_000 + row.coin.number, "instType": "SWAP" if swap else "SPOT",
        "lever": "10", "listTime": "1611907686000", "longPosRemainingQuota": "",
        "lotSz": row.lot_step, "maxIcebergSz": ORDER_SZ_MAX,
        "maxLmtAmt": "20000000", "maxLmtSz": "9999999999", "maxMktAmt": "1000000",
        "maxMktSz": "1000000", "maxPlatOICoinLmt": "", "maxPlatOILmt": "",
        "maxPxLmtPct": "0.02" if swap else "0.01", "maxStopSz": "1000000",
        "maxTriggerSz": ORDER_SZ_MAX, "maxTwapSz": ORDER_SZ_MAX, "method": "",
        "minSz": row.lot_step, "openType": "call_auction" if swap else "fix_price", "optType": "",
        "posLmtAmt": "2800000" if swap else "", "posLmtPct": "25" if swap else "",
        "preMktSwTime": "",
        "quoteCcy": "" if swap else row.quote, "ruleType": "normal", "seriesId": "",
        "settleCcy": row.settle if swap else "", "shortPosRemainingQuota": "",
        "state": "live" if row.trading else "suspend",
        "stk": "", "tickSz": row.tick_size, "tradeQuoteCcyList": [] if swap else [row.quote],
        "uly": family, "upcChg": [],
        **({} if swap else {"rpiMinLevel": "3", "rpiMinPxBand": "20"}),
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
