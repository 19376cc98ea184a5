"""What the engine has learned of leaving each pair, beside what the simulator sent.

The simulator tells the history that each pair begins with, and for each second the lowest and the
highest that one look may have seen (docs/simulator.md). From that follows, in plain arithmetic and
by nothing of the engine's, between which bounds the mean lies that was adopted last: a look that
may have been missed (a leg was silent, a process away, the run had not begun, its legs were apart
by something like what is implausible) is in it or not, whichever is farther. So is one whose
processes waited for a CPU for longer around then than a look has room for, and that may have seen
whatever was sent as long before or after as they waited (lateness.py). Further than CLOSE_BPS
outside of the bounds is wrong. So is a weight that is not that of the history and these looks: a
mean that is right by chance, because the market stands where it always did, may rest on a part of
them.
"""

import math
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.schema import costs
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.supervise.lateness import Lateness
from spread_scanner.supervise.seen import DownTime
from spread_scanner.supervise.truth import History, SentRange, TruthFile
from spread_scanner.symbology import tables, usual
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.usual import Usual, pair_keys

CLOSE_BPS = 0.5
BEGUN_NS = NS_PER_S  # after the beginning of a run each second is looked at
# Beside the look's own: the engine was away, or a feed was and its quotes had not come back.
AWAY_NS = 2 * NS_PER_S
WRITTEN_S_MAX = 60.0  # who ends by a kill loses what was learned since it was written last
PER_HALF_LIFE = 20
# Of the time around a second that a look is told for; the other half the processes take themselves.
WAITED_SHARE = 0.5
# Of a weight: looks that a busy machine left out, and what rounds or was aged elsewhere.
WEIGHT_LOOKS, WEIGHT_SHARE = 2.0, 1e-3


class Adopted(NamedTuple):
    """One generation of what leaving usually earns, bps, and its weight in looks, by (symbol,
    direction) of all that the tables have; NaN and 0: nothing is known."""

    mono_ns: int
    half_life_s: float
    exit_bps: dict[tuple[str, str], float]
    weight: dict[tuple[str, str], float]


class _Pair(NamedTuple):
    symbol: str
    direction: str


class UsualJudged(NamedTuple):
    """What was adopted of a pair, and between what it had to lie."""

    symbol: str
    direction: str
    usual_bps: float
    low_bps: float
    high_bps: float
    weight: float
    weight_low: float
    weight_high: float

    @property
    def ok(self) -> bool:
        """NaN never is."""
        room = WEIGHT_LOOKS + WEIGHT_SHARE * self.weight_high
        return (
            self.low_bps - CLOSE_BPS <= self.usual_bps <= self.high_bps + CLOSE_BPS
            and self.weight_low - room <= self.weight <= self.weight_high + room
        )


def pairs_of(loaded: Tables) -> dict[tuple[int, int], tuple[str, str]]:
    """Symbol and direction of each pair that may be traded, by (direction, symbol) id."""
    names = loaded.symbol_names()
    return {
        (row.direction_id, symbol_id): (names[symbol_id], DIRECTIONS[row.direction_id].label)
        for row in loaded.directions
        for symbol_id in row.symbol_ids
    }


def adopted_last(settings: Settings) -> Adopted | None:
    """As the engine has kept it; None: it has kept nothing, as when it never came up."""
    kept = usual.read(usual.path_of(settings))
    if kept is None:
        return None
    return adopted_of(kept, tables.load(settings.generated_dir))


def adopted_of(kept: Usual, loaded: Tables) -> Adopted:
    """A generation by the names of its pairs."""
    keys, places = pair_keys(loaded), {key: at for at, key in enumerate(kept.keys)}
    mono_ns = clock.mono_ns() - (clock.wall_ns() - kept.wall_ns)
    adopted = Adopted(mono_ns, kept.half_life_s, {}, {})
    for ids, pair in pairs_of(loaded).items():
        at = places.get(keys.get(ids, ""))
        adopted.exit_bps[pair] = math.nan if at is None else float(kept.exit_bps[at])
        adopted.weight[pair] = 0.0 if at is None else float(kept.weight[at])
    return adopted


def judged(
    adopted: Adopted,
    sent: TruthFile,
    seeded_ns: int,
    begin_ns: int,
    late: Lateness,
    outages: Sequence[DownTime] = (),
    *,
    implausible_bps: float = math.inf,
    seeded: Container[tuple[str, str]] | None = None,
) -> list[UsualJudged]:
    """Each pair of which the simulator has told a history, and which was `seeded` with it; None:
    all. Monotonic ns: when that was written down for the engine, and when the run began."""
    found = []
    waited = _Waited(late)
    for (symbol, direction), usual_bps in sorted(adopted.exit_bps.items()):
        history = sent.histories.get((symbol, direction))
        if history is None or (seeded is not None and (symbol, direction) not in seeded):
            continue  # one that came into the tables later has learned since then
        away = [one for one in outages if one.concerns(symbol, direction)]
        # The engine judges by the mids, a look tells of leaving alone: room for widths up to half.
        far_bps = implausible_bps / 2
        spans = partial(waited.span, _Pair(symbol, direction))
        known = _Known(
            *(adopted, seeded_ns, begin_ns + BEGUN_NS, late.tolerance_ns, far_bps, away, spans)
        )
        bounds, weight = known.bounds(history), adopted.weight[symbol, direction]
        if adopted.mono_ns < seeded_ns and not away:
            usual_bps, weight = math.nan, 0.0  # the history itself: the engine has kept nothing
        of_weight = bounds.weight_low, bounds.weight_high
        found.append(
            UsualJudged(symbol, direction, usual_bps, bounds.low, bounds.high, weight, *of_weight)
        )
    return found


