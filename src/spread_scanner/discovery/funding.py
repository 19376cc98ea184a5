"""The funding of now, from the exchanges into shared memory: `--funding`, and a full run's answers.

Asks the futures sources side by side and writes each one's as it comes, so that one that is away or
slow costs the others nothing. Where all of one may not be asked for in one call (funding_bulk), it
is asked for listing by listing. A cell holds what was told, however odd; whether it may be used is
schema.funding's to say, to every reader alike. What is not told of a listing (a row that is missing
or cannot be read, a source that fails) stays as it was and grows old.

Terms that an answer leaves out (interval and bounds) are those told before of the same listing.
"""

import asyncio
import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich.console import Console

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.discovery.answers import (
    FUNDING,
    FundingTold,
    Listed,
    RestDesk,
    ask_funding,
)
from spread_scanner.discovery.asking import Options, asking, enabled_adapters
from spread_scanner.discovery.report import FundingSummary, SourceFunding
from spread_scanner.discovery.show import Bars
from spread_scanner.errors import BadMessage, ExchangeError, SegmentError
from spread_scanner.exchanges.adapter import Adapter, Funding, RestRequest
from spread_scanner.runtime import dial_loop
from spread_scanner.runtime.gate import Gates
from spread_scanner.schema.enums import Market
from spread_scanner.schema.figures import plain
from spread_scanner.schema.funding import FundingFlag, FundingNow, listing_of, unknown
from spread_scanner.shm.funding import FundingTable, FundingWriter
from spread_scanner.symbology import tables
from spread_scanner.symbology.tables import Tables

SOURCE_S_MAX = 120.0  # one that takes longer is left for the next time
IN_A_ROW_MAX = 3  # so many listings that fail one after the other: it is the source
DUE_SHARE = 0.9  # a timer that comes a little early finds it due


class Writing(NamedTuple):
    """Where funding is written, and by which tables."""

    table: FundingTable
    writer: FundingWriter
    tables: Tables


def refresh(settings: Settings, options: Options) -> FundingSummary:
    """Ask all futures sources and write what they tell.

    Raises NoSegment where the system is not up, TableError without tables, AlreadyClaimed where
    another process writes.
    """
    every_s = settings.config.pair_discovery.funding_every_s
    namespace = settings.config.system.namespace
    with FundingTable.attach(namespace, timeout_s=0.0) as table:
        loaded = tables.load_for(
            settings.generated_dir, table.layout.num_sources, table.layout.max_symbols
        )
        if options.due and (not every_s or _asked_s_ago(table) < DUE_SHARE * every_s):
            return {"generation": loaded.generation, "asked": False, "sources": {}}
        with table.writer() as writer, Bars(Console(stderr=True)) as bars:
            place = Writing(table, writer, loaded)
            sources = dial_loop.run(_refresh(settings, options, place, bars))
    return {"generation": loaded.generation, "asked": True, "sources": sources}


def keep(settings: Settings, made: Tables, listed: Sequence[Listed]) -> None:
    """Write what a full run was told, where there is shared memory and nobody else writes there."""
    with (
        contextlib.suppress(SegmentError),
        FundingTable.attach(settings.config.system.namespace, timeout_s=0.0) as table,
        table.writer() as writer,
    ):
        for row in listed:
            if row.told is not None:
                write(Writing(table, writer, made), row.source.source_id, row.told)


def write(place: Writing, source_id: int, told: FundingTold) -> SourceFunding:
    """Publish what one source tells of the listings in the tables."""
    rows = {row.exchange_symbol: row for row in told.rows}
    names = place.tables.symbol_names()
    count, odd = 0, {}
    listed = place.tables.of_source(source_id)
    for one in listed:
        row = rows.get(one.exchange_symbol)
        if row is None or one.symbol_id >= place.table.layout.max_symbols:
            continue
        before = place.table.read(source_id, one.symbol_id)
        made = _made(row, before, told, place.tables.generation)
        place.writer.write(source_id, one.symbol_id, made)
        count += 1
        if why := unknown(made, told.asked_wall_ns):
            odd[names[one.symbol_id]] = why
    return {"listed": len(listed), "told": count, "unknown": odd, "failure": ""}


