"""The compaction: hours of the log that are over become Parquet. A process of its own, as pyarrow
is large; the recorder starts one when there is something to do, anybody may.

Each file is written under a name that nobody reads, synced, read back and compared value by value
with the rows that it was made of, and renamed; when all of a part are there, the list of what is
kept (kept.py) names them. Killed at any instant it leaves files that the next one removes.
"""

import os
import shutil
import sys
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import NoReturn

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import SpreadError
from spread_scanner.history import candles, columns, kept, merging, units
from spread_scanner.history.gathered import ROWS_AT_ONCE, Gathered
from spread_scanner.history.kept import HistoryKind, KeptFile, KeptHistory
from spread_scanner.history.units import HOUR_NS, LogPart
from spread_scanner.schema.names import EXIT_DONE, EXIT_FAILED, EXIT_SETTINGS
from spread_scanner.symbology import replacing
from spread_scanner.wal.priority import give_way

DICTIONARY_BYTES = 2 << 20
PERIODS = (
    (HistoryKind.CANDLES_1S, candles.SECOND_NS),
    (HistoryKind.CANDLES_1M, candles.MINUTE_NS),
)
# Few prices and sizes occur within a symbol; times and ids grow.
DICTIONARIES = ["source", "symbol", "direction", "kind", "what", "why", "flags", "epoch"]
DICTIONARIES += ["side", "px", "sz"]
DICTIONARIES += [*columns.PRICES, *(f"{name}.list.element" for name in columns.PRICES)]
GROWING = ("ts_recv", "ts_mark", "ts_event", "ts_event_ns", "update_id", "ts", "first_ts")


class NotAsWritten(SpreadError):
    """A file does not hold what it was made of."""


class NotMerged(SpreadError):
    """Hours of a day stay as they are: they cannot be read, or not written once more."""


