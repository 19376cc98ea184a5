"""What holding a pair is expected to cost, in basis points; said once, for engine and screens.

We sell the perpetual, so a positive rate (longs pay shorts) is received and makes the cost
negative. What is not known is None, never zero.
"""

from spread_scanner.schema.funding import interval_can_be, rate_can_be
from spread_scanner.schema.spread import BPS


def funding_bps(rate: float, interval_hours: float | None, hours: float) -> float | None:
    """Expected cost of holding the sold perpetual for `hours`; negative: received. `rate` is a
    share per interval. None: not known, or not to be believed (nan included)."""
    if interval_hours is None or not interval_can_be(interval_hours) or not rate_can_be(rate):
        return None
    return -rate * BPS * hours / interval_hours
