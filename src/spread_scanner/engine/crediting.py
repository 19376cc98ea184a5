"""What leaving counts for where the settings credit the usual basis: the analyst's median of four
hours.

Writer: this module, between two runs of the loop, for the next generation of what is usual.
Readers: the loop, which adopts it (native/usual.h); keeping.py.

The records of twelve thousand pairs are megabytes, which take longer to read than the loop may be
left alone: a few of them are read a turn, shortly before they are adopted. New tables change
nothing of the pairs that stay, and the analyst may have them later than the engine: for so long
what was credited stands. On failure, while the analyst is away: nothing is known, nor credited.
"""

import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.engine.analysed import Analysed

PAIRS_PER_TURN = 64
AHEAD_NS = 5 * NS_PER_S  # so long before an adoption the round for it begins
LATER_NS = 60 * NS_PER_S  # the analyst may have new tables so much later than the engine

Medians = npt.NDArray[np.float64]


class Crediting:
    """Of the pairs in force; used by the loop's thread."""

    def __init__(self, analysed: Analysed) -> None:
        self._analysed = analysed
        self._pairs = np.empty(0)
        self._generation = 0
        self._now: Medians | None = None  # what counts, by pair; None: it is not wanted
        self._next: Medians | None = None  # of the round under way
        self._read = 0
        self._taken_ns = 0

    def carried(self, places: npt.NDArray[np.int32] | None, pairs: int) -> Medians:
        """What so many pairs that come begin with, by their places among those in force, -1: none;
        NaN of one that is new."""
        if self._now is None or places is None:
            return np.full(pairs, np.nan)
        return np.append(self._now, np.nan)[places]  # the last one is that of none

    def take(self, pairs: np.ndarray, generation: int, carried: Medians | None) -> None:
        """Other tables are in force, of PAIR_DTYPE; None: the median does not count."""
        self._pairs, self._generation = pairs, generation
        self._now, self._next = carried, None
        self._taken_ns = clock.mono_ns()

    def turn(self, adoption_in_ns: int) -> bool:
        """Go on with a few pairs, if the adoption is near; True: all are read, or none need be."""
        if self._now is None:
            return True
        if self._next is None:
            if adoption_in_ns > AHEAD_NS:
                return False
            self._next, self._read = np.full(len(self._now), np.nan), 0
        some = slice(self._read, self._read + PAIRS_PER_TURN)
        if some.start < len(self._next):
            self._next[some] = self._medians(some, self._now[some])
            self._read = min(some.stop, len(self._next))
        return self._read == len(self._next)

    def _medians(self, some: slice, before: Medians) -> Medians:
        if clock.mono_ns() - self._taken_ns > LATER_NS:
            before = np.full(len(before), np.nan)
        return self._analysed.medians(self._pairs[some], self._generation, before)

    def adopt(self) -> Medians | None:
        """What counts from now on, until the next time: what was read, if that was all; a round
        that is under way goes on. None: it is not wanted."""
        if self._next is not None and self._read == len(self._next):
            self._now, self._next = self._next, None
        return self._now
