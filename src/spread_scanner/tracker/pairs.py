"""Which pairs can be followed: one symbol in one direction, with the two cells that hold its legs.

Made from the generated tables at start and at every reload, and of older sets when a signal is.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.schema.ladder import Least
from spread_scanner.symbology.tables import InstrumentRow, Tables
from spread_scanner.symbology.then import TablesThen

PairKey = tuple[int, int]  # direction_id, symbol_id


class Pair(NamedTuple):
    """One symbol in one direction. `legs` names the two listings: while it is the same, prices
    from before and after a restart of the system can be compared.
    """

    direction_id: int
    direction: str
    symbol_id: int
    symbol: str
    spot_source: int
    futures_source: int
    legs: str
    lot: float = 0.0  # base units, both legs trade multiples of it; 0: none is known
    least: Least = Least()  # of an order


class PairsThen(TablesThen[Mapping[PairKey, Pair]]):
    """What directions and ids stood for: a signal may have waited in the ring since then."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, pairs_of, dict)


def pairs_of(tables: Tables) -> dict[PairKey, Pair]:
    """Every pair that the tables allow."""
    names = tables.symbol_names()
    listed = {(row.source_id, row.symbol_id): row for row in tables.instruments}
    lots = tables.lots_by_pair()
    pairs: dict[PairKey, Pair] = {}
    for row in tables.directions:
        direction = DIRECTIONS[row.direction_id]
        spot_id, futures_id = direction.spot.source_id, direction.futures.source_id
        for symbol_id in row.symbol_ids:
            spot = listed.get((spot_id, symbol_id))
            futures = listed.get((futures_id, symbol_id))
            if spot is None or futures is None or symbol_id not in names:
                continue
            rules = lots.get((row.direction_id, symbol_id))
            pairs[row.direction_id, symbol_id] = Pair(
                direction_id=row.direction_id,
                direction=direction.label,
                symbol_id=symbol_id,
                symbol=names[symbol_id],
                spot_source=spot_id,
                futures_source=futures_id,
                legs=f"{_leg(spot)} {_leg(futures)}",
                lot=0.0 if rules is None else rules.lot,
                least=Least() if rules is None else rules.least,
            )
    return pairs


def _leg(row: InstrumentRow) -> str:
    return f"{row.exchange_symbol}/{row.px_div:g}"
