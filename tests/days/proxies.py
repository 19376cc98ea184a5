"""A proxy between a feed and an exchange, in memory: what HTTP's CONNECT asks, and its answers.

Used by the network. picows asks for a tunnel on a connection of asyncio's, and goes on with TLS on
what that becomes: here the wire that the network has laid meanwhile. The exchange sees the proxy's
address, and counts it apart from our own (host.py).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import names
from wire import NearEnd, Wire

URL = f"http://{names.PROXY}:3128"
# How one does not do what it is asked: takes no connection, refuses, or says nothing.
DEAD, DENIES, MUTE = "dead", "denies", "mute"
WAYS = (DEAD, DENIES, MUTE)

Lay = Callable[[], Awaitable[Wire]]


class Tunnel(asyncio.Transport):
    """The feed's end of a connection to a proxy. `lay` connects the proxy to the exchange: it
    returns the wire or raises the OSError of that.
    """

    def __init__(self, protocol: Any, lay: Lay) -> None:
        super().__init__()
        self._protocol = protocol
        self._lay = lay
        self._task: asyncio.Task[None] | None = None
        self._wire: Wire | None = None

    @property
    def end(self) -> NearEnd:
        """What stands when the tunnel does."""
        assert self._wire is not None
        return self._wire.client

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def write(self, data: Any) -> None:
        assert bytes(data).startswith(b"CONNECT ")
        self._task = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        try:
            self._wire = await self._lay()
        except OSError:
            self._protocol.data_received(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        else:
            self._protocol.data_received(b"HTTP/1.1 200 Connection established\r\n\r\n")

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        """Given up by the feed, whatever has become of it."""
        if self._task is not None:
            self._task.cancel()
        if self._wire is not None:
            self._wire.client.close()
