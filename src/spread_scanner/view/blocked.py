"""The pairs that the engine has blocked as implausible, as it has kept them (symbology/blocked.py).

A file that is damaged says nothing, as it does to the engine, which writes it anew at its start.
"""

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.symbology import blocked
from spread_scanner.symbology.blocked import BlockedError
from spread_scanner.view.reading import Reading


class BlockedPair(Reading, frozen=True):
    """A pair that makes no signal until discovery has judged it anew."""

    direction: str
    symbol: str
    gross_bps: float  # what it was then
    age_s: float  # since it was blocked


def look(settings: Settings) -> list[BlockedPair]:
    """All of them, by symbol and direction."""
    try:
        kept = blocked.read(blocked.path_of(settings))
    except BlockedError:
        return []
    now_ns = clock.wall_ns()
    found = (
        BlockedPair(
            block.direction,
            block.symbol,
            block.gross_bps,
            max(0, now_ns - block.wall_ns) / NS_PER_S,
        )
        for block in kept.values()
    )
    return sorted(found, key=lambda one: (one.symbol, one.direction))
