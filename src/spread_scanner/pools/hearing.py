"""feed-solana while it lives: lines to all providers, the orders, the heartbeat, the turns of the
clock.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.pools.counting import PoolCounting
from spread_scanner.pools.endpoints import ProviderEndpoint, endpoints_of
from spread_scanner.pools.feed import PoolFeed
from spread_scanner.pools.fees import FeeHearing
from spread_scanner.pools.garbage import GarbageTurns
from spread_scanner.pools.line import LineShare, ProviderLine
from spread_scanner.pools.sources import PoolSources
from spread_scanner.runtime import ws
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.process import NO_MORE, NOT_ENABLED, Process
from spread_scanner.schema.enums import ProcessState
from spread_scanner.shm.connections import ConnectionRows
from spread_scanner.shm.pools import PoolWriter
from spread_scanner.web import trust

CHECK_NS = 100 * NS_PER_MS  # between two looks at whether connections live, as feeds have it
SAY_NS = NS_PER_S  # between two looks at how all fare
AMISS_NS = 10 * NS_PER_S  # who is for longer is told of, as of feeds' connections (feed/outlook.py)
REST_S_MIN, REST_S_MAX = 0.002, 0.025  # what begins to wait meanwhile is late by no more


class PoolHearing:
    """The process's whole state."""

    def __init__(
        self, process: Process, writer: PoolWriter, rows: ConnectionRows, gates: Gates
    ) -> None:
        self._process, self._writer = process, writer
        self._rows, self._gates = rows, gates
        self._count = PoolCounting(process.row)
        self._woken = asyncio.Event()
        self._failure: BaseException | None = None  # a fault of ours that the loop was told of
        self._said_ns = self._checked_ns = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._sources = PoolSources(process.settings, self._call_soon)
        self._begin(process.settings, endpoints_of(process.settings))
        process.on_wake = self._slept
        self._garbage = GarbageTurns(clock.mono_ns())

    def _begin(self, settings: Settings, endpoints: list[ProviderEndpoint]) -> None:
        """Everything as these settings have it, with nothing heard yet."""
        pools = settings.pools
        self._endpoints_heard = endpoints
        self._well_ns: dict[str, int] = {}  # by provider, when it was last
        self._feed = PoolFeed(pools, self._writer, self._count, self._refused)
        self._feed.changed, self._feed.soon = self._wake_lines, self._call_soon
        self._feed.paused = self._process.orders.paused  # a pause survives a restart
        self._sources.hear(self._feed)
        fees = FeeHearing(pools.fees, self._feed.pools)
        policy = settings.config.feed
        self._share = LineShare(
            policy, self._feed, fees, self._count, self._gates, self._rows, trust.context()
        )
        self._lines = [ProviderLine(one, pools, self._share) for one in endpoints]

    def _call_soon(self, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(act)

    def _refused(self, pool: str, why: str) -> None:
        if why:
            self._process.log.error("a pool is refused", pool=pool, why=why)
        else:
            self._process.log.info("a pool is what it should be again", pool=pool)

    def _wake_lines(self) -> None:
        for line in self._lines:
            line.woken.set()

    def _slept(self) -> None:
        """What was told before counts no longer, and none of it is stood behind from here on: a
        connection's end is told later, by the loop."""
        now_ns = clock.mono_ns()
        self._feed.forget_clock()
        for line in self._lines:
            line.redial()
            self._feed.lost(line.name, now_ns)

    async def run(self) -> None:
        """Hear, beat and obey until the end."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._woken.set)

        loop.set_exception_handler(self._loop_exception)
        self._process.watch(wake)
        self._start()
        self._process.state(ProcessState.RUNNING, self._in_words(clock.mono_ns()))
        try:
            while self._turn():
                rest_s = (self._feed.next_turn_ns() - clock.mono_ns()) / NS_PER_S
                rest_s = min(max(rest_s, REST_S_MIN), REST_S_MAX)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), rest_s)
                self._woken.clear()
                self._check_lines()
        finally:
            await self._end()
            self._sources.close()
            self._garbage.end()

    def _loop_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError | ws.WSError):
            # A socket's own trouble, told again by the loop; the connection's end says the rest.
            self._process.log.warning("socket", error=str(error))
        else:
            told = isinstance(error, BaseException)
            self._failure = error if told else RuntimeError(str(context.get("message")))
            self._woken.set()

    def _start(self) -> None:
        self._tasks = [asyncio.create_task(line.run()) for line in self._lines]

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _check_lines(self) -> None:
        """A line that met a fault of ours ends the process, which says which; so does whatever was
        put off."""
        if self._failure is not None:
            raise self._failure
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    def _turn(self) -> bool:
        """What is due; whether to go on."""
        process, now_ns = self._process, clock.mono_ns()
        orders = process.poll()
        if orders is not None:
            if orders.reload and process.reload(orders, self._prepared):
                self._count.add("reloads")
            self._feed.pause(orders.paused, now_ns)
            process.applied(orders)
        if not process.settings.pools.runs:
            process.unwanted(NOT_ENABLED, NO_MORE)
            return False
        if now_ns - self._checked_ns >= CHECK_NS:
            self._checked_ns = now_ns
            for line in self._lines:
                line.check(now_ns)
        self._feed.turn(now_ns)
        self._sources.beat(now_ns)
        self._garbage.rest(now_ns)
        if now_ns - self._said_ns >= SAY_NS:
            self._said_ns = now_ns
            self._say(now_ns)
        return not process.stopping

    def _prepared(self, settings: Settings) -> Callable[[], None]:
        """New settings, read and checked; the call puts them in force."""
        endpoints = endpoints_of(settings)
        loaded = self._sources.tables_of(settings)
        same = settings.pools == self._process.settings.pools and endpoints == self._endpoints_heard

        def put_in_force() -> None:
            self._sources.take(settings, loaded)
            if same or not settings.pools.runs:
                self._share.policy = settings.config.feed
                for line in self._lines:
                    line.retune()
                self._sources.hear(self._feed)
                return
            self._feed.leave()
            for task in self._tasks:
                task.cancel()
            for line in self._lines:
                line.stop()
            self._begin(settings, endpoints)
            self._start()

        return put_in_force

    def _say(self, now_ns: int) -> None:
        """How all fare, in the row."""
        feed = self._feed
        count, pools = self._count, feed.pools.values()
        in_time = sum(feed.pace.in_time(line.name, now_ns) for line in self._lines)
        count.level("providers", in_time)
        count.level("providers_amiss", self._to_tell(now_ns))
        count.level("subscriptions", sum(len(line.subscriptions.keys) for line in self._lines))
        count.level("pools", len(pools))
        count.level("pools_fresh", sum(pool.good for pool in pools))
        count.level("pools_refused", sum(pool.refusal is not None for pool in pools))
        well = in_time > 0 and all(pool.good or pool.refusal is not None for pool in pools)
        well = well or feed.paused
        state = ProcessState.RUNNING if well else ProcessState.DEGRADED
        self._process.state(state, self._in_words(now_ns))

    def _amiss(self, now_ns: int) -> dict[str, str]:
        """By provider, what is wrong with it."""
        said = {line.name: line.amiss(now_ns) for line in self._lines}
        return {name: words for name, words in said.items() if words}

    def _to_tell(self, now_ns: int) -> int:
        """How many providers people are told of: who is banned, or has been amiss for long."""
        amiss, found = self._amiss(now_ns), 0
        for line in self._lines:
            well_ns = self._well_ns.get(line.name, now_ns) if line.name in amiss else now_ns
            self._well_ns[line.name] = well_ns
            found += line.ban() is not None or now_ns - well_ns > AMISS_NS
        return found

    def _in_words(self, now_ns: int) -> str:
        """What is wrong comes before the scores of who is well: a row has no room for many."""
        pools = self._feed.pools.values()
        refused = sum(pool.refusal is not None for pool in pools)
        said = [f"{sum(pool.good for pool in pools)} of {len(pools)} pools"]
        said += [f"{refused} refused"] if refused else []
        amiss = self._amiss(now_ns)
        scores = [line.score(now_ns) for line in self._lines if line.name not in amiss]
        return "; ".join([", ".join(said), *amiss.values(), *scores])
