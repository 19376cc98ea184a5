"""How much of the log stays: by age, by its budget, by what is free on the disk.

A segment goes when the one behind it was begun so long ago and, where there is a history, when it
is in there; or when the log is too large, or the disk too full. None goes that has records which
a whole snapshot does not know, the newest or the one before, should that decay: a start would miss
what stood. Of the budget, which log and history share, the log alone has half: so a compaction that
fails does not eat what was compacted, nor do snapshots that cannot be written.
What is in the history goes before what is not; where segments alone do not make room, the history
gives up its oldest. A segment's file is used again, or unlinked where the disk is short; so is that
of one that lies packed beside it.
"""

import contextlib
import shutil
from collections import deque
from pathlib import Path
from typing import NamedTuple

from spread_scanner.clock import NS_PER_S
from spread_scanner.config.settings import Recorder
from spread_scanner.history import kept, retention, units
from spread_scanner.history.kept import HistoryTaken, KeptHistory
from spread_scanner.wal import reader, segments, snapshot
from spread_scanner.wal.reader import Link
from spread_scanner.wal.times import LogTimes
from spread_scanner.wal.writer import LogWriter

GB = 1_000_000_000
SEGMENTS_MIN = 2  # the newest stay, whatever the room
HOUR_NS = 3_600 * NS_PER_S
MINUTE_NS = 60 * NS_PER_S
ROOM_LOOK_BACK_NS = 10 * MINUTE_NS
WARN_MIN = 30


class LogKept(NamedTuple):
    """What one look has done and seen."""

    dropped: int
    lost: int  # of them those that were to be in the history and were not
    bytes: int
    history_bytes: int
    free_bytes: int
    segments: int  # that are left
    packed: int  # of them
    held: bool  # more is too much, but a snapshot does not know it


class DiskRoom:
    """How long what is free on the disk lasts, by how it went in the last minutes, whoever took it.
    Its methods are for one thread."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque()

    def trouble(self, now_ns: int, free_bytes: int, free_bytes_min: float, held: str = "") -> str:
        """What is wrong with it, at `now_ns`, monotonic: that there is too little, so that the
        oldest of the log goes, or that this is near; or that it would have to go, and why it is
        `held`. Empty: nothing."""
        while self._seen and now_ns - self._seen[0][0] > ROOM_LOOK_BACK_NS:
            self._seen.popleft()
        self._seen.append((now_ns, free_bytes))
        begun_ns, begun_bytes = self._seen[0]
        passed_ns, gone = now_ns - begun_ns, begun_bytes - free_bytes
        said = f"{free_bytes / GB:.1f} GB are free on the disk"
        if held or free_bytes < free_bytes_min:
            left = f", enough for {_minutes(free_bytes, passed_ns, gone)} min" if gone > 0 else ""
            goes = f"nothing of the log goes, as {held}" if held else "the oldest of the log goes"
            return f"{said}{left}: {goes}"
        if gone <= 0 or passed_ns < ROOM_LOOK_BACK_NS // 2:  # a segment is made at once
            return ""
        minutes = _minutes(free_bytes - free_bytes_min, passed_ns, gone)
        return f"{said}, the oldest of the log goes in {minutes} min" if minutes < WARN_MIN else ""


def _minutes(room_bytes: float, passed_ns: int, gone: int) -> int:
    """Until that room is gone, where so much went in that time."""
    return int(room_bytes * passed_ns / gone / MINUTE_NS)


class LogSegments:
    """The log's segments, the oldest of which go."""

    def __init__(self, folder: Path, log: LogWriter, standing: KeptHistory | None) -> None:
        self._log = log
        raw = segments.numbered(folder)
        log.give_back(
            [raw[one] for one in segments.numbered(folder, segments.PACKED) if one in raw]
        )
        self.links = reader.linked(folder)  # what another version wrote is as old
        self._sizes = [
            sum(map(_bytes, {link.path, segments.packed_of(link.path)})) for link in self.links
        ]
        self._known = None if standing is None else frozenset(standing.segments)
        self._snapshots_seq = snapshot.known_seq(folder)
        self.bytes = sum(self._sizes)
        self.passed = 0  # how many are to go
        self.dropped = self.lost = 0

    @property
    def more(self) -> bool:
        """Whether any is left but the newest."""
        return self.passed < len(self.links) - SEGMENTS_MIN

    @property
    def is_in_snapshots(self) -> bool:
        """Whether they know all of the oldest."""
        return self.links[self.passed + 1].first_seq <= self._snapshots_seq

    @property
    def left(self) -> tuple[int, int]:
        """How many are not to go, and how many of them are packed."""
        links = self.links[self.passed :]
        return len(links), sum(link.is_packed for link in links)

    @property
    def is_kept(self) -> bool:
        """Whether the oldest is in the history, or need not be."""
        return self._known is None or units.key_of(self.links[self.passed]) in self._known

    def age_ns(self, now: LogTimes) -> int:
        """How long ago the oldest was ended."""
        behind = reader.nearest_whole(self.links, self.links[self.passed + 1])
        return LogTimes.of(behind.head).age_ns(now)

    def drop(self, *, unlink: bool) -> None:
        """Let go of the oldest."""
        gone = self._give_up(self.links[self.passed], unlink=unlink)
        self.lost += gone and not self.is_kept
        self.bytes -= self._sizes[self.passed]
        self.dropped += gone
        self.passed += 1

    def _give_up(self, link: Link, *, unlink: bool) -> bool:
        """False: it was already, and is in the log until its file is used again."""
        packed = segments.packed_of(link.path)
        was_packed = packed.exists()
        if unlink or link.is_packed:
            self._log.unlink_older(link.path)
        packed.unlink(missing_ok=True)
        if link.is_packed:
            return was_packed
        if unlink:
            link.path.unlink(missing_ok=True)
        return unlink or self._log.reuse(link.path) or was_packed


