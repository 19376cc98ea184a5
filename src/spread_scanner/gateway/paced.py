"""What is written, piece by piece, so that what is left unread can be counted and bounded.

A transport holds all of an answer until the last byte of it is sent, and says of it what is still
to be sent: who reads all but the end of a large one would hold it for next to nothing. One of TLS
gives all that it is given to the one beneath it at once, which takes any amount, and nobody would
hear that it is not read. Here one piece after the other goes there, for as long as they are taken,
and a copy of the rest waits here, of which each piece is gone when it is sent. Used by the
gateway's connections (connections.py), which say when no more is taken; of their loop alone.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

PIECE_BYTES = 32 << 10


class PacedTransport(asyncio.Transport):
    """A transport, and what it does not take yet."""

    def __init__(self, inner: asyncio.Transport) -> None:
        super().__init__()
        self.inner = inner
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._is_full = self._is_ending = False
        # Whatever is left unread is to be heard of. One of TLS has some left of its greeting here.
        by_tls = inner.get_extra_info("sslcontext") is not None
        inner.set_write_buffer_limits(high=PIECE_BYTES if by_tls else 0, low=0)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """As soon as it is taken."""
        if not data or self.is_closing():
            return
        if len(data) <= PIECE_BYTES and not self._is_full:
            self.inner.write(data)
            return
        left = memoryview(data)
        self._waiting_bytes += len(left)  # all of it, for whoever hears that it is full
        while left and not self._is_full:
            self._give(bytes(left[:PIECE_BYTES]))
            left = left[PIECE_BYTES:]
        while left:
            self._waiting.append(bytes(left[:PIECE_BYTES]))
            left = left[PIECE_BYTES:]

    def _give(self, piece: bytes) -> None:
        self._waiting_bytes -= len(piece)
        self.inner.write(piece)  # which may say that it is full

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """One behind the other."""
        parts = tuple(list_of_data)
        if not self._is_full and sum(map(len, parts)) <= PIECE_BYTES and not self.is_closing():
            self.inner.writelines(parts)  # one call for the answers that are asked for most
            return
        for data in parts:
            self.write(data)

    def full(self) -> None:
        """No more is taken."""
        self._is_full = True

    def goes_on(self) -> bool:
        """More is taken again; whether all that waits was."""
        self._is_full = False
        while self._waiting and not self._is_full:
            self._give(self._waiting.popleft())
        if self._is_ending and not self._waiting:
            self.inner.close()
        return not self._is_full

    def get_write_buffer_size(self) -> int:
        """Bytes that are not sent yet, here and there."""
        return self._waiting_bytes + self.inner.get_write_buffer_size()

    def close(self) -> None:
        """When all is sent."""
        self._is_ending = True
        if not self._waiting:
            self.inner.close()

    def abort(self) -> None:
        """Now."""
        self.drop()
        self.inner.abort()

    def drop(self) -> None:
        """Whatever waits is for nobody any more."""
        self._waiting.clear()
        self._waiting_bytes = 0

    def is_closing(self) -> bool:
        """Whether it is closed, or will be when all is sent."""
        return self._is_ending or self.inner.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the inner one, as all that follows."""
        return self.inner.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self.inner.pause_reading()

    def resume_reading(self) -> None:
        self.inner.resume_reading()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.inner.set_protocol(protocol)

    def given_back(self) -> asyncio.Transport:
        """The inner one, while nothing waits, for whoever bounds by himself what he writes."""
        self.inner.set_write_buffer_limits()
        return self.inner
