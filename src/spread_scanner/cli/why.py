"""How `spread-ctl why` answers a person: a waterfall per evaluation, then the present."""

import math
from collections.abc import Iterator

from rich.text import Text

from spread_scanner.cli import legends
from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, EXCHANGE_DIRECTIONS
from spread_scanner.schema.figures import ago, grouped, plain
from spread_scanner.view.depth import SizeNet
from spread_scanner.view.evaluations import Evaluation, Explanation
from spread_scanner.view.funding import FundingView
from spread_scanner.view.spreads import Spread

WAY = max(len(one.label) for one in EXCHANGE_DIRECTIONS)
SHORT = 20  # of what a present spread means: as much as there is room for behind its figures
# Flags that their names do not say to a person.
_FLAGS = {
    "no_ts_event": "without a time of its exchange",
    "bid_empty": "without a bid",
    "ask_empty": "without an ask",
}


def lines(answer: Explanation) -> Iterator[str | Text]:
    """The answer for people: a waterfall per evaluation, then the present."""
    for evaluation in answer.evaluations:
        yield from _waterfall(answer.symbol, evaluation)
    if not answer.evaluations:
        yield Text.assemble((answer.symbol, "bold"), f": {answer.meaning}.")
    for told in answer.funding:
        yield _funding(told)
    for kept_out in answer.quarantined:
        yield f"Quarantined in {kept_out.direction}: {kept_out.reason}"
    for one in answer.blocked:
        since = f"Blocked in {one.direction} {ago(one.age_s)}, until discovery judges anew"
        yield f"{since}: it stayed implausible, with {one.gross_bps:z,.0f} bps gross at the end"
    if answer.now:
        yield Text("\nnow", style="bold")
    by_direction = {row.direction: row for row in answer.now}
    for stands in answer.standing:
        yield from _now(by_direction[stands.direction], stands.meaning)


def _now(row: Spread, meaning: str) -> Iterator[str | Text]:
    if row.net_bps is None or row.gross_bps is None:
        yield f"  {row.direction:{WAY}} {meaning}"
        return
    more = _carries(row)
    if row.learned < 1:
        more.append(f"(what leaving earns is {_share(row.learned)} learned)")
    figures = (
        f"  {row.direction:{WAY}} net {row.net_bps:z8.1f}  gross {row.gross_bps:z8.1f}  "
        f"enter {row.enter_bps:z6.1f}"
    )
    if len(meaning) <= SHORT:
        yield f"{figures}  {meaning}"
    else:
        yield figures
        yield f"    {meaning}"
    for line in more:
        yield Text(f"    {line}", style="yellow")


def _carries(row: Spread) -> list[str]:
    """How much of it could be done, and at which net."""
    if row.depth is None:
        return [f"no order books: the tops alone, {row.size_quote or 0.0:z,.0f}"]
    at = ", ".join(f"{_net(one)} at {grouped(one.size_quote)}" for one in row.depth.sizes)
    more = " and more, beyond the levels that are known" if row.depth.bounded else ""
    return [f"carries {row.depth.size_quote or 0.0:z,.0f}{more}", f"net {at}"]


def _net(one: SizeNet) -> str:
    return "thin" if one.too_thin else _or_dash(one.net_bps)


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:z.1f}"


def _funding(one: FundingView) -> str:
    """What a futures source told of it last, and when it is settled next."""
    if one.rate is None:
        return f"funding {one.source}: {one.unknown}"
    per = f" per {plain(one.interval_h)} h" if one.interval_h is not None else ""
    cap = "" if one.cap is None else f", at most {one.cap:z.3%}"
    due = "" if one.next_in_s is None else f", settled {_when(one.next_in_s)}"
    since = "not told yet, as the last discovery saw it"
    if one.age_s is not None:
        since = f"told {ago(one.age_s)}"
    said = f"funding {one.source}: {one.rate:+z.4%}{per}{cap}{due}, {since}"
    return f"{said}; not used: {one.unknown}" if one.unknown else said


def _when(in_s: float) -> str:
    return f"in {in_s / 60:z,.0f} min" if in_s >= 0 else ago(-in_s)


def _share(learned: float) -> str:
    return f"{min(learned, 0.99):z.0%}"


def _learned(one: Evaluation) -> str:
    """What the number of closing rests on."""
    if one.learned < 1:
        return f"by the present widths: what leaving earns is {_share(one.learned)} learned"
    usual, parity = _or_nan(one.usual_bps), _or_nan(one.parity_bps)
    return f"leaving usually earns {usual:z.2f}, at parity now {parity:z.2f}"


def _z(one: Evaluation, least: float) -> Iterator[str]:
    """What gross was measured by, when the settings ask how unusual it is."""
    mean, deviation = _or_nan(one.z_mean_bps), _or_nan(one.z_deviation_bps)
    stands = f"usually stands at {mean:z.2f}, deviation {deviation:z.2f}"
    if one.z is None:
        stands = "has not moved" if one.z_deviation_bps == 0 else "has no known mean"
    z = "-" if one.z is None else f"{one.z:z.2f}"
    yield f"    z        {z:>9}  at least {least:z.2f} (spread-ctl analysis)"
    yield f"             {'':9}  gross {stands}"


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _waterfall(symbol: str, one: Evaluation) -> Iterator[str | Text]:
    direction = DIRECTION_BY_LABEL[one.direction]
    times = f", {one.count:,} times" if one.count > 1 else ""
    colour = "green" if one.verdict == "signal" else "yellow"
    yield Text.assemble((symbol, "bold"), f"  {one.direction}  {one.age_s:z,.1f} s ago{times}")
    yield Text(f"    {one.meaning}", style=colour)
    yield f"    buy {direction.spot.label} at {plain(one.spot_px, 8)}"
    yield f"    sell {direction.futures.label} at {plain(one.fut_px, 8)}"
    yield f"    gross    {one.gross_bps:z9.2f} bps"
    yield f"    fees     {-one.fees_bps:z9.2f}"
    yield f"    close    {_or_nan(one.close_bps):z9.2f}  {_learned(one)}"
    yield f"    carry    {-one.carry_bps:z9.2f}"
    short = one.enter_bps - one.net_bps
    verdict = "over" if short <= 0 else f"{short:z.2f} short of"
    yield f"    net      {one.net_bps:z9.2f}  {verdict} the {one.enter_bps:z.2f} to enter"
    yield f"    size     {one.size_quote or 0.0:z9,.0f}  at least {one.size_quote_min:z,.0f}"
    if one.z_min is not None and one.verdict in ("signal", "no_z"):
        yield from _z(one, one.z_min)
    ages = [age / NS_PER_MS for age in (one.spot_age_ns, one.fut_age_ns, one.skew_ns)]
    spot, futures, skew = (f"{age:z,.1f} ms" for age in ages)
    yield f"    ages     spot {spot}, futures {futures}, skew {skew}"
    for note in one.notes:
        letter, meaning = legends.NOTES[note]
        yield f"    note {letter}   {meaning}"
    for leg, flags in (("spot", one.spot_flags), ("fut", one.fut_flags)):
        said = [*flags, "alone among the sources of its coin"] if leg in one.alone else flags
        if said:
            yield f"    {leg} is {', '.join(_FLAGS.get(one, one) for one in said)}"
