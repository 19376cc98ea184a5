"""What tests of the feed stand on: a source's segments, its board, and what its lines share."""

from dataclasses import dataclass, field

import structlog
from picows import WSMsgType
from picows.picows import _make_test_ws_frame

from spread_scanner.config import Feed, SourceSettings
from spread_scanner.exchanges._match import Decoder
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.feed._board import Board
from spread_scanner.feed._listener import Listener
from spread_scanner.feed.evidence import Evidence
from spread_scanner.feed.listings import Instruments, decoder_of
from spread_scanner.feed.share import Share
from spread_scanner.runtime.gate import Gate, Pace
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.shm import Health, PriceStore
from spread_scanner.shm._rows import Row
from spread_scanner.shm._store import Quote
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.dials import Dials


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


class Ground:
    """One source's segments, claimed; `faults` are what a process would have ended by."""

    def __init__(self, namespace: str, label: str) -> None:
        self.source = SOURCE_BY_LABEL[label]
        self.store = PriceStore.create(namespace, num_sources=8, max_symbols=64)
        self.health = Health.create(namespace)
        self.row = self.health.claim(self.source.process)
        self.connections = Connections.create(namespace)
        self.rows = self.connections.claim(self.source.source_id)
        self.writer = self.store.writer(self.source.source_id)
        self.faults: list[BaseException] = []

    def close(self) -> None:
        for one in (self.writer, self.rows, self.connections, self.row, self.health, self.store):
            one.close()

    @property
    def counters(self) -> dict[str, int]:
        return self.health.read(self.source.process).counters

    def share(
        self,
        url: str,
        settings: Feed,
        instruments: Instruments,
        *,
        connects: Gate | None = None,
        lag_ns_max: int = 10**10,
        **limits: object,
    ) -> Share:
        """What lines to an address share; `limits` are those of the exchange that are others here.

        Turns to dial cost nothing unless a gate is given: their pace is the gate's own test.
        """
        adapter = adapter_of(self.source, SourceSettings(rest_url="http://x", ws_url=url))
        adapter.limits = adapter.limits._replace(**limits)  # type: ignore[arg-type]
        return Share(
            adapter=adapter,
            settings=settings,
            board=Board(self.writer, self.row, self.store.clock.anchor_ns, lag_ns_max),
            row=self.row,
            rows=self.rows,
            decoder=decoder_of(adapter, instruments),
            instruments=instruments,
            connects=connects or Gate(Dials.private(), "test", Pace(1_000.0)),
            evidence=Evidence(lambda *_, **__: None),
            log=structlog.wrap_logger(structlog.PrintLogger(), processors=[lambda *_: ""]),
            fail=self.faults.append,
        )


class Bench(Ground):
    """One source's board, without sockets."""

    def __init__(self, namespace: str, label: str = "binance-futures") -> None:
        super().__init__(namespace, label)
        self.board = Board(self.writer, self.row, self.store.clock.anchor_ns, 2_000_000_000)
        self.handler = Handler()

    def listener(
        self, number: int = 1, decoder: Decoder | None = None, row: Row | None = None
    ) -> Listener:
        return Listener(self.board, decoder or Decoder((), {}), number, self.handler, row=row)

    def read(self, symbol_id: int = 0) -> Quote:
        quote = self.store.read(self.source.source_id, symbol_id)
        assert quote is not None
        return quote


def push(
    listener: Listener, kind: WSMsgType, payload: bytes, fin: bool = True, rsv1: bool = False
) -> None:
    listener.on_ws_frame(None, _make_test_ws_frame(kind, payload, fin, rsv1))  # type: ignore[arg-type]
