"""How late what concerns a pair may come: by the tolerance of a run, and by what the kernel says
that those it goes through waited for a CPU around then.

A machine that is too small makes everything late, and that is no fault of what is judged. It is
allowed for, not excused: who says nothing at all has missed it, and who comes later than this is
late.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

import numpy as np

from spread_scanner.clock import NS_PER_MS
from spread_scanner.supervise.seen import CpuWait, needed_by


class OfPair(Protocol):
    """What was sent or done of one."""

    @property
    def symbol(self) -> str: ...
    @property
    def direction(self) -> str: ...


class Lateness:
    """Made of one run; all times monotonic ns."""

    def __init__(self, tolerance_ms: float, waits: Iterable[CpuWait] = ()) -> None:
        self.tolerance_ns = int(tolerance_ms * NS_PER_MS)
        self.longest_ns = self.tolerance_ns  # that was allowed so far
        self._waits = {who: _Waits(of_one) for who, of_one in _by_process(waits).items()}

    def after_ns(self, one: OfPair, at_ns: int, *, tracked: bool = False) -> int:
        """How much later than then it may be followed; with `tracked` the tracker has its part."""
        return self._late_ns(one, at_ns, 1, tracked=tracked)

    def before_ns(self, one: OfPair, at_ns: int, *, tracked: bool = False) -> int:
        """How much earlier may have been what it follows."""
        return self._late_ns(one, at_ns, -1, tracked=tracked)

    def _late_ns(self, one: OfPair, at_ns: int, way: int, *, tracked: bool) -> int:
        """Who is late may go on waiting in what that adds: looked at twice, and no further, or a
        machine that is always busy would allow for everything."""
        needed = needed_by(one.symbol, one.direction, tracked=tracked)
        concerned = [waits for who, waits in self._waits.items() if who in needed]
        late_ns = self.tolerance_ns
        for _ in range(2):
            start_ns, end_ns = sorted((at_ns, at_ns + way * late_ns))
            late_ns = self.tolerance_ns + sum(one.within(start_ns, end_ns) for one in concerned)
        self.longest_ns = max(self.longest_ns, late_ns)
        return late_ns


class _Waits:
    """Of one process: its looks lie one after another."""

    def __init__(self, waits: list[CpuWait]) -> None:
        waits.sort(key=lambda one: one.start_ns)
        self._starts_ns = np.array([one.start_ns for one in waits])
        self._ends_ns = np.array([one.end_ns for one in waits])
        self._before_ns = np.cumsum([0, *(one.waited_ns for one in waits)])

    def within(self, start_ns: int, end_ns: int) -> int:
        """Of all looks that touch this time: when within a look it waited is not known."""
        first = int(np.searchsorted(self._ends_ns, start_ns))
        behind = int(np.searchsorted(self._starts_ns, end_ns, side="right"))
        return int(self._before_ns[max(first, behind)] - self._before_ns[first])


def _by_process(waits: Iterable[CpuWait]) -> dict[str, list[CpuWait]]:
    found: defaultdict[str, list[CpuWait]] = defaultdict(list)
    for one in waits:
        found[one.who].append(one)
    return found
