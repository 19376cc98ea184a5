"""One quote of the pretend exchange, in its own units. The walk makes them, and recordings do."""

from typing import NamedTuple


class Tick(NamedTuple):
    """Prices and sizes as they are spelled on the wire; an empty text is an empty side."""

    update_id: int
    bid_px: str
    bid_sz: str
    ask_px: str
    ask_sz: str
    ts_ms: int
    seq: int
