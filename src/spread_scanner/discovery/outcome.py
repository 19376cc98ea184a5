"""What a run comes to: the state of each source, the warnings, and what the next run is to know.

Used by run. Pure functions over what was asked, heard and assembled.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from spread_scanner.config import Settings
from spread_scanner.discovery.answers import Listed, alive
from spread_scanner.discovery.asking import legs_of
from spread_scanner.discovery.assembly import Placed
from spread_scanner.discovery.doubts import Doubts
from spread_scanner.discovery.identity import Identity
from spread_scanner.discovery.legs import Candidate, LeftOut
from spread_scanner.discovery.report import DISABLED, OK, Findings
from spread_scanner.discovery.validate import Hearing, Validation
from spread_scanner.schema.enums import DIRECTIONS, EXCHANGE_SOURCES, SOURCES
from spread_scanner.schema.figures import plain
from spread_scanner.schema.lots import LotFlag
from spread_scanner.symbology.known import Known, KnownListing, KnownSource, idle_settings
from spread_scanner.symbology.tables import Tables

REASONS_SHOWN = 3
SYMBOLS_STEP = 256


def displaced(
    pairs: Sequence[Candidate], verdicts: Sequence[Identity], placed: Placed
) -> list[LeftOut]:
    """Legs that were paired, but whose pairs are all quarantined or have no place."""
    waiting = dict(placed.over) | dict(placed.resting)
    good = [row.pair for row in verdicts if not row.reason]
    used = {leg.key for leg in legs_of(pair for pair in good if pair.symbol not in waiting)}
    unplaced = {leg.key for leg in legs_of(pair for pair in good if pair.symbol in waiting)}
    reasons = {
        leg.key: row.reason
        for row in verdicts
        if row.reason
        for leg in (row.pair.spot, row.pair.futures)
    }
    rows: list[LeftOut] = []
    for leg in legs_of(pairs):
        if leg.key in used:
            continue
        if leg.key in unplaced:
            resting = leg.symbol in dict(placed.resting)
            why = "the free ids rest until the next run" if resting else "system.max_symbols"
            why = f"no place: {leg.symbol} is in {waiting[leg.symbol]} directions; {why}"
        else:
            why = f"quarantined: {reasons[leg.key]}"
        rows.append(LeftOut(leg.source, leg.exchange_symbol, why))
    return rows


def live(validation: Validation) -> dict[str, int]:
    """Listings heard, by source label."""
    counts: dict[str, int] = {}
    for (source_id, _), heard in validation.heard.items():
        label = SOURCES[source_id].label
        counts[label] = counts.get(label, 0) + (heard.state is Hearing.QUOTED)
    return counts


def states_of(
    settings: Settings,
    listed: Sequence[Listed],
    tables: Tables,
    validation: Validation,
    doubted: Mapping[str, str],
) -> dict[str, str]:
    """Of every source: ok, disabled, or in which way it was away."""
    states = {source.label: DISABLED for source in EXCHANGE_SOURCES if not settings.runs(source)}
    for row in listed:
        label = row.source.label
        kept = len(tables.of_source(row.source.source_id))
        failure = row.failure or doubted.get(label, "")
        if not failure:
            states[label] = OK
        elif kept:
            states[label] = f"away, {kept} last known listings kept: {failure}"
        else:
            states[label] = f"away, left out: {failure}"
        if label in validation.unreached:
            unheard = f"websocket away: {validation.unreached[label]}"
            states[label] = unheard if states[label] == OK else f"{states[label]}; {unheard}"
    return states


def known_of(
    listed: Sequence[Listed],
    symbols: Mapping[tuple[int, str], str],
    before: Known,
    doubts: Doubts,
) -> Known:
    """What the next run is to know; of a source that was away, what the last one knew."""
    sources = dict(before.sources)
    for row in listed:
        label, source_id = row.source.label, row.source.source_id
        listings = before.of(label).listings
        if not row.failure:
            listings = {
                raw.exchange_symbol: KnownListing(
                    raw.base, symbols.get((source_id, raw.exchange_symbol), ""), alive(raw)
                )
                for raw in row.instruments
            }
        sources[label] = KnownSource(listings, doubts.standing(label))
    return Known(sources)


def warnings_of(
    findings: Findings, settings: Settings, validation: Validation, previous: Tables | None
) -> list[str]:
    """What a person should look at."""
    states = findings.states.items()
    warnings = [f"{label} is {state}" for label, state in states if state not in (OK, DISABLED)]
    for row in findings.listed:
        warnings += [f"{row.source.label}: {note}" for note in row.notes]
    warnings += validation.notes
    warnings += no_room(findings.over, findings.resting, settings.config.system.max_symbols)
    warnings += no_lot(findings.tables)
    if previous is not None:
        warnings += _shrunk(findings, previous, settings.config.pair_discovery.lost_pct_max)
    return warnings + idle_settings(settings, findings.known)


def added(previous: Tables, tables: Tables) -> list[str]:
    """Pairs that the last tables did not have, each symbol with its directions."""
    labels = {row.direction_id: row.label for row in DIRECTIONS}

    def of(which: Tables) -> set[tuple[str, int]]:
        names = which.symbol_names()
        return {
            (names[id_], row.direction_id) for row in which.directions for id_ in row.symbol_ids
        }

    new: dict[str, list[str]] = {}
    for symbol, direction_id in sorted(of(tables) - of(previous)):
        new.setdefault(symbol, []).append(labels[direction_id])
    return [f"{symbol} ({', '.join(ways)})" for symbol, ways in new.items()]


def no_room(
    over: Sequence[tuple[str, int]], resting: Sequence[tuple[str, int]], max_symbols: int
) -> list[str]:
    """Symbols without a place, and the setting that would give them one."""
    rows: list[str] = []
    if over:
        wanted = max_symbols + len(over) + len(resting)
        size = -(-wanted // SYMBOLS_STEP) * SYMBOLS_STEP
        rows.append(
            f"no room for {len(over):,} symbols (the first: {over[0][0]}): set [system] "
            f"max_symbols = {size} in config.toml, now {max_symbols}, and restart the system"
        )
    if resting:
        rows.append(
            f"{len(resting):,} symbols wait for the next run, as freed ids rest for one: "
            + ", ".join(symbol for symbol, _ in resting[:REASONS_SHOWN])
        )
    return rows


def no_lot(tables: Tables) -> list[str]:
    """Pairs whose two steps have no common multiple that could be traded: they give no signal."""
    names = tables.symbol_names()
    steps = {
        (row.source_id, row.symbol_id): plain((row.lot_step or 0.0) * row.sz_mul)
        for row in tables.instruments
    }
    found: list[str] = []
    for row in tables.lots:
        if row.flags & LotFlag.NEVER_MEETS:
            way = DIRECTIONS[row.direction_id]
            legs = (steps[source.source_id, row.symbol_id] for source in (way.spot, way.futures))
            found.append(f"{way.label} {names[row.symbol_id]} ({' and '.join(legs)})")
    if not found:
        return []
    shown = ", ".join(found[:REASONS_SHOWN])
    return [f"{len(found):,} pairs have steps in base units with no common lot of use: {shown}"]


def _shrunk(findings: Findings, previous: Tables, lost_pct_max: float) -> Iterator[str]:
    """Sources with much fewer listings in these tables than in the last, whatever the cause."""
    reasons = {(row.source.source_id, row.exchange_symbol): row for row in findings.left_out}
    for source in SOURCES:
        if findings.states.get(source.label, OK) == DISABLED:
            continue
        had = {row.exchange_symbol for row in previous.of_source(source.source_id)}
        have = {row.exchange_symbol for row in findings.tables.of_source(source.source_id)}
        lost = had - have
        if len(lost) * 100 <= lost_pct_max * len(had):
            continue
        why = Counter(
            reasons[key].reason.partition(":")[0] if key in reasons else "no more listed"
            for key in ((source.source_id, name) for name in lost)
        )
        most = ", ".join(f"{count} {reason}" for reason, count in why.most_common(REASONS_SHOWN))
        yield (
            f"{source.label}: {len(lost)} of the {len(had)} listings of the last tables are not in "
            f"these: {most}"
        )
