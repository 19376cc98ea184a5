"""From what the exchanges list to legs: one listing per symbol and source, and their pairs.

Everything that is not taken leaves with its reason; the report explains every instrument. Pure
functions: settings, answers and the previous tables in, legs and reasons out.
"""

import math
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from spread_scanner.config import Settings
from spread_scanner.discovery.answers import PERPETUAL_TYPE, SPOT_TYPE, Listed
from spread_scanner.exchanges.adapter import RawInstrument, holdable
from spread_scanner.schema.enums import DIRECTIONS, SOURCES, Direction, Market, Source
from spread_scanner.symbology.normalise import Coin, Listing, NameRules, coins
from spread_scanner.symbology.tables import InstrumentRow, Tables

NAME_BYTES_MAX = 64


class Leg(NamedTuple):
    """One listing under its symbol. Prices in base units are `px / px_div`."""

    source: Source
    exchange_symbol: str
    symbol: str
    base: str
    quote: str
    px_div: float
    sz_mul: float
    tick_size: float | None
    lot_step: float | None
    min_qty: float | None
    min_notional: float | None
    mid: float  # by REST, per base unit; NaN where unknown
    quoted: bool  # REST has at least one side
    why: str  # how the name and multiplier came about, where that needs a word
    last_known: bool = False
    network_fee_bps: float = 0.0  # of each fill, whatever its size

    @property
    def key(self) -> tuple[int, str]:
        """The listing, among all sources."""
        return self.source.source_id, self.exchange_symbol


class LeftOut(NamedTuple):
    """A listing that is not in the tables, and why."""

    source: Source
    exchange_symbol: str
    reason: str


class Candidate(NamedTuple):
    """One symbol in one direction."""

    direction: Direction
    spot: Leg
    futures: Leg

    @property
    def symbol(self) -> str:
        return self.spot.symbol


class Selection(NamedTuple):
    legs: list[Leg]
    left_out: list[LeftOut]
    symbols: dict[tuple[int, str], str]  # of every listing that could be a leg, denied ones too


def select(listed: Sequence[Listed], settings: Settings, previous: Tables | None) -> Selection:
    """The legs of every reached source, and the last known ones of the others."""
    left_out: list[LeftOut] = []
    raws: list[tuple[Listed, RawInstrument]] = []
    for answers in listed:
        if answers.failure:
            continue
        odd = [*answers.skipped, *answers.twice]
        left_out += [LeftOut(answers.source, row.what, row.reason) for row in odd]
        for raw in answers.instruments:
            if reason := _unfit(answers.source, raw, settings):
                left_out.append(LeftOut(answers.source, raw.exchange_symbol, reason))
            else:
                raws.append((answers, raw))
    found = coins([_listing(*row) for row in raws], rules_of(settings, previous))
    legs = [_leg(*row, coin) for row, coin in zip(raws, found, strict=True)]
    failed = {answers.source.source_id for answers in listed if answers.failure}
    if previous is not None:
        legs += _last_known(previous, failed)
    kept, denied = _by_lists(legs, settings)
    single, doubled = _one_per_symbol(kept)
    symbols = {leg.key: leg.symbol for leg in legs}
    return Selection(single, left_out + denied + doubled, symbols)


def pairs_of(legs: Iterable[Leg], enabled: Collection[int]) -> list[Candidate]:
    """Every symbol in every direction whose both sources list it."""
    by_place = {(leg.source.source_id, leg.symbol): leg for leg in legs}
    pairs: list[Candidate] = []
    for direction in DIRECTIONS:
        spot_id, futures_id = direction.spot.source_id, direction.futures.source_id
        if spot_id not in enabled or futures_id not in enabled:
            continue
        for (source_id, symbol), leg in by_place.items():
            other = by_place.get((futures_id, symbol)) if source_id == spot_id else None
            if other is not None:
                pairs.append(Candidate(direction, leg, other))
    return pairs


