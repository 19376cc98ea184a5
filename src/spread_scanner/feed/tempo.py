"""By how much a source is slower than usual now, so that a quiet market is nobody's silence.

Used by the feed at each look; pure but for the memory of each connection's pace.
"""

import statistics
from collections.abc import Collection, Iterable

from spread_scanner.feed.connection import Connection
from spread_scanner.feed.freshness import QuotePace


class Tempo:
    """One source's, over all its connections."""

    def __init__(self) -> None:
        self._paces: dict[int, QuotePace] = {}
        self._slowdowns: dict[int, float] = {}
        self.shared = 1.0  # of the whole source; 1 where a single connection would excuse itself

    def update(self, connections: Collection[Connection], now_ns: int) -> None:
        """Take in what has come since the last look."""
        there = {one.number for one in connections}
        self._paces = {number: pace for number, pace in self._paces.items() if number in there}
        for one in connections:
            pace = self._paces.setdefault(one.number, QuotePace())
            if one.deaf:  # whatever it is that keeps it silent, it is not the market
                pace.pass_over(one.listener.data_messages, now_ns)
            else:
                pace.update(one.listener.data_messages, now_ns)
        self._weigh()

    def _weigh(self) -> None:
        self._slowdowns = {number: pace.slowdown() for number, pace in self._paces.items()}
        self.shared = self.slowdown() if len(self._paces) > 1 else 1.0

    def slowdown(self, but: Iterable[Connection] = ()) -> float:
        """Of the source, without these connections: one that is frozen must not excuse itself."""
        own = {one.number for one in but}
        found = [slow for number, slow in self._slowdowns.items() if number not in own]
        return statistics.median(found) if found else 1.0
