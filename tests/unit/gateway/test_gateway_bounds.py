"""What a connection may take and say, over real sockets: each bound is met, and others go on."""

import asyncio
import contextlib
import itertools
import json
import resource
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import uvloop
from uvicorn.server import ServerState

from spread_scanner.clock import NS_PER_S
from spread_scanner.config.settings import Gateway
from spread_scanner.gateway import access, connections, front, main, openapi_page, sockets
from spread_scanner.gateway.access import AddressPace, whose_pace
from spread_scanner.gateway.broadcast import STUCK_NS, Broadcast
from spread_scanner.gateway.connections import (
    HEAD_BYTES_MAX,
    OWN_FILES,
    BoundedHttp,
    Seats,
    files_for,
)
from spread_scanner.gateway.counting import Counting
from spread_scanner.gateway.front import answer_of
from spread_scanner.gateway.main import listening, serving
from spread_scanner.gateway.sockets import Pings
from spread_scanner.schema.enums import SOURCES
from spread_scanner.schema.names import GATEWAY
from spread_scanner.shm import PriceStore

SPOT_ID = SOURCES[0].source_id
GET = b"GET /v1/directions HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
BIG = GET.replace(b"directions", b"docs/rapidoc-min.js")
BIG_AND_LAST = BIG.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n\r\n"
)


class Door(NamedTuple):
    """A gateway's sockets, in this loop."""

    port: int
    seats: Seats
    broadcast: Broadcast
    visitors: list["Visitor"]


class Visitor:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def of(cls, door: Door) -> "Visitor":
        door.visitors.append(cls(*await asyncio.open_connection("127.0.0.1", door.port)))
        return door.visitors[-1]

    @classmethod
    async def listening(cls, door: Door, wish: bytes) -> "Visitor":
        """One whose socket takes little unread; its wish is said."""
        with socket.socket() as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            raw.connect(("127.0.0.1", door.port))
            streams = await asyncio.open_connection(sock=raw.dup(), limit=4_096)
        visitor = cls(*streams)
        door.visitors.append(visitor)
        visitor.say(UPGRADE)
        assert (await visitor.told())[0] == 101
        visitor.say(bytes([0x81, 0x80 | len(wish), 0, 0, 0, 0]) + wish)
        return visitor

    async def frame(self) -> Any:
        """The next frame that it is told."""
        _, length = await self.reader.readexactly(2)
        if length == 126:
            length = int.from_bytes(await self.reader.readexactly(2), "big")
        return json.loads(await self.reader.readexactly(length))

    def say(self, text: bytes) -> None:
        self.writer.write(text)

    async def told(self) -> tuple[int, Any]:
        """The next answer: its status, and its body if it is JSON."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-l")]
        body = await self.reader.readexactly(int(length[0].split(b":")[1])) if length else b""
        problem = b"application/problem+json" in head
        return int(head.split(b" ")[1]), json.loads(body) if problem else body

    async def asks(self) -> int:
        self.say(GET)
        return (await self.told())[0]

    async def ended(self) -> None:
        """Its connection is closed by the other side."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass

    async def gone(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@pytest.fixture
def quote(virtual_clock: Any, listed_bed: Any) -> Iterator[Callable[[float], None]]:
    """Writes what the first coin is bid at the first source."""
    virtual_clock.advance_ms(1_000)
    with PriceStore.attach(listed_bed.namespace) as store, store.writer(SPOT_ID) as writer:

        def quote(bid: float) -> None:
            now_ns = store.clock.now_ns()
            number = int(store.sequences[SPOT_ID, 0]) + 1
            writer.write(0, bid, 10.0, bid + 1, 10.0, now_ns, now_ns, number)
            writer.heartbeat(now_ns - store.clock.anchor_ns)

        yield quote


@pytest.fixture
def at_the_door(gateway_of: Callable[..., Any]) -> Iterator[Callable[..., None]]:
    """Runs what is done at a door of so many seats."""
    asking = gateway_of()
    broadcast = Broadcast(asking.system)

    @contextlib.asynccontextmanager
    async def opened(most: int, tls: ssl.SSLContext | None) -> AsyncIterator[Door]:
        seats = Seats(most, asking.front._count)
        made = serving(asking.front, broadcast, seats)
        made.load()
        http: Any = made.http_protocol_class
        state = ServerState()

        def protocol() -> asyncio.Protocol:
            made_one: asyncio.Protocol = http(config=made, server_state=state, app_state={})
            return made_one

        listener = listening(Gateway(port=0))
        # What is unread is soon too much.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocol, sock=listener, ssl=tls)
        async with server:
            opened_door = Door(listener.getsockname()[1], seats, broadcast, [])
            try:
                yield opened_door
            finally:
                for visitor in opened_door.visitors:
                    await visitor.gone()

    def run(
        visit: Callable[[Door], Awaitable[None]], most: int = 50, tls: ssl.SSLContext | None = None
    ) -> None:
        async def all_of_it() -> None:
            async with asyncio.timeout(60), opened(most, tls) as door:
                await visit(door)

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the process has it
            runner.run(all_of_it())

    yield run
    broadcast.close()


def pass_by(broadcast: Broadcast, virtual_clock: Any, ns: int) -> None:
    """So long, in which the process ticks as it does."""
    while ns:
        virtual_clock.advance_ns(step := min(ns, NS_PER_S))
        broadcast.tick()
        ns -= step


async def left(door: Door, count: int) -> None:
    """So many seats are taken."""
    for _ in itertools.count():
        if len(door.seats) == count:
            return
        await asyncio.sleep(0.001)


def test_a_fault_while_a_wish_is_heard_ends_that_stream_and_is_counted(
    at_the_door: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults: list[Exception] = []

    def counted(_: Counting, what: str, fault: Exception) -> None:
        faults.append(fault)

    def fails(*_: object) -> None:
        raise KeyError("no such view")

    monkeypatch.setattr(Counting, "stream_failed", counted)

    async def visit(door: Door) -> None:
        wish = b'{"op":"subscribe","kinds":["status"]}'
        well = await Visitor.listening(door, wish)
        assert [(await well.frame())["type"] for _ in range(2)] == ["hello", "status"]
        monkeypatch.setattr(door.broadcast, "heard", fails)
        await (await Visitor.listening(door, wish)).ended()
        assert [type(fault) for fault in faults] == [KeyError]
        assert door.broadcast.clients == 1

    at_the_door(visit)


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        (b"", b"\x03\xe8"),  # as close() of browsers and of Node says it
        (b"\x03\xe8", b"\x03\xe8"),
        (b"\x03\xe9away", b"\x03\xe9away"),
    ],
    ids=["no code", "a code", "a code and why"],
)
def test_who_says_goodbye_is_answered_with_a_code_that_a_frame_may_carry(
    at_the_door: Callable[..., None], said: bytes, answered: bytes
) -> None:
    async def visit(door: Door) -> None:
        leaving = await Visitor.listening(door, b'{"op":"subscribe","kinds":["status"]}')
        assert [(await leaving.frame())["type"] for _ in range(2)] == ["hello", "status"]
        leaving.say(bytes([0x88, 0x80 | len(said), 0, 0, 0, 0]) + said)
        assert await leaving.reader.read() == bytes([0x88, len(answered)]) + answered

    at_the_door(visit)