def _made(
    row: Funding, before: FundingNow | None, told: FundingTold, generation: int
) -> FundingNow:
    listing = listing_of(row.exchange_symbol)
    kept = before if before is not None and before.listing == listing else None
    hours = _told_or(row.interval_hours, kept.interval_h if kept else math.nan)
    cap = _told_or(row.cap, kept.cap if kept else math.nan)
    floor = _told_or(row.floor, kept.floor if kept else math.nan)
    flags = FundingFlag(0)
    if row.exchange_symbol in told.assumed:
        flags |= FundingFlag.INTERVAL_ASSUMED
    for flag, missing in (
        (FundingFlag.NO_INTERVAL, math.isnan(hours)),
        (FundingFlag.NO_CAP, math.isnan(cap)),
        (FundingFlag.NO_FLOOR, math.isnan(floor)),
        (FundingFlag.NO_NEXT, row.next_ms is None),
    ):
        flags |= flag if missing else FundingFlag(0)
    return FundingNow(
        rate=row.rate,
        cap=cap,
        floor=floor,
        interval_h=hours,
        next_wall_ns=(row.next_ms or 0) * NS_PER_MS,
        asked_wall_ns=told.asked_wall_ns,
        flags=int(flags),
        listing=listing,
        generation=generation,
    )


def _told_or(value: float | None, before: float) -> float:
    return before if value is None else value


async def _refresh(
    settings: Settings, options: Options, place: Writing, bars: Bars
) -> dict[str, SourceFunding]:
    adapters = [one for one in enabled_adapters(settings) if one.source.market is Market.FUTURES]
    with Gates(settings.config.system.namespace) as gates:
        async with asking(settings, options, adapters, gates, bars) as (desks, _):
            found = await asyncio.gather(*(_one(adapter, desks, place) for adapter in adapters))
    labels = [adapter.source.label for adapter in adapters]
    return dict(zip(labels, found, strict=True))


async def ask_each(adapter: Adapter, desk: RestDesk, place: Writing) -> SourceFunding:
    """A source's listings one after the other, those first that were told longest ago, each written
    as it comes. What time does not suffice for is first the next time."""
    said: SourceFunding = {"listed": 0, "told": 0, "unknown": {}, "failure": ""}
    requests = _requests(adapter, place)
    said["listed"] = len(requests)
    in_a_row = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SOURCE_S_MAX):
            for number, request in enumerate(requests, 1):
                asked_wall_ns = clock.wall_ns()
                try:
                    rows = await desk.get(FUNDING, number, request, adapter.parse_funding)
                except (ExchangeError, BadMessage) as error:
                    said["failure"] = str(error)
                    in_a_row += 1
                    if in_a_row == IN_A_ROW_MAX:
                        return said
                    continue
                in_a_row = 0
                told = FundingTold(rows, asked_wall_ns, frozenset(), [])
                found = write(place, adapter.source.source_id, told)
                said["told"] += found["told"]
                said["unknown"] |= found["unknown"]
    if said["told"]:
        said["failure"] = ""  # of single listings, which stay as they were
    elif requests and not said["failure"]:
        said["failure"] = f"nothing was told within {plain(SOURCE_S_MAX)} s"
    return said


def _requests(adapter: Adapter, place: Writing) -> list[RestRequest]:
    """One for each listing of the tables, the one that was told longest ago first."""
    source_id = adapter.source.source_id
    found = []
    for one in place.tables.of_source(source_id):
        request = adapter.listing_funding_request(one.exchange_symbol)
        if request is None or one.symbol_id >= place.table.layout.max_symbols:
            continue
        before = place.table.read(source_id, one.symbol_id)
        told = before is not None and before.listing == listing_of(one.exchange_symbol)
        found.append((before.asked_wall_ns if before is not None and told else 0, request))
    return [request for _, request in sorted(found, key=lambda pair: pair[0])]


async def _one(adapter: Adapter, desks: Mapping[str, RestDesk], place: Writing) -> SourceFunding:
    """One source, asked and written."""
    source = adapter.source
    if adapter.funding_request() is None:
        return await ask_each(adapter, desks[source.label], place)
    try:
        async with asyncio.timeout(SOURCE_S_MAX):
            told = await ask_funding(adapter, desks[source.label])
    except (ExchangeError, BadMessage) as error:
        why = str(error)
    except TimeoutError:
        why = f"no answer within {plain(SOURCE_S_MAX)} s"
    else:
        if told is not None and told.rows:
            return write(place, source.source_id, told)
        why = "the list is empty"
    listed = len(place.tables.of_source(source.source_id))
    return {"listed": listed, "told": 0, "unknown": {}, "failure": why}


def _asked_s_ago(table: FundingTable) -> float:
    """Since anything was told last; infinite when nothing was yet, or the clock was set back."""
    newest_ns = int(table.snapshot()["asked_wall_ns"].max())
    ago_ns = clock.wall_ns() - newest_ns
    return ago_ns / NS_PER_S if newest_ns and ago_ns >= 0 else math.inf
