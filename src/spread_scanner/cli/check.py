"""The commands that check: decode recorded frames, doctor."""

import gzip
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from spread_scanner import config
from spread_scanner.cli.answers import Examined
from spread_scanner.cli.console import (
    EXIT_CODES,
    Json,
    people,
    print_json,
)
from spread_scanner.errors import SpreadError
from spread_scanner.schema.names import EXIT_DONE, EXIT_FAILED
from spread_scanner.schema.version import version
from spread_scanner.symbology import tables
from spread_scanner.view.sources import source_of

GZIP = b"\x1f\x8b"
# What frames are kept in, by what stands where.
NO_RECORDINGS = (
    ("a zstd file", 0, b"\x28\xb5\x2f\xfd"),
    ("an xz file", 0, b"\xfd7zXZ\x00"),
    ("a bzip2 file", 0, b"BZh"),
    ("an lz4 file", 0, b"\x04\x22\x4d\x18"),
    ("a zip archive", 0, b"PK\x03\x04"),
    ("a tar archive", 257, b"ustar"),
    ("a gzip file in a gzip file", 0, GZIP),
    ("a Parquet file", 0, b"PAR1"),
    ("a database", 0, b"SQLite format 3\x00"),
)


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
    _as_json: Json = False,
) -> None:
    """Recorded frames to normalised quotes, one JSON object a line, with --json and without; what
    was skipped to stderr. Exit 1 if nothing in the file is a frame of the source."""
    from spread_scanner.exchanges.decode import BAD_MESSAGE, decode_lines, frames_in

    named = source_of(source)
    scales = None
    if with_tables:
        listed = tables.load(config.load().generated_dir).of_source(named.source_id)
        scales = {row.exchange_symbol: (row.symbol_id, row.px_div, row.sz_mul) for row in listed}
    data = recorded(file)
    skipped: Counter[str] = Counter()
    count = 0
    for row in decode_lines(named, frames_in(named, data), scales, skipped):
        print_json(row)
        count += 1
    if not count and set(skipped) == {BAD_MESSAGE}:
        raise UnreadableFile("no recording: no frame of the source", file=file, source=source)
    left_out = ", ".join(f"{number} {reason}" for reason, number in skipped.items()) or "none"
    sys.stderr.write(f"{count} {'quote' if count == 1 else 'quotes'}; skipped: {left_out}\n")


def recorded(file: Path) -> bytes:
    """What stands in a file of frames; gzip is opened. Raises UnreadableFile."""
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except (OSError, ValueError) as error:  # a name with a zero byte is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise UnreadableFile(f"cannot be read: {reason}", file=file) from None
    if data.startswith(GZIP):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableFile(f"a damaged gzip file: {error}", file=file) from None
    if not data.strip():
        raise UnreadableFile("no recording: nothing is in it", file=file)
    for kind, at, magic in NO_RECORDINGS:
        if data[at : at + len(magic)] == magic:
            raise UnreadableFile(f"no recording but {kind}: unpack it first", file=file)
    return data


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
            found = Text(f"  {check.name:26} {check.found}")
            console.print(Text.assemble((f"{check.result:4}", style), found))
            if check.advice:
                advice = f"      {'':26} -> {check.advice}"
                console.print(advice, style="italic", markup=False)
    raise typer.Exit(EXIT_FAILED if failed else EXIT_DONE)
