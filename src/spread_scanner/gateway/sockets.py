"""The stream's sockets: uvicorn hears the upgrade, picows has the socket from then on.

uvicorn makes an object of the class that it is told for WebSockets, feeds it the request and makes
it the connection's protocol. The one here makes picows' own protocol, hands it the request and puts
it in its own place, so that frames never pass through ASGI. The constructor of that protocol is
internal to picows, which is pinned; a test lives every way in and out.
"""

import asyncio
import contextlib
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
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from spread_scanner.gateway import problems
from spread_scanner.gateway.broadcast import Broadcast
from spread_scanner.gateway.channels import Client
from spread_scanner.gateway.problems import NotAnswered

PATH = "/v1/stream"
PROTOCOL = "spread-scanner.v1"  # what a client that sends its token as a protocol is answered
HELD_BYTES_MAX = 64 << 10  # of a client that does not read
FRAME_BYTES_MAX = 64 << 10
HANDSHAKE_S = 5.0
PING_S, PONG_S = 20.0, 20.0
Headers = Mapping[bytes, bytes]
_NO_LOG = logging.getLogger("spread_scanner.gateway.sockets")
_NO_LOG.addHandler(logging.NullHandler())
_NO_LOG.propagate = False


class SocketListener(WSListener):
    """One client's socket."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self._client: Client | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done."""
        transport.underlying_transport.set_write_buffer_limits(high=HELD_BYTES_MAX)

        def send(frame: bytes, packed: bool) -> None:
            if not transport.is_disconnected:
                transport.send(WSMsgType.BINARY if packed else WSMsgType.TEXT, frame)

        def let_go(why: str) -> None:
            self.on_ws_disconnected(transport)
            transport.send_close(WSCloseCode.TRY_AGAIN_LATER, why.encode()[:100])
            # What it does not read is not waited for.
            asyncio.get_running_loop().call_later(1.0, transport.underlying_transport.abort)

        self._client = Client(send, let_go)
        self._broadcast.join(self._client)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Its words."""
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY) and self._client is not None:
            if frame.fin:
                self._broadcast.heard(self._client, frame.get_payload_as_bytes())
            else:
                transport.send_close(WSCloseCode.UNSUPPORTED_DATA, b"one frame a message")
                transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """It has gone, or is let go."""
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
        self, broadcast: Broadcast, check: Callable[[str, Headers], None], room: int
    ) -> None:
        """`check` raises NotAnswered for whom may not be told."""
        self._broadcast = broadcast
        self._check = check
        self._room = room

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
            if path != PATH:
                raise NotAnswered(HTTPStatus.NOT_FOUND, "bad_request", f"the stream is at {PATH}")
            self._check(address, headers)
            if self._broadcast.clients >= self._room:
                said = "as many connections as connections_max are open"
                raise NotAnswered(HTTPStatus.SERVICE_UNAVAILABLE, "full", said)
        except NotAnswered as refused:
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


class Upgraded(asyncio.Protocol):
    """Stands where uvicorn puts it, until picows' own protocol takes its place."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._inner: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """uvicorn hands the connection over."""
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else ""

        def factory(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
            return self._sockets.answer(request, address)

        self._inner = WSProtocol(
            None, None, False, factory, _NO_LOG, True, HANDSHAKE_S,
            True, PING_S, PONG_S, WSAutoPingStrategy.PING_WHEN_IDLE, True,
            FRAME_BYTES_MAX, None, 4_096,
        )  # fmt: skip
        self._inner.connection_made(transport)
        # uvicorn sets this object first, when it returns from here.
        asyncio.get_running_loop().call_soon(self._take_place, transport)

    def _take_place(self, transport: Any) -> None:
        if not transport.is_closing():
            transport.set_protocol(self._inner)

    def data_received(self, data: bytes) -> None:
        """The request, and what came with it."""
        while data:
            room = self._inner.get_buffer(len(data))
            count = min(len(room), len(data))
            room[:count] = data[:count]
            self._inner.buffer_updated(count)
            data = data[count:]

    def connection_lost(self, exc: Exception | None) -> None:
        """Before picows' protocol was in its place."""
        with contextlib.suppress(AttributeError):
            self._inner.connection_lost(exc)
