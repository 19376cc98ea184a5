"""What the tracker writes down: an opportunity's row, the flags of a sample, the reasons to close.

The fields of `Opportunity` are the columns of its table, in order; a test compares the two.
Times are nanoseconds on the session clock (clock.SessionClock), spreads basis points of the spot
ask, prices per base unit, sizes of tops in base units, `size_quote` in quote currency. None is
"not known", never zero.
"""

from dataclasses import dataclass, fields
from enum import IntFlag, StrEnum
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spread_scanner.tracker.pairs import Pair


class Reason(StrEnum):
    """Why an opportunity was closed."""

    CONVERGED = "converged"  # take_share of the first net was left in hand for converge_ms
    EXPIRED = "expired"  # no signal for life_s_max
    STALE = "stale"  # a leg could not be stood behind for stale_hold_ms
    GAP = "gap"  # nobody looked for too long, or prices before and after cannot be compared
    RETIRED = "retired"  # its pair left the tables


class SampleFlag(IntFlag):
    """Of a sample or probe. Each leg's QuoteFlag stands above, see `legs_flags`."""

    NONE = 0
    LATE = 1  # taken later than late_ms_max after its grid point
    SPOT_LOST = 2  # the spot leg could not be stood behind: no spreads in this row
    FUTURES_LOST = 4
    SKEWED = 8  # the legs lay too far apart in time: no spreads either
    IMPLAUSIBLE = 16  # beyond implausible_bps, or a leg alone by as much: none either


# What closes an opportunity as stale, and what makes a row without spreads (schema/freshness.py).
LOST = int(SampleFlag.SPOT_LOST | SampleFlag.FUTURES_LOST | SampleFlag.IMPLAUSIBLE)
UNREAD = LOST | int(SampleFlag.SKEWED)


def legs_flags(
    spot: npt.NDArray[np.uint32], futures: npt.NDArray[np.uint32]
) -> npt.NDArray[np.int64]:
    """The QuoteFlag of both legs as they stand in a sample's flags: the low byte of spot's at 8 and
    of futures' at 16, where it has been since the first version of the database; their second
    bytes, which rows of before have as zero, at 24 and at 32. CONTENDED is the reader's and is left
    out.
    """
    of_spot, of_futures = spot.astype(np.int64), futures.astype(np.int64)
    low = (of_spot & 0xFF) << 8 | (of_futures & 0xFF) << 16
    return low | (of_spot >> 8 & 0xFF) << 24 | (of_futures >> 8 & 0xFF) << 32


class Signal(NamedTuple):
    """schema.records.SIGNAL_DTYPE as a row; same fields, same order."""

    seq: int
    mono_ns: int
    ts_engine: int
    ts_trigger: int
    spot_bid_px: float
    spot_bid_sz: float
    spot_ask_px: float
    spot_ask_sz: float
    fut_bid_px: float
    fut_bid_sz: float
    fut_ask_px: float
    fut_ask_sz: float
    spot_ts_event: int
    spot_ts_recv: int
    fut_ts_event: int
    fut_ts_recv: int
    gross_bps: float
    fees_bps: float
    carry_bps: float
    net_bps: float
    exit_bps: float
    size_quote: float
    close_bps: float
    usual_bps: float
    parity_bps: float
    size_base: float
    spot_fee_bps: float
    spot_update_id: int
    fut_update_id: int
    symbol_id: int
    direction_id: int
    kind: int
    flags: int
    generation: int
    instance: int
    usual_generation: int
    reserved: bytes


class FollowUp(NamedTuple):
    """What followed on a signal (schema.records.FOLLOW_UP_DTYPE), as far as it is written down."""

    seq: int
    ts_engine: int
    of_seq: int
    net_bps: float | None  # at the tops; None: not known
    size_quote: float | None  # the largest with net over the threshold
    bounded: bool  # the levels that were known ended before the spread did
    sizes: list[tuple[float, float | None]]  # in the quote coin, and the net there
    symbol_id: int
    direction_id: int
    generation: int


