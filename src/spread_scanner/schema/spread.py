"""The one definition of a spread, for scalars and arrays alike.

Buy spot at its ask, sell the perpetual at its bid; close by selling spot at its bid and buying the
perpetual at its ask. All in basis points of the spot ask paid. The engine's native loop repeats
these three lines in C (engine/native); a test holds the two to the last bit.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

BPS = 1e4

FloatOrArray = TypeVar("FloatOrArray", float, npt.NDArray[np.float64])


def gross_bps(spot_ask_px: FloatOrArray, fut_bid_px: FloatOrArray) -> FloatOrArray:
    """What entering earns before costs."""
    return (fut_bid_px - spot_ask_px) / spot_ask_px * BPS


def exit_bps(
    spot_bid_px: FloatOrArray, spot_ask_px: FloatOrArray, fut_ask_px: FloatOrArray
) -> FloatOrArray:
    """What closing now would earn (usually negative: the cost of closing)."""
    return (spot_bid_px - fut_ask_px) / spot_ask_px * BPS


def net_bps(gross: FloatOrArray, fees_bps: float, funding_bps: float) -> FloatOrArray:
    """Gross less taker fees of two entries and two exits, less expected funding paid."""
    return gross - fees_bps - funding_bps


def size_quote(
    spot_ask_px: FloatOrArray,
    spot_ask_sz: FloatOrArray,
    fut_bid_px: FloatOrArray,
    fut_bid_sz: FloatOrArray,
) -> FloatOrArray:
    """The smaller of the two tops, in quote currency."""
    return np.minimum(spot_ask_px * spot_ask_sz, fut_bid_px * fut_bid_sz)  # type: ignore[no-any-return]