def _bytes(path: Path) -> int:
    """Of a file, if there is one: it may be used again at any time."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def keep(
    folder: Path,
    log: LogWriter,
    settings: Recorder,
    now: LogTimes,
    history: Path | None = None,
    now_ns: int = 0,
) -> LogKept:
    """Let go of what is too old or too much. `history`: where segments have to be before their age
    counts, on the session clock now. Raises OSError, SpreadError."""
    standing = None if history is None else kept.read(history)
    log_segments = LogSegments(folder, log, standing)
    budget = settings.budget_gb * GB
    history_bytes = 0 if standing is None else sum(file.bytes for file in standing.files)

    def short() -> bool:
        return shutil.disk_usage(folder).free < settings.free_gb_min * GB

    share = budget if history is None else budget / 2
    held = False
    while log_segments.more:
        old = log_segments.age_ns(now) > settings.raw_h * HOUR_NS
        over = log_segments.bytes + history_bytes > budget
        too_much = short() or log_segments.bytes > share
        if not (too_much or (log_segments.is_kept and (old or over))):
            break
        if not log_segments.is_in_snapshots:
            held = too_much
            break
        log_segments.drop(unlink=short())
    beyond = held and log_segments.bytes > share  # no reason for the history to be less
    if history is not None and history_bytes:
        excess = (share if beyond else log_segments.bytes) + history_bytes - budget
        if short() and not beyond:
            excess = max(excess, settings.free_gb_min * GB - shutil.disk_usage(folder).free)
        with contextlib.suppress(HistoryTaken):  # a compaction is at work: at the next look
            gone = retention.trim(history, retention.ages_ns(settings), now_ns, excess)
            history_bytes -= sum(file.bytes for file in gone)
    free = shutil.disk_usage(folder).free
    return LogKept(
        log_segments.dropped,
        log_segments.lost,
        log_segments.bytes,
        history_bytes,
        free,
        *log_segments.left,
        held,
    )
