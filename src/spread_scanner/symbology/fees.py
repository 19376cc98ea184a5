"""What one fill costs: the taker's fee by the settings, and what a network takes, by the tables.

Pools have their own fee in their prices; what their network takes for a swap is noted by discovery
with each generation, as a share of the size that their prices are for.
"""

from collections.abc import Callable, Iterable

from spread_scanner.config import Settings
from spread_scanner.schema.enums import Source
from spread_scanner.symbology.tables import InstrumentRow, Tables

FeeOfFill = Callable[[Source, str], float]  # of one fill of a symbol there, in basis points


class FillFees:
    """By the settings and listings in force."""

    def __init__(self, settings: Settings, instruments: Iterable[InstrumentRow]) -> None:
        self._settings = settings
        self._network = {
            (row.source_id, row.symbol_id): row.network_fee_bps
            for row in instruments
            if row.network_fee_bps
        }

    def bps(self, source: Source, symbol_id: int, symbol: str) -> float:
        """Of one fill of a symbol ("BTC-USDT"), in basis points of what is traded."""
        network = self._network.get((source.source_id, symbol_id), 0.0)
        return self._settings.fee_bps(source, symbol) + network


def fees_by_name(settings: Settings, loaded: Tables) -> FeeOfFill:
    """The same for whoever has a symbol's name alone; one that the tables do not have is charged by
    the settings."""
    fees, ids = FillFees(settings, loaded.instruments), loaded.symbol_ids()
    return lambda source, symbol: fees.bps(source, ids.get(symbol, -1), symbol)
