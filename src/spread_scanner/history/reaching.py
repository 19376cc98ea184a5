"""How far back a question about one symbol goes: which files of ticks it opens, of the sources that
it asks for, the newest first.

A spread needs of each leg what stood when it begins, however old that is: files are opened back to
one that has it, and not all that are kept; and as far as they reach into each other: the last mark
of one may have been written down behind the first quote of the next.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

from spread_scanner.history.gathered import AskedFor
from spread_scanner.history.kept import KeptFile


def reached(folder: Path, files: Sequence[KeptFile], wanted: AskedFor) -> list[KeptFile]:
    """Of these files of ticks, the oldest first, those that are opened, in their order: by it rows
    of one time have the order that they have among all. Raises OSError, pa.ArrowException."""
    files = [file for file in files if not wanted.sources or file.source in wanted.sources]
    if wanted.symbol is None or (wanted.last is None and wanted.since_ns is None):
        return files
    border_ns = wanted.since_ns if wanted.last is None else wanted.until_ns
    found: set[KeptFile] = set()
    by_source: dict[str, list[KeptFile]] = {}
    for file in files:
        by_source.setdefault(file.source, []).append(file)
    for of_source in by_source.values():
        needed, oldest_ns = 1 if wanted.last is None else wanted.last, sys.maxsize
        for file in reversed(of_source):
            ts = _times_of(folder / file.path, wanted.symbol)
            if needed <= 0 and (not len(ts) or ts[-1] <= oldest_ns):
                break
            found.add(file)
            needed -= len(ts) if border_ns is None else int((ts < border_ns).sum())
            oldest_ns = min([oldest_ns, *ts[:1]])
    return [file for file in files if file in found]


def _times_of(path: Path, symbol: str) -> npt.NDArray[np.int64]:
    """When the symbol's ticks that a file has became so, the first one first."""
    table = pq.read_table(
        path,
        columns=["ts_mark", "ts_recv"],
        filters=[("symbol", "=", symbol)],
        partitioning=None,
    )
    ts: npt.NDArray[np.int64] = (
        pc.coalesce(table["ts_mark"], table["ts_recv"]).cast("int64").to_numpy()
    )
    return np.sort(ts)
