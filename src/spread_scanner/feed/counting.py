"""The feed's counters by label, counted in its health row and in a connection's own."""

from spread_scanner.runtime.life import End
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
        self.feed = feed
        self.own = own

    def add(self, label: str, count: int = 1) -> None:
        self.feed.add(COUNTER[label], count)
        if self.own is not None:
            self.own.add(COUNTER[label], count)

    def let_go(self) -> None:
        """The place's own row is given back: its last connection counts in the feed's alone."""
        self.own = None
