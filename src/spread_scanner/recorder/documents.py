"""What is no array, into the log, whole, whenever it is another one: settings, tables, what is
usual, what stands switched.

Of the settings what the feeds and the engine go by: no targets of alerts, and no proxy, whose
address may hold a password.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from spread_scanner.clock import SessionClock
from spread_scanner.config import Settings
from spread_scanner.schema.log import DOCUMENT_DTYPE, RecordKind
from spread_scanner.schema.names import ENGINE
from spread_scanner.shm import Control, SignalRing
from spread_scanner.symbology import usual
from spread_scanner.symbology.tables import Tables
from spread_scanner.wal.writer import LogWriter


class LogDocument(NamedTuple):
    generation: int
    body: bytes
    ts: int | None = None  # None: now


class Documents:
    """Writes each when it is new, and all of them into each segment."""

    def __init__(
        self, log: LogWriter, clock: SessionClock, control: Control, ring: SignalRing
    ) -> None:
        self._log, self._clock, self._control, self._ring = log, clock, control, ring
        self._written: dict[RecordKind, tuple[int, int]] = {}
        self._standing: dict[RecordKind, LogDocument] = {}
        self._segment = 0  # into which they were written last
        self._usual_path = Path()
        self._usual_seen = (0, 0)
        self._switched = -1  # the generation of the switches that the log has
        self._engine: dict[str, int] = {}  # as the log has it
        self.written = 0
        self.tables = b""  # in force, as they stand in the log

    def settings(self, settings: Settings, loaded: Tables) -> None:
        """Those in force."""
        self._usual_path = usual.path_of(settings)
        self.put(RecordKind.SETTINGS, LogDocument(settings.digest, settings_body(settings)))
        self.tables = msgspec.json.encode(loaded)
        self.put(RecordKind.TABLES, LogDocument(loaded.generation, self.tables))

    def look(self) -> None:
        """What others have changed since: a word and a file's state, as long as they have not."""
        generation = self._control.generation
        if generation != self._switched:
            self._switched = generation
            self.put(RecordKind.CONTROL, self._switches(generation))
        if (found := self._usual()) is not None:
            self.put(RecordKind.USUAL, found)
        before, self._segment = self._segment, self._log.segment
        if before not in (0, self._segment):
            self._repeat()

    def _repeat(self) -> None:
        """What stands goes into each segment, as those before it may leave the log."""
        self._written.clear()
        for kind, document in self._standing.items():
            self.put(kind, document)

    def look_at_engine(self) -> None:
        """Whether it lives, and what its ring had no room for: why signals are missing."""
        said = {"alive": self._control.alive(ENGINE), "dropped": self._ring.counters().dropped}
        if said == self._engine:
            return
        self._engine = said
        self.put(RecordKind.ENGINE, LogDocument(0, msgspec.json.encode(said)))

    def _switches(self, generation: int) -> LogDocument:
        standing = [
            {**one._asdict(), "kind": one.kind.name.lower()} for one in self._control.standing
        ]
        ts = self._control.issued_mono_ns + self._clock.anchor_ns
        return LogDocument(generation, msgspec.json.encode(standing), ts)

    def put(self, kind: RecordKind, document: LogDocument) -> None:
        """Into the log, unless it is what the log has of that kind."""
        head = document_head(document, self._clock.now_ns() if document.ts is None else document.ts)
        known = int(head["digest"]), document.generation
        if self._written.get(kind) == known:
            return
        self._log.append_document(kind, head, document.body)
        self._written[kind] = known
        self._standing[kind] = document._replace(ts=int(head["ts"]))
        self.written += 1

    def _usual(self) -> LogDocument | None:
        """What the engine has adopted, as its file has it; None: nothing new, or nothing whole."""
        try:
            stat = self._usual_path.stat()
            seen = (stat.st_mtime_ns, stat.st_ino)
            if seen == self._usual_seen:
                return None
            body = self._usual_path.read_bytes()
            found = usual.read_whole(body)
        except (OSError, usual.UsualError):
            return None
        self._usual_seen = seen
        return LogDocument(found.generation, body)


def document_head(document: LogDocument, ts: int) -> np.ndarray:
    """Of its first part; the log's writer counts the others."""
    head = np.zeros((), DOCUMENT_DTYPE)
    head["digest"] = int.from_bytes(hashlib.sha256(document.body).digest()[:8], "little")
    head["generation"], head["ts"] = document.generation, ts
    return head


def settings_body(settings: Settings) -> bytes:
    """As JSON."""
    exchanges = {
        label: msgspec.structs.replace(source, proxy="")
        for label, source in settings.exchanges.items()
    }
    config = settings.config
    body = {
        "system": config.system,
        "feed": config.feed,
        "feeds": config.feeds,
        "spread-engine": config.spread_engine,
        "books": config.books,
        "exchanges": exchanges,
        "directions": settings.directions,
        "pools": msgspec.structs.replace(settings.pools, providers={}),  # whose URLs may hold keys
    }
    return msgspec.json.encode(body, order="deterministic")
