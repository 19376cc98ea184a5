"""The last quotes that the log of the market knows, for a store that is made anew.

Read from the newest snapshot and the log behind it, by what is really listed: a quote goes to the
id that its listing has now, and to none where the listing is gone or means another amount. Ages are
those of the clocks of now (wal/times.py). Whatever of it cannot be read is said and left out;
a store without quotes is what there was before there were logs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import SpreadError
from spread_scanner.schema.enums import QuoteFlag
from spread_scanner.schema.log import RecordKind
from spread_scanner.schema.records import QUOTE_DTYPE, TS_ABSENT
from spread_scanner.shm.layout import MAX_SYMBOLS_MAX, NUM_SOURCES_MAX
from spread_scanner.shm.price_store import KeptQuotes
from spread_scanner.symbology.tables import InstrumentRow, Tables
from spread_scanner.wal import reader, snapshot
from spread_scanner.wal.times import LogTimes

# Of a log without a snapshot no more than the newest segments of so many bytes are read.
TAIL_BYTES_MAX = 2 << 30
_Listing = tuple[int, str, str, float, float]


class Restored(NamedTuple):
    """What a new store begins with; the times of its quotes are monotonic."""

    quotes: list[KeptQuotes]
    newest_age_s: float | None  # None: there are none
    troubles: list[str]

    @property
    def total(self) -> int:
        return sum(len(one.ids) for one in self.quotes)


def restored(folder: Path, tables: Tables, num_sources: int) -> Restored:
    """Of a log's folder."""
    now = LogTimes.now()
    known, troubles = last_quotes(folder, now)
    found: list[KeptQuotes] = []
    names = tables.symbol_names()
    for source_id in range(num_sources):
        rows = [
            (row.symbol_id, known[listing])
            for row in tables.of_source(source_id)
            if (listing := _listing(row, names)) in known
        ]
        if rows:
            quotes = np.array([quote for _, quote in rows], QUOTE_DTYPE)
            quotes["flags"] = quotes["flags"] & ~np.uint32(QuoteFlag.CONTENDED) | QuoteFlag.STALE
            ids = np.array([symbol_id for symbol_id, _ in rows], np.uint16)
            found.append(KeptQuotes(source_id, ids, quotes))
    newest = max((int(one.quotes["ts_recv"].max()) for one in found), default=None)
    age = None if newest is None else (now.mono_ns - newest) / NS_PER_S
    return Restored(found, age, troubles)


def last_quotes(folder: Path, now: LogTimes) -> tuple[Mapping[_Listing, np.void], list[str]]:
    """The last quote of each listing, and what could not be read."""
    last = _LastQuotes(now)
    base, troubles = snapshot.newest(folder)
    try:
        if base is not None:
            last.at(base.times)
            last.tables(base.tables)
            last.ticks(base.quotes)
            last.settle()  # the tail begins within a block: what it says may be older
        before: reader.Link | None = None
        for link, piece in _tail(folder, base.seq if base is not None else 0):
            if link is not before:
                last.at(LogTimes.of(link.head))
                before = link
            if piece.kind is RecordKind.TICK:
                last.ticks(piece.array())
            elif piece.kind is RecordKind.TABLES:
                last.part(piece)
    except (SpreadError, OSError, msgspec.DecodeError) as error:
        troubles.append(f"the log is not read to its end: {error}")
    last.settle()
    if last.nameless:
        troubles.append(f"{last.nameless} cells are not restored: their tables are not in the log")
    return last.known, troubles


def _tail(folder: Path, since: int) -> Iterator[tuple[reader.Link, reader.Piece]]:
    """The log from that record on, or what there is of it. Raises as the reader does."""
    links = reader.chain(folder)
    if not links:
        return
    # A log that ends before the snapshot began is another one, begun since: all of it may be news.
    if reader.walk(links[-1], reader.bytes_of(links[-1])).next_seq < since:
        since = 0
    many = TAIL_BYTES_MAX // max(1, int(links[-1].head["segment_bytes"]))
    yield from reader.pieces_with_links(folder, max(since, links[-many:][0].first_seq))


