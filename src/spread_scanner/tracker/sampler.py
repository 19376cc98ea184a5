"""When to look and what is seen: the grid of sampling times, and both legs of many pairs at once.

The grid is aligned (its points are multiples of the step on the session clock) and drift-free (a
point never depends on when the one before was taken). Points that passed without a look are never
made up for: the next look belongs to the newest point, and says how late it is. The session clock
cannot step, so neither can the grid; see clock.SessionClock.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from spread_scanner.schema import costs, freshness
from spread_scanner.schema.enums import QuoteFlag
from spread_scanner.schema.freshness import FreshnessLimits, Judged
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.symbology.coins import Coins
from spread_scanner.tracker.opportunity import SampleFlag, legs_flags
from spread_scanner.tracker.pairs import Pair


class Grid:
    """Sampling times, every `step_ns` from the session clock's zero."""

    def __init__(self, step_ns: int, now_ns: int) -> None:
        self.step_ns = step_ns
        self._last_ns = now_ns // step_ns * step_ns

    @property
    def next_ns(self) -> int:
        """The next point that has not been looked at."""
        return self._last_ns + self.step_ns

    def due(self, now_ns: int) -> int | None:
        """The newest point up to now, once; None while there is no new one."""
        point_ns = now_ns // self.step_ns * self.step_ns
        if point_ns <= self._last_ns:
            return None
        self._last_ns = point_ns
        return point_ns


class Quotes(NamedTuple):
    """The quotes that a batch of looks saw, as stored, whether they can be stood behind or not."""

    spot: np.ndarray
    futures: np.ndarray


class Look(NamedTuple):
    """What both legs of one pair showed at one time. Spreads are None when a leg is lost."""

    gross_bps: float | None
    exit_bps: float | None
    size_quote: float | None
    exit_size_quote: float | None
    spot_age_ns: int | None
    fut_age_ns: int | None
    flags: int  # SampleFlag without LATE
    place: int  # in `quotes`
    quotes: Quotes
    px: tuple[float, float, float, float]  # spot bid, spot ask, futures bid and ask, as stored
    depth_size_quote: float | None = None  # by both order books, if somebody looked (depths.py)

    def sides(self) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
        """bid_px, bid_sz, ask_px, ask_sz of spot and futures; taken apart only when asked for."""
        return _sides(self.quotes.spot[self.place]), _sides(self.quotes.futures[self.place])


def looks(
    spot: np.ndarray,
    futures: np.ndarray,
    now_ns: int,
    limits: FreshnessLimits,
    lot: costs.Numbers = 0.0,
    alone: freshness.Mask | bool = False,
) -> list[Look]:
    """Both legs of n pairs, (n,) QUOTE_DTYPE each, their lots and where a leg is alone -> n looks.
    Sizes are whole lots, to enter and to leave with alike."""
    with np.errstate(all="ignore"):  # lost legs may hold anything; their results are not used
        gross = costs.entry_bps(spot["ask_px"], futures["bid_px"])
        closing = costs.exit_bps(spot["bid_px"], spot["ask_px"], futures["ask_px"])
        size = costs.size_quote(
            costs.size_base(spot["ask_sz"], futures["bid_sz"], lot), spot["ask_px"]
        )
        exit_size = costs.size_quote(
            costs.size_base(spot["bid_sz"], futures["ask_sz"], lot), spot["bid_px"]
        )
    judged = Judged(
        spot=freshness.usable(spot, True, now_ns, limits.stale_ns_max),
        futures=freshness.usable(futures, True, now_ns, limits.stale_ns_max),
        skewed=freshness.skewed(spot, futures, limits.skew_ns_max),
        plausible=freshness.plausible(gross, limits.implausible_bps) & np.logical_not(alone),
    )
    known = None if judged.usable.all() else judged.usable
    columns = (
        *(_known(column, known) for column in (gross, closing, size, exit_size)),
        _ages(spot, now_ns),
        _ages(futures, now_ns),
        (_flags(judged) + legs_flags(spot["flags"], futures["flags"])).tolist(),
        range(len(spot)),
        itertools.repeat(Quotes(spot, futures)),
        _prices(spot, futures),
        itertools.repeat(None),
    )
    return list(map(Look._make, zip(*columns)))  # noqa: B905 - some columns have no end


def _prices(spot: np.ndarray, futures: np.ndarray) -> Iterable[tuple[float, ...]]:
    columns = (leg[name].tolist() for leg in (spot, futures) for name in ("bid_px", "ask_px"))
    return zip(*columns, strict=True)


