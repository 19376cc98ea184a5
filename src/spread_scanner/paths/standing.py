"""Cycles while they stand, and what became of them: the honest after-look. Pure; slots are told.

A cycle is one route from the slot in which it was found until it pays nothing any more; found again
later it is another one. Some slots later, whatever became of it, its pools are asked what the same
amount would have paid then, and what the best one would.
"""

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

LOOKS_AFTER = (1, 2, 5)  # slots


class CycleKey(NamedTuple):
    """What tells one cycle from another: where it begins, and its pools in their order."""

    mint: str
    route: tuple[str, ...]


class StandingCycle(Struct):
    """One that was found, until nothing is to be asked of it any more."""

    id: int
    key: CycleKey
    amount: int  # that it was found at
    slot: int  # in which
    looks: list[int]  # the slots after it that have yet to be looked at
    best_net_sol: float
    last_slot: int  # in which it was last seen to pay
    last_ns: int
    stands: bool = True


class StandingCycles:
    """All of them."""

    def __init__(self, next_id: int) -> None:
        self._next_id = next_id
        self._standing: dict[CycleKey, StandingCycle] = {}
        self._looked_at: dict[int, StandingCycle] = {}

    def __len__(self) -> int:
        return len(self._standing)

    def get(self, key: CycleKey) -> StandingCycle | None:
        return self._standing.get(key)

    def found(
        self, key: CycleKey, amount: int, slot: int, net_sol: float, now_ns: int
    ) -> StandingCycle:
        """A new one."""
        made = StandingCycle(
            self._next_id, key, amount, slot, list(LOOKS_AFTER), net_sol, slot, now_ns
        )
        self._next_id += 1
        self._standing[key] = made
        self._looked_at[made.id] = made
        return made

    def seen(self, one: StandingCycle, slot: int, net_sol: float, now_ns: int) -> None:
        """It still pays."""
        one.best_net_sol = max(one.best_net_sol, net_sol)
        one.last_slot, one.last_ns = slot, now_ns

    def ended(self, one: StandingCycle) -> None:
        """It pays no more."""
        one.stands = False
        del self._standing[one.key]

    def over(self, pools: Iterable[str]) -> list[StandingCycle]:
        """Those that go through one of these pools."""
        wanted = frozenset(pools)
        return [one for one in self._standing.values() if not wanted.isdisjoint(one.key.route)]

    def all(self) -> list[StandingCycle]:
        return [*self._standing.values()]

    def due(self, slot: int) -> list[tuple[StandingCycle, int]]:
        """The looks whose slot is over, by what has been told: each is handed out once."""
        found = []
        for one in list(self._looked_at.values()):
            while one.looks and slot > one.slot + one.looks[0]:
                found.append((one, one.looks.pop(0)))
            if not one.looks:
                del self._looked_at[one.id]
        return found
