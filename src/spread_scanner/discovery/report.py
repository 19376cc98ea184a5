"""What discovery found, for people: symbols.txt, directions.txt and validation_report.txt.

The report names every instrument that an exchange listed and the tables do not hold, with the
reason; who wonders where a coin is searches it for the coin.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypedDict

from spread_scanner.clock import NS_PER_S
from spread_scanner.discovery.answers import Listed
from spread_scanner.discovery.identity import Identity
from spread_scanner.discovery.legs import LeftOut, Leg
from spread_scanner.schema.enums import DIRECTIONS, SOURCES, Source
from spread_scanner.schema.figures import plain
from spread_scanner.symbology.known import KNOWN_JSON, Known, encoded
from spread_scanner.symbology.tables import SOURCE_DISABLED, SOURCE_OK, Tables


@dataclass
class Findings:
    """Everything that one run learned; filled step by step, read here and by the summary."""

    tables: Tables
    listed: list[Listed]
    legs: list[Leg]  # those in the tables
    left_out: list[LeftOut]
    verdicts: list[Identity]
    over: list[tuple[str, int]]
    states: dict[str, str]  # of every source
    validated: str  # how long the websockets were listened to, or why not
    known: Known  # for the next run
    resting: list[tuple[str, int]] = field(default_factory=list)  # as `over`, until the next run
    live: dict[str, int] = field(default_factory=dict)  # listings heard, by source label
    quiet: list[Leg] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)  # pairs that the last tables did not have
    before_report: str = ""  # a quick look leaves the full run's report in force, below its own
    before_warnings: list[str] = field(default_factory=list)  # and its warnings

    @property
    def partial(self) -> bool:
        return any(state not in (OK, DISABLED) for state in self.states.values())


MS_PER_S = 1_000
REPORT_TXT = "validation_report.txt"
BEFORE = "==== The last full run ===="
OK, DISABLED = SOURCE_OK, SOURCE_DISABLED


def texts(findings: Findings) -> dict[str, str]:
    """The text files of the set, by name."""
    return {
        "symbols.txt": _symbols(findings.tables),
        "directions.txt": _directions(findings.tables),
        REPORT_TXT: _report(findings),
        KNOWN_JSON: encoded(findings.known),
    }


class QuarantinedPair(TypedDict):
    """A pair that is kept out, and why."""

    direction: str
    symbol: str
    reason: str


class SourceSummary(TypedDict):
    """What became of the listings of a source."""

    state: str
    listed: int
    taken: int
    heard: int  # that quoted while the websockets were listened to
    quiet: int
    left_out: int


class DiscoverySummary(TypedDict):
    """`pair-discovery --json`; one that found nothing to publish says NothingToAdd."""

    generation: int
    symbols: int
    instruments: int
    pairs: int
    quarantined: list[QuarantinedPair]
    over_the_limit: list[str]
    waiting_for_an_id: list[str]
    partial: bool
    validated: str
    added: list[str]
    warnings: list[str]
    directions: dict[str, int]  # pairs
    sources: dict[str, SourceSummary]


class NothingToAdd(TypedDict):
    """`pair-discovery --quick --json` where the tables stay."""

    generation: int
    added: list[str]
    new: list[str]  # listings that are new and make no pair yet


class SourceFunding(TypedDict):
    """What a source told of the funding of those in the tables."""

    listed: int
    told: int
    unknown: dict[str, str]  # told, but it cannot be used: why, by symbol
    failure: str  # why nothing was told; empty: it was


class FundingSummary(TypedDict):
    """`pair-discovery --funding --json`."""

    generation: int  # of the tables
    asked: bool  # false: it was not due
    sources: dict[str, SourceFunding]


def summary(findings: Findings) -> DiscoverySummary:
    """The numbers of one run, for programs and for the table at the end."""
    tables = findings.tables
    used = Counter(row.source_id for row in tables.instruments)
    left = Counter(row.source.label for row in findings.left_out)
    quiet = Counter(leg.source.label for leg in findings.quiet)
    by_label = {row.source.label: row for row in findings.listed}
    return {
        "generation": tables.generation,
        "symbols": len(tables.symbols),
        "instruments": len(tables.instruments),
        "pairs": sum(len(row.symbol_ids) for row in tables.directions),
        "quarantined": [
            {
                "direction": DIRECTIONS[row.direction_id].label,
                "symbol": row.symbol,
                "reason": row.reason,
            }
            for row in tables.quarantine
        ],
        "over_the_limit": [symbol for symbol, _ in findings.over],
        "waiting_for_an_id": [symbol for symbol, _ in findings.resting],
        "partial": findings.partial,
        "validated": findings.validated,
        "added": findings.added,
        "warnings": findings.warnings,
        "directions": {
            DIRECTIONS[row.direction_id].label: len(row.symbol_ids) for row in tables.directions
        },
        "sources": {
            source.label: {
                "state": findings.states[source.label],
                "listed": len(by_label[source.label].instruments)
                if source.label in by_label
                else 0,
                "taken": used[source.source_id],
                "heard": findings.live.get(source.label, 0),
                "quiet": quiet[source.label],
                "left_out": left[source.label],
            }
            for source in SOURCES
            if source.label in findings.states
        },
    }


def _symbols(tables: Tables) -> str:
    places: dict[int, list[str]] = defaultdict(list)
    for row in tables.instruments:
        scale = "" if row.px_div == 1 else f" (x{plain(row.px_div)})"
        places[row.symbol_id].append(f"{SOURCES[row.source_id].label}:{row.exchange_symbol}{scale}")
    lines = [
        f"{row.symbol_id}\t{row.symbol}\t{', '.join(places[row.symbol_id])}"
        for row in tables.symbols
    ]
    return "\n".join(["# id, symbol, listings", *lines, ""])


def _directions(tables: Tables) -> str:
    names = tables.symbol_names()
    lines = ["# direction (spot exchange, futures exchange), number of symbols, symbols"]
    for row in tables.directions:
        symbols = sorted(names[id_] for id_ in row.symbol_ids)
        label = DIRECTIONS[row.direction_id].label
        lines.append(f"{label}\t{len(symbols)}\t{' '.join(symbols)}")
    return "\n".join([*lines, ""])


def _report(findings: Findings) -> str:
    own = _own_report(findings)
    if not findings.before_report:
        return own
    full = findings.before_report.rpartition(BEFORE)[2].lstrip()
    return f"{own}\n{BEFORE}\n\n{full}"


def _own_report(findings: Findings) -> str:
    tables = findings.tables
    created = datetime.fromtimestamp(tables.created_wall_ns // NS_PER_S, UTC).isoformat()
    numbers = summary(findings)
    head = [
        f"Generation {tables.generation}, {created}",
        f"{numbers['symbols']} symbols, {numbers['instruments']} listings, "
        f"{numbers['pairs']} pairs in {len(numbers['directions'])} directions, "
        f"{len(tables.quarantine)} pairs quarantined",
        f"Websocket validation: {findings.validated}",
    ]
    sections = [
        _section("Warnings", findings.warnings),
        _section("New pairs", findings.added),
        _section("Sources", [_source(label, row) for label, row in numbers["sources"].items()]),
        _section(
            "Quarantined: the prices of one name disagree",
            [_quarantined(row) for row in findings.verdicts if row.reason],
        ),
        _section("Proposals", sorted({row.proposal for row in findings.verdicts if row.proposal})),
        _section(
            "Over the limit: no place left, fewest directions first to go",
            [f"{symbol}: {count} directions" for symbol, count in findings.over],
        ),
        _section(
            "Waiting: the ids that are free rest until the next run",
            [f"{symbol}: {count} directions" for symbol, count in findings.resting],
        ),
        _section("Quiet: quoted by REST, silent on the websocket, kept", _named(findings.quiet)),
        _section(
            "Names: listings whose coin is not as it is spelled, or was in doubt",
            [
                f"{leg.source.label} {leg.exchange_symbol} is {_coins(leg)}: {leg.why}"
                for leg in sorted(findings.legs, key=lambda leg: leg.key)
                if leg.why
            ],
        ),
        _section("Ending: an end of trading is announced", _ending(findings)),
        _section("Left out", _left_out(findings.left_out)),
        _section("Quoted, but in no instrument list", _unlisted(findings.listed)),
    ]
    return "\n".join([*head, *sections, ""])


def _section(title: str, lines: Iterable[str]) -> str:
    body = [f"  {line}" for line in lines]
    return "\n".join(["", f"{title} ({len(body)})", *body]) if body else f"\n{title}: none"


def _source(label: str, row: SourceSummary) -> str:
    return (
        f"{label}: {row['state']}; {row['listed']} listed, {row['taken']} taken, "
        f"{row['left_out']} left out, {row['heard']} heard, {row['quiet']} quiet"
    )


def _quarantined(row: Identity) -> str:
    return f"{row.pair.direction.label} {row.pair.symbol}: {row.reason}"


def _named(legs: Iterable[Leg]) -> list[str]:
    return [f"{leg.source.label} {leg.exchange_symbol} ({leg.symbol})" for leg in legs]


def _coins(leg: Leg) -> str:
    return f"{plain(leg.px_div)} {leg.base}"


def _ending(findings: Findings) -> list[str]:
    used = {leg.key for leg in findings.legs}
    return [
        f"{row.source.label} {one.exchange_symbol}: ends {_instant(one.ends_ms)}"
        for row in findings.listed
        for one in row.instruments
        if one.ends_ms and (row.source.source_id, one.exchange_symbol) in used
    ]


def _instant(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / MS_PER_S, UTC).isoformat(" ", "minutes")
    except (ValueError, OverflowError, OSError):
        return f"at a time that cannot be: {ms} ms"


def _left_out(rows: Sequence[LeftOut]) -> list[str]:
    order: list[tuple[Source, str, str]] = sorted(rows)
    return [f"{source.label} {name}: {reason}" for source, name, reason in order]


def _unlisted(listed: Sequence[Listed]) -> list[str]:
    lines = []
    for row in listed:
        if row.failure:
            continue
        named = {one.exchange_symbol for one in row.instruments}
        named |= {one.what for one in row.skipped}
        quoted = sorted((set(row.quotes) | set(row.unquoted)) - named)
        lines += [f"{row.source.label} {name}" for name in quoted]
    return lines
