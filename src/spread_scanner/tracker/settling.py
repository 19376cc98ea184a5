"""Funding that an open opportunity really crosses: when it settles, and at which rate.

The rate is the one seen last before the settlement; the perpetual's price the last one seen, as its
mark is not ours to know. What no rate is known for is unknown from then on, never zero. Rates come
from the funding segment, which is asked for every few minutes; of what it was not told yet, from
the tables, as discovery saw them.

Exchanges settle by the wall clock, opportunities live on the session's. The two are one until the
wall clock is stepped; a settlement is then where it is by the wall clock of now.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema import costs
from spread_scanner.schema.funding import (
    INTERVAL_USUAL_H,
    NS_PER_HOUR,
    FundingNow,
    as_noted,
    interval_can_be,
    settles_after,
    unknown,
)
from spread_scanner.symbology.tables import FundingRow
from spread_scanner.tracker.opportunity import Followed, SettlementRow

ASK_NS = 10 * NS_PER_S  # how often a rate is looked up anew
STEP_NS = 60 * NS_PER_S  # the clocks may lie so far apart without having been stepped
# Settlements lie an hour apart: what is nearer to the last is that one, of a clock that was set.
APART_NS = NS_PER_HOUR // 2


class Upcoming(NamedTuple):
    """The next settlement of a perpetual's funding, as it is known now."""

    settles_ns: int
    rate: float | None  # a share, positive: received; None: not known
    ahead_ns: int = 0  # how far the wall clock has been stepped away from the session's


class Rates(Protocol):
    """Who knows rates."""

    def upcoming(self, source_id: int, symbol_id: int, after_ns: int, now_ns: int) -> Upcoming:
        """The first settlement after a time. Times are the session clock's."""


class TableRates:
    """The rates of the generated tables, on the grid of whole intervals since midnight UTC of the
    clock that it is asked by."""

    def __init__(self, rows: Iterable[FundingRow] = ()) -> None:
        self._rows = {(row.source_id, row.symbol_id): row for row in rows}

    def upcoming(self, source_id: int, symbol_id: int, after_ns: int, now_ns: int) -> Upcoming:
        row = self._rows.get((source_id, symbol_id))
        if row is None:
            return Upcoming(settles_after(after_ns, 0, INTERVAL_USUAL_H), None)
        return _upcoming(as_noted(row.rate, row.interval_hours, now_ns, 0), after_ns, now_ns)


class ToldFunding(Protocol):
    """What is asked of the funding segment (shm.FundingTable)."""

    def read(self, source_id: int, symbol_id: int) -> FundingNow | None: ...


class ToldRates:
    """The rates of the funding segment; `listings` are those of the tables in force, by source and
    symbol (schema.funding.listing_of), as an id may mean another coin by now; `stepped_ns` says how
    far the wall clock is ahead of the session's (clock.SessionClock.step_ns)."""

    def __init__(
        self,
        told: ToldFunding,
        listings: Mapping[tuple[int, int], int],
        tables: TableRates,
        stepped_ns: Callable[[], int] = lambda: 0,
    ) -> None:
        self._told = told
        self._listings = listings
        self._tables = tables
        self._stepped_ns = stepped_ns

    def upcoming(self, source_id: int, symbol_id: int, after_ns: int, now_ns: int) -> Upcoming:
        ahead_ns = self._stepped_ns()
        if abs(ahead_ns) < STEP_NS:
            ahead_ns = 0
        found = self._by_wall(source_id, symbol_id, after_ns + ahead_ns, now_ns + ahead_ns)
        return found._replace(settles_ns=found.settles_ns - ahead_ns, ahead_ns=ahead_ns)

    def _by_wall(self, source_id: int, symbol_id: int, after_ns: int, now_ns: int) -> Upcoming:
        row = self._told.read(source_id, symbol_id)
        if row is None or row.listing != self._listings.get((source_id, symbol_id)):
            return self._tables.upcoming(source_id, symbol_id, after_ns, now_ns)
        return _upcoming(row, after_ns, now_ns)


def _upcoming(row: FundingNow, after_ns: int, now_ns: int) -> Upcoming:
    """Where no interval is known, that of most; at a rate that is not known then."""
    hours = row.interval_h if interval_can_be(row.interval_h) else INTERVAL_USUAL_H
    settles_ns = settles_after(after_ns, row.next_wall_ns, hours)
    # A row that speaks of a later settlement was told after this one: not seen before it.
    seen = not settles_ns < row.next_wall_ns and not unknown(row, now_ns)
    return Upcoming(settles_ns, row.rate if seen else None)


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
        coming = _coming(followed, rates, now_ns)
        followed.settles_ns, followed.rate, followed.ahead_ns = coming
        followed.looked_ns, followed.ask_ns = now_ns, now_ns + ASK_NS
    return paid


def _coming(followed: Followed, rates: Rates, now_ns: int) -> Upcoming:
    """The next settlement. One before the last look, which knew of a later one, never was: the
    exchange has changed its interval. A step of the wall clock moves all of them."""
    row, pair = followed.row, followed.pair
    after_ns = row.settled_ns + (APART_NS if row.settlements else 0)
    coming = rates.upcoming(pair.futures_source, pair.symbol_id, after_ns, now_ns)
    stepped = abs(coming.ahead_ns - followed.ahead_ns) >= STEP_NS
    if followed.rate is not None and coming.settles_ns <= followed.looked_ns and not stepped:
        return rates.upcoming(pair.futures_source, pair.symbol_id, followed.looked_ns, now_ns)
    return coming
