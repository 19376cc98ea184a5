"""A quick look for new listings: one list of instruments per source, and only what is new is tried.

The first minutes of a listing are the interesting ones, and a full run is hours away. What a source
lists now and did not when the last tables were made goes through everything as in a full run:
quotes, names, websockets, identity. Nothing else changes: no listing, pair or id of the tables
leaves, no source is judged. Writes nothing; main publishes what it returns.

What is new but not taken (no quote yet, or at another price than elsewhere) is tried again by the
next looks for an hour, then left to the next full run.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.discovery import answers, assembly, outcome
from spread_scanner.discovery.answers import Listed, alive
from spread_scanner.discovery.asking import (
    Options,
    asking,
    enabled_adapters,
    legs_of,
    listen,
    samples_of,
    somebody,
)
from spread_scanner.discovery.checking import Checked, check
from spread_scanner.discovery.doubts import Doubts
from spread_scanner.discovery.identity import Identity, judge
from spread_scanner.discovery.legs import (
    Candidate,
    Leg,
    Selection,
    kept_legs,
    pairs_of,
    rules_of,
    select,
)
from spread_scanner.discovery.pooled import pool_sources, rates
from spread_scanner.discovery.report import Findings
from spread_scanner.discovery.run import Before
from spread_scanner.discovery.show import Bars
from spread_scanner.discovery.validate import ListingKey
from spread_scanner.errors import TableError
from spread_scanner.exchanges.adapter import RawInstrument
from spread_scanner.runtime.gate import Gates
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.symbology.known import Known, KnownListing, KnownSource, QuickLooks
from spread_scanner.symbology.normalise import spellings
from spread_scanner.symbology.tables import Tables
from spread_scanner.view.conditions.found import NO_ROOM

TRIED_S_MAX = 3_600.0
AS_BEFORE = "as in the last tables"


class QuickLook(NamedTuple):
    """What came of a look: `findings` is None where there is nothing to publish."""

    findings: Findings | None
    new: list[str]  # "okx-spot:ABC-USDT", whether taken or not
    looks: QuickLooks


async def look(
    settings: Settings, options: Options, before: Before, looks: QuickLooks, bars: Bars
) -> QuickLook:
    """One look. Raises TableError without tables, ExchangeError when no source answers."""
    previous = before.tables
    if previous is None:
        raise TableError("a quick look adds to tables, and there are none: run spread-ctl discover")
    adapters = enabled_adapters(settings)
    with Gates(settings.config.system.namespace) as gates:
        async with asking(settings, options, adapters, gates, bars) as (desks, done):
            listed = await answers.ask_lists(adapters, desks, done)
            somebody(listed)
            now_ns = clock.wall_ns()
            new, looks = _new(listed, before, looks, now_ns)
            names = sorted(_named(listed, new))
            if not _partnered(listed, new, settings, previous):
                return QuickLook(None, names, looks)
            await answers.ask_rest(adapters, desks, listed, done)
        bars.clear()
        found = select(listed, settings, previous)
        sources = (*(row.source for row in adapters), *pool_sources(settings))
        enabled = {source.source_id for source in sources}
        pairs = _candidates(found, new, listed, previous, enabled)
        if not pairs:
            return QuickLook(None, names, looks)
        validation, validated = await listen(settings, options, adapters, pairs, gates, bars)
    checked = check(legs_of(pairs), validation, settings, Doubts({}, {}, now_ns, 100.0, 0.0))
    pairs = [pair for pair in pairs_of(checked.legs, enabled) if _has(pair, new)]
    verdicts = judge(pairs, samples_of(checked.legs, validation), settings, previous)
    carried = _carried(previous, listed)
    needed = rates(kept_legs(previous, listed), settings)
    placed = assembly.placed(
        [*carried, *verdicts], _room(settings), previous, rates=needed, keep=True
    )
    if not any(not row.reason and row.pair.symbol in placed.ids for row in verdicts):
        return QuickLook(None, names, looks)
    stamp = (before.generation, clock.wall_ns())
    tables = _added(
        previous,
        assembly.tables_of(
            [*carried, *verdicts], placed, listed, _quiet(previous, checked), stamp, needed
        ),
    )
    findings = Findings(
        tables=tables,
        listed=listed,
        legs=checked.legs,
        left_out=[*checked.left_out, *outcome.displaced(pairs, verdicts, placed)],
        verdicts=verdicts,
        over=placed.over,
        resting=placed.resting,
        states=dict(before.states),
        validated=validated,
        known=_known(before.known, listed, new, found, tables),
        live=outcome.live(validation),
        quiet=checked.quiet,
        added=outcome.added(previous, tables),
        before_report=before.report,
    )
    warnings = outcome.no_room(placed.over, placed.resting, _room(settings))
    warnings += outcome.no_lot(tables)
    findings.before_warnings = [*before.warnings]
    findings.warnings = [one for one in warnings if not _is_said(one, before.warnings)]
    return QuickLook(findings, names, looks)


def _is_said(warning: str, before: Sequence[str]) -> bool:
    """Of room a full run has said more: of all that the tables have none for."""
    lacks_room = warning.startswith(NO_ROOM) and any(one.startswith(NO_ROOM) for one in before)
    return lacks_room or warning in before


def _room(settings: Settings) -> int:
    return settings.config.system.max_symbols


def _new(
    listed: Sequence[Listed], before: Before, looks: QuickLooks, now_ns: int
) -> tuple[set[ListingKey], QuickLooks]:
    """Listings that trade and did not when the tables were made, and since when they are tried."""
    tables = before.tables
    in_tables = (
        {(row.source_id, row.exchange_symbol) for row in tables.instruments} if tables else ()
    )
    new: set[ListingKey] = set()
    first: dict[str, int] = {}
    for row in listed:
        known = before.known.of(row.source.label).listings
        if not known:  # never reached by a full run: nothing to compare with
            continue
        for raw in row.instruments:
            key = row.source.source_id, raw.exchange_symbol
            was = known.get(raw.exchange_symbol)
            if not alive(raw) or (was is not None and was.trades) or key in in_tables:
                continue
            name = f"{row.source.label}:{raw.exchange_symbol}"
            first[name] = min(looks.first_wall_ns.get(name, now_ns), now_ns)
            if now_ns - first[name] <= TRIED_S_MAX * NS_PER_S:
                new.add(key)
    return new, QuickLooks(first)


def _named(listed: Sequence[Listed], new: Collection[ListingKey]) -> Iterable[str]:
    labels = {row.source.source_id: row.source.label for row in listed}
    return (f"{labels[source_id]}:{name}" for source_id, name in new)


def _partnered(
    listed: Sequence[Listed], new: Collection[ListingKey], settings: Settings, previous: Tables
) -> bool:
    """Whether by name any of the new could make a pair, so that asking for prices is worth it."""
    rules = rules_of(settings, previous)
    coins: dict[ListingKey, set[tuple[str, str]]] = {}
    quotes = settings.config.pair_discovery.quotes

    def of(row: Listed, raw: RawInstrument) -> set[tuple[str, str]]:
        spelled = spellings(row.source.label, raw.exchange_symbol, raw.base, raw.base_name, rules)
        return {(coin, raw.quote) for coin in spelled}

    for row in listed:
        for raw in row.instruments:
            if alive(raw) and raw.quote in quotes:
                coins[row.source.source_id, raw.exchange_symbol] = of(row, raw)
    everywhere: dict[int, set[tuple[str, str]]] = {}
    for (source_id, _), names in coins.items():
        everywhere.setdefault(source_id, set()).update(names)
    sides = [(way.spot.source_id, way.futures.source_id) for way in DIRECTIONS]
    return any(
        coins.get(key, set()) & everywhere.get(there, set())
        for key in new
        for spot, futures in sides
        for here, there in ((spot, futures), (futures, spot))
        if key[0] == here
    )


def _candidates(
    found: Selection,
    new: Collection[ListingKey],
    listed: Sequence[Listed],
    previous: Tables,
    enabled: Collection[int],
) -> list[Candidate]:
    """Pairs with a new leg; the other is one of the tables, or was without a partner so far."""
    kept = kept_legs(previous, listed)
    taken = {leg.key for leg in kept}
    occupied = {(leg.source.source_id, leg.symbol) for leg in kept}
    others = [
        leg
        for leg in found.legs
        if leg.key not in taken and (leg.source.source_id, leg.symbol) not in occupied
    ]
    return [pair for pair in pairs_of([*kept, *others], enabled) if _has(pair, new)]


def _has(pair: Candidate, new: Collection[ListingKey]) -> bool:
    return pair.spot.key in new or pair.futures.key in new


def _carried(previous: Tables, listed: Sequence[Listed]) -> list[Identity]:
    """The pairs of the tables, as they were judged."""
    legs: dict[tuple[int, str], Leg] = {}
    for leg in kept_legs(previous, listed):
        legs[leg.source.source_id, leg.symbol] = leg
    names = previous.symbol_names()
    ways = {way.direction_id: way for way in DIRECTIONS}
    rows: list[Identity] = []
    for row in previous.directions:
        way = ways[row.direction_id]
        for symbol_id in row.symbol_ids:
            spot = legs.get((way.spot.source_id, names[symbol_id]))
            futures = legs.get((way.futures.source_id, names[symbol_id]))
            if spot is not None and futures is not None:
                pair = Candidate(way, spot, futures)
                rows.append(
                    Identity(pair, spot.mid, futures.mid, math.nan, math.nan, AS_BEFORE, "")
                )
    return rows


def _quiet(previous: Tables, checked: Checked) -> set[ListingKey]:
    was = {(row.source_id, row.exchange_symbol) for row in previous.instruments if row.quiet}
    in_tables = {(row.source_id, row.exchange_symbol) for row in previous.instruments}
    return was | {leg.key for leg in checked.quiet if leg.key not in in_tables}


def _added(previous: Tables, made: Tables) -> Tables:
    """The new set with what the last one says of funding and quarantine, where nobody asked; its
    verdicts are the last full run's, which whoever holds halts and price levels has to know.
    """
    told = {(row.source_id, row.symbol_id) for row in made.funding}
    funding = [*made.funding]
    funding += [row for row in previous.funding if (row.source_id, row.symbol_id) not in told]
    good = {(row.direction_id, id_) for row in made.directions for id_ in row.symbol_ids}
    ids = made.symbol_ids()
    judged = {(row.direction_id, row.symbol) for row in made.quarantine}
    quarantine = [
        row
        for row in previous.quarantine
        if (row.direction_id, row.symbol) not in judged
        and (row.direction_id, ids.get(row.symbol, -1)) not in good
    ]
    return msgspec.structs.replace(
        made,
        funding=tuple(sorted(funding, key=lambda row: (row.source_id, row.symbol_id))),
        quarantine=(*quarantine, *made.quarantine),
        judged_in=previous.judgement,
        judged_wall_ns=previous.judgement_wall_ns,
        asked_wall_ns=previous.asked_by_wall_ns,
    )


def _known(
    before: Known,
    listed: Sequence[Listed],
    new: Collection[ListingKey],
    found: Selection,
    tables: Tables,
) -> Known:
    """The last run's, with what is in the tables now."""
    in_tables = {(row.source_id, row.exchange_symbol) for row in tables.instruments}
    sources = dict(before.sources)
    for row in listed:
        label, source_id = row.source.label, row.source.source_id
        taken = {
            raw.exchange_symbol: KnownListing(
                raw.base, found.symbols.get((source_id, raw.exchange_symbol), ""), True
            )
            for raw in row.instruments
            if (source_id, raw.exchange_symbol) in in_tables
            and (source_id, raw.exchange_symbol) in new
        }
        if taken:
            known = before.of(label)
            sources[label] = KnownSource({**known.listings, **taken}, known.doubt)
    return Known(sources)
