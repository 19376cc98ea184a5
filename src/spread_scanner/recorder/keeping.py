"""How much of the log stays: by age, by its budget, by what is free on the disk.

A segment goes when the one behind it was begun so long ago, or when the log is larger than its
budget: its file is used again. Where the disk has less room than it shall have, old segments are
unlinked, and the recorder says so before there is none.
"""

import shutil
from pathlib import Path
from typing import NamedTuple

from spread_scanner.clock import NS_PER_S
from spread_scanner.config.settings import Recorder
from spread_scanner.wal import reader
from spread_scanner.wal.writer import LogWriter

GB = 1_000_000_000
SEGMENTS_MIN = 2  # the newest stay, whatever the room
HOUR_NS = 3_600 * NS_PER_S


class LogKept(NamedTuple):
    """What one look has done and seen."""

    dropped: int
    bytes: int
    free_bytes: int


def keep(folder: Path, log: LogWriter, settings: Recorder, now_wall_ns: int) -> LogKept:
    """Let go of what is too old or too much. Raises OSError."""
    links = reader.chain(folder)
    sizes = [link.path.stat().st_size for link in links]
    total, left, dropped = sum(sizes), len(links), 0
    short = shutil.disk_usage(folder).free < settings.free_gb_min * GB
    for link, after, size in zip(links, links[1:], sizes, strict=False):
        if left <= SEGMENTS_MIN:
            break
        age_ns = now_wall_ns - int(after.head["created_wall_ns"])
        if not (age_ns > settings.raw_h * HOUR_NS or total > settings.budget_gb * GB or short):
            break
        if short:
            link.path.unlink(missing_ok=True)
            dropped += 1
            short = shutil.disk_usage(folder).free < settings.free_gb_min * GB
        else:
            # Goes with the next segment that is made, and is in the log until then.
            dropped += log.reuse(link.path)
        total -= size
        left -= 1
    return LogKept(dropped, total, shutil.disk_usage(folder).free)
