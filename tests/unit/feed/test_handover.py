"""One connection takes over from another: what neither of them can stand behind is not believed.

A whole feed of one line, over real sockets, against a server whose every answer the test decides.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
import uvloop
from test_line import Server, frame

from spread_scanner import clock, config
from spread_scanner.feed.feed import Feed
from spread_scanner.runtime import logs
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import SOURCE_BY_LABEL, UNUSABLE, QuoteFlag
from spread_scanner.shm import Control, Health, PriceStore
from spread_scanner.shm.connections import Connections
from spread_scanner.symbology import publish
from spread_scanner.symbology.tables import InstrumentRow, SymbolRow, Tables

SOURCE = SOURCE_BY_LABEL["binance-spot"]
SHIPPED = Path(__file__).parents[3] / "config"
NAMES = ("AAAUSDT", "BBBUSDT")
BUSY, QUIET = 0, 1  # the ids of the two
DEADLINE_S = 60.0  # a busy machine may need it, a good run does not
NOTICE = frame(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}')
ACCEPTED = frame(b'{"result":null,"id":1}')
PING, PONG = 0x9, 0x8A


def ticker(symbol: str, update_id: int) -> bytes:
    return frame(
        b'{"stream":"%b@bookTicker","data":{"u":%d,"s":"%b","b":"100.0","B":"1","a":"101","A":"2"}}'
        % (symbol.lower().encode(), update_id, symbol.encode())
    )


BOTH = ACCEPTED + ticker(NAMES[BUSY], 1) + ticker(NAMES[QUIET], 1)
ONE = ACCEPTED + ticker(NAMES[BUSY], 2)


async def answer(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Somebody is there, until the other side goes."""
    while True:
        opcode, payload = await server.hear(reader)
        if opcode == PING:
            writer.write(struct.pack("!BB", PONG, len(payload)) + payload)


