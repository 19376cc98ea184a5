"""When silence means something: per symbol by its own rate, with the market's pace set off.

Used by the feed at each look, over the arrays that the listeners keep. Pure: the caller
passes the time in and marks what is found. A best bid and ask that is silent may only mean that
nothing moved, so nothing is called silent by a fixed age alone.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Feed

Ids = npt.NDArray[np.uint16]

SHORT_S = 5.0
LONG_S = 120.0
HISTORY_S = 30.0
SLOWDOWN_MAX = 10.0


# A quote is overdue after this at the earliest: nobody reads the mark sooner (skew_ms_max), and a
# busy symbol pauses for half a second every minute.
OVERDUE_NS_MIN = NS_PER_S


class SilenceRule(NamedTuple):
    """When a symbol's silence is out of line."""

    ns_min: int
    intervals_max: float


# By id: when symbols were heard last, and their mean intervals; and how long they may be silent.
SilenceSpan = tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], SilenceRule]


def silence_rule(settings: Feed) -> SilenceRule:
    return SilenceRule(settings.silent_ms_min * NS_PER_MS, settings.silent_intervals_max)


def overdue_rule(settings: Feed) -> SilenceRule:
    return SilenceRule(OVERDUE_NS_MIN, settings.silent_intervals_max)


def out_of_line(
    now_ns: int,
    since_ns: npt.NDArray[np.int64],
    mean_ns: npt.NDArray[np.float64],
    rule: SilenceRule,
    slowdown: float,
) -> npt.NDArray[np.bool_]:
    """By id: whether the silence is out of line with the symbol's own mean interval, given that
    everything on the source has become slower by `slowdown`. Without a mean: left alone.
    """
    found: npt.NDArray[np.bool_] = now_ns > due_ns(since_ns, mean_ns, rule, slowdown)
    return found


def due_ns(
    since_ns: npt.NDArray[np.int64],
    mean_ns: npt.NDArray[np.float64],
    rule: SilenceRule,
    slowdown: float,
) -> npt.NDArray[np.float64]:
    """By id: when a silence that goes on gets out of line, as `out_of_line`; never: infinity."""
    limit_ns = np.maximum(rule.ns_min, mean_ns * (rule.intervals_max * slowdown))
    known = (since_ns != 0) & (mean_ns > 0.0)
    return np.where(known, since_ns + limit_ns, math.inf)


class NextDue:
    """Tells between two looks whether a silence has got out of line since the first, in the time
    that it takes to compare two numbers: whoever is heard of is left alone for as long as the
    shortest rule says, so that who is next is looked for that often only, or when somebody is due.
    """

    def __init__(self) -> None:
        self._until_ns = 0.0  # nobody gets out of line before
        self._slowdown = 1.0  # by which that was found

    def forget(self) -> None:
        """By other rules somebody may be due sooner."""
        self._until_ns = 0.0

    def passed(
        self, now_ns: int, looked_ns: int, spans: Iterable[SilenceSpan], slowdown: float
    ) -> bool:
        """Whether anybody's silence of these `spans` got out of line after `looked_ns`."""
        if now_ns <= self._until_ns and slowdown >= self._slowdown:
            return False
        self._until_ns, self._slowdown = math.inf, slowdown
        passed = False
        for since_ns, mean_ns, rule in spans:
            due = due_ns(since_ns, mean_ns, rule, slowdown)
            ahead = due >= now_ns
            passed |= bool(((due >= looked_ns) & ~ahead).any())
            least_ns = due.min(initial=math.inf, where=ahead)
            self._until_ns = min(self._until_ns, least_ns, now_ns + rule.ns_min)
        return passed


class Lasting:
    """What is out of line stays so until it is heard of: that the source has become slower since
    excuses who falls silent from now on, not who had when all others were still heard.
    """

    def __init__(self, count: int) -> None:
        self._since_ns = np.zeros(count, np.int64)  # last heard, of those out of line; 0: it is not

    def look(
        self,
        now_ns: int,
        since_ns: npt.NDArray[np.int64],
        mean_ns: npt.NDArray[np.float64],
        rule: SilenceRule,
        slowdown: float,
    ) -> npt.NDArray[np.bool_]:
        """By id, as `out_of_line`."""
        found = out_of_line(now_ns, since_ns, mean_ns, rule, slowdown)
        if slowdown > 1.0:
            found |= (self._since_ns == since_ns) & (since_ns != 0)
        self._since_ns = np.where(found, since_ns, 0)
        return found


def ids_of(mask: npt.NDArray[np.bool_]) -> Ids:
    return np.flatnonzero(mask).astype(np.uint16)


class QuotePace:
    """How fast messages come now, beside how fast they usually come."""

    def __init__(self) -> None:
        self._short = 0.0
        self._long = 0.0
        self._messages = 0
        self._now_ns = 0
        self._history_s = 0.0
        self._slowdown = 1.0

    def update(self, messages: int, now_ns: int) -> None:
        """`messages` counts up; the first call only starts the count."""
        if self._now_ns == 0 or messages < self._messages:
            self._messages, self._now_ns = messages, now_ns
            return
        passed_s = (now_ns - self._now_ns) / NS_PER_S
        if passed_s <= 0.0:
            return
        rate = (messages - self._messages) / passed_s
        self._short += (rate - self._short) * -math.expm1(-passed_s / SHORT_S)
        # Until there is a history the long mean is the plain mean of what there was.
        self._history_s += passed_s
        self._long += (rate - self._long) * max(
            -math.expm1(-passed_s / LONG_S), min(1.0, passed_s / self._history_s)
        )
        # Who says nothing at all shows no pace: it may be frozen, as may be whom it would excuse.
        if messages != self._messages:
            self._slowdown = self._pace()
        elif self._slowdown > 1.0:
            self._slowdown = min(self._slowdown, self._pace())
        self._messages, self._now_ns = messages, now_ns

    def pass_over(self, messages: int, now_ns: int) -> None:
        """The time since the last call says nothing of the pace."""
        self._messages, self._now_ns = messages, now_ns

    def slowdown(self) -> float:
        """1 at the usual pace or above, up to SLOWDOWN_MAX when little comes; as of when something
        came last."""
        return self._slowdown

    def _pace(self) -> float:
        if self._history_s < HISTORY_S or self._long <= 0.0:
            return 1.0
        return min(SLOWDOWN_MAX, max(1.0, self._long / max(self._short, self._long / SLOWDOWN_MAX)))
