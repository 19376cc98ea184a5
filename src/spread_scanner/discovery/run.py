"""One run of discovery: ask, choose, listen, judge, assemble. Writes nothing; main publishes.

Everything an exchange does wrong ends in the findings; nothing reachable at all, or nothing to
publish, is an ExchangeError.
"""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from spread_scanner import clock
from spread_scanner.config import Settings
from spread_scanner.discovery import answers, assembly
from spread_scanner.discovery.answers import Desk, Listed
from spread_scanner.discovery.desks import LiveDesk, SavedDesk
from spread_scanner.discovery.identity import Verdict, judge
from spread_scanner.discovery.legs import LeftOut, Leg, Pair, pairs_of, select, unpaired
from spread_scanner.discovery.report import DISABLED, OK, Findings
from spread_scanner.discovery.show import Bars
from spread_scanner.discovery.validate import Heard, State, Validation, Wanted, validate
from spread_scanner.errors import ExchangeError
from spread_scanner.exchanges.adapter import Adapter
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.runtime import trust
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.rest import Patience, RestClient
from spread_scanner.schema.enums import SOURCES
from spread_scanner.symbology.tables import Tables

NO_VALIDATION = Validation({}, [], {})


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    offline: Path | None = None
    validate: bool = True
    save: Path | None = None


@dataclass
class _Checked:
    """The legs that are left after listening."""

    legs: list[Leg] = field(default_factory=list)
    quiet: list[Leg] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


async def discover(
    settings: Settings, options: Options, previous: Tables | None, generation: int, bars: Bars
) -> Findings:
    """The findings of one run, tables included."""
    adapters = [
        adapter_of(source, settings.exchanges[source.label])
        for source in SOURCES
        if settings.exchanges[source.label].enabled
    ]
    with Gates(settings.config.system.namespace) as gates:
        listed = await _ask(settings, options, adapters, gates, bars)
        if all(row.failure for row in listed):
            why = "; ".join(f"{row.source.label}: {row.failure}" for row in listed)
            raise ExchangeError(f"no source could be reached: {why or 'none is enabled'}")
        enabled = [adapter.source.source_id for adapter in adapters]
        legs, left_out = select(listed, settings, previous)
        pairs = pairs_of(legs, enabled)
        left_out += unpaired(legs, pairs)
        validation, validated = await _listen(settings, options, adapters, pairs, gates, bars)
    checked = _check(_legs(pairs), validation, settings)
    pairs = pairs_of(checked.legs, enabled)
    left_out += checked.left_out + unpaired(checked.legs, pairs, " is left after validation")
    verdicts = judge(pairs, _samples(checked.legs, validation), settings, previous)
    good = [row.pair for row in verdicts if not row.reason]
    max_symbols = settings.config.system.max_symbols
    places, over = assembly.rank(good, max_symbols, previous)
    if not places:
        raise ExchangeError("no pair is left to publish", left_out=len(left_out))
    left_out += _displaced(pairs, verdicts, dict(over), max_symbols)
    ids, freed = assembly.assign_ids(places, max_symbols, previous)
    quiet = {leg.key for leg in checked.quiet}
    stamp = (generation, clock.wall_ns())
    tables = assembly.tables_of(verdicts, ids, freed, listed, quiet, stamp)
    used = {(row.source_id, row.exchange_symbol) for row in tables.instruments}
    findings = Findings(
        tables=tables,
        listed=listed,
        legs=[leg for leg in checked.legs if leg.key in used],
        left_out=left_out,
        verdicts=verdicts,
        over=over,
        states=_states(settings, listed, tables, validation),
        validated=validated,
        live=_live(validation),
        quiet=[leg for leg in checked.quiet if leg.key in used],
    )
    findings.warnings = _warnings(findings, settings, validation)
    return findings


async def _ask(
    settings: Settings, options: Options, adapters: Sequence[Adapter], gates: Gates, bars: Bars
) -> list[Listed]:
    section = settings.config.pair_discovery
    patience = Patience(
        section.rest_timeout_s, section.rest_attempts_max, section.rest_backoff_s_max
    )
    steps: dict[str, int] = {}

    def done(label: str, kind: str) -> None:
        steps[label] = 3 if kind == "failed" else steps.get(label, 0) + 1
        bars.show(f"{label} lists", steps[label], 3, kind)

    async with contextlib.AsyncExitStack() as stack:
        desks: dict[str, Desk] = {}
        for adapter in adapters:
            label = adapter.source.label
            bars.show(f"{label} lists", 0, 3)
            if options.offline is not None:
                desks[label] = SavedDesk(options.offline, adapter.source)
            else:
                source = settings.exchanges[label]
                gate = gates.gate(adapter.source.exchange.label, source.rest_url, source.proxy)
                tls = trust.context(source.ca_file)
                client = RestClient(adapter, patience, source.proxy, gate=gate, tls=tls)
                await stack.enter_async_context(client)
                desks[label] = LiveDesk(client, adapter.source, options.save)
        listed = await answers.ask_all(adapters, desks, done)
    bars.clear()
    return listed


