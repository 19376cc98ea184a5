"""What of shared memory the loop uses only while the settings want it: the words by which it says
how near pairs are to their thresholds (native/near.h), and the order books, whose content follows
on its signals (native/follow.h).

Attached when it is first wanted, given back when it is not any more. What cannot be had is the
caller's: `attach` raises, or gives None.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from spread_scanner.errors import SegmentError
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.wants import NearWriter, Wants


class _Closes(Protocol):
    def close(self) -> None: ...


AnyHeld = TypeVar("AnyHeld", bound=_Closes)


class Held(Generic[AnyHeld]):
    """For the loop's thread, between two of its runs; `tell` gives it to the loop, or None."""

    def __init__(
        self, attach: Callable[[], AnyHeld | None], tell: Callable[[AnyHeld | None], None]
    ) -> None:
        self._attach, self._tell = attach, tell
        self._held: AnyHeld | None = None

    def take(self, *, wanted: bool) -> None:
        """New settings are in force."""
        if not wanted:
            self.close()
        elif self._held is None:
            self._held = self._attach()
            self._tell(self._held)

    def close(self) -> None:
        self._tell(None)
        if self._held is not None:
            self._held.close()
        self._held = None


def near_writer(namespace: str) -> NearWriter:
    """The writer of "<namespace>.wants": the feeds follow the books of what is near."""
    with Wants.attach(namespace) as wants:
        return wants.near_writer()


def books_to_read(namespace: str) -> BookStore | None:
    """Of "<namespace>.books", to be read. Where nobody made room for them nothing follows."""
    try:
        return BookStore.attach(namespace, timeout_s=0)
    except SegmentError:
        return None
