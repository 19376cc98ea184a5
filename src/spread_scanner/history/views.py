"""What stands behind the names that a question may use: SQL over what is kept and what is newest.

Spreads are worked out by schema/costs.py, which SQL calls as functions.
"""

import contextlib
import functools
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from spread_scanner.config import Settings
from spread_scanner.errors import TableError
from spread_scanner.history.columns import IN_ORDER, SCHEMAS, RowStream
from spread_scanner.history.gathered import AskedFor
from spread_scanner.history.kept import HistoryKind
from spread_scanner.schema import costs
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, DIRECTIONS
from spread_scanner.schema.names import DATABASE_FILE
from spread_scanner.schema.opportunities import MIGRATIONS, read_only_uri
from spread_scanner.symbology import tables
from spread_scanner.symbology.fees import FeeOfFill, fees_by_name

TICKS = """
CREATE VIEW ticks AS
SELECT source, symbol, coalesce(ts_mark, ts_recv) AS ts, bid_px, bid_sz, ask_px, ask_sz, usable,
    ts_mark IS NOT NULL AS is_mark, ts_recv,
    make_timestamp_ns(epoch_ns(ts_event) + ts_event_ns) AS ts_event,
    flags, update_id, epoch, arrival
FROM all_ticks
"""
BOOKS = """
CREATE VIEW books AS
SELECT source, symbol, ts, bid_px, bid_sz, ask_px, ask_sz, usable, why, bid_kept, ask_kept,
    top_since, ts_recv, ts_event, flags, update_id, epoch
FROM all_books
"""
BOOK_CHANGES = "CREATE VIEW book_changes AS SELECT ts_recv AS ts, * FROM all_book_changes"
SIGNALS = "CREATE VIEW signals AS SELECT ts_engine AS ts, * FROM all_signals"
FOLLOW_UPS = "CREATE VIEW follow_ups AS SELECT ts_engine AS ts, * FROM all_follow_ups"
GAPS = "CREATE VIEW gaps AS SELECT * FROM all_gaps"
# A candle of which two parts were compacted apart is one; a hole in its source, or in the log
# itself, that meets its time is told.
CANDLES = """
CREATE VIEW candles AS
WITH parts AS (
    SELECT '1s' AS period, INTERVAL 1 SECOND AS length, * FROM all_candles_1s
    UNION ALL BY NAME
    SELECT '1m' AS period, INTERVAL 1 MINUTE AS length, * FROM all_candles_1m
), whole AS (
    SELECT period, length, source, symbol, ts, arg_min(open, first_ts) AS open,
        max(high) AS high, min(low) AS low, arg_max(close, last_ts) AS close,
        arg_max(bid_px, last_ts) AS bid_px, arg_max(ask_px, last_ts) AS ask_px,
        CAST(sum(ticks) AS BIGINT) AS ticks
    FROM parts GROUP BY period, length, source, symbol, ts
), holes AS (
    SELECT source, coalesce(ts_from, ts_to) AS ts_from, ts_to FROM all_gaps
    WHERE what IN ('ticks', 'records') AND ts_to IS NOT NULL
)
SELECT period, source, symbol, ts, open, high, low, close, bid_px, ask_px, ticks,
    EXISTS (
        SELECT 1 FROM holes
        WHERE (holes.source IS NULL OR holes.source = whole.source)
            AND holes.ts_from < whole.ts + whole.length AND holes.ts_to >= whole.ts
    ) AS hole
FROM whole
"""
# At each change of either leg what both stand at: their last quotes by then.
SPREADS = """
CREATE VIEW spreads AS
WITH legs AS (
    SELECT d.direction, d.is_spot, t.symbol, t.ts, t.arrival,
        {'bid_px': t.bid_px, 'ask_px': t.ask_px, 'bid_sz': t.bid_sz, 'ask_sz': t.ask_sz,
         'ts': t.ts, 'usable': t.usable} AS quote
    FROM ticks t JOIN direction_legs d ON t.source = d.source
), paired AS (
    SELECT direction, symbol, ts, arrival,
        last_value(CASE WHEN is_spot THEN quote END IGNORE NULLS) OVER so_far AS spot,
        last_value(CASE WHEN NOT is_spot THEN quote END IGNORE NULLS) OVER so_far AS fut
    FROM legs
    WINDOW so_far AS (PARTITION BY direction, symbol ORDER BY ts, arrival ROWS UNBOUNDED PRECEDING)
), priced AS (
    SELECT p.*, entry_bps(spot.ask_px, fut.bid_px) AS gross_bps,
        exit_bps(spot.bid_px, spot.ask_px, fut.ask_px) AS exit_bps,
        fees_bps(direction, symbol) AS fees_bps
    FROM paired p
    WHERE spot IS NOT NULL AND fut IS NOT NULL
), closed AS (
    SELECT *, close_at_parity_bps(gross_bps, exit_bps) AS close_bps FROM priced
)
SELECT symbol, direction, ts, gross_bps, net_bps(gross_bps, close_bps, fees_bps) AS net_bps,
    exit_bps, close_bps, fees_bps, spot.usable AND fut.usable AS usable,
    spot.bid_px AS spot_bid_px, spot.bid_sz AS spot_bid_sz,
    spot.ask_px AS spot_ask_px, spot.ask_sz AS spot_ask_sz,
    fut.bid_px AS fut_bid_px, fut.bid_sz AS fut_bid_sz,
    fut.ask_px AS fut_ask_px, fut.ask_sz AS fut_ask_sz,
    spot.ts AS spot_ts, fut.ts AS fut_ts, arrival
FROM closed
"""
OPPORTUNITIES = """
CREATE VIEW opportunities AS
SELECT make_timestamp_ns(opened_ns) AS opened, make_timestamp_ns(closed_ns) AS closed, *
FROM all_opportunities
"""
VIEWS = (
    *(TICKS, BOOKS, BOOK_CHANGES, SIGNALS, FOLLOW_UPS),
    *(GAPS, CANDLES, SPREADS, OPPORTUNITIES),
)
# Older files of these have fewer columns; to ask each file for its own takes time.
GROWN = frozenset({HistoryKind.FOLLOW_UPS})
# Of rows that are kept, which came last: by the order of the files, and within them.
ARRIVAL = ", CAST(file_index AS BIGINT) << 40 | file_row_number AS arrival"
ROWS_AT_ONCE = 10_000
TYPES = {"INTEGER": pa.int64(), "REAL": pa.float64(), "TEXT": pa.string()}


