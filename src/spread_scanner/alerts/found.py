"""What discovery found that a person wants to hear: new pairs, and symbols without room.

Reads the metadata of the tables in force, whoever published them. Tables that are not there or not
whole say nothing here: the processes that need them do.
"""

from collections.abc import Iterator
from pathlib import Path

from spread_scanner.alerts.desk import Condition
from spread_scanner.errors import TableError
from spread_scanner.symbology import publish, tables

NAMED_MAX = 5
NO_ROOM = "no room for"  # as discovery's warning begins


class Found:
    """Of one generated folder; sets that were in force at the start are no news."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._generation = publish.generation_in_force(folder)
        self._lasting = self._read() or []

    def now(self) -> Iterator[Condition]:
        """What lasts, and once what is new in a set."""
        generation = publish.generation_in_force(self._folder)
        if generation != self._generation:
            found = self._read()
            if found is not None:
                self._generation, self._lasting = generation, found
                yield from self._added(generation)
        yield from self._lasting

    def _read(self) -> list[Condition] | None:
        try:
            self._metadata = tables.load_metadata(self._folder)
        except TableError:
            return None
        rows = [row for row in self._metadata.warnings if row.startswith(NO_ROOM)]
        return [Condition("room", row) for row in rows]

    def _added(self, generation: int) -> Iterator[Condition]:
        added = self._metadata.added
        if added:
            more = f" and {len(added) - NAMED_MAX} more" if len(added) > NAMED_MAX else ""
            text = f"new pairs: {', '.join(added[:NAMED_MAX])}{more}"
            yield Condition(f"added:{generation}", text, passing=True)
