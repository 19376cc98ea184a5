"""Funding that an open opportunity really crosses: when it settles, and at which rate.

The rate is the one seen last before the settlement; the perpetual's price the last one seen, as its
mark is not ours to know. What no rate is known for is unknown from then on, never zero.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema import costs
from spread_scanner.schema.funding import interval_can_be, rate_can_be
from spread_scanner.symbology.tables import FundingRow
from spread_scanner.tracker.opportunity import Followed, SettlementRow

HOUR_NS = 3_600 * NS_PER_S
USUAL_HOURS = 8.0  # where an exchange does not tell; at a rate that is not known then
ASK_NS = 10 * NS_PER_S  # how often a rate is looked up anew: exchanges change theirs by the minute


class Upcoming(NamedTuple):
    """The next settlement of a perpetual's funding, as it is known now."""

    settles_ns: int
    rate: float | None  # a share, positive: received; None: not known


class Rates(Protocol):
    """Who knows rates: the tables (TableRates)."""

    def upcoming(self, source_id: int, symbol_id: int, after_ns: int) -> Upcoming:
        """The first settlement after a time. Times are wall clock, which the session's is near."""


class TableRates:
    """The rates of the generated tables, on the grid of whole intervals since midnight UTC."""

    def __init__(self, rows: Iterable[FundingRow] = ()) -> None:
        self._rows = {(row.source_id, row.symbol_id): row for row in rows}

    def upcoming(self, source_id: int, symbol_id: int, after_ns: int) -> Upcoming:
        row = self._rows.get((source_id, symbol_id))
        if row is None or row.interval_hours is None or not interval_can_be(row.interval_hours):
            return Upcoming(_next_ns(USUAL_HOURS, after_ns), None)
        rate = row.rate if rate_can_be(row.rate) else None
        return Upcoming(_next_ns(row.interval_hours, after_ns), rate)


def _next_ns(hours: float, after_ns: int) -> int:
    step_ns = int(hours * HOUR_NS)
    return (after_ns // step_ns + 1) * step_ns


def settle(followed: Followed, rates: Rates, now_ns: int) -> SettlementRow | None:
    """Pay or receive what settled since the last call; look the next one up. At most one a call:
    the shortest interval is an hour."""
    row, paid = followed.row, None
    if followed.settles_ns and now_ns >= followed.settles_ns:
        paid = SettlementRow(row.id, followed.settles_ns, followed.rate, followed.fut_px)
        row.settled_ns = followed.settles_ns
        row.settlements += 1
        if followed.rate is None or row.funding_paid is None:
            row.funding_paid = None
        else:
            row.funding_paid += costs.funding_paid(followed.rate, followed.fut_px)
    if paid is not None or now_ns >= followed.ask_ns:
        pair = followed.pair
        coming = rates.upcoming(pair.futures_source, pair.symbol_id, row.settled_ns)
        followed.settles_ns, followed.rate = coming
        followed.ask_ns = now_ns + ASK_NS
    return paid
