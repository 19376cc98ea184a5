"""Who of the halted is traded again, where nobody may have heard it said: by the exchange's list.

Used by the feed. Exchanges announce changes only, once: a listing that was traded again while the
feed, or its connection for announcements, was away would stay halted until the next full
discovery. So where anything is halted the list of instruments is asked for by REST at the feed's
start and each time that announcements are given anew, at the pace of the address that discovery
keeps, too; what fails is tried again slowly. Nothing is asked while nothing is halted, and nobody
is halted by it: what a list leaves out for its own reasons is discovery's to judge.
"""

import asyncio
from collections.abc import Awaitable, Callable

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import BadMessage, ExchangeError
from spread_scanner.exchanges.adapter import RestRequest
from spread_scanner.exchanges.notices import Resumed
from spread_scanner.feed.counting import Counts
from spread_scanner.feed.halts import Halts
from spread_scanner.feed.notices import OnAnnouncements, note_fault
from spread_scanner.feed.share import Share
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.patience import pauses_of, spread

ANSWER_S_MAX = 20.0
ATTEMPTS = 2
PAUSE_S_MAX = 5.0


class Missed:
    """One feed's. `ask` gives the names that trade now, or raises ExchangeError or BadMessage."""

    def __init__(self, share: Share, gates: Gates, halts: Halts, heard: OnAnnouncements) -> None:
        self._share = share
        self._gates = gates
        self._halts = halts
        self._heard = heard
        self._task: asyncio.Task[None] | None = None
        self._wanted = False  # something may have been missed since the list was last asked for
        self.ask: Callable[[], Awaitable[set[str]]] = self._ask

    def look(self) -> None:
        """Something may have been missed until now."""
        self._wanted = True
        if self._task is None and self._halts.before(clock.wall_ns()):
            self._task = asyncio.get_running_loop().create_task(self._look())
            self._share.tasks.add(self._task)
            self._task.add_done_callback(self._over)

    def ask_at_once(self) -> None:
        """What was asked is not answered any more, and what was paused has paused enough: the
        machine slept (a pause goes on where the suspend began), or a person has named all anew.
        """
        if self._task is not None:
            self.stop()
            self.look()

    @property
    def asks(self) -> bool:
        """The list is asked for, or will be as soon as it may."""
        return self._task is not None

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = None

    def _over(self, task: asyncio.Task[None]) -> None:
        self._share.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._share.fail(error)
        if task is self._task:
            self._task = None
            if self._wanted:
                self.look()

    async def _look(self) -> None:
        share, times = self._share, 0
        while self._wanted and self._halts.before(clock.wall_ns()):
            self._wanted = False
            begun_ns = clock.wall_ns()
            try:
                trading = await self.ask()
            except (ExchangeError, BadMessage) as error:
                self._wanted = True
                share.log.warning("not known whether halts are over", error=str(error))
                pause_ns = spread(pauses_of(share.settings).again_ns(times), share.random.random())
                times += 1
                await asyncio.sleep(pause_ns / NS_PER_S)
                continue
            # What was announced since is newer than the list.
            over = sorted(self._halts.before(begun_ns) & trading)
            if over:
                share.log.warning("traded again, by the exchange's list", symbols=over)
                self._resume(over)

    def _resume(self, names: list[str]) -> None:
        try:
            self._heard([Resumed(name) for name in names])
        except Exception as error:
            note_fault(self._share, Counts(self._share.row), error, " ".join(names).encode())

    async def _ask(self) -> set[str]:
        # Here, as an HTTP client is ten megabytes that a feed without halts does not need.
        from spread_scanner.runtime.rest import Patience, RestClient

        adapter, proxy = self._share.adapter, self._share.target.proxy
        gate = self._gates.by_rest(adapter, proxy)
        patience = Patience(ANSWER_S_MAX, ATTEMPTS, PAUSE_S_MAX)
        trading: set[str] = set()
        request: RestRequest | None = adapter.instruments_request()
        async with RestClient(adapter, patience, proxy, gate=gate, tls=self._share.tls) as client:
            while request is not None:
                page = await client.get(request, adapter.parse_instruments)
                trading.update(row.exchange_symbol for row in page.instruments if row.trading)
                request = page.next_request
        return trading
