"""Logs and recordings of elsewhere become a log of their own, which history and replay can be asked
about. No system records into it: it is made whole, in a folder that was empty.

A log's segments are copied as they are, of the stores that they were of, under their times. A
recording is a file of frames, each line behind the time at which it was received: its quotes are
written as a recorder would have, with the settings and tables that are in force here. Nobody wrote
down that its feed lived: it is taken to have lived from the first line to the last of all.
"""

import gzip
import hashlib
import heapq
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from spread_scanner import clock
from spread_scanner.clock import NS_PER_MS, NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.engine import plan
from spread_scanner.errors import BadMessage, Unusable
from spread_scanner.exchanges.decode import RECEIVE_TIME, DecodedQuote, decode_lines, line_frames
from spread_scanner.recorder.documents import LogDocument, document_head, settings_body
from spread_scanner.schema.enums import SOURCE_BY_LABEL, QuoteFlag, Source
from spread_scanner.schema.log import SOURCE_STATE_DTYPE, TICK_DTYPE, RecordKind
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.symbology import tables, usual
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.usual import Usual, UsualCause, UsualOrigin
from spread_scanner.wal import reader
from spread_scanner.wal.copying import LogCopy, new_log
from spread_scanner.wal.writer import LogWriter, Origin, WrittenThen

DRAIN_NS = 20 * NS_PER_MS
SILENT_NS = 60 * NS_PER_S  # nothing received for so long: nobody recorded
AHEAD_NS = 24 * 3_600 * NS_PER_S  # of this machine's clock: another's is not more wrong
LOOK_NS = 100 * NS_PER_MS
BEFORE_NS = NS_PER_S  # the log begins so long before the first line
GZIP = b"\x1f\x8b"
NAMESPACE = "imported"
UNIT_NS = {10: NS_PER_S, 13: NS_PER_MS, 16: 1_000, 19: 1}  # by the digits of a time of these years
FRACTION_DIGITS = 9  # of a second: ns; Python reads no number of thousands
EPOCH = 1


class ImportedLog(NamedTuple):
    """What was written, and what of the recordings was left out, by reason."""

    records: int
    skipped: Counter[str]


