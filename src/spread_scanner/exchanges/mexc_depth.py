"""MEXC's books, spot (protobuf) and linear futures: the first twenty levels, or all changes.

Read by the feeds through `DepthAdapter`. Raises BadMessage on bytes that are not what the
documentation promises, ExchangeError on an error envelope.

Quirks: updates of either market come without a snapshot, and their levels in no order. A frame of
spot may have no body and says nothing then. Levels of futures are counted in contracts, and a level
without any has no orders either.
"""

import re
from urllib.parse import quote

import msgspec
from msgspec import Struct

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage
from spread_scanner.exchanges import wire
from spread_scanner.exchanges.adapter import (
    BookChange,
    Event,
    Notice,
    NoticeKind,
    RestRequest,
)
from spread_scanner.exchanges.depth import (
    NO_LEVELS,
    SEED_LEVELS,
    DepthAdapter,
    UsualDepth,
    change,
    checked,
    side_of,
)
from spread_scanner.exchanges.mexc import (
    MexcFutures,
    MexcSpot,
    futures_control_event,
    futures_rows,
    version_of,
)
from spread_scanner.exchanges.mexc_protobuf import (
    AGGRE_DEPTHS_FIELD,
    LIMIT_DEPTHS_FIELD,
    PushedBook,
    pushed_book,
)
from spread_scanner.schema.books import BookLevels
from spread_scanner.schema.enums import Market, Source

LEVELS = 20
LEVELS_OF_ALL = 5_000
LIMIT_TOPIC = "spot@public.limit.depth.v3.api.pb"
AGGRE_TOPIC = "spot@public.aggre.depth.v3.api.pb"
NAMED = re.compile(
    r"spot@public\.(?:limit|aggre)\.depth\.v3\.api\.pb@(?:\d+ms@)?([^\s,\]@]+)(?:@\d+)?"
)


class FirstLevels(Struct):
    """{"lastUpdateId":3407362,"bids":[["80349.99","0.12"]],"asks":[["80350","3.1"]]}"""

    lastUpdateId: int  # noqa: N815
    bids: msgspec.Raw
    asks: msgspec.Raw
    timestamp: wire.Time = 0


class ChannelBook(Struct):
    """The data of push.depth.full and push.depth: the latter's has `begin` and `end`.

    {"cts":1789498405579,"asks":[[1235.06,606,1]],"bids":[[1233.04,0,0]],"end":1111084807,
    "begin":1111084806,"version":1111084807}
    """

    asks: msgspec.Raw
    bids: msgspec.Raw
    version: int
    begin: int | None = None
    end: int | None = None
    cts: wire.Time = 0
    timestamp: wire.Time = 0  # by REST


class DepthPush(Struct):
    """{"symbol":"RIF_USDT","data":{...},"channel":"push.depth.full","ts":1789498322169}"""

    channel: str
    symbol: str
    data: ChannelBook
    ts: wire.Time = 0


_levels = wire.decoder(FirstLevels)
_push = wire.decoder(DepthPush)
_book = wire.decoder(ChannelBook)


class MexcSpotDepth(UsualDepth, MexcSpot):
    """Spot's books; either channel."""

    _named_topic = NAMED

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        super().__init__(source, settings)
        self.channel = channel = wire.depth_channel_of(settings, source.label)
        self._detail = channel.rpartition("@")[2]  # "20" levels, or "100ms"
        self.snapshots_only = channel.startswith("limit.")
        self.keeps_window = self.snapshots_only
        self.levels_max = LEVELS if self.snapshots_only else LEVELS_OF_ALL
        self.wrapped = (
            (LIMIT_DEPTHS_FIELD, f"{LIMIT_TOPIC}@")
            if self.snapshots_only
            else (AGGRE_DEPTHS_FIELD, f"{AGGRE_TOPIC}@")
        )

    def _topic(self, exchange_symbol: str) -> str:
        if self.snapshots_only:
            return f"{LIMIT_TOPIC}@{exchange_symbol}@{self._detail}"
        return f"{AGGRE_TOPIC}@{self._detail}@{exchange_symbol}"

    def seed_request(self, exchange_symbol: str) -> RestRequest | None:
        if self.snapshots_only:
            return None
        params = {"symbol": exchange_symbol, "limit": str(SEED_LEVELS)}
        return RestRequest("/api/v3/depth", params)

    def parse_seed(self, exchange_symbol: str, body: bytes) -> BookChange:
        first = wire.answered(_levels, body, FirstLevels)
        bids, asks = side_of(first.bids, exchange_symbol), side_of(first.asks, exchange_symbol)
        ids, times = (0, first.lastUpdateId), wire.book_ns(first.timestamp)
        return change(exchange_symbol, bids, asks, ids, times, SEED_LEVELS)

    def _pushed(self, frame: bytes) -> list[Event]:
        pushed = pushed_book(frame)
        ours = LIMIT_TOPIC if self.snapshots_only else AGGRE_TOPIC
        if not pushed.channel.startswith(f"{ours}@"):
            if not pushed.channel.startswith("spot@"):
                raise BadMessage("a wrapper of no channel")
            return [Notice(NoticeKind.OTHER, pushed.channel)]
        symbol = pushed.symbol or self._symbol_in(pushed.channel)
        if not pushed.has_body:
            return [Notice(NoticeKind.OTHER, "no body")]
        try:
            return [self._said(symbol, pushed)]
        except BadMessage as error:
            error.evidence.setdefault("symbol", symbol)
            raise

    def _said(self, symbol: str, pushed: PushedBook) -> BookChange:
        if len(pushed.versions) != (1 if self.snapshots_only else 2):
            raise BadMessage("a body of another channel")
        versions = [version_of(text) for text in pushed.versions]
        bids, asks = _numbers(pushed.bids, symbol), _numbers(pushed.asks, symbol)
        window = LEVELS if self.snapshots_only else 0
        ids, times = (versions[0] - 1, versions[-1]), wire.book_ns(pushed.send_time)
        return change(symbol, bids, asks, ids, times, window)


