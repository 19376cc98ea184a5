"""From judged pairs to tables: who gets a place, and which number.

A symbol keeps its id while it stays. A new one gets an id that was never used, while there are
any; then the id of the symbol that left longest ago, so that a process that still holds the old
tables is least likely to mistake one coin's cell for another's. Pure functions.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from spread_scanner.discovery.answers import Listed
from spread_scanner.discovery.identity import Verdict
from spread_scanner.discovery.legs import Leg, Pair
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.symbology.tables import (
    DirectionRow,
    FundingRow,
    InstrumentRow,
    QuarantineRow,
    SymbolRow,
    Tables,
)


class Ranked(NamedTuple):
    """The symbols with a place, best first, and those for whom there was none."""

    places: list[str]
    over: list[tuple[str, int]]  # (symbol, directions it would have had)


def rank(pairs: Iterable[Pair], max_symbols: int, previous: Tables | None) -> Ranked:
    """Most directions first; among equals those that hold a place already, then by name."""
    counts = Counter(pair.symbol for pair in pairs)
    held = {row.symbol for row in previous.symbols} if previous is not None else set()
    order = sorted(counts, key=lambda symbol: (-counts[symbol], symbol not in held, symbol))
    over = [(symbol, counts[symbol]) for symbol in order[max_symbols:]]
    return Ranked(order[:max_symbols], over)


def assign_ids(
    places: Sequence[str], max_symbols: int, previous: Tables | None
) -> tuple[dict[str, int], list[tuple[int, str]]]:
    """Ids by symbol, and the freed ones with their last symbol, the oldest leaver first."""
    before = previous.symbols if previous is not None else ()
    left_before = previous.freed if previous is not None else ()
    held = {row.symbol: row.symbol_id for row in before if row.symbol_id < max_symbols}
    wanted = set(places)
    ids = {symbol: id_ for symbol, id_ in held.items() if symbol in wanted}
    freed = [(row.symbol_id, row.symbol) for row in left_before if row.symbol_id < max_symbols]
    freed += [(id_, symbol) for symbol, id_ in held.items() if symbol not in wanted]
    next_id = 1 + max([*held.values(), *(id_ for id_, _ in freed)], default=-1)
    back = {symbol: id_ for id_, symbol in freed}
    for symbol in places:
        if symbol not in ids and symbol in back:
            ids[symbol] = back[symbol]
    taken = set(ids.values())
    freed = [row for row in freed if row[0] not in taken]
    for symbol in places:
        if symbol in ids:
            continue
        if next_id < max_symbols:
            ids[symbol], next_id = next_id, next_id + 1
        else:
            ids[symbol] = freed.pop(0)[0]
    return ids, freed


def tables_of(
    verdicts: Sequence[Verdict],
    ids: Mapping[str, int],
    freed: Sequence[tuple[int, str]],
    listed: Sequence[Listed],
    quiet: Collection[tuple[int, str]],
    stamp: tuple[int, int],
) -> Tables:
    """The set to publish; `stamp` is its generation and its wall time in ns."""
    pairs = [row.pair for row in verdicts if not row.reason and row.pair.symbol in ids]
    legs = {leg.key: leg for pair in pairs for leg in (pair.spot, pair.futures)}
    by_symbol = {leg.symbol: leg for leg in legs.values()}
    members: dict[int, list[int]] = {row.direction_id: [] for row in DIRECTIONS}
    for pair in pairs:
        members[pair.direction.direction_id].append(ids[pair.symbol])
    return Tables(
        generation=stamp[0],
        created_wall_ns=stamp[1],
        symbols=tuple(
            SymbolRow(id_, symbol, by_symbol[symbol].base, by_symbol[symbol].quote)
            for symbol, id_ in sorted(ids.items(), key=lambda item: item[1])
        ),
        instruments=tuple(
            _instrument(leg, ids[leg.symbol], leg.key in quiet)
            for leg in sorted(legs.values(), key=lambda leg: (leg.source, ids[leg.symbol]))
        ),
        directions=tuple(DirectionRow(id_, tuple(sorted(row))) for id_, row in members.items()),
        funding=_funding(legs.values(), ids, listed),
        quarantine=tuple(
            QuarantineRow(row.pair.direction.direction_id, row.pair.symbol, row.reason)
            for row in verdicts
            if row.reason
        ),
        freed=tuple(_freed(id_, symbol) for id_, symbol in freed),
    )


def _instrument(leg: Leg, symbol_id: int, quiet: bool) -> InstrumentRow:
    return InstrumentRow(
        source_id=leg.source.source_id,
        symbol_id=symbol_id,
        exchange_symbol=leg.exchange_symbol,
        px_div=leg.px_div,
        sz_mul=leg.sz_mul,
        tick_size=leg.tick_size,
        lot_step=leg.lot_step,
        min_qty=leg.min_qty,
        min_notional=leg.min_notional,
        quiet=quiet,
        last_known=leg.last_known,
    )


def _funding(
    legs: Iterable[Leg], ids: Mapping[str, int], listed: Sequence[Listed]
) -> tuple[FundingRow, ...]:
    known = {row.source.source_id: row.funding for row in listed}
    rows = []
    for leg in legs:
        found = known.get(leg.source.source_id, {}).get(leg.exchange_symbol)
        if found is not None:
            rows.append(
                FundingRow(leg.source.source_id, ids[leg.symbol], found.rate, found.interval_hours)
            )
    return tuple(sorted(rows, key=lambda row: (row.source_id, row.symbol_id)))


def _freed(symbol_id: int, symbol: str) -> SymbolRow:
    base, _, quote = symbol.rpartition("-")
    return SymbolRow(symbol_id, symbol, base, quote)