def _place(source_id: Any, symbol_id: Any) -> Any:
    """Of a cell among all that there can be: of one, or of arrays."""
    return source_id * MAX_SYMBOLS_MAX + symbol_id


def _listing(row: InstrumentRow, names: Mapping[int, str]) -> _Listing:
    """What a quote is of, whatever its ids."""
    symbol = names.get(row.symbol_id, "")
    return row.source_id, symbol, row.exchange_symbol, row.px_div, row.sz_mul


class _LastQuotes:
    """Folds ticks by their ids, and ids into listings when their meaning or their clock ends."""

    def __init__(self, now: LogTimes) -> None:
        self.known: dict[_Listing, np.void] = {}
        self._nameless: set[int] = set()
        self._now, self._times = now, LogTimes()
        self._listings: dict[int, _Listing] = {}
        # By cell, where its last tick is: numpy scatters numbers many times faster than records.
        self._last = np.full(NUM_SOURCES_MAX * MAX_SYMBOLS_MAX, -1, np.int64)
        self._pieces: list[np.ndarray] = []
        self._begins: list[int] = []
        self._end = 0
        self._documents = reader.DocumentParts()
        self._said = b""  # the log's tables that hold

    @property
    def nameless(self) -> int:
        """Cells with quotes before any tables."""
        return len(self._nameless)

    def at(self, times: LogTimes) -> None:
        """What follows is of that session."""
        if not times.like(self._times):
            self.settle()
            self._times = times

    def tables(self, body: bytes) -> None:
        """What follows is by these ids."""
        self.settle()
        tables = msgspec.json.decode(body, type=Tables)
        names = tables.symbol_names()
        self._listings = {
            _place(row.source_id, row.symbol_id): _listing(row, names) for row in tables.instruments
        }

    def part(self, piece: reader.Piece) -> None:
        """Of tables in the log."""
        found = self._documents.whole(piece)
        if found is not None and found[1] != self._said:  # each segment has them once more
            self._said = found[1]
            self.tables(found[1])

    def ticks(self, ticks: np.ndarray) -> None:
        """Of several of one cell the last stays: so numpy assigns."""
        places = _place(ticks["source_id"].astype(np.intp), ticks["symbol_id"])
        begin, self._end = self._end, self._end + len(ticks)
        self._last[places] = np.arange(begin, self._end)
        self._pieces.append(ticks)
        self._begins.append(begin)

    def settle(self) -> None:
        """Give each cell's last quote to its listing, unless a later one is known."""
        places = np.flatnonzero(self._last >= 0)
        rows = self._quotes(self._last[places])
        self._last[places] = -1
        self._pieces, self._begins, self._end = [], [], 0
        there = rows["ts_recv"] != TS_ABSENT
        places, rows = places[there], rows[there]
        rows["ts_recv"] = self._times.to_mono_ns(rows["ts_recv"], self._now)
        for place, quote in zip(places.tolist(), rows, strict=True):
            listing = self._listings.get(place)
            if listing is None:
                self._nameless.add(place)
                continue
            before = self.known.get(listing)
            if before is None or before["ts_recv"] <= quote["ts_recv"]:
                self.known[listing] = quote

    def _quotes(self, numbers: npt.NDArray[np.int64]) -> np.ndarray:
        """Those of ticks by their number among all that are held."""
        rows = np.empty(len(numbers), QUOTE_DTYPE)
        of = np.searchsorted(np.array(self._begins, np.int64), numbers, "right") - 1
        for row, (piece, number) in enumerate(zip(of.tolist(), numbers.tolist(), strict=True)):
            rows[row] = self._pieces[piece][number - self._begins[piece]]["quote"]
        return rows
