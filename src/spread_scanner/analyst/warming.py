"""What an analyst that had run on would know: the log of the market, looked at second by second.

Reads data_dir/wal while spread-recorder goes on with it; writes nothing. A quote goes to the id
that its listing has now, times to the session clock of now (wal/times.py). A look at a second of
the log is at that second exactly; a living analyst's comes a moment later, when its process is
given a CPU. What is not in the log (seconds that nobody recorded, what has left it) was not looked
at.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from spread_scanner import clock
from spread_scanner.analyst.sampler import Moment
from spread_scanner.clock import NS_PER_S, SessionClock
from spread_scanner.schema.enums import QuoteFlag
from spread_scanner.schema.log import RecordKind
from spread_scanner.schema.records import QUOTE_DTYPE, TS_ABSENT
from spread_scanner.symbology.tables import Tables
from spread_scanner.wal import reader
from spread_scanner.wal.reader import DocumentParts, Link, Piece
from spread_scanner.wal.times import LogTimes

BYTES_MAX = 2 << 30  # of the log: its newest segments
PATIENCE_NS = NS_PER_S  # without anything new the log is over
_Listing = tuple[int, str, str, float, float]


class LoggedMarket:
    """What stood at a time of the log, as the sampler asks a price store."""

    def __init__(self, num_sources: int, max_symbols: int) -> None:
        self._cells = np.zeros((num_sources, max_symbols), QUOTE_DTYPE)
        self._cells["ts_recv"] = TS_ABSENT
        self._cells["flags"] = int(QuoteFlag.STALE)
        for name in ("bid_px", "bid_sz", "ask_px", "ask_sz"):
            self._cells[name] = np.nan
        self._epochs = np.zeros(num_sources, np.uint32)
        self._beats = np.zeros(num_sources, np.int64)
        self.at = Moment(0, 0)

    def moment(self) -> Moment:
        return self.at

    def heartbeat_mono_ns(self, source_id: int) -> int:
        return int(self._beats[source_id])

    def read_many(self, source_id: int, ids: np.ndarray) -> np.ndarray:
        quotes: np.ndarray = self._cells[source_id, ids]
        quotes["flags"][quotes["epoch"] < self._epochs[source_id]] |= int(QuoteFlag.STALE)
        return quotes

    def publish(self, sources: np.ndarray, symbols: np.ndarray, quotes: np.ndarray) -> None:
        """Of several of one cell the last stays."""
        self._cells[sources, symbols] = quotes
        np.maximum.at(self._epochs, sources, quotes["epoch"])

    def beat(self, source_id: int, epoch: int, mono_ns: int) -> None:
        self._epochs[source_id] = max(self._epochs[source_id], epoch)
        self._beats[source_id] = mono_ns


class LoggedSeconds:
    """Goes through a log. A second of `seconds` stands in `market` until the next is asked for."""

    def __init__(
        self, folder: Path, session: SessionClock, tables: Tables, sizes: tuple[int, int]
    ) -> None:
        self.market = LoggedMarket(*sizes)
        self._folder, self._session, self._sizes = folder, session, sizes
        self._ids_now = dict(_listings(tables))
        self._ids = np.full(sizes, -1, np.int32)  # of now, by source and id of the log
        self._documents = DocumentParts()
        self._anchor_ns = 0
        self._shift_ns = 0  # from stamps of the log to those of now
        self._newest_ns = np.full(sizes[0], TS_ABSENT, np.int64)  # by source
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._next_s: int | None = None
        self._seen_ns = TS_ABSENT  # the newest of which the log is known to have all
        self.idle = False  # all is read that is there: more is about to come

    def seconds(self) -> Iterator[int | None]:
        """Seconds of the session clock, in order; None: none so far, but some work is done.
        Ends at now, or where the log does. Raises SpreadError, OSError, DecodeError."""
        since = self._first()
        while True:
            seq = since
            for link, piece in reader.pieces_with_links(self._folder, since):
                self._at(link)
                yield from self._heard(piece)
                seq = piece.seq + piece.records
            now_ns = self._session.now_ns()
            if self._next_s is None or self._next_s * NS_PER_S > now_ns:
                return
            if seq == since and now_ns - self._seen_ns > PATIENCE_NS:
                return
            self.idle, since = seq == since, seq
            yield None

    def _first(self) -> int:
        """The first record that is read."""
        room = BYTES_MAX
        first = 0
        for link in reversed(reader.chain(self._folder)):
            room -= int(link.head["segment_bytes"])
            if room < 0:
                break
            first = link.first_seq
        return first

    def _at(self, link: Link) -> None:
        times = LogTimes.of(link.head)
        self._anchor_ns = times.anchor_ns
        if times.boot and times.boot == clock.boot_id():
            self._shift_ns = self._session.anchor_ns - times.anchor_ns
            return
        was_set_ns = times.wall_ns - times.mono_ns - times.anchor_ns if times.boot else 0
        self._shift_ns = was_set_ns - (clock.wall_ns() - self._session.now_ns())

    def _heard(self, piece: Piece) -> Iterator[int | None]:
        if piece.kind is RecordKind.TICK:
            self._hear_ticks(piece.array(), piece.at_ns + self._anchor_ns + self._shift_ns)
            yield None
        elif piece.kind is RecordKind.SOURCE_STATE:
            states = piece.array()
            yield from self._until(int(states["ts"][-1]) + self._shift_ns)
            for row in states[states["source_id"] < self._sizes[0]]:
                beat_ns = int(row["heartbeat_mono_ns"])
                if beat_ns:
                    beat_ns += self._anchor_ns + self._shift_ns - self._session.anchor_ns
                self.market.beat(int(row["source_id"]), int(row["epoch"]), beat_ns)
        elif piece.kind is RecordKind.TABLES and (found := self._documents.whole(piece)):
            self._name(msgspec.json.decode(found[1], type=Tables))

    def _name(self, tables: Tables) -> None:
        """What follows in the log is by these ids."""
        self._ids[:] = -1
        for listing, number in _listings(tables):
            source_id = listing[0]
            if source_id < self._sizes[0] and number < self._sizes[1]:
                self._ids[source_id, number] = self._ids_now.get(listing, -1)

    def _hear_ticks(self, ticks: np.ndarray, written_ns: int) -> None:
        """A mark bears the time of the quote that it is put on: it counts from when it was written,
        20 ms later at the most."""
        inside = (ticks["source_id"] < self._sizes[0]) & (ticks["symbol_id"] < self._sizes[1])
        ticks = ticks[inside]
        ids = self._ids[ticks["source_id"], ticks["symbol_id"]]
        ticks = ticks[ids >= 0]
        ticks["symbol_id"] = ids[ids >= 0]
        stamps = ticks["quote"]["ts_recv"]
        stamps[stamps != TS_ABSENT] += self._shift_ns
        at_ns = np.where(stamps > self._newest_ns[ticks["source_id"]], stamps, written_ns)
        np.maximum.at(self._newest_ns, ticks["source_id"], stamps)
        self._pending.append((ticks, at_ns))

    def _until(self, seen_ns: int) -> Iterator[int | None]:
        """The seconds of which the log is known to have all."""
        self._seen_ns = seen_ns
        if self._next_s is None:
            self._next_s = seen_ns // NS_PER_S + 1
        seen_ns = min(seen_ns, self._session.now_ns())
        while self._next_s * NS_PER_S <= seen_ns:
            now_ns = self._next_s * NS_PER_S
            self._publish(now_ns)
            self.market.at = Moment(now_ns - self._session.anchor_ns, now_ns)
            yield self._next_s
            self._next_s += 1

    def _publish(self, until_ns: int) -> None:
        pending, self._pending = self._pending, []
        for ticks, at_ns in pending:
            due = at_ns <= until_ns
            if not due.all():
                self._pending.append((ticks[~due], at_ns[~due]))
                ticks = ticks[due]
            self.market.publish(ticks["source_id"], ticks["symbol_id"], ticks["quote"])


def _listings(tables: Tables) -> Iterator[tuple[_Listing, int]]:
    """What each id of a source means."""
    names = tables.symbol_names()
    for row in tables.instruments:
        symbol = names.get(row.symbol_id, "")
        yield (row.source_id, symbol, row.exchange_symbol, row.px_div, row.sz_mul), row.symbol_id
