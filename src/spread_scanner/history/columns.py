"""Rows of the log as Arrow columns, and back. Only the compaction and the readers import this:
pyarrow is large.

A price or time that is not there is null, never NaN. An exchange's time is whole milliseconds and,
in a column of its own that is nearly always 0, the nanoseconds beyond them.
"""

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spread_scanner.clock import NS_PER_MS
from spread_scanner.history.gathered import NamedPiece, gap_name
from spread_scanner.history.kept import HistoryKind
from spread_scanner.schema import freshness
from spread_scanner.schema.enums import DIRECTIONS, SOURCES, SignalKind
from spread_scanner.schema.log import TakenFor
from spread_scanner.schema.records import (
    FOLLOW_UP_DTYPE,
    QUOTE_DTYPE,
    RUNGS_MAX,
    SIGNAL_DTYPE,
    SIGNAL_RUNG_DTYPE,
    TS_ABSENT,
    signals_apart,
)

NAME = pa.dictionary(pa.int32(), pa.string())
TIME = pa.timestamp("ns")
PRICES = ("bid_px", "bid_sz", "ask_px", "ask_sz")
TICKS = pa.schema(
    [
        ("source", NAME),
        ("symbol", NAME),
        ("ts_recv", TIME),
        ("ts_mark", TIME),
        ("ts_event", pa.timestamp("ms")),
        ("ts_event_ns", pa.int32()),
        *((name, pa.float64()) for name in PRICES),
        ("update_id", pa.uint64()),
        ("flags", pa.uint32()),
        ("epoch", pa.uint32()),
        ("usable", pa.bool_()),
    ]
)
CANDLES = pa.schema(
    [
        ("source", NAME),
        ("symbol", NAME),
        *((name, TIME) for name in ("ts", "first_ts", "last_ts")),
        *((name, pa.float64()) for name in ("open", "high", "low", "close", "bid_px", "ask_px")),
        ("ticks", pa.uint32()),
    ]
)
_SIGNAL_TIMES = (
    "ts_engine",
    "ts_trigger",
    "spot_ts_event",
    "spot_ts_recv",
    "fut_ts_event",
    "fut_ts_recv",
)
_SIGNAL_REST = tuple(
    name
    for name in SIGNAL_DTYPE.names or ()
    if name not in (*_SIGNAL_TIMES, "symbol_id", "direction_id", "kind", "reserved", "mono_ns")
)
SIGNALS = pa.schema(
    [
        ("symbol", NAME),
        ("direction", NAME),
        ("kind", NAME),
        *((name, TIME) for name in _SIGNAL_TIMES),
        *((name, pa.from_numpy_dtype(SIGNAL_DTYPE[name])) for name in _SIGNAL_REST),
    ]
)
_FOLLOW_UP_TIMES = ("ts_engine", "spot_ts_recv", "fut_ts_recv")
_FOLLOW_UP_REST = (
    *("seq", "of_seq", "spot_update_id", "fut_update_id", "enter_bps", "close_bps", "net_bps"),
    *("size_base", "size_quote", "flags", "generation", "instance", "usual_generation"),
)
_RUNGS = pa.list_(pa.float32(), RUNGS_MAX)
FOLLOW_UPS = pa.schema(
    [
        ("symbol", NAME),
        ("direction", NAME),
        *((name, TIME) for name in _FOLLOW_UP_TIMES),
        *((name, pa.from_numpy_dtype(FOLLOW_UP_DTYPE[name])) for name in _FOLLOW_UP_REST),
        *((f"rungs_{name}", _RUNGS) for name in SIGNAL_RUNG_DTYPE.names or ()),
        ("rungs_too_thin", pa.list_(pa.bool_(), RUNGS_MAX)),
    ]
)
GAPS = pa.schema(
    [
        ("what", NAME),
        ("source", NAME),
        ("first", pa.uint64()),
        ("next", pa.uint64()),
        ("ts_from", TIME),
        ("ts_to", TIME),
    ]
)
LEVELS = pa.list_(pa.float64())  # the best first
BOOKS = pa.schema(
    [
        ("source", NAME),
        ("symbol", NAME),
        *((name, TIME) for name in ("ts", "ts_recv", "ts_event", "top_since")),
        ("why", NAME),
        *((name, LEVELS) for name in PRICES),
        ("bid_kept", pa.uint16()),
        ("ask_kept", pa.uint16()),
        ("update_id", pa.uint64()),
        ("flags", pa.uint32()),
        ("epoch", pa.uint32()),
        ("usable", pa.bool_()),
    ]
)
BOOK_CHANGES = pa.schema(
    [
        ("source", NAME),
        ("symbol", NAME),
        ("ts_recv", TIME),
        ("side", NAME),
        ("px", pa.float64()),
        ("sz", pa.float64()),
        ("update_id", pa.uint64()),
    ]
)
SCHEMAS = {
    HistoryKind.TICKS: TICKS,
    HistoryKind.BOOKS: BOOKS,
    HistoryKind.BOOK_CHANGES: BOOK_CHANGES,
    HistoryKind.CANDLES_1S: CANDLES,
    HistoryKind.CANDLES_1M: CANDLES,
    HistoryKind.SIGNALS: SIGNALS,
    HistoryKind.FOLLOW_UPS: FOLLOW_UPS,
    HistoryKind.GAPS: GAPS,
}
# Where several rows of a symbol may have one time, as they were read at once: a question sees
# beside their columns in which order they came.
IN_ORDER = frozenset({HistoryKind.TICKS, HistoryKind.BOOK_CHANGES})
ARRIVAL = pa.field("arrival", pa.int64())
OF_SOURCES = ("ticks", "book_deltas")  # gaps of one source
SOURCE_NAMES = [source.label for source in SOURCES]