RingRecord = Signal | FollowUp  # a record of the ring


@dataclass(slots=True)
class Opportunity:
    """One opportunity as it is stored."""

    id: int
    symbol: str
    direction: str
    legs: str
    symbol_id: int
    direction_id: int
    generation: int
    instance: int
    entry_seq: int
    opened_ns: int
    enter_bps: float  # the threshold in force
    fees_bps: float
    carry_bps: float | None  # expected funding, as in net; None: not known, in rows of before
    entry_gross_bps: float
    entry_net_bps: float
    entry_exit_bps: float
    entry_size_quote: float
    entry_spot_bid_px: float
    entry_spot_bid_sz: float
    entry_spot_ask_px: float
    entry_spot_ask_sz: float
    entry_fut_bid_px: float
    entry_fut_bid_sz: float
    entry_fut_ask_px: float
    entry_fut_ask_sz: float
    entry_spot_age_ns: int
    entry_fut_age_ns: int
    # Until here written once, at opening; from here on kept up to date while it is open.
    last_signal_ns: int
    last_seen_ns: int  # the last signal, sample or probe
    peak_net_bps: float
    peak_ns: int
    signals: int = 1  # enters and re-signals
    exits: int = 0  # exit signals of the engine
    first_exit_ns: int | None = None
    flags: int = 0  # SIGNAL_* of the opening signal, and LEG_LOST of the first exit signal
    samples: int = 0
    late: int = 0
    missed: int = 0  # grid points that passed without a sample
    lost: int = 0  # samples with a leg that could not be stood behind
    gaps: int = 0  # how often nobody looked because the tracker was away
    gap_ms: float = 0.0
    # From here on written once, at closing.
    closed_ns: int | None = None
    ended_ns: int | None = None  # when its life ended: holds are not part of it
    reason: str | None = None
    exit_gross_bps: float | None = None
    reentry_net_bps: float | None = None  # what entering anew would have earned at the last look
    exit_bps: float | None = None
    exit_size_quote: float | None = None
    exit_spot_bid_px: float | None = None
    exit_spot_bid_sz: float | None = None
    exit_spot_ask_px: float | None = None
    exit_spot_ask_sz: float | None = None
    exit_fut_bid_px: float | None = None
    exit_fut_bid_sz: float | None = None
    exit_fut_ask_px: float | None = None
    exit_fut_ask_sz: float | None = None
    exit_spot_age_ns: int | None = None
    exit_fut_age_ns: int | None = None
    exit_flags: int | None = None  # SampleFlag of the last look
    # Of the opening signal, and written once; rows of before have none.
    close_bps: float | None = None  # what leaving was assumed to earn, as in net; None: nothing
    usual_bps: float | None = None  # what it usually earned
    parity_bps: float | None = None  # what it earns where the two mids meet
    size_base: float | None = None
    spot_fee_bps: float | None = None  # of one fill
    fut_fee_bps: float | None = None
    # Kept up to date while it is open: the funding that was crossed, and what closing at the last
    # look at which both legs could be stood behind would have left.
    settled_ns: int = 0  # settlements up to here are counted
    settlements: int = 0
    funding_paid: float | None = None  # money per base unit; None: a rate that was not known
    mark_ns: int | None = None
    mark_bps: float | None = None
    mark_size_quote: float | None = None
    mark_spot_bid_px: float | None = None
    mark_fut_ask_px: float | None = None
    # Written once, at closing: the mark, of those that converged alone.
    realised_bps: float | None = None
    # Kept up to date while it is open: when the engine left it or was barred from it; None: it has
    # not, or has come back.
    left_ns: int | None = None
    # Written once, when the engine told what both order books carry; None: it did not. `depth_nets`
    # is JSON: [size in the quote coin, net or null], the first of the tops.
    depth_ns: int | None = None
    depth_size_quote: float | None = None  # the largest size with net over the threshold
    depth_bounded: int | None = None  # 1: the levels that were known ended before the spread did
    depth_nets: str | None = None


