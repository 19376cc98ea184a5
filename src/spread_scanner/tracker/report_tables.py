"""The report on a terminal: tables of 80 columns, those of single pairs only when asked for."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from spread_scanner.tracker import report_text as text
from spread_scanner.tracker.report import Group, Report

WIDTH = 80
PAIRS_SHOWN = 20
EARNED = (
    "In bps of the spot ask paid. What converged is chosen by having paid; all others are marked "
    "at their last usable look. Spot fees are often taken in the coin bought: here they count as "
    "money, but the hedge is then short by that fee."
)
STOOD = (
    "Of the looks that count: both legs quoted anew, or sure to have been told of a change. "
    "left: the median result, had acting taken so long."
)
WORTH = (
    "net: at the first signal, median. mean, median, above 0: results of all, of which converged "
    "and others are the medians. a day: in the quote coin, each event once, with its first "
    "opportunity; one that is met in several directions counts in each."
)
SIZES = (
    "Results less what the size took off the net of the tops by both order books soon after the "
    "signal, way out included; each event once. Without two books there is no size but the tops'."
)
LIVES = (
    "conv., exp., gone: converged, expired, lost in a gap or out of the tables. half-life: by when "
    "half had converged; signal: by when the engine had withdrawn half."
)


def show(made: Report, console: Console, *, pairs: bool = False) -> None:
    """All of it; `pairs`: with the most frequent pairs."""
    console.print(f"Opportunities opened {text.period(made)}")
    for line in text.simulated(made):
        console.print(line, style="bold yellow")
    total, groups = made.total, [made.total, *made.directions]
    outcomes = text.outcome_lines(total)
    _print(console, "What a trade would have earned", text.OUTCOME_HEADINGS, outcomes, EARNED)
    for line in text.money_sentences(made):
        console.print(line)
    if sizes := text.size_lines(total):
        _print(console, "By size, in the quote coin", text.SIZE_HEADINGS, sizes, SIZES)
    standing = text.standing_lines(total)
    _print(console, "Still standing after", text.STANDING_HEADINGS, standing, STOOD)
    worth = [[text.name_of(group), *text.worth_cells(group)] for group in groups]
    _print(console, "By direction: earned", text.WORTH_HEADINGS, worth, WORTH)
    lives = [[text.name_of(group), *text.life_cells(group)] for group in groups]
    _print(console, "By direction: lives", text.LIFE_HEADINGS, lives, LIVES)
    if pairs:
        often = [[text.name_of(group), *text.pair_cells(group)] for group in _often(made)]
        _print(console, f"The {len(often)} most frequent pairs", text.PAIR_HEADINGS, often)
    _print(console, "How far to trust this", (), text.quality_rows(made))


def _often(made: Report) -> Sequence[Group]:
    return made.pairs[:PAIRS_SHOWN]


def _print(
    console: Console,
    title: str,
    headings: Sequence[str],
    lines: Iterable[Sequence[str]],
    said: str = "",
) -> None:
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        show_header=bool(headings),
    )
    rows = list(lines)
    table.add_column("", no_wrap=True, overflow="fold")  # neither key nor figure is shortened
    for heading in headings or [""] * (len(rows[0]) - 1 if rows else 0):
        table.add_column(heading, justify="right", no_wrap=True, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if said:
        console.print(said, style="dim")