class RowStream:
    """Rows that are made when they are asked for, some at a time, by each question anew."""

    def __init__(self, schema: pa.Schema, tables: Callable[[], Iterable[pa.Table]]) -> None:
        self._schema, self._tables = schema, tables

    def __arrow_c_stream__(self, requested: object = None) -> object:
        batches = (batch for table in self._tables() for batch in table.to_batches())
        return pa.RecordBatchReader.from_batches(self._schema, batches).__arrow_c_stream__(
            requested
        )


def times(values: npt.NDArray[np.int64]) -> pa.Array:
    """Times on the session clock; null where there is none."""
    return pa.array(values, pa.int64(), mask=values == TS_ABSENT).cast(TIME)


def names(codes: npt.NDArray[np.integer], of: list[str]) -> pa.Array:
    """Names by their places in a list."""
    indices = pa.array(codes.astype(np.int32))
    return pa.DictionaryArray.from_arrays(indices, pa.array(of, pa.string()))


def numbers(values: np.ndarray) -> pa.Array:
    """Null where a number is NaN."""
    return pa.array(np.ascontiguousarray(values), from_pandas=True)


def of_ticks(rows: np.ndarray, symbols: list[str]) -> pa.Table:
    """`gathered.ROW_DTYPE` as TICKS."""
    event, absent = rows["ts_event"], rows["ts_event"] == TS_ABSENT
    whole = event // NS_PER_MS
    rest = np.where(absent, 0, event - whole * NS_PER_MS).astype(np.int32)
    return pa.table(
        [
            names(rows["source_id"], SOURCE_NAMES),
            names(rows["symbol"], symbols),
            times(rows["ts_recv"]),
            times(np.where(rows["is_mark"], rows["ts"], TS_ABSENT)),
            pa.array(whole, pa.int64(), mask=absent).cast(pa.timestamp("ms")),
            pa.array(rest),
            *(numbers(rows[name]) for name in PRICES),
            *(pa.array(np.ascontiguousarray(rows[name])) for name in TICKS.names[10:]),
        ],
        schema=TICKS,
    )


