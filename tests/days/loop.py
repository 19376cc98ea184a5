"""An event loop without sockets and without sleep: time jumps to whatever is due next.

Used by a day. The feeds run on it as they run on theirs; whoever plays the world schedules with
`call_ns`, which is cheaper than a handle. Two events of one time run in the order in which they
were asked for, so that a day is the same each time. All timers are of the loop's own time, which
stands still while the machine is suspended.

What a feed does again and again at a fixed pace (`Regular`) runs after everything else of its time,
and may be put off along its own grid while it would find nothing (idle.py).
"""

import asyncio
import contextlib
import errno
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any, Protocol

import names
from picows import api
from python_socks.async_.asyncio import _connect as socks

from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.feed.connection import Connection
from spread_scanner.runtime import addresses

NEVER_NS = 1 << 62
PING = Connection._ping_now
SETTLE_TURNS_MAX = 100_000  # more callbacks than this at one time: something runs in circles


class NothingLeft(Exception):
    """No timer and no callback: whatever is awaited will never come."""


class Network(Protocol):
    """Who is reached by which name."""

    async def connect(self, host: str, port: int) -> Any:
        """A wire, or the OSError of a dial that failed."""

    async def tunnel(self, protocol_factory: Callable[[], Any]) -> tuple[Any, Any]:
        """As `create_connection` answers: a connection to a proxy. Unless said otherwise there is
        none."""
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    async def to_socks(self) -> Any:
        """What a socket to a SOCKS proxy leads to. Unless said otherwise there is none."""
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    async def reach(self, host: str, port: int) -> None:
        """Return once an address answers, or raise the OSError."""

    async def resolve(self, host: str, port: int) -> list[tuple[int, int, int, str, Any]]:
        """As `getaddrinfo` answers."""


class Regular:
    """A call that asks for itself again after `step_ns`. `at_ns`: when it is made; `next_ns`: the
    first point of its grid that is neither made nor known to find nothing.
    """

    def __init__(self, loop: "VirtualLoop", call: Callable[[], None]) -> None:
        self.call = call
        self.step_ns = 0
        self.at_ns = NEVER_NS
        self.next_ns = NEVER_NS
        self.before: Callable[[], bool] = _always  # whether the call is to be made
        self.after: Callable[[], None] = _nothing
        self._loop = loop

    def asked(self, delay_ns: int) -> None:
        """It asks for itself again."""
        self.step_ns = delay_ns
        self.put_off(self._loop.awake_ns() + delay_ns)
        self.next_ns = self.at_ns

    def put_off(self, at_ns: int) -> None:
        """Have it made then, for the time being."""
        self.at_ns = at_ns
        self._loop.earliest = None

    def run(self) -> None:
        if self.before():
            self.at_ns = self.next_ns = NEVER_NS
            self._loop.earliest = None
            self.call()
            self.after()


