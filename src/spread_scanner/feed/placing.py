"""Symbols that move between a source's lines: what one has no room for, and what does not quote.

Used by the feed at each look at the clock. Reads what the connections found out, tells the lines;
what leaves a line here keeps its cell as it is, since nothing is known that speaks against it.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from spread_scanner.clock import NS_PER_S
from spread_scanner.feed import shards
from spread_scanner.feed.connection import Connection
from spread_scanner.feed.counting import COUNTER
from spread_scanner.feed.line import Line
from spread_scanner.feed.moving import NewLines
from spread_scanner.feed.shards import Change
from spread_scanner.feed.share import NAMES_LOGGED_MAX, Share
from spread_scanner.feed.watch import WATCH_NS
from spread_scanner.runtime.patience import SymbolPatience, pauses_of


class _NoRoom(NamedTuple):
    """What a line had no room for, and how many lines were added for it."""

    symbols: Sequence[str] = ()
    lines: int = 0


class Placing:
    """One feed's. `new_lines` makes lines; they are started here."""

    def __init__(self, share: Share, new_lines: NewLines) -> None:
        self._share = share
        self._new_lines = new_lines
        self._patience: SymbolPatience[tuple[int, str]] = SymbolPatience(
            lambda: share.random.random()
        )
        self._asked_ns = 0
        self._no_room: dict[Line, _NoRoom] = {}  # not said yet

    def change(self, copy: list[Line], exchange_symbols: list[str]) -> Change:
        """How to bring a copy's lines to these symbols, in the room that each of them has."""
        adapter = self._share.adapter
        carried = {number: line.symbols for number, line in enumerate(copy)}
        known = {n: line.capacity for n, line in enumerate(copy) if line.capacity is not None}
        return shards.change(carried, exchange_symbols, adapter.limits, adapter.topic_bytes, known)

    def bring(self, copy: list[Line], exchange_symbols: list[str]) -> None:
        """Bring a copy's lines to these symbols: some end by it, and some begin."""
        change = self.change(copy, exchange_symbols)
        for number, symbols in change.leave.items():
            self._share.row.add(COUNTER["unsubscribes"], len(symbols))
            copy[number].leave(symbols)
        for number, symbols in change.join.items():
            copy[number].join(symbols)
        for line in [line for line in copy if not line.symbols]:
            line.stop()
            copy.remove(line)
        more = self._new_lines(change.more)
        copy.extend(more)
        for line in more:
            line.start()

    def ask_everything(self, copies: list[list[Line]]) -> None:
        """A person has named all symbols again: what waits, whatever for, waits no longer."""
        self._patience.forget()
        for copy in copies:
            for line in copy:
                line.ask_at_once()

    def look(self, copies: list[list[Line]], silent: Collection[int], now_ns: int) -> None:
        """Hand over what has no room, and ask again for who does not quote; `silent` are ids."""
        asking = now_ns - self._asked_ns >= WATCH_NS
        if asking:
            self._asked_ns = now_ns
        for number, copy in enumerate(copies):
            for line in list(copy):
                over = line.take_overflow()
                if over:
                    self._hand_over(copy, line, over)
            self._say_no_room()
            if not asking:
                continue
            for line in copy:
                current = line.current
                # One that is silent is judged first: asking again says nothing of its symbols.
                if current is None or current.silent:
                    continue
                if current.subscription.idle(now_ns):
                    self._ask_again(number, copy, line, current, silent, now_ns)
            for line in [line for line in copy if not line.symbols]:
                line.stop()
                copy.remove(line)

    def _hand_over(self, copy: list[Line], line: Line, over: list[str]) -> None:
        carried = [symbol for one in copy for symbol in one.symbols]
        change = self.change(copy, carried + over)
        for number, symbols in change.join.items():
            copy[number].join(symbols)
        more = self._new_lines(change.more)
        copy.extend(more)
        for one in more:
            one.start()
        self._share.row.add(COUNTER["handed_over"], len(over))
        before = self._no_room.get(line, _NoRoom())
        self._no_room[line] = _NoRoom([*before.symbols, *over], before.lines + len(more))

    def _say_no_room(self) -> None:
        """One line for all that one has no room for: each of what is asked for is refused on its
        own, one after the other, until the last is answered.
        """
        for line, over in list(self._no_room.items()):
            if any(one.subscription.asking for one in line.connections):
                continue
            del self._no_room[line]
            self._share.log.warning(
                "no room",
                symbols=len(over.symbols),
                first=over.symbols[:NAMES_LOGGED_MAX],
                carried=len(line.symbols),
                more_connections=over.lines,
            )

    def _ask_again(
        self,
        number: int,
        copy: list[Line],
        line: Line,
        connection: Connection,
        silent: Collection[int],
        now_ns: int,
    ) -> None:
        """Those who have waited longest first, as many as one request takes; elsewhere if there is
        room elsewhere.
        """
        share, patience = self._share, self._patience
        pauses = pauses_of(share.settings)
        waits = [
            (self.due_ns(number, connection, symbol), symbol)
            for symbol in connection.watch.unheard(now_ns, silent)
            if not self._asked_elsewhere(number, symbol, now_ns)
        ]
        due = [symbol for due_ns, symbol in sorted(waits) if due_ns <= now_ns]
        due = due[: share.adapter.limits.topics_per_request_max]
        if not due:
            return
        never = [
            symbol
            for symbol in due
            if not connection.watch.quoted(symbol)
            and not patience.times((number, symbol), connection.watch.begun_ns(symbol))
        ]
        connection.counts.add("no_first_quote", len(never))
        connection.counts.add("resubscribes", len(due))
        share.log.warning(
            "asked again",
            connection=connection.number,
            symbols=len(due),
            never_quoted=len(never),
            first=due[:NAMES_LOGGED_MAX],
        )
        for symbol in due:
            begun_ns = connection.watch.begun_ns(symbol)
            patience.asked((number, symbol), now_ns, pauses, begun_ns)
        # What has brought nothing at all is asked again where it is, until it is judged.
        judged = connection.listener.data_ns or not connection.watch.young(now_ns)
        other = self._roomiest(copy, but=line) if judged else None
        moved = due[: self._room(other, due)] if other is not None else []
        if other is not None and moved:
            line.leave(moved, again=True)
            other.join(moved, again=True)
        connection.ask_again(due[len(moved) :])

    def due_ns(self, number: int, connection: Connection, exchange_symbol: str) -> int:
        """When a symbol of a copy may be asked for again on this connection of it; 0: it has not
        been yet. Where it was asked for anew since, it waits no longer than others do.
        """
        key, settings = (number, exchange_symbol), self._share.settings
        due_ns = self._patience.due_ns(key, pauses_of(settings))
        begun_ns = connection.watch.begun_ns(exchange_symbol)
        if begun_ns > (self._patience.asked_ns(key) or 0):
            due_ns = min(due_ns, begun_ns + int(settings.first_quote_s_max * NS_PER_S))
        return due_ns

    def _asked_elsewhere(self, number: int, exchange_symbol: str, now_ns: int) -> bool:
        """Another copy has just asked for it: one at a time, so that the others stay subscribed."""
        helps_ns = int(self._share.settings.first_quote_s_max * NS_PER_S)
        asked = (
            self._patience.asked_ns((other, exchange_symbol))
            for other in range(self._share.settings.redundant)
            if other != number
        )
        return any(at_ns is not None and now_ns - at_ns < helps_ns for at_ns in asked)

    def _room(self, line: Line, symbols: list[str]) -> int:
        adapter = self._share.adapter
        return shards.room(
            line.symbols, symbols, adapter.limits, adapter.topic_bytes, line.capacity
        )

    def _roomiest(self, copy: list[Line], but: Line) -> Line | None:
        """Another line that quotes, the one that carries least."""
        others = [
            line
            for line in copy
            if line is not but and line.current is not None and line.current.listener.data_ns
        ]
        return min(others, key=lambda line: len(line.symbols), default=None)
