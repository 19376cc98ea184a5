"""What a pair costs by the settings and tables in force: fees of both legs, funding, thresholds.

The board takes these sums off its gross spreads.
"""

from spread_scanner.config import Settings
from spread_scanner.schema.costs import funding_bps
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.symbology import tables
from spread_scanner.symbology.tables import DirectionRow, Tables
from spread_scanner.view.reading import Reading


class Cost(Reading, frozen=True):
    """One pair's costs, in basis points of the spot ask; funding counts for `funding_hours`."""

    symbol: str
    direction: str
    spot_fee_bps: float  # of one fill
    fut_fee_bps: float
    fees_bps: float  # of all four fills: entering and leaving, both legs
    funding_bps: float | None  # negative: received; null: the rate is not known
    costs_bps: float  # what is taken off the gross spread
    enter_bps: float  # net, from which on it is a signal
    exit_bps: float  # net, under which the signal ends


def read(settings: Settings, wanted: str = "") -> list[Cost]:
    """All pairs whose symbol contains `wanted`, by direction. Raises TableError."""
    loaded = tables.load(settings.generated_dir)
    costs = (cost for row in loaded.directions for cost in of_direction(settings, loaded, row))
    return [cost for cost in costs if wanted.upper() in cost.symbol]


def of_direction(settings: Settings, loaded: Tables, row: DirectionRow) -> list[Cost]:
    """Those of one direction, in the order of its symbols: the one place where they are summed."""
    direction = DIRECTIONS[row.direction_id]
    spot = settings.exchanges[direction.spot.label]
    futures = settings.exchanges[direction.futures.label]
    names = loaded.symbol_names()
    hours = settings.config.spread_engine.funding_hours
    funding = {
        rate.symbol_id: funding_bps(rate.rate, rate.interval_hours, hours)
        for rate in loaded.funding
        if rate.source_id == direction.futures.source_id
    }
    found = []
    for symbol_id in row.symbol_ids:
        symbol = names[symbol_id]
        fees = 2 * (spot.fee_bps(symbol) + futures.fee_bps(symbol))
        carried = funding.get(symbol_id)
        thresholds = settings.directions.thresholds(direction.label, symbol)
        found.append(
            Cost(
                symbol=symbol,
                direction=direction.label,
                spot_fee_bps=spot.fee_bps(symbol),
                fut_fee_bps=futures.fee_bps(symbol),
                fees_bps=fees,
                funding_bps=carried,
                costs_bps=fees + (carried or 0.0),
                enter_bps=thresholds.enter_bps,
                exit_bps=thresholds.exit_bps,
            )
        )
    return found
