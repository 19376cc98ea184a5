"""A connection goes half-open: how old is the oldest leg of a signal that still comes of it?

A whole feed with the settings that ship reads a source over loopback; the engine's core is stepped
on every few ms, the other leg is written by hand so that signals never cease. Then the exchange
says nothing more and answers nothing, and the socket stays open. Ages are by the store's own
stamps: a signal's `ts_trigger` less the `ts_recv` of its older leg, so only policy counts, and how
long this process was held up is told beside them.
"""

import asyncio
import base64
import contextlib
import hashlib
import itertools
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import structlog
import uvloop

from spread_scanner import clock, config
from spread_scanner.clock import NS_PER_S
from spread_scanner.engine.core import Engine
from spread_scanner.feed.feed import Feed
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, SOURCE_BY_LABEL, QuoteFlag, SignalKind
from spread_scanner.shm import Control, Health, PriceStore, SignalRing, segment
from spread_scanner.shm.connections import Connections
from spread_scanner.shm.price_store import Writer
from spread_scanner.shminit import making
from spread_scanner.symbology import publish
from spread_scanner.symbology.tables import DirectionRow, InstrumentRow, SymbolRow, Tables

SHIPPED = Path(__file__).parents[2] / "config"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SPOT = SOURCE_BY_LABEL["binance-spot"]
FUTURES = SOURCE_BY_LABEL["okx-futures"]
DIRECTION = DIRECTION_BY_LABEL["binance-okx"]
SYMBOLS = 10
STEP_S = 0.005
BEAT_S = 0.01
HELD_UP_NS_MIN = 30_000_000  # a beat later than this is not the loop's own work
AFTER_S = 4.0


class Found(NamedTuple):
    """What one run saw. `held_up_s`: how long nothing ran, of the time since it went half-open."""

    oldest_s: float
    silent_s: float  # after the last quote, until none of the source could be used
    signals: int  # after it went half-open
    held_up_s: float
    stalls: int


class Exchange:
    """Quotes each symbol in turn, until it dies with its socket open."""

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self.dead = False
        self.update_id = 0
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            rows = (line.partition(b": ") for line in head.split(b"\r\n"))
            key = next(row[2] for row in rows if row[0].lower() == b"sec-websocket-key")
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            self.connections += 1
            quoting = asyncio.create_task(self._quote(writer))
            try:
                await self._answer(reader, writer)
            finally:
                quoting.cancel()
                writer.close()

    async def _quote(self, writer: asyncio.StreamWriter) -> None:
        due_s = clock.awake_s()
        while True:
            due_s += 1 / self.per_s
            await asyncio.sleep(max(0.0, due_s - clock.awake_s()))
            if self.dead:
                continue
            self.update_id += 1
            name = f"A{chr(65 + self.update_id % SYMBOLS)}USDT"
            text = (
                f'{{"stream":"{name.lower()}@bookTicker","data":{{"u":{self.update_id},"s":"{name}"'
                ',"b":"99.9","B":"5","a":"100","A":"5"}}'
            )
            writer.write(_frame(0x81, text.encode()))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first, second = await reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                size = int.from_bytes(await reader.readexactly(2), "big")
            mask = await reader.readexactly(4)
            payload = await reader.readexactly(size)
            if first & 0x0F == 9 and not self.dead:
                data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
                writer.write(_frame(0x8A, data))


def _frame(first: int, payload: bytes) -> bytes:
    if len(payload) < 126:
        return bytes((first, len(payload))) + payload
    return bytes((first, 126)) + len(payload).to_bytes(2, "big") + payload


class Beats:
    """A heartbeat in the loop: when it comes late, everything else did."""

    def __init__(self) -> None:
        self.stalls: list[tuple[int, int]] = []

    async def run(self) -> None:
        before_ns = clock.mono_ns()
        while True:
            await asyncio.sleep(BEAT_S)
            now_ns = clock.mono_ns()
            late_ns = now_ns - before_ns - int(BEAT_S * NS_PER_S)
            if late_ns > HELD_UP_NS_MIN:
                self.stalls.append((now_ns, late_ns))
            before_ns = now_ns

    def since(self, mono_ns: int) -> list[int]:
        return [late_ns for at_ns, late_ns in self.stalls if at_ns > mono_ns]


def _tables() -> Tables:
    names = [f"A{chr(65 + number)}" for number in range(SYMBOLS)]
    return Tables(
        1, clock.wall_ns(),
        tuple(SymbolRow(n, f"{name}-USDT", name, "USDT") for n, name in enumerate(names)),
        tuple(
            InstrumentRow(source.source_id, n, spelling.format(name), 1.0, 1.0, None, None, None,
                          None, False, False)
            for source, spelling in ((SPOT, "{}USDT"), (FUTURES, "{}-USDT-SWAP"))
            for n, name in enumerate(names)
        ),
        (DirectionRow(DIRECTION.direction_id, tuple(range(SYMBOLS))),),
        (), (),
    )  # fmt: skip


