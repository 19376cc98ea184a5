"""OKX's books, spot and swap: 400 levels, then what changes of them each 100 ms.

Read by the feeds through `DepthAdapter`. Raises BadMessage on bytes that are not what the
documentation promises, ExchangeError on an error envelope.

Quirks: the snapshot at the beginning was announced to go, so that whoever has none asks by REST. A
book that does not change is said to be alive by an update of no levels that follows on itself. An
id below the one it follows on is a sequence that begins anew. The checksum is 0 since 2026, which
is none; where there is one it is made of the levels as they are spelled.
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
    RestRequest,
    Spelled,
)
from spread_scanner.exchanges.depth import SEED_LEVELS, UsualDepth, change, side_of, spelled_side_of
from spread_scanner.exchanges.okx import Arg, Okx, rest_data
from spread_scanner.schema.enums import Source

LEVELS = 400
NO_ID = -1
ACTIONS = ("snapshot", "update")


class DepthBook(Struct):
    """{"asks":[["8476.98","415","0","13"]],"bids":[["8476.97","256","0","12"]],
    "ts":"1597026383085","checksum":-855196043,"prevSeqId":-1,"seqId":123456}
    """

    asks: msgspec.Raw
    bids: msgspec.Raw
    ts: wire.Time = 0
    checksum: int | None = None
    seqId: int = 0  # noqa: N815
    prevSeqId: int = NO_ID  # noqa: N815


class BookPush(Struct):
    """{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{...}]}"""

    arg: Arg
    action: str
    data: list[DepthBook]


_push = wire.decoder(BookPush)
_book = wire.decoder(DepthBook)


class OkxDepth(UsualDepth, Okx):
    """One market's books."""

    levels_max = LEVELS
    keeps_window = True
    snapshots_only = False

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        super().__init__(source, settings)
        self.channel = self._channel = wire.depth_channel_of(settings, source.label)

    def seed_request(self, exchange_symbol: str) -> RestRequest | None:
        return RestRequest(
            "/api/v5/market/books", {"instId": exchange_symbol, "sz": str(SEED_LEVELS)}
        )

    def parse_seed(self, exchange_symbol: str, body: bytes) -> BookChange:
        rows = rest_data(body)
        if len(rows) != 1:
            raise BadMessage("not one book", symbol=exchange_symbol, rows=len(rows))
        book = wire.decoded(_book, bytes(rows[0]), DepthBook)
        return _change(exchange_symbol, book, SEED_LEVELS)

    def templates(self) -> tuple[str, ...]:
        head = (
            f'{{"arg":{{"channel":"{self._channel}","instId":"{{symbol}}"}},"action":"update",'
            '"data":[{"asks":{asks},"bids":{bids},"ts":"{ts_event_ms}",'
        )
        ids = (
            '"prevSeqId":{after_id},"seqId":{update_id}',
            '"seqId":{update_id},"prevSeqId":{after_id}',
        )
        return tuple(f"{head}{sum_of}{one}}}]}}" for one in ids for sum_of in ('"checksum":0,', ""))

    def _parse(self, frame: bytes) -> list[Event]:
        try:
            push = wire.read(_push, frame, BookPush)
        except wire.MALFORMED:
            return [self._control_event(frame, _push)]
        symbol, channel = push.arg.instId, push.arg.channel
        if channel != self._channel:
            return [Notice(NoticeKind.OTHER, channel)]
        if push.action not in ACTIONS:
            raise BadMessage("neither snapshot nor update", action=push.action)
        if not push.data:
            raise BadMessage("a push without data")
        window = LEVELS if push.action == "snapshot" else 0
        return [_summed(symbol, book, window) for book in push.data]


def _summed(symbol: str, book: DepthBook, window: int) -> BookChange:
    """With its checksum, if it has one."""
    if not book.checksum:
        return _change(symbol, book, window)
    bids, bid_texts = spelled_side_of(book.bids, symbol)
    asks, ask_texts = spelled_side_of(book.asks, symbol)
    made = change(symbol, bids, asks, (book.prevSeqId, book.seqId), wire.book_ns(book.ts), window)
    return made._replace(checksum=book.checksum, texts=Spelled(bid_texts, ask_texts))


def _change(symbol: str, book: DepthBook, window: int) -> BookChange:
    bids, asks = side_of(book.bids, symbol), side_of(book.asks, symbol)
    return change(symbol, bids, asks, (book.prevSeqId, book.seqId), wire.book_ns(book.ts), window)
