"""How `spread-ctl book` shows the order books of a symbol: of each source, or of all as one.

On a terminal the books are drawn anew until Ctrl-C; a pipe and --json get them once, when those
that were asked for have come or the time to wait is over. Looking asks the feeds to follow them.
"""

import contextlib
from collections.abc import Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from spread_scanner import clock
from spread_scanner.cli import legends
from spread_scanner.cli.console import grid, legend
from spread_scanner.schema.figures import plain
from spread_scanner.view.books import BooksView, Consolidated, ShownBook, SymbolBooks

DRAW_S = 0.25


def draw(view: BooksView) -> None:
    console = Console(highlight=False, markup=False)
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while not view.retired:
            live.update(Group(*tables_of(view.look())), refresh=True)
            clock.sleep(DRAW_S)
    legend(console, legends.BOOKS)


def tables_of(now: SymbolBooks) -> Iterator[Table | Text]:
    """What a person sees: a table for each book, or one of all."""
    if now.consolidated is not None:
        yield _shared(now.symbol, now.consolidated)
    else:
        for one in now.books:
            yield _of_source(now.symbol, one)
    for label in now.missing:
        yield Text(f"{label}: no book yet", style="yellow")
    if now.consolidated is not None:
        for one in now.books:
            if not one.usable:
                yield Text(f"{one.source}: left out, {_why_not(one)}", style="yellow")


def _of_source(symbol: str, one: ShownBook) -> Table:
    age = "never heard" if one.age_ms is None else f"{one.age_ms:,.0f} ms old"
    stands = "" if one.usable else f", cannot be stood behind: {_why_not(one)}"
    title = f"{symbol}  {one.source}, {age}{stands}"
    rows = []
    for number in range(max(len(one.bids), len(one.asks))):
        bid = one.bids[number] if number < len(one.bids) else None
        ask = one.asks[number] if number < len(one.asks) else None
        rows.append(
            [
                plain(bid.sz, 6) if bid else "",
                plain(bid.px, 9) if bid else "",
                plain(ask.px, 9) if ask else "",
                plain(ask.sz, 6) if ask else "",
            ]
        )
    return grid(title, ["size>", "bid>", "ask>", "size>"], rows)


def _shared(symbol: str, one: Consolidated) -> Table:
    rows = []
    for number in range(max(len(one.bids), len(one.asks))):
        row: list[str] = []
        for side, turned in ((one.bids, False), (one.asks, True)):
            cells = ["", "", "", ""]
            if number < len(side):
                level = side[number]
                with_fee = "" if level.with_fee_px is None else plain(level.with_fee_px, 9)
                cells = [level.source, plain(level.sz, 6), with_fee, plain(level.px, 9)]
            row += cells[::-1] if turned else cells
        rows.append(row)
    heads = ["source", "size>", "less fee>", "bid>", "ask>", "with fee>", "size>", "source"]
    return grid(f"{symbol}  all sources", heads, rows)


def _why_not(one: ShownBook) -> str:
    return ", ".join(why.replace("_", " ") for why in one.why_not)
