"""What the exchanges' names resolve to in a day, and which of the addresses answer.

A name has one address of IPv4 unless a fault says otherwise. Addresses are of the documentation's
ranges (RFC 5737, RFC 3849); a source's can be told from another's, so that whoever is reached by
one is known without its name.
"""

import asyncio
import errno
import socket
from typing import Any, NamedTuple

from spread_scanner.schema.enums import EXCHANGE_SOURCES

PROXY, PROXY_ADDRESS = "proxy.invalid", "198.51.100.1"  # are no exchange's
Info = tuple[int, int, int, str, Any]
HOLE, NO_ROUTE, MUTE = "hole", "no route", "mute"  # how one does not answer
_LABELS = [source.label for source in EXCHANGE_SOURCES]


class Address(NamedTuple):
    """`how` it fails: swallows the handshake of TCP, cannot be routed to, or takes connections and
    never says anything; "": it answers."""

    family: socket.AddressFamily
    how: str = ""


FOUR, SIX = socket.AF_INET, socket.AF_INET6
USUAL = "IPv4 only"
WAYS: dict[str, tuple[Address, ...]] = {
    USUAL: (Address(FOUR),),
    "IPv6 only": (Address(SIX),),
    "IPv6 leads nowhere": (Address(SIX, HOLE), Address(FOUR)),
    "no route by IPv6": (Address(SIX, NO_ROUTE), Address(FOUR)),
    "one dead of three": (Address(FOUR, HOLE), Address(FOUR), Address(FOUR)),
    "one that says nothing": (Address(FOUR, MUTE), Address(FOUR)),
}
OTHERS = tuple(way for way in WAYS if way != USUAL)


def text_of(label: str, number: int, address: Address) -> str:
    place = 8 * _LABELS.index(label) + number + 1
    return f"192.0.2.{place}" if address.family == FOUR else f"2001:db8::{place:x}"


def label_of(text: str) -> str:
    """Whose address it is; "": it is none of these."""
    if text.startswith("192.0.2."):
        place = int(text.rpartition(".")[2])
    elif text.startswith("2001:db8::"):
        place = int(text.rpartition(":")[2], 16)
    else:
        return ""
    return _LABELS[(place - 1) // 8]


def infos(label: str, way: str, port: int) -> list[Info]:
    """As `getaddrinfo` answers."""
    found: list[Info] = []
    for number, address in enumerate(WAYS[way]):
        text = text_of(label, number, address)
        at = (text, port) if address.family == FOUR else (text, port, 0, 0)
        found.append((address.family, socket.SOCK_STREAM, 6, "", at))
    return found


def proxy_info(port: int) -> Info:
    """Where the proxy is."""
    return FOUR, socket.SOCK_STREAM, 6, "", (PROXY_ADDRESS, port)


def how_of(label: str, way: str, text: str) -> str:
    """How an address answers under `way`; one that has left the name answers as before."""
    for number, address in enumerate(WAYS[way]):
        if text_of(label, number, address) == text:
            return address.how
    return ""


async def arrive(how: str) -> None:
    """The way to an address, up to its first answer. Raises OSError; may take for ever."""
    if how == HOLE:
        await asyncio.get_running_loop().create_future()
    if how == NO_ROUTE:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")


class VirtualSocket:
    """What a race of addresses or python-socks asks of a socket, without one. The loop connects it;
    `proxied`: what it leads to, if that is a SOCKS proxy.
    """

    def __init__(self, *_: object, **__: object) -> None:
        self.peer: Any = None
        self.proxied: Any = None

    def setblocking(self, flag: bool) -> None:
        pass

    def getpeername(self) -> Any:
        if self.peer is None:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return self.peer

    def close(self) -> None:
        self.peer = None


class Sockets:
    """In the place of the module `socket` where addresses are raced, and proxies dialled."""

    AF_INET, AF_INET6 = FOUR, SIX
    SOCK_STREAM = socket.SOCK_STREAM
    socket = VirtualSocket
