"""How long processes that could have gone on waited for a CPU: what a busy machine did to a run.

Read by the run itself, once a second. It stands beside a score and excuses nothing: whoever is late
is told as late, and who reads that sees whether it was given a CPU.
"""

from collections.abc import Iterable

from spread_scanner.supervise.children import Child


class CpuWaits:
    """Call `look` once a second; the first call begins."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, int], float] = {}
        self.longest_ms: dict[str, float] = {}  # by process, between two looks

    def look(self, children: Iterable[Child]) -> None:
        """A process that has begun since the last look has waited for nothing yet."""
        now = {
            (child.name, child.pid): child.waited_s() for child in children if child.pid is not None
        }
        for life, waited_s in now.items():
            waited_ms = (waited_s - self._before.get(life, waited_s)) * 1e3
            self.longest_ms[life[0]] = max(self.longest_ms.get(life[0], 0.0), waited_ms)
        self._before = now

    def beyond(self, limit_ms: float) -> dict[str, float]:
        """Those that waited longer, the longest first."""
        order = sorted(self.longest_ms.items(), key=lambda one: -one[1])
        return {name: waited_ms for name, waited_ms in order if waited_ms > limit_ms}