def quotes_of(table: pa.Table) -> np.ndarray:
    """QUOTE_DTYPE out of TICKS."""
    rows = np.zeros(len(table), QUOTE_DTYPE)
    rows["ts_event"], rows["ts_recv"] = _event_times(table), _integers(table["ts_recv"], TS_ABSENT)
    for name in (*PRICES, "update_id", "flags", "epoch"):
        rows[name] = table[name].to_numpy()
    return rows


def _event_times(table: pa.Table) -> npt.NDArray[np.int64]:
    event = _integers(table["ts_event"], TS_ABSENT)
    stood = event != TS_ABSENT
    event[stood] = event[stood] * NS_PER_MS + table["ts_event_ns"].to_numpy()[stood]
    return event


def ticks_differ(table: pa.Table, rows: np.ndarray, symbols: list[str]) -> str:
    """The first column in which a table is not these rows, value by value; empty: none."""
    if len(table) != len(rows):
        return "number of rows"
    found = {
        "ts_recv": _integers(table["ts_recv"], TS_ABSENT),
        "ts_event": _event_times(table),
        **{name: table[name].to_numpy() for name in (*PRICES, *TICKS.names[10:])},
    }
    for name, values in found.items():
        if not np.array_equal(values, rows[name], equal_nan=rows[name].dtype.kind == "f"):
            return str(name)
    marks = _integers(table["ts_mark"], TS_ABSENT)
    if not np.array_equal(marks, np.where(rows["is_mark"], rows["ts"], TS_ABSENT)):
        return "ts_mark"
    for name, of, codes in (
        ("symbol", symbols, rows["symbol"]),
        ("source", SOURCE_NAMES, rows["source_id"]),
    ):
        if not table[name].cast(pa.string()).equals(_strings(codes, of)):
            return str(name)
    return ""


def _strings(codes: np.ndarray, of: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([names(codes, of).cast(pa.string())])


def _integers(column: pa.ChunkedArray, absent: int) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = column.cast(pa.int64()).fill_null(absent).to_numpy()
    return values.copy()


def of_candles(made: np.ndarray, source_id: int, symbols: list[str]) -> pa.Table:
    """`candles.CANDLE_DTYPE` of one source as CANDLES."""
    return pa.table(
        [
            names(np.full(len(made), source_id), SOURCE_NAMES),
            names(made["symbol"], symbols),
            *(times(made[name]) for name in ("ts", "first_ts", "last_ts")),
            *(numbers(made[name]) for name in CANDLES.names[5:11]),
            pa.array(np.ascontiguousarray(made["ticks"])),
        ],
        schema=CANDLES,
    )


def of_books(rows: np.ndarray, codes: npt.NDArray[np.uint32], symbols: list[str]) -> pa.Table:
    """BOOK_SNAPSHOT_DTYPE as BOOKS; `codes` are their symbols' places in `symbols`."""
    books = rows["book"]
    reasons = ["", *(one.name.lower() for one in TakenFor)]
    return pa.table(
        [
            names(books["source_id"], SOURCE_NAMES),
            names(codes, symbols),
            times(rows["ts"]),
            *(times(books[name]) for name in ("ts_recv", "ts_event", "top_since_ns")),
            names(rows["why"], reasons),
            *(
                _levels(books[f"{side}s"][:, :, at], books[f"{side}_count"])
                for side in ("bid", "ask")
                for at in range(2)
            ),
            *(pa.array(np.ascontiguousarray(books[name])) for name in BOOKS.names[11:-1]),
            pa.array(freshness.book_unmarked(books["flags"])),
        ],
        schema=BOOKS,
    )


def of_book_changes(
    rows: np.ndarray, codes: npt.NDArray[np.uint32], symbols: list[str]
) -> pa.Table:
    """BOOK_DELTA_DTYPE as BOOK_CHANGES."""
    return pa.table(
        [
            names(rows["source_id"], SOURCE_NAMES),
            names(codes, symbols),
            times(rows["ts_recv"]),
            names(rows["side"], ["bid", "ask"]),
            *(pa.array(np.ascontiguousarray(rows[name])) for name in ("px", "sz", "update_id")),
        ],
        schema=BOOK_CHANGES,
    )


def _levels(values: npt.NDArray[np.float64], counts: npt.NDArray[np.integer]) -> pa.Array:
    """Of each row the first values, as many as it has."""
    shown = np.arange(values.shape[1]) < counts[:, None]
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(values[shown]))


