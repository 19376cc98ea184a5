"""How long the history stays: by age of each kind, and by room, the oldest ticks first.

By the recorder, whose budget it is; under the folder's lock. The list lets go of a file before it
is removed.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from spread_scanner.clock import NS_PER_S
from spread_scanner.config.settings import Recorder
from spread_scanner.history import kept
from spread_scanner.history.kept import HistoryKind, KeptFile, KeptHistory

DAY_NS = 86_400 * NS_PER_S


def ages_ns(settings: Recorder) -> dict[HistoryKind, float]:
    """How old each kind becomes."""
    days = {
        HistoryKind.TICKS: settings.ticks_days,
        HistoryKind.BOOKS: settings.ticks_days,
        HistoryKind.BOOK_CHANGES: settings.ticks_days,
        HistoryKind.CANDLES_1S: settings.candles_1s_days,
        HistoryKind.CANDLES_1M: settings.candles_1m_days,
        HistoryKind.SIGNALS: settings.candles_1m_days,
        HistoryKind.FOLLOW_UPS: settings.candles_1m_days,
        HistoryKind.GAPS: settings.candles_1m_days,
    }
    return {kind: number * DAY_NS for kind, number in days.items()}


def trim(
    folder: Path, ages: Mapping[HistoryKind, float], now_ns: int, excess_bytes: float
) -> list[KeptFile]:
    """Let go of what is too old on the session clock, and of as much more as is asked for; what
    went. Raises HistoryTaken, Unusable, OSError."""
    if not _gone(kept.read(folder), ages, now_ns, excess_bytes):
        return []
    with kept.alone(folder):
        standing = kept.read(folder)
        gone = _gone(standing, ages, now_ns, excess_bytes)
        paths = {file.path for file in gone}
        files = tuple(file for file in standing.files if file.path not in paths)
        kept.write(folder, msgspec.structs.replace(standing, files=files))
        for path in paths:
            (folder / path).unlink(missing_ok=True)
    return gone


def _gone(
    standing: KeptHistory, ages: Mapping[HistoryKind, float], now_ns: int, excess_bytes: float
) -> list[KeptFile]:
    gone = [file for file in standing.files if now_ns - file.newest_ns > ages[file.kind]]
    excess_bytes -= sum(file.bytes for file in gone)
    for file in _in_order(standing):
        if excess_bytes <= 0:
            break
        if file not in gone:
            gone.append(file)
            excess_bytes -= file.bytes
    return gone


def _in_order(standing: KeptHistory) -> Iterator[KeptFile]:
    """As they go when there is too little room: by kind, the oldest first."""
    for kind in HistoryKind:
        yield from sorted(standing.of(kind), key=lambda file: (file.newest_ns, file.path))
