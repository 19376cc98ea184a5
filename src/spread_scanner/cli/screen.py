"""The live screen of `spread-ctl up` and `demo`: processes, top spreads, opportunities, events.

Drawn by the supervisor's own loop (no refresh thread: children die with the thread that started
them), on the terminal's second page, so that the first one is as it was afterwards.
"""

from typing import Self

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from spread_scanner import clock
from spread_scanner.cli.console import grid, how_called, people
from spread_scanner.clock import NS_PER_S
from spread_scanner.schema.figures import ago
from spread_scanner.schema.names import ONE_SHOT, TRACKER
from spread_scanner.supervise.observer import Observer
from spread_scanner.supervise.supervisor import Supervisor
from spread_scanner.view.opportunities import OpportunityRow
from spread_scanner.view.processes import ProcessView
from spread_scanner.view.spreads import shares_learned, spread_of, top

DRAW_EVERY_S = 0.25
TALL_ROWS = 36  # fewer: the processes in one line
WIDE_COLUMNS = 144  # fewer: spreads above opportunities
STATE_STYLES = {
    "running": "green",
    "paused": "yellow",
    "degraded": "yellow",
    "starting": "cyan",
    "stopping": "cyan",
    "dead": "bold red",
    "failed": "bold red",
    "absent": "dim",
    "stopped": "dim",
    "waiting": "dim",
    "done": "dim",
}
BORDER = 6  # of a panel's head: corners, lines and blanks
NEWS_S = 60.0  # for so long what happened to a process is shown
# A panel's name, and what its columns mean.
PROCESSES = "processes: p50, p99 from reading a frame to quote, signal or tracker"
SPREADS = "top spreads, bps: gross, net of closing, fees and carry, enter: your threshold"
EVENTS = "opportunities: entry and peak net in bps, lived from the first signal to its end"

SHOWN_RATES = {"messages": "msg", "evaluations": "eval", "signals": "sig", "samples": "smp"}


