"""Which funding can be: the rates and the intervals that exchanges have.

Asked by discovery, which writes no other into the tables, and by whoever reads a rate from tables.
What cannot be is not known, which is not the same as no funding.
"""

# Every interval that one of the four has or had, in hours. One that comes from two times may fall
# between them, while an exchange changes it: not known then.
INTERVAL_HOURS = frozenset({1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 24.0})

# Per interval, as a fraction. The exchanges' own caps end below it (Binance adjustedFundingRateCap,
# Bybit upperFundingRate, OKX and MEXC maxFundingRate); what is beyond is no funding, but an error.
RATE_MAX = 0.05


def rate_can_be(rate: float) -> bool:
    """Whether a rate per interval lies within what exchanges charge; nan does not."""
    return -RATE_MAX <= rate <= RATE_MAX


def interval_can_be(hours: float | None) -> bool:
    """Whether an exchange has this interval; None, not known, is no interval."""
    return hours in INTERVAL_HOURS
