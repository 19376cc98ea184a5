"""How long a process and its children took by themselves, whatever else the machine has to do.

Their own are the CPU that they used and the time in which all of them slept, which nobody but they
could have ended. What one of them waited for a CPU or a disk is the machine's. Looked at each
STEP_S; a stretch in which one of them came or went is not taken for sleep.
"""

import contextlib
import threading
import time
from pathlib import Path

from spread_scanner.clock import NS_PER_S

STEP_S = 0.02


class OwnTime:
    """Counts from its making until `end`."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self.ran_s = self.slept_s = 0.0
        self._thread = threading.Thread(target=self._follow)
        self._before, self._looked_s = family(pid), time.monotonic()
        self._thread.start()

    def end(self) -> float:
        """What it was, in seconds."""
        self._ended.set()
        self._thread.join()
        return self.ran_s + self.slept_s

    def _follow(self) -> None:
        while not self._ended.wait(STEP_S):
            self._look()

    def _look(self) -> None:
        now, now_s = family(self._pid), time.monotonic()
        before, took_s = self._before, now_s - self._looked_s
        self._before, self._looked_s = now, now_s
        both = now.keys() & before.keys()
        ran_s = sum(now[task][0] - before[task][0] for task in both) / NS_PER_S
        waited_s = sum(now[task][1] - before[task][1] for task in both) / NS_PER_S
        self.ran_s += ran_s
        if now.keys() == before.keys() and not any(state == "D" for *_, state in now.values()):
            self.slept_s += max(0.0, took_s - ran_s - waited_s)


def family(pid: int) -> dict[int, tuple[int, int, str]]:
    """Each thread of the process and of all its children: ns that it ran, ns that it waited for a
    CPU, and its state."""
    found: dict[int, tuple[int, int, str]] = {}
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError, IndexError):  # it has gone meanwhile
            ran_ns, waited_ns, _ = (task / "schedstat").read_text().split()
            state = (task / "stat").read_text().rpartition(") ")[2][0]
            found[int(task.name)] = (int(ran_ns), int(waited_ns), state)
            for child in (task / "children").read_text().split():
                found |= family(int(child))
    return found
