"""Bybit's books, spot and linear: a snapshot of the first levels, then what changes of them.

Read by the feeds through `DepthAdapter`. Raises BadMessage on bytes that are not what the
documentation promises.

Quirks: `u` grows by one with each update; a second snapshot replaces all, and after a restart of
the service begins at 1. The exchange says which level comes into the window as another leaves it.
"""

import msgspec
from msgspec import Struct

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage
from spread_scanner.exchanges import wire
from spread_scanner.exchanges.adapter import BookChange, Event, Notice, NoticeKind, RestRequest
from spread_scanner.exchanges.bybit import Bybit, control_event
from spread_scanner.exchanges.depth import UsualDepth, change, side_of
from spread_scanner.schema.enums import Source

NO_SIDE = msgspec.Raw(b"[]")


class DepthData(Struct):
    """Of an update a side may be missing: it stands as it was."""

    s: str
    u: int
    b: msgspec.Raw = NO_SIDE
    a: msgspec.Raw = NO_SIDE


class DepthPush(Struct):
    """{"topic":"orderbook.50.XRPUSDT","type":"delta","ts":1733011200693,"data":{"s":"XRPUSDT",
    "b":[["1.9531","6198"]],"a":[["1.9535","0"]],"u":41,"seq":300},"cts":1733011200690}
    """

    topic: str
    type: str
    data: DepthData
    ts: wire.Time = 0
    cts: wire.Time = 0


_push = wire.decoder(DepthPush)


class BybitDepth(UsualDepth, Bybit):
    """One market's books, of as many levels as the channel's name says."""

    keeps_window = True
    snapshots_only = False

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        super().__init__(source, settings)
        self.channel = wire.depth_channel_of(settings, source.label)
        self._use_channel(self.channel)
        self.levels_max = int(self._channel.rpartition(".")[2])

    def seed_request(self, exchange_symbol: str) -> RestRequest | None:
        return None

    def parse_seed(self, exchange_symbol: str, body: bytes) -> BookChange:
        raise BadMessage("no snapshot is asked of this source", source=self.source.label)

    def templates(self) -> tuple[str, ...]:
        topic = f'{{"topic":"{self._prefix}*",'
        data = (
            '"data":{"s":"{symbol}","b":{bids},"a":{asks},"u":{update_id},"seq":{skip_int}},'
            '"cts":{ts_event_ms}}'
        )
        heads = ('"ts":{ts_sent_ms},"type":"delta",', '"type":"delta","ts":{ts_sent_ms},')
        return tuple(topic + head + data for head in heads)

    def _parse(self, frame: bytes) -> list[Event]:
        try:
            push = wire.read(_push, frame, DepthPush)
        except wire.MALFORMED:
            return [control_event(frame, self._prefix, _push)]
        if not push.topic.startswith(self._prefix):
            return [Notice(NoticeKind.OTHER, push.topic)]
        if push.type not in ("snapshot", "delta"):
            raise BadMessage("neither snapshot nor delta", type=push.type)
        data = push.data
        bids, asks = side_of(data.b, data.s), side_of(data.a, data.s)
        window = self.levels_max if push.type == "snapshot" else 0
        times = wire.book_ns(push.cts, push.ts)
        return [change(data.s, bids, asks, (data.u - 1, data.u), times, window)]
