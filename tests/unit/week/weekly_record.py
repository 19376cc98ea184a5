"""What was written in a week and when, for those who judge it: quotes, steps, and what befell the
engine. Knows nothing of the product but what was handed to it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from weekly_market import GRID_S, KINDS, PLACES


class Noted(NamedTuple):
    """Something befell the engine, after so many steps."""

    steps: int
    ts_ns: int
    what: str  # start, adopted, listed, changed


class Record:
    """Filled as it happens."""

    def __init__(self, now_ns: Callable[[], int], seconds: float) -> None:
        self._now_ns = now_ns
        room = int(seconds / GRID_S) + 16
        self._grid = np.empty((room, len(PLACES), len(KINDS), 4))
        self._grid_ns: list[int] = []
        self._hot: list[tuple[list[int], list[npt.NDArray[np.float64]]]] = [([], []) for _ in KINDS]
        self._steps: list[int] = []
        self._away: list[int] = []
        self.befell: list[Noted] = []
        self.rates: list[list[tuple[int, float]]] = [[] for _ in KINDS]

    def wrote(self, hot: list[int], books: npt.NDArray[np.float64], *, everything: bool) -> None:
        """(place, coin, 4) of all coins, or of some."""
        if everything:
            self._grid[len(self._grid_ns)] = books
            self._grid_ns.append(self._now_ns())
            return
        for number in hot:
            times, found = self._hot[number]
            times.append(self._now_ns())
            found.append(books[:, number].copy())

    def stepped(self, *, away: bool = False) -> None:
        """Everybody has looked at what was written; but for the engine, where it was away."""
        if away:
            self._away.append(len(self._steps))
        self._steps.append(self._now_ns())

    def noted(self, what: str) -> None:
        self.befell.append(Noted(len(self._steps), self._now_ns(), what))

    def told(self, number: int, rate: float) -> None:
        """A coin's funding."""
        self.rates[number].append((self._now_ns(), rate))

    @property
    def steps_ns(self) -> npt.NDArray[np.int64]:
        return np.array(self._steps)

    @property
    def awake(self) -> npt.NDArray[np.bool_]:
        """By step, whether the engine was there."""
        there = np.ones(len(self._steps), bool)
        there[self._away] = False
        return there

    def quotes(self, number: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Of a coin, in the order of time: when, and (n, place, 4)."""
        times, found = self._hot[number]
        grid = self._grid[: len(self._grid_ns), :, number]
        when = np.array(self._grid_ns + times)
        what = np.concatenate([grid, np.array(found).reshape(-1, len(PLACES), 4)])
        order = np.argsort(when, kind="stable")
        return when[order], what[order]
