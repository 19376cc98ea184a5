"""How long until something is asked for again: at once, then after 1, 5 and each 15 minutes.

Used by a feed for what was refused and what does not quote, by pools for accounts that a provider
refuses. Each pause is shorter by a little chance, so that what fell silent together is not asked
for together for ever. Pure: the caller passes time and chance in, in monotonic ns and from 0 to 1.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Feed

STEP = 5
SPREAD = 0.1  # by how much of itself a pause may be shorter: what is promised holds
Key = TypeVar("Key")


class Pauses(NamedTuple):
    """The pauses of one feed."""

    answer_ns: int = 5 * NS_PER_S  # how long an answer may take before it is asked again
    again_ns_min: int = 60 * NS_PER_S
    again_ns_max: int = 900 * NS_PER_S

    def again_ns(self, times: int) -> int:
        """The longest pause after it was asked in vain `times` times more than once."""
        pause_ns: int = self.again_ns_min * STEP ** min(times, 8)
        return min(self.again_ns_max, pause_ns)


def spread(pause_ns: int, chance: float) -> int:
    """A pause less its share of chance."""
    return round(pause_ns * (1.0 - SPREAD * chance))


def pauses_of(settings: Feed) -> Pauses:
    return Pauses(
        int(settings.answer_s_max * NS_PER_S),
        int(settings.ask_again_s_min * NS_PER_S),
        int(settings.ask_again_s_max * NS_PER_S),
    )


class _Asked(NamedTuple):
    times: int
    at_ns: int
    chance: float


class SymbolPatience(Generic[Key]):
    """What was asked for again, how often and when. A symbol's record is forgotten once it has
    needed nothing for twice its pause. What was before `since_ns` does not count.
    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._asked: dict[Key, _Asked] = {}

    def times(self, key: Key, since_ns: int = 0) -> int:
        """How often it has been asked for again in a row."""
        asked = self._since(key, since_ns)
        return asked.times if asked is not None else 0

    def due_ns(self, key: Key, pauses: Pauses) -> int:
        """When it may be asked for again; 0: it has not been yet."""
        asked = self._asked.get(key)
        if asked is None:
            return 0
        return asked.at_ns + spread(pauses.again_ns(asked.times - 1), asked.chance)

    def asked_ns(self, key: Key) -> int | None:
        """When it was asked for last."""
        asked = self._asked.get(key)
        return asked.at_ns if asked is not None else None

    def asked(self, key: Key, now_ns: int, pauses: Pauses, since_ns: int = 0) -> None:
        """It is asked for again now."""
        asked = self._since(key, since_ns)
        times = 0
        if asked is not None and now_ns - asked.at_ns < 2 * pauses.again_ns(asked.times - 1):
            times = asked.times
        self._asked[key] = _Asked(times + 1, now_ns, self._random())

    def _since(self, key: Key, since_ns: int) -> _Asked | None:
        asked = self._asked.get(key)
        return asked if asked is not None and asked.at_ns >= since_ns else None

    def forget(self) -> None:
        """Everything may be asked for again at once."""
        self._asked.clear()
