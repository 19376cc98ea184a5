"""How commands speak: tables and sentences for people, one JSON document for programs.

With --json a command prints exactly one JSON document on stdout (`signals --follow`, `decode`: one
a line); everything else, errors too, is for people. Absent numbers (NaN) are null in JSON and "-"
in tables.
"""

import math
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

import spread_scanner
from spread_scanner.cli import legends
from spread_scanner.errors import SpreadError
from spread_scanner.runtime import output
from spread_scanner.schema.enums import SwitchKind
from spread_scanner.schema.figures import lasting
from spread_scanner.shm.switched import Switched

EXIT_CODES = (
    "Exit codes: 0 done, 1 failed (the reason is printed), 2 bad settings or usage, "
    "3 done in part, 4 the system is not up."
)

PIPE_WIDTH = 200  # every table fits in
HANGING = 4  # by how much what goes on below stands further in

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def people() -> Console:
    """Where tables go. A pipe has no width to fit: there they are as wide as they need be.

    No text is markup: what an exchange or a person has named [red] is shown so.
    """
    if sys.stdout.isatty():
        return Console(highlight=False, markup=False)
    width = None if os.environ.get("COLUMNS", "").isdigit() else PIPE_WIDTH
    pipe = output.trimmed()
    return Console(file=pipe, highlight=False, markup=False, soft_wrap=True, width=width)


def how_called() -> str:
    """How a person calls this command from another terminal: a checkout's is not on the PATH."""
    own = Path(spread_scanner.__file__).parents[2] / "spread-ctl"
    if shutil.which("spread-ctl") or not own.is_file():
        return "spread-ctl"
    return "./spread-ctl" if own.parent == Path.cwd() else str(own)


class NoScreen(SpreadError):
    """Stdout is no terminal, or one that cannot place a cursor."""


def on_screen() -> bool:
    """Whether a full-screen view can be drawn."""
    dumb = os.environ.get("TERM", "") in ("", "dumb", "unknown")
    return sys.stdout.isatty() and sys.stdin.isatty() and not dumb


def print_json(document: object) -> None:
    """One line: a record as it is, or a plain document. NaN is null. UTF-8 in every locale."""
    try:
        line = msgspec.json.encode(document, enc_hook=_plain)
    except UnicodeEncodeError:  # the name of a file may be no text
        line = msgspec.json.encode(_as_text(msgspec.to_builtins(document, enc_hook=_plain)))
    output.put(line + b"\n")


def _as_text(value: Any) -> Any:
    """Without halves of characters, which UTF-8 does not have."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_as_text(key): _as_text(one) for key, one in value.items()}
    return [_as_text(one) for one in value] if isinstance(value, list) else value


def _plain(value: object) -> object:
    """What JSON does not know: a number of numpy is a number, the rest is text."""
    return value.item() if isinstance(value, np.generic) else str(value)


GIVE_WAY = ("closed", "why closed")


def grid(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Table:
    """A table; columns whose name ends in '>' are numbers and stand to the right. Where there is no
    room for all, reasons (GIVE_WAY) end with a mark before any name does."""
    table = Table(title=title or None, title_justify="left", header_style="bold", box=None)
    gives_way = []
    for column in columns:
        right, gives = column.endswith(">"), column in GIVE_WAY
        table.add_column(
            column.rstrip(">"), justify="right" if right else "left", no_wrap=not gives
        )
        gives_way.append(gives)
    for row in rows:
        cells = [text(cell) for cell in row]
        table.add_row(
            *(
                Text(cell, no_wrap=True, overflow="ellipsis") if gives else cell
                for cell, gives in zip(cells, gives_way, strict=True)
            )
        )
    return table


def text(value: Any) -> str:
    """A cell: '-' for what is not known, thousands apart, at most two decimals."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:z,.2f}" if abs(value) < 1_000 else f"{value:z,.0f}"
    return str(value)


def legend(console: Console, meanings: dict[str, str], table: Table | None = None) -> None:
    """What the columns mean, for a person in front of a terminal; only those that a table has."""
    if not console.is_terminal:
        return
    if table is not None:
        heads = " ".join(str(column.header) for column in table.columns)
        meanings = legends.of_heads(meanings, heads)
    console.print(legends.lines(meanings), style="dim")


def say(console: Console, line: str | Text) -> None:
    """One line; what a terminal has no room for goes on below it, further in."""
    said = Text(line) if isinstance(line, str) else line
    if not console.is_terminal or said.cell_len <= console.width:
        console.print(said)
        return
    first = said.wrap(console, console.width)[0]
    further = cell_len(said.plain) - cell_len(said.plain.lstrip()) + HANGING
    begins = len(first) + len(said.plain[len(first) :]) - len(said.plain[len(first) :].lstrip())
    left = said[begins:].wrap(console, console.width - further)
    for part in left:
        part.pad_left(further)
    for part in (first, *left):
        part.rstrip()
        console.print(part)


def size_text(size: float | None) -> str:
    """Bytes for people."""
    if size is None:
        return "-"
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:z,.1f} {unit}"
    return f"{size:z.0f} B"


def switched_lines(standing: Iterable[Switched]) -> list[str]:
    """What is switched, a sentence each: by name, how long, by whom."""
    return [_switched_line(one) for one in standing]


def _switched_line(one: Switched) -> str:
    halted = one.kind == SwitchKind.HALT.name.lower()
    said = "Halted: no signal leaves the engine" if halted else f"Paused: {one.kind} {one.name}"
    if one.age_s is None:
        return f"{said}; by whom and since when is not known."
    by = f", by {one.user}" if one.user else ""
    known = [f"pid {one.pid}"] * bool(one.pid) + [one.command] * bool(one.command)
    how = f" ({', '.join(known)})" if known else ""
    return f"{said}, for {lasting(max(0.0, one.age_s))}{by}{how}."
