"""Room on the disk: how little is left, how soon there is none, and what of ours grows."""

from collections.abc import Iterator

from spread_scanner.config import Settings
from spread_scanner.config.processes import optional
from spread_scanner.schema.figures import plain
from spread_scanner.schema.names import CYCLES_FILE, PATHS
from spread_scanner.view.conditions.condition import Condition
from spread_scanner.view.disk import Disk

SOON_H = 2.0  # until full: from then on it is urgent
OVER = 1.1  # of the size that the tracker is to keep its database below
MB = 1e6


def of_disk(disk: Disk, settings: Settings, eaten_b_h: int) -> Iterator[Condition]:
    """`eaten_b_h`: bytes an hour, as the tracker tells (tracker/filling.py); 0: it does not fill,
    or nobody knows."""
    alerts, free = settings.config.spread_alerts, disk.free_bytes
    if free is not None:
        if free < alerts.disk_free_mb_min * MB:
            yield Condition("disk", f"{disk.folder}: {free / MB:z,.0f} MB are left")
        if free < alerts.disk_full_h_min * eaten_b_h:
            hours = free / eaten_b_h
            text = (
                f"{disk.folder}: full in {hours:z.1f} h as it fills now, {eaten_b_h / MB:z,.0f} MB "
                f"an hour; {free / MB:z,.0f} MB are left"
            )
            yield Condition("filling", text, patient=hours > SOON_H)
    yield from _ours(disk, settings)
    if optional(settings)[PATHS]:
        yield from _of_cycles(disk, settings)


def _ours(disk: Disk, settings: Settings) -> Iterator[Condition]:
    """The tracker's files, beyond what they are to be."""
    wal_bytes, database_bytes = disk.wal_bytes or 0, disk.database_bytes or 0
    if wal_bytes > settings.config.spread_alerts.wal_mb_max * MB and not disk.vacuuming:
        who = " and ".join(one.who for one in disk.readers) or "some program"
        text = (
            f"{wal_bytes / MB:z,.0f} MB wait beside the database (tracker.db-wal): {who} reads it "
            "in one transaction that does not end"
        )
        yield Condition("wal", text)
    database_mb_max = settings.config.spread_tracker.database_mb_max
    if database_mb_max and database_bytes > OVER * database_mb_max * MB:
        text = (
            f"the database has {database_bytes / MB:z,.0f} MB, beyond database_mb_max = "
            f"{plain(database_mb_max)}: what is deleted does not keep up"
        )
        yield Condition("database", text, patient=True)


def _of_cycles(disk: Disk, settings: Settings) -> Iterator[Condition]:
    """The database of cycles with its log, while there is to be one."""
    bytes_now, mb_max = disk.cycles_bytes or 0, settings.config.spread_paths.database_mb_max
    log_mb_max = settings.config.spread_alerts.wal_mb_max
    if mb_max and bytes_now > (OVER * mb_max + log_mb_max) * MB and not disk.vacuuming:
        text = (
            f"{CYCLES_FILE} has {bytes_now / MB:z,.1f} MB with its log, beyond "
            f"database_mb_max = {plain(mb_max)} and wal_mb_max = {plain(log_mb_max)}: some program "
            "reads it in one transaction that does not end, or what is forgotten does not keep up"
        )
        yield Condition("database:cycles", text, patient=True)