class _Bounds(NamedTuple):
    """Of a mean, and of its weight."""

    low: float
    high: float
    weight_low: float
    weight_high: float


class _Waited:
    """How far from its second a look at a pair may have been, as its processes waited for a CPU."""

    def __init__(self, late: Lateness) -> None:
        self._late, self._spans = late, dict[tuple[str, int], tuple[int, int] | None]()

    def span(self, pair: _Pair, second_ns: int) -> tuple[int, int] | None:
        """From, to, monotonic ns; None: no longer than there is room for. Who waits is a process:
        it is the same of all symbols of a direction."""
        key = pair.direction, second_ns
        if key not in self._spans:
            before_ns = self._late.before_ns(pair, second_ns)
            after_ns = self._late.after_ns(pair, second_ns)
            waited_ns = max(before_ns, after_ns) - self._late.tolerance_ns
            is_far = waited_ns > WAITED_SHARE * self._late.tolerance_ns
            self._spans[key] = (second_ns - before_ns, second_ns + after_ns) if is_far else None
        return self._spans[key]


class _Known(NamedTuple):
    """What is known of when the engine looked at a pair."""

    adopted: Adopted
    seeded_ns: int
    begun_ns: int
    tolerance_ns: int
    far_bps: float  # a look beyond it may have been left out
    away: Sequence[DownTime]
    waited: Callable[[int], tuple[int, int] | None]  # _Waited.span of the pair

    def bounds(self, history: History) -> _Bounds:
        """Between what the mean lies, and its weight."""
        weight = costs.full_weight(self.adopted.half_life_s) * self._weight(self.seeded_ns)
        low = high = weight * history.exit_bps
        may_be: list[tuple[float, SentRange]] = []
        around = {look.mono_ns: SentRange(look.low_bps, look.high_bps) for look in history.looks}
        for look in history.looks:
            if look.mono_ns > self.adopted.mono_ns + self.tolerance_ns:
                continue
            of_look = self._weight(look.mono_ns)
            near = max(abs(look.low_bps), abs(look.high_bps)) <= self.far_bps
            span = self.waited(look.mono_ns)
            if span is not None:
                may_be.append((of_look, self._within(span, around, history.before)))
            elif look.sure and near and self._was_looked_at(look.mono_ns):
                weight += of_look
                low, high = low + of_look * look.low_bps, high + of_look * look.high_bps
            else:
                may_be.append((of_look, around[look.mono_ns]))
        lows = [(one, look.low_bps) for one, look in may_be]
        highs = [(one, -look.high_bps) for one, look in may_be]
        # As of the last look, which may be a second younger than the adoption.
        most = (weight + sum(one for one, _ in lows)) * 2.0 ** (1.0 / self.adopted.half_life_s)
        return _Bounds(_least(weight, low, lows), -_least(weight, -high, highs), weight, most)

    def _within(
        self,
        span_ns: tuple[int, int],
        around: Mapping[int, SentRange],
        before: Mapping[int, SentRange],
    ) -> SentRange:
        """What leaving earned from then to then."""
        seconds = range(span_ns[0] // NS_PER_S, span_ns[1] // NS_PER_S + 2)
        ranges = []
        for second_ns in (second * NS_PER_S for second in seconds):
            start_ns, end_ns = second_ns - self.tolerance_ns, second_ns + self.tolerance_ns
            if second_ns in around and start_ns <= span_ns[1] and span_ns[0] <= end_ns:
                ranges.append(around[second_ns])
            start_ns, end_ns = end_ns - NS_PER_S, start_ns
            if second_ns in before and start_ns <= span_ns[1] and span_ns[0] <= end_ns:
                ranges.append(before[second_ns])
        return SentRange(min(one.low_bps for one in ranges), max(one.high_bps for one in ranges))

    def _weight(self, mono_ns: int) -> float:
        age_s = (self.adopted.mono_ns - mono_ns) / NS_PER_S
        return float(2.0 ** (-age_s / self.adopted.half_life_s))

    def _was_looked_at(self, mono_ns: int) -> bool:
        if not self.begun_ns <= mono_ns <= self.adopted.mono_ns - self.tolerance_ns:
            return False
        written_s = min(WRITTEN_S_MAX, self.adopted.half_life_s / PER_HALF_LIFE)
        lost_ns = AWAY_NS + int(written_s * NS_PER_S)
        return not any(
            one.start_ns - lost_ns <= mono_ns
            and (one.end_ns is None or mono_ns <= one.end_ns + AWAY_NS)
            for one in self.away
        )


def _least(weight: float, total: float, may_be: Iterable[tuple[float, float]]) -> float:
    """The lowest mean, whichever of some weighted values are part of it."""
    for more, value in sorted(may_be, key=lambda one: one[1]):
        if value * weight >= total:
            break
        weight, total = weight + more, total + more * value
    return total / weight
