"""Group feed: CPU per message from the socket to the stored quote, beside what a user would take.

The sender is a process of its own that only writes prebuilt frames (feed_sender.py); the receiver's
process time is divided by the messages. The floor is a receive loop in C with the same matcher and
no store. Every run verifies that all messages arrived and that the last quote of each symbol is the
last one sent. Bursts and one frame per read are told apart, plain and TLS.

`feed.half_open` is about policy and not about speed: how old the oldest leg of a signal was after
its connection went half-open, see half_open.py.
"""

import asyncio
import os
import socket
import ssl
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import feed_peers
import structlog
import uvloop
from feed_sender import Messages, Order, certificate, messages, serve
from half_open import half_open
from measure import Child, Figure, figure, run_floor

from spread_scanner.config import Feed, SourceSettings
from spread_scanner.exchanges._match import Decoder
from spread_scanner.exchanges.adapter import Adapter
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.feed._board import Board
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.counting import Counts
from spread_scanner.feed.evidence import Evidence
from spread_scanner.feed.listings import decoder_of
from spread_scanner.feed.share import Share
from spread_scanner.runtime.gate import Gate, Pace
from spread_scanner.runtime.life import End, rules_of
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCE_BY_LABEL
from spread_scanner.shm import Health, PriceStore, segment
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.dials import Dials

GAP_NS = 40_000  # far above what a frame costs: each read brings one
LATENCY_GAP_NS = 50_000
LABELS = [source.label for source in EXCHANGE_SOURCES]


class Rig:
    """Segments, and the sender's socket."""

    def __init__(self, namespace: str) -> None:
        self.store = PriceStore.create(namespace, num_sources=8, max_symbols=1024)
        self.health = Health.create(namespace)
        self.connections = Connections.create(namespace)
        self.listen()

    def listen(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.server.getsockname()[1])
        self.folder = tempfile.TemporaryDirectory()
        self.tls = certificate(Path(self.folder.name))

    def close(self) -> None:
        self.server.close()
        self.folder.cleanup()
        self.connections.close()
        self.health.close()
        self.store.close()

    def url(self, *, tls: bool) -> str:
        return f"{'wss' if tls else 'ws'}://localhost:{self.port}/"

    def adapter(self, label: str, *, tls: bool = False) -> Adapter:
        settings = SourceSettings(rest_url="http://localhost", ws_url=self.url(tls=tls))
        return adapter_of(SOURCE_BY_LABEL[label], settings)

    def floor_us(self, sent: Messages, *, epoll: bool = True) -> float:
        """The C loop over one connection of the sender."""
        adapter = self.adapter(sent.label)
        lines = [f"T {template}" for template in adapter.templates()]
        lines += [
            f"S {row.symbol_id} {row.px_div!r} {row.sz_mul!r} {row.exchange_symbol}"
            for row in sent.instruments.values()
        ]
        path = Path(self.folder.name) / "decoder.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        count = len(sent.frames)
        found = run_floor("floor_feed.c", self.port, count, int(adapter.binary), int(epoll), path)
        return found["ns_per_message"] / 1_000

    def ours(self, sent: Messages, *, native: bool = True, tls: bool = False) -> "Run":
        return uvloop.run(_receive(self, sent, native=native, tls=tls))


class Run:
    """One connection received: CPU per message, and the read-to-cell percentiles."""

    def __init__(self, us: float, latency_us: tuple[float, ...]) -> None:
        self.us = us
        self.latency_us = latency_us


