"""Writes README's picture of the screen from a real run: `.venv/bin/python docs/sample.py`.

Runs the simulated system for some seconds and takes the screen as it is drawn last, at a width that
README has. A test holds the picture's heads to those of the screen of now, so that it is made anew
when they change.
"""

import io
import os
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Self

from rich.console import Console

from spread_scanner.cli.screen import Screen
from spread_scanner.supervise.observer import Observer
from spread_scanner.supervise.simulation import SimulatedMarket
from spread_scanner.supervise.supervisor import Supervisor
from spread_scanner.supervise.up import UpOptions, up

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- written by docs/sample.py -->\n", "<!-- until here -->\n"
WIDTH, HEIGHT = 100, 40
SECONDS = 40.0
NAME = "demo"  # the run's namespace in the picture; the run itself has one of its own


class Picture(Screen):
    """The screen that a terminal of that size would show; `drawn` is the last of it."""

    drawn = ""

    def __init__(self, supervisor: Supervisor, heading: str) -> None:
        super().__init__(supervisor, heading)
        self._live.console = Console(file=io.StringIO(), width=WIDTH, height=HEIGHT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing was begun."""

    def draw(self, observer: Observer | None, note: str = "") -> None:
        """Take it instead of showing it."""
        console = self._live.console
        with console.capture() as capture:
            console.print(self._page(observer, note))
        Picture.drawn = capture.get().replace(self._supervisor.namespace, NAME)


def heads(picture: str) -> list[str]:
    """What of a picture is the same in every run: the panels' titles, and the columns' below."""
    lines = [re.sub(r"[─\s│]+", " ", line).strip() for line in picture.splitlines()]
    return [
        part
        for title, columns in pairwise(lines)
        if title.startswith("╭")
        for part in (title, columns)
    ]


def picture_of(readme: str) -> str:
    """The block that stands there."""
    return readme.partition(BEGIN)[2].partition(END)[0]


def run(seconds: float) -> str:
    """The last screen of a simulated run."""
    market = SimulatedMarket(seed=1, symbols=100, rate=2_000.0, plant_every_s=1.0)
    options = UpOptions(True, seconds, True, market, 250.0, None)
    summary = up(options, f"sample-{os.getpid()}", Picture)
    if not summary["ok"]:
        raise SystemExit("the run was not well: no picture of that")
    return Picture.drawn


def main() -> None:
    """Run, and put the picture where the last one stands."""
    block = "".join(f"    {line}".rstrip() + "\n" for line in run(SECONDS).strip("\n").splitlines())
    text = README.read_text(encoding="utf-8")
    README.write_text(text.replace(picture_of(text), f"\n{block}\n"), encoding="utf-8")
    sys.stdout.write(f"wrote {README}\n")


if __name__ == "__main__":
    main()
