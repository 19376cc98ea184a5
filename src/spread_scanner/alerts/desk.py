"""What is wrong, judged over time: raised when it stands, ended when it stays away.

A condition that comes and goes is one story with a count, not a message each time: it is raised
when it has stood for a while or has come often within a minute, and ends only when it has stayed
away for long enough, the longer the more often it came back lately. Who is told, and when, is not
decided here (alerts/ledger.py). Pure but for the clock.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.view.conditions.condition import Condition

OFTEN = 3  # or so often within a minute
AWAY_S_MIN = 10.0  # so long away before its end is said, doubled for each lately
AWAY_S_MAX = 300.0
LATELY_S = 1_800.0


class Story(msgspec.Struct):
    """A lasting condition from its first sign to its end."""

    key: str
    text: str
    began_mono_ns: int = 0
    times: int = 1  # how often it came
    patient: bool = False


class _Sign:
    """One key as it was seen lately, raised or not."""

    def __init__(self) -> None:
        self.since_ns: int | None = None  # present since; None: away
        self.gone_ns = 0
        self.came_ns: deque[int] = deque(maxlen=OFTEN)
        self.ended = 0  # how often lately: a key that is away for LATELY_S is forgotten
        self.story: Story | None = None  # while it is raised
        self.times = 0
        self.began_mono_ns = 0

    def come(self, now_ns: int) -> None:
        self.since_ns = now_ns
        self.came_ns.append(now_ns)
        if self.times == 0:
            self.began_mono_ns = now_ns
        self.times += 1
        if self.story is not None:
            self.story.times = self.times

    def to_raise(self, now_ns: int, stands_s: float) -> bool:
        stood = self.since_ns is not None and now_ns - self.since_ns >= stands_s * NS_PER_S
        often = len(self.came_ns) == OFTEN and now_ns - self.came_ns[0] <= 60 * NS_PER_S
        return stood or often

    @property
    def away_s(self) -> float:
        """How long it has to be away for its end."""
        return float(min(AWAY_S_MIN * 2**self.ended, AWAY_S_MAX))

    def forget(self) -> None:
        self.story = None
        self.times = 0
        self.came_ns.clear()


class Desk:
    """Call `update` with all that holds now, about once a second."""

    def __init__(self, raised: Iterable[Story] = ()) -> None:
        """`raised` is what an earlier life had raised: it goes on, or ends by being away."""
        self._signs: dict[str, _Sign] = {}
        for story in raised:
            sign = self._signs.setdefault(story.key, _Sign())
            # It has stood meanwhile, as far as anybody knows: to be seen again is not to come back.
            sign.story, sign.times, sign.gone_ns = story, story.times - 1, clock.mono_ns()

    @property
    def raised(self) -> dict[str, Story]:
        """What stands, by key."""
        return {key: sign.story for key, sign in self._signs.items() if sign.story is not None}

    def update(self, conditions: Iterable[Condition]) -> list[Condition]:
        """Take what holds now; gives back the events."""
        now_ns = clock.mono_ns()
        present = list(conditions)
        lasting = {one.key: one for one in present if not one.passing}
        for key, condition in lasting.items():
            self._seen(key, condition, now_ns)
        for key in [key for key in self._signs if key not in lasting]:
            self._missing(key, now_ns)
        return [one for one in present if one.passing]

    def _seen(self, key: str, condition: Condition, now_ns: int) -> None:
        sign = self._signs.setdefault(key, _Sign())
        if sign.since_ns is None:
            sign.come(now_ns)
        if sign.story is not None:
            sign.story.text, sign.story.patient = condition.text, condition.patient
        elif sign.to_raise(now_ns, condition.stands_s):
            sign.story = Story(
                key, condition.text, sign.began_mono_ns, sign.times, condition.patient
            )

    def _missing(self, key: str, now_ns: int) -> None:
        sign = self._signs[key]
        if sign.since_ns is not None:
            sign.since_ns, sign.gone_ns = None, now_ns
        away_s = (now_ns - sign.gone_ns) / NS_PER_S
        if sign.story is not None:
            if away_s >= sign.away_s:
                sign.ended += 1
                sign.forget()
        elif away_s >= LATELY_S:
            del self._signs[key]
        elif away_s >= 60:
            sign.forget()
