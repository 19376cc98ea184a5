"""Every connection of the feeds at a glance, to exchanges and to providers of pools: what
`spread-ctl connections` shows.

Reads the connections' rows twice, a moment apart, so that counters become rates. A feed that does
not run has no connections; one that keeps more than there are rows for says so by its own count.
"""

from collections.abc import Sequence

from spread_scanner import clock
from spread_scanner.schema.enums import SOURCES, Source
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.shm.connections import ConnectionHealth, Connections
from spread_scanner.view.reading import Reading, known

PROVIDERS = FEED_SOLANA.removeprefix("feed-")


class ConnectionView(Reading, frozen=True):
    """One connection. `reconnects` are those since the feed began to keep this one."""

    source: str  # of a provider, from which all sources that are pools are heard: solana
    number: int
    provider: str  # its name in pools.toml; empty: an exchange's
    url: str  # where a provider is dialled, its key masked
    carries: str  # quotes, books, accounts, or notices: what the exchange announces
    state: str
    symbols: int  # of a provider: accounts
    open_s: float | None
    heard_ms: float | None  # since its last frame, as the feed's last check saw it
    messages_per_s: float
    messages: int
    quotes: int  # of a provider: accounts that it told
    skips: int
    reconnects: int
    last_end: str
    ban_left_s: float | None  # nobody dials there for so long
    ban_status: int | None  # what whoever dialled there was answered, of any process
    exchange_to_recv_p50_ms: float | None
    exchange_to_recv_p99_ms: float | None
    recv_to_cell_p50_us: float | None
    recv_to_cell_p99_us: float | None
    counters: dict[str, int]


class ConnectionRates:
    """The connections of one source or of all, whose rates are of the time since it was made. A
    source that is pools has all that pools are heard from."""

    def __init__(self, connections: Connections, source: Source | None) -> None:
        self._connections = connections
        self._asked = SOURCES if source is None else (source,)
        self._before = {(label, row.number): row for label, row in self._rows()}
        self._began_s = clock.awake_s()

    def look(self) -> list[ConnectionView]:
        """As they stand now, in order, those to providers last."""
        elapsed_s = clock.awake_s() - self._began_s
        return [
            _view(label, row, self._before.get((label, row.number)), elapsed_s)
            for label, row in self._rows()
        ]

    def _rows(self) -> list[tuple[str, ConnectionHealth]]:
        return _rows(self._connections, self._asked)


def look(namespace: str, interval_s: float, source: Source | None) -> list[ConnectionView]:
    """The same; waits for `interval_s` between looks. Raises NoSegment."""
    with Connections.attach(namespace) as connections:
        rates = ConnectionRates(connections, source)
        clock.sleep(interval_s)
        return rates.look()


def _rows(rows: Connections, asked: Sequence[Source]) -> list[tuple[str, ConnectionHealth]]:
    """Each with the label of its source."""
    exchanges = (one for one in asked if one.source_id < rows.layout.num_sources)
    found = [(one.label, row) for one in exchanges for row in rows.read(one.source_id)]
    if any(one.exchange.by_pools for one in asked):
        found += [(PROVIDERS, row) for row in rows.read_providers()]
    return found


def _view(
    label: str, row: ConnectionHealth, before: ConnectionHealth | None, elapsed_s: float
) -> ConnectionView:
    counters = row.counters
    same = before is not None and before.since_wall_ns == row.since_wall_ns
    messages_before = before.counters["messages"] if before is not None and same else 0
    return ConnectionView(
        source=label,
        number=row.number,
        provider=row.provider,
        url=row.url,
        carries=row.carries.name.lower(),
        state=row.state.name.lower(),
        symbols=row.symbols,
        open_s=None if row.open_ns is None else row.open_ns / 1e9,
        heard_ms=None if row.heard_age_ns is None else row.heard_age_ns / 1e6,
        messages_per_s=(counters["messages"] - messages_before) / elapsed_s,
        messages=counters["messages"],
        quotes=counters["accounts" if row.provider else "quotes"],
        skips=sum(count for name, count in counters.items() if name.startswith("skip_")),
        reconnects=max(counters["connects"] - 1, 0),
        last_end=row.last_end,
        ban_left_s=row.ban_left_ns / 1e9 if row.ban_left_ns else None,
        ban_status=row.ban_status or None,
        exchange_to_recv_p50_ms=_percentile(row, "exchange_to_recv", 0, 1e6),
        exchange_to_recv_p99_ms=_percentile(row, "exchange_to_recv", 2, 1e6),
        recv_to_cell_p50_us=_percentile(row, "recv_to_cell", 0, 1e3),
        recv_to_cell_p99_us=_percentile(row, "recv_to_cell", 2, 1e3),
        counters=counters,
    )


def _percentile(row: ConnectionHealth, label: str, number: int, unit_ns: float) -> float | None:
    """None: nothing was timed, as of a provider, whose accounts make no pool each."""
    timed = row.latencies.get(label)
    return None if timed is None else known(timed.percentiles_ns[number] / unit_ns)
