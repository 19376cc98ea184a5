"""One connection between a feed and an exchange, in memory: bytes, latency, and what goes wrong.

The near end is an asyncio transport that picows takes for a TLS one: an insecure one it would write
to by its file descriptor. The far end is an exchange's session. Each direction keeps its order. A
wire that is `dead` swallows everything in both directions and tells nobody, as a half-open
connection does.
"""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from loop import VirtualLoop

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE, PING, PONG, TEXT, BINARY = 0x8, 0x9, 0xA, 0x1, 0x2


Sent = tuple[int, Callable[..., object], tuple[Any, ...]]


class FarEnd(Protocol):
    """What an exchange does with its end. `heard_ns`: when it last received anything."""

    heard_ns: int

    @property
    def open(self) -> bool:
        """Hands have been shaken, and it is not over."""

    def received(self, data: bytes) -> None: ...

    def hung_up(self) -> None: ...


class _Socket:
    """What picows asks of a socket, without one."""

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number

    def setsockopt(self, *_: object) -> None:
        pass

    def getsockopt(self, *_: object) -> int:
        return 1


class NearEnd(asyncio.Transport):
    """The feed's end."""

    def __init__(self, wire: "Wire") -> None:
        super().__init__()
        self.wire = wire
        self._extra = {
            "socket": _Socket(1_000_000 + wire.number),
            "ssl_object": self,
            "peername": ("192.0.2.1", 443),
            "sockname": ("192.0.2.2", 40_000),
        }
        self._protocol: Any = None
        self._closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._extra.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: Any) -> None:
        if self._closing:
            return
        sent = bytes(data)
        if sent[0] & 0x8F == 0x80 | CLOSE:
            self.wire.goodbye = True
        self.wire.to_far(sent)

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self.lose(None)
        self.wire.near_closed()

    def abort(self) -> None:
        self.close()

    def die(self) -> None:
        """The feed's process is gone: nobody is told here, and the kernel closes what it had."""
        self._closing = True
        self.wire.near_closed()

    def lose(self, error: Exception | None) -> None:
        """The connection is over for the feed."""
        if not self._closing:
            self._closing = True
            self.wire.loop.call_soon(self._protocol.connection_lost, error)

    def take(self, data: bytes) -> None:
        """Bytes arrive."""
        while data and not self._closing:
            room = self._protocol.get_buffer(-1)
            size = min(len(room), len(data))
            room[:size] = data[:size]
            self._protocol.buffer_updated(size)
            data = data[size:]


