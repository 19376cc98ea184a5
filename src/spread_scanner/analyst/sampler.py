"""One look at all cells and pairs: mids, entry and exit basis, of what can be stood behind."""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from spread_scanner import clock
from spread_scanner.analyst.listed import Covered
from spread_scanner.schema import costs, freshness
from spread_scanner.schema.freshness import FreshnessLimits, Judged
from spread_scanner.schema.records import QUOTE_DTYPE
from spread_scanner.shm import PriceStore


class Sample(NamedTuple):
    """NaN where a quote, or one of two, cannot be stood behind or is alone with what it says."""

    mids: npt.NDArray[np.float64]  # (cells,)
    usable: npt.NDArray[np.bool_]  # (pairs,)
    basis: npt.NDArray[np.float64]  # (2, pairs): entry and exit, bps of the spot ask


class Moment(NamedTuple):
    """When a look is: by the monotonic and by the session clock."""

    mono_ns: int
    now_ns: int


class SampledMarket(Protocol):
    """What is looked at: what stands now, or stood once."""

    def moment(self) -> Moment: ...

    def heartbeat_mono_ns(self, source_id: int) -> int: ...

    def read_many(self, source_id: int, ids: npt.NDArray[np.uint16]) -> np.ndarray: ...


class LiveMarket:
    """The price store now."""

    def __init__(self, store: PriceStore) -> None:
        self.heartbeat_mono_ns = store.heartbeat_mono_ns
        self.read_many = store.read_many
        self._clock = store.clock

    def moment(self) -> Moment:
        return Moment(clock.mono_ns(), self._clock.now_ns())


class Sampler:
    """Looks at a market; `woke_ns`: heartbeats from before a suspend are of another day."""

    def __init__(self, market: SampledMarket, covered: Covered, limits: FreshnessLimits) -> None:
        self.woke_ns = 0
        self._market = market
        self._covered = covered
        self._limits = limits
        self._quotes = np.empty(len(covered.cell_keys), QUOTE_DTYPE)
        self._good = np.empty(len(covered.cell_keys), bool)

    def look(self) -> Sample:
        """What stands now."""
        at = 0
        for block in self._covered.blocks:
            quotes = self._market.read_many(block.source_id, block.symbol_ids)
            rows = slice(at, at := at + len(quotes))
            self._quotes[rows] = quotes
            self._good[rows] = self._usable(block.source_id, quotes)
        mids = costs.mid_px(self._quotes["bid_px"], self._quotes["ask_px"])
        mids[~self._good] = np.nan
        self._good &= ~self._alone(mids)
        mids[~self._good] = np.nan
        usable, basis = self._pairs()
        return Sample(mids, usable, basis)

    def _usable(self, source_id: int, quotes: np.ndarray) -> freshness.Mask:
        at = self._market.moment()
        beats = freshness.beats(
            self._market.heartbeat_mono_ns(source_id),
            at.mono_ns,
            self.woke_ns,
            self._limits.heartbeat_ns_max,
        )
        return freshness.usable(quotes, beats, at.now_ns, self._limits.stale_ns_max)

    def _alone(self, mids: npt.NDArray[np.float64]) -> freshness.Mask:
        """Which cells stand alone against the other sources of their coin."""
        coins, cells = self._covered.coins, (self._covered.cell_sources, self._covered.cell_symbols)
        px = np.full(coins.shape, np.nan)
        px[cells] = mids
        alone: freshness.Mask = freshness.alone(px, coins, self._limits.implausible_bps)[cells]
        return alone

    def _pairs(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
        spot, futures = self._quotes[self._covered.spot], self._quotes[self._covered.futures]
        with np.errstate(all="ignore"):  # lost legs may hold anything; they are not used
            entry = costs.entry_bps(spot["ask_px"], futures["bid_px"])
            closing = costs.exit_bps(spot["bid_px"], spot["ask_px"], futures["ask_px"])
        judged = Judged(
            spot=self._good[self._covered.spot],
            futures=self._good[self._covered.futures],
            skewed=freshness.skewed(spot, futures, self._limits.skew_ns_max),
            plausible=freshness.plausible(entry, self._limits.implausible_bps),
        )
        return judged.usable, np.stack([entry, closing])