async def _receive(rig: Rig, sent: Messages, *, native: bool, tls: bool) -> Run:
    process = f"feed-{sent.label}"
    with (
        rig.store.writer(SOURCE_BY_LABEL[sent.label].source_id) as writer,
        rig.health.claim(process) as row,
        rig.connections.claim(SOURCE_BY_LABEL[sent.label].source_id) as rows,
    ):
        before = rig.health.read(process)
        adapter = rig.adapter(sent.label, tls=tls)
        settings = Feed()
        log = structlog.get_logger()
        faults: list[BaseException] = []
        share = Share(
            adapter=adapter,
            settings=settings,
            board=Board(writer, row, rig.store.clock.anchor_ns, 10**18),
            row=row,
            rows=rows,
            decoder=decoder_of(adapter, sent.instruments)
            if native
            else Decoder((), {}, protobuf=adapter.binary),
            instruments=sent.instruments,
            connects=Gate(Dials.private(), "test", Pace(100.0)),
            evidence=Evidence(log.warning),
            log=log,
            fail=faults.append,
            tls=ssl.create_default_context(cafile=rig.tls[1]) if tls else None,
        )
        rules = rules_of(settings, adapter.limits.lifetime_s)
        counts = Counts(row, rows.take())
        connection = Connection(share, counts, rules, lambda *_: None)
        await connection.open()
        count = len(sent.frames)
        spent = time.process_time()
        connection.join(list(sent.instruments)[:1])
        while connection.listener.data_messages < count and not faults:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        spent = time.process_time() - spent
        connection.end(End.STOPPED)
        for fault in faults:
            raise fault
        after = rig.health.read(process)
        _verify(rig, sent, before.counters, after.counters, native=native)
        connection.listener.cut()
        while connection.listener.transport is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        latency = after.latencies["recv_to_cell"].percentiles_ns
        return Run(spent * 1e6 / count, tuple(ns / 1_000 for ns in latency))


def _verify(
    rig: Rig, sent: Messages, before: dict[str, int], after: dict[str, int], *, native: bool
) -> None:
    """Every message became a quote, by the tier that it was meant for, and the last one stands."""
    count = len(sent.frames)
    for label in ("messages", "quotes", "native" if native else "slow"):
        if after[label] - before[label] != count:
            raise RuntimeError(f"{label}: {after[label] - before[label]} of {count}")
    source_id = SOURCE_BY_LABEL[sent.label].source_id
    for symbol_id, last in sent.last.items():
        quote = rig.store.read(source_id, symbol_id)
        if quote is None or (*tuple(quote)[:4], quote.update_id) != last:
            raise RuntimeError(f"{sent.label} symbol {symbol_id}: {quote} is not {last}")


def figures(small: bool) -> Iterator[Figure]:
    namespace = f"bench-feed-{os.getpid()}"
    rig = Rig(namespace)
    try:
        for label in LABELS:
            yield _bursts(rig, label, small)
        yield _slow_tier(rig, "binance-spot", small)
        yield _one_per_read(rig, "binance-spot", small)
        yield _bursts(rig, "binance-spot", small, tls=True)
        yield _latency(rig, "binance-spot", small)
        for line, per_s in (("busy", 500.0), ("quiet", 5.0)):
            yield _half_open(f"{namespace}-{line}", line, per_s, small)
    finally:
        rig.close()
        for name in segment.names(namespace):
            segment.remove(name)


def _bursts(rig: Rig, label: str, small: bool, *, tls: bool = False) -> Figure:
    runs = 1 if small else 7
    sent = messages(label, 2_000 if small else 400_000)
    few = messages(label, 500 if small else 60_000)
    adapter = rig.adapter(label)
    peers = [] if tls else feed_peers.peers_of(label, adapter)
    certified = rig.tls if tls else None
    orders = [Order(sent.frames, 0, certified)] * runs
    if not tls:
        orders += [Order(sent.frames, 0, None)]
    orders += [Order(few.frames, 0, None)] * len(peers)
    with Child(serve, rig.server, orders):
        samples = [rig.ours(sent, tls=tls).us for _ in range(runs)]
        floor = None if tls else rig.floor_us(sent)
        found = {
            peer: uvloop.run(feed_peers.run(peer, rig.url(tls=False), few, adapter))
            for peer in peers
        }
    return figure(
        f"feed.{label}", "us", samples, floor=floor, peers=found,
        mode="bursts", transport="tls" if tls else "plain", tier="native",
        messages=len(sent.frames), bytes=sum(map(len, sent.frames)) // len(sent.frames),
    )  # fmt: skip


