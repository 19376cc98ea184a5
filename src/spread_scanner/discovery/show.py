"""How a run looks on a terminal: bars while it works, tables when it is done. All on stderr.

No text is markup: an exchange's words may have brackets.
"""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table

from spread_scanner.discovery.report import DiscoverySummary


def on_stderr() -> Console:
    """Where all of it goes."""
    return Console(stderr=True, markup=False)


class Bars:
    """One bar per source and phase; silent where stderr is no terminal."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, name: str, done: int, total: int, note: str = "") -> None:
        """Move a bar, or make it."""
        bar = self._bars.get(name)
        if bar is None:
            bar = self._bars[name] = self._progress.add_task(name, total=total, note=note)
        self._progress.update(bar, completed=done, total=total, note=note)

    def clear(self) -> None:
        """The next phase begins."""
        for bar in self._bars.values():
            self._progress.remove_task(bar)
        self._bars.clear()


def summary_tables(console: Console, numbers: DiscoverySummary) -> None:
    """The end of a run: per source and per direction."""
    sources = Table(title=f"Generation {numbers['generation']}", title_justify="left")
    for name in ("source", "listed", "taken", "heard", "quiet", "left out"):
        sources.add_column(name, justify="left" if name == "source" else "right")
    sources.add_column("state", overflow="fold")  # an exchange's words, whole at any width
    for label, row in numbers["sources"].items():
        counts = (row[key] for key in ("listed", "taken", "heard", "quiet", "left_out"))
        sources.add_row(label, *(f"{count:,}" for count in counts), row["state"])
    console.print(sources)
    directions = Table(title_justify="left")
    directions.add_column("direction")
    directions.add_column("symbols", justify="right")
    for label, count in numbers["directions"].items():
        directions.add_row(label, f"{count:,}")
    console.print(directions)
    console.print(
        f"{numbers['symbols']:,} symbols, {numbers['pairs']:,} pairs, "
        f"{len(numbers['quarantined']):,} quarantined, "
        f"{len(numbers['over_the_limit']):,} over the limit; validation: {numbers['validated']}"
    )
