"""How long the quotes of a dead source may be believed: the truth follows the market.

A leg is dead while all connections that carry it are frozen or half-open: the market moves on and
nobody is told. For the bound its last quote still counts, as an excuse and not as a debt: whoever
signals on it is not blamed, and nobody owes a signal. After the bound the leg is unknown: no
interval rests on it, so that a signal that does is invented. A leg that is heard again is told
where the market stands, as a feed that sends the latest state does after a stall.
The delivery is the only caller, the truth file's `sure` says which intervals are owed.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from spread_scanner.sim.legs import Leg
from spread_scanner.sim.truth import Truth

if TYPE_CHECKING:
    from spread_scanner.sim.server import Connection

BELIEVE_S = 2.0  # silent for a second, asked by a ping, silent for another
BELIEVE_BUSY_S = 1.0  # of a line that says more than BUSY_PER_S
BUSY_PER_S = 50.0


def bound_s(connections: Iterable["Connection"]) -> float:
    """How long the last quote counts; the busiest of the lines that carried it decides."""
    busy = any(connection.rate_per_s > BUSY_PER_S for connection in connections)
    return BELIEVE_BUSY_S if busy else BELIEVE_S


class Belief:
    """The dead legs and until when each is believed."""

    def __init__(self, truth: Truth, tell: Callable[[Leg], None]) -> None:
        self._truth = truth
        self._tell = tell  # say where the market stands
        self._until_s: dict[Leg, float] = {}
        self._unknown: set[Leg] = set()

    def died(self, legs: Iterable[Leg], now_s: float) -> None:
        """Some who carry these legs have fallen silent; those that nobody else carries are dead."""
        for leg in legs:
            known = leg in self._until_s or leg in self._unknown
            if dead(leg) and (leg.sure or not known):
                self._unknown.discard(leg)
                leg.sure = False
                self._until_s[leg] = now_s + bound_s(leg.connections())

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
