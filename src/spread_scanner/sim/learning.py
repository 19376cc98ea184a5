"""Between which bounds lies what leaving a pair usually earns, for whoever learns it in the run.

The truth's own arithmetic, from docs/economics.md ("close"): a mean in which a look weighs half as
much after each half-life, each look known to lie within what was sent around its second (looks.py).
One that may have been missed is in the mean or not, whichever is farther. Begun by the action
"learn"; before it, and where a run is too short to move a mean, what is usual is as the seed made
it. Who learns is taken to adopt every second, or 20 times within a half-life of minutes.
"""

from collections import deque
from typing import NamedTuple

from spread_scanner.sim.reckoning import Usual

LATE = 3  # an adoption may rest on the looks of so many seconds before the last one that is over
ADOPTED_S_MAX = 60.0
PER_HALF_LIFE = 20
SHARE_MIN = 1e-5  # of a mean that one look is: what is less moves no threshold


class Bounds(NamedTuple):
    """Basis points; of a mean, or of one look."""

    low: float
    high: float


class Learning:
    """What holds for all pairs of a run."""

    def __init__(self, half_life_s: float, trust_s: float) -> None:
        """Raises ValueError for what cannot be learned by."""
        if not half_life_s > 0 or not trust_s > 0:
            raise ValueError("a half-life and a trust are over 0")
        self.decay: float = 0.5 ** (1.0 / half_life_s)
        self.full = 1.0 / (1.0 - self.decay)
        self.trust = trust_s
        self.watched = False  # from the beginning of the run on each second is looked at
        self.standing = LATE + int(max(1.0, min(ADOPTED_S_MAX, half_life_s / PER_HALF_LIFE)))

    @property
    def moves(self) -> bool:
        """Whether what is usual can become another within a run."""
        return bool(self.full * SHARE_MIN < 1.0)


class Learned:
    """What is learned of one pair."""

    __slots__ = ("_all", "_exit", "_stood", "_weight", "close", "parity", "trusted")

    def __init__(self, all_pairs: Learning, usual: Usual) -> None:
        self._all = all_pairs
        self._exit = Bounds(usual.exit_bps, usual.exit_bps)
        self.parity = Bounds(usual.parity_bps, usual.parity_bps)
        self._weight = Bounds(all_pairs.full, all_pairs.full)
        self.close = Bounds(usual.close_bps, usual.close_bps)  # in force, whoever was how late
        self.trusted = True  # whatever was missed
        self._stood: deque[Bounds] = deque([self.close], all_pairs.standing)

    def pass_second(self, leaving: Bounds | None, parity: Bounds, *, sure: bool) -> None:
        """A second is over; what a look saw in it, None: nothing."""
        decay = self._all.decay
        low, high = self._weight.low * decay, self._weight.high * decay
        if leaving is not None:
            seen = sure and self._all.watched
            self._exit = _with(self._exit, leaving, low, high, sure=seen)
            self.parity = _with(self.parity, parity, low, high, sure=seen)
            low, high = low + seen, high + 1.0
        self._weight = Bounds(low, high)
        self.trusted = low >= self._all.trust
        self._stood.append(Bounds(min(self._exit.low, self.parity.low), self._highest()))
        self.close = Bounds(
            min(one.low for one in self._stood), max(one.high for one in self._stood)
        )

    def _highest(self) -> float:
        return min(self._exit.high, self.parity.high)

    def close_after(self, gross_bps: float) -> float:
        """The lowest that close is, should a look that is not over yet have seen the pair at this
        gross: what leaves at parity is half of entering and leaving together."""
        leaving = 2.0 * self.parity.low - gross_bps
        low = self._exit.low + (leaving - self._exit.low) / (self._weight.low + 1.0)
        return min(self.close.low, low)


def _with(mean: Bounds, look: Bounds, least: float, most: float, *, sure: bool) -> Bounds:
    """The bounds of a mean of a weight between these, once a look of weight 1 is in it; not `sure`:
    or is not."""
    low = mean.low + (look.low - mean.low) / (1.0 + (least if look.low < mean.low else most))
    high = mean.high + (look.high - mean.high) / (1.0 + (least if look.high > mean.high else most))
    return Bounds(low, high) if sure else Bounds(min(low, mean.low), max(high, mean.high))
