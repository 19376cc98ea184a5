"""`spread-ctl watch`: all spreads live on the whole screen.

Keys: n g s d a sort by net, gross, symbol, direction, age (again: the other way); / filters by
symbol or direction; u shows unusable pairs too; p or space pauses; q ends. The line at the bottom
draws the selected pair's net spread over the last minutes.
"""

from collections import deque
from typing import ClassVar

import numpy as np
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Footer, Input, Sparkline, Static

from spread_scanner.config import Settings
from spread_scanner.errors import TableError
from spread_scanner.schema.enums import DIRECTIONS
from spread_scanner.shm import PriceStore
from spread_scanner.symbology import publish, tables
from spread_scanner.symbology.tables import Tables
from spread_scanner.view.spreads import SpreadBoard

REFRESH_S = 0.5
TABLES_EVERY = 20  # refreshes
HISTORY = 240
ROWS_MAX = 100
COLUMNS = {
    "symbol": 14,
    "direction": 16,
    "net bps": 9,
    "gross bps": 9,
    "exit bps": 9,
    "enter": 6,
    "size": 12,
    "age ms": 9,
    "": 5,
}

_PairKey = tuple[int, int]  # (direction id, symbol id)


class WatchScreen(App[None]):
    """The screen; `run` until q."""

    CSS = """
    #summary { height: 1; padding: 0 1; background: $panel; }
    #filter { display: none; height: 3; }
    #filter.shown { display: block; }
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
        Binding("slash", "search", "Filter"),
        Binding("escape", "clear", "Clear", show=False),
        Binding("u", "unusable", "Unusable too"),
        Binding("p,space", "pause", "Pause"),
    ]

    def __init__(
        self, settings: Settings, loaded: Tables, store: PriceStore, wanted: str = ""
    ) -> None:
        super().__init__()
        self._settings = settings
        self._store = store
        self._board = SpreadBoard(settings, loaded, store)
        self._wanted = wanted
        self._sort = "net_bps"
        self._descending = True
        self._paused = False
        self._all = False
        self._refreshes = 0
        self._shown: list[_PairKey] = []
        self._drawn: list[list[Text]] = []
        self._chosen: _PairKey | None = None
        self._history: dict[_PairKey, deque[float]] = {}
        self._rows = self._board.rows()

    def compose(self) -> ComposeResult:
        yield Static(id="summary")
        yield Input(self._wanted, placeholder="symbol or direction", id="filter")
        yield DataTable(cursor_type="row", zebra_stripes=True, id="board")
        with Horizontal(id="history"):
            yield Static(id="chosen")
            yield Sparkline([], id="spark")
        yield Footer()

    def on_mount(self) -> None:
        self.title = "spread-ctl watch"
        table = self._table()
        for column, width in COLUMNS.items():
            table.add_column(column, key=column, width=width)
        table.focus()
        self._tick()
        self.set_interval(REFRESH_S, self._tick)

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
        """The cursor chooses a pair, and the pair stays chosen wherever it moves to."""
        if 0 <= event.cursor_row < len(self._shown):
            self._chosen = self._shown[event.cursor_row]
            self._draw()

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
            self._take_new_tables()
        self._rows = self._board.rows()
        for row in self._rows[self._rows["usable"]]:
            pair = (int(row["direction_id"]), int(row["symbol_id"]))
            self._history.setdefault(pair, deque(maxlen=HISTORY)).append(float(row["net_bps"]))
        self._draw()

    def _take_new_tables(self) -> None:
        folder = self._settings.generated_dir
        if publish.generation_in_force(folder) == self._board.generation:
            return
        try:
            loaded = tables.load(folder)
        except TableError:
            return  # being replaced, or damaged: what we have stays on the screen
        self._board = SpreadBoard(self._settings, loaded, self._store)
        self._history.clear()

    def _chosen_rows(self) -> np.ndarray:
        """Filtered and sorted."""
        rows = self._rows
        if not self._all:
            rows = rows[rows["usable"]]
        wanted = self._wanted.strip().upper()
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
        if self._sort == "age":
            ages: np.ndarray = np.maximum(rows["spot_age_ms"], rows["fut_age_ms"])
            return ages
        keys: np.ndarray = rows[self._sort]
        # Absent numbers stay at the end, whichever way it is sorted.
        low = -np.inf if self._descending else np.inf
        return np.where(np.isnan(keys), low, keys) if keys.dtype.kind == "f" else keys

    def _draw(self) -> None:
        """Rows are places: their cells change, the cursor and the scroll position stay."""
        rows = self._chosen_rows()
        self._draw_summary(rows)
        table = self._table()
        shown = rows[:ROWS_MAX]
        self._shown = [(int(row["direction_id"]), int(row["symbol_id"])) for row in shown]
        for _ in range(len(self._drawn), len(shown)):
            table.add_row(*[""] * len(COLUMNS))
            self._drawn.append([Text("")] * len(COLUMNS))
        while len(self._drawn) > len(shown):
            table.remove_row(table.coordinate_to_cell_key(Coordinate(len(self._drawn) - 1, 0))[0])
            self._drawn.pop()
        for number, row in enumerate(shown):
            cells = self._cells(row)
            for column, cell in enumerate(cells):
                if cell != self._drawn[number][column]:
                    table.update_cell_at(Coordinate(number, column), cell)
            self._drawn[number] = cells
        if self._chosen is None and self._shown:
            self._chosen = self._shown[0]
        self._draw_chosen()

    def _cells(self, row: np.void) -> list[Text]:
        pair = (int(row["direction_id"]), int(row["symbol_id"]))
        style = "dim" if not row["usable"] else ""
        if row["usable"] and row["net_bps"] >= row["enter_bps"]:
            style = "bold green"
        age_ms = max(row["spot_age_ms"], row["fut_age_ms"])
        texts = [
            self._board.symbols.get(int(row["symbol_id"]), "?"),
            DIRECTIONS[int(row["direction_id"])].label,
            f"{row['net_bps']:9.2f}",
            f"{row['gross_bps']:9.2f}",
            f"{row['exit_bps']:9.2f}",
            f"{row['enter_bps']:6.1f}",
            f"{row['size_quote']:12,.0f}",
            f"{age_ms:9,.0f}" if age_ms < 1e9 else "never",
            "◀" if pair == self._chosen else "" if row["usable"] else "stale",
        ]
        return [Text(text, style=style) for text in texts]

    def _draw_summary(self, rows: np.ndarray) -> None:
        usable = int(self._rows["usable"].sum())
        over = int(
            (self._rows["usable"] & (self._rows["net_bps"] >= self._rows["enter_bps"])).sum()
        )
        way = "down" if self._descending else "up"
        parts = [
            f"{len(self._rows):,} pairs, {usable:,} usable, [bold green]{over}[/] over threshold",
            f"shown {min(len(rows), ROWS_MAX)} of {len(rows):,}",
            f"by {self._sort.removesuffix('_bps').removesuffix('_id')} {way}",
        ]
        if self._wanted:
            parts.append(f"filter [cyan]{self._wanted}[/]")
        if self._paused:
            parts.append("[black on yellow] PAUSED [/]")
        self.query_one("#summary", Static).update("   ".join(parts))

    def _draw_chosen(self) -> None:
        chosen = self.query_one("#chosen", Static)
        spark = self.query_one("#spark", Sparkline)
        history = list(self._history.get(self._chosen, ())) if self._chosen is not None else []
        if self._chosen is None or not history:
            chosen.update("")
            spark.data = []
            return
        direction, symbol_id = DIRECTIONS[self._chosen[0]], self._chosen[1]
        seconds = len(history) * REFRESH_S
        chosen.update(
            f"[bold]{self._board.symbols.get(symbol_id, '?')}[/]  {direction.label}\n"
            f"net now {history[-1]:.2f} bps\n"
            f"last {seconds:.0f} s: {min(history):.2f} to {max(history):.2f}"
        )
        low = min(history)
        spark.data = [value - low for value in history]
