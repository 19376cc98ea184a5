"""Every connection of the feeds at a glance: what `spread-ctl connections` shows.

Reads the connections' rows twice, a moment apart, so that counters become rates. A feed that does
not run has no connections; one that keeps more than there are rows for says so by its own count.
"""

from typing import NamedTuple

from spread_scanner import clock
from spread_scanner.schema.enums import SOURCES, Source
from spread_scanner.shm.connections import ConnectionHealth, Connections


class ConnectionView(NamedTuple):
    """One connection. `reconnects` are those since the feed began to keep this one."""

    source: str
    number: int
    state: str
    symbols: int
    open_s: float | None
    heard_ms: float | None  # since its last frame, as the feed's last check saw it
    messages_per_s: float
    messages: int
    quotes: int
    skips: int
    reconnects: int
    last_end: str
    exchange_to_recv_p50_ms: float
    exchange_to_recv_p99_ms: float
    recv_to_cell_p50_us: float
    recv_to_cell_p99_us: float
    counters: dict[str, int]


def look(namespace: str, interval_s: float, source: Source | None) -> list[ConnectionView]:
    """The connections of one source or of all, in order; waits for `interval_s` between looks."""
    sources = SOURCES if source is None else (source,)
    with Connections.attach(namespace) as rows:
        before = {
            (one.label, row.number): row for one in sources for row in rows.read(one.source_id)
        }
        began_s = clock.awake_s()
        clock.sleep(interval_s)
        now = [(one.label, row) for one in sources for row in rows.read(one.source_id)]
        elapsed_s = clock.awake_s() - began_s
    return [_view(label, row, before.get((label, row.number)), elapsed_s) for label, row in now]


def _view(
    label: str, row: ConnectionHealth, before: ConnectionHealth | None, elapsed_s: float
) -> ConnectionView:
    counters = row.counters
    same = before is not None and before.since_wall_ns == row.since_wall_ns
    messages_before = before.counters["messages"] if before is not None and same else 0
    recv, cell = row.latencies["exchange_to_recv"], row.latencies["recv_to_cell"]
    return ConnectionView(
        source=label,
        number=row.number,
        state=row.state.name.lower(),
        symbols=row.symbols,
        open_s=None if row.open_ns is None else row.open_ns / 1e9,
        heard_ms=None if row.heard_age_ns is None else row.heard_age_ns / 1e6,
        messages_per_s=(counters["messages"] - messages_before) / elapsed_s,
        messages=counters["messages"],
        quotes=counters["quotes"],
        skips=sum(count for name, count in counters.items() if name.startswith("skip_")),
        reconnects=max(counters["connects"] - 1, 0),
        last_end=row.last_end,
        exchange_to_recv_p50_ms=recv.percentiles_ns[0] / 1e6,
        exchange_to_recv_p99_ms=recv.percentiles_ns[2] / 1e6,
        recv_to_cell_p50_us=cell.percentiles_ns[0] / 1e3,
        recv_to_cell_p99_us=cell.percentiles_ns[2] / 1e3,
        counters=counters,
    )


WIDE_COLUMNS = 150

# Title, field, and whether it is shown on a narrow terminal too.
_COLUMNS = (
    ("source", "source", True),
    ("#>", "number", True),
    ("state", "state", True),
    ("symbols>", "symbols", True),
    ("open s>", "open_s", False),
    ("heard ms>", "heard_ms", False),
    ("msg/s>", "messages_per_s", True),
    ("quotes>", "quotes", True),
    ("skips>", "skips", True),
    ("reconnects>", "reconnects", True),
    ("exchange p50>", "exchange_to_recv_p50_ms", False),
    ("p99 ms>", "exchange_to_recv_p99_ms", False),
    ("cell p50>", "recv_to_cell_p50_us", False),
    ("p99 us>", "recv_to_cell_p99_us", True),
    ("last end", "last_end", False),
)


def columns_and_rows(
    views: list[ConnectionView], width: int
) -> tuple[list[str], list[list[object]]]:
    """For a table that fits a width."""
    kept = [column for column in _COLUMNS if column[2] or width >= WIDE_COLUMNS]
    rows = [[_shown(getattr(view, field)) for _, field, _ in kept] for view in views]
    return [title for title, _, _ in kept], rows


def _shown(value: object) -> object:
    return None if value == "" else value
