"""What all who write a SQLite database have in common: which of its errors pass by themselves, and
how large it is."""

import sqlite3

_WORLD_CODES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
}


def is_world_fault(error: sqlite3.Error) -> bool:
    """Full disk, lock, input/output error: passes by itself or with the operator's help."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF in _WORLD_CODES  # the low byte is the kind, the rest its detail


def used_bytes(connection: sqlite3.Connection) -> int:
    """Of the database file, without the pages that wait to be used again."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