class RecordedFile(NamedTuple):
    """A file of frames of one source."""

    source: Source
    path: Path

    @classmethod
    def of(cls, said: str) -> "RecordedFile":
        """Of SOURCE=FILE. Raises Unusable."""
        label, _, name = said.partition("=")
        if label not in SOURCE_BY_LABEL:
            allowed = "a log's folder, or SOURCE=FILE with SOURCE one of " + ", ".join(
                SOURCE_BY_LABEL
            )
            raise Unusable("nothing that can be imported", said=said, allowed=allowed)
        return cls(SOURCE_BY_LABEL[label], Path(name))

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """When each was received, in ns, never before the one above, and the frame. Raises
        Unusable, OSError."""
        newest_ns = 0
        try:
            with self.path.open("rb") as plain:
                zipped = plain.read(len(GZIP)) == GZIP
                plain.seek(0)
                lines = gzip.GzipFile(fileobj=plain) if zipped else plain
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        newest_ns = max(newest_ns, self._received_ns(line, number))
                        yield newest_ns, line
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Unusable(f"a damaged gzip file: {error}", file=str(self.path)) from None

    def _received_ns(self, line: bytes, number: int) -> int:
        found = RECEIVE_TIME.match(line)
        whole, _, rest = found[0].strip(b": \t").partition(b".") if found else (b"", b"", b"")
        rest = rest[:FRACTION_DIGITS]
        unit_ns = UNIT_NS.get(len(whole))
        if unit_ns is None:
            raise Unusable(
                "a line does not begin with the time at which it was received: seconds, ms, us "
                "or ns since 1970",
                file=str(self.path),
                line=number,
            )
        at_ns = int(whole) * unit_ns + int(int(rest or b"0") * unit_ns // 10 ** len(rest))
        if at_ns > clock.wall_ns() + AHEAD_NS:
            raise Unusable(
                "a line is from the future", file=str(self.path), line=number, received_ns=at_ns
            )
        return at_ns


def import_logs(said: Sequence[str], to: Path, settings: Settings) -> ImportedLog:
    """Logs (folders) in the order in which they were begun, then all recordings as what one system
    received. Raises Unusable, TableError, NoLog, LogDamaged, Unsafe, OSError."""
    folders = [Path(one) for one in said if Path(one).is_dir()]
    recordings = [RecordedFile.of(one) for one in said if not Path(one).is_dir()]
    places = [place.resolve() for place in (*folders, *(one.path for one in recordings))]
    if twice := [str(place) for place, count in Counter(places).items() if count > 1]:
        raise Unusable("named twice, and would be there twice", path=twice[0])
    chains = [_chain(one) for one in folders]
    chains.sort(key=lambda one: _begun_ns(one[1]))
    with new_log(to) as writer:
        for folder, links in chains:
            _copy(writer, folder, links)
        skipped = Counter[str]()
        if recordings:
            loaded = tables.load(settings.generated_dir)
            skipped = _Import(writer, settings, loaded, recordings).run()
        records = writer.appended_seq
    return ImportedLog(records, skipped)


def _chain(folder: Path) -> tuple[Path, list[reader.Link]]:
    links = reader.begun_chain(folder)
    if gone := reader.gone(reader.with_cut_off(folder)):
        raise reader.damaged(folder, gone[0])
    return folder, links


def _begun_ns(links: list[reader.Link]) -> int:
    return int(links[0].head["created_wall_ns"])


def _copy(writer: LogWriter, folder: Path, links: list[reader.Link]) -> None:
    copy, before = LogCopy(writer, links), -1
    for link, piece in reader.pieces_with_links(folder):
        if link.number != before:
            copy.begin(link)
            before = link.number
        copy.put(piece)


class _Import:
    """All recordings, as one store's."""

    def __init__(
        self, writer: LogWriter, settings: Settings, loaded: Tables, recordings: list[RecordedFile]
    ) -> None:
        self._writer, self._settings, self._tables = writer, settings, loaded
        self._recordings = recordings
        self._skipped: Counter[str] = Counter()
        self._numbers: Counter[int] = Counter()
        self._cells: dict[tuple[int, int], dict[str, float]] = {}
        self._pending: list[tuple[object, ...]] = []
        self._anchor_ns = self._drained_ns = self._looked_ns = 0

    def run(self) -> Counter[str]:
        """What was left out. Raises Unusable, where there is nothing else."""
        begun = False
        for at_ns, source, row in heapq.merge(
            *map(self._rows, self._recordings), key=lambda one: one[0]
        ):
            if not begun:
                self._begin(at_ns)
                begun = True
            if at_ns > self._drained_ns + SILENT_NS:  # no feed is said to live in between
                self._drain()
                self._drained_ns = at_ns - DRAIN_NS
            while at_ns >= self._drained_ns + DRAIN_NS:
                self._drain()
            self._take(at_ns, source, row)
        if not begun:
            left_out = ", ".join(f"{count} {why}" for why, count in self._skipped.items())
            files = ", ".join(str(one.path) for one in self._recordings)
            raise Unusable(
                "no quote of a symbol that the tables have", files=files, skipped=left_out
            )
        self._drain()
        return self._skipped

    def _rows(self, recording: RecordedFile) -> Iterator[tuple[int, Source, DecodedQuote]]:
        """Decoded as they come: the line that was asked for last is the one that a row is of."""
        source = recording.source
        listed = self._tables.of_source(source.source_id)
        scales = {row.exchange_symbol: (row.symbol_id, row.px_div, row.sz_mul) for row in listed}
        last_ns = 0

        def frames() -> Iterator[bytes]:
            nonlocal last_ns
            for last_ns, line in recording.lines():  # noqa: B007
                yield from line_frames([line])

        settings = self._settings.exchanges[source.label]
        try:
            for row in decode_lines(source, frames(), scales, self._skipped, settings):
                yield last_ns, source, row
        except BadMessage as error:
            raise Unusable(f"no recording: {error}", file=str(recording.path)) from None

    def _begin(self, first_ns: int) -> None:
        """With all that a recorder writes at its start."""
        self._anchor_ns = first_ns - 2 * BEFORE_NS
        self._drained_ns = self._looked_ns = first_ns - BEFORE_NS
        name = repr((first_ns, self._recordings)).encode()
        instance_id = int.from_bytes(hashlib.sha256(name).digest()[:8], "little")
        origin = Origin(NAMESPACE, instance_id, self._anchor_ns)
        self._writer.copy_on(origin, WrittenThen(self._drained_ns, BEFORE_NS))
        settings, loaded = self._settings, self._tables
        found = self._nothing_known()
        for kind, document in (
            (RecordKind.SETTINGS, LogDocument(settings.digest, settings_body(settings))),
            (RecordKind.TABLES, LogDocument(loaded.generation, msgspec.json.encode(loaded))),
            (RecordKind.USUAL, LogDocument(found.generation, usual.whole(found))),
        ):
            head = document_head(document, self._drained_ns)
            self._writer.append_document(kind, head, document.body)
        self._look()

    def _nothing_known(self) -> Usual:
        """As an engine begins that has never looked."""
        made = plan.plan(self._settings, self._tables, self._settings.config.system.max_symbols)
        count = len(made.pairs)
        origin = UsualOrigin(
            self._drained_ns, self._tables.generation, self._settings.digest, UsualCause.START
        )
        means = np.full(count, np.nan)
        flags = np.ascontiguousarray(made.pairs["signal_flags"])
        carry = np.ascontiguousarray(made.pairs["carry_bps"])
        half_life_s = self._settings.config.spread_engine.basis_half_life_s
        of_pairs = (np.zeros(count), means, means, None, carry, flags, origin)
        return Usual(1, self._drained_ns, half_life_s, made.keys, *of_pairs)

    def _take(self, at_ns: int, source: Source, row: DecodedQuote) -> None:
        symbol_id = row["symbol_id"]
        cell = self._cells.setdefault((source.source_id, symbol_id), {})
        for name in ("bid_px", "bid_sz", "ask_px", "ask_sz"):
            if name in row:
                said = row[name]
                cell[name] = np.nan if said is None else said
            cell.setdefault(name, np.nan)
        ts_event = TS_ABSENT if row["ts_event"] is None else row["ts_event"]
        flags = QuoteFlag.BID_EMPTY * bool(np.isnan(cell["bid_px"]))
        flags |= QuoteFlag.ASK_EMPTY * bool(np.isnan(cell["ask_px"]))
        flags |= QuoteFlag.CROSSED * bool(cell["bid_px"] > cell["ask_px"])
        flags |= QuoteFlag.NO_TS_EVENT * (ts_event == TS_ABSENT)
        prices = (cell["bid_px"], cell["bid_sz"], cell["ask_px"], cell["ask_sz"])
        quote = (*prices, ts_event, at_ns, row["update_id"], flags, EPOCH)
        number = self._numbers[source.source_id]
        self._numbers[source.source_id] += 1
        self._pending.append((number, symbol_id, source.source_id, b"", quote))

    def _drain(self) -> None:
        """What was received within a drain; ten times a second that the feeds live."""
        self._drained_ns += DRAIN_NS
        self._writer.copy_then(self._drained_ns - self._anchor_ns)
        if self._pending:
            self._writer.append(RecordKind.TICK, np.array(self._pending, TICK_DTYPE))
            self._pending = []
        if self._drained_ns >= self._looked_ns + LOOK_NS:
            self._look()
        self._writer.commit()
        if not self._writer.room:
            self._writer.copied()

    def _look(self) -> None:
        self._looked_ns = self._drained_ns
        ids = sorted({one.source.source_id for one in self._recordings})
        states = np.zeros(len(ids), SOURCE_STATE_DTYPE)
        states["source_id"], states["epoch"], states["ts"] = ids, EPOCH, self._drained_ns
        states["heartbeat_mono_ns"] = self._drained_ns - self._anchor_ns
        states["pushed"] = [self._numbers[one] for one in ids]
        self._writer.append(RecordKind.SOURCE_STATE, states)
