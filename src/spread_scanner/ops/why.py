"""`spread-ctl why SYMBOL`: what the engine decided about a pair, step by step, and what stands now.

The engine keeps its last evaluations at or over a threshold with their verdict; for a pair that was
never over one, the present spread from the price store says how far away it is.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.errors import SpreadError
from spread_scanner.ops.board import Board, board_row
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, DIRECTIONS, QuoteFlag, Verdict
from spread_scanner.shm import PriceStore
from spread_scanner.shm.evaluations import Evaluations
from spread_scanner.symbology import tables

MEANS = {
    Verdict.SIGNAL: "signalled",
    Verdict.STALE_LEG: "no signal: a leg cannot be stood behind",
    Verdict.SKEW: "no signal: the legs' quotes lie too far apart in time",
    Verdict.SIZE: "no signal: too little size at the tops",
    Verdict.COOLDOWN: "no signal: cooling down after the last exit",
    Verdict.PAUSED: "no signal: paused by the operator, or disabled in the settings",
    Verdict.QUARANTINED: "no signal: quarantined, the prices of the two listings disagree",
    Verdict.FEE: "no signal: gross stands over the threshold, net of costs does not",
    Verdict.KILLED: "no signal: the kill switch is on",
    Verdict.RING_FULL: "signal lost: the ring to the tracker was full",
    Verdict.HELD: "no new signal: signalled before, and not yet a step higher",
}


class UnknownSymbol(SpreadError):
    """A symbol that the tables do not hold."""


class Answer(NamedTuple):
    """Everything known about one symbol."""

    symbol: str
    evaluations: list[dict[str, Any]]  # the engine's, newest first
    now: list[dict[str, Any]]  # every direction of the symbol as it stands in the store
    quarantined: list[dict[str, str]]


def ask(settings: Settings, symbol: str, direction: str | None, last: int) -> Answer:
    """Look a symbol up. Raises UnknownSymbol, TableError, NoSegment."""
    loaded = tables.load(settings.generated_dir)
    symbol = symbol.upper()
    ids = {row.symbol: row.symbol_id for row in loaded.symbols}
    if symbol not in ids:
        near = sorted(name for name in ids if name.startswith(symbol.partition("-")[0]))[:5]
        raise UnknownSymbol(
            "no such symbol in the tables", symbol=symbol, near=", ".join(near) or "none"
        )
    if direction is not None and direction not in DIRECTION_BY_LABEL:
        raise UnknownSymbol(
            "no such direction", direction=direction, allowed=", ".join(DIRECTION_BY_LABEL)
        )
    wanted = None if direction is None else DIRECTION_BY_LABEL[direction].direction_id
    namespace = settings.config.system.namespace
    with PriceStore.attach(namespace) as store, Evaluations.attach(namespace) as kept:
        now_ns = store.clock.now_ns()
        rows = kept.recent(ids[symbol])
        board = Board(settings, loaded, store)
        standing = board.rows()
    standing = standing[standing["symbol_id"] == ids[symbol]]
    if wanted is not None:
        rows = rows[rows["direction_id"] == wanted]
        standing = standing[standing["direction_id"] == wanted]
    return Answer(
        symbol,
        [_evaluation(row, now_ns) for row in rows[:last]],
        [board_row(row, board.symbols) for row in standing],
        [
            {"direction": DIRECTIONS[row.direction_id].label, "reason": row.reason}
            for row in loaded.quarantine
            if row.symbol == symbol and wanted in (None, row.direction_id)
        ],
    )


def _evaluation(row: np.void, now_ns: int) -> dict[str, Any]:
    names = set(row.dtype.names or ()) - {"reserved", "symbol_id", "direction_id", "verdict"}
    verdict = Verdict(int(row["verdict"]))
    return {
        "direction": DIRECTIONS[int(row["direction_id"])].label,
        "verdict": verdict.name.lower(),
        "meaning": MEANS[verdict],
        "age_s": (now_ns - int(row["ts_engine"])) / NS_PER_S,
        **{name: row[name].item() for name in row.dtype.names or () if name in names},
        "spot_flags": _flags(int(row["spot_flags"])),
        "fut_flags": _flags(int(row["fut_flags"])),
    }


def _flags(bits: int) -> list[str]:
    return [flag.name.lower() for flag in QuoteFlag if flag and bits & flag and flag.name]


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
