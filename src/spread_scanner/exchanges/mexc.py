"""MEXC, spot v3 (protobuf) and linear futures v1: requests, subscribe text, what its bytes mean.

Read by discovery and the feeds through `Adapter`. Raises BadMessage on bytes that are not what the
documentation promises, ExchangeError on an error envelope.

Quirks: spot quotes are binary, its answers text; a refusal has code 0 and says so in words only.
Futures have no best-bid/ask channel, so the first levels of the 5-level book are taken; sizes are
in contracts; an acknowledgement does not name its symbol, and one request takes one symbol.
"""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import quote

import msgspec
from msgspec import Struct

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage, ExchangeError
from spread_scanner.exchanges import wire
from spread_scanner.exchanges.adapter import (
    Ack,
    Adapter,
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
from spread_scanner.exchanges.mexc_protobuf import (
    PushedTicker,
    channel_named,
    pushed_ticker,
    wrapper_reader,
)
from spread_scanner.exchanges.wire import Level, Number
from spread_scanner.schema.channels import CHANNELS
from spread_scanner.schema.enums import Market, Source

T = TypeVar("T")

SPOT_TOPIC = "spot@public.aggre.bookTicker.v3.api.pb"
FUTURES_CHANNEL = CHANNELS["mexc-futures"][0]
FUNDING_PATH = "/api/v1/contract/funding_rate"
FUTURES_LEVELS = 5

# Spot: 30 topics a connection, whether enforced or not is unsettled; topics_per_connection_max
# overrides it. Futures: no limit is told, 150 contracts on one connection were seen to work.
# How often one may dial is not told: the 74 connections of all spot symbols are up in 20 s.
SPOT_LIMITS = Limits(30, 30, 4_096, 20.0, 3.5, 86_400.0, connects_burst=5)
FUTURES_LIMITS = Limits(150, 1, 4_096, 20.0, 3.5, None, connects_burst=5)
SPOT_PING = PingRule('{"method":"PING"}', 20.0)
FUTURES_PING = PingRule('{"method":"ping"}', 15.0)

# 510: too frequent, by REST and by socket. 1001: no such contract.
REFUSALS = {"510": RefusalKind.BUSY, "1001": RefusalKind.SYMBOL}
NAMED_CONTRACT = re.compile(r"\[([^\]\s]+)\]")
SPOT_ONLINE = ("1", "ENABLED")
SPOT_STATUS = {"1": "online", "2": "paused", "3": "offline"}
FUTURES_STATE = {0: "enabled", 1: "delivery", 2: "delivered", 3: "offline", 4: "paused"}
CONTRACT_TRADED = FUTURES_STATE[0]
FUTURES_PERPETUAL = 1
SIDE_BOTH, SIDE_BUY_ONLY = 1, 2


class SpotSides(Struct, array_like=True):
    """The four texts of a wrapper: ("86503.92", "14.91335308", "86503.93", "0.004965")"""

    bid_px: float
    bid_sz: float
    ask_px: float
    ask_sz: float


class SpotControl(Struct):
    """{"id":0,"code":0,"msg":"spot@public.aggre.bookTicker.v3.api.pb@10ms@BTCUSDT"}
    {"id":0,"code":0,"msg":"Not Subscribed successfully!
     [spot@public.aggre.bookTicker.v3.api.pb@10ms@NOPE]. Reason: Blocked!"}
    {"id":0,"code":0,"msg":"PONG"}
    """

    msg: str
    id: int | str | None = None
    code: int = 0


class SpotRow(Struct):
    """{"symbol":"AIDOGEUSDT","status":"1","baseAsset":"AIDOGE","baseAssetPrecision":0,
    "quoteAsset":"USDT","quotePrecision":15,"isSpotTradingAllowed":true,"baseSizePrecision":"0",
    "quoteAmountPrecision":"1","tradeSideType":1,"fullName":"AIDOGE"}

    `isSpotTradingAllowed` false means: not through the API; by hand it can be bought.
    """

    symbol: str
    status: str
    baseAsset: str  # noqa: N815
    quoteAsset: str  # noqa: N815
    baseAssetPrecision: int = 0  # noqa: N815
    quotePrecision: int = 0  # noqa: N815
    isSpotTradingAllowed: bool = True  # noqa: N815
    baseSizePrecision: Number = None  # noqa: N815
    quoteAmountPrecision: Number = None  # noqa: N815
    tradeSideType: int = SIDE_BOTH  # noqa: N815


class SpotInfo(Struct):
    """{"timezone":"CST","symbols":[...]}"""

    symbols: list[msgspec.Raw]


class SpotTickerRow(Struct):
    """{"symbol":"ACSUSDT","bidPrice":"0.0001671","bidQty":"65352.25","askPrice":"0.0001675",
    "askQty":"10852.58"}
    """

    symbol: str
    bidPrice: Number = None  # noqa: N815
    bidQty: Number = None  # noqa: N815
    askPrice: Number = None  # noqa: N815
    askQty: Number = None  # noqa: N815


class ChannelBook(Struct):
    """The data of push.depth.full; levels are [price, contracts, orders], best first."""

    asks: list[Level | None] | None = None
    bids: list[Level | None] | None = None
    version: int = 0
    cts: wire.Time = 0


class DepthFull(Struct):
    """{"symbol":"RIF_USDT","data":{"cts":1789498322165,"asks":[[0.080550,48,1],[0.080560,347,1]],
    "bids":[[0.080490,46,1],[0.080480,489,1]],"version":5220571685},"channel":"push.depth.full",
    "ts":1789498322169}

    `ts` is the time of sending, `cts` the matching engine's: the quote's where the version is new.
    """

    channel: str
    symbol: str
    data: ChannelBook
    ts: wire.Time = 0


class FuturesControl(Struct):
    """{"channel":"rs.sub.depth.full","data":"success","ts":1789498321789}
    {"channel":"rs.error","data":"Contract [NOPE_USDT] not exists","ts":1789498321790}
    {"channel":"rs.error","data":"Requests are too frequent","ts":1789498321790}
    {"channel":"pong","data":1789498336785,"ts":1789498336785}
    """

    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class ContractRow(Struct):
    """{"symbol":"BTC_USDT","baseCoin":"BTC","quoteCoin":"USDT","baseCoinName":"BTC",
    "futureType":1,"settleCoin":"USDT","contractSize":0.0001,"priceUnit":0.1,"volUnit":1,
    "minVol":1,"state":0,"isHidden":false,"apiAllowed":true}

    `apiAllowed` is not read: in the list of 2025-08-03 it is false for every contract.
    """

    symbol: str
    baseCoin: str  # noqa: N815
    quoteCoin: str  # noqa: N815
    settleCoin: str  # noqa: N815
    contractSize: Number  # noqa: N815
    state: int
    baseCoinName: str = ""  # noqa: N815
    futureType: int = FUTURES_PERPETUAL  # noqa: N815
    priceUnit: Number = None  # noqa: N815
    volUnit: Number = None  # noqa: N815
    minVol: Number = None  # noqa: N815
    isHidden: bool = False  # noqa: N815


class ContractTickerRow(Struct):
    """{"symbol":"BTC_USDT","lastPrice":80319.3,"bid1":80319.2,"ask1":80319.3,
    "fundingRate":7.3e-05,"timestamp":1787848767691}; there are no sizes.
    """

    symbol: str
    bid1: Number = None
    ask1: Number = None


class RestFunding(Struct):
    """{"symbol":"BTC_USDT","fundingRate":7.3e-05,"maxFundingRate":0.0018,
    "minFundingRate":-0.0018,"collectCycle":8,"nextSettleTime":1787875200000}
    """

    symbol: str
    fundingRate: Number = None  # noqa: N815
    maxFundingRate: Number = None  # noqa: N815
    minFundingRate: Number = None  # noqa: N815
    collectCycle: Number = None  # noqa: N815
    nextSettleTime: Number = None  # noqa: N815


class FuturesAnswer(Struct):
    """{"success":true,"code":0,"data":[...]}, and from the rate limiter
    {"code":510,"msg":"Requests are too frequent"}
    """

    success: bool = False
    code: int | None = None
    data: msgspec.Raw = msgspec.Raw(b"[]")
    message: str = ""
    msg: str = ""


_spot_control = wire.decoder(SpotControl)
_spot_info = wire.decoder(SpotInfo)
_rows = wire.decoder(list[msgspec.Raw])
_depth_full = wire.decoder(DepthFull)
_futures_control = wire.decoder(FuturesControl)
_futures_answer = wire.decoder(FuturesAnswer)


class MexcSpot(wire.BaseAdapter):
    """Spot: JSON answers, protobuf quotes."""

    binary = True
    _named_topic = re.compile(re.escape(SPOT_TOPIC) + r"@\w+@([^\s,\]]+)")  # of answers, too
    rest_weight_per_s = 20.0  # 500, or by another note 300, per 10 s

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        super().__init__(source, settings, SPOT_LIMITS, SPOT_PING)
        wrapper_reader()
        self._speed = wire.channel_of(settings, source.label)
        self.period_ms = int(self._speed.removesuffix("ms"))  # changes are gathered for so long

    def instruments_request(self) -> RestRequest:
        return RestRequest("/api/v3/exchangeInfo", {}, 10)

    def parse_instruments(self, body: bytes) -> InstrumentPage:
        good, skipped = wire.rows(SpotRow, wire.answered(_spot_info, body, SpotInfo).symbols)
        return InstrumentPage([_spot_instrument(row) for row in good], skipped, None)

    def tickers_request(self) -> RestRequest:
        return RestRequest("/api/v3/ticker/bookTicker", {})

    def parse_tickers(self, body: bytes) -> tuple[list[RestQuote], list[Skipped]]:
        return wire.rest_quotes(
            SpotTickerRow,
            wire.answered(_rows, body),
            lambda row: (row.symbol, row.bidPrice, row.bidQty, row.askPrice, row.askQty),
        )

    def subscribe(self, exchange_symbols: Sequence[str], request_id: int) -> str:
        return self._asked("SUBSCRIPTION", exchange_symbols)

    def unsubscribe(self, exchange_symbols: Sequence[str], request_id: int) -> str:
        return self._asked("UNSUBSCRIPTION", exchange_symbols)

    def _asked(self, method: str, exchange_symbols: Sequence[str]) -> str:
        params = [self._topic(symbol) for symbol in exchange_symbols]
        return msgspec.json.encode({"method": method, "params": params}).decode()

    def _topic(self, exchange_symbol: str) -> str:
        return f"{SPOT_TOPIC}@{self._speed}@{exchange_symbol}"

    def topic_bytes(self, exchange_symbol: str) -> int:
        return len(self._topic(exchange_symbol).encode()) + 3

    def symbol_of(self, frame: bytes) -> str:
        return self._symbol_in(channel_named(frame))

    def _symbol_in(self, channel: str) -> str:
        named = self._named_topic.fullmatch(channel)
        return named[1] if named is not None else ""

    def _parse(self, frame: bytes) -> list[Event]:
        if frame.startswith(b"{"):  # no wrapper begins so: it would be a group, which is not used
            return [_spot_control_event(frame, self._named_topic)]
        return self._pushed(frame)

    def _pushed(self, frame: bytes) -> list[Event]:
        """What a wrapper says."""
        pushed = pushed_ticker(frame)
        if not pushed.channel.startswith(SPOT_TOPIC):
            if not pushed.channel.startswith("spot@"):
                raise BadMessage("a wrapper of no channel")
            return [Notice(NoticeKind.OTHER, pushed.channel)]
        try:
            return [_spot_quote(pushed)]
        except BadMessage as error:
            error.evidence.setdefault("symbol", _spot_symbol(pushed))
            raise

    def templates(self) -> tuple[str, ...]:
        return ()  # binary: the native tier has a matcher of its own


class MexcFutures(wire.BaseAdapter):
    """Futures: JSON throughout, one symbol a request."""

    rest_weight_per_s = 4.0  # 10 requests per 2 s
    period_ms = 300  # a book that changed is sent about three times a second
    symbol_named = re.compile(rb'"symbol"\s*:\s*"' + wire.SPELLED)

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        super().__init__(source, settings, FUTURES_LIMITS, FUTURES_PING)
        self._name = wire.channel_of(settings, source.label)  # of the channel, in requests

    def instruments_request(self) -> RestRequest:
        return RestRequest("/api/v1/contract/detail", {})

    def parse_instruments(self, body: bytes) -> InstrumentPage:
        good, skipped = wire.rows(ContractRow, futures_rows(body))
        instruments: list[RawInstrument] = []
        for row in good:
            size = wire.positive(row.contractSize)
            if size is None:
                skipped.append(Skipped(row.symbol, "no contract size"))
            else:
                instruments.append(_contract(row, size))
        return InstrumentPage(instruments, skipped, None)

    def tickers_request(self) -> RestRequest:
        return RestRequest("/api/v1/contract/ticker", {})

    def parse_tickers(self, body: bytes) -> tuple[list[RestQuote], list[Skipped]]:
        return wire.rest_quotes(
            ContractTickerRow,
            futures_rows(body),
            lambda row: (row.symbol, row.bid1, None, row.ask1, None),
        )

    def funding_request(self) -> RestRequest | None:
        if not self.settings.funding_bulk:
            return None
        return RestRequest(FUNDING_PATH, {})

    def listing_funding_request(self, exchange_symbol: str) -> RestRequest | None:
        return RestRequest(f"{FUNDING_PATH}/{quote(exchange_symbol, safe='')}", {})

    def parse_funding(self, body: bytes) -> list[Funding]:
        good, _ = wire.rows(RestFunding, futures_rows(body))
        return [found for row in good if (found := _funding(row)) is not None]

    def subscribe(self, exchange_symbols: Sequence[str], request_id: int) -> str:
        return self._asked("sub", exchange_symbols)

    def unsubscribe(self, exchange_symbols: Sequence[str], request_id: int) -> str:
        return self._asked("unsub", exchange_symbols)

    def _asked(self, method: str, exchange_symbols: Sequence[str]) -> str:
        if len(exchange_symbols) != 1:
            raise ValueError("one symbol a request: see limits.topics_per_request_max")
        made = {"method": f"{method}.{self._name}", "param": self._param(exchange_symbols[0])}
        return msgspec.json.encode(made).decode()

    def _param(self, exchange_symbol: str) -> dict[str, object]:
        return {"symbol": exchange_symbol, "limit": FUTURES_LEVELS}

    def topic_bytes(self, exchange_symbol: str) -> int:
        return len(self.subscribe([exchange_symbol], 0).encode())

    def _parse(self, frame: bytes) -> list[Event]:
        try:
            push = wire.read(_depth_full, frame, DepthFull)
        except wire.MALFORMED:
            return [futures_control_event(frame, f"push.{FUTURES_CHANNEL}", _depth_full)]
        if push.channel != f"push.{FUTURES_CHANNEL}":
            return [Notice(NoticeKind.OTHER, push.channel)]
        book = push.data
        bid, ask = wire.top(book.bids), wire.top(book.asks)
        sent = wire.ts_ns(push.ts)
        made = wire.engine_ns(book.cts, sent)
        return [wire.quote(push.symbol, bid, ask, sent, book.version, made)]

    def templates(self) -> tuple[str, ...]:
        levels = (
            '"asks":[[{ask_px},{ask_sz},{skip_int}]{skip_levels}],'
            '"bids":[[{bid_px},{bid_sz},{skip_int}]{skip_levels}],"version":{update_id}'
        )
        head = '{"symbol":"{symbol}","data":{'
        tail = '},"channel":"push.depth.full","ts":{ts_event_ms}}'
        cts = '"cts":{ts_engine_ms}'
        return (
            head + cts + "," + levels + tail,
            head + levels + "," + cts + tail,
            head + levels + tail,
        )


def adapter(source: Source, settings: SourceSettings) -> Adapter:
    """The adapter of either market."""
    if source.market is Market.FUTURES:
        return MexcFutures(source, settings)
    return MexcSpot(source, settings)


def _spot_quote(pushed: PushedTicker) -> Event:
    symbol = _spot_symbol(pushed)
    if not pushed.has_body:
        # Seen live: a frame of channel, symbol and time only. It states nothing about the book.
        return Notice(NoticeKind.OTHER, "no body")
    bid, ask = _spot_sides(pushed)
    version = version_of(pushed.version) if pushed.version else 0
    return wire.quote(symbol, bid, ask, wire.ts_ns(pushed.send_time), version)


def version_of(text: str) -> int:
    """A version that a wrapper spells."""
    if not (text.isascii() and text.isdigit()):
        raise BadMessage("a version that is no number", version=text)
    if len(text) > len(str(wire.UPDATE_ID_MAX)):
        raise BadMessage("update id out of range", version=text)
    return int(text)


def _spot_symbol(pushed: PushedTicker) -> str:
    return pushed.symbol or pushed.channel.rpartition("@")[2]


def _spot_sides(pushed: PushedTicker) -> tuple[tuple[float, float], tuple[float, float]]:
    """Both sides as the wrapper's texts state them; proto3 leaves an absent one as empty text."""
    texts = pushed[4:8]
    if "" in texts:
        return _spot_side(texts[:2]), _spot_side(texts[2:])
    both = _converted(texts, SpotSides)
    return (both.bid_px, both.bid_sz), (both.ask_px, both.ask_sz)


def _spot_side(texts: tuple[str, ...]) -> tuple[float, float]:
    return wire.top([_converted(texts, Level)] if any(texts) else [])


def _converted(texts: tuple[str, ...], kind: type[T]) -> T:
    """The texts as numbers, by the same grammar as in JSON."""
    try:
        return msgspec.convert(texts, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadMessage(f"not a price or size: {error}", texts=str(texts)) from None


def _spot_control_event(frame: bytes, named_topic: re.Pattern[str]) -> Event:
    control = wire.decoded(_spot_control, frame, SpotControl)
    request_id = "" if control.id is None else str(control.id)
    if control.msg == "PONG":
        return Notice(NoticeKind.PONG)
    topics = tuple(named_topic.findall(control.msg))
    # What is taken is named: other words of code 0 acknowledge nothing.
    if control.code != 0 or control.msg.startswith("Not ") or not topics:
        # Behind the first list may stand the topics of the same request that were taken.
        refused = tuple(named_topic.findall(control.msg.partition("]")[0]))
        return wire.refused(request_id, refused, str(control.code), control.msg, REFUSALS)
    return Ack(request_id, topics)


def futures_control_event(frame: bytes, ours: str, decode: Callable[[bytes], object]) -> Event:
    """What a frame is that is no book, or BadMessage if it ought to have been one, by `decode`."""
    control = wire.decoded(_futures_control, frame, FuturesControl)
    channel = control.channel
    if channel == ours:
        wire.decoded(decode, frame)
    if channel == "pong":
        return Notice(NoticeKind.PONG)
    if channel == "rs.error":
        message = _text(control.data)
        return wire.refused("", NAMED_CONTRACT.findall(message), channel, message)
    if channel.startswith(("rs.sub.", "rs.unsub.")):
        message = _text(control.data)
        if message == "success":
            return Ack("", (), channel.startswith("rs.sub."))
        return wire.refused("", NAMED_CONTRACT.findall(message), channel, message)
    return Notice(NoticeKind.OTHER, channel)


def _text(raw: msgspec.Raw) -> str:
    """The JSON value as text: a string by its content, anything else as it stands."""
    try:
        return msgspec.json.decode(raw, type=str)
    except wire.MALFORMED:
        return bytes(raw).decode(errors="replace")


def _spot_instrument(row: SpotRow) -> RawInstrument:
    step = wire.positive(f"1e{-row.baseAssetPrecision}")
    buyable = row.tradeSideType in (SIDE_BOTH, SIDE_BUY_ONLY)
    status = SPOT_STATUS.get(row.status, row.status)
    return RawInstrument(
        exchange_symbol=row.symbol,
        base=row.baseAsset,
        quote=row.quoteAsset,
        status=status if buyable else f"{status}, cannot be bought",
        trading=row.status in SPOT_ONLINE and buyable,
        api_closed=not row.isSpotTradingAllowed,
        min_qty=wire.positive(row.baseSizePrecision) or step,  # "0" on most symbols
        tick_size=wire.positive(f"1e{-row.quotePrecision}"),
        lot_step=step,
        min_notional=wire.positive(row.quoteAmountPrecision),
        contract_size=1.0,
        settle=row.quoteAsset,
        contract_type="spot",
    )


def contract_status(state: int, *, hidden: bool) -> str:
    """In words; CONTRACT_TRADED alone is traded."""
    word = FUTURES_STATE.get(state, f"state {state}")
    return f"{word}, hidden" if hidden else word


def _contract(row: ContractRow, contract_size: float) -> RawInstrument:
    status = contract_status(row.state, hidden=row.isHidden)
    kind = "linear" if row.settleCoin == row.quoteCoin else "inverse"
    perpetual = row.futureType == FUTURES_PERPETUAL
    return RawInstrument(
        exchange_symbol=row.symbol,
        base=row.baseCoin,
        quote=row.quoteCoin,
        status=status,
        trading=status == CONTRACT_TRADED,
        min_qty=wire.positive(row.minVol),
        tick_size=wire.positive(row.priceUnit),
        lot_step=wire.positive(row.volUnit),
        min_notional=None,
        contract_size=contract_size,
        settle=row.settleCoin,
        contract_type=f"{kind}-{'perpetual' if perpetual else 'delivery'}",
        base_name=row.baseCoinName,
    )


def _funding(row: RestFunding) -> Funding | None:
    rate = wire.number(row.fundingRate)
    if rate is None:
        return None
    cap, floor = wire.number(row.maxFundingRate), wire.number(row.minFundingRate)
    hours, due = wire.positive(row.collectCycle), wire.instant_ms(row.nextSettleTime)
    return Funding(row.symbol, rate, hours, cap, floor, due)


def futures_rows(body: bytes) -> list[msgspec.Raw]:
    """The rows of a REST answer; a single row counts as a list of one."""
    answer = wire.decoded(_futures_answer, body, FuturesAnswer)
    if not answer.success:
        if answer.code is None:
            raise BadMessage("neither a success nor an error", raw=body)
        raise ExchangeError(answer.message or answer.msg, code=answer.code)
    if bytes(answer.data).startswith(b"["):
        return wire.decoded(_rows, bytes(answer.data))
    return [] if bytes(answer.data) == b"null" else [answer.data]
