"""What exchanges announce beside quotes: maintenance, halts, delistings. Pure functions over bytes.

Used by the feeds, which open a connection of its own for it (feed/notices.py). Raises BadMessage on
bytes that are not what the documentation promises; a row of many that is not costs itself alone.

    Bybit    system.status on /v5/public/misc/status: maintenance, by product
             bybit-exchange.github.io/docs/v5/websocket/system/system-status; the numbers: v5/enum
    OKX      the channels instruments (changes are sent) and status (after the subscription the
             latest, then changes), on the quotes' address
             okx.com/docs-v5/en: #public-data-websocket-instruments-channel and
             #status-ws-status-channel
    Binance  futures: !contractInfo on the /market path; spot has no such stream
             developers.binance.com, usds-margined-futures, Contract-Info-Stream
    MEXC     futures: push.contract (changes are sent), on the quotes' address
             mexc.com/api-docs/futures, websocket, Contract Data; spot has no such stream: what is
             paused there falls silent, and the next discovery leaves it out

Status pages that would have to be polled by REST are not read: a feed asks by REST for snapshots of
books and for who is halted no more, and polls nothing; what a page says of the whole exchange its
dials and quotes say sooner.

Not documented, hence not relied upon: whether Bybit says after a subscription what is in force,
and which of its states a contract of Binance takes on that is halted and not delisted: every one
but TRADING counts as halted.

A connection's own end (OKX's notice 64008, Binance's serverShutdown) is told on that connection and
read by the adapters.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from spread_scanner.errors import BadMessage
from spread_scanner.exchanges import wire
from spread_scanner.exchanges.mexc import CONTRACT_TRADED, contract_status
from spread_scanner.schema.enums import Exchange, Market, Source


class Halted(NamedTuple):
    """A listing is not traded from now on; `state` in the exchange's word."""

    exchange_symbol: str
    state: str


class Resumed(NamedTuple):
    """A listing is traded; said of those that never stopped, too."""

    exchange_symbol: str


class Maintenance(NamedTuple):
    """Announced, begun (`over` is false) or ended. Times are ns, or TS_ABSENT.

    `end_ns` is the expected end, and the actual one once it is over.
    """

    title: str
    state: str
    begin_ns: int
    end_ns: int
    over: bool
    key: str = ""  # the exchange's own name for it; empty: it has none but the title


class Unread(NamedTuple):
    """A row that is not what the documentation promises; the others of its message stand."""

    error: BadMessage


Announcement = Halted | Resumed | Maintenance
NoticeRow = Announcement | Unread


class Stream(NamedTuple):
    """Where to hear them, what to ask for once the connection stands, and what keeps it."""

    url: str
    requests: tuple[str, ...]
    ping: str | None  # None: a ping frame
    ping_s: float
    parse: Callable[[bytes], Sequence[NoticeRow]]
    # What a frame answers to the requests: "" that they are given, the exchange's words that they
    # are not; None: it is no answer. Without it nobody waits for one.
    answer: Callable[[bytes], str | None] | None = None


class BybitStatus(Struct):
    """{"id":"4d95b2a0","title":"System Maintenance","state":"scheduled","begin":"1775000000000",
    "end":"1775003600000","href":"","serviceTypes":[2,3],"product":[1,2],"uidSuffix":[],
    "maintainType":1,"env":1}

    state: scheduled, ongoing, completed, canceled. product: 1 futures, 2 spot, 3 option, 4 spread.
    env: 1 production, 2 its demo; the documents call it a string and show a number.
    """

    state: str
    title: str = ""
    begin: str | int = ""
    end: str | int = ""
    product: list[int] = []
    id: str = ""
    env: str | int = ""


class BybitPush(Struct):
    """{"topic":"system.status","ts":1775000000000,"data":[{...}]}; answers have an `op`."""

    topic: str = ""
    data: list[msgspec.Raw] = []
    op: str = ""


class NoticeAnswer(Struct):
    """What exchanges answer to a subscription, each in its own fields:

    Bybit    {"success":false,"ret_msg":"Too many visits!","conn_id":"c1","op":"subscribe"}
    OKX      {"event":"subscribe","arg":{...},"connId":"c"}
             {"event":"error","code":"60014","msg":"Requests too frequent","connId":"c"}
    Binance  {"result":null,"id":1}, {"error":{"code":2,"msg":"Invalid request"},"id":1}
    """

    success: bool | None = None
    ret_msg: str = ""
    op: str = ""
    event: str = ""
    code: str | int = ""
    msg: str = ""
    id: int | str | None = None
    error: msgspec.Raw = msgspec.Raw()


class OkxArg(Struct, frozen=True):
    """{"channel":"instruments","instType":"SWAP"}"""

    channel: str = ""


