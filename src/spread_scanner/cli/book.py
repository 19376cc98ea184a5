"""How `spread-ctl book` shows the order books of a symbol: of each source, or of all as one.

On a terminal the books are drawn anew until Ctrl-C; a pipe and --json get them once, when those
that were asked for have come or the time to wait is over. Looking asks the feeds to follow them.
"""

import contextlib
import math
from collections.abc import Iterator
from itertools import compress

from msgspec.structs import replace
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from spread_scanner import clock
from spread_scanner.cli import legends
from spread_scanner.cli.console import grid, legend
from spread_scanner.schema.figures import plain
from spread_scanner.view.books import (
    BooksInForce,
    Consolidated,
    SharedLevel,
    ShownBook,
    SymbolBooks,
)

DRAW_S = 0.25
FEES_WIDTH = 96  # room for prices as they are and with fees
GAP = 3  # columns between two books that stand side by side


def draw(view: BooksInForce) -> None:
    console = Console(highlight=False, markup=False)
    with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
        while not view.retired:
            live.update(fitted(view.look(), console), refresh=True)
            clock.sleep(DRAW_S)
    if view.retired:
        console.print("The system has ended.", style="yellow")
    legend(console, legends.BOOKS)


def fitted(now: SymbolBooks, console: Console) -> RenderableType:
    """All books at once, as far as the terminal has room: side by side, and of each side so many
    levels as all have room for, one at least."""
    levels = max((len(side) for one in now.books for side in (one.bids, one.asks)), default=0)
    if now.consolidated is not None:
        levels = max(len(now.consolidated.bids), len(now.consolidated.asks))
    while True:
        page, stacked = _page(now, console)
        over = len(console.render_lines(page, pad=False)) - (console.height - 1)
        if over <= 0 or levels <= 1:
            return page
        levels = max(1, levels - math.ceil(over / stacked))
        now = _cut(now, levels)


def _page(now: SymbolBooks, console: Console) -> tuple[RenderableType, int]:
    """What there is of it, and how many books stand one below the other."""
    heading, *parts = tables_of(now, console.width)
    tables = [part for part in parts if isinstance(part, Table)]
    said = [part for part in parts if isinstance(part, Text)]
    widest = max((console.measure(table).maximum for table in tables), default=1)
    abreast = max(1, min((console.width + GAP) // (widest + GAP), len(tables)))
    page = Table.grid(*[""] * abreast, padding=(0, GAP, 0, 0), pad_edge=False)
    for first in range(0, len(tables), abreast):
        page.add_row(*tables[first : first + abreast])
    return Group(heading, page, *said), max(1, math.ceil(len(tables) / abreast))


def _cut(now: SymbolBooks, levels: int) -> SymbolBooks:
    """The same with fewer levels."""
    books = [replace(one, bids=one.bids[:levels], asks=one.asks[:levels]) for one in now.books]
    shared = now.consolidated
    if shared is not None:
        shared = replace(shared, bids=shared.bids[:levels], asks=shared.asks[:levels])
    return replace(now, books=books, consolidated=shared)


def tables_of(now: SymbolBooks, width: int) -> Iterator[Table | Text]:
    """What a person sees: of what it is, and a table for each book, or one of all."""
    yield Text(now.symbol, style="bold")
    if now.consolidated is not None:
        yield _shared(now.consolidated, width)
    else:
        yield from map(_of_source, now.books)
    for label in now.missing:
        yield Text(f"{label}: no book yet", style="yellow")
    if now.consolidated is not None:
        for one in now.books:
            if not one.usable:
                yield Text(f"{one.source}: left out, {_why_not(one)}", style="yellow")


def _of_source(one: ShownBook) -> Table:
    age = "never heard" if one.age_ms is None else f"{one.age_ms:z,.0f} ms old"
    stands = "" if one.usable else f", cannot be stood behind: {_why_not(one)}"
    title = f"{one.source}, {age}{stands}"
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


def _shared(one: Consolidated, width: int) -> Table:
    """Prices as they are have no room beside those with fees on a narrow terminal."""
    fees = any(level.with_fee_px is not None for level in (*one.bids, *one.asks))
    shown = [True, True, fees, not fees or width >= FEES_WIDTH]  # source, size, with fee, price
    rows = []
    for number in range(max(len(one.bids), len(one.asks))):
        bid, ask = _cells(one.bids, number, shown), _cells(one.asks, number, shown)
        rows.append([*bid, *ask[::-1]])
    bids = list(compress(("source", "size>", "less fee>", "bid>"), shown))
    asks = list(compress(("source", "size>", "with fee>", "ask>"), shown))
    return grid("all sources", [*bids, *asks[::-1]], rows)


def _cells(side: list[SharedLevel], number: int, shown: list[bool]) -> list[str]:
    if number >= len(side):
        return [""] * sum(shown)
    level = side[number]
    with_fee = "" if level.with_fee_px is None else plain(level.with_fee_px, 9)
    more = "" if level.told_by_all else "+"
    cells = (level.source, plain(level.sz, 6) + more, with_fee, plain(level.px, 9))
    return list(compress(cells, shown))


def _why_not(one: ShownBook) -> str:
    return ", ".join(why.replace("_", " ") for why in one.why_not)
