"""How fast the disk fills on which the tracker's data stands, whoever writes to it.

A trend is the median of the slopes between all looks of the last hour: one large file is none. Used
by the thread that writes, which a slow disk may hold up; the health row has it, so that whoever
looks at the system for the first time knows what only time tells.
"""

import shutil
from collections import deque
from itertools import combinations
from pathlib import Path
from statistics import median

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S

LOOK_EVERY_NS = 60 * NS_PER_S
LOOKS = 60
LOOKS_MIN = 16


class DiskTrend:
    """Call `news` as often as you like."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looks: deque[tuple[int, int]] = deque(maxlen=LOOKS)  # when, and what was free

    def news(self) -> int | None:
        """Bytes an hour by which it fills now; 0: it does not, or too little is known yet. None:
        it is not time for a look, or there can be none."""
        now_ns = clock.mono_ns()
        if self._looks and now_ns - self._looks[-1][0] < LOOK_EVERY_NS:
            return None
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError:
            return None
        self._looks.append((now_ns, free))
        return max(0, round(self._eaten_per_h()))

    def _eaten_per_h(self) -> float:
        if len(self._looks) < LOOKS_MIN:
            return 0.0
        slopes = [
            (before[1] - after[1]) / (after[0] - before[0])
            for before, after in combinations(self._looks, 2)
        ]
        return median(slopes) * 3_600 * NS_PER_S
