"""Ticks, books, signals and gaps out of segments of the log, with names instead of ids.

A tick says when it became so (`ts`): when its quote was read, or, of a mark that a feed put on a
quote that stood, when the recorder wrote it down, unless the next quote had been read by then. What
is damaged is left out, and is a gap.

Who asks for one symbol gets copies of its records. All of the log is read still, as gaps are told
by what is missing, but what the others say is not looked at: of 20,000 ticks a second that takes a
fifteenth of the time.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from spread_scanner.clock import NS_PER_S
from spread_scanner.errors import Unusable
from spread_scanner.history.kept import PartEnd
from spread_scanner.schema import freshness
from spread_scanner.schema.enums import SOURCE_BY_LABEL, Source
from spread_scanner.schema.log import GAP_DTYPE, TICK_DTYPE, GapOf, RecordKind
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.symbology.tables import SYMBOL_IDS, Tables
from spread_scanner.wal import reader, salvage
from spread_scanner.wal.frames import ALIGN, Bytes
from spread_scanner.wal.reader import DocumentParts, Link, Piece

ROWS_AT_ONCE = 250_000
TICK_UNITS = TICK_DTYPE.itemsize // ALIGN
_SOURCE_IDS = 1 << 16  # that a record has room for
_MARKS_IN_A_ROW = 64  # of a symbol, written down behind one quote: a drain has a few at most
LATE_NS = NS_PER_S  # a drain is 20 ms behind: the first of a symbol that is later stood before
ROW_DTYPE = np.dtype(
    [
        ("symbol", "<u4"),  # into Named.names
        ("usable", "?"),
        ("is_mark", "?"),
        ("source_id", "<u2"),
        ("ts", "<i8"),
        *[(name, TICK_DTYPE["quote"][name].str) for name in TICK_DTYPE["quote"].names or ()],
        ("number", "<u8"),
    ]
)


class AskedFor(NamedTuple):
    """What is looked at: records of one symbol, and of these sources what sources say. Gaps are
    always. Where the symbol is said, of each source's ticks the last so many before `until_ns`, or
    those since `since_ns` and what stood then."""

    symbol: str | None = None  # None: of any
    sources: Sequence[str] = ()  # none: of any
    last: int | None = None
    since_ns: int | None = None
    until_ns: int | None = None  # None: until now


ALL = AskedFor()


def source_called(label: str) -> Source:
    """Raises Unusable."""
    if (found := SOURCE_BY_LABEL.get(label)) is None:
        raise Unusable("no such source", source=label, allowed=", ".join(SOURCE_BY_LABEL))
    return found


class Named:
    """Names of symbols, by the tables that stood in the log at each place."""

    def __init__(self, symbols: dict[int, str]) -> None:
        self.names: list[str] = []
        self._codes: dict[str, int] = {}
        self._documents = DocumentParts()
        self.symbols = symbols
        self._map = self._mapped()

    def take(self, piece: Piece) -> None:
        """A part of a document of tables."""
        if (found := self._documents.whole(piece)) is not None:
            self.symbols = msgspec.json.decode(found[1], type=Tables).symbol_names()
            self._map = self._mapped()

    def codes(self, symbol_ids: np.ndarray) -> npt.NDArray[np.uint32]:
        """The place in `names` of each; one that no table names is called by its number."""
        codes = self._map[symbol_ids]
        if (codes < 0).any():
            for symbol_id in np.unique(symbol_ids[codes < 0]).tolist():
                self._map[symbol_id] = self._code(f"#{symbol_id}")
            codes = self._map[symbol_ids]
        found: npt.NDArray[np.uint32] = codes.astype(np.uint32)
        return found

    def called(self, name: str) -> npt.NDArray[np.bool_]:
        """By id, whether that is its name now."""
        number = int(name[1:]) if re.fullmatch(r"#(0|[1-9][0-9]{0,4})", name) else SYMBOL_IDS
        found = np.zeros(SYMBOL_IDS, np.bool_)
        found[[symbol_id for symbol_id, of in self.symbols.items() if of == name]] = True
        if number < SYMBOL_IDS and number not in self.symbols:
            found[number] = True
        return found

    def ranked(self) -> npt.NDArray[np.uint32]:
        """For each name its place in the alphabet."""
        ranks = np.zeros(len(self.names), np.uint32)
        ranks[np.argsort(np.array(self.names, object))] = np.arange(len(self.names))
        return ranks

    def _mapped(self) -> npt.NDArray[np.int64]:
        codes = np.full(SYMBOL_IDS, -1, np.int64)
        for symbol_id, name in self.symbols.items():
            codes[symbol_id] = self._code(name)
        return codes

    def _code(self, name: str) -> int:
        if name not in self._codes:
            self._codes[name] = len(self.names)
            self.names.append(name)
        return self._codes[name]


class NamedPiece(NamedTuple):
    """Records that lie side by side, their symbols' places in the names, their session's anchor."""

    piece: Piece
    codes: npt.NDArray[np.uint32]
    anchor_ns: int
    segment: int  # which of them, in order

    @property
    def ts(self) -> int:
        return self.piece.at_ns + self.anchor_ns


class _Lying(NamedTuple):
    """Ticks of one source, in the log's order."""

    codes: npt.NDArray[np.uint32]
    read: Callable[[npt.NDArray[np.intp]], tuple[npt.NDArray[np.int64], np.ndarray]]
    """Of these of them when they were written, and TICK_DTYPE."""


