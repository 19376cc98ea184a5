"""Signals that the ring has no more, from the log of the market, where spread-recorder runs.

Read back from the newest segment until the one is found that somebody knows: what is mapped is
looked through without being kept, and no more of it than some seconds' worth.
"""

from pathlib import Path

import numpy as np

from spread_scanner.schema.log import RecordKind
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.wal import reader
from spread_scanner.wal.reader import Link, LogDamaged, NoLog

SEGMENTS_MAX = 64  # that are looked through
SIGNALS_MAX = 200_000


def logged_signals(folder: Path, instance_id: int, after_seq: int) -> np.ndarray:
    """SIGNAL_DTYPE of one store, those after a number, the oldest first; the newest of them where
    there are too many. What is damaged, gone or of another version has none."""
    found: list[np.ndarray] = []
    for link in _newest_first(folder, instance_id)[:SEGMENTS_MAX]:
        of_link = _of_link(link)
        if len(of_link):
            found.insert(0, of_link)
            if of_link["seq"][0] <= after_seq + 1 or sum(map(len, found)) > SIGNALS_MAX:
                break
    every = np.concatenate([np.zeros(0, SIGNAL_DTYPE), *found])
    newer: np.ndarray = every[every["seq"].astype(np.int64) > after_seq][-SIGNALS_MAX:]
    return newer


def _newest_first(folder: Path, instance_id: int) -> list[Link]:
    try:
        links = reader.chain(folder)
    except (NoLog, LogDamaged, OSError):
        return []
    return [link for link in reversed(links) if link.head["instance_id"] == instance_id]


def _of_link(link: Link) -> np.ndarray:
    try:
        return signals_in(link)
    except OSError:
        return np.zeros(0, SIGNAL_DTYPE)


def signals_in(link: Link) -> np.ndarray:
    """SIGNAL_DTYPE of one segment, up to where it can be read. Raises OSError."""
    found = [np.zeros(0, SIGNAL_DTYPE)]
    data = reader.mapped_still(link)
    if data is not None:
        pieces = reader.pieces_of(link, data, reader.walk(link, data).blocks)
        found += [one.array() for one in pieces if one.kind is RecordKind.SIGNAL]
    return np.concatenate(found)