async def _listen(
    settings: Settings,
    options: Options,
    adapters: Sequence[Adapter],
    pairs: Iterable[Pair],
    gates: Gates,
    bars: Bars,
) -> tuple[Validation, str]:
    """What the websockets say, and in a few words for how long they were asked."""
    if options.offline is not None:
        return NO_VALIDATION, "none, offline"
    seconds = settings.config.pair_discovery.validate_s
    if not options.validate or seconds == 0:
        return NO_VALIDATION, "none, as asked"
    legs = _legs(pairs)
    wanted = [
        Wanted(
            adapter,
            settings.exchanges[adapter.source.label].proxy,
            sorted(leg.exchange_symbol for leg in legs if leg.source == adapter.source),
            gates.of(adapter, settings.exchanges[adapter.source.label].proxy),
            trust.context(settings.exchanges[adapter.source.label].ca_file),
        )
        for adapter in adapters
    ]

    def progress(label: str, heard: int, asked: int) -> None:
        bars.show(f"{label} quotes", heard, asked)

    return await validate(wanted, seconds, progress), f"{seconds:g} s"


def _check(legs: Iterable[Leg], validation: Validation, settings: Settings) -> _Checked:
    """What the websocket said decides, within what the settings say about it."""
    section = settings.config.pair_discovery
    checked = _Checked()
    for leg in legs:
        heard = validation.heard.get(leg.key, Heard())
        known = leg.quoted or leg.last_known
        reason = ""
        if heard.state is State.REFUSED and not section.keep_refused:
            reason = f"refused by the websocket: {heard.refusal}"
        elif heard.state is not State.QUOTED and not known:
            silent = " and none on the websocket" if heard.state is State.SILENT else ""
            reason = f"no quote by REST{silent}"
        elif heard.state is State.SILENT and not section.keep_quiet:
            reason = "quiet: quoted by REST, silent on the websocket"
        if reason:
            checked.left_out.append(LeftOut(leg.source, leg.exchange_symbol, reason))
            continue
        checked.legs.append(leg)
        if heard.state is State.SILENT:
            checked.quiet.append(leg)
    return checked


def _legs(pairs: Iterable[Pair]) -> list[Leg]:
    found = {leg.key: leg for pair in pairs for leg in (pair.spot, pair.futures)}
    return list(found.values())


def _samples(legs: Iterable[Leg], validation: Validation) -> dict[tuple[int, str], list[float]]:
    return {
        leg.key: [mid / leg.px_div for mid in validation.heard[leg.key].mids]
        for leg in legs
        if leg.key in validation.heard
    }


def _displaced(
    pairs: Sequence[Pair], verdicts: Sequence[Verdict], over: dict[str, int], max_symbols: int
) -> list[LeftOut]:
    """Legs that were paired, but whose pairs are all quarantined or have no place."""
    good = [row.pair for row in verdicts if not row.reason]
    placed = {leg.key for leg in _legs(pair for pair in good if pair.symbol not in over)}
    unplaced = {leg.key for leg in _legs(pair for pair in good if pair.symbol in over)}
    reasons = {
        leg.key: row.reason
        for row in verdicts
        if row.reason
        for leg in (row.pair.spot, row.pair.futures)
    }
    rows: list[LeftOut] = []
    for leg in _legs(pairs):
        if leg.key in placed:
            continue
        if leg.key in unplaced:
            count = over[leg.symbol]
            why = f"no place: {leg.symbol} is in {count} directions, over {max_symbols} symbols"
        else:
            why = f"quarantined: {reasons[leg.key]}"
        rows.append(LeftOut(leg.source, leg.exchange_symbol, why))
    return rows


def _live(validation: Validation) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (source_id, _), heard in validation.heard.items():
        label = SOURCES[source_id].label
        counts[label] = counts.get(label, 0) + (heard.state is State.QUOTED)
    return counts


def _states(
    settings: Settings, listed: Sequence[Listed], tables: Tables, validation: Validation
) -> dict[str, str]:
    states = {
        source.label: DISABLED for source in SOURCES if not settings.exchanges[source.label].enabled
    }
    for row in listed:
        label = row.source.label
        kept = len(tables.of_source(row.source.source_id))
        if not row.failure:
            states[label] = OK
        elif kept:
            states[label] = f"away, {kept} last known listings kept: {row.failure}"
        else:
            states[label] = f"away, left out: {row.failure}"
        if label in validation.unreached:
            unheard = f"websocket away: {validation.unreached[label]}"
            states[label] = unheard if states[label] == OK else f"{states[label]}; {unheard}"
    return states


def _warnings(findings: Findings, settings: Settings, validation: Validation) -> list[str]:
    states = findings.states.items()
    warnings = [f"{label} is {state}" for label, state in states if state not in (OK, DISABLED)]
    for row in findings.listed:
        warnings += [f"{row.source.label}: {note}" for note in row.notes]
    warnings += validation.notes
    return warnings + _idle_settings(findings, settings)


def _idle_settings(findings: Findings, settings: Settings) -> list[str]:
    """Rules of the settings that met nothing: likely a slip of the pen."""
    symbols = settings.directions.symbols
    named: set[str] = set()
    away: set[str] = set()
    for row in findings.listed:
        if row.failure:
            away.add(row.source.label)
        for raw in row.instruments:
            named.add(f"{row.source.label}:{raw.exchange_symbol}")
            named.add(f"{row.source.label}:{raw.base}")
    rules = [("alias", key) for key in symbols.alias]
    rules += [("multiplier", key) for key in symbols.multiplier]
    rules += [("deny", key) for key in symbols.deny if ":" in key]
    return [
        f'symbols.{name} "{key}" meets no listing'
        for name, key in rules
        if key not in named and key.partition(":")[0] not in away
    ]
