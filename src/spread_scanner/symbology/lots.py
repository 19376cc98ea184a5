"""The common lot of two listings, and their minima, in base units. Pure functions.

Both legs of a trade have the same size in base units, so it is a multiple of both listings' steps:
of their least common multiple, with contract sizes and multipliers in it. It is found in exact
fractions of the decimals that the exchanges wrote; in floats 0.3 is no multiple of 0.1.
"""

import math
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from spread_scanner.schema.lots import LOT_NEVER, LotFlag

DIGITS = 15  # any decimal of so many digits survives a float, and products lose their dust by it
# 1, 2 and 5 times powers of ten meet within ten of the coarser step, and no pair of the recorded
# lists needs more; beyond so many of them one of the two steps is an error.
STEPS_MAX = 1_000


class LegRules(NamedTuple):
    """What a listing says of sizes, in its own units, and base units per unit."""

    scale: float
    lot_step: float | None
    min_qty: float | None
    min_notional: float | None  # in quote units


class PairRules(NamedTuple):
    """What holds for both legs: base units, but for the notionals. 0: not told, and flagged."""

    lot: float
    spot_min_qty: float
    fut_min_qty: float
    spot_min_notional: float
    fut_min_notional: float
    flags: LotFlag


@lru_cache(maxsize=16_384)
def pair_rules(spot: LegRules, fut: LegRules) -> PairRules:
    """Both listings' rules as one trade has to keep them."""
    flags = LotFlag(0)
    steps = [_exact(leg.lot_step, leg.scale) for leg in (spot, fut)]
    minima = [_exact(leg.min_qty, leg.scale) for leg in (spot, fut)]
    notionals = [_exact(leg.min_notional, 1.0) for leg in (spot, fut)]
    for flag, value in zip(_MISSING, [*steps, *minima, *notionals], strict=True):
        if not value:
            flags |= flag
    lot = _common([step for step in steps if step])
    if lot >= LOT_NEVER:
        lot, flags = LOT_NEVER, flags | LotFlag.NEVER_MEETS
    spot_qty, fut_qty, spot_notional, fut_notional = map(float, (*minima, *notionals))
    return PairRules(lot, spot_qty, fut_qty, spot_notional, fut_notional, flags)


_MISSING = (
    LotFlag.SPOT_STEP_UNKNOWN,
    LotFlag.FUT_STEP_UNKNOWN,
    LotFlag.SPOT_MIN_QTY_UNKNOWN,
    LotFlag.FUT_MIN_QTY_UNKNOWN,
    LotFlag.SPOT_MIN_NOTIONAL_UNKNOWN,
    LotFlag.FUT_MIN_NOTIONAL_UNKNOWN,
)


def _exact(value: float | None, scale: float) -> Fraction:
    """A number of the list in base units, as it was written; 0 where there is none to be used."""
    if value is None or not (0 < value < math.inf and 0 < scale < math.inf):
        return Fraction(0)
    return Fraction(f"{value:.{DIGITS}g}") * Fraction(f"{scale:.{DIGITS}g}")


def _common(steps: list[Fraction]) -> float:
    """The least common multiple; 0 without steps, LOT_NEVER or more where there is none of use."""
    if not steps:
        return 0.0
    below = math.lcm(*(step.denominator for step in steps))
    lot = Fraction(math.lcm(*(int(step * below) for step in steps)), below)
    return LOT_NEVER if lot > STEPS_MAX * max(steps) else min(float(lot), LOT_NEVER)
