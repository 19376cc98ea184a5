"""The stream's sockets: uvicorn hears the upgrade, picows has the socket from then on.

The connection's protocol (gateway/connections.py) makes an object here when an upgrade is asked
for, puts it in its own place and hands it the request. It makes picows' own protocol, so that
frames never pass through ASGI. The constructor of that protocol and what reads a request are
internal to picows, which is pinned; a test lives every way in and out.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import (  # type: ignore[attr-defined]
    WSProtocol,
    _parse_http_request,
    _validate_upgrade_request,
)

from spread_scanner.gateway import problems
from spread_scanner.gateway._outlet import SocketOutlet
from spread_scanner.gateway.broadcast import Broadcast
from spread_scanner.gateway.channels import Client
from spread_scanner.gateway.connections import Seats, stood
from spread_scanner.gateway.counting import Counting
from spread_scanner.gateway.front import STREAM
from spread_scanner.gateway.problems import NotAnswered

PROTOCOL = "spread-scanner.v1"  # what a client that sends its token as a protocol is answered
HELD_BYTES_MAX = 64 << 10  # of a client that does not read
FRAME_BYTES_MAX = 64 << 10
HANDSHAKE_S = 5.0
PING_S = 10.0  # of silence, and who is told is asked whether he is there
PONG_S = 60.0  # in which he is to say something: what he has still to read comes before the ping
Headers = Mapping[bytes, bytes]


class Faults(logging.Handler):
    """Of what picows would log the faults of ours, which it caught; not what clients do."""

    def __init__(self, count: Counting) -> None:
        super().__init__(logging.ERROR)
        self._count = count

    def emit(self, record: logging.LogRecord) -> None:
        """Log and count it, if it is one."""
        fault = record.exc_info[1] if record.exc_info else None
        if fault is not None:
            self._count.stream_failed(record.getMessage(), fault)


class Pings:
    """Whether one client is there: TCP alone would know it a quarter of an hour later. Those of
    picows do not see that it was the gateway that stood still, while the answer lay there."""

    def __init__(self, ask: Callable[[], None], lose: Callable[[], None]) -> None:
        self._ask, self._lose = ask, lose
        self._is_heard = self._is_asked = False
        self._look_in(PING_S)

    def heard(self) -> None:
        """It said something, whatever it was."""
        self._is_heard, self._is_asked = True, False

    def end(self) -> None:
        """It has gone."""
        self._timer.cancel()

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        if self._is_heard:
            self._is_heard = False
            self._look_in(PING_S)
        elif not self._is_asked or stood(self._timer):
            self._is_asked = True
            self._ask()
            self._look_in(PONG_S)
        else:
            self._lose()


class SocketListener(WSListener):
    """One client's socket."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self._client: Client | None = None
        self._pings: Pings | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done."""
        transport.underlying_transport.set_write_buffer_limits(high=HELD_BYTES_MAX)

        def let_go(why: str) -> None:
            self.on_ws_disconnected(transport)
            said = why.encode()[:100].decode(errors="ignore")  # whole letters
            transport.send_close(WSCloseCode.TRY_AGAIN_LATER, said.encode())
            # What it does not read is not waited for.
            asyncio.get_running_loop().call_later(1.0, transport.underlying_transport.abort)

        unread = transport.underlying_transport.get_write_buffer_size
        self._client = Client(SocketOutlet(transport), let_go, unread)
        self._pings = Pings(transport.send_ping, lambda: let_go("no ping was answered"))
        self._broadcast.join(self._client)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Its words."""
        if self._pings is not None:
            self._pings.heard()
        if frame.msg_type is WSMsgType.CLOSE:
            # One that names none has 0 here, which no frame may carry: Node's clients throw at it.
            code = frame.get_close_code() or WSCloseCode.OK
            transport.send_close(code, frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY) and self._client is not None:
            if frame.fin:
                self._broadcast.heard(self._client, frame.get_payload_as_bytes())
            else:
                transport.send_close(WSCloseCode.UNSUPPORTED_DATA, b"one frame a message")
                transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """It has gone, or is let go."""
        if self._pings is not None:
            self._pings.end()
        if self._client is not None:
            self._broadcast.leave(self._client)
            self._client = None

    def pause_writing(self) -> None:
        """It reads more slowly than it is told."""
        if self._client is not None:
            self._client.pause()

    def resume_writing(self) -> None:
        """It has read on."""
        if self._client is not None:
            self._broadcast.resume(self._client)


