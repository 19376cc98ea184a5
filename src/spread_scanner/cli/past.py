"""The commands that answer questions about the past: `history` shows, `export` writes a file.

A question that means nothing is exit code 2, one that cannot be answered here 1; each one line.
"""

import contextlib
import os
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from spread_scanner import config
from spread_scanner.cli import answers
from spread_scanner.cli.console import EXIT_CODES, Json, grid, people, print_json, size_text, text
from spread_scanner.history import asking
from spread_scanner.history.asking import NoAnswer
from spread_scanner.schema.figures import grouped
from spread_scanner.symbology.replacing import give_name
from spread_scanner.view.past import PastShown, why_none

SHOWN = 100
DIGITS = 8  # significant ones that people are shown

Question = Annotated[str, typer.Argument(help="SQL; docs/history.md has the views, and examples.")]

OfSymbol = Annotated[
    str | None,
    typer.Option(
        "--symbol",
        metavar="SYMBOL",
        help="Of this symbol alone: what is no Parquet yet is read in seconds, not in minutes.",
    ),
]
OfSources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="SOURCE",
        help="Ticks, books, candles and spreads of this source alone; again for more.",
    ),
]

LastTicks = Annotated[
    int | None,
    typer.Option(
        "--last",
        min=1,
        metavar="COUNT",
        help="So many ticks of each source, the last ones, and their spreads; with --symbol.",
    ),
]
UntilWhen = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="The last ones before this, which is UTC."),
]


class ExportFormat(StrEnum):
    PARQUET = "parquet"
    ARROW = "arrow"
    CSV = "csv"


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for name, command in (("history", history), ("export", export)):
        app.command(name, epilog=EXIT_CODES)(command)


@contextlib.contextmanager
def _answer(
    question: str,
    symbol: str | None,
    sources: list[str] | None,
    last: int | None,
    until: str | None,
) -> Iterator[Any]:
    """A relation. Raises WrongQuestion, NoAnswer; whatever reading it raises is one of them."""
    narrowed = asking.connect(symbol=symbol, sources=sources or (), last=last, until=until)
    with contextlib.closing(narrowed) as connection:
        import duckdb

        try:
            yield asking.ask(connection, question)
        except duckdb.Error as error:
            raise asking.refused(error) from None


def history(
    question: Question,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=1_000_000, help="So many rows at most.")
    ] = SHOWN,
    symbol: OfSymbol = None,
    source: OfSources = None,
    last: LastTicks = None,
    until: UntilWhen = None,
    as_json: Json = False,
) -> None:
    """Ask what the recorder has written down, as SQL."""
    with _answer(question, symbol, source, last, until) as relation:
        table = relation.limit(count + 1).to_arrow_table()
    more = len(table) > count
    columns = list(table.column_names)
    cells = [_values(column) for column in table.slice(0, count).columns]
    rows = [list(row) for row in zip(*cells, strict=True)]
    if as_json:
        print_json(PastShown(columns, rows, more))
        return
    out = people()
    out.print(grid("", columns, [map(_shown, row) for row in rows]))
    if not rows and (nothing := why_none(config.load())):
        out.print(nothing)
    if more:
        out.print(f"The first {count:,} rows; -n shows more, export all.")


def export(
    file: Annotated[Path, typer.Argument(help="Where the answer goes; must not exist.")],
    question: Question,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="parquet, arrow (IPC) or csv.")
    ] = ExportFormat.PARQUET,
    symbol: OfSymbol = None,
    source: OfSources = None,
    last: LastTicks = None,
    until: UntilWhen = None,
    as_json: Json = False,
) -> None:
    """Write the answer to a question into a file."""
    if os.path.lexists(file):
        raise _taken(file)
    made = file.with_name(f".{file.name}.made")
    try:
        with _answer(question, symbol, source, last, until) as relation:
            rows = _write(relation, made, form)
        give_name(made, file)
    except FileExistsError:
        raise _taken(file) from None
    except OSError as error:
        raise NoAnswer(f"nothing was exported: {error}", file=file) from None
    finally:
        with contextlib.suppress(OSError):
            made.unlink(missing_ok=True)
    size = file.stat().st_size
    if as_json:
        print_json(answers.Exported(str(file), rows, size))
    else:
        people().print(f"{rows:,} rows, {size_text(size)}, in {file}.")


def _taken(file: Path) -> NoAnswer:
    return NoAnswer("the file exists: an export takes nobody's place", file=file)


def _write(relation: Any, path: Path, form: ExportFormat) -> int:
    """All rows, some at a time; how many. Raises OSError."""
    import pyarrow as pa

    rows = 0
    with relation.to_arrow_reader() as reader:
        try:
            with _writer(path, reader.schema, form) as writer:
                for batch in reader:
                    writer.write_batch(batch)
                    rows += len(batch)
        except pa.ArrowException as error:
            raise NoAnswer(f"{form} cannot hold this answer: {error}") from None
    return rows


def _writer(path: Path, schema: Any, form: ExportFormat) -> Any:
    from pyarrow import csv, ipc, parquet

    if form is ExportFormat.PARQUET:
        return parquet.ParquetWriter(path, schema, compression="zstd")
    return ipc.new_file(path, schema) if form is ExportFormat.ARROW else csv.CSVWriter(path, schema)


def _values(column: Any) -> list[Any]:
    """For people and JSON: times as text, all their nanoseconds."""
    import pyarrow as pa

    if pa.types.is_temporal(column.type) and not pa.types.is_interval(column.type):
        column = column.cast(pa.string())
    return [_plain(value) for value in column.to_pylist()]


def _shown(value: Any) -> Any:
    """A cell for people. A column may hold anything, prices of a millionth too, of which two
    decimals show nothing."""
    if isinstance(value, list):
        return f"[{', '.join(text(_shown(one)) for one in value)}]"
    if isinstance(value, float) and abs(value) < 10**DIGITS:
        return grouped(value, DIGITS)
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
