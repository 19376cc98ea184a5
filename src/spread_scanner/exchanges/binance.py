"""Binance, spot and USD-M futures: requests, subscribe text, and what its bytes mean.

Read by discovery and the feeds through `Adapter`. Raises BadMessage on bytes that are not what the
documentation promises, ExchangeError on an error envelope.

Quirks: subscribing to a stream that does not exist is acknowledged like any other. Spot's book
ticker carries no time. Since the 2026 integration the futures socket mixes coin-margined streams
in: `st` 2 is not ours.
"""

import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from spread_scanner.config import SourceSettings
from spread_scanner.exchanges import wire
from spread_scanner.exchanges.adapter import (
    TS_IMPOSSIBLE,
    Ack,
    Event,
    Funding,
    FundingTerms,
    InstrumentPage,
    Limits,
    Notice,
    NoticeKind,
    PingRule,
    RawInstrument,
    RefusalKind,
    RestQuote,
    RestRequest,
    Skipped,
)
from spread_scanner.exchanges.wire import Number
from spread_scanner.schema.channels import CHANNELS
from spread_scanner.schema.enums import Market, Source
from spread_scanner.schema.records import TS_ABSENT

T = TypeVar("T")

CHANNEL = CHANNELS["binance-spot"][0]  # of both markets
COMBINED = b'{"stream"'  # how frames of a /stream socket begin
ST_COIN_MARGINED = 2
DELIVERY_NEVER_MS = 4_133_404_800_000
TO_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}  # CJK stays as it is
TO_UPPER = {lower: upper for upper, lower in TO_LOWER.items()}
STREAM_NAMED = re.compile(rb'"stream"\s*:\s*"' + wire.SPELLED)

# Spot allows 5 incoming messages/s, our pongs included; futures 10. The futures stream cap is told
# as 200 and as 1,024, so the smaller one stands until topics_per_connection_max says otherwise.
# 300 dials in 5 minutes and address: 260 are ours, the rest is left to others behind it.
SPOT_LIMITS = Limits(1_024, 200, 8_192, 4.0, 0.8, 86_400.0, connects_burst=20)
FUTURES_LIMITS = Limits(200, 200, 8_192, 8.0, 0.8, 86_400.0, connects_burst=20)
NO_PING = PingRule(None, 0.0)
# 0 to 3 say that a request could not be read, which is what REST's codes never say. Too many
# parameters are code 2 as well: the words decide.
REFUSALS = {"-1003": RefusalKind.BUSY, "-1121": RefusalKind.SYMBOL}
# 6,000 and 2,400 of weight a minute and address; the rest is left to others behind it.
SPOT_REST_PER_S, FUTURES_REST_PER_S = 50.0, 20.0


class BookTicker(Struct, gc=False):
    """Payload of <symbol>@bookTicker; `e`, `ps`, `T`, `E`, `st` on futures only.

    {"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",
     "a":"61837.64000000","A":"1.54698000"}

    {"e":"bookTicker","u":11139947831981,"s":"ETHUSDT","ps":"ETHUSDT","b":"1943.64","B":"113.445",
     "a":"1943.65","A":"182.433","T":1785121247583,"E":1785121247584,"st":1}
    """

    u: int
    s: str
    b: float | None = None
    B: float | None = None
    a: float | None = None
    A: float | None = None
    e: str = CHANNEL
    T: wire.Time = 0  # the matching engine's
    # When it was sent: a few ms later, and more under load, which is when it matters; for T that is
    # none, or cannot be.
    E: wire.Time = 0
    st: int = 1


class Combined(Struct, gc=False):
    """{"stream":"btcusdt@bookTicker","data":{...}} from a /stream socket."""

    data: BookTicker


class ErrorBody(Struct):
    """{"code":2,"msg":"Invalid request: unknown variant"}"""

    code: int = 0
    msg: str = ""


