"""Proxies between a feed and an exchange, in memory: what HTTP's CONNECT and SOCKS5 (RFC 1928)
ask, and the answers.

Used by the network. For the one picows asks for a tunnel on a connection of asyncio's, and goes on
with TLS on what that becomes; for the other python-socks asks on a socket, which picows connects
then: here both become the wire that the network has laid meanwhile. The exchange sees the proxy's
address, and counts it apart from our own (host.py).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import names
from wire import NearEnd, Wire

URL, SOCKS_URL = f"http://{names.PROXY}:3128", f"socks5://{names.PROXY}:1080"
URLS = (URL, SOCKS_URL)
# How one does not do what it is asked: takes no connection, refuses, or says nothing.
DEAD, DENIES, MUTE = "dead", "denies", "mute"
WAYS = (DEAD, DENIES, MUTE)

Lay = Callable[[], Awaitable[Wire]]
# SOCKS5: without a name or password; connected, from nowhere that anybody asks for; refused by the
# one who was to be reached.
HELLO, WELCOME = b"\x05\x01\x00", b"\x05\x00"
CONNECT, CONNECTED, REFUSED = b"\x05\x01\x00\x03", b"\x05\x00\x00\x01", b"\x05\x05\x00\x01"
FROM = bytes(6)


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


class Socks:
    """What a socket to a SOCKS proxy leads to. `lay` as a tunnel's; `wire` is what it has laid."""

    def __init__(self, lay: Lay) -> None:
        self._lay = lay
        self._said = bytearray()
        self.wire: Wire | None = None

    async def take(self, data: bytes) -> None:
        """The feed asks."""
        if data == HELLO:
            self._said += WELCOME
            return
        assert data.startswith(CONNECT)
        try:
            self.wire = await self._lay()
        except OSError:
            self._said += REFUSED + FROM
        else:
            self._said += CONNECTED + FROM

    def give(self, count: int) -> bytes:
        """So much of what is said to the feed."""
        given = bytes(self._said[:count])
        del self._said[:count]
        return given
