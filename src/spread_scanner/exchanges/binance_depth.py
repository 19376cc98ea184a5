"""Binance's books, spot and USD-M futures: the first twenty levels, or what changes of all.

Read by the feeds through `DepthAdapter`. Raises BadMessage on bytes that are not what the
documentation promises, ExchangeError on an error envelope.

Quirks: spot's first levels name neither their symbol, which stands in the stream's name, nor a
time. Updates of the futures follow on `pu`, as ids are shared by all symbols; those of spot begin
where the last one ended. Neither channel of updates begins with a snapshot.
"""

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
    RawQuote,
    RestRequest,
)
from spread_scanner.exchanges.binance import (
    CHANNEL,
    COMBINED,
    ST_COIN_MARGINED,
    TO_LOWER,
    Binance,
)
from spread_scanner.exchanges.depth import SEED_LEVELS, UsualDepth, change, side_of
from spread_scanner.schema.enums import Source

LEVELS = 20  # of depth20
LEVELS_OF_ALL = 1_000  # of a channel of updates: more than are ever kept
SEED_WEIGHT = 5  # of up to a hundred levels, in both markets


class DepthUpdate(Struct, gc=False):
    """{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":50093239189,"u":50093239202,
    "b":[["61737.63000000","0.00000000"]],"a":[["61837.64000000","1.54698000"]]}; futures have `T`,
    `pu` and `st` besides, and spell their first levels so, too.
    """

    s: str
    U: int
    u: int
    b: msgspec.Raw
    a: msgspec.Raw
    e: str = "depthUpdate"
    pu: int | None = None
    T: wire.Time = 0
    E: wire.Time = 0
    st: int = 1


class FirstLevels(Struct, gc=False):
    """{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}: spot's first levels,
    and by REST a snapshot of either market.
    """

    lastUpdateId: int  # noqa: N815
    bids: msgspec.Raw
    asks: msgspec.Raw
    T: wire.Time = 0
    E: wire.Time = 0


class CombinedUpdate(Struct, gc=False):
    """{"stream":"btcusdt@depth@100ms","data":{...}}"""

    stream: str
    data: DepthUpdate


class CombinedLevels(Struct, gc=False):
    """{"stream":"btcusdt@depth20@100ms","data":{...}}"""

    stream: str
    data: FirstLevels


_update = wire.decoder(DepthUpdate)
_combined_update = wire.decoder(CombinedUpdate)
_combined_levels = wire.decoder(CombinedLevels)
_levels = wire.decoder(FirstLevels)


class BinanceDepth(UsualDepth, Binance):
    """One market's books; either channel."""

    keeps_window = False

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        super().__init__(source, settings)
        self.channel = self._channel = wire.depth_channel_of(settings, source.label)
        self.snapshots_only = self._channel.startswith("depth20")
        self.levels_max = LEVELS if self.snapshots_only else LEVELS_OF_ALL
        self.keeps_window = self.snapshots_only
        self._by_name = self.snapshots_only and not self._futures

    def seed_request(self, exchange_symbol: str) -> RestRequest | None:
        if self.snapshots_only:
            return None
        params = {"symbol": exchange_symbol, "limit": str(SEED_LEVELS)}
        return RestRequest(f"{self._api}/depth", params, SEED_WEIGHT)

    def parse_seed(self, exchange_symbol: str, body: bytes) -> BookChange:
        return _snapshot(exchange_symbol, wire.answered(_levels, body, FirstLevels), SEED_LEVELS)

    def templates(self) -> tuple[str, ...]:
        if self._by_name:
            return (
                '{"stream":"{symbol}","data":{"lastUpdateId":{update_id},"bids":{bids},"asks":{asks}}}',
            )
        head = '{"e":"depthUpdate","E":{ts_sent_ms},"T":{ts_event_ms},"s":"{symbol}",'
        ids = '"U":{skip_int},"u":{update_id},"pu":{after_id},'
        if not self._futures:
            head = '{"e":"depthUpdate","E":{ts_event_ms},"s":"{symbol}",'
            ids = '"U":{first_id},"u":{update_id},'
        sides = '"b":{bids},"a":{asks}'
        data = [f"{head}{ids}{sides}{end}" for end in ("}", ',"st":1}')]
        return (*('{"stream":"*","data":' + one + "}" for one in data), *data)

    def spelled(self, exchange_symbol: str) -> str:
        """Spot's first levels say it in the stream's name alone."""
        if not self._by_name:
            return exchange_symbol
        lower = exchange_symbol.translate(TO_LOWER)
        return f"{lower}@{self._channel}" if lower.upper() == exchange_symbol else ""

    def _parse(self, frame: bytes) -> list[Event]:
        try:
            if self._by_name:
                first = wire.read(_combined_levels, frame, CombinedLevels)
                if not first.stream.endswith(f"@{self._channel}"):
                    return [Notice(NoticeKind.OTHER, first.stream)]
                # Names are ASCII in lower case where they can be: see TO_LOWER.
                symbol = first.stream.partition("@")[0].upper()
                return [_snapshot(symbol, first.data, LEVELS)]
            if frame.startswith(COMBINED):
                return [self._changed(wire.read(_combined_update, frame, CombinedUpdate).data)]
            return [self._changed(wire.read(_update, frame, DepthUpdate))]
        except wire.MALFORMED as error:
            events: list[Event] = [
                Notice(NoticeKind.OTHER, CHANNEL) if isinstance(one, RawQuote) else one
                for one in self._parse_unusual(frame)
            ]
            if any(isinstance(one, Notice) and self._is_ours(one.text) for one in events):
                raise BadMessage(f"not the expected book: {error}", raw=frame) from None
            return events

    def _is_ours(self, what: str) -> bool:
        """Whether a name of a stream, or a type of event, is that of this channel."""
        return what == "depthUpdate" or what.endswith(f"@{self._channel}")

    def _changed(self, update: DepthUpdate) -> Event:
        if update.st == ST_COIN_MARGINED:
            return Notice(NoticeKind.OTHER, "coin-margined")
        if update.e != "depthUpdate":
            return Notice(NoticeKind.OTHER, update.e)
        bids, asks = side_of(update.b, update.s), side_of(update.a, update.s)
        after_id = update.U - 1 if update.pu is None else update.pu
        window = LEVELS if self.snapshots_only else 0
        times = wire.book_ns(update.T, update.E)
        return change(update.s, bids, asks, (after_id, update.u), times, window)


def _snapshot(symbol: str, first: FirstLevels, window: int) -> BookChange:
    bids, asks = side_of(first.bids, symbol), side_of(first.asks, symbol)
    times = wire.book_ns(first.T, first.E)
    return change(symbol, bids, asks, (0, first.lastUpdateId), times, window)
