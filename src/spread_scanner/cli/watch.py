"""`spread-ctl watch`: all spreads live on the whole screen.

Keys: n g s d a sort by net, gross, symbol, direction, age (again: the other way); / filters by
symbol or direction; u shows unusable pairs too; p or space pauses; ? explains the figures; q ends.
The line at the bottom draws the selected pair's net spread over the last minutes.
"""

import math
from collections import deque
from typing import Any, ClassVar

import numpy as np
from rich.console import JustifyMethod
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Footer, Input, Sparkline, Static

from spread_scanner.cli import legends
from spread_scanner.config import Settings
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.schema.figures import amount, grouped, plain
from spread_scanner.shm import PriceStore
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.written import symbol_as
from spread_scanner.view.basis import BasisReader
from spread_scanner.view.depth import DepthReader
from spread_scanner.view.in_force import SettingsInForce
from spread_scanner.view.notes import notes_of
from spread_scanner.view.spreads import SpreadBoard, shares_learned
from spread_scanner.view.tables import TablesInForce

REFRESH_S = 0.5
TABLES_EVERY = 20  # refreshes
HISTORY = 240
ROWS_MAX = 100
SIZE_WIDTH = 5  # beside "net" in a title
UNITS = (1e9, "B"), (1e6, "M"), (1e3, "k")
SCROLLBAR = 2  # columns that a long list has beside it
# Title and width; the widest that fits is shown.
ANALYST_COLUMNS = {"z": 6, "usable %": 8, "reverts s": 9}  # on top of the wide ones
NET_AT = "net at"  # the size of the settings, which stands in the title
DEPTH_COLUMNS = {"carries": 11, NET_AT: 9}  # where books are followed
WIDE_COLUMNS = {
    "symbol": 20,
    "direction": 15,
    "net bps": 9,
    "gross bps": 9,
    "exit bps": 9,
    "enter": 6,
    "size": 12,
    "age ms": 9,
    "": 11,
}
NARROW_COLUMNS = {
    "symbol": 15,
    "direction": 15,  # as long as there is any: raydium-binance
    "net bps": 7,
    "gross bps": 9,
    "enter": 5,
    "size": 7,
    "age ms": 6,
}


# Of those who follow books: what they carry, in place of how old the quotes are.
NARROWEST_DEPTH = {
    "symbol": 13,
    "direction": 15,
    "net bps": 7,
    "gross bps": 9,
    "enter": 5,
    "size": 7,
    "carries": 8,
}
LEFT = ("symbol", "direction", "")


def columns_for(width: int, *, analyst: bool, depth: bool = False) -> dict[str, int]:
    """The most that a terminal of so many columns has room for; what the analyst says, if there is
    one, and what order books carry, if they are followed: that before wider figures."""
    named = {name: room for name, room in WIDE_COLUMNS.items() if name}
    mark = {"": WIDE_COLUMNS[""]}
    more = [ANALYST_COLUMNS] * analyst + [DEPTH_COLUMNS] * depth
    both = [{name: room for one in more for name, room in one.items()}] if len(more) > 1 else []
    ways = [named | one | mark for one in (*both, *more[::-1])]
    if depth:
        ways += [NARROW_COLUMNS | DEPTH_COLUMNS | mark, NARROW_COLUMNS | DEPTH_COLUMNS]
    else:
        ways.append(WIDE_COLUMNS)
    for columns in ways:
        if width - SCROLLBAR >= sum(room + 2 for room in columns.values()):
            return columns
    return NARROWEST_DEPTH if depth else NARROW_COLUMNS


_PairKey = tuple[int, int]  # (direction id, symbol id)


