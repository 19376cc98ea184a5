"""The report's numbers as people read them: cells and sentences, for terminal and page alike."""

from collections.abc import Sequence
from datetime import UTC, datetime

from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.figures import amount, grouped, plain, share
from spread_scanner.schema.opportunities import SIMULATED
from spread_scanner.tracker.earnings import ALL, OUTCOMES, LeftAfter, Realised
from spread_scanner.tracker.report import Group, Report, StoodAfter

OUTCOME_HEADINGS = ("count", "known", "mean", "median", "above 0", "10 %", "25 %", "75 %", "90 %")
WORTH_HEADINGS = ("net", "mean", "median", "above 0", "converged", "others", "a day")
PAIR_HEADINGS = ("opened", "net", "mean", "median", "above 0", "a day")
SIZE_HEADINGS = ("carried", "mean", "median", "above 0", "earned", "a day")
LIFE_HEADINGS = ("opened", "open", "conv.", "stale", "exp.", "gone", "half-life", "signal")
STANDING_HEADINGS = ("net >= 0", ">= enter", "looks", "not renewed", "missing", "left", "of it > 0")


def outcome_lines(group: Group) -> list[list[str]]:
    """A line for each way of ending that there was, all of them first."""
    order = (ALL, *(outcome for outcome in OUTCOMES if outcome != ALL))
    found = ((outcome, group.outcomes.get(outcome)) for outcome in order)
    return [[outcome, *_outcome_cells(one)] for outcome, one in found if one is not None]


def _outcome_cells(found: Realised) -> list[str]:
    quantiles = (found.p10_bps, found.p25_bps, found.p75_bps, found.p90_bps)
    return [
        f"{found.opportunities:,}",
        f"{found.known:,}",
        bps(found.mean_bps),
        bps(found.median_bps),
        share(found.share_positive),
        *(bps(value) for value in quantiles),
    ]


def worth_cells(group: Group) -> list[str]:
    """Net at entry and what was realised, under WORTH_HEADINGS. What converged stands beside what
    did not, and both beside all."""
    every = group.outcomes.get(ALL)
    converged = group.outcomes.get("converged")
    return [
        bps(group.entry_net_bps_median),
        bps(every.mean_bps if every else None),
        bps(every.median_bps if every else None),
        share(every.share_positive if every else None),
        bps(converged.median_bps if converged else None),
        bps(group.others.median_bps),
        amount(group.money.per_day_quote),
    ]


def pair_cells(group: Group) -> list[str]:
    """The same without what ended how, under PAIR_HEADINGS: names of pairs take room."""
    net, mean, median, above, _, _, daily = worth_cells(group)
    return [f"{group.opportunities:,}", net, mean, median, above, daily]


def life_cells(group: Group) -> list[str]:
    """How many there were, how they ended and how long they lived, under LIFE_HEADINGS."""
    closed = group.closed
    return [
        f"{group.opportunities:,}",
        f"{group.left_open:,}",
        *(f"{closed[end]:,}" for end in ("converged", "stale", "expired")),
        f"{closed['gap'] + closed['retired']:,}",
        duration(group.half_life_ms),
        duration(group.signal_half_life_ms),
    ]


def standing_lines(group: Group) -> list[list[str]]:
    """A line for each time after the signal."""
    left = {one.after_ms: one for one in group.left_after}
    return [
        [f"{one.after_ms} ms", *standing_cells(one, left.get(one.after_ms))]
        for one in group.standing
    ]


def standing_cells(one: StoodAfter, left: LeftAfter | None) -> list[str]:
    """What stood, of how many looks, and what an entry then would have left."""
    return [
        share(one.share_not_negative),
        share(one.share_over_enter),
        f"{one.taken:,}",
        f"{one.not_renewed:,}",
        f"{one.missing:,}",
        bps(left.median_bps if left else None),
        share(left.share_positive if left else None),
    ]


def size_lines(group: Group) -> list[list[str]]:
    """A line for each size of the ladder, under SIZE_HEADINGS."""
    return [
        [
            grouped(one.size_quote),
            f"{one.carried:,} of {one.events:,}",
            bps(one.mean_bps),
            bps(one.median_bps),
            share(one.share_positive),
            amount(one.earned_quote),
            amount(one.per_day_quote),
        ]
        for one in group.by_size
    ]


def money_sentences(made: Report) -> list[str]:
    """What one who takes each event once would have earned, and what limits that."""
    return [_money_sentence(made), *_coins_sentence(made), *_unknown_sentence(made)]


