"""Whether a leg that was not quoted anew would have been, had anything changed.

Two things must hold. Its channel tells every change (the adapter's `period_ms`), and its connection
brought something since the signal. Which connection carries which symbol is its feed's own affair,
so all that carry the source's quotes must have: fewer looks count then, and none that should not.
"""

from collections.abc import Collection
from typing import Protocol

from spread_scanner.config import Settings
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.schema.enums import SOURCES
from spread_scanner.shm.connections import Connections
from spread_scanner.tracker.opportunity import Messages, Noted
from spread_scanner.tracker.pairs import Pair

AT_ONCE_MS = 10  # what a channel tells within this, a look 50 ms after the signal has seen


class Ears(Protocol):
    """What the book asks."""

    def note(self, pair: Pair) -> Noted:
        """What the connections of both legs have brought so far."""

    def told(self, source_id: int, before: Messages) -> bool:
        """Whether silence since `before` means that nothing changed."""


class Deaf:
    """Knows of no connection: only what was quoted anew counts."""

    def note(self, pair: Pair) -> Noted:
        return None

    def told(self, source_id: int, before: Messages) -> bool:
        return False


class ConnectionEars:
    """Reads the connections' rows; `prompt` are the sources whose channels tell every change."""

    def __init__(self, connections: Connections, prompt: Collection[int]) -> None:
        self._connections = connections
        self.prompt = prompt

    def note(self, pair: Pair) -> Noted:
        return self._messages(pair.spot_source), self._messages(pair.futures_source)

    def told(self, source_id: int, before: Messages) -> bool:
        if not before:
            return False
        now = self._messages(source_id)
        if now is None or len(now) != len(before):
            return False
        pairs = zip(before, now, strict=True)
        return all(old == new and count > seen for (old, seen), (new, count) in pairs)

    def _messages(self, source_id: int) -> Messages:
        return self._connections.messages(source_id) if source_id in self.prompt else None


def prompt_sources(settings: Settings) -> frozenset[int]:
    """Those whose channel, as it is set, tells every change at once."""
    return frozenset(
        source.source_id
        for source in SOURCES
        if source.label in settings.exchanges
        and adapter_of(source, settings.exchanges[source.label]).period_ms <= AT_ONCE_MS
    )
