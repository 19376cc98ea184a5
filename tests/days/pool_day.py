"""Some minutes of feed-solana on the virtual clock: its lines, pools and cells beside the chain of
exchange-sim, with faults from the seed.

The websockets are picows' own over wires in memory (wire.py); what is asked by HTTP is answered
after a latency by the same providers, at the one place where a request leaves. The process around
PoolHearing is a stand-in that gives no orders. The chain and its faults are exchange-sim's.

What has to hold, looked at each 100 ms and at the end:

1. A cell that is fresh shows what its pool was within the last `BEHIND_NS`, or as much longer ago
   as the best provider that tells anything is behind: one that is ten slots behind that, or tells
   nothing for two seconds, covers nothing.
2. No provider is asked faster than it lets itself be asked, of all kinds together.
3. A minute and a half after the last fault every cell is fresh and says what the chain has, to the
   last digit.
"""

import asyncio
import math
import random
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from unittest import mock
from urllib.parse import urlsplit

import msgspec
from loop import Network, VirtualLoop
from wire import CLOSE, PING, PONG, TEXT, Wire, accept_of, client_frames, refusal

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S, VirtualClock
from spread_scanner.config.pools import MintSettings, PoolEntry, PoolSettings, ProviderSettings
from spread_scanner.config.settings import Config, System
from spread_scanner.pools import asking
from spread_scanner.pools.asking import ProviderRefusal
from spread_scanner.pools.hearing import PoolHearing
from spread_scanner.runtime import logs
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.process import Process
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.schema.pools import CLOCK_OFF_S
from spread_scanner.shm import Health
from spread_scanner.shm.connections import ConnectionRows, Connections
from spread_scanner.shm.health import HealthRow
from spread_scanner.shm.pools import PoolTable
from spread_scanner.sim.chain import SLOT_S
from spread_scanner.sim.rpc_provider import Listening, RpcProvider
from spread_scanner.sim.rpc_server import SolanaSide
from spread_scanner.sim.wire import head, text_frame
from spread_scanner.view import pools as shown

LATENCY_NS = 20 * NS_PER_MS
LOOK_S = 0.1
REQUESTS_PER_S = 100.0
BEHIND_NS = 10 * int(SLOT_S * NS_PER_S) + 2 * NS_PER_S + 500 * NS_PER_MS  # and what is on its way
LONG_EVERY_S = 15.0  # an outage of one, two or all providers, for as long as a feed must doubt
LONG_KINDS = ("silent", "away", "lag")
LONG_S, LONG_SLOTS = (4.0, 14.0), (12, 25)
REMEMBERED_NS = BEHIND_NS + 40 * int(SLOT_S * NS_PER_S)
SETTLE_S = 90.0  # a line waits for a minute at most before it dials


class Untrue(AssertionError):
    """Something that has to hold does not; by the seed and the second of the day."""


class ProviderSession:
    """A websocket from the provider's side."""

    def __init__(self, asked: Callable[[], None], provider: RpcProvider, wire: Wire) -> None:
        self.provider, self.wire = provider, wire
        self.heard_ns, self.open, self.over = 0, False, False
        self._asked = asked
        self._listening = Listening(self._say, self._cut)

    def received(self, data: bytes) -> None:
        if self.over:  # what was on its way when it hung up
            return
        self.heard_ns = clock.mono_ns()
        if not self.open:
            self._shake_hands(data)
            return
        for opcode, payload in client_frames(data):
            if opcode == PING:
                self.wire.to_near(head(0x80 | PONG, len(payload)) + payload)
            elif opcode == CLOSE:
                self.hung_up()
            elif opcode == TEXT:
                self._hear(payload)

    def _shake_hands(self, data: bytes) -> None:
        if self.provider.away:
            self.over = True
            self.wire.to_near(refusal("503 No"))
            self.wire.end(None)
            return
        self.open = True
        self.provider.listeners.add(self._listening)
        self.wire.to_near(accept_of(data))

    def _hear(self, request: bytes) -> None:
        self._asked()
        if self.provider.lost:
            self.provider.lost -= 1
        else:
            self._say(self.provider.answer(request, self._listening))

    def _say(self, message: bytes) -> None:
        if self.open:
            self.wire.to_near(text_frame(message))

    def _cut(self) -> None:
        self.hung_up()
        self.wire.end(ConnectionResetError("reset"))

    def hung_up(self) -> None:
        self.open, self.over = False, True
        self.provider.listeners.discard(self._listening)


