"""What tests of the feed stand on: one source's board in a store of its own, without sockets."""

from dataclasses import dataclass, field

from picows import WSMsgType
from picows.picows import _make_test_ws_frame

from spread_scanner.exchanges._match import Decoder
from spread_scanner.feed._board import Board
from spread_scanner.feed._listener import Listener
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.shm import Health, PriceStore
from spread_scanner.shm._rows import Row
from spread_scanner.shm._store import Quote
from spread_scanner.shm.connections import Connections


@dataclass
class Handler:
    """What the listener passed on."""

    messages: list[bytes] = field(default_factory=list)
    broken_ones: list[str] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    ends: int = 0

    def unusual(self, frame: bytes) -> None:
        self.messages.append(frame)

    def broken(self, reason: str, frame: bytes) -> None:
        self.broken_ones.append(reason)

    def ponged(self, payload: bytes, mono_ns: int) -> None:
        self.pongs.append(payload)

    def gone(self) -> None:
        self.ends += 1


class Bench:
    """One source's board in a store of its own."""

    def __init__(self, namespace: str, label: str = "binance-futures") -> None:
        self.source = SOURCE_BY_LABEL[label]
        self.store = PriceStore.create(namespace, num_sources=8, max_symbols=64)
        self.health = Health.create(namespace)
        self.row = self.health.claim(self.source.process)
        self.connections = Connections.create(namespace)
        self.rows = self.connections.claim(self.source.source_id)
        self.writer = self.store.writer(self.source.source_id)
        anchor_ns = self.store.clock.anchor_ns
        self.board = Board(self.writer, self.row, anchor_ns, 2_000_000_000)
        self.handler = Handler()

    def close(self) -> None:
        for one in (self.writer, self.rows, self.connections, self.row, self.health, self.store):
            one.close()

    def listener(
        self, number: int = 1, decoder: Decoder | None = None, row: Row | None = None
    ) -> Listener:
        return Listener(self.board, decoder or Decoder((), {}), number, self.handler, row=row)

    def read(self, symbol_id: int = 0) -> Quote:
        quote = self.store.read(self.source.source_id, symbol_id)
        assert quote is not None
        return quote

    @property
    def counters(self) -> dict[str, int]:
        return self.health.read(self.source.process).counters


def push(
    listener: Listener, kind: WSMsgType, payload: bytes, fin: bool = True, rsv1: bool = False
) -> None:
    listener.on_ws_frame(None, _make_test_ws_frame(kind, payload, fin, rsv1))  # type: ignore[arg-type]
