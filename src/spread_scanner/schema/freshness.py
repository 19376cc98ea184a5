"""The one judge of whether quotes can be stood behind now, for every reader of the price store.

The engine asks the C twin, native/freshness.h; the tracker's samples and probes, the screens and
`why` ask here, over arrays. test_freshness_twins holds the two together. A feed marks what it knows
of its own quotes (feed/freshness.py says when silence is out of line); what a feed that hangs
cannot say, and what only two legs together show, is judged here.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import Settings
from spread_scanner.schema import costs
from spread_scanner.schema.books import BOOK_UNUSABLE, BookFlag
from spread_scanner.schema.enums import UNUSABLE, QuoteFlag

Mask = npt.NDArray[np.bool_]
Times = int | npt.NDArray[np.int64]
WITNESSES_MIN = 3  # that many others say where a coin stands; two may be wrong together


class FreshnessLimits(NamedTuple):
    """What is still believed: ns, and basis points of the spot ask."""

    heartbeat_ns_max: int
    stale_ns_max: int
    skew_ns_max: int
    implausible_bps: float

    @classmethod
    def of(cls, settings: Settings) -> "FreshnessLimits":
        engine = settings.config.spread_engine
        return cls(
            heartbeat_ns_max=settings.config.system.heartbeat_ms_max * NS_PER_MS,
            stale_ns_max=engine.stale_ms_max * NS_PER_MS,
            skew_ns_max=engine.skew_ms_max * NS_PER_MS,
            implausible_bps=engine.implausible_bps,
        )


_UNUSABLE = int(UNUSABLE)


class Judged(NamedTuple):
    """Of n pairs, (n,) each: which legs can be stood behind, and what their spread is worth."""

    spot: Mask
    futures: Mask
    skewed: Mask  # both may be good, but they are not of one time
    plausible: Mask

    @property
    def usable(self) -> Mask:
        """Where a spread may be read off."""
        return self.spot & self.futures & ~self.skewed & self.plausible


def beats(beat_mono_ns: int, now_mono_ns: int, woke_ns: int, heartbeat_ns_max: int) -> bool:
    """Whether a feed beats; `woke_ns`: beats from before the machine's last sleep are of another
    day. All monotonic."""
    return beat_mono_ns > 0 and woke_ns <= beat_mono_ns >= now_mono_ns - heartbeat_ns_max


def unmarked(flags: npt.NDArray[np.uint32]) -> Mask:
    """Which quotes could be stood behind by what their feed said, when it said it."""
    good: Mask = (flags & int(UNUSABLE)) == 0
    return good


def book_unmarked(flags: npt.NDArray[np.uint32]) -> Mask:
    """The same of order books."""
    good: Mask = (flags & int(BOOK_UNUSABLE)) == 0
    return good


def book_marks(flags: int) -> BookFlag:
    """What of a book's flags says that it cannot be stood behind."""
    return BookFlag(flags) & BOOK_UNUSABLE


def usable(quotes: np.ndarray, beating: bool | Mask, now_ns: int, stale_ns_max: int) -> Mask:
    """Which of (n,) QUOTE_DTYPE can be stood behind at `now_ns` of the session clock. Quotes of a
    feed's earlier epoch read as STALE from the store (PriceStore)."""
    return unmarked(quotes["flags"]) & _in_time(quotes, beating, now_ns, stale_ns_max)


def usable_one(flags: int, ts_recv_ns: int, beating: bool, now_ns: int, stale_ns_max: int) -> bool:
    """The same of one quote, for a fifth of what a look at an array of one takes."""
    return beating and not flags & _UNUSABLE and now_ns - ts_recv_ns <= stale_ns_max


def only_jumped(quotes: np.ndarray, beating: bool | Mask, now_ns: int, stale_ns_max: int) -> Mask:
    """Which of them could be, were they of the level that they were of before: another coin's
    price, or one that a coin has only after it was redenominated. A pair with such a leg is as
    implausible as one whose legs are too far apart."""
    jumped: Mask = (quotes["flags"] & int(UNUSABLE)) == int(QuoteFlag.JUMPED)
    return jumped & _in_time(quotes, beating, now_ns, stale_ns_max)


