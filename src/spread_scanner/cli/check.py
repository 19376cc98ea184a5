"""The commands that check: decode recorded frames, doctor."""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from spread_scanner import config
from spread_scanner.cli.answers import Examined
from spread_scanner.cli.console import (
    EXIT_CODES,
    Json,
    people,
    print_json,
    source_of,
)
from spread_scanner.errors import SpreadError
from spread_scanner.schema.names import EXIT_DONE, EXIT_FAILED
from spread_scanner.schema.version import version
from spread_scanner.symbology import tables


class UnreadableFile(SpreadError):
    """A file that cannot be read."""


def add_to(app: typer.Typer) -> None:
    """Register the commands of this module."""
    for name, command in (("decode", decode), ("doctor", doctor)):
        app.command(name, epilog=EXIT_CODES)(command)


def decode(
    file: Annotated[Path, typer.Argument(help="Recorded frames; - for stdin.")],
    source: Annotated[str, typer.Option(help="Whose frames they are.")],
    with_tables: Annotated[
        bool, typer.Option("--tables", help="Normalise by the tables in force.")
    ] = False,
) -> None:
    """Recorded frames to normalised quotes, one JSON object a line; what was skipped to stderr."""
    from spread_scanner.exchanges.decode import decode_lines, frames_in

    named = source_of(source)
    scales = None
    if with_tables:
        listed = tables.load(config.load().generated_dir).of_source(named.source_id)
        scales = {row.exchange_symbol: (row.symbol_id, row.px_div, row.sz_mul) for row in listed}
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}", file=file) from None
    skipped: Counter[str] = Counter()
    count = 0
    for row in decode_lines(named, frames_in(named, data), scales, skipped):
        print_json(row)
        count += 1
    left_out = ", ".join(f"{number} {reason}" for reason, number in skipped.items()) or "none"
    sys.stderr.write(f"{count} quotes; skipped: {left_out}\n")


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not call the exchanges.")] = False,
    as_json: Json = False,
) -> None:
    """Machine, limits, shared memory, clocks, settings, exchanges: what is wrong and what to do."""
    from spread_scanner.cli.doctor import FAIL, examine

    checks = examine(reach=not offline)
    failed = [check.name for check in checks if check.result == FAIL]
    if as_json:
        print_json(Examined(version(), not failed, failed, checks))
    else:
        console = people()
        styles = {"ok": "green", "warn": "yellow", FAIL: "bold red"}
        for check in checks:
            style = styles[check.result]
            console.print(f"[{style}]{check.result:4}[/]  {check.name:26} {check.found}")
            if check.advice:
                console.print(f"      {'':26} -> {check.advice}", style="italic")
    raise typer.Exit(EXIT_FAILED if failed else EXIT_DONE)
