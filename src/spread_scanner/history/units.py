"""Which segments of the log are compacted together: those of one hour, when it is over.

A segment belongs to the hour in which it was begun, by the session clock, which nobody sets. Many
segments of one hour are taken in several parts, so that a part fits in memory. The newest segment
is still written, and never taken.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from spread_scanner.clock import NS_PER_S
from spread_scanner.history.kept import KeptHistory, PartEnd
from spread_scanner.wal import reader
from spread_scanner.wal.reader import Link

HOUR_NS = 3_600 * NS_PER_S
SEGMENTS_MAX = 16  # of a part: 1 GB of rows


class LogPart(NamedTuple):
    """Segments that are compacted together."""

    hour_ns: int  # when its hour begins, on the session clock
    links: list[Link]
    end: PartEnd | None  # None: nothing is behind them


def key_of(link: Link) -> tuple[int, int]:
    """Which use of which file a segment is: its head's CRC covers its salt."""
    return link.number, int(link.head["crc"])


def begun_ns(link: Link, links: Sequence[Link]) -> int:
    """When a segment of these was begun, on the session clock of its store; one whose head is
    ruined with the nearest whole one."""
    head = reader.nearest_whole(links, link).head
    return int(head["created_mono_ns"]) + int(head["anchor_ns"])


def left(folder: Path, kept: KeptHistory) -> list[Link]:
    """The segments that are in the log alone, the newest last. Raises NoLog, OSError."""
    known = set(kept.segments)
    return [link for link in reader.chain(folder) if key_of(link) not in known]


def due(folder: Path, kept: KeptHistory) -> list[LogPart]:
    """What can be compacted now: nothing of a log of which no head is whole, as nobody knows of
    when it is. Raises NoLog, OSError."""
    links = left(folder, kept)
    parts = parted(links) if any(link.is_known for link in links) else []
    return parts[:-1] if parts and len(parts[-1].links) <= SEGMENTS_MAX else parts


def parted(links: Sequence[Link]) -> list[LogPart]:
    """By hours and stores, in parts; the last one is not over yet."""
    parts: list[LogPart] = []
    whose = None
    for link in links:
        ts = begun_ns(link, links)
        hour_ns = ts // HOUR_NS * HOUR_NS
        of = (hour_ns, int(reader.nearest_whole(links, link).head["instance_id"]))
        if of != whose or len(parts[-1].links) >= SEGMENTS_MAX:
            if parts:
                parts[-1] = parts[-1]._replace(end=PartEnd(link.first_seq, ts))
            parts.append(LogPart(hour_ns, [], None))
            whose = of
        parts[-1].links.append(link)
    return parts
