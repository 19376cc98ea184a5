"""Holds what the product did against what the simulator really sent.

The truth is a list of intervals: a pair's gross spread stood over its threshold from `start` to
`end`, by the margin that nobody is judged within (owed), or not by that margin below it (near). The
engine's side is a list of spans: from an ENTER of a pair to its EXIT.

    found     an owed interval that overlaps a span; an ENTER may come late
    missed    an owed interval that overlaps none
    invented  an ENTER or RE-SIGNAL while no interval of its pair stood, give or take what may be
              late
    overlong  an interval after which the pair had also left the exit threshold, and no EXIT came,
              late or not
    opportunities_wrong
              a found interval that does not lie in exactly one opportunity of the tracker (in
              one or more, if the simulator stood still meanwhile: a leg that is silent for so long
              ends one), or an opportunity in which no interval of its pair stood
    sizes_wrong
              an ENTER or RE-SIGNAL whose size is not what its two quotes, by their update ids,
              had in whole lots, or less than may be ordered; what followed on one, where the
              largest size, a size's net or price, or whether there may be more, is not what the
              two books, by their update ids, carry (carried.py)
    usual_wrong
              a pair of which the engine has adopted another mean of what leaving earns than the
              quotes amount to (learned.py)

How late is late: lateness.py.

An interval that was over before the run began, or began after it, is no part of it. Of the owed
ones one is judged if it began within the run, lasted at least `lasting` before the end, and by what
its processes waited for a CPU longer, none of its two feeds, nor the engine, was down meanwhile,
nobody had halted or paused what it needs, and both its legs were being sent when it began: one that
rests on the last word of a source that fell silent is owed by nobody. The truth ends it when that
word may no longer be believed, and a signal after that is invented. One that goes beyond
`implausible_bps`, or with a leg that had left its price level, is not of one coin at one time:
nobody owes anything for it, and a signal of so much, or while the level was another, is invented,
whatever stood. After such a one that lasted for nearly `implausible_hold_s` the engine may have
blocked the pair, which owes nothing for the rest of the run: the simulator is never judged anew.
While what Solana's providers tell is shaken (they are all away or behind, the chain went back)
nothing of pools is owed, and what they were believed on BELIEVED_S ago excuses. A shorter one may
rise and fall between two reads of a socket: the store holds the latest quote and nobody owes a
signal for it. An engine that was down in between has forgotten that it was in: it owes no EXIT, nor
does one that was halted. An interval may find the engine already in (hysteresis: the exit threshold
lies lower); that is found, without a second ENTER. All intervals, judged or not, excuse a signal
and make an opportunity one.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.schema import freshness
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, SignalKind
from spread_scanner.supervise.carried import CarriedJudged, RightCarried
from spread_scanner.supervise.lateness import Lateness
from spread_scanner.supervise.learned import UsualJudged
from spread_scanner.supervise.seen import DownTime, SeenSignal, TrackedLife
from spread_scanner.supervise.sizes import SizeJudged, right_sizes
from spread_scanner.supervise.truth import UNTOLD, Interval, TruthFile

LASTING_MS = 50.0
TOLERANCE_MS = 250.0
BELIEVED_S = 2.5  # pools, by what was told last
FOREVER = math.inf
NOTHING_SENT = TruthFile([], {}, {})
NOTHING_CARRIED = RightCarried()

# Why an interval of the run is not judged.
EARLY, SHORT, DOWN = "began before the run", "too short", "down, halted or paused"
BUSY = "too short for so busy a machine"
UNSURE, IMPLAUSIBLE = "a leg had fallen silent", "implausible"
BLOCKED = "blocked, as implausible for so long"

PairName = tuple[str, str]  # symbol and direction
Span = tuple[int, float]  # from, to


class WrongOpportunity(NamedTuple):
    """What the tracker did not do right; `at_ns` is where the interval, or it, began."""

    symbol: str
    direction: str
    at_ns: int
    why: str


class Score(NamedTuple):
    """The verdict; `ok` when all that was owed came, and nothing else."""

    planted: int
    planted_by_pools: int  # of these, with the spot leg in a pool
    found: int
    missed: list[Interval]
    invented: list[SeenSignal]
    unjudged: dict[str, int]  # how many for which reason
    overlong: list[Interval]
    opportunities_wrong: list[WrongOpportunity]
    sizes_wrong: list[SizeJudged | CarriedJudged]
    sizes_judged: int
    sizes_unjudged: int  # of quotes of pools, which a busy machine made late
    carried_judged: int  # of the sizes: those that followed on a signal
    carried_unjudged_why: dict[str, int]  # which are none of the sizes; how many for which reason
    usual_wrong: list[UsualJudged]
    usual_judged: int
    late_ns_max: int  # the most that was allowed for

    @property
    def ok(self) -> bool:
        wrong = (
            self.missed, self.invented, self.overlong, self.opportunities_wrong, self.sizes_wrong,
            self.usual_wrong,
        )  # fmt: skip
        return not any(wrong)

    @property
    def excused(self) -> int:
        """Intervals of the run that were not judged."""
        return sum(self.unjudged.values())

    @property
    def carried_unjudged(self) -> int:
        """Of what was said of books, what is not judged."""
        return sum(self.carried_unjudged_why.values())


def score(
    truth: Sequence[Interval],
    seen: Sequence[SeenSignal],
    window_ns: tuple[int, int],
    *,
    sent: TruthFile = NOTHING_SENT,
    lives: Sequence[TrackedLife] | None = None,
    usual: Sequence[UsualJudged] = (),
    carried: RightCarried = NOTHING_CARRIED,
    outages: Sequence[DownTime] = (),
    lateness: Lateness | None = None,
    lasting_ms: float = LASTING_MS,
    implausible_bps: float = FOREVER,
    implausible_hold_s: float = FOREVER,
) -> Score:
    """Judge all intervals and all signals; the rule stands at the head of this module. Without
    `lives` the tracker is not judged, without what was `sent` no size is; without `lateness` nobody
    waited, and TOLERANCE_MS is what is given."""
    late = Lateness(TOLERANCE_MS) if lateness is None else lateness
    outages = [*outages, *sent.shaken]
    spans = _spans(seen)
    hold_ns = implausible_hold_s * NS_PER_S - late.tolerance_ns
    blocked_ns = _blocked_from(truth, implausible_bps, hold_ns)
    found: list[Interval] = []
    missed: list[Interval] = []
    unjudged: Counter[str] = Counter()
    for interval in truth:
        end_ns = _end(interval, window_ns)
        if interval.near or end_ns <= window_ns[0] or interval.start_ns >= window_ns[1]:
            continue
        why = _not_judged(interval, end_ns, window_ns, outages, lasting_ms, late)
        if not _one_coin(interval, implausible_bps):
            why = IMPLAUSIBLE
        elif end_ns > blocked_ns.get((interval.symbol, interval.direction), FOREVER):
            why = BLOCKED
        if why:
            unjudged[why] += 1
        else:
            of_pair = spans[interval.symbol, interval.direction]
            late_ns = late.after_ns(interval, end_ns)
            (found if _overlaps(of_pair, interval, end_ns, late_ns) else missed).append(interval)
    of_tops = right_sizes(seen, sent, late)
    sizes: list[SizeJudged | CarriedJudged] = [*of_tops.judged, *carried.judged]
    return Score(
        planted=len(found) + len(missed),
        planted_by_pools=sum(
            DIRECTION_BY_LABEL[one.direction].spot.exchange.by_pools for one in (*found, *missed)
        ),
        found=len(found),
        missed=missed,
        invented=_invented(truth, seen, late, implausible_bps, sent.shaken),
        unjudged=dict(unjudged),
        overlong=_overlong(truth, spans, window_ns, outages, late),
        opportunities_wrong=[]
        if lives is None
        else [
            *_followed_wrongly(found, lives, window_ns, outages, late, sent.stood),
            *_of_nothing(truth, lives, late, sent.shaken),
        ],
        sizes_wrong=[one for one in sizes if not one.ok],
        sizes_judged=len(sizes),
        sizes_unjudged=of_tops.unjudged,
        carried_judged=len(carried.judged),
        carried_unjudged_why=dict(carried.unjudged),
        usual_wrong=[one for one in usual if not one.ok],
        usual_judged=len(usual),
        late_ns_max=late.longest_ns,
    )


def _not_judged(
    interval: Interval,
    end_ns: int,
    window_ns: tuple[int, int],
    outages: Sequence[DownTime],
    lasting_ms: float,
    late: Lateness,
) -> str:
    """Why not; empty: it is."""
    if interval.start_ns < window_ns[0]:
        return EARLY
    if not interval.sure:
        return UNSURE
    lasted_ns = end_ns - interval.start_ns - lasting_ms * NS_PER_MS
    if lasted_ns < 0:
        return SHORT
    if lasted_ns < late.after_ns(interval, interval.start_ns) - late.tolerance_ns:
        return BUSY
    return DOWN if _was_away(interval, interval.start_ns, end_ns, outages) else ""


def _one_coin(interval: Interval, implausible_bps: float) -> bool:
    return not interval.jumped and _plausible(interval.peak_bps, implausible_bps)


def _blocked_from(
    truth: Iterable[Interval], implausible_bps: float, hold_ns: float
) -> dict[PairName, float]:
    """From when on a pair may be blocked, by what of it stood for so long."""
    found: dict[PairName, float] = {}
    for interval in truth:
        lasted_ns = (FOREVER if interval.end_ns is None else interval.end_ns) - interval.start_ns
        if not _one_coin(interval, implausible_bps) and lasted_ns >= hold_ns:
            pair = interval.symbol, interval.direction
            found[pair] = min(found.get(pair, FOREVER), interval.start_ns + hold_ns)
    return found


def _plausible(bps: float, implausible_bps: float) -> bool:
    return bool(freshness.plausible(np.asarray(bps), implausible_bps))


# --- the engine


def _invented(
    truth: Iterable[Interval],
    seen: Iterable[SeenSignal],
    late: Lateness,
    implausible_bps: float,
    shaken: Sequence[DownTime],
) -> list[SeenSignal]:
    stood = _by_pair(interval for interval in truth if not interval.jumped)
    return [
        one
        for one in seen
        if one.kind is not SignalKind.EXIT
        and (
            not _plausible(one.net_bps, implausible_bps)  # its gross is even more
            or not _excused(
                stood[one.symbol, one.direction],
                one.mono_ns,
                late.before_ns(one, one.mono_ns)
                + _believed_ns(one, (one.mono_ns, one.mono_ns), shaken),
            )
        )
    ]


def _believed_ns(
    one: SeenSignal | TrackedLife, span: tuple[float, float], shaken: Iterable[DownTime]
) -> int:
    """How much older what it rests on may be, as providers were shaken then."""
    is_so = any(
        away.concerns(one.symbol, one.direction)
        and away.start_ns <= span[1]
        and (away.end_ns is None or away.end_ns >= span[0])
        for away in shaken
    )
    return int(BELIEVED_S * NS_PER_S) if is_so else 0


def _overlong(
    truth: Iterable[Interval],
    spans: Mapping[PairName, list[Span]],
    window_ns: tuple[int, int],
    outages: Sequence[DownTime],
    late: Lateness,
) -> list[Interval]:
    """Intervals whose fall the engine did not say; the falls of one span are one."""
    starts = {
        pair: [interval.start_ns for interval in stood] for pair, stood in _by_pair(truth).items()
    }
    overlong: dict[tuple[str, str, int], Interval] = {}
    for interval in truth:
        pair = interval.symbol, interval.direction
        fell_ns = interval.fell_ns
        if fell_ns == UNTOLD:
            fell_ns = interval.end_ns if interval.start_ns < max(starts[pair]) else None
        if fell_ns is None or not window_ns[0] <= fell_ns <= window_ns[1]:
            continue
        owed_ns = fell_ns + late.after_ns(interval, fell_ns)
        if owed_ns > window_ns[1]:
            continue
        if any(fell_ns < start_ns <= owed_ns for start_ns in starts[pair]):
            continue  # it stood again
        for enter_ns, exit_ns in spans.get(pair, ()):
            lasts = enter_ns <= fell_ns and exit_ns > owed_ns
            if lasts and not _was_away(interval, enter_ns, owed_ns, outages):
                overlong.setdefault((*pair, enter_ns), interval)
    return list(overlong.values())


def _spans(seen: Iterable[SeenSignal]) -> defaultdict[PairName, list[Span]]:
    """From ENTER to EXIT, per pair. A RE-SIGNAL says as well that the engine is in; a second ENTER
    that it had been out meanwhile, without a word."""
    spans: defaultdict[PairName, list[Span]] = defaultdict(list)
    for one in seen:
        of_pair = spans[one.symbol, one.direction]
        is_in = bool(of_pair) and of_pair[-1][1] == FOREVER
        if is_in and one.kind is not SignalKind.RESIGNAL:
            of_pair[-1] = (of_pair[-1][0], one.mono_ns)
        if one.kind is SignalKind.ENTER or (one.kind is SignalKind.RESIGNAL and not is_in):
            of_pair.append((one.mono_ns, FOREVER))
    return spans


# --- the tracker


def _followed_wrongly(
    found: Iterable[Interval],
    lives: Iterable[TrackedLife],
    window_ns: tuple[int, int],
    outages: Sequence[DownTime],
    late: Lateness,
    stood: Sequence[DownTime],
) -> list[WrongOpportunity]:
    """Found intervals that do not lie in exactly one opportunity."""
    followed: defaultdict[PairName, list[Span]] = defaultdict(list)
    for life in lives:
        closed_ns = FOREVER if life.closed_ns is None else life.closed_ns
        followed[life.symbol, life.direction].append((life.opened_ns, closed_ns))
    wrong = []
    for one in found:
        end_ns = _end(one, window_ns)
        late_ns = late.after_ns(one, end_ns, tracked=True)
        anew = _was_away(one, one.start_ns, end_ns, stood)
        why = _follow_fault(followed[one.symbol, one.direction], one, end_ns, late_ns, anew=anew)
        if why and not _was_away(one, one.start_ns, end_ns, outages, tracked=True):
            wrong.append(WrongOpportunity(one.symbol, one.direction, one.start_ns, why))
    return wrong


def _follow_fault(
    lives: Sequence[Span], interval: Interval, end_ns: int, late_ns: int, *, anew: bool
) -> str:
    """What is wrong with the opportunities that an interval lies in; empty: nothing. `anew`: it may
    have been followed anew."""
    if not _overlaps(lives, interval, end_ns, late_ns):
        return "was not followed"
    within = [life for life in lives if life[0] < end_ns and life[1] > interval.start_ns]
    if len(within) > 1 and not anew:
        return f"was followed by {len(within)} opportunities"
    if within and max(life[1] for life in within) < end_ns - late_ns:
        return "was followed to its half"
    return ""


def _of_nothing(
    truth: Iterable[Interval],
    lives: Iterable[TrackedLife],
    late: Lateness,
    shaken: Sequence[DownTime],
) -> list[WrongOpportunity]:
    """Opportunities in which no interval stood."""
    stood = _by_pair(interval for interval in truth if not interval.jumped)

    def stood_in(life: TrackedLife) -> bool:
        closed_ns = life.closed_ns or FOREVER
        late_ns = late.before_ns(life, life.opened_ns, tracked=True) + _believed_ns(
            life, (life.opened_ns, closed_ns), shaken
        )
        return any(
            interval.start_ns - late_ns <= closed_ns
            and life.opened_ns <= (interval.end_ns or FOREVER) + late_ns
            for interval in stood[life.symbol, life.direction]
        )

    return [
        WrongOpportunity(life.symbol, life.direction, life.opened_ns, "nothing stood in it")
        for life in lives
        if not stood_in(life)
    ]


# --- time


def _by_pair(intervals: Iterable[Interval]) -> defaultdict[PairName, list[Interval]]:
    found: defaultdict[PairName, list[Interval]] = defaultdict(list)
    for interval in intervals:
        found[interval.symbol, interval.direction].append(interval)
    return found


def _end(interval: Interval, window_ns: tuple[int, int]) -> int:
    return window_ns[1] if interval.end_ns is None else min(interval.end_ns, window_ns[1])


def _overlaps(spans: Iterable[Span], interval: Interval, end_ns: int, late_ns: int) -> bool:
    return any(
        enter_ns <= end_ns + late_ns and exit_ns >= interval.start_ns for enter_ns, exit_ns in spans
    )


def _excused(intervals: Iterable[Interval], at_ns: int, late_ns: int) -> bool:
    return any(
        interval.start_ns - late_ns
        <= at_ns
        <= (at_ns if interval.end_ns is None else interval.end_ns + late_ns)
        for interval in intervals
    )


def _was_away(
    interval: Interval,
    start_ns: int,
    end_ns: int,
    outages: Iterable[DownTime],
    *,
    tracked: bool = False,
) -> bool:
    return any(
        one.start_ns <= end_ns
        and (one.end_ns is None or one.end_ns >= start_ns)
        and one.concerns(interval.symbol, interval.direction, tracked=tracked)
        for one in outages
    )
