"""The last quotes of one listing, by its names, from wherever they are: the last one in the store,
some more in the log, the rest in the history. Each layer is asked when the one before has too few.

Readers: any program that may read the data; one thread each. Needs the extra [history] for what is
in Parquet alone.
"""

import os
from pathlib import Path
from typing import Any, Self

import numpy as np

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.errors import Unusable
from spread_scanner.history import kept, units
from spread_scanner.history.gathered import source_called
from spread_scanner.history.kept import HistoryKind
from spread_scanner.history.lately import IdsByName, LatelyLogged
from spread_scanner.schema.names import HISTORY_FOLDER, WAL_FOLDER
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm import PriceStore
from spread_scanner.shm.faults import NoSegment
from spread_scanner.symbology import tables
from spread_scanner.symbology.written import symbol_as
from spread_scanner.wal.reader import NoLog


class Listings:
    """Of one system. Close it, or use it in a `with` block."""

    def __init__(self, settings: Settings | None = None) -> None:
        """Raises ConfigError."""
        self._settings = settings or config.load()
        self._log_folder = self._settings.data_dir / WAL_FOLDER
        self._history = self._settings.data_dir / HISTORY_FOLDER
        self._current = str(self._settings.generated_dir / tables.CURRENT)
        self._set, self._ids = "", dict[str, int]()
        self._store: PriceStore | None = None
        self._log: LatelyLogged | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store and of the log."""
        if self._store is not None:
            self._store.close()
        self._store = self._log = None

    def last(self, symbol: str, source: str, count: int = 1) -> np.ndarray:
        """QUOTE_DTYPE, the oldest first: the last `count` quotes and marks, or as many as there
        are. One is what the store shows. Raises Unusable, SegmentError, TableError, LogDamaged,
        NoAnswer, OSError."""
        of, symbol = source_called(source), symbol_as(symbol)
        if count < 1:
            raise Unusable("a count that cannot be", count=count, allowed="1 or more")
        if count == 1 and (shown := self._shown(of.source_id, symbol)) is not None:
            return shown
        standing = kept.read(self._history)
        # What is packed is in the history as well, where there is one, and that is faster.
        found = self._logged(of.source_id, symbol, count, packed=not standing.files)
        if len(found) >= count or not standing.files:
            return found
        # What is in both is taken from the history.
        since = _first_seq(self._log_folder, standing)
        found = self._logged(of.source_id, symbol, count, since)
        ticks = standing.of(HistoryKind.TICKS)
        files = [self._history / one.path for one in ticks if one.source == source]
        return np.concatenate([_kept_quotes(files, symbol, count - len(found)), found])

    def _shown(self, source_id: int, symbol: str) -> np.ndarray | None:
        """None: there is no store, or it has none."""
        if (symbol_id := self._ids_in_force().get(symbol)) is None:
            return None
        if self._store is not None and self._store.retired:
            self._store.close()
            self._store = None
        if self._store is None:
            try:
                self._store = PriceStore.attach(self._settings.config.system.namespace, timeout_s=0)
            except NoSegment:
                return None
        if source_id >= self._store.num_sources:  # a source of pools, where none is read
            return None
        quote = self._store.read(source_id, symbol_id)
        return None if quote is None else np.array([tuple(quote)], QUOTE_DTYPE)

    def _ids_in_force(self) -> IdsByName:
        """By the tables that `current` leads to; none, where there are none."""
        try:
            of = os.readlink(self._current)
        except OSError:
            return {}
        if of != self._set:
            self._ids = tables.load(self._settings.generated_dir).symbol_ids()
            self._set = of
        return self._ids

    def _logged(
        self, source_id: int, symbol: str, count: int, since: int = 0, *, packed: bool = True
    ) -> np.ndarray:
        try:
            if self._log is None:
                names = kept.read(self._history).symbols
                before = {name: symbol_id for symbol_id, name in names.items()}
                self._log = LatelyLogged(self._log_folder, before)
            found = self._log.last(source_id, symbol, count, since, packed=packed)["quote"]
        except NoLog:
            return np.zeros(0, QUOTE_DTYPE)
        return np.ascontiguousarray(found)


def _first_seq(log: Path, standing: kept.KeptHistory) -> int:
    """From which record on the log has what the history does not have."""
    try:
        left = units.left(log, standing)
    except NoLog:
        return 0
    return left[0].first_seq if left else 2**63


def _kept_quotes(files: list[Path], symbol: str, count: int) -> np.ndarray:
    """The last of a symbol in files of one source, the oldest first."""
    from spread_scanner.history.asking import MISSING, NoAnswer

    if count <= 0 or not files:
        return np.zeros(0, QUOTE_DTYPE)
    try:
        import pyarrow.parquet as pq

        from spread_scanner.history import columns
    except ImportError:
        raise NoAnswer(MISSING) from None
    found: list[Any] = []
    for path in reversed(files):
        table = pq.read_table(path, filters=[("symbol", "=", symbol)], partitioning=None)
        found.append(columns.quotes_of(table.slice(max(0, len(table) - count))))
        count -= len(found[-1])
        if count <= 0:
            break
    return np.concatenate(found[::-1])