class OkxRow(Struct):
    """Of instruments: {"instId":"LUNA-USDT","state":"suspend","instType":"SPOT"}

    state: live, suspend, expired (delisted), rebase and post_only (swaps), preopen, test.

    Of status: {"title":"Spot System Upgrade","state":"scheduled","begin":"1775000000000",
    "end":"1775003600000","preOpenBegin":"","scheDesc":"","serviceType":"5","system":"unified",
    "maintType":"1","env":"1","href":"","ts":"1774990000000"}

    state: scheduled, ongoing, pre_open, completed, canceled. serviceType: 0 websocket, 5 trading, 6
    block trading, 7 bots, 8 trading by accounts, 9 trading by products, 10 spread trading, 11 copy
    trading, 99 other, such as single instruments. env: 1 production, 2 demo.
    """

    state: str
    instId: str = ""  # noqa: N815
    title: str = ""
    begin: str | int = ""
    end: str | int = ""
    serviceType: str | int = ""  # noqa: N815
    env: str | int = ""


class OkxPush(Struct):
    """{"arg":{"channel":"instruments","instType":"SPOT"},"data":[{...}]}; answers have `event`."""

    arg: OkxArg = OkxArg()
    data: list[msgspec.Raw] = []
    event: str = ""


class BinanceContract(Struct, frozen=True):
    """{"e":"contractInfo","E":1775000000000,"s":"IOTAUSDT","ct":"PERPETUAL","dt":4133404800000,
    "ot":1569398400000,"cs":"TRADING","bks":[...],"st":1}

    Sent when a contract is listed, settled or has new brackets (`bks`, else absent). `st` is 1 for
    USD-M and 2 for COIN-M, whose contracts come on the same stream under names of their own.
    """

    e: str = ""
    s: str = ""
    cs: str = ""


class BinancePush(Struct):
    """{"stream":"!contractInfo","data":{...}}, or an answer: {"result":null,"id":1}"""

    data: BinanceContract = BinanceContract()


class MexcContract(Struct):
    """Of the contract's row, as REST has it (mexc.py): {"symbol":"BTC_USDT","state":4,
    "contractSize":0.0001,"isHidden":false,"apiAllowed":true,...}
    """

    symbol: str = ""
    state: int | None = None
    isHidden: bool = False  # noqa: N815


class MexcPush(Struct):
    """{"channel":"push.contract","data":{...},"symbol":"BTC_USDT","ts":1775000000000}; answers:
    {"channel":"rs.sub.contract","data":"success","ts":1775000000000}, {"channel":"rs.error",
    "data":"..."}, {"channel":"pong","data":1775000000000}
    """

    channel: str = ""
    data: msgspec.Raw = msgspec.Raw()


_bybit, _bybit_row = wire.decoder(BybitPush), wire.decoder(BybitStatus)
_okx, _okx_row = wire.decoder(OkxPush), wire.decoder(OkxRow)
_binance = wire.decoder(BinancePush)
_mexc, _mexc_row = wire.decoder(MexcPush), wire.decoder(MexcContract)
_answer = wire.decoder(NoticeAnswer)

OVER = {"completed", "canceled"}
DEMO = "2"
OKX_ELSEWHERE = {"6", "7", "10", "11"}  # blocks, bots, spreads, copies: no business of the books
OKX_TRADED, BINANCE_TRADED = "live", "TRADING"
BYBIT_PRODUCT = {Market.FUTURES: 1, Market.SPOT: 2}
PING_S = 20.0
TIME = re.compile("[0-9]{1,18}")  # ms; anything else is no time


def stream_of(source: Source, ws_url: str) -> Stream | None:
    """Where a source's exchange announces, or None where it does not.

    What stands before the exchange's own path in `ws_url`, as behind a gateway, stays there.
    """
    if source.exchange is Exchange.BYBIT:
        product = BYBIT_PRODUCT[source.market]
        return Stream(
            _beside(ws_url, r"/v5/.*", "/v5/public/misc/status"),
            (_text({"op": "subscribe", "args": ["system.status"]}),),
            _text({"op": "ping"}),
            PING_S,
            lambda frame: parse_bybit(frame, product),
            answer_of,
        )
    if source.exchange is Exchange.OKX:
        kind = "SWAP" if source.market is Market.FUTURES else "SPOT"
        wanted: list[dict[str, str]] = [
            {"channel": "instruments", "instType": kind},
            {"channel": "status"},
        ]
        request = _text({"op": "subscribe", "args": wanted})
        return Stream(ws_url, (request,), "ping", PING_S, parse_okx, answer_of)
    if source.exchange is Exchange.BINANCE and source.market is Market.FUTURES:
        request = _text({"method": "SUBSCRIBE", "params": ["!contractInfo"], "id": 1})
        url = _beside(ws_url, r"(/public|/market|/private)?/(stream|ws)/?", "/market/stream")
        return Stream(url, (request,), None, PING_S, parse_binance, answer_of)
    if source.exchange is Exchange.MEXC and source.market is Market.FUTURES:
        request = _text({"method": "sub.contract", "param": {}})
        ping = _text({"method": "ping"})
        return Stream(ws_url, (request,), ping, PING_S, parse_mexc, answer_of_mexc)
    return None


