"""Delivery to one target: what fails is tried again with pauses, what is refused is dropped.

`flush` may be called from a thread of its own, `take` from another: a target that hangs holds up
nobody else.
"""

import threading
from collections.abc import Iterable, Mapping

from msgspec import structs

from spread_scanner import clock
from spread_scanner.alerts.desk import Story
from spread_scanner.alerts.ledger import Entry, Ledger
from spread_scanner.alerts.targets import NeverTaken, NotNow, Sender, Unreached
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Alerts as AlertSettings
from spread_scanner.view.conditions.condition import Condition

RETRY_S_MIN = 1.0
RETRY_S_MAX = 30.0  # what stands is told within a minute of the target being well again
SENDS_MAX = 20  # in one turn


class Outbox:
    """One target, what it is to be told, and how it fares."""

    def __init__(
        self, sender: Sender, settings: AlertSettings, known: Iterable[Entry] = ()
    ) -> None:
        self.sender = sender
        self._ledger = Ledger(settings, known)
        self._lock = threading.Lock()
        self._next_try_ns = 0
        self._pause_s = RETRY_S_MIN
        self.sent = 0
        self.failures = 0
        self.refused = 0  # by the target, for good
        self.failing = False
        self.last_error = ""
        self.said_failing = ""  # for whoever logs it
        self.changes = 0  # steps with whatever is to survive a restart

    @property
    def name(self) -> str:
        return self.sender.name

    @property
    def waiting(self) -> int:
        with self._lock:
            return self._ledger.waiting

    @property
    def dropped(self) -> int:
        """Lost: too much was waiting, or the target will never take it."""
        return self._ledger.dropped + self.refused

    @property
    def held_back(self) -> int:
        return self._ledger.held_back

    def settings(self, sender: Sender, settings: AlertSettings) -> None:
        """Go on with other limits and, for the same target, another token."""
        with self._lock:
            self.sender = sender
            self._ledger.settings = settings
            self._next_try_ns = 0  # the settings may be what was wrong

    def entries(self) -> list[Entry]:
        """What is to survive a restart, as a copy."""
        with self._lock:
            return [structs.replace(entry) for entry in self._ledger.entries.values()]

    def take(self, raised: Mapping[str, Story], events: Iterable[Condition] = ()) -> None:
        """What stands now, and what has happened since the last call."""
        with self._lock:
            self._ledger.take(raised, events)

    def flush(self) -> None:
        """Send what is due, until there is nothing or the target fails."""
        for _ in range(SENDS_MAX):
            if clock.mono_ns() < self._next_try_ns:
                return
            with self._lock:
                sender = self.sender
                parcel = self._ledger.next(sender.chars_max)
            if parcel is None:
                return
            try:
                sender.send(parcel.message)
            except NotNow as error:
                with self._lock:
                    self._ledger.put_off()
                return self._pause(error)
            except Unreached as error:
                self.failures += 1
                self._is_failing(error.message)
                with self._lock:
                    self._ledger.failed(parcel)
            except NeverTaken as error:
                fate = "is taken apart" if parcel.message.parts else "is dropped"
                self._is_failing(f"{error.message}: {parcel.message.key} {fate}")
                with self._lock:
                    self.refused += self._ledger.refused(parcel)
                    # All else that is refused stays as it is, and is offered again and again.
                    self.changes += any(what == "over" for what, _ in parcel.due)
            else:
                self.sent += 1
                self.failing = False
                self._pause_s = RETRY_S_MIN
                with self._lock:
                    self._ledger.done(parcel)
                    self.changes += 1

    def _pause(self, error: NotNow) -> None:
        self.failures += 1
        self._is_failing(error.message)
        after_s = self._pause_s if error.retry_after_s is None else error.retry_after_s
        self._next_try_ns = clock.mono_ns() + int(after_s * NS_PER_S)
        self._pause_s = min(2 * self._pause_s, RETRY_S_MAX)

    def _is_failing(self, why: str) -> None:
        self.failing = True
        self.last_error = why
