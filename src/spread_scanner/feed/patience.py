"""How long until something is asked for again: at once, then after 1, 5 and each 15 minutes.

Used by Subscription for what was refused and by the feed for what does not quote. Pure: the caller
passes the time in, in monotonic ns.
"""

from typing import Generic, NamedTuple, TypeVar

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Feed

STEP = 5
Key = TypeVar("Key")


class Pauses(NamedTuple):
    """The pauses of one feed."""

    answer_ns: int = 5 * NS_PER_S  # how long an answer may take before it is asked again
    again_ns_min: int = 60 * NS_PER_S
    again_ns_max: int = 900 * NS_PER_S

    def again_ns(self, times: int) -> int:
        """The pause after it was asked in vain `times` times more than once."""
        pause_ns: int = self.again_ns_min * STEP ** min(times, 8)
        return min(self.again_ns_max, pause_ns)


def pauses_of(settings: Feed) -> Pauses:
    return Pauses(
        int(settings.answer_s_max * NS_PER_S),
        int(settings.ask_again_s_min * NS_PER_S),
        int(settings.ask_again_s_max * NS_PER_S),
    )


class _Asked(NamedTuple):
    times: int
    at_ns: int


class Patience(Generic[Key]):
    """What was asked for again, how often and when. A symbol's record is forgotten once it has
    needed nothing for twice its pause.
    """

    def __init__(self) -> None:
        self._asked: dict[Key, _Asked] = {}

    def times(self, key: Key) -> int:
        """How often it has been asked for again in a row."""
        asked = self._asked.get(key)
        return asked.times if asked is not None else 0

    def due_ns(self, key: Key, pauses: Pauses) -> int:
        """When it may be asked for again; 0: it has not been yet."""
        asked = self._asked.get(key)
        return asked.at_ns + pauses.again_ns(asked.times - 1) if asked is not None else 0

    def asked(self, key: Key, now_ns: int, pauses: Pauses) -> None:
        """It is asked for again now."""
        asked = self._asked.get(key)
        times = 0
        if asked is not None and now_ns - asked.at_ns < 2 * pauses.again_ns(asked.times - 1):
            times = asked.times
        self._asked[key] = _Asked(times + 1, now_ns)

    def forget(self) -> None:
        """Everything may be asked for again at once."""
        self._asked.clear()