def answer_of(frame: bytes) -> str | None:
    """See `Stream.answer`. Of several requests in one that one is refused is a refusal."""
    try:
        said = wire.decoded(_answer, frame)
    except BadMessage:
        return None  # as OKX's bare "pong"; `parse` says what is wrong with others
    if said.event == "error":
        return f"{said.code} {said.msg}".strip()
    if said.success is False:
        return said.ret_msg or "refused"
    if bytes(said.error) not in (b"", b"null"):
        return bytes(said.error).decode(errors="replace")
    given = "subscribe" in (said.op, said.event) or said.id is not None
    return "" if given else None


def answer_of_mexc(frame: bytes) -> str | None:
    """See `Stream.answer`."""
    try:
        said = wire.decoded(_mexc, frame)
    except BadMessage:
        return None
    if said.channel == "rs.error":
        return bytes(said.data).decode(errors="replace").strip('"') or "refused"
    return "" if said.channel == "rs.sub.contract" else None


def parse_bybit(frame: bytes, product: int) -> list[NoticeRow]:
    """Maintenance that concerns a product (1 futures, 2 spot), or says of none which."""
    push = wire.decoded(_bybit, frame)
    if push.topic != "system.status":
        return []

    def read(raw: bytes) -> Announcement | None:
        row = wire.decoded(_bybit_row, raw, BybitStatus)
        mine = (product in row.product or not row.product) and str(row.env) != DEMO
        return _maintenance(row, row.id) if mine else None

    return _each(push.data, read)


def parse_okx(frame: bytes) -> list[NoticeRow]:
    """Changes of listings, and maintenance."""
    if frame == b"pong":
        return []
    push = wire.decoded(_okx, frame)
    if push.arg.channel == "instruments":
        return _each(push.data, _okx_listing)
    if push.arg.channel == "status":
        return _each(push.data, _okx_maintenance)
    return []


def _okx_listing(raw: bytes) -> Announcement:
    row = wire.decoded(_okx_row, raw, OkxRow)
    return _listing(row.instId, row.state, OKX_TRADED, raw)


def _okx_maintenance(raw: bytes) -> Announcement | None:
    row = wire.decoded(_okx_row, raw, OkxRow)
    mine = str(row.env) != DEMO and str(row.serviceType) not in OKX_ELSEWHERE
    return _maintenance(row, "") if mine else None


def parse_binance(frame: bytes) -> list[NoticeRow]:
    """Changes of contracts."""
    contract = wire.decoded(_binance, frame).data
    if contract.e != "contractInfo" or not contract.s:
        return []
    return [_listing(contract.s, contract.cs, BINANCE_TRADED, frame)]


def parse_mexc(frame: bytes) -> list[NoticeRow]:
    """Changes of contracts."""
    push = wire.decoded(_mexc, frame)
    if push.channel != "push.contract":
        return []
    row = wire.decoded(_mexc_row, bytes(push.data), MexcContract)
    state = "" if row.state is None else contract_status(row.state, hidden=row.isHidden)
    return [_listing(row.symbol, state, CONTRACT_TRADED, frame)]


def _each(
    rows: Sequence[msgspec.Raw], read: Callable[[bytes], Announcement | None]
) -> list[NoticeRow]:
    """What each row says, those left out that are no business of ours."""
    found: list[NoticeRow] = []
    for raw in rows:
        try:
            said = read(bytes(raw))
        except BadMessage as error:
            found.append(Unread(error))
            continue
        if said is not None:
            found.append(said)
    return found


def _listing(exchange_symbol: str, state: str, traded: str, raw: bytes) -> Announcement:
    """Raises BadMessage where it is not said which listing, or what of it."""
    if not exchange_symbol or not state:
        raise BadMessage("a listing without a name or a state", raw=raw)
    return Resumed(exchange_symbol) if state == traded else Halted(exchange_symbol, state)


def _maintenance(row: BybitStatus | OkxRow, key: str) -> Maintenance:
    over = row.state in OVER
    return Maintenance(row.title, row.state, _ns(row.begin), _ns(row.end), over, key)


def _ns(ms: str | int) -> int:
    return wire.ts_ns(int(ms) if TIME.fullmatch(str(ms)) else 0)


def _text(request: Mapping[str, object]) -> str:
    return msgspec.json.encode(request).decode()


def _beside(url: str, own: str, path: str) -> str:
    """The URL with another path in the place of the exchange's `own`, a pattern of its end."""
    parts = urlsplit(url)
    before = re.sub(own + "$", "", parts.path).rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, before + path, "", ""))