class ProviderNetwork(Network):
    """How the lines reach the providers: each by a name and an address of its own."""

    def __init__(self, day: "PoolDay") -> None:
        self._day = day
        names = enumerate(day.side.providers, 1)
        self._addresses = {f"{name}.test": f"192.0.2.{number}" for number, name in names}
        self._numbers = 0

    async def resolve(self, host: str, port: int) -> list[tuple[int, int, int, str, Any]]:
        at = (self._addresses[host], port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", at)]

    async def reach(self, host: str, port: int) -> None:
        await asyncio.sleep(2 * LATENCY_NS / NS_PER_S)

    async def connect(self, host: str, port: int) -> Wire:
        name = next(name for name, at in self._addresses.items() if host in (name, at))
        provider = name.removesuffix(".test")
        self._numbers += 1
        wire = Wire(self._day.loop, self._numbers, LATENCY_NS, lambda *_: None)
        asked = self._day.asked_of(provider, beyond=True)
        wire.far = ProviderSession(asked, self._day.side.providers[provider], wire)
        return wire


class PoolDay:
    """The world of one run."""

    def __init__(
        self,
        seed: str,
        namespace: str,
        pools: int,
        fault_every_s: float,
        virtual: VirtualClock,
    ) -> None:
        self.seed, self.namespace, self.virtual = seed, namespace, virtual
        self.random = random.Random(f"{seed} day")
        self.loop = VirtualLoop(virtual)
        self.side = SolanaSide(
            self.random.randrange(10**6), pools, providers=3, fault_every_s=fault_every_s
        )
        self._lie_of_time()
        self.loop.network = ProviderNetwork(self)
        self._step = self.side.chain.step
        self.side.chain.step = self._stepped  # type: ignore[method-assign]
        self.looks = self.fresh = 0
        self._agreed_ns: float = math.inf  # from then on all providers tell of the chain's clock
        self._asked: dict[str, deque[int]] = {name: deque() for name in self.side.providers}
        self._dials: dict[str, int] = dict.fromkeys(self.side.providers, 0)
        self._was: dict[str, deque[tuple[int, float]]] = {
            key: deque([(0, float(pool.price()))]) for key, pool in self.side.chain.pools.items()
        }
        self._lags: deque[tuple[int, int]] = deque()  # of the best that tells, by time

    def _lie_of_time(self) -> None:
        """One provider's clock is off all the time, and believable."""
        lies = random.Random(f"{self.seed} clock")
        off_s = lies.choice([-1, 1]) * lies.randint(2 * CLOCK_OFF_S, 3_600)
        liar = lies.choice(sorted(self.side.providers))
        self.side.act({"do": "clock", "provider": liar, "off_s": off_s})

    # --- the settings and the process

    def settings(self) -> PoolSettings:
        found: dict[str, Any] = {"enabled": True, "providers": {}, "mints": {}, "pools": {}}
        for name in self.side.providers:
            found["providers"][name] = ProviderSettings(
                f"http://{name}.test:1/", f"wss://{name}.test:1/", requests_per_s=REQUESTS_PER_S
            )
        for key, pool in self.side.chain.pools.items():
            mints = [coin.mint for coin in pool.coins]
            found["mints"] |= {coin.mint: MintSettings(coin.name) for coin in pool.coins}
            found["pools"][key] = PoolEntry(cast(Any, pool.kind), mints)
        return PoolSettings(**found)

    def process(self, row: Any) -> Process:
        # No source of the store: what pools are worth there has its own tests.
        settings = SimpleNamespace(
            config=Config(system=System(namespace=self.namespace)),
            pools=self.settings(),
            folder=Path("/"),
            runs=lambda source: False,
        )
        made = SimpleNamespace(
            settings=settings,
            row=row,
            orders=SimpleNamespace(paused=False),
            log=logs.get_logger(),
            stopping=False,
            poll=lambda: None,
            watch=lambda wake: None,
            state=lambda state, words: None,
        )
        return cast(Process, made)

    # --- what is asked

    def asked_of(self, provider: str, *, beyond: bool = False) -> Callable[[], None]:
        """To be called with each request; `beyond`: of a dial, whose first one is not counted."""
        self._dials[provider] += beyond

        def asked() -> None:
            now_ns, known = self.virtual.mono_ns(), self._asked[provider]
            known.append(now_ns)
            while known[0] <= now_ns - NS_PER_S:
                known.popleft()
            if len(known) > REQUESTS_PER_S + self._dials[provider]:
                self.untrue(f"{provider} was asked {len(known)} times within a second")

        return asked

    async def posted(self, _: object, url: str, request: bytes, bytes_max: int = 0) -> bytes:
        name = str(urlsplit(url).hostname).removesuffix(".test")
        self.asked_of(name)()
        provider = self.side.providers[name]
        await asyncio.sleep(LATENCY_NS / NS_PER_S)
        if provider.away:
            raise ProviderRefusal("HTTP 503", 503)
        limited = provider.is_limiting
        answer = provider.answer(request)
        await asyncio.sleep(LATENCY_NS / NS_PER_S)
        if limited:
            raise ProviderRefusal("HTTP 429", 429)
        return answer

    # --- what has to hold

    def untrue(self, what: str) -> None:
        at_s = self.virtual.mono_ns() / NS_PER_S
        told = [
            f"{one.name} in {one.slot}, {one.lag_slots} behind, {len(one.listeners)} listen"
            + ", silent" * one.silent
            + ", away" * one.away
            for one in self.side.providers.values()
        ]
        chain = f"chain in {self.side.chain.slot}; {'; '.join(told)}"
        raise Untrue(f"seed {self.seed}, {at_s:.1f} s: {what} ({chain})")

    def _stepped(self) -> None:
        """A slot, which a fault at its very end may take back: it was told all the same."""
        self._step()
        self._note(self.virtual.mono_ns())

    def _note(self, now_ns: int) -> None:
        """What every pool is worth now, by the chain."""
        for key, pool in self.side.chain.pools.items():
            was, price = self._was[key], float(pool.price())
            if price != was[-1][1]:
                was.append((now_ns, price))
            while len(was) > 1 and was[1][0] < now_ns - REMEMBERED_NS:
                was.popleft()

    def _since_ns(self, now_ns: int) -> int:
        """From when on what a pool was is new enough to be shown as fresh."""
        telling = (
            one
            for one in self.side.providers.values()
            if not one.silent and any(listening.slots for listening in one.listeners)
        )
        lag = min((self.side.chain.slot - one.slot for one in telling), default=0)
        self._lags.append((now_ns, lag))
        while self._lags[0][0] < now_ns - BEHIND_NS:
            self._lags.popleft()
        most = max(lag for _, lag in self._lags)
        return now_ns - BEHIND_NS - most * int(SLOT_S * NS_PER_S)

    def look(self, table: PoolTable) -> None:
        now_ns = self.virtual.mono_ns()
        self._note(now_ns)
        since_ns = self._since_ns(now_ns)
        self.looks += 1
        if now_ns >= self._agreed_ns:
            self._look_at_clock(table)
        for one in shown.of_table(table):
            if one.fresh:
                self.fresh += 1
                if one.price not in self._prices(one.pool, since_ns):
                    self.untrue(f"{one.program} {one.pool} is fresh in {one.slot}: {one.price}")

    def _prices(self, pool: str, since_ns: int) -> set[float]:
        """What it was worth since then, the price that stood then with it."""
        was = [*self._was[pool]]
        ends_ns = [at_ns for at_ns, _ in was[1:]] + [self.virtual.mono_ns()]
        return {
            price for (_, price), end_ns in zip(was, ends_ns, strict=True) if end_ns >= since_ns
        }

    def wrong(self, table: PoolTable) -> list[str]:
        """What is not as the chain has it."""
        truth = self.side.chain.pools
        found = shown.of_table(table)
        return [
            f"{one.program} {one.pool}: {one.why or one.price}"
            for one in found
            if not one.fresh or one.price != float(truth[one.pool].price())
        ] + [f"{len(found)} of {len(truth)}"] * (len(found) != len(truth))

    def _look_at_clock(self, table: PoolTable) -> None:
        told_s = table.chain_unix_s(self.virtual.mono_ns())
        is_s = self.side.chain.unix_s(self.side.chain.slot)
        if told_s is None or abs(told_s - is_s) > CLOCK_OFF_S:
            self.untrue(f"the chain's second is {is_s}, not {told_s}")

    async def disturb(self, kinds: Sequence[str], of_all: bool) -> None:
        """Longer faults than the chain's own."""
        providers = sorted(self.side.providers)
        while True:
            await asyncio.sleep(LONG_EVERY_S)
            kind, for_s = self.random.choice(kinds), self.random.uniform(*LONG_S)
            count = len(providers) if of_all else self.random.randint(1, len(providers))
            slots = self.random.randint(*LONG_SLOTS)
            for name in self.random.sample(providers, count):
                self.side.act({"do": kind, "provider": name, "for_s": for_s, "slots": slots})

    # --- the run

    async def live(self, held: "_Held", seconds: float, kinds: Sequence[str], of_all: bool) -> None:
        table = held.table
        with table.writer() as writer, Gates(self.namespace) as gates:
            hearing = asyncio.create_task(
                PoolHearing(self.process(held.row), writer, held.rows, gates).run()
            )
            ticking = asyncio.create_task(self.side._tick())
            disturbing = asyncio.create_task(self.disturb(kinds, of_all))
            try:
                await self._looked(table, seconds, hearing)
                disturbing.cancel()
                self.side.act({"do": "swaps", "per_slot": 0})
                self._agreed_ns = self.virtual.mono_ns() + SETTLE_S / 2 * NS_PER_S
                await self._looked(table, SETTLE_S, hearing)
                if wrong := self.wrong(table):
                    self.untrue("; ".join(wrong))
            finally:
                for task in (hearing, ticking, disturbing):
                    task.cancel()
                await asyncio.gather(hearing, ticking, disturbing, return_exceptions=True)

    async def _looked(self, table: PoolTable, seconds: float, hearing: asyncio.Task[None]) -> None:
        until_ns = self.virtual.mono_ns() + int(seconds * NS_PER_S)
        while self.virtual.mono_ns() < until_ns:
            await asyncio.sleep(LOOK_S)
            self.look(table)
            if hearing.done():
                hearing.result()


class _Held(NamedTuple):
    """What feed-solana writes."""

    row: HealthRow
    table: PoolTable
    rows: ConnectionRows


@contextmanager
def _segments(namespace: str) -> Iterator[_Held]:
    with (
        Health.create(namespace) as health,
        health.claim(FEED_SOLANA) as row,
        PoolTable.create(namespace) as table,
        Connections.create(namespace) as connections,
        connections.claim_providers() as rows,
    ):
        yield _Held(row, table, rows)


def run_pools(
    seed: str,
    namespace: str,
    *,
    seconds: float,
    pools: int = 10,
    fault_every_s: float = 2.0,
    kinds: Sequence[str] = LONG_KINDS,
    of_all: bool = False,
) -> PoolDay:
    """One stretch; longer faults are of these kinds, of some providers or all. Raises Untrue."""
    random.seed(seed)  # of pauses between dials
    virtual = VirtualClock(mono_ns=3_600 * NS_PER_S)
    with ExitStack() as stack:
        stack.enter_context(clock.use(virtual))
        day = PoolDay(seed, namespace, pools, fault_every_s, virtual)
        held = stack.enter_context(_segments(namespace))
        stack.enter_context(day.loop.dialled_through())
        stack.enter_context(mock.patch.object(asking, "_posted", day.posted))
        stack.callback(day.loop.close)
        asyncio.set_event_loop(day.loop)
        stack.callback(asyncio.set_event_loop, None)
        day.loop.run_until_complete(day.live(held, seconds, kinds, of_all))
    return day


def said(day: PoolDay) -> dict[str, Any]:
    """How much was lived."""
    counts: dict[str, Any] = msgspec.to_builtins(
        {name: provider.counts for name, provider in day.side.providers.items()}
    )
    return {"faults": day.side.faults, "slot": day.side.chain.slot, "fresh": day.fresh, **counts}
