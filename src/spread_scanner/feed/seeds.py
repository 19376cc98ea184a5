"""Snapshots of books by REST, where a channel of updates gives none: one after the other.

Used by SourceBooks. They are asked at the pace of the address that discovery keeps, too, and within
its bans; what fails is asked again by whoever wanted it, after a pause of its own, and what was
asked for before has a quarter of that pace: an exchange whose books all break leaves room for what
is new, for discovery and for funding. An answer has at most a hundred levels a side, so that no
quote waits for one to be read.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import BadMessage, ExchangeError
from spread_scanner.exchanges.adapter import BookChange, RestRequest
from spread_scanner.exchanges.depth import DepthAdapter
from spread_scanner.feed.budget import AGAIN_SHARE
from spread_scanner.feed.share import Share
from spread_scanner.runtime.gate import Gates

ANSWER_S_MAX = 10.0
BAN_S_MAX = 5.0  # a longer one is waited out by asking again later

Seeded = Callable[[str, BookChange | None], None]


class Seeds:
    """One feed's. `seeded` gets each answer, or None where there was none."""

    def __init__(self, share: Share, gates: Gates, seeded: Seeded) -> None:
        self._share = share
        self._gates = gates
        self._seeded = seeded
        self._wanted: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._repeat_ns = 0  # from when on another may be asked for again
        self.ask: Callable[[DepthAdapter, list[str]], Awaitable[None]] = self._ask

    def want(self, adapter: DepthAdapter, exchange_symbol: str) -> None:
        """A snapshot of this; asked once, however often it is wanted meanwhile."""
        self._wanted[exchange_symbol] = None
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(adapter))
            self._share.tasks.add(self._task)
            self._task.add_done_callback(self._over)

    def may_repeat(self, now_ns: int) -> bool:
        """Whether one may be asked for that its connection was asked for before."""
        return now_ns >= self._repeat_ns

    def repeated(self, adapter: DepthAdapter, request: RestRequest, now_ns: int) -> None:
        """Such a one was."""
        cost_s = request.weight / adapter.rest_weight_per_s
        self._repeat_ns = now_ns + int(cost_s / AGAIN_SHARE * NS_PER_S)

    def stop(self) -> None:
        self._wanted.clear()
        if self._task is not None:
            self._task.cancel()
        self._task = None

    def _over(self, task: asyncio.Task[None]) -> None:
        self._share.tasks.discard(task)
        if task is self._task:
            self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._share.fail(error)

    async def _run(self, adapter: DepthAdapter) -> None:
        while self._wanted:
            names = list(self._wanted)
            self._wanted.clear()
            await self.ask(adapter, names)

    async def _ask(self, adapter: DepthAdapter, exchange_symbols: list[str]) -> None:
        # Here, as an HTTP client is ten megabytes that a feed without such books does not need.
        from spread_scanner.runtime.rest import Patience, RestClient

        share = self._share
        proxy = share.target.proxy
        gate = self._gates.by_rest(adapter, proxy)
        patience = Patience(ANSWER_S_MAX, 1, BAN_S_MAX)
        async with RestClient(adapter, patience, proxy, gate=gate, tls=share.tls) as client:
            for symbol in exchange_symbols:
                request = adapter.seed_request(symbol)
                if request is None:
                    continue
                seed: BookChange | None = None
                try:
                    seed = await client.get(request, partial(adapter.parse_seed, symbol))
                except (ExchangeError, BadMessage) as error:
                    share.evidence.take(_evidence(error, symbol), b"")
                self._seeded(symbol, seed)


def _evidence(error: ExchangeError | BadMessage, symbol: str) -> BadMessage:
    """As the log of evidence has it: one line of a kind, and how many more."""
    return BadMessage(f"no snapshot of a book: {error.message}", symbol=symbol)
