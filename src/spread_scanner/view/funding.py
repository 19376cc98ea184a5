"""What the futures sources told last of funding: of one symbol, and how late a source is.

Read from the funding segment; whether a rate may be used is schema.funding's to say. Where there is
no segment there is nothing to show, and nothing is late.
"""

import numpy as np

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.errors import SegmentError
from spread_scanner.schema.enums import SOURCES, Market, Source
from spread_scanner.schema.funding import INTERVAL_USUAL_H, unknown
from spread_scanner.shm.funding import FundingTable
from spread_scanner.symbology.rates import FundingRates
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.written import symbol_as
from spread_scanner.view.reading import Reading, known

FUTURES = [source for source in SOURCES if source.market is Market.FUTURES]
S_PER_HOUR = 3_600


class FundingView(Reading, frozen=True):
    """One contract's funding as its source told it last, or, where it has told none yet, as the
    tables noted it: what counts, as symbology.rates has it. Rates are fractions per interval,
    positive where longs pay shorts; what was not told is null."""

    source: str
    symbol: str
    rate: float | None
    cap: float | None
    floor: float | None
    interval_h: float | None
    next_wall_ns: int | None  # the next settlement
    next_in_s: float | None  # the same from now; negative: it has passed
    age_s: float | None  # since it was asked for; null: nothing was told
    noted: bool  # nothing was told yet: the rate is that of the last discovery
    unknown: str  # why the rate cannot be used; empty: it can


class FundingState(Reading, frozen=True):
    """What a source has told."""

    source: str
    told: int  # contracts
    age_s: float  # since any of them was told last, or since shared memory was made
    interval_h: float  # the shortest of them
    late: bool  # for longer than that


def of_symbol(
    settings: Settings, loaded: Tables, symbol_id: int, futures: Source | None = None
) -> list[FundingView]:
    """Of each futures source that lists the symbol, or of one."""
    listed = {row.source_id for row in loaded.instruments if row.symbol_id == symbol_id}
    try:
        with FundingTable.attach(settings.config.system.namespace, timeout_s=0.0) as table:
            rates = FundingRates(loaded, table.snapshot())
    except SegmentError:
        return []
    symbol = loaded.symbol_names()[symbol_id]
    return [
        _view(source, symbol, rates, symbol_id)
        for source in FUTURES
        if futures in (None, source) and source.source_id in listed
    ]


def of_all(loaded: Tables, rates: FundingRates, wanted: str = "") -> list[FundingView]:
    """Of every listing of a futures source whose symbol contains `wanted`, by source."""
    listed, part = {(row.source_id, row.symbol_id) for row in loaded.instruments}, symbol_as(wanted)
    return [
        _view(source, symbol, rates, symbol_id)
        for source in FUTURES
        for symbol_id, symbol in loaded.symbol_names().items()
        if part in symbol and (source.source_id, symbol_id) in listed
    ]


def states(settings: Settings) -> list[FundingState]:
    """Of every enabled futures source."""
    enabled = [source for source in FUTURES if settings.exchanges[source.label].enabled]
    try:
        with FundingTable.attach(settings.config.system.namespace, timeout_s=0.0) as table:
            rows = table.snapshot()
            return [_state(source, rows[source.source_id], table) for source in enabled]
    except SegmentError:
        return []


def _state(source: Source, rows: np.ndarray, table: FundingTable) -> FundingState:
    told = rows[rows["asked_wall_ns"] > 0]
    hours = told["interval_h"][told["interval_h"] > 0]
    shortest = float(hours.min()) if len(hours) else INTERVAL_USUAL_H
    since_ns = int(told["asked_wall_ns"].max()) if len(told) else table.created_wall_ns
    age_s = (clock.wall_ns() - since_ns) / NS_PER_S
    return FundingState(source.label, len(told), age_s, shortest, age_s > shortest * S_PER_HOUR)


def _view(source: Source, symbol: str, rates: FundingRates, symbol_id: int) -> FundingView:
    now_ns = clock.wall_ns()
    row = rates.row(source.source_id, symbol_id, now_ns)
    why = unknown(row, now_ns)
    if row is None:
        nothing = (None, None, None, None, None, None, None)
        return FundingView(source.label, symbol, *nothing, noted=False, unknown=why)
    told, due_ns = rates.told_of(source.source_id, symbol_id) is not None, row.next_wall_ns
    return FundingView(
        source=source.label,
        symbol=symbol,
        rate=known(row.rate),
        cap=known(row.cap),
        floor=known(row.floor),
        interval_h=known(row.interval_h),
        next_wall_ns=due_ns or None,
        next_in_s=(due_ns - now_ns) / NS_PER_S if due_ns else None,
        age_s=(now_ns - row.asked_wall_ns) / NS_PER_S if told else None,
        noted=not told,
        unknown=why,
    )
