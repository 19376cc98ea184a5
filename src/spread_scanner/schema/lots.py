"""What is known of a pair's lots and minima, as flags beside the numbers.

Written by symbology with each set of tables; read by whoever sizes a trade and by the screens.
"""

from enum import IntFlag

# What stands as the lot of a pair whose steps have none in common: more than any book ever held, so
# that each size rounds down to no lot at all. Finite, as 0 lots of infinity would be no number.
LOT_NEVER = 1e30


class LotFlag(IntFlag):
    """What an exchange did not tell (its number is 0 then), or what does not fit together."""

    SPOT_STEP_UNKNOWN = 1  # the lot is the other leg's alone; without either it is 0
    FUT_STEP_UNKNOWN = 2
    NEVER_MEETS = 4  # no common lot of a size that anybody could trade: the lot is LOT_NEVER
    SPOT_MIN_QTY_UNKNOWN = 8
    FUT_MIN_QTY_UNKNOWN = 16
    SPOT_MIN_NOTIONAL_UNKNOWN = 32
    FUT_MIN_NOTIONAL_UNKNOWN = 64


MINIMUM_UNKNOWN = (
    LotFlag.SPOT_MIN_QTY_UNKNOWN
    | LotFlag.FUT_MIN_QTY_UNKNOWN
    | LotFlag.SPOT_MIN_NOTIONAL_UNKNOWN
    | LotFlag.FUT_MIN_NOTIONAL_UNKNOWN
)
