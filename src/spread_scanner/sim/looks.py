"""What leaving each pair earned around each whole second, as its legs' subscribers were told: rows
of the truth file, for whoever learns it from one look a second.

A look need not fall on the second: a row has the lowest and the highest that it may have seen,
within TOLERANCE_NS of it, by the monotonic clock. Of a leg that was not heard all the while, or
has been silent for QUIET_S, a look may have seen nothing: the pair's range is not `sure`. While
the pairs learn, the time before it has a row, too: whoever waited for a CPU has seen any of that.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.sim.learning import Bounds
from spread_scanner.sim.legs import Leg, Pair
from spread_scanner.sim.reckoning import BPS

TOLERANCE_NS = 250 * NS_PER_MS
QUIET_S = 15  # long before anybody calls a listing silent whose connection is heard
DECIMALS = 4  # of basis points


class Looks:
    """`advance` comes before anything is sent, `sent` with each quote; `passed` is called when all
    pairs have learned of another second."""

    def __init__(
        self,
        legs: Iterable[Leg],
        pairs: Iterable[Pair],
        write: Callable[[Mapping[str, Any]], None],
        passed: Callable[[], None],
    ) -> None:
        self._legs, self._pairs, self._write = list(legs), list(pairs), write
        self._passed = passed
        self.learning = False  # whether the pairs learn
        self._second = 0  # that is watched, or comes next
        self.watching = False  # a look may be made now

    def learn(self) -> None:
        """From now on: in the midst of a second, too."""
        self.learning = True
        for leg in self._legs:
            leg.widths[:] = (leg.ask - leg.bid,) * 2
        if not self.watching:
            self._forget()

    def advance(self, mono_ns: int) -> None:
        """Time goes on: begin and end what is due, also where nothing was sent for a while."""
        if self._second == 0:
            self._second = mono_ns // NS_PER_S + 1
        for second in itertools.count(self._second):
            at_ns = second * NS_PER_S
            if not self.watching and mono_ns >= at_ns - TOLERANCE_NS:
                self._begin(at_ns)
            if not self.watching or mono_ns < at_ns + TOLERANCE_NS:
                return
            self._end(at_ns)
            self._second = second + 1

    def sent(self, leg: Leg, bid: float, ask: float) -> None:
        """A quote goes out. What stands when a second begins to be watched, `_begin` takes."""
        if not (self.watching or self.learning):
            return
        seen = leg.seen
        if not (bid >= seen[0] and bid <= seen[1] and ask >= seen[2] and ask <= seen[3]):
            if bid != bid or ask != ask or seen[0] != seen[0] or seen[2] != seen[2]:
                leg.steady = False  # a side is or was not there
            seen[:2] = _low(seen[0], bid), _high(seen[1], bid)
            seen[2:] = _low(seen[2], ask), _high(seen[3], ask)
        if self.learning:
            widths, width = leg.widths, ask - bid
            widths[:] = _low(widths[0], width), _high(widths[1], width)

    def close(self) -> None:
        """Of the second that is watched nobody knows how it would have gone on."""
        if self.watching:
            for leg in self._legs:
                leg.steady = False
            self._end(self._second * NS_PER_S)

    def _begin(self, at_ns: int) -> None:
        if self.learning:
            self._write_before(at_ns)
        self.watching = True
        for leg in self._legs:
            if leg.count > leg.count_before:
                leg.count_before, leg.spoke = leg.count, self._second
            quiet_s = self._second - leg.spoke
            leg.steady = quiet_s < QUIET_S and leg.heard and leg.sure and not leg.jumped
            if self.learning:
                leg.widths[:] = (leg.ask - leg.bid,) * 2
        self._forget()

    def _forget(self) -> None:
        """What was seen before is no part of what is seen from now on."""
        for leg in self._legs:
            leg.seen[:] = leg.bid, leg.bid, leg.ask, leg.ask

    def _write_before(self, at_ns: int) -> None:
        """What leaving earned between the second before and this one."""
        rows = []
        for number, pair in enumerate(self._pairs):
            low, high = _leaving(pair)
            if low <= high:
                rows.append([number, round(low, DECIMALS), round(high, DECIMALS)])
        if rows:
            self._write({"before_mono_ns": at_ns, "pairs": rows})

    def _end(self, at_ns: int) -> None:
        self.watching = False
        rows = []
        for number, pair in enumerate(self._pairs):
            spot, futures = pair.spot, pair.futures
            low, high = _leaving(pair)
            told = low <= high  # both sides of both legs were
            sure = _steady(spot) and _steady(futures)
            if told:
                rows.append([number, round(low, DECIMALS), round(high, DECIMALS), int(sure)])
            if pair.learned is not None:
                parity = _parity(spot, futures)
                whole = told and parity.low <= parity.high  # at one time
                leaving = Bounds(low, high) if whole else None
                pair.learned.pass_second(leaving, parity, sure=sure)
        if rows:
            self._write({"look_mono_ns": at_ns, "pairs": rows})
        if self.learning:
            self._passed()
            self._forget()


def _leaving(pair: Pair) -> Bounds:
    """The lowest and the highest of what its legs were seen to be; NaN: a side was not there."""
    bid_low, bid_high, ask_low, ask_high = pair.spot.seen
    _, _, back_low, back_high = pair.futures.seen
    least, most = bid_low - back_high, bid_high - back_low
    low = min(least / ask_low, least / ask_high) * BPS
    return Bounds(low, max(most / ask_low, most / ask_high) * BPS)


def _parity(spot: Leg, futures: Leg) -> Bounds:
    """What the widths left of leaving, had the mids met."""
    narrow, wide = (spot.widths[side] + futures.widths[side] for side in (0, 1))
    _, _, ask_low, ask_high = spot.seen
    return Bounds(-wide / 2 / ask_low * BPS, -narrow / 2 / ask_high * BPS)


def _low(one: float, other: float) -> float:
    """The lower; of one that is not a number the other."""
    return one if one <= other or other != other else other


def _high(one: float, other: float) -> float:
    return one if one >= other or other != other else other


def _steady(leg: Leg) -> bool:
    return leg.steady and leg.heard and leg.sure and not leg.jumped
