"""A line keeps one shard of symbols carried, whatever happens to its connections.

Used by the feed. A line has a connection, or is on its way to one; before the exchange cuts the
connection, it has two for a moment, and the old one goes only when the new one quotes.
"""

import asyncio
import random
from collections.abc import Callable, Sequence

from spread_scanner import clock
from spread_scanner.feed.connection import Connection, Share
from spread_scanner.feed.counting import Counts
from spread_scanner.feed.life import End, rules_of
from spread_scanner.runtime.backoff import Backoff
from spread_scanner.runtime.ws import DialFailed

Lost = Callable[[Connection, End], None]


class Line:
    """`lost` is called for each connection that ended, before its successor is dialled."""

    def __init__(self, share: Share, exchange_symbols: Sequence[str], lost: Lost) -> None:
        self.symbols = list(exchange_symbols)
        self.current: Connection | None = None
        self.successor: Connection | None = None
        self._share = share
        self._row = share.rows.take()
        self._counts = Counts(share.row, self._row)
        self._lost = lost
        self._backoff = Backoff(share.settings.backoff_s_min, share.settings.backoff_s_max)
        self._dialling = False
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> list[Connection]:
        """Those that are open."""
        return [one for one in (self.current, self.successor) if one is not None]

    def start(self) -> None:
        self._dial_after(0.0)

    def stop(self) -> None:
        """End everything."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        for connection in self.connections:
            connection.end(End.STOPPED)
        if self._row is not None:
            self._share.rows.give_back(self._row)
            self._row = None

    def join(self, exchange_symbols: Sequence[str]) -> None:
        """Carry these too; their rows must be in the shared tables already."""
        self.symbols.extend(exchange_symbols)
        for connection in self.connections:
            connection.join(exchange_symbols)

    def leave(self, exchange_symbols: Sequence[str]) -> None:
        gone = set(exchange_symbols)
        self.symbols = [symbol for symbol in self.symbols if symbol not in gone]
        for connection in self.connections:
            connection.leave(exchange_symbols)

    def check(self, now_ns: int, slowdown: float) -> None:
        """Look at the clock for all connections of the line."""
        for connection in self.connections:
            if connection.listener.data_ns:
                self._backoff.reset()
            connection.check(now_ns, slowdown)
        current, successor = self.current, self.successor
        if current is None or self._stopped:
            return
        if self._row is not None:
            self._row.heard(current.listener.frame_ns, len(current.subscription.wanted))
        if successor is not None:
            if successor.ready:
                current.end(End.SWAPPED)
        elif current.life.wants_successor(now_ns) and not self._dialling:
            self._dial_after(0.0)

    def _dial_after(self, pause_s: float) -> None:
        self._dialling = True
        pause_s += self._share.connects.reserve_s(clock.mono_ns() + int(pause_s * 1e9))
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._dial)

    def _dial(self) -> None:
        task = asyncio.get_running_loop().create_task(self._open())
        self._share.tasks.add(task)
        task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._share.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._share.fail(error)

    async def _open(self) -> None:
        share = self._share
        rules = rules_of(share.settings, share.adapter.limits, share.adapter.ping, random.random())
        connection = Connection(share, self._counts, rules, self._ended)
        try:
            await connection.open()
        except DialFailed as error:
            self._dialling = False
            self._counts.add("connect_failures")
            if not self._stopped:
                pause_s = self._backoff.next_s()
                share.log.warning("dial failed", error=str(error), again_in_s=round(pause_s, 2))
                self._dial_after(pause_s)
            return
        self._dialling = False
        self._counts.add("connects")
        if self._stopped or connection.ended is not None:
            connection.end(End.STOPPED)
            self._after(End.LOST)
            return
        if self.current is None:
            self.current = connection
        else:
            self.successor = connection
        self._show()
        connection.join(self.symbols)

    def _ended(self, connection: Connection, why: End) -> None:
        if connection not in self.connections:
            return  # it was over before it had begun; `_open` sees to it
        if connection is self.current:
            self.current, self.successor = self.successor, None
        else:
            self.successor = None
        self._show(ended=why)
        if connection.listener.data_ns:
            self._backoff.reset()
        self._lost(connection, why)
        self._after(why)

    def _show(self, ended: End | None = None) -> None:
        """Tell the row which connection carries the shard, and why the last one ended."""
        row, current = self._row, self.current
        if row is None:
            return
        if ended is not None:
            row.ended(ended.value)
        if current is None:
            row.dialling()
        else:
            row.opened(current.number, current.listener.opened_ns)

    def _after(self, why: End) -> None:
        """Dial again if nothing carries the shard now."""
        if self._stopped or self._dialling or self.current is not None:
            return
        pause_s = self._backoff.next_s()
        self._share.log.info("dialling again", after=why.value, in_s=round(pause_s, 2))
        self._dial_after(pause_s)