class ControlFrame(Struct):
    """Everything else that arrives, told apart by the keys that are there.

    {"result":null,"id":1}
    {"code":2,"msg":"Invalid request: request ID must be an unsigned integer","id":1}
    {"error":{"code":3,"msg":"Invalid JSON"},"id":null}
    {"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}
    {"e":"serverShutdown","E":1770123456789}
    """

    stream: str = ""
    data: "ControlFrame | list[msgspec.Raw] | None" = None
    e: str = ""
    result: object = UNSET
    error: ErrorBody | UnsetType = UNSET
    code: int | UnsetType = UNSET
    msg: str = ""
    id: int | str | None = None


class Filter(Struct):
    """{"filterType":"LOT_SIZE","minQty":"0.00001000","maxQty":"9000.00000000",
    "stepSize":"0.00001000"}
    """

    filterType: str = ""  # noqa: N815
    tickSize: Number = None  # noqa: N815
    minQty: Number = None  # noqa: N815
    stepSize: Number = None  # noqa: N815
    minNotional: Number = None  # noqa: N815
    notional: Number = None


class RestSymbol(Struct):
    """A row of exchangeInfo; contractType and marginAsset on futures, isSpotTradingAllowed on spot.

    {"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT",
     "isSpotTradingAllowed":true,"filters":[...]}

    {"symbol":"1000SHIBUSDT","contractType":"PERPETUAL","deliveryDate":4133404800000,
     "status":"TRADING","baseAsset":"1000SHIB","quoteAsset":"USDT","marginAsset":"USDT",
     "filters":[...]}

    A perpetual with another delivery date is going to be delisted then.
    """

    symbol: str
    status: str
    baseAsset: str  # noqa: N815
    quoteAsset: str  # noqa: N815
    filters: list[Filter] = []
    isSpotTradingAllowed: bool = True  # noqa: N815
    contractType: str = ""  # noqa: N815
    marginAsset: str = ""  # noqa: N815
    deliveryDate: int = DELIVERY_NEVER_MS  # noqa: N815


class ExchangeInfo(Struct):
    """{"rateLimits":[...],"symbols":[...]}"""

    symbols: list[msgspec.Raw]


class TickerRow(Struct):
    """{"symbol":"BTCUSDT","bidPrice":"80349.99000000","bidQty":"0.12541000",
    "askPrice":"80350.00000000","askQty":"3.12980000"}
    """

    symbol: str
    bidPrice: Number = None  # noqa: N815
    bidQty: Number = None  # noqa: N815
    askPrice: Number = None  # noqa: N815
    askQty: Number = None  # noqa: N815


class PremiumRow(Struct):
    """{"symbol":"BTCUSDT","markPrice":"80320.10","indexPrice":"80349.00",
    "lastFundingRate":"0.00003500","nextFundingTime":1787875200000}
    """

    symbol: str
    lastFundingRate: Number = None  # noqa: N815
    nextFundingTime: Number = None  # noqa: N815


class FundingInfoRow(Struct):
    """{"symbol":"LPTUSDT","adjustedFundingRateCap":"0.02000000",
    "adjustedFundingRateFloor":"-0.02000000","fundingIntervalHours":4,"disclaimer":false,
    "updateTime":1752854309429}
    """

    symbol: str
    adjustedFundingRateCap: Number = None  # noqa: N815
    adjustedFundingRateFloor: Number = None  # noqa: N815
    fundingIntervalHours: Number = None  # noqa: N815


_combined = wire.decoder(Combined)
_bare = wire.decoder(BookTicker)
_control = wire.decoder(ControlFrame)
_exchange_info = wire.decoder(ExchangeInfo)
_rows = wire.decoder(list[msgspec.Raw])


