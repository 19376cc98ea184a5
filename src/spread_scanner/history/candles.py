"""Candles of the mid price, out of the ticks of one source, with numpy.

Only quotes that could be stood behind count; a period without one has no candle. The first and the
last time that went into a candle stand in it, so that two parts of one period can be joined.
"""

import numpy as np

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema import costs

SECOND_NS = NS_PER_S
MINUTE_NS = 60 * NS_PER_S
CANDLE_DTYPE = np.dtype(
    [
        ("symbol", "<u4"),  # as in the ticks' names
        ("ticks", "<u4"),
        ("ts", "<i8"),  # when the period begins
        ("first_ts", "<i8"),
        ("last_ts", "<i8"),
        ("open", "<f8"),
        ("high", "<f8"),
        ("low", "<f8"),
        ("close", "<f8"),
        ("bid_px", "<f8"),  # at its end
        ("ask_px", "<f8"),
    ]
)


def candles(ticks: np.ndarray, period_ns: int) -> np.ndarray:
    """Of ticks (`gathered.ROW_DTYPE`) that are sorted by symbol, in their order."""
    ticks = ticks[ticks["usable"]]
    if not len(ticks):
        return np.zeros(0, CANDLE_DTYPE)
    period = ticks["ts"] // period_ns
    order = np.lexsort((period, ticks["symbol"]))  # a mark's time may lie before its quote's
    ticks, period = ticks[order], period[order]
    changes = (np.diff(ticks["symbol"]) != 0) | (np.diff(period) != 0)
    first = np.concatenate(([0], np.flatnonzero(changes) + 1))
    last = np.concatenate((first[1:], [len(ticks)])) - 1
    mid = costs.mid_px(ticks["bid_px"], ticks["ask_px"])
    made = np.zeros(len(first), CANDLE_DTYPE)
    made["symbol"], made["ts"] = ticks["symbol"][first], period[first] * period_ns
    made["ticks"] = last - first + 1
    made["first_ts"], made["last_ts"] = ticks["ts"][first], ticks["ts"][last]
    made["open"], made["close"] = mid[first], mid[last]
    made["high"], made["low"] = np.maximum.reduceat(mid, first), np.minimum.reduceat(mid, first)
    made["bid_px"], made["ask_px"] = ticks["bid_px"][last], ticks["ask_px"][last]
    return made
