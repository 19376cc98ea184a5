"""How lines come to other settings: another address or channel, fewer or more lines and copies.

Used by the feed at a reload and at each look at the clock. A symbol moves by being carried twice
for a moment: its new line asks for it first, and the old one leaves it only when the new one stands
behind it. A connection to an address or channel that is no longer set calls for a successor and
goes when that one quotes. So no quote becomes stale by a move; what cannot move goes on as it is,
and is counted (`moving`).
"""

from collections.abc import Callable, Mapping, Sequence

from spread_scanner.feed import shards
from spread_scanner.feed.line import Line
from spread_scanner.feed.share import Share
from spread_scanner.runtime.life import End

NewLines = Callable[[list[list[str]]], list[Line]]
Copies = list[list[Line]]


class Moving:
    """One feed's. `new_lines` makes lines; they are started here."""

    def __init__(self, share: Share, new_lines: NewLines) -> None:
        self.retired: list[Line] = []  # of copies that are no longer wanted
        self._share = share
        self._new_lines = new_lines
        # Symbols in the order in which they were carried: they are unsubscribed by it.
        self._leaving: dict[Line, dict[str, None]] = {}
        self._topics_max = share.adapter.limits.topics_per_connection_max

    def stop(self) -> None:
        for line in self.retired:
            line.stop()
        self.retired, self._leaving = [], {}

    def reshape(self, copies: Copies) -> None:
        """Come to the limits and the number of copies that are set now; the copies carry what the
        tables want already.
        """
        share = self._share
        topics_max = share.adapter.limits.topics_per_connection_max
        merge, self._topics_max = topics_max != self._topics_max, topics_max
        while len(copies) > share.settings.redundant:
            for line in copies.pop():
                self.retired.append(line)
                self._leaving[line] = dict.fromkeys(line.symbols)
        for copy in copies:
            self._reshape(copy, merge=merge)
        while len(copies) < share.settings.redundant:
            adapter = share.adapter
            cut = shards.shards(list(share.instruments), adapter.limits, adapter.topic_bytes)
            copies.append(self._started(cut))

    def look(self, copies: Copies) -> int:
        """Go on with what is on its way; how many symbols and connections have not come there."""
        for line in [*(line for copy in copies for line in copy), *self.retired]:
            self._renew(line)
        self._settle(copies)
        leaving = sum(len(symbols) for symbols in self._leaving.values())
        lines = [*(line for copy in copies for line in copy), *self.retired]
        return leaving + sum(
            connection.target != self._share.target
            for line in lines
            for connection in line.connections
        )

    def _renew(self, line: Line) -> None:
        """Call for a successor where the target is another one now."""
        target = self._share.target
        if line.current is not None and line.current.target != target:
            line.current.life.notice = True
        if line.successor is not None and line.successor.target != target:
            line.successor.end(End.STOPPED)

    def _settle(self, copies: Copies) -> None:
        """Let go of what other lines stand behind by now."""
        if self._leaving:
            for copy in copies:
                self._keep(copy, {line: line.symbols for line in copy})
        for line, symbols in list(self._leaving.items()):
            done = [symbol for symbol in symbols if self._carried_beside(copies, line, symbol)]
            for symbol in done:
                del symbols[symbol]
            line.leave(done)
            if not line.symbols:
                line.stop()
                for lines in [*copies, self.retired]:
                    if line in lines:
                        lines.remove(line)
            if not symbols or not line.symbols:
                del self._leaving[line]

    def _keep(self, copy: list[Line], stays: Mapping[Line, Sequence[str]]) -> None:
        """What is on its way to a line of the copy that has it no longer, or is to lose it itself,
        stays where it is, of `stays` by line: else each would wait for the other for good.
        """
        settled = {
            symbol
            for line in copy
            for symbol in line.symbols
            if symbol not in self._leaving.get(line, ())
        }
        for line, symbols in stays.items():
            leaving = self._leaving.get(line, {})
            for symbol in symbols:
                if symbol in leaving and symbol not in settled:
                    del leaving[symbol]
                    settled.add(symbol)

    def _carried_beside(self, copies: Copies, line: Line, symbol: str) -> bool:
        return any(
            connection.stands_behind(symbol)
            for copy in copies
            for other in copy
            if other is not line and symbol not in self._leaving.get(other, ())
            for connection in other.connections
        )

    def forget_what_left(self) -> None:
        """Symbols that have left the tables, at a reload or by a halt, wait for nobody."""
        there = self._share.instruments
        for line in self.retired:
            line.leave([symbol for symbol in line.symbols if symbol not in there])
        for symbols in self._leaving.values():
            for gone in symbols.keys() - there.keys():
                del symbols[gone]

    def _reshape(self, copy: list[Line], *, merge: bool) -> None:
        adapter = self._share.adapter
        excess: dict[int, list[str]] = {}
        for number, line in enumerate(copy):
            fit = shards.room((), line.symbols, adapter.limits, adapter.topic_bytes, line.capacity)
            if fit < len(line.symbols):
                excess[number] = line.symbols[fit:]
        names = list(self._share.instruments)
        if merge:
            needed = len(shards.shards(names, adapter.limits, adapter.topic_bytes))
            smallest = sorted(range(len(copy)), key=lambda number: len(copy[number].symbols))
            for number in smallest[: max(0, len(copy) - needed)]:
                excess[number] = list(copy[number].symbols)
        if not excess:
            return
        stays = {
            number: line.symbols[: len(line.symbols) - len(excess.get(number, ()))]
            for number, line in enumerate(copy)
        }
        known = {n: line.capacity for n, line in enumerate(copy) if line.capacity is not None}
        lasting = {number: symbols for number, symbols in stays.items() if symbols}
        change = shards.change(lasting, names, adapter.limits, adapter.topic_bytes, known)
        for number, symbols in change.join.items():
            copy[number].join(symbols)
        for number, symbols in excess.items():
            self._leaving.setdefault(copy[number], {}).update(dict.fromkeys(symbols))
        self._keep(copy, {copy[number]: symbols for number, symbols in lasting.items()})
        copy.extend(self._started(change.more))

    def _started(self, cut: list[list[str]]) -> list[Line]:
        lines = self._new_lines(cut)
        for line in lines:
            line.start()
        return lines
