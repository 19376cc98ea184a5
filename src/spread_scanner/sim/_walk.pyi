from collections.abc import Sequence

import numpy as np

from spread_scanner.sim.tick import Tick
from spread_scanner.sim.universe import Listing

class Coin:
    name: str
    number: int
    price: float
    price_start: float
    weight: float
    listings: list[Listing]
    def __init__(self, number: int, name: str, price: float, weight: float) -> None: ...

class Quoted:
    coin: Coin
    source_id: int
    px_decimals: int
    sz_decimals: int
    padded: int
    scale: float
    lots_typical: float
    basis: float
    stand: float
    keep: float
    limit: float
    sway: float
    jump: float
    offset: float
    width_least: int
    update_id: int
    bid_ticks: int
    ask_ticks: int
    bid_lots: int
    ask_lots: int
    tick_last: int
    def px(self, ticks: int) -> str: ...
    def sz(self, lots: int) -> str: ...
    def tick(self, now_ms: int, seq: int) -> Tick: ...
    def requote(self, share: float, width: int) -> None: ...

def walk(
    moving: Sequence[Listing],
    draws: np.ndarray,
    now_ms: Sequence[int],
    made: int,
    unusual: float,
) -> list[tuple[Listing, Tick]]: ...
