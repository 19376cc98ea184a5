"""For how long a connection that says nothing is believed: the one bound.

A feed judges its connections by it (runtime/pulse.py); the simulator's truth excuses a signal by it
(sim/belief.py), each by what it has counted itself. Pure: what was counted is passed in.
"""

import math
from typing import NamedTuple

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Feed

BUSY_READS_MIN = 10  # within idle_ms_max; a line that comes in few large bursts is not busy


class SilenceRules(NamedTuple):
    """When a connection's silence means something."""

    idle_ns_max: int
    pong_ns_max: int
    busy_per_s_min: float
    intervals_max: float
    lag_ns_max: int

    @property
    def unanswered_ns(self) -> int:
        """Silent for so long, then asked by a ping, and no answer for so long."""
        return self.idle_ns_max + self.pong_ns_max


def silence_rules(settings: Feed) -> SilenceRules:
    return SilenceRules(
        settings.idle_ms_max * NS_PER_MS,
        settings.pong_ms_max * NS_PER_MS,
        settings.busy_per_s_min,
        settings.silent_intervals_max,
        settings.lag_ms_max * NS_PER_MS,
    )


def busy(mean_read_ns: float, mean_read_quotes: float, rules: SilenceRules) -> bool:
    """Whether reads come so often, and bring so many quotes, that a pause of one is none of all."""
    if not 0.0 < mean_read_ns * BUSY_READS_MIN <= rules.idle_ns_max:
        return False
    return mean_read_quotes * NS_PER_S / mean_read_ns > rules.busy_per_s_min


def believed_ns(
    mean_read_ns: float, mean_read_quotes: float, rules: SilenceRules, slowdown: float = 1.0
) -> float:
    """After so long without a quote those of a connection cannot be stood behind, though it answers
    its pings. `mean_read_ns` lies between reads that bring quotes, 0: too few to tell; `slowdown`:
    by how much its siblings are slower now.
    """
    if mean_read_ns == 0.0:
        return math.inf
    if busy(mean_read_ns, mean_read_quotes, rules):
        return rules.idle_ns_max
    return max(rules.unanswered_ns, mean_read_ns * rules.intervals_max * slowdown)
