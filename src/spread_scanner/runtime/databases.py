"""What all who write a SQLite database have in common: whether it is theirs, how it comes to be of
today's version, which of its errors pass by themselves, and how large it is."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from spread_scanner.errors import SpreadError
from spread_scanner.schema.opportunities import read_only_uri

_PASSING_CODES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
}
_WORLD_CODES = _PASSING_CODES | {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


def is_world_fault(error: sqlite3.Error) -> bool:
    """Full disk, lock, input/output error: passes by itself or with the operator's help."""
    return _kind(error) in _WORLD_CODES


def may_pass(error: sqlite3.Error) -> bool:
    """Whether it may be over without anybody's doing anything about this file: no room, a disk that
    fails for a moment, somebody else's lock."""
    return _kind(error) in _PASSING_CODES


def _kind(error: sqlite3.Error) -> int:
    """The low byte; the rest is its detail."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def used_bytes(connection: sqlite3.Connection) -> int:
    """Of the database file, without the pages that wait to be used again."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def checked_version(
    connection: sqlite3.Connection,
    path: Path,
    application_id: int,
    known: int,
    refusal: type[SpreadError],
) -> int:
    """The version of the schema; 0: there is none yet. Raises `refusal` when the file is another
    program's, of a version beyond `known`, or damaged."""
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        application = int(connection.execute("PRAGMA application_id").fetchone()[0])
        tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise
        raise refusal(f"{error}: move it away to begin anew", file=path) from None
    if tables and application != application_id:
        raise refusal("the file is another program's database", file=path)
    if version > known:
        raise refusal(
            "the database was written by a newer version", file=path, found=version, known=known
        )
    return version


def migrate(
    connection: sqlite3.Connection,
    scripts: Sequence[str],
    application_id: int,
    version: int,
    to_version: int,
) -> None:
    """Bring the schema from one version to another, each step in a transaction of its own.
    `scripts`: what each version adds, from the first on."""
    for number in range(version, to_version):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in scripts[number].split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {application_id}")
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


class KnownDatabase(NamedTuple):
    """Whose a database is, and how what is wrong with it is said."""

    application_id: int
    version: int
    writer: str
    refusal: type[SpreadError]


def why_none(path: Path, writer: str) -> str:
    """Why nothing can be read there, whatever is in it, in a sentence; empty: something can."""
    try:
        if not path.exists():
            return f"there is no such database: {writer} has not run yet"
        if not path.is_file():
            return "no database: a folder, pipe or device"
        if path.stat().st_size == 0:
            return f"the database is empty: {writer} has not run yet"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def read_only(path: Path, known: KnownDatabase) -> sqlite3.Connection:
    """A connection that cannot write. Raises its refusal where it is not there, another's, or
    of another version than today's."""
    refusal, writer = known.refusal, known.writer
    if nothing := why_none(path, writer):
        raise refusal(nothing, file=path)
    connection = sqlite3.connect(read_only_uri(path), uri=True, timeout=5.0)
    try:
        version = checked_version(connection, path, known.application_id, known.version, refusal)
        if version < known.version:
            raise refusal(
                f"the database is of an older version: start {writer} once to migrate it",
                file=path,
                found=version,
                known=known.version,
            )
    except BaseException:
        connection.close()
        raise
    return connection