class Binance(wire.BaseAdapter):
    """Spot and futures differ in their paths, limits and the extra fields of the payloads."""

    symbol_named = re.compile(rb'"s"\s*:\s*"' + wire.SPELLED)
    period_ms = 0  # bookTicker: "Update Speed: Real-time"

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        self._futures = source.market is Market.FUTURES
        limits = FUTURES_LIMITS if self._futures else SPOT_LIMITS
        super().__init__(source, settings, limits, NO_PING)
        self._channel = wire.channel_of(settings, source.label)
        self.rest_weight_per_s = FUTURES_REST_PER_S if self._futures else SPOT_REST_PER_S
        self._api = "/fapi/v1" if self._futures else "/api/v3"

    def instruments_request(self) -> RestRequest:
        if self._futures:
            return RestRequest(f"{self._api}/exchangeInfo", {}, 1)
        # Permission sets are most of the answer's bytes, and unused.
        return RestRequest(f"{self._api}/exchangeInfo", {"showPermissionSets": "false"}, 20)

    def parse_instruments(self, body: bytes) -> InstrumentPage:
        info = wire.answered(_exchange_info, body, ExchangeInfo)
        good, skipped = wire.rows(RestSymbol, info.symbols)
        return InstrumentPage([self._instrument(row) for row in good], skipped, None)

    def _instrument(self, row: RestSymbol) -> RawInstrument:
        filters = {one.filterType: one for one in row.filters}
        lot = filters.get("LOT_SIZE", Filter("LOT_SIZE"))
        notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or Filter("NOTIONAL")
        in_spot = self._futures or row.isSpotTradingAllowed
        return RawInstrument(
            exchange_symbol=row.symbol,
            base=row.baseAsset,
            quote=row.quoteAsset,
            status=row.status if in_spot else f"{row.status}, but spot trading is not allowed",
            trading=row.status == "TRADING" and in_spot,
            min_qty=wire.positive(lot.minQty),
            tick_size=wire.positive(filters.get("PRICE_FILTER", Filter("PRICE_FILTER")).tickSize),
            lot_step=wire.positive(lot.stepSize),
            min_notional=wire.positive(notional.minNotional) or wire.positive(notional.notional),
            contract_size=1.0,
            settle=row.marginAsset if self._futures else row.quoteAsset,
            contract_type=_contract_type(row) if self._futures else "spot",
            ends_ms=row.deliveryDate if row.deliveryDate not in (0, DELIVERY_NEVER_MS) else None,
        )

    def tickers_request(self) -> RestRequest:
        return RestRequest(f"{self._api}/ticker/bookTicker", {}, 5 if self._futures else 4)

    def parse_tickers(self, body: bytes) -> tuple[list[RestQuote], list[Skipped]]:
        return wire.rest_quotes(
            TickerRow,
            wire.answered(_rows, body),
            lambda row: (row.symbol, row.bidPrice, row.bidQty, row.askPrice, row.askQty),
        )

    def funding_request(self) -> RestRequest | None:
        return RestRequest(f"{self._api}/premiumIndex", {}, 10) if self._futures else None

    def parse_funding(self, body: bytes) -> list[Funding]:
        good, _ = wire.rows(PremiumRow, wire.answered(_rows, body))
        rates = [(row, wire.number(row.lastFundingRate)) for row in good]
        return [
            Funding(row.symbol, rate, None, next_ms=wire.instant_ms(row.nextFundingTime))
            for row, rate in rates
            if rate is not None
        ]

    def funding_terms_request(self) -> RestRequest | None:
        return RestRequest(f"{self._api}/fundingInfo", {}, 1) if self._futures else None

    def parse_funding_terms(self, body: bytes) -> dict[str, FundingTerms]:
        good, _ = wire.rows(FundingInfoRow, wire.answered(_rows, body))
        return {
            row.symbol: FundingTerms(
                wire.positive(row.fundingIntervalHours),
                wire.number(row.adjustedFundingRateCap),
                wire.number(row.adjustedFundingRateFloor),
            )
            for row in good
        }

    def subscribe(self, exchange_symbols: Sequence[str], request_id: int) -> str:
        return self._request("SUBSCRIBE", exchange_symbols, request_id)

    def unsubscribe(self, exchange_symbols: Sequence[str], request_id: int) -> str:
        return self._request("UNSUBSCRIBE", exchange_symbols, request_id)

    def _request(self, method: str, exchange_symbols: Sequence[str], request_id: int) -> str:
        params = [self._stream(symbol) for symbol in exchange_symbols]
        return msgspec.json.encode({"method": method, "params": params, "id": request_id}).decode()

    def _stream(self, exchange_symbol: str) -> str:
        return f"{exchange_symbol.translate(TO_LOWER)}@{self._channel}"

    def topic_bytes(self, exchange_symbol: str) -> int:
        return len(self._stream(exchange_symbol).encode()) + 3

    def symbol_of(self, frame: bytes) -> str:
        """By its stream where the payload does not tell; spot's first levels never do."""
        stream = wire.the_one_named(STREAM_NAMED, frame)
        return super().symbol_of(frame) or stream.partition("@")[0].translate(TO_UPPER)

    def _parse(self, frame: bytes) -> list[Event]:
        try:
            ticker = _combined(frame).data if frame.startswith(COMBINED) else _bare(frame)
        except wire.MALFORMED:
            return self._parse_unusual(frame)
        return self._quote(ticker)

    def _parse_unusual(self, frame: bytes) -> list[Event]:
        """No usual book ticker: a control frame, a ticker of other spelling, or a bad message."""
        control = wire.decoded(_control, frame, ControlFrame)
        payload = control.data if isinstance(control.data, ControlFrame) else control
        if control.stream.endswith(f"@{CHANNEL}"):
            return self._quote(wire.decoded(_combined, frame, Combined).data)
        if payload.e == "serverShutdown" or control.stream == "!serverShutdown":
            return [Notice(NoticeKind.SHUTDOWN, "serverShutdown")]
        answer = _answered(control)
        if answer is not None:
            return [answer]
        if payload.e not in ("", CHANNEL) or (control.stream and not payload.e):
            return [Notice(NoticeKind.OTHER, control.stream or payload.e)]
        return self._quote(wire.decoded(_bare, frame, BookTicker))

    def _quote(self, ticker: BookTicker) -> list[Event]:
        if ticker.st == ST_COIN_MARGINED:
            return [Notice(NoticeKind.OTHER, "coin-margined")]
        if ticker.e != CHANNEL:
            return [Notice(NoticeKind.OTHER, ticker.e)]
        ts_event = ts_engine = sent = TS_ABSENT
        if ticker.T or ticker.E:  # spot says neither
            sent = wire.ts_ns(ticker.E)
            ts_event = wire.engine_ns(ticker.T, sent)
            # One that cannot be is said as it is, whichever of the two.
            if ts_event <= TS_IMPOSSIBLE or sent == TS_IMPOSSIBLE:
                ts_event, ts_engine, sent = sent, ts_event, TS_ABSENT
        bid = wire.flat(ticker.b, ticker.B, ticker.s)
        ask = wire.flat(ticker.a, ticker.A, ticker.s)
        return [wire.quote(ticker.s, bid, ask, ts_event, ticker.u, ts_engine, sent)]

    def templates(self) -> tuple[str, ...]:
        prices = '"b":"{bid_px}","B":"{bid_sz}","a":"{ask_px}","A":"{ask_sz}"'
        if self._futures:
            head = '{"e":"bookTicker","u":{update_id},"s":"{symbol}",'
            times = '"T":{ts_event_ms},"E":{ts_sent_ms}'
            payloads = [head + '"ps":"*",' + prices + "," + times + ',"st":1}']
            payloads.append(head + prices + "," + times + "}")
        else:
            payloads = ['{"u":{update_id},"s":"{symbol}",' + prices + "}"]
        combined = ['{"stream":"*","data":' + payload + "}" for payload in payloads]
        return (*combined, *payloads)


def _answered(control: ControlFrame) -> Event | None:
    """The acknowledgement or refusal of a request, if the frame is one."""
    request_id = "" if control.id is None else str(control.id)
    if control.error is not UNSET:
        return wire.refused(request_id, (), str(control.error.code), control.error.msg, REFUSALS)
    if control.code is not UNSET:
        return wire.refused(request_id, (), str(control.code), control.msg, REFUSALS)
    if control.result is not UNSET:
        return Ack(request_id)
    return None


def _contract_type(row: RestSymbol) -> str:
    if row.contractType == "PERPETUAL":
        return "linear-perpetual"
    return row.contractType.lower().replace("_", "-") or "unknown"
