"""Hours of a day that is over become one file of each kind and source: a question opens some thirty
files a day, not seven hundred.

By the compaction's child, under its lock (compact.py). What is sorted by symbol is merged by
symbol, of one symbol in the order of the hours; the rest is laid end to end. A file is written a
piece at a time, read back and compared with the hours by value before the list names it in their
place. Theirs stay on the disk until the next compaction: who has opened them reads on.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path, PurePath

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from spread_scanner.history.gathered import ROWS_AT_ONCE
from spread_scanner.history.kept import HistoryKind, KeptFile, KeptHistory

SORTED = (HistoryKind.TICKS, HistoryKind.BOOKS, HistoryKind.BOOK_CHANGES)
AT_ONCE = 16_384  # rows of each hour that are held
ABOUT = b"spread-scanner"
_WHOLE = "-day.parquet"


class About(msgspec.Struct):
    """What a file of ticks says of itself."""

    first_number: int
    last_number: int
    segments: list[tuple[int, int]]


def due(kept: KeptHistory) -> list[list[KeptFile]]:
    """What is to become one file each, the oldest day first: hours of days before the newest, in
    their order. What was merged stays as it is, also where an hour came later."""
    folders: dict[str, list[KeptFile]] = {}
    for file in sorted(kept.files, key=lambda file: file.path):
        if not file.path.endswith(_WHOLE):
            folders.setdefault(str(PurePath(file.path).parent), []).append(file)
    newest = max((_day(file.path) for file in kept.files), default="")
    groups = [files for files in folders.values() if len(files) > 1]
    return sorted(
        (files for files in groups if _day(files[0].path) < newest),
        key=lambda files: _day(files[0].path),
    )


def _day(path: str) -> str:
    return PurePath(path).parts[1]


def path_of(files: Sequence[KeptFile]) -> Path:
    """Where their one file goes, below the folder: in their order by name."""
    first = Path(files[0].path)
    return first.with_name(first.stem + _WHOLE)


def schema_of(folder: Path, files: Sequence[KeptFile]) -> pa.Schema:
    """The columns of all of them: hours of an older version have fewer. Raises OSError,
    pa.ArrowException."""
    found = [pq.read_schema(folder / file.path).remove_metadata() for file in files]
    return pa.unify_schemas(found)


def rows_of(folder: Path, files: Sequence[KeptFile]) -> Iterator[pa.Table]:
    """All rows in the order of the one file, ROWS_AT_ONCE at a time; null where an hour does not
    have a column. Raises OSError, pa.ArrowException."""
    schema = schema_of(folder, files)
    hours = [_HourRows(folder / file.path, schema) for file in files]
    parts = _by_symbol(hours) if files[0].kind in SORTED else _end_to_end(hours)
    held: list[pa.Table] = []
    many = 0
    for part in parts:
        held.append(part)
        many += len(part)
        while many >= ROWS_AT_ONCE:
            whole = pa.concat_tables(held)
            yield _joined(whole.slice(0, ROWS_AT_ONCE))
            held, many = [whole.slice(ROWS_AT_ONCE)], many - ROWS_AT_ONCE
    if many:
        yield _joined(pa.concat_tables(held))


def about(folder: Path, files: Sequence[KeptFile]) -> dict[bytes, bytes]:
    """What the one file says of itself. Raises OSError, pa.ArrowException, msgspec.DecodeError."""
    said = [pq.read_metadata(folder / file.path).metadata or {} for file in files]
    known = [msgspec.json.decode(one[ABOUT], type=About) for one in said if ABOUT in one]
    if not known:
        return {}
    of = About(
        min(one.first_number for one in known),
        max(one.last_number for one in known),
        [segment for one in known for segment in one.segments],
    )
    return {ABOUT: msgspec.json.encode(of)}


def differs(back: pq.ParquetFile, folder: Path, files: Sequence[KeptFile]) -> str:
    """The first column that is not what the hours have; empty: all are."""
    groups = (back.read_row_group(group) for group in range(back.num_row_groups))
    for found, expected in zip_longest(groups, rows_of(folder, files)):
        if found is None or expected is None:
            return "number of rows"
        if wrong := columns_differ(found, expected):
            return wrong
    return ""


def columns_differ(back: pa.Table, table: pa.Table) -> str:
    """The first column that is another; empty: none is."""
    for name in table.column_names:
        if not _plain(back[name]).equals(_plain(table[name])):
            return str(name)
    return ""


def _plain(column: pa.ChunkedArray) -> pa.Array:
    """Names as text, in one piece."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    return column.combine_chunks()


class _HourRows:
    """One hour's file, some rows at a time, with the columns of all."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._batches = pq.ParquetFile(path).iter_batches(AT_ONCE)
        self._rest: pa.Table | None = None

    @property
    def rest(self) -> pa.Table | None:
        """What is left of the rows that are held, or the next ones; None: it is at its end."""
        while self._rest is None or not len(self._rest):
            batch = next(self._batches, None)
            if batch is None:
                return None
            self._rest = _filled(pa.Table.from_batches([batch]), self._schema)
        return self._rest

    @property
    def symbol(self) -> str | None:
        """Of the next row."""
        return None if self.rest is None else str(self.rest["symbol"][0].as_py())

    def take(self, symbol: str) -> Iterator[pa.Table]:
        """The rows of a symbol that stand next."""
        while self.symbol == symbol:
            rest = self.rest
            assert rest is not None
            codes = rest["symbol"].combine_chunks().indices.to_numpy()
            others = (codes != codes[0]).nonzero()[0]
            end = int(others[0]) if len(others) else len(rest)
            self._rest = rest.slice(end)
            yield rest.slice(0, end)


def _by_symbol(hours: list[_HourRows]) -> Iterator[pa.Table]:
    while symbols := [one.symbol for one in hours if one.symbol is not None]:
        symbol = min(symbols)
        for one in hours:
            yield from one.take(symbol)


def _end_to_end(hours: list[_HourRows]) -> Iterator[pa.Table]:
    for one in hours:
        while (rest := one.rest) is not None:
            one._rest = None
            yield rest


def _filled(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """With null in what it does not have."""
    for field in schema:
        if field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(len(table), field.type))
    return table.select(schema.names)


def _joined(table: pa.Table) -> pa.Table:
    """With one list of names a column."""
    return table.unify_dictionaries().combine_chunks()