SLOW = {
    "silent": (b"", b""),
    "head": (b"GET /v1/directions HTTP/1.1\r\nX: ", b"a"),
    "lines": (b"", b"\r\n"),
    "body": (
        b"POST /scan-arbitrage HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9999\r\n\r\n",
        b" ",
    ),
}


def test_who_says_no_whole_request_is_let_go_however_busy_it_is(
    at_the_door: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.2)

    async def dribble(slow: Visitor, then: bytes) -> None:
        while True:
            slow.say(then)
            await asyncio.sleep(0.01)

    async def visit(door: Door) -> None:
        kept = await Visitor.of(door)
        assert await kept.asks() == 200
        for name, (first, then) in SLOW.items():
            slow = await Visitor.of(door)
            slow.say(first)
            dribbling = asyncio.create_task(dribble(slow, then))
            status, problem = await slow.told()
            assert (status, problem["code"]) == (408, "too_slow"), name
            await slow.ended()
            dribbling.cancel()
            await left(door, 1)
        assert await kept.asks() == 200  # between requests it may be silent for longer

    at_the_door(visit)


# Stops this process once something is said to it, says something itself, and lets it go on.
STOPPING = """
trap 'kill -CONT "$PPID"' EXIT
read -r
kill -STOP "$PPID"
sleep 0.8
printf '%b' "$1" >&"$2"
"""


