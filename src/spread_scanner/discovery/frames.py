"""A websocket's messages, in order, for one task that awaits them; pings are answered on the way.

Used by validate.py, which dials it through runtime.ws.dial as the feeds dial theirs.
"""

import asyncio
from collections.abc import AsyncIterator

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

DATA = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION)


class Frames(WSListener):
    """Iterate over it; the iteration ends with the connection, `goodbye` says how."""

    def __init__(self) -> None:
        self.goodbye = "no goodbye"
        self._transport: WSTransport | None = None
        self._message = bytearray()
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def send(self, text: str) -> None:
        """Nothing when the connection has ended meanwhile."""
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, text.encode())

    def close(self) -> None:
        if self._transport is not None:
            self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self._queue.get()) is not None:
            yield message

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self._queue.put_nowait(None)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind in DATA:
            self._message += frame.get_payload_as_memoryview()
            if frame.fin:
                self._queue.put_nowait(bytes(self._message))
                self._message.clear()
        elif kind == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            code, words = frame.get_close_code(), frame.get_close_message() or b""
            self.goodbye = f"{code or 'no code'} {bytes(words).decode(errors='replace')}".strip()
            self.close()
