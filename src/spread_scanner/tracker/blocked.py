"""Of which pairs the engine may say nothing, because somebody has halted, paused or disabled
something.

Such a pair leaves the engine without an exit signal. Read at the start and when orders come: what
is switched from the control segment, what is disabled from the settings in force; what the engine
obeys stands at native/engine.h and plan.py.
"""

from typing import NamedTuple, Self

from spread_scanner.config import Settings
from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import POOL_SOURCES
from spread_scanner.schema.names import ENGINE
from spread_scanner.shm import Control
from spread_scanner.tracker.pairs import Pair


class Disabled:
    """What the settings disable: a source, a direction, a symbol or a pair."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._found: dict[tuple[str, str], bool] = {}  # open pairs are asked about again and again
        ways = settings.directions
        rules = (*ways.direction.values(), *ways.symbol.values(), *ways.pair.values())
        self.anything = (
            not ways.defaults.enabled
            or any(rule.enabled is False for rule in rules)
            or not all(source.enabled for source in settings.exchanges.values())
            or any(map(settings.runs, POOL_SOURCES))  # their directions are disabled by default
        )

    def has(self, pair: Pair) -> bool:
        key = pair.direction, pair.symbol
        if key not in self._found:
            self._found[key] = not self._settings.signals(*key)
        return self._found[key]


class Blocked(NamedTuple):
    """What is switched off now."""

    disabled: Disabled
    everything: bool = False
    sources: frozenset[int] = frozenset()
    directions: frozenset[int] = frozenset()
    symbols: frozenset[str] = frozenset()

    @classmethod
    def read(cls, settings: Settings) -> Self:
        """As it stands; where the segment has gone, which ends whoever asks anyway, nothing is
        switched."""
        disabled = Disabled(settings)
        try:
            with Control.attach(settings.config.system.namespace, timeout_s=0) as control:
                return cls(
                    disabled,
                    control.killed or control.paused(ENGINE),
                    frozenset(control.paused_sources),
                    frozenset(control.paused_directions),
                    frozenset(control.paused_symbols),
                )
        except SegmentError:
            return cls(disabled)

    @property
    def anything(self) -> bool:
        switched = self.everything or self.sources or self.directions or self.symbols
        return bool(switched) or self.disabled.anything

    def has(self, pair: Pair) -> bool:
        """Whether no signal of this pair can come."""
        return (
            self.everything
            or pair.direction_id in self.directions
            or pair.spot_source in self.sources
            or pair.futures_source in self.sources
            or pair.symbol in self.symbols
            or self.disabled.has(pair)
        )