def young(ts_recv: Times, now_ns: int, stale_ns_max: int) -> Any:
    """Whether what arrived then is no older than is believed: of one a bool, of (n,) int64 a
    Mask."""
    return now_ns - ts_recv <= stale_ns_max


def _in_time(quotes: np.ndarray, beating: bool | Mask, now_ns: int, stale_ns_max: int) -> Mask:
    in_time: Mask = young(quotes["ts_recv"], now_ns, stale_ns_max) & beating
    return in_time


def book_usable(books: np.ndarray, beating: bool | Mask, now_ns: int, stale_ns_max: int) -> Mask:
    """Which of (n,) BOOK_DTYPE can be stood behind. A feed that starts has no slots of its
    predecessor, so that no epoch is asked for."""
    good = book_unmarked(books["flags"]) & beating
    good &= young(books["ts_recv"], now_ns, stale_ns_max)
    return good


def skewed(spot: np.ndarray, futures: np.ndarray, skew_ns_max: int) -> Mask:
    """Where the older leg is behind the other by too much. A leg that is only slow, as quiet coins
    are, is behind no one: its feed says when its silence is out of line with its own rate."""
    skew_ns = spot["ts_recv"] - futures["ts_recv"]
    older = np.where(skew_ns < 0, spot["flags"], futures["flags"])
    found: Mask = ((older & int(QuoteFlag.OVERDUE)) != 0) & (np.abs(skew_ns) > skew_ns_max)
    return found


def plausible(gross: npt.NDArray[np.float64], implausible_bps: float) -> Mask:
    """Where a spread can be one: beyond the limit the two legs are not one coin, or not of one
    time. What is not a number is none."""
    found: Mask = (gross <= implausible_bps) & (gross >= -implausible_bps)
    return found


def alone(
    px: npt.NDArray[np.float64], coins: npt.NDArray[np.int64], implausible_bps: float
) -> Mask:
    """Where a leg is beyond the limit from the median of three or more other sources of its coin.
    `px` (sources, n): mids of n symbols, NaN where they cannot be stood behind; `coins`, the same
    shape: sources with one number quote one coin (symbology/coins.py), -1: none that was judged."""
    found: Mask = np.zeros(px.shape, np.bool_)
    apart = _apart(px, implausible_bps)
    if len(apart):
        found[:, apart] = _alone(px[:, apart], coins[:, apart], implausible_bps)
    return found


def _apart(px: npt.NDArray[np.float64], implausible_bps: float) -> npt.NDArray[np.int64]:
    """The few symbols whose highest is beyond the limit from their lowest: nobody is alone in the
    others, as every step of the sum rounds without changing which is the larger."""
    lowest, highest = np.fmin.reduce(px, axis=0), np.fmax.reduce(px, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        together = plausible(costs.stray_bps(highest, lowest), implausible_bps)
    return np.flatnonzero(~together & ~np.isnan(lowest))


def _alone(
    px: npt.NDArray[np.float64], coins: npt.NDArray[np.int64], implausible_bps: float
) -> Mask:
    found: Mask = np.zeros(px.shape, np.bool_)
    for leg in range(len(px)):
        others = np.where((coins == coins[leg]) & (coins >= 0), px, np.nan)
        others[leg] = np.nan
        others.sort(axis=0)  # what is not a number comes last
        count = np.count_nonzero(~np.isnan(others), axis=0)
        middle = [np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(px) - 1)]
        lower, upper = np.take_along_axis(others, np.stack(middle), axis=0)
        strays = costs.stray_bps(px[leg], (lower + upper) / 2)
        judged = (count >= WITNESSES_MIN) & ~np.isnan(px[leg])
        found[leg] = judged & ~plausible(strays, implausible_bps)
    return found
