"""How near pairs are to their thresholds, said by the loop while the settings ask for their books.

Writer:  the loop, of "<namespace>.wants" (native/near.h), which this module claims for it.
Readers: the feeds, which follow the books of what is near.
"""

from spread_scanner.engine._loop import Loop
from spread_scanner.shm.wants import NearWriter, Wants


class Nearness:
    """Claimed while it is wanted. For the loop's thread, between two of its runs."""

    def __init__(self, namespace: str, loop: Loop) -> None:
        self._namespace, self._loop = namespace, loop
        self._held: NearWriter | None = None

    def take(self, *, wanted: bool) -> None:
        """New settings are in force."""
        if not wanted:
            self.close()
        elif self._held is None:
            with Wants.attach(self._namespace) as wants:
                self._held = wants.near_writer()
            self._loop.say_near(self._held)

    def close(self) -> None:
        self._loop.say_near(None)
        if self._held is not None:
            self._held.close()
        self._held = None
