"""Order books into the log: of each that a feed holds what it shows, once a second, and at once
when a best has moved far.

Read from the segment of books, by looking on: no feed does anything for it. Where the log has no
room, a book is not written, and tried again with the next look.
"""

import numpy as np
import numpy.typing as npt

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.log import BOOK_SNAPSHOT_DTYPE, RecordKind, TakenFor
from spread_scanner.shm.books import BookStore
from spread_scanner.wal.writer import LogWriter

MOVED = 0.05  # of the price at which it was written down last
SIDES = ("bids", "asks")


class RecordedBooks:
    """Those of all sources. `taken`: how many were written."""

    def __init__(self, store: BookStore, log: LogWriter) -> None:
        self._store, self._log = store, log
        cells = (store.layout.num_sources, store.layout.max_symbols)
        self._second = np.full(cells, -1, np.int64)  # in which each was written last
        self._best = np.full((*cells, 2), np.nan)  # as they were then
        self.taken = 0

    def look(self, now_ns: int) -> None:
        """Write down what is due; `now_ns` is of the session clock."""
        for source_id in self._store.sources():
            if self._log.room:
                held = np.array(self._store.symbols(source_id), np.int64)
                self._take(source_id, held, now_ns)

    def _take(self, source_id: int, held: npt.NDArray[np.int64], now_ns: int) -> None:
        books, there = self._store.records(source_id, held)
        books, held = books[there], held[there]
        best = np.column_stack([books[side][:, 0, 0] for side in SIDES])
        due = self._second[source_id, held] != now_ns // NS_PER_S
        moved = _moved(self._best[source_id, held], best)
        wanted = due | moved
        taken = np.zeros(int(wanted.sum()), BOOK_SNAPSHOT_DTYPE)
        taken["ts"], taken["book"] = now_ns, books[wanted]
        taken["why"] = np.where(due[wanted], TakenFor.SECOND, TakenFor.MOVED)
        self._log.append(RecordKind.BOOK_SNAPSHOT, taken)
        self._second[source_id, held[wanted]] = now_ns // NS_PER_S
        self._best[source_id, held[wanted]] = best[wanted]
        self.taken += len(taken)


def _moved(before: npt.NDArray[np.float64], best: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether either best is elsewhere, or is there where it was not."""
    near = np.abs(best - before) <= MOVED * before
    same = near | (np.isnan(best) & np.isnan(before))
    moved: npt.NDArray[np.bool_] = ~np.all(same, axis=1)
    return moved
