"""How a feed's dials reach the exchanges of a day, and who dials: for which line, or beside it."""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import names
import proxies
from dialling import LineView
from events import EventLog
from exchange import LATENCY_NS, Exchange
from host import ANNOUNCED, BESIDE, Dial
from invariants import Invariants
from wire import Wire

from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.feed.feed import Feed
from spread_scanner.runtime.gate import Gates


class Network:
    """Between all feeds of a day and their exchanges. `feeds` come later, as they dial through it;
    so does who is told of each dial.
    """

    feeds: dict[str, Feed]
    invariants: Invariants

    def __init__(
        self, exchanges: dict[str, Exchange], virtual: VirtualClock, log: EventLog
    ) -> None:
        self._exchanges = exchanges
        self._clock = virtual
        self._log = log
        self._numbers: dict[int, int] = {}
        self._set_out_ns: dict[tuple[str, int], int] = {}  # when lines asked for addresses last
        self._lines: list[object] = []
        self._beside: set[asyncio.Task[None]] = set()

    # --- who there is

    def lines(self, label: str) -> list[LineView]:
        """A feed's lines, and which connection carries each."""
        views = []
        for line in self.feeds[label]._lines():
            current = line.current
            views.append(
                LineView(
                    self._number(line),
                    current.number if current is not None else 0,
                    current is not None and current.listener.data_ns != 0,
                )
            )
        return views

    def all_carried(self, label: str) -> bool:
        feed = self.feeds[label]
        for lines in (*feed._copies, feed._moving.retired):
            for line in lines:
                if line.current is None:
                    return False
        return True

    def _number(self, line: object) -> int:
        if id(line) not in self._numbers:
            self._numbers[id(line)] = len(self._lines)
            self._lines.append(line)  # so that its id stays its own
        return self._numbers[id(line)]

    def _dialler(self) -> tuple[str, int]:
        """Which feed dials, and for which of its lines, or for what is announced: read off the task
        that waits for it.
        """
        task = asyncio.current_task()
        step: Any = task.get_coro() if task is not None else None
        while step is not None and getattr(step, "cr_frame", None) is not None:
            found = step.cr_frame.f_locals.get("self")
            share = getattr(found, "_share", None)
            if share is not None and hasattr(found, "connections"):
                return share.adapter.source.label, self._number(found)
            if share is not None and hasattr(found, "listen_to"):
                return share.adapter.source.label, ANNOUNCED
            step = step.cr_await
        return next(iter(self._exchanges)), -1

    # --- what the loop asks for

    async def resolve(self, host: str, port: int) -> list[tuple[int, int, int, str, Any]]:
        if host == names.PROXY:
            return [names.proxy_info(port)]
        label, line = self._dialler()
        self._set_out_ns[label, line] = self._clock.mono_ns()
        if self._exchanges[label].switch.refuse == "dns":
            self._log("no such name", label, line)
            self.invariants.dialling.attempted(self._exchanges[label], line)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return names.infos(label, self._exchanges[label].switch.way, port)

    async def reach(self, host: str, port: int) -> None:
        """Return once an address answers, or raise the OSError."""
        way = self._exchanges[names.label_of(host)].switch.way
        await asyncio.sleep(2 * LATENCY_NS / NS_PER_S)
        await names.arrive(names.how_of(names.label_of(host), way, host))

    async def connect(self, host: str, port: int) -> Wire:
        label, line = self._dialler()
        way = self._exchanges[label].switch.way
        at = host if names.label_of(host) else names.infos(label, way, port)[0][4][0]
        how = names.how_of(label, way, at)
        await names.arrive(how)
        set_out_ns = self._set_out_ns.pop((label, line), 0)
        return await self._dial(label, line, mute=how == names.MUTE, set_out_ns=set_out_ns)

    async def tunnel(self, protocol_factory: Callable[[], Any]) -> tuple[Any, Any]:
        """A connection to the proxy, which goes on with the dial that is under way."""
        lay = await self._to_proxy(proxies.URL)
        protocol = protocol_factory()
        tunnel = proxies.Tunnel(protocol, lay)
        protocol.connection_made(tunnel)
        return tunnel, protocol

    async def to_socks(self) -> proxies.Socks:
        """As `tunnel`, for a socket."""
        return proxies.Socks(await self._to_proxy(proxies.SOCKS_URL))

    async def _to_proxy(self, url: str) -> proxies.Lay:
        """The proxy is reached; returns how it reaches the exchange for whoever dials now."""
        label, line = self._dialler()
        how, now_ns = self._exchanges[label].switch.proxy, self._clock.mono_ns()
        task = asyncio.current_task()  # a tunnel is laid by one of its own
        await asyncio.sleep(2 * LATENCY_NS / NS_PER_S)
        if how == proxies.DEAD:
            self.invariants.dialling.attempted(self._exchanges[label], line)
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

        async def lay() -> Wire:
            if how == proxies.DENIES:
                self.invariants.dialling.attempted(self._exchanges[label], line)
                raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
            mute = how == proxies.MUTE
            return await self._dial(label, line, via=url, mute=mute, set_out_ns=now_ns, task=task)

        return lay

    async def _dial(
        self, label: str, line: int, *, via: str = "", mute: bool = False, set_out_ns: int = 0,
        task: "asyncio.Task[Any] | None" = None,
    ) -> Wire:  # fmt: skip
        """An address of the exchange's is reached, or is `mute`. `set_out_ns`: 0 is now. `task`
        waits for it, if that is not the current one.
        """
        exchange = self._exchanges[label]
        dial = self._note(exchange, line, via, set_out_ns)
        dial.task = task or asyncio.current_task()
        how = exchange.switch.refuse
        flaky = exchange.switch.flaky
        if flaky and exchange.random.random() < flaky:
            how = ("refused", "hole", "refused")[exchange.random.randrange(3)]
        if how == "hole" or mute:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(2 * LATENCY_NS / NS_PER_S)
        if how == "dns":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if how == "refused":
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        return exchange.admit(dial).wire

    def _note(self, exchange: Exchange, line: int, via: str, set_out_ns: int = 0) -> Dial:
        """One more dial of that address, in the exchange's books."""
        now_ns = self._clock.mono_ns()
        dial = Dial(now_ns, exchange.label, line, set_out_ns or now_ns, via)
        if line != BESIDE:
            exchange.dials.append(dial)
        self._log("dial", exchange.label, "beside" if line == BESIDE else line)
        in_window = exchange.hosts[via].dialled(dial.at_ns)
        self.invariants.dialling.dialled(exchange, dial, in_window)
        return dial

    # --- another process of the same address

    def dial_beside(self, exchange: Exchange, gates: Gates, for_s: float) -> None:
        """It dials through the gate that all of this address share."""
        until_ns = self._clock.mono_ns() + int(for_s * NS_PER_S)
        exchange.beside_until_ns = until_ns + NS_PER_S
        task = exchange.loop.create_task(self._dial_beside(exchange, gates, until_ns))
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _dial_beside(self, exchange: Exchange, gates: Gates, until_ns: int) -> None:
        share = self.feeds[exchange.label]._share
        via = share.target.proxy
        gate = gates.of(share.adapter, via)
        while self._clock.mono_ns() < until_ns:
            await gate.turn()
            self._note(exchange, BESIDE, via)
            await asyncio.sleep(exchange.random.random())

    def close(self) -> None:
        for task in self._beside:
            task.cancel()
