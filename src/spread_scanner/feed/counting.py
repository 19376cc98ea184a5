"""The feed's counters by label, as ids of its health row."""

from spread_scanner.feed.life import End
from spread_scanner.schema.counters import FEED_COUNTERS

COUNTER = {counter.label: counter.counter_id for counter in FEED_COUNTERS}

COUNTER_OF_END = {
    End.LOST: COUNTER["disconnects"],
    End.FROZEN: COUNTER["frozen"],
    End.UNHEARD: COUNTER["frozen"],
    End.NO_DATA: COUNTER["frozen"],
    End.BAD_STREAK: COUNTER["bad_streaks"],
    End.REFUSED: COUNTER["disconnects"],
    End.SWAPPED: COUNTER["swaps"],
}
