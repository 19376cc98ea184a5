"""Bybit v5, spot and linear: requests, subscribe text, and what its bytes mean.

Read by discovery and the feeds through `Adapter`. Raises BadMessage on bytes that are not what the
documentation promises, ExchangeError on an error envelope.

Quirks: one bad topic makes the exchange refuse the whole request. Level 1 sends snapshots only, but
a recording of 2023 holds deltas, so they are understood. A snapshot is sent again after 3 s without
change, under the same update id.
"""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage, ExchangeError
from spread_scanner.exchanges import wire
from spread_scanner.exchanges.adapter import (
    Ack,
    Delta,
    Event,
    Funding,
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
from spread_scanner.exchanges.wire import Level, Number
from spread_scanner.schema.enums import Market, Source

T = TypeVar("T")

PAGE_ROWS = "1000"

# A connection takes 21,000 characters of topics in all its requests together: some 800 of these, or
# 500 if every symbol had 27 characters. The number of 500 is ours and a setting; the characters are
# the exchange's. Spot takes 10 topics a request; the futures number is ours: one bad topic refuses
# them all, and the batch has to be split to find it. 500 dials in 5 minutes, address and domain:
# 440 are ours.
TOPIC_BYTES_MAX = 21_000
SPOT_LIMITS = Limits(
    topics_per_connection_max=500,
    topics_per_request_max=10,
    request_bytes_max=TOPIC_BYTES_MAX,
    requests_per_s_max=10.0,
    connects_per_s_max=1.4,
    connects_burst=20,
    lifetime_s=None,
    whole_request_refused=True,
    topic_bytes_per_connection_max=TOPIC_BYTES_MAX,
)
FUTURES_LIMITS = SPOT_LIMITS._replace(topics_per_request_max=100)
PING = PingRule('{"req_id":"ping","op":"ping"}', 20.0)

REFUSED_TOPIC = re.compile(r"orderbook\.\d+\.([^\s,\]]+)")
REFUSED_WHY = re.compile(r"^error:([^,]*)")
ALREADY = "already subscribed"
REFUSALS = {
    "handler not found": RefusalKind.SYMBOL,
    "10001": RefusalKind.SYMBOL,
    "10006": RefusalKind.BUSY,
    "10016": RefusalKind.BUSY,
    "10018": RefusalKind.BUSY,
    "10429": RefusalKind.BUSY,
}


class ChannelBook(Struct):
    """The data of orderbook.1; both lists hold one level at most."""

    s: str
    u: int
    b: list[Level | None] | None = None
    a: list[Level | None] | None = None


class OrderBook(Struct):
    """{"topic":"orderbook.1.BTCUSDT","ts":1786659828109,"type":"snapshot","data":{"s":"BTCUSDT",
    "b":[["63561.5","1.776"]],"a":[["63561.6","4.848"]],"u":31398762,"seq":764144453970},
    "cts":1786659828107}

    `ts` is the time of sending, `cts` the matching engine's: it is old in a snapshot that is sent
    again after 3 s without change, so it is the quote's time, and says something of lag, only where
    `u` is new.
    """

    topic: str
    type: str
    data: ChannelBook
    ts: wire.Time = 0
    cts: wire.Time = 0


class ControlFrame(Struct):
    """{"success":true,"ret_msg":"","conn_id":"c1","req_id":"1","op":"subscribe"}
    {"success":false,"ret_msg":"error:handler not found,topic:orderbook.1.NOPE","conn_id":"c1",
     "req_id":"2","op":"subscribe"}
    {"success":false,"ret_msg":"Too many visits!","ret_code":10006,"req_id":"3","op":"subscribe"}
    {"success":true,"ret_msg":"pong","conn_id":"c1","op":"ping"}
    """

    op: str = ""
    success: bool | None = None
    ret_msg: str | None = None
    ret_code: int | None = None
    req_id: str | None = None
    topic: str = ""


class PriceFilter(Struct, frozen=True):
    """{"minPrice":"0.0001","maxPrice":"1999.9998","tickSize":"0.0001"}"""

    tickSize: Number = None  # noqa: N815


class LotFilter(Struct, frozen=True):
    """Linear: {"minOrderQty":"0.1","qtyStep":"0.1","minNotionalValue":"5"}
    Spot: {"basePrecision":"0.000001","minOrderQty":"0.000001","minOrderAmt":"5"}
    """

    minOrderQty: Number = None  # noqa: N815
    qtyStep: Number = None  # noqa: N815
    minNotionalValue: Number = None  # noqa: N815
    basePrecision: Number = None  # noqa: N815
    minOrderAmt: Number = None  # noqa: N815


class RestInstrument(Struct):
    """{"symbol":"1000PEPEUSDT","contractType":"LinearPerpetual","status":"Trading",
    "baseCoin":"1000PEPE","quoteCoin":"USDT","settleCoin":"USDT","priceFilter":{...},
    "lotSizeFilter":{...},"deliveryTime":"0"}; spot has no contractType and no settleCoin.

    `deliveryTime` of a perpetual is when it is delisted (Bybit v5, Get Instruments Info).
    """

    symbol: str
    status: str
    baseCoin: str  # noqa: N815
    quoteCoin: str  # noqa: N815
    priceFilter: PriceFilter = PriceFilter()  # noqa: N815
    lotSizeFilter: LotFilter = LotFilter()  # noqa: N815
    contractType: str = ""  # noqa: N815
    settleCoin: str = ""  # noqa: N815
    deliveryTime: Number = None  # noqa: N815


class TickerRow(Struct):
    """{"symbol":"0GUSDT","bid1Price":"0.1639","bid1Size":"588.3","ask1Price":"0.1640",
    "ask1Size":"304.4","fundingRate":"0.00005","nextFundingTime":"1787875200000",
    "fundingIntervalHour":"4","fundingCap":"0.005"}

    `fundingCap` holds for either sign (Bybit v5, Get Tickers).
    """

    symbol: str
    bid1Price: Number = None  # noqa: N815
    bid1Size: Number = None  # noqa: N815
    ask1Price: Number = None  # noqa: N815
    ask1Size: Number = None  # noqa: N815
    fundingRate: Number = None  # noqa: N815
    nextFundingTime: Number = None  # noqa: N815
    fundingIntervalHour: Number = None  # noqa: N815
    fundingCap: Number = None  # noqa: N815


class Result(Struct):
    """{"category":"linear","list":[...],"nextPageCursor":"first%3D..."}"""

    rows: list[msgspec.Raw] = msgspec.field(default_factory=list, name="list")
    nextPageCursor: str = ""  # noqa: N815


class RestAnswer(Struct):
    """{"retCode":0,"retMsg":"OK","result":{...},"retExtInfo":{},"time":1787848767000}"""

    retCode: int  # noqa: N815
    result: Result


class RestOutcome(Struct):
    """{"retCode":10001,"retMsg":"params error","result":{},"retExtInfo":{},"time":1}"""

    retCode: int  # noqa: N815
    retMsg: str = ""  # noqa: N815


_order_book = wire.decoder(OrderBook)
_control = wire.decoder(ControlFrame)
_answer = wire.decoder(RestAnswer)
_envelope = wire.decoder(RestOutcome)


class Bybit(wire.BaseAdapter):
    """Spot and linear share everything but the category and a few field names."""

    rest_weight_per_s = 20.0  # of 120 a second and address
    period_ms = 10  # orderbook.1 of both markets: "push frequency: 10ms"
    symbol_named = re.compile(rb'"orderbook\.\d+\.' + wire.SPELLED)

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        self._futures = source.market is Market.FUTURES
        super().__init__(source, settings, FUTURES_LIMITS if self._futures else SPOT_LIMITS, PING)
        self._use_channel(wire.channel_of(settings, source.label))
        self._category = "linear" if self._futures else "spot"

    def _use_channel(self, channel: str) -> None:
        self._channel, self._prefix = channel, f"{channel}."

    def instruments_request(self) -> RestRequest:
        return self._instruments_request("")

    def _instruments_request(self, cursor: str) -> RestRequest:
        params = {"category": self._category}
        if self._futures:  # spot gives everything in one page and ignores both
            params["limit"] = PAGE_ROWS
        if cursor:
            params["cursor"] = cursor
        return RestRequest("/v5/market/instruments-info", params)

    def parse_instruments(self, body: bytes) -> InstrumentPage:
        result = _result(body)
        good, skipped = wire.rows(RestInstrument, result.rows)
        following = self._instruments_request(result.nextPageCursor)
        return InstrumentPage(
            [self._instrument(row) for row in good],
            skipped,
            following if self._futures and result.nextPageCursor else None,
        )

    def _instrument(self, row: RestInstrument) -> RawInstrument:
        lot = row.lotSizeFilter
        return RawInstrument(
            exchange_symbol=row.symbol,
            base=row.baseCoin,
            quote=row.quoteCoin,
            status=row.status,
            trading=row.status == "Trading",
            min_qty=wire.positive(lot.minOrderQty),
            tick_size=wire.positive(row.priceFilter.tickSize),
            lot_step=wire.positive(lot.qtyStep if self._futures else lot.basePrecision),
            min_notional=wire.positive(lot.minNotionalValue if self._futures else lot.minOrderAmt),
            contract_size=1.0,
            settle=row.settleCoin if self._futures else row.quoteCoin,
            contract_type=_contract_type(row) if self._futures else "spot",
            ends_ms=wire.end_ms(row.deliveryTime),
        )

    def tickers_request(self) -> RestRequest:
        return RestRequest("/v5/market/tickers", {"category": self._category})

    def parse_tickers(self, body: bytes) -> tuple[list[RestQuote], list[Skipped]]:
        return wire.rest_quotes(
            TickerRow,
            _result(body).rows,
            lambda row: (row.symbol, row.bid1Price, row.bid1Size, row.ask1Price, row.ask1Size),
        )

    def funding_request(self) -> RestRequest | None:
        return self.tickers_request() if self._futures else None

    def parse_funding(self, body: bytes) -> list[Funding]:
        good, _ = wire.rows(TickerRow, _result(body).rows)
        return [found for row in good if (found := _funding(row)) is not None]

    def subscribe(self, exchange_symbols: Sequence[str], request_id: int) -> str:
        return self._request("subscribe", exchange_symbols, request_id)

    def unsubscribe(self, exchange_symbols: Sequence[str], request_id: int) -> str:
        return self._request("unsubscribe", exchange_symbols, request_id)

    def _request(self, op: str, exchange_symbols: Sequence[str], request_id: int) -> str:
        args = [self._prefix + symbol for symbol in exchange_symbols]
        return msgspec.json.encode({"req_id": str(request_id), "op": op, "args": args}).decode()

    def topic_bytes(self, exchange_symbol: str) -> int:
        return len(self._prefix) + len(exchange_symbol.encode()) + 3

    def _parse(self, frame: bytes) -> list[Event]:
        try:
            book = wire.read(_order_book, frame, OrderBook)
        except wire.MALFORMED:
            return [control_event(frame, self._prefix, _order_book)]
        if not book.topic.startswith(self._prefix):
            return [Notice(NoticeKind.OTHER, book.topic)]
        data = book.data
        ts_event = wire.ts_ns(book.ts)
        if book.type == "snapshot":
            bid, ask = wire.top(data.b), wire.top(data.a)
            made = wire.engine_ns(book.cts, ts_event)
            return [wire.quote(data.s, bid, ask, ts_event, data.u, made)]
        if book.type != "delta":
            raise BadMessage("neither snapshot nor delta", type=book.type)
        bid_change = _changed(data.s, data.b, max)
        ask_change = _changed(data.s, data.a, min)
        # The rules for a symbol and an update id are those of a whole quote.
        checked = wire.quote(data.s, wire.EMPTY, wire.EMPTY, ts_event, data.u)
        return [Delta(checked.exchange_symbol, bid_change, ask_change, ts_event, data.u)]

    def templates(self) -> tuple[str, ...]:
        data = (
            '"data":{"s":"{symbol}","b":[["{bid_px}","{bid_sz}"]],"a":[["{ask_px}","{ask_sz}"]],'
            '"u":{update_id},"seq":{skip_int}}'
        )
        head = '{"topic":"orderbook.1.*",'
        ts_first = head + '"ts":{ts_event_ms},"type":"snapshot",' + data
        type_first = head + '"type":"snapshot","ts":{ts_event_ms},' + data
        cts = ',"cts":{ts_engine_ms}}'
        return (ts_first + cts, type_first + cts, type_first + "}")


def _funding(row: TickerRow) -> Funding | None:
    rate, cap = wire.number(row.fundingRate), wire.positive(row.fundingCap)
    if rate is None:
        return None
    floor = None if cap is None else -cap
    hours = wire.positive(row.fundingIntervalHour)
    return Funding(row.symbol, rate, hours, cap, floor, wire.instant_ms(row.nextFundingTime))


def control_event(frame: bytes, prefix: str, decode: Callable[[bytes], object]) -> Event:
    """What a frame is that is no order book, or BadMessage if by `decode` it ought to be one."""
    control = wire.decoded(_control, frame, ControlFrame)
    if control.topic:
        if control.topic.startswith(prefix):
            wire.decoded(decode, frame)
        return Notice(NoticeKind.OTHER, control.topic)
    message = control.ret_msg or ""
    if control.op in ("ping", "pong") or message == "pong":
        return Notice(NoticeKind.PONG)
    if control.success is None:
        raise BadMessage("neither data nor an answer", raw=frame)
    request_id = control.req_id or ""
    subscribes = control.op == "subscribe" if control.op else None
    if control.success:
        return Ack(request_id, (), subscribes)
    symbols = tuple(REFUSED_TOPIC.findall(message))
    if ALREADY in message and symbols:
        return Ack(request_id, symbols, subscribes)  # the others of the request are not answered
    why = REFUSED_WHY.match(message)
    code = str(control.ret_code) if control.ret_code else why[1] if why else ""
    return wire.refused(request_id, symbols, code, message, REFUSALS)


def _changed(
    symbol: str, levels: wire.Levels, best: Callable[..., tuple[float, float]]
) -> tuple[float, float] | None:
    """What a delta says of one side: nothing, emptied, or its new best level."""
    if levels is None:
        return wire.EMPTY
    if not levels:
        return None
    sides = [wire.EMPTY if one is None else wire.side(one.px, one.sz, symbol) for one in levels]
    standing = [one for one in sides if one is not wire.EMPTY]
    return best(standing) if standing else wire.EMPTY


def _result(body: bytes) -> Result:
    """The result of a REST answer; errors come with HTTP 200 and a code of their own."""
    envelope = wire.decoded(_envelope, body, RestOutcome)
    if envelope.retCode != 0:
        raise ExchangeError(envelope.retMsg, code=envelope.retCode)
    return wire.decoded(_answer, body, RestAnswer).result


def _contract_type(row: RestInstrument) -> str:
    known = {"LinearPerpetual": "linear-perpetual", "LinearFutures": "linear-futures"}
    return known.get(row.contractType, row.contractType or "unknown")