@pytest.mark.parametrize("bound", ["REQUEST_S", "UNREAD_S", "KEEP_ALIVE_S"])
def test_what_the_process_itself_stood_still_is_nobodys_delay(
    at_the_door: Callable[..., None], monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """Each time is over when it goes on, and timers are looked at first; what was said lies there,
    and room for an answer."""
    monkeypatch.setattr(main if bound == "KEEP_ALIVE_S" else connections, bound, 0.5)
    monkeypatch.setattr(connections, "STOOD_S_MIN", 0.1)
    big = GET.replace(b"directions", b"docs/rapidoc-min.js")
    before = {"REQUEST_S": b"", "UNREAD_S": big, "KEEP_ALIVE_S": GET}[bound]
    said = "" if bound == "UNREAD_S" else ascii(GET.decode())[1:-1]

    async def visit(door: Door) -> None:
        loop = asyncio.get_running_loop()
        with await a_slow_one(door) as raw:
            child = await asyncio.create_subprocess_exec(
                *("bash", "-c", STOPPING, "bash", said, str(raw.fileno())),
                stdin=asyncio.subprocess.PIPE,
                pass_fds=[raw.fileno()],
            )
            if before:
                await loop.sock_sendall(raw, before)
                assert (await loop.sock_recv(raw, 1_024)).startswith(b"HTTP/1.1 200")
            await left(door, 1)
            await child.communicate(b"\n")
            if said:
                assert (await loop.sock_recv(raw, 4_096)).startswith(b"HTTP/1.1 200")
            told = 0
            while not said and told < 800_000:
                more = await loop.sock_recv(raw, 65_536)
                assert more, f"let go after {told} bytes"
                told += len(more)

    at_the_door(visit)


HOT = [
    b"GET /health",
    b"GET /v1/health",
    b"HEAD /prices",
    b"GET //v1//prices/",
    b"GET /prices/BTC/USDT",
    b"GET /prices/btc%2Fusdt",
    b"GET /prices/NOSUCH/USDT",
    b"GET /metrics",
    b"GET /prices\nHost: example.org",
    b"GET /prices\nOrigin: http://example.org",
    b"GET /v1/prices\nOrigin: http://example.org",
    b"GET /prices\nIf-None-Match: W/%(tag)s",
    b"GET /health\nConnection: close",
]


@pytest.mark.parametrize("asked", HOT)
def test_what_is_answered_at_once_is_what_the_long_way_answers(
    asked: bytes,
    at_the_door: Callable[..., None],
    quote: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the byte, and the connection goes on, or ends where it was to."""
    ways: list[bool] = []
    at_once = BoundedHttp._answer_at_once

    def seen(one: BoundedHttp) -> bool:
        ways.append(at_once(one))
        return ways[-1]

    monkeypatch.setattr(BoundedHttp, "_answer_at_once", seen)

    async def answer(door: Door, request: bytes) -> bytes:
        visitor = await Visitor.of(door)
        visitor.say(request)
        if b"Connection: close" not in request:
            visitor.say(GET.replace(b"GET", b"HEAD"))
            head = await visitor.reader.readuntil(b"\r\n\r\n")
            rest = await visitor.reader.readuntil(b"HTTP/1.1 200 OK\r\n")
            return head + rest
        return await visitor.reader.read()

    async def visit(door: Door) -> None:
        quote(100.0)
        line, _, more = asked.partition(b"\n")
        if b"%(tag)s" in more:
            head = await answer(door, b"GET /prices HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            more = more.replace(b"%(tag)s", head.partition(b"etag: ")[2].partition(b"\r")[0])
        ways.clear()
        named = b"" if more.startswith(b"Host") else b"\r\nHost: 127.0.0.1"
        request = line + b" HTTP/1.1" + named + (b"\r\n" + more if more else b"")
        short = await answer(door, request + b"\r\n\r\n")
        long = await answer(door, request + b"\r\nContent-Length: 0\r\n\r\n")
        assert ways[0]
        assert not any(ways[1:])
        assert short == long

    at_the_door(visit)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[BoundedHttp]:
    """The connections of the requests that were read, and not known from before."""
    began: list[BoundedHttp] = []
    on_message_begin = BoundedHttp.on_message_begin

    def seen(one: BoundedHttp) -> None:
        began.append(one)
        on_message_begin(one)

    monkeypatch.setattr(BoundedHttp, "on_message_begin", seen)
    return began


@pytest.mark.parametrize("asked", [one for one in HOT if b"close" not in one and b"%(" not in one])
def test_the_same_bytes_again_are_answered_as_they_were_without_being_read(
    asked: bytes,
    at_the_door: Callable[..., None],
    quote: Callable[[float], None],
    read: list[BoundedHttp],
) -> None:
    line, _, more = asked.partition(b"\n")
    named = b"" if more.startswith(b"Host") else b"\r\nHost: 127.0.0.1"
    request = line + b" HTTP/1.1" + named + (b"\r\n" + more if more else b"") + b"\r\n\r\n"

    async def answer(visitor: Visitor) -> bytes:
        visitor.say(request)
        head = await visitor.reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r")[0])
        return head if b"HEAD" in asked else head + await visitor.reader.readexactly(length)

    async def visit(door: Door) -> None:
        quote(100.0)
        visitor = await Visitor.of(door)
        first = await answer(visitor)
        assert [await answer(visitor) for _ in range(2)] == [first] * 2
        assert len(read) == 1
        assert await visitor.asks() == 200  # another, which is read
        assert await answer(visitor) == first
        assert len(read) == 3

    at_the_door(visit)


def test_the_same_bytes_again_are_told_what_was_written_meanwhile(
    at_the_door: Callable[..., None], quote: Callable[[float], None], read: list[BoundedHttp]
) -> None:
    async def visit(door: Door) -> None:
        visitor = await Visitor.of(door)
        bids = []
        for bid in (100.0, 101.0):
            quote(bid)
            visitor.say(GET.replace(b"v1/directions", b"prices/AAA/USDT"))
            _, body = await visitor.told()
            bids += [one["bid_px"] for one in json.loads(body)]
        assert bids == [100.0, 101.0]
        assert len(read) == 1

    at_the_door(visit)


def test_bytes_that_were_more_or_less_than_one_request_are_read_each_time(
    at_the_door: Callable[..., None], read: list[BoundedHttp]
) -> None:
    hot = GET.replace(b"v1/directions", b"health")
    half = len(hot) // 2

    async def said(visitor: Visitor, text: bytes, answers: int) -> list[int]:
        visitor.say(text)
        return [(await visitor.told())[0] for _ in range(answers)]

    async def visit(door: Door) -> None:
        visitor = await Visitor.of(door)
        for _ in range(2):
            assert await said(visitor, hot + hot, 2) == [503, 503]
        for _ in range(2):
            assert await said(visitor, GET, 1) == [200]
        assert await said(visitor, hot + hot[:half], 1) == [503]
        assert await said(visitor, hot[half:] + hot, 2) == [503, 503]
        assert await said(visitor, hot[half:] + hot, 1) == [400]  # no request
        assert len(read) == 10

    at_the_door(visit)


def test_requests_said_in_one_go_are_answered_in_their_order(
    at_the_door: Callable[..., None],
) -> None:
    """The hot ones, too: one that waits for another is not answered before it."""

    async def visit(door: Door) -> None:
        visitor = await Visitor.of(door)
        hot = GET.replace(b"/v1/directions", b"/health")
        visitor.say(hot + GET + hot + hot.replace(b"health", b"prices/NO/SUCH") + GET)
        found = [await visitor.told() for _ in range(5)]
        assert [status for status, _ in found] == [503, 200, 503, 404, 200]
        assert found[1] == found[4]

    at_the_door(visit)


def test_who_would_speak_http_2_is_answered_as_if_he_had_not_said_so(
    at_the_door: Callable[..., None],
) -> None:
    """As Java's client says by itself: also with a body, and before another request."""
    offer = b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n"
    get = GET.replace(b"\r\n\r\n", offer)
    body = b'{"threshold_pct": 1}'
    length = b"\r\nContent-Length: %d" % len(body)
    post = (
        get.replace(b"GET /v1/directions", b"POST /scan-arbitrage").replace(
            b"\r\nConn", length + b"\r\nConn"
        )
        + body
    )

    async def visit(door: Door) -> None:
        visitor = await Visitor.of(door)
        visitor.say(get + get.replace(b"/v1/directions", b"/health") + GET + post + get)
        found = [await visitor.told() for _ in range(5)]
        assert [status for status, _ in found] == [200, 503, 200, 200, 200]
        assert json.loads(found[3][1]) == {"opportunities": [], "count": 0}
        assert found[0] == found[2] == found[4]
        for at in range(1, len(post)):
            visitor.say(post[:at])
            await asyncio.sleep(0)
            visitor.say(post[at:])
            assert (await visitor.told())[0] == 200, at

    at_the_door(visit)


@pytest.mark.parametrize(
    "offer",
    [
        b"Connection: Upgrade\r\nConnection: keep-alive\r\nUpgrade: h2c",
        b"Upgrade: h2c\r\nConnection: keep-alive\r\nConnection: UPGRADE",
        b"Connection: Upgrade\r\nConnection: keep-alive\r\nUpgrade: websocket",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c",
        b"Connection: Upgrade\r\nUpgrade:",
        b"Upgrade: h2c",
        b"Connection: Upgrade",
    ],
)
def test_an_offer_is_passed_over_however_it_is_written(
    offer: bytes, at_the_door: Callable[..., None]
) -> None:
    body = b'{"threshold_pct": 1}'
    head = b"POST /scan-arbitrage HTTP/1.1\r\nHost: 127.0.0.1\r\n%b\r\nContent-Length: %d\r\n\r\n"
    post = head % (offer, len(body)) + body

    async def visit(door: Door) -> None:
        visitor = await Visitor.of(door)
        visitor.say(post + post + GET)
        assert [(await visitor.told())[0] for _ in range(3)] == [200] * 3

    at_the_door(visit)


def test_any_number_of_offers_in_one_go_are_answered(at_the_door: Callable[..., None]) -> None:
    offer = (
        b"HEAD /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    )
    many = 3_000

    async def visit(door: Door) -> None:
        visitor = await Visitor.of(door)
        visitor.say(offer * many)
        for _ in range(many):
            assert (await visitor.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 503 ")
        assert await visitor.asks() == 200

    at_the_door(visit)


def test_every_open_socket_has_a_seat_and_the_next_is_refused(
    at_the_door: Callable[..., None],
) -> None:
    async def visit(door: Door) -> None:
        silent = [await Visitor.of(door) for _ in range(2)]
        listener = await Visitor.of(door)
        listener.say(UPGRADE)
        assert (await listener.told())[0] == 101
        refused = await Visitor.of(door)
        status, problem = await refused.told()
        assert (status, problem["code"]) == (503, "full")
        await refused.ended()
        silent[0].writer.close()
        await left(door, 2)
        asks = await Visitor.of(door)
        assert await asks.asks() == 200
        asks.writer.close()
        await left(door, 2)
        listener.writer.close()
        await left(door, 1)
        attempts = [await Visitor.of(door) for _ in range(40)]
        answers = [await one.told() for one in attempts[2:]]
        assert {status for status, _ in answers} == {503}

    at_the_door(visit, most=3)


@pytest.mark.slow
def test_ten_thousand_attempts_are_refused_and_leave_nothing(
    at_the_door: Callable[..., None],
) -> None:
    async def attempt(door: Door) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        writer.close()

    async def visit(door: Door) -> None:
        seated = [await Visitor.of(door) for _ in range(3)]
        for _ in range(100):
            await asyncio.gather(*(attempt(door) for _ in range(100)))
        await left(door, 3)
        assert [await one.asks() for one in seated] == [200] * 3

    at_the_door(visit, most=3)


HEADS = [
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * HEAD_BYTES_MAX + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"a" * HEAD_BYTES_MAX,  # and no end of it
    b"GET /" + b"a" * HEAD_BYTES_MAX,
    b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * (HEAD_BYTES_MAX // 6 + 1) + b"\r\n",
]
NO_REQUESTS = [
    (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    (b"hello\r\n\r\n", 400),
    (UPGRADE.replace(b"dGhl", b"!!!!"), 400),
    (UPGRADE.replace(b"Version: 13", b"Version: 12"), 400),
    (UPGRADE.replace(b"GET", b"POST"), 400),
    (UPGRADE.replace(b"/v1/stream", b"/v1/songs"), 404),
    (UPGRADE.replace(b"Host: 127.0.0.1", b"Host: evil.example"), 421),
    *((head, 431) for head in HEADS),
    (GET.replace(b"\r\n\r\n", b"\r\nHOST: 127.0.0.1\r\n\r\n"), 400),
    (GET.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer a" * 2 + b"\r\n\r\n"), 400),
]


def test_what_is_no_request_is_refused_as_a_problem_and_counted(
    at_the_door: Callable[..., None], listed_bed: Any
) -> None:
    def refused() -> int:
        with listed_bed.health() as health:
            return int(health.read(GATEWAY).counters["refused"])

    async def visit(door: Door) -> None:
        for said, status in NO_REQUESTS:
            before = refused()
            visitor = await Visitor.of(door)
            visitor.say(said)
            told, problem = await visitor.told()
            assert (told, problem["status"]) == (status, status), said[:80]
            await visitor.ended()
            await left(door, 0)
            assert refused() == before + 1, said[:80]

    at_the_door(visit)


def test_who_reads_no_answer_is_let_go(
    at_the_door: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_S", 0.2)

    async def visit(door: Door) -> None:
        loop = asyncio.get_running_loop()
        with await a_slow_one(door) as raw:
            asks = b"GET /v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            with contextlib.suppress(ConnectionError):
                for _ in range(2_000):
                    await loop.sock_sendall(raw, asks)
                    if not len(door.seats):
                        break
            await left(door, 0)

    at_the_door(visit)


@pytest.mark.parametrize("asked", [BIG, BIG_AND_LAST], ids=["", "the last of its connection"])
def test_who_leaves_the_end_of_an_answer_unread_is_let_go_however_little_it_is(
    asked: bytes, at_the_door: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_S", 0.2)
    monkeypatch.setattr(front, "_handed_out", lambda *_: answer_of(200, b" " * 24_000, ()))

    async def visit(door: Door) -> None:
        with await a_slow_one(door) as raw:
            await asyncio.get_running_loop().sock_sendall(raw, asked)
            assert await asyncio.get_running_loop().sock_recv(raw, 1) == b"H"
            await left(door, 0)

    at_the_door(visit)


@pytest.mark.parametrize("big", [BIG, BIG_AND_LAST], ids=["", "the last of its connection"])
def test_more_is_not_left_unread_by_all_together_than_may_be(
    big: bytes, at_the_door: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has all the time that it wants; one alone may have an answer of more."""
    monkeypatch.setattr(connections, "UNREAD_BYTES_MAX", 100_000)
    monkeypatch.setattr(connections, "UNREAD_S", 600.0)

    async def visit(door: Door) -> None:
        loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as held:
            for _ in range(4):
                raw = held.enter_context(await a_slow_one(door))
                await loop.sock_sendall(raw, big)
                assert await loop.sock_recv(raw, 1) == b"H"
            await left(door, 1)
            assert await (await Visitor.of(door)).asks() == 200
            told = 1
            while told < 800_000:
                told += len(await loop.sock_recv(raw, 65_536))

    at_the_door(visit)


def test_who_has_read_everything_stays_whatever_another_leaves_unread(
    at_the_door: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_BYTES_MAX", 100_000)

    async def visit(door: Door) -> None:
        at_rest = await Visitor.of(door)
        assert await at_rest.asks() == 200
        with await a_slow_one(door) as raw:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(raw, BIG)
            assert await loop.sock_recv(raw, 1) == b"H"
            assert await at_rest.asks() == 200

    at_the_door(visit)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's, with a certificate that nobody knows."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)
    return served


async def a_slow_one_by_tls(door: Door, request: bytes) -> ssl.SSLSocket:
    """The same, who has asked, and was begun to be answered."""

    def asks() -> ssl.SSLSocket:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.settimeout(30.0)
        raw.connect(("127.0.0.1", door.port))
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        one = trusting.wrap_socket(raw)
        one.sendall(request)
        assert one.recv(1) == b"H"
        return one

    return await asyncio.to_thread(asks)


def read_to_its_end(one: ssl.SSLSocket) -> bytes:
    """All of an answer after which its connection is closed."""
    told = bytearray(b"H")
    while more := one.recv(65_536):
        told += more
    return bytes(told)


def test_by_tls_too_who_reads_no_answer_is_let_go(
    at_the_door: Callable[..., None], tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_S", 0.2)

    async def visit(door: Door) -> None:
        with await a_slow_one_by_tls(door, BIG):
            await left(door, 0)

    at_the_door(visit, tls=tls)


def test_by_tls_too_more_is_not_left_unread_than_may_be(
    at_the_door: Callable[..., None], tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_BYTES_MAX", 100_000)
    monkeypatch.setattr(connections, "UNREAD_S", 600.0)

    async def visit(door: Door) -> None:
        async with contextlib.AsyncExitStack() as held:
            for _ in range(3):
                last = held.enter_context(await a_slow_one_by_tls(door, BIG))
            await left(door, 1)
            told = 1
            while told < 800_000:
                told += len(await asyncio.to_thread(last.recv, 65_536))

    at_the_door(visit, tls=tls)


def test_of_an_answer_that_is_not_read_no_more_is_held_than_is_left_of_it(
    at_the_door: Callable[..., None], tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads all but the end would hold the whole, and what counts is the end."""
    monkeypatch.setattr(connections, "UNREAD_S", 600.0)
    body = openapi_page.page_files()["/docs/rapidoc-min.js"].body
    monkeypatch.setattr(front, "_handed_out", lambda *_: answer_of(200, body, ()))
    known = sys.getrefcount(body)

    async def plainly(door: Door) -> None:
        with await a_slow_one(door) as one:
            await asyncio.get_running_loop().sock_sendall(one, BIG)
            await asyncio.get_running_loop().sock_recv(one, 1)
            assert sys.getrefcount(body) == known

    async def by_tls(door: Door) -> None:
        with await a_slow_one_by_tls(door, BIG):
            assert sys.getrefcount(body) == known

    at_the_door(plainly)
    at_the_door(by_tls, tls=tls)


def test_by_tls_an_answer_is_what_it_is_without(
    at_the_door: Callable[..., None], tls: ssl.SSLContext
) -> None:
    told: list[bytes] = []

    async def plainly(door: Door) -> None:
        visitor = await Visitor.of(door)
        visitor.say(BIG_AND_LAST)
        told.append(await visitor.reader.read(-1))

    async def by_tls(door: Door) -> None:
        with await a_slow_one_by_tls(door, BIG_AND_LAST) as one:
            told.append(await asyncio.to_thread(read_to_its_end, one))

    at_the_door(plainly)
    at_the_door(by_tls, tls=tls)
    assert told[0] == told[1]


def test_no_connection_becomes_a_websocket_before_what_it_was_answered_is_read(
    at_the_door: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_S", 600.0)

    async def visit(door: Door) -> None:
        loop = asyncio.get_running_loop()
        with await a_slow_one(door) as raw:
            await loop.sock_sendall(raw, BIG)
            assert await loop.sock_recv(raw, 1) == b"H"
            await loop.sock_sendall(raw, UPGRADE)
            await left(door, 0)

    at_the_door(visit)


def test_by_tls_a_connection_becomes_a_websocket_behind_an_answer(
    at_the_door: Callable[..., None], tls: ssl.SSLContext
) -> None:
    async def visit(door: Door) -> None:
        with await a_slow_one_by_tls(door, GET) as one:
            wish = b'{"kinds":["prices"]}'
            one.sendall(UPGRADE)
            told = b""
            while b" 101 " not in told:
                told += await asyncio.to_thread(one.recv, 65_536)
            one.sendall(bytes([0x81, 0x80 | len(wish), 0, 0, 0, 0]) + wish)
            while b'"snapshot":true' not in told:
                told += await asyncio.to_thread(one.recv, 65_536)
            assert len(door.seats) == 1
        await left(door, 0)

    at_the_door(visit, tls=tls)


async def a_slow_one(door: Door) -> socket.socket:
    """Whose socket takes little unread."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", door.port))
    return raw


def test_who_reads_slowly_but_steadily_is_told_all_of_it(
    at_the_door: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far more turns than one go by while it reads; each time some is gone."""
    monkeypatch.setattr(connections, "UNREAD_S", 0.05)
    turns: list[int] = []
    looked = BoundedHttp._look_again

    def counted(one: BoundedHttp) -> None:
        looked(one)
        turns.append(one._unread_bytes)

    monkeypatch.setattr(BoundedHttp, "_look_again", counted)

    async def visit(door: Door) -> None:
        loop = asyncio.get_running_loop()
        with await a_slow_one(door) as raw:
            await loop.sock_sendall(raw, GET.replace(b"directions", b"docs/rapidoc-min.js"))
            told = b""
            while len(turns) < 4:  # a little, then none until it is looked at again
                seen = len(turns)
                while len(turns) == seen:
                    told += await loop.sock_recv(raw, 65_536)
                    await asyncio.sleep(0.002)
            while b"\r\n\r\n" not in told or len(told) < whole(told):
                piece = await loop.sock_recv(raw, 65_536)
                assert piece, "cut off"
                told += piece
        assert turns == sorted(turns, reverse=True)

    def whole(told: bytes) -> int:
        head = told.partition(b"\r\n\r\n")[0].lower()
        return len(head) + 4 + int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])

    at_the_door(visit)


def test_who_reads_again_is_told_whole_frames_in_their_order(
    quote: Callable[[float], None], at_the_door: Callable[..., None]
) -> None:
    """Of what did not fit into its socket the rest comes behind it."""
    dirty = [(SPOT_ID, np.zeros(1, np.uint16))]

    async def visit(door: Door) -> None:
        wish = b'{"op":"subscribe","kinds":["prices"],"pace":"live"}'
        slow = await Visitor.listening(door, wish)
        for _ in range(3):
            bid = 0.0
            while not door.broadcast.stuck:
                bid += 1
                quote(bid)
                door.broadcast.flush(dirty)
                await asyncio.sleep(0)
            quote(bid + 1)
            door.broadcast.flush(dirty)
            heard = [0.0]
            while heard[-1] != bid + 1:
                heard += [one["bid_px"] for one in (await slow.frame()).get("prices", ())]
            assert heard == [*range(int(bid) + 1), bid + 1]

    at_the_door(visit)


def test_who_reads_the_stream_slowly_is_let_go_when_he_stops(
    quote: Callable[[float], None], at_the_door: Callable[..., None], virtual_clock: Any
) -> None:
    dirty = [(SPOT_ID, np.zeros(1, np.uint16))]

    async def visit(door: Door) -> None:
        wish = b'{"op":"subscribe","kinds":["prices"],"pace":"live"}'
        slow = await Visitor.listening(door, wish)
        bid = 1.0
        while not door.broadcast.stuck:
            bid += 1
            quote(bid)
            door.broadcast.flush(dirty)
            await asyncio.sleep(0)
        (client,) = door.broadcast._of
        for _ in range(3):
            unread = client._unread()
            while client._unread() >= unread:
                assert await slow.reader.read(2_048)
            pass_by(door.broadcast, virtual_clock, STUCK_NS - 1)
            assert (door.broadcast.clients, door.broadcast.stuck) == (1, 1)
        pass_by(door.broadcast, virtual_clock, STUCK_NS + 1)
        assert door.broadcast.clients == 0
        await left(door, 0)

    at_the_door(visit)


@pytest.mark.slow
def test_of_a_hundred_who_listen_twenty_are_stuck_and_the_others_go_on(
    quote: Callable[[float], None], at_the_door: Callable[..., None], virtual_clock: Any
) -> None:
    wish = b'{"op":"subscribe","kinds":["prices"],"pace":"live"}'
    dirty = [(SPOT_ID, np.zeros(1, np.uint16))]
    held: dict[int, float] = {}

    async def listen(number: int, visitor: Visitor) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                frame = await visitor.frame()
                for price in frame.get("prices", ()):
                    held[number] = price["bid_px"]

    async def all_hold(bid: float) -> None:
        for _ in itertools.count():
            if list(held.values()) == [bid] * 80:
                return
            await asyncio.sleep(0.001)

    async def visit(door: Door) -> None:
        crowd = [await Visitor.listening(door, wish) for _ in range(100)]
        listeners = [asyncio.create_task(listen(*one)) for one in enumerate(crowd[:80])]
        bid = 1.0
        quote(bid)
        door.broadcast.flush(dirty)
        await all_hold(bid)
        while door.broadcast.stuck < 20:
            bid += 1
            quote(bid)
            door.broadcast.flush(dirty)
            await asyncio.sleep(0)
        await all_hold(bid)
        pass_by(door.broadcast, virtual_clock, STUCK_NS)
        assert door.broadcast.stuck == 20
        pass_by(door.broadcast, virtual_clock, 1)
        quote(bid + 1)
        door.broadcast.flush(dirty)
        assert (door.broadcast.clients, door.broadcast.stuck) == (80, 0)
        await all_hold(bid + 1)
        await left(door, 80)
        for one in listeners:
            one.cancel()

    at_the_door(visit, most=100)


def test_a_network_of_ipv6_counts_as_one_and_this_machine_as_nobody() -> None:
    assert whose_pace("2001:db8:1:2::1") == whose_pace("2001:db8:1:2:ffff::9")
    assert whose_pace("2001:db8:1:2::1") != whose_pace("2001:db8:1:3::1")
    assert whose_pace("::ffff:192.0.2.7") == whose_pace("192.0.2.7") == "192.0.2.7"
    assert [whose_pace(one) for one in ("127.0.0.9", "::1", "::ffff:127.0.0.1")] == [""] * 3


def test_whoever_waits_for_his_turn_has_it(virtual_clock: Any) -> None:
    """Whatever the rate, and whatever of a nanosecond it leaves over."""
    for tenths in (*range(1, 100), *range(100, 4_000, 10)):
        pace = AddressPace(per_s=tenths / 10, burst=1)
        for _ in range(3):
            assert pace.wait_s("10.0.0.1") == 0, tenths / 10
            wait_s = pace.wait_s("10.0.0.1")
            assert wait_s == pytest.approx(10 / tenths, abs=1e-8)
            virtual_clock.advance_ns(round(wait_s * NS_PER_S))


def test_a_refusal_says_when_the_next_request_may_come(
    virtual_clock: Any, gateway_of: Callable[..., Any]
) -> None:
    asking = gateway_of(rate_per_s=0.7, rate_burst=1)

    def asked() -> Any:
        return asyncio.run(asking.get("/v1/directions", address="10.0.0.1"))

    assert asked().status_code == 200
    refused = asked()
    assert refused.headers["retry-after"] == "2"  # in 1.43 s
    virtual_clock.advance_ms(2_000)
    assert asked().status_code == 200


def test_where_too_many_ask_newcomers_share_one_pace(
    monkeypatch: pytest.MonkeyPatch, virtual_clock: Any
) -> None:
    monkeypatch.setattr(access, "ADDRESSES_MAX", 10)
    pace = AddressPace(per_s=1.0, burst=2)
    for number in range(10):
        assert pace.wait_s(f"10.0.0.{number}") == 0
    strangers = [pace.wait_s(f"10.0.1.{number}") for number in range(6)]
    assert strangers[:2] == [0, 0]
    assert all(strangers[2:])
    assert pace.wait_s("10.0.0.3") == 0  # who is remembered has its own
    virtual_clock.advance_ms(5_000)
    assert pace.wait_s("10.0.1.5") == 0


def test_head_is_what_get_is_without_its_body(gateway_of: Callable[..., Any]) -> None:
    asking = gateway_of()
    for path in ("/health", "/v1/directions", "/v1/sources", "/v1/nothing", "/prices/NO/PE"):
        got = asyncio.run(asking.get(path))
        head = asyncio.run(asking.ask("HEAD", path))
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers["content-type"] == got.headers["content-type"]


def test_open_files_are_raised_to_what_the_connections_need() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
        assert files_for(500) == 500
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (500 + OWN_FILES, hard)
        assert files_for(10) == 10  # never lowered
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 500 + OWN_FILES
        if hard != resource.RLIM_INFINITY:
            assert files_for(hard) == hard - OWN_FILES
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_every_address_of_both_kinds_is_two_colons() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with contextlib.closing(listening(Gateway(host="::", port=0))) as door:
        port = door.getsockname()[1]
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, port), timeout=30).close()


def test_of_the_stream_s_clients_those_that_answer_no_ping_are_let_go(
    at_the_door: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "PING_S", 0.05)
    monkeypatch.setattr(sockets, "PONG_S", 0.5)

    async def visit(door: Door) -> None:
        answers, silent = [await Visitor.of(door) for _ in range(2)]
        for one in (answers, silent):
            one.say(UPGRADE)
            assert (await one.told())[0] == 101

        async def read(one: Visitor) -> None:
            while True:
                op, length = await one.reader.readexactly(2)
                said = await one.reader.readexactly(length)
                if op == 0x89 and one is answers:
                    one.say(b"\x8a\x80\0\0\0\0")
                if op == 0x88:
                    assert said == b"\x03\xf5no ping was answered"  # 1013
                    return

        both = [asyncio.create_task(read(one)) for one in (answers, silent)]
        ended, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        assert ended == {both[1]}
        await ended.pop()
        both[0].cancel()
        await left(door, 1)

    at_the_door(visit)


def test_no_client_of_the_stream_is_lost_as_the_gateway_stood_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer to its ping lies there; timers are looked at first."""
    monkeypatch.setattr(sockets, "PING_S", 0.01)
    monkeypatch.setattr(sockets, "PONG_S", 0.05)
    monkeypatch.setattr(connections, "STOOD_S_MIN", 0.05)
    asked: list[str] = []

    async def stand() -> None:
        loop, heard, lost = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
        near, far = socket.socketpair()

        def ask() -> None:
            asked.append("")
            if len(asked) == 1:
                loop.call_soon(stand_still)

        def stand_still() -> None:
            far.send(b"its answer")
            time.sleep(0.3)

        with near, far:
            pings = Pings(ask, lost.set)
            loop.add_reader(near, heard.set)
            async with asyncio.timeout(30):
                await heard.wait()
            pings.end()
        assert not lost.is_set()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(stand())
    assert len(asked) == 2
