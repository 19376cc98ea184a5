"""One full run of discovery: ask, choose, listen, judge, assemble. Writes nothing; main publishes.

Everything an exchange does wrong ends in the findings; nothing reachable at all, or nothing to
publish, is an ExchangeError.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from spread_scanner import clock
from spread_scanner.config import Settings
from spread_scanner.discovery import assembly, outcome
from spread_scanner.discovery.asking import (
    Options,
    ask,
    enabled_adapters,
    legs_of,
    listen,
    samples_of,
    somebody,
)
from spread_scanner.discovery.checking import check
from spread_scanner.discovery.doubts import doubt_lists, doubts_of
from spread_scanner.discovery.identity import judge
from spread_scanner.discovery.legs import pairs_of, select, unpaired
from spread_scanner.discovery.pooled import (
    charged,
    floor_note,
    heard_prices,
    listed_pools,
    rates,
)
from spread_scanner.discovery.report import Findings
from spread_scanner.discovery.show import Bars
from spread_scanner.errors import ExchangeError
from spread_scanner.runtime.gate import Gates
from spread_scanner.symbology.known import Known
from spread_scanner.symbology.tables import Tables


class Before(NamedTuple):
    """What the last run left behind, and the number of this one's set."""

    tables: Tables | None
    known: Known
    generation: int
    states: Mapping[str, str] = MappingProxyType({})  # of the sources
    report: str = ""
    warnings: tuple[str, ...] = ()


async def discover(settings: Settings, options: Options, before: Before, bars: Bars) -> Findings:
    """The findings of one full run, tables included."""
    adapters = enabled_adapters(settings)
    previous = before.tables
    asked_ns = clock.wall_ns()
    doubts = doubts_of(settings, previous, before.known, asked_ns, accept=options.accept)
    with Gates(settings.config.system.namespace) as gates:
        listed = await ask(settings, options, adapters, gates, bars)
        somebody(listed)
        doubt_lists(doubts, listed)
        listed += listed_pools(settings)
        enabled = [row.source.source_id for row in listed]
        selected, left_out, symbols = select(listed, settings, previous)
        heard, now_ns = heard_prices(settings), clock.mono_ns()
        legs, uncharged = charged(selected, settings, heard, now_ns)
        pairs, needed = pairs_of(legs, enabled), rates(legs, settings)
        left_out += [*uncharged, *unpaired([leg for leg in legs if leg not in needed], pairs)]
        validation, validated = await listen(settings, options, adapters, pairs, gates, bars)
    checked = check(legs_of(pairs), validation, settings, doubts)
    pairs = pairs_of(checked.legs, enabled)
    left_out += checked.left_out + unpaired(checked.legs, pairs, " is left after validation")
    verdicts = judge(pairs, samples_of(checked.legs, validation), settings, previous)
    room = settings.config.system.max_symbols
    placed = assembly.placed(verdicts, room, previous, rates=needed)
    if not placed.ids:
        raise ExchangeError("no pair is left to publish", left_out=len(left_out))
    left_out += outcome.displaced(pairs, verdicts, placed)
    quiet = {leg.key for leg in checked.quiet}
    stamp = (before.generation, clock.wall_ns())
    tables = msgspec.structs.replace(
        assembly.tables_of(verdicts, placed, listed, quiet, stamp, needed),
        asked_wall_ns=asked_ns,
    )
    used = {(row.source_id, row.exchange_symbol) for row in tables.instruments}
    findings = Findings(
        tables=tables,
        listed=listed,
        legs=[leg for leg in checked.legs if leg.key in used],
        left_out=left_out,
        verdicts=verdicts,
        over=placed.over,
        resting=placed.resting,
        states=outcome.states_of(settings, listed, tables, validation, checked.doubted),
        validated=validated,
        known=outcome.known_of(listed, symbols, before.known, doubts),
        live=outcome.live(validation),
        quiet=[leg for leg in checked.quiet if leg.key in used],
    )
    if previous is not None:
        findings.added = outcome.added(previous, tables)
    findings.warnings = outcome.warnings_of(findings, settings, validation, previous)
    findings.warnings += [*doubts.notes, *floor_note(settings, heard, now_ns)]
    return findings