def _close_at_parity_bps(gross: costs.Array, exit_now: costs.Array) -> costs.Array:
    """What leaving earns when the mids meet: as it is where what is usual is not known."""
    parity = costs.parity_bps(gross, exit_now)
    return costs.close_bps(math.nan, math.nan, parity, trusted=False)


def _net_bps(gross: costs.Array, close: costs.Array, fees: costs.Array) -> costs.Array:
    """Without funding, of which the log knows nothing."""
    return costs.net_bps(gross, close, fees, np.zeros_like(gross))


FUNCTIONS: dict[str, tuple[Callable[..., Any], int]] = {
    "entry_bps": (costs.entry_bps, 2),
    "exit_bps": (costs.exit_bps, 3),
    "parity_bps": (costs.parity_bps, 2),
    "mid_px": (costs.mid_px, 2),
    "close_at_parity_bps": (_close_at_parity_bps, 2),
    "net_bps": (_net_bps, 3),
}


def _over_vectors(definition: Callable[..., Any], arguments: int) -> Callable[..., pa.Array]:
    def vectors(*given: pa.ChunkedArray) -> pa.Array:
        return pa.array(definition(*(one.to_numpy() for one in given)))

    def two(a: pa.ChunkedArray, b: pa.ChunkedArray) -> pa.Array:
        return vectors(a, b)

    def three(a: pa.ChunkedArray, b: pa.ChunkedArray, c: pa.ChunkedArray) -> pa.Array:
        return vectors(a, b, c)

    return two if arguments == 2 else three  # duckdb counts the parameters by their names


def add_functions(connection: Any, settings: Settings) -> None:
    """The definition of a spread, for SQL; fees by the settings, those of a network by the tables
    in force, which are read where a question is about fees."""
    for name, (definition, arguments) in FUNCTIONS.items():
        vectors = _over_vectors(definition, arguments)
        connection.create_function(name, vectors, ["DOUBLE"] * arguments, "DOUBLE", type="arrow")

    @functools.cache
    def in_force() -> FeeOfFill:
        try:
            return fees_by_name(settings, tables.load(settings.generated_dir))
        except TableError:
            return settings.fee_bps

    @functools.cache
    def of_pair(direction: str, symbol: str) -> float:
        way, fee_bps = DIRECTION_BY_LABEL[direction], in_force()
        return costs.fees_bps(*(fee_bps(leg, symbol) for leg in (way.spot, way.futures)))

    def fees(directions: pa.ChunkedArray, symbols: pa.ChunkedArray) -> pa.Array:
        pairs = zip(directions.to_pylist(), symbols.to_pylist(), strict=True)
        return pa.array([of_pair(*pair) for pair in pairs], pa.float64())

    connection.create_function("fees_bps", fees, ["VARCHAR"] * 2, "DOUBLE", type="arrow")