def of_signals(pieces: list[NamedPiece], symbols: list[str]) -> pa.Table:
    """Signals as SIGNALS, without what followed on them."""
    found = [one.piece.array() for one in pieces]
    every = np.concatenate(found) if found else np.zeros(0, SIGNAL_DTYPE)
    rows, _ = signals_apart(every)
    kinds = [f"#{number}" for number in range(256)]
    for kind in SignalKind:
        kinds[kind] = kind.name.lower()
    return pa.table(
        [
            names(_codes(pieces)[every["kind"] != SignalKind.BOOK], symbols),
            _directions(rows),
            names(rows["kind"], kinds),
            *(times(rows[name]) for name in _SIGNAL_TIMES),
            *(numbers(rows[name]) for name in _SIGNAL_REST),
        ],
        schema=SIGNALS,
    )


def of_follow_ups(pieces: list[NamedPiece], symbols: list[str]) -> pa.Table:
    """What followed on signals as FOLLOW_UPS; of a rung that was not asked for all is null."""
    found = [one.piece.array() for one in pieces]
    every = np.concatenate(found) if found else np.zeros(0, SIGNAL_DTYPE)
    _, rows = signals_apart(every)
    rungs = [numbers(rows["rungs"][name].ravel()) for name in SIGNAL_RUNG_DTYPE.names or ()]
    thin = rows["thin"][:, None] >> np.arange(RUNGS_MAX, dtype=np.uint8) & 1
    unasked = np.isnan(rows["rungs"]["size_quote"])
    rungs.append(pa.array(thin.astype(bool).ravel(), mask=unasked.ravel()))
    return pa.table(
        [
            names(_codes(pieces)[every["kind"] == SignalKind.BOOK], symbols),
            _directions(rows),
            *(times(rows[name]) for name in _FOLLOW_UP_TIMES),
            *(numbers(rows[name]) for name in _FOLLOW_UP_REST),
            *(pa.FixedSizeListArray.from_arrays(values, RUNGS_MAX) for values in rungs),
        ],
        schema=FOLLOW_UPS,
    )


def _codes(pieces: list[NamedPiece]) -> npt.NDArray[np.uint32]:
    return np.concatenate([np.zeros(0, np.uint32), *(one.codes for one in pieces)])


def _directions(rows: np.ndarray) -> pa.Array:
    labels = [f"#{number}" for number in range(256)]
    labels[: len(DIRECTIONS)] = [direction.label for direction in DIRECTIONS]
    return names(rows["direction_id"], labels)


def of_gaps(rows: np.ndarray) -> pa.Table:
    """GAP_DTYPE as GAPS; a source where something of one is missing."""
    what = [gap_name(number) for number in rows["what"].tolist()]
    labels = [
        SOURCE_NAMES[source_id] if name in OF_SOURCES and source_id < len(SOURCE_NAMES) else None
        for name, source_id in zip(what, rows["source_id"].tolist(), strict=True)
    ]
    return pa.table(
        [
            pa.array(what, pa.string()).dictionary_encode(),
            pa.array(labels, pa.string()).dictionary_encode(),
            *(pa.array(np.ascontiguousarray(rows[name])) for name in ("first", "next")),
            times(rows["ts_from"]),
            times(np.where(rows["ts_to"] == 0, TS_ABSENT, rows["ts_to"])),
        ],
        schema=GAPS,
    )
