"""What the report reads: the opportunities of a period and the looks after their signals.

Read-only, in the caller's read transaction. Memory has a bound: of more than ROWS_MAX the newest
count, and how many were left out is said.
"""

import sqlite3
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from spread_scanner.schema import costs
from spread_scanner.tracker.book import PROBES_MS
from spread_scanner.tracker.opportunity import BOTH_RENEWED, Reason

ROWS_MAX = 100_000  # some 200 MB
OPEN = "open"  # where a Reason stands of those that are closed


class ReportRow(NamedTuple):
    """One opportunity, by the names of its columns; its result by schema/costs.py as the tracker
    stored it."""

    id: int
    symbol: str
    direction: str
    opened_ns: int
    last_seen_ns: int
    ended_ns: int | None
    reason: str | None
    first_exit_ns: int | None
    flags: int
    enter_bps: float
    entry_gross_bps: float
    entry_net_bps: float
    peak_net_bps: float
    entry_size_quote: float
    entry_spot_ask_px: float
    entry_fut_bid_px: float
    signals: int
    samples: int
    late: int
    missed: int
    lost: int
    gaps: int
    gap_ms: float
    spot_fee_bps: float | None
    fut_fee_bps: float | None
    settlements: int
    mark_bps: float | None
    mark_size_quote: float | None
    mark_spot_bid_px: float | None
    mark_fut_ask_px: float | None
    depth_nets: str | None

    @property
    def end_ns(self) -> int:
        """When its life ended, or up to when it was seen."""
        return self.last_seen_ns if self.ended_ns is None else self.ended_ns

    @property
    def outcome(self) -> str:
        """Why it was closed, or that it is not."""
        return self.reason or OPEN

    @property
    def result_bps(self) -> float | None:
        """What closing realised, or would have at the last usable look. None: not known."""
        return self.mark_bps

    @property
    def size_costs_bps(self) -> dict[float, float | None]:
        """What each size of the ladder took off the net of the tops, by both books soon after the
        signal; None: they did not carry it. Empty where no two books stood."""
        if self.depth_nets is None:
            return {}
        nets = msgspec.json.decode(self.depth_nets, type=list[tuple[float, float | None]])
        top_bps = nets[0][1]
        if top_bps is None:
            return {}
        return {size: None if net is None else top_bps - net for size, net in nets[1:]}

    @property
    def converged(self) -> bool:
        return self.reason == Reason.CONVERGED

    def left_bps(self, spot_ask_px: float, fut_bid_px: float) -> float | None:
        """What would have been realised by an entry at other prices: left at the same look as the
        result, with the funding that was crossed until then. More may have been crossed since."""
        if self.mark_bps is None or self.spot_fee_bps is None or self.fut_fee_bps is None:
            return None
        if self.mark_spot_bid_px is None or self.mark_fut_ask_px is None:
            return None
        left = (self.mark_spot_bid_px, self.mark_fut_ask_px)
        fees = (self.spot_fee_bps, self.fut_fee_bps)
        unfunded = costs.realised_bps(self.entry_spot_ask_px, self.entry_fut_bid_px, *left, *fees)
        funding = costs.funding_in(unfunded, self.mark_bps, self.entry_spot_ask_px)
        return costs.realised_bps(spot_ask_px, fut_bid_px, *left, *fees, funding)


class Looked(NamedTuple):
    """A look after the signal that was taken in time."""

    net_bps: float | None  # None: a leg was lost
    spot_ask_px: float | None
    fut_bid_px: float | None
    renewed: int | None

    @property
    def counts(self) -> bool:
        """Whether it shows what stood then: a leg that was lost did not stand, one that nobody
        renewed may only not have been told of."""
        return self.net_bps is None or self.renewed == BOTH_RENEWED


Looks = dict[int, dict[int, Looked]]  # after_ms -> id -> look


def bounded(connection: sqlite3.Connection, since_ns: int, until_ns: int) -> tuple[int, int]:
    """Where the period has to begin to hold no more than ROWS_MAX, and how many that leaves out."""
    period = (since_ns, until_ns)
    where = "FROM opportunities WHERE opened_ns >= ? AND opened_ns < ?"
    first = connection.execute(
        f"SELECT opened_ns {where} ORDER BY opened_ns DESC LIMIT 1 OFFSET ?", (*period, ROWS_MAX)
    ).fetchone()
    if first is None:
        return period[0], 0
    left_out = connection.execute(f"SELECT count(*) {where}", (since_ns, first[0] + 1)).fetchone()
    return int(first[0]) + 1, int(left_out[0])


def read(connection: sqlite3.Connection, since_ns: int, until_ns: int) -> list[ReportRow]:
    """The opportunities that were opened in the period, oldest first."""
    found = connection.execute(
        f"SELECT {', '.join(ReportRow._fields)} FROM opportunities "
        "WHERE opened_ns >= ? AND opened_ns < ? ORDER BY opened_ns, id",
        (since_ns, until_ns),
    )
    return [ReportRow(*row) for row in found]


def read_looks(connection: sqlite3.Connection, since_ns: int, until_ns: int) -> Looks:
    """The looks after their signals that were taken."""
    looks: Looks = {after_ms: {} for after_ms in PROBES_MS}
    for number, after_ms, *look in connection.execute(
        "SELECT p.opportunity_id, p.after_ms, p.net_bps, p.spot_ask_px, p.fut_bid_px, p.renewed "
        "FROM probes p JOIN opportunities o ON o.id = p.opportunity_id "
        "WHERE o.opened_ns >= ? AND o.opened_ns < ? AND p.late_ns IS NOT NULL",
        (since_ns, until_ns),
    ):
        looks.setdefault(after_ms, {})[number] = Looked(*look)
    return looks


def known(values: list[float | None]) -> npt.NDArray[np.float64]:
    """Those that are known."""
    return np.array([value for value in values if value is not None], dtype=np.float64)
