"""The feed's counters by label, counted in its health row and in a connection's own."""

from spread_scanner.feed.life import End
from spread_scanner.schema.counters import FEED_COUNTERS
from spread_scanner.shm._rows import Row

COUNTER = {counter.label: counter.counter_id for counter in FEED_COUNTERS}

COUNTER_OF_END = {
    End.LOST: "disconnects",
    End.FROZEN: "frozen",
    End.UNHEARD: "frozen",
    End.NO_DATA: "frozen",
    End.BAD_STREAK: "bad_streaks",
    End.REFUSED: "disconnects",
    End.SWAPPED: "swaps",
}


class Counts:
    """What one place of a feed counts: in the feed's row and, if it has one, in its own."""

    def __init__(self, feed: Row, own: Row | None = None) -> None:
        self.own = own
        self._rows = (feed,) if own is None else (feed, own)

    def add(self, label: str, count: int = 1) -> None:
        for row in self._rows:
            row.add(COUNTER[label], count)
