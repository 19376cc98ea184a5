"""What is counted and told, gone wrong: the invariants of books and alerts can fail."""

import contextlib
from collections.abc import Iterator
from typing import Any

from mutants.undo import put

from spread_scanner.alerts.outbox import Outbox
from spread_scanner.feed.counting import Counts
from spread_scanner.feed.watch import Watch


@contextlib.contextmanager
def connections_count_twice() -> Iterator[None]:
    """Each connection that opens is counted as two."""
    add = Counts.add

    def twice(self: Counts, label: str, count: int = 1) -> None:
        add(self, label, 2 * count if label == "connects" else count)

    with put(Counts, "add", twice):
        yield


@contextlib.contextmanager
def alerts_are_forgotten() -> Iterator[None]:
    """What is raised never leaves the desk."""

    def nothing(self: Outbox, *_: Any) -> None:
        return

    with put(Outbox, "take", nothing):
        yield


@contextlib.contextmanager
def refusals_are_not_told() -> Iterator[None]:
    """Who is connected is well, whatever is refused there."""
    with put(Watch, "refusal", lambda *_: ""):
        yield
