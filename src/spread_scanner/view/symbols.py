"""What symbol ids stood for when something was written down.

Reads the sets of tables that are kept (symbology/publish.py); for rows that outlive their tables.
"""

from pathlib import Path

from spread_scanner.errors import TableError
from spread_scanner.symbology import publish, tables


class NamesThen:
    """What symbol ids stood for: one that left the tables is given to another coin later. Sets that
    are kept no more name nothing (publish.SETS_KEPT)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[int, dict[int, str]] = {}

    def of(self, generation: int) -> dict[int, str]:
        """By id, in the tables of that generation."""
        if generation not in self._known:
            if len(self._known) >= publish.SETS_KEPT:
                del self._known[min(self._known)]
            try:
                loaded = tables.load_set(self._folder / publish.SETS / str(generation))
                self._known[generation] = loaded.symbol_names()
            except TableError:
                self._known[generation] = {}
        return self._known[generation]