def unpaired(legs: Iterable[Leg], pairs: Iterable[Candidate], note: str = "") -> list[LeftOut]:
    """Legs that no pair uses, as left out."""
    used = {leg.key for pair in pairs for leg in (pair.spot, pair.futures)}
    wanted = {Market.SPOT: "perpetual", Market.FUTURES: "spot"}
    return [
        LeftOut(
            leg.source,
            leg.exchange_symbol,
            f"no {wanted[leg.source.market]} of {leg.symbol} on another exchange{note}",
        )
        for leg in legs
        if leg.key not in used
    ]


def rules_of(settings: Settings, previous: Tables | None) -> NameRules:
    """What the settings and the previous tables say about names."""
    symbols = settings.directions.symbols
    known: dict[tuple[str, str], tuple[str, float]] = {}
    if previous is not None:
        bases = {row.symbol_id: row.base for row in previous.symbols}
        for row in previous.instruments:
            key = (SOURCES[row.source_id].label, row.exchange_symbol)
            known[key] = (bases[row.symbol_id], row.px_div)
    return NameRules(symbols.alias, symbols.multiplier, known)


def _unfit(source: Source, raw: RawInstrument, settings: Settings) -> str:
    """Why a listing cannot be a leg, or empty."""
    quotes = settings.config.pair_discovery.quotes
    futures = source.market is Market.FUTURES
    wanted = PERPETUAL_TYPE if futures else SPOT_TYPE
    if raw.contract_type != wanted:
        return f"contract type {raw.contract_type}"
    if raw.quote not in quotes:
        return f"quote asset {raw.quote} is not taken"
    if futures and raw.settle != raw.quote:
        return f"settled in {raw.settle}"
    if not raw.trading:
        return f"not trading: {raw.status}"
    if raw.api_closed and not settings.config.pair_discovery.keep_api_closed:
        return "not tradable through the API (pair-discovery.keep_api_closed = true takes it)"
    if not raw.exchange_symbol:
        return "the exchange has no name for it"
    if not holdable(raw.exchange_symbol):
        return "its name cannot be held: over 64 bytes, or with a quote or backslash in it"
    if not _nameable(raw.base) or not (raw.base_name == "" or _nameable(raw.base_name)):
        return "its coin has no name that can be written down"
    if f"{source.label}:{raw.exchange_symbol}" in settings.directions.symbols.deny:
        return "denied in the settings"
    return ""


def _nameable(base: str) -> bool:
    """Whether a coin's name can stand in tables and texts: some letters, and no blanks."""
    bare = base.strip()
    written = bare.isprintable() and " " not in bare
    return written and 1 <= len(bare.encode(errors="replace")) <= NAME_BYTES_MAX


def _listing(answers: Listed, raw: RawInstrument) -> Listing:
    return Listing(
        answers.source.label,
        raw.exchange_symbol,
        raw.base,
        raw.quote,
        raw.base_name,
        answers.mid(raw.exchange_symbol),
    )


def _leg(answers: Listed, raw: RawInstrument, coin: Coin) -> Leg:
    return Leg(
        source=answers.source,
        exchange_symbol=raw.exchange_symbol,
        symbol=f"{coin.base}-{raw.quote}",
        base=coin.base,
        quote=raw.quote,
        px_div=coin.multiplier,
        sz_mul=coin.multiplier * raw.contract_size,
        tick_size=raw.tick_size,
        lot_step=raw.lot_step,
        min_qty=raw.min_qty,
        min_notional=raw.min_notional,
        mid=answers.mid(raw.exchange_symbol) / coin.multiplier,
        quoted=raw.exchange_symbol in answers.quotes,
        why=coin.why,
    )


