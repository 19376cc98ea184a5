"""Bybit's books, spot and linear: a snapshot of the first levels, then what changes of them.

Read by the feeds through `DepthAdapter`. Raises BadMessage on bytes that are not what the
documentation promises.

Quirks: `u` grows by one with each update; a second snapshot replaces all, and after a restart of
the service begins at 1. The exchange says which level comes into the window as another leaves it.
"""

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage
from spread_scanner.exchanges import wire
from spread_scanner.exchanges.adapter import BookChange, Event, RestRequest
from spread_scanner.exchanges.bybit import Bybit, OrderBook
from spread_scanner.exchanges.depth import change, side_of
from spread_scanner.schema.enums import Source


class BybitDepth(Bybit):
    """One market's books, of as many levels as the channel's name says."""

    keeps_window = True
    snapshots_only = False

    def __init__(self, source: Source, settings: SourceSettings) -> None:
        super().__init__(source, settings)
        self._use_channel(wire.depth_channel_of(settings, source.label))
        self.levels_max = int(self._channel.rpartition(".")[2])

    def seed_request(self, exchange_symbol: str) -> RestRequest | None:
        return None

    def parse_seed(self, exchange_symbol: str, body: bytes) -> BookChange:
        raise BadMessage("no snapshot is asked of this source", source=self.source.label)

    def templates(self) -> tuple[str, ...]:
        return ()

    def _said(self, book: OrderBook) -> Event:
        data = book.data
        if book.type not in ("snapshot", "delta"):
            raise BadMessage("neither snapshot nor delta", type=book.type)
        bids, asks = side_of(data.b, data.s), side_of(data.a, data.s)
        window = self.levels_max if book.type == "snapshot" else 0
        ts_event = wire.ts_ns(book.cts or book.ts)
        return change(data.s, bids, asks, (data.u - 1, data.u), ts_event, window)
