"""What size a signal should have named: what its two quotes had as they were sent, in whole lots.

Reckoned here from the truth file, by nothing of the engine's. Less than a lot, or than either leg
takes as an order, should have made no signal. A quote of pools goes by its slot, in which it may
have been of several pools and rates: the signal has to be of one of these. A signal whose quotes
are not in the file, for they were sent long before the pair paid, is not judged, nor is one of a
pair that never paid: its quotes are there by others, and that it is invented says all.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from spread_scanner.schema.enums import DIRECTION_BY_LABEL, SignalKind
from spread_scanner.supervise.carried import NOBODY_WAITED, WAITED_NS_MAX
from spread_scanner.supervise.lateness import Lateness
from spread_scanner.supervise.seen import SeenSignal
from spread_scanner.supervise.truth import OrderRule, SentQuote, TruthFile

NEARLY_A_LOT = 1e-9  # a lot that is all there but for rounding counts
EXACT = 1e-9  # relative


class SizeJudged(NamedTuple):
    """A signal and what it should have said, in base units."""

    said: SeenSignal
    right_base: float  # in whole lots; 0: too little for a signal
    spot_ask_px: float

    @property
    def why(self) -> str:
        """What is wrong with it; empty: nothing."""
        return "" if self.ok else "the size of its two quotes"

    @property
    def ok(self) -> bool:
        """Whether it said so; NaN never is."""
        said = self.said
        return (
            self.right_base > 0
            and math.isclose(said.size_quote, said.size_base * self.spot_ask_px, rel_tol=EXACT)
            and math.isclose(said.size_base, self.right_base, rel_tol=EXACT)
        )


class RightSizes(NamedTuple):
    """All sizes that are judged, and how many are not, as a busy machine made their quotes late."""

    judged: list[SizeJudged]
    unjudged: int


def right_sizes(
    seen: Iterable[SeenSignal], sent: TruthFile, late: Lateness = NOBODY_WAITED
) -> RightSizes:
    """Of each signal whose two quotes are known, and what its pair asks of a size."""
    right, unjudged = [], 0
    for one in seen:
        legs = DIRECTION_BY_LABEL[one.direction]
        spots = sent.tops(legs.spot.label, one.symbol, one.spot_update_id)
        futures = sent.tops(legs.futures.label, one.symbol, one.fut_update_id)
        rule = sent.rules.get((one.symbol, one.direction))
        if one.kind is SignalKind.EXIT or rule is None:
            continue
        may_be = [
            SizeJudged(one, _orderable(spot, future, rule), spot.ask_px)
            for spot in spots
            for future in futures
        ]
        if not may_be:
            continue
        found = next((judged for judged in may_be if judged.ok), may_be[0])
        if found.ok or not (legs.spot.exchange.by_pools and _waited(one, late)):
            right.append(found)
        else:
            unjudged += 1
    return RightSizes(right, unjudged)


def _waited(one: SeenSignal, late: Lateness) -> bool:
    return late.before_ns(one, one.mono_ns) - late.tolerance_ns > WAITED_NS_MAX


def _orderable(spot: SentQuote, futures: SentQuote, rule: OrderRule) -> float:
    """What of both tops can be ordered on both legs, now and when it is left; 0: nothing."""
    base = math.floor(min(spot.ask_sz, futures.bid_sz) / rule.lot + NEARLY_A_LOT) * rule.lot
    leasts = ((spot, rule.spot_notional_least), (futures, rule.futures_notional_least))
    worth = all(
        base * min(leg.bid_px, leg.ask_px) >= least * (1.0 - EXACT) for leg, least in leasts
    )
    return base if worth else 0.0
