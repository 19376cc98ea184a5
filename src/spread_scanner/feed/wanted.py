"""Which order books a source should have now: the most urgent first, within `books_max`.

Reads:  what the engine says is near its threshold and what anybody asked for (shm/wants.py), the
        watch list of the settings.
Writes: nothing. The feed follows what it is told, within the limits of its connections.

What stands comes first, then what somebody asked for, the watch list, and what is near, the nearest
first. What nobody wants any more stays for `books_linger_s`, behind all that somebody wants. Where
not all of a kind have room, who is followed stays: how near pairs are changes with each quote, and
each change would be two requests and a snapshot.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.schema.enums import Source
from spread_scanner.shm.wants import NOT_NEAR, Wants

# How much more urgent than what is near by so many basis points: float32 has room between them.
_ASKED = 2e6
_WATCHED = 1e6
_LINGERS = -1e6
_KINDS = (_LINGERS / 2, _WATCHED, _ASKED, np.inf)  # where each begins but that which lingers


class WantedBooks:
    """What one source should follow; `symbols` are those that it lists, by name."""

    def __init__(self, source: Source, wants: Wants, settings: Settings) -> None:
        self._source = source
        self._wants = wants
        self._last_ns = np.full(wants.layout.max_symbols, -(2**62), np.int64)
        self._followed = np.zeros(len(self._last_ns), bool)  # by the last answer
        self.reload(settings, {})

    def reload(self, settings: Settings, symbols: Mapping[str, int]) -> None:
        """Take new settings, and the symbols that the source lists now: name to id."""
        self._books = settings.config.books
        self._listed = np.zeros(len(self._last_ns), bool)
        self._listed[list(symbols.values())] = True
        watched = [symbols[name] for name in self._books.watch if name in symbols]
        self._watched = np.array(watched, np.int64)
        self._last_ns[~self._listed] = -(2**62)  # an id may come to mean another coin

    def look(self, now_ns: int) -> list[int]:
        """The ids of the symbols whose books should be followed now, the most urgent first."""
        if not self._books.books_max:
            return []
        urgency = self._urgency(now_ns)
        wanted = urgency > NOT_NEAR
        self._last_ns[wanted] = now_ns
        lately = now_ns - self._last_ns < self._books.books_linger_s * NS_PER_S
        lingering = self._followed & lately & ~wanted
        # Of those that nobody wants any more, who was wanted last goes last.
        urgency[lingering] = _LINGERS - (now_ns - self._last_ns[lingering]) / NS_PER_S
        kind = np.digitize(urgency, _KINDS)
        order = np.lexsort((-urgency, ~self._followed, -kind))[: self._books.books_max]
        order = order[urgency[order] > NOT_NEAR]
        self._followed[:] = False
        self._followed[order] = True
        found: list[int] = order.tolist()
        return found

    def _urgency(self, now_ns: int) -> npt.NDArray[np.float64]:
        margin_bps = self._books.books_margin_bps
        near_bps = self._wants.near_bps(self._source.source_id, now_ns).astype(np.float64)
        near_bps[~(near_bps >= -margin_bps) | (margin_bps < 0)] = NOT_NEAR
        near_bps[self._watched] = np.maximum(near_bps[self._watched], _WATCHED)
        asked = self._wants.asked(self._source.source_id, now_ns)
        near_bps[asked] = np.maximum(near_bps[asked], _ASKED)
        near_bps[~self._listed] = NOT_NEAR
        return near_bps
