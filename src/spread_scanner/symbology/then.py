"""What tables of another generation than that in force say, for what was written down with them.

Reads the sets that are kept (publish.py). Readers: the view's names, the tracker's pairs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from spread_scanner.errors import TableError
from spread_scanner.symbology import publish, tables
from spread_scanner.symbology.tables import Tables

T = TypeVar("T")


class TablesThen(Generic[T]):
    """One thing of each older set, read once. Sets that are kept no more say nothing
    (publish.SETS_KEPT)."""

    def __init__(self, folder: Path, of: Callable[[Tables], T], nothing: Callable[[], T]) -> None:
        self._folder, self._of, self._nothing = folder, of, nothing
        self._known: dict[int, T] = {}

    def of(self, generation: int) -> T:
        """By the tables of that generation."""
        if generation not in self._known:
            if len(self._known) >= publish.SETS_KEPT:
                del self._known[min(self._known)]
            try:
                found = tables.load_set(self._folder / publish.SETS / str(generation))
                self._known[generation] = self._of(found)
            except TableError:
                self._known[generation] = self._nothing()
        return self._known[generation]
