"""Records that cross process borders, as numpy dtypes. Sizes and offsets are pinned by a test.

Absent is a sentinel with a flag, never zero and never "now": a missing price is NaN (with
BID_EMPTY or ASK_EMPTY), a missing exchange time is TS_ABSENT (with NO_TS_EVENT).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from spread_scanner.schema.enums import SignalKind

TS_ABSENT = -(2**63)  # the smallest i64: no exchange time

# One quote: 64 bytes, one cache line. Prices per base unit, sizes in base units, times in ns.
QUOTE_DTYPE = np.dtype(
    [
        ("bid_px", "<f8"),
        ("bid_sz", "<f8"),
        ("ask_px", "<f8"),
        ("ask_sz", "<f8"),
        ("ts_event", "<i8"),
        ("ts_recv", "<i8"),
        ("update_id", "<u8"),
        ("flags", "<u4"),
        ("epoch", "<u4"),
    ]
)

# What an exchange told last of one perpetual's funding: 64 bytes, schema.funding.FundingNow.
FUNDING_DTYPE = np.dtype(
    [
        ("rate", "<f8"),  # a fraction per interval; positive: longs pay shorts
        ("cap", "<f8"),  # NaN: not told
        ("floor", "<f8"),
        ("interval_h", "<f8"),
        ("next_wall_ns", "<i8"),  # 0: not told
        ("asked_wall_ns", "<i8"),
        ("flags", "<u4"),  # schema.funding.FundingFlag
        ("listing", "<u4"),  # schema.funding.listing_of
        ("generation", "<u8"),  # of the tables by which it was written
    ]
)

# One signal of the engine: 256 bytes, four cache lines. Spreads in basis points of the spot ask, as
# schema/costs.py defines them.
SIGNAL_DTYPE = np.dtype(
    [
        ("seq", "<u8"),  # counts up by one per pushed signal, for ever (survives engine restarts)
        ("mono_ns", "<i8"),  # when the engine decided, monotonic
        ("ts_engine", "<i8"),  # the same instant on the session clock
        ("ts_trigger", "<i8"),  # ts_recv of the younger leg: the frame that made the signal
        ("spot_bid_px", "<f8"),
        ("spot_bid_sz", "<f8"),
        ("spot_ask_px", "<f8"),
        ("spot_ask_sz", "<f8"),
        ("fut_bid_px", "<f8"),
        ("fut_bid_sz", "<f8"),
        ("fut_ask_px", "<f8"),
        ("fut_ask_sz", "<f8"),
        ("spot_ts_event", "<i8"),
        ("spot_ts_recv", "<i8"),
        ("fut_ts_event", "<i8"),
        ("fut_ts_recv", "<i8"),
        ("gross_bps", "<f8"),  # what entering earns
        ("fees_bps", "<f8"),  # of all four fills
        ("carry_bps", "<f8"),  # expected funding; SIGNAL_FUNDING_UNKNOWN: its rate is not known
        ("net_bps", "<f8"),  # gross + close - fees - carry
        ("exit_bps", "<f8"),  # what leaving would earn now
        ("size_quote", "<f8"),  # size_base at the spot's ask
        ("close_bps", "<f8"),  # what leaving is assumed to earn
        ("usual_bps", "<f8"),  # what it usually earns; NaN: not known yet
        ("parity_bps", "<f8"),  # what it earns when the mids meet at the present widths
        ("size_base", "<f8"),  # the smaller of the two tops, in whole lots
        ("spot_fee_bps", "<f8"),  # of one fill; the futures' is fees_bps / 2 less this
        ("spot_update_id", "<u8"),
        ("fut_update_id", "<u8"),
        ("symbol_id", "<u2"),
        ("direction_id", "u1"),
        ("kind", "u1"),  # SignalKind
        ("flags", "<u4"),  # SIGNAL_* below
        ("generation", "<u4"),  # of the tables
        ("instance", "<u4"),  # low half of the store's instance id
        ("usual_generation", "<u4"),  # of the table that usual_bps is from; 0: none was adopted
        ("reserved", "V4"),
    ]
)

# What follows on an ENTER or a RESIGNAL in the same ring, once both order books of the pair are
# there: a slot of its own, told apart by `kind`. Its first three fields and its last ones are a
# signal's, so that who reads signals alone can pass it over. Spreads are by schema/ladder.py.
RUNGS_MAX = 8
SIGNAL_RUNG_DTYPE = np.dtype(
    [
        ("size_quote", "<f4"),  # NaN: no more sizes were asked for
        ("buy_px", "<f4"),  # the average that buying the spot would pay; NaN: not carried
        ("sell_px", "<f4"),
        ("net_bps", "<f4"),
    ]
)
FOLLOW_UP_DTYPE = np.dtype(
    [
        ("seq", "<u8"),
        ("mono_ns", "<i8"),
        ("ts_engine", "<i8"),
        ("of_seq", "<u8"),  # the signal that it follows
        ("spot_update_id", "<u8"),  # of the books
        ("fut_update_id", "<u8"),
        ("spot_ts_recv", "<i8"),
        ("fut_ts_recv", "<i8"),
        ("enter_bps", "<f8"),  # the threshold that size_base is for
        ("close_bps", "<f8"),  # what leaving is assumed to earn, at the tops
        ("net_bps", "<f8"),  # at the tops of the books
        ("size_base", "<f8"),  # the largest with net over the threshold, in whole lots
        ("size_quote", "<f8"),
        ("rungs", SIGNAL_RUNG_DTYPE, (RUNGS_MAX,)),
        ("symbol_id", "<u2"),
        ("direction_id", "u1"),
        ("kind", "u1"),  # SignalKind.BOOK
        ("flags", "<u4"),
        ("generation", "<u4"),
        ("instance", "<u4"),
        ("usual_generation", "<u4"),
        ("thin", "u1"),  # a bit per rung: a side that is known to its end holds less
        ("reserved", "V3"),
    ]
)


def signals_apart(records: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Records of the ring in their order: the signals, and what followed on them."""
    follows = records["kind"] == SignalKind.BOOK
    if not follows.any():
        return records, np.zeros(0, FOLLOW_UP_DTYPE)
    return records[~follows], records[follows].view(FOLLOW_UP_DTYPE)


