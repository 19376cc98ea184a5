"""From judged pairs to tables: who gets a place, and which number.

A symbol keeps its id while it stays. A new one gets an id that was never used, while there are
any; then the id of the symbol that left longest ago. An id rests for one generation before it is
given again, so that no process that is a set behind takes one coin's cell for another's. Pure
functions.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from spread_scanner.discovery.answers import Listed
from spread_scanner.discovery.identity import Identity
from spread_scanner.discovery.legs import Leg
from spread_scanner.schema.enums import DIRECTIONS, EXCHANGE_DIRECTIONS
from spread_scanner.symbology.tables import (
    DirectionRow,
    FundingRow,
    InstrumentRow,
    QuarantineRow,
    SymbolRow,
    Tables,
    lots_of,
)


class Placed(NamedTuple):
    """Who has a place under which number, and who has none."""

    ids: dict[str, int]  # by symbol
    freed: list[tuple[int, str]]  # with their last symbol, the oldest leaver first
    over: list[tuple[str, int]]  # no room: (symbol, directions it would have had)
    resting: list[tuple[str, int]]  # the same of those for whom only resting ids are left


def placed(
    verdicts: Iterable[Identity],
    max_symbols: int,
    previous: Tables | None,
    *,
    rates: Iterable[Leg] = (),
    keep: bool = False,
) -> Placed:
    """Those of `rates`, which need no pair, then most directions first; among equals those that
    hold a place already, then by name.

    With `keep` nobody who holds a place loses it.
    """
    counts = Counter(row.pair.symbol for row in verdicts if not row.reason)
    counts.update({leg.symbol: len(DIRECTIONS) for leg in rates})
    held = {row.symbol for row in previous.symbols} if previous is not None else set()
    order = sorted(counts, key=lambda symbol: (-counts[symbol], symbol not in held, symbol))
    if keep:
        order.sort(key=lambda symbol: symbol not in held)
    ids, freed = assign_ids(order[:max_symbols], max_symbols, previous)
    return Placed(
        ids,
        freed,
        over=[(symbol, counts[symbol]) for symbol in order[max_symbols:]],
        resting=[(symbol, counts[symbol]) for symbol in order[:max_symbols] if symbol not in ids],
    )


def assign_ids(
    places: Sequence[str], max_symbols: int, previous: Tables | None
) -> tuple[dict[str, int], list[tuple[int, str]]]:
    """Ids by symbol, and the freed ones with their last symbol, the oldest leaver first.

    An id that is freed now goes to nobody else now: for one generation nothing stands under it, so
    that a process that is a set behind never takes one coin for another. Who finds no id has none
    in the result.
    """
    before = previous.symbols if previous is not None else ()
    left_before = previous.freed if previous is not None else ()
    held = {row.symbol: row.symbol_id for row in before if row.symbol_id < max_symbols}
    wanted = set(places)
    ids = {symbol: id_ for symbol, id_ in held.items() if symbol in wanted}
    rested = [(row.symbol_id, row.symbol) for row in left_before if row.symbol_id < max_symbols]
    resting = [(id_, symbol) for symbol, id_ in held.items() if symbol not in wanted]
    next_id = 1 + max([*held.values(), *(id_ for id_, _ in rested)], default=-1)
    back = {symbol: id_ for id_, symbol in rested}
    ids |= {symbol: back[symbol] for symbol in places if symbol not in ids and symbol in back}
    taken = set(ids.values())
    rested = [row for row in rested if row[0] not in taken]
    for symbol in places:
        if symbol in ids:
            continue
        if next_id < max_symbols:
            ids[symbol], next_id = next_id, next_id + 1
        elif rested:
            ids[symbol] = rested.pop(0)[0]
    return ids, rested + resting


def tables_of(
    verdicts: Sequence[Identity],
    placed: Placed,
    listed: Sequence[Listed],
    quiet: Collection[tuple[int, str]],
    stamp: tuple[int, int],
    rates: Iterable[Leg] = (),
) -> Tables:
    """The set to publish; `stamp` is its generation and its wall time in ns. `rates` are in it
    without a pair."""
    ids = placed.ids
    pairs = [row.pair for row in verdicts if not row.reason and row.pair.symbol in ids]
    legs = {leg.key: leg for leg in rates if leg.symbol in ids}
    legs |= {leg.key: leg for pair in pairs for leg in (pair.spot, pair.futures)}
    by_symbol = {leg.symbol: leg for leg in legs.values()}
    members: dict[int, list[int]] = {row.direction_id: [] for row in EXCHANGE_DIRECTIONS}
    for pair in pairs:
        members.setdefault(pair.direction.direction_id, []).append(ids[pair.symbol])
    instruments = tuple(
        _instrument(leg, ids[leg.symbol], leg.key in quiet)
        for leg in sorted(legs.values(), key=lambda leg: (leg.source, ids[leg.symbol]))
    )
    return Tables(
        generation=stamp[0],
        created_wall_ns=stamp[1],
        symbols=tuple(
            SymbolRow(id_, symbol, by_symbol[symbol].base, by_symbol[symbol].quote)
            for symbol, id_ in sorted(ids.items(), key=lambda item: item[1])
        ),
        instruments=instruments,
        directions=tuple(
            DirectionRow(id_, tuple(sorted(row))) for id_, row in sorted(members.items())
        ),
        funding=_funding(legs.values(), ids, listed),
        quarantine=tuple(
            QuarantineRow(row.pair.direction.direction_id, row.pair.symbol, row.reason)
            for row in verdicts
            if row.reason
        ),
        freed=tuple(_freed(id_, symbol) for id_, symbol in placed.freed),
        lots=lots_of(instruments),
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
        network_fee_bps=leg.network_fee_bps,
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
