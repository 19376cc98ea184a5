"""A line over real sockets: it gets its quotes back whatever the other side does."""

import asyncio
import base64
import gc
import hashlib
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import msgspec
import pytest
import uvloop
from feed_bed import Ground

from spread_scanner import clock
from spread_scanner.config import Feed
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.line import Line
from spread_scanner.feed.share import Share
from spread_scanner.runtime.life import End
from spread_scanner.runtime.ws import WSError
from spread_scanner.schema.enums import SOURCE_BY_LABEL, ConnectionState
from spread_scanner.shm.connections import ConnectionHealth
from spread_scanner.symbology.tables import InstrumentRow

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SOURCE = SOURCE_BY_LABEL["binance-spot"]
DEADLINE_S = 60.0  # a busy machine may need it, a good run does not
BAD_MAX = 20  # as shipped
ROW = InstrumentRow(SOURCE.source_id, 0, "BTCUSDT", 1.0, 1.0, None, None, None, None, False, False)

Act = Callable[["Server", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def frame(payload: bytes, first: int = 0x81) -> bytes:
    if len(payload) < 126:
        return bytes((first, len(payload))) + payload
    return struct.pack("!BBH", first, 126, len(payload)) + payload


def ticker(update_id: int, px: str = "100.0") -> bytes:
    return frame(
        b'{"stream":"btcusdt@bookTicker","data":{"u":%d,"s":"BTCUSDT","b":"%s","B":"1","a":"200",'
        b'"A":"2"}}' % (update_id, px.encode())
    )


class Server:
    """The first connection meets `acts[0]`, the next `acts[1]`; the last act is for all others."""

    def __init__(self, acts: list[Act]) -> None:
        self.acts = acts
        self.connections = 0
        self.heard: list[tuple[int, bytes]] = []

    @property
    def texts(self) -> list[bytes]:
        """What was asked for: pings left out."""
        return [payload for opcode, payload in self.heard if opcode == 1]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            rows = [row.split(b":", 1) for row in head.split(b"\r\n") if b":" in row]
            key = next(
                value.strip() for name, value in rows if name.lower() == b"sec-websocket-key"
            )
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            number = self.connections
            self.connections += 1
            await self.hear(reader)  # the subscription
            await self.acts[min(number, len(self.acts) - 1)](self, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def hear(self, reader: asyncio.StreamReader) -> tuple[int, bytes]:
        """One masked frame of the client: opcode and payload."""
        first, second = await reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
        mask = await reader.readexactly(4)
        payload = await reader.readexactly(size)
        heard = (first & 0x0F, bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))
        self.heard.append(heard)
        return heard


async def quote_and_listen(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.write(ticker(1_000 * server.connections))
    while True:
        await server.hear(reader)


def sending(*frames: bytes) -> Act:
    """Quote, send these bytes, then listen until the client goes."""

    async def act(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(ticker(1) + b"".join(frames))
        while True:
            await server.hear(reader)

    return act


def quoting(count: int) -> Act:
    """Quote so often, each time by itself, so that there is a rate; then listen."""

    async def act(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        for number in range(1, count + 1):
            writer.write(ticker(number))
            await writer.drain()
            await asyncio.sleep(0.005)
        while True:
            await server.hear(reader)

    return act


class Rig(Ground):
    """A line with one symbol, and what it reported."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace, SOURCE.label)
        self.ends: list[End] = []
        self.told_by_loop: list[Any] = []
        self.limits: dict[str, Any] = {}  # those of the exchange that are to be others
        self.line: Line | None = None
        self.made: Share | None = None

    def run(
        self, acts: list[Act], done: Callable[["Rig", Server], bool], **settings: Any
    ) -> Server:
        return uvloop.run(self._run(acts, done, settings))

    async def _run(
        self, acts: list[Act], done: Callable[["Rig", Server], bool], settings: dict[str, Any]
    ) -> Server:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.told_by_loop.append(context))
        server = Server(acts)
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        self.made = share = self.share(
            f"ws://127.0.0.1:{port}/stream",
            # As shipped a line pauses for up to half a minute: the days live that.
            Feed(backoff_s_min=0.01, backoff_s_max=0.05, **settings),
            {"BTCUSDT": ROW},
            lag_ns_max=10**9,
            **self.limits,
        )

        def lost(connection: Connection, why: End) -> None:
            self.ends.append(why)

        self.line = line = Line(share, ["BTCUSDT"], lost)
        line.start()
        deadline = loop.time() + DEADLINE_S
        try:
            while not done(self, server):
                assert loop.time() < deadline, (self.ends, server.heard, self.faults)
                line.check(clock.mono_ns(), 1.0)
                await asyncio.sleep(0.005)
        finally:
            line.stop()
            listening.close()
        await asyncio.sleep(0.05)
        gc.collect()  # a future's unread exception is told when it is collected
        loop.set_exception_handler(lambda *_: None)
        assert self.faults == []
        return server

    def update_id(self) -> int:
        quote = self.store.read(SOURCE.source_id, 0)
        return 0 if quote is None else quote.update_id


@pytest.fixture
def rig(namespace: str) -> Iterator[Rig]:
    made = Rig(namespace)
    yield made
    made.close()


def back(rig: Rig, server: Server) -> bool:
    return rig.update_id() == 2_000


BROKEN_FRAMES = {
    "an opcode that is none": b"\x83\x00",
    "a masked frame": b"\x81\x81\x00\x00\x00\x00x",
    "a frame beyond all bounds": struct.pack("!BBQ", 0x81, 127, 1 << 40),
    "a control frame in pieces": b"\x09\x00",
    "a close frame with a bad code": b"\x88\x02\x00\x01",
}


@pytest.mark.parametrize("what", BROKEN_FRAMES)
def test_a_broken_frame_costs_the_connection_and_nothing_else(rig: Rig, what: str) -> None:
    rig.run([sending(BROKEN_FRAMES[what]), quote_and_listen], back)

    assert rig.ends[0] is End.LOST
    for context in rig.told_by_loop:
        assert isinstance(context.get("exception"), WSError | OSError), context


def test_a_ping_is_answered_with_its_own_bytes(rig: Rig) -> None:
    def ponged(rig: Rig, server: Server) -> bool:
        return (0xA, b"1790000000") in server.heard

    rig.run([sending(frame(b"1790000000", 0x89))], ponged)

    assert rig.ends == [End.STOPPED]


def test_a_goodbye_is_answered_and_the_line_dials_again(rig: Rig) -> None:
    server = rig.run([sending(frame(struct.pack("!H", 1001), 0x88)), quote_and_listen], back)

    assert rig.ends[0] is End.LOST
    assert (0x8, struct.pack("!H", 1000)) in server.heard


def test_too_many_bad_messages_in_a_row_end_the_connection(rig: Rig) -> None:
    bad = frame(b"{oops")
    rig.run([sending(bad * (BAD_MAX - 1), ticker(2), bad * BAD_MAX), quote_and_listen], back)

    assert rig.ends[0] is End.BAD_STREAK
    assert rig.health.read(SOURCE.process).counters["skip_bad_message"] == 2 * BAD_MAX - 1


def test_a_connection_that_falls_silent_is_replaced(rig: Rig) -> None:
    # As shipped it would take ten seconds.
    rig.run([quoting(50), quote_and_listen], back, frozen_ms_min=100)

    assert rig.ends[0] is End.FROZEN


def test_a_connection_of_which_only_snapshots_came_is_not_taken_for_frozen(rig: Rig) -> None:
    """A shard of quiet symbols: some answers at once, and then nothing for minutes."""
    calm_until_s: list[float] = []

    def calm(rig: Rig, server: Server) -> bool:
        if rig.update_id() == 3 and not calm_until_s:
            calm_until_s.append(asyncio.get_running_loop().time() + 0.5)
        return bool(calm_until_s) and asyncio.get_running_loop().time() > calm_until_s[0]

    # As shipped nothing could be taken for frozen before ten seconds are over.
    rig.run([quoting(3)], calm, frozen_ms_min=100, silent_intervals_max=2.0)

    assert rig.ends == [End.STOPPED]


def test_a_line_is_barren_through_every_cut_until_a_quote_comes(rig: Rig) -> None:
    """One that is taken, given nothing and cut is no better than one that is left without."""
    met: list[bool] = []

    def noted(act: Act | None) -> Act:
        async def with_note(
            server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            assert rig.line is not None
            assert rig.made is not None
            met.append(rig.line.barren)
            if len(met) == 2:  # the first was ended; a slow machine shall not end another
                rig.made.settings = msgspec.structs.replace(
                    rig.made.settings, first_quote_s_max=Feed().first_quote_s_max
                )
            if act is not None:
                await act(server, reader, writer)

        return with_note

    async def one_quote(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(ticker(1))
        await writer.drain()

    async def nothing(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            await server.hear(reader)

    cut = noted(None)
    # As shipped it would take two minutes to find out.
    rig.run(
        [noted(nothing), cut, cut, noted(one_quote), cut],
        lambda *_: len(met) >= 5,
        first_quote_s_max=0.1,
    )

    assert met[:5] == [False, True, True, True, False]
    assert rig.ends[:4] == [End.NO_DATA, End.LOST, End.LOST, End.LOST]


def test_after_a_suspend_the_line_has_a_new_connection_at_once(rig: Rig) -> None:
    told: list[bool] = []

    def woken(rig: Rig, server: Server) -> bool:
        if rig.update_id() == 1_000 and not told:
            told.append(True)
            assert rig.line is not None
            rig.line.redial()
        return back(rig, server)

    server = rig.run([quote_and_listen], woken)

    assert rig.ends[0] is End.ASLEEP
    assert server.connections == 2


def test_a_connection_that_was_made_before_the_machine_slept_is_none(rig: Rig) -> None:
    """It was being made when the machine fell asleep: it opens, but nobody is there any more."""

    def slept(rig: Rig, server: Server) -> bool:
        assert rig.made is not None
        asleep = server.connections < 3
        rig.made.woke_ns = clock.mono_ns() + 60 * 10**9 if asleep else 0
        return rig.update_id() >= 3_000

    assert rig.run([quote_and_listen], slept).connections >= 3
    assert rig.ends == [End.STOPPED], "what nobody heard of cannot end"


def test_after_an_announcement_the_new_one_quotes_before_the_old_one_goes(rig: Rig) -> None:
    notice = frame(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}')

    def swapped(rig: Rig, server: Server) -> bool:
        return End.SWAPPED in rig.ends

    server = rig.run([sending(notice), quote_and_listen], swapped)

    assert rig.ends[0] is End.SWAPPED
    assert rig.update_id() == 2_000
    assert server.connections == 2
    assert rig.health.read(SOURCE.process).counters["disconnects"] == 0


def test_a_refused_dial_is_tried_again(rig: Rig) -> None:
    async def slam(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.transport.abort()

    rig.run([slam, slam, quote_and_listen], lambda rig, server: rig.update_id() == 3_000)

    assert rig.ends[:2] == [End.LOST, End.LOST]


def test_its_row_goes_on_counting_over_reconnects(rig: Rig) -> None:
    seen: list[ConnectionHealth] = []

    def back_and_looked_after(rig: Rig, server: Server) -> bool:
        seen[:] = rig.connections.read(SOURCE.source_id)
        return back(rig, server) and seen[0].symbols == 1

    rig.run([sending(frame(b"{oops") * BAD_MAX), quote_and_listen], back_and_looked_after)

    (row,) = seen
    assert row.state is ConnectionState.OPEN
    assert row.last_end == End.BAD_STREAK.value
    counted = {label: row.counters[label] for label in ("connects", "bad_streaks", "quotes")}
    assert counted == {"connects": 2, "bad_streaks": 1, "quotes": 2}
    assert row.counters["skip_bad_message"] == BAD_MAX
    assert row.latencies["recv_to_cell"].total == 2
    assert rig.connections.read(SOURCE.source_id) == []  # the line is stopped: nothing is kept


def test_a_connection_that_is_away_shows_as_dialling(rig: Rig) -> None:
    def away(rig: Rig, server: Server) -> bool:
        (row,) = rig.connections.read(SOURCE.source_id)
        return row.state is ConnectionState.DIALLING and row.last_end == End.LOST.value

    rig.run([sending(frame(struct.pack("!H", 1001), 0x88)), quote_and_listen], away)


def test_a_connection_that_may_ask_no_more_is_replaced_by_one_that_may(rig: Rig) -> None:
    """Three requests, and the exchange allows two an hour."""
    rig.limits = {"requests_per_h_max": 2, "requests_per_s_max": 1_000.0}
    asked = 0

    def swapped(rig: Rig, server: Server) -> bool:
        nonlocal asked
        if asked == 0 and rig.update_id() == 1_000 and rig.line is not None:
            rig.line.leave(["BTCUSDT"])
            asked = 1
        elif asked == 1 and len(server.texts) == 2 and rig.line is not None:
            rig.line.join(["BTCUSDT"])
            asked = 2
        return back(rig, server) and bool(rig.ends)

    server = rig.run([quote_and_listen], swapped)

    assert rig.ends[0] is End.SWAPPED
    assert [b"UNSUBSCRIBE" in text for text in server.texts] == [False, True, False]
    assert server.connections == 2


def test_what_stood_before_a_goodbye_in_the_same_read_is_counted(rig: Rig) -> None:
    goodbye = frame(struct.pack("!H", 1001), 0x88)

    rig.run([sending(ticker(2), goodbye, ticker(3)), quote_and_listen], back)

    counters = rig.health.read(SOURCE.process).counters
    assert counters["quotes"] == counters["messages"] == 3  # 1 and 2, and the next connection's
    assert rig.ends[0] is End.LOST


def test_a_ping_that_nobody_answers_makes_a_connection_silent_and_ends_it(rig: Rig) -> None:
    """As shipped but for the end, which is to come within the test's deadline."""
    was_silent = False

    def ended(rig: Rig, server: Server) -> bool:
        nonlocal was_silent
        was_silent |= any(one.silent for one in (rig.line.connections if rig.line else []))
        return End.UNHEARD in rig.ends

    server = rig.run([quote_and_listen], ended, unanswered_ms_max=1_500)

    assert was_silent
    assert any(opcode == 9 for opcode, _ in server.heard)