COLUMNS = tuple(field.name for field in fields(Opportunity))
_WORTH = COLUMNS[COLUMNS.index("settled_ns") : COLUMNS.index("realised_bps")]
_DEPTH = COLUMNS[COLUMNS.index("depth_ns") :]
# What signals change is written at once, what samples change with the samples (journal.py).
_PEAK = ("peak_net_bps", "peak_ns")
SIGNALLED_COLUMNS = (
    *("last_signal_ns", *_PEAK, "signals", "exits", "first_exit_ns", "flags", "left_ns"),
    *_DEPTH,
)
SAMPLED_COLUMNS = (
    *("last_seen_ns", *_PEAK, "samples", "late", "missed", "lost", "gaps", "gap_ms"),
    *_WORTH,
)

row_of = attrgetter(*COLUMNS)
signalled_of = attrgetter(*SIGNALLED_COLUMNS, "id")
sampled_of = attrgetter(*SAMPLED_COLUMNS, "id")


class SampleRow(NamedTuple):
    """One look on the grid; `ts_ns - late_ns` is its grid point. `ts_ns` is the key of the table,
    so that samples are appended in the order of time."""

    opportunity_id: int
    ts_ns: int
    late_ns: int
    gross_bps: float | None
    net_bps: float | None
    exit_bps: float | None
    size_quote: float | None
    exit_size_quote: float | None
    spot_age_ns: int | None
    fut_age_ns: int | None
    flags: int
    depth_size_quote: float | None  # the largest with net over the threshold by both order books


class SettlementRow(NamedTuple):
    """A settlement of funding that an open opportunity crossed, with the rate last seen before it
    (a share, None: not known) and the perpetual's price that it was charged on."""

    opportunity_id: int
    settled_ns: int
    rate: float | None
    fut_px: float


class ProbeRow(NamedTuple):
    """One look a fixed time after the opening signal; `late_ns` is None when it was missed.

    `renewed`: bit 0 for spot, bit 1 for the futures leg: it was quoted anew since the signal, or
    its channel would have told (hearing.py). None: nobody noted it, in rows of before.
    """

    opportunity_id: int
    after_ms: int
    late_ns: int | None
    gross_bps: float | None
    net_bps: float | None
    exit_bps: float | None
    size_quote: float | None
    flags: int | None
    spot_ask_px: float | None = None
    fut_bid_px: float | None = None
    renewed: int | None = None


BOTH_RENEWED = 3


# Of each connection its number and how many messages it had brought; None: nobody can tell.
Messages = tuple[tuple[int, int], ...] | None
Noted = tuple[Messages, Messages] | None  # of both legs' sources


class Followed:
    """An open opportunity with what only matters while it is followed."""

    __slots__ = (
        "ahead_ns",
        "ask_ns",
        "converged_since_ns",
        "fut_px",
        "heard",
        "looked_ns",
        "next_point_ns",
        "pair",
        "rate",
        "retired",
        "row",
        "settles_ns",
        "stale_since_ns",
    )

    def __init__(self, row: Opportunity, pair: Pair, next_point_ns: int) -> None:
        self.row = row
        self.pair = pair
        self.retired = False  # its pair left the tables, or is of other listings now
        self.next_point_ns = next_point_ns
        self.converged_since_ns: int | None = None
        self.stale_since_ns: int | None = None
        self.heard: Noted = None  # of its connections, when it was opened
        self.settles_ns = 0  # the next settlement; 0: not looked up yet
        self.rate: float | None = None  # of that, as it was seen last; None: not known
        self.ask_ns = 0  # when to look it up again
        self.looked_ns = 0  # when it was looked up last, and by which clock (settling.Upcoming)
        self.ahead_ns = 0
        # The perpetual's bid at the last look; of a life before nothing but its ask is kept.
        self.fut_px = row.mark_fut_ask_px or row.entry_fut_bid_px


def values_of(row: tuple[Any, ...]) -> Opportunity:
    """A stored row, in the order of COLUMNS, as an Opportunity."""
    return Opportunity(*row)
