"""What is covered: every cell and every pair of one set of tables, by number. Pure.

A key says which coin on which listing it is: while it is the same, what was seen before a reload
goes on.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.symbology.coins import Coins, by_source
from spread_scanner.symbology.tables import InstrumentRow, Tables

_Numbers = npt.NDArray[np.int64]
_Key = tuple[object, ...]


class Block(NamedTuple):
    """The cells of one source, which lie side by side."""

    source_id: int
    symbol_ids: npt.NDArray[np.uint16]


class Covered(NamedTuple):
    """Cells in blocks of sources; pairs by the places of their two legs among the cells."""

    generation: int
    blocks: tuple[Block, ...]
    cell_keys: tuple[_Key, ...]
    cell_sources: _Numbers
    cell_symbols: _Numbers
    pair_keys: tuple[_Key, ...]
    pair_directions: _Numbers
    pair_symbols: _Numbers
    spot: _Numbers
    futures: _Numbers
    coins: Coins  # of each cell, who quotes the same coin


def covered_by(tables: Tables, num_sources: int, max_symbols: int) -> Covered:
    """Every listing, and every pair that a direction allows and both sources list."""
    rows = sorted(tables.instruments, key=lambda row: (row.source_id, row.symbol_id))
    names = tables.symbol_names()
    keys = [_key(row, names[row.symbol_id]) for row in rows]
    cells = {(row.source_id, row.symbol_id): place for place, row in enumerate(rows)}
    pairs = [
        (way.direction_id, symbol_id, cells[spot], cells[futures])
        for way in tables.directions
        for symbol_id in way.symbol_ids
        if (spot := (DIRECTIONS[way.direction_id].spot.source_id, symbol_id)) in cells
        and (futures := (DIRECTIONS[way.direction_id].futures.source_id, symbol_id)) in cells
    ]
    columns = np.array(pairs, np.int64).reshape(len(pairs), 4).T
    sources = np.array([row.source_id for row in rows], np.int64)
    symbols = np.array([row.symbol_id for row in rows], np.int64)
    return Covered(
        generation=tables.generation,
        blocks=tuple(
            Block(int(source), symbols[sources == source].astype(np.uint16))
            for source in np.unique(sources)
        ),
        cell_keys=tuple(keys),
        cell_sources=sources,
        cell_symbols=symbols,
        pair_keys=tuple((way, keys[spot], keys[fut]) for way, _, spot, fut in pairs),
        pair_directions=columns[0],
        pair_symbols=columns[1],
        spot=columns[2],
        futures=columns[3],
        coins=by_source(tables, num_sources, max_symbols),
    )


def places_before(keys: Sequence[_Key], before: Sequence[_Key]) -> _Numbers:
    """Where each key stood before; -1: it is new."""
    stood = {key: place for place, key in enumerate(before)}
    return np.array([stood.get(key, -1) for key in keys], np.int64)


def _key(row: InstrumentRow, symbol: str) -> _Key:
    """By the coin's name, as what is usual is kept: its id may have been another coin's, and an
    exchange may give a spelling to another coin."""
    return row.source_id, symbol, row.exchange_symbol, row.px_div, row.sz_mul
