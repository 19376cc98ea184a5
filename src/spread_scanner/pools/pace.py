"""How far each provider is, and whether it is in time: what it covers is good only while it is.
Pure; time is told.

A provider that has told no slot for max(2 s, 5 slots), or stands ten slots behind the best, has
stopped telling what is written, whatever its connection says. Providers are not to be trusted with
the future either: a slot hours beyond the best is no slot, and who goes back by more than any fork
is where it says, as a chain that was begun anew is.

Each is scored by the slots of late: how many it told before all others, and how much later than
whoever was first it tells one. The score decides nothing, as the first to tell a slot wins whoever
it is: it says which provider is worth its price.
"""

from collections import deque
from typing import NamedTuple

from msgspec import Struct

SLOT_NS = 400_000_000  # as the chain aims at
SLOT_NS_MAX = 2_000_000_000  # what a slot is taken to last at the most, however slow the chain is
SILENT_NS_MAX, SILENT_SLOTS_MAX = 2_000_000_000, 5
BEHIND_SLOTS_MAX = 10
AHEAD_SLOTS_MAX = 32  # beyond the best: no account was written later; no fork is longer
LEAP_SLOTS_MAX = 20_000  # likewise, of a provider's word on where it stands: two hours
_SLOTS_KEPT = 64
SCORED_SLOTS = 64  # of which a score is the mean, the newer the heavier


class _Reached(Struct):
    slot: int
    at_ns: int


class _Scored(Struct):
    slots: int = 0
    first: float = 0.0
    late_ns: float = 0.0


class ProviderScore(NamedTuple):
    """How a provider fares, by the slots of late."""

    first: float  # the share that it told before all others
    late_ns: float  # after whoever was first, on average
    behind_slots: int
    silent_ns: int  # since it told one
    in_time: bool


class ProviderPace:
    """The slots of all providers that are connected."""

    def __init__(self) -> None:
        self._reached: dict[str, _Reached] = {}
        self._doubted: set[str] = set()
        self._scored: dict[str, _Scored] = {}  # also of who is away just now
        self.best_slot = 0  # of the providers that are connected
        self.silent_ns_max = SILENT_NS_MAX
        self._steps: deque[_Reached] = deque(maxlen=_SLOTS_KEPT)  # of whoever is ahead

    def told(self, provider: str, slot: int, now_ns: int) -> bool:
        """It has come to this slot; one a little earlier says no more than that it lives. False: it
        is not believed."""
        if self._reached and slot - self.best_slot > LEAP_SLOTS_MAX:
            return False
        known = self._reached.get(provider)
        if known is not None and known.slot - slot <= AHEAD_SLOTS_MAX:
            slot = max(known.slot, slot)
        self._reached[provider] = _Reached(slot, now_ns)
        self._changed()
        if self._steps and self._steps[-1].slot - self.best_slot > AHEAD_SLOTS_MAX:
            self._steps.clear()
        if not self._steps or slot > self._steps[-1].slot:
            self._steps.append(_Reached(slot, now_ns))
        if known is None or slot > known.slot:
            self._score(provider, slot, now_ns)
        self._changed()
        return True

    def _score(self, provider: str, slot: int, now_ns: int) -> None:
        """It tells a slot that it has not told before."""
        first = next((step for step in reversed(self._steps) if step.slot == slot), None)
        if first is None:
            return  # nobody knows when it was told first
        scored = self._scored.setdefault(provider, _Scored())
        scored.slots = min(scored.slots + 1, SCORED_SLOTS)
        is_first = first is self._steps[-1] and first.at_ns == now_ns
        scored.first += (is_first - scored.first) / scored.slots
        scored.late_ns += (now_ns - first.at_ns - scored.late_ns) / scored.slots

    def doubt(self, provider: str, *, doubted: bool) -> bool:
        """Whether it is in doubt that what it tells arrives in time; True where that is news."""
        before = provider in self._doubted
        (self._doubted.add if doubted else self._doubted.discard)(provider)
        return doubted is not before

    def lost(self, provider: str) -> None:
        self._reached.pop(provider, None)
        self._doubted.discard(provider)
        self._changed()

    def _changed(self) -> None:
        """Every account that is told asks these, so they are worked out with each slot."""
        self.best_slot = max((reached.slot for reached in self._reached.values()), default=0)
        self.silent_ns_max = max(SILENT_NS_MAX, SILENT_SLOTS_MAX * self.slot_ns)

    @property
    def last_slot(self) -> int | None:
        """The latest of which something can have been written; None while nobody tells slots."""
        return self.best_slot + AHEAD_SLOTS_MAX if self._reached else None

    @property
    def slot_ns(self) -> int:
        """How long slots last of late."""
        if len(self._steps) < 2:
            return SLOT_NS
        first, last = self._steps[0], self._steps[-1]
        lasted = (last.at_ns - first.at_ns) // (last.slot - first.slot)
        return min(max(lasted, SLOT_NS), SLOT_NS_MAX)

    def behind_slots(self, provider: str) -> int | None:
        """Behind the best; None where it has told no slot."""
        reached = self._reached.get(provider)
        return None if reached is None else self.best_slot - reached.slot

    def score(self, provider: str, now_ns: int) -> ProviderScore | None:
        """None while it is away, or has told no slot."""
        reached, scored = self._reached.get(provider), self._scored.get(provider, _Scored())
        if reached is None:
            return None
        return ProviderScore(
            scored.first,
            scored.late_ns,
            self.best_slot - reached.slot,
            now_ns - reached.at_ns,
            self.in_time(provider, now_ns),
        )

    def in_time(self, provider: str, now_ns: int) -> bool:
        return self.in_time_until_ns(provider, now_ns) > 0

    def in_time_until_ns(self, provider: str, now_ns: int) -> int:
        """Until when, should it tell no more; 0: it is not."""
        reached = self._reached.get(provider)
        if reached is None or provider in self._doubted:
            return 0
        if self.best_slot - reached.slot >= BEHIND_SLOTS_MAX:
            return 0
        until_ns = reached.at_ns + self.silent_ns_max
        return until_ns if now_ns <= until_ns else 0
