"""How long processes that could have gone on waited for a CPU: what a busy machine did to a run.

Read by the run itself, several times a second. It stands beside a score, which allows for it
(lateness.py): whoever is late sees whether he was given a CPU.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.supervise.children import Child, first_line
from spread_scanner.supervise.seen import MACHINE, CpuWait

KEPT_MS = 1.0  # less makes nobody late
KEPT_COUNT = 200_000  # the newest: of a run that is scored, not of one that lives for months
STEAL = 8  # column of /proc/stat's first line, in ticks
TICK_NS = NS_PER_S // 100  # USER_HZ, whatever the kernel's own rate


class CpuWaits:
    """The first look begins."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, int], int] = {}
        self._looked_ns = self._second_ns = clock.mono_ns()
        self._in_second_ms: defaultdict[str, float] = defaultdict(float)
        self.longest_ms: dict[str, float] = {}  # by process, within a second or so
        self.kept: deque[CpuWait] = deque(maxlen=KEPT_COUNT)

    def begin(self) -> None:
        """The run begins: what was the longest before is forgotten. Signals are judged from before
        then, so that what was waited is kept."""
        self.longest_ms.clear()
        self._in_second_ms.clear()

    def look(self, children: Iterable[Child]) -> None:
        """A process that has begun since the last look has waited for nothing yet."""
        now_ns, lives = clock.mono_ns(), dict(_waited_ns(children))
        if now_ns - self._second_ns >= NS_PER_S:
            self._second_ns = now_ns
            self._in_second_ms.clear()
        for life, waited_ns in lives.items():
            since_ns, who = waited_ns - self._before.get(life, waited_ns), life[0]
            self._in_second_ms[who] += since_ns / 1e6
            self.longest_ms[who] = max(self.longest_ms.get(who, 0.0), self._in_second_ms[who])
            if since_ns >= KEPT_MS * NS_PER_MS:
                self.kept.append(CpuWait(who, self._looked_ns, now_ns, since_ns))
        self._before, self._looked_ns = lives, now_ns

    def beyond(self, limit_ms: float) -> dict[str, float]:
        """Those that waited longer, the longest first."""
        order = sorted(self.longest_ms.items(), key=lambda one: -one[1])
        return {name: waited_ms for name, waited_ms in order if waited_ms > limit_ms}


def _waited_ns(children: Iterable[Child]) -> Iterator[tuple[tuple[str, int], int]]:
    """By process and life; and what the machine itself was not given by its host."""
    for child in children:
        if child.pid is not None:
            yield (child.name, child.pid), int(child.waited_s() * NS_PER_S)
    yield (MACHINE, 0), int(first_line("/proc/stat")[STEAL]) * TICK_NS
