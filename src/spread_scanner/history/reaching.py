"""How far back a question about one symbol goes: which files of ticks it opens, of the sources that
it asks for, the newest first.

A spread needs of each leg what stood when it begins, however old that is: files are opened back to
one that has it, and not all that are kept. As recorded, which is by time unless somebody has set
the machine's clock back between two lives of the store.
"""

from collections.abc import Sequence
from pathlib import Path

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
    found: set[KeptFile] = set()
    by_source: dict[str, list[KeptFile]] = {}
    for file in files:
        by_source.setdefault(file.source, []).append(file)
    for of_source in by_source.values():
        needed = 1 if wanted.last is None else wanted.last
        for file in reversed(of_source):
            if needed <= 0:
                break
            found.add(file)
            needed -= _before(folder / file.path, wanted)
    return [file for file in files if file in found]


def _before(path: Path, wanted: AskedFor) -> int:
    """How many ticks of the symbol a file has from before what is asked for ends, or begins."""
    border_ns = wanted.since_ns if wanted.last is None else wanted.until_ns
    table = pq.read_table(
        path,
        columns=["ts_mark", "ts_recv"],
        filters=[("symbol", "=", wanted.symbol)],
        partitioning=None,
    )
    if border_ns is None:
        return len(table)
    ts = pc.coalesce(table["ts_mark"], table["ts_recv"]).cast("int64")
    return int(pc.sum(pc.less(ts, border_ns)).as_py() or 0)