class Compaction:
    """Of one log into one folder, which is held meanwhile."""

    def __init__(self, log: Path, folder: Path) -> None:
        self._log, self._folder = log, folder
        self._kept = kept.read(folder)
        kept.clear_leftovers(folder, self._kept)

    def run(self, parts: list[LogPart]) -> list[KeptFile]:
        """Compact these; what was written. Raises NotAsWritten, OSError."""
        made: list[KeptFile] = []
        for part in parts:
            made += self._part(part)
        return made

    def _part(self, part: LogPart) -> list[KeptFile]:
        gathered = Gathered(part.links, self._kept.symbols, part.end, self._kept.end)
        files: list[KeptFile] = []
        of_candles: dict[HistoryKind, list[pa.Table]] = {
            HistoryKind.CANDLES_1S: [],
            HistoryKind.CANDLES_1M: [],
        }
        names = gathered.named.names
        for source_id in gathered.source_ids(gathered.ticks):
            files.append(self._ticks(part, source_id, gathered))
            for rows in gathered.parts_of(source_id):
                for kind, period_ns in PERIODS:
                    made = candles.candles(rows, period_ns)
                    of_candles[kind].append(columns.of_candles(made, source_id, names))
        for kind, pieces, of in (
            (HistoryKind.BOOKS, gathered.books, columns.of_books),
            (HistoryKind.BOOK_CHANGES, gathered.book_changes, columns.of_book_changes),
        ):
            for source_id in gathered.source_ids(pieces):
                table = of(*gathered.of_source(pieces, source_id), names)
                source = columns.SOURCE_NAMES[source_id]
                files.append(self._write(part, kind, table, source))
        others = {kind: pa.concat_tables(tables) for kind, tables in of_candles.items() if tables}
        others[HistoryKind.SIGNALS] = columns.of_signals(gathered.signals, names)
        others[HistoryKind.FOLLOW_UPS] = columns.of_follow_ups(gathered.signals, names)
        others[HistoryKind.GAPS] = columns.of_gaps(gathered.gap_rows())
        for kind, table in others.items():
            if len(table):
                files.append(self._write(part, kind, table))
        self._list(part, files, gathered.named.symbols)
        return files

    def _list(self, part: LogPart, files: list[KeptFile], symbols: dict[int, str]) -> None:
        """Put in force: segments that the log does not have any more need not be known."""
        there = {units.key_of(link) for link in units.left(self._log, KeptHistory())}
        segments = {*self._kept.segments, *map(units.key_of, part.links)} & there
        self._kept = msgspec.structs.replace(
            self._kept,
            segments=tuple(sorted(segments)),
            files=(*self._kept.files, *files),
            symbols=symbols,
            end=part.end,
        )
        kept.write(self._folder, self._kept)

    def _ticks(self, part: LogPart, source_id: int, gathered: Gathered) -> KeptFile:
        """Of one source: some rows at a time are made, written, and made again to be compared."""
        names = gathered.named.names
        path = self._path(part, HistoryKind.TICKS, columns.SOURCE_NAMES[source_id])
        made = path.with_suffix(".parquet.made")
        first, last = 2**64, 0
        with _writer(made, columns.TICKS) as writer:
            for rows in gathered.parts_of(source_id):
                writer.write_table(columns.of_ticks(rows, names))
                first = min(first, int(rows["number"].min()))
                last = max(last, int(rows["number"].max()))
            about = merging.About(first, last, [units.key_of(link) for link in part.links])
            writer.add_key_value_metadata({merging.ABOUT: msgspec.json.encode(about)})
        with pq.ParquetFile(made) as back:
            groups = range(back.num_row_groups)
            for group, rows in zip_longest(groups, gathered.parts_of(source_id)):
                if group is None or rows is None:
                    self._refuse(made, path, "number of rows")
                if wrong := columns.ticks_differ(back.read_row_group(group), rows, names):
                    self._refuse(made, path, wrong)
            rows = back.metadata.num_rows
        return self._named(HistoryKind.TICKS, made, path, rows, part.hour_ns + HOUR_NS)

    def _write(
        self, part: LogPart, kind: HistoryKind, table: pa.Table, source: str = ""
    ) -> KeptFile:
        """One file, compared with what it was made of. Raises NotAsWritten, OSError."""
        path = self._path(part, kind, source)
        made = path.with_suffix(".parquet.made")
        with _writer(made, table.schema) as writer:
            writer.write_table(table, ROWS_AT_ONCE)
        if wrong := merging.columns_differ(pq.read_table(made, partitioning=None), table):
            self._refuse(made, path, wrong)
        return self._named(kind, made, path, len(table), part.hour_ns + HOUR_NS)

    def _path(self, part: LogPart, kind: HistoryKind, source: str) -> Path:
        """Where a file goes; its folder is there."""
        hour = datetime.fromtimestamp(part.hour_ns // NS_PER_S, UTC)
        folder = self._folder / kind / f"day={hour:%Y-%m-%d}"
        if source:
            folder /= f"source={source}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / f"{hour:%H}-{part.links[0].number:016}.parquet"

    def _refuse(self, made: Path, path: Path, wrong: str) -> NoReturn:
        made.unlink()
        raise NotAsWritten("a file read back is not what was written", file=path, wrong=wrong)

    def merge(self) -> list[KeptFile]:
        """Days that are over, a file each; what was written. Where the disk has no room for both,
        hours stay as they are; also where it cannot be done, which keeps no other from it. Raises
        NotMerged when all others are done, OSError."""
        made: list[KeptFile] = []
        failed: NotMerged | None = None
        for files in merging.due(self._kept):
            if shutil.disk_usage(self._folder).free <= 2 * sum(file.bytes for file in files):
                continue
            try:
                made.append(self._merged(files))
            except (NotAsWritten, OSError, pa.ArrowException, msgspec.DecodeError) as error:
                first = self._folder / files[0].path
                failed = failed or NotMerged(f"hours stay as they are: {error}", first=first)
        if failed is not None:
            raise failed
        return made

    def _merged(self, files: list[KeptFile]) -> KeptFile:
        path = self._folder / merging.path_of(files)
        made = path.with_suffix(".parquet.made")
        with _writer(made, merging.schema_of(self._folder, files)) as writer:
            for table in merging.rows_of(self._folder, files):
                writer.write_table(table, ROWS_AT_ONCE)
            writer.add_key_value_metadata(merging.about(self._folder, files))
        with pq.ParquetFile(made) as back:
            if wrong := merging.differs(back, self._folder, files):
                self._refuse(made, path, wrong)
            rows = back.metadata.num_rows
        newest_ns = max(file.newest_ns for file in files)
        whole = self._named(files[0].kind, made, path, rows, newest_ns)
        left = [file for file in self._kept.files if file not in files]
        self._kept = msgspec.structs.replace(self._kept, files=(*left, whole))
        kept.write(self._folder, self._kept)
        return whole

    def _named(
        self, kind: HistoryKind, made: Path, path: Path, rows: int, newest_ns: int
    ) -> KeptFile:
        """A file that is what was written, on the disk under its name."""
        file = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(file)
        finally:
            os.close(file)
        made.rename(path)
        replacing.sync_folder(path.parent)
        place = str(path.relative_to(self._folder))
        return KeptFile(place, kind, rows, path.stat().st_size, newest_ns)


def _writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=3,
        use_dictionary=DICTIONARIES,
        column_encoding={name: "DELTA_BINARY_PACKED" for name in schema.names if name in GROWING},
        dictionary_pagesize_limit=DICTIONARY_BYTES,
    )


def compact(log: Path, folder: Path) -> list[KeptFile]:
    """Whatever can be compacted now, and days that are over; the hours that were written. Raises
    HistoryTaken, NoLog, NotAsWritten, NotMerged, OSError."""
    with kept.alone(folder):
        compaction = Compaction(log, folder)
        made = compaction.run(units.due(log, kept.read(folder)))
        compaction.merge()
        return made


def main(arguments: list[str]) -> int:
    """The child: the log's folder, the history's; one line of what was done or what was wrong."""
    if len(arguments) != 2:
        sys.stderr.write("two folders are needed: the log's and the history's\n")
        return EXIT_SETTINGS
    give_way()
    try:
        made = compact(Path(arguments[0]), Path(arguments[1]))
    except (SpreadError, OSError, pa.ArrowException) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    rows = sum(file.rows for file in made if file.kind is HistoryKind.TICKS)
    sys.stdout.write(f"{rows} ticks in {len(made)} files\n")
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
