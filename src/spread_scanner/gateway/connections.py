"""Connections as they come: how many are open, how long each may take, how much it may say.

Every socket has a seat, whatever is said on it; there are `connections_max` of them, and the next
is told so and closed. A request that is not whole after ten seconds, a head of more than 16 KB and
an answer of which nothing is read for ten seconds end their connection; who reads slowly goes on,
unless too much is left unread by all together: then whoever has left the most is let go. A time
that came to its end while the loop itself stood still (stopped by a signal, without a CPU) begins
anew: what was said meanwhile, or room for an answer, is there and only has to be looked at.
What is no HTTP at all is refused as a problem as well (RFC 9457). What is hot is answered here,
from what the front says, without what uvicorn makes of every request; and to the same bytes said
again, as bots that poll say them, without reading them again.
"""

import asyncio
import resource
import urllib.parse
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, NamedTuple

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from spread_scanner import clock
from spread_scanner.gateway import problems
from spread_scanner.gateway.counting import Counting
from spread_scanner.gateway.front import HttpAnswer
from spread_scanner.gateway.paced import PacedTransport
from spread_scanner.gateway.problems import NotAnswered
from spread_scanner.schema.figures import plain

REQUEST_S = 10.0  # in which a request is to be said
UNREAD_S = 10.0  # in each of which some of an answer is to be read
UNREAD_BYTES_MAX = 32 << 20  # of all connections together; one alone may have a whole answer
HEAD_BYTES_MAX = 16 << 10
STOOD_S_MIN = 1.0  # so late, and it is the loop that stood still
OWN_FILES = 256  # of the process: segments, the database, the log, tables
# What a request that is more than a line and its headers has, or one that comes through a proxy.
_UNCOMMON = frozenset(
    (
        *(b"content-length", b"transfer-encoding", b"expect", b"upgrade"),
        *(b"x-forwarded-for", b"x-forwarded-proto"),
    )
)
_OFFER = (b"upgrade", b"http2-settings")  # to speak something else from now on
_ONCE = (b"host", b"authorization")  # of two, one program takes the first and another the last
AtOnce = Callable[[str, str, str, dict[bytes, bytes]], HttpAnswer | None]
_FULL = "as many connections as connections_max are open"


class PlainRequest(NamedTuple):
    """A request that is a line and its headers."""

    method: str
    path: str
    address: str
    headers: dict[bytes, bytes]
    keeps_on: bool  # whether another may come on its connection


