"""A line keeps one shard of symbols carried, whatever happens to its connections.

Used by the feed. A line has a connection, or is on its way to one; before the exchange cuts the
connection, it has two for a moment, and the old one goes only when the new one quotes and all that
the old one was told has arrived.

Who dials waits for its own pause first and for a turn of the address second (runtime/gate.py), so
that a line in a long pause stands in nobody's way. The successor's pauses are its own: that the old
connection is well says nothing about the new one.
"""

import asyncio
from collections.abc import Callable, Sequence
from logging import INFO

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Feed
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.counting import COUNTER, Counts
from spread_scanner.feed.share import NOWHERE, Share, Target
from spread_scanner.runtime.backoff import Backoff
from spread_scanner.runtime.life import End, Stood, rules_of
from spread_scanner.runtime.patience import pauses_of, spread
from spread_scanner.runtime.ws import DialFailed

Lost = Callable[[Connection, End], None]


class Line:
    """`lost` is called for each connection that ended, before its successor is dialled."""

    def __init__(self, share: Share, exchange_symbols: Sequence[str], lost: Lost) -> None:
        self.symbols = list(exchange_symbols)
        self.current: Connection | None = None
        self.successor: Connection | None = None
        self._share = share
        self._row = share.rows.take(share.carries)
        self._counts = Counts(share.row, self._row)
        self._lost = lost
        self.away = ""  # why the last dial failed or the last connection ended; empty: all is well
        self.barren = False  # the last connection brought no quote at all, nor has one come since
        self._backoff = self._new_backoff()
        self._successor_backoff = self._new_backoff()
        self._successor_ns = 0  # the successor may be dialled from then on
        self._stood: dict[Connection, Stood] = {}
        self._opening: asyncio.Task[None] | None = None
        self._opening_to: tuple[Target, float] = NOWHERE, 0.0
        self._stopped = False
        self._refusals = 0  # connections in a row that were refused all that they asked for
        self._ask_ns = 0  # what they were refused is asked for again from then on
        self.refusal = ""  # the exchange's words, while it gives nothing that is asked for
        self._timer: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> list[Connection]:
        """Those that are open."""
        return [one for one in (self.current, self.successor) if one is not None]

    @property
    def capacity(self) -> int | None:
        """How many symbols the exchange gives, where it has said so. That is known of a connection
        and goes with it: the next one may be given more.
        """
        known = [one.subscription.capacity for one in self.connections]
        return min((count for count in known if count is not None), default=None)

    @property
    def carried(self) -> bool:
        return self.current is not None

    def start(self) -> None:
        self._dial_after(0.0)

    def stop(self) -> None:
        """End everything."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._opening is not None:
            self._opening.cancel()
        for connection in self.connections:
            connection.end(End.STOPPED)
        self._counts.let_go()
        if self._row is not None:
            self._share.rows.give_back(self._row)
            self._row = None

    def retune(self) -> None:
        """Take the settings that were reloaded."""
        settings = self._share.settings
        for backoff in (self._backoff, self._successor_backoff):
            backoff.retune(settings.backoff_s_min, settings.backoff_s_max)
        for connection in self.connections:
            connection.retune()
        self._dial_there()

    def ask_at_once(self) -> None:
        """Somebody has named all symbols anew: no pause of ours is waited out. Turns and bans are
        the address's, and what failed until now counts on.
        """
        self._refusals = self._ask_ns = 0
        self._successor_ns = 0
        for connection in self.connections:
            connection.ask_at_once()
        if self._timer is not None:
            self._timer.cancel()
            self._dial_after(0.0)

    def _dial_there(self) -> None:
        """A dial to where nobody is to go any more begins anew: it may wait for the end of a ban
        that concerns the old address alone. So does one that was given another time. A successor
        is called for again by `check`.
        """
        if self._opening is None or self._opening_to == self._dials_to:
            return
        self._opening.cancel()
        self._opening = None
        if self.current is None and not self._stopped:
            self._dial_after(0.0)

    def redial(self) -> None:
        """The machine slept: what was open is dead, and what was paused has paused enough."""
        for connection in self.connections:
            connection.end(End.ASLEEP)
        self._backoff, self._successor_backoff = self._new_backoff(), self._new_backoff()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.current is None and not self._dialling and not self._stopped:
            self._dial_after(0.0)

    def join(self, exchange_symbols: Sequence[str], *, again: bool = False) -> None:
        """Carry these too; their rows must be in the shared tables already. `again`: another line
        carried them, and they did not quote.
        """
        there = set(self.symbols)  # a symbol on its way to another line is carried by both
        self.symbols.extend(symbol for symbol in exchange_symbols if symbol not in there)
        for connection in self.connections:
            connection.join(exchange_symbols, again=again)

    def leave(self, exchange_symbols: Sequence[str], *, again: bool = False) -> None:
        gone = set(exchange_symbols)
        self.symbols = [symbol for symbol in self.symbols if symbol not in gone]
        for connection in self.connections:
            connection.leave(exchange_symbols, again=again)

    def take_overflow(self) -> list[str]:
        """What the exchange gives no room for on this line; the line carries it no longer.

        A connection that is given it goes on until it ends: its successor's lack of room is none of
        its own, and until another line quotes nobody else says what changes.
        """
        over: dict[str, None] = {}
        for connection in self.connections:
            symbols = list(connection.subscription.overflow)
            if symbols:
                over.update(dict.fromkeys(symbols))
                connection.leave(symbols)
                self._share.disowned(connection.watch.ids_of(symbols))
        self.symbols = [symbol for symbol in self.symbols if symbol not in over]
        return list(over)

    def check(self, now_ns: int, slowdown: float) -> None:
        """Look at the clock for all connections of the line."""
        for connection in self.connections:
            self._note_stood(connection)
            connection.check(now_ns, slowdown)
        current, successor = self.current, self.successor
        if current is None or self._stopped:
            return
        self._hear(current, now_ns)
        if self._row is not None:
            self._row.heard(current.listener.frame_ns, len(current.subscription.wanted))
        if successor is not None:
            self._hand_over(current, successor, now_ns)
        elif (
            current.life.wants_successor(now_ns)
            and not self._dialling
            and now_ns >= self._successor_ns
        ):
            self._dial()

    def _hand_over(self, current: Connection, successor: Connection, now_ns: int) -> None:
        """Let the old one go when the new one is ready and all that was said before has arrived:
        else a change might be heard by neither. One that is silent has nothing to hand over. What
        the new one is refused, or has no room for, is carried on by the old one for as long as the
        exchange lets it: it may be given later, or elsewhere.
        """
        if not successor.ready or self._share.rest_on(current.number):
            successor.ready_ns = 0
            return
        if successor.ready_ns == 0:
            successor.ready_ns = now_ns
            current.probe()
        if current.silent or current.heard_all(successor.ready_ns):
            current.end(End.SWAPPED)

    @property
    def _dials_to(self) -> tuple[Target, float]:
        """Where to, and how long that may take."""
        return self._share.target, self._share.settings.connect_timeout_s

    @property
    def _dialling(self) -> bool:
        return self._timer is not None or self._opening is not None

    def _new_backoff(self) -> Backoff:
        settings = self._share.settings
        return Backoff(settings.backoff_s_min, settings.backoff_s_max, self._share.random.random)

    def _note_stood(self, connection: Connection) -> None:
        """A connection that quotes for long enough halves the back-off that it was dialled with."""
        backoff = self._backoff if connection is self.current else self._successor_backoff
        listener = connection.listener
        stood_ns = int(self._share.settings.stood_s * NS_PER_S)
        for _ in range(
            self._stood[connection].more(listener.opened_ns, listener.data_ns, stood_ns)
        ):
            backoff.stood()
            # Nobody was called for since: what successors failed at in an outage that is long over
            # would be the line's own pause when the next one takes over and is lost.
            if connection is self.current and self._no_successor_since(stood_ns):
                self._successor_backoff.stood()

    def _no_successor_since(self, span_ns: int) -> bool:
        """Whether none is there or on its way, nor was one for so long."""
        idle = self.successor is None and not self._dialling
        return idle and clock.mono_ns() >= self._successor_ns + span_ns

    def _hear(self, connection: Connection, now_ns: int) -> None:
        """Note whether the exchange gives anything that was asked for."""
        said = connection.watch.refusal(now_ns, connection.life.rules)
        if said:
            self.refusal = said
        elif connection.listener.data_ns:
            self.refusal = ""
            self._refusals = self._ask_ns = 0
        if connection.listener.data_ns or not connection.watch.young(now_ns):
            self.barren = False
        if self._counts.own is not None:
            refused = len(connection.subscription.refused)
            self._counts.own.set(COUNTER["refused_symbols"], refused)

    def _dial_after(self, pause_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._dial)

    def _dial(self) -> None:
        self._timer = None
        self._opening_to = self._dials_to
        self._opening = task = asyncio.get_running_loop().create_task(self._open())
        self._share.tasks.add(task)
        task.add_done_callback(self._opened)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._share.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._share.fail(error)

    async def _open(self) -> None:
        share, settings = self._share, self._share.settings
        rules = rules_of(settings, share.adapter.limits.lifetime_s, share.random.random())
        connection = Connection(share, self._counts, rules, self._ended)
        try:
            await connection.open()
        except DialFailed as error:
            self._opening = None
            self._failed(error, connection)
            return
        except asyncio.CancelledError:
            connection.end(End.STOPPED)
            raise
        self._opening = None
        self._counts.add("connects")
        share.opened_ns = connection.listener.opened_ns
        asleep = connection.listener.opened_ns < share.woke_ns
        if self._stopped or connection.ended is not None or asleep:
            connection.end(End.STOPPED)
            self._again(End.LOST.value)
            return
        self._bring_up_to_date(connection, settings)
        if self.current is None:
            self.current = connection
            self.away = End.NO_DATA.value if self.barren else ""
        else:
            self.successor = connection
        self._stood[connection] = Stood()
        self._show()
        connection.join(self.symbols)

    def _bring_up_to_date(self, connection: Connection, made_by: Feed) -> None:
        """Tables and settings may be others than when it was made: a dial may wait for hours."""
        connection.listener.use(self._share.decoder)
        if self._share.settings != made_by:
            connection.retune()

    def _failed(self, error: DialFailed, connection: Connection) -> None:
        """Nobody opened. What the exchange answered is told to all who dial there."""
        self._counts.add("connect_failures")
        self._share.refused(error, connection.gate)
        if self._stopped:
            return
        if self._row is not None:
            self._row.ended(error.reason)
        self._share.outages.take("dial failed", error.reason, clock.mono_ns(), error=str(error))
        if self.current is None:
            # What was refused on a connection says nothing of an exchange that is away: it is
            # dialled as soon as any other, and status tells that.
            self.refusal, self._refusals, self._ask_ns = "", 0, 0
        self._again(error.reason)

    def _ended(self, connection: Connection, why: End) -> None:
        if connection not in self.connections:
            return  # it was over before it had begun; `_open` sees to it
        self._note_stood(connection)
        del self._stood[connection]
        if connection is self.current:
            still = self.barren and not connection.listener.data_ns
            self.barren = why is End.NO_DATA or still
            self.current, self.successor = self.successor, None
            if self.current is not None:  # its back-off comes with it
                self._backoff, self._successor_backoff = (
                    self._successor_backoff,
                    self._new_backoff(),
                )
        else:
            self.successor = None
        self._show(ended=why)
        self._hear(connection, clock.mono_ns())
        if connection.watch.refusal(clock.mono_ns(), connection.life.rules):
            self._wait_after(connection.subscription.refused_ns)
        self._lost(connection, why)
        self._again(why.value)

    def _wait_after(self, refused_ns: int) -> None:
        """What is refused is asked for slowly, by whichever connection. One that ends before it was
        answered is no refusal: the pause counts from the last one.
        """
        pause_ns = pauses_of(self._share.settings).again_ns(self._refusals)
        self._ask_ns = refused_ns + spread(pause_ns, self._share.random.random())
        self._refusals += 1

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

    def _again(self, why: str) -> None:
        """Dial again: at once after a pause where nothing carries the shard now, else when `check`
        finds that the successor's pause is over.
        """
        if self.current is None:
            self.away = why
        if self._stopped or self._dialling:
            return  # what is on its way will be the current one
        if self.current is not None:
            if self.successor is None:
                pause_s = self._successor_backoff.next_s()
                self._successor_ns = clock.mono_ns() + int(pause_s * NS_PER_S)
            return
        pause_s = self._backoff.next_s()
        pause_s = max(pause_s, (self._ask_ns - clock.mono_ns()) / NS_PER_S)
        self._share.outages.take(
            "dialling again", why, clock.mono_ns(), level=INFO, in_s=round(pause_s, 2)
        )
        self._dial_after(pause_s)