class Rig:
    """The segments, the feed, the engine's core and the other leg."""

    def __init__(
        self, folder: Path, namespace: str, port: int, stack: contextlib.ExitStack
    ) -> None:
        made = config.load(
            SHIPPED,
            environ={
                "SPREAD_SYSTEM__NAMESPACE": namespace,
                "SPREAD_SYSTEM__MAX_SYMBOLS": "64",
                "SPREAD_SPREAD_ENGINE__SIGNAL_BASIS_UNKNOWN": "true",  # nobody waits five minutes
            },
        )
        exchanges = dict(made.exchanges)
        exchanges[SPOT.label] = msgspec.structs.replace(
            exchanges[SPOT.label], ws_url=f"ws://127.0.0.1:{port}/stream", notices=False
        )
        settings = msgspec.structs.replace(made, folder=folder / "config", exchanges=exchanges)
        publish.publish(settings.generated_dir, _tables(), {})
        making.ensure(settings)
        enter = stack.enter_context
        self.store = enter(PriceStore.attach(namespace))
        health = enter(Health.attach(namespace))
        control = enter(Control.attach(namespace))
        self.consumer = enter(enter(SignalRing.attach(namespace, "signals")).consumer())
        row = enter(health.claim("spread-engine"))
        self.engine = enter(Engine(namespace, row, enter(control.claim("spread-engine"))))
        self.engine.load(settings, _tables())
        self.other: Writer = enter(self.store.writer(FUTURES.source_id))
        log = structlog.wrap_logger(structlog.PrintLogger(), processors=[_said_nowhere])
        process = Process(
            SPOT.process, settings, log, enter(health.claim(SPOT.process)),
            enter(control.claim(SPOT.process)),
        )  # fmt: skip
        process.slot.ack(process.orders.generation)
        self.feed = Feed(
            process, SPOT, self.store, enter(self.store.writer(SPOT.source_id)),
            enter(enter(Connections.attach(namespace)).claim(SPOT.source_id)),
            enter(Gates(namespace)),
        )  # fmt: skip
        self._turns = itertools.count(1)

    def turn(self) -> Any:
        """The other leg moves over the threshold and back; what is signalled, as records."""
        number = next(self._turns)
        now_ns = self.store.clock.now_ns()
        self.other.heartbeat(clock.mono_ns())
        px = 110.0 if number % 2 else 90.0
        for symbol_id in range(SYMBOLS):
            self.other.write(symbol_id, px, 5.0, px + 0.1, 5.0, now_ns, now_ns, number)
        self.engine.loop.step(clock.mono_ns())
        return self.consumer.pop_many(1_000)

    def quotes(self) -> np.ndarray:
        return self.store.read_many(SPOT.source_id, np.arange(SYMBOLS, dtype=np.uint16))


def _said_nowhere(*_: object) -> str:
    raise structlog.DropEvent


async def _half_open(rig: Rig, exchange: Exchange, flow_s: float) -> Found:
    beats = Beats()
    running = asyncio.create_task(rig.feed.run())
    beating = asyncio.create_task(beats.run())
    try:
        await _until(lambda: bool((rig.quotes()["ts_recv"] > 0).all()), rig)
        async for _ in _turns(rig, flow_s):
            pass
        exchange.dead = True
        dead_ns = clock.mono_ns()
        oldest_ns, signals, silent_ns = 0, 0, 0
        unusable = int(QuoteFlag.SILENT | QuoteFlag.STALE)
        async for records in _turns(rig, AFTER_S):
            entered = records[records["kind"] != SignalKind.EXIT]
            legs = np.minimum(entered["spot_ts_recv"], entered["fut_ts_recv"])
            oldest_ns = max(oldest_ns, int((entered["ts_trigger"] - legs).max(initial=0)))
            signals += len(entered)
            quotes = rig.quotes()
            if not silent_ns and (quotes["flags"] & unusable != 0).all():
                silent_ns = rig.store.clock.now_ns() - int(quotes["ts_recv"].max())
        late = beats.since(dead_ns)
        return Found(oldest_ns / 1e9, silent_ns / 1e9, signals, sum(late) / 1e9, len(late))
    finally:
        rig.feed._over.set()
        beating.cancel()
        await running


async def _until(condition: Any, rig: Rig) -> None:
    async for _ in _turns(rig, 20.0):
        if condition():
            return
    raise RuntimeError("no quotes of every symbol within 20 s")


async def _turns(rig: Rig, seconds: float) -> AsyncIterator[Any]:
    end_s = clock.awake_s() + seconds
    while clock.awake_s() < end_s:
        await asyncio.sleep(STEP_S)
        yield rig.turn()


def half_open(namespace: str, per_s: float, flow_s: float) -> Found:
    """A source of so many messages a second that flows for a while and goes half-open."""

    async def play() -> Found:
        exchange = Exchange(per_s)
        server = await asyncio.start_server(exchange.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with _folder() as folder, contextlib.ExitStack() as stack:
            try:
                return await _half_open(Rig(folder, namespace, port, stack), exchange, flow_s)
            finally:
                server.close()
                await asyncio.sleep(BEAT_S)  # the exchange's side ends with ours

    try:
        return uvloop.run(play())
    finally:
        for name in segment.names(namespace):
            segment.remove(name)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"half-open-{os.getpid()}-") as name:
        yield Path(name)
