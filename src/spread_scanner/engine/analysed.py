"""What spread-analyst says of the pairs, held for the loop while the settings ask for it.

Reads "<namespace>.analysis"; writes nothing. The segment may come later than the engine, be
replaced, or never come, and the analyst may end and begin again: nothing of that ends the engine.
While nobody says anything, z is not known of any pair, and the process says so (main.py).
"""

import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.engine._loop import Loop
from spread_scanner.errors import SegmentError
from spread_scanner.schema.analysis import MINUTES, current, young
from spread_scanner.shm import PriceStore
from spread_scanner.shm.analysis import Analysis

LOOK_NS = NS_PER_S
ASKED_MAX = 32  # pairs by which it is told whether the analyst speaks: it writes all each second


class Analysed:
    """Attached while it is wanted. For the loop's thread, between two of its runs."""

    def __init__(self, namespace: str, store: PriceStore, loop: Loop) -> None:
        self._namespace, self._store, self._loop = namespace, store, loop
        self._held: Analysis | None = None
        self._asked = np.empty((2, 0), np.int64)
        self._next_ns = 0
        self.wanted = False
        self.heard_ns = clock.mono_ns()  # when the analyst last spoke, or was first wanted

    @staticmethod
    def some(pairs: np.ndarray) -> npt.NDArray[np.int64]:
        """By which of these, of PAIR_DTYPE, it is told whether the analyst speaks: their directions
        and symbols. All listed pairs are megabytes: not to be asked for while the loop stands."""
        listed = np.flatnonzero(pairs["quarantined"] == 0)
        some = pairs[listed[:: max(1, len(listed) // ASKED_MAX)]]
        return np.array([some["direction_id"], some["symbol_id"]], np.int64)

    def take(self, asked: npt.NDArray[np.int64], *, wanted: bool) -> None:
        """New tables or settings are in force; `asked`: some of the pairs."""
        if wanted and not self.wanted:
            self.heard_ns = clock.mono_ns()
        self.wanted = wanted
        if not wanted:
            self.close()
            return
        self._asked = asked
        self._next_ns = 0
        self.look()

    def look(self) -> None:
        """Once a second, if it is wanted: find the segment, or find it again, and listen."""
        now_ns = clock.mono_ns()
        if not self.wanted or now_ns < self._next_ns:
            return
        self._next_ns = now_ns + LOOK_NS
        if self._held is not None and self._held.retired:
            self.close()
        if self._held is None:
            self._attach()
        if self._speaks():
            self.heard_ns = now_ns

    def medians(
        self, pairs: np.ndarray, generation: int, before: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """What leaving earned by the median of the last four hours, by pair; NaN: not known, as it
        is while half of those minutes have no sample. Where the record is of other tables, and so
        of who knows which pair, it is what stood `before`."""
        if self._held is None:
            return np.full(len(pairs), np.nan)
        found = self._held.pairs(pairs["direction_id"], pairs["symbol_id"]).records
        now_ns = self._store.clock.now_ns()
        known = current(found, now_ns, generation)
        others = young(found, now_ns) & (found["generation"] != generation)
        known &= (found["looked"] >= MINUTES) & (2 * found["minutes"] >= MINUTES)
        return np.where(known, found["exit"]["median"], np.where(others, before, np.nan))

    def _attach(self) -> None:
        try:
            held = Analysis.attach(self._namespace, timeout_s=0)
        except SegmentError:
            return
        if held.layout.max_symbols != self._store.max_symbols:  # of another system's sizes
            held.close()
            return
        self._held = held
        self._loop.analyse(held.of_pairs)

    def _speaks(self) -> bool:
        if self._held is None:
            return False
        found = self._held.pairs(*self._asked)
        return bool(young(found.records[found.written], self._store.clock.now_ns()).any())

    def close(self) -> None:
        self._loop.analyse(None)
        if self._held is not None:
            self._held.close()
        self._held = None