class Wire:
    """`goodbye` once the feed has sent its close frame: what still comes it does not count.

    `disturbed` is called before anything reaches the feed, and before the wire becomes another.
    What is sent while there is a `kept` is put there, instead of on its way: when, to whom, what.
    """

    def __init__(
        self, loop: VirtualLoop, number: int, latency_ns: int, disturbed: Callable[..., None]
    ) -> None:
        self.loop = loop
        self.number = number
        self.disturbed = disturbed
        self.latency_ns = latency_ns
        self._slower_ns = 0
        self._was_slower_ns = 0
        self._was_until_ns = 0
        self._dead = False
        self.goodbye = False
        self.far: FarEnd | None = None
        self.client = NearEnd(self)
        self.arrived_ns = 0  # when anything last reached the feed
        self.sent_ns = 0  # when the feed sent what reached the exchange last
        self.kept: list[Sent] | None = None
        self._near_free_ns = 0
        self._far_free_ns = 0

    @property
    def dead(self) -> bool:
        return self._dead

    @dead.setter
    def dead(self, now: bool) -> None:
        self.disturbed()
        self._dead = now

    @property
    def slower_ns(self) -> int:
        return self._slower_ns

    @slower_ns.setter
    def slower_ns(self, now: int) -> None:
        self.disturbed()
        self._was_slower_ns, self._was_until_ns = self.slowest_ns, self._near_free_ns
        self._slower_ns = now

    @property
    def slowest_ns(self) -> int:
        """By how much what is on its way may be slower: a path that is well again makes nothing
        faster that it has taken."""
        before = self.loop.awake_ns() <= self._was_until_ns
        return max(self._slower_ns, self._was_slower_ns if before else 0)

    @property
    def answers(self) -> bool:
        """Whether a ping sent now is answered after its latency, there and back."""
        prompt_ns = self.loop.awake_ns() + self.latency_ns
        return (
            not self._dead
            and self._slower_ns == 0
            and self.listened_to
            and self.far is not None
            and self.far.open
            and max(self._near_free_ns, self._far_free_ns) <= prompt_ns
        )

    @property
    def listened_to(self) -> bool:
        """Whether the feed still takes notice of what comes."""
        return not (self.goodbye or self.client.is_closing())

    def joined(self, protocol: Any) -> None:
        self.client.set_protocol(protocol)
        protocol.connection_made(self.client)

    def _due_ns(self, free_ns: int) -> int:
        now_ns = self.loop.awake_ns()
        return max(free_ns, now_ns + self.latency_ns + self._slower_ns)

    def to_near(
        self, data: bytes, taken: Callable[[bool], object] | None = None, usual: int | None = None
    ) -> None:
        """Send to the feed; `taken` is called with the answer whether it took notice, or never.
        `usual`: it is a pong (-1), or a usual quote of this id.
        """
        if self._dead:
            return
        self._near_free_ns = self._send(self._near_free_ns, self._arrive, data, taken, usual)

    def _arrive(
        self, data: bytes, taken: Callable[[bool], object] | None, usual: int | None
    ) -> None:
        if self._dead or self.client.is_closing():
            return
        heard = not self.goodbye
        if usual is None:
            self.disturbed()
        else:
            self.disturbed(self.client, usual)
        self.arrived_ns = self.loop.mono_ns()
        self.client.take(data)
        if taken is not None:
            taken(heard)

    def to_far(self, data: bytes) -> None:
        if self._dead:
            return
        sent_ns = self.loop.mono_ns()
        self._far_free_ns = self._send(self._far_free_ns, self._arrive_far, data, sent_ns)

    def _send(self, free_ns: int, call: Callable[..., object], *args: Any) -> int:
        """Returns from when on that way is free. What is lived later than it was keeps its order
        too: a wire that answers is as fast for all.
        """
        if self.kept is not None:
            at_ns = self.loop.awake_ns() + self.latency_ns
            self.kept.append((at_ns, call, args))
            return max(at_ns, free_ns)
        at_ns = self._due_ns(free_ns)
        self.loop.call_at_ns(at_ns, call, *args)
        return at_ns

    def _arrive_far(self, data: bytes, sent_ns: int) -> None:
        if not self._dead and self.far is not None:
            self.sent_ns = sent_ns
            self.far.received(data)

    def near_closed(self) -> None:
        if self.far is not None and not self._dead:
            self.loop.call_ns(self._due_ns(self._far_free_ns) - self.loop.awake_ns(),
                              self.far.hung_up)  # fmt: skip

    def end(self, error: Exception | None) -> None:
        """The exchange ends it: with an error (a reset) or in order."""
        self.disturbed()
        if not self._dead:
            self._near_free_ns = self._due_ns(self._near_free_ns)
            delay_ns = self._near_free_ns - self.loop.awake_ns()
            self.loop.call_ns(delay_ns, self._ended, error)

    def _ended(self, error: Exception | None) -> None:
        if not self._dead:
            self.client.lose(error)


def accept_of(request: bytes) -> bytes:
    """The answer to a handshake."""
    rows = (row.partition(b":") for row in request.split(b"\r\n"))
    key = next(value.strip() for name, _, value in rows if name.lower() == b"sec-websocket-key")
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def refusal(status: str, *headers: str) -> bytes:
    """A handshake that is refused."""
    rows = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status}\r\n{rows}Content-Length: 0\r\n\r\n".encode()


def client_frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Masked frames: opcode and payload. The near end writes whole frames."""
    while data:
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
        mask = int.from_bytes(data[at : at + 4] * (size // 4 + 1), "big")
        body = data[at + 4 : at + 4 + size]
        padded = body + b"\0" * (4 * (size // 4 + 1) - size)
        plain = (int.from_bytes(padded, "big") ^ mask).to_bytes(len(padded), "big")[:size]
        yield data[0] & 0x0F, plain
        data = data[at + 4 + size :]