def _flags(judged: Judged) -> npt.NDArray[np.int64]:
    """Why there are no spreads. Of what is lost nothing else is said."""
    both = judged.spot & judged.futures
    flags: npt.NDArray[np.int64] = (
        ~judged.spot * int(SampleFlag.SPOT_LOST)
        + ~judged.futures * int(SampleFlag.FUTURES_LOST)
        + (both & judged.skewed) * int(SampleFlag.SKEWED)
        + (both & ~judged.plausible) * int(SampleFlag.IMPLAUSIBLE)
    )
    return flags


def _known(
    values: npt.NDArray[np.float64], usable: npt.NDArray[np.bool_] | None
) -> list[float | None]:
    if usable is None:
        found: list[float | None] = values.tolist()
        return found
    pairs = zip(values.tolist(), usable.tolist(), strict=True)
    return [value if known else None for value, known in pairs]


def _ages(quotes: np.ndarray, now_ns: int) -> list[int | None]:
    """A quote that was never written has no age."""
    written = quotes["ts_recv"] > 0
    ages: list[int | None] = (now_ns - quotes["ts_recv"]).tolist()
    if not written.all():
        for number in np.flatnonzero(~written).tolist():
            ages[number] = None
    return ages


def _sides(quote: Any) -> tuple[float | None, ...]:
    """The four numbers of a quote; NaN, which a database cannot hold, becomes None."""
    values = (float(quote[name]) for name in ("bid_px", "bid_sz", "ask_px", "ask_sz"))
    return tuple(None if math.isnan(value) else value for value in values)


class Store(Protocol):
    """What is asked of the price store (shm.PriceStore)."""

    def read_many(self, source_id: int, ids: npt.NDArray[np.uint16]) -> np.ndarray: ...

    def heartbeat_mono_ns(self, source_id: int) -> int: ...


class Legs:
    """Reads both legs of many pairs from the price store, one call per source, and what the other
    sources of their coins say.

    A feed whose heartbeat stopped cannot mark its own quotes: they are marked stale here.
    """

    def __init__(self, store: Store, anchor_ns: int, limits: FreshnessLimits, coins: Coins) -> None:
        """`coins`: who quotes one coin (symbology/coins.py)."""
        self._store = store
        self._anchor_ns = anchor_ns
        self.limits = limits
        self.coins = coins
        self.woke_ns = 0  # monotonic; heartbeats from before a suspend are of another day

    def look(self, pairs: Sequence[Pair], now_ns: int) -> list[Look]:
        """What the pairs' legs show now, in the order of the pairs."""
        if not pairs:
            return []
        legs = np.array([(p.spot_source, p.futures_source) for p in pairs]).T
        symbols = np.array([p.symbol_id for p in pairs], np.uint16)
        ids, at = np.unique(symbols, return_inverse=True)
        coins = self.coins[:, ids]
        asked = coins >= 0
        asked[legs, at] = True
        quotes = self._read(ids, asked, now_ns)
        px = costs.mid_px(quotes["bid_px"], quotes["ask_px"])
        px[~freshness.usable(quotes, True, now_ns, self.limits.stale_ns_max)] = np.nan
        alone = freshness.alone(px, coins, self.limits.implausible_bps)[legs, at].any(axis=0)
        spot, futures = quotes[legs, at]
        lots = np.array([pair.lot for pair in pairs])
        return looks(spot, futures, now_ns, self.limits, lots, alone)

    def _read(self, ids: npt.NDArray[np.uint16], asked: freshness.Mask, now_ns: int) -> np.ndarray:
        """(sources, ids): the quotes that are asked for; what is not reads as stale."""
        quotes = np.zeros(asked.shape, QUOTE_DTYPE)
        quotes["flags"] = int(QuoteFlag.STALE)
        for source_id in np.flatnonzero(asked.any(axis=1)).tolist():
            mine = np.flatnonzero(asked[source_id])
            found = self._store.read_many(source_id, ids[mine])
            if not self._lives(source_id, now_ns):
                found["flags"] |= int(QuoteFlag.STALE)
            quotes[source_id, mine] = found
        return quotes

    def _lives(self, source_id: int, now_ns: int) -> bool:
        return freshness.beats(
            self._store.heartbeat_mono_ns(source_id),
            now_ns - self._anchor_ns,
            self.woke_ns,
            self.limits.heartbeat_ns_max,
        )