def _slow_tier(rig: Rig, label: str, small: bool) -> Figure:
    """Every message passed on to the typed decoder, as one of another form would be."""
    runs = 1 if small else 5
    sent = messages(label, 500 if small else 60_000)
    adapter = rig.adapter(label)
    orders = [Order(sent.frames, 0, None)] * (runs + 1)
    with Child(serve, rig.server, orders):
        samples = [rig.ours(sent, native=False).us for _ in range(runs)]
        url = rig.url(tls=False)
        orjson_us = uvloop.run(feed_peers.run("websockets_orjson", url, sent, adapter))
    return figure(
        f"feed.{label}", "us", samples, peers={"websockets_orjson": orjson_us},
        mode="bursts", transport="plain", tier="slow", messages=len(sent.frames),
    )  # fmt: skip


def _one_per_read(rig: Rig, label: str, small: bool) -> Figure:
    """Frames that come apart: most of the cost is the kernel's and the loop's."""
    runs = 1 if small else 5
    sent = messages(label, 300 if small else 40_000)
    adapter = rig.adapter(label)
    peers = ["websockets_orjson", "picows_python"]
    orders = [Order(sent.frames, GAP_NS, None)] * (3 * runs + len(peers))
    with Child(serve, rig.server, orders):
        rows = [
            (rig.ours(sent).us, rig.floor_us(sent), rig.floor_us(sent, epoll=False))
            for _ in range(runs)
        ]
        url = rig.url(tls=False)
        found = {peer: uvloop.run(feed_peers.run(peer, url, sent, adapter)) for peer in peers}
    ours, floor, blocking = (statistics.median(column) for column in zip(*rows, strict=True))
    return figure(
        f"feed.{label}", "us", [row[0] for row in rows], floor=floor, peers=found,
        mode="one frame per read", transport="plain", tier="native",
        floor_loop="epoll_wait and recv", blocking_recv=round(blocking, 3),
        times_floor=round(ours / floor, 2),
        messages=len(sent.frames), gap_us=GAP_NS / 1_000,
    )  # fmt: skip


def _latency(rig: Rig, label: str, small: bool) -> Figure:
    """From reading the frame to the quote in its cell, at a steady rate."""
    sent = messages(label, 500 if small else 200_000)
    rig.health.close()
    rig.health = Health.create(rig.health.namespace)  # histograms that hold this run only
    with Child(serve, rig.server, [Order(sent.frames, LATENCY_GAP_NS, None)]):
        run = rig.ours(sent)
    p50, _, p99, p999, _ = run.latency_us
    made = figure(
        "feed.latency", "us", [p50],
        per_second=round(1e9 / LATENCY_GAP_NS), messages=len(sent.frames), p999=round(p999, 3),
    )  # fmt: skip
    return {**made, "p99": round(p99, 3)}


def _half_open(namespace: str, line: str, per_s: float, small: bool) -> Figure:
    """Whether signals cease in time. A quiet line's legs are seconds old while all is well, as its
    symbols quote each other second: there `silent_s` tells, from the last quote on.
    """
    found = [
        half_open(f"{namespace}-{number}", per_s, 1.5 if small else 10.0)
        for number in range(1 if small else 5)
    ]
    return figure(
        "feed.half_open", "s", [one.oldest_s for one in found],
        line=line, per_second=per_s, oldest_s_max=round(max(one.oldest_s for one in found), 3),
        silent_s_max=round(max(one.silent_s for one in found), 3),
        signals=sum(one.signals for one in found), stalls=sum(one.stalls for one in found),
        held_up_s_max=round(max(one.held_up_s for one in found), 3),
    )  # fmt: skip