class Gathered:
    """What segments hold: all of it, as views into them, or copies of what is `wanted`. `end`: what
    they have to reach; `before`: where those end that are kept, as what lies between left the log
    too early, and is a gap."""

    def __init__(
        self,
        links: Iterable[Link],
        symbols: dict[int, str],
        end: PartEnd | None = None,
        before: PartEnd | None = None,
        wanted: AskedFor = ALL,
    ) -> None:
        self.named = Named(symbols)
        self.ticks: list[NamedPiece] = []
        self.books: list[NamedPiece] = []
        self.book_changes: list[NamedPiece] = []
        self.signals: list[NamedPiece] = []
        of_kind = {
            RecordKind.TICK: self.ticks,
            RecordKind.BOOK_SNAPSHOT: self.books,
            RecordKind.BOOK_DELTA: self.book_changes,
            RecordKind.SIGNAL: self.signals,
        }
        self.gaps: list[np.ndarray] = []
        self._segments: list[Bytes] = []
        of_all = wanted.symbol is None and not wanted.sources
        self._choice = None if of_all else _Choice(wanted, self.named)
        for anchor_ns, data, piece in _pieces(list(links), self.gaps, end, before):
            if self._choice is None and (not self._segments or self._segments[-1] is not data):
                self._segments.append(data)
            if piece.kind is RecordKind.TABLES:
                self.named.take(piece)
                if self._choice is not None:
                    self._choice.rename()
            elif piece.kind is RecordKind.GAP:
                self.gaps.append(piece.array())
            elif (to := of_kind.get(piece.kind)) is not None:
                of = piece if self._choice is None else self._choice.of(piece)
                if of.records:
                    codes = self.named.codes(_origins(of)["symbol_id"])
                    to.append(NamedPiece(of, codes, anchor_ns, len(self._segments) - 1))

    def source_ids(self, pieces: list[NamedPiece]) -> list[int]:
        """The sources of these."""
        found = np.zeros(_SOURCE_IDS, np.bool_)
        for one in pieces:
            found[_origins(one.piece)["source_id"]] = True
        return [int(source_id) for source_id in np.flatnonzero(found)]

    def ticks_of(self, source_id: int) -> np.ndarray:
        """ROW_DTYPE of one source, sorted by name, of one symbol in the log's order."""
        parts = [np.zeros(0, ROW_DTYPE), *self.parts_of(source_id)]
        return np.concatenate(parts)

    def parts_of(self, source_id: int, most: int = ROWS_AT_ONCE) -> Iterator[np.ndarray]:
        """The same, `most` at a time: what is held of the others is where they lie and their
        order, 18 bytes of each."""
        lying = self._lying(source_id)
        order = np.argsort(self.named.ranked()[lying.codes], kind="stable")
        for at in range(0, len(order), most):
            # The row before says whether the first one repeats it, the next quote when marks end.
            before = int(at > 0)
            chosen = order[at - before : at + most + _MARKS_IN_A_ROW]
            made = np.zeros(len(chosen), ROW_DTYPE)
            made["symbol"] = lying.codes[chosen]
            made["ts"], ticks = lying.read(chosen)
            made["number"], made["source_id"] = ticks["number"], ticks["source_id"]
            for name in TICK_DTYPE["quote"].names or ():
                made[name] = ticks["quote"][name]
            made["usable"] = freshness.unmarked(made["flags"])
            _mark(made)
            yield made[before:][:most]

    def _lying(self, source_id: int) -> _Lying:
        if self._choice is not None:
            return self._copied(source_id)
        pieces = self._ticks_by_source.get(source_id, [])
        rows = [np.flatnonzero(one.piece.array()["source_id"] == source_id) for one in pieces]
        begins = np.cumsum([0, *map(len, rows)])
        none = np.zeros(0, np.uint32)
        codes = [one.codes[of] for one, of in zip(pieces, rows, strict=True)]
        units = [self._unit(one) + TICK_UNITS * of for one, of in zip(pieces, rows, strict=True)]
        places = np.concatenate([none, *units]).astype(np.uint32)
        ts = np.array([one.ts for one in pieces], np.int64)
        segments = np.array([one.segment for one in pieces], np.intp)

        def read(chosen: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.int64], np.ndarray]:
            of = np.searchsorted(begins, chosen, "right") - 1
            return ts[of], self._ticks_at(segments[of], places[chosen])

        return _Lying(np.concatenate([none, *codes]), read)

    def _copied(self, source_id: int) -> _Lying:
        codes, ts, ticks = self._copies
        of = np.flatnonzero(ticks["source_id"] == source_id)
        codes, ts, ticks = codes[of], ts[of], ticks[of]
        return _Lying(codes, lambda chosen: (ts[chosen], ticks[chosen]))

    @functools.cached_property
    def _copies(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], np.ndarray]:
        """All ticks that were chosen: their names, when they were written, and they."""
        codes = np.concatenate([np.zeros(0, np.uint32), *(one.codes for one in self.ticks)])
        ts = np.array([one.ts for one in self.ticks], np.int64)
        # As bytes: numpy compares the columns of records that are put together, piece by piece.
        found = [one.piece.payload for one in self.ticks]
        ticks = np.concatenate([np.zeros(0, np.uint8), *found]).view(TICK_DTYPE)
        return codes, np.repeat(ts, [one.piece.records for one in self.ticks]), ticks

    @functools.cached_property
    def _ticks_by_source(self) -> dict[int, list[NamedPiece]]:
        """Which pieces have ticks of a source: a feed's come together, and to look through all of
        them for each source takes most of the time where they are short."""
        found: defaultdict[int, list[NamedPiece]] = defaultdict(list)
        for one in self.ticks:
            for source_id in np.unique(one.piece.array()["source_id"]).tolist():
                found[source_id].append(one)
        return found

    def _unit(self, one: NamedPiece) -> int:
        """Where a piece begins in its segment, in units of 16 bytes."""
        data = self._segments[one.segment]
        return (one.piece.payload.ctypes.data - data.ctypes.data) // ALIGN

    def _ticks_at(self, segments: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The ticks that lie there."""
        found = np.zeros(len(places), TICK_DTYPE)
        for segment in np.unique(segments):
            here = np.flatnonzero(segments == segment)
            data = self._segments[segment]
            units = data[: len(data) // ALIGN * ALIGN].view(f"V{ALIGN}")
            ticks = units[places[here, np.newaxis] + np.arange(TICK_UNITS, dtype=np.uint32)]
            found[here] = ticks.view(TICK_DTYPE).reshape(-1)
        return found

    def of_source(
        self, pieces: list[NamedPiece], source_id: int
    ) -> tuple[np.ndarray, npt.NDArray[np.uint32]]:
        """Records of one source and the places of their symbols in the names, sorted by name, of
        one symbol in the log's order."""
        rows, codes = [], []
        for one in pieces:
            of_source = _origins(one.piece)["source_id"] == source_id
            rows.append(one.piece.array()[of_source])
            codes.append(one.codes[of_source])
        found, of = np.concatenate(rows), np.concatenate(codes)
        order = np.argsort(self.named.ranked()[of], kind="stable")
        return found[order], of[order]

    def gap_rows(self) -> np.ndarray:
        """GAP_DTYPE, all of them."""
        return np.concatenate(self.gaps) if self.gaps else np.zeros(0, GAP_DTYPE)


class _Choice:
    """What is wanted, by the ids that it has at each place of the log."""

    def __init__(self, wanted: AskedFor, named: Named) -> None:
        self._symbol, self._named = wanted.symbol, named
        self._sources = np.full(_SOURCE_IDS, not wanted.sources)
        self._sources[[source_called(label).source_id for label in wanted.sources]] = True
        self.rename()

    def rename(self) -> None:
        """Tables have come."""
        every = np.ones(SYMBOL_IDS, np.bool_)
        self._symbols = every if self._symbol is None else self._named.called(self._symbol)

    def of(self, piece: Piece) -> Piece:
        """A copy with the wanted records alone."""
        origins = _origins(piece)
        here = self._symbols[origins["symbol_id"]]
        if "source_id" in (origins.dtype.names or ()):
            here &= self._sources[origins["source_id"]]
        chosen = piece.array()[here]
        return piece._replace(records=len(chosen), payload=chosen.view(np.uint8))


def anchor_of(link: Link, links: Sequence[Link]) -> int:
    """What brings the times at which pieces of a segment were written to the session clock; where
    its head is ruined, they count from its begin, which is taken for the nearest whole one's."""
    head = reader.nearest_whole(links, link).head
    return int(head["anchor_ns"]) + (0 if link.is_known else int(head["created_mono_ns"]))


def _origins(piece: Piece) -> np.ndarray:
    """The records that name a symbol and its source."""
    records = piece.array()
    return records["book"] if piece.kind is RecordKind.BOOK_SNAPSHOT else records


def _pieces(
    links: list[Link], gaps: list[np.ndarray], end: PartEnd | None, before: PartEnd | None
) -> Iterator[tuple[int, Bytes, Piece]]:
    """Every record that can be read, in order, with `anchor_of` its segment and the bytes of that;
    what is damaged becomes a gap."""
    expected, known_ns = (links[0].first_seq if links else 0), TS_ABSENT
    if before is not None and before.seq <= expected:  # else: another log, begun since
        expected, known_ns = before
    for link in links:
        data, anchor_ns = reader.bytes_of(link), anchor_of(link, links)
        walked = reader.walk(link, data)
        for piece in salvage.good_of(link, data, walked, expected):
            if piece.seq > expected:
                gaps.append(_missing(expected, piece.seq, known_ns, piece.at_ns + anchor_ns))
            yield anchor_ns, data, piece
            expected = piece.seq + piece.records
            known_ns = piece.at_ns + anchor_ns
    if end is None and links:
        end = PartEnd(salvage.end_of(link, data, walked), known_ns)
    if end is not None and end.seq > expected:
        gaps.append(_missing(expected, end.seq, known_ns, end.ts))


def _missing(first: int, following: int, ts_from: int, ts_to: int) -> np.ndarray:
    gap = salvage.gap_of_records(first, following)
    gap["ts_from"], gap["ts_to"] = ts_from, ts_to
    return gap


def _mark(rows: np.ndarray) -> None:
    """Tell marks from quotes: a mark repeats what stood, or is the first that is known of a symbol
    and long after its quote; what only waited to be written down (nobody recorded meanwhile) is
    another quote than that before. `ts` of a quote is when it was read; a mark that was written
    down behind the next quote counts until then."""
    first = np.ones(len(rows), np.bool_)
    first[1:] = rows["symbol"][1:] != rows["symbol"][:-1]
    same = ~first
    for name in ("ts_recv", "update_id", "bid_px", "bid_sz", "ask_px", "ask_sz"):
        # As bits: what is not there is NaN.
        bits = np.ascontiguousarray(rows[name]).view(f"u{rows[name].itemsize}")
        same[1:] &= bits[1:] == bits[:-1]
    rows["is_mark"] = same | (first & (rows["ts"] - rows["ts_recv"] > LATE_NS))
    rows["ts"] = np.where(rows["is_mark"], rows["ts"], rows["ts_recv"])
    marks, quotes = np.flatnonzero(rows["is_mark"]), np.flatnonzero(~rows["is_mark"])
    at = np.searchsorted(quotes, marks)
    marks, following = marks[at < len(quotes)], quotes[at[at < len(quotes)]]
    ends = rows["symbol"][following] == rows["symbol"][marks]
    # Not before its own: the clock was set back between two lives of the store.
    ends &= rows["ts_recv"][following] >= rows["ts_recv"][marks]
    marks, following = marks[ends], following[ends]
    rows["ts"][marks] = np.minimum(rows["ts"][marks], rows["ts_recv"][following])


def gap_name(what: int) -> str:
    """What is missing, in one word."""
    known = {int(one) for one in GapOf}
    return GapOf(what).name.lower() if what in known else f"#{what}"
