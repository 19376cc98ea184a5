"""How long the quotes of a dead source may be believed: the truth follows the market.

A leg is dead while all connections that carry it are frozen or half-open: the market moves on and
nobody is told. For as long as a feed believes such connections (schema/silence.py) its last quote
still counts, as an excuse and not as a debt: whoever signals on it is not blamed, and nobody owes a
signal. After that the leg is unknown: no interval rests on it, so that a signal that does is
invented. A leg that is heard again is told where the market stands, as a feed that sends the latest
state does after a stall. The delivery is the only caller, the truth file's `sure` says which
intervals are owed.
"""

import math
from collections.abc import Callable, Iterable

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Feed
from spread_scanner.schema.silence import believed_ns, silence_rules
from spread_scanner.sim.legs import Leg
from spread_scanner.sim.truth import Truth

RULES = silence_rules(Feed())  # as shipped
WRITES_MIN = 16  # that a reader has a mean of


class Rhythm:
    """How often the writes to a connection bring quotes, as its reader learns it of its reads; and
    for how long it is believed, once it falls silent.
    """

    def __init__(self) -> None:
        self.believed_until_s = 0.0  # while it is frozen or deaf
        self.mean_ns = 0.0  # between two writes; 0: too few to tell
        self.mean_quotes = 0.0  # that one brings
        self._so_far_ns = 0.0
        self._writes = 0
        self._last_s = 0.0
        self._deaf_s = -math.inf

    def opened(self, now_s: float) -> None:
        self._last_s = now_s

    def wrote(self, quotes: int, now_s: float) -> None:
        """The interval since the last time; of one that spans a time of deafness the rest."""
        spans_deafness = self._deaf_s > self._last_s
        interval_ns = (now_s - max(self._last_s, self._deaf_s)) * NS_PER_S
        self._last_s = now_s
        self.mean_quotes += (quotes - self.mean_quotes) / (WRITES_MIN if self.mean_quotes else 1)
        if spans_deafness and interval_ns <= self._so_far_ns:
            return
        self._writes = min(self._writes + 1, WRITES_MIN)
        self._so_far_ns += (interval_ns - self._so_far_ns) / self._writes
        if self._writes == WRITES_MIN:
            self.mean_ns = self._so_far_ns

    def struck(self, now_s: float, *, answers: bool) -> None:
        """It falls silent. Of one that `answers` its pings only its pace tells; that the market has
        become slower is no excuse here, as this one goes on.
        """
        bound_ns = believed_ns(self.mean_ns, self.mean_quotes, RULES)
        if not answers:
            bound_ns = min(bound_ns, RULES.unanswered_ns)
        until_s = now_s + bound_ns / NS_PER_S
        self.believed_until_s = min(self.believed_until_s or until_s, until_s)

    def thawed(self, now_s: float, *, was_deaf: bool) -> None:
        """It lives again; what it did not hear says nothing of its pace."""
        self.believed_until_s = 0.0
        if was_deaf:
            self._deaf_s = now_s


class Belief:
    """The dead legs and until when each is believed."""

    def __init__(self, truth: Truth, tell: Callable[[Leg], None]) -> None:
        self._truth = truth
        self._tell = tell  # say where the market stands
        self._until_s: dict[Leg, float] = {}
        self._unknown: set[Leg] = set()

    def died(self, legs: Iterable[Leg]) -> None:
        """Some who carry these legs have fallen silent; those that nobody else carries are dead."""
        for leg in legs:
            if dead(leg) and (leg.sure or leg not in self._unknown):
                self._unknown.discard(leg)
                leg.sure = False
                self._until_s[leg] = max(one.rhythm.believed_until_s for one in leg.connections())

    def thawed(self, legs: Iterable[Leg]) -> None:
        """Some who carry these legs live again."""
        for leg in legs:
            if (leg in self._until_s or leg in self._unknown) and not dead(leg):
                self._until_s.pop(leg, None)
                self._unknown.discard(leg)
                self._tell(leg)

    def advance(self, now_s: float) -> None:
        """Legs whose time has come are unknown, but for those that somebody new was told about."""
        for leg in [leg for leg, until_s in self._until_s.items() if until_s <= now_s]:
            del self._until_s[leg]
            if not leg.sure:
                self._unknown.add(leg)
                self._truth.unheard(leg)

    def left(self, leg: Leg) -> None:
        """The last living connection has gone: unknown at once."""
        self._until_s.pop(leg, None)
        self._unknown.discard(leg)
        if leg.forms:
            self._unknown.add(leg)
        self._truth.unheard(leg)


def dead(leg: Leg) -> bool:
    """Whether nobody who carries it hears anything."""
    return all(one.frozen or one.deaf for one in leg.connections())
