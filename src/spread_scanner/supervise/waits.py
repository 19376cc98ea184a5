"""How long processes that could have gone on waited for a CPU: what a busy machine did to a run.

Read by the run itself, several times a second, of files that stay open meanwhile. It stands beside
a score, which allows for it (lateness.py): whoever is late sees whether he was given a CPU. Where
the kernel counts nothing, nothing is allowed for.
"""

import contextlib
import os
from collections import defaultdict, deque
from collections.abc import Iterable

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.supervise.children import WAITED, Child
from spread_scanner.supervise.seen import MACHINE, CpuWait

KEPT_MS = 1.0  # less makes nobody late
KEPT_COUNT = 200_000  # the newest: of a run that is scored, not of one that lives for months
LINE_BYTES_MAX = 512
STEAL = 8  # column of /proc/stat's first line, in ticks
TICK_NS = NS_PER_S // 100  # USER_HZ, whatever the kernel's own rate


class CpuWaits:
    """The first look begins; `close` at the end."""

    def __init__(self) -> None:
        self._counts: dict[str, _Count] = {}
        self._looked_ns = self._second_ns = clock.mono_ns()
        self._in_second_ns: defaultdict[str, int] = defaultdict(int)
        self.longest_ms: dict[str, float] = {}  # by process, within a second or so
        self.kept: deque[CpuWait] = deque(maxlen=KEPT_COUNT)

    def begin(self) -> None:
        """The run begins: what was the longest before is forgotten. Signals are judged from before
        then, so that what was waited is kept."""
        self.longest_ms.clear()
        self._in_second_ns.clear()

    def look(self, children: Iterable[Child]) -> None:
        """A process that has begun since the last look has waited for nothing yet."""
        now_ns = clock.mono_ns()
        if now_ns - self._second_ns >= NS_PER_S:
            self._second_ns = now_ns
            self._in_second_ns.clear()
        self._follow(children)
        for who, count in self._counts.items():
            since_ns = count.since_ns()
            if not since_ns:
                self.longest_ms.setdefault(who, 0.0)
                continue
            self._in_second_ns[who] += since_ns
            in_second_ms = self._in_second_ns[who] / NS_PER_MS
            if in_second_ms > self.longest_ms.get(who, 0.0):
                self.longest_ms[who] = in_second_ms
            if since_ns >= KEPT_MS * NS_PER_MS:
                self.kept.append(CpuWait(who, self._looked_ns, now_ns, since_ns))
        self._looked_ns = now_ns

    def _follow(self, children: Iterable[Child]) -> None:
        """The lives that go on now; and what the machine itself was not given by its host."""
        self._know(MACHINE, 0, "/proc/stat", STEAL, TICK_NS)
        for child in children:
            pid = child.pid
            if pid is not None:
                self._know(child.name, pid, f"/proc/{pid}/schedstat", WAITED, 1)
            elif child.name in self._counts:
                self._counts.pop(child.name).close()

    def _know(self, who: str, pid: int, path: str, column: int, unit_ns: int) -> None:
        known = self._counts.get(who)
        if known is not None and known.pid == pid and not known.gone:
            return
        if known is not None:
            known.close()
            del self._counts[who]
        with contextlib.suppress(OSError):  # it has gone meanwhile
            self._counts[who] = _Count(pid, path, column, unit_ns)

    def beyond(self, limit_ms: float) -> dict[str, float]:
        """Those that waited longer, the longest first."""
        order = sorted(self.longest_ms.items(), key=lambda one: -one[1])
        return {name: waited_ms for name, waited_ms in order if waited_ms > limit_ms}

    def close(self) -> None:
        """No more looks."""
        for count in self._counts.values():
            count.close()
        self._counts.clear()


class _Count:
    """What the first line of a file in /proc has counted since it was asked last. Held open, it is
    one life's, also when its pid is another's; opened for each look it would take thrice as long.
    """

    def __init__(self, pid: int, path: str, column: int, unit_ns: int) -> None:
        """Raises OSError."""
        self.pid = pid
        self.gone = False
        self._column, self._unit_ns = column, unit_ns
        self._file = os.open(path, os.O_RDONLY)
        self._counted: int | None = None

    def since_ns(self) -> int:
        """0 at first, and of one that is gone."""
        try:
            words = os.pread(self._file, LINE_BYTES_MAX, 0).split(None, self._column + 1)
        except OSError:
            self.gone = True
            return 0
        before, self._counted = self._counted, int(words[self._column])
        return 0 if before is None else (self._counted - before) * self._unit_ns

    def close(self) -> None:
        os.close(self._file)
