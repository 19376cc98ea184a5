"""An event loop without sockets and without sleep: time jumps to whatever is due next.

Used by a day. The feeds run on it as they run on theirs; whoever plays the world schedules with
`call_ns`, which is cheaper than a handle. Two events of one time run in the order in which they
were asked for, so that a day is the same each time. All timers are of the loop's own time, which
stands still while the machine is suspended.
"""

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any, Protocol

from picows import api

from spread_scanner.clock import NS_PER_S, VirtualClock

SETTLE_TURNS_MAX = 100_000  # more callbacks than this at one time: something runs in circles


class NothingLeft(Exception):
    """No timer and no callback: whatever is awaited will never come."""


class Network(Protocol):
    """Who is reached by which name."""

    async def connect(self, host: str, port: int) -> Any:
        """A wire, or the OSError of a dial that failed."""

    async def resolve(self, host: str, port: int) -> list[tuple[int, int, int, str, Any]]:
        """As `getaddrinfo` answers."""


class VirtualLoop(asyncio.BaseEventLoop):
    """`after` is called each time that everything due at one time has run."""

    _ready: deque[asyncio.Handle]  # the base class's
    _stopping: bool

    def __init__(self, clock: VirtualClock, network: Network) -> None:
        super().__init__()
        self._virtual = clock
        self._network = network
        self._heap: list[tuple[int, int, asyncio.Handle | None, Any, tuple[Any, ...]]] = []
        self._asked = 0
        self.after: Callable[[], None] | None = None
        self.turns = 0

    def time(self) -> float:
        return self._virtual.awake_ns() / NS_PER_S

    def call_ns(self, delay_ns: int, call: Callable[..., object], *args: Any) -> None:
        """Have the world make a call; it cannot be taken back."""
        self._asked += 1
        at_ns = self._virtual.awake_ns() + max(0, delay_ns)
        heapq.heappush(self._heap, (at_ns, self._asked, None, call, args))

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

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
        heapq.heappush(self._heap, (at_ns, self._asked, handle, None, ()))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays in the heap and is skipped there."""

    def _run_once(self) -> None:
        if not self._ready:
            self._jump()
        turns = 0
        while self._ready:
            turns += 1
            if turns > SETTLE_TURNS_MAX:
                raise RuntimeError("callbacks without end at one time")
            handle = self._ready.popleft()
            if not handle._cancelled:
                handle._run()
            if self._stopping:
                return
        self.turns += 1
        if self.after is not None:
            self.after()

    def _jump(self) -> None:
        """Go to the next time at which anything is due, and take the first thing of it."""
        heap = self._heap
        while heap and heap[0][2] is not None and heap[0][2]._cancelled:
            heapq.heappop(heap)
        if not heap:
            raise NothingLeft
        at_ns, _, handle, call, args = heapq.heappop(heap)
        ahead_ns = at_ns - self._virtual.awake_ns()
        if ahead_ns > 0:
            self._virtual.advance_ns(ahead_ns)
        if handle is not None:
            self._ready.append(handle)
        else:
            call(*args)

    @contextlib.contextmanager
    def dialled_through(self) -> Iterator[None]:
        """Have picows connect through this loop: aiofastnet, which it prefers, wants sockets."""
        before = api._HAS_AIOFASTNET
        api._HAS_AIOFASTNET = False
        try:
            yield
        finally:
            api._HAS_AIOFASTNET = before

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
        wire = await self._network.connect(host, port)
        protocol = protocol_factory()
        wire.joined(protocol)
        return wire.client, protocol

    async def getaddrinfo(  # type: ignore[override]
        self, host: Any, port: Any, **_: Any
    ) -> list[tuple[int, int, int, str, Any]]:
        return await self._network.resolve(host, port)

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def _write_to_self(self) -> None:
        """Nobody sleeps."""
