"""The order books, held for the loop: what they carry follows on its signals.

Reads "<namespace>.books"; writes nothing. Where the settings have no books, or nobody made room for
them, nothing follows.
"""

from spread_scanner.engine._loop import Loop
from spread_scanner.errors import SegmentError
from spread_scanner.shm.books import BookStore


class Following:
    """Attached while there are books. For the loop's thread, between two of its runs."""

    def __init__(self, namespace: str, loop: Loop) -> None:
        self._namespace, self._loop = namespace, loop
        self._held: BookStore | None = None

    def take(self, *, wanted: bool) -> None:
        """New settings are in force."""
        if not wanted:
            self.close()
        elif self._held is None:
            self._attach()

    def _attach(self) -> None:
        try:
            self._held = BookStore.attach(self._namespace, timeout_s=0)
        except SegmentError:
            return
        self._loop.follow(self._held)

    def close(self) -> None:
        self._loop.follow(None)
        if self._held is not None:
            self._held.close()
        self._held = None