class Sockets:
    """Makes what uvicorn takes for its WebSocket class."""

    def __init__(
        self, broadcast: Broadcast, check: Callable[[str, Headers], None], seats: Seats
    ) -> None:
        """`check` raises NotAnswered for whom may not be told."""
        self._broadcast = broadcast
        self._check = check
        self.seats = seats
        # Not one of getLogger's: they are kept for good, and their handlers with them.
        self.log = logging.Logger("spread_scanner.gateway.sockets", logging.ERROR)  # noqa: LOG001
        self.log.addHandler(Faults(seats.count))

    def __call__(self, **_: Any) -> "Upgraded":
        return Upgraded(self)

    def answer(self, request: WSUpgradeRequest, address: str) -> WSUpgradeResponseWithListener:
        """Yes, or no and why."""
        headers = {
            name.lower().encode(): value.encode("utf-8", "surrogateescape")
            for name, value in request.headers.items()
        }
        path = request.path.decode("latin-1").partition("?")[0]
        offered = [one.strip() for one in headers.get(b"sec-websocket-protocol", b"").split(b",")]
        tokens = [one.removeprefix(b"bearer.") for one in offered if one.startswith(b"bearer.")]
        if tokens:
            headers[b"authorization"] = b"Bearer " + tokens[0]
        try:
            if path != STREAM:
                raise NotAnswered(HTTPStatus.NOT_FOUND, "bad_request", f"the stream is at {STREAM}")
            self._check(address, headers)
        except NotAnswered as refused:
            self.seats.count.turned_away(refused)
            problem = problems.of_error(refused, path)
            typed = [("Content-Type", problems.MEDIA_TYPE), *refused.headers]
            return WSUpgradeResponseWithListener(
                WSUpgradeResponse.create_error_response(
                    refused.status, msgspec.json.encode(problem), typed
                ),
                None,
            )
        spoken = [("Sec-WebSocket-Protocol", PROTOCOL)] if PROTOCOL.encode() in offered else []
        response = WSUpgradeResponse.create_101_response(spoken)
        return WSUpgradeResponseWithListener(response, SocketListener(self._broadcast))

    def refuse(self, transport: asyncio.Transport, why: str) -> None:
        """What is no upgrade."""
        self.seats.turn_away(transport, NotAnswered(HTTPStatus.BAD_REQUEST, "bad_request", why))


class Upgraded(asyncio.Protocol):
    """One socket: what picows makes of it, behind what uvicorn takes for a protocol.

    What the client says passes through here, which is little; what it is told does not.
    """

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._inner: Any = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """uvicorn hands the connection over; it has a seat."""
        self._transport = transport

    def requested(self, request: bytes) -> None:
        """The request, whole, as uvicorn has heard it."""
        try:
            _validate_upgrade_request(_parse_http_request(request.removesuffix(b"\r\n\r\n")))
        except RuntimeError as error:
            self._sockets.refuse(self._transport, str(error))
            return
        peer = self._transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""

        def factory(asked: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
            return self._sockets.answer(asked, address)

        self._inner = WSProtocol(
            None, None, False, factory, self._sockets.log, True, HANDSHAKE_S,
            False, 0.0, 0.0, WSAutoPingStrategy.PING_WHEN_IDLE, True,
            FRAME_BYTES_MAX, None, 4_096,
        )  # fmt: skip
        self._inner.connection_made(self._transport)
        self._feed(request)

    def data_received(self, data: bytes) -> None:
        """Frames."""
        if self._inner is not None and not self._transport.is_closing():
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        while data:
            room = self._inner.get_buffer(len(data))
            count = min(len(room), len(data))
            room[:count] = data[:count]
            self._inner.buffer_updated(count)
            data = data[count:]

    def pause_writing(self) -> None:
        """It reads more slowly than it is told."""
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """It has read on."""
        if self._inner is not None:
            self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Its seat is free."""
        self._sockets.seats.leave(self._transport)
        if self._inner is not None:
            self._inner.connection_lost(exc)
