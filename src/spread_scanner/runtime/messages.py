"""What a websocket says, whole message by whole message, for whoever reads text at leisure.

The feeds' quotes do without: their frames are looked at where they lie.
"""

from collections.abc import Callable

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from spread_scanner.runtime import ws


class MessageListener(WSListener):
    """Whole text messages go to `take`, in however many frames they come; one of more than
    ws.FRAME_BYTES_MAX costs the connection. Pings and goodbyes are answered."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self.transport: WSTransport | None = None  # None: there is no connection
        self._take = take
        self._parts = bytearray()  # of a message that comes in several frames

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.transport = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            self._part(transport, frame)

    def _part(self, transport: WSTransport, frame: WSFrame) -> None:
        """A message, or a part of one."""
        if frame.msg_type == WSMsgType.TEXT:
            self._parts.clear()
        payload = frame.get_payload_as_bytes()
        if len(self._parts) + len(payload) > ws.FRAME_BYTES_MAX:
            transport.disconnect()
        elif not frame.fin:
            self._parts += payload
        else:
            whole = bytes(self._parts) + payload if self._parts else payload
            self._parts.clear()
            self._take(whole)

    def send(self, message: bytes) -> None:
        """Nothing where there is no connection."""
        if self.transport is not None:
            self.transport.send(WSMsgType.TEXT, message)