def _money_sentence(made: Report) -> str:
    money, tracked = made.total.money, duration(made.quality.tracked_s * 1e3)
    coins = coins_of(made)
    daily = f"{amount(money.per_day_quote)} {coins} a day"
    if money.per_day_quote is None:
        daily = "less than an hour was tracked, so nothing is said of a day"
    return (
        f"{money.events:,} events, {money.known:,} of them with a result: "
        f"{amount(money.earned_quote)} {coins} in {tracked} tracked ({daily}), "
        f"at no more than {made.size_cap_quote:,.0f} {coins} each."
    )


def coins_of(made: Report) -> str:
    """What all money of it is in."""
    return " or ".join(made.quotes) or "quote coins"


def _coins_sentence(made: Report) -> list[str]:
    """That money of several coins is added up; none where it is of one."""
    if len(made.quotes) < 2:
        return []
    return [f"{', '.join(made.quotes)} are added up as if they were one coin."]


def _unknown_sentence(made: Report) -> list[str]:
    """That results are missing, and why; none where none are."""
    count = made.quality.result_unknown
    if not count:
        return []
    return [
        f"{count:,} closed opportunities have no result: they are of a version that did not "
        "measure it, nobody saw both legs usable, or they crossed a funding rate that is not known."
    ]


def name_of(group: Group) -> str:
    """What a group is called."""
    return " ".join(part for part in (group.direction, group.symbol) if part) or "all"


def quality_rows(made: Report) -> list[tuple[str, str]]:
    """What limits the numbers, by name."""
    quality = made.quality
    totals = quality.run_totals
    looks = made.total.standing
    return [
        ("samples taken", f"{quality.samples:,}"),
        ("samples late", f"{quality.late:,}"),
        ("grid points missed", f"{quality.missed:,}"),
        ("samples with a leg that could not be stood behind", f"{quality.lost:,}"),
        ("looks after the signal that are missing", f"{sum(look.missing for look in looks):,}"),
        ("looks at a leg that was not renewed", f"{sum(look.not_renewed for look in looks):,}"),
        ("gaps in which the tracker was away", f"{quality.gaps:,}, {duration(quality.gap_ms)}"),
        ("opportunities with unknown funding", f"{quality.funding_unknown:,}"),
        ("settlements of funding crossed", f"{quality.settlements:,}"),
        ("closed opportunities without a result", f"{quality.result_unknown:,}"),
        ("opportunities still open", f"{quality.left_open:,}"),
        ("older opportunities of the period, left out", f"{quality.left_out:,}"),
        ("runs of the tracker in the period", f"{quality.runs:,}"),
        ("tracked by them", duration(quality.tracked_s * 1e3)),
        *(
            (text, f"{totals.get(label, 0):,}")
            for label, text in (
                ("signals", "signals taken, in those runs"),
                ("refused_full", "signals not followed: too many open"),
                ("refused_unknown", "signals not followed: pair not in the tables"),
                ("signal_gaps", "signals that never arrived"),
                ("rows_dropped", "rows lost while the database could not be written"),
                ("commit_failures", "transactions that had to be tried again"),
            )
        ),
    ]


def simulated(made: Report) -> list[str]:
    """That what was tracked is no market's, in a sentence; none where it is one's."""
    runs, pretended = made.quality.runs, made.quality.run_totals.get(SIMULATED, 0)
    if not pretended:
        return []
    which = "All" if pretended == runs else f"{pretended:,} of {runs:,}"
    return [f"Simulated: {which} runs of the tracker in the period followed a pretended market."]


def period(made: Report) -> str:
    """From when to when, UTC."""
    until = _moment(made.until_ns)
    return f"{_moment(made.since_ns)} to {until} UTC" if made.since_ns else f"up to {until} UTC"


def _moment(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns / NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")


def clock_of(ts_s: float) -> str:
    """Day and time of day, UTC."""
    return datetime.fromtimestamp(ts_s, UTC).strftime("%d. %H:%M:%S")


def duration(ms: float | None) -> str:
    """A time a person can read."""
    if ms is None:
        return "-"
    for limit, unit_ms, unit in ((1e3, 1, "ms"), (60e3, 1e3, "s"), (3.6e6, 60e3, "min")):
        if ms < limit:
            return f"{plain(ms / unit_ms, 3)} {unit}"
    return f"{plain(ms / 3.6e6, 3)} h"


def bps(value: float | None) -> str:
    return "-" if value is None else f"{value:z.1f}"


def taken(standing: Sequence[StoodAfter]) -> str:
    """Of how many looks."""
    return ", ".join(
        f"{one.taken:,} of {one.taken + one.not_renewed + one.missing:,}" for one in standing
    )