class Seats:
    """Every socket that is open."""

    def __init__(self, most: int, count: Counting) -> None:
        self.most = most
        self.count = count
        self._taken: set[asyncio.Transport] = set()

    def __len__(self) -> int:
        return len(self._taken)

    def take(self, transport: asyncio.Transport) -> bool:
        """Whether there was one."""
        if len(self._taken) >= self.most:
            return False
        self._taken.add(transport)
        return True

    def leave(self, transport: asyncio.Transport) -> None:
        """Its socket is closed."""
        self._taken.discard(transport)

    def bound_unread(self, newcomer: asyncio.Transport) -> None:
        """An answer waits to be read; should that be too much with all that others have left, those
        of them are let go who have left the most."""
        unread = {one: one.get_write_buffer_size() for one in self._taken}  # also of a last answer
        left_bytes = sum(unread.values())
        unread.pop(newcomer, None)
        for one in sorted(unread, key=unread.__getitem__, reverse=True):
            if left_bytes <= UNREAD_BYTES_MAX or not unread[one]:
                break
            left_bytes -= unread[one]
            one.abort()
            self.leave(one)

    def turn_away(self, transport: asyncio.Transport, error: NotAnswered) -> None:
        """A problem on a connection that no request is answered on, and its end."""
        self.count.turned_away(error)
        body = msgspec.json.encode(problems.of_error(error, ""))
        head = (
            f"HTTP/1.1 {error.status.value} {error.status.phrase}\r\n"
            f"content-type: {problems.MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        transport.write(head.encode() + body)
        transport.close()
        # What is not read is not waited for.
        asyncio.get_running_loop().call_later(1.0, transport.abort)


def files_for(connections: int) -> int:
    """Raise what this process may open to so many connections; how many of them it comes to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OWN_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        except (OSError, ValueError):  # a service that may not; its unit says LimitNOFILE
            allowed = soft
    return min(connections, max(allowed - OWN_FILES, 1))


def stood(timer: asyncio.TimerHandle | None) -> bool:
    """Whether the loop stood still when this one, which is called now, was due."""
    return timer is not None and clock.awake_s() - timer.when() > STOOD_S_MIN


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol of one connection, within bounds."""

    def __init__(self, seats: Seats, at_once: AtOnce, **of_uvicorn: Any) -> None:
        super().__init__(**of_uvicorn)
        self._seats = seats
        self._ready = at_once  # Front.at_once
        self._said_by: asyncio.TimerHandle | None = None  # until a request is whole
        self._read_by: asyncio.TimerHandle | None = None  # while an answer waits to be read
        self._unread_bytes = 0  # as the last look at it had it
        self._paced: PacedTransport  # the transport
        self._answered: RequestResponseCycle | None = None
        self._is_answered = False  # what is being read, at once
        self._asked: PlainRequest | None = None  # what was answered at once of the last bytes
        self._said = b""  # these, where they were one whole request and nothing else
        self._begun = 0  # requests of them
        self._in_head = self._is_whole = True
        self._head_bytes = 0
        self._declined = b""  # the head of what is being read, without an offer that nobody takes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._paced = PacedTransport(transport)
        super().connection_made(self._paced)
        if self._seats.take(self._paced):
            self._expect()
        else:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "full", _FULL)

    def connection_lost(self, exc: Exception | None) -> None:
        self._heard()
        self._paced.drop()
        self.resume_writing()
        self._drop_requests()
        self._seats.leave(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if data == self._said and self._asked is not None and not self._is_busy():
            self._unset_keepalive_if_required()
            if self._answered_at_once(self._asked):
                return
        self._said, self._asked, self._begun = b"", None, 0
        goes_on = not self._is_whole
        self._is_whole = False
        if self._in_head:
            self._head_bytes += len(data)
        self._read(data)
        if self._in_head and self._head_bytes > HEAD_BYTES_MAX:
            self._refuse_head()
        elif not self._is_whole:  # else its timer would be made and ended with each request
            self._expect()
        elif self._begun == 1 and not goes_on:
            self._said = data

    def _read(self, data: bytes) -> None:
        """As uvicorn does; but a request whose offer is declined is read once more without it, as
        behind one nothing else is read: no body, and no other request of the same bytes."""
        self._unset_keepalive_if_required()
        rest = memoryview(data)
        while True:
            try:
                if self._declined:
                    head, self._declined = self._declined, b""
                    self.parser = httptools.HttpRequestParser(self)
                    self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                    self.parser.feed_data(head)
                self.parser.feed_data(rest)
            except httptools.HttpParserError:
                self.send_400_response("Invalid HTTP request received.")
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                if not self._declined and self._should_upgrade():
                    self.handle_websocket_upgrade()
            if not self._declined:
                return

    def on_message_begin(self) -> None:
        self._is_whole = False
        self._begun += 1
        self._unset_keepalive_if_required()  # of what was answered at once before it
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        names = [name for name, _ in self.headers]
        said = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if said > HEAD_BYTES_MAX:
            self._refuse_head()
        elif any(names.count(one) > 1 for one in _ONCE):
            detail = "Host or Authorization is said twice"
            self._refuse(HTTPStatus.BAD_REQUEST, "bad_request", detail)
        elif self._is_offered():
            self._declined = self._without_offer()
        elif not self._answer_at_once():
            super().on_headers_complete()

    def _is_offered(self) -> bool:
        """Whether it would speak something else that is not spoken here, and is a request besides,
        as CONNECT is not. By the parser, which stops there: it looks at each of several lines."""
        asks = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        return asks and not self._should_upgrade()

    def _without_offer(self) -> bytes:
        """The head of a request that would speak something else, HTTP/2, if we did."""
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self._version())]
        for name, value in self.headers:
            if name == b"connection":
                tokens = (one.strip() for one in value.split(b","))
                value = b", ".join(one for one in tokens if one.lower() not in _OFFER)
            if name not in _OFFER:
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _version(self) -> bytes:
        return self.parser.get_http_version().encode()

    def on_body(self, body: bytes) -> None:
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._declined:
            return
        self._heard()
        self._is_whole = self._in_head = True
        self._head_bytes = 0  # of the next one
        if self._is_answered:
            self._is_answered = False
        elif not self.transport.is_closing():
            super().on_message_complete()

    def _answer_at_once(self) -> bool:
        """Whether it was one of the hot requests, which is answered then: a task and what uvicorn
        makes of a request cost more than these answers. Who says more than that, is still to be
        answered something else, or reads slowly, goes uvicorn's way to the same answers."""
        asked = self._plainly_asked()
        if asked is None or self._is_busy() or not self._answered_at_once(asked):
            return False
        self._asked = asked
        self._is_answered = True
        return True

    def _plainly_asked(self) -> PlainRequest | None:
        """None: it is more than a line and its headers."""
        if (
            not self.url.startswith(b"/")
            or b"?" in self.url
            or b"#" in self.url
            or self.parser.get_http_version() != "1.1"
            or any(name in _UNCOMMON for name, _ in self.headers)
        ):
            return None
        return PlainRequest(
            self.parser.get_method().decode("ascii"),
            urllib.parse.unquote(self.url.decode("ascii")),
            self.client[0] if self.client else "",
            dict(self.headers),
            self.parser.should_keep_alive(),
        )

    def _is_busy(self) -> bool:
        """Whether something else is to be answered, or read, before."""
        return (
            (self.cycle is not None and not self.cycle.response_complete)
            or self.flow.write_paused
            or self.transport.is_closing()
        )

    def _answered_at_once(self, asked: PlainRequest) -> bool:
        """Whether it is one of the hot."""
        answer = self._ready(asked.method, asked.path, asked.address, asked.headers)
        if answer is None:
            return False
        head = [STATUS_LINE[answer.status], *(b"%b: %b\r\n" % each for each in answer.headers)]
        head.append(b"\r\n" if asked.keeps_on else b"connection: close\r\n\r\n")
        self.transport.writelines((b"".join(head), answer.body))
        if not asked.keeps_on:
            self.transport.close()
        self.on_response_complete()
        return True

    def handle_websocket_upgrade(self) -> None:
        """Another protocol takes its place; it keeps the seat. It would not hear that an answer
        before is still to be read, nor this one that it was."""
        if self._read_by is not None:
            said = "a websocket behind an answer that is not read yet"
            self._refuse(HTTPStatus.BAD_REQUEST, "bad_request", said)
            return
        self._heard()
        self._is_whole = True
        self.connections.discard(self)
        lines = [self._request_line()]
        for name, value in self.headers:
            # Firefox says "keep-alive, Upgrade", which picows does not take.
            lines.append(b"%b: %b" % (name, b"Upgrade" if name == b"connection" else value))
        upgraded: Any = self.ws_protocol_class()  # type: ignore[misc]
        self._seats.leave(self.transport)
        self.transport = self._paced.given_back()
        self._seats.take(self.transport)
        upgraded.connection_made(self.transport)
        self.transport.set_protocol(upgraded)
        upgraded.requested(b"\r\n".join(lines) + b"\r\n\r\n")

    def _request_line(self) -> bytes:
        version = self.scope["http_version"].encode()
        return b"%b %b HTTP/%b" % (self.scope["method"].encode(), self.url, version)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP."""
        if not self.transport.is_closing():
            self._refuse(HTTPStatus.BAD_REQUEST, "bad_request", msg)

    def pause_writing(self) -> None:
        self._paced.full()
        super().pause_writing()
        if self._read_by is None:
            self._look_again()
            self._seats.bound_unread(self.transport)

    def resume_writing(self) -> None:
        if not self._paced.goes_on():
            return
        super().resume_writing()
        if self._read_by is not None:
            self._read_by.cancel()
        self._read_by = None

    def _expect(self) -> None:
        """A request is to be whole from now on in time."""
        if self._said_by is None and not self.transport.is_closing():
            self._said_by = self.loop.call_later(REQUEST_S, self._late)

    def _heard(self) -> None:
        if self._said_by is not None:
            self._said_by.cancel()
        self._said_by = None

    def _late(self) -> None:
        if stood(self._said_by):
            self._heard()
            self._expect()
            return
        said = f"no whole request within {plain(REQUEST_S)} s"
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "too_slow", said)

    def _look_again(self) -> None:
        self._unread_bytes = self.transport.get_write_buffer_size()
        self._read_by = self.loop.call_later(UNREAD_S, self._unread)

    def _unread(self) -> None:
        """It waits still; nothing is added to it meanwhile."""
        if stood(self._read_by) or self.transport.get_write_buffer_size() < self._unread_bytes:
            self._look_again()
        else:
            self._drop_requests()
            self.transport.abort()

    def timeout_keep_alive_handler(self) -> None:
        """It was silent for too long."""
        if stood(self.timeout_keep_alive_task):
            again = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
            self.timeout_keep_alive_task = again
        else:
            super().timeout_keep_alive_handler()

    def _drop_requests(self) -> None:
        """Of all that were said one behind the other; uvicorn forgets but the last."""
        for cycle in (self._answered, self.cycle, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None:
                cycle.disconnected = True
                cycle.message_event.set()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _refuse_head(self) -> None:
        said = f"a head of more than {HEAD_BYTES_MAX} bytes"
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "bad_request", said)

    def _refuse(self, status: HTTPStatus, code: str, detail: str) -> None:
        """Answered without being asked, and closed."""
        self._drop_requests()
        self._seats.turn_away(self.transport, NotAnswered(status, code, detail))
