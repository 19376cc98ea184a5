"""Funding that an open opportunity really crosses: when it settles, and at which rate.

The rate is the one seen last before the settlement; the perpetual's price the last one seen, as its
mark is not ours to know. What no rate is known for is unknown from then on, never zero. Rates come
from the funding segment, which is asked for every few minutes; of what it was not told yet, from
the tables, as discovery saw them.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema import costs, funding
from spread_scanner.schema.funding import FundingNow, interval_can_be, rate_can_be
from spread_scanner.symbology.tables import FundingRow
from spread_scanner.tracker.opportunity import Followed, SettlementRow

HOUR_NS = 3_600 * NS_PER_S
USUAL_HOURS = funding.INTERVAL_USUAL_H  # where none is told; at a rate that is not known then
ASK_NS = 10 * NS_PER_S  # how often a rate is looked up anew


class Upcoming(NamedTuple):
    """The next settlement of a perpetual's funding, as it is known now."""

    settles_ns: int
    rate: float | None  # a share, positive: received; None: not known


class Rates(Protocol):
    """Who knows rates."""

    def upcoming(self, source_id: int, symbol_id: int, after_ns: int, now_ns: int) -> Upcoming:
        """The first settlement after a time. Times are wall clock, which the session's is near."""


class TableRates:
    """The rates of the generated tables, on the grid of whole intervals since midnight UTC."""

    def __init__(self, rows: Iterable[FundingRow] = ()) -> None:
        self._rows = {(row.source_id, row.symbol_id): row for row in rows}

    def upcoming(self, source_id: int, symbol_id: int, after_ns: int, now_ns: int) -> Upcoming:
        row = self._rows.get((source_id, symbol_id))
        if row is None or row.interval_hours is None or not interval_can_be(row.interval_hours):
            return Upcoming(_next_ns(USUAL_HOURS, after_ns), None)
        rate = row.rate if rate_can_be(row.rate) else None
        return Upcoming(_next_ns(row.interval_hours, after_ns), rate)


class ToldFunding(Protocol):
    """What is asked of the funding segment (shm.FundingTable)."""

    def read(self, source_id: int, symbol_id: int) -> FundingNow | None: ...


class ToldRates:
    """The rates of the funding segment; `listings` are those of the tables in force, by source and
    symbol (schema.funding.listing_of), as an id may mean another coin by now."""

    def __init__(
        self, told: ToldFunding, listings: Mapping[tuple[int, int], int], tables: TableRates
    ) -> None:
        self._told = told
        self._listings = listings
        self._tables = tables

    def upcoming(self, source_id: int, symbol_id: int, after_ns: int, now_ns: int) -> Upcoming:
        row = self._told.read(source_id, symbol_id)
        if row is None or row.listing != self._listings.get((source_id, symbol_id)):
            return self._tables.upcoming(source_id, symbol_id, after_ns, now_ns)
        hours = row.interval_h if interval_can_be(row.interval_h) else USUAL_HOURS
        if row.next_wall_ns <= 0:
            settles_ns = _next_ns(hours, after_ns)
        else:  # of one that has passed, or lies further ahead, the others lie whole intervals away
            step_ns = int(hours * HOUR_NS)
            settles_ns = after_ns + 1 + (row.next_wall_ns - after_ns - 1) % step_ns
        # A row that speaks of a later settlement was told after this one: not seen before it.
        seen = not settles_ns < row.next_wall_ns and not funding.unknown(row, now_ns)
        return Upcoming(settles_ns, row.rate if seen else None)


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
        coming = rates.upcoming(pair.futures_source, pair.symbol_id, row.settled_ns, now_ns)
        followed.settles_ns, followed.rate = coming
        followed.ask_ns = now_ns + ASK_NS
    return paid
