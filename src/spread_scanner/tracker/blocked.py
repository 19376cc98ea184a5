"""Of which pairs the engine may say nothing, because somebody has halted or paused something.

Such a pair leaves the engine without an exit signal. Read from the control segment when orders
come; what the engine obeys stands at native/engine.h.
"""

from typing import NamedTuple, Self

from spread_scanner.errors import SegmentError
from spread_scanner.schema.names import ENGINE
from spread_scanner.shm import Control
from spread_scanner.tracker.pairs import Pair


class Blocked(NamedTuple):
    """What is switched off now; by default nothing."""

    everything: bool = False
    sources: frozenset[int] = frozenset()
    directions: frozenset[int] = frozenset()
    symbols: frozenset[str] = frozenset()

    @classmethod
    def read(cls, namespace: str) -> Self:
        """As it stands; nothing where the segment has gone, which ends whoever asks anyway."""
        try:
            with Control.attach(namespace, timeout_s=0) as control:
                return cls(
                    control.killed or control.paused(ENGINE),
                    frozenset(control.paused_sources),
                    frozenset(control.paused_directions),
                    frozenset(control.paused_symbols),
                )
        except SegmentError:
            return cls()

    @property
    def anything(self) -> bool:
        return self != Blocked()

    def has(self, pair: Pair) -> bool:
        """Whether no signal of this pair can come."""
        return (
            self.everything
            or pair.direction_id in self.directions
            or pair.spot_source in self.sources
            or pair.futures_source in self.sources
            or pair.symbol in self.symbols
        )
