"""How the spreads and prices of a symbol usually stand, as spread-analyst found out.

Reads the analyst's records and the tables. A record older than a few seconds is of an analyst that
does not run, or of a pair that it does not follow, and one by other tables may be of another coin:
nothing of it is shown as if it were of now (schema.analysis.current).
"""

from collections.abc import Mapping

import numpy as np

from spread_scanner.clock import NS_PER_S, SessionClock
from spread_scanner.config import Settings
from spread_scanner.schema.analysis import BAR_SECONDS, MINUTES, QUANTILES, AnalysisFlag, current
from spread_scanner.schema.enums import DIRECTIONS, SOURCES
from spread_scanner.shm import PriceStore
from spread_scanner.shm.analysis import Analysis
from spread_scanner.symbology import tables
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.written import symbol_as
from spread_scanner.view.evaluations import symbol_id_of
from spread_scanner.view.reading import Reading, known


class Weighted(Reading, frozen=True):
    """Weighted by 2^(-age / half-life). `known`: a twelfth of the half-life was sampled; z, how
    many deviations the last look is off the mean, is null before."""

    half_life_s: float
    mean_bps: float | None
    deviation_bps: float | None
    z: float | None
    known: bool


class BasisAnalysis(Reading, frozen=True):
    """Entry or exit of a pair, bps of the spot ask. Quantiles are of one-minute medians."""

    now_bps: float | None
    weighted: list[Weighted]
    quantiles_bps: dict[str, float | None]  # median, q05, q25, q75, q95
    reverts_s: float | None  # half of what it is off has gone then; null: does not, or not known


class PairAnalysis(Reading, frozen=True):
    """One pair. It was looked at for `looked_minutes`, 240 at the most, of which `minutes` had a
    sample: the fewer, the less the quantiles say."""

    direction: str
    usable: bool
    sample_age_s: float | None
    usable_share: float | None
    looked_minutes: int
    minutes: int
    entry: BasisAnalysis
    exit: BasisAnalysis


class Indicators(Reading, frozen=True):
    """Of mids; null until there are bars enough."""

    rsi: float | None
    ema: float | None
    middle: float | None
    upper: float | None
    lower: float | None


class BarsAnalysis(Reading, frozen=True):
    """Bars of one length; `running`: as if the bar that runs closed now."""

    bar_s: int
    bars: int
    closed: Indicators
    running: Indicators


class CellAnalysis(Reading, frozen=True):
    """One source's quote of the symbol."""

    source: str
    usable: bool
    sample_age_s: float | None
    mid: float | None
    bars: list[BarsAnalysis]


class SymbolAnalysis(Reading, frozen=True):
    """`state`: off (not enabled), away (enabled, and says nothing by these tables), warming, or
    ready."""

    symbol: str
    state: str
    minutes: int  # looked at, of the pair that has most
    minutes_wanted: int
    pairs: list[PairAnalysis]
    cells: list[CellAnalysis]


def read(settings: Settings, symbol: str) -> SymbolAnalysis:
    """By the tables in force. Raises UnknownSymbol, TableError, NoSegment."""
    loaded = tables.load(settings.generated_dir)
    symbol_id_of(loaded, symbol_as(symbol))  # before anything is waited for
    namespace = settings.config.system.namespace
    with PriceStore.attach(namespace) as store, Analysis.attach(namespace) as analysis:
        return look(settings, loaded, symbol, analysis, store.clock)


def look(
    settings: Settings, loaded: Tables, symbol: str, analysis: Analysis, session: SessionClock
) -> SymbolAnalysis:
    """The same, of what is attached. Raises UnknownSymbol."""
    symbol = symbol_as(symbol)
    symbol_id = symbol_id_of(loaded, symbol)
    pairs = _pairs(settings, loaded, symbol_id, analysis, session)
    cells = _cells(loaded, symbol_id, analysis, session)
    minutes = max((pair.looked_minutes for pair in pairs), default=0)
    state = "warming" if minutes < MINUTES else "ready"
    if not pairs and not cells:
        state = "away" if settings.config.spread_analyst.wanted else "off"
    return SymbolAnalysis(symbol, state, minutes, MINUTES, pairs, cells)


def _pairs(
    settings: Settings, loaded: Tables, symbol_id: int, analysis: Analysis, session: SessionClock
) -> list[PairAnalysis]:
    ways = [row.direction_id for row in loaded.directions if symbol_id in row.symbol_ids]
    found = analysis.pairs(ways, [symbol_id] * len(ways))
    now_ns = session.now_ns()
    told = found.written & current(found.records, now_ns, loaded.generation)
    return [
        _pair(way, row, settings.config.spread_analyst.half_lives_s, now_ns)
        for way, row, is_told in zip(ways, found.records, told, strict=True)
        if is_told
    ]


def _pair(way: int, row: np.void, half_lives_s: list[float], now_ns: int) -> PairAnalysis:
    return PairAnalysis(
        direction=DIRECTIONS[way].label,
        usable=bool(row["flags"] & AnalysisFlag.USABLE),
        sample_age_s=_age_s(row, now_ns),
        usable_share=known(row["usable_share"]),
        looked_minutes=int(row["looked"]),
        minutes=int(row["minutes"]),
        entry=_basis(row["entry"], half_lives_s, int(row["flags"])),
        exit=_basis(row["exit"], half_lives_s, int(row["flags"])),
    )


def _basis(row: np.void, half_lives_s: list[float], flags: int) -> BasisAnalysis:
    return BasisAnalysis(
        now_bps=known(row["now"]),
        weighted=[
            Weighted(
                half_life_s,
                known(row["mean"][number]),
                known(row["deviation"][number]),
                known(row["z"][number]),
                bool(flags & AnalysisFlag.KNOWN_0 << number),
            )
            for number, half_life_s in enumerate(half_lives_s)
        ],
        quantiles_bps={name: known(row[name]) for name in QUANTILES},
        reverts_s=known(row["half_life_s"]),
    )


def _cells(
    loaded: Tables, symbol_id: int, analysis: Analysis, session: SessionClock
) -> list[CellAnalysis]:
    sources = sorted(row.source_id for row in loaded.instruments if row.symbol_id == symbol_id)
    found = analysis.cells(sources, [symbol_id] * len(sources))
    now_ns = session.now_ns()
    told = found.written & current(found.records, now_ns, loaded.generation)
    return [
        CellAnalysis(
            source=SOURCES[source].label,
            usable=bool(row["flags"] & AnalysisFlag.USABLE),
            sample_age_s=_age_s(row, now_ns),
            mid=known(row["mid"]),
            bars=[
                BarsAnalysis(
                    length,
                    int(row["frames"][number]["bars"]),
                    _indicators(row["frames"][number]["closed"]),
                    _indicators(row["frames"][number]["running"]),
                )
                for number, length in enumerate(BAR_SECONDS)
            ],
        )
        for source, row, is_told in zip(sources, found.records, told, strict=True)
        if is_told
    ]


def _indicators(row: np.void) -> Indicators:
    values: Mapping[str, float | None] = {
        name: known(row[name]) for name in Indicators.__struct_fields__
    }
    return Indicators(**values)


def _age_s(row: np.void, now_ns: int) -> float | None:
    """Since the last usable quote; None: there was none."""
    ts_ns = int(row["ts_sample"])
    return (now_ns - ts_ns) / NS_PER_S if ts_ns > 0 else None
