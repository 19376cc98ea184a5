"""What holding a pair is expected to cost, and what a trade has earned, in basis points; said once,
for all.

We sell the perpetual, so a positive rate (longs pay shorts) is received and makes the cost
negative. What is not known is None, never zero.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from spread_scanner.schema.funding import interval_can_be, rate_can_be
from spread_scanner.schema.spread import BPS

Numbers = TypeVar("Numbers", float, npt.NDArray[np.float64])


def funding_bps(rate: float, interval_hours: float | None, hours: float) -> float | None:
    """Expected cost of holding the sold perpetual for `hours`; negative: received. `rate` is a
    share per interval. None: not known, or not to be believed (nan included)."""
    if interval_hours is None or not interval_can_be(interval_hours) or not rate_can_be(rate):
        return None
    return -rate * BPS * hours / interval_hours


def funding_paid(rate: float, fut_px: float) -> float:
    """Money paid per base unit at one settlement that was crossed; negative: received."""
    return -rate * fut_px


def realised_bps(
    spot_ask_px: Numbers,
    fut_bid_px: Numbers,
    spot_bid_px: Numbers,
    fut_ask_px: Numbers,
    spot_fee_bps: float,
    fut_fee_bps: float,
    funding: float = 0.0,
) -> Numbers:
    """What one base unit, entered at the first two prices and left at the last two, has earned, in
    bps of the spot ask paid.

    Each taker fee on its own notional. `funding` is the money paid per base unit (funding_paid).
    """
    spot_fees = (spot_ask_px + spot_bid_px) * (spot_fee_bps / BPS)
    fut_fees = (fut_bid_px + fut_ask_px) * (fut_fee_bps / BPS)
    earned = (fut_bid_px - spot_ask_px) + (spot_bid_px - fut_ask_px)
    return (earned - spot_fees - fut_fees - funding) / spot_ask_px * BPS