class VirtualLoop(asyncio.BaseEventLoop):
    """`before` is called before any timer or callback of the feeds but the regular ones is run, and
    `aside` before those that only ping; `still`, whenever time has gone on, how far, before
    anything happens then; `after`, each time that everything due at one time has run.
    """

    _ready: deque[asyncio.Handle]  # the base class's
    _stopping: bool

    network: Network  # comes later: its exchanges run on this loop

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._virtual = clock
        self._heap: list[tuple[int, int, asyncio.Handle | None, Any, tuple[Any, ...]]] = []
        self._asked = 0
        self.before: Callable[[], None] | None = None
        self.after: Callable[[], None] | None = None
        self.aside: Callable[[Connection], None] | None = None
        self.still: Callable[[int], None] | None = None
        self.awake_ns = clock.awake_ns
        self.mono_ns = clock.mono_ns
        self.turns = 0
        self._regulars: dict[Callable[..., object], Regular] = {}
        self.earliest: Regular | None = None  # of the regular ones; None: to be looked for

    def time(self) -> float:
        return self._virtual.awake_ns() / NS_PER_S

    def regular(self, call: Callable[[], None]) -> Regular:
        """From now on this call is a regular one."""
        self._regulars[call] = made = Regular(self, call)
        return made

    def forget(self, call: Callable[[], None]) -> None:
        """A regular call is made no more: whose it was is gone."""
        gone = self._regulars.pop(call)
        gone.at_ns = gone.next_ns = NEVER_NS
        self.earliest = None

    def call_ns(self, delay_ns: int, call: Callable[..., object], *args: Any) -> None:
        """Have the world make a call; it cannot be taken back."""
        now_ns = self.awake_ns()
        self.call_at_ns(now_ns + delay_ns if delay_ns > 0 else now_ns, call, *args)

    def call_at_ns(self, at_ns: int, call: Callable[..., object], *args: Any) -> None:
        """As `call_ns`, at a time that is not over."""
        self._asked += 1
        heapq.heappush(self._heap, (at_ns, self._asked, None, call, args))

    def go_back_to(self, at_ns: int) -> None:
        """Have it be another time for a moment, since the last thing that happened."""
        self._virtual.advance_ns(at_ns - self.awake_ns())

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        regular = self._regulars.get(callback)
        if regular is None:
            return self.call_at(self.time() + delay, callback, *args, context=context)
        regular.asked(round(delay * NS_PER_S))
        return asyncio.TimerHandle(self.time() + delay, callback, args, self, context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._asked += 1
        at_ns = max(round(when * NS_PER_S), self._virtual.awake_ns())
        pings = getattr(callback, "__func__", None) is PING and getattr(callback, "__self__", None)
        heapq.heappush(self._heap, (at_ns, self._asked, handle, pings, ()))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays in the heap and is skipped there."""

    def _run_once(self) -> None:
        """Many times: asyncio's own loop around this only asks whether to stop."""
        while not self._stopping:
            if not self._ready:
                self._jump()
            if self._ready:
                if self.before is not None:
                    self.before()
                self._run_ready()
                if self._stopping:
                    return
            self.turns += 1
            if self.after is not None:
                self.after()

    def _run_ready(self) -> None:
        """All callbacks that are due now, and those that they ask for."""
        ready, turns = self._ready, 0
        while ready:
            turns += 1
            if turns > SETTLE_TURNS_MAX:
                raise RuntimeError("callbacks without end at one time")
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()
            if self._stopping:
                return

    def _jump(self) -> None:
        """Go to the next time at which anything is due, and take the first thing of it."""
        heap = self._heap
        while heap and heap[0][2] is not None and heap[0][2]._cancelled:
            heapq.heappop(heap)
        regular = self.earliest or self._first()
        at_ns = heap[0][0] if heap else NEVER_NS
        if regular is not None and regular.at_ns < at_ns:
            self._go_to(regular.at_ns)
            regular.run()
            return
        if not heap:
            raise NothingLeft
        _, _, handle, call, args = heapq.heappop(heap)
        self._go_to(at_ns)
        if handle is not None:
            if call and self.aside is not None:
                self.aside(call)
                handle._run()
            else:
                self._ready.append(handle)
        else:
            call(*args)

    def _first(self) -> Regular | None:
        """The first of the regular ones; of several of one time that which is there for longest."""
        first = None
        for one in self._regulars.values():
            if first is None or one.at_ns < first.at_ns:
                first = one
        self.earliest = first
        return first

    def _go_to(self, at_ns: int) -> None:
        ahead_ns = at_ns - self.awake_ns()
        if ahead_ns > 0:
            self._virtual.advance_ns(ahead_ns)
            if self.still is not None:
                self.still(ahead_ns)

    @contextlib.contextmanager
    def dialled_through(self) -> Iterator[None]:
        """Have picows connect through this loop: aiofastnet, which it prefers, wants sockets. And
        have addresses raced without real ones, nobody knowing who won before.
        """
        before = api._HAS_AIOFASTNET
        dialling = (vars(addresses), vars(socks))
        sockets = [module["socket"] for module in dialling]
        api._HAS_AIOFASTNET = False
        for module in dialling:
            module["socket"] = names.Sockets
        addresses._winners.clear()
        addresses._losers.clear()
        try:
            yield
        finally:
            api._HAS_AIOFASTNET = before
            for module, own in zip(dialling, sockets, strict=True):
                module["socket"] = own

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """As a race of addresses or python-socks asks for it."""
        if address[0] == names.PROXY_ADDRESS:
            sock.proxied = await self.network.to_socks()
        else:
            await self.network.reach(*address[:2])
        sock.peer = address

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        """To a SOCKS proxy; returns once that has answered."""
        await sock.proxied.take(bytes(data))

    async def sock_recv(self, sock: Any, nbytes: int) -> bytes:
        given: bytes = sock.proxied.give(nbytes)
        return given

    async def create_connection(
        self,
        protocol_factory: Callable[[], Any],
        host: str | None = None,
        port: int | None = None,
        *,
        sock: Any = None,
        **_: Any,
    ) -> tuple[Any, Any]:
        """A connection within this process; TLS is taken for granted."""
        if sock is not None:
            host, port = sock.getpeername()[:2]
        assert host is not None
        assert port is not None
        if host == names.PROXY:
            return await self.network.tunnel(protocol_factory)
        if host == names.PROXY_ADDRESS:
            wire = sock.proxied.wire
        else:
            wire = await self.network.connect(host, port)
        protocol = protocol_factory()
        wire.joined(protocol)
        return wire.client, protocol

    async def start_tls(self, transport: Any, *_: Any, **__: Any) -> Any:
        """On a tunnel that stands."""
        return transport.end

    async def getaddrinfo(  # type: ignore[override]
        self, host: Any, port: Any, **_: Any
    ) -> list[tuple[int, int, int, str, Any]]:
        return await self.network.resolve(host, port)

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def _write_to_self(self) -> None:
        """Nobody sleeps."""


def _always() -> bool:
    return True


def _nothing() -> None:
    pass
