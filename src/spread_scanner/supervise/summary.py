"""What a run of `up` or `demo` leaves behind: its document under --json, as docs/schema.json says.

Written by up.py at a run's end; read by the command, which tells it to people, and by programs.
"""

from typing import NotRequired, TypedDict


class ProcessSummary(TypedDict):
    """A process at the end of the run."""

    state: str
    starts: int
    drops: int
    skips: int


class IntervalSummary(TypedDict):
    """A planted opportunity that was not signalled right."""

    symbol: str
    direction: str
    at_s: float  # after the begin of the run
    lasted_s: float | None  # None: to the end of the run
    peak_bps: float


class SignalSummary(TypedDict):
    """A signal that nothing was planted for."""

    symbol: str
    direction: str
    kind: str
    at_s: float
    net_bps: float


class OpportunitySummary(TypedDict):
    """An interval that the tracker followed wrongly, or an opportunity of nothing."""

    symbol: str
    direction: str
    at_s: float
    why: str


class SizeSummary(TypedDict):
    """A signal with another size than its two quotes had, or what followed on one with another
    than its two books carry; base units."""

    symbol: str
    direction: str
    at_s: float
    size_base: float
    right_base: float
    why: str  # what is wrong


class UsualSummary(TypedDict):
    """A pair of which another usual basis was learned than the quotes amount to."""

    symbol: str
    direction: str
    usual_bps: float | None  # None: nothing is known
    low_bps: float  # it had to lie from here
    high_bps: float  # to here
    weight: float  # of the history and its looks, one a second, the older the lighter
    weight_low: float  # it had to lie from here
    weight_high: float  # to here


class RunSummary(TypedDict):
    """A run. What only a scored one has may be absent."""

    ok: bool  # it came up, and to its end; scored: and nothing was wrong
    seconds: float
    processes: dict[str, ProcessSummary]
    pairs: int
    messages: int
    quotes: int
    signals: int
    opportunities: int
    drops: int
    latency_us: dict[str, dict[str, float]]
    restarts: int
    cpu_wait_ms: dict[str, float]  # by process, the longest wait for a CPU within a second or so
    killed_at_stop: list[str]
    files: NotRequired[str]  # where those of a simulated run are; absent: they are taken away
    not_scored: NotRequired[str]  # why a simulated run was not
    # What was found of what the simulator planted.
    seed: NotRequired[int]
    planted: NotRequired[int]
    planted_by_pools: NotRequired[int]  # of these
    found: NotRequired[int]
    missed: NotRequired[int]
    invented: NotRequired[int]
    overlong: NotRequired[int]
    opportunities_wrong: NotRequired[int]
    sizes_wrong: NotRequired[int]
    sizes_judged: NotRequired[int]
    sizes_unjudged: NotRequired[int]  # of pools' quotes, which a busy machine made late
    carried_judged: NotRequired[int]
    carried_unjudged: NotRequired[int]
    carried_unjudged_why: NotRequired[dict[str, int]]
    usual_wrong: NotRequired[int]
    usual_judged: NotRequired[int]
    late_ms_max: NotRequired[float]  # the most that a signal might come late: the machine was busy
    not_judged: NotRequired[int]
    not_judged_why: NotRequired[dict[str, int]]
    missed_intervals: NotRequired[list[IntervalSummary]]
    overlong_intervals: NotRequired[list[IntervalSummary]]
    wrong_opportunities: NotRequired[list[OpportunitySummary]]
    wrong_sizes: NotRequired[list[SizeSummary]]
    wrong_usual: NotRequired[list[UsualSummary]]
    invented_signals: NotRequired[list[SignalSummary]]
