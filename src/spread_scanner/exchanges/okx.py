"""OKX v5, spot and linear swaps: requests, subscribe text, and what its bytes mean.

Read by discovery and the feeds through `Adapter`. Raises BadMessage on bytes that are not what the
documentation promises, ExchangeError on an error envelope.

Quirks: both markets share one socket address. Each topic of a request is answered on its own, so
one bad topic does not undo the others. Sizes of swaps are in contracts. `ping` and `pong` are bare
text. Notice 64008 comes about a minute before the server goes away.
"""

import re
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage, ExchangeError
from spread_scanner.exchanges import wire
from spread_scanner.exchanges.adapter import (
    Ack,
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

CODE_UPGRADE = "64008"
FUNDING_PATH = "/api/v5/public/funding-rate"
MS_PER_HOUR = 3_600_000

# 64 KB a request, and few requests an hour: many topics in each. The number of topics a connection
# carries is not limited; 300 keeps the loss of one connection bearable. 3 dials a second and
# address: 2 evenly spaced ones a second are 3 in a window that touches both ends.
LIMITS = Limits(300, 300, 60_000, 1.0, 2.0, None, requests_per_h_max=480)
PING = PingRule("ping", 20.0)  # the server closes after 30 s in which it had nothing to send

# 60012: the request could not be read. 60018: no such channel or instrument. 64003 and 64004: not
# with this account, not beside another channel.
REFUSALS = {
    "50011": RefusalKind.BUSY,
    "50013": RefusalKind.BUSY,
    "50026": RefusalKind.BUSY,
    "50061": RefusalKind.BUSY,
    "60014": RefusalKind.BUSY,
    "60012": RefusalKind.UNKNOWN,
    "60018": RefusalKind.SYMBOL,
    "64003": RefusalKind.SYMBOL,
    "64004": RefusalKind.SYMBOL,
}
REFUSED_INSTRUMENT = re.compile(r"instId:([^\s,]+)")


class Arg(Struct, frozen=True):
    """{"channel":"bbo-tbt","instId":"ETH-USDT"}"""

    channel: str = ""
    instId: str = ""  # noqa: N815


class ChannelBook(Struct):
    """{"asks":[["1969.30","34.015588","0","2"]],"bids":[["1969.29","28.639431","0","15"]],
    "ts":"1785136396508","seqId":72498651540}; an empty side is an empty list.
    """

    asks: list[Level | None] | None = None
    bids: list[Level | None] | None = None
    ts: wire.Time = 0
    seqId: int = 0  # noqa: N815


class Push(Struct):
    """{"arg":{"channel":"bbo-tbt","instId":"ETH-USDT"},"data":[{...}]}"""

    arg: Arg
    data: list[ChannelBook]


class ControlFrame(Struct):
    """{"id":"1","event":"subscribe","arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"connId":"a4"}
    {"id":"1","event":"error","code":"60018","msg":"Wrong URL or channel:bbo-tbt,instId:NOPE-USDT
     doesn't exist.","connId":"a4"}
    {"event":"error","code":"60014","msg":"Requests too frequent.","connId":"a4"}
    {"event":"notice","code":"64008","msg":"The connection will soon be closed for a service
     upgrade. Please reconnect.","connId":"a4"}
    """

    event: str = ""
    arg: Arg = Arg()
    id: str | int = ""
    code: str | int = ""
    msg: str = ""


class RestInstrument(Struct):
    """Spot: {"instId":"BTC-USDT","baseCcy":"BTC","quoteCcy":"USDT","tickSz":"0.1",
    "lotSz":"0.00000001","minSz":"0.00001","state":"live"}

    Swap: {"instId":"BTC-USDT-SWAP","instFamily":"BTC-USDT","settleCcy":"USDT","ctType":"linear",
    "ctVal":"0.01","ctMult":"1","ctValCcy":"BTC","tickSz":"0.1","lotSz":"0.01","minSz":"0.01",
    "state":"live","baseCcy":"","quoteCcy":"","ruleType":"normal","expTime":""}

    `expTime` of what does not expire by its nature is the announced end (OKX v5, Get instruments).
    """

    instId: str  # noqa: N815
    state: str
    baseCcy: str = ""  # noqa: N815
    quoteCcy: str = ""  # noqa: N815
    instFamily: str = ""  # noqa: N815
    uly: str = ""
    settleCcy: str = ""  # noqa: N815
    ctType: str = ""  # noqa: N815
    ctVal: Number = None  # noqa: N815
    ctMult: Number = None  # noqa: N815
    ctValCcy: str = ""  # noqa: N815
    ruleType: str = ""  # noqa: N815
    tickSz: Number = None  # noqa: N815
    lotSz: Number = None  # noqa: N815
    minSz: Number = None  # noqa: N815
    expTime: Number = None  # noqa: N815


class TickerRow(Struct):
    """{"instId":"AGLD-USDT","askPx":"0.1718","askSz":"1737.865577","bidPx":"0.1716",
    "bidSz":"77.625","ts":"1787848766073"}
    """

    instId: str  # noqa: N815
    bidPx: Number = None  # noqa: N815
    bidSz: Number = None  # noqa: N815
    askPx: Number = None  # noqa: N815
    askSz: Number = None  # noqa: N815


class RestFunding(Struct):
    """{"instId":"BTC-USDT-SWAP","fundingRate":"-0.0000143909410096",
    "fundingTime":"1787875200000","nextFundingTime":"1787904000000",
    "maxFundingRate":"0.00375","minFundingRate":"-0.00375"}

    The rate is settled at `fundingTime`.
    """

    instId: str  # noqa: N815
    fundingRate: Number = None  # noqa: N815
    fundingTime: Number = None  # noqa: N815
    nextFundingTime: Number = None  # noqa: N815
    maxFundingRate: Number = None  # noqa: N815
    minFundingRate: Number = None  # noqa: N815


class RestAnswer(Struct):
    """{"code":"0","msg":"","data":[...]}; "data" may be null"""

    code: str | int
    msg: str = ""
    data: list[msgspec.Raw] = []


_push = wire.decoder(Push)
_control = wire.decoder(ControlFrame)
_answer = wire.decoder(RestAnswer)


class Okx(wire.BaseAdapter):
    """Spot and swap share the socket and the payloads; instruments differ."""

    rest_weight_per_s = 8.0  # of 10 a second, endpoint and instrument type
    period_ms = 10  # bbo-tbt: "sent every 10 ms if there's any change"
    symbol_named = re.compile(rb'"instId"\s*:\s*"' + wire.SPELLED)

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        super().__init__(source, settings, LIMITS, PING)
        self._channel = wire.channel_of(settings, source.label)
        self._futures = source.market is Market.FUTURES
        self._type = "SWAP" if self._futures else "SPOT"

    def instruments_request(self) -> RestRequest:
        return RestRequest("/api/v5/public/instruments", {"instType": self._type})

    def parse_instruments(self, body: bytes) -> InstrumentPage:
        good, skipped = wire.rows(RestInstrument, rest_data(body))
        instruments: list[RawInstrument] = []
        for row in good:
            made = self._instrument(row)
            if isinstance(made, Skipped):
                skipped.append(made)
            else:
                instruments.append(made)
        return InstrumentPage(instruments, skipped, None)

    def _instrument(self, row: RestInstrument) -> RawInstrument | Skipped:
        base, quote = row.baseCcy, row.quoteCcy
        contract_size: float | None = 1.0
        if self._futures:  # both empty on swaps
            base, _, quote = (row.instFamily or row.uly).partition("-")
            value = wire.positive(row.ctVal)
            contract_size = value and value * (wire.positive(row.ctMult) or 1.0)
        if not base or not quote:
            return Skipped(row.instId, "neither base nor quote is told")
        if contract_size is None:
            return Skipped(row.instId, "no contract size")
        if row.ruleType not in ("", "normal"):
            # pre_market: a coin that cannot be had yet; xperp: a perpetual that ends.
            return Skipped(row.instId, f"traded by special rules: {row.ruleType}")
        if row.ctType == "linear" and row.ctValCcy.upper() not in ("", base.upper()):
            # Sizes would be in another unit, and no comparison of prices would notice.
            return Skipped(row.instId, f"its contract is counted in {row.ctValCcy}, not in {base}")
        return RawInstrument(
            exchange_symbol=row.instId,
            base=base,
            quote=quote,
            status=row.state,
            trading=row.state == "live",
            min_qty=wire.positive(row.minSz),
            tick_size=wire.positive(row.tickSz),
            lot_step=wire.positive(row.lotSz),
            min_notional=None,
            contract_size=contract_size,
            settle=row.settleCcy if self._futures else quote,
            contract_type=f"{row.ctType or 'unknown'}-perpetual" if self._futures else "spot",
            ends_ms=wire.end_ms(row.expTime),
        )

    def tickers_request(self) -> RestRequest:
        return RestRequest("/api/v5/market/tickers", {"instType": self._type})

    def parse_tickers(self, body: bytes) -> tuple[list[RestQuote], list[Skipped]]:
        return wire.rest_quotes(
            TickerRow,
            rest_data(body),
            lambda row: (row.instId, row.bidPx, row.bidSz, row.askPx, row.askSz),
        )

    def funding_request(self) -> RestRequest | None:
        if not self._futures or not self.settings.funding_bulk:
            return None
        return RestRequest(FUNDING_PATH, {"instId": "ANY"})

    def listing_funding_request(self, exchange_symbol: str) -> RestRequest | None:
        if not self._futures:
            return None
        return RestRequest(FUNDING_PATH, {"instId": exchange_symbol})

    def parse_funding(self, body: bytes) -> list[Funding]:
        good, _ = wire.rows(RestFunding, rest_data(body))
        return [found for row in good if (found := _funding(row)) is not None]

    def subscribe(self, exchange_symbols: Sequence[str], request_id: int) -> str:
        return self._request("subscribe", exchange_symbols, request_id)

    def unsubscribe(self, exchange_symbols: Sequence[str], request_id: int) -> str:
        return self._request("unsubscribe", exchange_symbols, request_id)

    def _request(self, op: str, exchange_symbols: Sequence[str], request_id: int) -> str:
        args = [Arg(self._channel, symbol) for symbol in exchange_symbols]
        return msgspec.json.encode({"id": str(request_id), "op": op, "args": args}).decode()

    def topic_bytes(self, exchange_symbol: str) -> int:
        return len(msgspec.json.encode(Arg(self._channel, exchange_symbol))) + 1

    def _parse(self, frame: bytes) -> list[Event]:
        try:
            push = wire.read(_push, frame, Push)
        except wire.MALFORMED:
            return [self._control_event(frame, _push)]
        if push.arg.channel != self._channel:
            return [Notice(NoticeKind.OTHER, push.arg.channel)]
        if not push.data:
            raise BadMessage("a push without data")
        symbol = push.arg.instId
        return [
            wire.quote(
                symbol, wire.top(book.bids), wire.top(book.asks), wire.ts_ns(book.ts), book.seqId
            )
            for book in push.data
        ]

    def _control_event(self, frame: bytes, decode: Callable[[bytes], object]) -> Event:
        """What a frame is that is no book, or BadMessage if by `decode` it ought to be one."""
        if frame == b"pong":
            return Notice(NoticeKind.PONG)
        control = wire.decoded(_control, frame, ControlFrame)
        if not control.event:
            if control.arg.channel in ("", self._channel):
                wire.decoded(decode, frame)
            return Notice(NoticeKind.OTHER, control.arg.channel)
        request_id = str(control.id)
        named = (control.arg.instId,) if control.arg.instId else ()
        if control.event in ("subscribe", "unsubscribe"):
            return Ack(request_id, named, control.event == "subscribe")
        if control.event == "error":
            refused = named or tuple(REFUSED_INSTRUMENT.findall(control.msg))
            return wire.refused(request_id, refused, str(control.code), control.msg, REFUSALS)
        if control.event == "notice" and str(control.code) == CODE_UPGRADE:
            return Notice(NoticeKind.SHUTDOWN, control.msg)
        if control.event == "notice":
            return Notice(NoticeKind.SAID, f"{control.code}: {control.msg}")
        return Notice(NoticeKind.OTHER, control.event)

    def templates(self) -> tuple[str, ...]:
        book = (
            '{"arg":{"channel":"bbo-tbt","instId":"{symbol}"},"data":[{'
            '"asks":[["{ask_px}","{ask_sz}","*","*"]],"bids":[["{bid_px}","{bid_sz}","*","*"]],'
            '"ts":"{ts_event_ms}"'
        )
        return (book + ',"seqId":{update_id}}]}', book + "}]}")


def _funding(row: RestFunding) -> Funding | None:
    rate = wire.number(row.fundingRate)
    due, after = wire.instant_ms(row.fundingTime), wire.instant_ms(row.nextFundingTime)
    if rate is None:
        return None
    hours = (after - due) / MS_PER_HOUR if due and after and after > due else None
    cap, floor = wire.number(row.maxFundingRate), wire.number(row.minFundingRate)
    return Funding(row.instId, rate, hours, cap, floor, due)


def rest_data(body: bytes) -> list[msgspec.Raw]:
    """The data of a REST answer. Raises ExchangeError on an error envelope."""
    answer = wire.decoded(_answer, body, RestAnswer)
    if str(answer.code) != "0":
        raise ExchangeError(answer.msg, code=str(answer.code))
    return answer.data
