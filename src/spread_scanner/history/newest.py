"""What is in the log and not yet in the history, as Arrow streams that are made when they are asked
for: whoever asks about something else does not read the log. Of what is wanted, where not all is.

The log is looked at once, at the first question; what is recorded afterwards is not seen.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from spread_scanner.history import candles, columns, units
from spread_scanner.history.columns import RowStream
from spread_scanner.history.gathered import ALL, AskedFor, Gathered, NamedPiece
from spread_scanner.history.kept import HistoryKind, KeptHistory
from spread_scanner.wal.reader import NoLog

BEHIND_KEPT = 1 << 62  # the first row's arrival (views.ARRIVAL)


class Newest:
    """The log behind the history."""

    def __init__(self, log: Path, standing: KeptHistory, wanted: AskedFor = ALL) -> None:
        self._log, self._standing, self._wanted = log, standing, wanted

    @cached_property
    def _gathered(self) -> Gathered:
        kept = self._standing
        try:
            left = units.left(self._log, kept)
            return Gathered(left, kept.symbols, before=kept.end, wanted=self._wanted)
        except NoLog:
            return Gathered([], kept.symbols)

    def stream(self, kind: HistoryKind) -> RowStream:
        """All of one kind."""
        made: dict[HistoryKind, Callable[[], Iterable[pa.Table]]] = {
            HistoryKind.TICKS: self._ticks,
            HistoryKind.BOOKS: self._books,
            HistoryKind.BOOK_CHANGES: self._book_changes,
            HistoryKind.CANDLES_1S: lambda: self._candles(candles.SECOND_NS),
            HistoryKind.CANDLES_1M: lambda: self._candles(candles.MINUTE_NS),
            HistoryKind.SIGNALS: lambda: [columns.of_signals(*self._signals)],
            HistoryKind.FOLLOW_UPS: lambda: [columns.of_follow_ups(*self._signals)],
            HistoryKind.GAPS: lambda: [columns.of_gaps(self._gathered.gap_rows())],
        }
        schema, tables = columns.SCHEMAS[kind], made[kind]
        if kind not in columns.IN_ORDER:
            return RowStream(schema, tables)
        return RowStream(schema.append(columns.ARRIVAL), lambda: _in_order(tables()))

    def _of_sources(self) -> Iterator[tuple[int, np.ndarray]]:
        for source_id in self._gathered.source_ids(self._gathered.ticks):
            for rows in self._gathered.parts_of(source_id):
                yield source_id, rows

    def _ticks(self) -> Iterator[pa.Table]:
        for _, rows in self._of_sources():
            yield columns.of_ticks(rows, self._gathered.named.names)

    def _books(self) -> Iterator[pa.Table]:
        gathered = self._gathered
        for source_id in gathered.source_ids(gathered.books):
            rows, codes = gathered.of_source(gathered.books, source_id)
            yield columns.of_books(rows, codes, gathered.named.names)

    def _book_changes(self) -> Iterator[pa.Table]:
        gathered = self._gathered
        for source_id in gathered.source_ids(gathered.book_changes):
            rows, codes = gathered.of_source(gathered.book_changes, source_id)
            yield columns.of_book_changes(rows, codes, gathered.named.names)

    def _candles(self, period_ns: int) -> Iterator[pa.Table]:
        for source_id, rows in self._of_sources():
            made = candles.candles(rows, period_ns)
            yield columns.of_candles(made, source_id, self._gathered.named.names)

    @property
    def _signals(self) -> tuple[list[NamedPiece], list[str]]:
        return self._gathered.signals, self._gathered.named.names


def _in_order(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """With the order of their rows as a column."""
    first = BEHIND_KEPT
    for table in tables:
        arrival = pa.array(np.arange(first, first + len(table)))
        yield table.append_column(columns.ARRIVAL, arrival)
        first += len(table)
