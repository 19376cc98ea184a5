"""`spread-tracker report`: the report as a table, as JSON, or as a page; on demand and hourly.

Hourly it is a unit of its own (spread-report.timer), so that neither its memory nor its end is the
tracker's.

Reads the database read-only, also while the tracker writes it. Exit code 1 when there is nothing
to report from, or nowhere to put it; 2 for bad settings or usage.
"""

import contextlib
import os
import re
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from spread_scanner import clock, config
from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import ConfigError, SpreadError, Unusable
from spread_scanner.runtime import output
from spread_scanner.schema.moments import moment_ns
from spread_scanner.schema.names import (
    DATABASE_FILE,
    EXIT_FAILED,
    EXIT_SETTINGS,
    REPORTS_FOLDER,
    TRACKER,
)
from spread_scanner.tracker import database, report, report_page, report_tables
from spread_scanner.tracker import report_options as options
from spread_scanner.tracker.database import DatabaseError
from spread_scanner.tracker.report import Report

REPORTS_KEPT = 24 * 7
REPORTS_BYTES_MAX = config.Tracker().reports_mb_max * 1e6
PAIRS_KEPT = 300  # in a kept report: a page or its JSON stays below 1 MB
HOURLY_SINCE = "24h"
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class CannotWrite(SpreadError):
    """A report cannot be put where it is wanted."""


app = typer.Typer(add_completion=False, no_args_is_help=True)


@app.callback()
def _group_of_commands() -> None:
    """Follows signals as opportunities. Without a command it is the process itself."""


@app.command("report")
def report_command(
    since: options.Since = "all",
    html: options.Html = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    database_file: options.DatabaseFile = None,
    folder: options.Folder = None,
    hourly: options.Hourly = False,
    pairs: options.Pairs = False,
) -> None:
    """What became of the opportunities, what trades would have earned, how far to trust that."""
    try:
        tell(since, html, database_file, folder, as_json=json, hourly=hourly, pairs=pairs)
    except SpreadError as error:
        sys.stderr.write(f"{error}\n")
        wrong = isinstance(error, ConfigError | Unusable)
        raise typer.Exit(EXIT_SETTINGS if wrong else EXIT_FAILED) from None


def tell(
    since: str,
    html: Path | None,
    database_file: Path | None,
    folder: Path | None,
    *,
    as_json: bool,
    hourly: bool,
    pairs: bool = False,
) -> None:
    """Make a report and put it where it is wanted. Raises SpreadError."""
    now_ns = clock.wall_ns()
    bytes_max = REPORTS_BYTES_MAX
    cap_quote = report.SIZE_CAP_QUOTE
    if hourly:
        settings = config.load()
        database_file = settings.data_dir / DATABASE_FILE
        if settings.config.spread_tracker.report_every_s == 0 or not database_file.is_file():
            return  # not wanted, or nothing has been tracked yet
        since, folder = HOURLY_SINCE, settings.data_dir / REPORTS_FOLDER
        bytes_max = settings.config.spread_tracker.reports_mb_max * 1e6
    since_ns = parse_since(since, now_ns)
    if hourly or database_file is None:
        settings = config.load()
        cap_quote = settings.config.spread_tracker.size_cap_quote
        database_file = settings.data_dir / DATABASE_FILE
    path = database_file
    try:
        with contextlib.closing(database.read_only(path)) as connection:
            # A little into the future: the session clock may stand ahead of a wall clock set back.
            made = report.make(connection, since_ns, now_ns + 3_600 * NS_PER_S, cap_quote)
    except sqlite3.Error as error:
        raise DatabaseError(f"the database cannot be read: {error}", file=path) from None
    made = msgspec.structs.replace(made, until_ns=now_ns)
    if html is not None:
        _put(html, report_page.page(made))
        if sys.stdout.isatty() and str(html) != "-" and not as_json:
            output.put(f"Wrote {html}.\n".encode(errors="replace"))
    if folder is not None:
        try:
            _keep(folder, made, bytes_max)
        except OSError as error:
            raise CannotWrite(f"cannot be written: {error.strerror}", folder=folder) from None
    if as_json:
        output.put(msgspec.json.encode(made) + b"\n")
    elif html is None and folder is None:
        # Into a pipe there is no width to fit; take the one that every table fits in.
        on_terminal = sys.stdout.isatty()
        console = (
            Console() if on_terminal else Console(file=output.trimmed(), width=report_tables.WIDTH)
        )
        report_tables.show(made, console, pairs=pairs)


def _put(path: Path, page: str) -> None:
    if str(path) == "-":
        output.put(page.encode())
        return
    try:
        _write(path, page)
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        raise CannotWrite(f"cannot be written: {error}", file=path) from None


def parse_since(text: str, now_ns: int) -> int:
    """The start of the period, in ns since 1970 UTC."""
    return 0 if text == "all" else parse_moment(text, now_ns, "since", "or all")


def parse_moment(text: str, now_ns: int, asked: str, also: str) -> int:
    """So long ago, or a date or time, in ns since 1970 UTC.

    Raises Unusable, by the name of what was asked for and what else it may be.
    """
    if span := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhd])", text):
        back_s = float(span[1]) * _UNITS_S[span[2]]
        return now_ns - int(back_s * NS_PER_S) if back_s * NS_PER_S < now_ns else 0
    try:
        return moment_ns(text)
    except ValueError:
        raise Unusable(
            "cannot read the time",
            **{asked: text},
            allowed=f"90s, 30m, 24h, 7d, an ISO date or time, {also}",
        ) from None


def _write(path: Path, text: str) -> None:
    """Replace a file in one step: a reader sees the old page or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _keep(folder: Path, made: Report, bytes_max: float) -> None:
    """One report named by its time, and `latest`; the oldest make room."""
    stamp = datetime.fromtimestamp(made.until_ns / NS_PER_S, UTC).strftime("%Y%m%dT%H%M%SZ")
    made = msgspec.structs.replace(made, pairs=made.pairs[:PAIRS_KEPT])
    page, numbers = report_page.page(made), msgspec.json.encode(made).decode()
    for name in (f"report-{stamp}", "latest"):
        _write(folder / f"{name}.html", page)
        _write(folder / f"{name}.json", numbers)
    prune(folder, bytes_max)


def prune(folder: Path, bytes_max: float) -> None:
    """Keep the newest REPORTS_KEPT reports, fewer if they are larger than that together; one stays.
    What a killed one left half written goes, too."""
    for half in folder.glob(".*.html.*"), folder.glob(".*.json.*"):
        for path in half:
            path.unlink(missing_ok=True)
    taken = 0.0
    stems = sorted({path.stem for path in folder.glob("report-*.*")}, reverse=True)
    for number, stem in enumerate(stems):
        files = list(folder.glob(f"{stem}.*"))
        taken += sum(path.stat().st_size for path in files)
        if number and (number >= REPORTS_KEPT or taken > bytes_max):
            for path in files:
                path.unlink(missing_ok=True)


if __name__ == "__main__":
    app(prog_name=TRACKER)
