"""What is written by TLS, piece by piece, so that what is left unread can be counted and bounded.

A transport of TLS gives all that it is given to the one beneath it at once, which takes any amount,
and has nothing left to speak of then: nobody would hear that it is not read. Here one piece after
the other goes there, for as long as they are taken, and the rest waits here. Used by the gateway's
connections (connections.py), which say when no more is taken; of their loop alone.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any

PIECE_BYTES = 16 << 10  # of one record of TLS


class PacedTransport(asyncio.Transport):
    """A transport of TLS, and what it does not take yet."""

    def __init__(self, inner: asyncio.Transport) -> None:
        super().__init__()
        self.inner = inner
        self._waiting: deque[memoryview] = deque()
        self._waiting_bytes = 0
        self._is_full = self._is_ending = False
        inner.set_write_buffer_limits(high=PIECE_BYTES, low=0)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """As soon as it is taken."""
        if not data or self.is_closing():
            return
        self._waiting.append(memoryview(data))
        self._waiting_bytes += len(data)
        self._feed()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        """One behind the other."""
        for data in list_of_data:
            self.write(data)

    def full(self) -> None:
        """No more is taken."""
        self._is_full = True

    def goes_on(self) -> bool:
        """More is taken again; whether all that waits was."""
        self._is_full = False
        self._feed()
        return not self._is_full

    def _feed(self) -> None:
        while self._waiting and not self._is_full:
            data = self._waiting.popleft()
            piece, rest = data[:PIECE_BYTES], data[PIECE_BYTES:]
            if rest:
                self._waiting.appendleft(rest)
            self._waiting_bytes -= len(piece)
            self.inner.write(piece)  # which may say that it is full
        if self._is_ending and not self._waiting:
            self.inner.close()

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
        """The one of TLS, while nothing waits, for whoever bounds by himself what he writes."""
        self.inner.set_write_buffer_limits()
        return self.inner