class MexcFuturesDepth(UsualDepth, MexcFutures):
    """The futures' books; either channel."""

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        super().__init__(source, settings)
        self.channel = wire.depth_channel_of(settings, source.label)
        self._name, _, levels = self.channel.partition("@")
        self.snapshots_only = bool(levels)
        self.keeps_window = self.snapshots_only
        self.levels_max = LEVELS if self.snapshots_only else LEVELS_OF_ALL

    def _param(self, exchange_symbol: str) -> dict[str, object]:
        limit = {"limit": LEVELS} if self.snapshots_only else {}
        return {"symbol": exchange_symbol, **limit}

    def seed_request(self, exchange_symbol: str) -> RestRequest | None:
        if self.snapshots_only:
            return None
        path = f"/api/v1/contract/depth/{quote(exchange_symbol, safe='')}"
        return RestRequest(path, {"limit": str(SEED_LEVELS)})

    def parse_seed(self, exchange_symbol: str, body: bytes) -> BookChange:
        rows = futures_rows(body)
        if len(rows) != 1:
            raise BadMessage("not one book", symbol=exchange_symbol, rows=len(rows))
        book = wire.decoded(_book, bytes(rows[0]), ChannelBook)
        bids, asks = side_of(book.bids, exchange_symbol), side_of(book.asks, exchange_symbol)
        ids, times = (0, book.version), wire.book_ns(book.timestamp)
        return change(exchange_symbol, bids, asks, ids, times, SEED_LEVELS)

    def templates(self) -> tuple[str, ...]:
        sides = '"asks":{asks},"bids":{bids}'
        ids = '"version":{update_id}'
        if not self.snapshots_only:
            ids = '"end":{update_id},"begin":{first_id},"version":{skip_int}'
        cts = '"cts":{ts_event_ms}'
        end = f'"channel":"push.{self._name}","ts":{{ts_sent_ms}}}}'
        return tuple(
            f'{{"symbol":"{{symbol}}","data":{{{data}}},{end}'
            for data in (f"{cts},{sides},{ids}", f"{sides},{ids},{cts}")
        )

    def _parse(self, frame: bytes) -> list[Event]:
        try:
            push = wire.read(_push, frame, DepthPush)
        except wire.MALFORMED:
            return [futures_control_event(frame, f"push.{self._name}", _push)]
        if push.channel != f"push.{self._name}":
            return [Notice(NoticeKind.OTHER, push.channel)]
        symbol, book = push.symbol, push.data
        bids, asks = side_of(book.bids, symbol), side_of(book.asks, symbol)
        begin = book.version if book.begin is None else book.begin
        ids = (begin - 1, book.version if book.end is None else book.end)
        window = LEVELS if self.snapshots_only else 0
        times = wire.book_ns(book.cts, push.ts)
        return [change(symbol, bids, asks, ids, times, window)]


def depth_adapter(source: Source, settings: SourceSettings) -> DepthAdapter:
    """The adapter of either market's books."""
    if source.market is Market.FUTURES:
        return MexcFuturesDepth(source, settings)
    return MexcSpotDepth(source, settings)


def _numbers(texts: list[tuple[str, str]], symbol: str) -> BookLevels:
    """The texts as numbers, by the same grammar as in JSON."""
    if not texts:
        return NO_LEVELS
    try:
        pairs = msgspec.convert(texts, list[tuple[float, float]], strict=False)
    except msgspec.ValidationError as error:
        raise BadMessage(f"not a price or size: {error}", symbol=symbol) from None
    return checked(pairs, symbol)