def direction_legs() -> pa.Table:
    """Which source is which leg of which direction."""
    legs = [(one.label, one.spot.label, True) for one in DIRECTIONS]
    legs += [(one.label, one.futures.label, False) for one in DIRECTIONS]
    direction, source, is_spot = zip(*legs, strict=True)
    return pa.table({"direction": direction, "source": source, "is_spot": is_spot})


def opportunities(data_dir: Path) -> RowStream:
    """The tracker's, as they stand in its database when they are asked for, some at a time; none
    where there is none. Raises sqlite3.Error."""
    path = data_dir / DATABASE_FILE
    with contextlib.closing(_opened(path)) as connection:
        named = connection.execute("SELECT name, type FROM pragma_table_info('opportunities')")
        schema = pa.schema([(name, TYPES[kind]) for name, kind in named])

    def tables() -> Iterator[pa.Table]:
        quoted = ", ".join(f'"{name}"' for name in schema.names)
        with contextlib.closing(_opened(path)) as connection:
            cursor = connection.execute(f"SELECT {quoted} FROM opportunities")
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                columns = zip(zip(*rows, strict=True), schema, strict=True)
                yield pa.table([pa.array(of, one.type) for of, one in columns], schema=schema)

    return RowStream(schema, tables)


def _opened(path: Path) -> sqlite3.Connection:
    there = path.exists()
    # Whoever answers a question reads in threads of its own, one at a time.
    connection = sqlite3.connect(
        read_only_uri(path) if there else ":memory:", uri=there, check_same_thread=False
    )
    if not there:
        connection.executescript("".join(MIGRATIONS))
    return connection


def kept_rows(kind: HistoryKind, files: list[str], wanted: AskedFor) -> str:
    """All rows of a kind: of these files, and what is newest; of what is wanted, where that is
    said."""
    rows = f"SELECT * FROM newest_{kind}"
    if files:
        how = "hive_partitioning = false" + ", union_by_name = true" * (kind in GROWN)
        arrival = ARRIVAL if kind in IN_ORDER else ""
        kept = f"SELECT *{arrival} FROM read_parquet([{_listed(files)}], {how})"
        if rules := _rules(SCHEMAS[kind].names, wanted):
            kept += f" WHERE {rules}"
        rows = f"{kept} UNION ALL BY NAME {rows}"
    if kind is HistoryKind.TICKS and wanted.last is not None:
        rows = _last_ticks(rows, wanted.last, wanted.until_ns)
    return f"CREATE VIEW all_{kind} AS {rows}"


def _last_ticks(rows: str, count: int, until_ns: int | None) -> str:
    ts = "coalesce(ts_mark, ts_recv)"
    before = "true" if until_ns is None else f"{ts} < make_timestamp_ns({until_ns})"
    of_each = f"PARTITION BY source, symbol ORDER BY {ts} DESC, arrival DESC"
    return f"SELECT * FROM ({rows}) WHERE {before} QUALIFY row_number() OVER ({of_each}) <= {count}"


def all_opportunities(wanted: AskedFor) -> str:
    """Those of what is wanted."""
    return (
        "CREATE VIEW all_opportunities AS SELECT * FROM every_opportunity "
        f"WHERE {_rules(['symbol'], wanted) or 'true'}"
    )


def _rules(columns: Sequence[str], wanted: AskedFor) -> str:
    """What its rows have to be, of a table with these columns; gaps stay, whose source is nobody's
    where all are hit."""
    allowed = {"symbol": [] if wanted.symbol is None else [wanted.symbol], "source": wanted.sources}
    return " AND ".join(
        f"{name} IN ({_listed(names)})"
        for name, names in allowed.items()
        if names and "symbol" in columns and name in columns
    )


def _listed(texts: Sequence[str]) -> str:
    return ", ".join("'" + text.replace("'", "''") + "'" for text in texts)
