"""What is no array, into the log, whole, whenever it is another one: settings, tables, what is
usual, what stands switched.

Of the settings what the feeds and the engine go by: no targets of alerts, and no proxy, whose
address may hold a password.
"""

import hashlib
from typing import NamedTuple

import msgspec
import numpy as np

from spread_scanner.clock import SessionClock
from spread_scanner.config import Settings
from spread_scanner.schema.log import DOCUMENT_DTYPE, RecordKind
from spread_scanner.shm import Control
from spread_scanner.symbology import usual
from spread_scanner.symbology.tables import Tables
from spread_scanner.wal.writer import LogWriter


class LogDocument(NamedTuple):
    generation: int
    body: bytes


class Documents:
    """Writes each when it is new."""

    def __init__(self, log: LogWriter, clock: SessionClock, control: Control) -> None:
        self._log, self._clock, self._control = log, clock, control
        self._written: dict[RecordKind, int] = {}
        self._usual_seen = (0, 0)
        self.written = 0

    def settings(self, settings: Settings, loaded: Tables) -> None:
        """Those in force."""
        self._usual_path = usual.path_of(settings)
        self.put(RecordKind.SETTINGS, LogDocument(0, settings_body(settings)))
        self.put(RecordKind.TABLES, LogDocument(loaded.generation, msgspec.json.encode(loaded)))

    def look(self) -> None:
        """What others have changed since."""
        standing = [
            {**one._asdict(), "kind": one.kind.name.lower()} for one in self._control.standing
        ]
        self.put(RecordKind.CONTROL, LogDocument(0, msgspec.json.encode(standing)))
        if (found := self._usual()) is not None:
            self.put(RecordKind.USUAL, found)

    def put(self, kind: RecordKind, document: LogDocument) -> None:
        """Into the log, unless it is what the log has of that kind."""
        digest = int.from_bytes(hashlib.sha256(document.body).digest()[:8], "little")
        if self._written.get(kind) == digest:
            return
        head = np.zeros((), DOCUMENT_DTYPE)
        head["digest"], head["generation"] = digest, document.generation
        head["ts"] = self._clock.now_ns()
        self._log.append_document(kind, head, document.body)
        self._written[kind] = digest
        self.written += 1

    def _usual(self) -> LogDocument | None:
        """What the engine has adopted, as its file has it; None: nothing new, or nothing whole."""
        try:
            stat = self._usual_path.stat()
            seen = (stat.st_mtime_ns, stat.st_ino)
            if seen == self._usual_seen:
                return None
            found = usual.read(self._usual_path)
            body = self._usual_path.read_bytes()
        except (OSError, usual.UsualError):
            return None
        self._usual_seen = seen
        return None if found is None else LogDocument(found.generation, body)


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
    }
    return msgspec.json.encode(body, order="deterministic")
