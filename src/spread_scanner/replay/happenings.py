"""What a log holds besides ticks and signals, in the words of a replay: documents put together,
times on the session clock.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from spread_scanner.config import (
    Config,
    Directions,
    PoolSettings,
    Settings,
    SourceSettings,
    System,
)
from spread_scanner.config import Engine as EngineSettings
from spread_scanner.errors import SpreadError
from spread_scanner.schema.log import ARRAYS, RecordKind
from spread_scanner.symbology import usual
from spread_scanner.symbology.tables import Tables
from spread_scanner.symbology.usual import Usual, UsualError
from spread_scanner.wal import reader
from spread_scanner.wal.reader import DocumentParts


class LogUnreadable(SpreadError):
    """The log holds a document that this version cannot make anything of."""


class StoreLife(NamedTuple):
    """The log goes on with what was recorded of another store."""

    instance_id: int
    anchor_ns: int
    begun_ns: int  # when the first of it was written, on its session clock


class LoggedArray(NamedTuple):
    """Records of one kind, and when they were written."""

    kind: RecordKind
    records: np.ndarray
    written_ns: int


class LoggedSettings(NamedTuple):
    digest: int
    settings: Settings


class LoggedSwitches(NamedTuple):
    ts: int
    standing: list[dict[str, Any]]


class LoggedEngine(NamedTuple):
    """Whether it lived, and how many signals its ring had had no room for."""

    ts: int
    alive: bool
    dropped: int


LogEntry = StoreLife | LoggedArray | LoggedSettings | LoggedSwitches | LoggedEngine | Tables | Usual


def happenings(folder: Path) -> Iterator[LogEntry]:
    """The log in its order. Raises reader.LogDamaged, LogLeft, NoLog,
    LogUnreadable, OSError."""
    life = StoreLife(0, 0, 0)
    documents, said = DocumentParts(), dict[RecordKind, tuple[int, int]]()
    for link, piece in reader.pieces_with_links(folder):
        instance_id, anchor_ns = int(link.head["instance_id"]), int(link.head["anchor_ns"])
        if (instance_id, anchor_ns) != life[:2]:
            begun_ns = int(link.head["created_mono_ns"]) + anchor_ns
            life = StoreLife(instance_id, anchor_ns, begun_ns)
            said.clear()
            yield life
        if piece.kind in ARRAYS:
            yield LoggedArray(piece.kind, piece.array(), piece.at_ns + life.anchor_ns)
        elif (whole := documents.whole(piece)) is not None:
            digest = int(whole[0]["digest"]), int(whole[0]["generation"])
            if said.get(piece.kind) != digest:  # what stands is in each segment once more
                said[piece.kind] = digest
                yield _said(piece.kind, *whole)


def _said(kind: RecordKind, head: np.void, body: bytes) -> LogEntry:
    try:
        if kind is RecordKind.TABLES:
            return msgspec.json.decode(body, type=Tables)
        if kind is RecordKind.SETTINGS:
            return LoggedSettings(int(head["generation"]), _settings(msgspec.json.decode(body)))
        if kind is RecordKind.CONTROL:
            return LoggedSwitches(int(head["ts"]), msgspec.json.decode(body))
        if kind is RecordKind.ENGINE:
            return LoggedEngine(int(head["ts"]), **msgspec.json.decode(body))
        found = usual.read_whole(body)
    except (msgspec.MsgspecError, UsualError, TypeError) as error:
        raise LogUnreadable(f"a document of the log: {error}", kind=kind.name.lower()) from None
    noted = found.origin if found.origin.ts else found.origin._replace(ts=int(head["ts"]))
    return found._replace(origin=noted)


def _settings(said: dict[str, Any]) -> Settings:
    """What the recorder wrote down of them; the rest is as it is without a file."""
    config = Config(
        system=msgspec.convert(said["system"], System),
        spread_engine=msgspec.convert(said["spread-engine"], EngineSettings),
    )
    exchanges = msgspec.convert(said["exchanges"], dict[str, SourceSettings])
    directions = msgspec.convert(said["directions"], Directions)
    pools = msgspec.convert(said.get("pools", {}), PoolSettings)  # an older log has none
    return Settings(Path(), config, exchanges, directions, pools)
