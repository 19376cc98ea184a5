"""What a pair costs by the settings and tables in force: fees of both legs, funding, thresholds.

The board takes these sums off its gross spreads.
"""

import numpy as np

from spread_scanner import clock
from spread_scanner.config import Settings
from spread_scanner.errors import SegmentError
from spread_scanner.schema.costs import fees_bps
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.shm.funding import FundingTable
from spread_scanner.symbology import tables
from spread_scanner.symbology.fees import FillFees
from spread_scanner.symbology.rates import FundingRates
from spread_scanner.symbology.tables import DirectionRow, Tables
from spread_scanner.symbology.written import symbol_as
from spread_scanner.view.reading import Reading
from spread_scanner.view.symbols import UnknownSymbol


class Cost(Reading, frozen=True):
    """One pair's costs, in basis points of the spot ask; funding counts for `hold_h`."""

    symbol: str
    direction: str
    spot_fee_bps: float  # of one fill
    fut_fee_bps: float
    fees_bps: float  # of all four fills: entering and leaving, both legs
    carry_at_ask_bps: float  # expected funding, the perpetual at the ask; negative: received
    rate_known: bool  # false: the most that is ever charged counts for each settlement
    costs_bps: float  # fees and carry
    close_at: str  # what leaving is taken to earn: "usual" or "parity"
    enter_bps: float  # net, from which on it is a signal
    exit_below_bps: float  # net, under which the signal ends: exit_bps of the settings


def read(settings: Settings, wanted: str = "") -> list[Cost]:
    """By the tables in force. Raises TableError, UnknownSymbol."""
    return of_tables(settings, tables.load(settings.generated_dir), wanted)


def of_tables(settings: Settings, loaded: Tables, wanted: str = "") -> list[Cost]:
    """All pairs whose symbol contains `wanted`, by direction. Raises UnknownSymbol."""
    rates = rates_now(settings, loaded)
    part = symbol_as(wanted)
    asked = {row.symbol_id for row in loaded.symbols if part in row.symbol}
    ways = loaded.paired(asked).directions
    found = [cost for row in ways for cost in of_direction(settings, loaded, row, rates)]
    if part and not found:
        raise UnknownSymbol(part, (row.symbol for row in loaded.symbols))
    return found


def rates_now(settings: Settings, loaded: Tables) -> FundingRates:
    """Of funding: what was told up to now, or what the tables noted where nothing is up."""
    told: np.ndarray | None = None
    try:
        with FundingTable.attach(settings.config.system.namespace, timeout_s=0.0) as table:
            told = table.snapshot()
    except SegmentError:
        pass
    return FundingRates(loaded, told)


def of_direction(
    settings: Settings, loaded: Tables, row: DirectionRow, rates: FundingRates
) -> list[Cost]:
    """Those of one direction, in the order of its symbols: the one place where they are summed."""
    direction = DIRECTIONS[row.direction_id]
    charged = FillFees(settings, loaded.instruments)
    names = loaded.symbol_names()
    engine = settings.config.spread_engine
    now_ns = clock.wall_ns()
    hold_h, credit = engine.hold_h, engine.funding_credit
    found = []
    for symbol_id in row.symbol_ids:
        symbol = names[symbol_id]
        spot, futures = (
            charged.bps(leg, symbol_id, symbol) for leg in (direction.spot, direction.futures)
        )
        fees = fees_bps(spot, futures)
        source_id = direction.futures.source_id
        carry = rates.carry(source_id, symbol_id, now_ns, hold_h=hold_h, credit=credit)
        thresholds = settings.directions.thresholds(direction.label, symbol)
        found.append(
            Cost(
                symbol=symbol,
                direction=direction.label,
                spot_fee_bps=spot,
                fut_fee_bps=futures,
                fees_bps=fees,
                carry_at_ask_bps=carry.carry_bps,
                rate_known=carry.rate_known,
                costs_bps=fees + carry.carry_bps,
                close_at=thresholds.close_at,
                enter_bps=thresholds.enter_bps,
                exit_below_bps=thresholds.exit_bps,
            )
        )
    return found