def joined(parts: Sequence[np.ndarray], dtype: np.dtype[Any]) -> np.ndarray:
    """Records of one dtype in their order: what np.concatenate gives, which compares all fields of
    each part by name."""
    if len(parts) < 2:
        return parts[0] if parts else np.zeros(0, dtype)
    return np.frombuffer(bytearray(b"".join(part.tobytes() for part in parts)), dtype)


def decimal(short: np.float32) -> float:
    """What a person wrote that is kept as a float32: 0.1, not 0.10000000149."""
    return float(str(short))


SIGNAL_FUNDING_UNKNOWN = 1
SIGNAL_LEG_LOST = 2  # an EXIT because the spread cannot be stood behind, not because it closed
SIGNAL_AGED = 4  # made by time, a switch or a backlog, not by a quote just read: no latency
SIGNAL_BASIS_UNKNOWN = 8  # close_bps is a guess by the present widths: usual_bps is not trusted
SIGNAL_MINIMUM_UNKNOWN = 16  # a listing tells no minimum order: it counts as none
# Of what follows on a signal alone.
FOLLOW_UP_BOUNDED = 128  # the levels that are known ended before the spread did
FOLLOW_UP_TOP_DISAGREES = 256  # a book's top is not the quote channel's
# Of kept evaluations alone: which leg stands alone against the other sources of its coin.
EVALUATION_SPOT_ALONE = 32
EVALUATION_FUT_ALONE = 64

# One evaluation that the engine keeps for `spread-ctl why`: 256 bytes.
EVALUATION_DTYPE = np.dtype(
    [
        ("ts_engine", "<i8"),
        ("gross_bps", "<f8"),
        ("fees_bps", "<f8"),
        ("carry_bps", "<f8"),
        ("net_bps", "<f8"),
        ("enter_bps", "<f8"),
        ("size_quote", "<f8"),
        ("size_quote_min", "<f8"),
        ("spot_age_ns", "<i8"),
        ("fut_age_ns", "<i8"),
        ("skew_ns", "<i8"),
        ("spot_px", "<f8"),
        ("fut_px", "<f8"),
        ("spot_flags", "<u4"),
        ("fut_flags", "<u4"),
        ("symbol_id", "<u2"),
        ("direction_id", "u1"),
        ("verdict", "u1"),  # Verdict
        ("count", "<u4"),  # evaluations with the same verdict that this row stands for
        ("exit_bps", "<f8"),
        ("close_bps", "<f8"),
        ("usual_bps", "<f8"),
        ("parity_bps", "<f8"),
        ("size_base", "<f8"),
        ("lot_base", "<f8"),
        ("learned", "<f8"),  # weight of what usual_bps is from, as a share of what makes it trusted
        ("usual_generation", "<u4"),
        ("flags", "<u4"),  # SIGNAL_*, EVALUATION_*
        ("z", "<f8"),  # deviations that gross was off its mean; NaN: not asked, or not known
        ("z_min", "<f8"),  # enter_z_min; NaN: it was not asked
        ("z_mean_bps", "<f8"),  # of gross, by the middle half-life of the analyst
        ("z_deviation_bps", "<f8"),
        ("generation", "<u4"),  # of the tables that symbol_id is of
        ("spare", "V28"),
        ("reserved", "<u8"),
    ]
)
