"""How `spread-ctl analysis` answers a person: a table of spreads, then one of prices."""

from collections.abc import Iterable, Iterator
from typing import Any

from spread_scanner.schema.figures import plain
from spread_scanner.view.analysis import BasisAnalysis, PairAnalysis, SymbolAnalysis

SHOWN = 1  # of the three half-lives: --json has all
WIDE = 100
NAME_LETTERS = 13  # of a direction, where there is no room for more
SIDES = ("entry", "exit")

_STATES = {
    "off": "spread-analyst is not enabled: set enabled = true in [spread-analyst].",
    "away": "spread-analyst says nothing by these tables: spread-ctl status shows why, or it has "
    "just started.",
    "ready": "",
}


def standing(now: SymbolAnalysis) -> str:
    """How much there is to go by."""
    said = _STATES.get(now.state)
    if said is None:
        said = f"warming: {now.minutes} of {now.minutes_wanted} minutes."
    return f"{now.symbol}  {said}".rstrip()


Table = tuple[list[str], list[Iterable[Any]]]


def basis(now: SymbolAnalysis, width: int) -> Table:
    """Columns and rows of the pairs: two lines each."""
    columns = ["direction", "", "now>", "mean>", "dev>", "z>", "median>", "5 %>", "95 %>"]
    wide = width >= WIDE
    more = ["reverts>", "usable>"] if wide else ["reverts>"]
    rows = _basis_rows(now, wide=wide)
    return [*columns, *more], [row[: len(columns) + len(more)] for row in rows]


def _basis_rows(now: SymbolAnalysis, *, wide: bool) -> Iterator[list[Any]]:
    for pair in now.pairs:
        names = in_two(pair.direction, wide=wide)
        for name, side, one in zip(names, SIDES, (pair.entry, pair.exit), strict=True):
            yield _basis_row(name, pair, side, one)


def in_two(direction: str, *, wide: bool) -> tuple[str, str]:
    """A name that is too long for a narrow terminal is on both of a pair's lines."""
    if wide or len(direction) <= NAME_LETTERS:
        return direction, ""
    spot, _, futures = direction.partition("-")
    return f"{spot}-", futures


def _basis_row(name: str, pair: PairAnalysis, side: str, one: BasisAnalysis) -> list[Any]:
    weighted = one.weighted[SHOWN]
    share = None if pair.usable_share is None else f"{100 * pair.usable_share:z.0f} %"
    reverts = None if one.reverts_s is None else f"{one.reverts_s / 60:z,.1f} min"
    quantiles = [one.quantiles_bps[name] for name in ("median", "q05", "q95")]
    means = [one.now_bps, weighted.mean_bps, weighted.deviation_bps, weighted.z]
    numbers = [None if value is None else f"{value:z,.1f}" for value in (*means, *quantiles)]
    return [name, side, *numbers, reverts, share]


def indicators(now: SymbolAnalysis) -> Table:
    """Columns and rows of the cells: a line for each length of bars."""
    columns = ["source", "bar", "bars>", "rsi>", "ema>", "lower>", "middle>", "upper>"]
    rows: list[Iterable[Any]] = []
    for cell in now.cells:
        for bars in cell.bars:
            shown = bars.running
            prices = (shown.ema, shown.lower, shown.middle, shown.upper)
            rows.append(
                [
                    cell.source if bars is cell.bars[0] else "",
                    f"{bars.bar_s} s" if bars.bar_s < 60 else f"{bars.bar_s // 60} min",
                    bars.bars,
                    None if shown.rsi is None else f"{shown.rsi:z.1f}",
                    *(None if price is None else plain(price, 7) for price in prices),
                ]
            )
    return columns, rows
