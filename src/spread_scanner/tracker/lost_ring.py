"""Signals of a ring that is gone, out of the log of the market: what a reboot, a power cut or a
`clean` took away before the database had it.

Reads data_dir/wal, where spread-recorder wrote one; writes nothing. Only of a store of which the
database knows how far its signals are reflected: what nobody tracked is not made up for. What of
the log cannot be read is left out.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spread_scanner.errors import SpreadError
from spread_scanner.schema.records import SIGNAL_DTYPE
from spread_scanner.view.logged import signals_in
from spread_scanner.wal import reader
from spread_scanner.wal.reader import Link

BYTES_MAX = 2 << 30  # of the log: its newest segments


class LostRing(NamedTuple):
    """What the log knows of it."""

    store: str
    last_seq: int  # up to which the database has it
    records: np.ndarray  # SIGNAL_DTYPE behind that, in their order

    @property
    def end_seq(self) -> int:
        """Up to which it is reflected when these are."""
        return int(self.records["seq"][-1])


def name_of(instance_id: int) -> str:
    """Of a store, among the streams of which the database keeps positions."""
    return f"store {instance_id:016x}"


def lost_ring(folder: Path, reflected: Mapping[str, int]) -> LostRing | None:
    """Of the newest store that is both in the log and in `reflected`: its signals behind the last
    that is reflected; None: there are none. Raises OSError."""
    try:
        links = [link for link in reader.chain(folder) if link.whole]
    except SpreadError:
        return None
    stores = [name_of(int(link.head["instance_id"])) for link in links]
    store = next((one for one in reversed(stores) if one in reflected), None)
    if store is None:
        return None
    of_store = [link for link, one in zip(links, stores, strict=True) if one == store]
    parts = [np.zeros(0, SIGNAL_DTYPE), *reversed([*_behind(of_store, reflected[store])])]
    records = np.concatenate(parts)
    return LostRing(store, reflected[store], records) if len(records) else None


def _behind(links: list[Link], last_seq: int) -> Iterator[np.ndarray]:
    """Signals behind that one by segment, the newest first, back to where it stands itself."""
    room = BYTES_MAX
    for link in reversed(links):
        found = signals_in(link)
        yield found[found["seq"] > last_seq]
        room -= int(link.head["segment_bytes"])
        if room <= 0 or (len(found) and found["seq"][0] <= last_seq):
            return