async def say_nothing(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Half open: what is sent is read by nobody who answers."""
    while True:
        await server.hear(reader)


Act = Callable[[Server, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def acting(first: bytes, then: Act, before: Callable[[], Awaitable[object]] | None = None) -> Act:
    """Send `first`, after `before` is over, and go on with `then`."""

    async def act(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if before is not None:
            await before()
        writer.write(first)
        await then(server, reader, writer)

    return act


class Bed:
    """A whole feed with the settings as shipped."""

    def __init__(self, namespace: str, folder: Path, stack: ExitStack) -> None:
        self.namespace, self.folder = namespace, folder
        self.enter = stack.enter_context
        self.store = self.enter(PriceStore.create(namespace, max_symbols=64))
        self.health = self.enter(Health.create(namespace))

    def make(self, port: int) -> Feed:
        made = config.load(SHIPPED, environ={"SPREAD_SYSTEM__NAMESPACE": self.namespace})
        url = f"ws://127.0.0.1:{port}/stream"
        sources = {
            label: msgspec.structs.replace(source, ws_url=url, notices=False)
            for label, source in made.exchanges.items()
        }
        settings = msgspec.structs.replace(made, folder=self.folder / "config", exchanges=sources)
        publish.publish(settings.generated_dir, _tables(), {})
        process = Process(
            SOURCE.process,
            settings,
            logs.set_up(SOURCE.process),
            self.enter(self.health.claim(SOURCE.process)),
            self.enter(self.enter(Control.create(self.namespace)).claim(SOURCE.process)),
        )
        rows = self.enter(self.enter(Connections.create(self.namespace)).claim(SOURCE.source_id))
        writer = self.enter(self.store.writer(SOURCE.source_id))
        gates = self.enter(Gates(self.namespace))
        return Feed(process, SOURCE, self.store, writer, rows, gates)

    def flags(self, symbol_id: int) -> QuoteFlag:
        quote = self.store.read(SOURCE.source_id, symbol_id)
        return QuoteFlag.STALE if quote is None else QuoteFlag(quote.flags)

    def good(self, symbol_id: int) -> bool:
        return not self.flags(symbol_id) & UNUSABLE

    def run(self, acts: list[Act], story: Callable[[Feed, Server], Awaitable[None]]) -> None:
        uvloop.run(self._run(acts, story))

    async def _run(self, acts: list[Act], story: Callable[[Feed, Server], Awaitable[None]]) -> None:
        server = Server(acts)
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        feed = self.make(listening.sockets[0].getsockname()[1])
        feed._start()
        feed._check()
        try:
            await story(feed, server)
        finally:
            feed._stop()
            listening.close()
        assert feed._failure is None


def _tables() -> Tables:
    return Tables(
        generation=1,
        created_wall_ns=1,
        symbols=tuple(SymbolRow(n, name, name[:3], "USDT") for n, name in enumerate(NAMES)),
        instruments=tuple(
            InstrumentRow(SOURCE.source_id, n, name, 1.0, 1.0, None, None, None, None, False, False)
            for n, name in enumerate(NAMES)
        ),
        directions=(),
        funding=(),
        quarantine=(),
    )


@pytest.fixture
def bed(namespace: str, tmp_path: Path) -> Iterator[Bed]:
    with ExitStack() as stack:
        yield Bed(namespace, tmp_path, stack)


async def until(holds: Callable[[], bool], what: str) -> None:
    deadline_s = clock.awake_s() + DEADLINE_S
    while not holds():
        assert clock.awake_s() < deadline_s, what
        await asyncio.sleep(0.005)


def carrying(feed: Feed) -> int:
    """The number of the connection that carries the line; 0: none does."""
    current = next(iter(feed._lines())).current
    return current.number if current is not None else 0


def test_what_a_silent_connection_said_is_not_good_again_when_its_successor_takes_over(
    bed: Bed,
) -> None:
    """Nobody knows what happened between its silence and the successor's subscription."""
    silent = asyncio.Event()
    acts = [acting(BOTH + NOTICE, say_nothing), acting(ONE, answer, silent.wait)]

    async def story(feed: Feed, server: Server) -> None:
        await until(lambda: bool(bed.flags(QUIET) & QuoteFlag.SILENT), "silent")
        silent.set()
        await until(lambda: carrying(feed) == 2 and bed.good(BUSY), "the successor quotes")
        for _ in range(5):  # over some looks at what is silent
            assert not bed.good(QUIET)
            await asyncio.sleep(0.1)

    bed.run(acts, story)


def test_a_connection_that_died_before_its_successor_listened_hands_nothing_over(bed: Bed) -> None:
    """It falls silent before anybody can have noticed: what it did not say is heard by nobody."""
    acts = [acting(BOTH + NOTICE, say_nothing), acting(ONE, answer)]

    async def story(feed: Feed, server: Server) -> None:
        await until(lambda: carrying(feed) == 2, "the successor takes over")
        assert not bed.good(QUIET)
        assert bed.good(BUSY)

    bed.run(acts, story)


def test_what_a_connection_took_over_is_silent_when_it_is(bed: Bed) -> None:
    """Its cell was written by the one before, and nobody would say that it has changed."""
    dead = asyncio.Event()

    async def answer_for_a_while(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.ensure_future(answer(server, reader, writer))
        await dead.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await say_nothing(server, reader, writer)

    acts = [acting(BOTH + NOTICE, answer), acting(ONE, answer_for_a_while)]

    async def story(feed: Feed, server: Server) -> None:
        await until(lambda: carrying(feed) == 2, "the successor takes over")
        assert bed.good(QUIET), "an orderly swap costs no quote"
        dead.set()
        await until(lambda: bool(bed.flags(BUSY) & QuoteFlag.SILENT), "silent")
        assert bed.flags(QUIET) & QuoteFlag.SILENT
        assert carrying(feed) == 2

    bed.run(acts, story)
