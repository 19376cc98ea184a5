"""Which sources of a symbol quote one coin, as far as discovery has judged it. Pure.

All that are in a pair of it. Where a pair of the symbol is kept out, its ticker may stand for two
coins, each with sources of its own: only those that other pairs link are one then.
"""

import numpy as np
import numpy.typing as npt

from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.symbology.tables import Tables

Coins = npt.NDArray[np.int64]


def by_source(tables: Tables, sources: int, max_symbols: int) -> Coins:
    """(sources, symbols): a number that those share who quote one coin; -1: in no pair."""
    coins: Coins = np.full((sources, max_symbols), -1)
    lanes = []
    for row in tables.directions:
        direction = DIRECTIONS[row.direction_id]
        legs = np.array([direction.spot.source_id, direction.futures.source_id])
        cells = np.ix_(legs, np.array(row.symbol_ids, np.int64))
        coins[cells] = legs[:, None]
        lanes.append(cells)
    doubted = {row.symbol for row in tables.quarantine}
    sure = [row.symbol_id for row in tables.symbols if row.symbol not in doubted]
    coins[:, sure] = np.minimum(coins[:, sure], 0)
    before = None
    while before is None or not np.array_equal(coins, before):
        before = coins.copy()
        for cells in lanes:
            coins[cells] = coins[cells].min(axis=0)
    return coins


def kin(coins: Coins) -> npt.NDArray[np.uint64]:
    """(sources, symbols): of each a bit per source, at most 64, that quotes the same coin."""
    found = np.zeros(coins.shape, np.uint64)
    for source, of_source in enumerate(coins):
        found |= ((coins == of_source) & (of_source >= 0)).astype(np.uint64) << np.uint64(source)
    return found