class Screen:
    """`with Screen(...) as screen: screen.draw(...)` as often as the loop turns."""

    def __init__(self, supervisor: Supervisor, heading: str) -> None:
        self._supervisor = supervisor
        self._heading = heading
        self._started_s = clock.mono_s()
        self._drawn_s = 0.0
        self._live = Live(console=people(), screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def draw(self, observer: Observer | None, note: str = "", *, at_once: bool = False) -> None:
        """Bring the screen up to date, at most every DRAW_EVERY_S but for what is said once."""
        if not at_once and clock.mono_s() - self._drawn_s < DRAW_EVERY_S:
            return
        self._drawn_s = clock.mono_s()
        self._live.update(self._page(observer, note), refresh=True)

    def _page(self, observer: Observer | None, note: str) -> RenderableType:
        size = self._live.console.size
        views = observer.views() if observer is not None else []
        header = self._header(observer, note)
        above: list[Layout] = [Layout(Group(*header), size=len(header))]
        if size.height >= TALL_ROWS:
            table = processes_table(views, size.width - 4)
            above.append(Layout(_panel(table, PROCESSES, size.width), size=16))
        else:
            above.append(Layout(_brief(views), size=1))
        room = size.height - sum(part.size or 0 for part in above)
        side_by_side = size.width >= WIDE_COLUMNS
        rows = max((room if side_by_side else room // 2) - 3, 1)
        width = size.width * 5 // 11 if side_by_side else size.width
        spreads = _panel(_spreads(observer, rows), SPREADS, width)
        events = _panel(_happenings(observer, self._supervisor, rows), EVENTS, width)
        lower = Layout()
        if side_by_side:
            lower.split_row(Layout(spreads, ratio=5), Layout(events, ratio=6))
        else:
            lower.split_column(Layout(spreads), Layout(events))
        page = Layout()
        page.split_column(*above, lower)
        return page

    def _header(self, observer: Observer | None, note: str) -> list[Text]:
        """Lines that fit the width."""
        up_s = int(clock.mono_s() - self._started_s)
        parts = [
            f"spread-scanner  {self._heading}",
            f"up {up_s // 60}:{up_s % 60:02d}",
        ]
        if observer is not None and observer.board is not None:
            parts.append(f"{observer.board.pairs:,} pairs, {len(observer.board.symbols):,} symbols")
        if observer is not None:
            tracker = observer.status.counters(TRACKER)
            opened, is_open = tracker.get("opened", 0), tracker.get("open", 0)
            parts.append(f"opportunities: {opened:,} opened, {is_open:,} open")
        lines = [Text(parts[0], style="bold")]
        for part in map(Text, parts[1:]):
            if lines[-1].cell_len + 3 + part.cell_len > self._live.console.width:
                lines.append(Text())
            lines[-1] = Text("   ").join([lines[-1], part]) if lines[-1] else part
        namespace = self._supervisor.namespace
        hints = [note, f"elsewhere: {how_called()} --namespace {namespace} watch"]
        if sum(map(len, hints)) + 3 <= self._live.console.width:
            hints = ["   ".join(hints)]
        lines += [Text(hint, style="dim") for hint in hints]
        return lines


def _panel(inside: RenderableType, title: str, width: int) -> Panel:
    """What the columns mean stands at the foot where the head has no room for it."""
    meaning = ""
    if len(title) + BORDER > width:
        title, _, meaning = title.partition(": ")
    return Panel(
        inside, title=title, title_align="left", subtitle=meaning or None, subtitle_align="left"
    )


def _brief(views: list[ProcessView]) -> Text:
    """All processes in one line, where there is no room for the table."""
    stay = [view for view in views if view.process not in ONE_SHOT]
    unwell = [view for view in stay if not view.healthy and not view.starting]
    messages = sum(view.rates_per_s.get("messages", 0.0) for view in stay)
    running = [view for view in stay if view.alive and view.state != "starting"]
    text = Text(f"{len(running)} of {len(stay)} processes run, {messages:z,.0f} msg/s")
    if unwell:
        text.append("   unwell: " + ", ".join(view.process for view in unwell), style="bold red")
    return text


# The process table's columns: title, width, and how soon it gives way on a narrow terminal.
_COLUMNS = (
    ("process", 20, 0),
    ("state", 8, 0),
    ("heartbeat>", 9, 1),
    ("rates", 26, 3),
    ("good>", 7, 1),
    ("drops>", 5, 1),
    ("skips>", 6, 4),
    ("p50 us>", 7, 2),
    ("p99 us>", 8, 1),
    ("starts>", 6, 4),
    ("tables>", 6, 4),
)


def processes_table(views: list[ProcessView], width: int) -> Table:
    """A line per process; the screen and `spread-ctl status` share it. Fits a width."""
    level = 4
    while level and _width(level) > width:
        level -= 1
    kept = [number for number, column in enumerate(_COLUMNS) if column[2] <= level]
    note_width = width - _width(level) - 2
    titles = [_COLUMNS[number][0] for number in kept]
    table = grid("", [*titles, "note"] if note_width >= 10 else titles, [])
    for view in views:
        cells = _process_cells(view)
        row: list[str | Text] = [cells[number] for number in kept]
        if note_width >= 10:
            row.append(Text(_cut(view.message, note_width), style="dim"))
        table.add_row(*row)
    return table


def _cut(message: str, width: int) -> str:
    """What does not fit ends with a mark."""
    return message if len(message) <= width else f"{message[: width - 1]}…"


def _width(level: int) -> int:
    return sum(width + 2 for _, width, gives_way in _COLUMNS if gives_way <= level)


def _process_cells(view: ProcessView) -> list[str | Text]:
    age = view.heartbeat_age_ms
    idle = view.state in ("stopped", "absent", "waiting")
    rates = [
        f"{view.rates_per_s[label]:z,.0f} {short}/s"
        for label, short in SHOWN_RATES.items()
        if label in view.rates_per_s
    ]
    return [
        view.process,
        Text(view.state, style=STATE_STYLES.get(view.state, "")),
        "-"
        if age is None or idle
        else ago(age / 1e3)
        if view.state == "done"
        else f"{age:z,.0f} ms",
        "  ".join(rates),
        _good(view),
        f"{view.drops:,}",
        f"{view.skips:,}",
        "-" if view.p50_us is None else f"{view.p50_us:z,.1f}",
        "-" if view.p99_us is None else f"{view.p99_us:z,.1f}",
        str(view.starts),
        str(view.generation or "-"),
    ]


def _good(view: ProcessView) -> str | Text:
    """How many of a feed's symbols are good now; few are worth a look."""
    if view.good_symbols is None or not view.symbols:
        return "-"
    shown = f"{view.good_symbols:,}/{view.symbols:,}"
    return Text(shown, style="yellow") if view.good_symbols < view.symbols / 2 else shown


def _spreads(observer: Observer | None, room: int) -> RenderableType:
    if observer is None or observer.board is None:
        return Text("waiting for pairs", style="dim")
    board = observer.board
    columns = ["symbol", "direction", "net>", "gross>", "enter>", "size>", "age ms>"]
    table = grid("", columns, [])
    rows = board.rows()
    if (learned := shares_learned(rows)) < 1:
        table.caption = f"learning what leaving earns: {learned:z.0%}; no signal before"
    for record in top(rows, room):
        row = spread_of(record, board.symbols)
        over = record["net_bps"] >= record["enter_bps"]
        table.add_row(
            row.symbol,
            row.direction,
            f"{record['net_bps']:z.1f}",
            f"{record['gross_bps']:z.1f}",
            f"{record['enter_bps']:z.0f}",
            f"{record['size_quote']:z,.0f}",
            f"{max(record['spot_age_ms'], record['fut_age_ms']):z,.0f}",
            style=("bold green" if record["learned"] >= 1 else "yellow") if over else "",
        )
    return table


def _happenings(observer: Observer | None, supervisor: Supervisor, room: int) -> RenderableType:
    """Opportunities as they open and close; under them what happened to processes lately."""
    since_ns = clock.mono_ns() - int(NEWS_S * NS_PER_S)
    events = [event for event in supervisor.events if event.mono_ns >= since_ns][-3:]
    rows = observer.last_opportunities(max(room - len(events), 1)) if observer is not None else []
    table = grid("", ["", "symbol", "direction", "entry>", "peak>", "lived>", "why closed"], [])
    now_ns = observer.session_now_ns() if observer is not None else 0
    for row in rows:
        table.add_row(*_opportunity_cells(row, now_ns), style="" if row.closed_ns else "bold green")
    notes = [Text(f"{event.process} {event.text}", style="yellow") for event in events]
    if not rows and not notes:
        return Text("none yet", style="dim")
    return Group(table, *notes)


def _opportunity_cells(row: OpportunityRow, now_ns: int) -> list[str]:
    lived_s = ((row.closed_ns or now_ns) - row.opened_ns) / NS_PER_S
    return [
        "closed" if row.closed_ns else "OPEN",
        row.symbol,
        row.direction,
        f"{row.entry_net_bps:z.1f}",
        f"{row.peak_net_bps:z.1f}",
        f"{lived_s:z.1f} s",
        row.reason or "",
    ]
