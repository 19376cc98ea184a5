"""Room on the disk: how little is left, how soon there is none, and what of ours grows.

A trend is the median of the slopes between all looks of the last hour: one large file is none.
"""

from collections import deque
from collections.abc import Iterator
from itertools import combinations
from statistics import median

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.schema.figures import plain
from spread_scanner.view.conditions.condition import Condition
from spread_scanner.view.disk import Disk

LOOK_EVERY_NS = 60 * NS_PER_S
LOOKS = 60
LOOKS_MIN = 16
SOON_H = 2.0  # until full: from then on it is urgent
OVER = 1.1  # of the size that the tracker is to keep its database below
MB = 1e6


class DiskWatch:
    """Of one data folder; call `now` with each look."""

    def __init__(self) -> None:
        self._looks: deque[tuple[int, int]] = deque(maxlen=LOOKS)  # when, and what was free

    def now(self, disk: Disk, settings: Settings) -> Iterator[Condition]:
        alerts = settings.config.spread_alerts
        free = disk.free_bytes
        if free is not None:
            if free < alerts.disk_free_mb_min * MB:
                yield Condition("disk", f"{disk.folder}: {free / MB:,.0f} MB are left")
            yield from self._filling(disk.folder, free, alerts.disk_full_h_min)
        yield from _ours(disk, settings)

    def _filling(self, folder: str, free: int, hours_min: float) -> Iterator[Condition]:
        now_ns = clock.mono_ns()
        if not self._looks or now_ns - self._looks[-1][0] >= LOOK_EVERY_NS:
            self._looks.append((now_ns, free))
        per_h = self._eaten_per_h()
        if per_h > 0 and free < hours_min * per_h:
            hours = free / per_h
            text = (
                f"{folder}: full in {hours:.1f} h as it fills now, {per_h / MB:,.0f} MB an hour; "
                f"{free / MB:,.0f} MB are left"
            )
            yield Condition("filling", text, patient=hours > SOON_H)

    def _eaten_per_h(self) -> float:
        """Bytes; 0 while too little is known."""
        if len(self._looks) < LOOKS_MIN:
            return 0.0
        slopes = [
            (before[1] - after[1]) / (after[0] - before[0])
            for before, after in combinations(self._looks, 2)
        ]
        return median(slopes) * 3_600 * NS_PER_S


def _ours(disk: Disk, settings: Settings) -> Iterator[Condition]:
    """The tracker's files, beyond what they are to be."""
    wal_bytes, database_bytes = disk.wal_bytes or 0, disk.database_bytes or 0
    if wal_bytes > settings.config.spread_alerts.wal_mb_max * MB and not disk.vacuuming:
        who = " and ".join(one.who for one in disk.readers) or "some program"
        text = (
            f"{wal_bytes / MB:,.0f} MB wait beside the database (tracker.db-wal): {who} reads it "
            "in one transaction that does not end"
        )
        yield Condition("wal", text)
    database_mb_max = settings.config.spread_tracker.database_mb_max
    if database_mb_max and database_bytes > OVER * database_mb_max * MB:
        text = (
            f"the database has {database_bytes / MB:,.0f} MB, beyond database_mb_max = "
            f"{plain(database_mb_max)}: what is deleted does not keep up"
        )
        yield Condition("database", text, patient=True)
