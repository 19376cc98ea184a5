"""Every connection of the feeds at a glance: what `spread-ctl connections` shows.

Reads the connections' rows twice, a moment apart, so that counters become rates. A feed that does
not run has no connections; one that keeps more than there are rows for says so by its own count.
"""

from spread_scanner import clock
from spread_scanner.schema.enums import SOURCES, Source
from spread_scanner.shm.connections import ConnectionHealth, Connections
from spread_scanner.view.reading import Reading, known


class ConnectionView(Reading, frozen=True):
    """One connection. `reconnects` are those since the feed began to keep this one."""

    source: str
    number: int
    carries: str  # quotes, books, or notices: what the exchange announces
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
    ban_left_s: float | None  # nobody dials there for so long
    exchange_to_recv_p50_ms: float | None
    exchange_to_recv_p99_ms: float | None
    recv_to_cell_p50_us: float | None
    recv_to_cell_p99_us: float | None
    counters: dict[str, int]


def look(namespace: str, interval_s: float, source: Source | None) -> list[ConnectionView]:
    """The connections of one source or of all, in order; waits for `interval_s` between looks."""
    with Connections.attach(namespace) as rows:
        asked = SOURCES if source is None else (source,)
        sources = [one for one in asked if one.source_id < rows.layout.num_sources]
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
        carries=row.carries.name.lower(),
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
        ban_left_s=row.ban_left_ns / 1e9 if row.ban_left_ns else None,
        exchange_to_recv_p50_ms=known(recv.percentiles_ns[0] / 1e6),
        exchange_to_recv_p99_ms=known(recv.percentiles_ns[2] / 1e6),
        recv_to_cell_p50_us=known(cell.percentiles_ns[0] / 1e3),
        recv_to_cell_p99_us=known(cell.percentiles_ns[2] / 1e3),
        counters=counters,
    )