def kept_legs(previous: Tables, listed: Sequence[Listed]) -> list[Leg]:
    """The legs of the tables as they stand, with the prices of now where there are any."""
    symbols = {row.symbol_id: row for row in previous.symbols}
    now = {answers.source.source_id: answers for answers in listed}
    legs: list[Leg] = []
    for row in previous.instruments:
        symbol = symbols[row.symbol_id]
        leg = _leg_again(row, symbol.symbol, symbol.base)._replace(last_known=row.last_known)
        answers = now.get(row.source_id)
        if answers is not None:
            mid = answers.mid(row.exchange_symbol) / row.px_div
            leg = leg._replace(mid=mid, quoted=row.exchange_symbol in answers.quotes)
        legs.append(leg)
    return legs


def _last_known(previous: Tables, failed: Collection[int]) -> list[Leg]:
    symbols = {row.symbol_id: row for row in previous.symbols}
    return [
        _leg_again(row, symbols[row.symbol_id].symbol, symbols[row.symbol_id].base)
        for row in previous.instruments
        if row.source_id in failed
    ]


def _leg_again(row: InstrumentRow, symbol: str, base: str) -> Leg:
    return Leg(
        source=SOURCES[row.source_id],
        exchange_symbol=row.exchange_symbol,
        symbol=symbol,
        base=base,
        quote=symbol.removeprefix(f"{base}-"),
        px_div=row.px_div,
        sz_mul=row.sz_mul,
        tick_size=row.tick_size,
        lot_step=row.lot_step,
        min_qty=row.min_qty,
        min_notional=row.min_notional,
        mid=math.nan,
        quoted=False,
        why="as in the previous tables",
        last_known=True,
        network_fee_bps=row.network_fee_bps,
    )


def _by_lists(legs: list[Leg], settings: Settings) -> tuple[list[Leg], list[LeftOut]]:
    """The settings' allow and deny lists, which speak of symbols."""
    symbols = settings.directions.symbols
    kept: list[Leg] = []
    left_out: list[LeftOut] = []
    for leg in legs:
        reason = ""
        if (
            leg.symbol in symbols.deny
            or f"{leg.source.label}:{leg.exchange_symbol}" in symbols.deny
        ):
            reason = "denied in the settings"
        elif leg.quote not in settings.config.pair_discovery.quotes:
            reason = f"quote asset {leg.quote} is not taken"  # any more: a last known leg
        elif symbols.allow and leg.symbol not in symbols.allow:
            reason = f"{leg.symbol} is not in the settings' allow list"
        if reason:
            left_out.append(LeftOut(leg.source, leg.exchange_symbol, reason))
        else:
            kept.append(leg)
    return kept, left_out


def _one_per_symbol(legs: list[Leg]) -> tuple[list[Leg], list[LeftOut]]:
    """Where a source lists a symbol twice, the listing that costs what the others' do."""
    by_symbol: dict[str, list[Leg]] = defaultdict(list)
    for leg in legs:
        by_symbol[leg.symbol].append(leg)
    single: list[Leg] = []
    left_out: list[LeftOut] = []
    for symbol, all_of_it in by_symbol.items():
        by_source: dict[int, list[Leg]] = defaultdict(list)
        for leg in all_of_it:
            by_source[leg.source.source_id].append(leg)
        for rivals in by_source.values():
            best = _best(rivals, all_of_it) if len(rivals) > 1 else rivals[0]
            single.append(best)
            left_out += [
                LeftOut(
                    leg.source,
                    leg.exchange_symbol,
                    f"a second listing of {symbol}; {best.exchange_symbol} was taken",
                )
                for leg in rivals
                if leg is not best
            ]
    return single, left_out


def _best(rivals: Sequence[Leg], all_of_it: Sequence[Leg]) -> Leg:
    source_id = rivals[0].source.source_id
    others = [leg.mid for leg in all_of_it if leg.source.source_id != source_id and leg.mid > 0]
    usual = statistics.median(others) if others else math.nan

    def distance(leg: Leg) -> tuple[bool, float, float, str]:
        known = leg.mid > 0 and usual > 0
        away = abs(math.log(leg.mid / usual)) if known else math.inf
        return (not leg.quoted, away, leg.px_div, leg.exchange_symbol)

    return min(rivals, key=distance)
