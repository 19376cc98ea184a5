"""How commands speak: tables and sentences for people, one JSON document for programs.

With --json a command prints exactly one JSON document on stdout (`signals --follow`, `decode`: one
a line); everything else, errors too, is for people. Absent numbers (NaN) are null in JSON and "-"
in tables.
"""

import math
import sys
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from spread_scanner.errors import SpreadError
from spread_scanner.schema.enums import SOURCE_BY_LABEL, Source, SwitchKind
from spread_scanner.shm.switched import Switched

EXIT_CODES = (
    "Exit codes: 0 done, 1 failed (the reason is printed), 2 bad settings or usage, "
    "3 done in part, 4 the system is not up."
)

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def people() -> Console:
    """Where tables go."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def print_json(document: object) -> None:
    """One line: a record as it is, or a plain document. NaN is null."""
    sys.stdout.write(msgspec.json.encode(document, enc_hook=_plain).decode() + "\n")
    sys.stdout.flush()


def _plain(value: object) -> object:
    """What JSON does not know: a number of numpy is a number, the rest is text."""
    return value.item() if isinstance(value, np.generic) else str(value)


def grid(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Table:
    """A table; columns whose name ends in '>' are numbers and stand to the right."""
    table = Table(title=title or None, title_justify="left", header_style="bold", box=None)
    for column in columns:
        right = column.endswith(">")
        table.add_column(column.rstrip(">"), justify="right" if right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*[text(cell) for cell in row])
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
        return f"{value:,.2f}" if abs(value) < 1_000 else f"{value:,.0f}"
    return str(value)


def duration(ns: float) -> str:
    """A time for people: three figures and a unit."""
    if math.isnan(ns):
        return "-"
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if abs(ns) >= size:
            return (
                f"{ns / size:.3g} {unit}" if abs(ns) < 1_000 * size else f"{ns / size:,.0f} {unit}"
            )
    return f"{ns:.0f} ns"


def age_text(seconds: float) -> str:
    """How long ago, for people."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def size_text(size: float | None) -> str:
    """Bytes for people."""
    if size is None:
        return "-"
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:,.1f} {unit}"
    return f"{size:.0f} B"


class UnknownSource(SpreadError):
    """A source that does not exist."""


def source_of(label: str) -> Source:
    """The source of that label; raises UnknownSource."""
    if label not in SOURCE_BY_LABEL:
        raise UnknownSource("no such source", source=label, allowed=", ".join(SOURCE_BY_LABEL))
    return SOURCE_BY_LABEL[label]


def switched_lines(standing: Iterable[Switched]) -> list[str]:
    """What is switched, a sentence each: by name, how long, by whom."""
    return [_switched_line(one) for one in standing]


def _switched_line(one: Switched) -> str:
    halted = one.kind == SwitchKind.HALT.name.lower()
    said = "Halted: no signal leaves the engine" if halted else f"Paused: {one.kind} {one.name}"
    if one.age_s is None:
        return f"{said}; by whom and since when is not known."
    by = f" by {one.user}" if one.user else ""
    command = f", {one.command}" if one.command else ""
    return f"{said}, for {age_text(one.age_s)},{by} (pid {one.pid}{command})."
