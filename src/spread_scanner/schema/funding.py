"""Which funding can be, when it may be used, and what it comes to: the one definition.

Asked by discovery, which writes what the exchanges tell, and by whoever reads a rate from tables or
from the funding segment. What cannot be is not known, which is not the same as no funding. Times
are wall time, as settlements are; a rate is a fraction per interval, and positive where longs pay
shorts.
"""

import math
import zlib
from enum import IntFlag
from typing import NamedTuple

# Every interval that one of the four has or had, in hours. One that comes from two times may fall
# between them, while an exchange changes it: not known then.
INTERVAL_HOURS = frozenset({1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 24.0})
INTERVAL_USUAL_H = 8.0  # of a contract whose interval is not known

# Per interval, as a fraction, where a contract publishes no cap of its own. The exchanges' usual
# caps end below it (Binance adjustedFundingRateCap, Bybit fundingCap, OKX and MEXC maxFundingRate).
RATE_MAX = 0.05
CAP_MAX = 0.25  # a cap beyond is no cap, but an error: the widest that is known is a tenth of it
CAP_DUST = 1e-9  # a rate that stands at its cap may be written with other digits

NS_PER_HOUR = 3_600_000_000_000


class FundingFlag(IntFlag):
    """What the exchange did not tell of a contract."""

    INTERVAL_ASSUMED = 1  # it names intervals only where they differ from its usual one
    NO_INTERVAL = 2
    NO_CAP = 4
    NO_FLOOR = 8
    NO_NEXT = 16


class FundingNow(NamedTuple):
    """What an exchange told last of one contract, as the funding segment holds it."""

    rate: float
    cap: float  # the highest rate that can be; NaN: not told
    floor: float  # the lowest
    interval_h: float  # NaN: not told
    next_wall_ns: int  # the next settlement; 0: not told
    asked_wall_ns: int
    flags: int  # FundingFlag
    listing: int  # listing_of its spelling: an id that is another coin's now is not believed
    generation: int  # of the tables by which it was written


class FundingAhead(NamedTuple):
    """What holding a sold perpetual is made of."""

    rate: float | None  # None: not known
    pay_max: float  # the most that a seller can be charged at one crossing, a fraction
    crossings: int  # settlements while it is held


def rate_can_be(rate: float) -> bool:
    """Whether a rate per interval lies within what exchanges charge; nan does not."""
    return -RATE_MAX <= rate <= RATE_MAX


def interval_can_be(hours: float | None) -> bool:
    """Whether an exchange has this interval; None, not known, is no interval."""
    return hours in INTERVAL_HOURS


def listing_of(exchange_symbol: str) -> int:
    """The 32 bits by which a row names its listing."""
    return zlib.crc32(exchange_symbol.encode(errors="replace"))


def bounds(cap: float, floor: float) -> tuple[float, float]:
    """The lowest and the highest rate that can be: the contract's own, else those of all."""
    highest = cap if 0 < cap <= CAP_MAX else RATE_MAX
    lowest = floor if -CAP_MAX <= floor < 0 else -RATE_MAX
    return lowest, highest


def unknown(row: FundingNow | None, now_wall_ns: int, listing: int | None = None) -> str:
    """Why a rate cannot be used, or "" where it can. `listing`: what the tables have there now."""
    if row is None:
        return "never told"
    if listing is not None and row.listing != listing:
        return "not yet told of this listing"
    if not math.isfinite(row.rate):
        return "no number"
    if not interval_can_be(row.interval_h):
        return "its interval is not known"
    if abs(now_wall_ns - row.asked_wall_ns) > row.interval_h * NS_PER_HOUR:
        return "older than one interval"
    lowest, highest = bounds(row.cap, row.floor)
    if not lowest * (1 + CAP_DUST) <= row.rate <= highest * (1 + CAP_DUST):
        own = row.cap == highest if row.rate > 0 else row.floor == lowest
        return "beyond the contract's own cap" if own else f"beyond {RATE_MAX:.0%} per interval"
    return ""


def crossings(next_wall_ns: int, interval_h: float, now_wall_ns: int, hold_h: float) -> int:
    """How many settlements lie after now and no later than `hold_h` from now.

    Where none is told it is as many as can be.
    """
    if not hold_h > 0:
        return 0
    interval_ns = round(interval_h * NS_PER_HOUR)
    hold_ns = round(hold_h * NS_PER_HOUR)
    if next_wall_ns <= 0:
        return -(-hold_ns // interval_ns)
    first_ns = settles_after(now_wall_ns, next_wall_ns, interval_h) - now_wall_ns
    return 0 if first_ns > hold_ns else (hold_ns - first_ns) // interval_ns + 1


def settles_after(after_ns: int, next_wall_ns: int, interval_h: float) -> int:
    """The first settlement after a time. Of one that has passed, or lies beyond one interval, only
    the time of day counts; where none is told (0) they lie whole intervals after midnight UTC."""
    interval_ns = round(interval_h * NS_PER_HOUR)
    return after_ns + 1 + (max(next_wall_ns, 0) - after_ns - 1) % interval_ns


def as_noted(rate: float, interval_h: float | None, now_wall_ns: int, listing: int) -> FundingNow:
    """A rate that stands in the tables and was never told since, in the segment's terms: it holds
    as long as they do."""
    hours = math.nan if interval_h is None else interval_h
    flags = FundingFlag.NO_CAP | FundingFlag.NO_FLOOR | FundingFlag.NO_NEXT
    return FundingNow(rate, math.nan, math.nan, hours, 0, now_wall_ns, int(flags), listing, 0)


def carry_inputs(
    row: FundingNow | None, now_wall_ns: int, hold_h: float, listing: int | None = None
) -> FundingAhead:
    """Rate, the most that can be charged, and crossings while a sold perpetual is held."""
    why = unknown(row, now_wall_ns, listing)
    if row is None or (listing is not None and row.listing != listing):
        return FundingAhead(None, RATE_MAX, crossings(0, INTERVAL_USUAL_H, now_wall_ns, hold_h))
    hours = row.interval_h if interval_can_be(row.interval_h) else INTERVAL_USUAL_H
    lowest, _ = bounds(row.cap, row.floor)
    count = crossings(row.next_wall_ns, hours, now_wall_ns, hold_h)
    return FundingAhead(None if why else row.rate, -lowest, count)
