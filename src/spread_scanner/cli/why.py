"""How `spread-ctl why` answers a person: a waterfall per evaluation, then the present."""

from collections.abc import Iterator
from typing import Any

from spread_scanner.clock import NS_PER_MS
from spread_scanner.schema.enums import DIRECTION_BY_LABEL
from spread_scanner.view.evaluations import Answer


def lines(answer: Answer) -> Iterator[str]:
    """The answer for people: a waterfall per evaluation, then the present."""
    for one in answer.evaluations:
        yield from _waterfall(answer.symbol, one)
    if not answer.evaluations:
        yield f"[bold]{answer.symbol}[/bold]: no evaluation over a threshold is kept."
    for kept_out in answer.quarantined:
        yield f"Quarantined in {kept_out['direction']}: {kept_out['reason']}"
    if answer.now:
        yield "\n[bold]now[/bold]"
    for row in sorted(answer.now, key=lambda row: -_or_low(row["net_bps"])):
        missing = row["enter_bps"] - row["net_bps"]
        far = "over its threshold" if missing <= 0 else f"{missing:.1f} bps short"
        if missing != missing:
            far = "no quotes yet"
        stale = "" if row["usable"] else "  [yellow](a leg cannot be stood behind)[/yellow]"
        yield (
            f"  {row['direction']:16} net {row['net_bps']:8.1f}  gross {row['gross_bps']:8.1f}  "
            f"enter {row['enter_bps']:6.1f}  {far}{stale}"
        )


def _or_low(value: float) -> float:
    return value if value == value else -1e9


def _waterfall(symbol: str, one: dict[str, Any]) -> Iterator[str]:
    direction = DIRECTION_BY_LABEL[one["direction"]]
    times = f", {one['count']} times" if one["count"] > 1 else ""
    colour = "green" if one["verdict"] == "signal" else "yellow"
    yield (
        f"[bold]{symbol}[/bold]  {one['direction']}  "
        f"[{colour}]{one['meaning']}[/{colour}]  {one['age_s']:.1f} s ago{times}"
    )
    yield f"    buy {direction.spot.label} at {one['spot_px']:.8g}, "
    yield f"    sell {direction.futures.label} at {one['fut_px']:.8g}"
    yield f"    gross    {one['gross_bps']:9.2f} bps"
    yield f"    fees     {-one['fees_bps']:9.2f}"
    yield f"    funding  {-one['funding_bps']:9.2f}"
    short = one["enter_bps"] - one["net_bps"]
    verdict = "over" if short <= 0 else f"{short:.2f} short of"
    yield f"    net      {one['net_bps']:9.2f}  {verdict} the {one['enter_bps']:.2f} to enter"
    yield f"    size     {one['size_quote']:9,.0f}  at least {one['size_quote_min']:,.0f}"
    ages = [one[name] / NS_PER_MS for name in ("spot_age_ns", "fut_age_ns", "skew_ns")]
    yield f"    ages     spot {ages[0]:,.1f} ms, futures {ages[1]:,.1f} ms, skew {ages[2]:,.1f} ms"
    for leg in ("spot", "fut"):
        if one[f"{leg}_flags"]:
            yield f"    {leg} is {', '.join(one[f'{leg}_flags'])}"
