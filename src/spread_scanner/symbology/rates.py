"""What holding each sold perpetual costs, by what is known of its funding. Pure functions of it.

What the funding segment was told of a listing counts, for as long as schema.funding lets it; of a
listing that it was never told of, what the tables noted when they were made. Asked by the engine
and by the screens, which thereby say the same.
"""

import numpy as np

from spread_scanner.schema.costs import Carry, expected_carry
from spread_scanner.schema.funding import FundingNow, as_noted, carry_inputs, listing_of
from spread_scanner.symbology.tables import Tables


def listings(tables: Tables) -> dict[tuple[int, int], int]:
    """By source and symbol what names the listing in the funding segment (listing_of)."""
    return {
        (row.source_id, row.symbol_id): listing_of(row.exchange_symbol)
        for row in tables.instruments
    }


class FundingRates:
    """By source and symbol. `told` is FundingTable.snapshot, None where there is no segment."""

    def __init__(self, tables: Tables, told: np.ndarray | None) -> None:
        self.told = told
        self._noted = {(row.source_id, row.symbol_id): row for row in tables.funding}
        self._listings = listings(tables)

    def carry(
        self, source_id: int, symbol_id: int, now_wall_ns: int, *, hold_h: float, credit: bool
    ) -> Carry:
        """Of a position entered now and held for `hold_h`."""
        listing = self._listings.get((source_id, symbol_id), 0)
        row = self.row(source_id, symbol_id, now_wall_ns)
        ahead = carry_inputs(row, now_wall_ns, hold_h, listing)
        return expected_carry(ahead, credit=credit)

    def told_of(self, source_id: int, symbol_id: int) -> FundingNow | None:
        """What was told of the listing that the tables have there; None: nothing yet."""
        if self.told is None:
            return None
        row = FundingNow(*self.told[source_id, symbol_id].item())
        ours = row.listing == self._listings.get((source_id, symbol_id), 0)
        return row if row.asked_wall_ns > 0 and ours else None

    def row(self, source_id: int, symbol_id: int, now_wall_ns: int) -> FundingNow | None:
        """What counts: what was told, else what the tables noted; None: neither."""
        told = self.told_of(source_id, symbol_id)
        if told is not None:
            return told
        noted = self._noted.get((source_id, symbol_id))
        if noted is None:
            return None
        listing = self._listings.get((source_id, symbol_id), 0)
        return as_noted(noted.rate, noted.interval_hours, now_wall_ns, listing)
