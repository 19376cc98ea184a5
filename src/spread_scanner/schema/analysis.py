"""What spread-analyst finds out about every pair and every cell, as records of shared memory.

Its C twin is native/analysis.h, which asserts its sizes; test_shm_layout pins these. What is not
known is NaN, never zero: the analyst has seen too little of it yet (it is warming), or it has no
value.
"""

from enum import IntFlag

import numpy as np
import numpy.typing as npt

BAR_SECONDS = (1, 60, 300)  # the lengths of a cell's bars; they begin at whole multiples of UTC
HALF_LIVES = 3  # of a pair's exponentially weighted means
MINUTES = 240  # of which a pair's quantiles and its half-life of reversion are made
Z_HALF_LIFE = 1  # the one whose mean and deviation an entry is measured by: the middle
AGE_NS_MAX = 5_000_000_000  # a record older than that is of nobody
QUANTILES = {"median": 0.5, "q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}


class AnalysisFlag(IntFlag):
    """Of a record, at its last look."""

    USABLE = 1  # the quotes could be stood behind
    # Half-life 0, 1, 2 has been sampled for a twelfth of itself: its deviation says something.
    KNOWN_0 = 2
    KNOWN_1 = 4
    KNOWN_2 = 8


# Indicators of the bars of one length, all of mids. Bands: so many deviations about the middle.
INDICATORS_DTYPE = np.dtype(
    [
        ("rsi", "<f8"),
        ("ema", "<f8"),
        ("middle", "<f8"),
        ("upper", "<f8"),
        ("lower", "<f8"),
    ]
)
BARS_DTYPE = np.dtype(
    [
        ("bars", "<u8"),  # closed so far; one without a sample is none
        ("closed", INDICATORS_DTYPE),  # at the last bar that closed
        ("running", INDICATORS_DTYPE),  # as if the running bar closed now
    ]
)
CELL_ANALYSIS_DTYPE = np.dtype(
    [
        ("ts", "<i8"),  # of the last look: a whole second of the session clock, ns
        ("ts_sample", "<i8"),  # of the last usable quote; TS_ABSENT: none yet
        ("mid", "<f8"),  # of that look; NaN: not usable
        ("generation", "<u4"),  # of the tables, which say whose cell it is
        ("flags", "<u4"),  # AnalysisFlag
        ("frames", BARS_DTYPE, (len(BAR_SECONDS),)),
        ("reserved", "<u8", (3,)),
    ]
)

# Entry or exit of a pair, in basis points of the spot ask (schema/costs.py has what they are).
BASIS_DTYPE = np.dtype(
    [
        ("now", "<f8"),  # of the last look; NaN: not usable
        ("mean", "<f8", (HALF_LIVES,)),  # weighted by 2^(-age / half-life)
        ("deviation", "<f8", (HALF_LIVES,)),  # root of the mean square, weighted alike
        ("z", "<f8", (HALF_LIVES,)),  # (now - mean) / deviation
        ("median", "<f8"),  # of the last 240 one-minute medians, as are the quantiles
        ("q05", "<f8"),
        ("q25", "<f8"),
        ("q75", "<f8"),
        ("q95", "<f8"),
        ("half_life_s", "<f8"),  # of reversion, by AR(1) over the one-minute medians
    ]
)
PAIR_ANALYSIS_DTYPE = np.dtype(
    [
        ("ts", "<i8"),
        ("ts_sample", "<i8"),
        ("weight", "<f8", (HALF_LIVES,)),  # sum of weights: samples, the old ones for less
        ("usable_share", "<f8"),  # of the time looked at, the last four hours at most
        ("minutes", "<u4"),  # of the last 240, those that had a sample
        ("generation", "<u4"),
        ("flags", "<u4"),  # AnalysisFlag
        ("looked", "<u4"),  # minutes that it was looked at, 240 at the most
        ("entry", BASIS_DTYPE),
        ("exit", BASIS_DTYPE),
    ]
)


def z_of(
    records: np.ndarray, entry_bps: npt.NDArray[np.float64], now_ns: int, generation: int
) -> npt.NDArray[np.float64]:
    """How many deviations entries are off their means: (n,) of (n,) PAIR_ANALYSIS_DTYPE.

    NaN: not known. The record is old or of other tables, of too few samples, or the basis has never
    moved. The engine has the same lines in C (native/analysis.h).
    """
    mean = records["entry"]["mean"][:, Z_HALF_LIFE]
    deviation = records["entry"]["deviation"][:, Z_HALF_LIFE]
    with np.errstate(all="ignore"):
        found = (entry_bps - mean) / deviation
    known = (records["flags"] & (AnalysisFlag.KNOWN_0 << Z_HALF_LIFE)) != 0
    return np.where(known & (deviation > 0) & current(records, now_ns, generation), found, np.nan)


def current(records: np.ndarray, now_ns: int, generation: int) -> npt.NDArray[np.bool_]:
    """Whether records are of an analyst that runs and has these tables; `now_ns`: session clock."""
    found: npt.NDArray[np.bool_] = young(records, now_ns) & (records["generation"] == generation)
    return found


def young(records: np.ndarray, now_ns: int) -> npt.NDArray[np.bool_]:
    """Whether records are of an analyst that runs, whatever tables it has."""
    found: npt.NDArray[np.bool_] = np.abs(records["ts"] - now_ns) <= AGE_NS_MAX
    return found
