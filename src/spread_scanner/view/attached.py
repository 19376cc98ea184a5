"""A segment that may come later than its reader, be replaced, or never come.

Held by who shows what another process may be writing: the analyst's records, order books.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from spread_scanner.errors import SegmentError
from spread_scanner.shm.segment import Holder

Part = TypeVar("Part", bound=Holder)


class Attached(Generic[Part]):
    """Attaches when there is something to attach to, and again when it was replaced."""

    def __init__(self, attach: Callable[[], Part]) -> None:
        """`attach` raises SegmentError while there is nothing, and does not wait for it."""
        self._attach = attach
        self._held: Part | None = None

    def look(self) -> Part | None:
        """What there is now."""
        if self._held is not None and self._held.retired:
            self.close()
        if self._held is None:
            try:
                self._held = self._attach()
            except SegmentError:
                return None
        return self._held

    def close(self) -> None:
        """Let go of the segment."""
        if self._held is not None:
            self._held.close()
        self._held = None