class WatchScreen(App[None]):
    """The screen; `run` until q."""

    AUTO_FOCUS = "#board"  # not the filter, which would take the first keys

    CSS = """
    #summary { height: 1; padding: 0 1; background: $panel; }
    #filter { display: none; height: 3; }
    #filter.shown { display: block; }
    #legend { display: none; padding: 0 1; background: $panel; }
    #legend.shown { display: block; }
    #board { height: 1fr; }
    #history { height: 4; padding: 0 1; background: $panel; }
    #chosen { width: 44; }
    #spark { height: 3; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("n", "order('net_bps')", "Net"),
        Binding("g", "order('gross_bps')", "Gross"),
        Binding("s", "order('symbol')", "Symbol"),
        Binding("d", "order('direction_id')", "Direction"),
        Binding("a", "order('age')", "Age"),
        Binding("question_mark", "legend", "Legend", key_display="?"),
        Binding("slash", "search", "Filter"),
        Binding("escape", "clear", "Clear", show=False),
        Binding("u", "unusable", "Unusable too"),
        Binding("p,space", "pause", "Pause"),
    ]

    def __init__(
        self, settings: Settings, loaded: Tables, store: PriceStore, wanted: str = ""
    ) -> None:
        super().__init__()
        self._settings = SettingsInForce(settings)
        self._store = store
        self._board = SpreadBoard(settings, loaded, store)
        self._in_force = TablesInForce(settings.generated_dir, loaded)
        self._analyst = settings.config.spread_analyst.wanted
        self._basis = BasisReader(settings.config.system.namespace, store)
        self._books = settings.config.books.books_max > 0
        self._depth = self._depth_reader(settings)
        self._wanted = wanted
        self._sort = "net_bps"
        self._descending = True
        self._paused = False
        self._all = False
        self._refreshes = 0
        self._shown: list[_PairKey] = []
        self._drawn: list[list[Text]] = []
        self._chosen: _PairKey | None = None  # by a person; None: the bar stays at the top
        self._under: _PairKey | None = None  # the bar
        self._bar = 0  # the row where the bar was put; elsewhere: a person has moved it
        self._columns: dict[str, int] = {}
        self._history: dict[_PairKey, deque[float]] = {}
        self._rows = self._board.rows()
        self._carried = self._depth.look(self._rows[:0])  # of the pairs that are shown

    def compose(self) -> ComposeResult:
        yield Static(id="summary")
        yield Input(self._wanted, placeholder="symbol or direction", id="filter")
        meanings = legends.SPREADS | (legends.SPREADS_ANALYSED if self._analyst else {})
        if not self._books:
            meanings = {name: said for name, said in meanings.items() if name not in DEPTH_COLUMNS}
        yield Static(Text(legends.lines(meanings)), id="legend")
        yield DataTable(cursor_type="row", zebra_stripes=True, id="board")
        with Horizontal(id="history"):
            yield Static(id="chosen")
            yield Sparkline([], id="spark")
        yield Footer(show_command_palette=False)  # what it costs of 80 columns, a key of ours needs

    def on_mount(self) -> None:
        self.title = "spread-ctl watch"
        self._table().focus()
        self._lay_out()
        self._tick()
        self.set_interval(REFRESH_S, self._tick)

    def on_unmount(self) -> None:
        self._basis.close()
        self._depth.close()
        self._settings.close()

    def on_resize(self) -> None:
        """Another width may have room for other columns."""
        if self._columns:
            self._lay_out()
            self._draw()

    def _lay_out(self) -> None:
        columns = columns_for(self.size.width, analyst=self._analyst, depth=self._books)
        if columns == self._columns:
            return
        table = self._table()
        table.clear(columns=True)
        self._columns, self._drawn = columns, []
        for column, width in columns.items():
            side: JustifyMethod = "left" if column in LEFT else "right"
            title = f"net {self._at_size}" if column == NET_AT else column
            table.add_column(Text(title, justify=side), key=column, width=width)

    def _depth_reader(self, settings: Settings) -> DepthReader:
        return DepthReader(settings, self._store, (settings.pools.reference_quote,))

    @property
    def _at_size(self) -> str:
        """For which net is shown, as far as a title has room."""
        size_quote = float(self._depth.sizes_quote[0])
        exact = grouped(size_quote)
        if len(exact) <= SIZE_WIDTH:
            return exact
        found = ((unit, sign) for unit, sign in UNITS if size_quote >= unit)
        unit, sign = next(found, (1.0, ""))
        return plain(size_quote / unit, 3) + sign

    def _table(self) -> "DataTable[str | Text]":
        return self.query_one("#board", DataTable)

    # --- keys

    def action_order(self, name: str) -> None:
        """Sort by a column; the same key again turns it round."""
        if name == self._sort:
            self._descending = not self._descending
        else:
            self._descending = name in ("net_bps", "gross_bps", "age")
        self._sort = name
        self._draw()

    def action_search(self) -> None:
        field = self.query_one("#filter", Input)
        field.add_class("shown")
        self.call_after_refresh(field.focus)  # what is not shown yet cannot have the focus

    def action_clear(self) -> None:
        """No filter, and no pair that the bar goes with."""
        self._chosen = None
        field = self.query_one("#filter", Input)
        field.value = ""
        field.remove_class("shown")
        self._table().focus()

    def action_unusable(self) -> None:
        self._all = not self._all
        self._draw()

    def action_pause(self) -> None:
        self._paused = not self._paused
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._wanted = event.value
        self._draw()

    def on_input_submitted(self, _event: Input.Submitted) -> None:
        self.query_one("#filter", Input).remove_class("shown")
        self._table().focus()

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        """The bar chooses a pair, and goes with it wherever it moves to."""
        if event.cursor_row != self._bar:
            self._draw()

    def action_legend(self) -> None:
        """What the figures mean; the same key again takes it away."""
        self.query_one("#legend", Static).toggle_class("shown")

    # --- drawing

    def _tick(self) -> None:
        """Read the store, unless paused; the history goes on only with what is shown."""
        if not self.query("#summary"):
            return  # the last tick of an app that takes its screen down
        if self._store.retired:
            self.exit(message="The system has ended.")
            return
        if self._paused:
            return
        self._refreshes += 1
        if self._refreshes % TABLES_EVERY == 0:
            self._take_what_is_new()
        self._rows = self._board.rows()
        for row in self._rows[self._rows["usable"]]:
            pair = (int(row["direction_id"]), int(row["symbol_id"]))
            self._history.setdefault(pair, deque(maxlen=HISTORY)).append(float(row["net_bps"]))
        self._draw()

    def _take_what_is_new(self) -> None:
        """Tables, and settings that were reloaded: thresholds and costs are theirs."""
        new_tables, new_settings = self._in_force.look(), self._settings.look()
        if (new_tables or new_settings) and (loaded := self._in_force.loaded) is not None:
            self._board = SpreadBoard(self._settings.now, loaded, self._store)
            self._history.clear()
        if new_settings:
            self._depth.close()
            self._depth = self._depth_reader(self._settings.now)
            self._columns = {}
            self._lay_out()

    def _rows_wanted(self) -> np.ndarray:
        """Filtered and sorted."""
        rows = self._rows
        if not self._all:
            rows = rows[rows["usable"]]
        wanted = symbol_as(self._wanted.strip())
        if wanted:
            keep = [
                wanted in self._board.symbols.get(int(row["symbol_id"]), "").upper()
                or wanted in DIRECTIONS[int(row["direction_id"])].label.upper()
                for row in rows
            ]
            rows = rows[np.array(keep, bool)]
        order = np.argsort(self._sort_keys(rows), kind="stable")
        return rows.take(order[::-1] if self._descending else order)

    def _sort_keys(self, rows: np.ndarray) -> np.ndarray:
        if self._sort == "symbol":
            return np.array([self._board.symbols.get(int(i), "") for i in rows["symbol_id"]])
        keys: np.ndarray = _older_ms(rows) if self._sort == "age" else rows[self._sort]
        # Absent numbers stay at the end, whichever way it is sorted.
        low = -np.inf if self._descending else np.inf
        return np.where(np.isnan(keys), low, keys) if keys.dtype.kind == "f" else keys

    def _draw(self) -> None:
        """Cells change in their places; the bar goes with its pair."""
        table = self._table()
        if table.cursor_row != self._bar and 0 <= table.cursor_row < len(self._shown):
            self._chosen = self._shown[table.cursor_row]
        rows = self._rows_wanted()
        self._draw_summary(rows)
        shown = rows[:ROWS_MAX]
        self._shown = [(int(row["direction_id"]), int(row["symbol_id"])) for row in shown]
        if self._chosen is not None and self._chosen not in self._shown:
            # Gone, or beyond the last row: its neighbour.
            at = min(max(table.cursor_row, 0), len(self._shown) - 1)
            self._chosen = self._shown[at] if self._shown else None
        self._draw_rows(table, shown)
        self._bar = self._shown.index(self._chosen) if self._chosen is not None else 0
        self._under = self._shown[self._bar] if self._shown else None
        if table.cursor_row != self._bar:
            table.move_cursor(row=self._bar, animate=False)
        self._draw_pane()

    def _draw_rows(self, table: "DataTable[str | Text]", shown: np.ndarray) -> None:
        for _ in range(len(self._drawn), len(shown)):
            table.add_row(*[""] * len(self._columns))
            self._drawn.append([Text("")] * len(self._columns))
        while len(self._drawn) > len(shown):
            table.remove_row(table.coordinate_to_cell_key(Coordinate(len(self._drawn) - 1, 0))[0])
            self._drawn.pop()
        analysed = self._basis.look(shown, self._board.generation)
        carried = self._carried = self._depth.look(shown)
        for number, row in enumerate(shown):
            cells = self._cells(row, analysed[number], carried[number])
            for column, cell in enumerate(cells):
                if cell != self._drawn[number][column]:
                    table.update_cell_at(Coordinate(number, column), cell)
            self._drawn[number] = cells

    def _cells(self, row: np.void, analysed: np.void, carried: np.void) -> list[Text]:
        style = "dim" if not row["usable"] else ""
        if row["usable"] and row["net_bps"] >= row["enter_bps"]:
            style = "bold green" if row["learned"] >= 1 else "yellow"
        texts = {
            "symbol": self._board.symbols.get(int(row["symbol_id"]), "?"),
            "direction": DIRECTIONS[int(row["direction_id"])].label,
            "net bps": _bps(row["net_bps"], self._columns["net bps"]),
            "gross bps": f"{row['gross_bps']:z.2f}",
            "exit bps": f"{row['exit_bps']:z.2f}",
            "enter": f"{row['enter_bps']:z.1f}",
            "size": _money(row["size_quote"], self._columns.get("size", 0)),
            "age ms": "never" if math.isnan(age_ms := _older_ms(row)) else f"{age_ms:z,.0f}",
            "carries": _carries(carried, self._columns.get("carries", 0)),
            NET_AT: _net(carried["rungs"][0]),
            "z": _or_dash(analysed["z"], "z.1f"),
            "usable %": _or_dash(100 * analysed["usable_share"], ".0f"),
            "reverts s": _or_dash(analysed["half_life_s"], ",.0f"),
            "": _mark(row),
        }
        return [
            Text(texts[name] if name in LEFT else texts[name].rjust(width), style=style)
            for name, width in self._columns.items()
        ]

    def _draw_summary(self, rows: np.ndarray) -> None:
        usable = int(self._rows["usable"].sum())
        over = int(
            (self._rows["usable"] & (self._rows["net_bps"] >= self._rows["enter_bps"])).sum()
        )
        way = "down" if self._descending else "up"
        summary = Text("   ").join(
            [
                Text.assemble(
                    f"{len(self._rows):,} pairs, {usable:,} usable, ",
                    (f"{over}", "bold green"),
                    " over threshold",
                ),
                Text(f"shown {min(len(rows), ROWS_MAX)} of {len(rows):,}"),
                Text(f"by {self._sort.removesuffix('_bps').removesuffix('_id')} {way}"),
            ]
        )
        if self._wanted:
            summary.append("   filter ").append(self._wanted, style="cyan")
        if (learned := shares_learned(self._rows)) < 1:
            summary.append(f"   learning what leaving earns: {learned:z.0%}", style="yellow")
        if self._paused:
            summary.append("   ").append(" PAUSED ", style="black on yellow")
        self.query_one("#summary", Static).update(summary)

    def _notes(self, pair: _PairKey) -> list[str]:
        """What is not known of a pair, in few words."""
        rows, (direction_id, symbol_id) = self._rows, pair
        found = rows[(rows["direction_id"] == direction_id) & (rows["symbol_id"] == symbol_id)]
        flags: list[int] = found["flags"].tolist()
        return [legends.UNKNOWN[note] for flag in flags for note in notes_of(flag)]

    def _draw_pane(self) -> None:
        """Of the pair under the bar."""
        chosen = self.query_one("#chosen", Static)
        spark = self.query_one("#spark", Sparkline)
        pair = self._under
        history = list(self._history.get(pair, ())) if pair is not None else []
        if pair is None or not history:
            chosen.update("")
            spark.data = []
            return
        direction, symbol_id = DIRECTIONS[pair[0]], pair[1]
        seconds = len(history) * REFRESH_S
        at_size = _net(self._carried[self._bar]["rungs"][0])
        at_size = "" if at_size == "-" else f", at {self._at_size} {at_size}"
        chosen.update(
            Text.assemble(
                (self._board.symbols.get(symbol_id, "?"), "bold"),
                f"  {direction.label}\nnet now {history[-1]:z.2f} bps{at_size}\n"
                f"last {seconds:z.0f} s: {min(history):z.2f} to {max(history):z.2f}\n",
                (", ".join(self._notes(pair)), "yellow"),
            )
        )
        low = min(history)
        spark.data = [value - low for value in history]


def _bps(value: float, room: int) -> str:
    """To the hundredth, where there is room for it."""
    exact = f"{value:z.2f}"
    return exact if len(exact) <= room else f"{value:z.0f}"


def _older_ms(rows: np.ndarray | np.void) -> Any:
    """The age of the older leg of each, or of one; NaN: a leg was never quoted."""
    return np.maximum(rows["spot_age_ms"], rows["fut_age_ms"])


def _mark(row: np.void) -> str:
    """Why a pair makes no signal whatever its net; empty: it does."""
    if row["implausible"]:
        return "implausible"
    if not row["usable"]:
        return "stale"
    return "learn" if row["learned"] < 1 else ""


def _carries(carried: np.void, width: int) -> str:
    more = "+" * bool(carried["bounded"])
    return _money(carried["size_quote"], width - len(more)) + more


def _money(value: float, width: int) -> str:
    """In whole quote coins; in thousands or millions of them where there is no room."""
    whole = _or_dash(value, "z,.0f")
    return whole if len(whole) <= width else amount(value)


def _net(rung: np.void) -> str:
    return "thin" if rung["thin"] == 1.0 else _or_dash(rung["net_bps"], "z.2f")


def _or_dash(value: float, how: str) -> str:
    return "-" if math.isnan(value) else format(value, how)
